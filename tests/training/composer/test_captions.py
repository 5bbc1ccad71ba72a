"""Captions say what the piece is, and nothing that it is not."""

from __future__ import annotations

import re

from hypothesis import given, settings, strategies as st

from partita.score.instruments import instrument
from partita.training.composer import PieceSpec, SectionPlan, caption, compose, sample_spec
from partita.training.composer.captions import _MISSING_WORDS

SEEDS = st.integers(0, 2**48)


def outline(programs: tuple) -> PieceSpec:
    return PieceSpec(
        "rock", 120.0, "4/4", "A minor", ("raw", "driving"), "high", programs, (SectionPlan("verse", 8),), 20.0
    )


@given(SEEDS, SEEDS)
@settings(max_examples=200, deadline=None)
def test_a_caption_is_one_clean_line(piece_seed: int, seed: int) -> None:
    text = caption(sample_spec(piece_seed), seed)
    assert text
    assert text == text.strip()
    assert "\n" not in text
    assert "  " not in text
    assert "{" not in text
    assert len(text) < 400


@given(SEEDS)
@settings(max_examples=50, deadline=None)
def test_the_same_seed_gives_the_same_words(seed: int) -> None:
    spec = sample_spec(seed)
    assert caption(spec, seed) == caption(spec, seed)


def test_seeds_give_many_wordings() -> None:
    spec = outline((("drums", 16), ("bass", 34), ("chords", 30), ("lead", 30)))
    assert len({caption(spec, seed) for seed in range(200)}) > 180


@given(SEEDS, SEEDS)
@settings(max_examples=300, deadline=None)
def test_a_part_that_plays_is_never_called_missing(piece_seed: int, seed: int) -> None:
    spec = sample_spec(piece_seed)
    text = caption(spec, seed)
    for role in spec.roles:
        assert not any(re.search(rf"\b{words}\b", text) for words in _MISSING_WORDS[role])


def test_missing_drums_are_often_said_and_drums_never_named() -> None:
    spec = outline((("bass", 34), ("chords", 30)))
    captions = [caption(spec, seed) for seed in range(200)]
    said = [text for text in captions if any(words in text for words in _MISSING_WORDS["drums"])]
    assert len(said) > 60
    assert not any("kit" in text.split() for text in captions)


def test_genre_tempo_key_and_instruments_turn_up() -> None:
    spec = outline((("drums", 16), ("bass", 34), ("chords", 30), ("lead", 66)))
    captions = [caption(spec, seed) for seed in range(300)]
    for word, least in (("rock", 200), ("120", 60), ("A minor", 30), ("sax", 40), ("bass", 40)):
        assert sum(word in text for text in captions) > least, word


def test_a_window_names_only_what_sounds_in_it() -> None:
    checked = 0
    for seed in range(120):
        piece = compose(seed)
        drums = piece.score.track("drums")
        if drums is None or drums.notes[0].start_s < 4.0:
            continue
        checked += 1
        name = instrument("drums", drums.program).name
        texts = [caption(piece, wording, window_s=(0.0, 3.5)) for wording in range(30)]
        assert not any(name in text for text in texts)
    assert checked > 3
