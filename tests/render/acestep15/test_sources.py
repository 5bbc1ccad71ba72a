"""What is heard of sources and references, and which stretches of a song are decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from partita.models.oobleck_tiling import decode_tiled
from partita.render.acestep15.recipe import recipe_of
from partita.render.acestep15.sources import Heard, Listener, clip_starts, cut_clips
from partita.render.protocol import AudioChunk, LatentsReady, StepDone
from tests.render.acestep15.tiny import (
    FRAME,
    RATE,
    TURBO,
    audio_of,
    job_of,
    latents_of,
    render_job,
    sound,
    source_of,
)

CLIP = 10 * RATE
REGION = {"kind": "repaint", "start_s": 7.0, "end_s": 10.5}


def heard(spy, **fields: Any) -> torch.Tensor:
    """References as the timbre encoder gets them."""
    got = []
    encoder = spy.parts.model.encoder.timbre_encoder
    handle = encoder.register_forward_pre_hook(lambda module, arguments: got.append(arguments[0]))
    try:
        render_job(spy.spied(), job_of(**fields))
    finally:
        handle.remove()
    return got[0]


def test_without_a_reference_silence_is_heard(spy):
    assert torch.equal(heard(spy), spy.parts.silence[None, :750])


def test_thirty_seconds_are_heard_whole_where_there_are_no_more(spy):
    audio = sound(30)
    assert torch.equal(heard(spy, references=(source_of(audio),))[0], spy.parts.parts["vae"].latents(audio))


def test_a_short_reference_is_repeated(spy):
    audio = sound(4)
    (latents,) = heard(spy, references=(source_of(audio),))
    (starts,) = clip_starts([len(audio)], [CLIP], 1)
    expected = cut_clips(torch.from_numpy(np.tile(audio, (8, 1))), CLIP, starts)
    assert torch.equal(latents, spy.parts.parts["vae"].latents(expected.numpy()))


def test_each_reference_is_heard_in_its_place(spy):
    first, second = source_of(sound(30, 5), name="b"), source_of(sound(30, 6), name="c")
    codec = spy.parts.parts["vae"]
    got = heard(spy, references=(first, second))
    assert torch.equal(got, torch.stack([codec.latents(sound(30, 5)), codec.latents(sound(30, 6))]))
    given = [call.hidden for call in spy.calls]
    spy.calls.clear()
    swapped = heard(spy, references=(second, first))
    assert torch.equal(swapped, got.flip(0))
    assert not torch.equal(spy.calls[0].hidden, given[0])
    spy.calls.clear()
    heard(spy, references=(first,))
    assert spy.calls[0].hidden.shape[1] == given[0].shape[1] - 1


def test_references_go_by_the_seed(spy):
    reference = (source_of(sound(50)),)
    one, again, other = (heard(spy, references=reference, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_retake_hears_what_its_song_has_heard(spy):
    reference = (source_of(sound(50)),)
    retake = {"kind": "retake", "of_seed": 4, "variance": 0.5}
    song = heard(spy, references=reference, seed=4)
    assert torch.equal(heard(spy, references=reference, seed=5, task=retake, duration_s=5.12), song)


def test_two_uses_of_one_reference_are_cut_differently(spy):
    reference = source_of(sound(50))
    first, second = heard(spy, references=(reference, reference))
    assert not torch.equal(first, second)


def test_a_reference_of_latents_is_cut_in_frames(spy):
    spy.parts.parts["vae"].encoded.clear()
    latents = torch.randn(1200, 64)
    (got,) = heard(spy, references=(source_of(latents=latents),))
    (starts,) = clip_starts([1200], [250], 1)
    assert torch.equal(got, torch.cat([latents[start : start + 250] for start in starts]))
    assert not spy.parts.parts["vae"].encoded


@given(
    length=st.integers(1, 40_000), clip=st.integers(1, 4_000), seed=st.integers(0, 2**32 - 1), original=st.booleans()
)
def test_clips_begin_one_in_each_third_and_are_whole(length, clip, seed, original):
    (starts,) = clip_starts([length], [clip], seed, original=original)
    total = length * max(1, -(-3 * clip // length))
    third = total // 3
    for number, start in enumerate(starts):
        assert number * third <= start
        assert start + clip <= (total if number == 2 else (number + 1) * third)
    assert len(cut_clips(torch.zeros(length, 1), clip, starts)) == 3 * clip


def test_the_originals_offsets_are_those_of_pythons_generator():
    import random

    random.seed(17)
    expected = [
        random.randint(0, 1000 - 250),
        1000 + random.randint(0, 1000 - 250),
        2000 + random.randint(0, 1001 - 250),
    ]
    assert clip_starts([3001], [250], 17, original=True) == [tuple(expected)]


def test_a_long_source_is_encoded_in_tiles_that_agree_with_one_pass(parts):
    audio, codec = sound(60), parts.parts["vae"]
    job = job_of(source=source_of(audio), task={"kind": "cover"})
    *steps, got = Listener(codec, torch.device("cpu")).hear(job, recipe_of(job))
    assert steps == [StepDone(1, 2), StepDone(2, 2)]
    assert isinstance(got, Heard)
    assert torch.equal(got.source, codec.latents(audio))


def test_kept_latents_are_used_and_nothing_is_encoded(spy):
    codec = spy.parts.parts["vae"]
    codec.encoded.clear()
    latents = torch.randn(200, 64)
    render_job(spy.spied(), job_of(source=source_of(sound(6.5), latents), task={"kind": "cover", "fsq": False}))
    # Kept latents may be longer than the song that was cut from them.
    assert torch.equal(spy.calls[0].context[0, :, :64], latents[:163])
    assert not codec.encoded


@pytest.fixture(scope="module")
def long_source():
    return source_of(sound(16), torch.randn(400, 64, generator=torch.Generator().manual_seed(1)))


def chunks_of(events: list[Any]) -> list[AudioChunk]:
    return [event for event in events if isinstance(event, AudioChunk)]


def test_of_a_repaint_only_what_was_made_is_decoded(parts, long_source):
    events = render_job(parts, job_of(source=long_source, task=REGION))
    chunks = chunks_of(events)
    assert chunks[0].total == 16 * RATE
    first, end = chunks[0].start, chunks[-1].start + len(chunks[-1].samples)
    assert first <= (7 - 0.05) * RATE
    assert end >= (10.5 + 0.05) * RATE
    assert end - first < 6 * RATE
    with torch.no_grad():
        whole = decode_tiled(parts.parts["vae"], latents_of(events).T[None])[0].T.numpy()
    # The windows see enough around them: only the order of additions differs.
    np.testing.assert_allclose(audio_of(events), whole[first:end], atol=1e-4 * np.abs(whole).max())


def test_without_the_sources_audio_all_is_decoded(parts, long_source):
    bare = source_of(latents=torch.from_numpy(long_source.latents))
    events = render_job(parts, job_of(source=bare, task=REGION))
    assert len(audio_of(events)) == 16 * RATE


def test_two_stretches_are_decoded_with_a_gap_between(parts, long_source):
    events = render_job(parts, job_of(source=long_source, task={"kind": "extend", "left_s": 2, "right_s": 2}))
    chunks = chunks_of(events)
    assert [chunk.start for chunk in chunks] == sorted(chunk.start for chunk in chunks)
    assert chunks[0].start == 0
    assert chunks[-1].start + len(chunks[-1].samples) == chunks[0].total == 20 * RATE
    assert sum(len(chunk.samples) for chunk in chunks) < 6 * RATE
    # The joint looks at 25 ms of the source.
    assert len(chunks[0].samples) >= 2.025 * RATE


def test_stretches_that_are_near_become_one(parts):
    source = source_of(sound(1), torch.randn(25, 64))
    events = render_job(parts, job_of(source=source, task={"kind": "extend", "left_s": 2, "right_s": 2}))
    assert len(audio_of(events)) == 5 * RATE


@pytest.mark.parametrize("samples", [RATE * 6, RATE * 6 + 1, RATE * 6 - 1, 4800])
def test_a_cover_is_as_long_as_its_source(parts, samples):
    events = render_job(parts, job_of(source=source_of(sound(samples / RATE)), task={"kind": "cover"}))
    assert len(audio_of(events)) == samples
    assert len(latents_of(events)) == -(-samples // FRAME)


def test_latents_of_an_edit_decode_again_to_the_same_samples(parts, long_source):
    from dataclasses import replace

    job = job_of(source=long_source, task=REGION)
    events = render_job(parts, job)
    again = render_job(parts, replace(job, latents=latents_of(events)))
    assert isinstance(again[0], LatentsReady)
    np.testing.assert_array_equal(audio_of(again), audio_of(events))
    assert [chunk.start for chunk in chunks_of(again)] == [chunk.start for chunk in chunks_of(events)]


def test_the_longest_source_has_room(parts):
    source = source_of(np.zeros((600 * RATE, 2), np.float32))
    recipe = recipe_of(job_of(model=TURBO, source=source, task={"kind": "cover"}))
    assert recipe.layout.frames == 15_000
    assert recipe.samples == 600 * RATE
