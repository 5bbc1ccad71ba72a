"""Stages, batches, memory, cancel and faults of v1's renderer, on narrow networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.engine.meter import StageMeter
from partita.engine.store import ModelStore
from partita.errors import ModelError
from partita.render.acestepv1.renderer import AceStepV1Renderer
from partita.render.protocol import AudioChunk, Follower, LatentsReady, Noted, StageStarted, StepDone
from tests.fakes import fake_runtime
from tests.render.acestepv1.tiny import (
    GRID,
    RATE,
    TinyParts,
    audio_of,
    chunks_of,
    job_of,
    latents_of,
    own_song,
    random_latents,
    render_all,
    render_job,
    sample_job,
    sound,
    source_of,
)

REPAINT = {"kind": "repaint", "start_s": 1.0, "end_s": 2.0}


def stages(events) -> list[str]:
    return [event.name for event in events if isinstance(event, StageStarted)]


def by_job(told, index: int):
    return [one.event for one in told if one.job == index]


def test_a_song_from_words_goes_through_its_stages(parts):
    events = render_job(parts, job_of(lyrics="la la la"))
    assert stages(events) == ["text", "conditions", "sample", "decode"]
    assert sum(isinstance(event, LatentsReady) for event in events) == 1
    assert latents_of(events).dtype == torch.float32
    assert not latents_of(events).is_inference()
    assert len(audio_of(events)) == 3 * RATE
    assert audio_of(events).dtype == np.float32


def test_other_audio_is_a_stage_of_its_own_and_is_encoded_once(parts):
    source = source_of(sound(4.0))
    jobs = [job_of(source=source, task=REPAINT, seed=seed) for seed in (1, 2)]
    told = render_all(parts, jobs)
    assert stages(by_job(told, 0)) == ["text", "source", "conditions", "sample", "decode"]
    first = [isinstance(one.event, StepDone) for one in told if one.job == 0]
    second = [isinstance(one.event, StepDone) for one in told if one.job == 1]
    assert sum(first) > sum(second)  # the second has no pieces to wait for
    a, b = (latents_of(by_job(told, index)) for index in (0, 1))
    kept = [*range(10), *range(22, len(a))]
    assert torch.equal(a[kept], b[kept])
    assert not torch.equal(a, b)


def test_latents_of_an_earlier_try_are_decoded_without_sampling(parts):
    parts.used.clear()
    made = random_latents(33)
    events = render_job(parts, job_of(latents=made))
    assert stages(events) == ["decode"]
    assert torch.equal(latents_of(events), made)
    assert set(parts.used) == {"codec"}


class OneAtATime:
    """A loader of tiny parts that counts."""

    identity = ("tiny",)

    def __init__(self, parts: TinyParts) -> None:
        self._parts, self.part_names = parts, tuple(parts.parts)
        self.loads: list[str] = []

    def load(self, part: str):
        self.loads.append(part)
        return self._parts.parts[part]

    def fingerprint(self):
        return {"model": "tiny"}


class Lent:
    """Parts that know which of them are out."""

    def __init__(self, parts: TinyParts) -> None:
        self._parts, self.open = parts, []

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        self.open.append(name)
        try:
            yield self._parts.parts[name]
        finally:
            self.open.remove(name)


def test_one_network_at_a_time_and_each_once_for_all_songs(parts):
    loader, store = OneAtATime(parts), ModelStore("one-at-a-time")
    source = source_of(sound(4.0))
    jobs = [job_of(source=source, task=REPAINT, seed=seed) for seed in (1, 2)]
    lent = store.parts(loader, StageMeter())
    for _ in AceStepV1Renderer().render(jobs, lent, fake_runtime()):
        assert len(store.loaded()) == 1
    assert loader.loads == ["text_encoder", "lyric_tokenizer", "codec", "conditioner", "transformer", "codec"]


def test_a_song_has_the_same_bits_whatever_is_made_beside_it(parts):
    jobs = [job_of(seed=seed, lyrics=lyrics) for seed, lyrics in ((1, "la"), (2, "la la la la"), (3, ""))]
    together = render_all(parts, jobs)
    for index, job in enumerate(jobs):
        assert torch.equal(latents_of(by_job(together, index)), latents_of(sample_job(parts, job)))


def test_a_batch_agrees_with_single_songs_to_rounding(parts):
    sampling = {"guidance_text": 5, "guidance_lyrics": 1.5, "erg": ("tags", "lyrics", "diffusion"), "omega": 20}
    jobs = [
        job_of(seed=seed, lyrics=lyrics, caption=caption, sampling=sampling)
        for seed, lyrics, caption in ((1, "la", "disco"), (2, "la la la la la", "a slow waltz"), (3, "", "x"))
    ]
    told = render_all(parts, jobs, batch=3)
    for index, job in enumerate(jobs):
        single = latents_of(sample_job(parts, job))
        torch.testing.assert_close(latents_of(by_job(told, index)), single, atol=2e-3, rtol=1e-3)


def test_songs_of_another_manner_are_batches_of_their_own(parts, spy):
    spied = parts.with_parts(transformer=spy)
    jobs = [job_of(seed=1), job_of(seed=2), job_of(seed=3, duration_s=4), job_of(seed=4, sampling={"omega": 0})]
    render_all(spied, jobs, batch=8)
    # Two together, then one and one; two of the three steps are guided.
    assert [len(call.latents) for call in spy.calls] == [4, 4, 2, 2, 2, 1, 2, 2, 1]


def test_parity_makes_songs_one_by_one(parts, spy):
    spied = parts.with_parts(transformer=spy)
    render_all(spied, [job_of(seed=seed, parity=True) for seed in (1, 2)], batch=8)
    assert max(len(call.latents) for call in spy.calls) == 2


def test_stopping_between_any_two_events_leaves_nothing_lent(parts):
    region = {"kind": "repaint", "start_s": 0.1, "end_s": 0.4, "mode": "aggressive"}
    job = job_of(source=source_of(sound(0.5)), task=region, lyrics="la", sampling={"steps": 2})
    count = len(render_job(parts, job))
    for stop in range(1, count):
        lent = Lent(parts)
        told = AceStepV1Renderer().render([job], lent, fake_runtime())
        for _ in range(stop):
            next(told)
        assert len(lent.open) <= 1
        told.close()
        assert not lent.open


def test_latents_that_are_not_finite_are_told(parts):
    transformer = parts.parts["transformer"]

    class Broken:
        cross_cache = staticmethod(transformer.cross_cache)

        def __call__(self, latents, timestep, cache, *, weaken=None):
            return transformer(latents, timestep, cache, weaken=weaken) * float("nan")

    with pytest.raises(ModelError, match="not finite"):
        render_job(parts.with_parts(transformer=Broken()), job_of())


def test_v1_does_not_follow_lyrics():
    assert not isinstance(AceStepV1Renderer(), Follower)


@settings(max_examples=8, deadline=None)
@given(duration_s=st.floats(1, 3))
def test_a_song_has_every_sample_that_was_asked_for(parts, duration_s):
    events = render_job(parts, job_of(duration_s=duration_s, sampling={"steps": 1}))
    chunks = chunks_of(events)
    total = round(duration_s * RATE)
    at = 0
    for chunk in chunks:
        assert chunk.start == at
        assert chunk.total == total
        at += len(chunk.samples)
    assert at == total


@settings(max_examples=8, deadline=None)
@given(frames=st.integers(2, 40), left=st.integers(1, 30))
def test_a_source_that_begins_within_a_song_has_all_of_its_samples(parts, frames, left):
    """Frames are no whole number of samples, so that places of the source and of the song differ by parts of one."""
    source = own_song(frames)
    job = job_of(source=source, task={"kind": "extend", "left_s": left * GRID.frame_s}, sampling={"steps": 1})
    chunks = chunks_of(render_job(parts, job))
    assert job.resolved.canvas.source_at == GRID.samples(left)
    (first, end) = job.resolved.canvas.spans[0]
    covered = max(chunk.start + len(chunk.samples) for chunk in chunks)
    assert covered >= min(end + 2400, job.resolved.canvas.samples)
    assert chunks[0].start == first == 0
    assert all(isinstance(chunk, AudioChunk) and chunk.total == job.resolved.canvas.samples for chunk in chunks)


def test_notes_come_with_the_words(parts):
    events = render_job(parts, job_of(lyrics="la la la", language="sv"))
    places = [index for index, event in enumerate(events) if isinstance(event, Noted)]
    assert places
    assert max(places) < next(i for i, event in enumerate(events) if event == StageStarted("conditions"))
