"""Compares one recorded file with what this package computes, output by output.

Knows the two file forms (safetensors with `weights.`, `in.` and `out.`; JSON with sections of cases) and nothing of
what they hold: that is the checkers', chosen in `registry`.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tests.golden import registry

NAN = float("nan")


class Status(Enum):
    PASS = "PASS"
    FAIL = "FAIL"
    UNCOVERED = "UNCOVERED"


@dataclass(frozen=True)
class Row:
    """One line of the report; errors and limit are NaN where nothing was measured."""

    file: str
    case: str
    output: str
    absolute: float
    relative: float
    limit: float
    status: Status

    def line(self) -> str:
        return (
            f"{self.file} {self.case} {self.output} "
            f"{self.absolute:.3g} {self.relative:.3g} {self.limit:.3g} {self.status.value}"
        )


def summary(rows: Iterable[Row]) -> str:
    counts = dict.fromkeys(Status, 0)
    for row in rows:
        counts[row.status] += 1
    return (
        f"{sum(counts.values())} outputs, {counts[Status.PASS]} pass, {counts[Status.FAIL]} fail, "
        f"{counts[Status.UNCOVERED]} uncovered"
    )


def check_file(path: Path, cases: str = "*", write: Path | None = None) -> list[Row]:
    """Every output of `path` whose case matches the glob `cases`; what was computed goes to `write`, if given."""
    if path.suffix == ".json":
        return list(_check_json(path, cases, write))
    return list(_check_tensors(path, cases, write))


def split_name(name: str, cases: Iterable[str]) -> tuple[str, str]:
    """`case.output` -> its two parts. A case is one that the metadata names (case names hold dots), else what stands
    before the first dot, else `-`."""
    known = [case for case in cases if name.startswith(case + ".")]
    if known:
        case = max(known, key=len)
        return case, name[len(case) + 1 :]
    case, dot, output = name.partition(".")
    return (case, output) if dot else ("-", name)


def _qualified(case: str, output: str) -> str:
    return output if case == "-" else f"{case}.{output}"


def _selected(case: str, output: str, glob: str) -> bool:
    return fnmatchcase(case, glob) or fnmatchcase(_qualified(case, output), glob)


def _check_tensors(path: Path, glob: str, write: Path | None) -> Iterator[Row]:
    with safe_open(path, "pt") as file:
        meta = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no mapping)
    declared = json.loads(meta.get("cases", "{}"))
    known = list(declared) if isinstance(declared, dict) else []
    outputs = {name: split_name(name.removeprefix("out."), known) for name in tensors if name.startswith("out.")}
    outputs = {name: parts for name, parts in outputs.items() if _selected(*parts, glob)}
    if not outputs:
        return
    given = {name: value for name, value in tensors.items() if not name.startswith("out.") or name in outputs}
    key = registry.key_of(path, meta.get("kind"))
    checker = registry.tensor_checker(key)
    failed = False
    computed: dict[str, Tensor] = {}
    if checker is not None:
        try:
            computed = checker(given, meta, path)
        except Exception:  # noqa: BLE001  (whatever a checker dies of, its outputs failed, and the report goes on)
            traceback.print_exc(file=sys.stderr)
            failed = True
    found = {name: computed.get(name, computed.get(name.removeprefix("out."))) for name in outputs}
    for name, (case, output) in sorted(outputs.items(), key=lambda item: item[1]):
        expected, got = tensors[name], found[name]
        limit = registry.limit_of(key, _qualified(case, output), expected)
        if failed:
            yield Row(str(path), case, output, NAN, NAN, limit.value if limit else NAN, Status.FAIL)
        elif got is None or limit is None:
            yield Row(str(path), case, output, NAN, NAN, limit.value if limit else NAN, Status.UNCOVERED)
        else:
            target = tensors.get(f"out.{case}.target_latents")
            peak = float(target.abs().max()) if target is not None else None
            absolute, relative, bound = registry.errors(limit, expected, got, peak)
            ok = registry.passes(limit, absolute, relative, bound)
            yield Row(str(path), case, output, absolute, relative, bound, Status.PASS if ok else Status.FAIL)
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        kept = {name: value.detach().contiguous().clone() for name, value in found.items() if value is not None}
        save_file(kept, write / path.name, metadata=meta)


def _check_json(path: Path, glob: str, write: Path | None) -> Iterator[Row]:
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    key = registry.key_of(path, data.get("kind"))
    checkers, placed = registry.json_checkers(key), registry.placed_checkers(key)
    for section, label, entry in list(_entries(data, registry.WHOLE_SECTIONS.get(key, ()))):
        case = f"{section}.{label}"
        if not (fnmatchcase(case, glob) or fnmatchcase(label, glob)):
            continue
        failed, got = False, None
        try:
            answers = (checker(section, entry) for checker in checkers)
            more = (checker(section, entry, registry.Place(path, label)) for checker in placed)
            got = next((answer for answer in chain(answers, more) if answer is not None), None)
        except Exception:  # noqa: BLE001  (as above: the case failed, and the report goes on)
            traceback.print_exc(file=sys.stderr)
            failed = True
        for output, expected in _expected(entry, got).items():
            limit = registry.json_limit_of(key, f"{case}.{output}")
            if failed:
                yield Row(str(path), case, output, NAN, NAN, limit, Status.FAIL)
            elif got is None or output not in got:
                yield Row(str(path), case, output, NAN, NAN, limit, Status.UNCOVERED)
            else:
                error = registry.json_error(expected, _plain(got[output]))
                yield Row(str(path), case, output, error, error, limit, Status.PASS if error <= limit else Status.FAIL)
        if write is not None:
            _replace_outputs(entry, got)
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        (write / path.name).write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")


def _entries(data: dict[str, Any], whole: Collection[str] = ()) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(section, label, entry) of everything that looks like a case: the mappings in top-level lists, and those in
    top-level mappings that hold nothing but mappings and lists of them; and every section of `whole`, as one entry.
    Tokenizer files and constants have none."""
    for section, value in data.items():
        if "model" in data and "added_tokens" in data:
            return
        if section in whole and isinstance(value, dict):
            yield section, "-", value
        elif _is_list_of_entries(value):
            for i, entry in enumerate(value):
                yield section, "_".join(str(entry.get("name", i)).split()), entry
        elif isinstance(value, dict) and all(isinstance(v, dict) or _is_list_of_entries(v) for v in value.values()):
            for name, inner in value.items():
                label = "_".join(name.split())
                if isinstance(inner, dict):
                    yield section, label, inner
                else:
                    yield from ((section, f"{label}.{i}", entry) for i, entry in enumerate(inner))


def _is_list_of_entries(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _expected(entry: dict[str, Any], got: dict[str, Any] | None) -> dict[str, Any]:
    """The recorded outputs: the fields of `output` (itself, where it is no mapping) and those beside it that were
    computed, else those that were computed."""
    if "output" in entry:
        output = entry["output"]
        beside = {name: entry[name] for name in got or {} if name in entry}
        return beside | output if isinstance(output, dict) else {"output": output}
    if got:
        return {name: entry[name] for name in got if name in entry}
    return {"output": None}


def _replace_outputs(entry: dict[str, Any], got: dict[str, Any] | None) -> None:
    """Puts what was computed where the recorded values were; what was not computed is left out."""
    computed = {name: _plain(value) for name, value in (got or {}).items()}
    if isinstance(entry.get("output"), dict):
        entry["output"] = computed
    elif "output" in entry:
        entry.pop("output")
        entry |= computed
    else:
        entry |= computed


def _plain(value: Any) -> Any:
    """The value as JSON would give it back: tuples become lists."""
    return json.loads(json.dumps(value, ensure_ascii=False))
