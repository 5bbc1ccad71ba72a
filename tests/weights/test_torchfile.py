import os
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from partita.errors import ModelError
from partita.weights.torchfile import read_tensor_file


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_reads_what_torch_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.randn(1, 8, 500).to(dtype)
    torch.save(tensor, tmp_path / "a.pt")
    found = read_tensor_file(tmp_path / "a.pt")
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


def test_reads_a_view_with_offset_and_strides(tmp_path: Path) -> None:
    tensor = torch.randn(6, 7).T[2:5]
    torch.save(tensor, tmp_path / "a.pt")
    assert torch.equal(read_tensor_file(tmp_path / "a.pt"), tensor)


class Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    "value",
    [
        Evil(os.system, "touch pwned"),
        [torch.zeros(2), Evil(eval, "1 + 1")],
        torch.nn.Linear(2, 2),
        {"weight": torch.zeros(2)},
        OrderedDict(),
        torch.zeros(2, dtype=torch.int64),
        torch.zeros(2, dtype=torch.float64),
        torch.nn.Parameter(torch.zeros(2)),
        "text",
    ],
    ids=["system", "eval", "module", "dict", "empty", "ints", "doubles", "parameter", "text"],
)
def test_refuses_everything_that_is_not_one_float_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(value, "a.pt")
    with pytest.raises(ModelError, match="one tensor and nothing else") as raised:
        read_tensor_file(Path("a.pt"))
    assert raised.value.path == Path("a.pt")
    assert not Path("pwned").exists()


def rewrite(path: Path, change: dict[str, bytes | None]) -> None:
    """Replace entries of a saved archive by the end of their names; none removes one."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            end = next((end for end in change if name.endswith(end)), None)
            new = data if end is None else change[end]
            if new is not None:
                archive.writestr(name, new)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(torch.randn(1, 4, 9), tmp_path / "a.pt")
    return tmp_path / "a.pt"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data/0": b"\0" * 8}, "8 bytes of numbers where 144 are promised"),
        ({"data/0": None}, "no entry"),
        ({"data.pkl": b"\x80\x02"}, "cut short"),
        ({"data.pkl": b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."}, "os.system"),
        ({"data.pkl": b"\x80\x02."}, "something other"),
        ({"data.pkl": b"\x80\x02t."}, "empty stack"),
        ({"data.pkl": b"\x80\x02h\x05."}, "never kept"),
        ({"data.pkl": b"\x80\x02}."}, "instruction"),
        ({"byteorder": b"big"}, "byte order"),
    ],
)
def test_refuses_a_damaged_program(saved: Path, change: dict[str, bytes | None], said: str) -> None:
    rewrite(saved, change)
    with pytest.raises(ModelError, match=said):
        read_tensor_file(saved)


def test_refuses_a_tensor_that_reaches_beyond_its_numbers(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        program = archive.read(name)
    assert program.count(b"K\x04K\x09") == 1
    rewrite(saved, {"data.pkl": program.replace(b"K\x04K\x09", b"K\x04K\x0a")})
    with pytest.raises(ModelError, match="does not fit its 36 numbers"):
        read_tensor_file(saved)


def test_a_file_cut_short_is_an_error_that_names_it(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-40])
    with pytest.raises(ModelError, match="cut short or damaged") as raised:
        read_tensor_file(saved)
    assert raised.value.path == saved


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_tensor_file(tmp_path / "none.pt")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"no archive at all")
    with pytest.raises(ModelError, match="damaged"):
        read_tensor_file(tmp_path / "a.pt")
