"""What the built-in model reads: the caption, then what the plan says of tempo, metre, key and length.

One function, so that training and rendering cannot drift apart. Knows nothing of tokens.
"""

from __future__ import annotations


def score_prompt(caption: str, *, bpm: float, time_signature: str, key: str, duration_s: float) -> str:
    """Prompt text; an empty caption leaves the plan's line alone."""
    plan = f"{round(bpm)} bpm, {time_signature}, {key}, {round(duration_s)} s"
    caption = " ".join(caption.split())
    return f"{caption}\n{plan}" if caption else plan
