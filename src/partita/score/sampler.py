"""Plays a score: every note a sample of the sound font, every role in its place in the mix, all in one small room.

`play` gives the mix, `stems` each role alone; stems sum to the mix. The same score gives the same bytes: nothing is
random but the room's noise, whose seed is fixed. Notes are rendered here rather than by symusic's synthesiser, which
(0.4.5 to 0.5.9, with this font) ignores velocities and plays samples whose root is not middle C out of tune. Loudness
is set elsewhere; the mix leaves headroom.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

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

_SHORTEST_RELEASE_S = 0.04
_LONGEST_RELEASE_S = 1.5
_LONGEST_DRUM_S = 3.0
_CHOKE_S = 0.03
_FADE_S = 0.008
"""At the very end: long enough for what still sounds to end without a click, and so short that no hole is heard where
more music is put behind the song."""
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


def play(
    score: Score, *, sample_rate_hz: int = 48000, roles: Iterable[Role] | None = None, font: SoundFont | None = None
) -> np.ndarray:
    """The score as sound, float32 `[N, 2]` within ±1, N = round(`duration_s` × `sample_rate_hz`).

    `roles` keeps only these. `font` is the package's own where not given. Raises `RequestError` for a score without
    length and `AudioError` for a damaged font.
    """
    wanted = None if roles is None else set(roles)
    frames = _frames(score, sample_rate_hz)
    dry = np.zeros((2, frames), np.float32)
    sent = np.zeros((2, frames), np.float32)
    for track in score.tracks:
        if wanted is None or track.role in wanted:
            part = _place(track, frames, sample_rate_hz, font or open_font())
            dry += part
            part *= np.float32(_ROOM_SEND[track.role])
            sent += part
    return _finish(dry, sent, sample_rate_hz)


def stems(score: Score, *, sample_rate_hz: int = 48000, font: SoundFont | None = None) -> dict[Role, np.ndarray]:
    """Each role of the score alone, room included, `[N, 2]`; they sum to `play(score)` but for rounding."""
    return {
        track.role: play(score, sample_rate_hz=sample_rate_hz, roles=[track.role], font=font) for track in score.tracks
    }


def _frames(score: Score, sample_rate_hz: int) -> int:
    frames = round(score.duration_s * sample_rate_hz)
    if frames <= 0:
        raise RequestError(
            f"duration_s {score.duration_s} leaves nothing to play: give the score a length above 0 s.",
            field="duration_s",
            value=score.duration_s,
        )
    return frames


def _finish(dry: np.ndarray, sent: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """The room added, a fade at the very end, channels last."""
    frames = dry.shape[1]
    room = _room(sample_rate_hz)
    size = scipy.fft.next_fast_len(frames + room.shape[1] - 1, real=True)
    spectrum = np.asarray(scipy.fft.rfft(sent, size)) * np.asarray(scipy.fft.rfft(room, size))
    mixed = dry + np.asarray(scipy.fft.irfft(spectrum, size))[:, :frames].astype(np.float32)
    fade = min(frames, round(_FADE_S * sample_rate_hz))
    mixed[:, frames - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return np.ascontiguousarray(mixed.T)


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


def _place(track: Track, frames: int, sample_rate_hz: int, font: SoundFont) -> np.ndarray:
    """A track without the room, panned and balanced, `[2, frames]`."""
    sound = np.zeros((2, frames), np.float32)
    item = instrument(track.role, track.program)
    level = 10 ** ((item.gain_db + _ROLE_GAIN_DB[track.role] + _HEADROOM_DB) / 20)
    groups: dict[Zone, list[_Voice]] = defaultdict(list)
    for voice in _voices(track, frames, sample_rate_hz, font):
        groups[voice.zone].append(voice)
    for zone, voices in groups.items():
        left, right = _pan(min(1.0, max(-1.0, zone.pan + item.pan)))
        _sound_zone(sound, zone, voices, (left * level, right * level), sample_rate_hz, font)
    return sound


def _pan(position: float) -> tuple[float, float]:
    """Gains of left and right of equal power, 1 and 1 in the middle."""
    angle = (position + 1) * np.pi / 4
    return float(np.cos(angle) * np.sqrt(2)), float(np.sin(angle) * np.sqrt(2))


def _voices(track: Track, frames: int, sample_rate_hz: int, font: SoundFont) -> list[_Voice]:
    """Every zone that every note sounds, drums held to the end of their sample or until another hit chokes them."""
    voices: list[_Voice] = []
    last_of_class: dict[int, int] = {}
    for note in track.notes:
        start = round(note.start_s * sample_rate_hz)
        if start >= frames:
            continue
        hold = max(1, round((_LONGEST_DRUM_S if track.is_drums else note.duration_s) * sample_rate_hz))
        bank, key = (DRUM_BANK, _drum_key(track, note)) if track.is_drums else (0, note.pitch)
        gain = (note.velocity / 127) ** _VELOCITY_POWER
        for zone in font.zones(bank, track.program, key, _layer(note.velocity)):
            if track.is_drums and zone.choke:
                earlier = last_of_class.get(zone.choke)
                if earlier is not None and voices[earlier].start < start:
                    voices[earlier] = _Voice(*_fields(voices[earlier])[:4], cut=start)
                last_of_class[zone.choke] = len(voices)
            voices.append(_Voice(zone, start, hold, gain * zone.gain, None))
    return voices


def _fields(voice: _Voice) -> tuple[Zone, int, int, float, int | None]:
    return voice.zone, voice.start, voice.hold, voice.gain, voice.cut


def _layer(velocity: int) -> int:
    return min(_VELOCITY_LAYERS, key=lambda layer: abs(layer - velocity))


def _drum_key(track: Track, note: Note) -> int:
    return note.pitch if track.program in _ELECTRONIC_KITS else _RIM.get(note.pitch, note.pitch)


def _sound_zone(
    sound: np.ndarray,
    zone: Zone,
    voices: Sequence[_Voice],
    gains: tuple[float, float],
    sample_rate_hz: int,
    font: SoundFont,
) -> None:
    """Add all notes of one zone to `sound`. The zone's wave is made once, as long as the longest note needs."""
    release = _release_frames(zone, sample_rate_hz)
    longest = max(voice.hold for voice in voices) + release
    wave = _wave(zone, longest, sample_rate_hz, font)
    held = _held_envelope(zone, len(wave), sample_rate_hz)
    body = wave * held
    falling = _release_curve(zone, release, sample_rate_hz)
    frames = sound.shape[1]
    for voice in voices:
        hold = min(voice.hold, len(body))
        end = min(hold + release, len(body), frames - voice.start)
        note = body[:end] * np.float32(voice.gain)
        if end > hold:
            # Let go: from the level reached, whatever the envelope would have done.
            note[hold:] = wave[hold:end] * (held[hold - 1] * np.float32(voice.gain)) * falling[: end - hold]
        if voice.cut is not None and voice.cut - voice.start < end:
            place = voice.cut - voice.start
            fade = min(round(_CHOKE_S * sample_rate_hz), end - place)
            note[place : place + fade] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
            note, end = note[: place + fade], place + fade
        sound[0, voice.start : voice.start + end] += note * np.float32(gains[0])
        sound[1, voice.start : voice.start + end] += note * np.float32(gains[1])


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
