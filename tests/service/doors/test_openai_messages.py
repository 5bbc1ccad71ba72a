"""What a conversation asks for: which words are a caption, which are lyrics, and what audio came with them."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.service.doors.openai.messages import Message, Words, last_said, looks_like_lyrics, words_of

FOUR_LINES = "one line\nanother line\na third\nand a last"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("calm piano", Words(caption="calm piano")),
        ("<prompt>calm piano</prompt>", Words(caption="calm piano")),
        ("<PROMPT> calm\npiano </Prompt>", Words(caption="calm\npiano")),
        ("<prompt>rock</prompt><lyrics>la la</lyrics>", Words("rock", "la la")),
        ("loud rock <lyrics>la\nla</lyrics> with drums", Words("loud rock  with drums", "la\nla")),
        ("ignored <prompt>rock</prompt> ignored", Words("rock")),
        ("[Verse]\nla", Words(lyrics="[Verse]\nla")),
        ("words [inst] words", Words(lyrics="words [inst] words")),
        (FOUR_LINES, Words(lyrics=FOUR_LINES)),
        ("one\ntwo\nthree", Words(caption="one\ntwo\nthree")),
        ("\n".join(["a line of a description that is rather long, and says more than a sung one"] * 4), None),
        ("<prompt>never closed", Words(caption="<prompt>never closed")),
    ],
)
def test_words_are_told_apart(text: str, words: Words | None) -> None:
    assert words_of(text) == (words or Words(caption=text))


plain = st.text(st.characters(exclude_characters="<>", exclude_categories=("Cs",)), max_size=80)


@given(plain, plain, plain)
def test_tags_decide_whatever_stands_in_them(before: str, caption: str, lyrics: str) -> None:
    text = f"{before}<prompt>{caption}</prompt><lyrics>{lyrics}</lyrics>"
    assert words_of(text) == Words(caption.strip(), lyrics.strip())


@given(st.text())
def test_nothing_is_invented(text: str) -> None:
    words = words_of(text)
    assert words.caption in text or "<lyrics>" in text.lower()
    assert words.lyrics in text


@given(st.lists(st.text(st.characters(categories=("L",)), min_size=1, max_size=59), min_size=4, max_size=20))
def test_many_short_lines_are_lyrics(lines: list[str]) -> None:
    assert looks_like_lyrics("\n\n".join(lines))


def test_a_text_of_tags_that_never_close_takes_no_time() -> None:
    began = time.perf_counter()
    assert words_of("<prompt><lyrics>" * 50_000).caption
    assert time.perf_counter() - began < 2


def user(content: object) -> Message:
    return Message.model_validate({"role": "user", "content": content})


def test_the_last_user_message_with_content_counts() -> None:
    messages = [
        Message(role="system", content="be brief"),
        user("first"),
        Message(role="assistant", content="done"),
        user("second"),
        user("  "),
        user([]),
        Message(role="assistant", content="anything else?"),
    ]
    assert last_said(messages).text == "second"


def test_parts_are_joined_and_audio_is_in_order() -> None:
    encoded = [base64.b64encode(data).decode() for data in (b"one", b"two")]
    said = last_said(
        [
            user(
                [
                    {"type": "text", "text": "a"},
                    {"type": "input_audio", "input_audio": {"data": encoded[0], "format": "wav"}},
                    {"type": "image_url", "image_url": {"url": "x"}},
                    {"type": "text", "text": "b"},
                    {"type": "input_audio", "input_audio": {"data": f"data:audio/mpeg;base64,{encoded[1]}"}},
                ]
            )
        ]
    )
    assert said.text == "a\nb"
    assert [(clip.data, clip.suffix) for clip in said.clips] == [(b"one", "wav"), (b"two", "mp3")]
    assert said.others == ("image_url",)


@pytest.mark.parametrize(
    "value", [None, {}, {"data": ""}, {"data": 5}, {"data": "%%%"}, {"data": "http://a.example/b"}]
)
def test_audio_that_is_none_is_an_error_that_names_it(value: object) -> None:
    with pytest.raises(RequestError) as caught:
        last_said([user([{"type": "input_audio", "input_audio": value}])])
    assert caught.value.field == "messages.0.content.0.input_audio.data"


@pytest.mark.parametrize("messages", [[], [Message(role="system", content="x")], [user(None)], [user(" \n")]])
def test_a_conversation_without_a_wish_is_an_error(messages: list[Message]) -> None:
    with pytest.raises(RequestError, match="no message of the role user"):
        last_said(messages)
