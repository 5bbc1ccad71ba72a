import hashlib
from pathlib import Path

import pytest

from partita.weights import locate_acestep15
from partita.weights.catalog import card, shared_files
from partita.weights.places import Caches
from partita.weights.verify import verify
from tests.weights import checkpoints

TURBO = card("acestep-v15-turbo")


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub")


def test_sound_files_pass_and_strange_ones_are_called_strange(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(tmp_path / "files")
    told: list[str] = []
    report = verify(TURBO, caches, tmp_path / "files", on_file=told.append)
    assert all(check.passed for check in report.checks)
    verdicts = {file.role: file.verdict for file in report.files}
    assert told == list(verdicts)
    # The tiny weights are not the published ones, and the catalog knows those by their digest.
    assert verdicts["model/model.safetensors"] == "differs"
    assert verdicts["model/config.json"] == "not known"
    assert not report.passed


def test_files_with_the_known_digests_are_as_published(
    tmp_path: Path, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.write_published(tmp_path / "files")

    def known(entry: object, folder: Path) -> object:
        path = folder / Path(entry.path).name  # pyright: ignore[reportAttributeAccessIssue]
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return entry.model_copy(update={"sha256": sha256})  # pyright: ignore[reportAttributeAccessIssue]

    folder = tmp_path / "files" / TURBO.folder
    tiny = TURBO.model_copy(update={"files": tuple(known(entry, folder) for entry in TURBO.files)})
    shared = tuple(
        one.model_copy(update={"files": tuple(known(entry, tmp_path / "files" / one.folder) for entry in one.files)})
        for one in shared_files(TURBO)
    )
    monkeypatch.setattr(locate_acestep15, "shared_files", lambda card: shared)
    report = verify(tiny, caches, tmp_path / "files")
    assert {file.verdict for file in report.files} == {"as published"}
    assert report.passed


def test_the_report_names_files_digests_and_versions_and_no_path(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(tmp_path / "files")
    text = verify(TURBO, caches, tmp_path / "files").text()
    weights = (tmp_path / "files" / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    for said in ("ace-step-1.5-turbo", "FAILED", "torch ", hashlib.sha256(weights).hexdigest(), "220 tensors, BF16"):
        assert said in text
    assert str(tmp_path) not in text


def test_a_fault_is_a_failed_check(tmp_path: Path, caches: Caches) -> None:
    checkpoints.write_published(tmp_path / "files")
    path = tmp_path / "files" / "acestep-v15-turbo" / "silence_latent.pt"
    path.write_bytes(path.read_bytes()[:1000])
    failed = [check for check in verify(TURBO, caches, tmp_path / "files").checks if not check.passed]
    assert [check.name for check in failed] == ["the silence latent"]
    assert "cut short" in failed[0].detail


def test_absent_files_are_a_failed_check(caches: Caches) -> None:
    report = verify(TURBO, caches)
    assert not report.passed
    assert "partita download" in report.checks[0].detail
