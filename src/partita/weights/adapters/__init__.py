"""Adapters on disk: where they lie, what they say of themselves, and their changes, every tensor accounted for.

It knows files and names, not how a change is applied (`partita.models.adapters`) nor when (`partita.engine.adapters`).
Importing it, and listing adapters, imports no torch.
"""

from partita.weights.adapters.facts import inspect_adapter
from partita.weights.adapters.files import adapters_in
from partita.weights.adapters.load import Adapter, load_adapter

__all__ = ["Adapter", "adapters_in", "inspect_adapter", "load_adapter"]
