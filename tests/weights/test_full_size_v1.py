"""A full-size checkpoint of ACE-Step v1, of random numbers, loads key for key, and stays on disk where it may.

Slow and large. `PARTITA_TEST_CHECKPOINTS` names the published folder (8.3 GB), or one that holds it; without it these
tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.weights.v1_checkpoints import FOLDERS, write_vocabulary

SHARED = Path(__file__).parents[3] / "shared"
GIVEN = Path(os.environ.get("PARTITA_TEST_CHECKPOINTS", "/nonexistent"))
CHECKPOINT = next((path for path in (GIVEN, GIVEN / "ACE-Step-v1-3.5B") if (path / FOLDERS[0]).is_dir()), None)
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(CHECKPOINT is None, reason="PARTITA_TEST_CHECKPOINTS names no folder with ACE-Step v1"),
]

LOAD = """
import json, re, sys
from pathlib import Path
from partita.weights.acestepv1 import AceStepV1Loader
from partita.weights.catalog import card
from partita.weights.locate import locate
from partita.weights.places import Caches

def megabytes():
    text = Path("/proc/self/smaps_rollup").read_text()
    return {name: int(re.search(name + r":\\s+(\\d+)", text)[1]) / 1024 for name in ("Rss", "Anonymous")}

folder, number_format, parts = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
located = locate(card("ace-step-v1"), Caches(folder / "none", folder / "none"), folder)
loader = AceStepV1Loader(located, "cpu", number_format)
said = {name: check() for name, check in loader.describe().items()}
costs, tensors = {}, {}
for part in parts:
    before = megabytes()
    loaded = loader.load(part)
    costs[part] = {name: value - before[name] for name, value in megabytes().items()}
    network = getattr(loaded, "model", loaded)
    if hasattr(network, "state_dict"):
        for key, tensor in network.state_dict().items():
            assert not tensor.is_meta and tensor.isfinite().all(), key
            tensors[part + ":" + key] = [str(tensor.dtype), list(tensor.shape)]
    del loaded, network
print(json.dumps({"said": said, "costs": costs, "tensors": tensors, "bytes": loader.part_bytes()}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, and a lyric vocabulary if it has none."""
    assert CHECKPOINT is not None
    made = tmp_path_factory.mktemp("v1")
    for name in FOLDERS:
        (made / name).symlink_to(CHECKPOINT / name)
    theirs = [path for name in ("lyric_vocab.json", "vocab.json") if (path := CHECKPOINT / name).exists()]
    if theirs:
        (made / "lyric_vocab.json").symlink_to(theirs[0])
    else:
        write_vocabulary(made / "lyric_vocab.json")
    return made


def load(folder: Path, number_format: str, parts: str) -> dict[str, Any]:
    run = [sys.executable, "-c", LOAD, str(folder), number_format, parts]
    return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


def manifest(name: str) -> dict[str, list[int]]:
    path = SHARED / "manifests" / f"ace-step-v1-{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    return {key: shape for key, (_, shape) in json.loads(path.read_text()).items()}


def test_every_tensor_is_accounted_for_and_the_parts_take_what_was_said(folder: Path) -> None:
    found = load(folder, "bfloat16", "text_encoder,lyric_tokenizer,conditioner,transformer,codec")
    print(json.dumps({name: found[name] for name in ("said", "costs", "bytes")}, indent=1))
    read = {key.split(":")[1]: shape for key, (_, shape) in found["tensors"].items() if "text" not in key.split(":")[0]}
    published = manifest("transformer")
    assert len(published) == 874
    idle = {name for name in published if ".add_" in name or ".to_add_out." in name or name.startswith("projectors.")}
    assert read == {name: shape for name, shape in published.items() if name not in idle}
    assert "874 tensors" in found["said"]["the transformer"]
    assert "204 of them (717 million numbers)" in found["said"]["the transformer"]
    for name, count in (("the mel autoencoder", 192), ("the vocoder", 713), ("the text encoder", 122)):
        assert f"{count} tensors" in found["said"][name]
    assert {dtype for dtype, _ in found["tensors"].values()} == {"torch.bfloat16"}
    assert sum(found["bytes"].values()) < 6.3e9  # all parts at once; one at a time, 5 GB
    assert found["bytes"]["transformer"] == max(found["bytes"].values()) == 4_985_466_112


def test_weights_in_the_format_asked_for_are_views_of_the_file(folder: Path) -> None:
    found = load(folder, "bfloat16", "conditioner,text_encoder,codec")
    assert found["costs"]["conditioner"]["Anonymous"] < 50
    # The text encoder is stored in float32 and converted tensor by tensor; the codec is folded.
    assert 500 < found["costs"]["text_encoder"]["Anonymous"] < 1000
    assert found["costs"]["codec"]["Anonymous"] < 1000
