"""How far a job is and how long it will take."""

from typing import cast

import pytest
from hypothesis import given, strategies as st

from partita.engine.events import Event, Finished, StageBegan, Step
from partita.engine.song import Song
from partita.service.jobs.tracking import JobTracker, RunClock, StageTimes

STAGES = {"text": 1.0, "sample": 8.0, "decode": 2.0, "master": 1.0}
"""Seconds of each stage of a song in these runs."""


def events(songs: int, *, side_by_side: bool, pace: float = 1.0):
    """The events of a run whose stages take as long as `STAGES` says, times `pace`: (seconds, event, place)."""
    at = 0.0
    order = [(name, place) for name in STAGES for place in range(songs)]
    if not side_by_side:
        order.sort(key=lambda one: one[1])
    for name, place in order:
        yield at, StageBegan(name), place
        steps = 4 if name == "sample" else 0
        for step in range(steps):
            at += STAGES[name] * pace / steps
            yield at, Step(name, step + 1, steps, None), place
        if not steps:
            at += STAGES[name] * pace
        if name == "master":
            yield at, Finished(cast(Song, None)), place


def run(times: StageTimes, songs: int = 1, **choices):
    """What was told at each event, with the time that it came at."""
    clock = RunClock("m", 10.0 * songs, songs, times, 0.0)
    tracker = JobTracker(songs, 0.0)
    told = []
    for at, event, place in events(songs, **choices):
        clock.hear(event, at, place)
        told.append((at, tracker.progress(clock, at)))
    clock.learn(told[-1][0])
    return told


@pytest.mark.parametrize("side_by_side", [True, False])
@pytest.mark.parametrize("songs", [1, 3])
def test_seconds_left_are_right_once_a_model_is_known(songs, side_by_side):
    times = StageTimes()
    run(times, songs, side_by_side=side_by_side)
    told = run(times, songs, side_by_side=side_by_side)
    total = sum(STAGES.values()) * songs
    # A stage is known to have ended when the same song begins the next one.
    coarse = 0.01 if songs == 1 else 0.15 * total
    assert [progress.seconds_left for _, progress in told] == pytest.approx([total - at for at, _ in told], abs=coarse)
    assert told[-1][1].seconds_left == 0


def test_nothing_is_said_of_a_model_that_is_not_known_until_some_is_done():
    told = run(StageTimes(), side_by_side=True)
    assert told[0][1].seconds_left is None
    left = [progress.seconds_left for _, progress in told if progress.seconds_left is not None]
    assert len(left) >= len(told) - 3
    assert left[-1] < left[0]


def test_a_run_that_is_slower_than_its_like_is_believed():
    times = StageTimes()
    run(times, side_by_side=True)
    told = run(times, side_by_side=True, pace=3.0)
    at, halfway = next((at, progress) for at, progress in told if progress.step == 4)
    total = 3 * sum(STAGES.values())
    assert halfway.seconds_left == pytest.approx(total - at, rel=0.35)


def test_what_the_run_in_hand_does_not_make_counts_too():
    times = StageTimes()
    run(times, side_by_side=True)
    clock = RunClock("m", 10.0, 1, times, 100.0)
    tracker = JobTracker(4, 100.0, done=1, later=2)
    progress = tracker.progress(clock, 100.0)
    assert progress.seconds_left == pytest.approx(3 * sum(STAGES.values()))
    assert (progress.song, progress.songs) == (1, 4)


def test_models_are_known_apart():
    times = StageTimes()
    run(times, side_by_side=True)
    assert RunClock("another", 10.0, 1, times, 0.0).total_s(0.0) is None


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 5),
        st.one_of(
            st.sampled_from(["text", "sample", "decode", "unheard of", "master"]).map(StageBegan),
            st.builds(Step, st.just("sample"), st.integers(1, 9), st.sampled_from([None, 9]), st.none()),
        ),
        st.integers(0, 2),
    ),
    max_size=30,
)


@given(EVENTS, st.booleans(), st.integers(0, 3))
def test_whatever_comes_the_share_grows_within_bounds_and_seconds_are_no_nonsense(
    heard: list[tuple[float, Event, int]], known: bool, later: int
):
    times = StageTimes()
    if known:
        times.learn("m", 30.0, dict(STAGES))
    clock, tracker = RunClock("m", 30.0, 3, times, 0.0), JobTracker(3 + later, 0.0, later=later)
    at, share = 0.0, 0.0
    for seconds, event, place in heard:
        at += seconds
        clock.hear(event, at, place)
        progress = tracker.progress(clock, at)
        assert share <= progress.share < 1
        assert progress.seconds_left is None or progress.seconds_left >= 0
        share = progress.share
    assert sum(clock.spent.values()) <= at + 1e-6
