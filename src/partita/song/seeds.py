"""Seeds as the original ACE-Step programs read them from a line of text, so that their settings can be taken over.

It draws nothing itself: whoever asks says where a fresh seed comes from. Source: the original's request handling.
"""

from __future__ import annotations

from collections.abc import Callable


def original_seeds(seed: str | float | None, count: int, fresh_seed: Callable[[], int]) -> tuple[int, ...]:
    """One seed for each of `count` songs.

    A text holds seeds between commas; what is behind a decimal point is dropped ("12.7" is 12), and seeds beyond
    `count` are left out. A song whose entry is missing, empty, -1 or no number gets one from `fresh_seed`; so a single
    seed is the first song's alone. A number is such a single seed, and None and negative numbers leave every song to
    `fresh_seed`.
    """
    if seed is None or isinstance(seed, (int, float)):
        given = [-1 if seed is None or seed < 0 else int(seed)]
    else:
        given = [_seed(entry) for entry in seed.split(",")]
    given = given[:count] + [-1] * (count - len(given))
    return tuple(fresh_seed() if value == -1 else value for value in given)


def _seed(entry: str) -> int:
    try:
        return int(float(entry))
    except (ValueError, OverflowError):  # words and the infinities
        return -1
