"""LoRAs of ACE-Step v1: where they change what, at which scale, and what is said of one that does not fit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from partita.engine.adapters import AdaptedParts
from partita.errors import ModelError
from partita.models.acestepv1.conditioner import Conditioner
from partita.models.acestepv1.config import TransformerConfig
from partita.models.acestepv1.transformer import Transformer
from partita.weights.adapters import inspect_adapter, load_adapter
from partita.weights.loaders import adaptable
from tests.weights.adapter_files import Factors, comfyui, kohya, lora_factors, network, peft, save
from tests.weights.v1_checkpoints import TRANSFORMER_CONFIG

RANK, ALPHA = 4, 2.0
CONDITIONER_MODULES = (
    "lyric_encoder.encoders.3.self_attn.linear_q",
    "lyric_encoder.encoders.3.self_attn.linear_v",
    "speaker_embedder",
)
TRANSFORMER_MODULES = (
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.1.cross_attn.to_k",
    "transformer_blocks.1.cross_attn.to_out.0",
)
IDLE_MODULES = ("transformer_blocks.1.cross_attn.add_q_proj", "projectors.0.2")
CONFIG = TransformerConfig.from_json(TRANSFORMER_CONFIG)


def networks() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        made: dict[str, nn.Module] = {"conditioner": Conditioner(CONFIG), "transformer": Transformer(CONFIG)}
    return {name: one.eval().requires_grad_(False) for name, one in made.items()}


NETWORKS = networks()
WHOLE = adaptable("acestep-v1", NETWORKS["conditioner"])


class Parts:
    """The networks of a model, lent as they are."""

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        yield NETWORKS.get(name, name)


def factors(*modules: str, seed: int = 1) -> Factors:
    generator = torch.Generator().manual_seed(seed)
    made: Factors = {}
    for module in modules or (*CONDITIONER_MODULES, *TRANSFORMER_MODULES):
        out, inner = WHOLE.shapes[f"{module}.weight"]
        made[module] = (
            torch.randn(RANK, inner, generator=generator),
            torch.randn(out, RANK, generator=generator),
        )
    return made


def write(
    folder: Path,
    made: Factors,
    *,
    prefix: str = "",
    training: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Path:
    """As the trainer of ACE-Step v1 leaves a LoRA: weights without a prefix, and its settings beside them."""
    tensors: dict[str, Tensor] = {}
    for module, (down, up) in made.items():
        tensors[f"{prefix}{module}.lora_A.weight"], tensors[f"{prefix}{module}.lora_B.weight"] = down, up
    said = None if metadata is None else {"format": "pt", "lora_adapter_metadata": json.dumps(metadata)}
    save(folder / "pytorch_lora_weights.safetensors", tensors, said)
    if training is not None:
        (folder / "config.json").write_text(json.dumps(training))
    return folder


def changes(path: Path, *, strength: float = 1.0, as_trained: bool = True) -> dict[str, Tensor]:
    """What every linear layer of both parts is changed by, from what they compute."""
    adapted = AdaptedParts(Parts(), [(path, strength)], family="acestep-v1", as_trained=as_trained, merge=True)
    found: dict[str, Tensor] = {}
    for part, plain in NETWORKS.items():
        with adapted.use(part) as lent:
            for name, module in lent.named_modules():
                weight = getattr(module, "weight", None)
                if isinstance(module, nn.Linear) and weight is not None:
                    moved = weight - plain.get_submodule(name).weight  # pyright: ignore[reportOperatorIssue]
                    if moved.abs().max() > 0:
                        found[name] = moved
    return found


def matches(found: dict[str, Tensor], made: Factors, scale: float) -> None:
    assert set(found) == set(made)
    for module, (down, up) in made.items():
        torch.testing.assert_close(found[module], scale * up @ down, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "transformer.", "base_model.model."])
def test_layers_of_both_parts_are_changed_whoever_wrote_the_names(tmp_path: Path, prefix: str) -> None:
    made = factors()
    path = write(tmp_path, made, prefix=prefix) if prefix != "base_model.model." else peft(tmp_path, made, r=RANK)
    scale = 6.0 / RANK if prefix == "base_model.model." else 1.0
    matches(changes(path, strength=0.5), made, 0.5 * scale)


def test_underscored_names_are_understood(tmp_path: Path) -> None:
    made = factors()
    matches(changes(kohya(tmp_path / "a.safetensors", made)), made, 6.0 / RANK)


def test_a_part_without_changes_is_lent_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, factors(*TRANSFORMER_MODULES))
    adapted = AdaptedParts(Parts(), [(path, 1.0)], family="acestep-v1")
    with adapted.use("conditioner") as conditioner, adapted.use("codec") as codec:
        assert conditioner is NETWORKS["conditioner"]
        assert codec == "codec"


def test_changes_are_computed_on_the_fly_too(tmp_path: Path) -> None:
    path = write(tmp_path, factors())
    ids, mask = torch.tensor([[261, 259, 2]]), torch.ones(1, 3)
    text, speaker = torch.ones(1, 2, 16), torch.zeros(1, 8)
    states = []
    for merge in (False, True):
        with AdaptedParts(Parts(), [(path, 1.0)], family="acestep-v1", merge=merge).use("conditioner") as lent:
            states.append(lent(text, torch.ones(1, 2), speaker, ids, mask).hidden)
    plain = NETWORKS["conditioner"](text, torch.ones(1, 2), speaker, ids, mask).hidden
    torch.testing.assert_close(states[0], states[1], rtol=1e-4, atol=1e-4)
    assert (states[0] - plain).abs().max() > 0.01


# What a trainer with rank 4, alpha 2 and rank-stabilised scale leaves.
TRAINING = {"r": RANK, "lora_alpha": ALPHA, "use_rslora": True, "target_modules": ["to_q"]}


@pytest.mark.parametrize(
    ("training", "metadata", "trained", "original"),
    [
        (None, None, 1.0, 1.0),
        (TRAINING, None, ALPHA / math.sqrt(RANK), 1.0),
        ({**TRAINING, "use_rslora": False}, None, ALPHA / RANK, 1.0),
        ({"_class_name": "ACEStepTransformer2DModel"}, None, 1.0, 1.0),
        (None, {"r": RANK, "lora_alpha": 12}, 3.0, 1.0),
        (TRAINING, {"r": RANK, "lora_alpha": 12, "use_rslora": True}, 6.0, 1.0),
    ],
)
def test_the_scale_is_the_trained_one_and_in_parity_that_of_the_original(
    tmp_path: Path, training: dict[str, Any] | None, metadata: dict[str, Any] | None, trained: float, original: float
) -> None:
    made = factors()
    path = write(tmp_path, made, training=training, metadata=metadata)
    matches(changes(path), made, trained)
    matches(changes(path, as_trained=False), made, original)


def test_the_facts_say_what_the_trainer_left(tmp_path: Path) -> None:
    facts = inspect_adapter(write(tmp_path / "rap", factors(), training=TRAINING))
    assert (facts.name, facts.kind, facts.layout, facts.rank, facts.alpha) == ("rap", "lora", "diffusers", RANK, ALPHA)
    assert facts.targets == 6
    assert facts.metadata["use_rslora"] == "true"


def test_a_rank_that_is_not_the_trained_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, factors(), training={**TRAINING, "r": 8})
    with pytest.raises(ModelError, match=r"has the rank 4, and the trainer's configuration says 8"):
        changes(path)


def test_changes_of_layers_that_nothing_reads_are_left_out(tmp_path: Path) -> None:
    made = factors(*TRANSFORMER_MODULES)
    matches(changes(write(tmp_path, made | factors(*IDLE_MODULES, seed=2))), made, 1.0)


def test_a_convolution_cannot_be_adapted(tmp_path: Path) -> None:
    made = factors(TRANSFORMER_MODULES[0])
    made["transformer_blocks.0.ff.point_conv.conv"] = (torch.ones(RANK, 80, 1), torch.ones(32, RANK, 1))
    with pytest.raises(ModelError, match=r"point_conv.*only linear layers") as raised:
        changes(write(tmp_path, made))
    assert raised.value.key is not None


def test_an_adapter_of_the_other_family_is_named_as_such(tmp_path: Path) -> None:
    small = network()
    shapes = adaptable("acestep-1.5", small).shapes
    with pytest.raises(
        ModelError, match=r"transformer of turbo does not have.*names are those of ACE-Step v1"
    ) as raised:
        load_adapter(write(tmp_path / "v1", factors()), shapes, "the transformer of turbo")
    assert raised.value.key == "lyric_encoder.encoders.3.self_attn.linear_q.lora_A.weight"
    with pytest.raises(ModelError, match=r"does not have.*names are those of ACE-Step 1\.5") as raised:
        changes(comfyui(tmp_path / "x.safetensors", lora_factors(small)))
    assert str(raised.value.key).startswith("diffusion_model.decoder.layers.0.self_attn")


def test_an_adapter_of_another_width_is_refused(tmp_path: Path) -> None:
    made = factors(TRANSFORMER_MODULES[0])
    made[TRANSFORMER_MODULES[0]] = (torch.ones(RANK, 48), torch.ones(48, RANK))
    with pytest.raises(ModelError, match=r"lora_A.weight \[4, 48\] should have the shape \[4, 32\].*size of it"):
        changes(write(tmp_path, made))
