"""The planner's view of its tokenizer: which ids mean what, found by asking the vocabulary and never by number.

Reads a tokenizer.json of the Qwen3 family with audio code tokens added. Knows nothing of prompts or of the network.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from partita.errors import ModelError
from partita.planner.lm.chat import template_of
from partita.song.plan import LAST_CODE
from partita.text.tokenizer_file import read_tokenizer
from partita.text.tokenizers import FILE

CODE_COUNT = LAST_CODE + 1
"""Entries of the codec's codebook, levels 8·8·8·5·5·5. The vocabulary has names for more; those decode to nothing."""

CODE_TOKEN = re.compile(r"<\|audio_code_(\d+)\|>")

END, PAD, TURN = "<|im_end|>", "<|endoftext|>", "<|im_start|>"
OPEN_THINK, CLOSE_THINK = "<think>", "</think>"


def code_token(code: int) -> str:
    """How a code is written."""
    return f"<|audio_code_{code}|>"


class PlannerVocabulary:
    """A tokenizer held ready, and the ids that the planner's language needs.

    `size` is one above the largest id; a network's logits may be wider, and what lies beyond means nothing.
    `end_id` ends a turn, `pad_id` fills, `think_id` and `close_think_id` enclose the metadata. `code_ids` are the ids
    of the codes 0..63999 that there are, in order of the code: a `range` where they lie side by side, as they do in the
    published vocabularies. `dead_code_ids` name codes beyond the codebook. `mark_ids` are all other added tokens.
    """

    def __init__(self, tokenizer: Tokenizer, where: Path | None = None, chat_template: str | None = None) -> None:
        """Raises ModelError where `tokenizer` is not a planner's: without audio codes, or of another vocabulary."""
        self._tokenizer = tokenizer
        self.chat_template = chat_template
        self.path = where
        name = str(where) if where is not None else "The tokenizer"
        self.end_id, self.pad_id = self._known(END, name), self._known(PAD, name)
        self._known(TURN, name)
        self.think_id, self.close_think_id = self._known(OPEN_THINK, name), self._known(CLOSE_THINK, name)
        added = {int(i): token.content for i, token in tokenizer.get_added_tokens_decoder().items()}
        self.size = max(tokenizer.get_vocab_size(with_added_tokens=True), max(added, default=-1) + 1)
        self.code_ids, self.dead_code_ids = self._find_codes(name)
        codes = {*self.code_ids, *self.dead_code_ids}
        self.mark_ids = tuple(sorted(set(added) - codes))
        self.newline_id = self._single("\n", name)
        self.backtick_id = self._single("`", name)
        self.digit_ids = tuple(self._single(str(digit), name) for digit in range(10))

    @classmethod
    def load(cls, folder: Path) -> PlannerVocabulary:
        """Read `folder/tokenizer.json`, and the chat template beside it where there is one.

        Raises ModelError if the file is missing, unreadable or not a planner's.
        """
        path = folder / FILE
        tokenizer = read_tokenizer(path, "The planner")
        return cls(tokenizer, path, template_of(folder))

    def _known(self, token: str, name: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ModelError(
                f"{name} has no {token} token, so it is not the tokenizer of an ACE-Step 1.5 planner "
                f"(acestep-5Hz-lm); point to the planner's own folder.",
                path=self.path,
                key=token,
            )
        return found

    def _single(self, text: str, name: str) -> int:
        ids = self.encode(text)
        if len(ids) != 1:
            raise ModelError(
                f"{name} writes {text!r} as {len(ids)} tokens, a planner's as one; fetch the model again.",
                path=self.path,
                key=text,
            )
        return ids[0]

    def _find_codes(self, name: str) -> tuple[Sequence[int], tuple[int, ...]]:
        to_id = self._tokenizer.token_to_id
        first = to_id(code_token(0))
        if first is not None and all(to_id(code_token(code)) == first + code for code in range(CODE_COUNT)):
            found: Sequence[int] = range(first, first + CODE_COUNT)
            beyond = (to_id(code_token(code)) for code in range(CODE_COUNT, 2**16))
            return found, tuple(i for i in beyond if i is not None)
        by_code: dict[int, int] = {}
        dead: list[int] = []
        for token, i in self._tokenizer.get_vocab(with_added_tokens=True).items():
            match = CODE_TOKEN.fullmatch(token)
            if match and int(match[1]) < CODE_COUNT:
                by_code[int(match[1])] = i
            elif match:
                dead.append(i)
        if not by_code:
            raise ModelError(
                f"{name} has no audio code tokens ({code_token(0)} and so on), so it is not the tokenizer of an "
                f"ACE-Step 1.5 planner but of a plain language model; point to the planner's own folder.",
                path=self.path,
                key=code_token(0),
            )
        return tuple(by_code[code] for code in sorted(by_code)), tuple(sorted(dead))

    @property
    def code_range(self) -> range | None:
        """The ids of all 64000 codes as a range, whose place is the code; None where they do not lie side by side."""
        return self.code_ids if isinstance(self.code_ids, range) else None

    @cached_property
    def _codes_by_id(self) -> dict[int, int]:
        found = ((i, CODE_TOKEN.fullmatch(self.token(i))) for i in self.code_ids)
        return {i: int(match[1]) for i, match in found if match}

    def code_of(self, token_id: int) -> int | None:
        """The code that a token stands for, 0..63999, or None."""
        if isinstance(self.code_ids, range):
            return token_id - self.code_ids.start if token_id in self.code_ids else None
        return self._codes_by_id.get(token_id)

    def token(self, token_id: int) -> str:
        """The token as the vocabulary spells it, empty where there is none. Not the text that it decodes to."""
        return self._tokenizer.id_to_token(token_id) or ""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. Marks and audio codes in it become their own ids; no token is added at either end."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, marks included; bytes that are no text become U+FFFD."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def text(self, token_id: int) -> str:
        """What one token writes, alone."""
        return self.decode([token_id])

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """`text` of every id below `size`."""
        return tuple(self._tokenizer.decode_batch([[i] for i in range(self.size)], skip_special_tokens=False))
