"""Every error that Partita raises on purpose, in one tree.

    PartitaError
    ├── RequestError          a field of the request is bad, or this model or task cannot honour it
    │   ├── NotFoundError     what was named is not here: a song, an upload, a model, an adapter
    │   ├── ConflictError     it was asked before with other words, or is in no state for that
    │   └── TooLargeError     more bytes, seconds or songs than this server takes
    ├── AccessError           the caller may not: no token, a wrong one, or a place that is not theirs
    ├── ModelError            weights are missing, damaged, of an unknown layout, or of the wrong shape
    │   ├── DownloadError     a file could not be fetched; what arrived is kept and the next try resumes
    │   └── PlannerError      the planner wrote nothing that can be used, twice
    ├── AudioError            audio that cannot be read, is too short, too long, or cannot be written as asked
    │   └── SaveError         a finished song could not be written where it was wanted; it is kept elsewhere
    ├── ReplayError           a record cannot be rendered again to the same bytes on this machine
    ├── ResourceError         not enough memory or disk
    │   ├── BusyError         the queue is full, or the caller asks too often; later it may be taken
    │   └── DeadlineError     the song was not finished by the time its caller gave
    └── Cancelled             the caller asked to stop

A message says what was asked, what was seen and what to do. This module knows nothing else of the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class PartitaError(Exception):
    """Root of the tree. `exit_code` is what the command line returns for it."""

    exit_code = 1


class RequestError(PartitaError):
    """A field of a request cannot be honoured.

    `field` is the dotted name in the request, `value` what was given.
    """

    exit_code = 2

    def __init__(self, message: str, *, field: str | None = None, value: Any = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class NotFoundError(RequestError):
    """What was named is not here."""


class ConflictError(RequestError):
    """It contradicts what was asked before, or the thing is in no state for it."""


class TooLargeError(RequestError):
    """More than this server takes; what would be taken is said."""


class AccessError(PartitaError):
    """The caller may not. `known` says whether we know who asks: without a valid token we do not. `field` is the
    dotted name in the request of what is not allowed, where it is a field."""

    def __init__(self, message: str, *, known: bool = False, field: str | None = None) -> None:
        super().__init__(message)
        self.known = known
        self.field = field


class ModelError(PartitaError):
    """Weights cannot be used. `path` is the file at fault and `key` the tensor or setting, where there is one."""

    exit_code = 3

    def __init__(self, message: str, *, path: Path | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.key = key


class DownloadError(ModelError):
    """A file of a model could not be fetched. Bytes that arrived stay on disk for the next try."""


class PlannerError(ModelError):
    """The planner's answer is no plan: it goes in circles, is no text, or never ends. `text` is what it wrote."""

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class AudioError(PartitaError):
    """Audio that cannot be read or used. `path` is the file at fault, where there is one."""

    exit_code = 4

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class SaveError(AudioError):
    """A finished song could not be written where it was wanted. `kept_at` is where it lies instead."""

    def __init__(self, message: str, *, path: Path | None = None, kept_at: Path | None = None) -> None:
        super().__init__(message, path=path)
        self.kept_at = kept_at


class ReplayError(PartitaError):
    """A record names a version, device or number format that this machine does not have."""

    exit_code = 5


class ResourceError(PartitaError):
    """Memory or disk does not suffice for what was asked."""

    exit_code = 6


class BusyError(ResourceError):
    """Too much is asked at once. After `retry_after_s` seconds it may be taken."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(ResourceError):
    """A song was not finished by the time its caller gave."""


class Cancelled(PartitaError):  # noqa: N818  (the field's word for it, and not a fault)
    """The caller asked to stop. Nothing half-written is left behind."""

    exit_code = 130

    def __init__(self, message: str = "Cancelled; nothing half-written was left behind.") -> None:
        super().__init__(message)
