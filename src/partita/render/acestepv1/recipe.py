"""What a job asks of the networks of ACE-Step v1, as data: what is sampled, from which seeds, and what is decoded.

One kind of task becomes one kind of `Work`; songs of equal work can share a batch. It knows frames, spans and
strengths, and neither words nor weights. Source: specification of v1, section 16.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.errors import RequestError
from partita.render.acestepv1.sampling import MAX_FRAMES, Region, frames_of
from partita.render.acestepv1.windows import Pass, Span, plan_passes
from partita.render.protocol import Job
from partita.sampling.flow_edit import FlowEdit
from partita.sampling.repaint import blend_settings
from partita.song import task as tasks
from partita.song.canvas import Canvas
from partita.song.request import MAX_SEED
from partita.song.source import GRIDS, SAMPLE_RATE_HZ, SourceFacts

GRID = GRIDS["acestep-v1"]
HELD_VARIANCE = 0.2
"""The least that a region is made anew by: what the original's own page begins with."""


@dataclass(frozen=True)
class Make:
    """A song of `frames` frames from noise, or with `variance` a retake of one."""

    frames: int
    variance: float | None = None


@dataclass(frozen=True)
class Restyle:
    """A song of `frames` frames that begins at its source under noise; `strength` of it stays."""

    frames: int
    strength: float


@dataclass(frozen=True)
class Remake:
    """`region` of a source of `frames` frames is made anew, in one pass or several."""

    frames: int
    region: Region
    variance: float
    passes: tuple[Pass, ...]


@dataclass(frozen=True)
class Edit:
    """A source of `frames` frames is edited along the flow, within the one window of `passes`."""

    frames: int
    settings: FlowEdit
    window: Pass


Work = Make | Restyle | Remake | Edit


@dataclass(frozen=True)
class Recipe:
    """One job as its networks see it.

    `seed` and `retake_seed` are those of the song's noise and of what it is turned towards. `encode`: whether the
    source's audio is encoded, rather than its latents used as they are. `samples`: how long the song is at 48 kHz;
    `made`: which of them are decoded, None for all. `notes`: what could be honoured only in part.
    """

    work: Work
    seed: int
    retake_seed: int
    samples: int
    encode: bool = False
    made: tuple[Span, ...] | None = None
    notes: tuple[str, ...] = ()


def recipe_of(job: Job, widest: int = MAX_FRAMES) -> Recipe:
    """The recipe of a job; `widest` is how many frames go through the network at a time.

    Raises RequestError where the song, or what is edited of it, is longer than can be made.
    """
    resolved, source, canvas = job.resolved, job.source, job.resolved.canvas
    task, parity = resolved.task, resolved.parity
    if source is None or canvas is None:
        return _from_words(job)
    frames = _source_frames(job)
    match task:
        case tasks.AudioToAudio():
            work = Restyle(frames, task.strength)
        case tasks.FlowEdit():
            work = _edit(task, canvas, frames, widest)
        case tasks.Repaint() | tasks.Outpaint() | tasks.Extend():
            work = _remake(task, canvas, source.facts, frames, parity, widest)
        case _:
            raise RequestError(f"ACE-Step v1 cannot do {task.kind}.", field="task", value=task.kind)
    # The original draws a region's noise from two sets of seeds; a request has one, and the next is the other.
    others = parity and isinstance(work, Remake)
    notes = _notes(job, work)
    if parity:
        # All that was sampled is decoded.
        samples = GRID.samples(_made_frames(work))
        return Recipe(work, job.seed, _next(job.seed) if others else job.seed, samples, _encodes(job), notes=notes)
    apart = canvas.spans and source.audio is not None
    return Recipe(
        work,
        job.seed,
        job.seed,
        canvas.samples,
        encode=_encodes(job),
        made=canvas.spans if apart else None,
        notes=notes,
    )


def holding(samples: int) -> int:
    """How many frames hold so many samples: frame k begins with sample `GRID.samples(k)`."""
    return GRID.within(samples - 1) + 1


def variance_of(task: tasks.Repaint | tasks.Outpaint | tasks.Extend, parity: bool) -> float:
    """How far a region is made anew, 0..1. To the original a strength is the variance itself; by default the least is
    what its own page has. What is added to a song has nothing that it could be held to."""
    if isinstance(task, tasks.Extend):
        return 1.0
    if parity:
        return task.strength
    held = blend_settings(task.mode, task.strength).injection_ratio
    return HELD_VARIANCE * held + 1.0 * (1.0 - held)


def _from_words(job: Job) -> Recipe:
    task, duration_s = job.resolved.task, job.plan.duration_s
    wanted = round(duration_s * SAMPLE_RATE_HZ)
    if job.resolved.parity:
        frames = max(1, frames_of(duration_s))
        samples = GRID.samples(frames)
    else:
        frames = holding(wanted)
        samples = min(GRID.samples(frames), wanted)
    if isinstance(task, tasks.Retake):
        return Recipe(Make(frames, task.variance), task.of_seed, job.seed, samples)
    return Recipe(Make(frames), job.seed, job.seed, samples)


def _source_frames(job: Job) -> int:
    """Frames of the source: those of its latents where these are used as they are."""
    assert job.source is not None
    frames = GRID.around(job.source.facts.samples) if job.resolved.parity else holding(job.source.facts.samples)
    if _encodes(job) or job.source.latents is None:
        return frames
    return min(frames, len(job.source.latents))


def _encodes(job: Job) -> bool:
    """Whether audio is encoded: where there is nothing else, and in parity, for the original knows audio only."""
    source = job.source
    assert source is not None
    return source.latents is None or (job.resolved.parity and source.audio is not None)


def _remake(
    task: tasks.Repaint | tasks.Outpaint | tasks.Extend,
    canvas: Canvas,
    source: SourceFacts,
    frames: int,
    parity: bool,
    widest: int,
) -> Remake:
    variance = variance_of(task, parity)
    if parity:
        region = _original_region(task, source, frames)
        # The sampler lays it out as the original does, and refuses what that cannot.
        return Remake(frames, region, variance, ())
    region, total = _region(canvas, source, frames)
    at = region.left
    start, end = region.inside or (0, 0)
    spans = ((0, at), (at + start, at + end), (at + frames, total))
    return Remake(frames, region, variance, plan_passes(total, spans, (at, at + frames), widest))


def _region(canvas: Canvas, source: SourceFacts, frames: int) -> tuple[Region, int]:
    """What is made, and how many frames there are with it. A frame is made that holds any sample of a span."""
    left = GRID.within(canvas.source_at)
    longer = canvas.samples > canvas.source_at + source.samples
    total = max(left + frames, holding(canvas.samples)) if longer else left + frames
    inside: list[int] = []
    for first, end in canvas.spans:
        start = GRID.within(first)
        stop = total if end >= canvas.samples else holding(end)
        inside += [min(max(edge - left, 0), frames) for edge in (start, max(stop, start + 1))]
    # Spans at both ends of the source meet it in no frame, or in the last one, which it fills in part.
    made = [(first, end) for first, end in zip(inside[::2], inside[1::2], strict=True) if first < end]
    assert len(made) <= 1  # every task makes one stretch of the source itself at most
    return Region(left, total - left - frames, made[0] if made else None), total


def _original_region(task: tasks.Repaint | tasks.Outpaint | tasks.Extend, source: SourceFacts, frames: int) -> Region:
    """Positions as the original counts them, in seconds of the source; beyond its ends nothing inside of it is made."""
    if isinstance(task, tasks.Extend):
        start_s = -task.left_s
        end_s = source.duration_s + task.right_s
    else:
        start_s = task.start_s
        end_s = source.duration_s if task.end_s is None else task.end_s
    start, end = frames_of(start_s), frames_of(end_s)
    if start < 0 or end > frames:
        return Region(left=max(0, -start), right=max(0, end - frames))
    return Region(inside=(start, end))


def _edit(task: tasks.FlowEdit, canvas: Canvas, frames: int, widest: int) -> Edit:
    assert task.n_min is not None  # both are set in a resolved request
    assert task.n_max is not None
    settings = FlowEdit(task.n_min, task.n_max, task.n_avg)
    spans = [(GRID.within(first), min(holding(end), frames)) for first, end in canvas.spans]
    window, *more = plan_passes(frames, [(min(first, end - 1), end) for first, end in spans], (0, frames), widest)
    if more:
        raise RequestError(
            f"The region to be edited is {task.start_s:g} to {task.end_s or canvas.duration_s:g} s, and at most "
            f"{widest * GRID.frame_s:g} s can be edited at once: give a shorter one, and edit one after another.",
            field="task.end_s",
            value=task.end_s,
        )
    return Edit(frames, settings, window)


def _made_frames(work: Work) -> int:
    """Frames of the finished song, in parity."""
    if isinstance(work, Remake):
        left, right = work.region.left, work.region.right
        # Measured from the start of what was put before the source.
        return left + work.frames + (max(0, right - left) if left and right else right)
    return work.frames


def _notes(job: Job, work: Work) -> tuple[str, ...]:
    notes = []
    if job.resolved.parity and not _encodes(job):
        notes.append("parity: the original takes no latents as a source; they are used as they are.")
    if isinstance(work, Remake) and len(work.passes) > 1:
        widest = max(one.frames for one in work.passes) * GRID.frame_s
        notes.append(
            f"The model hears {MAX_FRAMES * GRID.frame_s:.0f} s at once, and the song is longer: what was asked for "
            f"was made in {len(work.passes)} passes of at most {widest:.0f} s."
        )
    return tuple(notes)


def _next(seed: int) -> int:
    return (seed + 1) % (MAX_SEED + 1)
