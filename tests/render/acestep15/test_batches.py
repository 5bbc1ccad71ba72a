"""Several songs in one call: none hears another, every network is loaded once, and events say whose they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from partita.render.protocol import AudioChunk, LatentsReady, Noted, StageStarted, StepDone
from partita.song.request import Sampling
from tests.render.acestep15.tiny import (
    BASE,
    TURBO,
    TinyParts,
    job_of,
    latents_by_job,
    latents_of,
    render_all,
    render_job,
    sound,
    source_of,
)

STEPS = Sampling(steps=3)


def uneven(**fields: Any) -> list[Any]:
    """Songs whose words and references differ in length, of one length and manner."""
    words = [
        ("x", ""),
        ("a much longer caption than that", "one two three\nfour five six seven"),
        ("brass", "la " * 30),
    ]
    references = [(), (source_of(sound(3, 8), name="b"), source_of(sound(35, 9), name="c")), ()]
    return [
        job_of(seed=seed, caption=caption, lyrics=lyrics, references=heard, **fields)
        for seed, ((caption, lyrics), heard) in enumerate(zip(words, references, strict=True))
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": TURBO},
        {"model": BASE, "sampling": STEPS},
        {"model": BASE, "sampling": Sampling(steps=3, guidance="adg", solver="heun")},
        {"model": TURBO, "sampling": Sampling(solver="sde")},
        {"model": TURBO, "sampling": Sampling(solver="dpmpp-2m")},
        {"model": TURBO, "task": {"kind": "cover", "strength": 0.5}, "source": source_of(sound(6))},
        {"model": BASE, "sampling": STEPS, "task": {"kind": "repaint", "start_s": 2}, "source": source_of(sound(6))},
        {
            "model": BASE,
            "sampling": STEPS,
            "task": {"kind": "edit", "source_caption": "slow", "n_min": 0, "n_avg": 2},
            "source": source_of(sound(6)),
        },
    ],
    ids=["turbo", "base", "adg-heun", "sde", "dpmpp-2m", "cover", "repaint", "edit"],
)
def test_songs_of_uneven_words_are_in_a_batch_what_they_are_alone(parts, fields):
    jobs = uneven(**fields)
    alone = [latents_of(render_job(parts, job)) for job in jobs]
    together = latents_by_job(render_all(parts, jobs, batch=8))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)


def test_on_a_cpu_songs_are_the_same_to_the_bit_whatever_is_rendered_with_them(parts):
    jobs = [*uneven(), *uneven(task={"kind": "repaint", "start_s": 2}, source=source_of(sound(6)))]
    told = render_all(parts, jobs)
    for index, job in enumerate(jobs):
        # A source that songs share is encoded, and told, once.
        events = [event for event in render_job(parts, job) if not isinstance(event, StepDone)]
        own = [one.event for one in told if one.job == index and not isinstance(one.event, StepDone)]
        assert [type(event) for event in own] == [type(event) for event in events]
        assert torch.equal(latents_of(own), latents_of(events))
        for ours, theirs in zip(own, events, strict=True):
            if isinstance(ours, AudioChunk):
                assert (ours.start, ours.total) == (theirs.start, theirs.total)
                np.testing.assert_array_equal(ours.samples, theirs.samples)


def test_songs_of_one_length_and_manner_go_through_the_transformer_together(spy):
    jobs = [job_of(seed=seed) for seed in range(3)] + [job_of(seed=4, duration_s=6), job_of(seed=5)]
    render_all(spy.spied(), jobs, batch=3)
    assert [len(call.x) for call in spy.calls[::8]] == [3, 1, 1]
    assert [call.x.shape[1] for call in spy.calls[::8]] == [128, 128, 150]


def test_only_uneven_conditions_are_masked(spy):
    render_all(spy.spied(), [job_of(seed=seed) for seed in range(2)], batch=2)
    assert all(call.mask is None for call in spy.calls)
    spy.calls.clear()
    render_all(spy.spied(), uneven(), batch=3)
    lengths = {tuple(call.mask.sum(1).tolist()) for call in spy.calls}
    (counts,) = lengths
    assert max(counts) == spy.calls[0].hidden.shape[1]
    assert len(set(counts)) == 3


def test_each_part_is_used_once_a_stage(parts):
    counted = parts.with_parts()
    source = source_of(sound(6))
    jobs = [
        *uneven(model=BASE, sampling=STEPS),
        job_of(model=BASE, sampling=STEPS, source=source, task={"kind": "cover"}),
        job_of(model=BASE, sampling=STEPS, source=source, task={"kind": "extract", "track": "drums"}),
    ]
    render_all(counted, jobs)
    assert counted.used == {
        "text_encoder": 1,
        "vae": 2,
        "silence_latent": 1,
        "audio_tokenizer": 1,
        "audio_detokenizer": 1,
        "conditioner": 1,
        "transformer": 1,
    }


def test_a_song_from_words_needs_no_codec_before_the_end_and_no_tokenizer(parts):
    counted = parts.with_parts()
    render_all(counted, [job_of()])
    assert counted.used["vae"] == 1
    assert "audio_tokenizer" not in counted.used


def test_audio_that_songs_share_is_encoded_once(parts):
    codec = parts.parts["vae"]
    codec.encoded.clear()
    source = source_of(sound(6))
    render_all(parts, [job_of(seed=seed, source=source, task={"kind": "cover"}) for seed in range(3)])
    assert len(codec.encoded) == 1


def test_events_say_whose_they_are(parts):
    jobs = [job_of(), job_of(caption="word " * 400), job_of(source=source_of(sound(6)), task={"kind": "cover"})]
    told = render_all(parts, jobs)
    stages = [
        [one.event.name for one in told if one.job == job and isinstance(one.event, StageStarted)] for job in (0, 1, 2)
    ]
    usual = ["text", "conditions", "sample", "decode"]
    assert stages == [usual, usual, ["text", "source", *usual[1:]]]
    assert [one.job for one in told if isinstance(one.event, Noted)] == [1]
    assert sorted(one.job for one in told if isinstance(one.event, LatentsReady)) == [0, 1, 2]
    for job in range(3):
        assert sum(one.job == job and isinstance(one.event, StepDone) for one in told) == 8 + (job == 2)


def test_a_song_whose_latents_are_kept_is_only_decoded(parts):
    first, second = job_of(seed=1), job_of(seed=2)
    kept = latents_of(render_job(parts, first))
    told = render_all(parts, [replace(first, latents=kept), second])
    own = [one.event for one in told if one.job == 0]
    assert not any(isinstance(event, StepDone) for event in own)
    assert torch.equal(latents_of(own), kept)
    assert sum(isinstance(one.event, StepDone) for one in told if one.job == 1) == 8


def test_in_parity_uneven_songs_are_padded_together_and_nothing_is_masked(spy):
    jobs = uneven(parity=True)
    told = render_all(spy.spied(), jobs, batch=8)
    assert len(spy.calls) == 8
    assert all(len(call.x) == 3 and call.mask is None for call in spy.calls)
    alone = [latents_of(render_job(spy.parts, job)) for job in jobs]
    together = latents_by_job(told)
    assert all(not torch.allclose(one, other, atol=1e-4) for one, other in zip(alone, together, strict=True))
    singly = latents_by_job(render_all(spy.parts, jobs, batch=1))
    for one, other in zip(singly, together, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)


def test_in_parity_songs_of_even_words_are_what_they_are_alone(parts):
    jobs = [job_of(seed=seed, parity=True) for seed in range(2)]
    together = latents_by_job(render_all(parts, jobs))
    assert all(torch.equal(latents_of(render_job(parts, job)), one) for job, one in zip(jobs, together, strict=True))


def test_closing_the_generator_stops_the_work(spy):
    from partita.render.acestep15.renderer import AceStep15Renderer
    from tests.fakes import fake_runtime

    events = AceStep15Renderer().render([job_of()], spy.spied(), fake_runtime())
    for told in events:
        if isinstance(told.event, StepDone):
            break
    events.close()
    assert len(spy.calls) == 1
    assert not torch.is_inference_mode_enabled()


def test_the_tests_own_parts_are_complete(parts: TinyParts):
    from partita.weights.acestep15 import PART_NAMES

    assert set(parts.parts) == set(PART_NAMES)


def test_what_conditions_share_is_encoded_once(parts):
    encoder, calls = parts.model.encoder, []
    hooks = [
        part.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
        for part in (encoder.lyric_encoder, encoder.timbre_encoder, encoder.text_projector)
    ]
    source = source_of(sound(6))
    covers = [job_of(seed=seed, source=source, task={"kind": "cover", "strength": 0.5}) for seed in range(3)]
    try:
        render_all(parts, covers)
    finally:
        for hook in hooks:
            hook.remove()
    assert sorted(calls) == ["Linear", "Linear", "LyricEncoder", "TimbreEncoder"]
