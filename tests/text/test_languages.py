"""Language codes: what is accepted, and what an error says."""

from __future__ import annotations

import pytest

from partita.errors import RequestError
from partita.text.languages import LANGUAGES, check_language


def test_there_are_fifty_languages_and_unknown() -> None:
    assert len(LANGUAGES) == 51
    assert len(set(LANGUAGES.values())) == 51
    assert [check_language(code) for code in LANGUAGES] == list(LANGUAGES)


@pytest.mark.parametrize("code", ["EN", "english", "", "xx"])
def test_an_unknown_code_is_answered_with_all_of_them(code: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_language(code)
    assert caught.value.field == "language"
    assert caught.value.value == code
    assert all(f" {known}" in str(caught.value) for known in LANGUAGES)
