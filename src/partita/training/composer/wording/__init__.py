"""Words and sentences for captions in six languages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from partita.text.orchestra.vocabulary import LanguageCode
from partita.training.composer.wording.de import GERMAN
from partita.training.composer.wording.en import ENGLISH
from partita.training.composer.wording.es import SPANISH
from partita.training.composer.wording.fr import FRENCH
from partita.training.composer.wording.it import ITALIAN
from partita.training.composer.wording.pt import PORTUGUESE
from partita.training.composer.wording.values import Wording

WORDINGS: Mapping[LanguageCode, Wording] = MappingProxyType(
    {one.language: one for one in (ENGLISH, SPANISH, FRENCH, GERMAN, ITALIAN, PORTUGUESE)}
)
"""The wording of every language."""
