from pathlib import Path

import pytest

from partita.errors import ModelError
from partita.weights.fingerprint import HEAD_BYTES, WHOLE_BYTES, fingerprint


def sparse(path: Path, size: int, at: int, value: bytes) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(at)
        file.write(value)
    return path


def test_a_small_file_is_hashed_whole(tmp_path: Path) -> None:
    first = sparse(tmp_path / "a", 5000, 4999, b"x")
    second = sparse(tmp_path / "b", 5000, 4999, b"y")
    assert fingerprint(first).startswith("sha256:")
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize("at", [100, HEAD_BYTES + 10, WHOLE_BYTES + 4000])
def test_a_large_file_is_told_apart_by_head_samples_and_end(tmp_path: Path, at: int) -> None:
    size = WHOLE_BYTES + 5000
    first, second = sparse(tmp_path / "a", size, at, b"x"), sparse(tmp_path / "b", size, at, b"y")
    assert fingerprint(first).startswith("sampled:")
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(first) == fingerprint(sparse(tmp_path / "c", size, at, b"x"))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        fingerprint(tmp_path / "none")
