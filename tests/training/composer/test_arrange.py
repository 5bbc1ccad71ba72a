"""Who plays when, how loud, and over which chords."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from partita.score.types import Role
from partita.training.composer import compose, sample_spec
from partita.training.composer.arrange import arrange
from partita.training.composer.genres import GENRES
from partita.training.composer.harmony import clarity, plan_harmony, voice
from partita.training.composer.theory import METRES

SEEDS = st.integers(0, 2**48)
LONGEST_CHORD_S = 4.7
"""A bar of four at the slowest tempo, and rounding."""


def planned(seed: int, duration_s: float = 60.0):
    spec = sample_spec(seed, duration_s)
    genre, metre = GENRES[spec.genre], METRES[spec.time_signature]
    return spec, genre, metre, plan_harmony(random.Random(seed), spec, genre, metre)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_part_plays_somewhere_and_every_section_has_its_harmony_and_its_beat(seed: int) -> None:
    spec, genre, _, harmony = planned(seed)
    arrangement = arrange(random.Random(seed), spec, genre, harmony)
    assert all(any(plays) for plays in arrangement.plays.values())
    for index in range(len(harmony.sections)):
        cast = {role for role, plays in arrangement.plays.items() if plays[index]}
        keepers = [role for role, steady in arrangement.steady.items() if steady[index]]
        assert cast & {"chords", "pad", "arp"}
        assert "drums" in cast or (len(keepers) == 1 and keepers[0] in cast)


def test_choruses_are_fuller_and_louder_than_introductions() -> None:
    parts: dict[str, list[int]] = {"intro": [], "chorus": []}
    levels: dict[str, list[float]] = {"intro": [], "chorus": []}
    for seed in range(100):
        spec, genre, _, harmony = planned(seed)
        arrangement = arrange(random.Random(seed), spec, genre, harmony)
        for section in harmony.sections:
            if section.kind in parts:
                parts[section.kind].append(sum(plays[section.index] for plays in arrangement.plays.values()))
                levels[section.kind].append(arrangement.swells[section.index].level)
    assert sum(parts["intro"]) / len(parts["intro"]) < 0.75 * sum(parts["chorus"]) / len(parts["chorus"])
    assert max(levels["intro"]) < min(levels["chorus"])


def test_a_section_swells_towards_a_louder_one() -> None:
    for seed in range(50):
        spec, genre, _, harmony = planned(seed)
        swells = arrange(random.Random(seed), spec, genre, harmony).swells
        for one, two, section in zip(swells, swells[1:], harmony.sections, strict=False):
            assert (one.end > one.level) == (two.level > one.level and section.kind != "outro")


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_no_chord_stays_for_too_long(seed: int) -> None:
    spec, _, metre, harmony = planned(seed)
    spans = [span for section in harmony.sections for span in section.spans]
    step_s = metre.step_s(spec.bpm)
    for span in spans[:-1]:
        assert (span.end - span.start) * step_s <= max(LONGEST_CHORD_S, metre.bar * step_s)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_voices_move_little_from_chord_to_chord(seed: int) -> None:
    _, _, _, harmony = planned(seed)
    spans = [span for section in harmony.sections for span in section.spans]
    voicings = voice(spans, None, 60.0, harmony.rootless)
    moves = [min(abs(pitch - other) for other in before) for before, after in pairwise(voicings) for pitch in after]
    assert max(moves) <= 7
    assert sum(moves) / len(moves) < 2.5


@pytest.mark.parametrize(
    ("progression", "mode", "clear"),
    [("1 4 5 1", "major", True), ("1 4 V 1", "minor", True), ("1 6 3 7", "minor", False)],
)
def test_a_progression_says_its_key_or_another(progression: str, mode, clear: bool) -> None:
    assert (clarity(progression, mode, 3) > 0) == clear


def test_the_bass_joins_the_last_chord_even_of_an_ending_without_it() -> None:
    role: Role = "bass"
    for seed in range(60):
        piece = compose(seed)
        track = piece.score.track(role)
        if track is None:
            continue
        last = max(note.start_s for one in piece.score.tracks if not one.is_drums for note in one.notes)
        assert abs(max(note.start_s for note in track.notes) - last) < 0.05
