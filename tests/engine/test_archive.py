import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings as hypothesis_settings, strategies as st
from safetensors.numpy import save_file

from partita.audio.samples import samples_sha256
from partita.engine.archive import Archive
from partita.engine.save import save
from partita.engine.targets import Target
from partita.errors import AudioError, RequestError, ResourceError
from partita.render.protocol import AudioChunk
from partita.song.request import Output, SongRequest
from partita.song.source import AudioRef
from tests.engine.conftest import music
from tests.fakes import ToneRenderer

SUFFIX = {"wav": ".wav", "flac": ".flac", "mp3": ".mp3", "ogg": ".ogg", "opus": ".opus", "aac": ".m4a"}


@pytest.fixture
def archive(settings) -> Archive:
    return Archive(settings.archive)


def song_of(engine, seed=5, **output):
    return engine.generate(
        SongRequest(caption="a tone", model="ace-step-1.5-turbo", duration_s=4, seed=seed, output=Output(**output))
    )


def test_a_source_is_kept_by_the_hash_of_its_samples_and_read_back_bit_for_bit(archive, make_file):
    path = make_file(subtype="PCM_24")
    facts = archive.take(AudioRef(path=str(path)))
    samples = soundfile.read(path, dtype="float32")[0]
    assert facts.sha256 == samples_sha256(samples)
    assert (facts.samples, facts.latents_only, facts.song) == (144_000, False, None)
    data = archive.data(facts, "acestep-1.5")
    np.testing.assert_array_equal(data.audio, samples)
    assert data.latents is None
    assert archive.take(AudioRef(sha256=facts.sha256)) == facts
    kept, rate = soundfile.read(archive.folder / "audio" / f"{facts.sha256}.wav", dtype="float32")
    assert rate == 48_000
    np.testing.assert_array_equal(kept, samples)


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    rate=st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000, 96_000]),
    channels=st.integers(1, 6),
    duration_s=st.floats(0.1, 1.5),
)
def test_any_rate_and_number_of_channels_becomes_48_khz_stereo(tmp_path_factory, rate, channels, duration_s):
    folder = tmp_path_factory.mktemp("source")
    samples = music(duration_s + 1 / rate, rate, channels)
    soundfile.write(folder / "a.wav", samples, rate, subtype="FLOAT")
    archive = Archive(folder / "archive")
    facts = archive.take(AudioRef(path=str(folder / "a.wav")))
    audio = archive.data(facts, "acestep-1.5").audio
    assert audio.shape == (facts.samples, 2)
    assert abs(facts.samples - len(samples) * 48_000 / rate) <= 0.5
    if channels == 1:
        np.testing.assert_array_equal(audio[:, 0], audio[:, 1])
    if rate == 48_000:
        np.testing.assert_array_equal(audio[:, 0], samples[:, 0])


def test_samples_over_full_scale_are_not_clipped(archive, tmp_path):
    loud = music(1) * 40
    soundfile.write(tmp_path / "loud.wav", loud, 48_000, subtype="FLOAT")
    facts = archive.take(AudioRef(path=str(tmp_path / "loud.wav")))
    assert np.abs(archive.data(facts, "acestep-1.5").audio).max() > 1
    assert archive.hold(loud, 48_000) == AudioRef(sha256=facts.sha256)


def test_a_change_to_mapped_audio_does_not_reach_the_archive(archive, make_file):
    facts = archive.take(AudioRef(path=str(make_file())))
    archive.data(facts, "acestep-1.5").audio[:] = 0
    assert samples_sha256(archive.data(facts, "acestep-1.5").audio) == facts.sha256


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "There is no audio file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("words, not sound"), "source.wav"),
        (lambda path: soundfile.write(path, music(0.09), 48_000), "0.09 s long and at least 0.1 s"),
        (lambda path: soundfile.write(path, np.zeros((48_000, 2)), 48_000), "is silent"),
        (lambda path: soundfile.write(path, np.full((48_000, 2), 5e-7), 48_000, subtype="FLOAT"), "is silent"),
        (lambda path: soundfile.write(path, music(601, 100, 1), 100), "longer than 600"),
    ],
    ids=["missing", "folder", "empty", "no audio", "short", "silent", "nearly silent", "long"],
)
def test_what_cannot_be_used_is_refused_with_its_path_and_nothing_is_kept(archive, tmp_path, make, says):
    path = tmp_path / "source.wav"
    make(path)
    with pytest.raises(AudioError, match=says) as caught:
        archive.take(AudioRef(path=str(path)))
    assert str(path) in str(caught.value)
    assert caught.value.path is not None
    assert not archive.folder.exists()


@pytest.mark.long
def test_ten_minutes_can_be_used_and_a_little_more_cannot(archive, tmp_path):
    soundfile.write(tmp_path / "a.flac", music(600, 1000, 1), 1000)
    assert archive.take(AudioRef(path=str(tmp_path / "a.flac"))).duration_s == 600
    soundfile.write(tmp_path / "b.flac", music(600.02, 1000, 1), 1000)
    with pytest.raises(AudioError, match=r"600\.020 s long"):
        archive.take(AudioRef(path=str(tmp_path / "b.flac")))


def test_a_hash_that_is_not_kept_is_named(archive):
    with pytest.raises(RequestError, match="0" * 64) as caught:
        archive.take(AudioRef(sha256="0" * 64), "references.1")
    assert caught.value.field == "references.1.sha256"


def test_a_kept_file_that_was_cut_is_called_damaged(archive, make_file):
    facts = archive.take(AudioRef(path=str(make_file())))
    path = archive.folder / "audio" / f"{facts.sha256}.wav"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(AudioError, match="damaged"):
        archive.take(AudioRef(sha256=facts.sha256))


def test_latents_are_a_source_without_audio(archive, tmp_path):
    latents = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    save_file({"latents": latents}, tmp_path / "a.safetensors")
    facts = archive.take(AudioRef(path=str(tmp_path / "a.safetensors")))
    assert facts.latents_only
    assert facts.duration_s == 2.0
    data = archive.data(facts, "acestep-1.5")
    assert data.audio is None
    np.testing.assert_array_equal(data.latents, latents)
    assert archive.hold_latents(latents) == AudioRef(sha256=facts.sha256)
    assert archive.take(AudioRef(sha256=facts.sha256)) == facts


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"weights": np.zeros((50, 64), np.float32)}, "holds no latents"),
        ({"latents": np.zeros((50, 64), np.int32)}, "holds no latents"),
        ({"latents": np.zeros((64, 50), np.float32)}, r"\(64, 50\)"),
        ({"latents": np.zeros((2, 64), np.float32)}, r"2 frames of latents are 0\.08 s"),
        ({"latents": np.full((50, 64), np.nan, np.float32)}, "NaN"),
    ],
)
def test_latents_that_cannot_be_used_are_refused(archive, tmp_path, tensors, says):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(AudioError, match=says):
        archive.take(AudioRef(path=str(tmp_path / "a.safetensors")))
    assert not archive.folder.exists()


def test_a_file_that_is_no_safetensors_is_an_audio_error(archive, tmp_path):
    (tmp_path / "a.safetensors").write_text("nothing of the kind")
    with pytest.raises(AudioError, match="cannot be read as latents"):
        archive.take(AudioRef(path=str(tmp_path / "a.safetensors")))


def test_latents_of_another_family_are_never_handed_over(archive):
    facts = archive.take(archive.hold_latents(np.ones((50, 64), np.float32), "built-in"))
    assert archive.data(facts, "built-in").latents is not None
    with pytest.raises(RequestError, match="latents of built-in"):
        archive.data(facts, "acestep-1.5")


@pytest.mark.parametrize("audio_format", SUFFIX)
def test_a_song_file_brings_its_latents_in_every_format(archive, make_engine, settings, tmp_path, audio_format):
    song = song_of(make_engine(), format=audio_format)
    saved = save(song, Target(tmp_path / f"song{SUFFIX[audio_format]}"), settings)
    notes: list[str] = []
    facts = archive.take(AudioRef(path=str(saved.audio)), tell=notes.append)
    assert notes == []
    assert facts.song is not None
    assert (facts.song.model, facts.song.plan) == ("ace-step-1.5-turbo", song.record.plan)
    assert facts.song.gain_db == pytest.approx(song.record.loudness.gain_db, abs=0.5)
    assert facts.samples == len(song.audio)
    data = archive.data(facts, "acestep-1.5")
    np.testing.assert_array_equal(data.latents, song.latents.numpy())
    assert archive.data(facts, "built-in").latents is None
    assert archive.take(AudioRef(sha256=facts.sha256)) == facts


def test_lossless_files_have_the_songs_own_level(archive, make_engine, settings, tmp_path):
    song = song_of(make_engine(), format="flac", bit_depth=16)
    saved = save(song, Target(tmp_path / "song.flac"), settings)
    facts = archive.take(AudioRef(path=str(saved.audio)))
    assert facts.song is not None
    assert facts.song.gain_db == song.record.loudness.gain_db


def test_a_song_in_hand_is_kept_with_its_latents(archive, make_engine):
    song = song_of(make_engine())
    facts = archive.take(archive.hold_song(song))
    assert facts.sha256 == song.record.audio_sha256
    assert facts.song == song.origin
    np.testing.assert_array_equal(archive.data(facts, "acestep-1.5").audio, song.audio)


def test_a_record_beside_the_file_counts_as_its_own(archive, make_engine, settings, tmp_path):
    song = song_of(make_engine())
    (tmp_path / "bare.json").write_text(song.record.model_dump_json())
    soundfile.write(tmp_path / "bare.wav", song.audio, 48_000, subtype="PCM_24")
    assert archive.take(AudioRef(path=str(tmp_path / "bare.wav"))).song is not None
    (tmp_path / "other.json").write_text(json.dumps({"name": "of another program"}))
    soundfile.write(tmp_path / "other.wav", song.audio, 48_000, subtype="PCM_16")
    notes: list[str] = []
    assert archive.take(AudioRef(path=str(tmp_path / "other.wav")), tell=notes.append).song is None
    assert notes == []


class SwellRenderer(ToneRenderer):
    """Music that is nowhere the same, so that a passage out of place can be heard."""

    def _decode(self, job, pitch_hz):
        samples = music(job.plan.duration_s)
        yield AudioChunk(samples, 0, len(samples))


def swapped(audio):
    out = audio.copy()
    out[48_000:72_000] = audio[96_000:120_000]
    return out


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda audio: audio[4800:], "0.10 s shorter"),
        (lambda audio: np.concatenate([audio[4800:], np.zeros_like(audio[:4800])]), "altered"),
        (lambda audio: audio * np.float32(0.9), r"level is -0\.9\d dB"),
        (lambda audio: audio * np.float32(1.12), "level is"),
        (lambda audio: np.concatenate([audio, audio]), "longer"),
        (swapped, "altered"),
        (lambda audio: audio[::-1], "altered"),
        (lambda audio: audio + np.float32(2) * music(4, seed=1), "altered"),
    ],
    ids=["trimmed", "moved", "quieter", "louder", "doubled", "passage", "reversed", "noise added"],
)
@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_an_altered_file_is_any_other_audio_and_the_note_says_why(archive, make_engine, tmp_path, alter, says, suffix):
    engine = make_engine(SwellRenderer())
    song = song_of(engine)
    (tmp_path / "song.json").write_text(song.record.model_dump_json())
    soundfile.write(tmp_path / f"song{suffix}", alter(song.audio), 48_000)
    notes: list[str] = []
    facts = archive.take(AudioRef(path=str(tmp_path / f"song{suffix}")), tell=notes.append)
    assert facts.song is None
    assert len(notes) == 1
    assert "was altered" in notes[0]
    if suffix == ".wav":
        assert re.search(says, notes[0])


def test_a_song_whose_latents_are_gone_is_any_other_audio(archive, make_engine, settings, tmp_path):
    saved = save(song_of(make_engine()), Target(tmp_path / "song.flac"), settings)
    for path in (archive.folder / "songs").iterdir():
        path.unlink()
    notes: list[str] = []
    assert archive.take(AudioRef(path=str(saved.audio)), tell=notes.append).song is None
    assert "latents are not kept" in notes[0]


def test_a_record_that_cannot_be_read_is_noted(archive, make_file, tmp_path):
    (tmp_path / "source.json").write_text('{"record_version": 99}')
    notes: list[str] = []
    assert archive.take(AudioRef(path=str(make_file())), tell=notes.append).song is None
    assert "cannot be read" in notes[0]


def test_arrays_tensors_and_songs_are_held_by_hash(make_engine):
    engine = make_engine()
    samples = music(1)
    of_array = engine.hold(samples, 48_000)
    assert of_array == engine.hold(torch.from_numpy(samples), 48_000)
    assert of_array == AudioRef(sha256=samples_sha256(samples))
    assert engine.hold(samples[:, 0], 44_100) != of_array
    assert engine.hold(torch.zeros(10, 64)).sha256 is not None
    with pytest.raises(AudioError, match="C, N"):
        engine.hold(samples.T, 48_000)
    with pytest.raises(AudioError, match="silent"):
        engine.hold(np.zeros((48_000, 2), np.float32), 48_000)
    with pytest.raises(AudioError, match=r"floats \[T, 64 or 128\]"):
        engine.hold(samples)


def test_the_same_source_may_be_taken_in_from_many_places_at_once(archive):
    samples = music(5)
    with ThreadPoolExecutor(8) as pool:
        refs = set(pool.map(lambda _: archive.hold(samples, 48_000).sha256, range(16)))
    assert len(refs) == 1
    facts = archive.take(AudioRef(sha256=refs.pop()))
    np.testing.assert_array_equal(archive.data(facts, "acestep-1.5").audio, samples)


def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(settings):
    settings.data.mkdir()
    (settings.data / "archive").write_text("in the way")
    with pytest.raises(ResourceError, match="PARTITA_DATA"):
        Archive(settings.archive).hold(music(1), 48_000)


def test_a_song_is_made_even_where_nothing_can_be_kept_of_it(make_engine, settings):
    settings.data.mkdir()
    (settings.data / "archive").write_text("in the way")
    song = song_of(make_engine())
    assert any("cannot be edited without a loss" in warning for warning in song.warnings)


def test_taking_audio_in_imports_no_torch(make_file, tmp_path):
    code = (
        "import sys; from pathlib import Path; from partita.engine.archive import Archive;"
        "from partita.engine.intake import resolve_request; from partita.settings import Settings;"
        "from partita.song.request import SongRequest; from partita.song.task import Repaint;"
        f"request = SongRequest(model='ace-step-1.5-turbo', task=Repaint(source={str(make_file())!r}, start_s=1));"
        f"assert resolve_request(request, Settings(data=Path({str(tmp_path)!r}))).source.samples == 144000;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read where Linux tells it")
def test_ten_minutes_of_stereo_need_less_than_a_gigabyte(tmp_path):
    for rate in (44_100, 48_000):
        soundfile.write(tmp_path / "long.wav", music(600, rate), rate)
        code = (
            "import re; from pathlib import Path; from partita.engine.archive import Archive;"
            "from partita.song.source import AudioRef;"
            f"Archive(Path({str(tmp_path / 'a')!r})).take(AudioRef(path={str(tmp_path / 'long.wav')!r}));"
            "print(re.search(r'VmHWM:\\s*(\\d+) kB', Path('/proc/self/status').read_text())[1])"
        )
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert int(told.stdout) * 1024 < 1e9


def test_what_is_forgotten_is_gone_and_all_else_stays(archive, make_engine, make_file):
    engine = make_engine()
    song = song_of(engine)
    held = engine.hold(song)
    other = archive.take(AudioRef(path=str(make_file(subtype="PCM_24"))))
    assert archive.latents_of(song.record.audio_sha256) is not None
    archive.forget(song.record.audio_sha256)
    assert archive.latents_of(song.record.audio_sha256) is None
    with pytest.raises(RequestError, match="keeps no source"):
        archive.take(held)
    assert archive.take(AudioRef(sha256=other.sha256)) == other
    archive.forget(song.record.audio_sha256)
