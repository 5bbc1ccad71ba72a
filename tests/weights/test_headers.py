import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from partita.errors import ModelError
from partita.weights.headers import TensorInfo, read_header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file({"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.zeros(())}, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_reads_names_formats_and_shapes(file: Path) -> None:
    header = read_header(file)
    assert header.tensors == {"a": TensorInfo("BF16", (2, 3)), "b": TensorInfo("F32", ())}
    assert header.size_bytes == file.stat().st_size


@pytest.mark.parametrize("kept", [0, 5, 20, -1])
def test_a_file_cut_short_anywhere_is_an_error_that_names_it(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError, match="cut short") as raised:
        read_header(file)
    assert raised.value.path == file


def test_a_file_with_more_than_its_header_says_is_an_error(file: Path) -> None:
    size = file.stat().st_size
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=f"expected {size} bytes, found {size + 1}"):
        read_header(file)


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1191586416\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        read_header(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors cannot be read"):
        read_header(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "header", [b"[]", b"{", b'{"a": 3}', b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}']
)
def test_a_header_that_makes_no_sense_is_an_error(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(ModelError, match=r"damaged|cut short|longer"):
        read_header(path)


def test_a_size_that_contradicts_the_shape_names_the_tensor(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(ModelError, match=r"w takes 4 bytes, and F32 \[2\] takes 8") as raised:
        read_header(path)
    assert raised.value.key == "w"
