import errno
import json

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file

from partita.audio import write as write_module
from partita.audio.tags import read_record, read_tags
from partita.engine import save as save_module
from partita.engine.save import save
from partita.engine.targets import Target
from partita.errors import AudioError, RequestError, SaveError
from partita.song.record import Record
from partita.song.request import Output, SongRequest
from partita.song.task import Repaint

FORMATS = {"wav": ".wav", "flac": ".flac", "mp3": ".mp3", "ogg": ".ogg", "opus": ".opus", "aac": ".m4a"}


def make_song(engine, **output):
    return engine.generate(
        SongRequest(caption="a tone, été", model="ace-step-1.5-turbo", duration_s=2, seed=5, output=Output(**output))
    )


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_format_carries_the_whole_record(make_engine, settings, tmp_path, audio_format):
    if audio_format == "aac":
        pytest.importorskip("av", reason="AAC needs the codecs extra")
    song = make_song(make_engine(), format=audio_format)
    saved = save(song, Target(tmp_path / f"song{FORMATS[audio_format]}"), settings)
    text = read_record(saved.audio)
    assert text is not None
    assert Record.from_json(text) == song.record
    assert json.loads(saved.record.read_text()) == json.loads(text)
    assert read_tags(saved.audio)["title"] == "a tone, été"
    assert sorted(path.name for path in tmp_path.glob("song*")) == sorted([saved.audio.name, saved.record.name])


@pytest.mark.parametrize(("audio_format", "depth"), [("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24)])
def test_the_same_song_is_the_same_file(make_engine, settings, tmp_path, audio_format, depth):
    files = []
    for name in ("a", "b"):
        song = make_song(make_engine(), format=audio_format, bit_depth=depth)
        files.append(save(song, Target(tmp_path / f"{name}{FORMATS[audio_format]}"), settings).audio.read_bytes())
    assert files[0] == files[1]


def test_a_replayed_record_gives_the_same_file(make_engine, settings, tmp_path):
    first = save(make_song(make_engine()), Target(tmp_path / "a.flac"), settings)
    record = Record.from_json(read_record(first.audio) or "")
    again = save(make_engine().replay(record), Target(tmp_path / "b.flac"), settings)
    assert again.audio.read_bytes() == first.audio.read_bytes()


def test_float_wav_holds_the_samples_themselves(make_engine, settings, tmp_path):
    song = make_song(make_engine(), format="wav", bit_depth=32, keep_raw=True, keep_latents=True)
    saved = save(song, Target(tmp_path / "song.wav"), settings)
    np.testing.assert_array_equal(soundfile.read(saved.audio, dtype="float32")[0], song.audio)
    assert saved.raw is not None
    np.testing.assert_array_equal(soundfile.read(saved.raw, dtype="float32")[0], song.raw_audio)
    assert saved.latents is not None
    assert load_file(saved.latents)["latents"].equal(song.latents)


def test_a_folder_that_cannot_be_made_sends_the_song_elsewhere(make_engine, settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    song = make_song(make_engine())
    with pytest.raises(SaveError, match="The song is kept in") as caught:
        save(song, Target(tmp_path / "file" / "song.flac"), settings)
    kept = caught.value.kept_at
    assert kept is not None
    assert kept.parent == settings.kept
    assert Record.from_json(read_record(kept) or "") == song.record


def test_a_full_disk_sends_the_song_elsewhere_and_leaves_no_half_file(make_engine, settings, tmp_path, monkeypatch):
    real = write_module.write_atomically

    def full(path, buffers):
        if path.parent == tmp_path / "full":
            raise AudioError(f"{path}: the disk is full", path=path)
        real(path, buffers)

    monkeypatch.setattr(write_module, "write_atomically", full)
    with pytest.raises(SaveError, match="disk is full") as caught:
        save(make_song(make_engine()), Target(tmp_path / "full" / "song.flac"), settings)
    assert caught.value.kept_at is not None
    assert caught.value.kept_at.exists()
    assert list((tmp_path / "full").iterdir()) == []


def test_a_failing_lossy_encoder_leaves_a_lossless_file(make_engine, settings, tmp_path, monkeypatch):
    real = save_module.write

    def failing(path, *arguments, format, **more):
        if format == "mp3":
            raise AudioError("the encoder broke")
        return real(path, *arguments, format=format, **more)

    monkeypatch.setattr(save_module, "write", failing)
    song = make_song(make_engine(), format="mp3")
    with pytest.raises(SaveError, match="the encoder broke"):
        save(song, Target(tmp_path / "song.mp3"), settings)
    assert soundfile.info(tmp_path / "song.lossless.flac").frames == len(song.audio)


def test_a_file_that_is_named_as_the_lossless_one_is_left_alone(make_engine, settings, tmp_path):
    (tmp_path / "song.lossless.flac").write_text("mine")
    save(make_song(make_engine(), format="mp3"), Target(tmp_path / "song.mp3"), settings)
    assert (tmp_path / "song.lossless.flac").read_text() == "mine"
    assert not (tmp_path / "song.lossless-2.flac").exists()


def test_saved_latents_say_whose_they_are_and_are_a_source(make_engine, settings, tmp_path):
    engine = make_engine()
    song = make_song(engine, format="wav", keep_latents=True)
    saved = save(song, Target(tmp_path / "song.wav"), settings)
    request = SongRequest(
        caption="x", model="ace-step-1.5-turbo", task=Repaint(source=str(saved.latents), start_s=0.5, end_s=1)
    )
    edited = engine.generate(request)
    assert edited.latents[:12].equal(song.latents[:12])
    assert edited.record.request.source.latents_only
    with pytest.raises(RequestError, match=r"latents of acestep-1\.5"):
        engine.resolve(request.model_copy(update={"model": "built-in"}))


def test_when_every_folder_refuses_the_error_says_so(make_engine, settings, tmp_path, monkeypatch):
    def refuse(*arguments, **more):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(save_module, "write", refuse)
    with pytest.raises(SaveError, match="No other folder") as caught:
        save(make_song(make_engine()), Target(tmp_path / "song.flac"), settings)
    assert caught.value.kept_at is None
