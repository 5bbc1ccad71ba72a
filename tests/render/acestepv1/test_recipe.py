"""Tasks as work for v1's networks: frames, regions, strengths, seeds and what is decoded."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.render.acestepv1.recipe import GRID, Edit, Make, Remake, Restyle, holding, recipe_of
from partita.render.acestepv1.sampling import Region
from partita.render.acestepv1.windows import Pass
from tests.render.acestepv1.tiny import RATE, job_of, own_song, sound, source_of

FRAMES = 54  # 5.016 s


@pytest.fixture(scope="module")
def source():
    return own_song(FRAMES)


def work_of(source, widest=2583, **task):
    return recipe_of(job_of(source=source, task=task), widest).work


@given(st.integers(1, 30_000_000))
def test_a_frame_owns_the_samples_from_its_first_to_the_next_ones(samples):
    frames = holding(samples)
    assert GRID.samples(frames - 1) < samples <= GRID.samples(frames)


@pytest.mark.parametrize(
    ("duration_s", "ours", "originals"), [(1, 11, 10), (30, 323, 322), (60, 646, 645), (240, 2584, 2583)]
)
def test_a_song_is_as_long_as_was_asked_and_the_originals_a_frame_shorter(duration_s, ours, originals):
    recipe = recipe_of(job_of(duration_s=duration_s))
    assert recipe.work == Make(ours)
    assert recipe.samples == duration_s * RATE
    recipe = recipe_of(job_of(duration_s=duration_s, parity=True))
    assert recipe.work == Make(originals)
    assert recipe.samples == GRID.samples(originals)


def test_a_retake_has_the_seed_of_its_song_and_its_own():
    recipe = recipe_of(job_of(seed=9, duration_s=3, task={"kind": "retake", "of_seed": 7, "variance": 0.3}))
    assert recipe.work == Make(33, 0.3)
    assert (recipe.seed, recipe.retake_seed) == (7, 9)


@pytest.mark.parametrize(
    ("task", "variance"),
    [
        ({"mode": "conservative"}, 0.2),
        ({"mode": "aggressive"}, 1.0),
        ({}, 0.6),
        ({"strength": 0}, 0.2),
        ({"strength": 1}, 1.0),
    ],
)
def test_a_mode_says_how_far_a_region_is_made_anew(source, task, variance):
    region = {"kind": "repaint", "start_s": 1, "end_s": 2, **task}
    assert work_of(source, **region).variance == pytest.approx(variance)


def test_a_strength_is_the_variance_itself_in_parity(source):
    job = job_of(source=source, task={"kind": "repaint", "start_s": 1, "end_s": 2, "strength": 0.3}, parity=True)
    assert recipe_of(job).work.variance == 0.3


@pytest.mark.parametrize("parity", [True, False])
def test_what_is_added_is_made_from_noise(source, parity):
    task = {"kind": "extend", "right_s": 1, "mode": "conservative"}
    assert recipe_of(job_of(source=source, task=task, parity=parity)).work.variance == 1


def test_a_region_is_every_frame_that_it_touches(source):
    start, end = GRID.samples(10) + 5, GRID.samples(20) + 5
    task = {"kind": "repaint", "start_s": start / RATE, "end_s": end / RATE}
    assert work_of(source, **task).region == Region(inside=(10, 21))
    job = job_of(source=source, task=task, parity=True)
    assert recipe_of(job).work.region == Region(inside=(10, 20))


def test_a_region_on_the_edges_of_frames_is_just_those(source):
    task = {"kind": "repaint", "start_s": GRID.samples(10) / RATE, "end_s": GRID.samples(20) / RATE}
    assert work_of(source, **task).region == Region(inside=(10, 20))


def test_a_region_to_the_end_has_the_last_frame(source):
    assert work_of(source, kind="repaint", start_s=1).region == Region(inside=(10, FRAMES))


def test_only_what_is_made_is_decoded(source):
    recipe = recipe_of(job_of(source=source, task={"kind": "repaint", "start_s": 1, "end_s": 2}))
    assert recipe.made == ((RATE, 2 * RATE),)
    assert recipe.samples == source.facts.samples
    assert not recipe.encode


def test_latents_alone_and_all_of_parity_are_decoded_whole(source):
    task = {"kind": "repaint", "start_s": 1, "end_s": 2}
    alone = recipe_of(job_of(source=source_of(latents=_latents(source)), task=task))
    assert alone.made is None
    assert not alone.notes
    recipe = recipe_of(job_of(source=source, task=task, parity=True))
    assert recipe.made is None
    # To the sample, but at another rate, its audio is part of one frame more.
    assert recipe.samples == GRID.samples(FRAMES + 1)
    assert recipe.encode
    (note,) = recipe_of(job_of(source=source_of(latents=_latents(source)), task=task, parity=True)).notes
    assert "takes no latents" in note


def _latents(source):
    return torch.from_numpy(source.latents)


def test_an_extension_is_whole_frames_before_and_after(source):
    recipe = recipe_of(job_of(source=source, task={"kind": "extend", "left_s": 1, "right_s": 1.01}))
    assert recipe.work.region == Region(left=11, right=11)
    assert recipe.work.passes == (Pass(0, 76, ((0, 11), (65, 76)), ((0, 11), (65, 76))),)
    # The source begins with a frame, and what is after it has the samples that were asked for.
    assert recipe.samples == GRID.samples(11) + source.facts.samples + round(1.01 * RATE)


def test_a_source_that_fills_its_last_frame_in_part_has_it_made_anew_when_something_follows():
    source = source_of(sound(5.0))
    assert work_of(source, kind="extend", right_s=1).region == Region(right=11, inside=(53, 54))
    assert work_of(source, kind="extend", left_s=1).region == Region(left=11)


@given(
    seconds=st.floats(0.2, 40), left_s=st.floats(0, 30), right_s=st.floats(0, 30), widest=st.sampled_from([60, 2583])
)
def test_an_extension_covers_its_song_whatever_the_lengths(seconds, left_s, right_s, widest):
    left_s, right_s = (0.0 if one < 0.15 else one for one in (left_s, right_s))
    if not left_s and not right_s:
        right_s = 1.0
    source = source_of(sound(1.0))
    source = type(source)(source.facts.model_copy(update={"samples": round(seconds * RATE)}), source.audio, None)
    job = job_of(source=source, task={"kind": "extend", "left_s": left_s, "right_s": right_s})
    recipe, canvas = recipe_of(job, widest), job.resolved.canvas
    work = recipe.work
    assert GRID.samples(work.region.left) == canvas.source_at
    frames = work.region.left + work.frames + work.region.right
    assert recipe.samples <= GRID.samples(frames) + 2
    assert frames - holding(recipe.samples) in (0, 1)
    kept = [span for one in work.passes for span in one.kept]
    for first, end in canvas.spans:
        assert any(start <= GRID.within(first) for start, _ in kept)
        assert any(holding(end) <= stop or stop == frames for _, stop in kept)


def test_outpainting_reaches_beyond_the_source(source):
    assert work_of(source, kind="outpaint", start_s=-1, end_s=2).region == Region(left=11, inside=(0, 22))
    assert work_of(source, kind="outpaint", start_s=4, end_s=6).region == Region(right=11, inside=(43, FRAMES))


def test_the_original_extends_by_frames_of_seconds_and_loses_what_lies_inside(source):
    def region(**task):
        return recipe_of(job_of(source=source, task=task, parity=True)).work.region

    assert region(kind="extend", left_s=1, right_s=2) == Region(left=10, right=20)
    assert region(kind="outpaint", start_s=-1, end_s=2) == Region(left=10)
    assert region(kind="outpaint", start_s=4, end_s=6) == Region(right=9)
    # With both, what comes after is measured from the start of what comes before.
    recipe = recipe_of(job_of(source=source, task={"kind": "extend", "left_s": 1, "right_s": 2}, parity=True))
    assert recipe.samples == GRID.samples(10 + FRAMES + 1 + 10)
    assert (recipe.seed, recipe.retake_seed) == (1, 2)


def test_audio_to_audio_works_on_all_of_its_source(source):
    assert work_of(source, kind="audio-to-audio", strength=0.3) == Restyle(FRAMES, 0.3)


def test_an_edit_sees_all_of_a_short_song_and_a_window_of_a_long_one(source):
    edit = {"kind": "edit", "source_caption": "y", "start_s": 2, "end_s": 3}
    work = work_of(source, **edit)
    assert isinstance(work, Edit)
    assert (work.settings.n_min, work.settings.n_max) == (0.6, 1.0)
    assert work.window == Pass(0, FRAMES, ((21, 33),), ((21, 33),))
    assert work_of(source, widest=30, **edit).window == Pass(12, 42, ((21, 33),), ((21, 33),))


def test_an_edit_of_more_than_the_network_sees_is_refused(source):
    with pytest.raises(RequestError, match="at once") as caught:
        work_of(source, widest=30, kind="edit", source_caption="y", start_s=1, end_s=4.9)
    assert caught.value.field == "task.end_s"


def test_several_passes_are_told(source):
    job = job_of(source=source, task={"kind": "extend", "right_s": 10})
    (note,) = recipe_of(job, 40).notes
    assert "passes" in note
    assert isinstance(recipe_of(job, 40).work, Remake)
    assert not recipe_of(job).notes
