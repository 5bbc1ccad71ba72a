"""What was done: the record a song carries, enough to render it again to the same bytes.

Holds no clock time and no path, so that the same work gives the same record.
"""

from __future__ import annotations

from pydantic import ValidationError

from partita.errors import ReplayError
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
from partita.song.scores import ChoiceRecord
from partita.song.values import Value

RECORD_VERSION = 1


class RuntimeRecord(Value):
    """What of the machine changes bits: compared before a replay."""

    device: str
    number_format: str
    attention: str
    compiled: bool
    threads: int
    cpu: str
    decode_tile_frames: int | None = None


class LoudnessRecord(Value):
    """What the loudness stage did. Loudness in LUFS, true peak in dBTP, gain in dB."""

    mode: str
    gain_db: float
    limited: bool
    before_lufs: float | None
    after_lufs: float | None
    after_true_peak_db: float | None


class EditRecord(Value):
    """How what was made was joined to its source.

    `kept` says that outside the `spans` (ranges of samples) and `crossfade_samples` beside each of their edges every
    sample is the source's own. `limited`: what was made would have clipped, and only there a limiter worked. `gain_db`
    is the level of the source above what its latents decode to, which what was made was given too.
    """

    kept: bool
    spans: tuple[tuple[int, int], ...]
    crossfade_samples: int
    limited: bool
    gain_db: float


class Record(Value):
    """Beside the audio as JSON and inside its tags."""

    record_version: int = RECORD_VERSION
    request: ResolvedRequest
    plan: Plan
    runtime: RuntimeRecord
    versions: dict[str, str]
    weights: dict[str, str]
    sample_rate_hz: int
    frames: int
    audio_sha256: str
    loudness: LoudnessRecord
    edit: EditRecord | None = None
    choice: ChoiceRecord | None = None
    warnings: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        return self.request.seeds[0]

    @property
    def gain_db(self) -> float:
        """Level of the song above what its latents decode to, in dB. What a limiter did is not counted."""
        return self.loudness.gain_db + (self.edit.gain_db if self.edit is not None else 0.0)

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """Read a record. Raises ReplayError where the text is none of this version."""
        try:
            record = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ReplayError(
                f"This is not a song record that this version of Partita can read "
                f"({'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']})."
            ) from None
        if record.record_version != RECORD_VERSION:
            raise ReplayError(
                f"The record is of version {record.record_version} and this Partita reads version {RECORD_VERSION}."
            )
        return record
