from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from partita.errors import ModelError
from partita.weights.shards import WeightSet
from partita.weights.tensors import check, expected_shapes, fill, find_tensors
from tests.weights import checkpoints


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))


def saved(folder: Path, **changes: torch.Tensor | None) -> Path:
    tensors = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    for name, tensor in changes.items():
        tensors.pop(name.replace("_", ".", 1), None)
        if tensor is not None:
            tensors[name.replace("_", ".", 1)] = tensor
    save_file(tensors, folder / "m.safetensors")
    return folder / "m.safetensors"


def checked(path: Path) -> None:
    check(find_tensors([WeightSet(path)]), expected_shapes(network()), "the test network")


def test_a_file_that_fits_passes(tmp_path: Path) -> None:
    checked(saved(tmp_path))


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"0\.bias of the test network is missing from .*m\.safetensors") as raised:
        checked(saved(tmp_path, **{"0_bias": None}))
    assert raised.value.key == "0.bias"
    assert raised.value.path == tmp_path / "m.safetensors"


def test_a_leftover_tensor_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"2\.extra, which the test network does not have: expected 4 tensors, found 5"
    ):
        checked(saved(tmp_path, **{"2_extra": torch.zeros(1)}))


def test_a_wrong_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"0\.weight of the test network should have the shape \[4, 3\], and has \[4, 5\]"
    ):
        checked(saved(tmp_path, **{"0_weight": torch.zeros(4, 5)}))


def test_a_format_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"0\.weight is stored as F8_E4M3; BF16, F32, F16 can be read"):
        checked(saved(tmp_path, **{"0_weight": torch.zeros(4, 3).to(torch.float8_e4m3fn)}))


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for path in (first, second):
        save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"again in .*b\.safetensors"):
        find_tensors([WeightSet(first), WeightSet(second)])


def test_a_missing_shard_is_named_with_the_advice(tmp_path: Path) -> None:
    checkpoints.write_shards(tmp_path, "model", network().state_dict())
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00003\.safetensors, which .* names as a shard.*Do this"):
        find_tensors([WeightSet(tmp_path / "model.safetensors.index.json")], "Do this.")


def test_a_shard_without_a_promised_tensor_is_named(tmp_path: Path) -> None:
    checkpoints.write_shards(tmp_path, "model", network().state_dict())
    save_file({"x": torch.zeros(1)}, tmp_path / "model-00001-of-00003.safetensors")
    with pytest.raises(ModelError, match=r"model-00001-of-00003\.safetensors lacks 0\.bias"):
        find_tensors([WeightSet(tmp_path / "model.safetensors.index.json")])


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}'])
def test_a_damaged_index_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(ModelError, match="no index of weights"):
        find_tensors([WeightSet(path)])


def test_an_index_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"w": "../secret.safetensors"}}')
    with pytest.raises(ModelError, match="outside its own folder"):
        find_tensors([WeightSet(path)])


def test_tensors_of_the_right_format_stay_views_of_the_file(tmp_path: Path) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list its memory maps")
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in network().state_dict().items()}, path)
    empty = network()
    fill(empty, find_tensors([WeightSet(path)]), dtype=torch.bfloat16)
    mapped = [line.split()[0].split("-") for line in maps.read_text().splitlines() if line.endswith(str(path))]
    for name, parameter in empty.named_parameters():
        assert any(int(start, 16) <= parameter.data_ptr() < int(end, 16) for start, end in mapped), name


def test_another_format_converts_and_chosen_names_stay_float32(tmp_path: Path) -> None:
    path = saved(tmp_path)
    empty = network()
    fill(empty, find_tensors([WeightSet(path)]), dtype=torch.float16, keep_float32=["1.weight"])
    formats = {name: parameter.dtype for name, parameter in empty.named_parameters()}
    assert formats.pop("1.weight") == torch.float32
    assert set(formats.values()) == {torch.float16}
    assert not any(parameter.requires_grad for parameter in empty.parameters())
    assert not empty.training
