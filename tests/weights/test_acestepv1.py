"""ACE-Step v1 on disk: found in every layout, loaded part by part, and what is said of files that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from partita.errors import ModelError
from partita.models.acestepv1.codec import MusicCodec
from partita.text.v1.tokenizer import LyricTokenizer
from partita.weights import located_loader
from partita.weights.acestepv1 import PART_NAMES, AceStepV1Loader
from partita.weights.catalog import card
from partita.weights.inventory import inventory
from partita.weights.loaders import part_bytes
from partita.weights.locate import locate, search
from partita.weights.places import Caches
from partita.weights.verify import verify
from tests.weights import v1_checkpoints as v1
from tests.weights.test_locate import snapshot

CARD = card("ace-step-v1")
MAIN = "ACE-Step/ACE-Step-v1-3.5B"
CODE = "ace-step/ACE-Step"
VOCABULARY = "acestep/models/lyrics_utils/vocab.json"


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub")


@pytest.fixture
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI's file has no configuration, and the catalog's are full size."""
    sizes = {
        "ace-step-v1-transformer": v1.TRANSFORMER_CONFIG,
        "ace-step-v1-dcae": v1.codec("dcae")[0],
        "ace-step-v1-vocoder": v1.codec("vocoder")[0],
        "ace-step-v1-text-encoder": v1.TEXT_CONFIG,
    }
    monkeypatch.setattr(located_loader, "configuration", lambda name: dict(sizes[name]))


def opened(folder: Path, caches: Caches, number_format: str = "bfloat16") -> AceStepV1Loader:
    return AceStepV1Loader(locate(CARD, caches, folder), "cpu", number_format)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "published": v1.write_v1_checkpoint,
    "comfyui": v1.write_v1_comfyui,
    "comfyui, weight norm as later": lambda folder: v1.write_v1_comfyui(folder, newer_norm=True),
    "comfyui, without what no song needs": lambda folder: v1.write_v1_comfyui(folder, idle=False),
}


@pytest.mark.usefixtures("small_sizes")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_published_weights(tmp_path: Path, caches: Caches, layout: str) -> None:
    LAYOUTS[layout](tmp_path / "files")
    loader = opened(tmp_path / "files", caches)
    published = v1.transformer()
    names: set[str] = set()
    for part in ("conditioner", "transformer"):
        for name, tensor in loader.load(part).state_dict().items():
            assert torch.equal(tensor, published[name]), name
            names.add(name)
    assert {name for name in published if name not in names} == {
        name for name in published if name.startswith("projectors.") or ".add_" in name or ".to_add_" in name
    }
    text = loader.load("text_encoder").model.state_dict()
    for name, tensor in v1.text_encoder().items():
        stored = tensor if layout == "published" else tensor.half()
        assert torch.equal(text[name], stored.bfloat16()), name
    assert isinstance(loader.load("lyric_tokenizer"), LyricTokenizer)


@pytest.mark.usefixtures("small_sizes")
def test_the_codec_of_every_layout_sounds_the_same(tmp_path: Path, caches: Caches) -> None:
    latents = torch.randn(8, 16, 3, generator=torch.Generator().manual_seed(1))
    sounds = []
    for number, write in enumerate(LAYOUTS.values()):
        write(tmp_path / str(number))
        codec = opened(tmp_path / str(number), caches, "float32").load("codec")
        assert isinstance(codec, MusicCodec)
        sounds.append(codec.decode(latents))
    assert sounds[0].abs().max() > 1e-4
    assert all(torch.equal(sounds[0], other) for other in sounds[1:])


def test_words_become_ids_of_the_text_encoder_and_states(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    encoder = opened(tmp_path, caches, "float32").load("text_encoder")
    tokens = encoder.tokenizer.encode_batch(["funk, drums", "a"], 256)
    assert tokens.ids[0, -1] == encoder.tokenizer.end_id == 1
    assert tokens.ids[1].tolist()[2:] == [0] * (tokens.ids.shape[1] - 2)
    assert encoder.model(tokens.ids, tokens.mask).isfinite().all()


def test_float16_is_too_narrow_for_the_text_encoder(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    loader = opened(tmp_path, caches, "float16")
    assert loader.load("text_encoder").model.shared.weight.dtype == torch.float32
    assert loader.load("conditioner").lyric_proj.weight.dtype == torch.float16


def test_an_unknown_part_lists_the_known_ones(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    with pytest.raises(ModelError, match=r"transformer, codec, and no 'vae'"):
        opened(tmp_path, caches).load("vae")


def test_bytes_of_parts_are_those_that_they_take(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    loader = opened(tmp_path, caches)
    said = part_bytes(loader.located, "bfloat16")
    for part in ("conditioner", "transformer"):
        assert said[part] == sum(tensor.nbytes for tensor in loader.load(part).state_dict().values())
    text = loader.load("text_encoder").model
    assert said["text_encoder"] == sum(tensor.nbytes for tensor in text.state_dict().values())
    codec = sum(tensor.numel() for part in ("dcae", "vocoder") for tensor in v1.codec(part)[1].values())
    assert said["codec"] == 2 * codec
    assert part_bytes(loader.located, "float32")["transformer"] == 2 * said["transformer"]


def test_both_repositories_are_found_in_the_caches(caches: Caches) -> None:
    v1.write_v1_checkpoint(snapshot(caches, MAIN), vocabulary=False)
    v1.write_vocabulary(caches.own_repository(CODE) / VOCABULARY)
    found = locate(CARD, caches)
    assert found.networks["vocoder"].folder == snapshot(caches, MAIN) / "music_vocoder"
    assert found.files["lyric_vocabulary"] == caches.own_repository(CODE) / VOCABULARY
    assert {status.card.id: status.state for status in inventory(caches)}["ace-step-v1"] == "ready"


def test_the_originals_own_cache_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    caches = Caches.of_user(tmp_path / "own")
    home = tmp_path / ".cache" / "ace-step" / "checkpoints"
    v1.write_v1_checkpoint(snapshot(caches, MAIN, hub=home))
    assert locate(CARD, caches).model.folder.is_relative_to(home)


@pytest.mark.parametrize("name", ["vocab.json", "lyric_vocab.json", "ace_step_transformer/vocab.json", VOCABULARY])
def test_the_vocabulary_is_found_in_a_named_folder(tmp_path: Path, caches: Caches, name: str) -> None:
    v1.write_v1_checkpoint(tmp_path / "files", vocabulary=False)
    v1.write_vocabulary(tmp_path / "files" / name)
    assert locate(CARD, caches, tmp_path / "files").files["lyric_vocabulary"] == tmp_path / "files" / name


def test_a_transformer_of_ones_own_takes_the_rest_from_the_caches(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(snapshot(caches, MAIN))
    v1.write_v1_checkpoint(tmp_path / "whole")
    shutil.move(tmp_path / "whole" / "ace_step_transformer", tmp_path / "my fine-tune")
    found = locate(CARD, caches, tmp_path / "my fine-tune")
    assert found.model.folder == tmp_path / "my fine-tune"
    assert found.networks["dcae"].folder == snapshot(caches, MAIN) / "music_dcae_f8c8"


def test_the_model_is_not_taken_from_a_cache_when_a_folder_is_named(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(snapshot(caches, MAIN))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="missing ace_step_transformer"):
        locate(CARD, caches, tmp_path / "empty")


@pytest.mark.parametrize("folder", v1.FOLDERS)
def test_a_missing_folder_is_named(tmp_path: Path, caches: Caches, folder: str) -> None:
    v1.write_v1_checkpoint(tmp_path / "files")
    shutil.rmtree(tmp_path / "files" / folder)
    with pytest.raises(ModelError) as raised:
        locate(CARD, caches, tmp_path / "files")
    for said in (f"missing {folder}", str(tmp_path / "files"), "partita download ace-step-v1", "8.3 GB"):
        assert said in str(raised.value)


def test_a_missing_vocabulary_is_named(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path / "files", vocabulary=False)
    with pytest.raises(ModelError, match=r"missing the lyric vocabulary \(lyric_vocab\.json\)\. Looked in"):
        locate(CARD, caches, tmp_path / "files")


def test_a_file_for_comfyui_lacks_the_tokenizer(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_comfyui(tmp_path / "ComfyUI", tokenizer=False)
    assert search(CARD, caches, tmp_path / "ComfyUI").missing() == ("umt5-base/tokenizer.json",)
    with pytest.raises(ModelError, match=r"missing umt5-base/tokenizer\.json.*ace_step_v1_3\.5b\.safetensors"):
        locate(CARD, caches, tmp_path / "ComfyUI")


def damaged(folder: Path, caches: Caches, change: Callable[[Path], None], part: str = "transformer") -> ModelError:
    v1.write_v1_checkpoint(folder)
    change(folder)
    with pytest.raises(ModelError) as raised:
        opened(folder, caches).load(part)
    return raised.value


def config_of(name: str, **changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))

    return change


def test_nothing_is_loaded_while_any_file_of_the_model_is_wrong(tmp_path: Path, caches: Caches) -> None:
    path = tmp_path / "music_vocoder" / "diffusion_pytorch_model.safetensors"
    error = damaged(tmp_path, caches, lambda _: path.write_bytes(path.read_bytes()[:-1]) and None)
    assert "cut short" in str(error)
    assert error.path == path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (config_of("ace_step_transformer", num_layers=3), r"transformer_blocks\.2\..*missing.*expected 2\d\d tensors"),
        (config_of("ace_step_transformer", num_layers=1), r"transformer_blocks\.1\..*which the transformer does not"),
        (config_of("ace_step_transformer", speaker_embedding_dim=9), r"speaker_embedder\.weight.*\[32, 9\].*\[32, 8\]"),
        (config_of("ace_step_transformer", text_embedding_dim=24), r"genre_embedder\.weight.*\[32, 24\].*\[32, 16\]"),
        (config_of("music_dcae_f8c8", latent_channels=4), r"the mel autoencoder should have the shape"),
        (config_of("music_vocoder", upsample_initial_channel=256), r"the vocoder should have the shape"),
        (config_of("umt5-base", d_ff=32), r"wi_0\.weight of the text encoder should have the shape \[32, 16\]"),
        (config_of("umt5-base", d_model=None), r"umt5-base.config\.json: `d_model`"),
        (config_of("umt5-base", feed_forward_proj="relu"), r"config\.json: `feed_forward_proj`"),
        (config_of("ace_step_transformer", patch_size=[8, 1]), r"config\.json: `patch_size`"),
    ],
)
def test_a_configuration_of_other_sizes_is_told_with_the_tensor(
    tmp_path: Path, caches: Caches, change: Callable[[Path], None], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        raise damaged(tmp_path, caches, change)


def test_a_text_encoder_of_another_width_does_not_belong(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    with torch.random.fork_rng():
        wide = v1.TEXT_CONFIG | {"d_model": 24}
        tensors = v1.Umt5Encoder(v1.Umt5Config.from_json(wide)).state_dict()
    v1.write_json(tmp_path / "umt5-base" / "config.json", wide)
    v1.write_tensors(tmp_path / "umt5-base" / "model.safetensors", dict(tensors))
    with pytest.raises(ModelError, match=r"has d_model 24, and the transformer in .* takes 16") as raised:
        opened(tmp_path, caches).load("conditioner")
    assert raised.value.key == "d_model"


def test_a_tokenizer_of_more_tokens_than_the_encoder_knows_does_not_belong(tmp_path: Path, caches: Caches) -> None:
    def more(folder: Path) -> None:
        path = folder / "umt5-base" / "tokenizer.json"
        values = json.loads(path.read_text())
        values["model"]["vocab"] |= {f"word{number}": 1000 + number for number in range(100)}
        path.write_text(json.dumps(values))

    error = damaged(tmp_path, caches, more, "text_encoder")
    assert "the text encoder knows 300" in str(error)


def test_a_tokenizer_of_another_encoder_is_named(tmp_path: Path, caches: Caches) -> None:
    def qwen(folder: Path) -> None:
        v1.write_text_tokenizer(folder / "umt5-base")
        path = folder / "umt5-base" / "tokenizer.json"
        path.write_text(path.read_text().replace("</s>", "<|endoftext|>"))

    error = damaged(tmp_path, caches, qwen, "text_encoder")
    assert "has no </s> token" in str(error)
    assert "umt5-base" in str(error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: v1.write_vocabulary(folder / "lyric_vocab.json", size=7000), "has 7000 token ids"),
        (lambda folder: (folder / "lyric_vocab.json").write_text("{}"), "not a tokenizer file"),
        (lambda folder: shutil.copy(folder / "umt5-base/tokenizer.json", folder / "lyric_vocab.json"), "another token"),
    ],
)
def test_another_vocabulary_is_refused(
    tmp_path: Path, caches: Caches, change: Callable[[Path], None], said: str
) -> None:
    error = damaged(tmp_path, caches, change, "lyric_tokenizer")
    assert said in str(error)
    assert error.path == tmp_path / "lyric_vocab.json"


def test_a_vocabulary_that_the_lyric_encoder_does_not_know_is_refused(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    weights = v1.transformer()
    weights["lyric_embs.weight"] = weights["lyric_embs.weight"][:6000]
    v1.write_tensors(tmp_path / "ace_step_transformer" / "diffusion_pytorch_model.safetensors", weights)
    config_of("ace_step_transformer", lyric_encoder_vocab_size=6000)(tmp_path)
    with pytest.raises(ModelError, match="6693 ids, and the lyric encoder knows 6000"):
        opened(tmp_path, caches).load("lyric_tokenizer")


def test_verify_tells_strange_files_and_what_the_parts_need(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    report = verify(CARD, caches, tmp_path)
    verdicts = {file.role: file.verdict for file in report.files}
    assert verdicts["transformer/diffusion_pytorch_model.safetensors"] == "differs"
    assert verdicts["vocoder/config.json"] == "not known"
    assert verdicts["lyric_vocabulary/lyric_vocab.json"] == "differs"
    checks = {check.name: check for check in report.checks}
    assert all(check.passed for check in report.checks)
    assert "28 of them" in checks["the transformer"].detail
    assert "one part at a time" in checks["memory"].detail
    assert PART_NAMES[3] in checks["memory"].detail


def test_verify_reads_the_tokenizer_too(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    v1.write_vocabulary(tmp_path / "umt5-base" / "tokenizer.json")
    failed = [check.name for check in verify(CARD, caches, tmp_path).checks if not check.passed]
    assert failed == ["the text encoder's tokenizer"]


def test_verify_reports_a_fault_in_one_network_beside_the_others(tmp_path: Path, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path)
    config_of("music_vocoder", n_fft=1024, win_length=1024)(tmp_path)
    checks = {check.name: check.passed for check in verify(CARD, caches, tmp_path).checks}
    assert checks["the vocoder"] is False
    assert checks["the mel autoencoder"] is True
    assert checks["the text encoder's tokenizer"] is True
    assert "memory" not in checks
