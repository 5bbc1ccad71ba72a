"""Plays a score: every note a sample of the sound font, every role in its place in the mix, all in one small room.

`play` gives the mix, `stems` each role alone; stems sum to the mix. `Player` is the same in blocks, for a score that is
still being written. The same score gives the same bytes: nothing is random but the room's noise, whose seed is fixed.
Notes are rendered here rather than by symusic's synthesiser, which (0.4.5 to 0.5.9, with this font) ignores velocities
and plays samples whose root is not middle C out of tune. Loudness is set elsewhere; the mix leaves headroom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import scipy.fft
import scipy.signal

from partita.errors import RequestError
from partita.score.instruments import instrument
from partita.score.soundfont import DRUM_BANK, SoundFont, Zone, open_font
from partita.score.types import Note, Role, Score, Track

_VELOCITY_POWER = 1.7
"""Amplitude is (velocity / 127) to this power; the General MIDI recommendation is 2, softened for even mixes."""

_ROLE_GAIN_DB: dict[Role, float] = {"drums": 0.0, "bass": -1.5, "chords": -2.5, "pad": -1.5, "arp": -1.5, "lead": 0.0}
_ROOM_SEND: dict[Role, float] = {"drums": 0.10, "bass": 0.03, "chords": 0.20, "pad": 0.28, "arp": 0.28, "lead": 0.24}
_HEADROOM_DB = -9.0


@dataclass(frozen=True, slots=True)
class _Balance:
    """A style's mix beside the usual one: decibels by role, and how much of the room is heard, as a factor."""

    gain_db: Mapping[Role, float]
    room: float = 1.0


_DANCE = _Balance(MappingProxyType({"drums": 1.0, "bass": 1.0, "pad": -1.0}), 0.75)
_GROOVE = _Balance(MappingProxyType({"bass": 1.5, "drums": 0.5}), 0.65)
_LOUD = _Balance(MappingProxyType({"drums": 1.0, "chords": 1.0, "pad": -1.0}), 0.8)
_SMALL_BAND = _Balance(MappingProxyType({"drums": -2.0, "bass": 0.5, "lead": 0.5}), 0.9)
_HALL = _Balance(MappingProxyType({"drums": -1.5, "pad": 1.0}), 1.5)
_BALANCES: Mapping[str, _Balance] = MappingProxyType(
    {
        **dict.fromkeys(("house", "techno", "disco", "synthwave"), _DANCE),
        **dict.fromkeys(("hip hop", "reggae", "funk", "lofi"), _GROOVE),
        **dict.fromkeys(("rock", "metal"), _LOUD),
        **dict.fromkeys(("jazz", "bossa nova", "folk", "country"), _SMALL_BAND),
        **dict.fromkeys(("classical", "waltz", "ambient", "cinematic", "ballad"), _HALL),
        "chiptune": _Balance(MappingProxyType({}), 0.3),
    }
)
_USUAL = _Balance(MappingProxyType({}))

_SHORTEST_RELEASE_S = 0.04
_LONGEST_RELEASE_S = 1.5
_LONGEST_DRUM_S = 3.0
_CHOKE_S = 0.03
_FADE_S = 0.008
"""At the very end of a song that is played to its end: long enough for what still sounds to end without a click, and so
short that no hole is heard where more music is put behind it."""
LONGEST_TAIL_S = 4.0
"""Behind its last note a song dies away to its end; where more time is left, in the last of it."""
_LOWEST_HZ = 20.0
"""What is below cannot be heard. Some looped samples of the font are off the zero line by half of their level."""
_BLOCK_S = 2.5  # longer than the room's response
_WAVE_GRAIN = 16384  # frames; waves are made in whole numbers of these
_VELOCITY_LAYERS = (32, 64, 84, 100, 112, 127)
"""Velocities the font is asked for; a note takes the nearest, so that a sound is made once and used again."""

_ELECTRONIC_KITS = (24, 25)
_RIM = {39: 37}
"""The clap's key is a side stick in kits that stand for acoustic drums."""


@dataclass(frozen=True, slots=True)
class _Voice:
    """A note as it is to sound: which zone, when (frames), held how long, how loud."""

    zone: Zone
    start: int
    hold: int
    gain: float
    cut: int | None  # frame at which another hit silences it


class Player:
    """Plays a score in blocks, `frames` samples in all, also while the score is being written.

    What comes out does not depend on when it is asked for. Keeps the waves that it made of the font's samples.
    """

    def __init__(
        self,
        frames: int,
        *,
        sample_rate_hz: int = 48000,
        roles: Iterable[Role] | None = None,
        style: str | None = None,
        font: SoundFont | None = None,
    ) -> None:
        self._frames, self._rate = frames, sample_rate_hz
        self._roles = None if roles is None else frozenset(roles)
        self._balance = _BALANCES.get(style, _USUAL) if style is not None else _USUAL
        self._font = font or open_font()
        self._sounds: dict[Zone, _Sound] = {}
        self._at = 0
        self._block = round(_BLOCK_S * sample_rate_hz)
        self._room_rings = np.zeros((2, _room(sample_rate_hz).shape[1] - 1), np.float32)
        self._high_pass = np.asarray(scipy.signal.butter(2, _LOWEST_HZ, "high", fs=sample_rate_hz, output="sos"))
        self._filter_state = np.zeros((1, 2, 2))  # of one section, for each side

    def until(self, score: Score, settled_s: float) -> np.ndarray:
        """The samples `[n, 2]`, float32 within ±1, from where the last call ended to `settled_s`, in whole blocks.

        No note of `score` that begins before `settled_s` may change afterwards, and none may come before it. The last
        seconds, in which the song may die away, wait for `rest`.
        """
        last = self._frames - round(LONGEST_TAIL_S * self._rate)
        blocks: list[np.ndarray] = []
        while self._at + self._block <= min(last, int(settled_s * self._rate)):
            blocks.append(self._next(score))
        return _joined(blocks)

    def rest(self, score: Score) -> np.ndarray:
        """The remaining samples `[n, 2]` of the finished score."""
        fade_at = self._fade_at(score)
        blocks: list[np.ndarray] = []
        while self._at < self._frames:
            first = self._at
            block = self._next(score)
            place = np.arange(first, self._at) - fade_at
            share = np.clip(place / max(1, self._frames - 1 - fade_at), 0.0, 1.0)
            blocks.append(block * (0.5 + 0.5 * np.cos(np.pi * share)).astype(np.float32)[:, None])
        return _joined(blocks)

    def _fade_at(self, score: Score) -> int:
        """From which frame on the song dies away: its last release, but within its last seconds."""
        released_s = max((n.start_s + n.duration_s for t in score.tracks for n in t.notes), default=0.0)
        latest = self._frames - min(self._frames, round(_FADE_S * self._rate))
        return min(latest, max(round(released_s * self._rate), self._frames - round(LONGEST_TAIL_S * self._rate), 0))

    def _next(self, score: Score) -> np.ndarray:
        """The next block, `[n, 2]`."""
        first, stop = self._at, min(self._at + self._block, self._frames)
        dry = np.zeros((2, self._block), np.float32)
        sent = np.zeros((2, self._block), np.float32)
        for track in score.tracks:
            if self._roles is None or track.role in self._roles:
                part = self._part(track, first, stop)
                dry += part
                part *= np.float32(_ROOM_SEND[track.role] * self._balance.room)
                sent += part
        room = _room(self._rate)
        size = scipy.fft.next_fast_len(self._block + room.shape[1] - 1, real=True)
        spectrum = np.asarray(scipy.fft.rfft(sent, size)) * _room_spectrum(self._rate, size)
        wet = np.asarray(scipy.fft.irfft(spectrum, size)).astype(np.float32)
        dry += wet[:, : self._block]
        rings = self._room_rings
        dry[:, : rings.shape[1]] += rings
        self._room_rings = wet[:, self._block : self._block + rings.shape[1]].copy()
        heard, self._filter_state = scipy.signal.sosfilt(
            self._high_pass, dry.astype(np.float64), axis=1, zi=self._filter_state
        )
        self._at = stop
        return np.ascontiguousarray(heard[:, : stop - first].T.astype(np.float32))

    def _part(self, track: Track, first: int, stop: int) -> np.ndarray:
        """The block from `first` on of a track without the room, panned and balanced, `[2, block]`."""
        part = np.zeros((2, self._block), np.float32)
        item = instrument(track.role, track.program)
        gain_db = item.gain_db + _ROLE_GAIN_DB[track.role] + self._balance.gain_db.get(track.role, 0.0) + _HEADROOM_DB
        level = 10 ** (gain_db / 20)
        for voice in _voices(track, first, stop, self._rate, self._font):
            sound = self._sound(voice.zone, voice.hold)
            begin = max(first, voice.start)
            note = sound.note(voice, begin - voice.start, stop - voice.start, round(_CHOKE_S * self._rate))
            place = slice(begin - first, begin - first + len(note))
            for side, gain in enumerate(_pan(min(1.0, max(-1.0, voice.zone.pan + item.pan)))):
                part[side, place] += note * np.float32(gain * level)
        return part

    def _sound(self, zone: Zone, hold: int) -> _Sound:
        """How a zone sounds, for at least as long as a note that is held for `hold` frames."""
        found = self._sounds.get(zone)
        if found is None or not found.lasts(hold):
            found = _sound_of(zone, hold, self._rate, self._font)
            self._sounds[zone] = found
        return found


def play(
    score: Score,
    *,
    sample_rate_hz: int = 48000,
    roles: Iterable[Role] | None = None,
    style: str | None = None,
    font: SoundFont | None = None,
) -> np.ndarray:
    """The score as sound, float32 `[N, 2]` within ±1, N = round(`duration_s` × `sample_rate_hz`).

    `roles` keeps only these, `style` (one of `partita.score.styles`) balances them. `font` is the package's own where
    not given. Raises `RequestError` for a score without length and `AudioError` for a damaged font.
    """
    frames = _frames(score, sample_rate_hz)
    return Player(frames, sample_rate_hz=sample_rate_hz, roles=roles, style=style, font=font).rest(score)


def stems(
    score: Score, *, sample_rate_hz: int = 48000, style: str | None = None, font: SoundFont | None = None
) -> dict[Role, np.ndarray]:
    """Each role of the score alone, room included, `[N, 2]`; they sum to `play(score)` but for rounding."""
    return {
        track.role: play(score, sample_rate_hz=sample_rate_hz, roles=[track.role], style=style, font=font)
        for track in score.tracks
    }


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(blocks) if blocks else np.zeros((0, 2), np.float32)


def _frames(score: Score, sample_rate_hz: int) -> int:
    frames = round(score.duration_s * sample_rate_hz)
    if frames <= 0:
        raise RequestError(
            f"duration_s {score.duration_s} leaves nothing to play: give the score a length above 0 s.",
            field="duration_s",
            value=score.duration_s,
        )
    return frames


@lru_cache(maxsize=4)
def _room(sample_rate_hz: int) -> np.ndarray:
    """Impulse response of a small room, `[2, N]`: after 12 ms a noise that dies by 60 dB in 0.9 s, the highs sooner."""
    rng = np.random.Generator(np.random.Philox(1791))
    seconds = np.arange(round(1.1 * sample_rate_hz)) / sample_rate_hz
    noise = rng.standard_normal((2, len(seconds)))
    # Below 200 Hz a room makes mud; above 5 kHz walls swallow what reaches them.
    bands = ((200.0, 1200.0, 0.95), (1200.0, 5000.0, 0.75), (5000.0, 11000.0, 0.4))
    tail = np.zeros_like(noise)
    for low, high, reverberation_s in bands:
        sections = scipy.signal.butter(
            2, (low, min(high, 0.45 * sample_rate_hz)), "band", fs=sample_rate_hz, output="sos"
        )
        tail += scipy.signal.sosfilt(sections, noise, axis=1) * 10 ** (-3 * seconds / reverberation_s)
    tail *= np.minimum(1.0, seconds / 0.006)
    tail /= np.sqrt(np.sum(tail**2, axis=1, keepdims=True))
    delay = np.zeros((2, round(0.012 * sample_rate_hz)))
    return np.concatenate([delay, tail], axis=1).astype(np.float32)


@lru_cache(maxsize=4)
def _room_spectrum(sample_rate_hz: int, size: int) -> np.ndarray:
    return np.asarray(scipy.fft.rfft(_room(sample_rate_hz), size))


def _pan(position: float) -> tuple[float, float]:
    """Gains of left and right of equal power, 1 and 1 in the middle."""
    angle = (position + 1) * np.pi / 4
    return float(np.cos(angle) * np.sqrt(2)), float(np.sin(angle) * np.sqrt(2))


def _voices(track: Track, first: int, stop: int, sample_rate_hz: int, font: SoundFont) -> list[_Voice]:
    """Every zone of the notes that may sound in the frames `[first, stop)`, in their order, drums held to the end of
    their sample or until another hit chokes them."""
    voices: list[_Voice] = []
    last_of_class: dict[int, int] = {}
    for note in track.notes:
        start = round(note.start_s * sample_rate_hz)
        held_s = _LONGEST_DRUM_S if track.is_drums else note.duration_s
        if start >= stop or start + (held_s + _LONGEST_RELEASE_S) * sample_rate_hz < first:
            continue
        hold = max(1, round(held_s * sample_rate_hz))
        bank, key = (DRUM_BANK, _drum_key(track, note)) if track.is_drums else (0, note.pitch)
        gain = (note.velocity / 127) ** _VELOCITY_POWER
        for zone in font.zones(bank, track.program, key, _layer(note.velocity)):
            if track.is_drums and zone.choke:
                earlier = last_of_class.get(zone.choke)
                if earlier is not None and voices[earlier].start < start:
                    voices[earlier] = replace(voices[earlier], cut=start)
                last_of_class[zone.choke] = len(voices)
            voices.append(_Voice(zone, start, hold, gain * zone.gain, None))
    return voices


def _layer(velocity: int) -> int:
    return min(_VELOCITY_LAYERS, key=lambda layer: abs(layer - velocity))


def _drum_key(track: Track, note: Note) -> int:
    return note.pitch if track.program in _ELECTRONIC_KITS else _RIM.get(note.pitch, note.pitch)


@dataclass(frozen=True, slots=True, eq=False)
class _Sound:
    """A zone as it sounds: `wave` `[n]` at its pitch, `held` the envelope while the key is down, `body` the product,
    `falling` the fall of the level afterwards. `ends`: the sample is over by then."""

    wave: np.ndarray
    held: np.ndarray
    body: np.ndarray
    falling: np.ndarray
    ends: bool

    def lasts(self, hold: int) -> bool:
        return self.ends or len(self.wave) >= hold + len(self.falling)

    def note(self, voice: _Voice, first: int, stop: int, choke: int) -> np.ndarray:
        """What of a note lies in its own frames `[first, stop)`; less where it is over before."""
        hold = min(voice.hold, len(self.body))
        end = min(hold + len(self.falling), len(self.body), stop)
        cut = None if voice.cut is None or voice.cut - voice.start >= end else voice.cut - voice.start
        if cut is not None:
            end = min(end, cut + choke)
        if end <= first:
            return np.zeros(0, np.float32)
        note = self.body[first:end] * np.float32(voice.gain)
        let_go = max(first, hold)
        if end > let_go:
            # From the level reached, whatever the envelope would have done.
            level = self.held[hold - 1] * np.float32(voice.gain)
            note[let_go - first :] = self.wave[let_go:end] * level * self.falling[let_go - hold : end - hold]
        if cut is not None:
            place = np.arange(max(first, cut), end)
            note[place - first] *= np.float32(1.0) - (place - cut).astype(np.float32) / np.float32(choke)
        return note


def _sound_of(zone: Zone, hold: int, sample_rate_hz: int, font: SoundFont) -> _Sound:
    """A zone's sound for a note held for `hold` frames or longer. A longer one begins with the same numbers."""
    release = _release_frames(zone, sample_rate_hz)
    asked = -(-(hold + release) // _WAVE_GRAIN) * _WAVE_GRAIN
    wave = _wave(zone, asked, sample_rate_hz, font)
    held = _held_envelope(zone, asked, sample_rate_hz)[: len(wave)]
    return _Sound(wave, held, wave * held, _release_curve(zone, release, sample_rate_hz), len(wave) < asked)


def _release_frames(zone: Zone, sample_rate_hz: int) -> int:
    # A release of `release_s` falls by 100 dB; after two thirds of it nothing is left to hear.
    seconds = min(_LONGEST_RELEASE_S, max(_SHORTEST_RELEASE_S, zone.release_s * 0.66))
    return round(seconds * sample_rate_hz)


def _release_curve(zone: Zone, frames: int, sample_rate_hz: int) -> np.ndarray:
    """Fall of the level after the key is let go: 100 dB in `release_s`, and to nothing by the last frame."""
    seconds = np.arange(frames, dtype=np.float32) / np.float32(sample_rate_hz)
    fall = np.power(10.0, -5.0 * seconds / max(zone.release_s, _SHORTEST_RELEASE_S))
    return (fall * (1.0 - np.arange(frames) / frames)).astype(np.float32)


def _held_envelope(zone: Zone, frames: int, sample_rate_hz: int) -> np.ndarray:
    """Attack (straight), hold, decay (straight in dB, 100 dB in `decay_s`) to the sustain level."""
    envelope = np.ones(frames, np.float32)
    attack = min(frames, round(max(zone.attack_s, 0.001) * sample_rate_hz))
    peak = attack + round(zone.hold_s * sample_rate_hz)
    if zone.sustain < 1.0 and peak < frames:
        seconds = np.arange(frames - peak, dtype=np.float32) / np.float32(sample_rate_hz)
        decay = np.power(10.0, -5.0 * seconds / max(zone.decay_s, 0.01))
        envelope[peak:] = np.maximum(decay, max(zone.sustain, 1e-5)).astype(np.float32)
    envelope[:attack] *= np.arange(attack, dtype=np.float32) / np.float32(max(1, attack))
    return envelope


def _wave(zone: Zone, frames: int, sample_rate_hz: int, font: SoundFont) -> np.ndarray:
    """The zone's sample at its pitch, looped where it loops, at most `frames` long, float32.

    Four-point Hermite interpolation, then the zone's low-pass filter.
    """
    sample = font.sample(zone.sample)
    rate = font.sample_rate_hz(zone.sample) / sample_rate_hz * 2 ** (zone.semitones / 12)
    last = len(sample) - 4
    if zone.loop is None:
        frames = min(frames, int(last / rate) + 1)
    position = np.arange(frames) * rate
    if zone.loop is not None:
        begin, stop = zone.loop
        stop = min(stop, last)
        over = position >= stop
        position[over] = begin + np.mod(position[over] - begin, stop - begin)
    whole = position.astype(np.int64)
    part = (position - whole).astype(np.float32)
    before = sample[np.maximum(whole - 1, 0)]
    here, after, later = sample[whole], sample[whole + 1], sample[whole + 2]
    slope_here, slope_after = 0.5 * (after - before), 0.5 * (later - here)
    rise = here - after
    wave = ((2 * rise + slope_here + slope_after) * part - 3 * rise - 2 * slope_here - slope_after) * part
    wave = ((wave + slope_here) * part + here).astype(np.float32)
    if zone.filter_hz < 0.4 * sample_rate_hz:
        sections = np.asarray(scipy.signal.butter(2, zone.filter_hz, fs=sample_rate_hz, output="sos"), np.float32)
        wave = np.asarray(scipy.signal.sosfilt(sections, wave), np.float32)
    return wave
