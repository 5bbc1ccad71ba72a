"""Files that callers sent, kept under names of ours in one folder. Knows no HTTP: bytes in, files out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from partita.service.config import Limits
from partita.song.values import Value


class Upload(Value):
    """A file that is here. `id` is ours and says nothing of the file; `sha256` is of its bytes."""

    id: str
    bytes: int
    sha256: str
    duration_s: float | None
    created_at: float


class Uploads:
    """A folder of uploads."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        raise NotImplementedError

    def take(self, chunks: Iterable[bytes], file_name: str) -> Upload:
        """Keep what arrives. Only the suffix of `file_name` is used.

        Raises TooLargeError beyond the limits, AudioError for what is no audio; nothing is left behind then.
        """
        raise NotImplementedError

    def find(self, upload_id: str) -> Upload:
        """Raises NotFoundError."""
        raise NotImplementedError

    def path(self, upload_id: str) -> Path:
        """Raises NotFoundError."""
        raise NotImplementedError

    def forget(self, *, older_than_s: float) -> int:
        """Delete what is older, and say how many."""
        raise NotImplementedError
