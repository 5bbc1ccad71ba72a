"""How long a plan may get: audio codes for a duration, tokens for an answer, and whether a prompt fits at all.

Codes come at 5 a second. The context is what the planner was trained and is run with, not what its network could hold.
"""

from __future__ import annotations

from partita.errors import RequestError
from partita.planner.lm.fields import DURATION_MAX_S, DURATION_MIN_S
from partita.song.plan import CODES_PER_S

CONTEXT_TOKENS = 4096
CONTEXT_MARGIN = 64
"""Tokens of the context that an answer never takes, as in the original."""

CODES_MARGIN, METADATA_MARGIN = 10, 500


def code_target(duration_s: float | None) -> int | None:
    """How many codes last `duration_s`, or None where no duration (or none above 0) is asked for."""
    return int(duration_s * CODES_PER_S) if duration_s is not None and duration_s > 0 else None


def answer_tokens(
    duration_s: float | None,
    *,
    codes_only: bool,
    context: int = CONTEXT_TOKENS,
    duration_max_s: int = DURATION_MAX_S,
) -> int:
    """The most tokens that an answer may take: the codes of the duration, held to 10 s..`duration_max_s`, and a margin
    for what else is written; without a duration the context less its margin."""
    most = context - CONTEXT_MARGIN
    if duration_s is None or duration_s <= 0:
        return most
    held = max(DURATION_MIN_S, min(duration_max_s, DURATION_MAX_S, duration_s))
    return min(int(held * CODES_PER_S) + (CODES_MARGIN if codes_only else METADATA_MARGIN), most)


def check_fits(prompt_tokens: int, answer: int, context: int = CONTEXT_TOKENS, *, field: str = "lyrics") -> None:
    """Raises RequestError (naming `field`, the longest thing in the prompt) where a prompt leaves less than `answer`
    tokens of the context."""
    if prompt_tokens + answer > context:
        room = max(0, context - answer)
        raise RequestError(
            f"{field}: the planner reads {context} tokens in all, and this prompt takes {prompt_tokens} of them where "
            f"an answer of {answer} leaves {room}; shorten the {field}, or ask for a shorter song.",
            field=field,
            value=prompt_tokens,
        )
