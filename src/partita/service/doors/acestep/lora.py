"""Adapters in the protocol's way: loaded one after another, switched on and off and scaled for all later songs.

Only adapters of this user's folder are taken. Nothing is read before a song needs it; a running song keeps what it has.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from partita.engine.adapters import AdapterShelf
from partita.errors import NotFoundError, RequestError
from partita.song.adapters import AdapterFacts
from partita.weights.adapters.files import has_adapter

_MOST = 8


class Loras:
    """The adapters that are loaded, by the names that a client gave them. Safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._loaded: dict[str, tuple[str, AdapterFacts]] = {}
        self._scales: dict[str, float] = {}
        self._used = True

    def load(self, lora_path: str, adapter_name: str | None = None) -> dict[str, Any]:
        """Load an adapter of the folder, by its name or its path there.

        Raises NotFoundError for any other, ModelError for one that cannot be read, RequestError for a name in use.
        """
        file_name = self._file_name(lora_path)
        facts = AdapterShelf(self._folder).resolve(file_name)
        name = (adapter_name or facts.name).strip() or facts.name
        with self._lock:
            if name in self._loaded:
                raise RequestError(
                    f"An adapter named {name!r} is loaded already: unload first, or give another adapter_name.",
                    field="adapter_name",
                    value=name,
                )
            if len(self._loaded) >= _MOST:
                raise RequestError(f"{_MOST} adapters are loaded, the most that a song takes: unload first.")
            self._loaded[name] = (file_name, facts)
            self._scales[name] = 1.0
            self._used = True
        told = {"message": f"✅ LoRA {name} loaded, for songs of the models that it fits", "lora_path": lora_path}
        return told | ({} if adapter_name is None else {"adapter_name": name})

    def unload(self) -> dict[str, Any]:
        """Unload all of them."""
        with self._lock:
            names = list(self._loaded)
            self._loaded.clear()
            self._scales.clear()
        return {"message": f"✅ LoRA unloaded: {', '.join(names)}" if names else "⚠️ No LoRA was loaded"}

    def toggle(self, use_lora: bool) -> dict[str, Any]:
        """Switch them on or off. Raises RequestError where none is loaded."""
        with self._lock:
            self._check_loaded()
            self._used = use_lora
        return {"message": f"✅ LoRA is {'on' if use_lora else 'off'}", "use_lora": use_lora}

    def scale(self, scale: float, adapter_name: str | None = None) -> dict[str, Any]:
        """How much of one of them, or of each, 0 to 1. Raises RequestError where there is none."""
        with self._lock:
            self._check_loaded()
            if adapter_name is not None and adapter_name not in self._loaded:
                raise RequestError(
                    f"No adapter named {adapter_name!r} is loaded; loaded are: {', '.join(self._loaded)}.",
                    field="adapter_name",
                    value=adapter_name,
                )
            for name in self._loaded if adapter_name is None else (adapter_name,):
                self._scales[name] = scale
        told = {"message": f"✅ LoRA scale is {scale:g}", "scale": scale}
        return told | ({} if adapter_name is None else {"adapter_name": adapter_name})

    def status(self) -> dict[str, Any]:
        """What is loaded, and how much of it is used."""
        with self._lock:
            active = next(reversed(self._loaded), None)
            return {
                "lora_loaded": bool(self._loaded),
                "use_lora": self._used and bool(self._loaded),
                "lora_scale": 1.0 if active is None else self._scales[active],
                "adapter_type": None if active is None else self._loaded[active][1].kind,
                "scales": dict(self._scales),
                "active_adapter": active,
                "adapters": list(self._loaded),
                "synthetic_default_mode": False,
            }

    def choices(self) -> list[dict[str, Any]]:
        """The adapters of a request, as its JSON has them; empty where they are off."""
        with self._lock:
            if not self._used:
                return []
            return [
                {"name": file_name, "strength": self._scales[name]}
                for name, (file_name, _) in self._loaded.items()
                if self._scales[name] > 0
            ]

    def _check_loaded(self) -> None:
        if not self._loaded:
            raise RequestError("No LoRA is loaded: load one first.")

    def _file_name(self, lora_path: str) -> str:
        """The name in the folder of what a path means."""
        name = lora_path.strip().rstrip("/")
        if "\x00" not in name and len(name) < 4096:
            path = Path(name)
            inside = not path.is_absolute() and path.name == name
            if path.is_absolute() and path.parent == self._folder:
                inside = True
            if inside and path.name not in ("", ".", "..") and self._is_here(path.name):
                return path.name
        raise NotFoundError(
            f"There is no adapter {lora_path[:80]!r} in this server's folder of adapters: put it there, and give its "
            "name. Adapters elsewhere are not opened.",
            field="lora_path",
            value=lora_path,
        )

    def _is_here(self, name: str) -> bool:
        return any(has_adapter(self._folder / one) for one in (name, f"{name}.safetensors"))
