import json

import pytest

from partita.errors import ModelError, RequestError
from partita.text.v1.tags import TRAINED
from partita.text.v1.tokenizer import LANGUAGE_IDS, VOCABULARY_SIZE, LyricTokenizer


@pytest.mark.parametrize(
    ("text", "language", "ids"),
    [
        ("[verse]", "en", "259 6683"),
        ("[hook] hey", "en", "259 6690 2 21 1958"),
        ("[Verse 1]", "en", "259 1 35 173 18 2 28 111 1"),
        ("[instrumental]", "en", "259 1 718 1951 763 56 1"),
        ("Neon lights they flicker bright", "en", "259 111 47 2 75 20 583 32 2 141 2 468 91 2820 2 243 343 583"),
        ("La noche cae, 20 veces", "es", "284 494 2 27 1024 62 2 183 18 7 2 35 317 136 2 35 1763 61"),
        ("我走过深夜的街道", "zh", "5023 4893 39 4632 4819 120 18 4574 4676 17 4650 4799 4665"),
        ("我走过深夜的街道", "zh-cn", "5023 4893 39 4632 4819 120 18 4574 4676 17 4650 4799 4665"),
        ("비 오는 날", "ko", "6152 799 2 28 660 27 2 5904"),
        ("मुझे", "hi", "6680 6456"),
        (
            "Dr. Smith has $20 & 5%",
            "en",
            "259 17 1024 1176 2 3139 22 40 2 1221 2 232 50 210 2 134 84 59 32 2 53 2 840 76 2 124 31 1217 33",
        ),
    ],
)
def test_vectors_of_the_original(tokenizer, text, language, ids):
    assert tokenizer.encode(text, language) == [int(number) for number in ids.split()]


def test_every_tag_and_every_language_is_one_token(tokenizer):
    assert [tokenizer.encode(f"[{tag.upper()}]", "en") for tag in TRAINED] == [[259, 6681 + i] for i in range(12)]
    assert {code: tokenizer.encode("", code) for code in LANGUAGE_IDS if code != "ja"} == {
        code: [number] for code, number in LANGUAGE_IDS.items() if code != "ja"
    }
    assert tokenizer.vocabulary_size == VOCABULARY_SIZE


def test_all_ids_of_the_recorded_grid(tokenizer, recorded):
    assert recorded["language_tokens"] == LANGUAGE_IDS
    wrong = [one for one in recorded["forced_grid"] if tokenizer.encode(one["text"], one["lang"]) != one["ids"]]
    assert wrong == []


def test_what_has_no_token_is_told(tokenizer):
    assert tokenizer.unreadable("fire 🔥 and ♪ 🔥", "en") == ["🔥", "♪"]
    assert tokenizer.unreadable("¿dónde estás, corazón?", "es") == []


def test_half_a_character_is_refused(tokenizer):
    with pytest.raises(RequestError, match="lone surrogate"):
        tokenizer.encode("a\ud83d", "en")


def changed(source, folder, change):
    data = json.loads(source.read_text("utf-8"))
    change(data)
    path = folder / "vocab.json"
    path.write_text(json.dumps(data), "utf-8")
    return path


def test_a_vocabulary_of_another_size_is_refused(vocabulary_path, tmp_path):
    path = changed(vocabulary_path, tmp_path, lambda data: data["added_tokens"].pop())
    with pytest.raises(ModelError, match=r"has 6692 token ids where .* has 6693") as raised:
        LyricTokenizer.load(path)
    assert raised.value.path == path


def test_a_vocabulary_without_a_special_token_is_refused(vocabulary_path, tmp_path):
    def rename(data):
        token = next(one for one in data["added_tokens"] if one["content"] == "[bridge]")
        token["content"] = "[coda]"

    with pytest.raises(ModelError, match=r"gives \[bridge\] the id None where .* has 6685") as raised:
        LyricTokenizer.load(changed(vocabulary_path, tmp_path, rename))
    assert raised.value.key == "[bridge]"


@pytest.mark.parametrize("content", ["", "{}", "no tokenizer"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(ModelError, match="is not a tokenizer file"):
        LyricTokenizer.load(tmp_path / "vocab.json")
    with pytest.raises(ModelError, match="does not exist"):
        LyricTokenizer.load(tmp_path / "elsewhere.json")
