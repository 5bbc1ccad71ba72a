"""The planner's operations over its network: metadata of a song, audio codes, and words from a wish, words or codes.

Each is a generator of the decode loop's events that returns what was written; who stops iterating has cancelled. An
answer that goes in circles, is no text or never ends is thrown away and asked for once more, with other draws. It knows
prompts, grammar and network, nothing of requests, files or songs. `original=True` does as the original program does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from partita.errors import ModelError, PlannerError, RequestError
from partita.models.quantised import Form, plain
from partita.models.qwen3_decoder import Head, Qwen3Decoder
from partita.planner.lm.chat import chat_of
from partita.planner.lm.constraint import CodeColumns, GrammarConstraint
from partita.planner.lm.decode import Continuation, Event, Written, decode
from partita.planner.lm.fields import DURATION_MAX_S, Field, given_values
from partita.planner.lm.grammar import CAPTION_MAX_TOKENS
from partita.planner.lm.judge import judge_codes
from partita.planner.lm.lengths import CONTEXT_MARGIN, CONTEXT_TOKENS, answer_tokens, check_fits
from partita.planner.lm.masks import Masks
from partita.planner.lm.operations import codes_rules, create_rules, format_rules, metadata_rules, understand_rules
from partita.planner.lm.original_grammar import grammar_of
from partita.planner.lm.parse import Answer, degenerate, parse
from partita.planner.lm.prompts import CURRENT, INSTRUMENTAL, NO_INPUT, Layout, Prompts, thought
from partita.planner.lm.sampling import Sampling
from partita.planner.lm.scores import ConditionScores
from partita.planner.lm.states import Rules
from partita.planner.lm.steps import Speed
from partita.planner.lm.tables import Tables
from partita.planner.lm.vocabulary import code_token
from partita.song.plan import CODES_PER_S, Plan

ROWS_AT_ONCE = 8
"""The most continuations that are written side by side, as in the original: each guided pair of ten minutes holds
0.9 GiB of keys and values in the smallest planner."""

METADATA_TOKENS = CAPTION_MAX_TOKENS + 128
"""The longest caption, and all other fields with their names."""

LYRICS_TOKENS = 512
"""Room that must be left for lyrics behind the metadata."""

METADATA, CODES, CREATE, FORMAT, UNDERSTAND = range(5)
_AGAIN = 16
"""Draws of one seed are told apart by what is written, and whether for the second time."""

_SHOWN = 400
_FOUR = ("bpm", "duration", "keyscale", "timesignature")

Writing = Generator[Event, None, "list[Draft]"]


@dataclass(frozen=True, slots=True)
class Draft:
    """One continuation: its `text`, taken apart, and whether it ended by itself. `note` says why an earlier one was
    thrown away, where one was."""

    text: str
    answer: Answer
    codes: tuple[int, ...] = ()
    ended: bool = True
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a song is planned from. `given` are values that are settled, under the planner's field names."""

    caption: str
    lyrics: str
    given: Mapping[str, Any] = field(default_factory=dict)
    duration_max_s: int = DURATION_MAX_S


@dataclass(frozen=True, kw_only=True)
class How:
    """How songs are planned. `caption` and `language`: whether these fields are written where they are not given."""

    sampling: Sampling = Sampling()  # noqa: RUF009  (a frozen value)
    caption: bool = True
    language: bool = True
    codes: bool = True
    negative: str = NO_INPUT
    layout: Layout = CURRENT
    original: bool = False


@dataclass(frozen=True, slots=True)
class SongAnswer:
    """What a planner wrote for one song: metadata under its field names, and codes 0..63999 where these were wanted."""

    metadata: Mapping[str, int | str]
    codes: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One prompt to continue: `room` is what must be left of the context, `most` the most that may be written."""

    what: str
    prompt: str
    rules: Rules
    sampling: Sampling
    phase: int
    room: int
    most: int
    fault: Callable[[Draft], str | None]
    unconditional: str | None = None
    only_codes: bool = False
    longest: str = "lyrics"


class LanguagePlanner:
    """A planner's network and its vocabulary's tables. Heads and masks are made when they are first needed.

    `head_form` is what becomes of the weights of the output heads. Raises ModelError where network and vocabulary are
    not of one checkpoint.
    """

    def __init__(
        self,
        decoder: Qwen3Decoder,
        tables: Tables,
        *,
        head_form: Form = plain,
        speed: Speed | None = None,
    ) -> None:
        self.vocabulary = vocabulary = tables.vocabulary
        self._decoder, self._tables, self._form, self._speed = decoder, tables, head_form, speed
        self._masks = Masks(self._tables, decoder.config.vocab_size, decoder.like.device)
        self._chat = chat_of(vocabulary.chat_template)

    def judge(self, plan: Plan, codes: Sequence[int]) -> ConditionScores:
        """How well codes fit the caption, lyrics and metadata of a plan. Raises RequestError where it says nothing."""
        return judge_codes(plan, codes, self._decoder, self._word_head, self.vocabulary)

    def songs(self, wish: Wish, seeds: Sequence[int], how: How) -> Generator[Event, None, list[SongAnswer]]:
        """Plan one song for each seed. Metadata of all are written from one reading of the prompt, each by its own
        seed; songs whose metadata agree share one reading of the prompt for codes.

        As the original, metadata is written once, by the first seed, and shared; not at all where tempo, duration, key
        and metre are given. Raises RequestError for values or texts that the planner does not take, PlannerError.
        """
        given_values(
            wish.given, duration_max_s=wish.duration_max_s, original=how.original
        )  # tells what is out of range
        if self._needs_metadata(wish, how):
            drafts = yield from self._metadata(wish, seeds[:1] if how.original else seeds, how)
            answers = [SongAnswer(one.answer.metadata, notes=_notes(one)) for one in drafts]
            answers *= len(seeds) if how.original else 1
        else:
            answers = [SongAnswer(dict(wish.given))] * len(seeds)
        if not how.codes:
            return answers
        groups: dict[tuple[str, Any], list[int]] = {}
        for row, one in enumerate(answers):
            key = (thought(one.metadata, original=how.original), one.metadata.get(Field.DURATION.value))
            groups.setdefault(key, []).append(row)
        for (finished, duration), rows in groups.items():
            duration_s = wish.given.get("duration") if how.original else wish.given.get("duration", duration)
            own = [seeds[row] for row in rows]
            drafts = yield from self._codes(wish, finished, _seconds(duration_s), own, how)
            for row, draft in zip(rows, drafts, strict=True):
                notes = (*answers[row].notes, *_notes(draft))
                answers[row] = replace(answers[row], codes=draft.codes, notes=notes)
        return answers

    def create(
        self, query: str, instrumental: bool, seed: int, sampling: Sampling, *, language: str | None, original: bool
    ) -> Generator[Event, None, Draft]:
        """A whole song in words from a wish. Raises RequestError for an empty wish (the original makes one up)."""
        if not query.strip() and not original:
            raise RequestError(
                "The wish is empty: say what the song should be, for example 'a sea shanty about debugging'.",
                field="wish",
                value=query,
            )
        return (
            yield from self._words(
                "song in words",
                self._prompts(original).create(query, instrumental),
                create_rules(language, original=original),
                seed,
                sampling,
                CREATE,
                longest="wish",
                sung=not instrumental,
            )
        )

    def format(
        self,
        caption: str,
        lyrics: str,
        seed: int,
        sampling: Sampling,
        *,
        given: Mapping[str, Any] | None = None,
        original: bool = False,
    ) -> Generator[Event, None, Draft]:
        """Caption and lyrics in the planner's own words; values that are given stay.

        Raises RequestError where caption and lyrics are both empty (not in the original).
        """
        if not caption.strip() and not lyrics.strip() and not original:
            raise RequestError(
                "Caption and lyrics are both empty: give what should be rewritten.", field="caption", value=caption
            )
        rules = format_rules(given, original=original)
        prompt = self._prompts(original).format(caption, lyrics)
        return (yield from self._words("rewritten song", prompt, rules, seed, sampling, FORMAT, longest="lyrics"))

    def understand(
        self, codes: Sequence[int], seed: int, sampling: Sampling, *, original: bool = False
    ) -> Generator[Event, None, Draft]:
        """What audio codes sound like, in words.

        Raises RequestError where there are none, ModelError where the vocabulary lacks one.
        """
        if not codes:
            raise RequestError("There are no audio codes to describe: give at least one.", field="codes", value=codes)
        written = "".join(map(code_token, codes))
        known = sum(self.vocabulary.code_of(token) is not None for token in self.vocabulary.encode(written))
        if known != len(codes):
            raise ModelError(
                f"The planner's tokenizer knows {known} of {len(codes)} audio codes; it is not whole. Fetch the model "
                "again.",
                path=self.vocabulary.path,
            )
        prompt = self._prompts(original).understand(written)
        rules = understand_rules(original=original)
        return (yield from self._words("description", prompt, rules, seed, sampling, UNDERSTAND, longest="audio"))

    def _needs_metadata(self, wish: Wish, how: How) -> bool:
        if all(wish.given.get(name) is not None for name in _FOUR):
            return not how.original and (how.caption or (how.language and "language" not in wish.given))
        return True

    def _metadata(self, wish: Wish, seeds: Sequence[int], how: How) -> Writing:
        rules = metadata_rules(
            wish.given,
            caption=how.caption,
            language=how.language or "language" in wish.given,
            duration_max_s=wish.duration_max_s,
            original=how.original,
        )
        wanted = {"bpm", "duration", "keyscale", "timesignature"} | ({"caption"} if how.caption else set())

        def fault(draft: Draft) -> str | None:
            missing = sorted(wanted - set(draft.answer.metadata)) if not how.original else []
            return f"it says nothing of {', '.join(missing)}" if missing else None

        most = METADATA_TOKENS
        if how.original:
            most = answer_tokens(_seconds(wish.given.get("duration")), codes_only=False)
        work = _Work(
            what="plan",
            prompt=self._prompts(how.original).metadata(wish.caption, wish.lyrics),
            rules=rules,
            sampling=replace(how.sampling, guidance=1.0),
            phase=METADATA,
            room=METADATA_TOKENS,
            most=most,
            fault=fault,
        )
        return self._write(work, seeds)

    def _codes(self, wish: Wish, finished: str, duration_s: float | None, seeds: Sequence[int], how: How) -> Writing:
        """Codes behind a finished thought: as many as cover `duration_s`, or as many as the planner likes."""
        rules = codes_rules(duration_s, original=how.original)
        if duration_s is not None and not how.original:
            rules = replace(rules, target_codes=math.ceil(duration_s * CODES_PER_S - 1e-6))
        target = rules.target_codes
        most = answer_tokens(duration_s, codes_only=True) if how.original or target is None else target + 1
        prompts = self._prompts(how.original, how.layout)
        work = _Work(
            what="series of audio codes",
            prompt=prompts.codes(wish.caption, wish.lyrics, finished),
            unconditional=prompts.codes_unconditional(wish.caption, wish.lyrics, how.negative),
            rules=rules,
            sampling=how.sampling,
            phase=CODES,
            room=min(most, target + 1) if target is not None else CONTEXT_MARGIN,
            most=most,
            fault=lambda draft: None if draft.codes else "it holds no audio code",
            only_codes=True,
        )
        return self._write(work, seeds)

    def _words(
        self,
        what: str,
        prompt: str,
        rules: Rules,
        seed: int,
        sampling: Sampling,
        phase: int,
        *,
        longest: str,
        sung: bool = False,
    ) -> Generator[Event, None, Draft]:
        def fault(draft: Draft) -> str | None:
            if not draft.answer.metadata:
                return "it says nothing of the music"
            return "it holds no lyrics" if sung and not draft.answer.lyrics else None

        work = _Work(
            what=what,
            prompt=prompt,
            rules=rules,
            sampling=replace(sampling, guidance=1.0),
            phase=phase,
            room=METADATA_TOKENS + LYRICS_TOKENS,
            most=CONTEXT_TOKENS - CONTEXT_MARGIN,
            fault=fault,
            longest=longest,
        )
        (draft,) = yield from self._write(work, [seed])
        return draft

    def _write(self, work: _Work, seeds: Sequence[int]) -> Writing:
        """A draft for each seed, in order. Those with a fault are asked for once more."""
        found: list[Draft] = []
        for begin in range(0, len(seeds), ROWS_AT_ONCE):
            found += yield from self._rows(work, seeds[begin : begin + ROWS_AT_ONCE])
        faults = {row: fault for row, draft in enumerate(found) if (fault := self._fault(work, draft)) is not None}
        for row, fault in faults.items():
            (second,) = yield from self._rows(replace(work, phase=work.phase + _AGAIN), [seeds[row]])
            again = self._fault(work, second)
            if again is not None:
                raise PlannerError(
                    f"The planner wrote no {work.what} that can be used, twice: the first time {fault}, then {again}. "
                    f"Try another seed, a lower temperature or a larger planner. It wrote: {_shown(second.text)}",
                    text=second.text,
                )
            found[row] = replace(second, note=f"The planner's first {work.what} was thrown away, as {fault}.")
        return found

    def _rows(self, work: _Work, seeds: Sequence[int]) -> Writing:
        prompt = self.vocabulary.encode(work.prompt)
        check_fits(len(prompt), work.room, field=work.longest)
        guided = work.unconditional is not None and work.sampling.guidance > 1.0
        grammar = grammar_of(self._tables, work.rules)
        columns = self._code_columns if work.only_codes else None
        most = min(work.most, CONTEXT_TOKENS - len(prompt))
        continuation = Continuation(
            prompt=prompt,
            seeds=seeds,
            constraint=GrammarConstraint.begin(grammar, None if columns else self._masks, columns),
            max_tokens=most,
            sampling=work.sampling,
            unconditional=self.vocabulary.encode(work.unconditional or "") if guided else None,
            phase=work.phase,
        )
        head = self._code_head if work.only_codes else self._word_head
        for event in decode(self._decoder, head, continuation, self._speed):
            if isinstance(event, Written):
                return list(map(partial(self._draft, work), event.tokens, event.ended))
            yield event
        raise AssertionError("a decode run ends with what was written")

    def _draft(self, work: _Work, tokens: Sequence[int], ended: bool) -> Draft:
        text = self.vocabulary.decode(tokens)
        codes = tuple(code for token in tokens if (code := self.vocabulary.code_of(token)) is not None)
        return Draft(text, parse("" if work.only_codes else text, original=work.rules.original), codes, ended)

    def _fault(self, work: _Work, draft: Draft) -> str | None:
        """Why a draft cannot be used. The original takes what does not end."""
        circles = degenerate(draft.codes if work.only_codes else draft.text)
        if circles is None and not draft.ended and not work.rules.original:
            return "it does not come to an end"
        return circles or work.fault(draft)

    def _prompts(self, original: bool, layout: Layout = CURRENT) -> Prompts:
        return Prompts(self._chat, layout, raw=original)

    @cached_property
    def _word_head(self) -> Head:
        return self._decoder.head(form=self._form)

    @cached_property
    def _code_columns(self) -> CodeColumns:
        return CodeColumns(self.vocabulary, self._decoder.like.device)

    @cached_property
    def _code_head(self) -> Head:
        return self._decoder.head(self._code_columns.ids, form=self._form)


def without_voice(lyrics: str) -> bool:
    """Whether lyrics say that there are none."""
    return not lyrics.strip() or lyrics.strip().casefold() == INSTRUMENTAL.casefold()


def _notes(draft: Draft) -> tuple[str, ...]:
    return () if draft.note is None else (draft.note,)


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _shown(text: str) -> str:
    bare = " ".join(text.split())
    return repr(bare if len(bare) <= _SHOWN else f"{bare[:_SHOWN]} [...]")
