"""Which frames each task feeds the network: the table of tasks, and what holds for every region and length."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.models.acestep15.layout import (
    FRAME_SAMPLES,
    FRAMES_PER_CODE,
    LONGEST_FRAMES,
    SHORTEST_FRAMES,
    Layout,
    Run,
    Span,
    TaskKind,
    chunk_mask_of,
    fill,
    lay_out,
    original_layout,
    repaint_mask_of,
)

WITH_RANGE: tuple[TaskKind, ...] = ("repaint", "outpaint", "extend", "lego")
FROM_SILENCE: tuple[TaskKind, ...] = ("text-to-music", "retake", "audio-to-audio", "edit")
WITHOUT_SOURCE: tuple[TaskKind, ...] = ("text-to-music", "retake")
WHOLE_SOURCE: tuple[TaskKind, ...] = ("cover", "cover-no-codes", "extract", "complete")
SILENCE = torch.arange(LONGEST_FRAMES, dtype=torch.float32)[:, None]


def source_latents(frames: int) -> torch.Tensor:
    """Numbers that silence never has, so that a frame tells where it is from."""
    return 100_000 + torch.arange(frames, dtype=torch.float32)[:, None]


def code_latents(frames: int) -> torch.Tensor:
    return 200_000 + torch.arange(frames, dtype=torch.float32)[:, None]


def filled(runs: tuple[Run, ...], layout: Layout) -> torch.Tensor:
    latents = fill(runs, layout.frames, silence=SILENCE, source=source_latents(2000), codes=code_latents(2000))
    return latents[:, 0]


def inside(spans: tuple[Span, ...], frames: int) -> torch.Tensor:
    mask = torch.zeros(frames, dtype=torch.bool)
    for first, end in spans:
        mask[first:end] = True
    return mask


@st.composite
def canvases(draw: st.DrawFn) -> dict[str, Any]:
    """A canvas, a source somewhere in it and up to three regions of any order, which may touch or overlap."""
    frames = draw(st.integers(1, 400))
    source = draw(st.integers(1, frames))
    spans = []
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, frames - 1))
        spans.append((first, draw(st.integers(first + 1, frames))))
    return {
        "frames": frames,
        "source_frames": source,
        "source_at": draw(st.integers(0, frames - source)),
        "spans": spans,
    }


def laid(kind: TaskKind, canvas: dict[str, Any], **more: Any) -> Layout:
    given = dict(canvas) | more
    if kind in WITHOUT_SOURCE:
        given |= {"source_frames": None, "source_at": 0}
    if kind not in (*WITH_RANGE, "edit"):
        given["spans"] = ()
    return lay_out(kind, **given)


def check_cover(layout: Layout) -> None:
    """Every list of runs covers the canvas once, in order."""
    for runs in (layout.source, layout.clean, layout.hint):
        if runs is None:
            continue
        edges = [(run.first, run.end) for run in runs]
        assert edges[0][0] == 0
        assert edges[-1][1] == layout.frames
        assert all(first < end for first, end in edges)
        assert all(a[1] == b[0] for a, b in pairwise(edges))
    edges = [(first, end) for _, first, end in layout.mask]
    assert edges[0][0] == 0
    assert edges[-1][1] == layout.frames
    assert all(a[1] == b[0] for a, b in pairwise(edges))


@given(canvas=canvases(), kind=st.sampled_from(get_args(TaskKind)))
def test_runs_cover_the_canvas_and_only_the_padding_is_added(canvas: dict[str, Any], kind: TaskKind):
    layout = laid(kind, canvas)
    check_cover(layout)
    assert layout.valid == canvas["frames"]
    assert layout.frames == max(layout.valid, SHORTEST_FRAMES)
    assert all(0 <= first < end <= layout.valid for first, end in layout.spans)
    assert all(a[1] < b[0] for a, b in pairwise(layout.spans))


@given(canvas=canvases(), kind=st.sampled_from(get_args(TaskKind)))
def test_the_padding_is_silence_from_its_beginning(canvas: dict[str, Any], kind: TaskKind):
    layout = laid(kind, canvas)
    padding = SILENCE[: layout.frames - layout.valid, 0]
    assert torch.equal(filled(layout.clean, layout)[layout.valid :], padding)
    if kind not in FROM_SILENCE:
        assert torch.equal(filled(layout.source, layout)[layout.valid :], padding)
    marked = 0.0 if kind in WITH_RANGE else 1.0
    assert (chunk_mask_of(layout)[layout.valid :] == marked).all()


@given(canvas=canvases(), kind=st.sampled_from([kind for kind in get_args(TaskKind) if kind not in WITHOUT_SOURCE]))
def test_clean_latents_are_the_whole_source_in_its_place(canvas: dict[str, Any], kind: TaskKind):
    layout = laid(kind, canvas)
    first, end = canvas["source_at"], canvas["source_at"] + canvas["source_frames"]
    latents = filled(layout.clean, layout)
    assert torch.equal(latents[first:end], source_latents(end - first)[:, 0])
    around = torch.cat([latents[:first], latents[end : layout.valid]])
    place = torch.cat([SILENCE[:first, 0], SILENCE[end : layout.valid, 0]])
    assert torch.equal(around, place)


@given(canvas=canvases(), kind=st.sampled_from(["repaint", "outpaint", "extend"]))
def test_a_repainted_context_is_silence_inside_and_the_source_outside(canvas: dict[str, Any], kind: TaskKind):
    layout = laid(kind, canvas)
    made = inside(tuple(canvas["spans"]), layout.frames)
    context, clean = filled(layout.source, layout), filled(layout.clean, layout)
    assert torch.equal(context[made], SILENCE[: layout.frames, 0][made])
    assert torch.equal(context[~made], clean[~made])
    assert torch.equal(chunk_mask_of(layout), made.float())
    mask = repaint_mask_of(layout)
    assert mask is not None
    assert torch.equal(mask, made)


@given(canvas=canvases())
def test_lego_hears_the_whole_source_and_is_told_the_region(canvas: dict[str, Any]):
    layout = laid("lego", canvas)
    assert layout.source == layout.clean
    made = inside(tuple(canvas["spans"]), layout.frames)
    assert torch.equal(chunk_mask_of(layout), made.float())
    assert layout.repaint == layout.spans
    assert not layout.is_cover


@pytest.mark.parametrize("kind", ["repaint", "lego"])
def test_without_a_region_the_whole_song_is_made_and_its_padding_is_not(kind: TaskKind):
    layout = lay_out(kind, source_frames=75, frames=75)
    assert layout.spans == layout.repaint == ((0, 75),)
    assert layout.mask == ((1.0, 0, 75), (0.0, 75, 128))


@given(canvas=canvases(), kind=st.sampled_from(WHOLE_SOURCE))
def test_whole_song_tasks_hear_the_source_and_make_everything(canvas: dict[str, Any], kind: TaskKind):
    layout = laid(kind, canvas)
    assert layout.source == layout.clean
    assert layout.mask == ((1.0, 0, layout.frames),)
    assert (layout.spans, layout.repaint, layout.hint) == ((), None, None)
    assert layout.is_cover == (kind == "cover")


@given(canvas=canvases(), kind=st.sampled_from(FROM_SILENCE))
def test_tasks_from_words_hear_silence_and_make_everything(canvas: dict[str, Any], kind: TaskKind):
    layout = laid(kind, canvas)
    assert layout.source == (Run("silence", 0, layout.frames, 0),)
    assert layout.mask == ((1.0, 0, layout.frames),)
    assert not layout.is_cover
    if kind in WITHOUT_SOURCE:
        assert torch.equal(filled(layout.clean, layout)[: layout.valid], SILENCE[: layout.valid, 0])


def test_the_region_of_an_edit_is_kept_from_the_network():
    whole = lay_out("edit", source_frames=300, frames=300)
    region = lay_out("edit", source_frames=300, frames=300, spans=[(50, 100)])
    assert whole.repaint is None
    assert region.repaint == region.spans == ((50, 100),)
    assert (region.source, region.mask) == (whole.source, whole.mask)


@given(left=st.integers(0, 200), source=st.integers(1, 300), right=st.integers(0, 200))
def test_extending_keeps_every_frame_of_the_source(left: int, source: int, right: int):
    if left + right == 0:
        with pytest.raises(RequestError, match="fills the whole song"):
            lay_out("extend", source_frames=source, frames=source)
        return
    layout = lay_out("extend", source_frames=source, frames=left + source + right, source_at=left)
    kept = filled(layout.source, layout)[left : left + source]
    assert torch.equal(kept, source_latents(source)[:, 0])
    mask = chunk_mask_of(layout)[: layout.valid]
    assert (mask[left : left + source] == 0).all()
    assert mask.sum() == left + right
    assert len(layout.spans) == (left > 0) + (right > 0)
    named = [span for span in ((0, left), (left + source, layout.valid)) if span[0] < span[1]]
    assert layout == lay_out("extend", source_frames=source, frames=layout.valid, source_at=left, spans=named)


@pytest.mark.parametrize(("mode", "value"), [("ones", 1.0), ("two", 2.0)])
@pytest.mark.parametrize("kind", ["repaint", "extract"])
def test_a_mask_that_leaves_it_to_the_model_is_alike_everywhere(kind: TaskKind, mode: Any, value: float):
    spans = [(10, 20)] if kind == "repaint" else []
    layout = lay_out(kind, source_frames=60, frames=60, spans=spans, chunk_mask=mode)
    told = lay_out(kind, source_frames=60, frames=60, spans=spans)
    assert layout.mask == ((value, 0, 128),)
    assert (layout.source, layout.spans, layout.repaint) == (told.source, told.spans, told.repaint)


@given(
    frames=st.integers(1, 400), codes=st.integers(1, 100), kind=st.sampled_from(["text-to-music", "retake", "cover"])
)
def test_given_codes_are_the_hint_cropped_or_padded_to_the_song(frames: int, codes: int, kind: TaskKind):
    layout = lay_out(kind, source_frames=None, frames=frames, codes=codes)
    check_cover(layout)
    assert layout.is_cover
    assert layout.hint == layout.source
    length = min(FRAMES_PER_CODE * codes, frames)
    latents = filled(layout.source, layout)
    assert torch.equal(latents[:length], code_latents(length)[:, 0])
    assert torch.equal(latents[length:], SILENCE[: layout.frames - length, 0])


def test_a_cover_by_codes_still_starts_from_its_source():
    layout = lay_out("cover", source_frames=200, frames=200, codes=40)
    assert layout.source == (Run("codes", 0, 200, 0),)
    assert layout.clean == (Run("source", 0, 200, 0),)


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("repaint", {"source_frames": None, "frames": 100}, "none is given"),
        ("cover", {"source_frames": None, "frames": 100}, "none is given"),
        ("text-to-music", {"source_frames": 100, "frames": 100}, "leave out its source"),
        ("extract", {"source_frames": 100, "frames": 90}, "must lie inside"),
        ("extend", {"source_frames": 100, "frames": 150, "source_at": 60}, "must lie inside"),
        ("extend", {"source_frames": 100, "frames": 150, "source_at": -1}, "must lie inside"),
        ("repaint", {"source_frames": 100, "frames": 100, "spans": [(50, 101)]}, "must lie inside"),
        ("repaint", {"source_frames": 100, "frames": 100, "spans": [(50, 50)]}, "at least one"),
        ("cover", {"source_frames": 100, "frames": 100, "spans": [(0, 50)]}, "takes no spans"),
        ("repaint", {"source_frames": 100, "frames": 100, "codes": 20}, "takes no audio codes"),
        ("text-to-music", {"source_frames": None, "frames": LONGEST_FRAMES + 1}, "1 to 15000"),
        ("text-to-music", {"source_frames": None, "frames": 0}, "1 to 15000"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_numbers(kind: TaskKind, arguments: dict[str, Any], said: str):
    with pytest.raises(RequestError, match=said):
        lay_out(kind, **arguments)


def test_filling_refuses_latents_that_are_too_short_or_missing():
    runs = (Run("source", 0, 10, 5),)
    assert fill(runs, 10, silence=SILENCE, source=source_latents(15)).shape == (10, 1)
    with pytest.raises(RequestError, match="14 are given"):
        fill(runs, 10, silence=SILENCE, source=source_latents(14))
    with pytest.raises(RequestError, match="none are given"):
        fill(runs, 10, silence=SILENCE)
    with pytest.raises(RequestError, match="11 are asked"):
        fill(runs, 11, silence=SILENCE, source=source_latents(15))


def test_filled_latents_take_the_number_format_of_silence():
    runs = (Run("source", 0, 3, 0), Run("silence", 3, 5, 0))
    latents = fill(runs, 5, silence=SILENCE.bfloat16(), source=torch.ones(3, 1))
    assert latents.dtype == torch.bfloat16
    assert latents[:, 0].tolist() == [1, 1, 1, 0, 1]


def test_a_task_without_a_range_has_no_repaint_mask():
    assert repaint_mask_of(lay_out("cover", source_frames=200, frames=200)) is None


ORIGINAL_NAMES: dict[TaskKind, str] = {
    "repaint": "repaint",
    "lego": "lego",
    "cover": "cover",
    "extract": "extract",
    "complete": "complete",
}


@given(data=st.data(), kind=st.sampled_from(sorted(ORIGINAL_NAMES)), frames=st.integers(2, 600))
def test_on_whole_frames_and_with_a_told_mask_the_original_does_the_same(data: st.DataObject, kind: Any, frames: int):
    first = data.draw(st.integers(0, frames - 2))
    end = data.draw(st.integers(first + 1, frames - 1))
    spans = [(first, end)] if kind in ("repaint", "lego") else []
    # A quarter of a frame more: 0.04 s times a whole number may fall just short of a frame in floating point.
    batch = original_layout(
        ORIGINAL_NAMES[kind],
        source_samples=frames * FRAME_SAMPLES,
        start_s=(first + 0.25) / 25,
        end_s=(end + 0.25) / 25,
        chunk_mask_mode="explicit",
    )
    assert batch.layouts == (lay_out(kind, source_frames=frames, frames=frames, spans=spans),)


def test_the_original_may_lose_the_last_frame_of_a_region_to_rounding():
    """57 frames are 2.28 s, and 2.28 s times 48 kHz fall just short of 57 frames."""
    (layout,) = original_layout("lego", source_samples=57 * FRAME_SAMPLES).layouts
    assert (layout.valid, layout.spans) == (57, ((0, 56),))


@given(duration_s=st.floats(0.1, 30))
def test_from_words_the_original_does_the_same(duration_s: float):
    (original,) = original_layout("text2music", duration_s=duration_s).layouts
    assert original == lay_out("text-to-music", source_frames=None, frames=original.valid)


@given(codes=st.integers(1, 100))
def test_from_codes_the_original_does_the_same_for_a_song_of_their_length(codes: int):
    (original,) = original_layout("text2music", duration_s=3, audio_codes="<|audio_code_7|>" * codes).layouts
    assert original == lay_out("text-to-music", source_frames=None, frames=FRAMES_PER_CODE * codes, codes=codes)


@given(left=st.integers(1, 100), source=st.integers(30, 300), right=st.integers(1, 100))
def test_extending_marks_the_frames_that_the_original_marks(left: int, source: int, right: int):
    """The original pads the source with zeros and encodes that; what is new to the network is the same."""
    (original,) = original_layout(
        "repaint",
        source_samples=source * FRAME_SAMPLES,
        start_s=(source + 0.25) / 25,
        end_s=(source + right + 0.25) / 25,
        chunk_mask_mode="explicit",
    ).layouts
    ours = lay_out("extend", source_frames=source, frames=source + right)
    assert (original.source, original.mask, original.repaint) == (ours.source, ours.mask, ours.repaint)
    batch = original_layout(
        "repaint", source_samples=source * FRAME_SAMPLES, start_s=-left / 25, end_s=0.001, chunk_mask_mode="explicit"
    )
    assert batch.start_s == (0.0,)
    assert batch.target_samples // FRAME_SAMPLES in (source + left - 1, source + left)  # int() of the padding


def test_an_auto_mask_of_the_original_is_true_everywhere():
    (layout,) = original_layout("repaint", source_samples=400 * FRAME_SAMPLES, start_s=2, end_s=4).layouts
    assert layout.mask == ((1.0, 0, 400),)
    assert layout.repaint == ((50, 100),)


def test_songs_of_one_batch_have_one_length_whatever_their_codes():
    codes = ["<|audio_code_1|>" * 60, "<|audio_code_2|>" * 30, "no codes", None]
    batch = original_layout("text2music", duration_s=8, audio_codes=codes, batch_size=4)
    assert [layout.frames for layout in batch.layouts] == [300] * 4
    assert [layout.valid for layout in batch.layouts] == [300, 150, 200, 200]
    assert all(layout.is_cover for layout in batch.layouts)
    assert [run.kind for layout in batch.layouts for run in layout.hint or ()] == [
        "codes",
        "codes",
        "silence",
        "silence",
        "silence",
    ]


def test_one_text_of_codes_in_a_list_is_every_songs_and_a_short_list_is_filled_up():
    one = original_layout("cover", duration_s=4, audio_codes=["<|audio_code_1|>" * 40], batch_size=2)
    assert [layout.valid for layout in one.layouts] == [200, 200]
    short = original_layout("cover", duration_s=4, audio_codes=["<|audio_code_1|>" * 40] * 2, batch_size=3)
    assert [layout.valid for layout in short.layouts] == [200, 200, 100]


def test_the_original_tells_covers_and_lego_by_their_instruction():
    def one(task: str, instruction: str | None) -> Layout:
        return original_layout(task, source_samples=250 * FRAME_SAMPLES, instruction=instruction).layouts[0]

    assert one("complete", "Generate audio semantic tokens based on the given conditions:").is_cover
    assert not one("cover", "Sing it again:").is_cover
    assert one("repaint", "Generate the BASS track based on the audio context:").source == (Run("source", 0, 250, 0),)


def test_without_source_or_length_the_original_would_draw_one_and_this_refuses():
    with pytest.raises(RequestError, match="duration_s"):
        original_layout("text2music", duration_s=-1)
