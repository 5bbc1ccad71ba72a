"""A server that is killed at random moments while callers submit loses nothing that it accepted."""

import hashlib
import io
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import soundfile

from tests.service.http.server_process import SMALL, ServerProcess


@dataclass
class Callers:
    """Those who submit, and what they were told. A key for which no answer came may have been accepted or not."""

    accepted: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    seed: int = 0

    def submit(self, client: httpx.Client, key: str, seed: int) -> None:
        self.unanswered[key] = seed
        answer = client.post("/v1/songs", json=SMALL | {"seed": seed}, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        self.accepted[key] = answer.json()["id"]
        del self.unanswered[key]

    def work(self, client: httpx.Client, jobs: int, dead: threading.Event) -> None:
        """Submit so many jobs, then look what is done, until the server is gone."""
        try:
            for _ in range(jobs):
                self.seed += 1
                self.submit(client, f"key {self.seed}", self.seed)
            while not dead.is_set():
                for job in client.get("/v1/songs", params={"state": "done", "limit": 20}).json()["jobs"]:
                    if job["id"] not in self.digests:
                        audio = client.get(f"/v1/songs/{job['id']}/audio").raise_for_status().content
                        self.digests[job["id"]] = hashlib.sha256(audio).hexdigest()
                time.sleep(0.05)
        except httpx.TransportError:
            pass  # this is what a caller sees of a server that is killed


def die_often(home: Path, kills: int, jobs_a_life: int, seed: int, longest_life_s: float) -> Callers:
    """Kill a server so often, then check that all it ever accepted is done."""
    draw, callers = random.Random(seed), Callers()
    server = ServerProcess(home, "--max-requests-per-minute", "0", "--max-waiting", "10000")
    try:
        for life in range(kills):
            server.start()
            if life % 5 == 4:  # in the middle of its start, too
                time.sleep(draw.uniform(0, 0.5))
                server.kill()
                continue
            assert server.wait_ready(), server.log()
            dead = threading.Event()
            with server.client() as client:
                caller = threading.Thread(target=callers.work, args=(client, jobs_a_life, dead))
                caller.start()
                time.sleep(draw.uniform(0, longest_life_s))
                server.kill()
                dead.set()
                caller.join(60)
        server.start()
        assert server.wait_ready(), server.log()
        with server.client() as client:
            check_all(server, client, callers)
        assert server.terminate() == 0
        assert "Traceback" not in server.log()
    finally:
        server.kill()
    return callers


def check_all(server: ServerProcess, client: httpx.Client, callers: Callers) -> None:
    for key, seed in list(callers.unanswered.items()):
        callers.submit(client, key, seed)  # whoever got no answer asks again with the same key
    wait_all_over(client)
    for job_id in callers.accepted.values():
        job = client.get(f"/v1/songs/{job_id}").raise_for_status().json()
        assert job["state"] == "done", job["fault"]
        audio = client.get(f"/v1/songs/{job_id}/audio").raise_for_status().content
        samples, rate_hz = soundfile.read(io.BytesIO(audio))
        assert len(samples) == rate_hz
        told = callers.digests.get(job_id)
        assert told in (None, hashlib.sha256(audio).hexdigest()), "a song that was finished is as it was"
    listed, address = [], "/v1/songs?limit=200"
    while address:
        page = client.get(address).json()
        listed += [job["id"] for job in page["jobs"]]
        address = page["next"]
    assert sorted(listed) == sorted(callers.accepted.values()), "every key is one job, and there are no others"
    assert not [name for name in server.files() if name.endswith(".part")]


def wait_all_over(client: httpx.Client) -> None:
    """Until no job waits or runs; fails where for two minutes none ends."""
    least, since = None, time.monotonic()
    while True:
        jobs = client.get("/health").json()["jobs"]
        left = jobs["queued"] + jobs["running"]
        if not left:
            return
        if least is None or left < least:
            least, since = left, time.monotonic()
        assert time.monotonic() - since < 120, jobs
        time.sleep(0.1)


def test_a_server_that_is_killed_loses_nothing(tmp_path):
    callers = die_often(tmp_path, kills=3, jobs_a_life=3, seed=1, longest_life_s=1.0)
    assert callers.accepted


@pytest.mark.long
def test_a_server_that_is_killed_fifty_times_loses_nothing(tmp_path):
    callers = die_often(tmp_path, kills=50, jobs_a_life=4, seed=2, longest_life_s=2.5)
    assert len(callers.accepted) > 50
    assert callers.digests, "some were finished before a kill"
