"""Where a source lies in what is made of it: regions, additions, and the ones that cannot be."""

import pytest
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.song.canvas import lay_canvas
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ, AudioRef, SourceFacts
from partita.song.task import Cover, Extend, Extract, FlowEdit, Lego, Outpaint, Repaint

KEPT = AudioRef(sha256="0" * 64)
seconds = st.floats(0.1, 500).map(lambda value: round(value, 3))


def source(duration_s: float) -> SourceFacts:
    return SourceFacts(sha256="0" * 64, samples=round(duration_s * SAMPLE_RATE_HZ))


def canvas_of(task, duration_s=10.0, **more):
    return lay_canvas(task, source(duration_s), **more)[0]


@given(duration_s=seconds, start=st.floats(0, 1), length=st.floats(0, 1))
def test_a_repaint_keeps_the_sources_length_and_its_region(duration_s, start, length):
    start_s = start * (duration_s - 0.05)
    end_s = start_s + 0.04 + length * (duration_s - start_s - 0.04)
    canvas = canvas_of(Repaint(source=KEPT, start_s=start_s, end_s=end_s), duration_s)
    ((first, end),) = canvas.spans
    assert (canvas.samples, canvas.source_at) == (source(duration_s).samples, 0)
    assert 0 <= first < end <= canvas.samples
    assert abs(first - start_s * SAMPLE_RATE_HZ) <= 1
    assert abs(end - end_s * SAMPLE_RATE_HZ) <= 1


@given(duration_s=seconds, left_s=st.floats(0, 40), right_s=st.floats(0.04, 40))
def test_an_extension_adds_and_takes_nothing_of_the_source(duration_s, left_s, right_s):
    canvas, notes = lay_canvas(Extend(source=KEPT, left_s=left_s, right_s=right_s), source(duration_s))
    length = source(duration_s).samples
    assert canvas.keep_source
    assert canvas.source_at % FRAME_SAMPLES == 0
    assert abs(canvas.source_at / SAMPLE_RATE_HZ - left_s) <= 0.02 + 1e-6
    assert canvas.samples == canvas.source_at + length + round(right_s * SAMPLE_RATE_HZ)
    made = set(canvas.spans)
    assert made <= {(0, canvas.source_at), (canvas.source_at + length, canvas.samples)}
    assert bool(notes) == (abs(canvas.source_at / SAMPLE_RATE_HZ - left_s) > 0.5 / SAMPLE_RATE_HZ)


def test_what_is_added_before_is_exact_as_the_original_does_it():
    assert canvas_of(Extend(source=KEPT, left_s=1.03), original=True).source_at == int(1.03 * SAMPLE_RATE_HZ)


@given(duration_s=seconds, start=st.floats(0, 1), end=st.floats(0, 1))
def test_frames_of_a_region_lie_on_the_canvas_and_hold_its_start(duration_s, start, end):
    start_s = start * (duration_s - 0.05)
    end_s = start_s + 0.04 + end * (duration_s - start_s - 0.04)
    canvas = canvas_of(Repaint(source=KEPT, start_s=start_s, end_s=end_s), duration_s)
    frames = -(-canvas.samples // FRAME_SAMPLES)
    ((first, last),) = canvas.span_frames(frames)
    assert 0 <= first < last <= frames
    assert first == canvas.spans[0][0] // FRAME_SAMPLES
    if canvas.spans[0][1] == canvas.samples:
        assert last == frames


def test_an_outpaint_reaches_over_both_ends():
    canvas = canvas_of(Outpaint(source=KEPT, start_s=-2, end_s=12))
    assert canvas.samples == 14 * SAMPLE_RATE_HZ
    assert canvas.source_at == 2 * SAMPLE_RATE_HZ
    assert canvas.spans == ((0, 14 * SAMPLE_RATE_HZ),)


def test_an_outpaint_inside_the_source_is_a_repaint():
    inside = canvas_of(Outpaint(source=KEPT, start_s=2, end_s=5))
    assert inside == canvas_of(Repaint(source=KEPT, start_s=2, end_s=5))


@pytest.mark.parametrize(
    "task",
    [
        Cover(source=KEPT),
        Extract(source=KEPT, track="drums"),
        Lego(source=KEPT, track="bass"),
        FlowEdit(source=KEPT, end_s=10.0),
    ],
)
def test_tasks_without_a_region_make_all_of_the_song(task):
    canvas = canvas_of(task)
    assert canvas.spans == ()
    assert canvas.samples == 10 * SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (Repaint(source=KEPT, start_s=11), "not inside the source, which is 10 s long"),
        (Repaint(source=KEPT, start_s=1, end_s=10.5), "not inside the source, which is 10 s long"),
        (Repaint(source=KEPT, start_s=5, end_s=4), "ends at 4 s, and begins at 5 s"),
        (Repaint(source=KEPT, start_s=5, end_s=5), "ends at 5 s, and begins at 5 s"),
        (Repaint(source=KEPT, start_s=5, end_s=5.03), "30 ms long, and a latent frame is 40 ms"),
        (Lego(source=KEPT, track="bass", start_s=12), "not inside the source"),
        (FlowEdit(source=KEPT, start_s=3, end_s=2), "ends at 2 s, and begins at 3 s"),
        (Outpaint(source=KEPT, start_s=11, end_s=12), "does not touch the source"),
        (Outpaint(source=KEPT, start_s=-3, end_s=-1), "does not touch the source"),
        (Outpaint(source=KEPT, start_s=3, end_s=1), "ends at 1 s, and begins at 3 s"),
        (Extend(source=KEPT), "Nothing was asked to be added"),
        (Extend(source=KEPT, right_s=0.01), "Nothing was asked to be added"),
        (Extend(source=KEPT, right_s=595), "605 s long, and at most 600 s"),
    ],
)
def test_regions_that_cannot_be_are_refused_with_their_numbers(task, says):
    with pytest.raises(RequestError, match=says) as caught:
        canvas_of(task)
    assert caught.value.field is not None
    assert caught.value.field.startswith("task")
