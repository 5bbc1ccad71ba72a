"""The planner's grammar as an automaton over tokens: what may come next, and where a token leads.

A state is a value and a transition a pure function, so that rows of a batch are independent and any run of tokens can
be tried ahead. `Grammar` holds an answer to the format as it was trained: natural spellings, every field in its place,
no way out of the metadata but through its end, and a code count that agrees with the duration. `original_grammar` has
the same interface and the published program's behaviour. Knows nothing of networks; logits are `masks`'s.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from partita.errors import ModelError
from partita.planner.lm.fields import Field, field_after
from partita.planner.lm.lengths import code_target
from partita.planner.lm.masks import Masks
from partita.planner.lm.states import Place, Rules, State, Then, TokenSet, Wide
from partita.planner.lm.tables import AFTER_CAPTION, Tables
from partita.planner.lm.trees import Tree

CAPTION_MAX_TOKENS = 512
GENRES_MAX_TOKENS = 128

_FIXED = (Place.OPEN, Place.LINE, Place.NAME, Place.CLOSE)


class Grammar:
    """The answers of one run: a vocabulary's tables, and the run's rules."""

    original = False

    def __init__(self, tables: Tables, rules: Rules) -> None:
        self.tables = tables
        self.vocabulary = tables.vocabulary
        self.rules = rules
        self._newline = TokenSet((self.vocabulary.newline_id,))
        self._end = TokenSet((self.vocabulary.end_id,))

    def start(self) -> State:
        """Before the first token of an answer."""
        place = Place.CODES if self.rules.thought_done else Place.OPEN
        return State(place, target=self.rules.target_codes)

    def done(self, state: State) -> bool:
        """Whether the answer has ended; nothing that follows is looked at."""
        return state.place is Place.END

    def looks_at_logits(self, state: State) -> bool:
        """Whether `settle` must see this step's raw logits before `allowed` can answer. Never in this grammar."""
        return False

    def settle(self, state: State, logits: Tensor) -> State:
        """The state once the raw logits [V] of this step have been looked at."""
        return state

    def mask(self, state: State, logits: Tensor, masks: Masks) -> tuple[Tensor, State]:
        """(one row's logits [V] with what is not allowed at minus infinity, the state to `advance` from)."""
        if self.looks_at_logits(state):
            state = self.settle(state, logits)
        return masks.apply(self.allowed(state), logits), state

    def allowed(self, state: State) -> TokenSet:
        """What may come next."""
        match state.place:
            case Place.CLOSE if self.rules.then is Then.STOP:
                return self._end
            case Place.OPEN | Place.LINE | Place.NAME | Place.CLOSE:
                return TokenSet((self.tables.spelling(self._fixed(state), self.original)[state.position],))
            case Place.VALUE:
                return TokenSet(state.queue[:1]) if state.queue else self._value(state)
            case Place.CODES:
                if state.target is None:
                    return TokenSet(wide=Wide.CODES_OR_END if state.codes else Wide.CODES)
                return TokenSet(wide=Wide.CODES) if state.codes < state.target else self._end
            case Place.TEXT:
                return TokenSet(wide=Wide.TEXT)
            case Place.END:
                return TokenSet((self.vocabulary.pad_id,))

    def admits(self, state: State, token: int) -> bool:
        """Whether `token` is among what is allowed."""
        allowed = self.allowed(state)
        if allowed.wide is not None:
            return 0 <= token < self.vocabulary.size and bool(self.tables.wide(allowed.wide)[token])
        return token in allowed.ids

    def advance(self, state: State, token: int) -> State:
        """The state after `token`.

        Raises ModelError for a token that is not allowed: the sampler saw logits that were not masked, or NaN.
        """
        if state.place is Place.END:
            return state
        if not self.admits(state, token):
            raise ModelError(
                f"The planner chose token {token} ({self.vocabulary.text(token)!r}) in {self._where(state)}, which its "
                f"grammar does not allow there: its logits were NaN or not masked. Try another number format."
            )
        match state.place:
            case Place.CODES:
                if token == self.vocabulary.end_id:
                    return self._at(state, Place.END)
                return replace(state, codes=state.codes + 1)
            case Place.TEXT:
                return self._at(state, Place.END) if token == self.vocabulary.end_id else state
            case Place.CLOSE if self.rules.then is Then.STOP:
                return self._at(state, Place.END)
            case Place.VALUE:
                return self._queued(state) if state.queue else self._valued(state, token)
            case _:
                return self._written(state, token)

    def forced(self, state: State) -> tuple[int, ...]:
        """The tokens that follow without any choice, up to the first choice or the end of the answer. They may be fed
        to the network in one go."""
        run: list[int] = []
        while not self.done(state) and not self.looks_at_logits(state):
            token = self.allowed(state).only
            if token is None:
                break
            run.append(token)
            following = self.advance(state, token)
            if token == self.vocabulary.end_id or following == state:
                break
            state = following
        return tuple(run)

    def _where(self, state: State) -> str:
        return f"the {state.place.value} of {state.field.value}" if state.field else f"the {state.place.value}"

    def _at(self, state: State, place: Place, field: Field | None = None) -> State:
        """A fresh place, with what outlives a field."""
        return State(place, field, codes=state.codes, target=state.target)

    def _fixed(self, state: State) -> str:
        match state.place:
            case Place.OPEN:
                return "<think>"
            case Place.LINE:
                return "\n"
            case Place.CLOSE:
                # Codes follow an empty line, as in the prompt that holds a finished thought.
                return "</think>\n\n" if self.rules.then is Then.CODES else "</think>"
            case _:
                return f"{state.field.value}:" if state.field else ""

    def _written(self, state: State, token: int) -> State:
        """After a token of a fixed string."""
        position = state.position + len(self.vocabulary.text(token))
        if position < len(self._fixed(state)):
            return replace(self._at(state, state.place, state.field), position=position)
        return self._passed(state)

    def _passed(self, state: State) -> State:
        """After the last token of a fixed string."""
        match state.place:
            case Place.OPEN:
                return self._at(state, Place.LINE)
            case Place.LINE:
                return self._at(state, Place.NAME, Field.BPM)
            case Place.NAME:
                return self._value_of(state, state.field)
            case _:
                return self._at(state, {Then.CODES: Place.CODES, Then.TEXT: Place.TEXT}.get(self.rules.then, Place.END))

    def _value_of(self, state: State, field: Field | None) -> State:
        """Before the value of `field`; one that was given is queued whole."""
        following = self._at(state, Place.VALUE, field)
        given = self.rules.given.get(field) if field else None
        return following if given is None else replace(following, queue=tuple(self.vocabulary.encode(f" {given}\n")))

    def _next_field(self, state: State) -> State:
        following = field_after(state.field, self.rules.skipped) if state.field else None
        return self._at(state, Place.NAME, following) if following else self._at(state, Place.CLOSE)

    def _queued(self, state: State) -> State:
        """After a token of a given value."""
        if len(state.queue) > 1:
            return replace(state, queue=state.queue[1:])
        given = self.rules.given.get(state.field, "") if state.field else ""
        return self._ended(replace(state, text=given))

    def _value(self, state: State) -> TokenSet:
        """What may go on a value that was not given."""
        match state.field:
            case Field.CAPTION:
                return self._caption(state)
            case Field.GENRES:
                return self._genres(state)
            case Field.LANGUAGE if not state.ids:
                return TokenSet(self._tree(Field.LANGUAGE)[()], best_only=True)
            case None:
                return self._newline
            case field:
                return TokenSet(self._tree(field)[state.ids])

    def _tree(self, field: Field) -> Tree:
        return self.tables.tree(field, self.rules.duration_max_s)

    def _caption(self, state: State) -> TokenSet:
        full = state.tokens >= CAPTION_MAX_TOKENS
        if state.line_start:
            leave = self.tables.spelling(AFTER_CAPTION)[0]
            return TokenSet((leave,)) if full else TokenSet(wide=Wide.CAPTION_LINE)
        if full:
            return self._newline
        return TokenSet(wide=Wide.CAPTION if state.text.strip() else Wide.CAPTION_BEGIN)

    def _genres(self, state: State) -> TokenSet:
        if self.rules.genres is not None:
            return TokenSet(self.tables.genre_tokens(self.rules.genres).after(state.text))
        if state.tokens >= GENRES_MAX_TOKENS:
            return self._newline
        return TokenSet(wide=Wide.GENRES if state.text.strip() else Wide.GENRES_BEGIN)

    def _valued(self, state: State, token: int) -> State:
        """After a token of a value that was not given."""
        if state.field is Field.CAPTION:
            return self._captioned(state, token)
        if token == self.vocabulary.newline_id:
            return self._ended(state)
        text = state.text + self.vocabulary.text(token)
        return replace(state, ids=(*state.ids, token), text=text, tokens=state.tokens + 1)

    def _captioned(self, state: State, token: int) -> State:
        if state.line_start and token == self.tables.spelling(AFTER_CAPTION)[0]:
            return self._written(self._at(state, Place.NAME, Field.DURATION), token)
        text = self.vocabulary.text(token)
        return replace(state, text=state.text + text, tokens=state.tokens + 1, line_start=text.endswith("\n"))

    def _ended(self, state: State) -> State:
        """After the line feed of a value. A duration settles how many codes there will be, unless that was asked."""
        following = self._next_field(state)
        if state.field is Field.DURATION and self.rules.target_codes is None:
            return replace(following, target=code_target(int(state.text)))
        return following
