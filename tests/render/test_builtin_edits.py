"""The built-in renderer edits its own songs, on a tiny random network: what stays, what is made, and windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.models.score_model import ScoreModel
from partita.planner.rules import RulePlanner
from partita.render.builtin.renderer import SAMPLE_RATE_HZ, BuiltInRenderer
from partita.render.builtin.windows import BETWEEN_FRAMES, CONTINUED_FRAMES, WINDOW_FRAMES, windows_for
from partita.render.protocol import AudioChunk, Job, LatentsReady, RenderEvent, ScoreReady, SourceData
from partita.score.codec import LAYOUT
from partita.score.types import Score
from partita.song.plan import Plan
from partita.song.request import Sampling, SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.source import SongOrigin, SourceFacts
from partita.song.task import Extend, Outpaint, Repaint, Retake, Task
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import save_builtin
from partita.weights.catalog import card
from tests.fakes import fake_runtime
from tests.render.test_builtin import TINY, OneModel

HASH = "ab" * 32


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> OneModel:
    directory: Path = tmp_path_factory.mktemp("model")
    train_tokenizer(["slow piano", "fast drums"], directory / "made.json", TINY.vocab_size)
    torch.manual_seed(3)
    save_builtin(directory, ScoreModel(TINY), directory / "made.json", {})
    return OneModel(directory)


class Rendered:
    """A song of the built-in renderer, and what the archive would hand out for it."""

    def __init__(self, plan: Plan, events: list[RenderEvent]) -> None:
        self.plan = plan
        self.ready = next(event for event in events if isinstance(event, LatentsReady))
        self.latents = self.ready.latents.numpy()
        self.score: Score = next(event.score for event in events if isinstance(event, ScoreReady))
        self.audio = np.concatenate([event.samples for event in events if isinstance(event, AudioChunk)])

    def source(self, **changes: Any) -> SourceData:
        song = SongOrigin(model="built-in", family="built-in", plan=self.plan, gain_db=0.0, cast=self.ready.cast)
        facts = SourceFacts(sha256=HASH, samples=len(self.audio), song=song.model_copy(update=changes))
        return SourceData(facts, self.audio, self.latents)


def make(
    parts: OneModel, task: Task | None = None, source: SourceData | None = None, seed: int = 1, **fields: Any
) -> Rendered:
    if source is None:
        fields = {"caption": "slow piano", **fields}
    if task is not None:
        fields["task"] = task
    request = SongRequest(model="built-in", seed=seed, sampling=fields.pop("sampling", Sampling(steps=2)), **fields)
    resolved = resolve(request, card("built-in"), TakenIn(source=source.facts if source else None))
    plan = RulePlanner(complete=True).plan(resolved, seed)
    job = Job(resolved, plan, source=source)
    return Rendered(plan, [told.event for told in BuiltInRenderer().render([job], parts, fake_runtime())])


@pytest.fixture(scope="module")
def song(parts: OneModel) -> Rendered:
    return make(parts, seed=6, duration_s=8.02, bpm=110, key="A minor")


def outside_notes(score: Score, spans: list[tuple[float, float]], shift_s: float = 0.0) -> set[tuple[str, int, int]]:
    """Notes that begin outside of `spans` (seconds of the canvas), with their start in milliseconds of it."""
    return {
        (track.role, round(1000 * (note.start_s + shift_s)), note.pitch)
        for track in score.tracks
        for note in track.notes
        if not any(a - 1e-3 <= note.start_s + shift_s < b + 1e-3 for a, b in spans)
    }


@pytest.mark.parametrize(
    ("task", "at", "length", "spans"),
    [
        (Repaint(source="a", start_s=3.0, end_s=5.0), 0, 201, [(75, 125)]),
        (Repaint(source="a", start_s=3.0, end_s=3.04), 0, 201, [(75, 76)]),
        (Repaint(source="a", start_s=3.01, end_s=3.06), 0, 201, [(75, 76)]),
        (Repaint(source="a", start_s=0.0, end_s=0.5), 0, 201, [(0, 12)]),
        (Repaint(source="a", start_s=7.0), 0, 201, [(175, 201)]),
        (Repaint(source="a", start_s=0.0), 0, 201, [(0, 201)]),
        (Extend(source="a", right_s=3.0), 0, 276, [(200, 276)]),
        (Extend(source="a", left_s=3.0), 75, 276, [(0, 75)]),
        (Extend(source="a", left_s=2.0, right_s=4.0), 50, 351, [(0, 50), (250, 351)]),
        (Extend(source="a", left_s=0.04), 1, 202, [(0, 1)]),
        (Extend(source="a", left_s=30.0), 750, 951, [(0, 750)]),
        (Outpaint(source="a", start_s=-1.0, end_s=2.0), 25, 226, [(0, 75)]),
        (Outpaint(source="a", start_s=6.0, end_s=10.0), 0, 250, [(150, 250)]),
    ],
    ids=lambda value: str(value)[:60] if not isinstance(value, (int, list)) else "",
)
def test_what_is_not_made_stays_bit_for_bit(
    parts: OneModel, song: Rendered, task: Task, at: int, length: int, spans: list[tuple[int, int]]
) -> None:
    edit = make(parts, task, song.source(), seed=2)
    assert edit.latents.shape == (length, 64)
    assert len(edit.audio) == round(edit.plan.duration_s * SAMPLE_RATE_HZ)
    kept = np.ones(length, dtype=bool)
    for first, stop in spans:
        kept[first:stop] = False
    laid = np.zeros((length, 64), np.float32)
    laid[at : at + 201] = song.latents[: length - at]
    np.testing.assert_array_equal(edit.latents[kept], laid[kept])
    for first, stop in spans:
        assert np.abs(edit.latents[first:stop, : LAYOUT.grid.start] - laid[first:stop, : LAYOUT.grid.start]).max() > 0.1
    seconds = [(first / 25, stop / 25) for first, stop in spans]
    assert outside_notes(edit.score, seconds) == outside_notes(song.score, seconds, at / 25)
    assert edit.ready.cast == song.ready.cast
    assert edit.score.key == "A minor"


def test_the_source_s_beats_stay_on_the_grid(parts: OneModel, song: Rendered) -> None:
    edit = make(parts, Extend(source="a", left_s=3.0), song.source())
    grid = edit.score.grid
    assert 0 < grid.offset_s < grid.bar_s
    bars = (3.0 - grid.offset_s) / grid.bar_s
    assert bars == pytest.approx(round(bars), abs=1e-6)
    assert edit.latents[:75, LAYOUT.grid][round(25 * grid.offset_s), 2] > 0.97  # the bar's cosine


def test_an_edited_song_is_edited_again(parts: OneModel, song: Rendered) -> None:
    longer = make(parts, Extend(source="a", left_s=1.0, right_s=1.0), song.source())
    again = make(parts, Repaint(source="a", start_s=2.0, end_s=4.0), longer.source(), seed=5)
    kept = np.r_[0:50, 100 : len(longer.latents)]
    np.testing.assert_array_equal(again.latents[kept], longer.latents[kept])
    assert again.score.grid == longer.score.grid
    third = make(parts, Extend(source="a", left_s=1.0), again.source(), seed=6)
    np.testing.assert_array_equal(third.latents[25:], again.latents)


def test_a_song_shorter_than_the_model_knows_is_edited(parts: OneModel) -> None:
    short = make(parts, duration_s=1.0)
    edit = make(parts, Repaint(source="a", start_s=0.2, end_s=0.6), short.source(), seed=2)
    np.testing.assert_array_equal(edit.latents[np.r_[0:5, 15:25]], short.latents[np.r_[0:5, 15:25]])
    longer = make(parts, Extend(source="a", left_s=0.4, right_s=1.0), short.source(), seed=2)
    assert len(longer.latents) == 60
    np.testing.assert_array_equal(longer.latents[10:35], short.latents)


def test_seeds_and_solvers_matter_to_what_is_made_alone(parts: OneModel, song: Rendered) -> None:
    task = Repaint(source="a", start_s=2.0, end_s=6.0)
    one, again, other = (make(parts, task, song.source(), seed=seed).latents for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    solved = [
        make(parts, task, song.source(), seed=4, sampling=Sampling(steps=3, solver=solver)).latents
        for solver in ("euler", "heun", "dpmpp-2m")
    ]
    assert not np.allclose(solved[0], solved[1])
    assert not np.allclose(solved[0], solved[2])


def test_other_words_change_the_manner_and_not_the_players(parts: OneModel, song: Rendered) -> None:
    task = Repaint(source="a", start_s=2.0, end_s=6.0)
    made = [make(parts, task, song.source(), seed=4, caption=words) for words in ("slow piano", *"abcdef")]
    assert len({edit.latents.tobytes() for edit in made}) > 1
    assert {edit.ready.cast for edit in made} == {song.ready.cast}
    silent = {role for role in LAYOUT.mono if song.score.track(role) is None}
    assert not {track.role for edit in made for track in edit.score.tracks} & silent


def test_a_retake_of_no_variance_is_the_song_and_of_more_another(parts: OneModel) -> None:
    first = make(parts, seed=7, duration_s=22.0)
    same = make(parts, Retake(of_seed=7, variance=0.0), seed=8, duration_s=22.0)
    np.testing.assert_array_equal(same.latents, first.latents)
    np.testing.assert_array_equal(same.audio, first.audio)
    near, far = (make(parts, Retake(of_seed=7, variance=v), seed=8, duration_s=22.0) for v in (0.1, 1.0))
    assert (near.plan, near.ready.cast) == (first.plan, first.ready.cast)

    def apart(song: Rendered) -> float:
        return float(np.abs(song.latents - first.latents).mean())

    assert 0 < apart(near) < apart(far)


def test_a_source_without_a_cast_or_latents_is_refused(parts: OneModel, song: Rendered) -> None:
    task = Repaint(source="a", start_s=2.0, end_s=6.0)
    with pytest.raises(RequestError, match="instruments"):
        make(parts, task, song.source(cast=None))
    kept = song.source()
    with pytest.raises(RequestError, match="latents are not kept"):
        make(parts, task, SourceData(kept.facts, kept.audio, None))


@settings(max_examples=200)
@given(st.integers(125, 4000), st.lists(st.integers(0, 4000), min_size=2, max_size=4, unique=True))
def test_windows_make_every_frame_once_and_show_what_is_around(frames: int, edges: list[int]) -> None:
    edges = sorted({min(edge, frames) for edge in edges})
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    made = np.zeros(frames, dtype=int)
    for window in windows_for(frames, spans):
        assert 0 <= window.start < window.stop <= frames
        assert window.stop - window.start <= WINDOW_FRAMES
        for first, stop in window.spans:
            assert window.start <= first < stop <= window.stop
            made[first:stop] += 1
            for span_first, span_stop in spans:  # what lies within the window and is not made in it is there already
                waits = made[max(window.start, span_first) : min(window.stop, span_stop)]
                assert (waits == 1).all()
    wanted = np.zeros(frames, dtype=int)
    for first, stop in spans:
        wanted[first:stop] = 1
    np.testing.assert_array_equal(made, wanted)


def test_windows_hold_as_much_of_the_source_as_fits() -> None:
    (middle,) = windows_for(2000, [(1000, 1100)])
    assert (middle.start, middle.stop) == (800, 1300)
    (near_start,) = windows_for(2000, [(50, 150)])
    assert (near_start.start, near_start.stop) == (0, 500)
    (before,) = windows_for(700, [(0, 200)])
    assert (before.start, before.stop) == (0, 500)
    backwards = windows_for(1500, [(0, 1000)])
    assert [window.spans for window in backwards] == [((700, 1000),), ((400, 700),), ((100, 400),), ((0, 100),)]
    assert all(window.stop - window.spans[0][1] >= CONTINUED_FRAMES for window in backwards)
    gap = windows_for(2000, [(400, 1600)])
    assert gap[-1].spans[0][1] - gap[-1].spans[0][0] <= BETWEEN_FRAMES
    assert gap[-1].stop > 1600 + 50


def test_both_ends_of_a_song_are_made_the_longer_first() -> None:
    windows = windows_for(500, [(0, 100), (150, 500)])
    assert [(window.start, window.stop, *window.spans) for window in windows] == [
        (100, 500, (150, 500)),
        (0, 500, (0, 100)),
    ]
