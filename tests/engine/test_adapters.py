"""The shelf finds adapters by name, path and digest; a run borrows a network that has them, and no other run does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from partita.engine.adapters import AdaptedParts, AdapterShelf
from partita.engine.meter import StageMeter
from partita.engine.store import ModelStore
from partita.errors import ModelError, ReplayError
from partita.weights.adapters import inspect_adapter
from tests.weights.adapter_files import dense, kohya, lora_factors, network, peft, reference, run

DIT = network()
FACTORS = lora_factors(DIT)


class OneNetwork:
    """A loader whose transformer is the small one."""

    identity = ("one",)
    part_names = ("transformer", "vae")

    def load(self, part: str) -> Any:
        return network() if part == "transformer" else f"loaded {part}"

    def fingerprint(self) -> dict[str, str]:
        return {}


@pytest.fixture
def shelf(tmp_path: Path) -> AdapterShelf:
    return AdapterShelf(tmp_path / "data" / "adapters")


@pytest.fixture
def parts():
    return ModelStore("keep").parts(OneNetwork(), StageMeter())


def test_a_name_is_looked_for_on_the_shelf_and_then_as_a_path(shelf: AdapterShelf, tmp_path, monkeypatch):
    kohya(shelf.folder / "voice.safetensors", FACTORS)
    peft(shelf.folder / "singer", FACTORS, inside="final/adapter")
    assert shelf.resolve("voice").name == "voice"
    assert shelf.resolve("voice.safetensors").name == "voice"
    assert shelf.resolve("singer").name == "singer"
    outside = kohya(tmp_path / "home" / "voice.safetensors", lora_factors(DIT, 2))
    monkeypatch.chdir(outside.parent)
    assert shelf.locate("voice.safetensors") == shelf.folder / "voice.safetensors"
    assert shelf.resolve(str(outside)) == inspect_adapter(outside) == shelf.resolve("./voice.safetensors")
    assert [path.name for path in shelf.paths()] == ["singer", "voice.safetensors"]


def test_a_name_that_is_nowhere_is_answered_with_those_that_are(shelf: AdapterShelf):
    kohya(shelf.folder / "voice.safetensors", FACTORS)
    with pytest.raises(ModelError, match=r"no adapter 'choir'.*holds: voice"):
        shelf.resolve("choir")


def test_a_digest_finds_the_file_wherever_it_was_used(shelf: AdapterShelf, tmp_path: Path):
    outside = kohya(tmp_path / "elsewhere" / "voice.safetensors", FACTORS)
    facts = shelf.resolve(str(outside))
    assert AdapterShelf(shelf.folder).find(facts.sha256) == outside
    moved = outside.rename(tmp_path / "moved.safetensors")
    with pytest.raises(ReplayError, match=r"adapter voice \(sha256 .*last at .*elsewhere"):
        shelf.find(facts.sha256, facts.name)
    moved.rename(shelf.folder / "renamed.safetensors")
    assert shelf.find(facts.sha256) == shelf.folder / "renamed.safetensors"


def test_a_file_that_has_changed_is_not_the_one_of_the_record(shelf: AdapterShelf, tmp_path: Path):
    outside = tmp_path / "voice.safetensors"
    facts = shelf.resolve(str(kohya(outside, FACTORS)))
    kohya(outside, lora_factors(DIT, 2))
    with pytest.raises(ReplayError, match="is not here"):
        shelf.find_again(facts)


def test_a_changed_scale_is_not_the_one_of_the_record(shelf: AdapterShelf):
    peft(shelf.folder / "singer", FACTORS)
    facts = shelf.resolve("singer")
    assert shelf.find_again(facts) == shelf.folder / "singer"
    peft(shelf.folder / "singer", FACTORS, lora_alpha=1)
    with pytest.raises(ReplayError, match=r"singer had .*alpha.* 6"):
        shelf.find_again(facts)


def test_a_damaged_memory_is_only_forgotten(shelf: AdapterShelf, tmp_path: Path):
    facts = shelf.resolve(str(kohya(tmp_path / "a.safetensors", FACTORS)))
    (shelf.folder / "known.json").write_text("{")
    with pytest.raises(ReplayError):
        shelf.find(facts.sha256)
    shelf.resolve(str(tmp_path / "a.safetensors"))
    assert json.loads((shelf.folder / "known.json").read_text()) == {facts.sha256: str(tmp_path / "a.safetensors")}


def test_a_run_borrows_a_network_with_its_adapters_and_no_other_does(parts, tmp_path: Path):
    voice, other = kohya(tmp_path / "a.safetensors", FACTORS), lora_factors(DIT, 2)
    room = peft(tmp_path / "b", other)
    both = AdaptedParts(parts, [(voice, 0.5), (room, -0.25)])
    alone = AdaptedParts(parts, [(room, 1.0)])
    with both.use("transformer") as one, alone.use("transformer") as two, parts.use("transformer") as plain:
        torch.testing.assert_close(
            run(one), reference(DIT, (dense(FACTORS), 0.5), (dense(other), -0.25)), rtol=1e-5, atol=2e-5
        )
        torch.testing.assert_close(run(two), reference(DIT, (dense(other), 1.0)), rtol=1e-5, atol=2e-5)
        assert torch.equal(run(plain), run(DIT))
    with parts.use("transformer") as again:
        assert again is plain
    with both.use("vae") as vae:
        assert vae == "loaded vae"


def test_merging_gives_the_same_numbers(parts, tmp_path: Path):
    voice = kohya(tmp_path / "a.safetensors", FACTORS)
    with (
        AdaptedParts(parts, [(voice, 0.5)]).use("transformer") as one,
        AdaptedParts(parts, [(voice, 0.5)], merge=True).use("transformer") as two,
    ):
        torch.testing.assert_close(run(one), run(two), rtol=1e-5, atol=2e-5)


def test_strength_zero_and_no_adapters_lend_the_network_itself(parts, tmp_path: Path):
    voice = kohya(tmp_path / "a.safetensors", FACTORS)
    with (
        parts.use("transformer") as plain,
        AdaptedParts(parts, [(voice, 0.0)]).use("transformer") as zero,
        AdaptedParts(parts, []).use("transformer") as none,
    ):
        assert zero is plain
        assert none is plain


def test_a_network_is_given_back_where_an_adapter_does_not_fit(tmp_path: Path):
    given_back = []

    class Watched:
        @contextmanager
        def use(self, name: str) -> Iterator[Any]:
            try:
                yield DIT
            finally:
                given_back.append(name)

    wrong = kohya(tmp_path / "a.safetensors", lora_factors(network(hidden_size=40)))
    with (
        pytest.raises(ModelError, match=r"small network.*another model"),
        AdaptedParts(Watched(), [(wrong, 1.0)], what="the small network").use("transformer"),
    ):
        pass
    assert given_back == ["transformer"]
