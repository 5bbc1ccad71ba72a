"""Where a source lies in the song that comes out of it, and which stretches of that song are made.

Pure arithmetic on a task and the length of its source; whatever cannot be is a RequestError with the numbers. Counts
are samples at 48 kHz, ranges are half-open.
"""

from __future__ import annotations

from partita.errors import RequestError
from partita.song.source import GRIDS, LONGEST_SOURCE_S, SAMPLE_RATE_HZ, FrameGrid, SourceFacts
from partita.song.task import Extend, FlowEdit, Lego, Outpaint, Repaint, Task
from partita.song.values import Value

_USUAL_GRID = GRIDS["acestep-1.5"]
_AFTER_END_S = 0.5 / SAMPLE_RATE_HZ  # an end that is the source's own, but for rounding


class Canvas(Value):
    """A song of `samples` in which the source begins at `source_at`.

    `spans` are made and everything else stays the source's own; without spans all of it is made. `keep_source` says
    that not even a cross-fade may reach into the source.
    """

    samples: int
    source_at: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    keep_source: bool = False

    @property
    def duration_s(self) -> float:
        return self.samples / SAMPLE_RATE_HZ

    def span_frames(self, frames: int, grid: FrameGrid = _USUAL_GRID) -> tuple[tuple[int, int], ...]:
        """The spans in latent frames of a canvas of `frames`: what holds their first and excludes their last sample.

        As the original counts: the frame in which a region ends stays the source's, unless the canvas ends there.
        """
        return tuple(_frames_of(first, end, self.samples, frames, grid) for first, end in self.spans)


def lay_canvas(
    task: Task, source: SourceFacts, *, grid: FrameGrid = _USUAL_GRID, original: bool = False
) -> tuple[Canvas, tuple[str, ...]]:
    """The canvas of a task with a source for a model whose latents lie on `grid`, and notes on what was rounded.

    What is added before a source is whole latent frames, so that its latents can be used as they are.
    `original` adds the very samples and drops fractions of a sample, as the original program does. Raises RequestError
    where the region cannot be.
    """
    notes: list[str] = []
    length = source.samples

    def at(seconds: float) -> int:
        return int(seconds * SAMPLE_RATE_HZ) if original else round(seconds * SAMPLE_RATE_HZ)

    def before(seconds: float) -> int:
        if original:
            return at(seconds)
        samples = grid.samples(round(seconds / grid.frame_s))
        if abs(samples / SAMPLE_RATE_HZ - seconds) > _AFTER_END_S:
            notes.append(
                f"{samples / SAMPLE_RATE_HZ:.4g} s are added before the source, not {seconds:g}: whole frames of "
                f"{1000 * grid.frame_s:.3g} ms."
            )
        return samples

    canvas = Canvas(samples=length)
    match task:
        case Repaint() | Lego() | FlowEdit():
            _check_inside(task.start_s, task.end_s, source, grid)
            first, end = at(task.start_s), length if task.end_s is None else min(at(task.end_s), length)
            whole = (first, end) == (0, length) and not isinstance(task, Repaint)
            canvas = Canvas(samples=length, spans=() if whole else ((first, end),))
        case Outpaint():
            _check_length(task.start_s, task.end_s, grid)
            if task.start_s > source.duration_s or task.end_s < 0:
                raise RequestError(
                    f"The region {task.start_s:g} to {task.end_s:g} s does not touch the source, which is "
                    f"{source.duration_s:g} s long: begin or end within it.",
                    field="task.start_s",
                    value=task.start_s,
                )
            left = before(max(0.0, -task.start_s))
            first, end = min(at(max(task.start_s, 0.0)), length), at(task.end_s) + left
            canvas = Canvas(samples=max(length + left, end), source_at=left, spans=((first, end),))
        case Extend():
            left, right = before(task.left_s), at(task.right_s)
            if max(left, right) < grid.samples(1):
                raise RequestError(
                    f"Nothing was asked to be added: left_s is {task.left_s:g} and right_s {task.right_s:g}; give "
                    f"one of them, {grid.frame_s:.2g} s or more.",
                    field="task.right_s",
                    value=task.right_s,
                )
            total = left + length + right
            spans = ((0, left), (left + length, total))
            canvas = Canvas(
                samples=total, source_at=left, spans=tuple(s for s in spans if s[1] > s[0]), keep_source=True
            )
    if canvas.duration_s > LONGEST_SOURCE_S:
        raise RequestError(
            f"The song would be {canvas.duration_s:g} s long, and at most {LONGEST_SOURCE_S:g} s are made: add less.",
            field="task",
            value=canvas.duration_s,
        )
    return canvas, tuple(notes)


def _check_inside(start_s: float, end_s: float | None, source: SourceFacts, grid: FrameGrid) -> None:
    length_s = source.duration_s
    end_s = length_s if end_s is None else end_s
    if start_s >= length_s or end_s > length_s + _AFTER_END_S:
        raise RequestError(
            f"The region {start_s:g} to {end_s:g} s is not inside the source, which is {length_s:g} s long: give "
            "a region inside it; extend and outpaint make more of it.",
            field="task.start_s" if start_s >= length_s else "task.end_s",
            value=start_s if start_s >= length_s else end_s,
        )
    _check_length(start_s, end_s, grid)


def _check_length(start_s: float, end_s: float, grid: FrameGrid) -> None:
    if end_s <= start_s:
        raise RequestError(
            f"The region ends at {end_s:g} s, and begins at {start_s:g} s: give an end after its start.",
            field="task.end_s",
            value=end_s,
        )
    if end_s - start_s < grid.frame_s - _AFTER_END_S:
        raise RequestError(
            f"The region {start_s:g} to {end_s:g} s is {1000 * (end_s - start_s):.3g} ms long, and a latent frame is "
            f"{1000 * grid.frame_s:.3g} ms: give a longer one.",
            field="task.end_s",
            value=end_s,
        )


def _frames_of(first: int, end: int, samples: int, frames: int, grid: FrameGrid) -> tuple[int, int]:
    start = min(grid.within(first), frames - 1)
    last = frames if end >= samples else grid.within(end)
    return start, min(max(last, start + 1), frames)
