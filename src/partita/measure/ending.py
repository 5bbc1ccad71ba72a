"""Whether a song ends, or merely stops: from its last notes and the last of its sound.

Knows the key and the grid that the score names; what was asked for is the caller's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from partita.measure.signal import mono
from partita.score.keys import parse_key
from partita.score.types import Score

LONGEST_TAIL_S = 4.0
_NEAR_BEAT = 0.13
_LAST_S = 0.05
_FADED_DB = -24.0
_SILENT_DB = -100.0


@dataclass(frozen=True, slots=True)
class Ending:
    """What makes an end.

    home: the tonic is the lowest of the last notes, or they are all of the tonic's chord. rests: the last note begins
    on a beat and is held for one, or nearly. released: every note is over before the song is, at most 4 s before.
    faded: the last 50 ms are 24 dB or more under the song's mean level.
    """

    home: bool
    rests: bool
    released: bool
    faded: bool

    @property
    def is_natural(self) -> bool:
        return self.home and self.rests and self.released and self.faded


def ending_of(score: Score, audio: np.ndarray, sample_rate_hz: int) -> Ending:
    """How `score`, played as `audio` `[N]` or `[N, C]`, ends. A score without pitched notes ends nowhere."""
    notes = [note for track in score.tracks if not track.is_drums for note in track.notes]
    level_db = _last_level_db(mono(audio), sample_rate_hz)
    faded = bool(level_db <= _FADED_DB)
    if not notes:
        return Ending(False, False, False, faded)
    over_s = max(note.start_s + note.duration_s for note in notes)
    last_s = max(note.start_s for note in notes)
    beat_s = score.grid.beat_s
    last = [note for note in notes if note.start_s + note.duration_s >= over_s - beat_s / 2]
    tonic, mode = parse_key(score.key)
    chord = {tonic, (tonic + (4 if mode == "major" else 3)) % 12, (tonic + 7) % 12}
    lowest = min(last, key=lambda note: note.pitch)
    home = lowest.pitch % 12 == tonic or {note.pitch % 12 for note in last} <= chord
    beats = (last_s - score.grid.offset_s) / beat_s
    on_beat = abs(beats - round(beats)) <= _NEAR_BEAT
    held = over_s - last_s >= 0.9 * beat_s
    released = -1e-6 <= score.duration_s - over_s <= LONGEST_TAIL_S
    return Ending(home, on_beat and held, released, faded)


def _last_level_db(samples: np.ndarray, sample_rate_hz: int) -> float:
    """Level of the last 50 ms against that of the whole."""
    whole = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    last = float(np.sqrt(np.mean(samples[-round(_LAST_S * sample_rate_hz) :] ** 2))) if len(samples) else 0.0
    return 20 * np.log10(last / whole) if last > 0 and whole > 0 else _SILENT_DB
