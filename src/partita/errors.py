"""Every error that Partita raises on purpose, in one tree.

    PartitaError
    ├── RequestError          a field of the request is bad, or this model or task cannot honour it
    ├── ModelError            weights are missing, damaged, of an unknown layout, or of the wrong shape
    │   ├── DownloadError     a file could not be fetched; what arrived is kept and the next try resumes
    │   └── PlannerError      the planner wrote nothing that can be used, twice
    ├── AudioError            audio that cannot be read, is too short, too long, or cannot be written as asked
    │   └── SaveError         a finished song could not be written where it was wanted; it is kept elsewhere
    ├── ReplayError           a record cannot be rendered again to the same bytes on this machine
    ├── ResourceError         not enough memory or disk
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


class Cancelled(PartitaError):  # noqa: N818  (the field's word for it, and not a fault)
    """The caller asked to stop. Nothing half-written is left behind."""

    exit_code = 130

    def __init__(self, message: str = "Cancelled; nothing half-written was left behind.") -> None:
        super().__init__(message)
