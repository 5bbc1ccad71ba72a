"""A planner of plain rules: what the user gave, what the caption says in so many words, and usual values for the rest.

Knows no model and no tensors. A renderer whose model can leave tempo, key and form open gets them open (`complete`
false); one that needs a whole plan gets every field, the open ones drawn from the seed. The length is that of the
lyrics where nobody says one, and their language is read from them. With a song as its source what is left open is that
song's, and its beats and its form go on.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from random import Random

from partita.errors import RequestError
from partita.planner.budget import spans_of, usual_rate
from partita.planner.form import continued_sections, draw, filled_sections, plan_sections, tagged_sections
from partita.planner.lint import lint, told
from partita.planner.pace import pace_of, usual_tempo
from partita.planner.reading import duration_s_of, key_of, language_named, metre_of, tempo_of
from partita.score.keys import key_name
from partita.score.types import Grid, SectionKind
from partita.song.plan import Origin, Plan, PlannedSection
from partita.song.resolve import ResolvedRequest
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ
from partita.song.task import Retake, TextToMusic
from partita.text.detection import language_of
from partita.text.languages import UNKNOWN

FRAMES_PER_S = SAMPLE_RATE_HZ / FRAME_SAMPLES
_MINOR_WORDS = re.compile(
    r"\b(?:sad|dark|melanchol\w*|mournful|moody|tense|ominous|nostalgic|gloomy|minor|triste|traurig\w*|m[eé]lanc[oó]li\w*|"
    r"mélancol\w*|malinconi\w*|oscur[oa]|sombre|sombrí[oa]|sombri[oa]|düster\w*|dunkel|cup[oa]|escur[oa]|nost[aá]lgic[oa]|"
    r"nostalgique|nostalgisch\w*|menor|mineur|minore|moll)\b",
    re.IGNORECASE,
)
_MAJOR_WORDS = re.compile(
    r"\b(?:happy|bright|cheerful|joyful|sunny|uplifting|playful|triumphant|major|alegre|feli[zc]e?s?|joyeux|gai|heureux|"
    r"fröhlich\w*|heiter\w*|sonnig\w*|soleado|ensoleillé|solare|ensolarado|mayor|majeur|maggiore|maior|dur)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RulePlanner:
    """`bpm_min`..`bpm_max`, `time_signatures` and the durations are what the renderer's model plays."""

    complete: bool
    bpm_min: int = 60
    bpm_max: int = 180
    time_signatures: tuple[str, ...] = ("2/4", "3/4", "4/4", "6/8")
    duration_min_s: float = 1.0
    duration_max_s: float = 600.0

    def plan(self, resolved: ResolvedRequest, seed: int) -> Plan:
        """The plan of one song; a retake's is that of the song it retakes.

        Raises RequestError where the caption names a tempo, metre or length that cannot be played, or where a whole
        plan is needed and the request asks for another tempo, key or metre than its source has.
        """
        task = resolved.task
        if isinstance(task, Retake):
            seed = task.of_seed
        source = resolved.source.song.plan if resolved.source is not None and resolved.source.song is not None else None
        origins = _origins(resolved, source)
        language = _language(resolved, source)
        bpm, key, metre = resolved.bpm, resolved.key, resolved.time_signature
        random = Random(f"plan {seed}")
        if source is not None:
            if self.complete:
                _check_same(resolved, source)
            bpm = bpm if bpm is not None else source.bpm
            key, metre = key or source.key, metre or source.time_signature
        elif self.complete:
            metre = metre or self._metre(resolved.caption)
            bpm = bpm if bpm is not None else self._bpm(resolved.caption, metre, random)
            key = key or _key(resolved.caption, random)
        length = self._length(resolved, language, bpm, metre)
        duration_s = length.duration_s if length is not None else resolved.default_duration_s
        offset_s, sections = 0.0, ()
        if source is not None:
            offset_s, sections = _continued(resolved, source, duration_s)
        elif self.complete:
            assert bpm is not None  # both were filled in above
            assert metre is not None
            if length is not None and length.form:
                sections = filled_sections(length.form, Grid(bpm, metre), duration_s)
            else:
                sections = plan_sections(resolved.lyrics, duration_s, bpm, metre, random)
        codes = task.codes if isinstance(task, TextToMusic) else None
        drawn = {"bpm": bpm, "key": key, "time_signature": metre, "sections": sections or None, "codes": codes}
        usual: Origin = "rule" if source is None else "source"
        origins |= {name: usual for name, value in drawn.items() if value is not None and name not in origins}
        if language != resolved.language:
            origins["language"] = "rule"
        if length is not None and resolved.duration_s is None:
            origins["duration_s"] = "rule"
        plan = Plan(
            caption=resolved.caption,
            lyrics=resolved.lyrics,
            language=language,
            duration_s=duration_s,
            bpm=bpm,
            key=key,
            time_signature=metre,
            beat_offset_s=offset_s,
            sections=sections,
            codes=codes,
            origins=origins,
        )
        # What plays a whole score has no voice.
        notes = told(lint(plan.lyrics, plan, sung=not self.complete)) if _are_own_words(resolved, source) else ()
        return plan.model_copy(update={"notes": notes})

    def _length(self, resolved: ResolvedRequest, language: str, bpm: int | None, metre: str | None) -> _Length | None:
        """How long the song is by the request, the caption or the lyrics, in this order; none where none of them says.

        The original reads nothing, and parity does as it does.
        """
        if resolved.duration_s is not None:
            return _Length(resolved.duration_s)
        if resolved.parity:
            return None
        said_s = duration_s_of(resolved.caption)
        if said_s is not None:
            if not self.duration_min_s <= said_s <= self.duration_max_s:
                raise RequestError(
                    f"The caption asks for {said_s:g} seconds, and {resolved.model} renders {self.duration_min_s:g} to "
                    f"{self.duration_max_s:g}: say another length, or give duration_s.",
                    field="caption",
                    value=resolved.caption,
                )
            return _Length(said_s)
        if resolved.instrumental:
            return None
        grid = pace_of(resolved.caption, bpm, metre)
        rate = usual_rate(grid.bpm, language, resolved.caption)
        spans = spans_of(resolved.lyrics, grid, rate, language)
        if not spans:
            return None
        # A whole plan ends with a bar, on a latent frame; a length that is only told to a model is in whole seconds.
        grain_s = 1 / FRAMES_PER_S if self.complete else 1.0
        needed_s = math.ceil(sum(span.bars for span in spans) * grid.bar_s / grain_s - 1e-6) * grain_s
        duration_s = round(min(max(needed_s, self.duration_min_s), self.duration_max_s), 6)
        tagged = bool(tagged_sections(resolved.lyrics))
        return _Length(duration_s, tuple((span.kind, span.bars) for span in spans) if tagged else ())

    def _metre(self, caption: str) -> str:
        metre = metre_of(caption) or "4/4"
        if metre not in self.time_signatures:
            raise RequestError(
                f"The caption asks for {metre}, and this model plays {', '.join(self.time_signatures)}.",
                field="caption",
                value=caption,
            )
        return metre

    def _bpm(self, caption: str, metre: str, random: Random) -> int:
        bpm = tempo_of(caption)
        if bpm is None:
            low, high = usual_tempo(caption, metre)
            return min(max(draw(random, low, high), self.bpm_min), self.bpm_max)
        if not self.bpm_min <= bpm <= self.bpm_max:
            raise RequestError(
                f"The caption asks for {bpm} BPM, and this model plays {self.bpm_min} to {self.bpm_max}.",
                field="caption",
                value=caption,
            )
        return bpm


@dataclass(frozen=True, slots=True)
class _Length:
    """Seconds, and the form that fills them where the lyrics decided both."""

    duration_s: float
    form: tuple[tuple[SectionKind, int], ...] = ()


def _language(resolved: ResolvedRequest, source: Plan | None) -> str:
    """The language that the request names, else that of its words. Those of the source are as the source has them."""
    if resolved.language != UNKNOWN or resolved.instrumental or resolved.parity:
        return resolved.language
    if source is not None and source.lyrics == resolved.lyrics:
        return resolved.language
    return language_of(resolved.lyrics, language_named(resolved.caption))


def _are_own_words(resolved: ResolvedRequest, source: Plan | None) -> bool:
    """Whether the lyrics are of this request, rather than those of a source that is worked on."""
    return not resolved.instrumental and (source is None or source.lyrics != resolved.lyrics)


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
    styled: dict[str, Origin] = dict.fromkeys(resolved.styled, "style")
    return origins | given | styled


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
    if (named := key_of(caption)) is not None:
        return named
    if _MINOR_WORDS.search(caption):
        mode = "minor"
    elif _MAJOR_WORDS.search(caption):
        mode = "major"
    else:
        mode = "major" if random.random() < 0.5 else "minor"
    return key_name(draw(random, 0, 11), mode)
