import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from partita.cli.main import SECTIONS, VERBS


def test_help_imports_neither_torch_nor_the_request_type():
    code = (
        "import sys\nfrom partita.cli.main import main\nassert main(['--help']) == 0\n"
        "loaded = {'torch', 'numpy', 'pydantic', 'partita.song.request'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for verb in VERBS:
        assert verb in ran.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(partita, verb):
    answer = partita(verb, "--help")
    assert answer.code == 0
    assert answer.out.startswith("Usage: partita")


def test_version(partita):
    assert partita("--version").out.startswith("partita 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "x", "--duration", "601"],
        ["repaint", "tone.wav", "x", "--start", "9"],
        ["lego", "tone.wav", "x", "--track", "drums", "--model", "ace-step-1.5-turbo"],
    ],
)
def test_a_request_that_is_refused_never_imports_torch(tmp_path, arguments):
    soundfile.write(tmp_path / "tone.wav", np.full((48_000, 2), 0.1), 48_000)
    code = (
        f"import sys\nfrom partita.cli.main import main\nassert main({arguments}) == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PARTITA_DATA": str(tmp_path / "data")},
    )
    assert ran.returncode == 0, ran.stderr


def test_help_groups_the_verbs(partita):
    text = partita("--help").out
    assert [text.index(f"{title}:") for title in SECTIONS] == sorted(text.index(f"{title}:") for title in SECTIONS)
    assert {verb for verbs in SECTIONS.values() for verb in verbs} == set(VERBS)
