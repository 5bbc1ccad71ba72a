import subprocess
import sys

import torch
from torch import nn

from partita.weights.skeleton import skeleton


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 5)
        self.embedding = nn.Embedding(7, 2)
        self.scaled = nn.Parameter(torch.randn(1, 6, 4) / 4**0.5)
        self.more = nn.Parameter(torch.randn(2, 2) * 0.02)
        self.conv = nn.Conv1d(2, 3, 4)


def test_has_the_shapes_of_the_real_network_and_no_memory() -> None:
    with skeleton():
        empty = Everything()
    real = Everything()
    assert {name: p.shape for name, p in empty.named_parameters()} == {n: p.shape for n, p in real.named_parameters()}
    assert all(parameter.is_meta for parameter in empty.parameters())


def test_outside_of_it_values_are_drawn_as_ever() -> None:
    with skeleton():
        pass
    assert Everything().scaled.std() > 0


def test_the_published_size_is_built_without_torchs_compiler() -> None:
    code = (
        "import sys\n"
        "from partita.models.acestep15.config import AceStepConfig\n"
        "from partita.models.acestep15.model import AceStepModel\n"
        "from partita.weights.catalog import configuration\n"
        "from partita.weights.skeleton import skeleton\n"
        "with skeleton():\n"
        "    AceStepModel(AceStepConfig.from_json(configuration('ace-step-1.5-2b')))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
