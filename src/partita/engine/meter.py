"""How long each stage of the work takes and how much memory it holds at most. Knows no stage by name."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil

from partita.engine.song import StageCost

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class StageMeter:
    """Collects seconds and peak memory by stage. One stage is current at a time; a stage may be entered again."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._peaks: dict[str, int] = {}
        self._steps: dict[str, list[float]] = {}
        self._current: str | None = None
        self._since = 0.0
        self._step_since = 0.0

    def enter(self, name: str | None) -> str | None:
        """Make `name` the current stage (none: stop) and return the one before it."""
        before, at = self._current, time.perf_counter()
        if before is not None:
            self._seconds[before] = self._seconds.get(before, 0.0) + at - self._since
            self._peaks[before] = max(self._peaks.get(before, 0), _peak_bytes())
        if name is not None and name != before:
            _forget_peak()
        self._current, self._since, self._step_since = name, at, at
        return before

    def step(self) -> None:
        """A step of the current stage has ended."""
        if self._current is not None:
            at = time.perf_counter()
            self._steps.setdefault(self._current, []).append(at - self._step_since)
            self._step_since = at

    def costs(self) -> tuple[StageCost, ...]:
        """Every stage in the order first entered."""
        return tuple(
            StageCost(name, seconds, self._peaks[name], tuple(self._steps.get(name, ())))
            for name, seconds in self._seconds.items()
        )


def _forget_peak() -> None:
    """Start a fresh high-water mark, where the system lets a process do so (Linux)."""
    if _CLEAR_REFS.exists():
        try:
            _CLEAR_REFS.write_text("5")
        except OSError:
            return  # a sandbox may forbid it: peaks then count from the start of the process


def _peak_bytes() -> int:
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
