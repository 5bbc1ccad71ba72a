"""Linear layers in the form that is read fastest when few tokens pass: packed bfloat16, int8, int4. No biases.

A `Form` makes a layer of a weight `[N, K]`. In int8 and int4 only weights are quantised: int8 symmetrically, with one
scale for each output; int4 with a scale and an offset for each group of inputs. Decoding is bound by the bytes of the
weights, so each form uses the kernel of torch or oneDNN that reads them fastest on the device; `models.native_step`
reads those that lie row by row, `plain` and `Int8Linear`, itself. Nothing here knows what a layer is for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from partita.errors import ModelError

Form = Callable[[Tensor], nn.Module]
"""A weight `[N, K]` -> a layer that takes `[..., K]` to `[..., N]` in the same number format."""

GROUP = 64  # inputs that share a scale in int4: half a bit more a weight
_DECODED_ROWS = 2  # what oneDNN is told to lay packed weights out for: a guided pair
_ROWS_AT_ONCE = 512  # of a weight that is being quantised: what is between stays in the processor's cache
_WEIGHT_ONLY_ROWS = 32  # up to which that kernel takes less than to dequantise and multiply
_HALF = 32_639  # the most that a number of two signed bytes holds: 127 * 256 + 127


def plain(weight: Tensor) -> nn.Module:
    """The weight as it is, sharing its memory."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def fastest(weight: Tensor) -> nn.Module:
    """The form for unquantised weights where they lie: packed where oneDNN multiplies bfloat16 natively, else plain."""
    native = weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and torch.backends.mkldnn.is_available()
    return PackedLinear(weight) if native and torch.ops.mkldnn._is_mkldnn_bf16_supported() else plain(weight)


def int8(weight: Tensor) -> nn.Module:
    """Eight bits a weight."""
    exact = weight.device.type == "cpu" and "onednn" in torch.backends.quantized.supported_engines
    # Without VNNI oneDNN adds pairs of products in 16 bits, which overflow.
    return FixedPointLinear(weight) if exact and torch.cpu._is_vnni_supported() else Int8Linear(weight)


def int4(weight: Tensor) -> nn.Module:
    """Four bits a weight, and a scale and an offset for each 64 inputs."""
    return Int4Linear(weight)


class PackedLinear(nn.Module):
    """A bfloat16 weight laid out in oneDNN's blocks. With two rows on two AVX-512 cores it is read at 0.7 of the speed
    of a plain sum over memory, the row-major weight of `F.linear` at 0.3."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.read_bytes = weight.nbytes
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _DECODED_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, None, "none", [], "")


class Int8Linear(nn.Module):
    """An int8 weight, through torch's weight-only kernel where there is one for the device, else dequantised."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight, self.scale = quantise_int8(weight)
        self._rounded_scale = self.scale.to(weight.dtype)
        self.read_bytes = self.weight.nbytes
        self._has_kernel = weight.dtype == torch.bfloat16 and _has_kernel("aten::_weight_int8pack_mm", weight.device)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        if self._has_kernel and rows.shape[0] <= _WEIGHT_ONLY_ROWS:
            product = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self._rounded_scale)
            return product.unflatten(0, x.shape[:-1])
        return F.linear(x, self.weight.to(x.dtype)) * self._rounded_scale


class FixedPointLinear(nn.Module):
    """An int8 weight times inputs of 16 bits in whole numbers, exactly, by VNNI: a row's result depends on no other.

    A row of inputs, scaled by its largest, is split into a high and a low byte; both are multiplied in one product.
    What that rounds is 1.5e-5 of the largest input, below the inputs' own rounding. With two rows this reads weights
    1.5 times as fast as the weight-only kernel, which turns each weight into float32.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        whole, self.scale = quantise_int8(weight)
        self.read_bytes = whole.nbytes
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)
        # Each byte without a sign, 128 above the number: the product of signed bytes has no fast kernel.
        self._shift = torch.tensor(1.5 * 2**23 + 128 * 256 + 128)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2).float()
        unit = rows.abs().amax(dim=-1, keepdim=True).div_(_HALF).clamp_(min=torch.finfo(torch.float32).tiny)
        # A sum of this size is rounded to a whole number, and the two lowest bytes of its float32 are the two bytes.
        whole = torch.addcdiv(self._shift, rows, unit)
        both = whole.view(torch.uint8).view(*rows.shape, 4)[..., :2].permute(2, 0, 1).flatten(0, 1)
        products = torch.ops.onednn.qlinear_pointwise(
            both, 1.0, 128, self._packed, self.scale, None, None, 1.0, 0, torch.float32, "none", [], ""
        )
        below, above = products.chunk(2)
        return below.add_(above, alpha=256).mul_(unit).to(x.dtype).unflatten(0, x.shape[:-1])


class Int4Linear(nn.Module):
    """An int4 weight, through torch's weight-only kernels on CPU and CUDA, else dequantised.

    Raises ModelError where the weight's inputs are no whole number of groups.
    """

    def __init__(self, weight: Tensor, group: int = GROUP) -> None:
        super().__init__()
        self.group = group
        whole, scale, offset = quantise_int4(weight, group)
        self.scales = torch.stack((scale, offset), dim=-1).transpose(0, 1).contiguous()  # [K / group, N, 2]
        self.read_bytes = whole.numel() // 2 + self.scales.nbytes
        self._kind = _int4_kernel(weight, group)
        match self._kind:
            case "cpu":
                self.weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(whole.int(), 1)
            case "cuda":
                self.weight = torch.ops.aten._convert_weight_to_int4pack(_nibbles(whole), 8)
            case _:
                self.weight = _nibbles(whole)

    def forward(self, x: Tensor) -> Tensor:
        if self._kind == "none":
            return F.linear(x, self._dequantised())
        kernels = torch.ops.aten
        product = kernels._weight_int4pack_mm_for_cpu if self._kind == "cpu" else kernels._weight_int4pack_mm
        rows = product(x.flatten(0, -2).contiguous(), self.weight, self.group, self.scales)
        return rows.unflatten(0, x.shape[:-1])

    def _dequantised(self) -> Tensor:
        whole = torch.stack((self.weight >> 4, self.weight & 15), dim=-1).flatten(-2)
        grouped = whole.to(self.scales.dtype).unflatten(-1, (-1, self.group)) - 8
        scale, offset = self.scales.transpose(0, 1).unsqueeze(-2).unbind(-1)
        return (grouped * scale + offset).flatten(-2)


def read_bytes(module: nn.Module) -> int:
    """Bytes of weights that one pass of few rows through every linear layer inside `module` reads."""
    layers = [one for one in module.modules() if hasattr(one, "read_bytes") or isinstance(one, nn.Linear)]
    return sum(one.weight.nbytes if isinstance(one, nn.Linear) else int(getattr(one, "read_bytes")) for one in layers)  # noqa: B009


def quantise_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight `[N, K]` -> int8 `[N, K]` in -127..127 and float32 scales `[N]`; their product is the weight to half a
    scale, which is 1/254 of the row's largest."""
    whole = torch.empty_like(weight, dtype=torch.int8)
    scale = torch.empty(weight.shape[0], device=weight.device)
    for at in range(0, weight.shape[0], _ROWS_AT_ONCE):
        some = weight[at : at + _ROWS_AT_ONCE].float()
        unit = some.abs().amax(dim=1).div_(127).clamp_(min=torch.finfo(torch.float32).tiny)
        scale[at : at + _ROWS_AT_ONCE] = unit
        whole[at : at + _ROWS_AT_ONCE] = (some / unit[:, None]).round_()
    return whole, scale


def quantise_int4(weight: Tensor, group: int = GROUP) -> tuple[Tensor, Tensor, Tensor]:
    """Weight `[N, K]` -> uint8 `[N, K]` in 0..15, scales and offsets `[N, K / group]` in the weight's number format.

    `(q - 8) * scale + offset` is the weight to about half a scale, which is 1/30 of the group's range; bfloat16 rounds
    the offset too. Raises ModelError where K is no multiple of `group`.
    """
    if weight.shape[1] % group:
        raise ModelError(
            f"int4 shares scales among {group} inputs, and a layer of this model has {weight.shape[1]}; use int8."
        )
    parts = [_int4_rows(weight[at : at + _ROWS_AT_ONCE], group) for at in range(0, weight.shape[0], _ROWS_AT_ONCE)]
    whole, scale, offset = (torch.cat(one) for one in zip(*parts, strict=True))
    return whole, scale, offset


def _int4_rows(weight: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    grouped = weight.float().unflatten(1, (-1, group))
    low, high = grouped.aminmax(dim=-1)
    scale = ((high - low) / 15).clamp_(min=1e-8).to(weight.dtype)
    offset = (low + 8 * scale.float()).to(weight.dtype)
    grouped = (grouped - offset.float()[..., None]).div_(scale.float()[..., None]).add_(8).round_().clamp_(0, 15)
    return grouped.flatten(1).to(torch.uint8), scale, offset


def _nibbles(whole: Tensor) -> Tensor:
    """`[N, K]` of 0..15 -> `[N, K / 2]`, the first of two in the high half."""
    return (whole[:, ::2] << 4) | whole[:, 1::2]


def _has_kernel(name: str, device: torch.device) -> bool:
    key = {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS", "xpu": "XPU"}.get(device.type)
    return key is not None and torch._C._dispatch_has_kernel_for_dispatch_key(name, key)


def _int4_kernel(weight: Tensor, group: int) -> str:
    outputs, inputs = weight.shape
    if weight.device.type == "cpu" and outputs % 16 == 0 and group in (32, 64, 128, 256):
        return "cpu"
    if weight.device.type == "cuda" and weight.dtype == torch.bfloat16 and outputs % 8 == 0 and inputs % 128 == 0:
        return "cuda" if torch.cuda.get_device_capability(weight.device) >= (8, 0) else "none"
    return "none"
