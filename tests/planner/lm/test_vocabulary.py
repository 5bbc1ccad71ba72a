"""What the planner's vocabulary finds in a tokenizer, and tokenizers that are not a planner's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from partita.errors import ModelError
from partita.planner.lm.chat import Message, chat_of, render_chat
from partita.planner.lm.vocabulary import PlannerVocabulary, code_token
from tests.planner.lm.material import MARKS, plain_tokenizer, tables


def test_codes_that_lie_side_by_side_are_a_range() -> None:
    vocabulary = PlannerVocabulary(plain_tokenizer(codes=65_535))
    first = vocabulary.encode("<|audio_code_0|>")[0]
    assert vocabulary.code_range == range(first, first + 64_000)
    assert len(vocabulary.dead_code_ids) == 1535
    assert vocabulary.code_of(first + 63_999) == 63_999
    assert vocabulary.code_of(first + 64_000) is None
    assert vocabulary.code_of(first - 1) is None
    assert vocabulary.size == first + 65_535


def test_codes_that_do_not_are_found_by_name() -> None:
    vocabulary = tables().vocabulary
    assert vocabulary.code_range is None
    assert len(vocabulary.code_ids) == 605
    assert [vocabulary.token(i) for i in vocabulary.dead_code_ids] == [code_token(n) for n in (64_000, 64_001, 65_534)]
    assert [vocabulary.code_of(vocabulary.encode(code_token(n))[0]) for n in (0, 599, 63_999)] == [0, 599, 63_999]
    assert vocabulary.code_of(vocabulary.dead_code_ids[0]) is None
    assert vocabulary.code_of(vocabulary.newline_id) is None


def test_marks_become_their_own_ids_and_nothing_is_added() -> None:
    vocabulary = tables().vocabulary
    ids = vocabulary.encode("<think>\n</think>a<|audio_code_7|><|im_end|>")
    assert ids[:3] == [vocabulary.think_id, vocabulary.newline_id, vocabulary.close_think_id]
    assert ids[-1] == vocabulary.end_id
    assert vocabulary.code_of(ids[-2]) == 7
    assert vocabulary.decode(ids) == "<think>\n</think>a<|audio_code_7|><|im_end|>"
    assert set(vocabulary.mark_ids) == {vocabulary.encode(mark)[0] for mark in MARKS}


def test_the_text_of_every_token_is_what_it_decodes_to() -> None:
    vocabulary = tables().vocabulary
    assert len(vocabulary.texts) == vocabulary.size
    assert all(vocabulary.texts[i] == vocabulary.text(i) for i in range(0, vocabulary.size, 97))


def test_a_plain_language_model_is_no_planner() -> None:
    with pytest.raises(ModelError, match="has no audio code tokens") as caught:
        PlannerVocabulary(plain_tokenizer())
    assert caught.value.key == "<|audio_code_0|>"


@pytest.mark.parametrize("missing", MARKS)
def test_another_vocabulary_is_no_planner(missing: str) -> None:
    marks = tuple(mark for mark in MARKS if mark != missing)
    with pytest.raises(ModelError, match=r"not the tokenizer of an ACE-Step 1\.5 planner") as caught:
        PlannerVocabulary(plain_tokenizer(marks=marks, codes=8))
    assert caught.value.key == missing


def test_missing_and_broken_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        PlannerVocabulary.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="is not a tokenizer file"):
        PlannerVocabulary.load(tmp_path)
    plain_tokenizer(codes=8).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text("not json")
    with pytest.raises(ModelError, match="is not JSON"):
        PlannerVocabulary.load(tmp_path)


def test_a_chat_template_comes_from_the_settings_or_from_its_own_file(tmp_path: Path) -> None:
    plain_tokenizer(codes=8).save(str(tmp_path / "tokenizer.json"))
    assert PlannerVocabulary.load(tmp_path).chat_template is None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ 1 }}"}))
    assert PlannerVocabulary.load(tmp_path).chat_template == "{{ 1 }}"
    (tmp_path / "chat_template.jinja").write_text("{{ 2 }}")
    assert PlannerVocabulary.load(tmp_path).chat_template == "{{ 2 }}"


# Qwen3's stock template, cut to the branches that these prompts reach.
STOCK = """{%- for message in messages %}
{%- if message.role != 'assistant' %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- else %}
    {%- set thought = message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
    {%- set rest = message.content.split('</think>')[-1].lstrip('\\n') %}
    {{- '<|im_start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + rest }}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""


def test_a_template_that_renders_alike_is_rendered_by_code() -> None:
    assert chat_of(STOCK) is render_chat
    assert chat_of(None) is render_chat


def test_a_template_that_renders_otherwise_is_followed() -> None:
    chat = chat_of("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}")
    assert chat([Message("user", "a"), Message("assistant", "b")], False) == "[user]a[assistant]b"


@pytest.mark.parametrize("template", ["{% for", "{{ messages.nothing() }}", "{{ messages[0].__class__.__mro__[1]() }}"])
def test_a_template_that_cannot_be_rendered_says_so(template: str) -> None:
    with pytest.raises(ModelError, match="chat template"):
        chat_of(template)([Message("user", "a")], True)


def test_an_empty_thought_and_a_finished_one() -> None:
    turn = "<|im_start|>assistant\n<think>\n{}\n</think>\n\n{}<|im_end|>\n"
    assert render_chat([Message("assistant", "<think>\n</think>")], False) == turn.format("", "")
    sample = Message("assistant", "<think>\nbpm: 90\n</think>\n<|audio_code_1|>")
    assert render_chat([sample], False) == turn.format("bpm: 90", "<|audio_code_1|>")
