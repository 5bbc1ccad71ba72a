from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from partita.audio.read import DurationLimits, read
from partita.audio.samples import to_stereo
from partita.audio.write import write
from partita.errors import AudioError
from tests.audio.conftest import RATE_HZ, music


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_a_lossless_file_is_read_exactly(tmp_path: Path, song: np.ndarray, suffix: str) -> None:
    steps = np.round(song * 2**15) / 2**15
    soundfile.write(tmp_path / f"a.{suffix}", steps, 44_100, subtype="PCM_16")
    audio = read(tmp_path / f"a.{suffix}")
    assert audio.sample_rate_hz == 44_100
    assert audio.samples.dtype == np.float32
    np.testing.assert_array_equal(audio.samples, steps.astype(np.float32))


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_file_keeps_its_channels(tmp_path: Path, channels: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((100, channels), 0.25, np.float32), 8_000, subtype="FLOAT")
    assert read(tmp_path / "a.wav").samples.shape == (100, channels)


def test_a_container_that_libsndfile_does_not_know_is_read_by_pyav(tmp_path: Path, song: np.ndarray) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "video ü.mka"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="stereo")
        steps = np.round(song * 2**15).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(steps.reshape(1, -1)), format="s16", layout="stereo")
        frame.sample_rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = read(path)
    np.testing.assert_array_equal(audio.samples, (steps / 2**15).astype(np.float32))
    assert audio.sample_rate_hz == RATE_HZ


def test_the_suffix_does_not_decide(tmp_path: Path, song: np.ndarray) -> None:
    write(tmp_path / "a.flac", song, format="flac")
    (tmp_path / "a.flac").rename(tmp_path / "a.mp3")
    assert len(read(tmp_path / "a.mp3").samples) == len(song)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"no audio at all\n" * 40, "not audio"), (bytes(5000), "not audio"), (b"RIFF", "not audio")],
)
def test_what_is_no_audio_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=says) as caught:
        read(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="There is no audio file"):
        read(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="is a folder"):
        read(tmp_path)


def test_a_forbidden_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x")

    def forbidden(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(AudioError, match="permissions"):
        read(path)


def test_a_playlist_cannot_make_it_open_another_file(tmp_path: Path, song: np.ndarray) -> None:
    pytest.importorskip("av")
    write(tmp_path / "secret.m4a", song, format="aac")
    playlist = tmp_path / "a.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nsecret.m4a\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError, match="not audio"):
        read(playlist)


def test_half_a_flac_file_is_not_taken_for_a_song(tmp_path: Path, song: np.ndarray) -> None:
    path = tmp_path / "a.flac"
    write(path, song, format="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="damaged"):
        read(path)


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([[0.0, np.nan]] * 10), 8_000, subtype="FLOAT")
    with pytest.raises(AudioError, match="10 samples that are NaN"):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("format", ["wav", "mp3", "aac"])
def test_limits_say_what_was_seen_and_wanted(tmp_path: Path, format: str) -> None:
    if format == "aac":
        pytest.importorskip("av")
    path = tmp_path / "a.audio"
    write(path, music(4.0), format=format)
    assert read(path, limits=DurationLimits(3.0, 5.0)).duration_s == pytest.approx(4.0, abs=0.1)
    with pytest.raises(AudioError, match=r"4\.0\d s long and at least 10 s"):
        read(path, limits=DurationLimits(min_s=10))
    with pytest.raises(AudioError, match=r"longer than 1\.5 s"):
        read(path, limits=DurationLimits(max_s=1.5))


def test_stereo_of_mono_is_twice_the_same_and_of_more_the_front() -> None:
    mono = np.arange(5, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(to_stereo(mono), np.concatenate([mono, mono], axis=1))
    np.testing.assert_array_equal(to_stereo(mono[:, 0]), to_stereo(mono))
    surround = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(to_stereo(surround), [[0, 1], [6, 7]])


_WITHOUT_AV = """
import sys
sys.modules["av"] = None
from partita.audio.read import read
from partita.audio.write import write
from partita.errors import AudioError
import numpy as np
assert "torch" not in sys.modules, "torch was imported"
x = np.zeros((4800, 2), np.float32)
for format in ("wav", "flac", "mp3", "ogg", "opus"):
    write(f"a.{format}", x, format=format)
    assert len(read(f"a.{format}").samples) == 4800
for work in (lambda: write("a.m4a", x, format="aac"), lambda: read("other.xyz")):
    try:
        work()
    except AudioError as error:
        assert 'pip install "partita[codecs]"' in str(error), error
    else:
        raise SystemExit("no error")
"""


def test_five_formats_need_neither_pyav_nor_torch_and_the_sixth_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "other.xyz").write_bytes(b"something else" * 50)
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_AV],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
