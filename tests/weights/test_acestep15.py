"""Every layout gives the same parts, and whatever is wrong with files is one error that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from partita.errors import ModelError
from partita.models.acestep15.config import AceStepConfig
from partita.models.oobleck import OobleckConfig, OobleckVAE
from partita.models.oobleck_folded import FoldedOobleck
from partita.weights import acestep15, located_loader
from partita.weights.acestep15 import PART_NAMES, AceStep15Loader
from partita.weights.catalog import card
from partita.weights.locate import locate
from partita.weights.places import Caches
from tests.weights import checkpoints

TURBO = card("acestep-v15-turbo")
LAYOUTS: dict[str, Callable[[Path], None]] = {
    "published": checkpoints.write_published,
    "sharded": lambda folder: checkpoints.write_published(folder, shards=3),
    "diffusers": checkpoints.write_diffusers,
    "diffusers sharded": lambda folder: checkpoints.write_diffusers(folder, shards=2),
    "comfyui": checkpoints.write_comfyui,
    "comfyui all in one": lambda folder: checkpoints.write_comfyui(folder, all_in_one=True),
}


@pytest.fixture
def nowhere(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub")


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI files have no configuration, and the catalog's are full size."""
    sizes = {
        "ace-step-1.5-2b": checkpoints.model()[0],
        "ace-step-1.5-vae": checkpoints.vae()[0],
        "ace-step-1.5-text-encoder": checkpoints.TEXT_CONFIG,
    }
    for module in (acestep15, located_loader):
        monkeypatch.setattr(module, "configuration", lambda name: dict(sizes[name]))


def opened(folder: Path, caches: Caches, number_format: str = "bfloat16") -> AceStep15Loader:
    return AceStep15Loader(locate(TURBO, caches, folder), "cpu", number_format)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_published_weights(tmp_path: Path, nowhere: Caches, layout: str) -> None:
    LAYOUTS[layout](tmp_path / "files")
    loader = opened(tmp_path / "files", nowhere)
    config, weights = checkpoints.model()
    assert loader.config == AceStepConfig.from_json(config)
    prefixes = {
        "conditioner": "",
        "transformer": "decoder.",
        "audio_tokenizer": "tokenizer.",
        "audio_detokenizer": "detokenizer.",
    }
    loaded: set[str] = set()
    for part, prefix in prefixes.items():
        for name, tensor in loader.load(part).state_dict().items():
            assert torch.equal(tensor, weights[prefix + name]), prefix + name
            loaded.add(prefix + name)
    assert loaded == set(weights)
    text = loader.load("text_encoder")
    assert all(
        torch.equal(text.model.state_dict()[name], tensor) for name, tensor in checkpoints.text_encoder().items()
    )
    assert text.tokenizer.encode("a", 9)[-1] == text.tokenizer.end_id
    assert torch.equal(loader.load("silence_latent"), checkpoints.silence()[0].T)


@pytest.mark.parametrize("layout", ["published", "comfyui", "comfyui all in one"])
def test_the_vae_of_every_layout_sounds_the_same(tmp_path: Path, nowhere: Caches, layout: str) -> None:
    LAYOUTS[layout](tmp_path / "files")
    config, weights = checkpoints.vae()
    plain = OobleckVAE(OobleckConfig.from_json(config))
    plain.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    latents = torch.randn(1, 8, 4, generator=torch.Generator().manual_seed(1))
    vae = opened(tmp_path / "files", nowhere, "float32").load("vae")
    assert isinstance(vae, FoldedOobleck)
    with torch.no_grad():
        torch.testing.assert_close(vae.decode(latents), plain.decode(latents), atol=1e-5, rtol=1e-4)


def test_parts_come_in_the_number_format_asked_for(tmp_path: Path, nowhere: Caches) -> None:
    checkpoints.write_published(tmp_path / "files")
    loader = opened(tmp_path / "files", nowhere, "float32")
    for part in ("transformer", "conditioner"):
        assert {parameter.dtype for parameter in loader.load(part).parameters()} == {torch.float32}
    assert loader.load("vae").dtype == torch.float32


def test_an_unknown_part_lists_the_known_ones(tmp_path: Path, nowhere: Caches) -> None:
    checkpoints.write_published(tmp_path / "files")
    with pytest.raises(ModelError, match=r"silence_latent, and no 'planner'"):
        opened(tmp_path / "files", nowhere).load("planner")


def test_identity_changes_with_format_and_weights_and_not_with_the_place(tmp_path: Path, nowhere: Caches) -> None:
    checkpoints.write_published(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first, second = opened(tmp_path / "a", nowhere), opened(tmp_path / "b", nowhere)
    assert first.identity == second.identity
    assert first.fingerprint() == second.fingerprint()
    assert first.identity != opened(tmp_path / "a", nowhere, "float32").identity
    path = tmp_path / "b" / "acestep-v15-turbo" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert opened(tmp_path / "b", nowhere).fingerprint() != first.fingerprint()


def damage(change: Callable[[Path], None], folder: Path, caches: Caches, part: str = "silence_latent") -> ModelError:
    checkpoints.write_published(folder, shards=2)
    change(folder)
    with pytest.raises(ModelError) as raised:
        opened(folder, caches).load(part)
    return raised.value


def test_nothing_is_loaded_while_any_file_of_the_model_is_wrong(tmp_path: Path, nowhere: Caches) -> None:
    def cut(folder: Path) -> None:
        path = folder / "vae" / "diffusion_pytorch_model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])

    error = damage(cut, tmp_path / "files", nowhere, "transformer")
    assert "cut short" in str(error)
    assert error.path == tmp_path / "files" / "vae" / "diffusion_pytorch_model.safetensors"


def test_a_missing_shard_is_named_with_the_command_that_fetches_it(tmp_path: Path, nowhere: Caches) -> None:
    shard = "acestep-v15-turbo/model-00002-of-00002.safetensors"
    error = damage(lambda folder: (folder / shard).unlink(), tmp_path / "files", nowhere)
    assert str(tmp_path / "files" / shard) in str(error)
    assert "`partita download ace-step-1.5-turbo`" in str(error)
    assert error.path == tmp_path / "files" / shard


def test_shards_without_their_index_name_the_index(tmp_path: Path, nowhere: Caches) -> None:
    index = "acestep-v15-turbo/model.safetensors.index.json"
    error = damage(lambda folder: (folder / index).unlink(), tmp_path / "files", nowhere)
    assert str(tmp_path / "files" / index) in str(error)


def test_a_misnamed_file_is_listed_beside_what_was_expected(tmp_path: Path, nowhere: Caches) -> None:
    def rename(folder: Path) -> None:
        shutil.rmtree(folder / "acestep-v15-turbo")
        folder.joinpath("acestep-v15-turbo").mkdir()
        checkpoints.write_tensors(folder / "acestep-v15-turbo" / "turbo.safetensors", {"x": torch.zeros(1)})

    error = damage(rename, tmp_path / "files", nowhere)
    assert "missing weights" in str(error)
    assert str(Path("acestep-v15-turbo") / "turbo.safetensors") in str(error)


@pytest.mark.parametrize("name", ["acestep-v15-turbo", "vae", "Qwen3-Embedding-0.6B"])
def test_a_missing_configuration_is_named(tmp_path: Path, nowhere: Caches, name: str) -> None:
    error = damage(lambda folder: (folder / name / "config.json").unlink(), tmp_path / "files", nowhere)
    assert str(tmp_path / "files" / name / "config.json") in str(error)


def edit(folder: Path, name: str, **changes: object) -> None:
    path = folder / name / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("acestep-v15-turbo", "hidden_act", "gelu"),
        ("acestep-v15-turbo", "hidden_size", "wide"),
        ("Qwen3-Embedding-0.6B", "attention_bias", True),
    ],
)
def test_an_unknown_configuration_value_names_file_and_key(
    tmp_path: Path, nowhere: Caches, name: str, key: str, value: object
) -> None:
    error = damage(lambda folder: edit(folder, name, **{key: value}), tmp_path / "files", nowhere)
    assert error.key == key
    assert error.path == tmp_path / "files" / name / "config.json"
    assert str(error.path) in str(error)


def test_a_configuration_of_another_size_names_the_tensor_and_both_shapes(tmp_path: Path, nowhere: Caches) -> None:
    error = damage(lambda folder: edit(folder, "acestep-v15-turbo", intermediate_size=128), tmp_path / "files", nowhere)
    assert "[128, 64], and has [96, 64]" in str(error)
    assert error.key is not None


def test_base_weights_are_not_taken_for_a_turbo(tmp_path: Path, nowhere: Caches) -> None:
    error = damage(lambda folder: edit(folder, "acestep-v15-turbo", is_turbo=False), tmp_path / "files", nowhere)
    assert error.key == "is_turbo"
    assert "ace-step-1.5-turbo was asked for" in str(error)


def test_a_text_encoder_of_another_model_is_refused(tmp_path: Path, nowhere: Caches) -> None:
    def swap(folder: Path) -> None:
        save_file({"x": torch.zeros(2)}, folder / "Qwen3-Embedding-0.6B" / "model.safetensors")

    error = damage(swap, tmp_path / "files", nowhere)
    assert "missing" in str(error)
    assert "the text encoder" in str(error)


def test_a_silence_latent_of_another_shape_is_refused(tmp_path: Path, nowhere: Caches) -> None:
    def swap(folder: Path) -> None:
        torch.save(torch.zeros(1, 800, 8), folder / "acestep-v15-turbo" / "silence_latent.pt")

    assert "should have the shape [1, 8, frames]" in str(damage(swap, tmp_path / "files", nowhere))


def test_all_parts_have_a_name() -> None:
    assert len(set(PART_NAMES)) == 7
