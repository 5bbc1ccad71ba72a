"""Songs longer than the network sees at once: windows around what is made, each beside what is there by then."""

from __future__ import annotations

import pytest
import torch

from partita.errors import RequestError
from partita.render.acestepv1.recipe import recipe_of
from partita.render.acestepv1.sources import to_frames
from partita.render.protocol import StepDone
from partita.sampling.noise import Stream, noise
from partita.sampling.solvers import mix
from tests.render.acestepv1.tiny import (
    GRID,
    Spy,
    chunks_of,
    job_of,
    latents_of,
    notes_of,
    own_song,
    random_latents,
    render_all,
    render_job,
    sample_job,
)

WIDEST = 40
FRAMES = 54
TASKS = {
    "repaint": {"kind": "repaint", "start_s": 2.0, "end_s": 2.5},
    "right": {"kind": "extend", "right_s": 8},
    "left": {"kind": "extend", "left_s": 8},
    "both": {"kind": "extend", "left_s": 6, "right_s": 7},
    "outpaint": {"kind": "outpaint", "start_s": -5, "end_s": 2},
    "nearly all": {"kind": "repaint", "start_s": 0.5, "end_s": 4.9},
    "all": {"kind": "repaint", "start_s": 0},
}


@pytest.fixture
def run(parts, spy):
    spied = parts.with_parts(transformer=spy)

    def run(source=None, **task):
        spy.calls.clear()
        job = job_of(source=source or own_song(FRAMES), task=task, sampling={"guidance_scale": 1, "steps": 2})
        return job, sample_job(spied, job, WIDEST)

    return run


def drawn(frames: int, stream: int) -> torch.Tensor:
    return noise(1, (frames, 8, 16), stream).flatten(1)


def windows(spy: Spy) -> list[torch.Tensor]:
    """What the network saw last in each pass, as frames; there are two steps in a pass."""
    return [to_frames(call.latents[0]) for call in spy.calls[1::2]]


@pytest.mark.parametrize("name", TASKS)
def test_no_window_is_wider_than_the_network_sees_and_the_rest_stays(run, spy, name):
    job, events = run(**{**TASKS[name], "mode": "aggressive"})
    made, canvas = latents_of(events), job.resolved.canvas
    assert all(call.latents.shape[-1] <= WIDEST for call in spy.calls)
    at = GRID.within(canvas.source_at)
    longer = canvas.samples > canvas.source_at + GRID.samples(FRAMES)
    assert len(made) == (GRID.within(canvas.samples - 1) + 1 if longer else at + FRAMES)
    laid = torch.zeros_like(made)
    laid[at : at + FRAMES] = random_latents(FRAMES)
    inside = torch.zeros(len(made), dtype=torch.bool)
    for first, end in canvas.spans:
        inside[GRID.within(first) : GRID.within(end - 1) + 1] = True
    same = (made == laid).all(dim=1)
    assert torch.equal(same, ~inside)
    assert torch.isfinite(made).all()
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [step.index for step in steps] == list(range(1, steps[0].count + 1))


@pytest.mark.parametrize("name", ["left", "right"])
def test_every_pass_hears_what_the_one_before_it_made(run, spy, name):
    job, events = run(**TASKS[name])
    made, passes = latents_of(events), recipe_of(job, WIDEST).work.passes
    assert len(passes) == len(windows(spy)) >= 3
    # Beyond the source noise is the retake's.
    extra = len(made) - FRAMES
    own, beyond = drawn(FRAMES, Stream.INITIAL), drawn(extra, Stream.RETAKE)
    held = mix(torch.cat((own, beyond) if name == "right" else (beyond, own)), made, spy.calls[1].t / 1000)
    for one, seen in zip(passes, windows(spy), strict=True):
        # What a pass does not make is the finished song under noise, so that what it makes goes on from there.
        ((start, stop),) = one.inside(one.made)
        context = [frame for frame in range(one.frames) if not start <= frame < stop]
        assert len(context) >= WIDEST // 4
        there = [one.first + frame for frame in context]
        torch.testing.assert_close(seen[context], held[there])


def test_noise_belongs_to_a_place_in_the_song(run, spy):
    _, events = run(**TASKS["right"])
    made = len(latents_of(events))
    retake = drawn(made - FRAMES, Stream.RETAKE)
    last = to_frames(spy.calls[-2].latents[0])
    torch.testing.assert_close(last[-1], retake[-1])


def test_an_extension_may_reach_ten_minutes(parts):
    """As far as any song goes; the network sees 300 of its 6460 frames at a time here."""
    source = own_song(20)
    right_s = 600 - source.facts.duration_s
    task = {"kind": "extend", "right_s": round(right_s, 3) - 0.001}
    job = job_of(source=source, task=task, sampling={"guidance_scale": 1, "steps": 2})
    made = latents_of(sample_job(parts, job, 300))
    assert len(made) == 6460
    assert torch.equal(made[:20], random_latents(20))
    assert made.any(dim=1).all()


def test_passes_are_noted_and_only_what_was_made_is_decoded(run, parts):
    events = render_job(parts, run(**TASKS["repaint"])[0], WIDEST)
    assert not notes_of(events)
    (chunk,) = chunks_of(events)
    assert len(chunk.samples) < 60_000
    _, events = run(**TASKS["right"])
    assert len(notes_of(events)) == 1


def test_two_songs_of_one_shape_share_their_passes(parts):
    jobs = [job_of(source=own_song(FRAMES), task=TASKS["right"], seed=seed, sampling={"steps": 2}) for seed in (1, 2)]
    single = [latents_of(sample_job(parts, job, WIDEST)) for job in jobs]
    told = render_all(parts, jobs, batch=2, widest=WIDEST)
    both = [latents_of([one.event for one in told if one.job == index]) for index in (0, 1)]
    for ours, theirs in zip(both, single, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_an_edit_wider_than_a_window_is_refused_before_anything_is_used(parts):
    job = job_of(source=own_song(FRAMES), task={"kind": "edit", "source_caption": "y", "start_s": 0.5}, caption="z")
    parts.used.clear()
    with pytest.raises(RequestError, match="at once"):
        render_job(parts, job, WIDEST)
    assert not parts.used
