"""What a job asks of the networks, as data: its layout of frames, its instruction, and how its walk begins and ends.

One row of the table of tasks becomes one `Recipe`; nothing is computed with tensors here. It knows frames, spans and
strengths, and neither words nor weights.
Source: specification of the original's acoustic pipeline, sections 10.2, 12, 13, 15 and 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from partita.models.acestep15.layout import (
    FRAMES_PER_CODE,
    Layout,
    OriginalBatch,
    Span,
    TaskKind,
    lay_out,
    original_layout,
)
from partita.render.protocol import Job
from partita.sampling.flow_edit import FlowEdit
from partita.sampling.repaint import BlendSettings, blend_settings
from partita.song import task as tasks
from partita.song.canvas import Canvas
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ
from partita.text.prompts import instruction_for

# What an edited region is joined to its surroundings with; the task has no mode of its own.
EDIT_BLEND = blend_settings("balanced", 0.5)
_EDIT_KINDS: dict[str, TaskKind] = {"nothing": "edit", "codes": "cover", "latents": "cover-no-codes"}


@dataclass(frozen=True)
class Padded:
    """The waveform that is encoded for a source: `samples` of it, zeros but for the source, which begins at `at`."""

    samples: int
    at: int


@dataclass(frozen=True)
class Recipe:
    """One job as its networks see it.

    encode: what is encoded of the source's audio, or None where its latents are used as they are, or there is none.
    codes: semantic codes that are given. strength: share of the steps with the first set of conditions; below 1 the
    plain set takes over. start_strength: how much of the clean latents the walk begins with. blend: how what is made
    joins what stays, for layouts with spans. edit: the part of the schedule that edits. retake: seed and variance of
    the noise that is turned towards, and `seed` is that of the noise itself. made: samples of the canvas that are
    decoded, None for all. kept_frames: how many frames the finished latents have. note: what of parity cannot be had.
    """

    layout: Layout
    instruction: str
    seed: int
    kept_frames: int
    samples: int
    encode: Padded | None = None
    codes: tuple[int, ...] = ()
    strength: float = 1.0
    start_strength: float = 0.0
    blend: BlendSettings | None = None
    edit: FlowEdit | None = None
    retake: tuple[int, float] | None = None
    made: tuple[tuple[int, int], ...] | None = None
    note: str | None = None


def recipe_of(job: Job) -> Recipe:
    """The recipe of a job. Raises RequestError where the song is longer than the model makes."""
    task, parity = job.resolved.task, job.resolved.parity
    codes = _codes(job)
    plain = Recipe(
        layout=_layout(job, _kind(task, codes), codes),
        instruction=_instruction(task, bool(codes)),
        seed=job.seed,
        kept_frames=0,
        samples=0,
        encode=_encode(job),
        codes=codes,
        note=_note(job) if parity else None,
    )
    match task:
        case tasks.TextToMusic():
            recipe = replace(plain, strength=task.strength if codes else 1.0)
        case tasks.Cover():
            recipe = replace(plain, strength=task.strength, start_strength=task.noise_strength)
        case tasks.AudioToAudio():
            recipe = replace(plain, start_strength=task.strength)
        case tasks.Retake():
            recipe = replace(plain, seed=task.of_seed, retake=(job.seed, task.variance))
        case tasks.Repaint() | tasks.Outpaint() | tasks.Extend() | tasks.Lego():
            recipe = replace(plain, blend=_blend(task, job.resolved.canvas, parity))
        case tasks.FlowEdit():
            recipe = replace(plain, edit=_edit(task), blend=EDIT_BLEND if plain.layout.spans else None)
        case _:
            recipe = plain
    return _measured(job, recipe)


def latent_frames(duration_s: float, parity: bool) -> int:
    """How many latent frames a song of this length has before it is padded to the shortest that is sampled.

    The original rounds to tenths of a second and drops what does not fill a frame. Without `parity` the last frame is
    whole, so that the song can be cut to exactly what was asked.
    """
    if parity:
        return int(max(0.1, round(duration_s, 1)) * SAMPLE_RATE_HZ) // FRAME_SAMPLES
    return -(-round(duration_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES)


def _codes(job: Job) -> tuple[int, ...]:
    if not isinstance(job.resolved.task, (tasks.TextToMusic, tasks.Retake)):
        return ()
    return job.plan.codes or getattr(job.resolved.task, "codes", None) or ()


def _kind(task: tasks.Task, codes: Sequence[int]) -> TaskKind:
    """The row of the table. A song from words with codes is laid out by its own row, which turns into a cover."""
    match task:
        case tasks.Cover():
            return "cover" if task.fsq else "cover-no-codes"
        case tasks.FlowEdit():
            return _EDIT_KINDS[task.follow]
        case _:
            return task.kind


def _instruction(task: tasks.Task, with_codes: bool) -> str:
    """The trained sentence of section 10.2."""
    match task:
        case tasks.Cover():
            return instruction_for("cover")
        case tasks.Repaint() | tasks.Outpaint() | tasks.Extend():
            return instruction_for("repaint")
        case tasks.Lego() | tasks.Extract():
            return instruction_for(task.kind, task.track)
        case tasks.Complete():
            return instruction_for("complete", tracks=task.tracks)
        case tasks.FlowEdit():
            return instruction_for("text2music" if task.follow == "nothing" else "cover")
        case _:
            return instruction_for("cover" if with_codes else "text2music")


def _blend(task: tasks.Task, canvas: Canvas | None, parity: bool) -> BlendSettings:
    assert isinstance(task, (tasks.Repaint, tasks.Outpaint, tasks.Extend, tasks.Lego))
    settings = blend_settings(task.mode, task.strength)
    if canvas is not None and canvas.keep_source and not parity:
        # What is added joins the source at its edge: no cross-fade reaches into it.
        settings = replace(settings, latent_crossfade_frames=0)
    return settings


def _edit(task: tasks.FlowEdit) -> FlowEdit:
    assert task.n_min is not None  # both are set in a resolved request
    assert task.n_max is not None
    return FlowEdit(task.n_min, task.n_max, task.n_avg)


def _encode(job: Job) -> Padded | None:
    """What is encoded. The original pads the waveform to the whole canvas, and drops what does not fill a frame."""
    source, canvas = job.source, job.resolved.canvas
    if source is None or canvas is None:
        return None
    if follows_original(job):
        found = _original(job)
        samples = canvas.samples if found is None else found.target_samples
        return Padded(samples // FRAME_SAMPLES * FRAME_SAMPLES, canvas.source_at)
    if source.latents is not None:
        return None
    return Padded(_frames(source.facts.samples) * FRAME_SAMPLES, 0)


def follows_original(job: Job) -> bool:
    """Whether the original's own rules of length and layout are in force. It knows no latents that come from a user."""
    return job.resolved.parity and (job.source is None or job.source.audio is not None)


def _layout(job: Job, kind: TaskKind, codes: Sequence[int]) -> Layout:
    found = _original(job) if follows_original(job) else None
    if found is None:
        return _own_layout(job, kind, codes)
    (layout,) = found.layouts
    mask = _chunk_mask(job.resolved.task)
    # Which marks are told apart here; that the original writes 2 into a boolean mask is a request's `ones`.
    return layout if mask == "explicit" else replace(layout, mask=((2.0 if mask == "two" else 1.0, 0, layout.frames),))


def _own_layout(job: Job, kind: TaskKind, codes: Sequence[int]) -> Layout:
    canvas, source, task = job.resolved.canvas, job.source, job.resolved.task
    if canvas is None or source is None:
        frames = len(codes) * FRAMES_PER_CODE or latent_frames(job.plan.duration_s, job.resolved.parity)
        return lay_out(kind, source_frames=None, frames=frames, codes=len(codes))
    if follows_original(job):
        frames = canvas.samples // FRAME_SAMPLES
        source_frames, source_at = frames, 0
    else:
        frames, source_at = _frames(canvas.samples), canvas.source_at // FRAME_SAMPLES
        source_frames = _frames(source.facts.samples)
        if source.latents is not None:
            source_frames = min(source_frames, len(source.latents))
    spans = canvas.span_frames(frames)
    if isinstance(task, tasks.FlowEdit):
        layout = lay_out(kind, source_frames=source_frames, frames=frames, source_at=source_at)
        return _keeping(layout, spans)
    return lay_out(
        kind,
        source_frames=source_frames,
        frames=frames,
        spans=spans,
        source_at=source_at,
        chunk_mask=_chunk_mask(task),
    )


def _keeping(layout: Layout, spans: tuple[Span, ...]) -> Layout:
    """The layout of an edit: what lies outside the spans is kept, and the network is told nothing of it."""
    return replace(layout, spans=spans, repaint=spans or None)


def _original(job: Job) -> OriginalBatch | None:
    """What the original makes of the job in terms of its own arguments; None for what it has no task for."""
    task, canvas = job.resolved.task, job.resolved.canvas
    if isinstance(task, (tasks.TextToMusic, tasks.Retake)):
        codes = "".join(f"<|audio_code_{code}|>" for code in _codes(job))
        return original_layout("text2music", duration_s=job.plan.duration_s, audio_codes=codes)
    if job.source is None or canvas is None:
        return None
    samples = job.source.facts.samples
    length_s = samples / SAMPLE_RATE_HZ

    def ranged(name: str, start_s: float, end_s: float | None) -> OriginalBatch:
        return original_layout(
            name, source_samples=samples, start_s=start_s, end_s=end_s, chunk_mask_mode=_chunk_mask(task)
        )

    match task:
        case tasks.Cover():
            return original_layout("cover" if task.fsq else "cover-nofsq", source_samples=samples)
        case tasks.Complete() | tasks.Extract():
            return original_layout(task.kind, source_samples=samples)
        case tasks.Lego():
            return ranged("lego", task.start_s, task.end_s)
        case tasks.Repaint() | tasks.Outpaint():
            return ranged("repaint", task.start_s, task.end_s)
        case tasks.Extend(left_s=left_s, right_s=0):
            return ranged("repaint", -left_s, 0.0)
        case tasks.Extend(left_s=0, right_s=right_s):
            return ranged("repaint", length_s, length_s + right_s)
        case _:
            return None


def _note(job: Job) -> str | None:
    """Where the original has no counterpart of its own to keep to."""
    task = job.resolved.task
    if not follows_original(job):
        return "parity: the original takes no latents as a source; they are laid out as without parity."
    if isinstance(task, tasks.AudioToAudio):
        return "parity: the original has no audio-to-audio; only its lengths and draws are followed."
    if isinstance(task, tasks.Extend) and task.left_s and task.right_s:
        return "parity: the original adds before a song or after it; both at once are laid out as without parity."
    return None


def _chunk_mask(task: tasks.Task) -> tasks.ChunkMask:
    return getattr(task, "chunk_mask", "explicit")


def _frames(samples: int) -> int:
    return -(-samples // FRAME_SAMPLES)


def _measured(job: Job, recipe: Recipe) -> Recipe:
    """The recipe with the length of what comes out of it.

    In parity all that was sampled is kept and decoded. Otherwise a canvas is as long as it is, and a song from words as
    long as its plan; its latents keep the frames beyond its end, which the decoder hears.
    """
    canvas, frames = job.resolved.canvas, recipe.layout.frames
    if job.resolved.parity:
        return replace(recipe, kept_frames=frames, samples=frames * FRAME_SAMPLES)
    if canvas is None:
        samples = min(frames * FRAME_SAMPLES, round(job.plan.duration_s * SAMPLE_RATE_HZ))
        return replace(recipe, kept_frames=frames, samples=samples)
    apart = canvas.spans and job.source is not None and job.source.audio is not None
    return replace(
        recipe,
        kept_frames=recipe.layout.valid,
        samples=canvas.samples,
        made=canvas.spans if apart else None,
    )
