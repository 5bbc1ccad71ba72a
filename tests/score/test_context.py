"""What stays and what is to be made, by role and by time."""

from __future__ import annotations

import numpy as np
import pytest

from partita.score.codec import LAYOUT, MUSIC_CHANNELS, encode, silence
from partita.score.context import lay_context
from partita.score.types import ROLES, Grid, Note, Score, Track


@pytest.fixture
def latents() -> np.ndarray:
    """Four seconds: bass and lead throughout, chords in the first second, pad from the third on."""
    tracks = (
        Track("bass", 33, (Note(0.0, 4.0, 40, 80),)),
        Track("chords", 0, tuple(Note(0.0, 1.0, pitch, 80) for pitch in (60, 64, 67))),
        Track("pad", 89, tuple(Note(2.0, 1.0, pitch, 80) for pitch in (57, 60, 64))),
        Track("lead", 73, (Note(0.0, 4.0, 72, 80),)),
    )
    return encode(Score(Grid(120, "4/4"), "C major", 4.0, tracks))


def keep(*roles: str, frames: int = 100) -> np.ndarray:
    return np.tile([role in roles for role in ROLES], (frames, 1))


def source_and_mask(latents: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    context = lay_context(latents, kept)
    return context[:, :64], context[:, 64:]


def test_nothing_kept_leaves_the_grid_alone(latents: np.ndarray) -> None:
    source, mask = source_and_mask(latents, keep())
    assert (mask[:, :MUSIC_CHANNELS] == 1).all()
    assert (mask[:, LAYOUT.grid] == 0).all()
    np.testing.assert_array_equal(source[:, :MUSIC_CHANNELS], silence(100))
    np.testing.assert_array_equal(source[:, LAYOUT.grid], latents[:, LAYOUT.grid])


def test_everything_kept_is_the_source(latents: np.ndarray) -> None:
    source, mask = source_and_mask(latents, keep(*ROLES))
    assert not mask.any()
    np.testing.assert_array_equal(source, latents)


def test_a_span_is_made_between_what_stays(latents: np.ndarray) -> None:
    kept = keep(*ROLES)
    kept[40:60] = False
    source, mask = source_and_mask(latents, kept)
    assert mask[40:60, :MUSIC_CHANNELS].all()
    assert not mask[:40].any()
    assert not mask[60:].any()
    np.testing.assert_array_equal(source[40:60, :MUSIC_CHANNELS], silence(20))


@pytest.mark.parametrize("role", ROLES)
def test_a_kept_track_shows_only_its_own_channels(latents: np.ndarray, role: str) -> None:
    _, mask = source_and_mask(latents, keep(role))
    for other in ROLES:
        assert mask[:, list(LAYOUT.of_role(other))].any() == (other != role)


def test_kept_chords_fix_the_harmony_only_while_they_sound(latents: np.ndarray) -> None:
    _, mask = source_and_mask(latents, keep("chords"))
    harmony = mask[:, LAYOUT.chroma]
    assert not harmony[:25].any()
    assert harmony[25:].all()


def test_an_absent_track_tells_nothing_of_the_harmony(latents: np.ndarray) -> None:
    _, mask = source_and_mask(silence_with_grid(latents), keep("chords"))
    assert mask[:, LAYOUT.chroma].all()


def silence_with_grid(latents: np.ndarray) -> np.ndarray:
    return np.concatenate([silence(len(latents)), latents[:, LAYOUT.grid]], axis=1)
