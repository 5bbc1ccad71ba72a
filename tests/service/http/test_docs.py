"""The page of the HTTP API: every command on it names a route that there is, with a body that it takes."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from partita.service.http.planning import DescribeRequest, FormatRequest, WriteRequest
from partita.service.http.problems import kinds
from partita.service.http.uploads import FetchRequest
from partita.song.request import SongRequest

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")
BODIES = {
    "/v1/songs": SongRequest,
    "/v1/plan": SongRequest,
    "/v1/write": WriteRequest,
    "/v1/format": FormatRequest,
    "/v1/describe": DescribeRequest,
    "/v1/uploads": FetchRequest,
}
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def routes(document: dict) -> dict[str, dict]:
    return {re.sub(r"\{[^}]+\}", "[^/]+", path): operations for path, operations in document["paths"].items()}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_one_that_the_server_takes(api, line):
    words = shlex.split(line.replace("$ID", "a" * 32).replace("$UPLOAD", "b" * 32), comments=True)
    assert words[0] == "curl"
    url = urlsplit(next(word for word in words if word.startswith("http://127.0.0.1:8460")))
    sends = any(word in ("-d", "-F", "--data-binary") for word in words)
    method = words[words.index("-X") + 1].lower() if "-X" in words else "post" if sends else "get"
    document = api.get("/openapi.json").json()
    found = [operations for path, operations in routes(document).items() if re.fullmatch(path, url.path)]
    assert any(method in operations for operations in found), line
    if "-d" in words:
        BODIES[url.path].model_validate(json.loads(words[words.index("-d") + 1]))


def test_every_route_is_on_the_page(api):
    for path in api.get("/openapi.json").json()["paths"]:
        where = path.partition("{")[0].rstrip("/")
        assert where in PAGE, path


def test_every_kind_of_problem_is_on_the_page():
    for name, status, _ in kinds():
        assert any(f"`{name}`" in row and str(status) in row for row in PAGE.splitlines()), name
