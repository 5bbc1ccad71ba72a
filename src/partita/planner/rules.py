"""A planner of plain rules: what the user gave, what the caption says in so many words, and usual values for the rest.

Knows no model and no tensors. A renderer whose model can leave tempo, key and form open gets them open (`complete`
false); one that needs a whole plan gets every field, the open ones drawn from the seed. With a song as its source what
is left open is that song's, and its beats and its form go on.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from random import Random

from partita.errors import RequestError
from partita.planner.form import continued_sections, draw, plan_sections
from partita.score.keys import key_name, parse_key
from partita.score.types import Grid
from partita.song.plan import Origin, Plan, PlannedSection
from partita.song.resolve import ResolvedRequest
from partita.song.source import SAMPLE_RATE_HZ
from partita.song.task import Retake, TextToMusic

# Tempo ranges in BPM that these words usually mean; the first that the caption holds decides.
_TEMPO_WORDS: tuple[tuple[str, int, int], ...] = (
    (r"lo-?fi|chillhop", 70, 90),
    (r"drum (?:and|&|n) bass|dnb|jungle", 160, 176),
    (r"techno|trance", 126, 138),
    (r"house|edm|dance|disco|electronic", 116, 128),
    (r"synthwave|retrowave|80s", 96, 118),
    (r"hip[ -]?hop|trap|rap\b", 80, 96),
    (r"reggae|dub\b", 70, 90),
    (r"bossa|samba", 110, 140),
    (r"swing|bebop", 130, 170),
    (r"waltz", 90, 150),
    (r"ballad|lullaby", 62, 80),
    (r"ambient|drone|meditat", 60, 80),
    (r"punk|metal", 140, 176),
    (r"\bvery slow\b|largo|grave", 60, 66),
    (r"\bvery fast\b|presto", 164, 178),
    (r"\bslow(?:ly)?\b|adagio|lento|calm|sleepy|mellow", 62, 84),
    (r"\bfast\b|allegro|uptempo|up-tempo|energetic|driving|upbeat", 126, 160),
    (r"\bmid(?:-| )?tempo\b|moderate|andante", 92, 110),
    (r"funk", 98, 116),
    (r"rock", 108, 140),
    (r"pop", 98, 124),
    (r"folk|country", 90, 120),
    (r"jazz", 90, 140),
    (r"classical|orchestra|piano", 72, 112),
)
_MINOR_WORDS = re.compile(r"\b(?:sad|dark|melanchol\w*|mournful|moody|tense|ominous|nostalgic|gloomy|minor)\b", re.I)
_MAJOR_WORDS = re.compile(r"\b(?:happy|bright|cheerful|joyful|sunny|uplifting|playful|triumphant|major)\b", re.I)
_BPM = re.compile(r"\b(\d{2,3})\s*(?:bpm|beats per minute)\b|\b(?:bpm|tempo)[ :=]*(\d{2,3})\b", re.I)
_KEY = re.compile(r"\b[A-G](?:\s*(?:#|♯|♭|b|sharp|flat))?[ -]+(?:major|minor|maj|min)\b|(?<=\bin )[A-G][#b]?m\b")
_METRE = re.compile(r"\b([2346])/([48])\b")


@dataclass(frozen=True, slots=True)
class RulePlanner:
    """`bpm_min`..`bpm_max` and `time_signatures` are what the renderer's model plays."""

    complete: bool
    bpm_min: int = 60
    bpm_max: int = 180
    time_signatures: tuple[str, ...] = ("2/4", "3/4", "4/4", "6/8")

    def plan(self, resolved: ResolvedRequest, seed: int) -> Plan:
        """The plan of one song; a retake's is that of the song it retakes.

        Raises RequestError where the caption names a tempo or metre that cannot be played, or where a whole plan is
        needed and the request asks for another tempo, key or metre than its source has.
        """
        task = resolved.task
        if isinstance(task, Retake):
            seed = task.of_seed
        source = resolved.source.song.plan if resolved.source is not None and resolved.source.song is not None else None
        duration_s = resolved.duration_s if resolved.duration_s is not None else resolved.default_duration_s
        origins = _origins(resolved, source)
        bpm, key, metre = resolved.bpm, resolved.key, resolved.time_signature
        offset_s, sections = 0.0, ()
        if source is not None:
            if self.complete:
                _check_same(resolved, source)
            bpm = bpm if bpm is not None else source.bpm
            key, metre = key or source.key, metre or source.time_signature
            offset_s, sections = _continued(resolved, source, duration_s)
        elif self.complete:
            random = Random(f"plan {seed}")
            metre = metre or self._metre(resolved.caption)
            bpm = bpm if bpm is not None else self._bpm(resolved.caption, metre, random)
            key = key or _key(resolved.caption, random)
            sections = plan_sections(resolved.lyrics, duration_s, bpm, metre, random)
        codes = task.codes if isinstance(task, TextToMusic) else None
        drawn = {"bpm": bpm, "key": key, "time_signature": metre, "sections": sections or None, "codes": codes}
        usual: Origin = "rule" if source is None else "source"
        origins |= {name: usual for name, value in drawn.items() if value is not None and name not in origins}
        return Plan(
            caption=resolved.caption,
            lyrics=resolved.lyrics,
            language=resolved.language,
            duration_s=duration_s,
            bpm=bpm,
            key=key,
            time_signature=metre,
            beat_offset_s=offset_s,
            sections=sections,
            codes=codes,
            origins=origins,
        )

    def _metre(self, caption: str) -> str:
        if (named := _METRE.search(caption)) is not None:
            metre = named.group(0)
            if metre not in self.time_signatures:
                raise RequestError(
                    f"The caption asks for {metre}, and this model plays {', '.join(self.time_signatures)}.",
                    field="caption",
                    value=caption,
                )
            return metre
        if re.search(r"\bwaltz\b", caption, re.I):
            return "3/4"
        return "4/4"

    def _bpm(self, caption: str, metre: str, random: Random) -> int:
        if (named := _BPM.search(caption)) is not None:
            bpm = int(named.group(1) or named.group(2))
            if not self.bpm_min <= bpm <= self.bpm_max:
                raise RequestError(
                    f"The caption asks for {bpm} BPM, and this model plays {self.bpm_min} to {self.bpm_max}.",
                    field="caption",
                    value=caption,
                )
            return bpm
        low, high = next(
            ((low, high) for pattern, low, high in _TEMPO_WORDS if re.search(pattern, caption, re.I)), (84, 124)
        )
        if metre == "6/8":  # the beat is a dotted quarter: two thirds as many of them
            low, high = round(low * 2 / 3), round(high * 2 / 3)
        return min(max(draw(random, low, high), self.bpm_min), self.bpm_max)


def _origins(resolved: ResolvedRequest, source: Plan | None) -> dict[str, Origin]:
    """Where the values of a resolved request come from; those that it leaves open have no entry."""
    origins: dict[str, Origin] = {
        "caption": "user",
        "lyrics": "rule" if resolved.instrumental else "user",
        "language": "card" if resolved.language == "unknown" else "user",
        "duration_s": "card" if resolved.duration_s is None else "user" if resolved.canvas is None else "source",
    }
    if source is not None:
        origins |= {
            name: "source"
            for name in ("caption", "lyrics", "language")
            if origins[name] == "user" and getattr(resolved, name) == getattr(source, name)
        }
    asked = {"bpm": resolved.bpm, "key": resolved.key, "time_signature": resolved.time_signature}
    if isinstance(resolved.task, TextToMusic):
        asked["codes"] = resolved.task.codes
    given: dict[str, Origin] = {name: "user" for name, value in asked.items() if value is not None}
    return origins | given


def _continued(resolved: ResolvedRequest, source: Plan, duration_s: float) -> tuple[float, tuple[PlannedSection, ...]]:
    """Where in the canvas a bar of the source begins (within the first bar), and the source's form, carried on."""
    assert resolved.source is not None  # whoever has a source's plan has it, and its canvas
    assert resolved.canvas is not None
    start_s = resolved.canvas.source_at / SAMPLE_RATE_HZ
    if source.bpm is None or source.time_signature is None:
        return 0.0, ()
    grid = Grid(source.bpm, source.time_signature)
    offset_s = round(math.fmod(source.beat_offset_s + start_s, grid.bar_s), 9)
    grid = replace(grid, offset_s=offset_s if grid.bar_s - offset_s > 1e-6 else 0.0)
    end_s = start_s + resolved.source.duration_s
    return grid.offset_s, continued_sections(source.sections, grid, (start_s, end_s), duration_s)


def _check_same(resolved: ResolvedRequest, source: Plan) -> None:
    """A model that plays a whole score has one tempo, one key and one metre for it. Raises RequestError for another."""
    for field, named in (("bpm", "tempo"), ("key", "key"), ("time_signature", "metre")):
        asked, was = getattr(resolved, field), getattr(source, field)
        if asked is not None and asked != was:
            raise RequestError(
                f"{field} {asked} was asked for, and the source is in {was}: {resolved.model} keeps the {named} of "
                f"the song that it edits. Leave {field} out.",
                field=field,
                value=asked,
            )


def _key(caption: str, random: Random) -> str:
    if (named := _KEY.search(caption)) is not None:
        return key_name(*parse_key(named.group(0)))
    if _MINOR_WORDS.search(caption):
        mode = "minor"
    elif _MAJOR_WORDS.search(caption):
        mode = "major"
    else:
        mode = "major" if random.random() < 0.5 else "minor"
    return key_name(draw(random, 0, 11), mode)
