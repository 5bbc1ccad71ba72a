"""What each task feeds the transformer, as data: which frames are silence, source audio or decoded codes, and which are
marked as to be made.

It knows frames (25 a second) and no audio, text or weights; one frame is 64 channels. `lay_out` is this package's own
definition of the tasks; `original_layout` is what the original program makes of its own arguments, quirks and all.
Source: table of tasks of the ACE-Step 1.5 specification, sections 8, 11 and 12; recorded runs of the original.
"""

from __future__ import annotations

import re
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
SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = 1920

_AUDIO_CODE = re.compile(r"<\|audio_code_\d+\|>")

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
class OriginalBatch:
    """What the original prepares for a batch.

    target_samples: length of the waveform it encodes, before audio codes replace it.
    start_s, end_s: the range it sets out from, one per song, moved by what it pads on the left; None without a range.
    """

    target_samples: int
    start_s: tuple[float, ...] | None
    end_s: tuple[float, ...] | None
    layouts: tuple[Layout, ...]


@dataclass(frozen=True)
class _Task:
    """context: what the source channels hold; with holes, the spans are silence. source: whether a source is refused,
    may be left out where there are codes, or must be given. range: whether spans are refused, may be given, or are
    always there and marked in the chunk mask; with spans, the rest is kept."""

    context: Literal["silence", "source", "source with holes"]
    source: Literal["refused", "or codes", "needed"] = "needed"
    range: Literal["refused", "unmarked", "marked"] = "refused"
    is_cover: bool = False
    takes_codes: bool = False


_TASKS: dict[TaskKind, _Task] = {
    "text-to-music": _Task("silence", "refused", takes_codes=True),
    "retake": _Task("silence", "refused", takes_codes=True),
    "audio-to-audio": _Task("silence", takes_codes=True),
    "edit": _Task("silence", range="unmarked", takes_codes=True),
    "cover": _Task("source", "or codes", is_cover=True, takes_codes=True),
    "cover-no-codes": _Task("source"),
    "extract": _Task("source"),
    "complete": _Task("source"),
    "lego": _Task("source", range="marked"),
    "repaint": _Task("source with holes", range="marked"),
    "outpaint": _Task("source with holes", range="marked"),
    "extend": _Task("source with holes", range="marked"),
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

    Without spans, outpaint and extend make what lies outside the source; repaint and lego make everything. The spans
    of an edit say what is kept around them, and the network is told nothing of them. Frames that neither source nor
    codes fill are silence from the same place of the silence latent. The padding to 128 frames is silence from its
    beginning, but in a context of nothing but silence runs on; a task with a range marks it as kept, others as made.
    `chunk_mask`: explicit is 1 in the spans and 0 elsewhere; ones and two mark every frame alike, as published
    programs did by accident and on purpose. `codes`: how many 5 Hz audio codes are given, if any.
    Raises RequestError where task, source, spans and canvas do not go together.
    """
    task = _TASKS[task_kind]
    _check_canvas(frames)
    _check_source(task_kind, task, source_frames, source_at, frames, codes)
    if spans and task.range == "refused":
        raise RequestError(f"{task_kind} makes the whole song and takes no spans; {len(spans)} given.", field="task")
    padded = max(frames, SHORTEST_FRAMES)
    clean = _padded((_positional(0, frames),), padded)
    if source_frames is not None:
        clean = _overlay(clean, Run("source", source_at, source_at + source_frames, 0))
    hint = _code_runs(min(codes * FRAMES_PER_CODE, frames), padded) if codes else None
    made = _tidy_spans(spans, frames)
    if not made and task.range == "marked":
        made = _spans_unasked(task_kind, source_at, source_frames or 0, frames)
    source = (_positional(0, padded),) if task.context == "silence" else clean
    if hint is not None:
        source = hint
        clean = hint if source_frames is None else clean
    elif task.context == "source with holes":
        for first, end in made:
            source = _overlay(source, _positional(first, end))
    return Layout(
        frames=padded,
        valid=frames,
        spans=made,
        source=source,
        clean=clean,
        mask=_mask_runs(padded, made if task.range == "marked" else (), chunk_mask),
        repaint=made or None,
        hint=hint,
        is_cover=task.is_cover or hint is not None,
    )


def original_layout(
    task_type: str,
    *,
    duration_s: float | None = None,
    source_samples: int | None = None,
    start_s: float | None = 0.0,
    end_s: float | None = None,
    chunk_mask_mode: str = "auto",
    audio_codes: str | Sequence[str | None] = "",
    instruction: str | None = None,
    batch_size: int = 1,
) -> OriginalBatch:
    """What the original program (with a boolean chunk mask, spring 2026) prepares for these arguments of its own.

    `task_type` is its name of the task; `source_samples` the length of the source at 48 kHz; `start_s` and `end_s` its
    repainting range, where a negative start and an end beyond the source pad the source with zeros, and a negative or
    missing end is the source's. A song told `auto` has its boolean mask filled with 2, which is true everywhere.
    Audio codes come as text, for every song or one text each, and put the source aside. A cover is recognised by its
    `instruction` (by the task where that is None), by codes, and never where there is a range.
    Raises RequestError where the length follows from nothing (the original draws one), or exceeds the silence latent.
    """
    batch_size = max(1, batch_size)
    codes = _code_texts(audio_codes, batch_size)
    given_codes = any((text or "").strip() for text in ([audio_codes] if isinstance(audio_codes, str) else audio_codes))
    if task_type == "text2music" and given_codes:
        task_type, instruction = "cover", None
    if given_codes or task_type == "text2music":
        source_samples = None
    end_s = None if end_s is not None and end_s < 0 else end_s
    ranged = task_type in ("repaint", "lego")
    samples, left_s = _original_length(duration_s, source_samples, (start_s, end_s) if ranged else (None, None))
    starts = ends = None
    if ranged:
        if end_s is None and source_samples is not None:
            end_s = source_samples / SAMPLE_RATE_HZ
        starts = None if start_s is None else (start_s + left_s,) * batch_size
        ends = None if end_s is None else (end_s + left_s,) * batch_size
    counts = [None if text is None else len(_AUDIO_CODE.findall(text)) for text in codes]
    cleans = [_original_clean(samples, source_samples is not None, count) for count in counts]
    lengths = [clean[-1].end if clean else 0 for clean in cleans]
    frames = max(SHORTEST_FRAMES, *lengths)
    span = _original_span(starts[0], ends[0], frames) if starts and ends else None
    return OriginalBatch(
        samples,
        starts,
        ends,
        tuple(
            _original_song(
                _padded(clean, frames),
                valid=length,
                span=span,
                count=count,
                hinted=any(counts),
                heard=count is not None or source_samples is not None,
                silenced=not _is_lego(task_type, instruction),
                cover=count is not None or _is_cover(task_type, instruction),
                chunk_mask="ones" if chunk_mask_mode == "auto" else "explicit",
            )
            for clean, length, count in zip(cleans, lengths, counts, strict=True)
        ),
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


def _code_texts(audio_codes: str | Sequence[str | None], batch_size: int) -> list[str | None]:
    """One text per song, None where it has none: one text is for all, a list is cut or filled up."""
    texts = [audio_codes] if isinstance(audio_codes, str) else list(audio_codes)
    texts = texts * batch_size if len(texts) == 1 else texts[:batch_size]
    texts += [None] * (batch_size - len(texts))
    return [text if text and text.strip() else None for text in texts]


def _original_length(
    duration_s: float | None, source_samples: int | None, asked: tuple[float | None, float | None]
) -> tuple[int, float]:
    """(samples of the waveform that is encoded, seconds put before it) for the asked range in seconds."""
    if source_samples is not None:
        start_s, end_s = asked
        source_s = source_samples / SAMPLE_RATE_HZ
        left_s = max(0, -start_s) if start_s is not None else 0
        right_s = max(0, end_s - source_s) if end_s is not None else 0
        return source_samples + int(left_s * SAMPLE_RATE_HZ) + int(right_s * SAMPLE_RATE_HZ), left_s
    if duration_s is None or duration_s <= 0:
        raise RequestError("Neither a length nor a source was given; give duration_s.", field="duration_s")
    return int(max(0.1, round(duration_s, 1)) * SAMPLE_RATE_HZ), 0


def _original_clean(samples: int, has_source: bool, code_count: int | None) -> tuple[Run, ...]:
    if code_count:
        return (Run("codes", 0, code_count * FRAMES_PER_CODE, 0),)
    frames = samples // FRAME_SAMPLES
    if not has_source:
        frames = min(frames, LONGEST_FRAMES)
    return (Run("source" if has_source else "silence", 0, frames, 0),) if frames else ()


def _original_span(start_s: float, end_s: float, frames: int) -> Span | None:
    """The range in frames, at least one of them and inside the song; None where it ends before it begins."""
    if end_s <= start_s:
        return None
    # A range without a source may still begin before the song; it is then moved as a whole.
    shift_s = max(0, -start_s)
    first, end = (int((edge + shift_s) * SAMPLE_RATE_HZ // FRAME_SAMPLES) for edge in (start_s, end_s))
    first = min(first, frames - 1)
    return first, max(first + 1, min(end, frames))


def _original_song(
    clean: tuple[Run, ...],
    *,
    valid: int,
    span: Span | None,
    count: int | None,
    hinted: bool,
    heard: bool,
    silenced: bool,
    cover: bool,
    chunk_mask: ChunkMask,
) -> Layout:
    """One song of a batch: `heard`, it has audio or codes; `silenced`, a range is a hole in its source; `hinted`, some
    song of the batch has codes, so that every one has a hint."""
    frames = clean[-1].end
    if frames > LONGEST_FRAMES and (span is not None or not heard):
        raise RequestError(f"{frames} frames exceed the silence latent's {LONGEST_FRAMES}; shorten the source.")
    silence = (_positional(0, frames),)
    source = clean if heard else silence
    if heard and span is not None and silenced:
        source = _overlay(source, _positional(*span))
    spans = () if span is None else (span,)
    codes = _code_runs(count * FRAMES_PER_CODE, frames) if count else silence
    return Layout(
        frames=frames,
        valid=valid,
        spans=spans,
        source=source,
        clean=clean,
        mask=_mask_runs(frames, spans, chunk_mask),
        repaint=None if span is None else spans,
        hint=codes if hinted else None,
        is_cover=cover and span is None,
    )


def _is_lego(task_type: str, instruction: str | None) -> bool:
    return task_type == "lego" if instruction is None else "based on the audio context" in instruction.lower()


def _is_cover(task_type: str, instruction: str | None) -> bool:
    if instruction is None:
        return task_type == "cover"
    marks = ("generate audio semantic tokens", "based on the given conditions")
    return all(mark in instruction.lower() for mark in marks)
