"""Token sets applied to logits, on the device where they are: everything else becomes minus infinity.

Masks are made once for a vocabulary, a width and a device. Nothing here waits for the device. Logits are [..., V] and
may be wider than the vocabulary, as networks pad theirs; what lies beyond is never allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from partita.errors import ModelError
from partita.planner.lm.states import TokenSet, Wide
from partita.planner.lm.tables import Tables

_FORBIDDEN = float("-inf")
_KEPT = 4096


class Masks:
    """The masks of one vocabulary for logits of `width` on `device`."""

    def __init__(self, tables: Tables, width: int | None = None, device: torch.device | str = "cpu") -> None:
        """Raises ModelError where logits would be narrower than the vocabulary."""
        size = tables.vocabulary.size
        self.width = size if width is None else width
        if self.width < size:
            raise ModelError(
                f"The planner's network gives {self.width} logits and its tokenizer has {size} tokens; they are not of "
                f"one checkpoint. Fetch the model again.",
                key="vocab_size",
            )
        self.device = torch.device(device)
        self._tables = tables
        self._wide: dict[Wide, Tensor] = {}
        self._few: dict[tuple[int, ...], Tensor] = {}  # indices: whole masks of a thousand values would be large

    def of(self, allowed: TokenSet) -> Tensor:
        """Bool [V], true where a token is allowed."""
        if allowed.wide is None:
            few = torch.zeros(self.width, dtype=torch.bool, device=self.device)
            few[self._indices(allowed.ids)] = True
            return few
        if allowed.wide not in self._wide:
            mask = self._tables.wide(allowed.wide)
            self._wide[allowed.wide] = torch.nn.functional.pad(mask, (0, self.width - mask.shape[0])).to(self.device)
        return self._wide[allowed.wide]

    def _indices(self, ids: tuple[int, ...]) -> Tensor:
        if ids not in self._few:
            if len(self._few) >= _KEPT:
                self._few.clear()
            self._few[ids] = torch.tensor(ids, dtype=torch.int64, device=self.device)
        return self._few[ids]

    def apply(self, allowed: TokenSet, logits: Tensor) -> Tensor:
        """`logits` [..., V] with all but the allowed tokens at minus infinity, and of these only the best one where the
        set says so. Raises ModelError where the logits are of another width than these masks."""
        if logits.shape[-1] != self.width:
            raise ModelError(
                f"The planner's network gave {logits.shape[-1]} logits and its masks are for {self.width}."
            )
        if allowed.wide is None:
            few = self._indices(allowed.ids)
            masked = torch.full_like(logits, _FORBIDDEN).index_copy(-1, few, logits.index_select(-1, few))
        else:
            masked = torch.where(self.of(allowed), logits, _FORBIDDEN)
        return best_only(masked) if allowed.best_only else masked

    def apply_rows(self, allowed: Sequence[TokenSet], logits: Tensor) -> Tensor:
        """`apply` for each row of [B, V] with its own set."""
        return torch.stack([self.apply(one, row) for one, row in zip(allowed, logits, strict=True)])


def best_only(logits: Tensor) -> Tensor:
    """`logits` [..., V] with everything but the largest (the first of equals) at minus infinity."""
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.full_like(logits, _FORBIDDEN).scatter(-1, best, logits.gather(-1, best))
