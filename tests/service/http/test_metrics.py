"""Figures for Prometheus: what was made and asked, by route and never by what a caller wrote."""

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from partita.service.http.app import create_app
from tests.service.http.conftest import made, service_of

TONE = {"caption": "a tone", "duration_s": 1}


def figures(client) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_songs_and_jobs_are_counted(api):
    made(api, TONE | {"count": 2})
    told = figures(api)
    assert told["partita_jobs", "state=done"] == 1
    assert told["partita_jobs", "state=queued"] == 0
    assert told["partita_jobs_ended_total", "state=done"] == 1
    assert told["partita_songs_total", "model=built-in"] == 2
    assert 1.9 < told["partita_music_seconds_total", "model=built-in"] < 2.2
    assert told["partita_job_seconds_count",] == 1
    assert told["process_resident_memory_bytes",] > 10**7


def test_requests_are_counted_by_the_templates_of_routes(api):
    for name in ("0" * 32, "1" * 32, "nonsense"):
        api.get(f"/v1/songs/{name}")
    api.get("/what/ever?secret=1")
    api.request("BREW", "/v1/songs")
    told = figures(api)
    assert told["partita_http_requests_total", "method=GET", "route=/v1/songs/{id}", "status=404"] == 2
    assert told["partita_http_requests_total", "method=GET", "route=/v1/songs/{id}", "status=422"] == 1
    assert told["partita_http_requests_total", "method=GET", "route=none", "status=404"] == 1
    assert not any("secret" in part or "ever" in part or "BREW" in part for name in told for part in name)


def test_two_apps_of_one_service_count_for_themselves(api):
    with TestClient(create_app(service_of(api))) as other:
        other.get("/v1/songs")
        assert ("partita_http_requests_total", "method=GET", "route=/v1/songs", "status=200") not in figures(api)
