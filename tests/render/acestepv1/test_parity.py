"""What v1's renderer does otherwise in parity, where the original differs or cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from partita.errors import RequestError
from partita.render.acestepv1.sources import to_frames
from tests.render.acestepv1.tiny import (
    GRID,
    audio_of,
    chunks_of,
    job_of,
    latents_of,
    notes_of,
    own_song,
    render_job,
    sound,
    source_of,
)


@pytest.fixture
def run(parts, spy):
    spied = parts.with_parts(transformer=spy)

    def run(**fields):
        spy.calls.clear()
        return render_job(spied, job_of(parity=True, **fields))

    return run


def originals(seed: int, frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, 8, 16, frames), generator=generator)[0]


def test_noise_is_that_of_torchs_generators(run, spy):
    events = run(duration_s=3, seed=5)
    assert torch.equal(spy.calls[0].latents[0], originals(5, 32))
    assert len(latents_of(events)) == 32
    assert len(audio_of(events)) == GRID.samples(32)


def test_a_song_without_lyrics_has_none(run, spy):
    run(duration_s=3, caption="x")
    # Speaker, one letter and its end, and the place of the lyrics, which is not seen.
    assert spy.calls[0].context.mask[0].tolist() == [True] * 3 + [False]


def test_a_region_is_turned_from_a_seed_towards_the_next(run, spy):
    task = {"kind": "repaint", "start_s": 1, "end_s": 2, "strength": 1.0}
    run(source=source_of(sound(5.0)), task=task, seed=5)
    first, second = originals(5, 54), originals(6, 54)
    expected = torch.where((torch.arange(54) >= 10) & (torch.arange(54) < 21), second, first)
    torch.testing.assert_close(spy.calls[0].latents[0], expected, atol=1e-6, rtol=0)


def test_all_of_an_edit_is_decoded(run):
    events = run(source=source_of(sound(5.0)), task={"kind": "repaint", "start_s": 1, "end_s": 2, "strength": 0.7})
    assert len(latents_of(events)) == 54
    assert chunks_of(events)[0].start == 0
    assert len(audio_of(events)) == GRID.samples(54)


def test_a_strength_of_nothing_leaves_out_all_steps_and_is_refused(run):
    with pytest.raises(RequestError, match="leaves out all"):
        run(source=source_of(sound(5.0)), task={"kind": "repaint", "start_s": 1, "end_s": 2, "strength": 0.0})


def test_both_extensions_at_once_are_shorter_after_the_song(run):
    events = run(source=source_of(sound(5.0)), task={"kind": "extend", "left_s": 1, "right_s": 2})
    assert len(latents_of(events)) == 54 + 21
    assert len(audio_of(events)) == GRID.samples(75)


def test_an_extension_longer_than_the_song_is_refused_as_the_original_fails(run):
    with pytest.raises(RequestError, match="cannot extend"):
        run(source=source_of(sound(2.0)), task={"kind": "extend", "right_s": 4})


def test_the_original_encodes_even_a_song_of_its_own(run, parts):
    source = own_song(20)
    made = latents_of(run(source=source, task={"kind": "repaint", "start_s": 0.5, "end_s": 1, "strength": 0.5}))
    encoded = to_frames(parts.parts["codec"].encode(torch.from_numpy(np.array(source.audio.T))))
    torch.testing.assert_close(made[:5], encoded[:5])
    assert not torch.allclose(made[:5], torch.from_numpy(source.latents)[:5])


def test_latents_alone_are_used_and_it_is_noted(run):
    source = own_song(20)
    alone = source_of(latents=torch.from_numpy(source.latents))
    events = run(source=alone, task={"kind": "repaint", "start_s": 0.5, "end_s": 1, "strength": 0.5})
    assert torch.equal(latents_of(events)[:5], torch.from_numpy(source.latents)[:5])
    assert any("takes no latents" in note for note in notes_of(events))
