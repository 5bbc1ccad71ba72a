"""What was done: the record a song carries, enough to render it again to the same bytes.

Holds no clock time and no path, so that the same work gives the same record.
"""

from __future__ import annotations

from pydantic import ValidationError

from partita.errors import ReplayError
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
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
    warnings: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        return self.request.seeds[0]

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
