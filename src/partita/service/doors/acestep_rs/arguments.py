"""Types of command-line options as the programs of ace-step-rs take them. Faults are told by argparse, with code 2."""

from __future__ import annotations

import argparse
import re

from partita.service.doors.acestep_rs.protocol import LARGEST_SEED


def u64(text: str) -> int:
    """A whole number from 0 to 2^64 - 1."""
    if not re.fullmatch(r"\+?[0-9]+", text) or len(text) > 21 or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: expected a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def number(text: str) -> float:
    """A number, such as 30 or 2.5."""
    try:
        if "_" not in text:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"invalid value {text!r}: expected a number")
