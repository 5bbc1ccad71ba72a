"""Latents of songs whose audio is not finished, on disk, so that no sampling is lost to a fault after it.

Named by a digest of everything that decides the latents, so that the next try of the same song finds them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from partita.song.plan import Plan
from partita.song.record import RuntimeRecord
from partita.song.resolve import ResolvedRequest


class Workshop:
    """Keeps, finds and discards the latents of unfinished songs in `folder`, which is made when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, resolved: ResolvedRequest, plan: Plan, runtime: RuntimeRecord, weights: dict[str, str]) -> Path:
        """Where the latents of this song lie while it is unfinished."""
        digest = hashlib.sha256()
        for part in (
            resolved.model_dump_json(exclude={"output", "warnings"}),
            plan.model_dump_json(),
            runtime.model_dump_json(exclude={"decode_tile_frames"}),
            repr(sorted(weights.items())),
        ):
            digest.update(part.encode())
            digest.update(b"\0")
        return self._folder / f"{digest.hexdigest()[:32]}.safetensors"

    def find(self, path: Path) -> torch.Tensor | None:
        """Latents float32 `[T, D]` kept by an earlier try, or none. A damaged file counts as none and is removed."""
        if not path.exists():
            return None
        try:
            return load_file(path)["latents"]
        except (SafetensorError, KeyError, OSError):
            path.unlink(missing_ok=True)
            return None

    def keep(self, path: Path, latents: torch.Tensor) -> None:
        """Write the latents whole or not at all. Raises OSError where the disk refuses."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        try:
            save_file({"latents": latents.contiguous()}, partial)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def discard(self, path: Path) -> None:
        """The song is finished or given up."""
        path.unlink(missing_ok=True)
