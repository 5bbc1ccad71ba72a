"""What each task feeds v1's transformer, and what it leaves as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from partita.render.acestepv1.sources import to_frames, to_rows
from partita.render.protocol import StepDone
from partita.sampling.noise import Stream, blend_retake, noise
from partita.sampling.schedules import shifted_twice_schedule
from partita.sampling.solvers import mix
from tests.render.acestepv1.tiny import (
    GRID,
    RATE,
    STEPS,
    Spy,
    chunks_of,
    job_of,
    latents_of,
    own_song,
    random_latents,
    render_job,
    sample_job,
    sound,
    source_of,
)

FRAMES = 54


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return random_latents(FRAMES)


@pytest.fixture(scope="module")
def source():
    return own_song(FRAMES)


@pytest.fixture
def run(parts, spy):
    spied = parts.with_parts(transformer=spy)

    def run(decode=False, **fields):
        spy.calls.clear()
        return (render_job if decode else sample_job)(spied, job_of(**fields))

    return run


def drawn(frames: int, seed: int = 1, stream: int = Stream.INITIAL) -> Tensor:
    """Noise as frames `[T, 128]`."""
    return noise(seed, (frames, 8, 16), stream).flatten(1)


def first(spy: Spy) -> Tensor:
    """What the transformer saw first, `[T, 128]`."""
    return to_frames(spy.calls[0].latents[0])


def test_latents_are_frames_of_channels_of_rows():
    latents = torch.arange(3 * 128).reshape(3, 128)
    assert torch.equal(to_frames(to_rows(latents)), latents)
    assert to_rows(latents)[2, 5, 1] == 128 + 16 * 2 + 5


def test_a_song_begins_with_noise_and_is_told_as_steps(run, spy):
    events = run(duration_s=3)
    assert torch.equal(first(spy), drawn(33))
    times = shifted_twice_schedule(STEPS, 3.0).times[:-1]
    assert [call.t for call in spy.calls] == pytest.approx([1000 * t for t in times])
    steps = [event for event in events if isinstance(event, StepDone)]
    assert steps == [StepDone(index, STEPS) for index in (1, 2, 3)]
    assert latents_of(events).shape == (33, 128)


def test_guidance_acts_in_the_middle_and_asks_for_both_halves_at_once(run, spy):
    run(duration_s=3, sampling={"steps": 4, "guidance_share": 0.5})
    assert [len(call.latents) for call in spy.calls] == [1, 2, 2, 1]
    whole, null = spy.calls[1].context.hidden
    assert not torch.equal(whole, null)
    assert spy.calls[1].weaken[0] is None
    assert spy.calls[1].weaken[1] is not None


def test_a_scale_of_one_asks_once(run, spy):
    run(duration_s=3, sampling={"guidance_scale": 1})
    assert [len(call.latents) for call in spy.calls] == [1] * STEPS


def test_two_strengths_ask_three_times(run, spy):
    run(duration_s=3, sampling={"guidance_text": 5, "guidance_lyrics": 1.5, "guidance_share": 1})
    assert [len(call.latents) for call in spy.calls] == [3] * STEPS


def test_a_retake_turns_the_songs_noise(run, spy):
    task = {"kind": "retake", "of_seed": 7, "variance": 0.3}
    run(seed=9, duration_s=3, task=task)
    assert torch.equal(first(spy), blend_retake(drawn(33, 7), drawn(33, 9, Stream.RETAKE), 0.3))


def test_a_retake_of_no_variance_is_the_song(run):
    song = run(seed=7, duration_s=3)
    retake = run(seed=9, duration_s=3, task={"kind": "retake", "of_seed": 7, "variance": 0})
    assert torch.equal(latents_of(song), latents_of(retake))


REGION = {"kind": "repaint", "start_s": 1.0, "end_s": 2.0}
SPAN = (10, 22)


@pytest.mark.parametrize("mode", [{"mode": "conservative"}, {}, {"mode": "aggressive"}])
def test_a_repaint_changes_its_frames_and_no_others(run, source, latents, mode):
    made = latents_of(run(source=source, task={**REGION, **mode}))
    same = (made == latents).all(dim=1)
    assert same[: SPAN[0]].all()
    assert same[SPAN[1] :].all()
    assert not same[slice(*SPAN)].any()


def test_a_repaint_begins_as_late_as_it_holds_to_its_source(run, source, spy):
    for variance_of, count in ((0, 1), (0.5, 3), (1, 5)):
        run(source=source, task={**REGION, "strength": variance_of}, sampling={"steps": 5})
        assert len(spy.calls) == count
    run(source=source, task={**REGION, "mode": "aggressive"})
    expected = drawn(FRAMES)
    expected[slice(*SPAN)] = drawn(FRAMES, stream=Stream.RETAKE)[slice(*SPAN)]
    torch.testing.assert_close(first(spy), expected)


def test_the_source_is_held_under_its_noise_all_the_way(run, source, latents, spy):
    run(source=source, task=REGION, sampling={"steps": 5})
    for call in spy.calls:
        held = mix(drawn(FRAMES), latents, call.t / 1000)
        seen = to_frames(call.latents[0])
        torch.testing.assert_close(seen[: SPAN[0]], held[: SPAN[0]])
        torch.testing.assert_close(seen[SPAN[1] :], held[SPAN[1] :])


def test_an_extension_makes_what_lies_beyond_the_source(run, source, latents):
    events = run(source=source, task={"kind": "extend", "left_s": 1, "right_s": 2})
    made = latents_of(events)
    assert len(made) == 11 + FRAMES + 22
    assert torch.equal(made[11 : 11 + FRAMES], latents)
    assert made[:11].any(dim=1).all()
    assert made[11 + FRAMES :].any(dim=1).all()


def test_an_extension_may_be_longer_than_its_source(run):
    source = own_song(10)
    made = latents_of(run(source=source, task={"kind": "extend", "left_s": 3, "right_s": 4}))
    assert torch.equal(made[32:42], random_latents(10))
    assert len(made) == 32 + 10 + 44


def test_outpainting_makes_both_what_is_beyond_and_its_part_of_the_source(run, source, latents):
    made = latents_of(run(source=source, task={"kind": "outpaint", "start_s": -1, "end_s": 2}))
    assert torch.equal(made[11 + 22 :], latents[22:])
    assert not (made[11 : 11 + 21] == latents[:21]).all(dim=1).any()


def test_audio_to_audio_begins_at_the_source_under_noise(run, source, latents, spy):
    run(source=source, task={"kind": "audio-to-audio", "strength": 0.5}, sampling={"steps": 9})
    times = shifted_twice_schedule(9, 3.0).times[:-1]
    nearest = min(times, key=lambda t: abs(t - 0.75))
    assert spy.calls[0].t == pytest.approx(1000 * nearest)
    torch.testing.assert_close(first(spy), mix(drawn(FRAMES), latents, nearest))


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_audio_to_audio_of_all_and_of_nothing_of_the_source(run, source, strength):
    made = latents_of(run(source=source, task={"kind": "audio-to-audio", "strength": strength}))
    assert torch.isfinite(made).all()


EDIT = {"kind": "edit", "source_caption": "solo piano"}


@pytest.mark.parametrize("recipe", ["lyrics", "style"])
def test_an_edit_follows_the_difference_of_two_conditions(run, source, latents, spy, recipe):
    made = latents_of(run(source=source, task={**EDIT, "recipe": recipe}, caption="harp", sampling={"steps": 5}))
    assert made.shape == latents.shape
    assert not torch.equal(made, latents)
    told = {tuple(call.context.hidden[0].flatten()[:40].tolist()) for call in spy.calls}
    assert len(told) == 2
    # Steps from 0.6 on look at both; from 0.2 on too, and from 0.4 on at what is wanted alone.
    assert len(spy.calls) == (4 if recipe == "lyrics" else 2 + 3)


def test_an_edit_of_a_region_leaves_the_rest(run, source, latents):
    made = latents_of(run(source=source, task={**EDIT, "start_s": 1, "end_s": 2}, caption="harp"))
    same = (made == latents).all(dim=1)
    assert same[: SPAN[0]].all()
    assert same[SPAN[1] :].all()
    assert not same[slice(*SPAN)].any()


def test_other_audio_is_encoded_and_its_last_frame_filled_up(run, parts, spy):
    audio = sound(2.03)
    run(source=source_of(audio), task={"kind": "audio-to-audio", "strength": 0.5}, sampling={"steps": 9})
    encoded = to_frames(parts.parts["codec"].encode(torch.from_numpy(audio.T.copy())))
    assert len(encoded) == 22
    level = spy.calls[0].t / 1000
    torch.testing.assert_close(first(spy), mix(drawn(22), encoded, level))


def test_a_stretch_is_decoded_as_it_sounds_in_the_whole(run, source, parts):
    events = run(decode=True, source=source, task=REGION)
    whole = parts.parts["codec"].decode(to_rows(latents_of(events))).numpy()
    (chunk,) = chunks_of(events)
    assert chunk.total == source.facts.samples
    # Both edges with as much beside them as a joint looks at.
    assert chunk.start <= RATE - 0.05 * RATE
    assert chunk.start + len(chunk.samples) >= 2.05 * RATE
    assert chunk.start in {GRID.samples(frame) for frame in range(FRAMES)}
    np.testing.assert_allclose(chunk.samples, whole[chunk.start : chunk.start + len(chunk.samples)], atol=2e-5)


def test_a_song_from_words_is_cut_to_what_was_asked(run, parts):
    events = run(decode=True, duration_s=3)
    whole = parts.parts["codec"].decode(to_rows(latents_of(events))).numpy()
    audio = np.concatenate([chunk.samples for chunk in chunks_of(events)])
    assert len(audio) == 3 * RATE
    np.testing.assert_allclose(audio, whole[: 3 * RATE], atol=2e-5)
