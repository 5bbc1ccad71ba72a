"""The document: complete, with the request type as it is everywhere, an example of every task, and every error."""

import re

import pytest
from jsonschema_rs import Draft202012Validator

from partita.song.request import SongRequest
from partita.song.task import TASKS


@pytest.fixture
def document(api) -> dict:
    return api.get("/openapi.json").json()


def test_every_route_is_described_and_tells_its_errors(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            assert {"401", "422", "429", "500"} <= set(operation["responses"]), where
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], where
            for one in operation.get("parameters", ()):
                assert one.get("description") or one["name"] == "name", f"{where} {one['name']}"


def test_the_routes_of_the_contract_are_there(document):
    assert set(document["paths"]) == {
        "/v1/songs", "/v1/songs/{id}", "/v1/songs/{id}/audio", "/v1/songs/{id}/events", "/v1/songs/{id}/cancel",
        "/v1/songs/{id}/record", "/v1/songs/{id}/files/{name}", "/v1/uploads", "/v1/uploads/{id}", "/v1/plan",
        "/v1/describe", "/v1/write", "/v1/format", "/v1/models", "/v1/models/{id}", "/v1/models/{id}/load",
        "/v1/models/{id}/unload", "/v1/models/unload", "/v1/models/{id}/download", "/v1/adapters", "/health",
        "/metrics",
    }  # fmt: skip


def test_every_reference_leads_somewhere(document):
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', re.sub(r"\s", "", str(document).replace("'", '"'))))
    assert names <= set(document["components"]["schemas"])


def test_the_request_is_the_type_that_is_used_everywhere(document):
    schema = document["components"]["schemas"]["SongRequest"]
    assert set(schema["properties"]) == set(SongRequest.model_fields)
    sampling = document["components"]["schemas"]["Sampling"]["properties"]
    assert all(field.get("description") for field in sampling.values())


def test_examples_cover_every_task_and_are_requests(document):
    content = document["paths"]["/v1/songs"]["post"]["requestBody"]["content"]
    examples = [one["value"] for one in content["application/json"]["examples"].values()]
    kinds = {SongRequest.model_validate(example).task.kind for example in examples}
    assert kinds == {task.model_fields["kind"].default for task in TASKS}
    validator = Draft202012Validator({"$ref": "#/components/schemas/SongRequest", "components": document["components"]})
    for example in examples:
        validator.validate(example)
