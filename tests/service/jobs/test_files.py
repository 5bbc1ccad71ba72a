"""A song's files: the delivered format, a lossless one beside it, and any other on request."""

import shutil

import numpy as np
import pytest

from partita.audio.read import read
from partita.audio.tags import read_record
from partita.audio.write import write
from partita.errors import AudioError, NotFoundError, RequestError
from partita.service.jobs import files
from partita.song.record import Record
from tests.service.jobs.conftest import asked, done


@pytest.mark.parametrize("wanted", ["wav", "flac"])
def test_a_lossless_song_is_its_own_master(open_queue, wanted):
    queue = open_queue()
    job = done(queue, queue.submit(asked(output={"format": wanted})))
    assert job.songs[0].files == (f"0.{wanted}", "0.json")


def test_a_lossy_song_has_a_lossless_one_beside_it(open_queue):
    queue = open_queue()
    job = done(queue, queue.submit(asked(output={"format": "mp3"})))
    assert job.songs[0].files == ("0.mp3", "0.json", "0.flac")
    song, master = read(queue.song_path(job.id)), read(queue.song_path(job.id, 0, "0.flac"))
    assert len(master.samples) == job.songs[0].record.frames
    assert np.abs(song.samples[: len(master.samples)] - master.samples[: len(song.samples)]).max() < 0.05


@pytest.mark.parametrize("delivered", ["flac", "wav", "mp3"])
@pytest.mark.parametrize("audio_format", files.FORMATS)
def test_any_format_carries_the_record_and_the_sound(open_queue, delivered, audio_format):
    queue = open_queue()
    job = done(queue, queue.submit(asked(output={"format": delivered})))
    path = queue.audio_as(job.id, 0, audio_format)
    assert path.parent == queue.song_path(job.id).parent
    assert read(path).duration_s == pytest.approx(1.0, abs=0.1)
    assert Record.from_json(read_record(path) or "") == job.songs[0].record
    if audio_format == delivered:
        assert path == queue.song_path(job.id)


def test_a_format_is_converted_once(open_queue):
    queue = open_queue()
    job = done(queue, queue.submit(asked()))
    first = queue.audio_as(job.id, 0, "mp3")
    made = first.stat().st_mtime_ns
    assert queue.audio_as(job.id, 0, "mp3").stat().st_mtime_ns == made


def test_a_rate_that_a_format_does_not_take_is_changed(open_queue, tmp_path):
    job_id = "0" * 32
    queue = open_queue()
    song = done(queue, queue.submit(asked())).songs[0]
    store = files.JobFiles(tmp_path)
    (tmp_path / "songs" / job_id).mkdir(parents=True)
    write(tmp_path / "songs" / job_id / "0.flac", np.zeros((44_100, 2), np.float32), 44_100, format="flac")
    assert store.as_format(job_id, song, "opus") is None
    path = store.convert(job_id, song, "opus")
    assert read(path).duration_s == pytest.approx(1.0, abs=0.01)
    assert store.as_format(job_id, song, "opus") == path


def test_an_unknown_format_is_refused(open_queue):
    queue = open_queue()
    job = done(queue, queue.submit(asked()))
    for wanted in ("midi", "", "../flac", "FLAC"):
        with pytest.raises(RequestError) as caught:
            queue.audio_as(job.id, 0, wanted)
        assert caught.value.field == "format"


def test_a_format_of_an_extra_that_is_not_installed_names_it(open_queue, monkeypatch):
    queue = open_queue()
    job = done(queue, queue.submit(asked()))
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="codecs extra"):
        queue.audio_as(job.id, 0, "aac")


def test_a_song_without_its_lossless_file_is_still_delivered_and_converted(open_queue, monkeypatch, caplog):
    def refuse(*args, **choices):
        raise AudioError("The disk is full.")

    queue = open_queue()
    with monkeypatch.context() as patch:
        patch.setattr(files, "write", refuse)
        job = done(queue, queue.submit(asked(output={"format": "mp3"})))
    assert job.songs[0].files == ("0.mp3", "0.json")
    assert "The disk is full." in caplog.text
    assert read(queue.audio_as(job.id, 0, "flac")).duration_s == pytest.approx(1.0, abs=0.1)


def test_files_that_somebody_took_away_are_said_to_be_gone(open_queue, folder):
    queue = open_queue()
    job = done(queue, queue.submit(asked()))
    shutil.rmtree(folder / "songs" / job.id)
    for find in (lambda: queue.song_path(job.id), lambda: queue.audio_as(job.id, 0, "mp3")):
        with pytest.raises(NotFoundError, match="gone from the disk"):
            find()


def test_a_link_out_of_the_folder_is_followed_nowhere(open_queue, folder, tmp_path):
    queue = open_queue()
    job = done(queue, queue.submit(asked()))
    secret = tmp_path / "secret"
    secret.write_text("not for you")
    path = queue.song_path(job.id)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(NotFoundError):
        queue.song_path(job.id)
