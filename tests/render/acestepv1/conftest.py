from __future__ import annotations

import pytest

from tests.render.acestepv1.tiny import Spy, TinyParts


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> TinyParts:
    return TinyParts(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def spy(parts) -> Spy:
    return Spy(parts.parts["transformer"])
