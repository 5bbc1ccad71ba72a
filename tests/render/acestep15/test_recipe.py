"""Recipes of any region: what is decoded is what the joints need, and frames add up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from partita.engine.edit import needed_ranges
from partita.render.acestep15.decoding import windows
from partita.render.acestep15.recipe import recipe_of
from partita.render.protocol import SourceData
from partita.song.source import SourceFacts
from tests.render.acestep15.tiny import BASE, FRAME, RATE, job_of

MODES = st.sampled_from(["conservative", "balanced", "aggressive"])


def source_with(samples: int, *, latents: bool) -> SourceData:
    # Of a recipe only lengths matter: one row of numbers stands for all of them.
    audio = np.broadcast_to(np.zeros((1, 2), np.float32), (samples, 2))
    kept = np.broadcast_to(np.zeros((1, 64), np.float32), (-(-samples // FRAME), 64)) if latents else None
    return SourceData(SourceFacts(sha256="a" * 64, samples=samples), audio, kept)


@st.composite
def region_tasks(draw: Any) -> tuple[SourceData, dict[str, Any]]:
    samples = draw(st.integers(4800, 60 * RATE))
    length_s = samples / RATE
    kind = draw(st.sampled_from(["repaint", "lego", "outpaint", "extend", "edit"]))
    task: dict[str, Any] = {"kind": kind}
    if kind != "edit":
        task |= {"mode": draw(MODES), "strength": draw(st.floats(0, 1))}
    if kind == "extend":
        task |= {"left_s": draw(st.floats(0, 9)), "right_s": draw(st.floats(0.05, 9))}
    elif kind == "outpaint":
        task |= {"start_s": draw(st.floats(-9, length_s)), "end_s": length_s + draw(st.floats(0.05, 9))}
    else:
        start_s = draw(st.floats(0, length_s - 0.05))
        task |= {"start_s": start_s, "end_s": draw(st.floats(start_s + 0.045, length_s))}
    if kind == "edit":
        task["source_caption"] = "another"
    if kind == "lego":
        task["track"] = "drums"
    return source_with(samples, latents=draw(st.booleans())), task


@given(region_tasks(), st.booleans())
def test_what_is_decoded_covers_what_the_joints_need(given, parity):
    source, task = given
    job = job_of(model=BASE, source=source, task=task, parity=parity)
    recipe = recipe_of(job)
    decoded = windows(recipe, -(-recipe.samples // FRAME))
    needed = needed_ranges(job.resolved)
    if needed is None:
        needed = ((0, recipe.samples),)
    for first, end in needed:
        first, end = max(first, 0), min(end, recipe.samples)
        assert any(low * FRAME <= first and end <= high * FRAME for low, high in decoded)
    assert all(before[1] < after[0] for before, after in pairwise(decoded))


@given(region_tasks())
def test_frames_hold_the_whole_canvas(given):
    source, task = given
    job = job_of(model=BASE, source=source, task=task)
    recipe, canvas = recipe_of(job), job.resolved.canvas
    assert canvas is not None
    assert recipe.kept_frames == -(-canvas.samples // FRAME)
    assert recipe.samples == canvas.samples
    assert (recipe.encode is None) == (source.latents is not None)
    for (first, end), (first_sample, end_sample) in zip(recipe.layout.spans, canvas.spans, strict=True):
        assert first * FRAME <= first_sample < (first + 1) * FRAME
        assert end * FRAME <= end_sample or end == first + 1 or end == recipe.layout.valid
