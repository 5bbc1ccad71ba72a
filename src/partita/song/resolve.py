"""The only place where a default is filled in: a request and the model's card become a resolved request.

Whatever the model or the task cannot honour is a RequestError here, before anything is loaded. Whatever is honoured
but unusual for the checkpoint is a warning that the record keeps.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from partita.audio.formats import DEFAULT_BIT_DEPTH, DEFAULT_BITRATE_KBPS
from partita.errors import RequestError
from partita.song.card import GuidanceName, ModelCard, SolverName
from partita.song.request import MAX_SEED, AudioFormat, Output, SongRequest, Task, TimeSignature
from partita.text.prompts import INSTRUMENTAL_LYRICS


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ResolvedSampling(_Value):
    """Sampling with every choice made. `timesteps` set means that `steps` and `shift` do not act."""

    steps: int
    shift: float
    timesteps: tuple[float, ...] | None
    timesteps_verbatim: bool
    solver: SolverName
    guidance: GuidanceName
    guidance_scale: float
    guidance_interval: tuple[float, float]


class ResolvedOutput(_Value):
    """Output with every choice made. `loudness_lufs` is none where the loudness is not normalised."""

    format: AudioFormat
    bit_depth: Literal[16, 24, 32] | None
    bitrate_kbps: int | None
    normalise: Literal["loudness", "peak", "off"]
    loudness_lufs: float | None
    true_peak_db: float
    keep_raw: bool
    keep_latents: bool
    midi: bool
    stems: bool


class ResolvedRequest(_Value):
    """A request with nothing left open but what the planner decides (tempo, key, metre, form)."""

    model: str
    caption: str
    lyrics: str
    instrumental: bool
    task: Task
    duration_s: float | None
    default_duration_s: float
    bpm: int | None
    key: str | None
    time_signature: TimeSignature | None
    language: str
    seeds: tuple[int, ...]
    sampling: ResolvedSampling
    output: ResolvedOutput
    parity: bool
    warnings: tuple[str, ...] = ()

    def one(self, seed: int) -> ResolvedRequest:
        """The same request for a single seed."""
        return self.model_copy(update={"seeds": (seed,)})


def resolve(
    request: SongRequest, card: ModelCard, *, fresh_seed: Callable[[], int] = lambda: secrets.randbelow(MAX_SEED + 1)
) -> ResolvedRequest:
    """Fill in what `request` leaves open from `card`.

    A missing seed is drawn from `fresh_seed`; `count` becomes the seeds s, s+1, ... (modulo 2^32).
    Raises RequestError where the model or the task cannot honour a field.
    """
    _check_card_limits(request, card)
    warnings: list[str] = []
    lyrics, instrumental = _words(request, card, warnings)
    seed = request.seed if request.seed is not None else fresh_seed()
    return ResolvedRequest(
        model=card.id,
        caption=request.caption.strip(),
        lyrics=lyrics,
        instrumental=instrumental,
        task=request.task,
        duration_s=request.duration_s,
        default_duration_s=card.duration.default_s,
        bpm=request.bpm,
        key=request.key,
        time_signature=request.time_signature,
        language=request.language or "unknown",
        seeds=tuple((seed + offset) % (MAX_SEED + 1) for offset in range(request.count)),
        sampling=_sampling(request, card, warnings),
        output=_output(request.output, card, request.parity),
        parity=request.parity,
        warnings=tuple(warnings),
    )


def _check_card_limits(request: SongRequest, card: ModelCard) -> None:
    if request.task.kind not in card.tasks:
        raise RequestError(
            f"{card.id} cannot do {request.task.kind}; it can do {', '.join(card.tasks)}.",
            field="task",
            value=request.task.kind,
        )
    limits = card.duration
    if request.duration_s is not None and not limits.min_s <= request.duration_s <= limits.max_s:
        raise RequestError(
            f"duration_s {request.duration_s:g} is outside what {card.id} renders: "
            f"{limits.min_s:g} to {limits.max_s:g} seconds.",
            field="duration_s",
            value=request.duration_s,
        )
    if request.bpm is not None and not card.bpm_min <= request.bpm <= card.bpm_max:
        raise RequestError(
            f"bpm {request.bpm} is outside what {card.id} plays: {card.bpm_min} to {card.bpm_max}.",
            field="bpm",
            value=request.bpm,
        )
    if request.time_signature is not None and request.time_signature not in card.time_signatures:
        raise RequestError(
            f"{card.id} does not play in {request.time_signature}; it plays {', '.join(card.time_signatures)}.",
            field="time_signature",
            value=request.time_signature,
        )
    for name in ("midi", "stems"):
        if getattr(request.output, name) and not card.makes_score:
            raise RequestError(
                f"output.{name} was asked for, and {card.id} makes audio without a score: use a model that writes one, "
                "such as built-in.",
                field=f"output.{name}",
                value=True,
            )


def _words(request: SongRequest, card: ModelCard, warnings: list[str]) -> tuple[str, bool]:
    lyrics = request.lyrics.strip("\n")
    if not lyrics.strip():
        return ("" if request.parity and not request.instrumental else INSTRUMENTAL_LYRICS), True
    if not card.sings:
        warnings.append(f"{card.id} plays instruments and does not sing: the lyrics shape the form of the song only.")
    return lyrics, False


def _sampling(request: SongRequest, card: ModelCard, warnings: list[str]) -> ResolvedSampling:
    asked, defaults = request.sampling, card.sampling
    steps = asked.steps if asked.steps is not None else defaults.steps
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
    if asked.timesteps is not None:
        _check_timesteps(asked.timesteps, card)
        if asked.steps is not None or asked.shift is not None:
            raise RequestError(
                "sampling.timesteps replaces steps and shift: leave those out.",
                field="sampling.timesteps",
                value=asked.timesteps,
            )
    solver = asked.solver or defaults.solver
    if solver not in defaults.solvers:
        raise RequestError(
            f"{card.id} has the solvers {', '.join(defaults.solvers)}, not {solver}.",
            field="sampling.solver",
            value=solver,
        )
    scale = asked.guidance_scale if asked.guidance_scale is not None else defaults.guidance_scale
    if not defaults.guidance_supported and (
        scale != 1 or asked.guidance is not None or asked.guidance_interval != (0.0, 1.0)
    ):
        raise RequestError(
            f"{card.id} runs without guidance: guidance, guidance_scale and guidance_interval do nothing for it. "
            "Leave them out, or use a base or SFT checkpoint.",
            field="sampling.guidance_scale",
            value=scale,
        )
    for name, value, usual in (("steps", steps, defaults.steps), ("shift", shift, defaults.shift)):
        if asked.timesteps is None and value != usual:
            warnings.append(f"{name} {value:g} is not what {card.id} was tuned for ({usual:g}).")
    return ResolvedSampling(
        steps=steps,
        shift=shift,
        timesteps=asked.timesteps,
        timesteps_verbatim=asked.timesteps_verbatim,
        solver=solver,
        guidance=asked.guidance or defaults.guidance,
        guidance_scale=scale,
        guidance_interval=asked.guidance_interval,
    )


def _check_timesteps(timesteps: tuple[float, ...], card: ModelCard) -> None:
    longest = card.sampling.max_timesteps
    if longest == 0:
        raise RequestError(
            f"{card.id} takes no timesteps of your own; use sampling.steps and sampling.shift.",
            field="sampling.timesteps",
            value=timesteps,
        )
    if len(timesteps) > longest:
        raise RequestError(
            f"{card.id} takes at most {longest} timesteps, and {len(timesteps)} were given.",
            field="sampling.timesteps",
            value=timesteps,
        )


def _output(asked: Output, card: ModelCard, parity: bool) -> ResolvedOutput:
    normalise = asked.normalise or ("peak" if parity else "loudness")
    lossless = asked.format in ("wav", "flac")
    target = asked.loudness_lufs if asked.loudness_lufs is not None else card.loudness.target_lufs
    return ResolvedOutput(
        format=asked.format,
        bit_depth=(asked.bit_depth or DEFAULT_BIT_DEPTH) if lossless else None,
        bitrate_kbps=None if lossless else asked.bitrate_kbps or DEFAULT_BITRATE_KBPS[asked.format],
        normalise=normalise,
        loudness_lufs=target if normalise == "loudness" else None,
        true_peak_db=asked.true_peak_db if asked.true_peak_db is not None else card.loudness.true_peak_db,
        keep_raw=asked.keep_raw,
        keep_latents=asked.keep_latents,
        midi=asked.midi,
        stems=asked.stems,
    )
