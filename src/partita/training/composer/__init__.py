"""The rule composer: endless seeded music, with captions, for training the built-in model.

Only training imports it; at generation the model alone writes the notes.
"""

from partita.training.composer.captions import Caption, caption, describe
from partita.training.composer.compose import Piece, compose
from partita.training.composer.spec import PieceSpec, SectionPlan, sample_spec

__all__ = ["Caption", "Piece", "PieceSpec", "SectionPlan", "caption", "compose", "describe", "sample_spec"]
