"""What each task feeds the networks, tensor by tensor, against the table of tasks written out here by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from partita.render.protocol import StepDone
from partita.sampling.flow import start_from_source
from partita.sampling.noise import Stream, blend_retake, noise
from partita.sampling.schedules import linear_schedule, turbo_schedule
from partita.sampling.solvers import mix
from partita.song.request import Sampling
from tests.render.acestep15.tiny import (
    BASE,
    FRAME,
    TURBO,
    Spy,
    TinyParts,
    job_of,
    latents_of,
    render_job,
    sound,
    source_of,
)

SECONDS = 6.0
FRAMES = 150
FEW = {"steps": 4}
FILL = "Fill the audio semantic mask based on the given conditions:"
COVER = "Generate audio semantic tokens based on the given conditions:"
REPAINT = "Repaint the mask area based on the given conditions:"
CODES = tuple(range(100, 60_000, 2_000))  # 30 of them: six seconds


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(FRAMES, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def source(latents):
    return source_of(sound(SECONDS), latents)


def run(spy: Spy, model: str = TURBO, **fields):
    if model == BASE:
        fields["sampling"] = Sampling(**FEW, **fields.pop("sampling", {}))
    elif "sampling" in fields:
        fields["sampling"] = Sampling(**fields["sampling"])
    return render_job(spy.spied(), job_of(model=model, **fields))


def fed(spy: Spy) -> tuple[Tensor, Tensor]:
    """Source channels and chunk mask, the same at every call and for both halves of guidance."""
    contexts = [context for call in spy.calls for context in call.context]
    assert all(torch.equal(context, contexts[0]) for context in contexts)
    mask = contexts[0][:, 64:]
    assert torch.equal(mask, mask[:, :1].expand(-1, 64))
    return contexts[0][:, :64], mask[:, 0]


def marked(frames: int, *spans: tuple[int, int]) -> Tensor:
    mask = torch.zeros(frames)
    for first, end in spans:
        mask[first:end] = 1
    return mask


def hint(parts: TinyParts, codes: Tensor) -> Tensor:
    with torch.inference_mode():
        return parts.model.hint_from_codes(codes)[0]


def trip(parts: TinyParts, latents: Tensor) -> Tensor:
    with torch.inference_mode():
        return parts.model.hint_from_latents(latents[None], parts.silence[None])[0]


@pytest.mark.parametrize("model", [TURBO, BASE])
def test_text_to_music_feeds_silence(spy, model):
    run(spy, model, duration_s=SECONDS)
    channels, mask = fed(spy)
    assert torch.equal(channels, spy.parts.silence[:FRAMES])
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == [FILL]
    assert torch.equal(spy.calls[0].x[0], noise(1, (FRAMES, 64)))


def test_guidance_feeds_the_null_condition_beside_the_other(spy):
    run(spy, BASE, duration_s=SECONDS)
    call = spy.calls[0]
    assert call.x.shape[0] == call.context.shape[0] == call.hidden.shape[0] == 2
    assert torch.equal(call.hidden[1], spy.parts.model.null_condition_emb[0].expand_as(call.hidden[1]))
    assert not torch.equal(call.hidden[0], call.hidden[1])


@pytest.mark.parametrize("model", [TURBO, BASE])
def test_given_codes_are_a_hint_and_set_the_length(spy, model):
    run(spy, model, task={"kind": "text-to-music", "codes": CODES})
    channels, mask = fed(spy)
    assert torch.equal(channels, hint(spy.parts, torch.tensor([CODES])))
    assert torch.equal(mask, torch.ones(5 * len(CODES)))
    assert spy.instructions == [COVER]


def test_a_plans_codes_are_given_codes(spy):
    run(spy, duration_s=SECONDS, plan={"codes": CODES})
    channels, _ = fed(spy)
    assert torch.equal(channels, hint(spy.parts, torch.tensor([CODES])))


def test_codes_of_half_strength_give_way_to_plain_conditions(spy):
    run(spy, task={"kind": "text-to-music", "codes": CODES, "strength": 0.5})
    with_codes, plain = spy.calls[:4], spy.calls[4:]
    expected = hint(spy.parts, torch.tensor([CODES]))
    assert all(torch.equal(call.context[0, :, :64], expected) for call in with_codes)
    assert all(torch.equal(call.context[0, :, :64], spy.parts.silence[:FRAMES]) for call in plain)
    assert all(torch.equal(call.context[..., 64:], torch.ones(1, FRAMES, 64)) for call in spy.calls)
    assert spy.instructions == [COVER, FILL]


@pytest.mark.parametrize("model", [TURBO, BASE])
def test_a_cover_feeds_the_sources_trip_through_codes(spy, source, latents, model):
    run(spy, model, task={"kind": "cover"}, source=source)
    channels, mask = fed(spy)
    assert torch.equal(channels, trip(spy.parts, latents))
    assert not torch.equal(channels, latents)
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == [COVER]


def test_a_cover_without_codes_feeds_the_source_itself(spy, source, latents):
    run(spy, task={"kind": "cover", "fsq": False}, source=source)
    channels, mask = fed(spy)
    assert torch.equal(channels, latents)
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == [COVER]


def test_a_cover_of_no_strength_is_text_to_music(spy, source):
    cover = run(spy, task={"kind": "cover", "strength": 0}, source=source)
    covered = list(spy.calls)
    spy.calls.clear()
    plain = run(spy, duration_s=SECONDS)
    for ours, theirs in zip(covered, spy.calls, strict=True):
        assert torch.equal(ours.context, theirs.context)
        assert torch.equal(ours.hidden, theirs.hidden)
    assert torch.equal(latents_of(cover), latents_of(plain))


@pytest.mark.parametrize("strength", [0.3, 0.99])
def test_a_cover_lets_go_after_its_share_of_the_steps(spy, source, strength):
    run(spy, task={"kind": "cover", "strength": strength}, source=source)
    silent = [torch.equal(call.context[0, :, :64], spy.parts.silence[:FRAMES]) for call in spy.calls]
    assert silent == [step >= int(8 * strength) for step in range(8)]


@pytest.mark.parametrize(("model", "strength"), [(TURBO, 0.4), (TURBO, 0.9), (BASE, 0.3)])
def test_a_cover_may_begin_at_the_noised_source_before_codes(spy, source, latents, model, strength):
    events = run(spy, model, task={"kind": "cover", "noise_strength": strength, "strength": 0.5}, source=source)
    schedule = turbo_schedule(torch.float32) if model == TURBO else linear_schedule(4, 1.0, torch.float32)
    rest, start = start_from_source(schedule, noise(1, (FRAMES, 64)), latents, strength)
    assert torch.equal(spy.calls[0].x[0], start)
    assert [call.t for call in spy.calls] == list(rest.times[:-1])
    assert [event.count for event in events if isinstance(event, StepDone)] == [rest.steps] * rest.steps
    silent = [torch.equal(call.context[0, :, :64], spy.parts.silence[:FRAMES]) for call in spy.calls]
    assert silent == [step >= int(rest.steps * 0.5) for step in range(rest.steps)]


def test_audio_to_audio_walks_from_the_noised_source_by_words_alone(spy, source, latents):
    run(spy, task={"kind": "audio-to-audio", "strength": 0.4}, source=source)
    channels, mask = fed(spy)
    assert torch.equal(channels, spy.parts.silence[:FRAMES])
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == [FILL]
    _, start = start_from_source(turbo_schedule(torch.float32), noise(1, (FRAMES, 64)), latents, 0.4)
    assert torch.equal(spy.calls[0].x[0], start)


REGION = {"kind": "repaint", "start_s": 2.0, "end_s": 3.5}
SPAN = (50, 87)  # 3.5 s lie inside frame 87, which stays the source's


@pytest.mark.parametrize("model", [TURBO, BASE])
def test_a_repaint_feeds_the_source_with_a_hole_of_silence(spy, source, latents, model):
    run(spy, model, task=REGION, source=source)
    channels, mask = fed(spy)
    expected = latents.clone()
    expected[slice(*SPAN)] = spy.parts.silence[slice(*SPAN)]
    assert torch.equal(channels, expected)
    assert torch.equal(mask, marked(FRAMES, SPAN))
    assert spy.instructions == [REPAINT]
    assert torch.equal(spy.calls[0].x[0], noise(1, (FRAMES, 64)))


@pytest.mark.parametrize(("mode", "value"), [("ones", 1.0), ("two", 2.0)])
def test_the_chunk_mask_may_be_left_to_the_model(spy, source, latents, mode, value):
    run(spy, task={**REGION, "chunk_mask": mode}, source=source)
    channels, mask = fed(spy)
    assert torch.equal(mask, torch.full((FRAMES,), value))
    assert not torch.equal(channels, latents)


@pytest.mark.parametrize("model", [TURBO, BASE])
def test_a_repaint_holds_the_noised_source_outside_for_its_share_of_the_steps(spy, source, latents, model):
    run(spy, model, task={**REGION, "mode": "balanced", "strength": 0.5}, source=source)
    first, outside = noise(1, (FRAMES, 64)), marked(FRAMES, SPAN) == 0
    held = [torch.allclose(call.x[0][outside], mix(first, latents, call.t)[outside], atol=1e-6) for call in spy.calls]
    steps = len(spy.calls)
    assert held == [step <= round(0.5 * steps) for step in range(steps)]


@pytest.mark.parametrize(("mode", "crossfade"), [({"mode": "conservative"}, 25), ({}, 12), ({"mode": "aggressive"}, 0)])
def test_latents_outside_a_repaint_are_the_sources(spy, source, latents, mode, crossfade):
    made = latents_of(run(spy, task={**REGION, **mode}, source=source))
    before, after = SPAN[0] - crossfade, SPAN[1] + crossfade
    assert torch.equal(made[:before], latents[:before])
    assert torch.equal(made[after:], latents[after:])
    same = (made == latents).all(dim=1)
    assert not same[before:after].any()


def test_a_whole_lego_hears_all_of_the_source(spy, source, latents):
    run(spy, BASE, task={"kind": "lego", "track": "drums"}, source=source)
    channels, mask = fed(spy)
    assert torch.equal(channels, latents)
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == ["Generate the DRUMS track based on the audio context:"]


def test_lego_in_a_region_hears_the_source_there_too(spy, source, latents):
    made = latents_of(run(spy, BASE, task={**REGION, "kind": "lego", "track": "backing_vocals"}, source=source))
    channels, mask = fed(spy)
    assert torch.equal(channels, latents)
    assert torch.equal(mask, marked(FRAMES, SPAN))
    assert spy.instructions == ["Generate the BACKING_VOCALS track based on the audio context:"]
    assert torch.equal(made[: SPAN[0] - 12], latents[: SPAN[0] - 12])


@pytest.mark.parametrize(
    ("task", "instruction"),
    [
        ({"kind": "extract", "track": "bass"}, "Extract the BASS track from the audio:"),
        ({"kind": "complete", "tracks": ("drums", "bass")}, "Complete the input track with DRUMS | BASS:"),
        ({"kind": "complete"}, "Complete the input track:"),
    ],
)
def test_stems_tasks_feed_the_source_and_make_all(spy, source, latents, task, instruction):
    run(spy, BASE, task=task, source=source)
    channels, mask = fed(spy)
    assert torch.equal(channels, latents)
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == [instruction]
    assert torch.equal(spy.calls[0].x[0], noise(1, (FRAMES, 64)))


@pytest.mark.parametrize("model", [TURBO, BASE])
def test_extending_puts_silence_around_the_source(spy, source, latents, model):
    made = latents_of(run(spy, model, task={"kind": "extend", "left_s": 1.0, "right_s": 2.0}, source=source))
    frames = FRAMES + 75
    channels, mask = fed(spy)
    silence = spy.parts.silence
    assert torch.equal(channels, torch.cat([silence[:25], latents, silence[175:225]]))
    assert torch.equal(mask, marked(frames, (0, 25), (175, 225)))
    assert spy.instructions == [REPAINT]
    # Not even a cross-fade reaches into what is extended.
    assert torch.equal(made[25:175], latents)
    assert not (made[:25] == silence[:25]).all(dim=1).any()


def test_outpainting_may_begin_before_the_source_and_end_inside_it(spy, source, latents):
    run(spy, task={"kind": "outpaint", "start_s": -1.0, "end_s": 2.0}, source=source)
    channels, mask = fed(spy)
    silence = spy.parts.silence
    assert torch.equal(channels, torch.cat([silence[:75], latents[50:]]))
    assert torch.equal(mask, marked(FRAMES + 25, (0, 75)))


def test_outpainting_may_end_after_the_source(spy, source, latents):
    made = latents_of(run(spy, task={"kind": "outpaint", "start_s": 5.0, "end_s": 7.0}, source=source))
    channels, mask = fed(spy)
    assert torch.equal(channels, torch.cat([latents[:125], spy.parts.silence[125:175]]))
    assert torch.equal(mask, marked(175, (125, 175)))
    assert torch.equal(made[: 125 - 12], latents[: 125 - 12])


def test_what_is_held_around_an_extension_is_the_source(spy, source, latents):
    run(spy, task={"kind": "extend", "right_s": 2.0, "mode": "conservative"}, source=source)
    first = noise(1, (FRAMES + 50, 64))
    for call in spy.calls[1:]:
        torch.testing.assert_close(
            call.x[0, :FRAMES], mix(first[:FRAMES], latents, call.t), atol=1e-6, rtol=0, msg=f"at {call.t}"
        )


def test_a_source_that_ends_inside_a_frame_has_that_frame(spy):
    audio = sound(SECONDS + 0.01)
    codec = spy.parts.parts["vae"]
    run(spy, task={"kind": "cover", "fsq": False}, source=source_of(audio))
    channels, _ = fed(spy)
    assert torch.equal(channels, codec.latents(audio))
    assert len(channels) == FRAMES + 1


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_a_short_source_is_padded_with_silence_from_its_beginning(spy, seconds):
    audio = sound(seconds)
    frames = -(-len(audio) // FRAME)
    events = run(spy, task={"kind": "cover", "fsq": False}, source=source_of(audio))
    channels, mask = fed(spy)
    assert torch.equal(channels, torch.cat([spy.parts.parts["vae"].latents(audio), spy.parts.silence[: 128 - frames]]))
    assert torch.equal(mask, torch.ones(128))
    assert len(latents_of(events)) == frames


def test_a_retake_of_no_variance_is_the_song(spy):
    song = run(spy, seed=7, duration_s=SECONDS)
    retake = run(spy, seed=9, duration_s=SECONDS, task={"kind": "retake", "of_seed": 7, "variance": 0})
    assert torch.equal(latents_of(song), latents_of(retake))


@pytest.mark.parametrize("variance", [0.25, 1.0])
def test_a_retake_turns_the_songs_noise_towards_that_of_its_own_seed(spy, variance):
    run(spy, seed=9, duration_s=SECONDS, task={"kind": "retake", "of_seed": 7, "variance": variance})
    own, other = noise(7, (FRAMES, 64)), noise(9, (FRAMES, 64), Stream.RETAKE)
    assert torch.equal(spy.calls[0].x[0], blend_retake(own, other, variance))
    if variance == 1:
        torch.testing.assert_close(spy.calls[0].x[0], other)


def test_a_retake_keeps_the_draws_of_the_stochastic_solver(spy):
    song = run(spy, seed=7, duration_s=SECONDS, sampling={"solver": "sde"})
    retake = run(
        spy,
        seed=9,
        duration_s=SECONDS,
        task={"kind": "retake", "of_seed": 7, "variance": 0},
        sampling={"solver": "sde"},
    )
    assert torch.equal(latents_of(song), latents_of(retake))


EDIT = {"kind": "edit", "source_caption": "a slow waltz", "source_lyrics": "one two three", "recipe": "lyrics"}


@pytest.mark.parametrize(("model", "steps"), [(TURBO, 8), (BASE, 4)])
def test_an_edit_sees_both_words_and_nothing_of_the_source(spy, source, model, steps):
    events = run(spy, model, caption="a fast waltz", task={**EDIT, "n_min": 0.5}, source=source)
    channels, mask = fed(spy)
    assert torch.equal(channels, spy.parts.silence[:FRAMES])
    assert torch.equal(mask, torch.ones(FRAMES))
    assert spy.instructions == [FILL, FILL]
    assert any("a fast waltz" in text for text in spy.texts)
    assert any("a slow waltz" in text for text in spy.texts)
    assert any("one two three" in text for text in spy.texts)
    assert sum(isinstance(event, StepDone) for event in events) == steps - int(steps * 0.5)
    assert len(spy.calls) == 2 * (steps - int(steps * 0.5))


@pytest.mark.parametrize(("follow", "instruction"), [("codes", COVER), ("latents", COVER)])
def test_an_edit_may_follow_its_source(spy, source, latents, follow, instruction):
    run(spy, caption="other", task={**EDIT, "follow": follow}, source=source)
    channels, _ = fed(spy)
    assert torch.equal(channels, trip(spy.parts, latents) if follow == "codes" else latents)
    assert spy.instructions == [instruction, instruction]


def test_an_edit_begins_at_the_source_under_its_own_noise(spy, source, latents):
    run(spy, seed=5, caption="other", task={**EDIT, "n_min": 0.5, "n_avg": 2}, source=source)
    schedule = turbo_schedule(torch.float32)
    drawn = [noise(5, (FRAMES, 64), Stream.FLOW_EDIT, 4 * 2 + repeat) for repeat in range(2)]
    assert not torch.equal(*drawn)
    for call, fresh in zip(spy.calls[:2], drawn, strict=True):
        assert torch.equal(call.x[0], mix(fresh, latents, schedule.times[4]))


def test_an_edit_with_the_sources_own_words_leaves_it(spy, source, latents):
    words = {"caption": "a slow waltz", "lyrics": "one two three"}
    events = run(spy, caption="other", task={**EDIT, "n_min": 0.0, "n_max": 1.0}, source=source, plan=words)
    assert torch.equal(latents_of(events), latents)


def test_an_edit_of_a_region_leaves_the_rest(spy, source, latents):
    task = {**EDIT, "n_min": 0.0, "start_s": 2.0, "end_s": 3.5}
    made = latents_of(run(spy, caption="other", task=task, source=source))
    assert torch.equal(made[: 50 - 12], latents[: 50 - 12])
    assert torch.equal(made[87 + 12 :], latents[87 + 12 :])
    assert not (made[50:87] == latents[50:87]).all(dim=1).any()
    _, mask = fed(spy)
    assert torch.equal(mask, torch.ones(FRAMES))


@pytest.mark.parametrize("solver", ["euler", "heun", "dpmpp-2m", "sde"])
@pytest.mark.parametrize("model", [TURBO, BASE])
def test_every_solver_repaints(spy, source, latents, model, solver):
    made = latents_of(run(spy, model, task=REGION, source=source, sampling={"solver": solver}))
    assert torch.equal(made[:38], latents[:38])
    assert torch.isfinite(made).all()
    looks = {"heun": {TURBO: 15, BASE: 8}}.get(solver, {TURBO: 8, BASE: 4})
    assert len(spy.calls) == looks[model]


def test_every_solver_makes_another_song(spy):
    songs = [
        latents_of(run(spy, duration_s=SECONDS, sampling={"solver": solver}))
        for solver in ("euler", "heun", "dpmpp-2m", "sde")
    ]
    for index, song in enumerate(songs):
        assert not any(torch.equal(song, other) for other in songs[:index])


def test_metadata_says_the_length_of_the_canvas(spy, source):
    run(
        spy,
        task={"kind": "extend", "right_s": 4.0},
        source=source,
        plan={"bpm": 98, "key": "C minor", "time_signature": "3/4"},
    )
    (prompt,) = [text for text in spy.texts if text.startswith("# Instruction")]
    assert "- bpm: 98\n- timesignature: 3\n- keyscale: C minor\n- duration: 10 seconds\n" in prompt


def test_the_level_of_a_source_is_left_alone(spy):
    audio = sound(SECONDS)
    run(spy, task={"kind": "cover", "fsq": False}, source=source_of(np.float32(1.5) * audio))
    channels, _ = fed(spy)
    torch.testing.assert_close(channels, 1.5 * spy.parts.parts["vae"].latents(audio))
