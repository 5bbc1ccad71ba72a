"""Casts of the built-in model: words decide, and what they leave open is drawn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.models.score_caption import Likelihoods
from partita.render.builtin.casting import choose_cast, draw_cast
from partita.score.instruments import instrument, programs_for
from partita.score.types import ROLES, Role
from partita.text.orchestration import named_parts

ROLE_WORDS: dict[Role, str] = {
    "drums": "drums",
    "bass": "bass",
    "chords": "chords",
    "pad": "pads",
    "arp": "arpeggios",
    "lead": "a melody",
}
VIOLIN, PIANO = 40, 0


def heard(seed: int = 0, presence: float | None = None) -> Likelihoods:
    """Likelihoods of no text at all."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((1, 21), (1, 3), (1, 6), (1, 6, 16))
    style, energy, present, programs = (3 * torch.randn(shape, generator=generator) for shape in shapes)
    return Likelihoods(style, energy, torch.full((1, 6), presence) if presence is not None else present, programs)


@pytest.mark.parametrize("role", ROLES)
def test_a_part_that_is_named_plays_and_one_that_is_ruled_out_does_not(role: Role) -> None:
    for seed in range(12):
        unlikely, likely = heard(seed, presence=-30.0), heard(seed, presence=30.0)
        assert role in choose_cast(unlikely, seed, named_parts(f"with {ROLE_WORDS[role]}")).programs
        assert role not in choose_cast(likely, seed, named_parts(f"no {ROLE_WORDS[role]}")).programs


@pytest.mark.parametrize("role", ROLES)
def test_every_instrument_of_a_part_plays_it_when_it_is_named_for_it(role: Role) -> None:
    words = {"drums": "{}", "bass": "{}", "chords": "{} chords", "pad": "{} pad", "arp": "{} arpeggios"}
    for program in programs_for(role):
        item = instrument(role, program)
        text = words.get(role, "{} melody").format(item.name)
        cast = choose_cast(heard(program, presence=-30.0), program, named_parts(text))
        wanted = item.roles[0] if role == "bass" and len(item.roles) > 1 else role
        if wanted == role:
            assert cast.programs[role] == program, text
        else:
            assert program in cast.programs.values()


def test_an_instrument_plays_the_likeliest_of_its_parts() -> None:
    likely = heard(presence=0.0)
    likely.presence[0, ROLES.index("arp")] = 20.0
    likely.programs[0] = 0.0
    assert choose_cast(likely, 1, named_parts("piano")).programs["arp"] == PIANO
    assert choose_cast(likely, 1, named_parts("piano chords")).programs["chords"] == PIANO


def test_as_many_of_those_named_play_as_can() -> None:
    likely = heard(presence=-5.0)
    likely.presence[0, ROLES.index("lead")] = 20.0
    cast = choose_cast(likely, 1, named_parts("violin and piano and harp and strings"))
    assert cast.programs["lead"] == VIOLIN
    assert {PIANO, 46, 48} <= set(cast.programs.values())


def test_a_family_plays_by_its_likeliest_member() -> None:
    likely = heard(presence=-20.0)
    likely.programs[0, ROLES.index("lead"), programs_for("lead").index(30)] = 40.0
    likely.presence[0, ROLES.index("lead")] = 0.0
    assert choose_cast(likely, 3, named_parts("guitar melody")).programs["lead"] == 30


def test_nobody_else_plays_where_the_words_say_so() -> None:
    for seed in range(10):
        cast = choose_cast(heard(seed, presence=30.0), seed, named_parts("solo piano"))
        assert list(cast.programs.values()) == [PIANO]
        pair = choose_cast(heard(seed, presence=30.0), seed, named_parts("just piano and violin"))
        assert sorted(pair.programs.values()) == [PIANO, VIOLIN]


def test_an_instrument_that_is_ruled_out_leaves_its_part_to_others() -> None:
    for seed in range(20):
        cast = choose_cast(heard(seed, presence=30.0), seed, named_parts("no piano, no violin"))
        assert set(cast.programs) == set(ROLES)
        assert all(program != VIOLIN for role, program in cast.programs.items() if role != "drums")
        assert all(program != PIANO for role, program in cast.programs.items() if role != "drums")


def test_what_is_not_named_is_drawn_with_the_same_numbers() -> None:
    likely = heard(5)
    for seed in range(20):
        free, named = choose_cast(likely, seed), choose_cast(likely, seed, named_parts("violin melody"))
        assert (free.style, free.energy) == (named.style, named.energy)
        others = [role for role in ROLES if role != "lead" and role in named.programs]
        assert all(free.programs.get(role) == named.programs[role] for role in others)


def test_words_that_rule_out_everybody_are_refused() -> None:
    with pytest.raises(RequestError, match="rules out"):
        choose_cast(heard(), 0, named_parts("no drums, no bass, no chords, no pads, no arpeggios, no melody"))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("bagpipes and drums", "bagpipes is not among the instruments"),
        ("con gaita y tambores", "gaita is not among the instruments"),
        ("drums, no drums", "asks for drums and rules it out"),
        ("violin and flute", "each has one player"),
        ("harp melody", "harp cannot play the lead part"),
    ],
)
def test_what_cannot_be_done_is_told(text: str, note: str) -> None:
    _, notes = draw_cast(heard(), 1, named_parts(text))
    assert len(notes) == 1
    assert note in notes[0]


def test_words_that_can_be_followed_leave_no_note() -> None:
    assert draw_cast(heard(), 1, named_parts("violin melody, piano chords, no drums"))[1] == ()


@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from([*ROLE_WORDS.values(), "violin", "no", "piano", "only"])))
@settings(max_examples=60, deadline=None)
def test_any_words_and_seed_give_players_of_their_parts_or_a_refusal(seed: int, words: list[str]) -> None:
    named = named_parts(" ".join(words))
    try:
        cast = choose_cast(heard(seed % 7), seed, named)
    except RequestError:
        assert named.absent == set(ROLES)
        return
    assert cast.programs
    assert not set(cast.programs) & named.absent
    assert all(program in programs_for(role) for role, program in cast.programs.items())
