"""Every error has one status and one form, and what nobody foresaw stays inside."""

import inspect

import pytest

from partita import errors
from partita.errors import (
    AccessError,
    AudioError,
    BusyError,
    ConflictError,
    ModelError,
    PartitaError,
    PlannerError,
    RequestError,
    TooLargeError,
)
from partita.service.http.problems import kinds, problem_of, respond, status_of
from tests.service.http.conftest import problem, service_of

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, PartitaError)]


def an(kind: type[PartitaError]) -> PartitaError:
    said = "What was asked, what was seen, what to do."
    return PlannerError(said, text="x") if kind is PlannerError else kind(said)


@pytest.mark.parametrize("kind", [one for one in CLASSES if one is not PartitaError])
def test_every_error_of_the_tree_has_a_status_and_words(kind):
    told = problem_of(an(kind), "/v1/songs")
    assert told.status == status_of(an(kind)) != 500
    assert told.detail == "What was asked, what was seen, what to do."
    assert told.instance == "/v1/songs"
    assert told.title


def test_kinds_are_stable_names_of_one_status_each():
    by_name: dict[str, set[int]] = {}
    for name, status, _ in kinds():
        by_name.setdefault(name, set()).add(status)
    assert all(len(statuses) == 1 for statuses in by_name.values())
    assert {"not-found", "conflict", "too-large", "bad-request", "busy", "unauthorized", "forbidden"} <= set(by_name)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequestError("x"), 422),
        (TooLargeError("x"), 413),
        (ConflictError("x"), 409),
        (AccessError("x"), 401),
        (AccessError("x", known=True), 403),
        (ModelError("x"), 424),
        (AudioError("x"), 422),
        (BusyError("x"), 429),
    ],
)
def test_statuses_are_those_of_the_docs(error, status):
    assert status_of(error) == status


def test_the_field_and_a_shortened_value_are_told():
    told = problem_of(RequestError("bad", field="sampling.steps", value="9" * 5000))
    assert told.field == "sampling.steps"
    assert told.value is not None
    assert len(told.value) < 120


def test_notes_of_an_error_go_along():
    error = RequestError("bad")
    error.add_note("the file was altered")
    assert problem_of(error).notes == ["the file was altered"]


def test_headers_say_when_to_come_again_and_how_to_be_known():
    assert respond(problem_of(BusyError("x", retry_after_s=2.2))).headers["retry-after"] == "3"
    assert respond(problem_of(AccessError("x"))).headers["www-authenticate"] == "Bearer"


def test_what_is_no_error_of_ours_tells_nothing_of_itself():
    told = problem_of(ZeroDivisionError("the secret of /home/me"))
    assert told.status == 500
    assert "secret" not in told.model_dump_json()


def test_an_unforeseen_error_is_logged_and_answered(open_api, monkeypatch, caplog):
    api = open_api()
    api._transport.raise_server_exceptions = False

    def fail(*given, **options):
        raise ZeroDivisionError("the secret of /home/me")

    monkeypatch.setattr(service_of(api).queue, "jobs", fail)
    answer = api.get("/v1/songs")
    problem(answer, 500)
    assert "secret" not in answer.text
    assert "the secret of /home/me" in caplog.text


def test_a_lone_surrogate_does_not_break_the_answer(api):
    problem(
        api.post("/v1/write", content=b'{"wish": "x", "\\ud800": 1}', headers={"Content-Type": "application/json"}), 422
    )


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1", "/v1/songs/", "/v1/songs/%00/audio", "/" + "x" * 3000])
def test_what_is_nowhere_is_a_problem_too(api, path):
    answer = api.get(path, follow_redirects=False)
    assert answer.status_code in (307, 404, 422)
    if answer.status_code != 307:
        problem(answer, answer.status_code)


def test_a_method_that_is_not_there_names_those_that_are(api):
    answer = api.put("/v1/songs", json={})
    problem(answer, 405)
    assert answer.headers["allow"] == "GET, POST"
    assert api.post("/health").headers["allow"] == "GET"
