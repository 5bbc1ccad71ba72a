"""Runs recorded generations of ACE-Step 1.5: condition encoders, transformer, schedule, guidance and solver together.

The arguments of a case carry the names of the original call. Left alone are cases with an argument that is not known
here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from partita.models.acestep15.condition import PackedCondition, context_latents
from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.model import AceStepModel
from partita.sampling import schedules
from partita.sampling.flow import Phase, Velocity, cover_step_count, predict_in_phases, start_from_source
from partita.sampling.guidance import Guidance, is_active, with_null
from partita.sampling.loop import AfterStep, State, denoise
from partita.sampling.repaint import blend, injection
from partita.sampling.schedules import Schedule
from partita.sampling.solvers import Solver, euler, sde

ARGUMENTS = {
    "_variant", "_sde_seed", "seed", "use_progress_bar", "infer_method", "infer_steps", "shift",
    "diffusion_guidance_sale", "use_adg", "cfg_interval_start", "cfg_interval_end",
    "audio_cover_strength", "cover_noise_strength", "repaint_injection_ratio", "repaint_crossfade_frames",
}  # fmt: skip
DEFAULT_STEPS = 30  # of the original's base and SFT classes
DEFAULT_INJECTION_RATIO = 0.5
DEFAULT_CROSSFADE_FRAMES = 10  # the recorded cases that leave it out show that it is 9 or more

Inputs = dict[str, Tensor]
Arguments = dict[str, Any]


@torch.no_grad()
def check_generation(tensors: dict[str, Tensor], meta: dict[str, str], path: Path) -> dict[str, Tensor]:
    """Everything recorded of every selected case, under `<case>.<name>`."""
    del path
    model = _model(tensors, meta)
    computed: dict[str, Tensor] = {}
    for case, arguments in json.loads(meta["cases"]).items():
        prefix = f"in.{case}."
        inputs = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        selected = any(name.startswith(f"out.{case}.") for name in tensors)
        if selected and arguments.keys() <= ARGUMENTS:
            computed |= {f"{case}.{name}": value for name, value in _generate(model, inputs, arguments).items()}
    return computed


def _model(tensors: dict[str, Tensor], meta: dict[str, str]) -> AceStepModel:
    model = AceStepModel(AceStepConfig.from_json(json.loads(meta["config"])))
    weights = {name.removeprefix("weights."): value for name, value in tensors.items() if name.startswith("weights.")}
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _generate(model: AceStepModel, inputs: Inputs, arguments: Arguments) -> dict[str, Tensor]:
    turbo = arguments["_variant"] == "turbo"
    guidance = None if turbo else _guidance(arguments)
    condition, context = _condition(model, inputs, plain=False)
    schedule = _schedule(inputs, arguments)
    # The source goes in before its trip through the codes.
    strength = arguments.get("cover_noise_strength", 0.0)
    schedule, x = start_from_source(schedule, inputs["noise"], inputs["src_latents"], strength)
    phases = [Phase(0, _velocity(model, condition.hidden, context, guidance))]
    out = {
        "encoder_hidden_states": condition.hidden,
        "encoder_attention_mask": condition.mask,
        "context_latents": context,
    }
    cover_strength = arguments.get("audio_cover_strength", 1.0)
    if cover_strength < 1.0:
        plain, plain_context = _condition(model, inputs, plain=True)
        switch = cover_step_count(schedule.steps, cover_strength)
        phases.append(Phase(switch, _velocity(model, plain.hidden, plain_context, guidance)))
        out |= {"non_cover_encoder_hidden_states": plain.hidden, "non_cover_context_latents": plain_context}
    steps = list(
        denoise(
            State(x),
            schedule,
            predict_in_phases(phases),
            guidance=guidance,
            solver=_solver(inputs, arguments, unshifted=not turbo),
            after_step=_injection(inputs, arguments, schedule),
        )
    )
    return out | {
        "target_latents": _blended(steps[-1].after.x, inputs, arguments),
        "timesteps_used": torch.tensor([step.t for step in steps]),
        "xt": torch.stack([step.before.x for step in steps]),
        "velocity": torch.stack([step.raw for step in steps]),
    }


def _schedule(inputs: Inputs, arguments: Arguments) -> Schedule:
    dtype = inputs["noise"].dtype
    timesteps = inputs["timesteps"].tolist() if "timesteps" in inputs else None
    if arguments["_variant"] == "turbo":
        return schedules.turbo_schedule(dtype, shift=arguments.get("shift", 3.0), timesteps=timesteps)
    if arguments["_variant"] == "sft" and timesteps is not None:
        return schedules.verbatim_schedule(timesteps, dtype)
    return schedules.linear_schedule(
        arguments.get("infer_steps", DEFAULT_STEPS), arguments.get("shift", 1.0), dtype, clamp=False
    )


def _guidance(arguments: Arguments) -> Guidance:
    interval = arguments.get("cfg_interval_start", 0.0), arguments.get("cfg_interval_end", 1.0)
    kind = "adg" if arguments.get("use_adg") else "apg"
    # "sale" is how the original spells its argument; the recorded ADG is the one first published.
    return Guidance(kind, arguments.get("diffusion_guidance_sale", 7.0), interval, clamp_cosine=False)


def _solver(inputs: Inputs, arguments: Arguments, *, unshifted: bool) -> Solver:
    if arguments.get("infer_method", "ode") == "ode":
        return euler
    draws = inputs["sde_noise"]
    return sde(lambda k: draws[k], unshifted=unshifted)


def _injection(inputs: Inputs, arguments: Arguments, schedule: Schedule) -> AfterStep | None:
    if "repaint_mask" not in inputs:
        return None
    ratio = arguments.get("repaint_injection_ratio", DEFAULT_INJECTION_RATIO)
    mask, clean, noise = (inputs[name] for name in ("repaint_mask", "clean_src_latents", "noise"))
    return injection(mask, clean, noise, ratio, schedule.steps, last_step=arguments["_variant"] != "turbo")


def _blended(x: Tensor, inputs: Inputs, arguments: Arguments) -> Tensor:
    if "repaint_mask" not in inputs:
        return x
    frames = arguments.get("repaint_crossfade_frames", DEFAULT_CROSSFADE_FRAMES)
    return blend(x, inputs["clean_src_latents"], inputs["repaint_mask"], frames, original=True)


def _condition(model: AceStepModel, inputs: Inputs, *, plain: bool) -> tuple[PackedCondition, Tensor]:
    """The packed condition and the context; `plain` is the pair that takes over after a cover's steps."""
    text = "non_cover_text" if plain else "text"
    condition = model.encoder(
        inputs[f"{text}_hidden_states"],
        inputs[f"{text}_attention_mask"],
        inputs["lyric_hidden_states"],
        inputs["lyric_attention_mask"],
        inputs["refer_audio_acoustic_hidden_states_packed"],
        inputs["refer_audio_order_mask"],
    )
    source, silence, covers = inputs["src_latents"], inputs["silence_latent"], inputs["is_covers"]
    chunk_mask = inputs["chunk_masks"][..., 0]
    if plain:
        return condition, context_latents(silence[:, : source.shape[1]].expand_as(source), chunk_mask)
    hint = inputs.get("precomputed_lm_hints_25Hz")
    if hint is None and bool(covers.any()):
        hint = model.hint_from_latents(source, silence)
    return condition, context_latents(source, chunk_mask, hint, covers)


def _velocity(model: AceStepModel, condition: Tensor, context: Tensor, guidance: Guidance | None) -> Velocity:
    if is_active(guidance):
        condition = with_null(condition, model.null_condition_emb)
        context = torch.cat([context, context])
    cache = model.decoder.cross_cache(condition)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        predicted = model.decoder(x, t, None, cache, context)
        assert isinstance(predicted, Tensor)
        return predicted

    return velocity
