"""How good a song is, as values: what each judge found, the overall score, and the choice among several songs.

It knows the arithmetic of the overall score and the words of a choice; who judges, and how, is the engine's business.
Weights: the scoring published with ACE-Step 1.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from partita.song.values import Value

ComponentName = Literal["caption", "lyrics", "metadata"]
WEIGHTS: dict[ComponentName, float] = {"caption": 0.5, "lyrics": 0.3, "metadata": 0.2}
DECIMALS = 4
"""Overall scores that agree so far are equal: what is left is rounding."""


class Mark(Value):
    """One judge's word on one thing that was asked for: 1 is as asked, 0 is not at all. `said` is for people."""

    name: str
    component: ComponentName
    score: float
    said: str


class Fault(Value):
    """Something that is wrong with the sound, and which share of the score it takes off."""

    name: str
    taken_off: float
    said: str


class Component(Value):
    """Mean of the marks for the caption, the lyrics or the metadata; `weight` is its share among those there are."""

    name: ComponentName
    score: float
    weight: float


class LyricsFound(Value):
    """How well the lyrics can be followed, each number in 0..1: `score` is coverage² · monotonicity² · confidence in
    the finished song, `conditions_score` the same in its conditions alone."""

    score: float
    coverage: float
    monotonicity: float
    confidence: float
    conditions_score: float


class PlannerScores(Value):
    """What a language model makes of the song's codes: a score in 0..1 for each condition, and their weighted total.

    Fields of metadata are scored by the rank of their true tokens, caption and lyrics by how much the codes tell of
    them (pointwise mutual information). `codes_of`: those of the plan, or those that the latents are read as.
    """

    planner: str
    codes_of: Literal["plan", "latents"]
    fields: dict[str, float]
    total: float


class Scores(Value):
    """`overall` = fit · sound, in 0..1.

    fit: the marks of caption, lyrics and metadata, each the plain mean of its judges', weighted 0.5, 0.3 and 0.2,
    shared out among those there are; 1 where nothing was asked that can be judged. sound: 1 less what each fault takes
    off, one after another. `notes` say what could not be judged, and why.
    """

    overall: float
    fit: float
    sound: float
    components: tuple[Component, ...]
    marks: tuple[Mark, ...]
    faults: tuple[Fault, ...]
    lyrics: LyricsFound | None = None
    planner: PlannerScores | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        marks: Sequence[Mark],
        faults: Sequence[Fault],
        *,
        lyrics: LyricsFound | None = None,
        planner: PlannerScores | None = None,
        notes: Iterable[str] = (),
    ) -> Scores:
        """Put together what the judges said."""
        components = _components(marks)
        fit = sum(one.score * one.weight for one in components) if components else 1.0
        sound = 1.0
        for fault in faults:
            sound *= 1.0 - fault.taken_off
        return cls(
            overall=round(fit * sound, DECIMALS),
            fit=fit,
            sound=sound,
            components=components,
            marks=tuple(marks),
            faults=tuple(faults),
            lyrics=lyrics,
            planner=planner,
            notes=tuple(notes),
        )

    def lines(self) -> tuple[str, ...]:
        """The scores in words, one thing a line."""
        return (
            f"{self.overall:.3f} overall: {self.fit:.3f} for what was asked, {self.sound:.3f} for the sound",
            *self.findings(),
            *self.notes,
        )

    def findings(self) -> tuple[str, ...]:
        """Marks and faults in words."""
        return (
            *(f"{mark.score:.3f} {mark.name}: {mark.said}" for mark in self.marks),
            *(f"-{100 * fault.taken_off:.0f} % {fault.name}: {fault.said}" for fault in self.faults),
        )


def _components(marks: Sequence[Mark]) -> tuple[Component, ...]:
    by_name: dict[ComponentName, list[float]] = {
        name: [mark.score for mark in marks if mark.component == name] for name in WEIGHTS
    }
    found: dict[ComponentName, float] = {name: sum(scores) / len(scores) for name, scores in by_name.items() if scores}
    whole = sum(WEIGHTS[name] for name in found)
    return tuple(Component(name=name, score=score, weight=WEIGHTS[name] / whole) for name, score in found.items())


class Candidate(Value):
    """One of the songs that were made to choose from."""

    seed: int
    scores: Scores


class Judged(Value):
    """What the record keeps of a candidate: its score, and in words what it was made of."""

    seed: int
    overall: float
    said: tuple[str, ...]


class ChoiceRecord(Value):
    """That a song is the best of several, why, and what the others were; the best first. `notes` say what could not
    be judged."""

    best_of: int
    reason: str
    candidates: tuple[Judged, ...]
    notes: tuple[str, ...] = ()


def ranked(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The best first. Of equal ones the better sung is first, then the one that was given first."""
    return tuple(sorted(candidates, key=_merit, reverse=True))


def _merit(candidate: Candidate) -> tuple[float, float]:
    lyrics = candidate.scores.lyrics
    return candidate.scores.overall, 0.0 if lyrics is None else lyrics.score


def choice_record(order: Sequence[Candidate]) -> ChoiceRecord:
    """What becomes of `ranked` candidates in the record of the first of them."""
    return ChoiceRecord(
        best_of=len(order),
        reason=reason(order),
        candidates=tuple(
            Judged(seed=one.seed, overall=one.scores.overall, said=one.scores.findings()) for one in order
        ),
        notes=tuple(dict.fromkeys(note for one in order for note in one.scores.notes)),
    )


def reason(order: Sequence[Candidate]) -> str:
    """Why the first of `ranked` candidates was chosen, in a sentence or two."""
    best = order[0]
    if len(order) == 1:
        return f"Seed {best.seed} is the only one that was made."
    second = order[1]
    if _merit(best) == _merit(second):
        return (
            f"Seed {best.seed} and seed {second.seed} are equally good ({best.scores.overall:.3f}), the best of "
            f"{len(order)}; the first of them was taken."
        )
    better = _better(best.scores, second.scores)
    why = f" It is better in {'; '.join(better)}." if better else ""
    return (
        f"Seed {best.seed} is the best of {len(order)} with {best.scores.overall:.3f}, before seed {second.seed} with "
        f"{second.scores.overall:.3f}.{why}"
    )


def _better(best: Scores, second: Scores) -> list[str]:
    """In what the best is ahead, the greatest lead first."""
    others = {mark.name: mark for mark in second.marks}
    leads = [
        (mark.score - others[mark.name].score, f"{mark.name} ({mark.said}, and there {others[mark.name].said})")
        for mark in best.marks
        if mark.name in others
    ]
    own = {fault.name: fault.taken_off for fault in best.faults}
    leads += [
        (fault.taken_off - own.get(fault.name, 0.0), f"{fault.name} (there {fault.said})") for fault in second.faults
    ]
    return [words for lead, words in sorted(leads, key=lambda one: -one[0]) if lead > 0.5 * 10.0**-DECIMALS]
