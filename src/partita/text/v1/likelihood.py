"""How likely each of 97 languages is for a few words, by the model that ACE-Step v1's lyrics were sorted with.

That model came with py3langid up to 0.3; it is, number for number, the one of langid.py 1.1.6, which is loaded here.
py3langid 0.4 has learned another and does not answer the same: `text.detection`, which needs no such likeness, uses it.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from partita.text.v1.packages import package


def most_likely(words: str) -> tuple[str, float]:
    """The code of the likeliest language, and its probability to three decimals.

    Raises RequestError where langid is not installed.
    """
    model = _model()
    moves, features = model.tk_nextmove, model.tk_output
    state = 0
    seen = Counter[int]()
    for byte in words.encode("utf8", errors="surrogatepass"):
        state = moves[(state << 8) + byte]
        seen.update(features.get(state, ()))
    scores: np.ndarray = model.nb_pc
    if seen:
        counts = np.fromiter(seen.values(), np.float32, len(seen))
        scores = scores + counts @ model.nb_ptc[np.fromiter(seen, np.intp, len(seen))]
    best = int(np.argmax(scores))
    probability = 1 / np.exp(scores - scores[best]).sum()
    return str(model.nb_classes[best]), round(float(probability), 3)


def languages() -> tuple[str, ...]:
    """Codes of the languages that the model tells apart."""
    return tuple(_model().nb_classes)


@cache
def _model() -> Any:
    langid = package("langid.langid", "Languages told as the original of ACE-Step v1 does")
    return langid.LanguageIdentifier.from_modelstring(langid.model)
