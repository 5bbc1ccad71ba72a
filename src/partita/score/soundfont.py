"""Sound fonts: reads SoundFont 2 files, with samples stored plain (.sf2) or as Ogg Vorbis (.sf3).

Gives, for a program, key and velocity, the zones that sound: a sample with its root, loop, envelope, filter and
loudness. Makes no sound itself. Structures follow the SoundFont 2.04 technical specification (section 7, 8) and, for
compressed samples, the sf3 convention: sample type bit 4 set, start and end as byte offsets of one Ogg stream, loop
points counted from the sample's first frame.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from partita.errors import AudioError

DRUM_BANK = 128

_COMPRESSED = 0x10
# Generator numbers (SoundFont 2.04, 8.1.2).
_START, _END, _LOOP_START, _LOOP_END, _START_COARSE = 0, 1, 2, 3, 4
_FILTER_CENTS, _PAN, _HOLD, _DECAY, _SUSTAIN, _RELEASE, _ATTACK, _DELAY = 8, 17, 35, 36, 37, 38, 34, 33
_INSTRUMENT, _KEY_RANGE, _VELOCITY_RANGE, _LOOP_START_COARSE, _ATTENUATION, _LOOP_END_COARSE = 41, 43, 44, 45, 48, 50
_COARSE_TUNE, _FINE_TUNE, _SAMPLE, _MODES, _SCALE_TUNING, _CLASS, _ROOT = 51, 52, 53, 54, 56, 57, 58
_RANGES = (_KEY_RANGE, _VELOCITY_RANGE)
_DEFAULTS = {
    _FILTER_CENTS: 13500,
    _DELAY: -12000,
    _ATTACK: -12000,
    _HOLD: -12000,
    _DECAY: -12000,
    _RELEASE: -12000,
    _SCALE_TUNING: 100,
    _ROOT: -1,
}
_INSTRUMENT_ONLY = {_MODES, _CLASS, _ROOT, _SAMPLE, _LOOP_START, _LOOP_END, _LOOP_START_COARSE, _LOOP_END_COARSE}

_ATTENUATION_SCALE = 0.4
"""The share of a font's stated attenuation that takes effect, as on the EMU hardware that fonts are voiced against."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One sample as one key plays it. Times in seconds, levels as amplitudes, `pan` -1 (left) .. 1 (right)."""

    sample: int
    semitones: float  # from the sample's own pitch to the key's
    loop: tuple[int, int] | None  # frames of the sample
    gain: float
    pan: float
    attack_s: float
    hold_s: float
    decay_s: float  # time to fall by 100 dB
    sustain: float
    release_s: float  # time to fall by 100 dB
    filter_hz: float
    choke: int  # hits of the same class silence each other; 0 for none


@dataclass(frozen=True, slots=True)
class _Range:
    """A zone of the file: what keys and velocities it takes, its settings, what it points to."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    settings: dict[int, int]
    target: int

    def takes(self, key: int, velocity: int) -> bool:
        return self.keys[0] <= key <= self.keys[1] and self.velocities[0] <= velocity <= self.velocities[1]


class SoundFont:
    """An opened sound font. Samples are decoded when first used and kept. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Read the tables of the font at `path`. Raises `AudioError` where it is not a SoundFont 2 file."""
        self.path = path
        try:
            self._bytes = path.read_bytes()
        except OSError as error:
            raise AudioError(f"The sound font {path} cannot be read: {error}.", path=path) from error
        chunks = _chunks(self._bytes, path)
        self._samples_at = chunks["smpl"][0]
        self._headers = _records(self._bytes, chunks["shdr"], _SAMPLE_HEADER)
        self._presets = _records(self._bytes, chunks["phdr"], _PRESET_HEADER)
        self._tables = {
            name: _records(self._bytes, chunks[name], kind)
            for name, kind in (("pbag", _BAG), ("pgen", _GENERATOR), ("ibag", _BAG), ("igen", _GENERATOR))
        }
        self._instruments = _records(self._bytes, chunks["inst"], _INSTRUMENT_HEADER)
        self._index = {(int(row["bank"]), int(row["program"])): number for number, row in enumerate(self._presets[:-1])}
        self._zones: dict[tuple[int, int, int, int], tuple[Zone, ...]] = {}
        self._ranges: dict[tuple[str, int], tuple[_Range, ...]] = {}
        self._decoded: dict[int, np.ndarray] = {}

    @property
    def presets(self) -> dict[tuple[int, int], str]:
        """Names by `(bank, program)`; drum kits are in bank 128."""
        return {key: _text(self._presets[number]["name"]) for key, number in sorted(self._index.items())}

    def zones(self, bank: int, program: int, key: int, velocity: int) -> tuple[Zone, ...]:
        """The zones that sound for a key struck at a velocity; empty where the preset has nothing there.

        A missing bank or program falls to program 0 of the same kind, as General MIDI players do.
        """
        wanted = (bank, program, key, velocity)
        if wanted not in self._zones:
            number = self._index.get((bank, program))
            if number is None:
                number = self._index.get((DRUM_BANK if bank == DRUM_BANK else 0, 0))
            self._zones[wanted] = () if number is None else tuple(self._find(number, key, velocity))
        return self._zones[wanted]

    def sample(self, number: int) -> np.ndarray:
        """A sample, float32 `[N]`, with three frames of silence after it so that interpolation may look ahead."""
        found = self._decoded.get(number)
        if found is None:
            found = self._decode(number)
            self._decoded[number] = found
        return found

    def sample_rate_hz(self, number: int) -> int:
        """The rate at which a sample was recorded."""
        return int(self._headers[number]["rate"])

    def _find(self, preset: int, key: int, velocity: int) -> list[Zone]:
        zones = []
        for outer in self._ranges_of("p", preset, self._presets):
            if not outer.takes(key, velocity):
                continue
            for inner in self._ranges_of("i", outer.target, self._instruments):
                if inner.takes(key, velocity):
                    zones.append(self._zone(inner, outer.settings, key))
        return zones

    def _ranges_of(self, kind: str, number: int, rows: np.ndarray) -> tuple[_Range, ...]:
        """The zones of a preset (`kind` p) or instrument (i), each with its global zone's settings under its own."""
        found = self._ranges.get((kind, number))
        if found is not None:
            return found
        bags, generators = self._tables[kind + "bag"], self._tables[kind + "gen"]
        target_kind = _INSTRUMENT if kind == "p" else _SAMPLE
        common: dict[int, int] = {}
        ranges = []
        first, last = int(rows[number]["bag"]), int(rows[number + 1]["bag"])
        for bag in range(first, last):
            settings = dict(common)
            for place in range(int(bags[bag]["generator"]), int(bags[bag + 1]["generator"])):
                operator, amount = int(generators[place]["operator"]), int(generators[place]["amount"])
                signed = amount - 65536 if amount >= 32768 and operator not in (*_RANGES, target_kind) else amount
                settings[operator] = signed
            if target_kind not in settings:
                if bag == first:
                    common = settings
                continue
            target = settings.pop(target_kind)
            keys = settings.pop(_KEY_RANGE, 127 << 8)
            velocities = settings.pop(_VELOCITY_RANGE, 127 << 8)
            ranges.append(
                _Range((keys & 255, keys >> 8), (velocities & 255, velocities >> 8), settings, target),
            )
        found = tuple(ranges)
        self._ranges[kind, number] = found
        return found

    def _zone(self, inner: _Range, outer: dict[int, int], key: int) -> Zone:
        header = self._headers[inner.target]

        def value(operator: int) -> int:
            base = inner.settings.get(operator, _DEFAULTS.get(operator, 0))
            return base + (0 if operator in _INSTRUMENT_ONLY else outer.get(operator, 0))

        root = value(_ROOT) if value(_ROOT) >= 0 else int(header["root"])
        semitones = (key - root) * value(_SCALE_TUNING) / 100
        semitones += value(_COARSE_TUNE) + (value(_FINE_TUNE) + int(header["correction"])) / 100
        loop = None
        if value(_MODES) in (1, 3):
            offset = 0 if int(header["kind"]) & _COMPRESSED else int(header["start"])
            begin = int(header["loop_start"]) - offset + value(_LOOP_START) + 32768 * value(_LOOP_START_COARSE)
            stop = int(header["loop_end"]) - offset + value(_LOOP_END) + 32768 * value(_LOOP_END_COARSE)
            loop = (begin, stop) if stop - begin > 8 else None
        return Zone(
            sample=inner.target,
            semitones=semitones,
            loop=loop,
            gain=10 ** (-_ATTENUATION_SCALE * max(0, value(_ATTENUATION)) / 200),
            pan=min(1.0, max(-1.0, value(_PAN) / 500)),
            attack_s=_seconds(value(_ATTACK)),
            hold_s=_seconds(value(_HOLD)),
            decay_s=_seconds(value(_DECAY)),
            sustain=10 ** (-min(1000, max(0, value(_SUSTAIN))) / 200),
            release_s=_seconds(value(_RELEASE)),
            filter_hz=8.176 * 2 ** (min(13500, max(1500, value(_FILTER_CENTS))) / 1200),
            choke=value(_CLASS),
        )

    def _decode(self, number: int) -> np.ndarray:
        header = self._headers[number]
        start, end = int(header["start"]), int(header["end"])
        if int(header["kind"]) & _COMPRESSED:
            stream = io.BytesIO(self._bytes[self._samples_at + start : self._samples_at + end])
            try:
                sound = soundfile.read(stream, dtype="float32")[0]
            except soundfile.LibsndfileError as error:
                raise AudioError(
                    f"Sample {_text(header['name'])!r} of the sound font {self.path} is damaged: {error}. "
                    "Install the package again, or name another font.",
                    path=self.path,
                ) from error
        else:
            first = self._samples_at + 2 * start
            raw = np.frombuffer(self._bytes, "<i2", count=end - start, offset=first)
            sound = raw.astype(np.float32) / np.float32(32768)
        return np.concatenate([sound, np.zeros(3, np.float32)])


@lru_cache(maxsize=2)
def open_font(path: Path | None = None) -> SoundFont:
    """The sound font at `path`, by default the one in the package. Kept open for later calls."""
    return SoundFont(path or Path(__file__).resolve().parent.parent / "data" / "soundfont" / "FluidR3Mono_GM.sf3")


_PRESET_HEADER = np.dtype(
    [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")],
)
_INSTRUMENT_HEADER = np.dtype([("name", "S20"), ("bag", "<u2")])
_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("operator", "<u2"), ("amount", "<u2")])
_SAMPLE_HEADER = np.dtype(
    [
        ("name", "S20"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("loop_start", "<u4"),
        ("loop_end", "<u4"),
        ("rate", "<u4"),
        ("root", "u1"),
        ("correction", "i1"),
        ("link", "<u2"),
        ("kind", "<u2"),
    ]
)


def _seconds(timecents: int) -> float:
    """Timecents to seconds; the lowest values mean none at all."""
    return 0.0 if timecents <= -12000 else 2 ** (min(timecents, 8000) / 1200)


def _text(name: bytes) -> str:
    return bytes(name).split(b"\0")[0].decode("latin-1").strip()


def _records(data: bytes, chunk: tuple[int, int], kind: np.dtype) -> np.ndarray:
    start, size = chunk
    return np.frombuffer(data, kind, count=size // kind.itemsize, offset=start)


def _chunks(data: bytes, path: Path) -> dict[str, tuple[int, int]]:
    """`(offset, size)` of every chunk within the RIFF lists, by its four letters."""
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise AudioError(
            f"{path} is not a SoundFont 2 file: it starts with {data[:12]!r}, not RIFF....sfbk.", path=path
        )
    found: dict[str, tuple[int, int]] = {}
    outer = 12
    while outer + 12 <= len(data):
        if data[outer : outer + 4] != b"LIST" and data[outer + 1 : outer + 5] == b"LIST":
            outer += 1  # RIFF pads lists to even sizes; some writers of sf3 do not
        end = outer + 8 + int.from_bytes(data[outer + 4 : outer + 8], "little")
        inner = outer + 12
        while inner + 8 <= min(end, len(data)):
            size = int.from_bytes(data[inner + 4 : inner + 8], "little")
            found[data[inner : inner + 4].decode("latin-1")] = (inner + 8, size)
            inner += 8 + size + size % 2
        outer = end
    missing = {"smpl", "phdr", "pbag", "pgen", "inst", "ibag", "igen", "shdr"} - set(found)
    if missing:
        raise AudioError(f"The sound font {path} lacks the chunks {sorted(missing)}; it is cut short.", path=path)
    return found
