"""Adapters in every layout: the same change from each, their facts, and what is said of one that does not fit."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from partita.errors import ModelError
from partita.models.adapters import adapted
from partita.weights.adapters import adapters_in, inspect_adapter, load_adapter
from partita.weights.adapters.keys import ModuleNames
from partita.weights.tensors import expected_shapes
from tests.weights.adapter_files import (
    ALPHA,
    LAYOUTS,
    MODULES,
    RANK,
    comfyui,
    dense,
    diffusers,
    kohya,
    lokr_tensors,
    lora_factors,
    lycoris,
    network,
    peft,
    reference,
    run,
    save,
)

DIT = network()
SHAPES = expected_shapes(DIT)


def with_adapter(path: Path, strength: float = 1.0, *, merge: bool = False) -> Tensor:
    with adapted(DIT, [(load_adapter(path, SHAPES, "the transformer").deltas, strength)], merge=merge) as stand_in:
        return run(stand_in)


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_adapter(path, SHAPES, "the transformer")
    return caught.value


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_change_that_it_stands_for(tmp_path: Path, layout: str):
    factors = lora_factors(DIT)
    path = LAYOUTS[layout](tmp_path, factors)
    close(with_adapter(path, 0.7), reference(DIT, (dense(factors), 0.7)))


def test_two_layouts_of_one_adapter_give_the_same_bits(tmp_path: Path):
    factors = lora_factors(DIT)
    outputs = [with_adapter(make(tmp_path / name, factors)) for name, make in LAYOUTS.items()]
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])


def test_adapters_of_several_layouts_add_up(tmp_path: Path):
    one, two = lora_factors(DIT, 1), lora_factors(DIT, 2)
    parts, whole = lokr_tensors(DIT, factored=True)
    paths = [
        peft(tmp_path / "a", one),
        kohya(tmp_path / "b.safetensors", two),
        lycoris(tmp_path / "lokr.safetensors", parts),
    ]
    deltas = [load_adapter(path, SHAPES, "the transformer").deltas for path in paths]
    for merge in (False, True):
        with adapted(DIT, list(zip(deltas, (0.5, -1.2, 0.25), strict=True)), merge=merge) as stand_in:
            close(run(stand_in), reference(DIT, (dense(one), 0.5), (dense(two), -1.2), (whole, 0.25)))


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("factored", [False, True])
def test_lokr_is_the_kronecker_product(tmp_path: Path, factored: bool, merge: bool):
    parts, whole = lokr_tensors(DIT, factored=factored)
    path = lycoris(tmp_path / "run" / "lokr_weights.safetensors", parts)
    close(with_adapter(path, 0.5, merge=merge), reference(DIT, (whole, 0.5)))
    assert torch.equal(with_adapter(path.parent, 0.5), with_adapter(path, 0.5))


def test_lokr_with_both_matrices_factored_and_a_scalar(tmp_path: Path):
    generator = torch.Generator().manual_seed(8)
    tensors = [torch.randn(*shape, generator=generator) for shape in ((4, 2), (2, 4), (8, 2), (2, 8))]
    inside = dict(zip(("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"), tensors, strict=True))
    inside |= {"alpha": torch.tensor(6.0), "scalar": torch.tensor(0.5)}
    path = lycoris(tmp_path / "one.safetensors", {MODULES[0]: inside})
    a, b, c, d = tensors
    close(with_adapter(path), reference(DIT, ({MODULES[0]: torch.kron(a @ b, c @ d) * 6 / 2 * 0.5}, 1.0)))


def test_lokr_stores_an_alpha_that_has_the_square_root_in_it(tmp_path: Path):
    parts, whole = lokr_tensors(DIT, factored=True)
    path = lycoris(tmp_path / "one.safetensors", parts, rs_lora=True)
    close(with_adapter(path, 0.1), reference(DIT, (whole, 0.1)))


def test_lokr_of_peft_scales_whole_matrices_too(tmp_path: Path):
    parts, whole = lokr_tensors(DIT, factored=False)
    tensors = {
        f"base_model.model.{module}.{part}": tensor
        for module, inside in parts.items()
        for part, tensor in inside.items()
        if part != "alpha"
    }
    save(tmp_path / "adapter_model.safetensors", tensors)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LOKR", "r": 4, "alpha": 2}))
    close(with_adapter(tmp_path), reference(DIT, (whole, 0.5)))


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("by_row", [True, False])
def test_dora_of_lycoris_rescales_rows_or_columns(tmp_path: Path, by_row: bool, merge: bool):
    parts, whole = lokr_tensors(DIT, factored=True)
    changes = {}
    for module, inside in parts.items():
        weight, axis = SHAPES[f"{module}.weight"], 1 if by_row else 0
        base = DIT.get_parameter(f"{module}.weight")
        shape = (weight[0], 1) if by_row else (1, weight[1])
        magnitude = torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 0.5
        inside["dora_scale"] = magnitude
        changed = base + whole[module]
        changes[module] = magnitude * changed / changed.norm(dim=axis, keepdim=True) - base
    path = lycoris(tmp_path / "one.safetensors", parts, weight_decompose=True)
    close(with_adapter(path, 0.6, merge=merge), reference(DIT, (changes, 0.6)))
    assert inspect_adapter(path).decomposed


def test_dora_of_peft(tmp_path: Path):
    factors = lora_factors(DIT)
    peft(tmp_path, factors, use_dora=True)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    changes = {}
    for module, change in dense(factors).items():
        base = DIT.get_parameter(f"{module}.weight")
        magnitude = torch.rand(base.shape[0], generator=torch.Generator().manual_seed(1)) + 0.5
        tensors[f"base_model.model.{module}.lora_magnitude_vector"] = magnitude
        changed = base + change
        changes[module] = magnitude[:, None] * changed / changed.norm(dim=1, keepdim=True) - base
    save(tmp_path / "adapter_model.safetensors", tensors)
    close(with_adapter(tmp_path), reference(DIT, (changes, 1.0)))


def test_patterns_and_the_square_root_of_peft(tmp_path: Path):
    factors = lora_factors(DIT)
    wide = lora_factors(DIT, 2, rank=4)[MODULES[0]]
    peft(
        tmp_path,
        factors | {MODULES[0]: wide},
        use_rslora=True,
        rank_pattern={r"layers\.0\.self_attn\.q_proj": 4},
        alpha_pattern={"mlp.down_proj": 9},
    )
    wanted = dense(factors, ALPHA / RANK**0.5)
    wanted |= dense({MODULES[0]: wide}, ALPHA / 2) | dense({MODULES[4]: factors[MODULES[4]]}, 9 / RANK**0.5)
    close(with_adapter(tmp_path), reference(DIT, (wanted, 1.0)))


def test_without_any_alpha_the_product_is_taken_as_it_is(tmp_path: Path):
    factors = lora_factors(DIT)
    path = diffusers(tmp_path / "one.safetensors", factors)
    save(path, load_file(path))
    assert inspect_adapter(path).alpha is None
    close(with_adapter(path), reference(DIT, (dense(factors, 1.0), 1.0)))


def test_factors_of_convolutions_of_one_point(tmp_path: Path):
    factors = lora_factors(DIT)
    path = kohya(tmp_path / "one.safetensors", factors)
    tensors = {k: t if t.dim() == 0 else t[:, :, None, None] for k, t in load_file(path).items()}
    save(path, tensors)
    close(with_adapter(path), reference(DIT, (dense(factors), 1.0)))


@pytest.mark.parametrize(
    "path",
    [
        "transformer_blocks.0.attn.to_out.0",
        "transformer.transformer_blocks.0.attn.to_out.0",
        "base_model.model.transformer_blocks.0.attn.to_out.0",
        "lora_unet_transformer_blocks_0_attn_to_out_0",
        "lora_transformer_transformer_blocks_0_attn_to_out_0",
    ],
)
def test_a_network_that_has_diffusers_names_itself_is_found_by_them(path: str):
    names = ModuleNames(["transformer_blocks.0.attn.to_out.0.weight", "transformer_blocks.0.attn.to_out.0.bias"])
    assert names.find(path) == "transformer_blocks.0.attn.to_out.0"
    assert names.find(path.replace("to_out", "to_in")) is None


# What an adapter says of itself


def test_facts_of_a_training_output(tmp_path: Path):
    peft(tmp_path / "my-singer", lora_factors(DIT), inside="final/adapter", target_modules=["q_proj"])
    weights = tmp_path / "my-singer/final/adapter/adapter_model.safetensors"
    facts = inspect_adapter(tmp_path / "my-singer")
    assert (facts.name, facts.kind, facts.layout, facts.rank, facts.alpha) == ("my-singer", "lora", "peft", RANK, ALPHA)
    assert facts.base_model == "acestep-v15-turbo"
    assert facts.targets == len(MODULES)
    assert facts.bytes == weights.stat().st_size
    assert facts.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert facts.metadata["target_modules"] == '["q_proj"]'
    assert inspect_adapter(weights) == facts


def test_facts_of_single_files(tmp_path: Path):
    factors = lora_factors(DIT)
    one = inspect_adapter(kohya(tmp_path / "warm voice.safetensors", factors))
    assert (one.name, one.layout, one.rank, one.alpha) == ("warm voice", "kohya", RANK, ALPHA)
    assert one.base_model == "ace_step_15"
    two = inspect_adapter(comfyui(tmp_path / "b.safetensors", factors))
    assert (two.layout, two.alpha, two.base_model) == ("comfyui", ALPHA, None)
    three = inspect_adapter(diffusers(tmp_path / "folk" / "pytorch_lora_weights.safetensors", factors))
    assert (three.name, three.layout, three.alpha, three.base_model) == ("folk", "diffusers", ALPHA, "ACE/xl")
    four = inspect_adapter(lycoris(tmp_path / "d/lokr_weights.safetensors", lokr_tensors(DIT, factored=True)[0]))
    assert (four.name, four.kind, four.layout, four.rank, four.alpha) == ("d", "lokr", "lycoris", 2, 5)
    assert not four.decomposed


def test_long_metadata_is_cut_and_says_so(tmp_path: Path):
    path = kohya(tmp_path / "a.safetensors", lora_factors(DIT))
    save(path, load_file(path), {"ss_tag_frequency": "x" * 9000})
    assert inspect_adapter(path).metadata["ss_tag_frequency"].endswith("x... (9000 characters)")


def test_a_folder_of_adapters_is_listed(tmp_path: Path):
    factors = lora_factors(DIT)
    kohya(tmp_path / "b.safetensors", factors)
    peft(tmp_path / "a", factors, inside="final/adapter")
    (tmp_path / "notes.txt").write_text("no adapter")
    (tmp_path / "empty").mkdir()
    kohya(tmp_path / "c" / "choir.safetensors", factors)
    assert [path.name for path in adapters_in(tmp_path)] == ["a", "b.safetensors", "c"]
    assert inspect_adapter(tmp_path / "c").name == "choir"
    assert adapters_in(tmp_path / "nowhere") == []


def test_listing_imports_no_torch(tmp_path: Path):
    path = comfyui(tmp_path / "a.safetensors", lora_factors(DIT))
    code = (
        "import sys; from pathlib import Path; from partita.weights.adapters import inspect_adapter; "
        f"inspect_adapter(Path({str(path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What does not fit


def edited(tmp_path: Path, change) -> Path:
    """A PEFT folder whose tensors `change` has edited in place."""
    peft(tmp_path, lora_factors(DIT))
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    change(tensors)
    save(tmp_path / "adapter_model.safetensors", tensors)
    return tmp_path


KEY = "base_model.model.layers.0.self_attn.q_proj.lora_A.weight"


def test_an_adapter_of_another_size_names_key_shape_and_model(tmp_path: Path):
    wide = network(hidden_size=40)
    error = refusal(peft(tmp_path, lora_factors(wide), base_model_name_or_path="acestep-v15-xl-turbo"))
    assert error.key == "base_model.model.layers.0.self_attn.o_proj.lora_B.weight"
    assert f"{error.key} [40, 3] should have the shape [32, 3]" in str(error)
    assert "made for another model: it says acestep-v15-xl-turbo" in str(error)


def test_an_adapter_of_another_architecture_names_its_first_key(tmp_path: Path):
    tensors = {"transformer.single_blocks.0.attn.to_q.lora_A.weight": torch.zeros(4, 32)}
    tensors["transformer.single_blocks.0.attn.to_q.lora_B.weight"] = torch.zeros(32, 4)
    error = refusal(save(tmp_path / "flux.safetensors", tensors))
    assert error.key == "transformer.single_blocks.0.attn.to_q.lora_A.weight"
    assert "[4, 32] changes transformer.single_blocks.0.attn.to_q, which the transformer does not have" in str(error)
    assert "made for another model" in str(error)


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (lambda t: t.update({KEY: torch.zeros(3, 31)}), KEY, r"\[3, 31\] should have the shape \[3, 32\]"),
        (
            lambda t: t.update({KEY.replace("_A", "_B"): torch.zeros(32, 5)}),
            KEY.replace("_A", "_B"),
            r"\[32, 5\] should have the shape \[32, 3\]",
        ),
        (lambda t: t.pop(KEY.replace("_A", "_B")), KEY, "has no partner"),
        (
            lambda t: t.update({KEY.replace("layers.0", "layers.77"): torch.zeros(3, 32)}),
            KEY.replace("layers.0", "layers.77"),
            "layers.77.self_attn.q_proj, which the transformer does not have",
        ),
        (lambda t: t.update({"text_encoder.embed": torch.zeros(3)}), "text_encoder.embed", "no part of a LoRA or LoKr"),
        (
            lambda t: t.update({KEY.replace("lora_A.weight", "lora_B.bias"): torch.zeros(32)}),
            KEY.replace("lora_A.weight", "lora_B.bias"),
            "no part of a LoRA or LoKr",
        ),
        (
            lambda t: t.update({KEY.replace("lora_A.weight", "hada_w1_a"): torch.zeros(32, 4)}),
            KEY.replace("lora_A.weight", "hada_w1_a"),
            "no part of a LoRA or LoKr",
        ),
        (
            lambda t: t.update({KEY.replace("lora_A.weight", "dora_scale"): torch.zeros(5, 1)}),
            KEY.replace("lora_A.weight", "dora_scale"),
            r"should have the shape \[32\], \[32, 1\] or \[1, 32\]",
        ),
        (
            lambda t: t.update({KEY.replace("layers.0.self_attn.q_proj", "proj_in.1"): torch.zeros(3, 24)}),
            KEY.replace("layers.0.self_attn.q_proj", "proj_in.1"),
            "only linear layers",
        ),
        (
            lambda t: t.update({KEY.replace("lora_A", "lora_A.other"): torch.zeros(3, 32)}),
            None,
            "two adapters in one file",
        ),
        (lambda t: t.update({KEY: torch.zeros(3, 32, dtype=torch.int8)}), KEY, "is stored as I8"),
        (
            lambda t: t.update({KEY.replace("lora_A.weight", "alpha"): torch.zeros(2)}),
            KEY.replace("lora_A.weight", "alpha"),
            "should be a single number",
        ),
        (
            lambda t: t.update({"layers.2.self_attn.q_proj.alpha": torch.tensor(1.0)}),
            "layers.2.self_attn.q_proj.alpha",
            "stands alone",
        ),
    ],
)
def test_a_tensor_that_cannot_be_used_is_named(tmp_path: Path, change, key: str | None, message: str):
    path = edited(tmp_path, change)
    with pytest.raises(ModelError, match=message) as caught:
        load_adapter(path, SHAPES, "the transformer")
    assert key is None or caught.value.key == key
    assert caught.value.path == path / "adapter_model.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inside: inside.pop("lokr_w2_b"), "needs lokr_w2, or else both lokr_w2_a and lokr_w2_b"),
        (lambda inside: inside.update(lokr_w2=torch.zeros(8, 16)), "needs lokr_w2"),
        (lambda inside: inside.update(lokr_w1=torch.zeros(3, 2)), r"make a matrix \[24, 32\], and .* is \[32, 32\]"),
        (lambda inside: inside.update(lokr_w2_b=torch.zeros(3, 16)), "should have 2 rows"),
        (lambda inside: inside.update(lokr_t2=torch.zeros(2, 2, 1, 1)), r"lokr_t2 .* no part"),
    ],
)
def test_parts_of_lokr_that_do_not_fit_are_named(tmp_path: Path, change, message: str):
    parts, _ = lokr_tensors(DIT, factored=True)
    change(parts[MODULES[0]])
    path = lycoris(tmp_path / "one.safetensors", parts)
    with pytest.raises(ModelError, match=message):
        load_adapter(path, SHAPES, "the transformer")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"r": 8}, r"has the rank 3, and the trainer's configuration says 8"),
        ({"peft_type": "IA3"}, "says peft_type IA3: LORA and LOKR can be used"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the model underneath"),
        ({"fan_in_fan_out": True}, "the other way round"),
        ({"lora_alpha": "much"}, "cannot be used"),
        ({"alpha_pattern": {"(": 1}}, "cannot be used"),
    ],
)
def test_a_configuration_that_cannot_be_honoured_is_refused(tmp_path: Path, config: dict, message: str):
    peft(tmp_path, lora_factors(DIT), **config)
    with pytest.raises(ModelError, match=message):
        load_adapter(tmp_path, SHAPES, "the transformer")


def test_weights_of_peft_without_their_configuration_have_no_scale(tmp_path: Path):
    peft(tmp_path, lora_factors(DIT))
    (tmp_path / "adapter_config.json").unlink()
    assert "adapter_config.json" in str(refusal(tmp_path))


@pytest.mark.parametrize("name", ["lora_weights.pt", "adapter_model.bin", "voice.ckpt"])
@pytest.mark.parametrize("in_folder", [True, False])
def test_a_pickle_is_refused_unopened(tmp_path: Path, name: str, in_folder: bool):
    path = tmp_path / name
    path.write_bytes(b"\x80\x02cos\nsystem\n")
    error = refusal(tmp_path if in_folder else path)
    assert "can run code" in str(error)
    assert "save_file" in str(error)


def test_where_there_is_no_adapter(tmp_path: Path):
    assert "There is no adapter at" in str(refusal(tmp_path / "nowhere"))
    assert "holds no adapter" in str(refusal(tmp_path))
    peft(tmp_path / "run/checkpoints/epoch_5_loss_1", lora_factors(DIT), inside="adapter")
    assert "epoch_5_loss_1" in str(refusal(tmp_path / "run"))
    for name in ("a", "b"):
        kohya(tmp_path / "two" / f"{name}.safetensors", lora_factors(DIT))
    assert "holds 2 weight files" in str(refusal(tmp_path / "two"))
    save(tmp_path / "model.safetensors", {"layers.0.self_attn.q_proj.weight": torch.zeros(2, 2)})
    assert "is no LoRA or LoKr adapter" in str(refusal(tmp_path / "model.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes(b"\0" * 3)
    assert "cut short" in str(refusal(tmp_path / "cut.safetensors"))
