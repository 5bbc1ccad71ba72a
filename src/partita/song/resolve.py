"""The only place where a default is filled in: a request and the model's card become a resolved request.

Whatever the model or the task cannot honour is a RequestError here, before anything is loaded. Whatever is honoured
but unusual for the checkpoint is a warning that the record keeps. No file is read but that of a style: what others hold
comes as `TakenIn`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Literal

from partita.audio.formats import DEFAULT_BIT_DEPTH, DEFAULT_BITRATE_KBPS
from partita.errors import RequestError
from partita.song.adapters import AdapterFacts
from partita.song.canvas import Canvas, lay_canvas
from partita.song.card import ModelCard
from partita.song.plan import CODES_PER_S, Plan
from partita.song.planned import check_planner, follow_plan
from partita.song.planning import PlannerOptions
from partita.song.request import MAX_SEED, AudioFormat, Output, SongRequest, TimeSignature
from partita.song.sampling import ResolvedSampling, resolve_sampling
from partita.song.source import GRIDS, LONGEST_SOURCE_S, SHORTEST_SOURCE_S, AudioRef, SourceFacts
from partita.song.styles import Followed, Said, find_style, follow_style
from partita.song.task import EDIT_RECIPES, FlowEdit, Task, TextToMusic, source_of
from partita.song.values import Value
from partita.text.prompts import INSTRUMENTAL_LYRICS

# What these make belongs beside its source, so its level is left alone unless the user says otherwise.
KEEPS_LEVEL = ("repaint", "outpaint", "extend", "complete", "lego", "extract", "edit")


class TakenIn(Value):
    """What was found in the files that a request names, in its order; empty where it names none.

    `said` is what its caption says in so many words, which matters to a style alone. `notes` are sentences for the
    record: what a file says of itself that could not be used.
    """

    source: SourceFacts | None = None
    references: tuple[SourceFacts, ...] = ()
    adapters: tuple[AdapterFacts, ...] = ()
    said: Said = Said()
    notes: tuple[str, ...] = ()


class ResolvedAdapter(Value):
    """An adapter, known by its content, and how much of it."""

    facts: AdapterFacts
    strength: float


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


class OfSeed(Value):
    """What a style fills in otherwise for each seed."""

    caption: str
    lyrics: str
    bpm: int | None
    key: str | None


class ResolvedRequest(Value):
    """A request with nothing left open but what the planner decides (tempo, key, metre, form).

    A `plan` that was given is followed as it is; a song's record has it once, beside the request and not in it. It
    names no file: source, references and adapters are known by their content. With a source there is a `canvas`, and
    `duration_s` is the canvas's. Of every `best_of` seeds that follow each other one song is delivered. `styled` names
    the fields that a `style` filled in; these are the first seed's, and those of all are in `of_seeds`.
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
    style: str | None = None
    styled: tuple[str, ...] = ()
    of_seeds: tuple[OfSeed, ...] = ()
    warnings: tuple[str, ...] = ()

    def one(self, seed: int) -> ResolvedRequest:
        """The same request for a single seed."""
        own = dict(zip(self.seeds, self.of_seeds, strict=True)).get(seed) if self.of_seeds else None
        filled = {} if own is None else dict(own)
        return self.model_copy(update={**filled, "seeds": (seed,), "best_of": 1, "of_seeds": ()})

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
    seed = request.seed if request.seed is not None else fresh_seed()
    seeds = tuple((seed + offset) % (MAX_SEED + 1) for offset in range(request.count * request.best_of))
    followed = _styled(request, card, taken, seeds)
    request = follow_plan(followed[0].request)
    _check_task(request, card, cards)
    check_planner(request, card, cards)
    _check_source(request, card, taken.source, cards)
    _check_card_limits(request, card)
    warnings: list[str] = [*taken.notes, *followed[0].notes]
    task, canvas = _task(request, card, taken.source, warnings)
    caption, lyrics, instrumental = _words(request, card, taken.source, warnings)
    _check_lines(request, card, instrumental, cards)
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
        seeds=seeds,
        planner=request.planner,
        plan=request.plan,
        best_of=request.best_of,
        sampling=resolve_sampling(request, card, warnings),
        output=output,
        parity=request.parity,
        style=followed[0].style,
        styled=followed[0].styled,
        of_seeds=tuple(_of_seed(one.request, card) for one in followed) if len(followed) > 1 and canvas is None else (),
        warnings=tuple(warnings),
    )


def _styled(request: SongRequest, card: ModelCard, taken: TakenIn, seeds: tuple[int, ...]) -> tuple[Followed, ...]:
    """The request with what its style fills in for each seed; without a style, once and as it is."""
    if request.style is None:
        return (Followed(request),)
    style, song = find_style(request.style), taken.source.song if taken.source is not None else None
    plan = song.plan if song is not None else None
    return tuple(follow_style(request, style, card, seed, said=taken.said, source=plan) for seed in seeds)


def _of_seed(request: SongRequest, card: ModelCard) -> OfSeed:
    caption, lyrics, _ = _words(request, card, None, [])
    return OfSeed(caption=caption, lyrics=lyrics, bpm=request.bpm, key=request.key)


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
    for field, usual in (("chunk_mask", "explicit"), ("follow", "nothing")):
        value = getattr(request.task, field, usual)
        if not card.context and value != usual:
            raise RequestError(
                f"{card.id} is given no latents to follow and no mask of what to make: {field} is {usual}, and {value} "
                "means nothing to it. Leave it out." + _can(cards, lambda one: one.context and kind in one.tasks),
                field=f"task.{field}",
                value=value,
            )
    codes = request.task.codes if isinstance(request.task, TextToMusic) else None
    planned = request.plan.codes if request.plan is not None else None
    for field, given, able, what in (
        ("references", bool(request.references), "references", "timbre references"),
        ("adapters", bool(request.adapters), "adapters", "adapters"),
        ("task.codes", codes is not None, "codes", "semantic codes"),
        ("task.strength", codes is None and _follows_codes(request.task), "codes", "semantic codes"),
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


def _follows_codes(task: Task) -> bool:
    return isinstance(task, TextToMusic) and task.strength != 1


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


def _task(
    request: SongRequest, card: ModelCard, source: SourceFacts | None, warnings: list[str]
) -> tuple[Task, Canvas | None]:
    """The task with its defaults and without paths, and where its source lies."""
    task = request.task
    if isinstance(task, FlowEdit):
        task = _edit(request, task, source)
    if source is None or source_of(task) is None:
        return task, None
    task = task.model_copy(update={"source": AudioRef(sha256=source.sha256)})
    canvas, notes = lay_canvas(task, source, grid=GRIDS[card.family], original=request.parity)
    warnings.extend(notes)
    if not canvas.spans and canvas.duration_s > card.duration.max_s:
        raise RequestError(
            f"{task.kind} makes all of its source anew, which is {canvas.duration_s:g} s long, and {card.id} makes at "
            f"most {card.duration.max_s:g} s at once: give a shorter one, or a region of it.",
            field="task.source",
            value=canvas.duration_s,
        )
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
        if not card.follows_lyrics:
            cannot = "does not tell when a line is sung" if card.sings else "does not sing"
            raise RequestError(
                f"output.{name} was asked for, and {card.id} {cannot}: use a model that does."
                + _can(cards, lambda one: one.follows_lyrics),
                field=f"output.{name}",
                value=True,
            )
        if instrumental:
            raise RequestError(
                f"output.{name} says when each line is sung, and there are no lyrics: give lyrics, or leave it out.",
                field=f"output.{name}",
                value=True,
            )


def _output(request: SongRequest, card: ModelCard) -> ResolvedOutput:
    asked: Output = request.output
    usual = card.loudness.original if request.parity else "off" if request.task.kind in KEEPS_LEVEL else "loudness"
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
