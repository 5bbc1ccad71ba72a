"""Checks recorded repaint blending: injection after a step, soft masks, latent blends and the joint of two waveforms.

What is asked for stands in the names of the outputs: `inject.TIME`, `soft_mask.FRAMES`, `blend.FRAMES`, `splice.NAME`;
the metadata's `splice` has the seconds of each name. The recorded blend of 0 frames is the hard one of the function
alone, which the original's run leaves out.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from partita.audio.splice import original_splice
from partita.sampling.repaint import inject, keep_outside, soft_mask


def check_blending(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> dict[str, Tensor]:
    """Every output whose name is understood."""
    del path
    computed: dict[str, Tensor] = {}
    for name in tensors:
        kind, _, argument = name.removeprefix("out.").partition(".")
        if not name.startswith("out.") or not argument:
            continue
        if kind == "splice" and argument in json.loads(meta["splice"])["crossfade_seconds"]:
            computed[name] = _splice(tensors, meta, argument)
        elif kind in ("inject", "soft_mask", "blend"):
            computed[name] = _latents(tensors, kind, float(argument))
    return computed


def _latents(tensors: dict[str, Tensor], kind: str, argument: float) -> Tensor:
    x, clean, mask = tensors["in.x"], tensors["in.clean"], tensors["in.mask"]
    if kind == "inject":
        return inject(x, clean, tensors["in.noise"], mask, argument)
    soft = soft_mask(mask, int(argument), outer_only=True)
    return soft if kind == "soft_mask" else keep_outside(x, clean, soft)


def _splice(tensors: dict[str, Tensor], meta: dict[str, str], name: str) -> Tensor:
    asked = json.loads(meta["splice"])
    items = zip(tensors["in.pred_wavs"], tensors["in.src_wavs"], asked["starts"], asked["ends"], strict=True)
    crossfade_s, rate = asked["crossfade_seconds"][name], asked["sample_rate"]
    return torch.stack(
        [
            torch.from_numpy(original_splice(made.T.numpy(), source.T.numpy(), start, end, crossfade_s, rate).T.copy())
            for made, source, start, end in items
        ]
    )
