from __future__ import annotations

import pytest

from partita.text.tokenizers import TextTokenizer
from tests.render.acestep15.tiny import Spy, TinyParts
from tests.text.test_tokenizers import write_tokenizer


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> TinyParts:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyParts(TextTokenizer.load(folder))


@pytest.fixture
def spy(parts) -> Spy:
    return Spy(parts)
