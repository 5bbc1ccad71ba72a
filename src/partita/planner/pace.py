"""The tempo and metre of a song as far as anybody says: what was asked for, what the caption names, what words mean.

Draws nothing and knows no model's range.
"""

from __future__ import annotations

import re

from partita.planner.reading import metre_of, tempo_of
from partita.score.types import Grid
from partita.text.prompts import BPM_RANGE

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
    (r"waltz|\bvals\b|\bvalses?\b|walzer|valzer|\bvalsas?\b", 90, 150),
    (r"ballad|lullaby|\bbaladas?\b|ballata|\bnana\b|berceuse|wiegenlied|ninna nanna", 62, 80),
    (r"ambient|drone|meditat", 60, 80),
    (r"punk|metal", 140, 176),
    (r"\bvery slow\b|largo|grave|muy lento|très lent|sehr langsam|molto lento|muito lento", 60, 66),
    (r"\bvery fast\b|presto|muy rápido|très rapide|sehr schnell|molto veloce|muito rápido", 164, 178),
    (
        r"\bslow(?:ly)?\b|adagio|lento|calm|sleepy|mellow|\blente?s?\b|langsam|devagar|\bpausado|\bruhig|tranquil",
        62,
        84,
    ),
    (
        r"\bfast\b|allegro|uptempo|up-tempo|energetic|driving|upbeat|r[aá]pid[oa]|\brapide|schnell|\bveloz|\bveloce|"
        r"\bflott|\bmovido|en[eé]rgic[oa]|énergique|energiegeladen",
        126,
        160,
    ),
    (
        r"\bmid(?:-| )?tempo\b|moderate|andante|medio tiempo|tempo (?:medio|moderado|modéré|moyen|moderato)|"
        r"(?:mittleres|gemäßigtes) tempo|andamento (?:médio|moderado)",
        92,
        110,
    ),
    (r"funk", 98, 116),
    (r"rock", 108, 140),
    (r"pop", 98, 124),
    (r"folk|country", 90, 120),
    (r"jazz", 90, 140),
    (r"classical|orchestra|piano|clásica|classique|klassik|klassische|classica|clássica", 72, 112),
    (r"dubstep", 138, 142),
    (r"trip[ -]?hop|downtempo|chill", 76, 94),
    (r"grime|garage", 130, 140),
    (r"salsa|merengue", 150, 176),
    (r"tango|habanera", 112, 132),
    (r"cumbia|bachata", 88, 130),
    (r"march\b|polka", 108, 124),
    (r"flamenco|rumba", 100, 130),
    (r"shoegaze|grunge|indie|alternative", 96, 130),
    (r"gospel|soul\b|r ?(?:&|n|and) ?b\b", 70, 104),
    (r"blues", 72, 112),
    (r"bolero|hymn|elegy|lament|requiem", 62, 78),
    (r"\bjigs?\b|\breels?\b|celtic", 100, 126),
    (r"\blarghetto\b", 60, 66),
    (r"\bmoderato\b|\ballegretto\b", 96, 116),
    (r"\bvivace\b", 150, 170),
)
_UNSAID = (84, 124)
_USUAL_GRIDS = ("2/4", "3/4", "4/4", "6/8")


def usual_tempo(caption: str, metre: str) -> tuple[int, int]:
    """The least and greatest tempo that the words of a caption usually mean, in beats of `metre` a minute."""
    low, high = next(
        ((low, high) for pattern, low, high in _TEMPO_WORDS if re.search(pattern, caption, re.IGNORECASE)), _UNSAID
    )
    if metre == "6/8":  # the beat is a dotted quarter: two thirds as many of them
        return round(low * 2 / 3), round(high * 2 / 3)
    return low, high


def pace_of(caption: str, bpm: int | None, metre: str | None) -> Grid:
    """The grid to reckon time with: the values given, and for those left open what the caption lets one expect."""
    metre = metre or metre_of(caption)
    if metre not in _USUAL_GRIDS:
        metre = "4/4"
    low, high = usual_tempo(caption, metre)
    tempo = bpm or tempo_of(caption) or (low + high) // 2
    return Grid(min(max(tempo, BPM_RANGE[0]), BPM_RANGE[1]), metre)
