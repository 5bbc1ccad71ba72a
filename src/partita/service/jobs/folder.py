"""One process at a time has a folder of jobs open: a file lock, and beside it who holds it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from partita.errors import ConflictError, ResourceError


class FolderLock:
    """Holds `folder`, which is made where it is missing, until `release`.

    Raises ConflictError, which says who, where another holds it, and ResourceError where it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._owner = folder / "jobs.owner"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Not bound to this thread: who leaves a queue need not be who entered it.
            self._lock = FileLock(folder / "jobs.lock", timeout=0, thread_local=False)
            self._lock.acquire()
            started = datetime.now(UTC).isoformat(timespec="seconds")
            self._owner.write_text(f"process {os.getpid()}, since {started}", encoding="utf-8")
        except Timeout:
            raise ConflictError(
                f"The jobs in {folder} are in use by another server ({self._who()}): stop it, or name another folder.",
                field="folder",
                value=str(folder),
            ) from None
        except OSError as error:
            raise ResourceError(
                f"The jobs cannot be kept in {folder} ({error.strerror or error}): name a folder that can be written."
            ) from error

    def release(self) -> None:
        """Let others have it."""
        self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _who(self) -> str:
        try:
            return self._owner.read_text(encoding="utf-8")
        except OSError:
            return "which did not say who it is"
