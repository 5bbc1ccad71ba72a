"""Token ids: the end of a row, truncation, padding, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from partita.errors import ModelError
from partita.text.prompts import lyric_prompt, metadata_block, text_prompt
from partita.text.tokenizers import END_TOKEN, TextTokenizer


def write_tokenizer(folder: Path, *, appends: bool, end_token: str = END_TOKEN) -> Path:
    """A byte-level tokenizer of the Qwen kind in miniature; `appends`: its own post-processor adds the end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(alphabet)} | {"Ġt": 256, "he": 257}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", "t"), ("h", "e")]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(end_token, normalized=False, special=True)])
    end = tokenizer.token_to_id(end_token)
    if appends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {end_token}", special_tokens=[(end_token, end)]
        )
        tokenizer.enable_padding(pad_id=0, length=64)
        tokenizer.enable_truncation(3)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(params=[True, False], ids=["file appends", "file does not"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> TextTokenizer:
    return TextTokenizer.load(write_tokenizer(tmp_path / "Qwen3-Embedding", appends=request.param))


def test_rows_end_as_the_encoder_was_trained(tokenizer: TextTokenizer) -> None:
    end = tokenizer.end_id
    newline = tokenizer.encode("\n", 8)[0]
    prompt = tokenizer.encode(text_prompt("Do", "a caption", metadata_block()), 256)
    assert prompt[-3:] == [end, newline, end]
    lyrics = tokenizer.encode(lyric_prompt("la la", "en"), 2048)
    assert lyrics[-2:] == [end, end]
    assert prompt.count(end) == lyrics.count(end) == 2


def test_decoding_gives_the_text_back(tokenizer: TextTokenizer) -> None:
    text = lyric_prompt("雨停了以后, très léger 🎵\n[Chorus]", "zh")
    assert tokenizer.decode(tokenizer.encode(text, 2048)) == text + END_TOKEN


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_truncation_counts_the_end_token(tokenizer: TextTokenizer, limit: int) -> None:
    whole = tokenizer.encode("a long text", 100)
    cut = tokenizer.encode("a long text", limit)
    assert cut == [*whole[: limit - 1], tokenizer.end_id]


def test_a_text_that_just_fits_is_not_cut(tokenizer: TextTokenizer) -> None:
    whole = tokenizer.encode("a long text", 100)
    assert tokenizer.encode("a long text", len(whole)) == whole


def test_rows_are_padded_on_the_right_and_masked(tokenizer: TextTokenizer) -> None:
    texts = ["a", "a longer text", ""]
    batch = tokenizer.encode_batch(texts, 256)
    for row, mask, text in zip(batch.ids, batch.mask, texts, strict=True):
        alone = tokenizer.encode(text, 256)
        assert row[: len(alone)].tolist() == alone
        assert row[len(alone) :].tolist() == [tokenizer.end_id] * (len(row) - len(alone))
        assert mask.tolist() == [1] * len(alone) + [0] * (len(row) - len(alone))


def test_canonically_equal_texts_are_equal(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode("e\u0301", 9) == tokenizer.encode("\u00e9", 9)


def test_unusable_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        TextTokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="not a tokenizer file") as caught:
        TextTokenizer.load(tmp_path)
    assert caught.value.path == tmp_path / "tokenizer.json"
    with pytest.raises(ModelError, match="Qwen3-Embedding"):
        TextTokenizer.load(write_tokenizer(tmp_path / "other", appends=False, end_token="</s>"))
