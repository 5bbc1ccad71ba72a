"""Styles: what a genre is usually made of, as data: words for a caption, tempo, key, and lyrics of our own to sing.

A style fills in what a request leaves open and changes nothing that it says. Shipped ones lie in `data/styles`, a file
each; a user's own is a file of the same form (docs/styles.md). It knows no planner: what a caption says in so many
words comes as `Said`.
"""

from __future__ import annotations

import difflib
import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from partita.errors import RequestError
from partita.score.keys import tidy_key
from partita.song.card import Family, ModelCard
from partita.song.plan import Plan
from partita.song.request import SongRequest, TimeSignature
from partita.song.task import TextToMusic
from partita.song.values import Value, short
from partita.text.detection import language_of
from partita.text.languages import LANGUAGES, UNKNOWN
from partita.text.prompts import BPM_RANGE, INSTRUMENTAL_LYRICS

SUFFIXES = (".yaml", ".yml")
LARGEST_BYTES = 200_000
FROM_WORDS_ALONE: tuple[Family, ...] = ("acestep-v1",)
"""Families that read a tempo among the words of a caption, and are given no key that nobody asked for."""

_FAR = 1.25  # how far beyond its range a tempo is no longer a style's
_VOICES = re.compile(
    r"\b(?:vocal\w*|voices?|singers?|sung|sing(?:s|ing)?|choir|rap\w*|duet|baritone|tenor|soprano|voz|voces|coros?|"
    r"cantante\w*|cantad[oa])\b",
    re.IGNORECASE,
)
_VOICELESS = re.compile(r"\binstrumental\b|\b(?:no|without|sin) (?:any )?(?:vocals?|voices?|lyrics|words|voz)\b", re.I)


class Words(Value):
    """Lyrics to sing. A slot `{title}` in the text stands for one of its choices in `slots`."""

    language: str
    text: str = Field(min_length=1)
    slots: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        return _checked_language(value)

    @model_validator(mode="after")
    def _slots_fit_the_text(self) -> Self:
        try:
            parts = [part for part in string.Formatter().parse(self.text) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"a curly bracket has no counterpart ({error})") from None
        used = {str(name) for _, name, _, _ in parts}
        if any(form or conversion for _, _, form, conversion in parts):
            raise ValueError("a slot is a name in curly brackets and nothing else")
        for name in sorted(used | set(self.slots)):
            if name not in self.slots:
                raise ValueError(f"the slot {{{name}}} has no choices: list them under slots")
            if name not in used:
                raise ValueError(f"the slot {{{name}}} is nowhere in the text")
            if not self.slots[name] or not all(choice.strip() for choice in self.slots[name]):
                raise ValueError(f"the slot {{{name}}} needs choices, none of them empty")
        return self

    def filled(self, seed: int) -> str:
        """The text with a choice in every slot, drawn from the seed. A slot that begins a line has a capital."""
        chosen = {name: _pick(choices, f"slot {name}", seed) for name, choices in self.slots.items()}
        lines = []
        for line in self.text.strip("\n").split("\n"):
            words = line.format_map(chosen).rstrip()
            lines.append(words[:1].upper() + words[1:] if line.startswith("{") else words)
        return "\n".join(lines)


class Style(Value):
    """A genre. `genre`, `instruments`, `moods` and `vocals` are tags in English, which is what models learned.

    `bpm` is the least and the greatest usual tempo, in beats a minute. `built_in` are words for the built-in model in
    place of `genre` and `instruments`, where it does not know these. `title` and `about` are for people, by language.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: dict[str, str] = Field(default_factory=dict)
    about: dict[str, str] = Field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    language: str | None = None
    bpm: tuple[int, int] | None = None
    time_signature: TimeSignature | None = None
    keys: tuple[str, ...] = ()
    genre: tuple[str, ...] = Field(min_length=1)
    instruments: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    vocals: tuple[str, ...] = ()
    built_in: tuple[str, ...] = ()
    lyrics: tuple[Words, ...] = ()

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        return None if value is None else _checked_language(value)

    @field_validator("keys")
    @classmethod
    def _spell_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(tidy_key, value))

    @field_validator("bpm")
    @classmethod
    def _range_in_order(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not BPM_RANGE[0] <= value[0] <= value[1] <= BPM_RANGE[1]:
            raise ValueError(f"must be two whole numbers from {BPM_RANGE[0]} to {BPM_RANGE[1]}, the lower one first")
        return value

    @field_validator("genre", "instruments", "moods", "vocals", "built_in")
    @classmethod
    def _tags_say_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not tag.strip() or "," in tag for tag in value):
            raise ValueError("must be a list of tags without commas in them, none of them empty")
        return tuple(tag.strip() for tag in value)

    def title_in(self, language: str) -> str:
        """Its name for people, in the language if it has one there."""
        return self.title.get(language) or self.title.get("en") or self.name

    def words_in(self, language: str | None) -> tuple[Words, ...]:
        """Its lyrics in a language, or in its own."""
        wanted = language or self.language or (self.lyrics[0].language if self.lyrics else None)
        return tuple(words for words in self.lyrics if words.language == wanted)

    def words_of_seed(self, language: str | None, seed: int) -> Words | None:
        """Those of its lyrics that a song of this seed has, or none where there are none in the language."""
        able = self.words_in(language)
        return _pick(able, "words", seed) if able else None


class Said(Value):
    """What a caption says in so many words, which a style leaves alone."""

    bpm: int | None = None
    key: str | None = None
    time_signature: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """A request with what its `style` fills in. `styled` names the fields that are wholly the style's; `notes` are
    sentences for the record."""

    request: SongRequest
    style: str | None = None
    styled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@cache
def styles() -> tuple[Style, ...]:
    """The shipped styles, in the order of their names."""
    folder = files("partita") / "data" / "styles"
    shipped = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(SUFFIXES))
    return tuple(_style_of((folder / name).read_text(encoding="utf-8"), Path(name)) for name in shipped)


def find_style(name: str) -> Style:
    """The shipped style of this name or alias, accents and capitals aside, or the one in a YAML file.

    Raises RequestError (field `style`) where there is none, naming those that are like it, and for what is wrong in a
    file.
    """
    if name.lower().endswith(SUFFIXES) or "/" in name or "\\" in name:
        return _read(Path(name))
    known = _by_name()
    found = known.get(folded(name))
    if found is not None:
        return found
    like = difflib.get_close_matches(folded(name), known, n=3, cutoff=0.6)
    ask = f" Did you mean {' or '.join(dict.fromkeys(known[one].name for one in like))}?" if like else ""
    raise RequestError(
        f"There is no style {name!r}.{ask} `partita styles` lists them; a file of your own is given by its path, such "
        "as ./mine.yaml.",
        field="style",
        value=name,
    )


def folded(text: str) -> str:
    """A name without accents, capitals and the difference between blanks, hyphens and underscores."""
    plain = "".join(one for one in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(one))
    return re.sub(r"[\s_\-‐–]+", "-", plain.replace("&", " and ").replace("'", "").strip())


def caption_of(
    style: Style,
    family: Family,
    *,
    own: str = "",
    bpm: int | None = None,
    sung: bool = True,
    language: str | None = None,
) -> str:
    """The style as a caption for a family of models, behind the user's `own` words where there are some.

    Own words set the mood, and the voice if they name one; what they say already is not said again. `bpm` goes into
    words for families that hear of it in no other way. A language but English is named where it is sung.
    """
    built_in = family == "built-in"
    tags = [*(style.built_in if built_in and style.built_in else (*style.genre, *style.instruments))]
    if bpm is not None and family in FROM_WORDS_ALONE:
        tags.append(f"{bpm} bpm")
    tags += () if own else style.moods
    if sung and not built_in:
        tags += () if _VOICES.search(own) else style.vocals
        tags += [LANGUAGES[language].lower()] if language not in (None, "en", UNKNOWN) else ()
    own = own.strip().rstrip(".,;:。、，")
    plain = _words_only(own)
    added = [tag for tag in dict.fromkeys(tags) if f" {_words_only(tag)} " not in f" {plain} "]
    return ", ".join([own, *added] if own else added)


def follow_style(
    request: SongRequest,
    style: Style,
    card: ModelCard,
    seed: int,
    *,
    said: Said | None = None,
    source: Plan | None = None,
) -> Followed:
    """`request` with the style in its caption, and what it leaves open filled in for the song of one seed.

    Tempo, key, metre and lyrics are filled in for songs from words alone: what works from a `source` (its plan, where
    it is known) has its own. Raises RequestError where the request has a plan.
    """
    if request.plan is not None:
        raise RequestError(
            f"style {style.name} was asked for and a plan was given, which settles everything: leave out one of them.",
            field="style",
            value=style.name,
        )
    said, notes = said or Said(), list[str]()
    anew = isinstance(request.task, TextToMusic) and request.task.codes is None
    filled = _metadata(request, style, card, said, seed) if anew else {}
    lyrics = request.lyrics if request.lyrics.strip() or source is None else source.lyrics
    language = _asked_language(request) or said.language
    voiceless = request.instrumental or not card.sings or _VOICELESS.search(request.caption) is not None
    if anew and not voiceless and not lyrics.strip():
        lyrics, language = _own_words(style, language, seed, notes)
        if lyrics:
            filled |= {"lyrics": lyrics} | ({} if _asked_language(request) else {"language": language})
    sung = not voiceless and lyrics.strip() not in ("", INSTRUMENTAL_LYRICS)
    if sung and language is None:
        language = language_of(lyrics) if source is None else source.language
    bpm = request.bpm or filled.get("bpm")
    _look_at_tempo(style, request.bpm or said.bpm, notes)
    own = request.caption.strip()
    filled["caption"] = caption_of(style, card.family, own=own, bpm=bpm, sung=sung, language=language)
    styled = tuple(name for name in filled if name != "caption" or not own)
    return Followed(request.model_copy(update=filled), style.name, styled, tuple(notes))


def _own_words(style: Style, language: str | None, seed: int, notes: list[str]) -> tuple[str, str | None]:
    """Lyrics of the style's own and their language, or none where it has none in the one that is wanted."""
    words = style.words_of_seed(language, seed)
    if words is not None:
        notes.append(
            f"No lyrics were given, so the words are the style's own ({style.name}, {LANGUAGES[words.language]}): give "
            "lyrics of yours, or ask for instrumental to have none."
        )
        return words.filled(seed), words.language
    if style.lyrics:
        has = " and ".join(dict.fromkeys(LANGUAGES[words.language] for words in style.lyrics))
        notes.append(
            f"The style {style.name} has words in {has} and not in {LANGUAGES[language or UNKNOWN]}: nothing is sung, "
            "for no lyrics were given."
        )
    return "", language


def _metadata(request: SongRequest, style: Style, card: ModelCard, said: Said, seed: int) -> dict[str, Any]:
    """Tempo, key and metre where the request and its caption leave them open and the model can be told."""
    filled: dict[str, Any] = {}
    if style.bpm is not None and request.bpm is None and said.bpm is None:
        low, high = (min(max(bpm, card.bpm_min), card.bpm_max) for bpm in style.bpm)
        filled["bpm"] = _pick(range(low, high + 1), "bpm", seed)
    if style.keys and card.family not in FROM_WORDS_ALONE and request.key is None and said.key is None:
        filled["key"] = _pick(style.keys, "key", seed)
    metre = style.time_signature
    if metre in card.time_signatures and request.time_signature is None and said.time_signature is None:
        filled["time_signature"] = metre
    return filled


def _look_at_tempo(style: Style, bpm: int | None, notes: list[str]) -> None:
    """A note where a tempo is far from the style's and is not the style's counted in half or double time."""
    if bpm is None or style.bpm is None:
        return
    low, high = style.bpm
    if not (low / _FAR <= bpm <= high * _FAR or low <= 2 * bpm <= high or low <= bpm / 2 <= high):
        notes.append(f"bpm {bpm} is far from what {style.name} is usually played at ({low} to {high}).")


def _asked_language(request: SongRequest) -> str | None:
    return None if request.language == UNKNOWN else request.language


def _pick(choices: Sequence[Any], what: str, seed: int) -> Any:
    """One of the choices. Each thing is drawn on a stream of its own, so that a choice made by the user moves no other;
    only `Random.random` is promised to stay the same between versions of Python."""
    return choices[int(Random(f"style {what} {seed}").random() * len(choices))]


def _words_only(text: str) -> str:
    return " ".join(re.findall(r"\w+", folded(text).replace("-", " ")))


def _checked_language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
    return code


@cache
def _by_name() -> Mapping[str, Style]:
    names = {folded(one): style for style in styles() for one in (*style.aliases, *style.title.values(), *style.genre)}
    return names | {style.name: style for style in styles()}


def _read(path: Path) -> Style:
    """The style in a user's file. Raises RequestError where there is none."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _bad(path, f"is larger than {LARGEST_BYTES} bytes, which no style needs")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _bad(path, "is not UTF-8 text") from None
    return _style_of(text, path)


def _style_of(text: str, path: Path) -> Style:
    """The style that YAML text describes; without a name it has its file's."""
    try:
        told = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _bad(path, f"is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(told, dict):
        raise _bad(path, "holds no fields: write for example `genre: [ska]`")
    told.setdefault("name", folded(path.stem))
    try:
        return Style.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise _bad(path, f"has a field {field}, which styles have not: {', '.join(Style.model_fields)}") from None
        seen = "" if first["type"] == "missing" else f" cannot be {short(first.get('input'))}"
        raise _bad(path, f"is no style: {field}{seen}: {first['msg'].removeprefix('Value error, ')}") from None
    except RequestError as error:  # a key that is none
        raise _bad(path, f"is no style: keys: {error}") from None


def _bad(path: Path, what: str) -> RequestError:
    return RequestError(f"The style file {path} {what}.", field="style", value=str(path))
