"""The rule composer: endless seeded music, with captions, for training the built-in model.

Only training imports it; at generation the model alone writes the notes.
"""

from partita.training.composer.captions import caption
from partita.training.composer.compose import Piece, compose
from partita.training.composer.spec import PieceSpec, SectionPlan, sample_spec

__all__ = ["Piece", "PieceSpec", "SectionPlan", "caption", "compose", "sample_spec"]
