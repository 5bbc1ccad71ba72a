"""Many callers at once, and many jobs one after another, against a real server, for tests and a bench."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httpx

from tests.service.http.server_process import SMALL, ServerProcess, wait_over

PATIENCE_S = 300.0
_AT_ONCE = 50


@dataclass
class Storm:
    """What came of many callers at once: answers by what was asked and their status, and how long each took."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    without_time: int = 0
    """Refusals with 429 that did not say when to come again."""

    def note(self, what: str, answer: httpx.Response, began: float) -> None:
        self.seconds.append(time.monotonic() - began)
        self.answers[what, answer.status_code] += 1
        if answer.status_code == 429 and not int(answer.headers.get("retry-after", "0")):
            self.without_time += 1

    def count(self, status: int) -> int:
        """Answers with this status."""
        return sum(number for (_, one), number in self.answers.items() if one == status)

    def slowest(self, share: float) -> float:
        """Seconds within which this share of the requests was answered."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def storm(server: ServerProcess, callers: int, songs: int, headers: dict[str, str] | None = None) -> Storm:
    """So many callers at once, each with connections of its own: ask for one of `songs` songs, look at it, follow its
    events to the end, and fetch it. Raises where one of them waits longer than `PATIENCE_S` for anything."""
    found = Storm()
    asyncio.run(_all_callers(found, server.url, callers, songs, headers or {}))
    return found


async def _all_callers(found: Storm, url: str, callers: int, songs: int, headers: dict[str, str]) -> None:
    async def caller(number: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False, headers=headers) as client:
            began = time.monotonic()
            key = {"Idempotency-Key": f"storm {number % songs}"}
            answer = await client.post("/v1/songs", json=SMALL | {"seed": number % songs}, headers=key)
            found.note("submit", answer, began)
            if answer.status_code != 202:
                return
            links = answer.json()["links"]
            began = time.monotonic()
            found.note("look", await client.get(links["job"]), began)
            began = time.monotonic()
            async with client.stream("GET", links["events"]) as events:
                found.note("follow", events, began)
                await events.aread()
            began = time.monotonic()
            found.note("fetch", await client.get(links["audio"]), began)

    async with asyncio.timeout(2 * PATIENCE_S), asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(number))


@dataclass(frozen=True)
class Held:
    """What a server process holds after so many jobs."""

    jobs: int
    memory_bytes: int
    open_files: int
    seconds: float


def marathon(server: ServerProcess, jobs: int, looks: int, headers: dict[str, str] | None = None) -> list[Held]:
    """So many small jobs, each submitted, fetched and forgotten; what the server holds, `looks` times."""
    held, began, each = [], time.monotonic(), jobs // looks
    with server.client(headers=headers or {}) as client:
        for look in range(looks):
            for wave in batched(range(look * each, (look + 1) * each), _AT_ONCE):
                _make(client, wave)
            held.append(Held((look + 1) * each, server.memory_bytes(), server.open_files(), time.monotonic() - began))
    return held


def _make(client: httpx.Client, seeds: Sequence[int]) -> None:
    asked = [client.post("/v1/songs", json=SMALL | {"seed": seed}).raise_for_status().json() for seed in seeds]
    for job in asked:
        over = wait_over(client, job["id"])
        assert over["state"] == "done", over["fault"]
        assert len(client.get(job["links"]["audio"]).raise_for_status().content) > 1000
        client.delete(job["links"]["job"]).raise_for_status()


def batched(numbers: range, size: int) -> Iterator[range]:
    """The range in pieces of at most `size`."""
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]
