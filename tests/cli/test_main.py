import subprocess
import sys

import pytest

from partita.cli.main import VERBS


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


def test_a_request_that_is_refused_never_imports_torch():
    code = (
        "import sys\nfrom partita.cli.main import main\nassert main(['generate', 'x', '--duration', '601']) == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
