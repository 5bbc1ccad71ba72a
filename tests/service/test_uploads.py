"""Uploads: kept under names of ours, whole or not at all, within the limits, and only if they are audio."""

import hashlib
import io
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save

from partita.errors import AudioError, NotFoundError, TooLargeError
from partita.service.config import Limits
from partita.service.uploads import Uploads


def wav(seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    t = np.arange(int(seconds * 8000)) / 8000
    soundfile.write(buffer, 0.3 * np.sin(2 * np.pi * 220 * t), 8000, format="WAV")
    return buffer.getvalue()


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "uploads", Limits())


def names(uploads: Uploads) -> list[str]:
    return sorted(path.name for path in uploads.folder.iterdir()) if uploads.folder.exists() else []


def test_an_upload_is_kept_as_it_came_and_known_by_an_id_of_ours(uploads: Uploads):
    data = wav()
    kept = uploads.take([data[:100], data[100:]], "C:\\music\\my song.WAV")
    assert (kept.bytes, kept.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert kept.duration_s == pytest.approx(0.5)
    assert uploads.find(kept.id) == kept
    assert uploads.path(kept.id) == uploads.folder / f"{kept.id}.wav"
    assert uploads.path(kept.id).read_bytes() == data


def test_the_same_bytes_again_are_the_same_upload(uploads: Uploads):
    first = uploads.take([wav()], "a.wav")
    os.utime(uploads.path(first.id), (0, 0))
    assert uploads.take([wav()], "other name.wav") == first
    assert uploads.path(first.id).stat().st_mtime > 0
    assert uploads.take([wav(0.6)], "a.wav").id != first.id
    assert len(names(uploads)) == 4


@pytest.mark.parametrize("name", ["../../evil.sh", "x", "", "..", "a.wav/../../b.py", "a\x00.wav\x00"])
def test_of_a_file_name_only_a_known_suffix_is_used(uploads: Uploads, name: str):
    kept = uploads.take([wav()], name)
    assert uploads.path(kept.id).parent == uploads.folder
    assert uploads.path(kept.id).suffix == ".audio"


@pytest.mark.parametrize(
    "data", [b"", b"not audio at all" * 100, b"RIFF\x00\x00\x00\x00WAVE", b"#!/bin/sh\nrm -rf /\n", wav()[:20]]
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.safetensors", "a"])
def test_what_is_no_audio_is_refused_and_leaves_nothing(uploads: Uploads, data: bytes, name: str):
    with pytest.raises(AudioError) as caught:
        uploads.take([data], name)
    assert str(uploads.folder) not in str(caught.value)
    assert names(uploads) == []


def test_latents_are_taken_with_their_length(uploads: Uploads):
    kept = uploads.take([save({"latents": np.ones((50, 64), np.float32)})], "x.safetensors")
    assert kept.duration_s == pytest.approx(2.0)
    with pytest.raises(AudioError):
        uploads.take([save({"latents": np.ones((50, 63), np.float32)})], "x.safetensors")


def test_a_file_larger_than_the_limit_is_refused_at_the_first_byte_beyond(tmp_path: Path):
    uploads = Uploads(tmp_path, Limits(upload_bytes=1000))
    written: list[int] = []

    def endless():
        while True:
            written.append(100)
            yield b"\0" * 100

    with pytest.raises(TooLargeError):
        uploads.take(endless(), "a.wav")
    assert sum(written) == 1100
    assert names(uploads) == []


def test_a_sound_longer_than_any_task_takes_is_refused(uploads: Uploads):
    head = bytearray(wav(0.01))
    frames = 601 * 8000
    data = bytes(head[: head.index(b"data") + 4]) + struct.pack("<I", frames * 2) + b"\1\0" * frames
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    with pytest.raises(TooLargeError, match="601 s"):
        uploads.take([data], "a.wav")
    assert names(uploads) == []


def test_all_uploads_together_stay_within_their_limit(tmp_path: Path):
    data = wav()
    uploads = Uploads(tmp_path, Limits(uploads_bytes=int(len(data) * 2.5)))
    first = uploads.take([data], "a.wav")
    with uploads.begin("b.mp3") as incoming:
        incoming.write(data)
        with pytest.raises(TooLargeError, match="together"), uploads.begin("c.ogg") as other:
            other.write(data)
        incoming.finish()
    with pytest.raises(TooLargeError):
        uploads.take([data], "d.aiff")
    uploads.delete(first.id)
    uploads.take([data], "d.aiff")


def test_what_stops_half_way_leaves_nothing(uploads: Uploads):
    def broken():
        yield wav()[:1000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        uploads.take(broken(), "a.wav")
    with uploads.begin("a.wav") as incoming:
        incoming.write(wav())
    assert names(uploads) == []


@pytest.mark.parametrize(
    "name", ["0" * 32, "", "..", "../uploads", "0" * 31 + "/", "A" * 32, "0" * 32 + ".wav", "\x00"]
)
def test_what_is_not_here_is_not_found(uploads: Uploads, name: str):
    for ask in (uploads.find, uploads.path, uploads.delete):
        with pytest.raises(NotFoundError):
            ask(name)


def test_a_deleted_upload_is_gone(uploads: Uploads):
    kept = uploads.take([wav()], "a.wav")
    uploads.delete(kept.id)
    with pytest.raises(NotFoundError):
        uploads.find(kept.id)
    assert names(uploads) == []


def test_links_in_the_folder_are_not_followed(uploads: Uploads, tmp_path: Path):
    kept = uploads.take([wav()], "a.wav")
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav())
    path = uploads.path(kept.id)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(NotFoundError):
        uploads.path(kept.id)
    about = uploads.folder / f"{kept.id}.about.json"
    elsewhere = tmp_path / "about.json"
    elsewhere.write_bytes(about.read_bytes())
    about.unlink()
    about.symlink_to(elsewhere)
    with pytest.raises(NotFoundError):
        uploads.find(kept.id)


def test_old_uploads_are_forgotten_and_others_stay(uploads: Uploads):
    old, young = uploads.take([wav()], "a.wav"), uploads.take([wav()], "b.mp3")
    for path in uploads.folder.glob(f"{old.id}*"):
        os.utime(path, (time.time() - 100, time.time() - 100))
    stranger = uploads.folder / "notes.txt"
    stranger.write_text("not ours")
    os.utime(stranger, (0, 0))
    assert uploads.forget(older_than_s=None) == 0
    assert uploads.forget(older_than_s=50) == 1
    assert uploads.find(young.id) == young
    assert stranger.exists()
    with pytest.raises(NotFoundError):
        uploads.find(old.id)


def test_what_a_killed_server_left_half_sent_goes_after_a_day(uploads: Uploads):
    kept = uploads.take([wav()], "a.wav")
    half, orphan = uploads.folder / f"{'1' * 32}.part", uploads.folder / f"{'2' * 32}.wav"
    for path in (half, orphan):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    uploads.forget(older_than_s=None)
    assert not half.exists()
    assert not orphan.exists()
    assert uploads.find(kept.id) == kept
