"""Packed and quantised linear layers against the weights that they were made of."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from partita.errors import ModelError
from partita.models import quantised
from partita.models.quantised import FixedPointLinear, Form, Int4Linear, Int8Linear, PackedLinear
from partita.models.qwen3_decoder import prefill
from tests.models.tiny_qwen3 import pair

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="the processor has no VNNI")


def made(dtype: torch.dtype = torch.bfloat16, outputs: int = 48, inputs: int = 256) -> tuple[Tensor, Tensor]:
    """A weight whose rows differ in size, and inputs whose rows do."""
    draw = torch.Generator().manual_seed(3)
    weight = torch.randn(outputs, inputs, generator=draw) * torch.logspace(-2, 1, outputs)[:, None]
    x = torch.randn(2, 5, inputs, generator=draw) * torch.tensor([1e-3, 100.0])[:, None, None]
    return weight.to(dtype), x.to(dtype)


def relative_error(found: Tensor, weight: Tensor, x: Tensor) -> float:
    """Of each result, against the exact one, over the size that a sum of so many products has; the largest."""
    exact = F.linear(x.double(), weight.double())
    size = x.double().norm(dim=-1, keepdim=True) * weight.double().norm(dim=-1)
    return float(((found.double() - exact).abs() / size).max())


def dequantised_int8(weight: Tensor) -> Tensor:
    whole, scale = quantised.quantise_int8(weight)
    return whole.double() * scale.double()[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int8_is_the_weight_to_half_a_step(dtype: torch.dtype):
    weight, _ = made(dtype)
    step = weight.double().abs().amax(dim=1, keepdim=True) / 127
    assert ((dequantised_int8(weight) - weight.double()).abs() / step).max() < 0.501


def test_int4_is_the_weight_to_little_more_than_half_a_step():
    weight, _ = made(torch.float32)
    whole, scale, offset = quantised.quantise_int4(weight)
    found = ((whole.unflatten(1, (-1, 64)).double() - 8) * scale[..., None] + offset[..., None]).flatten(1)
    step = scale.double().repeat_interleave(64, dim=1)
    assert ((found - weight.double()).abs() / step).max() < 0.501
    assert (whole.amin(), whole.amax()) == (0, 15)


@pytest.mark.parametrize("zeros", [quantised.int8, quantised.int4])
def test_a_weight_of_zeros_gives_zeros(zeros: Form):
    assert zeros(torch.zeros(16, 128, dtype=torch.bfloat16))(torch.ones(1, 128, dtype=torch.bfloat16)).abs().max() == 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("form", "dtype", "limit"),
    [
        # Limits: the results' own format, then what quantisation leaves of a sum of 256 products; the largest of 480.
        (quantised.plain, torch.float32, 1e-6),
        (quantised.fastest, torch.float32, 1e-6),
        (quantised.fastest, torch.bfloat16, 1e-3),
        (quantised.int8, torch.bfloat16, 2e-3),
        (Int8Linear, torch.bfloat16, 2e-3),
        (quantised.int8, torch.float32, 2e-3),
        (Int8Linear, torch.float32, 2e-3),
        (quantised.int4, torch.bfloat16, 3e-2),
        (quantised.int4, torch.float32, 3e-2),
    ],
)
def test_each_form_multiplies_by_its_weight(form: Form, dtype: torch.dtype, limit: float, device: str):
    weight, x = made(dtype)
    layer = form(weight.to(device))
    found = layer(x.to(device))
    assert (found.shape, found.dtype) == ((2, 5, 48), dtype)
    assert relative_error(found.cpu(), weight, x) < limit


@needs_vnni
def test_whole_numbers_are_as_exact_as_float32_inputs():
    weight, x = made(torch.float32)
    assert relative_error(FixedPointLinear(weight)(x), dequantised_int8(weight), x) < 1e-5


@needs_vnni
def test_whole_numbers_make_a_row_the_same_whatever_its_neighbours():
    weight, x = made(inputs=1024)
    layer = FixedPointLinear(weight)
    rows = x.flatten(0, 1)
    together = layer(rows)
    for row in range(rows.shape[0]):
        assert torch.equal(layer(rows[row : row + 1])[0], together[row])
    assert torch.equal(layer(torch.zeros(1, 1024, dtype=torch.bfloat16)), torch.zeros(1, 48, dtype=torch.bfloat16))


def test_int8_without_a_kernel_dequantises(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quantised, "_has_kernel", lambda name, device: False)
    weight, x = made()
    assert relative_error(Int8Linear(weight)(x), weight, x) < 4e-3


def test_int8_without_vnni_takes_the_kernel_that_does_without(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert isinstance(quantised.int8(made()[0]), Int8Linear)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int4_without_a_kernel_dequantises_to_the_same(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    weight, x = made(dtype)
    kernel = Int4Linear(weight)(x)
    monkeypatch.setattr(quantised, "_int4_kernel", lambda weight, group: "none")
    size = (x.float().norm(dim=-1, keepdim=True) * weight.float().norm(dim=-1)).expand_as(kernel)
    # In bfloat16 the dequantised weights are rounded once more.
    limit = 1e-6 if dtype == torch.float32 else 2e-3
    assert ((Int4Linear(weight)(x) - kernel).float().abs() / size).max() < limit


def test_int4_needs_whole_groups():
    with pytest.raises(ModelError, match=r"64 inputs.*96.*int8"):
        Int4Linear(torch.randn(16, 96))


def test_what_is_read_for_a_token_is_counted():
    weight = made()[0]
    assert PackedLinear(weight).read_bytes == 48 * 256 * 2
    assert quantised.int8(weight).read_bytes == 48 * 256
    assert Int4Linear(weight).read_bytes == 48 * 256 // 2 + 48 * 4 * 2 * 2


@pytest.mark.parametrize(("form", "limit"), [(quantised.fastest, 0.02), (quantised.int8, 0.06), (quantised.int4, 0.6)])
@torch.inference_mode()
def test_a_network_of_each_form_stays_near_the_original(form: Form, limit: float):
    sizes = {"hidden_size": 128, "intermediate_size": 192}
    prompts = [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7]]
    exact = pair(torch.bfloat16, **sizes)[1]
    expected = exact.head()(prefill(exact, prompts)[1])
    ours = pair(torch.bfloat16, form=form, **sizes)[1]
    error = ours.head(form=quantised.int8)(prefill(ours, prompts)[1]) - expected
    assert error.square().mean().sqrt() < limit * expected.std()
