"""What is done to the words of a line before they become tokens, language by language."""

from __future__ import annotations


def clean(text: str, language: str) -> str:
    """The words of `text` as the vocabulary knows them: lower case, numbers and signs in words, other scripts in Latin.

    Raises RequestError where `language` is none of the model's or a package that it needs is not installed.
    """
    raise NotImplementedError
