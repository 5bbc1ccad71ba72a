"""Finding and loading planners, as tiny files in the published layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

from partita.cli.download import command as download
from partita.cli.models import command as models
from partita.errors import ModelError, RequestError
from partita.models.native_step import Build
from partita.models.quantised import FixedPointLinear, Int4Linear, Int8Linear
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.models.qwen3_decoder import prefill
from partita.weights import planner as module
from partita.weights.catalog import card, catalog, configuration, planner, planners, published, total_bytes
from partita.weights.inventory import planner_inventory
from partita.weights.locate_planner import LocatedPlanner, locate_planner, search_planner
from partita.weights.places import Caches
from partita.weights.planner import PlannerLoader
from partita.weights.skeleton import skeleton
from partita.weights.tensors import expected_shapes

CARD = planner("acestep-5Hz-lm-0.6B")
SMALL: dict[str, Any] = {
    "model_type": "qwen3",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
}


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub")


@pytest.fixture
def published_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small sizes stand in for those of the 0.6B planner."""
    monkeypatch.setattr(
        module, "configuration", lambda name: SMALL if name == CARD.configuration else configuration(name)
    )


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        name: tensor.to(torch.bfloat16) for name, tensor in Qwen3(Qwen3Config.from_json(SMALL)).state_dict().items()
    }


def write(folder: Path, rename: Callable[[str], str] = str, extra: tuple[str, ...] = (), **config: Any) -> Path:
    folder.mkdir(parents=True)
    stored = {rename(name): tensor for name, tensor in tensors().items()}
    stored |= {name: stored[rename("embed_tokens.weight")].clone() for name in extra}
    save_file(stored, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(SMALL | config))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def loader(folder: Path, **settings: Any) -> PlannerLoader:
    return PlannerLoader(LocatedPlanner(CARD, folder / "model.safetensors"), "cpu", "bfloat16", **settings)


@pytest.mark.usefixtures("published_sizes")
@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("extra", [(), ("lm_head.weight",)])
def test_names_with_and_without_prefix_and_head_give_the_same_network(
    tmp_path: Path, prefix: str, extra: tuple[str, ...]
) -> None:
    found = loader(write(tmp_path / "any", lambda name: prefix + name, extra)).load("network")
    expected = Qwen3(Qwen3Config.from_json(SMALL)).to(torch.bfloat16)
    expected.load_state_dict(tensors())
    with torch.inference_mode():
        states = expected(torch.tensor([[5, 6, 7]]))[:, -1]
        torch.testing.assert_close(prefill(found, [[5, 6, 7]])[1], states, atol=0.05, rtol=0)
    assert not any(parameter.requires_grad for parameter in found.parameters())


@pytest.mark.usefixtures("published_sizes")
@pytest.mark.parametrize(
    ("weight_format", "layer", "head"),
    [("int8", (FixedPointLinear, Int8Linear), (FixedPointLinear, Int8Linear)),
     ("int4", (Int4Linear,), (FixedPointLinear, Int8Linear))],
)  # fmt: skip
def test_the_head_is_never_below_eight_bits(tmp_path: Path, weight_format: str, layer: Any, head: Any) -> None:
    found = loader(write(tmp_path / "any"), weight_format=weight_format)
    network = found.load("network")
    assert all(
        isinstance(one, layer) for part in network.layers for one in (part.qkv, part.out, part.gate_up, part.down)
    )
    assert isinstance(network.head(range(10, 60), found.head_form).linear, head)
    assert weight_format in found.identity


@pytest.mark.usefixtures("published_sizes")
@pytest.mark.parametrize(("weight_format", "kind"), [("full", nn.Linear), ("int8", Int8Linear)])
def test_a_step_that_is_built_for_the_processor_gets_weights_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight_format: str, kind: type[nn.Module]
) -> None:
    def step() -> None: ...

    folders: list[Path] = []
    monkeypatch.setattr(module, "build", lambda folder: (folders.append(folder), Build(step, "built"))[1])
    found = loader(write(tmp_path / "any"), weight_format=weight_format, native=tmp_path / "native")
    network = found.load("network")
    assert network.native is step
    assert isinstance(network.layers[0].qkv, kind)
    assert isinstance(network.head(range(10, 60), found.head_form).linear, kind)
    assert folders == [tmp_path / "native"]


@pytest.mark.usefixtures("published_sizes")
@pytest.mark.parametrize("settings", [{}, {"weight_format": "int4", "native": Path("anywhere")}])
def test_no_step_is_built_where_none_is_wanted_or_none_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "build", lambda folder: pytest.fail("it was built"))
    found = loader(write(tmp_path / "any"), **settings)
    assert found.load("network").native is None
    assert found.native.reason


@pytest.mark.usefixtures("published_sizes")
def test_the_tokenizer_is_the_folder_that_holds_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "any")
    assert loader(folder).load("tokenizer") == folder
    with pytest.raises(ModelError, match="no 'vae'"):
        loader(folder).load("vae")


@pytest.mark.usefixtures("published_sizes")
def test_a_missing_and_a_leftover_tensor_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "any", lambda name: name.replace("layers.1.mlp.up_proj", "layers.1.mlp.upward"))
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj\.weight of the planner is missing"):
        loader(folder).check()


def test_another_size_is_named_with_the_planner_that_has_it(tmp_path: Path) -> None:
    large = configuration("ace-step-1.5-planner-4b")
    folder = write(tmp_path / "any", **large)
    with pytest.raises(ModelError, match=r"hidden_size` is 2560.*is 1024.*\(ace-step-1\.5-planner-4b\)") as caught:
        loader(folder).check()
    assert caught.value.key == "hidden_size"


@pytest.mark.parametrize(
    ("config", "told"), [({"tie_word_embeddings": False}, "tie_word_embeddings"), ({"head_dim": "x"}, "head_dim")]
)
def test_a_configuration_that_does_not_fit_is_named(tmp_path: Path, config: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told) as caught:
        loader(write(tmp_path / "any", **config)).check()
    assert caught.value.key == told


def test_finds_a_repository_of_its_own_and_the_folder_of_the_bundle(caches: Caches) -> None:
    own = write(caches.own_repository("ACE-Step/acestep-5Hz-lm-0.6B"))
    bundle = write(caches.own_repository("ACE-Step/Ace-Step1.5") / "acestep-5Hz-lm-1.7B")
    assert locate_planner(CARD, caches).folder == own
    assert locate_planner(planner("ace-step-1.5-planner-1.7b"), caches).folder == bundle
    states = {status.card.id: status.state for status in planner_inventory(caches)}
    assert list(states.values()) == ["ready", "ready", "absent"]


def test_a_named_folder_may_be_the_planner_or_hold_it(tmp_path: Path, caches: Caches) -> None:
    suffixed = write(tmp_path / "a" / "acestep-5Hz-lm-0.6B-v4-fix")
    assert locate_planner(CARD, caches, suffixed).folder == suffixed
    inside = write(tmp_path / "b" / "checkpoints" / CARD.folder)
    assert locate_planner(CARD, caches, tmp_path / "b").folder == inside
    with pytest.raises(ModelError, match="does not exist"):
        search_planner(CARD, caches, tmp_path / "nowhere")


def test_a_whole_folder_is_preferred_and_what_is_missing_is_said(caches: Caches) -> None:
    folder = write(caches.own_repository("ACE-Step/acestep-5Hz-lm-0.6B"))
    (folder / "tokenizer.json").unlink()
    assert planner_inventory(caches)[0].state == "partial"
    with pytest.raises(ModelError, match=r"missing .*tokenizer\.json.*partita download ace-step-1\.5-planner-0\.6b"):
        locate_planner(CARD, caches)
    whole = write(caches.own_repository("ACE-Step/acestep-5Hz-lm-0.6B") / CARD.folder)
    assert locate_planner(CARD, caches).folder == whole


def test_what_is_nowhere_is_said_with_the_command_that_fetches_it(caches: Caches) -> None:
    with pytest.raises(ModelError, match=r"its weights.*partita download ace-step-1\.5-planner-0\.6b.*1\.3 GB"):
        locate_planner(CARD, caches)


def test_planners_are_no_song_models() -> None:
    assert not {one.id for one in planners()} & {one.id for one in catalog()}
    with pytest.raises(RequestError, match=r"plans songs and makes none.*ace-step-1\.5-turbo") as caught:
        card("acestep-5Hz-lm-1.7B")
    assert caught.value.field == "model"
    with pytest.raises(RequestError, match=r"no planner 'ace-step-1.5-turbo'") as caught:
        planner("ace-step-1.5-turbo")
    assert caught.value.field == "planner"


@pytest.mark.parametrize("size", ["0.6B", "1.7B", "4B"])
def test_finds_a_planner_by_its_upstream_name_in_any_case(size: str) -> None:
    found = planner(f" ACEStep-5hz-lm-{size} ")
    assert found.id == f"ace-step-1.5-planner-{size.lower()}"
    assert published(found.aliases[0]) is found
    assert all(entry.path.rpartition("/")[0] in ("", found.folder) for entry in found.files)


@pytest.mark.parametrize(("size", "parameters"), [("0.6b", 0.663e9), ("1.7b", 1.854e9), ("4b", 4.189e9)])
def test_published_sizes_have_the_published_number_of_parameters(size: str, parameters: float) -> None:
    one = planner(f"ace-step-1.5-planner-{size}")
    with skeleton():
        shapes = expected_shapes(Qwen3(Qwen3Config.from_json(configuration(one.configuration))))
    count = sum(torch.Size(shape).numel() for shape in shapes.values())
    assert count == pytest.approx(parameters, rel=1e-3)
    weights = next(entry for entry in one.files if entry.path.endswith("model.safetensors"))
    assert 0 <= (weights.size_bytes or weights.about_bytes or 0) - 2 * count < 100_000
    assert total_bytes(one) > 2 * count


def test_the_command_line_lists_planners_apart_and_fetches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARTITA_CACHE", str(tmp_path))
    listed = json.loads(CliRunner().invoke(models, ["--json"], catch_exceptions=False).stdout)
    assert [row["id"] for row in listed["planners"]] == [one.id for one in planners()]
    assert not {row["id"] for row in listed["models"]} & {one.id for one in planners()}
    result = CliRunner().invoke(download, ["acestep-5Hz-lm-0.6B", "--offline"])
    assert "ace-step-1.5-planner-0.6b is not whole" in str(result.exception)
