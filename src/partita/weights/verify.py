"""Checks the files of a model that a user really has: sizes, digests, tensor names and shapes, as a report to paste.

No weights can be shipped with the tests, so this is how published files get checked, by whoever has them. A render with
a fixed seed, which belongs to such a report too, is the caller's business.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from partita.errors import ModelError
from partita.song.card import ModelCard
from partita.weights.loaders import describe, part_bytes
from partita.weights.locate import locate
from partita.weights.located import Located
from partita.weights.places import Caches
from partita.weights.transfer import digest

Verdict = Literal["as published", "differs", "not known"]
_MEMORY_FORMAT = "bfloat16"
_VERSIONED = ("partita", "torch", "safetensors")


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file. `role` names what it is for; the verdict compares it with the catalog where that knows it."""

    role: str
    path: Path
    size_bytes: int
    sha256: str
    verdict: Verdict
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried. `detail` says what was found."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found."""

    model: str
    files: tuple[FileReport, ...]
    checks: tuple[Check, ...]
    versions: tuple[tuple[str, str], ...]

    @property
    def passed(self) -> bool:
        """Every check passed, and no file differs from what the catalog knows."""
        return all(check.passed for check in self.checks) and all(file.verdict != "differs" for file in self.files)

    def text(self) -> str:
        """The report in Markdown. Paths of this machine appear in messages of failed checks alone."""
        lines = [f"### `partita verify {self.model}`: {'passed' if self.passed else 'FAILED'}", ""]
        lines += [", ".join(f"{name} {version}" for name, version in self.versions), ""]
        if self.files:
            lines += ["| file | bytes | SHA-256 | verdict |", "|---|---:|---|---|"]
        for file in self.files:
            verdict = file.verdict + (f" (expected {file.expected})" if file.expected else "")
            lines.append(f"| {file.role} | {file.size_bytes} | `{file.sha256}` | {verdict} |")
        lines.append("")
        lines += [f"- {'pass' if check.passed else 'FAIL'}: {check.name}: {check.detail}" for check in self.checks]
        return "\n".join(lines)


def verify(
    card: ModelCard,
    caches: Caches,
    checkpoint_dir: Path | None = None,
    *,
    on_file: Callable[[str], None] = lambda role: None,
) -> VerifyReport:
    """Check the files of `card`; `on_file` is told each file's role before it is read whole.

    A fault in the files is part of the report, not an exception.
    """
    versions = (*((name, metadata.version(name)) for name in _VERSIONED), ("python", platform.python_version()))
    if not card.files:
        return VerifyReport(card.id, (), (_shipped(checkpoint_dir),), versions)
    try:
        located = locate(card, caches, checkpoint_dir)
    except ModelError as error:
        return VerifyReport(card.id, (), (Check("files found", False, str(error)),), versions)
    layouts = (f"{role.replace('_', ' ')} {network.layout}" for role, network in located.networks.items())
    found = Check("files found", True, ", ".join(layouts))
    files = tuple(_files(located, on_file))
    checks = (found, *_networks(located))
    memory = _memory(located) if all(check.passed for check in checks) else ()
    return VerifyReport(card.id, files, (*checks, *memory), versions)


def _files(located: Located, on_file: Callable[[str], None]) -> Iterator[FileReport]:
    for role, path in located.by_role().items():
        on_file(role)
        size, sha256 = path.stat().st_size, digest(path, "sha256")
        known = located.known.get(path)
        if known is None or (known.sha256 is None and known.size_bytes is None):
            yield FileReport(role, path, size, sha256, "not known")
        elif known.sha256 is not None:
            same = sha256 == known.sha256
            yield FileReport(
                role, path, size, sha256, "as published" if same else "differs", "" if same else known.sha256
            )
        elif size == known.size_bytes:
            yield FileReport(role, path, size, sha256, "not known", "")
        else:
            # Configurations are edited upstream without the weights changing: another size is worth a word, no more.
            yield FileReport(role, path, size, sha256, "not known", f"{known.size_bytes} bytes")


def _networks(located: Located) -> Iterator[Check]:
    for name, said in describe(located).items():
        try:
            yield Check(name, True, said())
        except ModelError as error:
            yield Check(name, False, str(error))


def _memory(located: Located) -> Iterator[Check]:
    """What its parts take in memory, largest first."""
    sizes = part_bytes(located, _MEMORY_FORMAT)
    parts = sorted(sizes.items(), key=lambda one: -one[1])
    said = ", ".join(f"{part} {size / 1e9:.2f} GB" for part, size in parts)
    together, alone = sum(sizes.values()) / 1e9, parts[0][1] / 1e9
    yield Check("memory", True, f"{together:.2f} GB in {_MEMORY_FORMAT}, or {alone:.2f} GB one part at a time: {said}")


def _shipped(checkpoint_dir: Path | None) -> Check:
    from partita.weights.builtin import BUILTIN_DIRECTORY, load_builtin

    try:
        parts = load_builtin(checkpoint_dir or BUILTIN_DIRECTORY)
    except ModelError as error:
        return Check("shipped files", False, str(error))
    count = sum(parameter.numel() for parameter in parts.model.parameters())
    return Check("shipped files", True, f"{count / 1e6:.1f} million parameters")
