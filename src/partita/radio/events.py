"""What a radio tells of itself while it is on the air."""

from __future__ import annotations

from dataclasses import dataclass

from partita.radio.request import RadioRequest
from partita.radio.station import RadioSong


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded; songs follow."""


@dataclass(frozen=True, slots=True)
class Generating:
    """Song `index` is being made."""

    index: int
    request: RadioRequest
    duration_s: float


@dataclass(frozen=True, slots=True)
class SongReady:
    """A song is made and waits for its turn."""

    heard: RadioSong


@dataclass(frozen=True, slots=True)
class Playing:
    """A song begins to be heard."""

    heard: RadioSong


@dataclass(frozen=True, slots=True)
class SongDone:
    """A song is over, or was skipped."""

    heard: RadioSong


@dataclass(frozen=True, slots=True)
class Failed:
    """A song could not be made, or not be remembered. The radio goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that whoever runs the radio should know."""

    message: str


Event = Ready | Generating | SongReady | Playing | SongDone | Failed | Noted
