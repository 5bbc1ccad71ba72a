"""Captions: how people would ask for a piece, from a list of tags to full sentences.

Each names a random subset of what the outline says: genre, mood, instruments, tempo, key, metre, what is missing, how
it is built. Knows only the outline, and which roles sound in the part of the piece that is captioned.
"""

from __future__ import annotations

import random

from partita.score.instruments import instrument
from partita.score.types import Role
from partita.training.composer.compose import Piece
from partita.training.composer.genres import GENRES
from partita.training.composer.spec import PieceSpec

_TEMPO_WORDS = (
    (70, ("very slow", "slow tempo", "slow")),
    (90, ("slow", "slow tempo", "downtempo", "laid-back tempo")),
    (112, ("mid-tempo", "moderate tempo", "medium tempo", "walking pace")),
    (140, ("upbeat", "up-tempo", "lively tempo", "brisk")),
    (1000, ("fast", "fast tempo", "very fast", "high tempo")),
)

_ENERGY_WORDS = {
    "low": ("soft", "quiet", "gentle", "low energy", "calm"),
    "medium": ("steady", "balanced", "medium energy"),
    "high": ("energetic", "powerful", "high energy", "intense", "loud"),
}

_MISSING_WORDS: dict[Role, tuple[str, ...]] = {
    "drums": ("no drums", "without drums", "drumless", "no percussion"),
    "bass": ("no bass", "without bass"),
    "lead": ("no melody", "no lead melody", "without a lead"),
    "chords": ("no chords",),
    "pad": ("no pads",),
    "arp": ("no arpeggios",),
}
_WORTH_MISSING: tuple[Role, ...] = ("drums", "bass", "lead")

_ROLE_WORDS: dict[Role, tuple[str, ...]] = {
    "drums": ("{name}", "{name}", "{adjective}{name}"),
    "bass": ("{name}", "{name}", "{name} line"),
    "chords": ("{name}", "{name} chords", "{name}"),
    "pad": ("{name}", "{name}", "{name} in the background"),
    "arp": ("{name} arpeggios", "{name}", "arpeggiated {name}"),
    "lead": ("{name} melody", "{name} lead", "{name}", "lead {name}"),
}


def caption(piece: Piece | PieceSpec, seed: int, *, window_s: tuple[float, float] | None = None) -> str:
    """A caption for a piece; another `seed` gives another wording.

    With a `Piece` and a window `(start, end)` in seconds only instruments heard within it are named, which is what a
    caption of an excerpt wants.
    """
    spec = piece.spec if isinstance(piece, Piece) else piece
    rng = random.Random(seed)
    heard: tuple[Role, ...] = spec.roles
    if isinstance(piece, Piece):
        heard = tuple(role for role, _ in spec.programs if _sounds(piece, role, window_s))
    words = _Words(spec, heard, rng)
    return rng.choice((_tags, _tags, _tags, _sentence, _sentence, _short, _request, _two_sentences))(words, rng)


def _sounds(piece: Piece, role: Role, window_s: tuple[float, float] | None) -> bool:
    track = piece.score.track(role)
    if track is None or window_s is None:
        return track is not None
    start_s, end_s = window_s
    return any(note.start_s < end_s and note.start_s + note.duration_s > start_s for note in track.notes)


class _Words:
    """Draws words for each aspect of one piece."""

    def __init__(self, spec: PieceSpec, heard: tuple[Role, ...], rng: random.Random) -> None:
        self.spec, self.heard, self._rng = spec, heard, rng
        self._genre = GENRES[spec.genre]

    def genre(self) -> str:
        if self._rng.random() < 0.65:
            return self._genre.name
        return self._rng.choice(self._genre.words)

    def moods(self, most: int = 2) -> list[str]:
        count = self._rng.randint(1, most)
        chosen = list(self.spec.moods[:count])
        if self._rng.random() < 0.25:
            chosen.append(self._rng.choice(_ENERGY_WORDS[self.spec.energy]))
        return list(dict.fromkeys(chosen))

    def tempo_words(self) -> str:
        quarters = self.spec.bpm * (1.5 if self.spec.time_signature == "6/8" else 1.0)
        return self._rng.choice(next(words for limit, words in _TEMPO_WORDS if quarters < limit))

    def bpm(self) -> str:
        return self._rng.choice(("{:g} bpm", "{:g} BPM", "{:g}bpm", "tempo {:g}")).format(self.spec.bpm)

    def tempo(self) -> str:
        return self.bpm() if self._rng.random() < 0.55 else self.tempo_words()

    def key(self) -> str:
        return self._rng.choice(("{}", "in {}", "key of {}")).format(self.spec.key)

    def mode(self) -> str:
        return self._rng.choice(("minor key", "minor") if self.spec.key.endswith("minor") else ("major key", "major"))

    def metre(self) -> str:
        extra = {
            "4/4": ("4/4", "four four"),
            "3/4": ("3/4", "in three", "waltz time"),
            "6/8": ("6/8", "in 6/8", "compound time"),
        }
        return self._rng.choice(extra[self.spec.time_signature])

    def tag(self) -> str:
        return self._rng.choice(self._genre.tags)

    def instruments(self, most: int) -> list[str]:
        roles: list[Role] = [role for role in self.heard if role != "drums" or self._rng.random() < 0.6]
        self._rng.shuffle(roles)
        named: list[str] = []
        for role in roles[: self._rng.randint(1, most)]:
            named.append(self._instrument(role))
        return list(dict.fromkeys(named))

    def _instrument(self, role: Role) -> str:
        item = instrument(role, self.spec.program(role) or 0)
        name = item.name if self._rng.random() < 0.6 or not item.synonyms else self._rng.choice(item.synonyms)
        if role == "drums" and self._rng.random() < 0.4:
            name = "drums"
        adjective = self._rng.choice(("", "steady ", "tight ", "soft " if self.spec.energy == "low" else "punchy "))
        return self._rng.choice(_ROLE_WORDS[role]).format(name=name, adjective=adjective)

    def missing(self) -> list[str]:
        gone: list[Role] = [role for role in _WORTH_MISSING if role not in self.spec.roles]
        return [self._rng.choice(_MISSING_WORDS[role]) for role in gone if self._rng.random() < 0.6]

    def build(self) -> str | None:
        kinds = [section.kind for section in self.spec.sections if section.bars]
        options = []
        if kinds and kinds[0] == "intro" and len(kinds) > 1:
            options += ["with an intro", "builds from a sparse intro"]
        if "solo" in kinds and "lead" in self.spec.roles:
            options += ["with a solo"]
        if "bridge" in kinds:
            options += ["with a bridge"]
        if len(kinds) == 1:
            options += ["a short loop", "one section"]
        if kinds.count("chorus") > 1:
            options += ["verse and chorus", "with a recurring chorus"]
        return self._rng.choice(options) if options else None


def _maybe(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def _tags(words: _Words, rng: random.Random) -> str:
    tags = []
    if _maybe(rng, 0.93):
        tags.append(words.genre())
    if _maybe(rng, 0.65):
        tags += words.moods(3)
    if _maybe(rng, 0.6):
        tags.append(words.tempo())
    if _maybe(rng, 0.75) and words.heard:
        tags += words.instruments(5)
    if _maybe(rng, 0.25):
        tags.append(words.key())
    elif _maybe(rng, 0.12):
        tags.append(words.mode())
    if _maybe(rng, 0.8 if words.spec.time_signature != "4/4" else 0.05):
        tags.append(words.metre())
    if _maybe(rng, 0.3):
        tags.append(words.tag())
    if _maybe(rng, 0.25):
        tags.append(rng.choice(("instrumental", "instrumental", "no vocals")))
    if _maybe(rng, 0.08) and (build := words.build()):
        tags.append(build)
    head, rest = tags[:1], tags[1:]
    rng.shuffle(rest)
    tags = head + rest if _maybe(rng, 0.7) else rest + head
    tags += words.missing()
    tags = list(dict.fromkeys(tags)) or [words.genre()]
    return rng.choice((", ", ", ", ", ", " ")).join(tags)


def _short(words: _Words, rng: random.Random) -> str:
    form = rng.randrange(5)
    if form == 0:
        text = words.genre()
    elif form == 1:
        text = f"{words.moods(1)[0]} {words.genre()}"
    elif form == 2 and words.heard:
        text = f"{words.genre()} {words.instruments(1)[0] if words.instruments(1) else ''}".strip()
    elif form == 3:
        text = f"{words.genre()} {words.bpm()}"
    else:
        text = f"{words.tempo_words()} {words.genre()}"
    return ", ".join([text, *words.missing()])


def _sentence(words: _Words, rng: random.Random) -> str:
    mood = _join(words.moods(2)) if _maybe(rng, 0.8) else words.tempo_words()
    opening = rng.choice(("A {} {} track", "A {} {} piece", "{} {}", "A {} {} instrumental", "A {} {} tune"))
    text = _article(opening.format(mood, words.genre()))
    if words.heard and _maybe(rng, 0.85) and (named := words.instruments(4)):
        text += rng.choice((" with {}", " featuring {}", " built on {}", ", with {}", " for {}")).format(_join(named))
    if _maybe(rng, 0.5):
        text += rng.choice((" at {}", ", {}")).format(words.bpm())
    elif _maybe(rng, 0.3):
        text += f", {words.tempo_words()}"
    if _maybe(rng, 0.3):
        text += f" in {words.spec.key}"
    if words.spec.time_signature != "4/4" and _maybe(rng, 0.7):
        text += f", {words.metre()}"
    if missing := words.missing():
        text += ", " + _join(missing)
    return text + rng.choice((".", "", "."))


def _request(words: _Words, rng: random.Random) -> str:
    start = rng.choice(("make", "write", "I want", "give me", "play", "compose", "something like", "music for"))
    thing = f"{words.moods(1)[0]} {words.genre()}" if _maybe(rng, 0.7) else words.genre()
    if start == "music for":
        text = f"{thing} music, {words.tag()}"
    else:
        text = f"{start} {_article('a ' + thing)} {rng.choice(('song', 'track', 'tune', 'loop', 'piece'))}"
    if words.heard and _maybe(rng, 0.7) and (named := words.instruments(3)):
        text += f" with {_join(named)}"
    if _maybe(rng, 0.4):
        text += f" at {words.bpm()}"
    if missing := words.missing():
        text += ", " + _join(missing)
    return text


def _two_sentences(words: _Words, rng: random.Random) -> str:
    first = _article(f"A {_join(words.moods(2))} {words.genre()} {rng.choice(('track', 'piece', 'instrumental'))}.")
    named = words.instruments(5) or ["music"]
    shape = rng.choice(("{} carry the music", "It features {}", "You hear {}", "The arrangement has {}"))
    second = shape.format(_join(named))
    if shape.startswith("{}"):
        second = second[0].upper() + second[1:]
    if _maybe(rng, 0.5):
        second += f", {words.tempo()}"
    if _maybe(rng, 0.3):
        second += f", {words.key()}"
    if missing := words.missing():
        second += ", " + _join(missing)
    text = f"{first} {second}."
    if _maybe(rng, 0.3) and (build := words.build()):
        text += f" {build[0].upper()}{build[1:]}."
    return text


def _join(items: list[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def _article(text: str) -> str:
    """`text` with a leading `A` made `An` where the next word is spoken with a vowel first."""
    rest = text[2:].lower()
    vowel = rest.startswith(("a", "e", "i", "o", "u", "8")) and not rest.startswith(("eu", "one", "uni", "uk"))
    return f"{text[0]}n {text[2:]}" if text[:2] in ("A ", "a ") and vowel else text
