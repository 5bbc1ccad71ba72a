"""Batches are a function of their number, seeds never mix, and every kind of mask occurs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from partita.errors import RequestError
from partita.score.codec import CHANNELS, LAYOUT
from partita.score.styles import ENERGIES, STYLES
from partita.score.types import ROLES
from partita.training.composer.genres import GENRES
from partita.training.corpus import (
    BENCH_SEEDS,
    HELD_OUT_SEEDS,
    TRAINING_SEEDS,
    WINDOWS,
    Corpus,
    build,
    draw_keep,
    duration_of,
)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    directory = tmp_path_factory.mktemp("corpus")
    build(directory, range(24), workers=1)
    return Corpus(directory)


def test_seed_ranges_do_not_overlap() -> None:
    ranges = sorted((TRAINING_SEEDS, HELD_OUT_SEEDS, BENCH_SEEDS), key=lambda seeds: seeds.start)
    assert all(one.stop <= other.start for one, other in pairwise(ranges))


@pytest.mark.parametrize("seeds", [BENCH_SEEDS[:2], range(3_999_999, 4_000_001)])
def test_other_seeds_are_refused(seeds: range, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Seeds"):
        build(tmp_path, seeds)


def test_a_piece_has_the_length_of_its_seed(corpus: Corpus) -> None:
    assert [len(corpus.latents(index)) for index in range(24)] == [25 * duration_of(seed) for seed in range(24)]


def test_the_same_number_is_the_same_batch(corpus: Corpus) -> None:
    one, again, other = corpus.batch(7, 3), corpus.batch(7, 3), corpus.batch(8, 3)
    np.testing.assert_array_equal(one.latents, again.latents)
    np.testing.assert_array_equal(one.context, again.context)
    assert not np.array_equal(one.latents[:, :125], other.latents[: len(one.latents), :125])


def test_a_batch_holds_the_same_number_of_frames_whatever_its_window(corpus: Corpus) -> None:
    shapes = {corpus.batch(number, 6).latents.shape for number in range(60)}
    assert {shape[1] for shape in shapes} == {frames for _, frames in WINDOWS}
    assert all(2500 <= shape[0] * shape[1] <= 3000 for shape in shapes)


def test_the_context_never_shows_what_is_to_be_made(corpus: Corpus) -> None:
    batch = corpus.batch(3, 8)
    source, mask = batch.context[..., :CHANNELS], batch.context[..., CHANNELS:]
    np.testing.assert_array_equal(source[mask == 0], batch.latents[mask == 0])
    assert (mask[..., LAYOUT.grid] == 0).all()
    assert mask.any()


def test_casts_say_who_plays_and_how(corpus: Corpus) -> None:
    batch = corpus.batch(0, 12)
    for latents, cast in zip(batch.latents, batch.casts, strict=True):
        assert cast[0] in range(len(STYLES))
        assert cast[1] in range(len(ENERGIES))
        for role, program in zip(ROLES, cast[2:], strict=True):
            if program < 0 and role != "drums":
                span = LAYOUT.mono.get(role) or LAYOUT.chords[role]
                assert (latents[:, span.start + 1] == -1).all(), role


def test_every_genre_of_the_composer_has_a_number() -> None:
    assert set(GENRES) == set(STYLES)


def test_prompts_are_those_of_the_piece(corpus: Corpus) -> None:
    prompts = {corpus.prompt(3, np.random.default_rng(seed)) for seed in range(40)}
    key = corpus.pieces[3]["plan"]["key"]
    assert len(prompts) > 4
    assert sum(key in prompt for prompt in prompts) > len(prompts) / 2


def test_all_kinds_of_masks_are_drawn() -> None:
    present = np.array([True, True, True, False, False, True])
    kinds = set()
    for seed in range(300):
        keep = draw_keep(present, 500, inside=seed % 2 == 0, rng=np.random.default_rng(seed))
        whole = not keep[:, present].any()
        continued = keep[:200].all() and not keep[200:, present].any()
        span = keep[0].all() and keep[-1].all() and not keep[:, present].all()
        tracks = keep[:, present].any() and (keep == keep[0]).all() and not keep.all()
        kinds |= {n for n, f in {"whole": whole, "continued": continued, "span": span, "tracks": tracks}.items() if f}
    assert {"whole", "continued", "span", "tracks"} <= kinds
