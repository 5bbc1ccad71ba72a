"""Where parity differs: the original's lengths, draws, waveforms, blending and masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from partita.render.acestep15.recipe import recipe_of
from partita.render.protocol import Noted
from partita.sampling.noise import Stream, blend_retake, noise, parity_noise
from partita.sampling.solvers import mix
from partita.song.request import Sampling
from tests.render.acestep15.tiny import (
    BASE,
    RATE,
    TURBO,
    audio_of,
    job_of,
    latents_of,
    render_job,
    sound,
    source_of,
)

SECONDS = 6.03  # 150.75 frames
FRAMES = 150
REGION = {"kind": "repaint", "start_s": 2.0, "end_s": 3.5}


@pytest.fixture
def source():
    return source_of(sound(SECONDS), torch.zeros(151, 64))


def drawn(parts, audio: np.ndarray, seed: int = 1) -> torch.Tensor:
    """The codec's distribution as the original takes it: a draw from it."""
    mean = parts.parts["vae"].latents(audio)
    return mean + 0.25 * noise(seed, mean.shape, Stream.SOURCE)


def run(spy, **fields):
    return render_job(spy.spied(), job_of(parity=True, **fields))


def test_a_source_is_cut_to_whole_frames_and_drawn_from_its_distribution(spy, source):
    events = run(spy, task={"kind": "cover", "fsq": False}, source=source)
    expected = drawn(spy.parts, source.audio[: FRAMES * 1920])
    torch.testing.assert_close(spy.calls[0].context[0, :, :64], expected)
    assert torch.equal(spy.calls[0].x, parity_noise([1], (FRAMES, 64)))
    assert len(audio_of(events)) == FRAMES * 1920
    assert len(latents_of(events)) == FRAMES


def test_a_short_source_is_kept_with_its_padding(spy):
    events = run(spy, task={"kind": "cover"}, source=source_of(sound(1)))
    assert len(latents_of(events)) == 128
    assert len(audio_of(events)) == 128 * 1920


def test_the_canvas_is_encoded_as_one_waveform(spy, source):
    run(spy, task={"kind": "outpaint", "start_s": -1.01, "end_s": 7.5}, source=source)
    left, right = int(1.01 * RATE), int((7.5 - SECONDS) * RATE)
    canvas = np.concatenate([np.zeros((left, 2), np.float32), source.audio, np.zeros((right, 2), np.float32)])
    frames = len(canvas) // 1920
    clean = drawn(spy.parts, canvas[: frames * 1920])
    (context,) = spy.calls[0].context
    # The region covers the whole canvas, so that nothing of the source is left to hear.
    assert torch.equal(context[:, :64], spy.parts.silence[:frames])
    assert torch.equal(context[:, 64:], torch.ones(frames, 64))
    spy.calls.clear()
    run(spy, task={"kind": "extend", "left_s": 1.01}, source=source)
    frames = (left + len(source.audio)) // 1920
    made = int((0 + 1.01) * RATE // 1920)
    (context,) = spy.calls[0].context
    assert torch.equal(context[:made, :64], spy.parts.silence[:made])
    torch.testing.assert_close(context[made:, :64], drawn(spy.parts, canvas[: frames * 1920])[made:])
    assert len(clean) > frames


@pytest.mark.parametrize(("model", "last"), [(TURBO, False), (BASE, True)])
def test_a_repaint_holds_and_blends_as_the_original(spy, source, model, last):
    fields = {"sampling": Sampling(steps=4)} if model == BASE else {}
    made = latents_of(run(spy, model=model, task={**REGION, "mode": "conservative"}, source=source, **fields))
    clean = drawn(spy.parts, source.audio[: FRAMES * 1920])
    first = parity_noise([1], (FRAMES, 64))[0]
    for call in spy.calls:
        torch.testing.assert_close(call.x[0, :50], mix(first, clean, call.t)[:50])
    torch.testing.assert_close(made[:25], clean[:25])
    ramp = (torch.arange(1, 26) / 26)[:, None]
    inside_ramp = made[25:50] - (1 - ramp) * clean[25:50]
    held = torch.allclose(inside_ramp, ramp * clean[25:50], atol=1e-5)
    assert held == last  # base injects after its last step too


def test_an_aggressive_repaint_is_left_unblended(spy, source):
    made = latents_of(run(spy, task={**REGION, "mode": "aggressive"}, source=source))
    clean = drawn(spy.parts, source.audio[: FRAMES * 1920])
    assert not torch.isclose(made[:50], clean[:50]).all(dim=1).any()


def test_a_region_is_decoded_with_all_the_rest(spy, source):
    assert len(audio_of(run(spy, task=REGION, source=source))) == FRAMES * 1920


def test_a_retake_takes_the_originals_generators(spy):
    run(spy, seed=9, duration_s=6, task={"kind": "retake", "of_seed": 7, "variance": 0.3})
    own, other = parity_noise([7], (150, 64)), parity_noise([9], (150, 64))
    assert torch.equal(spy.calls[0].x, blend_retake(own, other, 0.3))


def test_an_edit_draws_from_one_generator(spy, source):
    task = {"kind": "edit", "source_caption": "slow", "n_min": 0.0, "n_avg": 2}
    run(spy, caption="fast", seed=4, task=task, source=source)
    generator = torch.Generator().manual_seed(4)
    draws = [torch.randn((FRAMES, 64), generator=generator) for _ in range(3)]
    # At the first step the state is noise alone: two draws for the source, then the same two moved.
    torch.testing.assert_close(spy.calls[0].x[0], draws[0])
    torch.testing.assert_close(spy.calls[1].x[0], draws[1])


def test_a_silent_source_is_the_silence_latent(spy):
    silent = source_of(np.zeros((6 * RATE, 2), np.float32))
    run(spy, task={"kind": "cover", "fsq": False}, source=silent)
    assert torch.equal(spy.calls[0].context[0, :, :64], spy.parts.silence[:150])


def test_metadata_says_the_length_of_the_source(spy, source):
    run(spy, task={"kind": "extend", "right_s": 10}, source=source)
    (prompt,) = [text for text in spy.texts if text.startswith("# Instruction")]
    assert "- duration: 6 seconds\n" in prompt


def test_latents_from_a_user_follow_our_own_layout(spy):
    latents = torch.randn(150, 64)
    events = run(spy, task={"kind": "cover", "fsq": False}, source=source_of(latents=latents))
    assert torch.equal(spy.calls[0].context[0, :, :64], latents)
    assert len(latents_of(events)) == 150
    assert any(isinstance(event, Noted) and "takes no latents" in event.message for event in events)


@pytest.mark.parametrize(
    ("task", "spans"),
    [
        ({"kind": "repaint", "start_s": 2.0, "end_s": 3.5}, ((50, 87),)),
        ({"kind": "repaint", "start_s": 4.0}, ((100, 150),)),
        ({"kind": "lego", "track": "drums"}, ((0, 150),)),
        ({"kind": "extend", "right_s": 2.0}, ((150, 200),)),
        ({"kind": "extend", "left_s": 2.0, "right_s": 2.0}, ((0, 50), (200, 250))),
        ({"kind": "complete"}, ()),
        ({"kind": "cover"}, ()),
    ],
)
def test_layouts_are_the_originals(source, task, spans):
    recipe = recipe_of(job_of(model=BASE, parity=True, task=task, source=source))
    assert recipe.layout.spans == spans
    assert recipe.kept_frames == recipe.layout.frames


@pytest.mark.parametrize("count", [3, 30])
def test_codes_set_the_length(spy, count):
    run(spy, task={"kind": "text-to-music", "codes": tuple(range(count))})
    assert spy.calls[0].x.shape[1] == max(128, 5 * count)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"kind": "audio-to-audio"}, "no audio-to-audio"),
        ({"kind": "extend", "left_s": 1, "right_s": 1}, "both at once"),
        ({"kind": "cover"}, None),
        ({"kind": "extend", "left_s": 1}, None),
    ],
)
def test_what_the_original_cannot_do_is_noted(source, task, words):
    note = recipe_of(job_of(parity=True, task=task, source=source)).note
    assert (note is None) if words is None else (note is not None and words in note)
    assert recipe_of(job_of(task=task, source=source)).note is None
