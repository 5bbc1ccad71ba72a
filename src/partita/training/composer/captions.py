"""Captions: how people would ask for a piece, in six languages, from a list of tags to full sentences.

Each names a random subset of what the outline says: genre, mood, instruments, tempo, key, metre, what is missing, how
it is built. Knows only the outline, and which roles sound in the part of the piece that is captioned. Words lie in
`wording`, the names of instruments in `partita.text.orchestra`, where those who read captions have them too.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from partita.score.instruments import instrument, programs_for
from partita.score.types import Role
from partita.text.orchestra.lexicon import VOCABULARIES
from partita.text.orchestra.vocabulary import FAMILIES, SENSES, LanguageCode, fold
from partita.training.composer.compose import Piece
from partita.training.composer.spec import PieceSpec
from partita.training.composer.wording import WORDINGS
from partita.training.composer.wording.values import Patterns, choices

LANGUAGES: tuple[LanguageCode, ...] = tuple(WORDINGS)
_LANGUAGE_WEIGHTS = (10, 3, 3, 3, 3, 3)
_TEMPO_LIMITS = (70, 90, 112, 140, 1000)  # quarters a minute below which a tempo is in so many words
_WORTH_MISSING: tuple[Role, ...] = ("drums", "bass", "lead")
_FAMILY_CHANCE, _HELD_OUT_WORD_CHANCE = 0.15, 0.5
_PART_ALONE_CHANCE: dict[Role, float] = {"drums": 0.35, "bass": 0.25, "pad": 0.1}
_PLAIN_LETTERS: tuple[LanguageCode, ...] = ("es", "fr", "it", "pt")
"""Languages that people type without accents, too."""


@dataclass(frozen=True, slots=True)
class Player:
    """What a caption says of one part: it plays, with one of `programs`; `said`: in so many words that it is this
    part's (`violin melody`, `bass`)."""

    role: Role
    programs: frozenset[int]
    said: bool


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption, and what it says: who plays, what does not, and whether nobody else plays."""

    text: str
    language: LanguageCode
    players: tuple[Player, ...]
    missing: frozenset[Role]
    only: bool


def caption(
    piece: Piece | PieceSpec,
    seed: int,
    language: LanguageCode | None = None,
    *,
    window_s: tuple[float, float] | None = None,
    held_out: bool = False,
) -> str:
    """A caption for a piece; another `seed` gives another wording. See `describe`."""
    return describe(piece, seed, language, window_s=window_s, held_out=held_out).text


def describe(
    piece: Piece | PieceSpec,
    seed: int,
    language: LanguageCode | None = None,
    *,
    window_s: tuple[float, float] | None = None,
    held_out: bool = False,
) -> Caption:
    """A caption, with what it says. The language is drawn from the seed where none is given.

    With a `Piece` and a window `(start, end)` in seconds only instruments heard within it are named, which is what a
    caption of an excerpt wants. `held_out`: in sentences, and in half of the words, that no other caption has.
    """
    spec = piece.spec if isinstance(piece, Piece) else piece
    rng = random.Random(seed)
    drawn: LanguageCode = rng.choices(LANGUAGES, _LANGUAGE_WEIGHTS)[0]
    heard: tuple[Role, ...] = spec.roles
    if isinstance(piece, Piece):
        heard = tuple(role for role, _ in spec.programs if _sounds(piece, role, window_s))
    chosen: LanguageCode = drawn if language is None else language
    words = _Words(spec, heard, chosen, held_out, rng)
    shape = rng.choice((_tags, _tags, _tags, _sentence, _sentence, _short, _request, _two_sentences))
    text = _typed(words.wording.polish(shape(words, rng)), words.language, rng)
    return Caption(text, words.language, tuple(words.players), frozenset(words.gone), words.only)


def _sounds(piece: Piece, role: Role, window_s: tuple[float, float] | None) -> bool:
    track = piece.score.track(role)
    if track is None or window_s is None:
        return track is not None
    start_s, end_s = window_s
    return any(note.start_s < end_s and note.start_s + note.duration_s > start_s for note in track.notes)


def _typed(text: str, language: LanguageCode, rng: random.Random) -> str:
    """As people type: at times without capitals, and without accents."""
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:] if text.endswith(".") else text
    if rng.random() < 0.25:
        text = text.lower()
    if language in _PLAIN_LETTERS and rng.random() < 0.07:
        plain = unicodedata.normalize("NFD", text)
        text = "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")
    return text


class _Words:
    """Draws words for each aspect of one piece, and keeps what they say."""

    def __init__(
        self, spec: PieceSpec, heard: tuple[Role, ...], language: LanguageCode, held_out: bool, rng: random.Random
    ) -> None:
        self.spec, self.heard, self._rng = spec, heard, rng
        self.language: LanguageCode = language
        self.wording, self._held_out = WORDINGS[language], held_out
        self.players: list[Player] = []
        self.gone: set[Role] = set()
        self.only = False

    def word(self, cell: str) -> str:
        held_out = self._held_out and self._rng.random() < _HELD_OUT_WORD_CHANCE
        return self._rng.choice(choices(cell, held_out))

    def pattern(self, patterns: Patterns) -> str:
        return self._rng.choice(patterns[self._held_out] or patterns[False])

    def genre(self) -> str:
        cell = self.wording.genres[self.spec.genre]
        if self._rng.random() < 0.5:
            return choices(cell, held_out=False)[0]
        return self.word(cell)

    def moods(self, most: int = 2) -> list[str]:
        count = self._rng.randint(1, most)
        chosen = [self.word(self.wording.moods[mood]) for mood in self.spec.moods[:count]]
        return list(dict.fromkeys(chosen))

    def attributes(self, most: int = 2) -> str:
        """Moods before or after a noun."""
        moods = [mood for mood in self.moods(most) if " " not in mood] or self.moods(1)
        joint = self.wording.joined_attributes.format(and_=self.wording.and_)
        return joint.join(self.wording.attribute(mood) for mood in moods)

    def energy(self) -> str:
        return self.word(self.wording.energies[self.spec.energy])

    def tempo_words(self) -> str:
        quarters = self.spec.bpm * (1.5 if self.spec.time_signature == "6/8" else 1.0)
        return self.word(
            next(w for limit, w in zip(_TEMPO_LIMITS, self.wording.tempos, strict=True) if quarters < limit)
        )

    def bpm(self) -> str:
        return self.pattern(self.wording.bpm).format(self.spec.bpm)

    def tempo(self) -> str:
        return self.bpm() if self._rng.random() < 0.55 else self.tempo_words()

    def key(self) -> str:
        key = self.spec.key if self._rng.random() < 0.15 else self.wording.key_words(self.spec.key)
        return self.pattern(self.wording.key).format(key)

    def mode(self) -> str:
        return self.word(self.wording.modes["minor" if self.spec.key.endswith("minor") else "major"])

    def metre(self) -> str:
        return self.word(self.wording.metres[self.spec.time_signature])

    def use(self) -> str:
        return self.word(self.wording.uses[self.spec.genre])

    def instruments(self, most: int) -> list[str]:
        """Names of some of those who play, each with a word of its part or without."""
        roles: list[Role] = [role for role in self.heard if role != "drums" or self._rng.random() < 0.6]
        self._rng.shuffle(roles)
        named = [self.named(role) for role in roles[: self._rng.randint(1, most)]]
        return list(dict.fromkeys(named))

    def named(self, role: Role) -> str:
        if self._rng.random() < _PART_ALONE_CHANCE.get(role, 0.0):
            self.players.append(Player(role, frozenset(programs_for(role)), said=True))
            return self.word(self.wording.parts[role])
        name, programs = self.name(role)
        pattern = self.pattern(self.wording.roles[role])
        said = pattern != "{name}" or role in ("drums", "bass") or "lead" in name.lower().split()
        self.players.append(Player(role, programs, said))
        return pattern.format(name=name)

    def name(self, role: Role) -> tuple[str, frozenset[int]]:
        """What the instrument of a role is called, and all that this may be."""
        item = instrument(role, self.spec.program(role) or 0)
        vocabulary = VOCABULARIES[self.language]
        senses = [item.name]
        if self._rng.random() < _FAMILY_CHANCE:
            families = [
                sense for sense, members in FAMILIES.items() if item.name in members and sense in vocabulary.names
            ]
            senses = [sense for sense in families if _called_for(sense, role)] or senses
        sense = self._rng.choice(senses)
        names = vocabulary.names_of(sense)
        held_out = self._held_out and self._rng.random() < _HELD_OUT_WORD_CHANCE
        pool = names.held_out if held_out and names.held_out else names.common
        able = [name for name in pool if _called_for(name, role)] or list(pool or vocabulary.names_of(item.name).common)
        first = 0.5 if not held_out else 0.0
        name = able[0] if self._rng.random() < first else self._rng.choice(able)
        sense = sense if pool else item.name
        return name, frozenset(program for part, program in SENSES[sense] if part == role)

    def missing(self) -> list[str]:
        """Words for some of the parts that are not there."""
        gone: list[Role] = [role for role in _WORTH_MISSING if role not in self.spec.roles and self._rng.random() < 0.6]
        self.gone |= set(gone)
        if len(gone) >= 2 and self._rng.random() < 0.5:
            pair = [self._rng.choice(choices(self.wording.parts[role], held_out=False)) for role in gone[:2]]
            both = self.pattern(self.wording.missing_two).format(*pair)
            return [both, *(self.word(self.wording.missing[role]) for role in gone[2:])]
        return [self.word(self.wording.missing[role]) for role in gone]

    def nobody_else(self) -> str | None:
        """That those who play are all, where they are one or two."""
        if set(self.heard) != set(self.spec.roles) or len(self.heard) > 2 or self._rng.random() < 0.5:
            return None
        self.only = True
        names = []
        for role in self.heard:
            name, programs = self.name(role)
            self.players.append(Player(role, programs, said=False))
            names.append(name)
        return self.pattern(self.wording.only).format(self.join(names))

    def form(self) -> str | None:
        kinds = [section.kind for section in self.spec.sections if section.bars]
        options = []
        if kinds and kinds[0] == "intro" and len(kinds) > 1:
            options.append("intro")
        if "solo" in kinds and "lead" in self.spec.roles:
            options.append("solo")
        if "bridge" in kinds:
            options.append("bridge")
        if len(kinds) == 1:
            options.append("loop")
        if kinds.count("chorus") > 1:
            options.append("chorus")
        return self.word(self.wording.forms[self._rng.choice(options)]) if options else None

    def join(self, items: Sequence[str]) -> str:
        if len(items) < 2:
            return "".join(items)
        return f"{', '.join(items[:-1])} {self.wording.and_} {items[-1]}"

    def with_instruments(self, most: int) -> str:
        """A phrase such as ` with piano and drums`."""
        pattern, named = self.pattern(self.wording.with_), self.instruments(most)
        if pattern == self.wording.with_[False][0] or pattern == self.wording.with_[False][1]:
            behind = [self.wording.after_with(name) for name in named]
            safe = [name for name in behind if name is not None]
            if len(safe) < len(named):
                pattern = self.wording.with_[False][-1]
            else:
                named = safe
        return pattern.format(self.join(named))


def _called_for(name: str, role: Role) -> bool:
    """Whether a name suits a role: a `saw lead` is no accompaniment, nor a `synth pad` a lead."""
    words = fold(name).replace("-", " ").split()
    if role != "lead" and any(word.startswith("solist") or word == "lead" or word.endswith("lead") for word in words):
        return False
    return role == "pad" or not any(word in ("pad", "nappe", "colchon", "tappeto", "cama") for word in words)


def _maybe(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def _tags(words: _Words, rng: random.Random) -> str:
    tags = []
    if _maybe(rng, 0.93):
        tags.append(words.genre())
    if _maybe(rng, 0.65):
        tags += words.moods(3)
    if _maybe(rng, 0.2):
        tags.append(words.energy())
    if _maybe(rng, 0.6):
        tags.append(words.tempo())
    alone = words.nobody_else()
    if alone is not None:
        tags.append(alone)
    elif _maybe(rng, 0.75) and words.heard:
        tags += words.instruments(5)
    if _maybe(rng, 0.25):
        tags.append(words.key())
    elif _maybe(rng, 0.12):
        tags.append(words.mode())
    if _maybe(rng, 0.8 if words.spec.time_signature != "4/4" else 0.05):
        tags.append(words.metre())
    if _maybe(rng, 0.3):
        tags.append(words.use())
    if _maybe(rng, 0.25):
        tags.append(words.word(words.wording.instrumental))
    if _maybe(rng, 0.08) and (form := words.form()):
        tags.append(form)
    head, rest = tags[:1], tags[1:]
    rng.shuffle(rest)
    tags = head + rest if _maybe(rng, 0.7) else rest + head
    gone = words.missing()
    tags = list(dict.fromkeys(tags)) or [words.genre()]
    if _maybe(rng, 0.3):
        tags = gone + tags
        gone = []
    separator = " " if words.language == "en" and _maybe(rng, 0.15) else ", "
    return ", ".join([separator.join(tags), *gone])


def _short(words: _Words, rng: random.Random) -> str:
    form = rng.randrange(5)
    text = words.genre()
    if form == 1:
        text = f"{text}, {words.moods(1)[0]}"
    elif form == 2 and words.heard:
        text = f"{text}, {words.named(rng.choice(words.heard))}"
    elif form == 3:
        text = f"{text} {words.bpm()}"
    elif form == 4:
        text = f"{text}, {words.tempo_words()}"
    return ", ".join([text, *words.missing()])


def _opened(words: _Words, patterns: Patterns) -> str:
    """A pattern with mood and genre in it, its first letter as in a sentence."""
    text = words.pattern(patterns)
    use = words.use() if "{use}" in text else ""
    return text.format(mood=words.attributes(), genre=words.genre(), use=use)


def _sentence(words: _Words, rng: random.Random) -> str:
    text = _opened(words, words.wording.openings)
    if (alone := words.nobody_else()) is not None:
        text += f", {alone}"
    elif words.heard and _maybe(rng, 0.85):
        text += words.with_instruments(4)
    if _maybe(rng, 0.5):
        text += words.pattern(words.wording.at).format(words.bpm())
    elif _maybe(rng, 0.3):
        text += f", {words.tempo_words()}"
    if _maybe(rng, 0.3):
        text += f", {words.key()}"
    if words.spec.time_signature != "4/4" and _maybe(rng, 0.7):
        text += f", {words.metre()}"
    if missing := words.missing():
        text += ", " + words.join(missing)
    return text + rng.choice((".", "", "."))


def _request(words: _Words, rng: random.Random) -> str:
    text = _opened(words, words.wording.requests)
    end = text[-1] if text[-1] in "?!" else ""
    text = text.rstrip("?! ")
    if words.heard and _maybe(rng, 0.7):
        text += words.with_instruments(3)
    if _maybe(rng, 0.4):
        text += words.pattern(words.wording.at).format(words.bpm())
    if missing := words.missing():
        text += ", " + words.join(missing)
    return text + end


def _two_sentences(words: _Words, rng: random.Random) -> str:
    first = f"{_opened(words, words.wording.openings)}."
    second = words.pattern(words.wording.seconds)
    named = words.instruments(5)
    if not named:
        return first
    second = second.format(words.join(named)).rstrip(".")
    second = second[0].upper() + second[1:]
    if _maybe(rng, 0.5):
        second += f", {words.tempo()}"
    if _maybe(rng, 0.3):
        second += f", {words.key()}"
    if missing := words.missing():
        second += ", " + words.join(missing)
    text = f"{first} {second}."
    if _maybe(rng, 0.3) and (form := words.form()):
        text += f" {form[0].upper()}{form[1:]}."
    return text
