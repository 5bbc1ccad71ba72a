"""The step that is built for this processor against the one that torch computes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from partita.models import native_step
from partita.models.native_step import NativeStep, build, fits
from partita.models.quantised import FixedPointLinear, Form, Int8Linear, plain
from partita.models.qwen3_decoder import Head, KVCache, Qwen3Decoder, last_states, prefill
from tests.models.tiny_qwen3 import pair

PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [2, 7, 1], [1, 6, 1, 8, 0, 3, 3, 9, 8, 8, 7, 4, 9, 8, 9, 4, 8, 4, 8, 2], [5] * 5]
NEXT = torch.tensor([[11], [22], [33], [44]])
# Logits reach 11; in bfloat16 torch rounds what lies between, and this does not.
LIMITS = {torch.float32: 1e-4, torch.bfloat16: 0.3}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    made = build(tmp_path_factory.mktemp("native"))
    if made.function is None:
        pytest.skip(f"no native step: {made.reason}")
    return made.function


def started(decoder: Qwen3Decoder, rows: list[int], capacity: int = 40) -> tuple[KVCache, torch.Tensor, torch.Tensor]:
    """A cache that has read some of the prompts, and what follows: ids and places."""
    once, _ = prefill(decoder, [PROMPTS[row] for row in rows])
    cache = once.spread(decoder.config, list(range(len(rows))), capacity)
    return cache, NEXT[rows], torch.tensor([len(PROMPTS[row]) for row in rows])


def by_torch(decoder: Qwen3Decoder, head: Head, cache: KVCache, ids: torch.Tensor, places: torch.Tensor):
    return head(decoder(ids, places, cache, int(places.max()) + 1)[:, -1])


@pytest.mark.parametrize("form", [plain, Int8Linear])
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("rows", [[0], [0, 1], [2, 1, 3], [0, 1, 2, 3]])
def test_tokens_of_uneven_rows_have_the_logits_that_torch_computes(
    function: Callable[..., None], form: Form, dtype: torch.dtype, rows: list[int]
):
    _, decoder = pair(dtype, form=form)
    head = decoder.head(range(10, 73), form)
    ours, ids, places = started(decoder, rows)
    theirs, *_ = started(decoder, rows)
    assert fits(decoder, head, ours)
    step = NativeStep(function, decoder, head, ours)
    for at in range(3):
        expected = by_torch(decoder, head, theirs, ids + at, places + at)
        found = step(ids + at, places + at, 0)
        assert (found.shape, found.dtype) == ((len(rows), 63), torch.float32)
        # Scales of int8 are rounded to bfloat16 by torch's kernel alone.
        torch.testing.assert_close(found, expected, atol=LIMITS[dtype] * (2 if form is Int8Linear else 1), rtol=0)


def test_runs_of_uneven_lengths_have_the_logits_that_torch_computes(function: Callable[..., None]):
    _, decoder = pair()
    head, lengths = decoder.head(), [3, 1, 2]
    runs = torch.tensor([[7, 8, 9], [10, 0, 0], [11, 12, 0]])
    ours, ids, places = started(decoder, [0, 1, 2])
    theirs, *_ = started(decoder, [0, 1, 2])
    step = NativeStep(function, decoder, head, ours)
    found = step(runs, places, 0, lengths)
    expected = head(last_states(decoder(runs, places, theirs, 23), lengths))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    places = places + torch.tensor(lengths)
    torch.testing.assert_close(step(ids, places, 0), by_torch(decoder, head, theirs, ids, places), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", [plain, Int8Linear])
def test_it_is_nearer_to_float32_than_torch_is_in_bfloat16(function: Callable[..., None], form: Form):
    exact = pair()[1]
    cache, ids, places = started(exact, [0, 1, 2, 3])
    expected = by_torch(exact, exact.head(), cache, ids, places)
    _, decoder = pair(torch.bfloat16, form=form)
    head = decoder.head(form=form)
    errors = []
    for native in (True, False):
        cache, ids, places = started(decoder, [0, 1, 2, 3])
        step = NativeStep(function, decoder, head, cache)
        found = step(ids, places, 0) if native else by_torch(decoder, head, cache, ids, places)
        errors.append((found - expected).square().mean().sqrt())
    assert errors[0] < errors[1]


def test_a_row_is_the_same_whatever_its_neighbours_and_the_number_of_threads(function: Callable[..., None]):
    _, decoder = pair(torch.bfloat16, form=Int8Linear, intermediate_size=160)
    head, threads = decoder.head(form=Int8Linear), torch.get_num_threads()
    cache, ids, places = started(decoder, [0, 1, 2, 3])
    together = NativeStep(function, decoder, head, cache)(ids, places, 0)
    try:
        for row, count in ((0, 1), (1, 3), (2, 2), (3, 1)):
            torch.set_num_threads(count)
            cache, ids, places = started(decoder, [row])
            assert torch.equal(NativeStep(function, decoder, head, cache)(ids, places, 0)[0], together[row])
    finally:
        torch.set_num_threads(threads)


def test_what_it_writes_to_the_cache_is_read_by_later_passes(function: Callable[..., None]):
    _, decoder = pair()
    caches = [started(decoder, [0, 1])[0] for _ in range(2)]
    _, ids, places = started(decoder, [0, 1])
    NativeStep(function, decoder, decoder.head(), caches[0])(ids, places, 0)
    decoder(ids, places, caches[1], 8)
    for ours, theirs in zip((*caches[0].keys, *caches[0].values), (*caches[1].keys, *caches[1].values), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_place_beyond_the_cache_falls_on_the_last_one(function: Callable[..., None]):
    _, decoder = pair()
    cache, ids, places = started(decoder, [0, 1], capacity=9)
    before = [keys[:, :, :8].clone() for keys in cache.keys]
    NativeStep(function, decoder, decoder.head(), cache)(ids, places + 50, 0)
    assert all(torch.equal(keys[:, :, :8], old) for keys, old in zip(cache.keys, before, strict=True))


@pytest.mark.parametrize("sizes", [{"hidden_size": 40}, {"intermediate_size": 100}, {"head_dim": 8}, {"head_dim": 272}])
def test_widths_that_are_no_whole_vectors_are_left_to_torch(sizes: dict[str, int]):
    _, decoder = pair(**sizes)
    assert not fits(decoder, decoder.head(), decoder.new_cache(1, 4))


@pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="the processor has no VNNI")
def test_packed_weights_are_left_to_torch():
    _, decoder = pair(form=FixedPointLinear)
    assert not fits(decoder, decoder.head(), decoder.new_cache(1, 4))


def test_it_is_built_once(function: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert build(tmp_path).function is not None
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(native_step, "_compile", lambda *_: pytest.fail("it was built again"))
    assert build(tmp_path).function is not None
    assert list(tmp_path.iterdir()) == [kept]


def test_a_changed_source_is_built_again(
    function: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    build(tmp_path)
    changed = tmp_path / "changed.cpp"
    changed.write_text(native_step.SOURCE.read_text("utf-8") + "// changed\n", "utf-8")
    monkeypatch.setattr(native_step, "SOURCE", changed)
    build(tmp_path)
    assert len(list(tmp_path.glob("*.so"))) == 2


def broken_compiler(folder: Path) -> Path:
    path = folder / "c++"
    path.write_text("#!/bin/sh\necho 'no such standard' >&2\nexit 1\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a shell script")
def test_where_it_cannot_be_built_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native_step, "capability", lambda: "AVX512")
    monkeypatch.setattr(native_step.platform, "system", lambda: "Linux")
    monkeypatch.setenv("CXX", str(broken_compiler(tmp_path)))
    made = build(tmp_path / "native")
    assert made.function is None
    assert "no such standard" in made.reason
    assert not list((tmp_path / "native").glob("*"))
    monkeypatch.setattr(native_step.shutil, "which", lambda name: None)
    assert "no C++ compiler" in build(tmp_path).reason
    monkeypatch.setattr(native_step, "capability", lambda: "AVX2")
    assert "AVX2" in build(tmp_path).reason
