import json
from pathlib import Path

import pytest

from partita.text.v1.tokenizer import LyricTokenizer

ROOT = Path(__file__).parents[3]
VOCABULARY = ROOT.parent / "shared" / "golden" / "v1" / "lyric_vocab.json"


@pytest.fixture(scope="session")
def vocabulary_path():
    if not VOCABULARY.is_file():
        pytest.skip(f"the lyric vocabulary of ACE-Step v1 is not at {VOCABULARY}")
    return VOCABULARY


@pytest.fixture(scope="session")
def tokenizer(vocabulary_path):
    return LyricTokenizer.load(vocabulary_path)


@pytest.fixture(scope="session")
def recorded():
    return json.loads((ROOT / "tests" / "golden" / "data" / "v1" / "lyrics.json").read_text("utf-8"))
