"""The grammar's own behaviour: answers as they were trained, whatever the network would like to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.errors import ModelError, RequestError
from partita.planner.lm.fields import FIELD_NAMES, KEYSCALES, TIME_SIGNATURES, Field, given_values, time_signature
from partita.planner.lm.grammar import Grammar
from partita.planner.lm.masks import Masks
from partita.planner.lm.operations import codes_rules, create_rules, format_rules, metadata_rules, understand_rules
from partita.planner.lm.original_grammar import OriginalGrammar, grammar_of
from partita.planner.lm.parse import parse
from partita.planner.lm.states import Place, Rules, Then, TokenSet, Wide
from partita.planner.lm.trees import GenreVocabulary
from partita.text.languages import LANGUAGES
from tests.planner.lm.material import answer, tables, write

GENRES = GenreVocabulary.of(["Pop", "pop rock", "rock, jazz", "# not one", "", "the calm", "drum and bass"])
# What the original's captions escape by: line feeds, field names, colons and the end of the turn.
TEMPTING = {
    "\n": 6.0,
    ":": 5.0,
    "key": 5.0,
    "the": 4.0,
    " the": 6.0,
    "<|im_end|>": 7.0,
    "`": 6.0,
    "<|audio_code_3|>": 6.0,
}

free = Grammar(tables(), metadata_rules())


def text_of(tokens: list[int]) -> str:
    return tables().vocabulary.decode(tokens)


def names_in(text: str) -> list[str]:
    return [line.split(":")[0] for line in text.split("</think>")[0].split("\n") if re.match("[a-z]+:", line)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_whatever_is_drawn_every_field_is_there_and_valid(seed: int, caption: bool, language: bool) -> None:
    grammar = Grammar(tables(), metadata_rules(caption=caption, language=language))
    tokens, state = answer(grammar, seed, TEMPTING)
    text = text_of(tokens)
    assert grammar.done(state)
    assert text.startswith("<think>\n")
    assert text.endswith("\n<|im_end|>")
    skipped = {"genres"} | ({"caption"} if not caption else set()) | ({"language"} if not language else set())
    assert names_in(text) == [name for name in FIELD_NAMES if name not in skipped]
    found = parse(text).metadata
    assert 30 <= int(found["bpm"]) <= 300
    assert 10 <= int(found["duration"]) <= 600
    assert found["keyscale"] in KEYSCALES
    assert found["timesignature"] in TIME_SIGNATURES
    assert found.get("language", "en") in LANGUAGES
    assert not re.search(r"<\|audio|`|</think>", text)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_the_duration_that_was_written_settles_the_codes(seed: int) -> None:
    grammar = Grammar(tables(), Rules(Then.CODES, skipped=frozenset({Field.CAPTION, Field.GENRES}), duration_max_s=30))
    tokens, state = answer(grammar, seed, {"<|im_end|>": 9.0})
    text = text_of(tokens)
    assert grammar.done(state)
    assert "\n</think>\n\n<|audio_code_" in text
    assert len(parse(text).codes) == 5 * int(parse(text).metadata["duration"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_free_text_ends_with_the_turn_and_holds_no_codes(seed: int) -> None:
    rules = create_rules("fr", genres=GENRES)
    tokens, state = answer(grammar_of(tables(), rules), seed, {**TEMPTING, "</think>": 7.0, "<think>": 7.0})
    text = text_of(tokens)
    assert state.place is Place.END
    vocabulary = tables().vocabulary
    assert tokens.count(vocabulary.close_think_id) == tokens.count(vocabulary.think_id) == 1
    assert parse(text).codes == ()
    assert parse(text).metadata["language"] == "fr"
    assert str(parse(text).metadata["genres"]).lower() in GENRES.entries
    assert "\ngenres: " in text


def test_a_genre_list_is_no_need() -> None:
    tokens, _ = answer(grammar_of(tables(), understand_rules()), 3, {"\n": 5.0, "<|im_end|>": 9.0})
    assert names_in(text_of(tokens)) == list(FIELD_NAMES)
    assert parse(text_of(tokens)).metadata["genres"]


def test_a_genre_that_never_ends_is_ended() -> None:
    grammar = grammar_of(tables(), understand_rules())
    tokens, _ = answer(grammar, 3, {" the": 60.0, "<|im_end|>": 30.0})
    assert str(parse(text_of(tokens)).metadata["genres"]).count("the") == 128


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_forced_tokens_are_those_that_would_be_chosen(seed: int, original: bool) -> None:
    rules = metadata_rules({"bpm": 120, "language": "yue"}, caption=False, original=original)
    grammar = grammar_of(tables(), rules)
    tokens, _ = answer(grammar, seed)
    state, place, jumped = grammar.start(), 0, 0
    while place < len(tokens):
        run = list(grammar.forced(state))
        assert run == tokens[place : place + len(run)]
        jumped += len(run)
        for token in run or tokens[place : place + 1]:
            state = grammar.advance(state, token)
            place += 1
    assert grammar.done(state)
    assert jumped > len(tokens) / 2


def test_nothing_is_forced_where_the_logits_decide() -> None:
    grammar = grammar_of(tables(), metadata_rules(original=True))
    at = write(grammar, grammar.start(), "<think>\nbpm: 99\ncaption: the\n")
    assert grammar.looks_at_logits(at)
    assert grammar.forced(at) == ()


def test_states_are_values() -> None:
    state = free.start()
    token = free.allowed(state).only
    assert token == tables().vocabulary.think_id
    assert free.advance(state, token) == free.advance(state, token) != state
    assert state == free.start()


def test_names_are_spelled_as_the_vocabulary_does() -> None:
    vocabulary = tables().vocabulary
    run = free.forced(free.start())
    assert (
        list(run)
        == vocabulary.encode("<think>\nbpm:") + vocabulary.encode("bpm: 30")[len(vocabulary.encode("bpm:")) :][:1]
    )


def test_a_number_stops_where_no_other_digit_fits() -> None:
    vocabulary = tables().vocabulary
    at = write(free, free.start(), "<think>\nbpm: 3")
    assert free.allowed(at) == TokenSet(vocabulary.digit_ids)
    assert free.allowed(write(free, at, "0")).ids == (vocabulary.digit_ids[0], vocabulary.newline_id)
    assert free.allowed(write(free, at, "00")).only == vocabulary.newline_id
    at = write(free, free.start(), "<think>\nbpm: 12")
    assert free.allowed(at) == TokenSet(vocabulary.digit_ids)
    assert free.allowed(write(free, at, "0")).only == vocabulary.newline_id


def test_a_longest_duration_holds() -> None:
    grammar = Grammar(tables(), metadata_rules(caption=False, duration_max_s=480))
    at = write(grammar, grammar.start(), "<think>\nbpm: 99\nduration: 48")
    vocabulary = tables().vocabulary
    assert grammar.allowed(at).ids == (vocabulary.digit_ids[0], vocabulary.newline_id)


def test_the_language_is_the_best_one_whatever_the_temperature() -> None:
    at = write(free, free.start(), "<think>\nbpm: 99\ncaption: the calm\nduration: 99\nkeyscale: C major\nlanguage:")
    allowed = free.allowed(at)
    assert allowed.best_only
    logits = torch.randn(tables().vocabulary.size, generator=torch.Generator().manual_seed(1))
    masked, _ = free.mask(at, logits, Masks(tables()))
    (left,) = masked.isfinite().nonzero().flatten().tolist()
    assert left == max(allowed.ids, key=lambda token: float(logits[token]))


class TestCaptions:
    at = write(free, free.start(), "<think>\nbpm: 99\ncaption:")

    def test_one_begins_with_text(self) -> None:
        assert self.at.field is Field.CAPTION
        assert free.allowed(self.at).wide is Wide.CAPTION_BEGIN
        assert not free.admits(self.at, tables().vocabulary.newline_id)

    @pytest.mark.parametrize("text", ["`", "<|im_end|>", "<|endoftext|>", "</think>", "<|audio_code_3|>"])
    def test_nothing_but_text_is_in_it(self, text: str) -> None:
        (token,) = tables().vocabulary.encode(text)
        for written in (" the", " the\n", " the\n  "):
            assert not free.admits(write(free, self.at, written), token)

    def test_codes_beyond_the_codebook_are_codes_too(self) -> None:
        assert not any(free.admits(self.at, token) for token in tables().vocabulary.dead_code_ids)

    def test_a_line_goes_on_indented_or_the_duration_follows(self) -> None:
        vocabulary = tables().vocabulary
        at = write(free, self.at, " the calm\n")
        texts = {vocabulary.text(token) for token in range(vocabulary.size) if free.admits(at, token)}
        leaving = vocabulary.text(vocabulary.encode("duration:")[0])
        assert {text for text in texts if text[0] not in " \t"} == {leaving}
        assert not any("\n" in text for text in texts)
        assert write(free, at, "  the").place is Place.VALUE
        assert write(free, at, "duration:") == write(free, write(free, at, "  the\n"), "duration:")
        assert write(free, at, "duration:").field is Field.DURATION

    def test_it_ends_after_512_tokens(self) -> None:
        vocabulary = tables().vocabulary
        at = self.at
        (the,) = vocabulary.encode(" the")
        for _ in range(512):
            assert free.admits(at, the)
            at = free.advance(at, the)
        assert free.allowed(at).only == vocabulary.newline_id
        at = free.advance(at, vocabulary.newline_id)
        assert free.allowed(at).only == vocabulary.encode("duration:")[0]

    def test_given_ones_are_one_line(self) -> None:
        grammar = Grammar(tables(), metadata_rules({"caption": "two\n  lines"}))
        at = write(grammar, grammar.start(), "<think>\nbpm: 99\n")
        assert text_of(list(grammar.forced(at))).startswith("caption: two lines\nduration:")


def test_codes_come_in_the_number_asked_for() -> None:
    grammar = grammar_of(tables(), codes_rules(1.0))
    assert grammar.start().place is Place.CODES
    tokens, state = answer(grammar, 0, {"<|im_end|>": 30.0})
    assert len(tokens) == 6
    assert grammar.done(state)
    assert tokens[-1] == tables().vocabulary.end_id


def test_without_a_duration_codes_end_where_the_planner_likes_but_not_before_the_first() -> None:
    grammar = grammar_of(tables(), codes_rules(None))
    tokens, _ = answer(grammar, 0, {"<|im_end|>": 60.0})
    assert len(tokens) == 2


def test_given_values_are_written_and_the_rest_is_left_open() -> None:
    grammar = grammar_of(tables(), format_rules({"bpm": "87", "language": "yue", "timesignature": "6/8"}))
    tokens, _ = answer(grammar, 5, {"\n": 4.0, "<|im_end|>": 6.0})
    found = parse(text_of(tokens)).metadata
    assert (found["bpm"], found["language"], found["timesignature"]) == (87, "yue", "6")


def test_the_original_loses_the_language_when_it_formats() -> None:
    given_language = {"language": "yue"}
    assert format_rules(given_language).skipped == frozenset()
    assert format_rules(given_language, original=True).skipped == {Field.LANGUAGE}
    assert (
        create_rules("unknown").given == create_rules(None).given == format_rules({"language": "unknown"}).given == {}
    )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"bpm": 20}, "bpm"),
        ({"bpm": "fast"}, "bpm"),
        ({"bpm": float("nan")}, "bpm"),
        ({"duration": 5}, "duration"),
        ({"duration": 601}, "duration"),
        ({"keyscale": "H major"}, "key"),
        ({"language": "klingon"}, "language"),
        ({"timesignature": "5/4"}, "time_signature"),
        ({"caption": "<|im_end|>"}, "caption"),
        ({"mood": "dark"}, "mood"),
    ],
)
def test_metadata_out_of_range_is_refused(values: dict[str, object], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        metadata_rules(values)
    assert caught.value.field == field


def test_values_are_put_in_the_planners_form() -> None:
    values = {"bpm": 99.6, "keyscale": "bbm", "timesignature": 4, "duration": "30", "caption": None, "language": " "}
    assert given_values(values) == {
        Field.BPM: "99",
        Field.DURATION: "30",
        Field.KEYSCALE: "Bb minor",
        Field.TIMESIGNATURE: "4",
    }
    assert given_values({"keyscale": "E♭ minor"}) == {Field.KEYSCALE: "E♭ minor"}
    assert [time_signature(beats) for beats in ("2", "3", "4", "6", "5")] == ["2/4", "3/4", "4/4", "6/8", None]


def test_a_token_that_is_not_allowed_is_no_silent_matter() -> None:
    at = write(free, free.start(), "<think>\nbpm:")
    with pytest.raises(ModelError, match="in the value of bpm, which its grammar does not allow"):
        free.advance(at, tables().vocabulary.end_id)
    with pytest.raises(ModelError, match="NaN"):
        free.advance(at, 10**9)


def test_logits_wider_than_the_vocabulary_are_never_chosen_there() -> None:
    size = tables().vocabulary.size
    masks = Masks(tables(), width=size + 5)
    for allowed in (TokenSet((1,)), TokenSet(wide=Wide.TEXT), TokenSet(wide=Wide.ANY)):
        assert not bool(masks.apply(allowed, torch.zeros(size + 5))[size:].isfinite().any())
    with pytest.raises(ModelError, match="not of one checkpoint"):
        Masks(tables(), width=size - 1)
    with pytest.raises(ModelError, match="masks are for"):
        masks.apply(TokenSet((1,)), torch.zeros(size))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_are_masked_each_by_its_own_state(dtype: torch.dtype) -> None:
    size = tables().vocabulary.size
    logits = torch.randn(2, size, generator=torch.Generator().manual_seed(0)).to(dtype)
    sets = [TokenSet((4, 9), best_only=True), TokenSet(wide=Wide.CODES_OR_END)]
    masked = Masks(tables()).apply_rows(sets, logits)
    assert masked.dtype is dtype
    assert masked[0].isfinite().nonzero().flatten().tolist() == [4 if logits[0, 4] >= logits[0, 9] else 9]
    left = masked[1].isfinite()
    assert sorted(left.nonzero().flatten().tolist()) == sorted(
        [*tables().vocabulary.code_ids, tables().vocabulary.end_id]
    )
    assert torch.equal(masked[1][left], logits[1][left])


def test_rules_choose_the_grammar() -> None:
    assert isinstance(grammar_of(tables(), metadata_rules(original=True)), OriginalGrammar)
    assert not isinstance(grammar_of(tables(), metadata_rules()), OriginalGrammar)


def test_genre_lists_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read"):
        GenreVocabulary.load(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    with pytest.raises(RequestError, match="holds no genre"):
        GenreVocabulary.load(tmp_path / "empty.txt")
    (tmp_path / "some.txt").write_text("Rock\nrock\npop\n")
    assert GenreVocabulary.load(tmp_path / "some.txt").entries == ("pop", "rock")
