"""A running mean of a model's weights, which plays better than the last step's weights do.

Knows nothing of what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightMean:
    """Exponential mean of all parameters, float32, on their device.

    Early on the decay is (1 + n) / (10 + n) after n updates, so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, Tensor] = {
            name: parameter.detach().float().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        parameters = dict(model.named_parameters())
        for name, weight in self.weights.items():
            weight.lerp_(parameters[name].float(), 1.0 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the mean into `model`, in the number format that it has."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name])

    def load(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go on from saved weights. The names and shapes are those of the model."""
        for name, weight in self.weights.items():
            weight.copy_(weights[name])
        self.updates = updates
