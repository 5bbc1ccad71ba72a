"""Every benchmark with its usual settings, one after the other: `make bench`. Each also runs alone, with `--help`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Stage by stage beside diffusers at full size with random weights (needs about 12 GB of memory), then the built-in
# model's bars and edits, and the solvers against each other.
BENCHES = ("compare.py", "compare_vae.py", "builtin_bars.py", "builtin_edits.py", "solvers.py")


def main() -> int:
    """Run them all; returns 1 if any of them failed."""
    folder = Path(__file__).parent
    codes = [subprocess.run([sys.executable, str(folder / name)], check=False).returncode for name in BENCHES]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
