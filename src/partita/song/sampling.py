"""How a request samples: what it leaves open comes from the model's card, what the model does not have is refused.

Part of the one place where requests are resolved (`song.resolve`), and like it a function of values alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from partita.errors import RequestError
from partita.song.card import GuidanceName, ModelCard, SamplingDefaults, SolverName, V1Sampling
from partita.song.request import Sampling, SongRequest
from partita.song.task import Extend, FlowEdit, Outpaint, Repaint
from partita.song.values import Value

V1_FIELDS = tuple(V1Sampling.model_fields)
# Those of v1's knobs that its ways of making a region, and of editing, leave out.
_NOT_IN_SPANS = ("omega",)
_NOT_IN_EDITS = V1_FIELDS
_OF_GUIDANCE = tuple(name for name in V1_FIELDS if name.startswith("guidance") or name == "erg")


class ResolvedSampling(Value):
    """Sampling with every choice made. `timesteps` set means that `steps` and `shift` do not act."""

    steps: int
    shift: float
    timesteps: tuple[float, ...] | None
    timesteps_verbatim: bool
    solver: SolverName
    guidance: GuidanceName
    guidance_scale: float
    guidance_interval: tuple[float, float]
    v1: V1Sampling | None = None


def resolve_sampling(request: SongRequest, card: ModelCard, warnings: list[str]) -> ResolvedSampling:
    """Every choice made; what is honoured but unusual goes to `warnings`. Raises RequestError for what the model, or
    the task with this model, does not have."""
    asked, defaults = request.sampling, card.sampling
    edits = isinstance(request.task, FlowEdit)
    usual_steps = (defaults.edit_steps if edits else None) or defaults.steps
    guidance, scale = _guidance(request, card)
    v1 = _v1(request, card, scale)
    steps = _steps(asked, card, usual_steps) if v1 is None or not v1.oss_steps else len(v1.oss_steps)
    shift = _shift(request, card, warnings)
    _check_timesteps(asked, card)
    solver = _solver(request, card)
    for name, value, usual in (
        ("steps", steps, (usual_steps, *defaults.other_steps)),
        ("shift", shift, (defaults.shift,)),
    ):
        if asked.timesteps is None and asked.oss_steps is None and value not in usual:
            warnings.append(f"{name} {value:g} is not what {card.id} was tuned for ({usual[0]:g}).")
    return ResolvedSampling(
        steps=steps,
        shift=shift,
        timesteps=asked.timesteps,
        timesteps_verbatim=asked.timesteps_verbatim,
        solver=solver,
        guidance=guidance,
        guidance_scale=scale,
        guidance_interval=asked.guidance_interval,
        v1=v1,
    )


def _steps(asked: Sampling, card: ModelCard, usual: int) -> int:
    defaults = card.sampling
    steps = asked.steps if asked.steps is not None else usual
    if defaults.fixed_steps and steps != defaults.steps:
        raise RequestError(
            f"{card.id} samples in {defaults.steps} steps only, and {steps} were asked for; use sampling.timesteps "
            "for a schedule of your own.",
            field="sampling.steps",
            value=steps,
        )
    if steps > defaults.max_steps:
        raise RequestError(
            f"sampling.steps {steps} is more than {card.id} takes: at most {defaults.max_steps}.",
            field="sampling.steps",
            value=steps,
        )
    return steps


def _shift(request: SongRequest, card: ModelCard, warnings: list[str]) -> float:
    asked, defaults = request.sampling, card.sampling
    shift = asked.shift if asked.shift is not None else defaults.shift
    if defaults.shifts and shift not in defaults.shifts:
        nearest = min(defaults.shifts, key=lambda known: abs(known - shift))
        if not request.parity:
            raise RequestError(
                f"{card.id} has the shifts {', '.join(f'{known:g}' for known in defaults.shifts)}, not {shift:g}: "
                f"{nearest:g} is the nearest (parity rounds to it as the original does).",
                field="sampling.shift",
                value=shift,
            )
        warnings.append(f"shift {shift:g} is rounded to {nearest:g}, as the original does.")
        shift = nearest
    if defaults.shift_range and not defaults.shift_range[0] <= shift <= defaults.shift_range[1]:
        low, high = defaults.shift_range
        raise RequestError(
            f"{card.id} takes shifts from {low:g} to {high:g}, not {shift:g}.", field="sampling.shift", value=shift
        )
    return shift


def _check_timesteps(asked: Sampling, card: ModelCard) -> None:
    if asked.timesteps is None:
        return
    longest = card.sampling.max_timesteps
    if len(asked.timesteps) > longest:
        raise RequestError(
            f"{card.id} takes at most {longest} timesteps, and {len(asked.timesteps)} were given.",
            field="sampling.timesteps",
            value=asked.timesteps,
        )
    if asked.steps is not None or asked.shift is not None:
        raise RequestError(
            "sampling.timesteps replaces steps and shift: leave those out.",
            field="sampling.timesteps",
            value=asked.timesteps,
        )


def _solver(request: SongRequest, card: ModelCard) -> SolverName:
    given, defaults, task = request.sampling.solver, card.sampling, request.task
    asked: SolverName | None = "sde" if given == "pingpong" else given
    solver = asked or defaults.solver
    if solver not in defaults.solvers:
        raise _not_among("solver", "sampling.solver", solver, defaults.solvers, card.id)
    if isinstance(task, FlowEdit) and asked is not None and asked not in defaults.edit_solvers:
        raise RequestError(
            f"edit follows the difference of two velocities, with the solver {' or '.join(defaults.edit_solvers)} "
            f"alone; {asked} was asked for: leave it out.",
            field="sampling.solver",
            value=asked,
        )
    spans = defaults.span_solvers
    if spans is not None and _makes_a_span(request) and solver not in spans and not request.parity:
        raise RequestError(
            f"{card.id} makes a region of a source with the solver {' or '.join(spans)} alone; {solver} was asked for: "
            "leave it out (parity takes it, and does what the original does of it).",
            field="sampling.solver",
            value=solver,
        )
    return solver


def _guidance(request: SongRequest, card: ModelCard) -> tuple[GuidanceName, float]:
    asked, defaults = request.sampling, card.sampling
    edits = isinstance(request.task, FlowEdit)
    usual_scale = (defaults.edit_guidance_scale if edits else None) or defaults.guidance_scale
    scale = asked.guidance_scale if asked.guidance_scale is not None else usual_scale
    if not defaults.guidance_supported and (
        scale != 1 or asked.guidance is not None or asked.guidance_interval != (0.0, 1.0)
    ):
        raise RequestError(
            f"{card.id} runs without guidance: guidance, guidance_scale and guidance_interval do nothing for it. "
            "Leave them out, or use a base or SFT checkpoint.",
            field="sampling.guidance_scale",
            value=scale,
        )
    guidance = asked.guidance or defaults.guidance
    if defaults.guidance_supported and guidance not in defaults.guidances:
        raise _not_among("guidance", "sampling.guidance", guidance, defaults.guidances, card.id)
    if edits and asked.guidance is not None and asked.guidance not in defaults.edit_guidances:
        raise _not_among("guidance", "sampling.guidance", asked.guidance, defaults.edit_guidances, "edit")
    return guidance, scale


def _v1(request: SongRequest, card: ModelCard, scale: float) -> V1Sampling | None:
    """The knobs of ACE-Step v1, or none where the model has none of them. `scale` is that of guidance."""
    asked, usual = request.sampling, card.sampling.v1
    given = {name: getattr(asked, name) for name in V1_FIELDS if getattr(asked, name) is not None}
    if usual is None:
        if given:
            raise _v1_error(
                f"{next(iter(given))} is ACE-Step v1's, and {card.id} has no such thing: leave it out.", given
            )
        return None
    if asked.guidance_interval != (0.0, 1.0):
        raise RequestError(
            f"guidance_interval is in times t; {card.id} counts the steps in which guidance acts: use guidance_share.",
            field="sampling.guidance_interval",
            value=asked.guidance_interval,
        )
    idle = _NOT_IN_EDITS if isinstance(request.task, FlowEdit) else _NOT_IN_SPANS if _makes_a_span(request) else ()
    ignored = {name: value for name, value in given.items() if name in idle}
    if ignored and not request.parity:
        raise _v1_error(f"{next(iter(ignored))} does nothing in {request.task.kind}: leave it out.", ignored)
    knobs = usual.model_copy(update=given)
    if (knobs.guidance_text > 1) != (knobs.guidance_lyrics > 1):
        raise _v1_error("guidance_text and guidance_lyrics act together, each above 1: give both, or none.", given)
    if not request.parity:
        _check_guided(asked, given, knobs, scale)
    if knobs.guidance_decay > 0 and knobs.guidance_floor > scale > 1:
        raise _v1_error(
            f"guidance falls from {scale:g} towards guidance_floor, which is {knobs.guidance_floor:g}: give a floor "
            "under the scale, or no guidance_decay.",
            {"guidance_floor": knobs.guidance_floor},
        )
    if knobs.oss_steps:
        _check_oss(asked, card.sampling)
    if asked.timesteps is not None and not any(asked.timesteps):
        raise _v1_error(
            "timesteps are all 0, which is music: begin at 1, which is noise.", {"timesteps": asked.timesteps}
        )
    return knobs


def _check_guided(asked: Sampling, given: dict[str, Any], knobs: V1Sampling, scale: float) -> None:
    """Raises RequestError for what does nothing beside the rest of what was asked of guidance."""
    of_two = {"guidance": asked.guidance, "guidance_scale": asked.guidance_scale}
    if scale <= 1:
        idle = {name: value for name, value in given.items() if name in _OF_GUIDANCE}
        why = "guidance_scale is 1, which is no guidance: leave it out, or give a larger scale"
    elif knobs.guidance_text > 1:
        of_two |= {name: given.get(name) for name in ("guidance_decay", "guidance_floor")}
        idle = {name: value for name, value in of_two.items() if value is not None}
        why = "guidance_text and guidance_lyrics take its place: leave it out"
    else:
        idle = {name: given[name] for name in ("guidance_floor",) if name in given and not knobs.guidance_decay}
        why = "guidance falls by guidance_decay, which is 0: give one, or leave it out"
    if idle:
        raise _v1_error(f"{next(iter(idle))} does nothing where {why}.", idle)


def _check_oss(asked: Sampling, defaults: SamplingDefaults) -> None:
    if asked.steps is not None or asked.timesteps is not None:
        raise _v1_error("oss_steps replaces steps and timesteps: leave those out.", {"oss_steps": asked.oss_steps})
    if (asked.solver or defaults.solver) == "heun":
        raise _v1_error("oss_steps does not go with the solver heun: use euler or sde.", {"oss_steps": asked.oss_steps})


def _makes_a_span(request: SongRequest) -> bool:
    return isinstance(request.task, (Repaint, Outpaint, Extend))


def _v1_error(message: str, given: dict[str, Any]) -> RequestError:
    name, value = next(iter(given.items()), ("guidance_text", None))
    return RequestError(message, field=f"sampling.{name}", value=value)


def _not_among(what: str, field: str, value: str, known: Sequence[str], whose: str) -> RequestError:
    return RequestError(f"{whose} has the {what}s {', '.join(known)}, not {value}.", field=field, value=value)
