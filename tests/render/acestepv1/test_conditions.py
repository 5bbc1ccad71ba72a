"""Contexts with the words, without them and with tags alone, against the conditioner asked by hand."""

from __future__ import annotations

import pytest
import torch

from partita.models.acestepv1.config import Weaken
from partita.render.acestepv1.conditions import Needs, conditions_of, together
from partita.render.acestepv1.sampling import manner_of
from partita.render.acestepv1.words import Tags
from partita.text.v1.lyrics import LyricTokens
from tests.render.acestepv1.tiny import job_of

LYRICS = LyricTokens((261, 259, 20, 21, 2), (), ())
WEAK = Weaken(0.01, 4, 6)


@pytest.fixture(scope="module")
def tags() -> Tags:
    generator = torch.Generator().manual_seed(5)
    return Tags(torch.randn(1, 4, 16, generator=generator), torch.randn(1, 4, 16, generator=generator))


@pytest.fixture(scope="module")
def asked(parts):
    conditioner = parts.parts["conditioner"]

    def ask(text, ids=LYRICS.ids, mask=LYRICS.mask, weaken=None):
        seen = torch.ones(text.shape[:2])
        return conditioner(
            text, seen, torch.zeros(1, 8), torch.tensor([ids]), torch.tensor([mask]), weaken=weaken
        ).hidden

    return ask


@pytest.fixture(scope="module")
def made(parts, tags):
    def make(lyrics=LYRICS, **needs):
        return conditions_of(parts.parts["conditioner"], tags, lyrics, Needs(**{"null": True, **needs}))

    return make


@torch.inference_mode()
def test_words_are_read_as_they_are(made, asked, tags):
    found = made()
    assert torch.equal(found.full.hidden, asked(tags.states))
    assert found.full.mask.all()
    assert found.text_only is None
    assert made(null=False).null is None


@torch.inference_mode()
@pytest.mark.parametrize("weak_tags", [True, False])
def test_guidances_other_half_has_no_words_at_the_places_of_the_words(made, asked, tags, weak_tags):
    text = tags.weak if weak_tags else torch.zeros_like(tags.states)
    found = made(weak_tags=weak_tags)
    assert torch.equal(found.null.hidden, asked(text, (0,) * 5))
    assert found.null.mask.all()


@torch.inference_mode()
def test_it_may_have_the_lyrics_in_a_weaker_reading(made, asked, tags):
    found = made(weak_tags=True, weak_lyrics=True, text_only=True)
    assert torch.equal(found.null.hidden, asked(tags.weak, weaken=WEAK))
    assert torch.equal(found.text_only.hidden, asked(tags.states, weaken=WEAK))
    assert not torch.equal(asked(tags.states), asked(tags.states, weaken=WEAK))


@torch.inference_mode()
def test_tags_alone(made, asked, tags):
    assert torch.equal(made(text_only=True).text_only.hidden, asked(tags.states, (0,) * 5))


@torch.inference_mode()
def test_an_edit_does_not_see_where_lyrics_would_be(made, asked, tags):
    found = made(edit=True)
    assert torch.equal(found.null.hidden, asked(torch.zeros_like(tags.states), (0,) * 5, (0,) * 5))
    assert found.null.mask.tolist() == [[True] * 5 + [False] * 5]


@torch.inference_mode()
def test_no_lyrics_are_one_place_that_is_not_seen(made):
    found = made(LyricTokens((0,), (), ()))
    assert found.full.mask.tolist() == found.null.mask.tolist() == [[True] * 5 + [False]]
    assert torch.isfinite(found.full.hidden).all()


@torch.inference_mode()
def test_a_batch_is_padded_and_what_is_padded_is_not_seen(made):
    short, long = made(LyricTokens((261, 2), (), ())), made()
    both = together([short, long])
    assert both.full.hidden.shape[:2] == (2, 10)
    assert both.full.mask.tolist()[0] == [True] * 7 + [False] * 3
    assert torch.equal(both.full.hidden[0, :7], short.full.hidden[0])
    assert torch.equal(both.null.hidden[1], long.null.hidden[0])
    assert both.text_only is None


def needs(*, edit=False, parity=False, **sampling):
    return Needs.of(manner_of(job_of(sampling=sampling, parity=parity).resolved, torch.float32), edit=edit)


def test_what_guidance_needs():
    assert needs(guidance_scale=1) == Needs(null=False)
    assert needs(erg=()) == Needs(null=True)
    assert needs(erg=("tags", "lyrics")) == Needs(null=True, weak_tags=True, weak_lyrics=True)
    assert needs(guidance_text=5, guidance_lyrics=1.5) == Needs(null=True, text_only=True)
    assert needs(edit=True, erg=("tags", "lyrics")) == Needs(null=True, edit=True)


def test_weak_tags_do_nothing_without_weak_lyrics_in_the_original_alone():
    assert needs(erg=("tags",)).weak_tags
    assert not needs(erg=("tags",), parity=True).weak_tags
    assert needs(erg=("tags", "lyrics"), parity=True).weak_tags
