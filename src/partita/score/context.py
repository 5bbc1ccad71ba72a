"""What the built-in model is given to work from: source and mask channels, as ACE-Step 1.5 has them.

Source holds the latents of what is to stay and silence where music is to be made; the mask is 1 where it is to be made.
Here the mask differs by channel, so that a track can stay while others are made: one mechanism for generating,
repainting, extending and adding a track. Knows nothing of models.
"""

from __future__ import annotations

import numpy as np

from partita.score.codec import (
    CHANNELS,
    CHORD_ROLES,
    LAYOUT,
    MONO_ROLES,
    MUSIC_CHANNELS,
    OFFSET_GROUPS,
    ONSET_THRESHOLD as ONSET,
    silence,
)
from partita.score.types import ROLES, Role


def lay_context(latents: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Source and mask `[T, 128]`, float32, for latents `[T, 64]`.

    `keep` `[T, 6]`, bool, says in which frames each role (in the order of `ROLES`) stays as it is in `latents`. A role
    that is to stay silent is one that is kept and has no notes. What roles share (harmony, offsets) stays where all of
    them stay or one that stays uses it. The grid channels of `latents` always stay.
    """
    mask = np.zeros((len(latents), CHANNELS), dtype=np.float32)
    kept = {role: keep[:, index] for index, role in enumerate(ROLES)}
    for role in ROLES:
        mask[:, list(LAYOUT.of_role(role))] = ~kept[role][:, None]

    harmony = np.logical_and.reduce([kept[role] for role in CHORD_ROLES])
    for role in CHORD_ROLES:
        harmony |= kept[role] & (latents[:, LAYOUT.chords[role].start + 1] > 0)
    mask[:, LAYOUT.chroma] = ~harmony[:, None]

    for index, group in enumerate(OFFSET_GROUPS):
        settled = np.logical_and.reduce([kept[role] for role in group])
        for role in group:
            settled |= kept[role] & _has_onset(latents, role)
        mask[:, LAYOUT.offsets.start + index] = ~settled

    source = latents.astype(np.float32, copy=True)
    source[:, :MUSIC_CHANNELS] = np.where(
        mask[:, :MUSIC_CHANNELS] > 0, silence(len(latents)), source[:, :MUSIC_CHANNELS]
    )
    return np.concatenate([source, mask], axis=1)


def _has_onset(latents: np.ndarray, role: Role) -> np.ndarray:
    if role == "drums":
        return latents[:, LAYOUT.drums].max(axis=1) > ONSET
    span = LAYOUT.mono[role] if role in MONO_ROLES else LAYOUT.chords[role]
    return latents[:, span.start] > ONSET
