"""The chat format of the planner, rendered by code, and compared with the template that a checkpoint ships.

The rendering is Qwen3's stock template for system, user and assistant messages, without an added think block. A shipped
template that renders otherwise is followed, in a sandbox. Knows nothing of what the messages say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from partita.errors import ModelError

CONFIG_FILE, TEMPLATE_FILE = "tokenizer_config.json", "chat_template.jinja"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; its content is rendered as it is, blanks included."""

    role: Literal["system", "user", "assistant"]
    content: str


Chat = Callable[[Sequence[Message], bool], str]
"""(messages, whether an assistant's turn is opened at the end) -> text."""


def render_chat(messages: Sequence[Message], open_turn: bool) -> str:
    """The stock rendering. A last assistant message with `</think>` is taken apart and set again with one blank line
    after the tag; one without gets an empty think block, as training samples have it."""
    parts: list[str] = []
    for message in messages:
        content = _think_apart(message.content) if message.role == "assistant" else message.content
        parts.append(f"<|im_start|>{message.role}\n{content}<|im_end|>\n")
    if open_turn:
        parts.append("<|im_start|>assistant\n")
    return "".join(parts)


def _think_apart(content: str) -> str:
    thought, answer = "", content
    if "</think>" in content:
        thought = content.split("</think>")[0].rstrip("\n").split("<think>")[-1].lstrip("\n")
        answer = content.split("</think>")[-1]
    return f"<think>\n{thought.strip(chr(10))}\n</think>\n\n{answer.lstrip(chr(10))}"


_PROBES: tuple[tuple[tuple[Message, ...], bool], ...] = (
    ((Message("system", "# Instruction\nSing:\n\n"), Message("user", " a\n\n# Lyric\nb\n")), True),
    ((Message("system", "s"), Message("user", "<|audio_code_7|>")), True),
    ((Message("system", "s"), Message("user", "u\n"), Message("assistant", "<think>\nbpm: 9\n</think>")), False),
    ((Message("system", "s"), Message("user", "u"), Message("assistant", "<think>\n</think>")), False),
)


def chat_of(template: str | None) -> Chat:
    """The rendering that `template` (Jinja, as tokenizer files carry it) asks for: `render_chat` itself where the two
    agree or there is none, else the template.

    Raises ModelError where the template cannot be rendered.
    """
    if template is None:
        return render_chat
    shipped = _template_chat(template)
    agrees = all(shipped(messages, open_turn) == render_chat(messages, open_turn) for messages, open_turn in _PROBES)
    return render_chat if agrees else shipped


def _template_chat(template: str) -> Chat:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)

    def render(messages: Sequence[Message], open_turn: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return environment.from_string(template).render(messages=turns, add_generation_prompt=open_turn)
        except (jinja2.TemplateError, TypeError, AttributeError) as error:
            raise ModelError(
                f"The chat template of the planner cannot be rendered: {error}. Fetch the model again.",
                key="chat_template",
            ) from error

    return render


def template_of(folder: Path) -> str | None:
    """The chat template that lies in a checkpoint's folder, in a file of its own or in its tokenizer settings.

    Raises ModelError where the settings are no JSON.
    """
    own = folder / TEMPLATE_FILE
    if own.is_file():
        return own.read_text("utf-8")
    path = folder / CONFIG_FILE
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}. Fetch the model again.", path=path) from error
    template = settings.get("chat_template") if isinstance(settings, dict) else None
    return template if isinstance(template, str) else None
