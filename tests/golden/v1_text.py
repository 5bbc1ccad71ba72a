"""Checks the text encoder of ACE-Step v1 against recorded files, plain and with weakened queries."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from partita.models.acestepv1.config import Weaken
from partita.models.umt5 import Umt5Config, Umt5Encoder
from partita.weights.naming import umt5

Tensors = dict[str, Tensor]


def check_text_encoder(tensors: Tensors, meta: dict[str, str], path: Path) -> Tensors:
    """`in.<case>.input_ids` with `attention_mask` to states."""
    del path
    network = Umt5Encoder(Umt5Config.from_json(json.loads(meta["config"]))).eval().requires_grad_(False)
    weights = {name.removeprefix("weights."): value for name, value in tensors.items() if name.startswith("weights.")}
    network.load_state_dict({name: value for name, value in weights.items() if umt5(name) is not None})
    got: Tensors = {}
    for case, settings in json.loads(meta["cases"]).items():
        weaken = Weaken(settings["tau"], settings["l_min"], settings["l_max"]) if settings["mode"] == "erg" else None
        ids, mask = tensors[f"in.{case}.input_ids"], tensors[f"in.{case}.attention_mask"]
        got[f"{case}.last_hidden_state"] = network(ids, mask, weaken=weaken)
    return got
