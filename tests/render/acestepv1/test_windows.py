"""Songs wider than the network sees: every frame that was asked for is made once, beside what is there by then."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from partita.render.acestepv1.windows import Pass, plan_passes

WIDEST = 40


def made_frames(spans) -> set[int]:
    return {frame for first, end in spans for frame in range(first, end)}


@st.composite
def canvases(draw):
    """Frames, source and spans of a song: those of a repaint, an extension or both at once."""
    source = draw(st.integers(1, 150))
    left, right = draw(st.integers(0, 200)), draw(st.integers(0, 200))
    frames, spans = left + source + right, [(0, left), (left + source, left + source + right)]
    if draw(st.booleans()):
        start = draw(st.integers(0, source - 1))
        spans.append((left + start, left + draw(st.integers(start + 1, source))))
    spans = [span for span in spans if span[0] < span[1]] or [(0, 1)]
    return frames, spans, (left, left + source)


@given(canvases())
def test_every_frame_is_made_once_beside_what_is_there(canvas):
    frames, spans, source = canvas
    wanted = made_frames(spans)
    there = set(range(*source)) - wanted
    for one in plan_passes(frames, spans, source, WIDEST):
        assert 0 <= one.first < one.end <= frames
        assert frames <= WIDEST or one.frames <= WIDEST
        made, kept = made_frames(one.made), made_frames(one.kept)
        assert kept
        assert kept <= made <= wanted
        assert not kept & there
        assert set(range(one.first, one.end)) - made <= there
        there |= kept
    assert there == set(range(frames))


@given(canvases())
def test_a_piece_is_made_beside_a_quarter_of_a_window_or_all_there_is(canvas):
    frames, spans, source = canvas
    there = set(range(*source)) - made_frames(spans)
    for one in plan_passes(frames, spans, source, WIDEST):
        seen = one.frames - len(made_frames(one.made))
        edges = [edge for first, end in one.made for edge in (first - 1, end)]
        beside = [edge for edge in edges if edge in there]
        reach = max((_run(there, edge, -1 if edge < one.made[0][0] else 1) for edge in beside), default=0)
        assert frames <= WIDEST or seen >= min(reach, WIDEST // 4)
        there |= made_frames(one.kept)


def _run(there: set[int], frame: int, step: int) -> int:
    count = 0
    while frame in there:
        count, frame = count + 1, frame + step
    return count


def test_what_fits_is_one_pass():
    assert plan_passes(40, [(10, 20)], (0, 40), WIDEST) == (Pass(0, 40, ((10, 20),), ((10, 20),)),)
    assert plan_passes(30, [], (0, 0), WIDEST) == (Pass(0, 30),)


@pytest.mark.parametrize(("span", "window"), [((50, 60), (35, 75)), ((0, 10), (0, 40)), ((95, 100), (60, 100))])
def test_a_region_of_a_long_song_is_made_in_the_middle_of_a_window(span, window):
    (one,) = plan_passes(100, [span], (0, 100), WIDEST)
    assert (one.first, one.end) == window
    assert one.made == one.kept == (span,)


def test_a_long_extension_is_made_away_from_the_source_without_the_endings_of_its_windows():
    first, second, third = plan_passes(110, [(50, 110)], (0, 50), WIDEST)
    assert first.kept == ((50, 75),)
    assert first.made == ((50, 80),)
    assert second.kept[0][0] == 75
    assert third.made == third.kept
    assert third.kept[0][1] == 110


def test_an_extension_to_the_left_is_made_backwards():
    first, *rest = plan_passes(110, [(0, 60)], (60, 110), WIDEST)
    assert first.kept[0][1] == 60
    assert first.made[0][0] == first.kept[0][0] - WIDEST // 8
    assert rest[-1].kept[0][0] == 0
    assert rest[-1].made == rest[-1].kept
