"""Score latents: a score as 64 channels at 25 Hz, and back. Exact, deterministic, no weights.

Pitches are stored relative to the tonic of the key, so that a model sees every key alike; the decoder adds it back.
A note's time is its frame (40 ms) plus an offset within the frame; its pitch is held for as long as it sounds, and the
decoder averages over that span, so that noise on single frames does little. Nothing here knows of networks or of
sound. `LAYOUT` names the channels; the last twelve are `grid.lay_grid`'s.

What the latents can hold: six roles; bass, arp and lead play one note at a time, with onsets at least 80 ms apart;
chords and pad share the pitch classes of the current harmony, each in close position above its own lowest note; ten
kinds of drum; one offset within the frame each for drums, for bass with chords and pad, and for lead with arp. Lengths
of drum notes, programs and exact velocities are not kept (velocity comes back to within a unit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from partita.errors import RequestError
from partita.score.grid import FRAME_RATE_HZ, GRID_CHANNELS, RELEASE_S, frame_count, lay_grid
from partita.score.keys import parse_key
from partita.score.types import ROLES, Grid, Note, Role, Score, Section, Track

CHANNELS = 64
MUSIC_CHANNELS = 52

DRUM_PITCHES: tuple[int, ...] = (36, 38, 39, 42, 46, 45, 50, 49, 51, 54)
"""Kick, snare, clap, closed hat, open hat, low tom, high tom, crash, ride, shaker (General MIDI keys)."""
DRUM_NOTE_S = 0.12
SHORTEST_NOTE_S = 0.02

MONO_ROLES: tuple[Role, ...] = ("bass", "arp", "lead")
CHORD_ROLES: tuple[Role, ...] = ("chords", "pad")

# Channel values. An onset is a lone frame among many, so its step is large enough to weigh as much as held channels.
ONSET_OFF = -0.5
ONSET_THRESHOLD = 0.55
ONSET_SOFTEST, ONSET_LOUDEST = 1.0, 3.0  # velocity 0 and 127
CHROMA_OFF, CHROMA_THRESHOLD, CHROMA_ON = -0.6, 0.4, 1.4
PITCH_RADIUS = 1.5  # of the circles of pitch classes
HEIGHT_PER_OCTAVE = 1.5  # of single notes: the pitch class is known, so only the octave must survive noise
REGISTER_PER_OCTAVE = 3.0  # of chords: says which tone of the chord is lowest, three to five to the octave

_CENTRE: Mapping[Role, int] = MappingProxyType({"bass": 40, "arp": 70, "lead": 72, "chords": 57, "pad": 55})
"""MIDI pitch at which height or register is zero: about the middle of what the role plays."""
OFFSET_GROUPS: tuple[tuple[Role, ...], ...] = (("drums",), ("bass", "chords", "pad"), ("lead", "arp"))
_OFFSET_GROUP: Mapping[Role, int] = MappingProxyType({r: g for g, roles in enumerate(OFFSET_GROUPS) for r in roles})


@dataclass(frozen=True, slots=True)
class Layout:
    """Which channels hold what, as half-open ranges."""

    drums: slice
    mono: Mapping[Role, slice]  # onset, gate, semitone circle (cos, sin), circle of fifths (cos, sin), height
    chroma: slice  # twelve pitch classes above the tonic
    chords: Mapping[Role, slice]  # onset, gate, register
    offsets: slice
    grid: slice

    def of_role(self, role: Role) -> tuple[int, ...]:
        """The channels that belong to `role` alone (chords and pad share the chroma, which is in neither)."""
        span = {"drums": self.drums, **self.mono, **self.chords}[role]
        return tuple(range(span.start, span.stop))


LAYOUT = Layout(
    drums=slice(0, 10),
    mono=MappingProxyType({"bass": slice(10, 17), "arp": slice(17, 24), "lead": slice(24, 31)}),
    chroma=slice(31, 43),
    chords=MappingProxyType({"chords": slice(43, 46), "pad": slice(46, 49)}),
    offsets=slice(49, 52),
    grid=slice(MUSIC_CHANNELS, MUSIC_CHANNELS + len(GRID_CHANNELS)),
)

_PITCH_CLASS_ANGLE = 2 * np.pi * np.arange(12) / 12
PITCH_CLASS_CODE: np.ndarray = np.stack(
    [
        np.cos(_PITCH_CLASS_ANGLE),
        np.sin(_PITCH_CLASS_ANGLE),
        np.cos(7 * _PITCH_CLASS_ANGLE),
        np.sin(7 * _PITCH_CLASS_ANGLE),
    ],
    axis=1,
).astype(np.float32)
"""`[12, 4]`: each pitch class on the semitone circle and on the circle of fifths; any two are 1.41 apart or more."""


def silence(frames: int) -> np.ndarray:
    """The music channels of a score without notes, `[frames, 52]`, float32."""
    latents = np.zeros((frames, MUSIC_CHANNELS), dtype=np.float32)
    latents[:, LAYOUT.drums] = ONSET_OFF
    latents[:, LAYOUT.chroma] = CHROMA_OFF
    for span in (*LAYOUT.mono.values(), *LAYOUT.chords.values()):
        latents[:, span.start] = ONSET_OFF
        latents[:, span.start + 1] = -1.0
    return latents


def encode(score: Score) -> np.ndarray:
    """Latents `[T, 64]`, float32, of a score, with T the frames of its duration.

    Notes that start at or after the end are left out; of notes that the latents cannot hold together (two of one
    mono voice in one frame, say) the later one is kept.
    """
    frames = frame_count(score.duration_s)
    latents = np.empty((frames, CHANNELS), dtype=np.float32)
    latents[:, :MUSIC_CHANNELS] = silence(frames)
    latents[:, LAYOUT.grid] = lay_grid(
        score.grid, score.sections, score.key, score.duration_s, end_s=music_end_s(score)
    )
    tonic = _tonic_shift(score.key)
    for track in score.tracks:
        if track.role == "drums":
            _encode_drums(latents, track.notes)
        elif track.role in MONO_ROLES:
            _encode_mono(latents, track.role, track.notes, tonic)
    _encode_chords(latents, [track for track in score.tracks if track.role in CHORD_ROLES], tonic)
    return latents


def music_end_s(score: Score) -> float:
    """Where the music of a score ends and its tail begins; without pitched notes, where the score does."""
    ends_s = [note.start_s + note.duration_s for track in score.tracks if not track.is_drums for note in track.notes]
    return min(max(ends_s) + RELEASE_S, score.duration_s) if ends_s else score.duration_s


def decode(
    latents: np.ndarray,
    grid: Grid,
    key: str,
    programs: Mapping[Role, int],
    *,
    duration_s: float | None = None,
    sections: Sequence[Section] = (),
) -> Score:
    """The score of latents `[T, 64]` (or of their music channels `[T, 52]`).

    `programs` gives the General MIDI program of every role that may play; a role that is not in it stays silent.
    `duration_s` defaults to the length of the latents. The grid channels are not read: grid, key and sections are the
    plan's. Raises RequestError where the shape is wrong.
    """
    if latents.ndim != 2 or latents.shape[1] < MUSIC_CHANNELS:
        raise RequestError(f"Score latents have shape [frames, {CHANNELS}], but these are {tuple(latents.shape)}.")
    music = np.asarray(latents[:, :MUSIC_CHANNELS], dtype=np.float32)
    if duration_s is None:
        duration_s = len(music) / FRAME_RATE_HZ
    tonic = _tonic_shift(key)
    tracks = []
    for role in ROLES:
        if role not in programs:
            continue
        if role == "drums":
            notes = _decode_drums(music)
        elif role in MONO_ROLES:
            notes = _decode_mono(music, role, tonic)
        else:
            notes = _decode_chords(music, role, tonic)
        kept = tuple(sorted((n for n in notes if n.start_s < duration_s), key=lambda n: (n.start_s, n.pitch)))
        if kept:
            tracks.append(Track(role, programs[role], kept))
    return Score(grid, key, duration_s, tuple(tracks), tuple(sections))


def _tonic_shift(key: str) -> int:
    """Semitones, -5..6, from C to the tonic by the shorter way."""
    tonic, _ = parse_key(key)
    return tonic if tonic <= 6 else tonic - 12


def _onset_value(velocity: int) -> float:
    return ONSET_SOFTEST + (ONSET_LOUDEST - ONSET_SOFTEST) * velocity / 127


def _velocity(onset: float) -> int:
    return int(np.clip(round((onset - ONSET_SOFTEST) / (ONSET_LOUDEST - ONSET_SOFTEST) * 127), 1, 127))


def _set_offset(latents: np.ndarray, role: Role, start_s: float, frame: int) -> None:
    within = start_s * FRAME_RATE_HZ - frame - 0.5
    latents[frame, LAYOUT.offsets.start + _OFFSET_GROUP[role]] = 2.0 * np.clip(within, -0.5, 0.5)


def _onset_time_s(music: np.ndarray, role: Role, frame: int | np.integer) -> float:
    offset = float(np.clip(music[frame, LAYOUT.offsets.start + _OFFSET_GROUP[role]], -1.0, 1.0)) / 2
    return max(0.0, (int(frame) + 0.5 + offset) / FRAME_RATE_HZ)


def _start_frame(note: Note, frames: int) -> int | None:
    frame = int(note.start_s * FRAME_RATE_HZ + 1e-6)
    return frame if 0 <= frame < frames else None


def _encode_drums(latents: np.ndarray, notes: Sequence[Note]) -> None:
    for note in notes:
        frame = _start_frame(note, len(latents))
        if frame is None or note.pitch not in DRUM_PITCHES:
            continue
        latents[frame, LAYOUT.drums.start + DRUM_PITCHES.index(note.pitch)] = _onset_value(note.velocity)
        _set_offset(latents, "drums", note.start_s, frame)


def _encode_mono(latents: np.ndarray, role: Role, notes: Sequence[Note], tonic: int) -> None:
    voice = latents[:, LAYOUT.mono[role]]
    for note in notes:
        frame = _start_frame(note, len(latents))
        if frame is None:
            continue
        last = _hold(voice, frame, note)
        relative = note.pitch - tonic
        voice[frame : last + 1, 2:6] = PITCH_RADIUS * PITCH_CLASS_CODE[relative % 12]
        voice[frame : last + 1, 6] = (relative - _CENTRE[role]) / 12 * HEIGHT_PER_OCTAVE
        _set_offset(latents, role, note.start_s, frame)


def _encode_chords(latents: np.ndarray, tracks: Sequence[Track], tonic: int) -> None:
    chords: dict[tuple[int, Role], list[Note]] = {}
    for track in tracks:
        for note in track.notes:
            frame = _start_frame(note, len(latents))
            if frame is not None:
                chords.setdefault((frame, track.role), []).append(note)
    # In order of time over both roles, so that a chord that rings on does not spoil the harmony of the next.
    for (frame, role), members in sorted(chords.items()):
        voice = latents[:, LAYOUT.chords[role]]
        last = _hold(voice, frame, max(members, key=lambda n: n.duration_s))
        lowest = min(n.pitch for n in members) - tonic
        classes = sorted({(n.pitch - tonic) % 12 for n in members})
        latents[frame : last + 1, LAYOUT.chroma] = CHROMA_OFF
        for pitch_class in classes:
            latents[frame : last + 1, LAYOUT.chroma.start + pitch_class] = CHROMA_ON
        steps = lowest // 12 * len(classes) + classes.index(lowest % 12)
        register = (steps + 0.5) / len(classes) - _CENTRE[role] / 12
        voice[frame : last + 1, 2] = register * REGISTER_PER_OCTAVE
        _set_offset(latents, role, members[0].start_s, frame)


def _hold(voice: np.ndarray, frame: int, note: Note) -> int:
    """Write onset and gate of a note that starts in `frame` of a voice `[T, C]`; return the last frame it touches.

    What still sounded is cut off. The gate is +1 while the note sounds; in the frame where it ends, -1..+1 by the
    share of the frame that it fills.
    """
    voice[frame:, 1] = -1.0
    voice[frame:, 2:] = 0.0
    end = max((note.start_s + note.duration_s) * FRAME_RATE_HZ, frame + 1.0)
    whole = min(int(end + 1e-6), len(voice))
    voice[frame, 0] = _onset_value(note.velocity)
    voice[frame:whole, 1] = 1.0
    share = end - whole
    if whole < len(voice) and share > 1e-3:
        voice[whole, 1] = 2.0 * share - 1.0
        return whole
    return whole - 1


def onset_frames(channel: np.ndarray) -> np.ndarray:
    """Frames above the threshold that are no lower than either neighbour (of equals the first)."""
    padded = np.pad(channel, 1, constant_values=-np.inf)
    is_peak = (channel > ONSET_THRESHOLD) & (channel > padded[:-2]) & (channel >= padded[2:])
    return np.flatnonzero(is_peak)


def _decode_drums(music: np.ndarray) -> list[Note]:
    return [
        Note(_onset_time_s(music, "drums", frame), DRUM_NOTE_S, pitch, _velocity(music[frame, channel]))
        for channel, pitch in enumerate(DRUM_PITCHES, start=LAYOUT.drums.start)
        for frame in onset_frames(music[:, channel])
    ]


def _spans(music: np.ndarray, role: Role, onset: int) -> list[tuple[int, int, float, float, int]]:
    """Notes of a voice as (first frame, frame after the last, start_s, end_s, velocity)."""
    gate = music[:, onset + 1]
    closed = np.append(np.flatnonzero(gate <= 0.0), len(music))
    starts = onset_frames(music[:, onset])
    spans = []
    for position, first in enumerate(starts):
        follower = int(starts[position + 1]) if position + 1 < len(starts) else len(music)
        stop = int(min(closed[np.searchsorted(closed, first + 1)], follower))
        start_s = _onset_time_s(music, role, first)
        if stop == follower and follower < len(music):
            end_s = _onset_time_s(music, role, follower)
        else:
            tail = gate[max(stop - 1, first + 1) : min(stop + 1, len(music))]  # the frames in which the end may lie
            share = float(np.clip((tail + 1) / 2, 0.0, 1.0).sum())
            end_s = (max(stop - 1, first + 1) + share) / FRAME_RATE_HZ
        spans.append((int(first), stop, start_s, max(end_s, start_s + SHORTEST_NOTE_S), _velocity(music[first, onset])))
    return spans


def _decode_mono(music: np.ndarray, role: Role, tonic: int) -> list[Note]:
    onset = LAYOUT.mono[role].start
    notes = []
    for first, stop, start_s, end_s, velocity in _spans(music, role, onset):
        mean = music[first:stop, onset + 2 : onset + 7].mean(axis=0)
        pitch_class = int(np.argmax(PITCH_CLASS_CODE @ mean[:4]))
        height = _CENTRE[role] + mean[4] / HEIGHT_PER_OCTAVE * 12
        pitch = pitch_class + 12 * round((height - pitch_class) / 12) + tonic
        notes.append(Note(start_s, end_s - start_s, int(np.clip(pitch, 0, 127)), velocity))
    return notes


def _decode_chords(music: np.ndarray, role: Role, tonic: int) -> list[Note]:
    onset = LAYOUT.chords[role].start
    notes = []
    for first, stop, start_s, end_s, velocity in _spans(music, role, onset):
        classes = np.flatnonzero(music[first:stop, LAYOUT.chroma].mean(axis=0) > CHROMA_THRESHOLD)
        if len(classes) == 0:
            continue
        register = music[first:stop, onset + 2].mean() / REGISTER_PER_OCTAVE + _CENTRE[role] / 12
        octave, index = divmod(int(np.floor(register * len(classes))), len(classes))
        lowest = octave * 12 + int(classes[index])
        for pitch_class in classes:
            pitch = lowest + (int(pitch_class) - lowest) % 12 + tonic
            notes.append(Note(start_s, end_s - start_s, int(np.clip(pitch, 0, 127)), velocity))
    return notes
