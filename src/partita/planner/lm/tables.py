"""What a vocabulary means to the grammar, worked out once: value trees, spellings, wide token sets, genre tokens.

Shared by all runs with one tokenizer, whatever their rules. Holds CPU tensors only; `masks` takes them to a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import torch
from torch import Tensor

from partita.planner.lm.fields import DURATION_MAX_S, Field, valid_values
from partita.planner.lm.states import Wide
from partita.planner.lm.trees import (
    GenreVocabulary,
    Tree,
    longest_spelling,
    natural_spelling,
    tokens_by_first_letter,
    value_tree,
)
from partita.planner.lm.vocabulary import PlannerVocabulary

AFTER_CAPTION = "duration:"
"""The name that follows a caption: a duration is never skipped."""

_NOTES = "ABCDEFG"


class Tables:
    """Lazily filled, never changed once filled."""

    def __init__(self, vocabulary: PlannerVocabulary) -> None:
        self.vocabulary = vocabulary
        self._trees: dict[tuple[Field, int], Tree] = {}
        self._spellings: dict[tuple[str, bool], dict[int, int]] = {}
        self._wide: dict[Wide, Tensor] = {}
        self._genres: GenreTokens | None = None

    def tree(self, field: Field, duration_max_s: int = DURATION_MAX_S) -> Tree:
        """The values of `field`, as `value_tree` has them."""
        key = (field, duration_max_s if field is Field.DURATION else 0)
        if key not in self._trees:
            values = valid_values(field, duration_max_s)
            starts = _NOTES if field is Field.KEYSCALE else ""
            self._trees[key] = value_tree(self.vocabulary, field.value, values, starts)
        return self._trees[key]

    def spelling(self, text: str, original: bool = False) -> dict[int, int]:
        """Character position -> token that writes on from there: the vocabulary's own way, or the original's longest
        single tokens (which spells `bpm:` as the planner never saw it)."""
        key = (text, original)
        if key not in self._spellings:
            self._spellings[key] = (longest_spelling if original else natural_spelling)(self.vocabulary, text)
        return self._spellings[key]

    def genre_tokens(self, genres: GenreVocabulary) -> GenreTokens:
        """The tokens of a genre vocabulary; the last one asked for is kept."""
        if self._genres is None or self._genres.genres is not genres:
            self._genres = GenreTokens(self.vocabulary, genres)
        return self._genres

    def wide(self, which: Wide) -> Tensor:
        """Bool [size], true where a token belongs to the set."""
        if which not in self._wide:
            self._wide[which] = self._make(which)
        return self._wide[which]

    def _make(self, which: Wide) -> Tensor:
        vocabulary, visible = self.vocabulary, self._visible
        match which:
            case Wide.ANY:
                return torch.ones(vocabulary.size, dtype=torch.bool)
            case Wide.NOT_NEWLINE:
                return ~self._of((vocabulary.newline_id,))
            case Wide.NOT_CODES:
                return ~self._of(vocabulary.code_ids)
            case Wide.NOT_CODES_NOR_BACKTICK:
                return ~self._of((*vocabulary.code_ids, vocabulary.backtick_id))
            case Wide.CODES:
                return self._of(vocabulary.code_ids)
            case Wide.CODES_OR_END:
                return self._of((*vocabulary.code_ids, vocabulary.end_id))
            case Wide.TEXT:
                return self._free | self._of((vocabulary.end_id,))
            case Wide.CAPTION:
                return visible & (~self._breaks | self._of(self._ids(_keeps_column)))
            case Wide.CAPTION_BEGIN | Wide.GENRES_BEGIN:
                return visible & ~self._breaks
            case Wide.GENRES:
                return visible & ~self._breaks | self._of((vocabulary.newline_id,))
            case Wide.CAPTION_LINE:
                indented = self._of(self._ids(lambda text: text[:1] in (" ", "\t")))
                return visible & ~self._breaks & indented | self._of((self.spelling(AFTER_CAPTION)[0],))

    @cached_property
    def _free(self) -> Tensor:
        """Tokens that write plain text."""
        vocabulary = self.vocabulary
        named = self._of((*vocabulary.code_ids, *vocabulary.dead_code_ids, *vocabulary.mark_ids))
        return self._of(self._ids(bool)) & ~named

    @cached_property
    def _visible(self) -> Tensor:
        return self._free & ~self._of(self._ids(lambda text: "`" in text or "\r" in text))

    @cached_property
    def _breaks(self) -> Tensor:
        return self._of(self._ids(lambda text: "\n" in text))

    def _ids(self, holds: Callable[[str], bool]) -> list[int]:
        return [token for token, text in enumerate(self.vocabulary.texts) if holds(text)]

    def _of(self, ids: Iterable[int]) -> Tensor:
        found = torch.zeros(self.vocabulary.size, dtype=torch.bool)
        found[torch.tensor(list(ids), dtype=torch.int64)] = True
        return found


def _keeps_column(text: str) -> bool:
    """Whether a token with a line feed leaves nothing at the beginning of the line that would be no caption."""
    return text.rpartition("\n")[2][:1] in ("", " ", "\t")


class GenreTokens:
    """Which tokens may go on a genre value. Answers are kept, as the first letters of a large list take a while."""

    def __init__(self, vocabulary: PlannerVocabulary, genres: GenreVocabulary) -> None:
        self.genres = genres
        self._texts = vocabulary.texts
        self._newline = vocabulary.newline_id
        self._marked = {*vocabulary.mark_ids, *vocabulary.code_ids, *vocabulary.dead_code_ids}
        self._by_letter = tokens_by_first_letter(vocabulary.texts)
        self._answers: dict[tuple[str, bool], tuple[int, ...]] = {}

    def after(self, text: str) -> tuple[int, ...]:
        """Tokens that may follow `text`, a value so far with the blank that it begins with. Letters match whatever
        their case; the line feed may follow a whole entry."""
        key = (text.lower(), False)
        if key not in self._answers:
            self._answers[key] = tuple(sorted(self._after(key[0])))
        return self._answers[key]

    def _after(self, text: str) -> set[int]:
        if not text:
            found = {i for i in self._by_letter.get(" ", ()) if self._goes_on(self._texts[i].lower())}
        else:
            letters = set(self.genres.letters_after(text[1:]))
            candidates = {i for letter in letters for i in self._by_letter.get(letter, ())}
            found = {i for i in candidates if self._goes_on(text + self._texts[i].lower())}
            if text[1:] in self.genres:
                found.add(self._newline)
        return found - self._marked

    def _goes_on(self, text: str) -> bool:
        return text[:1] == " " and self.genres.begins(text[1:])

    def original_after(self, text: str) -> tuple[int, ...]:
        """The same by the original's rules: the value is compared without blanks around it, a token without those
        behind it, and a token of nothing but blanks passes where a blank may follow."""
        key = (text.lower(), True)
        if key not in self._answers:
            self._answers[key] = tuple(sorted(self._original_after(key[0].strip())))
        return self._answers[key]

    def _original_after(self, prefix: str) -> set[int]:
        letters = set(self.genres.letters_after(prefix))
        blanks_pass = " " in letters or "," in letters
        found = {self._newline} if prefix in self.genres else set()
        for token in {i for letter in letters for i in self._by_letter.get(letter, ())}:
            text = self._texts[token].lower().rstrip()
            if self.genres.begins(prefix + text) if text else blanks_pass:
                found.add(token)
        return found or {self._newline}
