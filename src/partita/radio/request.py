"""What a listener asks of a radio: one song, in the fields of ace-step-rs's radio, and how long it is to be.

Values and pure functions; which model plays, and what of it that model can honour, is the station's business.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from partita.errors import RequestError
from partita.planner.reading import metre_of
from partita.song.request import MAX_SEED
from partita.song.values import Asked

SHORTEST_S, LONGEST_S = 100.0, 600.0
USUAL_S = 180.0
S_PER_LINE = 8.0
_SHIFTS = (1, 2, 3)


class RadioRequest(Asked):
    """A song for the radio. `auto_generated` marks a filler, which nobody asked for.

    What is not given is left to the planner, but for `time_signature`: a caption that names no metre gets 4/4. A seed
    beyond 32 bits counts by its lower 32. `style` and `auto_generated` are not
    part of the protocol.
    """

    caption: str = Field(default="", max_length=10_000, description="What it should sound like, in words.")
    lyrics: str = Field(default="", max_length=50_000, description="Words to sing; empty for an instrumental.")
    bpm: int | None = Field(default=None, ge=0, lt=2**32, description="Tempo in beats a minute.")
    key_scale: str | None = Field(default=None, description="Key, such as 'A minor'.")
    time_signature: str = Field(default="4/4", description="Metre.")
    language: str = Field(default="en", description="Language code of the lyrics.")
    duration_s: float | None = Field(default=None, description="Length in seconds; held within 100 to 600.")
    seed: int | None = Field(default=None, ge=0, lt=2**64, description="Same seed, same song.")
    shift: float = Field(default=3.0, description="Time shift of ACE-Step 1.5's turbo models: 1, 2 or 3.")
    auto_generated: bool = False
    style: str | None = Field(default=None, description="A style of `partita styles`.")

    @classmethod
    def from_protocol(cls, text: str) -> RadioRequest:
        """The request that a client's JSON object describes; fields that the protocol does not know are passed over.

        Raises RequestError where it is no JSON object, or a field is bad.
        """
        try:
            told = json.loads(text)
        except ValueError as error:
            raise RequestError(str(error)) from None
        if not isinstance(told, dict):
            raise RequestError(f"a request is an object in curly brackets, and this is {type(told).__name__}")
        known = {name: value for name, value in told.items() if name in _OF_PROTOCOL}
        for name in ("time_signature", "language", "shift"):
            if known.get(name, "") is None:
                del known[name]
        return cls(**known)

    def to_fields(self, *, model: str, family: str, duration_s: float, seed: int) -> dict[str, Any]:
        """The fields of a SongRequest for this song, as its JSON has them."""
        fields: dict[str, Any] = {
            "caption": self.caption,
            "lyrics": self.lyrics,
            "instrumental": not self.lyrics.strip(),
            "model": model,
            "duration_s": duration_s,
            "seed": seed,
        }
        given = self.model_fields_set
        if self.style is not None:
            fields["style"] = self.style
        if "time_signature" in given or (metre_of(self.caption) is None and self.style is None):
            fields["time_signature"] = _metre(self.time_signature)
        if "language" in given and self.lyrics.strip():
            fields["language"] = self.language
        if self.bpm:
            fields["bpm"] = self.bpm
        if self.key_scale and self.key_scale.strip().upper() != "N/A":
            fields["key"] = self.key_scale
        if "shift" in given and family == "acestep-1.5":
            # The original's tables: whole numbers, and 3 for every other.
            fields["sampling"] = {"shift": float(int(self.shift)) if int(self.shift) in _SHIFTS else 3.0}
        return fields


_OF_PROTOCOL = frozenset(RadioRequest.model_fields) - {"auto_generated", "style"}


def auto_duration_s(request: RadioRequest) -> float:
    """How long a song is: as asked, else 8 s for each line of the lyrics that is not blank, both within 100 to 600 s;
    180 s where there are no lyrics."""
    if request.duration_s is not None:
        return min(max(request.duration_s, SHORTEST_S), LONGEST_S)
    lines = sum(1 for line in request.lyrics.splitlines() if line.strip())
    return min(max(lines * S_PER_LINE, SHORTEST_S), LONGEST_S) if lines else USUAL_S


def usable_seed(seed: int) -> int:
    """A seed of up to 64 bits as one of ours: its lower 32 bits."""
    return seed % (MAX_SEED + 1)


def cut(text: str, most_bytes: int = 60) -> str:
    """The beginning of a text, at most so many bytes of UTF-8, and never half a character."""
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")


def _metre(text: str) -> str:
    """`4` and `4/4` are one metre in the words of ACE-Step."""
    text = text.strip()
    return {"2": "2/4", "3": "3/4", "4": "4/4", "6": "6/8"}.get(text, text)
