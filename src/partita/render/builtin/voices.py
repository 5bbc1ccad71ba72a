"""Which frames and channels of score latents each role's notes are read from, and what follows for the others.

Latents are `[T, 64]` at 25 Hz, laid out by `partita.score.codec`: each role has channels of its own, chords and pad
share the harmony, and groups of roles the place of their onsets within the frame. Knows no networks.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from partita.score.codec import CHORD_ROLES, LAYOUT, MONO_ROLES, OFFSET_GROUPS, ONSET_OFF, onset_frames, silence
from partita.score.types import ROLES, Role

_SUSTAINED: tuple[Role, ...] = (*MONO_ROLES, *CHORD_ROLES)
_EARLIEST = -1.0  # place within the frame
_HELD_FRAMES = 5  # 0.2 s


def without(latents: np.ndarray, roles: Collection[Role]) -> np.ndarray:
    """The latents with these roles silent. What they share with others stays wherever the others' notes are read from
    it, so that no other note changes."""
    out, empty = latents.copy(), silence(len(latents))
    for role in roles:
        channels = list(LAYOUT.of_role(role))
        out[:, channels] = empty[:, channels]
    shared = np.zeros(latents.shape, dtype=bool)
    shared[:, LAYOUT.chroma] = any(role in roles for role in CHORD_ROLES)
    for index, group in enumerate(OFFSET_GROUPS):
        shared[:, LAYOUT.offsets.start + index] = any(role in roles for role in group)
    shared &= ~read_by_others(latents, roles)
    return np.where(shared, np.pad(empty, ((0, 0), (0, latents.shape[1] - empty.shape[1]))), out)


def read_by_others(latents: np.ndarray, roles: Collection[Role]) -> np.ndarray:
    """Shared channels `[T, C]` (bool) that notes of all roles but these are read from."""
    read = np.zeros(latents.shape, dtype=bool)
    for role in ROLES:
        if role in roles:
            continue
        group = next(index for index, members in enumerate(OFFSET_GROUPS) if role in members)
        for onset in _onset_channels(role):
            read[onset_frames(latents[:, onset]), LAYOUT.offsets.start + group] = True
        if role in CHORD_ROLES:
            for first, stop in _sounding(latents, role):
                read[first:stop, LAYOUT.chroma] = True
    return read


def settled_frame(latents: np.ndarray) -> int:
    """Before which frame no note begins that latents written behind these could change.

    A note that sounds to their end may go on, and its pitch is the mean over all of it; whether the last frame holds
    an onset depends on the next.
    """
    last = len(latents) - 1
    open_ones = [first for role in _SUSTAINED for first, stop in _sounding(latents, role) if stop >= last]
    return max(min([last, *open_ones]), 0)


def begin_at_once(latents: np.ndarray, frame: int) -> None:
    """Notes that are played a little before the beat with which a song begins in `frame`, in the frame before, begin
    with it instead, and so do those that were struck earlier and are held well into it. In place."""
    if frame == 0:
        return
    for role in ROLES:
        group = next(index for index, members in enumerate(OFFSET_GROUPS) if role in members)
        for onset in _onset_channels(role):
            struck = [first for first in onset_frames(latents[:, onset]) if first == frame - 1]
            if role != "drums":
                struck += [a for a, stop in _sounding(latents, role) if a < frame and stop >= frame + _HELD_FRAMES]
            if struck:
                latents[frame, onset] = latents[struck[-1], onset]
                latents[frame - 1, onset] = ONSET_OFF
                latents[frame, LAYOUT.offsets.start + group] = _EARLIEST


def _onset_channels(role: Role) -> range:
    if role == "drums":
        return range(LAYOUT.drums.start, LAYOUT.drums.stop)
    onset = {**LAYOUT.mono, **LAYOUT.chords}[role].start
    return range(onset, onset + 1)


def _sounding(latents: np.ndarray, role: Role) -> list[tuple[int, int]]:
    """First frame of every note of a voice, and the frame after its last."""
    onset = {**LAYOUT.mono, **LAYOUT.chords}[role].start
    starts = onset_frames(latents[:, onset])
    closed = np.append(np.flatnonzero(latents[:, onset + 1] <= 0.0), len(latents))
    followers = np.append(starts[1:], len(latents))
    ends = np.minimum(closed[np.searchsorted(closed, starts + 1)], followers)
    return [(int(first), int(stop)) for first, stop in zip(starts, ends, strict=True)]
