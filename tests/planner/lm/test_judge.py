"""A plan's conditions, forced out of a tiny planner."""

from __future__ import annotations

import pytest
import torch

from partita.planner.lm.decode import score
from partita.planner.lm.judge import Forcing, judge_codes, metadata_of
from partita.planner.lm.prompts import Prompts
from partita.planner.lm.scores import after_prompt, score_conditions
from partita.planner.lm.vocabulary import code_token
from partita.song.plan import Plan
from tests.planner.lm.material import tables
from tests.planner.lm.tiny import tiny_decoder

VOCABULARY = tables().vocabulary
CODES = (1, 2, 3, 4, 5, 6, 7)
LYRICS = "[Verse]\n" + "the sea is wide and the sun is low\n" * 6


@pytest.fixture(scope="module")
def network():
    return tiny_decoder(VOCABULARY)


def plan(**fields) -> Plan:
    rest = {"caption": "a slow song", "lyrics": LYRICS, "language": "en", "duration_s": 10.4}
    return Plan(**(rest | {"bpm": 90, "key": "C major", "time_signature": "6/8"} | fields))


def test_metadata_is_in_the_trained_form():
    expected = {"bpm": 90, "duration": 10, "keyscale": "C major", "language": "en", "timesignature": 6}
    assert metadata_of(plan()) == expected
    assert metadata_of(plan(bpm=None, key=None, time_signature="3/4", language="unknown")) == {
        "duration": 10,
        "timesignature": 3,
    }


def test_scores_are_those_of_prompt_and_target_read_together(network):
    """Against one plain pass over prompt and target each, tokenised together."""
    head = network.head()

    def whole(prompt):
        def forced(text):
            before, ids = VOCABULARY.encode(prompt), VOCABULARY.encode(prompt + text)
            (rows,) = score(network, head, ids[:1], [ids[1:]])
            logits = torch.cat((rows, rows[-1:]))  # row i of a full pass predicts token i + 1; the last one is not used
            return after_prompt(logits, torch.tensor(ids), len(before))

        return forced

    prompts = Prompts()
    shown = prompts.understand("".join(map(code_token, CODES)))
    expected = score_conditions(
        *("a slow song", LYRICS, metadata_of(plan())), whole(shown), whole(prompts.understand("NO USER INPUT"))
    )
    found = judge_codes(plan(), CODES, network, head, VOCABULARY)
    assert found.fields == pytest.approx(expected.fields, abs=1e-4)
    assert found.total.score == pytest.approx(expected.total.score, abs=1e-4)


def test_other_codes_have_other_scores(network):
    head = network.head()
    first, second = (judge_codes(plan(), codes, network, head, VOCABULARY).fields for codes in (CODES, CODES[::-1]))
    assert first["lyrics"] != second["lyrics"]


def test_short_targets_share_a_reading_of_the_prompt_and_a_long_one_has_its_own(network, monkeypatch):
    readings = []

    def counted(decoder, head, prompt, targets):
        readings.append(len(targets))
        return score(decoder, head, prompt, targets)

    monkeypatch.setattr("partita.planner.lm.judge.score", counted)
    texts = ["a", "b", "word " * 200, "c"]
    forcing = Forcing(VOCABULARY.encode("prompt"), texts, network, network.head(), VOCABULARY)
    for text in texts:
        logits, ids = forcing(text)
        assert len(logits) == len(ids) == len(VOCABULARY.encode(text))
    assert readings == [3, 1]


def test_a_plan_that_says_little_is_scored_by_what_it_says(network):
    bare = plan(caption="", lyrics="", bpm=None, key=None, time_signature=None, language="unknown")
    assert set(judge_codes(bare, CODES, network, network.head(), VOCABULARY).fields) == {"duration"}
