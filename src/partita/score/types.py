"""What a score is: notes in tracks, sections, and the grid they lie on.

Times are seconds from the start of the song. Nothing here knows of tensors, files or sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["drums", "bass", "chords", "pad", "arp", "lead"]
"""The part a track plays in the arrangement. A score has at most one track of each role."""

ROLES: tuple[Role, ...] = ("drums", "bass", "chords", "pad", "arp", "lead")

SectionKind = Literal["intro", "verse", "chorus", "bridge", "solo", "outro"]
SECTION_KINDS: tuple[SectionKind, ...] = ("intro", "verse", "chorus", "bridge", "solo", "outro")


@dataclass(frozen=True, slots=True)
class Note:
    """One note. For drums `pitch` is the General MIDI percussion key."""

    start_s: float
    duration_s: float
    pitch: int  # MIDI, 0..127
    velocity: int  # MIDI, 1..127


@dataclass(frozen=True, slots=True)
class Track:
    """The notes of one role, sorted by start then pitch, played by one General MIDI program (0..127)."""

    role: Role
    program: int
    notes: tuple[Note, ...]

    @property
    def is_drums(self) -> bool:
        return self.role == "drums"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the form, `[start_s, end_s)`."""

    kind: SectionKind
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Grid:
    """Tempo and metre: where beats and bars fall.

    `bpm` counts the beats of `time_signature` as musicians do: quarters in 2/4, 3/4 and 4/4, dotted quarters in 6/8
    (so a 6/8 bar has two beats). Beat 0 is at `offset_s`.
    """

    bpm: float
    time_signature: str  # "2/4", "3/4", "4/4", "6/8"
    offset_s: float = 0.0

    @property
    def beats_per_bar(self) -> int:
        return {"2/4": 2, "3/4": 3, "4/4": 4, "6/8": 2}[self.time_signature]

    @property
    def beat_s(self) -> float:
        return 60.0 / self.bpm

    @property
    def bar_s(self) -> float:
        return self.beat_s * self.beats_per_bar


@dataclass(frozen=True, slots=True)
class Score:
    """A whole piece. `key` is written `C major`, `F# minor`."""

    grid: Grid
    key: str
    duration_s: float
    tracks: tuple[Track, ...]
    sections: tuple[Section, ...] = ()

    def track(self, role: Role) -> Track | None:
        """The track of `role`, or none where it is absent."""
        return next((track for track in self.tracks if track.role == role), None)
