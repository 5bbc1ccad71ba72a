"""Whatever the document allows, and much that it does not, is answered as the document says and never with a 5xx."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from partita.service.http.app import create_app
from tests.service.http.conftest import real_service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> Iterator[Any]:
    with real_service(tmp_path_factory.mktemp("real")) as service:
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(service))


def try_all(document: Any, mode: GenerationMode, examples: int, *, bodies_alone: bool = False) -> None:
    for found in document.get_all_operations():
        operation = found.ok()
        inputs = (operation.path_parameters, operation.query, operation.headers, operation.body)
        if mode is GenerationMode.NEGATIVE and not any(len(list(one)) for one in inputs):
            continue  # nothing can be wrong with it
        if bodies_alone and not len(list(operation.body)):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        def asked_and_answered(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        asked_and_answered()


def test_a_few_good_requests_of_each_route(document):
    try_all(document, GenerationMode.POSITIVE, 3)


def test_a_wrong_request_of_each_route_with_a_body(document):
    try_all(document, GenerationMode.NEGATIVE, 1, bodies_alone=True)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_many_requests_of_each_route(document, mode: GenerationMode):
    try_all(document, mode, 150)
