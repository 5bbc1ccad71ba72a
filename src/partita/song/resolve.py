"""The only place where a default is filled in: a request and the model's card become a resolved request.

Whatever the model or the task cannot honour is a RequestError here, before anything is loaded. Whatever is honoured
but unusual for the checkpoint is a warning that the record keeps. No file is read: what they hold comes as `TakenIn`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Literal

from partita.audio.formats import DEFAULT_BIT_DEPTH, DEFAULT_BITRATE_KBPS
from partita.errors import RequestError
from partita.song.adapters import AdapterFacts
from partita.song.canvas import Canvas, lay_canvas
from partita.song.card import GuidanceName, ModelCard, SolverName
from partita.song.plan import CODES_PER_S, Plan
from partita.song.planned import check_planner, follow_plan
from partita.song.planning import PlannerOptions
from partita.song.request import MAX_SEED, AudioFormat, Output, SongRequest, TimeSignature
from partita.song.source import LONGEST_SOURCE_S, SHORTEST_SOURCE_S, AudioRef, SourceFacts
from partita.song.task import EDIT_RECIPES, FlowEdit, Task, TextToMusic, source_of
from partita.song.values import Value
from partita.text.prompts import INSTRUMENTAL_LYRICS

# What these make belongs beside its source, so its level is left alone unless the user says otherwise.
KEEPS_LEVEL = ("repaint", "outpaint", "extend", "complete", "lego", "extract", "edit")


class TakenIn(Value):
    """What was found in the files that a request names, in its order; empty where it names none.

    `notes` are sentences for the record: what a file says of itself that could not be used.
    """

    source: SourceFacts | None = None
    references: tuple[SourceFacts, ...] = ()
    adapters: tuple[AdapterFacts, ...] = ()
    notes: tuple[str, ...] = ()


class ResolvedAdapter(Value):
    """An adapter, known by its content, and how much of it."""

    facts: AdapterFacts
    strength: float


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


class ResolvedOutput(Value):
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
    lrc: bool = False
    vtt: bool = False


class ResolvedRequest(Value):
    """A request with nothing left open but what the planner decides (tempo, key, metre, form).

    A `plan` that was given is followed as it is; a song's record has it once, beside the request and not in it. It
    names no file: source, references and adapters are known by their content. With a source there is a `canvas`, and
    `duration_s` is the canvas's. Of every `best_of` seeds that follow each other one song is delivered.
    """

    model: str
    caption: str
    lyrics: str
    instrumental: bool
    task: Task
    source: SourceFacts | None = None
    canvas: Canvas | None = None
    references: tuple[SourceFacts, ...] = ()
    adapters: tuple[ResolvedAdapter, ...] = ()
    duration_s: float | None
    default_duration_s: float
    bpm: int | None
    key: str | None
    time_signature: TimeSignature | None
    language: str
    seeds: tuple[int, ...]
    planner: PlannerOptions = PlannerOptions()
    plan: Plan | None = None
    best_of: int = 1
    sampling: ResolvedSampling
    output: ResolvedOutput
    parity: bool
    warnings: tuple[str, ...] = ()

    def one(self, seed: int) -> ResolvedRequest:
        """The same request for a single seed."""
        return self.model_copy(update={"seeds": (seed,), "best_of": 1})

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The seeds of each song that is delivered."""
        step = self.best_of
        return tuple(self.seeds[first : first + step] for first in range(0, len(self.seeds), step))


def resolve(
    request: SongRequest,
    card: ModelCard,
    taken: TakenIn = TakenIn(),  # noqa: B008  (a frozen value)
    *,
    cards: Sequence[ModelCard] = (),
    fresh_seed: Callable[[], int] = lambda: secrets.randbelow(MAX_SEED + 1),
) -> ResolvedRequest:
    """Fill in what `request` leaves open from `card` and from what its files hold (`taken`).

    `cards` are the other models, for an error to name those that can do what this one cannot. A missing seed is drawn
    from `fresh_seed`; `count` times `best_of` becomes the seeds s, s+1, ... (modulo 2^32).
    Raises RequestError where the model or the task cannot honour a field.
    """
    request = follow_plan(request)
    _check_task(request, card, cards)
    check_planner(request, card, cards)
    _check_source(request, card, taken.source, cards)
    _check_card_limits(request, card)
    warnings: list[str] = list(taken.notes)
    task, canvas = _task(request, taken.source, warnings)
    caption, lyrics, instrumental = _words(request, card, taken.source, warnings)
    _check_lines(request, card, instrumental, cards)
    seed = request.seed if request.seed is not None else fresh_seed()
    output = _output(request, card)
    if canvas is not None and canvas.spans and output.normalise != "off":
        warnings.append(
            f"normalise {output.normalise} sets the level of the whole song: its samples outside the region change."
        )
    return ResolvedRequest(
        model=card.id,
        caption=caption,
        lyrics=lyrics,
        instrumental=instrumental,
        task=task,
        source=taken.source,
        canvas=canvas,
        references=taken.references,
        adapters=tuple(
            ResolvedAdapter(facts=facts, strength=choice.strength)
            for facts, choice in zip(taken.adapters, request.adapters, strict=True)
        ),
        duration_s=canvas.duration_s if canvas is not None else _duration_s(request),
        default_duration_s=card.duration.default_s,
        bpm=request.bpm,
        key=request.key,
        time_signature=request.time_signature,
        language=request.language or _language_of(taken.source),
        seeds=tuple((seed + offset) % (MAX_SEED + 1) for offset in range(request.count * request.best_of)),
        planner=request.planner,
        plan=request.plan,
        best_of=request.best_of,
        sampling=_sampling(request, card, warnings),
        output=output,
        parity=request.parity,
        warnings=tuple(warnings),
    )


def _can(cards: Sequence[ModelCard], able: Callable[[ModelCard], bool]) -> str:
    names = [one.id for one in cards if able(one)]
    return f" These can: {', '.join(names)}." if names else ""


def _check_task(request: SongRequest, card: ModelCard, cards: Sequence[ModelCard]) -> None:
    kind = request.task.kind
    if kind not in card.tasks:
        raise RequestError(
            f"{card.id} cannot do {kind}; it can do {', '.join(card.tasks)}."
            + _can(cards, lambda one: kind in one.tasks),
            field="task",
            value=kind,
        )
    if card.own_songs_only and getattr(request.task, "chunk_mask", "explicit") != "explicit":
        raise RequestError(
            f"{card.id} is told of a region track by track: its chunk_mask is explicit, and ones and two mean "
            "nothing to it. Leave it out.",
            field="task.chunk_mask",
            value=getattr(request.task, "chunk_mask", None),
        )
    codes = request.task.codes if isinstance(request.task, TextToMusic) else None
    planned = request.plan.codes if request.plan is not None else None
    for field, given, able, what in (
        ("references", bool(request.references), "references", "timbre references"),
        ("adapters", bool(request.adapters), "adapters", "adapters"),
        ("task.codes", codes is not None, "codes", "semantic codes"),
        ("plan.codes", planned is not None, "codes", "semantic codes"),
    ):
        if given and not getattr(card, able):
            raise RequestError(
                f"{card.id} takes no {what}: leave {field} out."
                + _can(cards, lambda one, able=able: getattr(one, able)),
                field=field,
                value=len(codes) if codes is not None else field,
            )
    coded_s = len(codes) / CODES_PER_S if codes is not None else None
    if coded_s is not None and request.duration_s is not None and abs(coded_s - request.duration_s) > 1 / CODES_PER_S:
        raise RequestError(
            f"duration_s is {request.duration_s:g}, and the codes make {coded_s:g} s: they set the length, so leave "
            "duration_s out.",
            field="duration_s",
            value=request.duration_s,
        )


def _check_source(
    request: SongRequest, card: ModelCard, source: SourceFacts | None, cards: Sequence[ModelCard]
) -> None:
    if source_of(request.task) is None:
        return
    if source is None:
        raise ValueError("resolve needs what was found in the source: take it in first")
    if request.duration_s is not None:
        raise RequestError(
            f"duration_s {request.duration_s:g} was asked for, and the length of {request.task.kind} is that of its "
            "source: leave it out. extend and outpaint make a song longer.",
            field="duration_s",
            value=request.duration_s,
        )
    if not SHORTEST_SOURCE_S <= source.duration_s <= LONGEST_SOURCE_S:
        raise RequestError(
            f"The source is {source.duration_s:.3g} s long, and {SHORTEST_SOURCE_S:g} to {LONGEST_SOURCE_S:g} s "
            "can be used: give a longer or shorter one.",
            field="task.source",
            value=source.duration_s,
        )
    if card.own_songs_only and (source.song is None or source.song.family != card.family):
        kind = request.task.kind
        raise RequestError(
            f"{card.id} edits only songs that it made, unaltered and with their latents still kept on this machine; "
            "this source is none." + _can(cards, lambda one: kind in one.tasks and not one.own_songs_only),
            field="task.source",
            value=source.sha256,
        )


def _task(request: SongRequest, source: SourceFacts | None, warnings: list[str]) -> tuple[Task, Canvas | None]:
    """The task with its defaults and without paths, and where its source lies."""
    task = request.task
    if isinstance(task, FlowEdit):
        task = _edit(request, task, source)
    if source is None or source_of(task) is None:
        return task, None
    task = task.model_copy(update={"source": AudioRef(sha256=source.sha256)})
    canvas, notes = lay_canvas(task, source, original=request.parity)
    warnings.extend(notes)
    return task, canvas


def _edit(request: SongRequest, task: FlowEdit, source: SourceFacts | None) -> FlowEdit:
    own = source.song.plan if source is not None and source.song is not None else None
    caption = task.source_caption if task.source_caption is not None else own.caption if own else None
    lyrics = task.source_lyrics if task.source_lyrics is not None else own.lyrics if own else ""
    if caption is None:
        raise RequestError(
            "edit needs to know what the source sounds like, and it carries no record of its own: give source_caption "
            "(and source_lyrics where it is sung).",
            field="task.source_caption",
        )
    wanted = (request.caption.strip() or caption, request.lyrics.strip("\n") or lyrics)
    if wanted == (caption, lyrics) and not request.instrumental:
        raise RequestError(
            "edit was asked for with the words that the source already has: give another caption or other lyrics.",
            field="caption",
            value=request.caption,
        )
    n_min, n_max = EDIT_RECIPES[task.recipe]
    n_min = n_min if task.n_min is None else task.n_min
    n_max = n_max if task.n_max is None else task.n_max
    if n_min >= n_max:
        raise RequestError(
            f"n_min is {n_min:g} and n_max {n_max:g}: editing takes place between them, so n_max must be greater.",
            field="task.n_max",
            value=n_max,
        )
    return task.model_copy(update={"source_caption": caption, "source_lyrics": lyrics, "n_min": n_min, "n_max": n_max})


def _duration_s(request: SongRequest) -> float | None:
    codes = request.task.codes if isinstance(request.task, TextToMusic) else None
    return len(codes) / CODES_PER_S if codes is not None else request.duration_s


def _language_of(source: SourceFacts | None) -> str:
    return source.song.plan.language if source is not None and source.song is not None else "unknown"


def _check_card_limits(request: SongRequest, card: ModelCard) -> None:
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


def _words(
    request: SongRequest, card: ModelCard, source: SourceFacts | None, warnings: list[str]
) -> tuple[str, str, bool]:
    """Caption, lyrics, and whether there is no voice. What is left open is the source's own, where it is known."""
    caption, lyrics = request.caption.strip(), request.lyrics.strip("\n")
    if source is not None and source.song is not None:
        caption = caption or source.song.plan.caption
        if not lyrics.strip() and not request.instrumental:
            lyrics = source.song.plan.lyrics
    if isinstance(request.task, FlowEdit) and not request.instrumental:
        caption, lyrics = caption or request.task.source_caption or "", lyrics or request.task.source_lyrics or ""
    if not lyrics.strip() or lyrics == INSTRUMENTAL_LYRICS:
        return caption, "" if request.parity and not request.instrumental else INSTRUMENTAL_LYRICS, True
    if not card.sings:
        warnings.append(f"{card.id} plays instruments and does not sing: the lyrics shape the form of the song only.")
    return caption, lyrics, False


def _check_lines(request: SongRequest, card: ModelCard, instrumental: bool, cards: Sequence[ModelCard]) -> None:
    for name in ("lrc", "vtt"):
        if not getattr(request.output, name):
            continue
        if not card.sings:
            raise RequestError(
                f"output.{name} was asked for, and {card.id} does not sing: use a model that does."
                + _can(cards, lambda one: one.sings),
                field=f"output.{name}",
                value=True,
            )
        if instrumental:
            raise RequestError(
                f"output.{name} says when each line is sung, and there are no lyrics: give lyrics, or leave it out.",
                field=f"output.{name}",
                value=True,
            )


def _sampling(request: SongRequest, card: ModelCard, warnings: list[str]) -> ResolvedSampling:
    asked, defaults = request.sampling, card.sampling
    edits = isinstance(request.task, FlowEdit)
    usual_steps = (defaults.edit_steps if edits else None) or defaults.steps
    steps = asked.steps if asked.steps is not None else usual_steps
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
    if edits and asked.solver not in (None, "euler"):
        raise RequestError(
            f"edit follows the difference of two velocities, which only the solver euler does; {asked.solver} was "
            "asked for: leave it out.",
            field="sampling.solver",
            value=asked.solver,
        )
    if edits and asked.guidance not in (None, "apg", "cfg"):
        raise RequestError(
            f"edit has the guidance apg and cfg, not {asked.guidance}.", field="sampling.guidance", value=asked.guidance
        )
    solver = asked.solver or defaults.solver
    if solver not in defaults.solvers:
        raise RequestError(
            f"{card.id} has the solvers {', '.join(defaults.solvers)}, not {solver}.",
            field="sampling.solver",
            value=solver,
        )
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
    for name, value, usual in (("steps", steps, usual_steps), ("shift", shift, defaults.shift)):
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
    if len(timesteps) > longest:
        raise RequestError(
            f"{card.id} takes at most {longest} timesteps, and {len(timesteps)} were given.",
            field="sampling.timesteps",
            value=timesteps,
        )


def _output(request: SongRequest, card: ModelCard) -> ResolvedOutput:
    asked: Output = request.output
    usual = "peak" if request.parity else "off" if request.task.kind in KEEPS_LEVEL else "loudness"
    normalise = asked.normalise or ("loudness" if asked.loudness_lufs is not None else usual)
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
        lrc=asked.lrc,
        vtt=asked.vtt,
    )
