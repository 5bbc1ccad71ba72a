"""A process that is killed at any moment loses nothing that it had accepted, and keeps what it had finished."""

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from partita.audio.read import read
from partita.audio.tags import read_record
from partita.service.jobs.job import Job
from partita.service.jobs.store import JobStore
from partita.song.record import Record
from partita.song.request import SongRequest
from tests.service.jobs.crash_child import make_engine, serve

LONGEST_S = 120.0
KINDS = (
    {"caption": "calm piano", "duration_s": 1, "seed": 1},
    {"caption": "bright techno", "duration_s": 1, "seed": 2, "count": 2},
    {"caption": "slow waltz", "duration_s": 2, "seed": 5, "output": {"format": "mp3", "midi": True}},
    {"caption": "calm piano", "duration_s": 1, "seed": 7},
)


class Killed:
    """Processes that serve one folder, one after another, and what they told."""

    def __init__(self, folder: Path, data: Path) -> None:
        # A fork server has imported everything once; on systems without one each process imports for itself.
        methods = multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            self._context.set_forkserver_preload(["tests.service.jobs.crash_child"])
        self._folder, self._data = folder, data
        self.accepted: dict[str, str] = {}

    def run(self, requests: dict[str, str], kill_after_s: float | None) -> None:
        """Serve until killed, some time after the queue is open (below zero: before), or until all is over."""
        told, tell = self._context.Pipe(duplex=False)
        process = self._context.Process(target=serve, args=(self._folder, self._data, requests, tell))
        process.start()
        tell.close()
        if kill_after_s is None:
            self._hear(told, until="over")
            process.join(LONGEST_S)
            assert process.exitcode == 0
        else:
            if kill_after_s >= 0:
                self._hear(told, until="open")
            time.sleep(abs(kill_after_s))
            process.kill()
            process.join(LONGEST_S)
            self._hear(told)
        process.close()
        told.close()

    def _hear(self, told, until: str | None = None) -> None:
        """What was told is accepted; a key stands for one job, whoever tells of it."""
        try:
            while until is not None or told.poll():
                assert told.poll(LONGEST_S)
                key, job_id = told.recv()
                if key == until:
                    return
                if job_id:
                    assert self.accepted.setdefault(key, job_id) == job_id
        except EOFError:
            assert until is None, "the process ended of itself"


def jobs_in(folder: Path) -> list[Job]:
    store = JobStore(folder / "jobs.sqlite")
    jobs = store.jobs(state=None, limit=1000, before=None)
    store.close()
    return jobs


def files_of(folder: Path, jobs: list[Job]) -> dict[Path, int]:
    """Every file of a song that has a row, and when it was written."""
    paths = [folder / "songs" / job.id / name for job in jobs for song in job.songs for name in song.files]
    return {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_killed_at_random_moments_it_loses_nothing(tmp_path, kills):
    folder, data, chance = tmp_path / "service", tmp_path / "data", random.Random(kills)
    killed, requests = Killed(folder, data), {}
    kept: dict[Path, int] = {}
    for number in range(kills):
        requests[f"k{number}"] = SongRequest.model_validate(KINDS[number % len(KINDS)]).model_dump_json()
        # Callers who heard nothing ask again with their key, as they should.
        unheard = {key: text for key, text in requests.items() if key not in killed.accepted}
        killed.run(unheard, chance.uniform(-0.3, 1.5))
        if (folder / "jobs.sqlite").exists():
            kept |= files_of(folder, jobs_in(folder))
    killed.run(requests, None)

    jobs = jobs_in(folder)
    assert {job.id for job in jobs} == set(killed.accepted.values())
    assert killed.accepted.keys() == requests.keys()
    engine = make_engine(data)
    wanted = {
        song.record.seed: song.record.audio_sha256
        for song in engine.generate_many([SongRequest.model_validate(kind) for kind in KINDS])
    }
    for job in jobs:
        assert job.state == "done", job.fault
        assert len(job.songs) == job.request.count
        for song in job.songs:
            path = folder / "songs" / job.id / song.audio
            assert read(path).duration_s == pytest.approx(song.duration_s, abs=0.1)
            assert Record.from_json(read_record(path) or "") == song.record
            assert song.record.audio_sha256 == wanted[song.seed]
    written = files_of(folder, jobs)
    assert {path: written[path] for path in kept} == kept
    assert {path for path in (folder / "songs").rglob("*") if path.is_file()} == written.keys()
    assert not list(data.glob("kept/*"))
