"""Full-size checkpoints of random numbers load key for key, and stay on disk while nothing has to be converted.

Slow and large: up to 22 GB of disk and 10 GB of memory. `PARTITA_TEST_CHECKPOINTS` may name a folder with checkpoints
in the published layout; otherwise `../shared/tools/make_checkpoint.py` writes what is needed and it is deleted after.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

LOAD = """
import json, re, sys
from pathlib import Path
from partita.weights.acestep15 import AceStep15Loader
from partita.weights.catalog import card
from partita.weights.locate import locate
from partita.weights.places import Caches

def megabytes():
    text = Path("/proc/self/smaps_rollup").read_text()
    return {name: int(re.search(name + r":\\s+(\\d+)", text)[1]) / 1024 for name in ("Rss", "Anonymous")}

folder, name, number_format, parts = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4].split(",")
loader = AceStep15Loader(locate(card(name), Caches(folder / "none", folder / "none"), folder), "cpu", number_format)
loader.check()
before, tensors, kept = megabytes(), {}, []
prefixes = {"conditioner": "", "transformer": "decoder."}
prefixes |= {"audio_tokenizer": "tokenizer.", "audio_detokenizer": "detokenizer."}
for part in parts:
    loaded = loader.load(part)
    kept.append(loaded)
    network = getattr(loaded, "model", loaded)
    if hasattr(network, "state_dict"):
        for key, tensor in network.state_dict().items():
            assert not tensor.is_meta and tensor.isfinite().all(), key
            tensors[prefixes.get(part, part + ":") + key] = [str(tensor.dtype), list(tensor.shape)]
print(json.dumps({"before": before, "after": megabytes(), "tensors": tensors}))
"""
ACOUSTIC = "conditioner,transformer,audio_tokenizer,audio_detokenizer"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Folders made so far, by what they hold; those made here are deleted at the end."""
    made: dict[str, Path] = {}
    yield made
    for folder in made.values():
        if "PARTITA_TEST_CHECKPOINTS" not in os.environ or folder != Path(os.environ["PARTITA_TEST_CHECKPOINTS"]):
            shutil.rmtree(folder, ignore_errors=True)


def folder_with(made: dict[str, Path], part: str, name: str, base: Path) -> Path:
    given = Path(os.environ.get("PARTITA_TEST_CHECKPOINTS", "/nonexistent"))
    if (given / name / "config.json").exists():
        made[part] = given
    if part not in made:
        tool = SHARED / "tools" / "make_checkpoint.py"
        if not tool.exists():
            pytest.skip(f"{tool.name} is not on this machine")
        if shutil.disk_usage(base).free < 30e9:
            pytest.skip("less than 30 GB of disk")
        subprocess.run([sys.executable, tool, base / part, "--parts", part, "vae", "text"], check=True)
        made[part] = base / part
    return made[part]


def load(folder: Path, name: str, number_format: str, parts: str) -> dict[str, dict[str, object]]:
    run = [sys.executable, "-c", LOAD, str(folder), name, number_format, parts]
    return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


def manifest(name: str) -> dict[str, list[int]]:
    return {key: shape for key, (_, shape) in json.loads((SHARED / "manifests" / f"{name}.json").read_text()).items()}


@pytest.mark.parametrize(
    ("part", "folder", "names"),
    [
        ("dit-turbo", "acestep-v15-turbo", "ace-step-1.5-turbo"),
        ("dit-base", "acestep-v15-base", "ace-step-1.5-base"),
    ],
)
def test_a_bfloat16_checkpoint_loads_key_for_key_and_stays_on_disk(
    checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, part: str, folder: str, names: str
) -> None:
    where = folder_with(checkpoints, part, folder, tmp_path_factory.getbasetemp())
    found = load(where, folder, "bfloat16", f"{ACOUSTIC},text_encoder")
    acoustic = {key: shape for key, (_, shape) in found["tensors"].items() if not key.startswith("text_encoder:")}  # pyright: ignore[reportGeneralTypeIssues]
    assert acoustic == manifest(names)
    assert sum(key.startswith("text_encoder:") for key in found["tensors"]) == 310
    assert {dtype for dtype, _ in found["tensors"].values()} == {"torch.bfloat16"}  # pyright: ignore[reportGeneralTypeIssues]
    files_mb = (4_787_825_604 + 1_191_586_416) / 2**20
    assert found["after"]["Anonymous"] - found["before"]["Anonymous"] < 200  # pyright: ignore[reportOperatorIssue]
    assert found["after"]["Rss"] - found["before"]["Rss"] < files_mb + 200  # pyright: ignore[reportOperatorIssue]


def test_a_sharded_float32_checkpoint_loads_key_for_key_and_converts_one_tensor_at_a_time(
    checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    where = folder_with(checkpoints, "dit-xl", "acestep-v15-xl-turbo", tmp_path_factory.getbasetemp())
    found = load(where, "acestep-v15-xl-turbo", "bfloat16", ACOUSTIC)
    assert {key: shape for key, (_, shape) in found["tensors"].items()} == manifest("ace-step-1.5-xl")  # pyright: ignore[reportGeneralTypeIssues]
    converted_mb = 2 * 4_987_310_726 / 2**20
    grown = found["after"]["Anonymous"] - found["before"]["Anonymous"]  # pyright: ignore[reportOperatorIssue]
    assert converted_mb * 0.98 < grown < converted_mb + 300
