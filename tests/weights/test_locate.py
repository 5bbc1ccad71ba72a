from pathlib import Path

import pytest

from partita.errors import ModelError
from partita.weights.catalog import card
from partita.weights.inventory import inventory
from partita.weights.locate import locate
from partita.weights.places import Caches
from tests.weights import checkpoints

TURBO, BASE = card("acestep-v15-turbo"), card("acestep-v15-base")
MAIN = "ACE-Step/Ace-Step1.5"


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub", (tmp_path / "other-hub",), tmp_path / "modelscope")


def snapshot(caches: Caches, repository: str, commit: str = "a" * 40, hub: Path | None = None) -> Path:
    home = caches.hub_repository(repository, hub)
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text(commit)
    return home / "snapshots" / commit


def test_adopts_what_lies_in_the_hub_cache(caches: Caches) -> None:
    checkpoints.write_published(snapshot(caches, MAIN))
    found = locate(TURBO, caches)
    assert found.model.folder == snapshot(caches, MAIN) / "acestep-v15-turbo"
    assert found.model.layout == "published"


def test_adopts_a_checkpoint_with_a_repository_of_its_own(caches: Caches) -> None:
    checkpoints.write_shared(snapshot(caches, MAIN))
    checkpoints.write_model(snapshot(caches, "ACE-Step/acestep-v15-base"), is_turbo=False)
    assert locate(BASE, caches).model.folder == snapshot(caches, "ACE-Step/acestep-v15-base")


def test_prefers_the_current_snapshot_and_takes_an_older_one_where_it_is_whole(caches: Caches) -> None:
    checkpoints.write_published(snapshot(caches, MAIN, "b" * 40))
    checkpoints.write_published(snapshot(caches, MAIN, "a" * 40), shards=2)
    assert locate(TURBO, caches).model.folder.parent.name == "a" * 40
    (snapshot(caches, MAIN) / "acestep-v15-turbo" / "model-00001-of-00002.safetensors").unlink()
    assert locate(TURBO, caches).model.folder.parent.name == "b" * 40


@pytest.mark.parametrize("where", ["own", "other hub", "modelscope"])
def test_looks_in_every_cache(caches: Caches, where: str) -> None:
    assert caches.modelscope is not None
    folders = {
        "own": caches.own / "models" / "ACE-Step--Ace-Step1.5",
        "other hub": snapshot(caches, MAIN, hub=caches.hubs[0]),
        "modelscope": caches.modelscope / "models" / "ACE-Step" / "Ace-Step1___5",
    }
    checkpoints.write_published(folders[where])
    assert locate(TURBO, caches).networks["vae"].folder == folders[where] / "vae"


@pytest.mark.parametrize("named", ["", "acestep-v15-turbo"])
def test_a_named_folder_may_be_the_repository_or_the_model_folder_in_it(
    tmp_path: Path, caches: Caches, named: str
) -> None:
    checkpoints.write_published(tmp_path / "files")
    found = locate(TURBO, caches, tmp_path / "files" / named)
    assert found.model.folder == tmp_path / "files" / "acestep-v15-turbo"
    assert found.networks["vae"].folder == tmp_path / "files" / "vae"


def test_a_bare_model_folder_of_any_name_takes_the_shared_parts_from_the_caches(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_shared(snapshot(caches, MAIN))
    checkpoints.write_model(tmp_path / "my fine-tune")
    found = locate(TURBO, caches, tmp_path / "my fine-tune")
    assert found.model.folder == tmp_path / "my fine-tune"
    assert found.networks["vae"].folder == snapshot(caches, MAIN) / "vae"


def test_a_folder_named_as_another_checkpoint_is_not_taken_for_this_one(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(tmp_path / "files", name="acestep-v15-base")
    checkpoints.write_model(tmp_path / "files" / "acestep-v15-turbo")
    with pytest.raises(ModelError, match="missing weights"):
        locate(TURBO, caches, tmp_path / "files" / "acestep-v15-base")


def test_the_model_comes_from_the_named_folder_or_not_at_all(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(snapshot(caches, MAIN))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"missing weights.*holds no safetensors file.*partita download") as raised:
        locate(TURBO, caches, tmp_path / "empty")
    assert raised.value.path == tmp_path / "empty"


def test_a_named_folder_that_does_not_exist_is_an_error(tmp_path: Path, caches: Caches) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        locate(TURBO, caches, tmp_path / "none")


def test_says_what_is_missing_where_it_looked_and_what_to_type(caches: Caches) -> None:
    with pytest.raises(ModelError) as raised:
        locate(TURBO, caches)
    for said in ("weights, VAE, text encoder", str(caches.own), str(caches.huggingface), "6.3 GB", "partita download"):
        assert said in str(raised.value)


def test_comfyui_files_take_silence_and_tokenizer_from_a_cache(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_comfyui(tmp_path / "ComfyUI" / "models")
    (tmp_path / "ComfyUI" / "models" / "silence_latent.pt").unlink()
    checkpoints.write_published(snapshot(caches, MAIN))
    found = locate(TURBO, caches, tmp_path / "ComfyUI")
    assert found.model.layout == found.networks["vae"].layout == found.networks["text_encoder"].layout == "comfyui"
    assert found.files["silence"] == snapshot(caches, MAIN) / "acestep-v15-turbo" / "silence_latent.pt"


def test_the_inventory_tells_whole_partial_and_absent_models_apart(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(snapshot(caches, MAIN))
    checkpoints.write_model(snapshot(caches, "ACE-Step/acestep-v15-base"), shards=2, is_turbo=False)
    (snapshot(caches, "ACE-Step/acestep-v15-base") / "model-00001-of-00002.safetensors").unlink()
    states = {status.card.id: status for status in inventory(caches)}
    assert states["built-in"].state == "shipped"
    assert states["ace-step-1.5-turbo"].state == "ready"
    assert states["ace-step-1.5-turbo"].fetch_bytes == 0
    assert states["ace-step-1.5-base"].state == "partial"
    assert "model-00001-of-00002.safetensors" in states["ace-step-1.5-base"].missing[0]
    assert states["ace-step-1.5-sft"].state == "absent"
    assert states["ace-step-1.5-sft"].fetch_bytes > 4e9
    damaged = snapshot(caches, "ACE-Step/acestep-v15-base") / "model.safetensors.index.json"
    damaged.write_text("{")
    assert {status.card.id: status.state for status in inventory(caches)}["ace-step-1.5-base"] == "damaged"


def test_the_inventory_counts_a_named_folder(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(tmp_path / "files")
    states = {status.card.id: status for status in inventory(caches, tmp_path / "files")}
    assert states["ace-step-1.5-turbo"].state == "ready"
    assert states["ace-step-1.5-turbo"].folder == tmp_path / "files" / "acestep-v15-turbo"
    assert states["ace-step-1.5-base"].state == "absent"
