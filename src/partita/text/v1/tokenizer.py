"""Words of a line to token ids as ACE-Step v1 was trained on them: a byte-pair vocabulary with one token a language.

Reads the vocabulary file of the original (a `tokenizers` JSON file). Knows nothing of songs, tags or the language that
a line is in; what is done to the words before they are looked up is `cleaners`'.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from partita.errors import ModelError, RequestError
from partita.text.tokenizer_file import read_tokenizer
from partita.text.v1.cleaners import clean
from partita.text.v1.tags import TRAINED

VOCABULARY_SIZE = 6693
START_ID = 261
NEWLINE_ID = 2
UNKNOWN_ID = 1
_SPACE = "[SPACE]"

# Languages with a token and cleaning of their own, and the ids of their tokens.
LANGUAGE_IDS = {
    "en": 259,
    "de": 260,
    "fr": 262,
    "es": 284,
    "it": 285,
    "pt": 286,
    "pl": 294,
    "tr": 295,
    "ru": 267,
    "cs": 293,
    "nl": 297,
    "ar": 5022,
    "zh": 5023,
    "ja": 5412,
    "hu": 5753,
    "ko": 6152,
    "hi": 6680,
}
# Languages whose token is not named as they are.
_CODES = {"zh": "zh-cn"}
_FIRST_TAG_ID = 6681


class LyricTokenizer:
    """The vocabulary held ready. Words it lacks become pieces, characters it lacks id 1."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, path: Path) -> LyricTokenizer:
        """Read the vocabulary file `path`.

        Raises ModelError if it is missing, unreadable, of another size, or lacks a special token where it should be.
        """
        tokenizer = read_tokenizer(path, "The lyric tokenizer")
        found = cls(tokenizer)
        if found.vocabulary_size != VOCABULARY_SIZE:
            raise ModelError(
                f"{path} has {found.vocabulary_size} token ids where the lyric vocabulary of ACE-Step v1 has "
                f"{VOCABULARY_SIZE}; it is another tokenizer. Fetch the model again.",
                path=path,
            )
        for token, number in _special_tokens().items():
            if tokenizer.token_to_id(token) != number:
                raise ModelError(
                    f"{path} gives {token} the id {tokenizer.token_to_id(token)} where the lyric vocabulary of "
                    f"ACE-Step v1 has {number}; it is another tokenizer. Fetch the model again.",
                    path=path,
                    key=token,
                )
        return found

    @property
    def vocabulary_size(self) -> int:
        """The largest id and one: rows of the model's embedding."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str, language: str) -> list[int]:
        """Ids of one line: the token of `language` (one of `LANGUAGE_IDS`, its region left out) and its cleaned words.

        Raises RequestError where the line cannot be cleaned, as `cleaners.clean` says.
        """
        language = language.partition("-")[0]
        return self.encode_clean(clean(text, language), language)

    def encode_clean(self, normalised: str, language: str) -> list[int]:
        """Ids of words that were cleaned already.

        Raises RequestError where they hold half a character, which is no text.
        """
        try:
            return list(self._tokenizer.encode(_prompt(normalised, language)).ids)
        except TypeError as error:
            raise RequestError(
                f"{normalised!r} holds half a character (a lone surrogate); write the line anew.",
                field="lyrics",
                value=normalised,
            ) from error

    def unreadable(self, normalised: str, language: str) -> list[str]:
        """What of the cleaned words has no token, each once, in the order of the line."""
        prompt = _prompt(normalised, language)
        found = self._tokenizer.encode(prompt)
        lacking = (at for at, number in zip(found.offsets, found.ids, strict=True) if number == UNKNOWN_ID)
        return list(dict.fromkeys(prompt[begin:end] for begin, end in lacking))


def _prompt(normalised: str, language: str) -> str:
    return f"[{_CODES.get(language, language)}]{normalised}".replace(" ", _SPACE)


def _special_tokens() -> dict[str, int]:
    codes = {f"[{_CODES.get(code, code)}]": number for code, number in LANGUAGE_IDS.items()}
    tags = {f"[{tag}]": _FIRST_TAG_ID + i for i, tag in enumerate(TRAINED)}
    return {"[UNK]": UNKNOWN_ID, _SPACE: NEWLINE_ID, "[START]": START_ID, **codes, **tags}
