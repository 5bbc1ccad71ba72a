"""Runs recorded sampling loops of ACE-Step v1: conditions, transformer, schedule, guidance, solver and task together.

The arguments of a case carry the names of the original call; a case with one that is not known here is left alone.
Words and random numbers are the recorded ones, these in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from partita.models.acestepv1.conditioner import Conditioner, Context
from partita.models.acestepv1.transformer import CrossCache, Transformer, Weakening
from partita.render.acestepv1.conditions import Needs, Words, contexts_of
from partita.render.acestepv1.sampling import (
    Conditions,
    Manner,
    Region,
    edit,
    frames_of,
    lay_out,
    make,
    remake,
    restyle,
)
from partita.render.protocol import StepDone
from partita.sampling.flow_edit import FlowEdit
from partita.song.card import ErgPart, GuidanceName, SolverName, V1Sampling
from tests.golden.v1_networks import whole_network

Inputs = dict[str, Tensor]
Arguments = dict[str, Any]

SOLVERS: dict[str, SolverName] = {"euler": "euler", "heun": "heun", "pingpong": "sde"}
GUIDANCES: dict[str, GuidanceName] = {"apg": "apg", "cfg": "cfg", "cfg_star": "cfg-star"}
ERG_PARTS: dict[str, ErgPart] = {"use_erg_lyric": "lyrics", "use_erg_diffusion": "diffusion"}
SHIFT = 3.0
ARGUMENTS = {
    "text2music": {
        "duration", "infer_steps", "guidance_scale", "omega_scale", "scheduler_type", "cfg_type", "guidance_interval",
        "guidance_interval_decay", "min_guidance_scale", "oss_steps", "use_erg_lyric", "use_erg_diffusion",
        "retake_variance", "add_retake_noise", "guidance_scale_text", "guidance_scale_lyric", "repaint_start",
        "repaint_end", "audio2audio_enable", "ref_audio_strength",
    },
    "flowedit": {"infer_steps", "guidance_scale", "n_min", "n_max", "n_avg", "scheduler_type"},
}  # fmt: skip


@torch.no_grad()
def check_pipeline(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> dict[str, Tensor]:
    """Everything recorded of every selected case, under `<case>.<name>`."""
    network = whole_network(_weights(tensors, meta, path), meta)
    shared = json.loads(meta.get("shared_inputs", "{}"))
    computed: dict[str, Tensor] = {}
    for name, case in json.loads(meta["cases"]).items():
        known = ARGUMENTS.get(case["fn"], set())
        if not any(key.startswith(f"out.{name}.") for key in tensors) or not case["args"].keys() <= known:
            continue
        prefix = f"in.{name}."
        given = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        given |= {key: tensors[f"in.{other}"] for key, other in shared.get(name, {}).items()}
        draws = RecordedDraws(given, json.loads(meta["draws"])[name])
        run = _make if case["fn"] == "text2music" else _edit
        found = run(network.conditioner, Watched(network.transformer), given, case["args"], draws)
        computed |= {f"{name}.{key}": value for key, value in found.items()}
    return computed


class RecordedDraws:
    """Random numbers as they were recorded; asking for another kind than comes next is an error."""

    def __init__(self, given: Inputs, recorded: list[dict[str, Any]]) -> None:
        self._left = [(one["what"], given[one["name"]]) for one in recorded]

    def _next(self, kinds: tuple[str, ...], frames: int) -> Tensor:
        what, drawn = self._left.pop(0)
        assert what in kinds, f"{what} comes next, and one of {kinds} was asked for"
        assert drawn.shape[-1] == frames
        return drawn

    def initial(self, frames: int) -> Tensor:
        return self._next(("initial noise",), frames)

    def retake(self, frames: int) -> Tensor:
        return self._next(("retake noise",), frames)

    def step(self, index: int, frames: int) -> Tensor:
        return self._next(("pingpong step noise", "pingpong noise"), frames)

    def edit(self, index: int, frames: int) -> Tensor:
        return self._next(("fwd_noise",), frames)


class Watched:
    """The transformer, and what it was asked."""

    def __init__(self, transformer: Transformer) -> None:
        self._transformer = transformer
        self.inputs: list[Tensor] = []
        self.timesteps: list[Tensor] = []

    def cross_cache(self, context: Context) -> CrossCache:
        return self._transformer.cross_cache(context)

    def __call__(self, latents: Tensor, timestep: Tensor, cache: CrossCache, *, weaken: Weakening = None) -> Tensor:
        self.inputs.append(latents)
        self.timesteps.append(timestep)
        return self._transformer(latents, timestep, cache, weaken=weaken)


def _weights(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> dict[str, Tensor]:
    """The file's weights, or those of the neighbour that its metadata names."""
    if "weights_file" not in meta:
        return tensors
    with safe_open(path.parent / meta["weights_file"], "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no mapping)


def _make(
    conditioner: Conditioner, network: Watched, given: Inputs, arguments: Arguments, draws: RecordedDraws
) -> Inputs:
    manner = _manner(arguments)
    conditions = _conditions(conditioner, given, manner)
    source, variance = given.get("src_latents"), arguments["retake_variance"]
    frames = frames_of(arguments["duration"]) if source is None else source.shape[-1]
    start, end = frames_of(arguments["repaint_start"]), frames_of(arguments["repaint_end"])
    if arguments["audio2audio_enable"]:
        reference, strength = given["ref_latents"], arguments["ref_audio_strength"]
        steps = restyle(conditions, manner, network, draws, reference, strength)
    elif not arguments["add_retake_noise"]:
        steps = make(conditions, manner, network, draws, frames)
    elif end - start == frames and start == 0:
        steps = make(conditions, manner, network, draws, frames, variance=variance)
    else:
        assert source is not None
        beyond = start < 0 or end > frames
        region = Region(max(-start, 0), max(end - frames, 0)) if beyond else Region(inside=(start, end))
        canvas = lay_out(source, region, variance, manner, draws)
        steps = remake(conditions, manner, network, draws, canvas, variance)
    latents = _last(steps)
    # A guided step is one call here, and one a prediction in the original.
    batch = len(latents)
    timesteps = [one[k * batch] for one in network.timesteps for k in range(len(one) // batch)]
    inputs = [one[:batch] for one in network.inputs]
    distinct = [k for k in range(len(inputs)) if k == 0 or not torch.equal(inputs[k], inputs[k - 1])]
    return {
        "latents": latents,
        "decode_timesteps": torch.stack(timesteps),
        "decode_first_input": inputs[0],
        "decode_last_input": inputs[-1],
        "step_inputs": torch.stack([inputs[k] for k in distinct]),
        "step_timesteps": torch.stack([network.timesteps[k][0] for k in distinct]),
    }


def _edit(
    conditioner: Conditioner, network: Watched, given: Inputs, arguments: Arguments, draws: RecordedDraws
) -> Inputs:
    manner = Manner(
        steps=arguments["infer_steps"],
        shift=SHIFT,
        solver=SOLVERS[arguments.get("scheduler_type", "euler")],
        guidance="apg",
        scale=arguments["guidance_scale"],
        v1=V1Sampling(),
        parity=True,
    )
    source = _conditions(conditioner, given, manner, edit=True)
    wanted = {name.removeprefix("target_"): value for name, value in given.items() if name.startswith("target_")}
    target = _conditions(conditioner, given | wanted, manner, edit=True)
    settings = FlowEdit(arguments["n_min"], arguments["n_max"], arguments["n_avg"])
    latents = _last(edit(source, target, manner, network, draws, given["src_latents"], settings))
    return {
        "latents": latents,
        "decode_timesteps": torch.stack([one[0] for one in network.timesteps]),
        "decode_first_input": network.inputs[0],
        "decode_last_input": network.inputs[-1],
    }


def _last(steps: Iterator[StepDone | Tensor]) -> Tensor:
    *_, latents = steps
    assert isinstance(latents, Tensor)
    return latents


def _manner(arguments: Arguments) -> Manner:
    return Manner(
        steps=arguments["infer_steps"],
        shift=SHIFT,
        solver=SOLVERS[arguments["scheduler_type"]],
        guidance=GUIDANCES[arguments["cfg_type"]],
        scale=arguments["guidance_scale"],
        v1=V1Sampling(
            omega=arguments["omega_scale"],
            guidance_share=arguments["guidance_interval"],
            guidance_decay=arguments["guidance_interval_decay"],
            guidance_floor=arguments["min_guidance_scale"],
            guidance_text=arguments["guidance_scale_text"],
            guidance_lyrics=arguments["guidance_scale_lyric"],
            # Weakened tags are used where they were recorded.
            erg=("tags", *(part for name, part in ERG_PARTS.items() if arguments[name])),
            oss_steps=tuple(arguments["oss_steps"]),
        ),
        parity=True,
    )


def _conditions(conditioner: Conditioner, given: Inputs, manner: Manner, *, edit: bool = False) -> Conditions:
    words = Words(
        tags=given["encoder_text_hidden_states"],
        tags_mask=given["text_attention_mask"],
        lyrics=given["lyric_token_ids"],
        lyrics_mask=given["lyric_mask"],
        speaker=given["speaker_embds"],
        weak=given.get("encoder_text_hidden_states_null"),
    )
    return contexts_of(conditioner, words, Needs.of(manner, edit=edit))
