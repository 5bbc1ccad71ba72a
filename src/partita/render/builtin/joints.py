"""What happens to notes where made music meets given music: rules on score latents, before they are decoded.

A note that begins in what is given stays that note: its start, pitch and velocity, and its length unless a note of the
same voice (or of the harmony that it shares) begins in what was made. Only made frames are changed. Knows no networks;
latents are `[T, 64]` at 25 Hz, laid out by `partita.score.codec`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.score.codec import (
    CHORD_ROLES,
    CHROMA_OFF,
    CHROMA_ON,
    CHROMA_THRESHOLD,
    LAYOUT,
    MONO_ROLES,
    OFFSET_GROUPS,
    ONSET_OFF,
    ONSET_THRESHOLD,
    onset_frames,
)
from partita.score.types import Role

_VOICES: dict[Role, slice] = {**LAYOUT.mono, **LAYOUT.chords}


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A source on its canvas: `latents` `[T, 64]` hold its own from frame `start` to `stop`, and silence elsewhere;
    `kept` `[T]` (bool) says which frames of it stay."""

    latents: np.ndarray
    start: int
    stop: int
    kept: np.ndarray

    def keeps(self, frame: int) -> bool:
        return 0 <= frame < len(self.kept) and bool(self.kept[frame])

    def holds(self, frame: int) -> bool:
        return self.start <= frame < self.stop


def join(latents: np.ndarray, given: Given, first: int, stop: int) -> None:
    """Let the made frames `[first, stop)` of `latents`, in place, meet what is kept of the source on either side."""
    if given.keeps(first - 1):
        for channel, offset in _onset_channels():
            _meet_onset_before(latents, given, first, channel, offset)
        for role in MONO_ROLES:
            note = _ringing(latents, given, first, stop, role)
            if note is not None:
                _let_ring(latents, given, first, note, note.end)
        _ring_on_in_harmony(latents, given, first, stop)
    if given.keeps(stop):
        for channel, offset in _onset_channels():
            _meet_onset_after(latents, given, stop, channel, offset)


def _onset_channels() -> list[tuple[int, int]]:
    """Every channel of onsets and the channel that places its notes within the frame."""
    group = {role: LAYOUT.offsets.start + index for index, roles in enumerate(OFFSET_GROUPS) for role in roles}
    channels = [(channel, group["drums"]) for channel in range(LAYOUT.drums.start, LAYOUT.drums.stop)]
    return channels + [(span.start, group[role]) for role, span in _VOICES.items()]


def _meet_onset_before(latents: np.ndarray, given: Given, first: int, channel: int, offset: int) -> None:
    """An onset in the last given frame stays one, and a slope that leads to one beyond it does not become one."""
    source = given.latents
    here = source[first - 1, channel]
    earlier = source[first - 2, channel] if first >= 2 else -np.inf
    if here <= ONSET_THRESHOLD or here <= earlier:
        return
    if not given.holds(first) or here >= source[first, channel]:
        if latents[first, channel] > here:
            latents[first, channel] = ONSET_OFF
    elif latents[first, channel] <= here:
        latents[first, [channel, offset]] = source[first, [channel, offset]]


def _meet_onset_after(latents: np.ndarray, given: Given, stop: int, channel: int, offset: int) -> None:
    """The same for the first given frame after what was made."""
    source = given.latents
    here = source[stop, channel]
    later = source[stop + 1, channel] if stop + 1 < len(source) else -np.inf
    if here <= ONSET_THRESHOLD or here < later:
        return
    if not given.holds(stop - 1) or here > source[stop - 1, channel]:
        if latents[stop - 1, channel] >= here:
            latents[stop - 1, channel] = ONSET_OFF
    elif latents[stop - 1, channel] < here:
        latents[stop - 1, [channel, offset]] = source[stop - 1, [channel, offset]]


@dataclass(frozen=True, slots=True)
class _Ringing:
    """A note of `role` that began in frame `since` and sounds on until frame `end`, where its gate is `last`.

    The next note of its voice was made in frame `cut`; to frame `under` the source itself says how it goes on.
    """

    role: Role
    since: int
    end: int
    last: float
    cut: int
    under: int

    @property
    def gate(self) -> int:
        return _VOICES[self.role].start + 1

    @property
    def pitch(self) -> slice:
        return slice(self.gate + 1, _VOICES[self.role].stop)


def _ringing(latents: np.ndarray, given: Given, first: int, stop: int, role: Role) -> _Ringing | None:
    """The given note of a voice that sounds into frame `first`. Where there is none, its gate is shut until its next
    note."""
    onset, gate = _VOICES[role].start, _VOICES[role].start + 1
    source = given.latents
    made = onset_frames(latents[:, onset])
    cut = int(min(made[(made >= first) & (made < stop)], default=stop))
    under = max(first, min(given.stop, cut))
    begun = onset_frames(source[: given.stop, onset])
    earlier, later = begun[begun < first], begun[(begun >= first) & (begun < under)]
    if len(earlier) == 0 or (source[earlier[-1] + 1 : first, gate] <= 0).any():
        latents[first:cut, gate] = np.minimum(latents[first:cut, gate], -1.0)
        return None
    gates = np.concatenate([source[first:under, gate], latents[under:cut, gate]])
    closed = np.flatnonzero(gates <= 0)
    end = first + int(closed[0]) if len(closed) else cut
    last = float(gates[end - first]) if end < cut else -1.0
    if len(later) and later[0] <= end:  # in the source its voice's next note ended it, within that one's frame
        end = int(later[0])
        last = float(source[end, _offset_of(role)])
    return _Ringing(role, int(earlier[-1]), end, float(np.clip(last, -1.0, 1.0)), cut, under)


def _offset_of(role: Role) -> int:
    return LAYOUT.offsets.start + next(index for index, roles in enumerate(OFFSET_GROUPS) if role in roles)


def _let_ring(latents: np.ndarray, given: Given, first: int, note: _Ringing, end: int) -> None:
    """Hold the note until frame `end`, with its own pitch, and shut its voice from there to its next note."""
    held = min(end, note.under)
    channels = slice(note.gate, note.pitch.stop)
    own, source_end = _own_pitch(given, note)
    latents[first:held, channels] = given.latents[first:held, channels]
    latents[held:end, note.pitch] = own
    if first < end < source_end:  # cut short, it is still to be read as the same pitch
        sounding = slice(note.since, end)
        missing = own - latents[sounding, note.pitch].mean(axis=0)
        latents[first:end, note.pitch] += missing * ((end - note.since) / (end - first))
    if end < note.cut:
        latents[end : note.cut, note.gate] = -1.0
        last = note.last if end == note.end else -1.0
        # The gate must be shut in some frame, or the note would run into what sounds behind it.
        latents[end, note.gate] = last if end + 1 < note.cut else min(last, 0.0)
        latents[end, note.pitch] = own


def _own_pitch(given: Given, note: _Ringing) -> tuple[np.ndarray, int]:
    """What the source reads the note's pitch from, the mean over all of it, and the frame in which it ends there."""
    source, onset = given.latents, note.gate - 1
    begun = onset_frames(source[: given.stop, onset])
    later = begun[begun > note.since]
    stop = int(later[0]) if len(later) else given.stop
    closed = np.flatnonzero(source[note.since + 1 : stop, note.gate] <= 0)
    stop = note.since + 1 + int(closed[0]) if len(closed) else stop
    return source[note.since : stop, note.pitch].mean(axis=0), stop


def _ring_on_in_harmony(latents: np.ndarray, given: Given, first: int, stop: int) -> None:
    """Chords and pad share their harmony: one rings past a made chord of the other only as far as it stays itself."""
    source, chroma = given.latents, LAYOUT.chroma
    found = (_ringing(latents, given, first, stop, role) for role in CHORD_ROLES)
    notes = [note for note in found if note is not None]
    if not notes:
        return
    made = np.concatenate([onset_frames(latents[:, LAYOUT.chords[role].start]) for role in CHORD_ROLES])
    cut = int(min(made[(made >= first) & (made < stop)], default=stop))
    until = min(max(note.end for note in notes) + 1, cut)
    held = min(until, max(note.under for note in notes))
    latents[first:held, chroma] = source[first:held, chroma]
    latents[held:until, chroma] = source[max(note.since for note in notes) : first, chroma].mean(axis=0)
    for note in notes:
        wanted = source[note.since : max(first, min(note.end, note.under)), chroma].mean(axis=0) > CHROMA_THRESHOLD
        beyond = latents[cut : note.end, chroma]
        sounding = beyond.max(axis=1) > CHROMA_THRESHOLD
        if not sounding.any() or ((beyond[sounding].mean(axis=0) > CHROMA_THRESHOLD) == wanted).all():
            beyond[~sounding] = np.where(wanted, CHROMA_ON, CHROMA_OFF)
            end = note.end
        else:
            end = min(note.end, cut)
        _let_ring(latents, given, first, note, _last_in_harmony(latents[note.since : end, chroma], wanted, note, first))


def _last_in_harmony(chroma: np.ndarray, wanted: np.ndarray, note: _Ringing, first: int) -> int:
    """The last frame until which a chord can ring and still be decoded to the tones `wanted` `[12]`; `chroma` `[n, 12]`
    is what it would ring over."""
    means = np.cumsum(chroma, axis=0) / np.arange(1, len(chroma) + 1)[:, None]
    ends = note.since + 1 + np.flatnonzero(((means > CHROMA_THRESHOLD) == wanted).all(axis=1))
    return int(max(ends[ends >= first], default=first))
