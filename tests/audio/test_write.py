from __future__ import annotations

import errno
import io
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from partita.audio.encode import quantise
from partita.audio.formats import BITRATES_KBPS, SUFFIX
from partita.audio.read import read
from partita.audio.samples import samples_sha256
from partita.audio.write import write
from partita.errors import AudioError
from tests.audio.conftest import RATE_HZ, music

LOSSY = tuple(BITRATES_KBPS)
TAGS = {"title": "Ünï", "PARTITA_RECORD": '{"seed": 7}'}


@pytest.fixture(autouse=True)
def _aac_needs_pyav(request: pytest.FixtureRequest) -> None:
    if "aac" in request.node.name:
        pytest.importorskip("av")


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("format", "bits", "bound"),
    [("wav", 16, 2**-16), ("wav", 24, 2**-24), ("wav", 32, 0.0), ("flac", 16, 2**-16), ("flac", 24, 2**-24)],
)
def test_lossless_is_as_exact_as_its_bits(
    tmp_path: Path, song: np.ndarray, format: str, bits: int, bound: float
) -> None:
    done = write(tmp_path / "a", song, format=format, bit_depth=bits, tags=TAGS)
    audio = read(tmp_path / "a")
    assert audio.samples.shape == song.shape
    assert audio.sample_rate_hz == RATE_HZ
    assert np.abs(audio.samples.astype(np.float64) - song).max() <= bound
    assert (done.frames, done.clipped) == (len(song), 0)


@pytest.mark.parametrize("format", LOSSY)
def test_lossy_comes_back_in_place_and_near_enough(tmp_path: Path, song: np.ndarray, format: str) -> None:
    path = tmp_path / f"ein Lied 歌 🎵{SUFFIX[format]}"
    write(path, song, format=format, tags=TAGS)
    back = read(path).samples
    assert abs(len(back) - len(song)) <= (1024 if format == "aac" else 0)
    common = min(len(back), len(song))
    error = back[:common] - song[:common]
    assert np.sqrt(np.mean(error**2) / np.mean(song**2)) < 0.35


@pytest.mark.parametrize(
    ("format", "kbps"),
    [
        *(("mp3", kbps) for kbps in (64, 192, 320)),
        *(("ogg", kbps) for kbps in (96, 192, 320)),
        *(("opus", kbps) for kbps in (48, 160, 320)),
        *(("aac", kbps) for kbps in (64, 192, 320)),
    ],
)
def test_the_bit_rate_is_what_was_asked_for(tmp_path: Path, song: np.ndarray, format: str, kbps: int) -> None:
    done = write(tmp_path / "a", song, format=format, bitrate_kbps=kbps)
    assert (tmp_path / "a").stat().st_size * 8 / 6.0 / 1000 == pytest.approx(kbps, rel=0.15)
    assert done.kbps == pytest.approx(kbps, rel=0.15)
    assert done.size_bytes == (tmp_path / "a").stat().st_size


@pytest.mark.parametrize("format", [format for format in SUFFIX if format != "aac"])
@pytest.mark.parametrize("channels", [1, 2])
def test_odd_lengths_and_mono(tmp_path: Path, format: str, channels: int) -> None:
    for frames in (1, 961, 4_801):
        write(tmp_path / "a", music(0.2)[:frames, :channels], format=format, tags=TAGS)
        assert read(tmp_path / "a").samples.shape == (frames, channels)


def test_a_flat_array_is_mono(tmp_path: Path) -> None:
    write(tmp_path / "a", np.zeros(10, np.float32), format="wav")
    assert read(tmp_path / "a").samples.shape == (10, 1)


@pytest.mark.parametrize("seconds", [0.03, 0.5])
def test_a_very_short_aac_can_be_written(tmp_path: Path, seconds: float) -> None:
    write(tmp_path / "a", music(seconds)[:, :1], format="aac")
    assert len(read(tmp_path / "a").samples) >= seconds * RATE_HZ


@pytest.mark.parametrize(
    ("format", "bits"),
    [("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24), ("ogg", None), ("opus", None), ("aac", None)],
)
def test_the_same_song_is_the_same_bytes_at_another_time(
    tmp_path: Path, song: np.ndarray, format: str, bits: int | None
) -> None:
    second = int(time.time())
    write(tmp_path / "a", song, format=format, bit_depth=bits, tags=TAGS)
    while int(time.time()) == second:
        time.sleep(0.02)
    write(tmp_path / "b", song, format=format, bit_depth=bits, tags=dict(reversed(TAGS.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_is_too_loud_is_clipped_and_counted_and_never_wraps(tmp_path: Path) -> None:
    samples = np.array([[1.5, -1.5], [1.0, -1.0], [0.5, 3.0]], np.float32)
    for bits in (16, 24):
        done = write(tmp_path / "a.wav", samples, format="wav", bit_depth=bits)
        top = 1 - 2.0 ** (1 - bits)
        np.testing.assert_array_equal(read(tmp_path / "a.wav").samples, np.float32([[top, -1], [top, -1], [0.5, top]]))
        assert done.clipped == 3
    assert write(tmp_path / "a.wav", samples, format="wav", bit_depth=32).clipped == 0
    np.testing.assert_array_equal(read(tmp_path / "a.wav").samples, samples)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, (64, 2), elements=st.floats(-2, 2, width=32)), st.sampled_from([16, 24]))
def test_rounding_is_to_the_nearest_step(samples: np.ndarray, bits: int) -> None:
    steps = quantise(samples, bits).astype(np.float64)
    exact = np.clip(samples.astype(np.float64) * 2 ** (bits - 1), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    assert np.abs(steps - exact).max() <= 0.5


def test_dither_is_off_unless_seeded_and_is_the_same_for_the_same_seed() -> None:
    quiet = np.full((200_000, 1), 0.3 / 2**15, np.float32)
    assert not quantise(quiet, 16).any()
    dithered = quantise(quiet, 16, dither_seed=5)
    assert dithered.mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(dithered, quantise(quiet, 16, dither_seed=5))
    assert (dithered != quantise(quiet, 16, dither_seed=6)).any()


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"format": "midi"}, "no format 'midi'"),
        ({"format": "flac", "bit_depth": 32}, "choose 16 or 24"),
        ({"format": "mp3", "bit_depth": 16}, "takes bitrate_kbps"),
        ({"format": "wav", "bitrate_kbps": 128}, "lossless"),
        ({"format": "mp3", "bitrate_kbps": 400}, "choose 32 to 320"),
        ({"format": "mp3", "dither_seed": 1}, "Dither"),
        ({"format": "opus", "sample_rate_hz": 44_100}, "resample to 24000 or 48000 first"),
        ({"format": "wav", "tags": {"a=b": "x"}}, "cannot be named"),
        ({"format": "wav", "tags": {"a": "x\x00y"}}, "null character"),
        ({"format": "wav", "tags": {"Key": "x", "key": "y"}}, "given twice"),
    ],
)
def test_what_a_format_cannot_do_is_refused_before_anything_is_written(
    tmp_path: Path, settings_: dict, says: str
) -> None:
    with pytest.raises(AudioError, match=says):
        write(tmp_path / "a", np.zeros((10, 2), np.float32), **settings_)
    assert _left(tmp_path) == []


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((0, 2), np.float32), "no audio"),
        (np.zeros((2, 100), np.float32), r"must be \[N, C\]"),
        (np.zeros((4, 2), np.int16), "full scale"),
        (np.full((4, 2), np.inf, np.float32), "8 samples"),
    ],
)
def test_arrays_that_are_no_stereo_audio_are_refused(tmp_path: Path, samples: np.ndarray, says: str) -> None:
    with pytest.raises(AudioError, match=says):
        write(tmp_path / "a", samples, format="wav")


def test_a_missing_folder_and_a_folder_in_the_way_are_named(tmp_path: Path, song: np.ndarray) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        write(tmp_path / "nowhere" / "a.wav", song, format="wav")
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(AudioError, match="is a folder"):
        write(tmp_path / "a.wav", song, format="wav")
    assert _left(tmp_path) == ["a.wav"]


class _FailingFile(io.FileIO):
    """A file on a disk that takes 1000 bytes."""

    failure: BaseException = OSError(errno.ENOSPC, "No space left on device")

    def write(self, data: object) -> int:
        super().write(memoryview(data)[:1000])  # type: ignore[arg-type]
        raise self.failure


@pytest.mark.parametrize(
    ("failure", "expected", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), AudioError, "disk is full"),
        (OSError(errno.EIO, "Input/output error"), AudioError, "Input/output error"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_half_a_file_is_never_left_and_the_old_one_stays(
    tmp_path: Path,
    song: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    expected: type[BaseException],
    says: str | None,
) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(b"the old song")
    real_open = Path.open

    def failing_open(self: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if "w" not in mode:
            return real_open(self, mode)
        assert self.name == ".a.flac.part"
        file = _FailingFile(self, "w")
        file.failure = failure
        return file

    monkeypatch.setattr(Path, "open", failing_open)
    with pytest.raises(expected, match=says):
        write(path, song, format="flac")
    assert _left(tmp_path) == ["a.flac"]
    assert path.read_bytes() == b"the old song"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_is_really_full(tmp_path: Path, song: np.ndarray) -> None:
    (tmp_path / ".a.wav.part").symlink_to("/dev/full")
    with pytest.raises(AudioError, match="disk is full"):
        write(tmp_path / "a.wav", song, format="wav")
    assert _left(tmp_path) == []


def test_a_folder_that_does_not_allow_it(tmp_path: Path, song: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(AudioError, match=f"{tmp_path} does not allow it"):
        write(tmp_path / "a.wav", song, format="wav")


@pytest.mark.skipif(os.name != "posix" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write")
def test_a_folder_without_write_permission(tmp_path: Path, song: np.ndarray) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(AudioError, match="does not allow it"):
        write(tmp_path / "a.wav", song, format="wav")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")
def test_an_interrupt_while_encoding_leaves_nothing(tmp_path: Path) -> None:
    samples = np.tile(music(12.0), (8, 1))  # long enough that the signal comes in the middle
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell starts us with it ignored
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "a.mp3", samples, format="mp3")
    finally:
        signal.signal(signal.SIGINT, before)
    assert _left(tmp_path) == []


def test_a_long_name_still_gets_its_partial_file(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".wav")
    write(path, np.zeros((10, 2), np.float32), format="wav")
    assert _left(tmp_path) == [path.name]


def test_the_hash_is_of_the_raw_float_samples(song: np.ndarray) -> None:
    import hashlib

    assert samples_sha256(song) == hashlib.sha256(song.astype("<f4").tobytes()).hexdigest()
    assert samples_sha256(np.asfortranarray(song)) == samples_sha256(song)
    assert samples_sha256(song[::-1]) != samples_sha256(song)
