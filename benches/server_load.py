"""How much does a server stand? `python -m benches.server_load` (about ten minutes on two cores)

Starts `partita serve` with the built-in model in a folder that is deleted afterwards, and asks it over real sockets:

- callers at once, each with connections of its own: submit a song of one second, look at it, follow its events to the
  end, fetch it. Counted are the answers by status, and how long they took. 429 says when to come again.
- jobs one after another, each fetched and forgotten: songs a minute, and the memory and open files of the process on
  the way, which must not grow.
- a start, and an end while a caller listens.

Exits 1 where a caller is answered with anything else than success or 429, or where files stay open.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.service.http.server_load import Held, Storm, marathon, storm
from tests.service.http.server_process import ServerProcess

from partita.runtime import cpu_name

MIB = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1000)
    given = parser.parse_args()
    print(f"{cpu_name()}; built-in model, songs of 1 s, one thread")
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder), "--max-requests-per-minute", "0")
        began = time.monotonic()
        with server:
            print(f"start (libraries loaded): {time.monotonic() - began:.1f} s")
            before = server.open_files()
            found = storm(server, given.callers, given.callers)
            tell_storm(found, given.callers)
            held = marathon(server, given.jobs, 10)
            tell_marathon(held)
            after = server.open_files()
            print(f"open files before and after: {before}, {after}")
            with server.connect() as listener:
                listener.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                listener.recv(100)
                began = time.monotonic()
                code = server.terminate()
            print(f"end with a listener: {time.monotonic() - began:.1f} s, exit code {code}")
    good = {status for _, status in found.answers} <= {200, 202, 429} and not found.without_time
    return 0 if good and after <= before + 2 and code == 0 else 1


def tell_storm(found: Storm, callers: int) -> None:
    print(f"{callers} callers at once:")
    for (what, status), count in sorted(found.answers.items()):
        print(f"  {what:<8} {status}  {count}")
    print(f"  answered within {found.slowest(0.5):.2f} s (half), {found.slowest(0.95):.2f} s (95 %), "
          f"{max(found.seconds):.2f} s (all)")  # fmt: skip


def tell_marathon(held: list[Held]) -> None:
    last = held[-1]
    print(f"{last.jobs} jobs in {last.seconds:.0f} s ({60 * last.jobs / last.seconds:.0f} a minute)")
    for one in held:
        print(f"  after {one.jobs:>5}: {one.memory_bytes / MIB:6.0f} MiB, {one.open_files} open files")


if __name__ == "__main__":
    sys.exit(main())
