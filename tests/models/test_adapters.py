"""Changed linear layers: on the fly, merged and by hand give the same numbers, and the network stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from partita.errors import ModelError
from partita.models.adapters import AdaptedLinear, Delta, LoKrDelta, LoRADelta, adapted, merged_weight
from tests.weights.adapter_files import ALPHA, RANK, dense, lora_factors, network, reference, run

OUT, IN = 12, 8


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def linear(bias: bool = True, dtype: torch.dtype = torch.float32) -> nn.Linear:
    base = nn.Linear(IN, OUT, bias=bias).requires_grad_(False)
    base.weight.copy_(randn(OUT, IN, seed=1))
    if bias:
        base.bias.copy_(randn(OUT, seed=2))
    return base.to(dtype)


def lora(magnitude: Tensor | None = None) -> LoRADelta:
    return LoRADelta(randn(3, IN, seed=3), randn(OUT, 3, seed=4), 0.5, magnitude)


def lokr(magnitude: Tensor | None = None) -> LoKrDelta:
    return LoKrDelta((randn(3, 2, seed=5),), (randn(4, 2, seed=6), randn(2, 4, seed=7)), 0.7, magnitude)


ROWS, COLUMNS = randn(OUT, 1, seed=8).abs() + 0.5, randn(1, IN, seed=9).abs() + 0.5
DELTAS: dict[str, Delta] = {
    "lora": lora(),
    "lora dora by row": lora(ROWS),
    "lora dora by column": lora(COLUMNS),
    "lokr": lokr(),
    "lokr whole": LoKrDelta((randn(3, 2, seed=5),), (randn(4, 4, seed=6),), 1.0),
    "lokr both factored": LoKrDelta((randn(3, 1), randn(1, 2)), (randn(4, 2), randn(2, 4)), 1.5),
    "lokr dora by row": lokr(ROWS),
    "lokr dora by column": lokr(COLUMNS),
}


def by_hand(weight: Tensor, deltas: list[tuple[Delta, float]]) -> Tensor:
    """In float64, straight from the definitions."""
    base = weight.double()
    total = base.clone()
    for delta, strength in deltas:
        if isinstance(delta, LoRADelta):
            change = delta.scale * delta.up.double() @ delta.down.double()
        else:
            w1, w2 = (
                torch.linalg.multi_dot([*f, torch.eye(f[-1].shape[1])]) if f[1:] else f[0] for f in (delta.w1, delta.w2)
            )
            change = delta.scale * torch.kron(w1, w2).double()
        changed = base + change
        if delta.magnitude is not None:
            axis = 1 if delta.magnitude.shape == (OUT, 1) else 0
            changed = delta.magnitude.double() * changed / changed.square().sum(axis, keepdim=True).sqrt()
        total += strength * (changed - base)
    return total


MIXES = {name: [(delta, 0.8)] for name, delta in DELTAS.items()} | {
    "two of a kind": [(DELTAS["lora"], 1.0), (DELTAS["lora dora by row"], 0.3)],
    "all at once": [(delta, 0.1 * index - 0.3) for index, delta in enumerate(DELTAS.values())],
}


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mix", MIXES)
def test_on_the_fly_and_merged_are_the_definition(mix: str, bias: bool):
    base, deltas, x = linear(bias), MIXES[mix], randn(2, 5, IN, seed=10)
    wanted = by_hand(base.weight, deltas)
    out = x.double() @ wanted.T + (base.bias.double() if bias else 0)
    torch.testing.assert_close(merged_weight(base.weight, deltas).double(), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(AdaptedLinear(base, deltas)(x).double(), out, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("mix", MIXES)
def test_in_bfloat16_both_are_within_its_rounding(mix: str):
    base, deltas, x = linear(dtype=torch.bfloat16), MIXES[mix], randn(2, 5, IN, seed=10).bfloat16()
    wanted = by_hand(base.weight, deltas)
    assert torch.equal(merged_weight(base.weight, deltas), wanted.float().bfloat16())
    out = x.double() @ wanted.T + base.bias.double()
    # Each term is rounded to 8 bits, so the error is relative to the largest of them, not to their sum.
    limit = 2**-7 * float(x.double().abs().max() * wanted.abs().sum(1).max())
    assert float((AdaptedLinear(base, deltas)(x).double() - out).abs().max()) < limit


def test_merging_rounds_once():
    base = torch.full((1, 1), 1.0, dtype=torch.bfloat16)
    tiny = LoRADelta(torch.ones(1, 1), torch.ones(1, 1), 2**-9)
    # Half a step of bfloat16 is lost when added alone; two of them are one step.
    assert merged_weight(base, [(tiny, 1.0)]) == base
    assert merged_weight(base, [(tiny, 1.0), (tiny, 1.0), (tiny, 1.0)]) > base


def test_a_row_without_weights_stays_finite():
    zero = LoRADelta(torch.zeros(1, IN), torch.zeros(OUT, 1), 1.0, ROWS)
    assert torch.equal(merged_weight(torch.zeros(OUT, IN), [(zero, 1.0)]), torch.zeros(OUT, IN))


def lora_deltas(seed: int = 1) -> dict[str, Delta]:
    factors = lora_factors(network(), seed)
    return {module: LoRADelta(down, up, ALPHA / RANK) for module, (down, up) in factors.items()}


@pytest.mark.parametrize("merge", [False, True])
def test_a_network_with_adapters_is_the_network_with_changed_weights(merge: bool):
    dit = network()
    changes = [(lora_deltas(seed), strength) for seed, strength in ((1, 0.8), (2, -0.4), (3, 0.0))]
    with adapted(dit, changes, merge=merge) as stand_in:
        out = run(stand_in)
    wanted = reference(dit, (dense(lora_factors(dit, 1)), 0.8), (dense(lora_factors(dit, 2)), -0.4))
    torch.testing.assert_close(out, wanted, rtol=1e-5, atol=2e-5)
    assert not torch.allclose(out, run(dit), atol=1e-2)


def test_every_adapted_layer_takes_effect():
    dit = network()
    plain = run(dit)
    for module, delta in lora_deltas().items():
        with adapted(dit, [({module: delta}, 1.0)]) as stand_in:
            assert not torch.allclose(run(stand_in), plain, atol=1e-4), module


def test_the_order_of_adapters_does_not_matter():
    dit, one, two = network(), lora_deltas(1), lora_deltas(2)
    with adapted(dit, [(one, 0.5), (two, 1.5)]) as first, adapted(dit, [(two, 1.5), (one, 0.5)]) as second:
        torch.testing.assert_close(run(first), run(second), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("merge", [False, True])
def test_the_network_is_the_very_same_during_and_after_also_where_it_fails(merge: bool):
    dit = network()
    before, modules, tensors = run(dit), dict(dit.named_modules()), dict(dit.named_parameters())
    bytes_before = {name: tensor.clone() for name, tensor in tensors.items()}

    def fail() -> None:
        with adapted(dit, [(lora_deltas(), 1.0)], merge=merge) as stand_in:
            run(stand_in)
            assert torch.equal(run(dit), before)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert torch.equal(run(dit), before)
    after = dict(dit.named_modules())
    assert after.keys() == modules.keys()
    assert all(after[name] is module for name, module in modules.items())
    assert all(parameter is tensors[name] for name, parameter in dit.named_parameters())
    assert all(torch.equal(tensors[name], bytes_before[name]) for name in tensors)


def test_what_is_not_adapted_is_shared():
    dit = network()
    with adapted(dit, [(lora_deltas(), 1.0)]) as stand_in:
        assert stand_in is not dit
        assert stand_in.layers[2] is dit.layers[2]
        assert stand_in.get_submodule("layers.0.mlp") is dit.get_submodule("layers.0.mlp")
        named = dict(dit.named_parameters())
        assert all(tensor is named[name.replace(".base.", ".")] for name, tensor in stand_in.named_parameters())


def test_strength_zero_is_the_network_itself():
    dit = network()
    with adapted(dit, [(lora_deltas(), 0.0)]) as stand_in:
        assert stand_in is dit


def test_weights_that_are_views_of_a_file_stay(tmp_path: Path):
    dit, path = network(), tmp_path / "weights.safetensors"
    save_file({name: tensor.clone() for name, tensor in dit.state_dict().items()}, path)
    content = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        for name, parameter in dit.named_parameters():
            parameter.data = file.get_tensor(name)
    for merge in (False, True):
        with adapted(dit, [(lora_deltas(), 1.0)], merge=merge) as stand_in:
            run(stand_in)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layers.9.self_attn.q_proj", r"layers\.9\.self_attn\.q_proj, which the network does not have"),
        ("norm_out", "norm_out, which is a RMSNorm: only linear layers"),
        ("layers.0.mlp.down_proj", r"down_proj by a matrix \[32, 32\], and its weight is \[32, 48\]"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(name: str, message: str):
    delta = LoRADelta(torch.zeros(2, 32), torch.zeros(32, 2), 1.0)
    with pytest.raises(ModelError, match=message), adapted(network(), [({name: delta}, 1.0)]):
        pass
