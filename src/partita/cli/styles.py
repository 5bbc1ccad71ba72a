"""`partita styles`: genres to begin from, and all that one of them fills in. `partita estilos` is this in Spanish."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from partita.cli.common import json_flag

if TYPE_CHECKING:
    from partita.song.styles import Style, Words


@dataclass(frozen=True, slots=True)
class Texts:
    """What the listing says in one language. `labels` are those of a single style, `languages` names by code."""

    language: str
    summary: str
    closing: str
    nameless: str
    no_words: str
    words_help: str
    seed_help: str
    columns: tuple[str, str, str, str, str]
    labels: Mapping[str, str]
    languages: Mapping[str, str]


ENGLISH = Texts(
    language="en",
    summary="""List the styles, or tell all of one: NAME, or a file of your own such as ./mine.yaml.

    A style fills in what you leave open: `partita generate --style reggaeton`. How to write one: docs/styles.md.""",
    closing="All of one: partita styles NAME. A song in it: partita generate --style NAME.",
    nameless="--words needs a style: partita styles NAME --words.",
    no_words="The style {name} has no words in {language}.",
    words_help="Only the words, ready for --lyrics: --seed chooses among them, --language where there are several.",
    seed_help="Which words: as a song of this seed has them. Default: 0.",
    columns=("name", "title", "tempo", "words", "tags"),
    labels={
        "aliases": "also",
        "tempo": "tempo",
        "metre": "metre",
        "keys": "keys",
        "genre": "genre",
        "instruments": "instruments",
        "moods": "moods",
        "vocals": "voice",
        "caption": "caption",
        "built_in": "built-in",
        "words": "words",
    },
    languages={"en": "English", "es": "Spanish", "pt": "Portuguese"},
)


def styles_command(verb: str, texts: Texts) -> click.Command:
    """The command of that name, which tells of styles in one language."""

    @click.command(verb, help=texts.summary)
    @click.argument("name", required=False)
    @click.option("--words", "only_words", is_flag=True, help=texts.words_help)
    @click.option("--language", help="es, en, pt ...")
    @click.option("--seed", type=click.INT, default=0, help=texts.seed_help)
    @json_flag
    def command(name: str | None, only_words: bool, language: str | None, seed: int, as_json: bool) -> None:
        from partita.song.styles import find_style, styles

        if only_words:
            if name is None:
                raise click.UsageError(texts.nameless)
            words = _words(name, language, seed, texts)
            told = {"language": words.language, "lyrics": words.filled(seed)}
            click.echo(json.dumps(told, ensure_ascii=False) if as_json else told["lyrics"])
        elif name is None:
            _list(styles(), as_json, texts)
        elif as_json:
            click.echo(json.dumps(find_style(name).model_dump(mode="json"), ensure_ascii=False))
        else:
            _tell(find_style(name), texts)

    return command


def _list(found: tuple[Style, ...], as_json: bool, texts: Texts) -> None:
    ordered = sorted(found, key=lambda style: (style.language != texts.language, style.language or "", style.name))
    if as_json:
        click.echo(json.dumps({"styles": [style.model_dump(mode="json") for style in ordered]}, ensure_ascii=False))
        return
    rows = [texts.columns, *(_row(style, texts) for style in ordered)]
    widths = [max(len(row[column]) for row in rows) + 2 for column in range(len(texts.columns) - 1)]
    for *cells, last in rows:
        click.echo("".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + last)
    click.echo(texts.closing)


def _row(style: Style, texts: Texts) -> tuple[str, ...]:
    languages = dict.fromkeys(words.language for words in style.lyrics)
    tags = (*style.genre[:1], *style.instruments[:3], *style.moods[:1])
    return (style.name, style.title_in(texts.language), _tempo(style), ", ".join(languages), ", ".join(tags))


def _tempo(style: Style) -> str:
    return "-".join(map(str, dict.fromkeys(style.bpm or ())))


def _tell(style: Style, texts: Texts) -> None:
    """One style for people: every field, the captions that models get, and its words with their choices."""
    from partita.song.styles import caption_of

    click.echo(f"{style.name}: {style.title_in(texts.language)}")
    if about := style.about.get(texts.language):
        click.echo(about)
    click.echo()
    language = style.lyrics[0].language if style.lyrics else style.language
    for label, text in (
        ("aliases", ", ".join(style.aliases)),
        ("tempo", f"{_tempo(style)} BPM" if style.bpm else ""),
        ("metre", style.time_signature or ""),
        ("keys", ", ".join(style.keys)),
        ("genre", ", ".join(style.genre)),
        ("instruments", ", ".join(style.instruments)),
        ("moods", ", ".join(style.moods)),
        ("vocals", ", ".join(style.vocals)),
        ("caption", caption_of(style, "acestep-1.5", language=language)),
        ("built_in", caption_of(style, "built-in")),
    ):
        if text:
            click.echo(f"{texts.labels[label]:<13}{text}")
    for words in style.lyrics:
        click.echo(f"\n{texts.labels['words']} ({texts.languages.get(words.language, words.language)})")
        for slot, choices in words.slots.items():
            click.echo(f"  {{{slot}}}: {' | '.join(choices)}")
        click.echo(f"\n{words.text.strip()}")


def _words(name: str, language: str | None, seed: int, texts: Texts) -> Words:
    """Those that a song of this seed has. Raises RequestError where there are none."""
    from partita.errors import RequestError
    from partita.song.styles import find_style

    style = find_style(name)
    words = style.words_of_seed(language, seed)
    if words is None:
        told = texts.languages.get(language or "", language or "-")
        raise RequestError(texts.no_words.format(name=style.name, language=told), field="language", value=language)
    return words


command = styles_command("styles", ENGLISH)
