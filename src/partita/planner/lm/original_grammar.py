"""The grammar of the original program, to the letter, quirks included; `grammar.Grammar` says what each should be.

What differs: names are spelled in the longest single tokens (`bp m :`); a caption is left by the arg-max of the raw
logits, and from then on nothing is constrained until a colon comes; a genre that ends by probability eats the first
letter of the next name; genre values begin without a blank; a forced duration has none either; the duration does not
bind the code count; and a value in a field that was to be skipped never ends.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from partita.planner.lm.fields import Field
from partita.planner.lm.grammar import CAPTION_MAX_TOKENS, Grammar
from partita.planner.lm.states import Place, Rules, State, Then, TokenSet, Wide
from partita.planner.lm.tables import Tables

_LEADS_TO = {
    field.value: field for field in (Field.DURATION, Field.GENRES, Field.KEYSCALE, Field.LANGUAGE, Field.TIMESIGNATURE)
}
_NUMBERS = (Field.BPM, Field.DURATION, Field.TIMESIGNATURE)


class OriginalGrammar(Grammar):
    """The same interface; some states look at the logits, and no token is refused."""

    original = True

    def looks_at_logits(self, state: State) -> bool:
        """Before the first token of a caption's line, and all through a genre value without a vocabulary."""
        if state.place is not Place.VALUE or state.queue or state.only is not None:
            return False
        if state.field is Field.GENRES:
            return self.rules.genres is None and bool(state.text.strip())
        return state.field is Field.CAPTION and state.line_start

    def settle(self, state: State, logits: Tensor) -> State:
        """A caption is being left where the best token is not indented; a genre has ended where a line feed is the
        best token, and then the state has moved on although the line feed is still to come."""
        if state.field is Field.GENRES:
            newline = self.vocabulary.newline_id
            others = logits.clone()
            others[newline] = float("-inf")
            if not bool(logits[newline] > others.max()):
                return state
            return replace(self._after_value(state), only=newline)
        text = self.vocabulary.text(int(logits.argmax()))
        if text and text[0] not in " \t":
            return replace(state, line_start=False, leaving=True, pending="")
        return replace(state, line_start=False)

    def allowed(self, state: State) -> TokenSet:
        """What may come next. A set may be empty, where the original allows nothing at all."""
        if state.only is not None:
            return TokenSet((state.only,))
        match state.place:
            case Place.CODES if state.target is None:
                return TokenSet(wide=Wide.CODES_OR_END)
            case Place.TEXT | Place.END:
                return TokenSet(wide=Wide.NOT_CODES if self.rules.then is Then.TEXT else Wide.ANY)
            case _:
                return super().allowed(state)

    def admits(self, state: State, token: int) -> bool:
        """True: the original follows whatever was sampled."""
        return True

    def advance(self, state: State, token: int) -> State:
        """The state after `token`, whatever it is."""
        match state.place:
            case Place.TEXT | Place.END:
                return state
            case Place.CODES:
                return replace(state, codes=state.codes + 1)
            case Place.CLOSE:
                return self._written(state, token)
            case _:
                return super().advance(state, token)

    def _fixed(self, state: State) -> str:
        return "</think>" if state.place is Place.CLOSE else super()._fixed(state)

    def _after_value(self, state: State) -> State:
        """The next field; a value whose field was to be skipped has none, and stays."""
        return replace(state, only=None) if state.field in self.rules.skipped else self._next_field(state)

    def _queued(self, state: State) -> State:
        return replace(state, queue=state.queue[1:]) if len(state.queue) > 1 else self._next_field(state)

    def _value(self, state: State) -> TokenSet:
        field = state.field
        if field is Field.CAPTION:
            return self._caption(state)
        if field is Field.GENRES:
            return self._genres(state)
        if field is None:
            return self._newline
        if field is Field.DURATION and self.rules.forced_duration_s is not None:
            digits = str(int(self.rules.forced_duration_s))
            written = len(state.text)
            if written >= len(digits):
                return self._newline
            return TokenSet((self.vocabulary.digit_ids[int(digits[written])],))
        following = self._tree(field).get(state.ids, ())
        if field in (Field.BPM, Field.DURATION):
            return TokenSet(following)
        if self.vocabulary.newline_id in following:
            return self._newline
        if field is Field.TIMESIGNATURE:
            return TokenSet(following)
        return TokenSet(following, best_only=field is Field.LANGUAGE and not state.ids) if following else self._newline

    def _caption(self, state: State) -> TokenSet:
        if state.leaving:
            return TokenSet(wide=Wide.ANY)
        if state.tokens >= CAPTION_MAX_TOKENS:
            return self._newline
        return TokenSet(wide=Wide.NOT_CODES_NOR_BACKTICK)

    def _genres(self, state: State) -> TokenSet:
        if self.rules.genres is not None:
            return TokenSet(self.tables.genre_tokens(self.rules.genres).original_after(state.text))
        return TokenSet(wide=Wide.ANY if state.text.strip() else Wide.NOT_NEWLINE)

    def _valued(self, state: State, token: int) -> State:
        if state.field is Field.CAPTION:
            return self._captioned(state, token)
        if token == self.vocabulary.newline_id:
            return self._after_value(state)
        written = self.vocabulary.text(token)
        if state.field in _NUMBERS:
            written = written.strip() if written.strip().isdigit() else ""
        return replace(state, ids=(*state.ids, token), text=state.text + written, only=None)

    def _captioned(self, state: State, token: int) -> State:
        text = self.vocabulary.text(token)
        following = replace(
            state,
            text=state.text + text,
            tokens=state.tokens + 1,
            line_start="\n" in text,
            pending=state.pending + text if state.leaving else "",
        )
        if not state.leaving or ":" not in text:
            return following
        name = following.pending.strip().rstrip(":").strip().lower()
        if name in _LEADS_TO:
            return self._value_of(state, _LEADS_TO[name])
        return self._next_field(state)


def grammar_of(tables: Tables, rules: Rules) -> Grammar:
    """The grammar that `rules` ask for."""
    return (OriginalGrammar if rules.original else Grammar)(tables, rules)
