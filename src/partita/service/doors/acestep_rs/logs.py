"""Log lines of these programs: to standard error, as much as the variable `RUST_LOG` of the originals asks for."""

from __future__ import annotations

import logging
import sys

_LEVELS = {
    "off": logging.CRITICAL + 10,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}


def log_to_stderr(asked: str | None) -> None:
    """Send the logs of this process to standard error. `asked` is a level, or a list such as `warn,partita=debug`."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    for directive in (asked or "").split(","):
        name, equals, level = directive.strip().rpartition("=")
        number = _LEVELS.get(level.strip().lower())
        if number is not None:  # what names no level is ignored, as the original does
            logging.getLogger(name.strip().replace("::", ".") if equals else None).setLevel(number)
