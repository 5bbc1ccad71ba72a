"""The planner's prompts: what it was trained to read for each operation, in the current layout and the legacy one.

Strings are trained in, and must match to the byte. Metadata is YAML as PyYAML writes it, folding and quoting included.
Knows nothing of tokens but the marks that users must not write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from partita.planner.lm.chat import Chat, Message, render_chat
from partita.planner.lm.fields import Field, absent, check_text, metre

GENERATE = "Generate audio semantic tokens based on the given conditions:"
CREATE = "Expand the user's input into a more detailed and specific musical description:"
FORMAT = "Format the user's input into a more detailed and specific musical description:"
UNDERSTAND = "Understand the given musical conditions and describe the audio semantics accordingly:"

NO_INPUT = "NO USER INPUT"
INSTRUMENTAL = "[Instrumental]"
EMPTY_THOUGHT = "<think>\n\n</think>"

_THOUGHT_FIELDS = tuple(field for field in Field if field is not Field.GENRES)


@dataclass(frozen=True, slots=True)
class Layout:
    """How codes are asked for. As trained, they follow the thought inside an open assistant turn, and the prompt
    without conditions holds no more than `NO USER INPUT`. Earlier programs closed the turn before the codes
    (`closed_turn`) and kept caption and lyrics in the prompt without conditions (`framed_unconditional`)."""

    closed_turn: bool = False
    framed_unconditional: bool = False


CURRENT = Layout()
LEGACY = Layout(closed_turn=True, framed_unconditional=True)


def meaningful(negative: str) -> bool:
    """Whether a negative prompt says anything: blank and `NO USER INPUT` mean none."""
    return bool(negative.strip()) and negative.strip() != NO_INPUT


def thought(metadata: Mapping[str, Any], *, original: bool = False) -> str:
    """Metadata as the finished think block that the codes are conditioned on; genres and unknown keys are left out.

    None is left out, strings of digits become numbers, and a time signature loses its `/4`. Ours also leaves out blanks
    and `N/A`, writes `6/8` as the trained `6`, and durations and tempos without fractions; the original keeps them.

    Raises RequestError where the caption holds a control mark of the planner (not in the original).
    """
    items: dict[str, Any] = {}
    for field in _THOUGHT_FIELDS:
        value = metadata.get(field.value)
        if value is None:
            continue
        if original:
            items[field.value] = _original_item(field, value)
        elif not absent(value):
            items[field.value] = _item(field, value)
    written = yaml.safe_dump(items, allow_unicode=True, sort_keys=True).strip() if items else ""
    return f"<think>\n{written}\n</think>"


def _item(field: Field, value: Any) -> Any:
    if field is Field.TIMESIGNATURE:
        value = metre(str(value))
    if isinstance(value, float):
        return int(value)
    if isinstance(value, str):
        return int(value) if value.isdecimal() else check_text(field.value, value)
    return value


def _original_item(field: Field, value: Any) -> Any:
    if field is Field.TIMESIGNATURE and str(value).endswith("/4"):
        value = str(value).split("/")[0]
    return int(value) if isinstance(value, str) and value.isdigit() else value


def caption_and_lyrics(caption: str, lyrics: str) -> str:
    """The user's turn of thought and codes. Formatting has the same without the last line feed."""
    return f"# Caption\n{caption}\n\n# Lyric\n{lyrics}\n"


def wish(query: str, instrumental: bool) -> str:
    """The user's turn when a sample is to be made up. The last line is always there."""
    return f"{query}\n\ninstrumental: {'true' if instrumental else 'false'}"


@dataclass(frozen=True, slots=True)
class Prompts:
    """Every prompt of one planner, by its chat format.

    Blank inputs become their trained placeholders, and control marks in a user's text are refused (RequestError);
    `raw` takes every text as it is, as the original's own builders do.
    """

    chat: Chat = render_chat
    layout: Layout = CURRENT
    raw: bool = False

    def ask(self, instruction: str, user: str) -> str:
        """A system turn with the instruction, a user turn, and an assistant's turn opened."""
        return self.chat(_turns(instruction, user), True)

    def metadata(self, caption: str, lyrics: str) -> str:
        """Asks for the metadata of a song (the first phase)."""
        return self.ask(GENERATE, self._framed(caption, lyrics))

    def metadata_unconditional(self, lyrics: str, negative: str = NO_INPUT) -> str:
        """The first phase without its caption, or with the negative prompt in its place. Guidance on the metadata made
        captions end early in the original, which no longer uses it."""
        self._check(lyrics=lyrics, negative_prompt=negative)
        user = caption_and_lyrics(negative, lyrics) if meaningful(negative) else f"# Lyric\n{lyrics}\n"
        return self.ask(GENERATE, user)

    def codes(self, caption: str, lyrics: str, thought: str) -> str:
        """Asks for audio codes, given the think block that `thought` made. Caption and lyrics are the user's own."""
        return self._coded(self._framed(caption, lyrics), thought)

    def codes_unconditional(self, caption: str, lyrics: str, negative: str = NO_INPUT) -> str:
        """The twin of `codes` to guide away from: an empty thought, and the negative prompt or `NO USER INPUT`."""
        self._check(negative_prompt=negative)
        if self.layout.framed_unconditional:
            return self._coded(self._framed(negative if meaningful(negative) else caption, lyrics), EMPTY_THOUGHT)
        return self._coded(negative if meaningful(negative) else NO_INPUT, EMPTY_THOUGHT)

    def create(self, query: str, instrumental: bool) -> str:
        """Asks for a whole song, caption, metadata and lyrics, made up from a wish."""
        return self.ask(CREATE, wish(self._text("query", query), instrumental))

    def format(self, caption: str, lyrics: str) -> str:
        """Asks for a caption and lyrics rewritten in the planner's own words."""
        frame = caption_and_lyrics(self._text("caption", caption), self._text("lyrics", lyrics, INSTRUMENTAL))
        return self.ask(FORMAT, frame.removesuffix("\n"))

    def understand(self, codes: str) -> str:
        """Asks what audio codes, written as tokens without anything between, sound like."""
        return self.ask(UNDERSTAND, codes if codes.strip() or self.raw else NO_INPUT)

    def unconditional(self, instruction: str, negative: str = NO_INPUT) -> str:
        """The twin of create, format and understand: the negative prompt alone."""
        self._check(negative_prompt=negative)
        return self.ask(instruction, negative if negative.strip() else "")

    def _framed(self, caption: str, lyrics: str) -> str:
        self._check(caption=caption, lyrics=lyrics)
        return caption_and_lyrics(caption, lyrics)

    def _coded(self, user: str, thought: str) -> str:
        turns = _turns(GENERATE, user)
        if self.layout.closed_turn:
            closed = self.chat([*turns, Message("assistant", thought)], False)
            return closed if closed.endswith("\n") else closed + "\n"
        return f"{self.chat(turns, True)}{thought}\n\n"

    def _text(self, field: str, text: str, placeholder: str = NO_INPUT) -> str:
        self._check(**{field: text})
        return text if text.strip() or self.raw else placeholder

    def _check(self, **texts: str) -> None:
        if not self.raw:
            for field, text in texts.items():
                check_text(field, text)


def _turns(instruction: str, user: str) -> list[Message]:
    return [Message("system", f"# Instruction\n{instruction}\n\n"), Message("user", user)]
