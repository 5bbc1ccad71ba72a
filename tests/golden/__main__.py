"""Check recorded numbers of the original programs: `python -m tests.golden FILE... [--cases GLOB] [--write DIR]`.

Prints `FILE CASE OUTPUT abs rel limit PASS|FAIL|UNCOVERED` for every output of every file, and last
`N outputs, P pass, F fail, U uncovered`. Exits 0 only if nothing failed and nothing was uncovered.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.golden.runner import Status, check_file, summary


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; returns the exit status: 0 all passed, 1 something failed or is uncovered, 2 nothing to check."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--cases", default="*", metavar="GLOB", help="only cases, or CASE.OUTPUT, that match")
    parser.add_argument("--write", type=Path, metavar="DIR", help="store what was computed under the same names")
    options = parser.parse_args(arguments)
    missing = [str(path) for path in options.files if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    if options.write and len({path.name for path in options.files}) < len(options.files):
        parser.error("--write keeps file names, and two of the given files have the same one: run them one by one")
    rows = []
    for path in options.files:
        for row in check_file(path, options.cases, options.write):
            print(row.line(), flush=True)
            rows.append(row)
    print(summary(rows))
    if not rows:
        print(f"no output matches --cases {options.cases}", file=sys.stderr)
        return 2
    return 0 if all(row.status is Status.PASS for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
