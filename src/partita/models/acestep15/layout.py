"""What each task feeds the transformer, as data: which frames are silence, source audio or decoded codes, and which are
marked as to be made.

It knows frames (25 a second) and no audio, text or weights; one frame is 64 channels. `lay_out` is this package's own
definition of the tasks. Source: table of tasks of the ACE-Step 1.5 specification, sections 8, 11 and 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from partita.errors import RequestError

# The published models are never run on less; shorter songs are padded to it.
SHORTEST_FRAMES = 128
# Length of the published silence latent, ten minutes.
LONGEST_FRAMES = 15_000
FRAMES_PER_CODE = 5

Kind = Literal["silence", "source", "codes"]
ChunkMask = Literal["explicit", "ones", "two"]
TaskKind = Literal[
    "text-to-music",
    "cover",
    "cover-no-codes",
    "audio-to-audio",
    "repaint",
    "outpaint",
    "extend",
    "complete",
    "lego",
    "extract",
    "retake",
    "edit",
]
Span = tuple[int, int]


@dataclass(frozen=True)
class Run:
    """Frames `first` to `end` (excluded) are frames `offset` and on of the silence latent, the source or the codes."""

    kind: Kind
    first: int
    end: int
    offset: int

    @property
    def frames(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class Layout:
    """The tensors of one song, frame by frame. All runs cover 0 to `frames` in order, without gap or overlap.

    frames: T, what the network is fed; valid: those before the padding to its shortest length.
    spans: frames to be made, in order and apart; empty means all of them, on a canvas without a range.
    source: the context's source channels, before a cover's trip through the codes.
    clean: the source latents without holes, which injection, crossfades and noised starts go back to.
    mask: the context's chunk mask as (value, first, end).
    repaint: the spans again where the task keeps what lies outside them, None where it keeps nothing.
    hint: latents of given audio codes, padded to T, or None.
    is_cover: whether the source channels are replaced by the hint, or by the source's trip through the codes.
    """

    frames: int
    valid: int
    spans: tuple[Span, ...]
    source: tuple[Run, ...]
    clean: tuple[Run, ...]
    mask: tuple[tuple[float, int, int], ...]
    repaint: tuple[Span, ...] | None
    hint: tuple[Run, ...] | None
    is_cover: bool


@dataclass(frozen=True)
class _Task:
    """context: what the source channels hold; with holes, the spans are silence. ranged: has spans, and keeps the
    rest. source: whether a source is refused, may be left out where there are codes, or must be given."""

    context: Literal["silence", "source", "source with holes"]
    source: Literal["refused", "or codes", "needed"] = "needed"
    ranged: bool = False
    is_cover: bool = False
    takes_codes: bool = False


_TASKS: dict[TaskKind, _Task] = {
    "text-to-music": _Task("silence", "refused", takes_codes=True),
    "retake": _Task("silence", "refused", takes_codes=True),
    "audio-to-audio": _Task("silence", takes_codes=True),
    "edit": _Task("silence", takes_codes=True),
    "cover": _Task("source", "or codes", is_cover=True, takes_codes=True),
    "cover-no-codes": _Task("source"),
    "extract": _Task("source"),
    "complete": _Task("source"),
    "lego": _Task("source", ranged=True),
    "repaint": _Task("source with holes", ranged=True),
    "outpaint": _Task("source with holes", ranged=True),
    "extend": _Task("source with holes", ranged=True),
}


def lay_out(
    task_kind: TaskKind,
    *,
    source_frames: int | None,
    frames: int,
    spans: Sequence[Span] = (),
    source_at: int = 0,
    chunk_mask: ChunkMask = "explicit",
    codes: int = 0,
) -> Layout:
    """The layout of one song of `frames` frames, the source lying at frames `source_at` and on.

    Without spans, outpaint and extend make what lies outside the source; repaint and lego make everything. Frames
    that neither source nor codes fill are silence from the same place of the silence latent; the padding to 128 frames
    is silence from its beginning, marked as kept where the task has a range, else as made.
    `chunk_mask`: explicit is 1 in the spans and 0 elsewhere; ones and two mark every frame alike, as published
    programs did by accident and on purpose. `codes`: how many 5 Hz audio codes are given, if any.
    Raises RequestError where task, source, spans and canvas do not go together.
    """
    task = _TASKS[task_kind]
    _check_canvas(frames)
    _check_source(task_kind, task, source_frames, source_at, frames, codes)
    if spans and not task.ranged:
        raise RequestError(f"{task_kind} makes the whole song and takes no spans; {len(spans)} given.", field="task")
    padded = max(frames, SHORTEST_FRAMES)
    canvas = _padded((_positional(0, frames),), padded)
    clean = canvas
    if source_frames is not None:
        clean = _overlay(clean, Run("source", source_at, source_at + source_frames, 0))
    hint = _code_runs(min(codes * FRAMES_PER_CODE, frames), padded) if codes else None
    if not task.ranged:
        made: tuple[Span, ...] = ()
    elif spans:
        made = _tidy_spans(spans, frames)
    else:
        made = _spans_unasked(task_kind, source_at, source_frames or 0, frames)
    source = canvas if task.context == "silence" else clean
    if hint is not None:
        source = hint
    elif task.context == "source with holes":
        for first, end in made:
            source = _overlay(source, _positional(first, end))
    return Layout(
        frames=padded,
        valid=frames,
        spans=made,
        source=source,
        clean=clean if source_frames is not None else source,
        mask=_mask_runs(padded, made, chunk_mask),
        repaint=made if task.ranged else None,
        hint=hint,
        is_cover=task.is_cover or hint is not None,
    )


def fill(
    runs: Iterable[Run],
    frames: int,
    *,
    silence: Tensor,
    source: Tensor | None = None,
    codes: Tensor | None = None,
) -> Tensor:
    """The latents `[T, 64]` that `runs` describe, T being `frames`, from the silence latent, the source's latents and
    those of the audio codes, each `[its length, 64]`, in the number format and on the device of `silence`.

    Raises RequestError where a run asks for more frames than its tensor has.
    """
    stock: dict[Kind, Tensor | None] = {"silence": silence, "source": source, "codes": codes}
    pieces = []
    for run in runs:
        have = stock[run.kind]
        if have is None or len(have) < run.offset + run.frames:
            length = "none are given" if have is None else f"{len(have)} are given"
            raise RequestError(
                f"The layout takes frames {run.offset} to {run.offset + run.frames} of the {run.kind} latents and "
                f"{length}; lay out the task with the lengths of what is given."
            )
        pieces.append(have[run.offset : run.offset + run.frames].to(silence))
    filled = torch.cat(pieces)
    if len(filled) != frames:
        raise RequestError(f"The runs make {len(filled)} frames where {frames} are asked; use the layout's own.")
    return filled


def chunk_mask_of(layout: Layout, *, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """The chunk mask `[T]`."""
    mask = torch.empty(layout.frames, device=device, dtype=dtype)
    for value, first, end in layout.mask:
        mask[first:end] = value
    return mask


def repaint_mask_of(layout: Layout, *, device: torch.device | None = None) -> Tensor | None:
    """`[T]`, true where frames are made and false where the source is kept; None where the task keeps nothing."""
    if layout.repaint is None:
        return None
    mask = torch.zeros(layout.frames, device=device, dtype=torch.bool)
    for first, end in layout.repaint:
        mask[first:end] = True
    return mask


def _check_canvas(frames: int) -> None:
    if not 1 <= frames <= LONGEST_FRAMES:
        raise RequestError(
            f"A song of {frames} latent frames was asked; ACE-Step 1.5 takes 1 to {LONGEST_FRAMES} (600 s).",
            field="duration_s",
            value=frames / 25,
        )


def _check_source(
    kind: TaskKind, task: _Task, source_frames: int | None, source_at: int, frames: int, codes: int
) -> None:
    if codes and not task.takes_codes:
        raise RequestError(f"{kind} takes no audio codes; {codes} given.", field="task")
    if source_frames is None:
        if task.source == "needed" or (task.source == "or codes" and not codes):
            raise RequestError(f"{kind} works on a recording and none is given; name one as its source.", field="task")
    elif task.source == "refused":
        raise RequestError(f"{kind} works from words alone; leave out its source.", field="task")
    elif source_at < 0 or source_frames < 1 or source_at + source_frames > frames:
        raise RequestError(
            f"The source of {source_frames} frames is placed at frame {source_at} of a song of {frames}; "
            "it must lie inside: make the song longer or cut the source.",
            field="task",
        )


def _spans_unasked(kind: TaskKind, source_at: int, source_frames: int, frames: int) -> tuple[Span, ...]:
    if kind not in ("outpaint", "extend"):
        return ((0, frames),)
    around = ((0, source_at), (source_at + source_frames, frames))
    made = tuple((first, end) for first, end in around if first < end)
    if not made:
        raise RequestError(
            f"{kind} makes what lies around the source, and the source fills the whole song; ask for a longer song.",
            field="task",
        )
    return made


def _tidy_spans(spans: Sequence[Span], frames: int) -> tuple[Span, ...]:
    """In order, those that touch or overlap made one."""
    tidy: list[Span] = []
    for first, end in sorted(spans):
        if not 0 <= first < end <= frames:
            raise RequestError(
                f"A span from frame {first} to {end} was asked in a song of {frames} frames; it must lie inside and "
                "hold at least one.",
                field="task",
            )
        if tidy and first <= tidy[-1][1]:
            tidy[-1] = (tidy[-1][0], max(end, tidy[-1][1]))
        else:
            tidy.append((first, end))
    return tuple(tidy)


def _positional(first: int, end: int) -> Run:
    """Silence from its own place: frame n of the song is frame n of the silence latent."""
    return Run("silence", first, end, first)


def _padded(runs: tuple[Run, ...], frames: int) -> tuple[Run, ...]:
    """`runs` and, up to `frames`, silence from its beginning."""
    length = runs[-1].end if runs else 0
    return (*runs, Run("silence", length, frames, 0)) if length < frames else runs


def _code_runs(length: int, frames: int) -> tuple[Run, ...]:
    return _padded((Run("codes", 0, length, 0),), frames)


def _overlay(runs: Iterable[Run], top: Run) -> tuple[Run, ...]:
    """`runs` with `top` laid over them. Neighbours that continue one another become one run."""
    pieces = [top]
    for run in runs:
        if run.first < top.first:
            pieces.append(Run(run.kind, run.first, min(run.end, top.first), run.offset))
        if run.end > top.end:
            first = max(run.first, top.end)
            pieces.append(Run(run.kind, first, run.end, run.offset + first - run.first))
    joined: list[Run] = []
    for run in sorted(pieces, key=lambda run: run.first):
        last = joined[-1] if joined else None
        if last is not None and run.kind == last.kind and run.offset == last.offset + last.frames:
            joined[-1] = Run(last.kind, last.first, run.end, last.offset)
        else:
            joined.append(run)
    return tuple(joined)


def _mask_runs(frames: int, spans: Sequence[Span], mode: ChunkMask) -> tuple[tuple[float, int, int], ...]:
    if mode == "two":
        return ((2.0, 0, frames),)
    if mode == "ones" or not spans:
        return ((1.0, 0, frames),)
    runs: list[tuple[float, int, int]] = []
    at = 0
    for first, end in spans:
        if at < first:
            runs.append((0.0, at, first))
        runs.append((1.0, first, end))
        at = end
    if at < frames:
        runs.append((0.0, at, frames))
    return tuple(runs)
