import re
import shlex
from pathlib import Path

import click
import pytest

from partita.cli.main import VERBS, app
from partita.song.task import TASKS
from partita.weights.catalog import catalog

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [
    pytest.param(line, id=f"{page.name}: {line[:60]}")
    for page in PAGES
    for block in re.findall(r"^```\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    for line in block.splitlines()
    if line.startswith("partita ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_docs_can_be_given(line):
    _, verb, *arguments = shlex.split(line, comments=True)
    assert verb in VERBS
    command = app.get_command(click.Context(app), verb)
    assert command is not None
    command.make_context(verb, arguments)


def rows():
    """Cells of the table of tasks, by the task's name."""
    text = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\| `[a-z-]+`.*\|.*\|.*\|.*\|", line)]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {re.findall("`([a-z-]+)`", row[0])[0]: row for row in cells if len(row) == 6}


def test_the_table_of_tasks_has_every_task():
    assert set(rows()) == {kind.model_fields["kind"].default for kind in TASKS}


@pytest.mark.parametrize("kind", rows())
def test_the_table_of_tasks_names_the_models_of_the_catalog(kind):
    able = {card.id for card in catalog() if kind in card.tasks}
    everything = {card.id for card in catalog()}
    said = rows()[kind][-1].split(";")[0]
    expected = {
        "all": everything,
        "all but built-in": everything - {"built-in"},
        "all of 1.5": {card.id for card in catalog() if card.family == "acestep-1.5"},
        "base, xl-base, built-in": {"ace-step-1.5-base", "ace-step-1.5-xl-base", "built-in"},
    }
    assert expected[said] == able
