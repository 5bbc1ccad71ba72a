"""Splicing: what may change and what may not, and no joint that can be heard. Recorded numbers are in tests/golden."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from partita.audio.splice import limit_spans, original_splice, splice
from partita.audio.true_peak import true_peak
from partita.errors import AudioError
from partita.measure.seams import seam
from tests.measure.sounds import RATE_HZ

RATE = 8_000
TOTAL = 4_000
TIME = np.arange(TOTAL)[:, None] / RATE
MUSIC = (0.5 * np.sin(2 * np.pi * np.array([110.0, 165.0]) * TIME) + 0.2 * np.sin(2 * np.pi * 700 * TIME)).astype("f4")
# The same music from another decoding: a little louder, a little offset.
AGAIN = (MUSIC * 1.03 + 0.01 * np.cos(2 * np.pi * 3 * TIME)).astype("f4")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((samples, 2)).astype(np.float32)


def inside(spans: list[tuple[int, int]], margin: int = 0, total: int = TOTAL) -> np.ndarray:
    mask = np.zeros(total, bool)
    for first, stop in spans:
        mask[max(0, first - margin) : stop + margin if stop > first else first] = True
    return mask


positions = st.one_of(st.integers(0, TOTAL), st.sampled_from([0, 1, 2, TOTAL - 1, TOTAL]))
span_lists = st.lists(st.tuples(positions, positions).map(lambda pair: (min(pair), max(pair))), max_size=4)
lengths = st.integers(0, 600)


@given(span_lists, lengths, st.booleans())
def test_nothing_changes_beyond_spans_and_ramps(spans: list[tuple[int, int]], ramp: int, keep: bool) -> None:
    spans = [span for span in spans if span[0] < span[1]]
    made = noise(TOTAL)
    out = splice(MUSIC, made, source_at=0, spans=spans, ramp=ramp, keep_source=keep, sample_rate_hz=RATE)
    assert out.dtype == np.float32
    margin = 0 if keep else ramp
    outside = ~inside(spans, margin)
    assert np.array_equal(out[outside], MUSIC[outside])
    if ramp and not keep:
        within = inside(spans)
        assert np.array_equal(out[within], made[within])


@given(st.integers(0, 1500), st.integers(1, 1500), st.integers(0, 1000), span_lists, lengths)
def test_an_extension_keeps_the_source_to_the_bit(
    before: int, samples: int, after: int, spans: list[tuple[int, int]], ramp: int
) -> None:
    total = before + samples + after
    source, made = noise(samples, 1), noise(total, 2)
    spans = [(min(first, total), min(stop, total)) for first, stop in spans]
    spans = [*spans, (0, before), (before + samples, total)]
    out = splice(source, made, source_at=before, spans=spans, ramp=ramp, keep_source=True, sample_rate_hz=RATE)
    kept = ~inside(spans, total=total)[before : before + samples]
    assert np.array_equal(out[before : before + samples][kept], source[kept])
    assert np.isfinite(out).all()


@given(span_lists, st.sampled_from([0, 1, 20, 200]), st.booleans())
def test_no_joint_of_the_same_music_clicks(spans: list[tuple[int, int]], ramp: int, keep: bool) -> None:
    out = splice(MUSIC, AGAIN, source_at=0, spans=spans, ramp=ramp, keep_source=keep, sample_rate_hz=RATE)
    jumps = np.abs(np.diff(out, axis=0)).max()
    usual = max(np.abs(np.diff(MUSIC, axis=0)).max(), np.abs(np.diff(AGAIN, axis=0)).max())
    # A ramp of n samples, or a gap of as many between two spans, adds a share of the difference to every step; a
    # correction adds the steps of the difference itself.
    gap, own = float(np.abs(AGAIN - MUSIC).max()), float(np.abs(np.diff(AGAIN - MUSIC, axis=0)).max())
    edges = sorted({edge for span in spans if span[0] < span[1] for edge in span} | {0, TOTAL})
    shortest = min(b - a for a, b in pairwise(edges))
    room = min(shortest, ramp if ramp and not keep else RATE // 40)
    assert jumps <= usual + own + 2 * gap / room


def test_a_hard_edge_steps_no_further_than_what_was_made_does() -> None:
    offset = MUSIC + np.float32(0.3)
    for spans in ([(1000, 3000)], [(0, 1500)], [(2500, TOTAL)]):
        out = splice(MUSIC, offset, source_at=0, spans=spans, ramp=0, sample_rate_hz=RATE)
        for edge in {edge for span in spans for edge in span} - {0, TOTAL}:
            assert np.allclose(out[edge] - out[edge - 1], offset[edge] - offset[edge - 1], atol=1e-6)
        first, stop = spans[0]
        reach = RATE // 40
        middle = slice(first + reach, stop - reach)
        assert np.array_equal(out[middle], offset[middle])


@pytest.mark.parametrize(("ramp", "keep"), [(240, False), (0, False), (240, True)])
def test_joints_that_would_click_are_not_heard(ramp: int, keep: bool) -> None:
    time = np.arange(6 * RATE_HZ)[:, None] / RATE_HZ
    chord = np.sin(2 * np.pi * np.array([220.0, 277.2]) * time) + np.sin(2 * np.pi * np.array([330.0, 440.0]) * time)
    music = (0.2 * chord + 1e-4 * noise(6 * RATE_HZ, 1)).astype("f4")
    again = (music * 1.05 + 0.02 * np.cos(2 * np.pi * 60 * time)).astype("f4")
    spans = [(2 * RATE_HZ, 4 * RATE_HZ)]
    cut = music.copy()
    cut[2 * RATE_HZ : 4 * RATE_HZ] = again[2 * RATE_HZ : 4 * RATE_HZ]
    out = splice(music, again, source_at=0, spans=spans, ramp=ramp, keep_source=keep, sample_rate_hz=RATE_HZ)
    for at_s in (2.0, 4.0):
        assert seam(cut, RATE_HZ, at_s).audible
        assert not seam(out, RATE_HZ, at_s).audible


def test_an_extension_joins_both_ends_without_a_step() -> None:
    source = MUSIC[1000:3000]
    out = splice(
        source, AGAIN, source_at=1000, spans=[(0, 1000), (3000, TOTAL)], ramp=200, keep_source=True, sample_rate_hz=RATE
    )
    assert np.array_equal(out[1000:3000], source)
    for edge in (1000, 3000):
        assert np.allclose(out[edge] - out[edge - 1], AGAIN[edge] - AGAIN[edge - 1], atol=1e-6)
    assert np.array_equal(out[:700], AGAIN[:700])


def test_ramps_lie_on_the_source_in_a_straight_line() -> None:
    ones, zeros = np.ones((20, 2), "f4"), np.zeros((20, 2), "f4")
    out = splice(zeros, ones, source_at=0, spans=[(8, 10), (2, 4)], ramp=3)[:, 0]
    third = 1 / 3
    expected = [third, 2 * third, 1, 1, 0.75, 0.5, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, *[0] * 7]
    assert out.tolist() == pytest.approx(expected)


def test_a_ramp_ends_where_the_source_does() -> None:
    source, made = np.zeros((10, 1), "f4"), np.ones((30, 1), "f4")
    out = splice(source, made, source_at=10, spans=[(0, 10), (20, 30)], ramp=4)[:, 0]
    assert out[:10].tolist() == [1] * 10
    assert out[10:14].tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert out[14:16].tolist() == [0, 0]
    assert out[16:20].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_an_edit_that_runs_over_the_source_s_end_joins_once() -> None:
    source, made = np.zeros((10, 1), "f4"), np.ones((15, 1), "f4")
    out = splice(source, made, source_at=0, spans=[(8, 15)], ramp=1)[:, 0]
    assert out.tolist() == [0] * 7 + [0.5] + [1] * 7


def test_what_is_not_valid_far_from_a_span_is_not_used() -> None:
    made = AGAIN.copy()
    made[:1500], made[2500:] = np.nan, np.nan
    for keep, ramp in ((False, 100), (True, 100), (False, 0)):
        out = splice(MUSIC, made, source_at=0, spans=[(1800, 2200)], ramp=ramp, keep_source=keep, sample_rate_hz=RATE)
        assert np.isfinite(out).all()


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_the_shortest_spans_stay_between_their_neighbours(samples: int) -> None:
    out = splice(MUSIC, MUSIC + np.float32(0.3), source_at=0, spans=[(2000, 2000 + samples)], ramp=0)
    assert np.abs(out - MUSIC).max() < 0.31
    if samples == 1:
        assert np.allclose(out[2000], MUSIC[2000], atol=1e-6)


def test_without_spans_the_source_comes_back_and_inputs_stay() -> None:
    made = AGAIN.copy()
    assert np.array_equal(splice(MUSIC, made, source_at=0, spans=[], ramp=10), MUSIC)
    splice(MUSIC, made, source_at=0, spans=[(1000, 2000)], ramp=0)
    assert np.array_equal(made, AGAIN)


@pytest.mark.parametrize(
    ("source", "made", "source_at", "spans", "message"),
    [
        (MUSIC[:1000], AGAIN, 0, [(1200, TOTAL)], r"0\.125 s to 0\.150 s"),
        (MUSIC[:1000], AGAIN, 0, [], "neither source"),
        (MUSIC[:1000], AGAIN, 10, [(1000, TOTAL)], "neither source"),
        (MUSIC, AGAIN[:100], 0, [(0, 100)], "does not fit"),
        (MUSIC[:10], AGAIN, -1, [(0, TOTAL)], "does not fit"),
        (MUSIC, AGAIN, 0, [(-5, 10)], "does not lie"),
        (MUSIC, AGAIN, 0, [(10, 5)], "does not lie"),
        (MUSIC, AGAIN, 0, [(10, TOTAL + 1)], "does not lie"),
        (MUSIC, AGAIN[:, :1], 0, [], "same channels"),
        (MUSIC[:, 0], AGAIN, 0, [], "same channels"),
    ],
)
def test_what_cannot_be_joined_says_why(
    source: np.ndarray, made: np.ndarray, source_at: int, spans: list[tuple[int, int]], message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        splice(source, made, source_at=source_at, spans=spans, ramp=10, sample_rate_hz=RATE)


def test_the_original_fades_outside_the_region_and_leaves_what_covers_all() -> None:
    source, made = np.zeros((10, 2), "f4"), np.ones((12, 2), "f4")
    out = original_splice(made, source, 4 / 10, 6 / 10, 0.2, 10)[:, 0]
    third = 1 / 3
    assert out.tolist() == pytest.approx([0, 0, third, 2 * third, 1, 1, 2 * third, third, 0, 0, 1, 1])
    assert original_splice(made, source, 0.0, 5.0, 0.2, 10) is made
    assert np.array_equal(made, np.ones((12, 2), "f4"))


LOUD = (MUSIC * 2.5).astype("f4")


def test_only_a_span_that_clips_is_limited() -> None:
    audio = MUSIC.copy()
    audio[1000:2000] = LOUD[1000:2000]
    out, limited = limit_spans(audio, [(1000, 2000), (2500, 3000)], RATE)
    assert limited
    outside = ~inside([(1000, 2000)])
    assert np.array_equal(out[outside], audio[outside])
    assert np.abs(out).max() <= 1.0
    assert not np.array_equal(out[1000:2000], audio[1000:2000])


def test_audio_under_the_ceiling_comes_back_itself() -> None:
    out, limited = limit_spans(MUSIC, [(0, TOTAL)], RATE)
    assert out is MUSIC
    assert not limited
    again, limited = limit_spans(LOUD, [(100, 100)], RATE)
    assert again is LOUD
    assert not limited


def test_the_gain_leaves_no_step_at_the_edges() -> None:
    loud = (MUSIC * 1.6).astype("f4")  # clips here and there
    spans = [(1000, 2000)]
    out, limited = limit_spans(loud, spans, RATE)
    assert limited
    gain = np.abs(out[1000:2000]).sum(axis=1) / np.abs(loud[1000:2000]).sum(axis=1)
    assert gain[0] == pytest.approx(1.0, abs=0.01)
    assert gain[-1] == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.diff(out, axis=0)).max() <= np.abs(np.diff(loud, axis=0)).max() * 1.01


def test_a_whole_song_is_limited_to_its_true_peak() -> None:
    out, _ = limit_spans(LOUD, [(0, TOTAL)], RATE, peak_db=-1.0)
    assert true_peak(out) <= 10 ** (-1 / 20)


@given(span_lists, st.floats(0.5, 6.0), st.sampled_from([0.0, -1.0, -6.0]))
def test_limits_hold_in_every_span_and_nothing_else_changes(
    spans: list[tuple[int, int]], gain: float, peak_db: float
) -> None:
    within = inside(spans)
    audio = np.where(within[:, None], MUSIC * np.float32(gain), MUSIC).astype("f4")
    out, limited = limit_spans(audio, spans, RATE, peak_db)
    ceiling = 10 ** (peak_db / 20)
    assert np.array_equal(out[~within], audio[~within])
    assert np.abs(out[within]).max(initial=0.0) <= 1.0 + 1e-6
    assert limited == (np.abs(audio[within]).max(initial=0.0) > ceiling)
    edge = RATE // 200
    deep = ~inside([(first - edge, first + edge) for span in spans for first in span if 0 < first < TOTAL]) & within
    assert np.abs(out[deep]).max(initial=0.0) <= ceiling * (1 + 1e-6)
