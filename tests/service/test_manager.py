"""The manager over real engines whose renderer, loader and memory are stand-ins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from partita.engine.engine import Engine
from partita.engine.events import Finished, Planned
from partita.engine.song import Song
from partita.errors import AudioError, Cancelled, ModelError, RequestError, ResourceError
from partita.service.manager import SMALL_TILE_FRAMES, Manager, ManagerConfig
from partita.settings import Settings
from partita.song.request import SongRequest
from tests.fakes import FakeLoader, ToneRenderer, fake_runtime

MIB = 2**20
ASKED = SongRequest(caption="a tone", duration_s=1, seed=1)
OUT = "CUDA out of memory. Tried to allocate 20.00 MiB."


class Bench:
    """A machine with a device and a processor, its free memory, its clock, and where memory runs out.

    `fails(engine's number, stage, pass of this engine)` is asked before each event of a renderer and may raise.
    """

    def __init__(self, folder: Path, device: str = "cuda") -> None:
        self.folder, self.device = folder, device
        self.free = 8192 * MIB
        self.now = 0.0
        self.made: list[str] = []
        self.engines: list[Engine] = []
        self.loaders: list[FakeLoader] = []
        self.renderers: list[ToneRenderer] = []
        self.fails: Callable[[str, str, int], None] = lambda device, stage, passes: None
        self.refuses: Callable[[str | None], None] = lambda device: None
        self.cannot_load: Callable[[str], None] = lambda device: None

    def make(self, device: str | None) -> Engine:
        self.refuses(device)
        at = device or self.device
        bench = self

        class Loader(FakeLoader):
            def load(self, part: str) -> str:
                bench.cannot_load(at)
                return super().load(part)

        loader = Loader()
        renderer = ToneRenderer(lambda stage, step: self.fails(at, stage, len(renderer.passes)))
        settings = Settings(data=self.folder / "data", cache=self.folder / "cache")
        engine = Engine(
            runtime=fake_runtime(device=at), settings=settings, renderer=renderer, loader=lambda card: loader
        )
        self.made.append(at)
        self.engines.append(engine)
        self.loaders.append(loader)
        self.renderers.append(renderer)
        return engine

    def manager(self, **config: float) -> Manager:
        values = {"min_free_bytes": 2048 * MIB, "return_after_s": 60.0} | config
        settled = ManagerConfig(int(values["min_free_bytes"]), values["return_after_s"])
        return Manager(self.make, settled, free_bytes=lambda device: self.free, clock=lambda: self.now)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def runs_out_on(*devices: str, stage: str = "sample", until_pass: int = 99) -> Callable[[str, str, int], None]:
    def fails(device: str, at: str, passes: int) -> None:
        if device in devices and at == stage and passes <= until_pass:
            raise RuntimeError(OUT)

    return fails


def raising(error: Exception, when: Callable[[str | None], bool]) -> Callable[[str | None], None]:
    def fails(device: str | None) -> None:
        if when(device):
            raise error

    return fails


def songs_of(manager: Manager, requests: list[SongRequest]) -> dict[int, Song]:
    resolved = [manager.engine.resolve(request) for request in requests]
    with closing(manager.run_many(resolved)) as events:
        return {place: event.song for place, event in events if isinstance(event, Finished)}


def test_with_enough_memory_a_song_is_as_the_engine_makes_it(bench: Bench):
    manager = bench.manager()
    song = manager.generate(ASKED)
    assert bench.made == ["cuda"]
    assert song.record == bench.make(None).generate(ASKED).record


def test_the_first_engine_is_made_when_it_is_needed(bench: Bench):
    manager = bench.manager()
    assert bench.made == []
    assert manager.engine is manager.engine
    assert bench.made == ["cuda"]


def test_below_the_threshold_a_song_is_made_on_the_processor_and_says_so(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    bench.free = 500 * MIB
    with caplog.at_level(logging.INFO):
        song = bench.manager().generate(ASKED)
    assert bench.made == ["cuda", "cpu"]
    assert song.record.runtime.device == "cpu"
    assert song.warnings[-1] == "The memory of cuda was short: the song was made on the processor."
    assert "cuda has 500 MB of memory free, below the 2048 MB" in caplog.text
    assert bench.loaders[0].loads == []
    assert bench.loaders[1].loads == list(FakeLoader.part_names)


def test_a_threshold_of_zero_does_not_look(bench: Bench):
    bench.free = 0
    bench.manager(min_free_bytes=0).generate(ASKED)
    assert bench.made == ["cuda"]


def test_on_the_processor_nobody_looks(tmp_path: Path):
    bench = Bench(tmp_path, device="cpu")
    bench.free = 0
    bench.manager().generate(ASKED)
    assert bench.made == ["cpu"]


def test_where_the_device_does_not_say_it_is_tried(bench: Bench, caplog: pytest.LogCaptureFixture):
    def unknown(device: str) -> int:
        raise ResourceError("The free memory of cuda is not known: no driver")

    manager = Manager(bench.make, free_bytes=unknown)
    assert manager.generate(ASKED).record.runtime.device == "cuda"
    assert "is not known: no driver Going on without looking." in caplog.text


def test_where_the_processor_cannot_load_either_the_device_is_tried_anyway(
    bench: Bench, caplog: pytest.LogCaptureFixture
):
    bench.free = 500 * MIB
    bench.cannot_load = raising(ModelError("no room for the text encoder"), lambda device: device == "cpu")
    song = bench.manager().generate(ASKED)
    assert bench.made == ["cuda", "cpu", "cuda"]
    assert song.record.runtime.device == "cuda"
    assert song.warnings == ("a test tone",)
    assert "CPU offload failed: no room for the text encoder Going on with cuda." in caplog.text


def test_a_model_that_is_not_here_is_an_answer_and_not_the_end(bench: Bench):
    bench.free = 500 * MIB
    bench.cannot_load = raising(ModelError("not on this machine"), lambda device: True)
    manager = bench.manager()
    with pytest.raises(ModelError, match="not on this machine"):
        manager.generate(ASKED)
    assert manager.alive


def test_out_of_memory_is_tried_again_on_the_device_with_less_at_once(bench: Bench):
    bench.fails = runs_out_on("cuda", until_pass=1)
    manager = bench.manager()
    song = manager.generate(ASKED)
    assert bench.made == ["cuda"]
    assert manager.engine.store.policy == "one-at-a-time"
    assert song.record.runtime.decode_tile_frames == SMALL_TILE_FRAMES
    assert song.warnings[-1] == "Memory ran out on cuda: the song was made there with less in memory at once."


def test_a_song_that_was_made_with_less_at_once_can_be_replayed(bench: Bench):
    bench.fails = runs_out_on("cuda", until_pass=1)
    song = bench.manager().generate(ASKED)
    bench.fails = lambda device, stage, passes: None
    engine = bench.make(None)
    again = engine.replay(song.record)
    assert again.record.audio_sha256 == song.record.audio_sha256
    assert again.record.runtime == song.record.runtime
    assert engine.runtime.decode_tile_frames is None


def test_songs_of_a_pass_that_ran_out_are_made_one_by_one(bench: Bench):
    bench.fails = runs_out_on("cuda", until_pass=1)
    manager = bench.manager()
    songs = songs_of(manager, [ASKED, SongRequest(caption="another", duration_s=1, seed=2)])
    assert sorted(songs) == [0, 1]
    assert [len(jobs) for jobs in bench.renderers[0].passes] == [2, 1, 1]


def test_out_of_memory_twice_moves_to_the_processor(bench: Bench, caplog: pytest.LogCaptureFixture):
    bench.fails = runs_out_on("cuda")
    song = bench.manager().generate(ASKED)
    assert bench.made == ["cuda", "cpu"]
    assert len(bench.renderers[0].passes) == 2
    assert song.record.runtime.device == "cpu"
    assert song.warnings[-1] == "Memory ran out on cuda: the song was made on the processor."
    assert f"Memory ran out on cuda: {OUT}" in caplog.text
    assert bench.engines[0].store.loaded() == ()


def test_the_device_is_let_go_of_before_the_processor_loads(bench: Bench):
    held: list[tuple[object, ...]] = []
    bench.fails = runs_out_on("cuda")
    bench.cannot_load = lambda device: held.append(bench.engines[0].store.loaded()) if device == "cpu" else None
    bench.manager().generate(ASKED)
    assert held
    assert not any(held)


def test_finished_songs_are_not_made_again_and_plans_stay(bench: Bench):
    manager = bench.manager()
    # Two passes, for their lengths differ; the second finds no memory.
    requests = [ASKED, SongRequest(caption="longer", duration_s=2, seed=2)]

    def fails(device: str, stage: str, passes: int) -> None:
        if device == "cuda" and passes >= 2 and stage == "sample":
            raise MemoryError

    bench.fails = fails
    resolved = [manager.engine.resolve(request) for request in requests]
    finished: list[int] = []
    planned: list[tuple[int, str]] = []
    for place, event in manager.run_many(resolved):
        if isinstance(event, Finished):
            finished.append(place)
        if isinstance(event, Planned):
            planned.append((place, event.plan.model_dump_json()))
    assert finished == [0, 1]
    assert [[job.seed for job in jobs] for renderer in bench.renderers for jobs in renderer.passes] == [
        [1],
        [2],
        [2],
        [2],
    ]
    assert len({plan for place, plan in planned if place == 1}) == 1


def test_where_the_processor_runs_out_too_it_is_said_and_the_next_song_may_fit(bench: Bench):
    bench.fails = runs_out_on("cuda", "cpu")
    manager = bench.manager()
    with pytest.raises(ResourceError, match=r"^manager: generation failed even on CPU: CUDA out of memory"):
        manager.generate(ASKED)
    bench.fails = lambda device, stage, passes: None
    assert manager.generate(ASKED).record.runtime.device == "cpu"


def test_on_a_machine_without_a_device_less_at_once_is_tried_once(tmp_path: Path):
    bench = Bench(tmp_path, device="cpu")
    bench.fails = runs_out_on("cpu")
    manager = bench.manager()
    with pytest.raises(ResourceError, match="even on CPU"):
        manager.generate(ASKED)
    assert len(bench.renderers[0].passes) == 2
    assert bench.made == ["cpu"]


def test_other_faults_change_nothing(bench: Bench):
    def fails(device: str, stage: str, passes: int) -> None:
        raise AudioError("no sound")

    bench.fails = fails
    manager = bench.manager()
    with pytest.raises(AudioError):
        manager.generate(ASKED)
    assert bench.made == ["cuda"]
    assert len(bench.renderers[0].passes) == 1


def test_where_the_processor_cannot_load_after_running_out_the_caller_hears_it_and_later_ones_go_on(bench: Bench):
    bench.fails = runs_out_on("cuda")
    bench.cannot_load = raising(ModelError("no room"), lambda device: device == "cpu")
    manager = bench.manager()
    with pytest.raises(ResourceError, match=r"^manager: CPU offload failed: no room$"):
        manager.generate(ASKED)
    bench.fails = lambda device, stage, passes: None
    assert manager.alive
    assert manager.generate(ASKED).record.runtime.device == "cuda"


def test_where_neither_can_be_loaded_the_manager_is_at_its_end(bench: Bench):
    bench.fails = runs_out_on("cuda")
    manager = bench.manager()
    assert manager.engine
    bench.refuses = raising(RuntimeError("no driver"), lambda device: True)
    with pytest.raises(ResourceError, match="manager: manager dropped reply channel"):
        manager.generate(ASKED)
    assert not manager.alive
    with pytest.raises(ResourceError, match=r"manager: manager has shut down: .*no driver"):
        manager.generate(ASKED)


def test_it_comes_back_when_the_memory_is_free_again(bench: Bench, caplog: pytest.LogCaptureFixture):
    manager = bench.manager()
    bench.free = 500 * MIB
    assert manager.generate(ASKED).record.runtime.device == "cpu"
    bench.free = 8192 * MIB
    bench.now = 59.0
    assert manager.generate(ASKED).record.runtime.device == "cpu"
    bench.now, bench.free = 61.0, 1000 * MIB
    assert manager.generate(ASKED).record.runtime.device == "cpu"
    bench.free = 8192 * MIB
    with caplog.at_level(logging.INFO):
        song = manager.generate(ASKED)
    assert song.record.runtime.device == "cuda"
    assert song.warnings == ("a test tone",)
    assert "Back on cuda" in caplog.text


def test_on_the_way_back_what_it_had_itself_must_fit_beside_the_room(tmp_path: Path):
    bench = Bench(tmp_path)
    manager = bench.manager()
    weights, others = 5000 * MIB, 0

    def free(device: str) -> int:
        return 8000 * MIB - others - (weights if bench.engines[0].store.loaded() else 0)

    manager._free_bytes = free
    manager.generate(ASKED)
    others = 2000 * MIB
    assert manager.generate(ASKED).record.runtime.device == "cpu"  # 1000 MiB were left
    bench.now = 100.0
    assert manager.generate(ASKED).record.runtime.device == "cpu"  # 6000 are free, and 7048 are needed
    others = 0
    assert manager.generate(ASKED).record.runtime.device == "cuda"


def test_less_at_once_is_undone_later(bench: Bench):
    bench.fails = runs_out_on("cuda", until_pass=1)
    manager = bench.manager()
    manager.generate(ASKED)
    bench.fails = lambda device, stage, passes: None
    bench.now = 100.0
    song = manager.generate(ASKED)
    assert manager.engine.store.policy == "keep"
    assert song.record.runtime.decode_tile_frames is None


def test_a_device_that_cannot_be_used_again_yet_is_asked_again_later(bench: Bench, caplog: pytest.LogCaptureFixture):
    manager = bench.manager()
    bench.free = 0
    manager.generate(ASKED)
    bench.free, bench.now = 8192 * MIB, 100.0
    bench.refuses = raising(ResourceError("the driver is gone"), lambda device: device is None)
    assert manager.generate(ASKED).record.runtime.device == "cpu"
    assert "cuda cannot be used again yet: the driver is gone" in caplog.text
    bench.refuses = lambda device: None
    bench.now = 159.0
    assert manager.generate(ASKED).record.runtime.device == "cpu"
    bench.now = 161.0
    assert manager.generate(ASKED).record.runtime.device == "cuda"


def test_loading_and_letting_go(bench: Bench):
    manager = bench.manager()
    manager.load("built-in")
    assert bench.loaders[0].loads == list(FakeLoader.part_names)
    manager.unload()
    assert manager.engine.store.loaded() == ()
    manager.generate(ASKED)
    assert len(bench.loaders[0].loads) == 2 * len(FakeLoader.part_names)


def test_loading_goes_down_by_the_same_steps(bench: Bench):
    bench.cannot_load = raising(RuntimeError(OUT), lambda device: device == "cuda")
    manager = bench.manager()
    manager.load("built-in")
    assert manager.engine.runtime.device.value == "cpu"


def test_what_cannot_be_loaded_is_named(bench: Bench):
    bench.cannot_load = raising(ModelError("not on this machine", key="x"), lambda device: True)
    with pytest.raises(ModelError, match=r"^manager: pipeline load failed: not on this machine") as caught:
        bench.manager().load("built-in")
    assert caught.value.key == "x"


def test_best_of_is_looked_after_too(bench: Bench):
    bench.fails = runs_out_on("cuda", until_pass=1)
    song = bench.manager().generate(ASKED.model_copy(update={"best_of": 2}))
    assert song.record.choice is not None
    assert "Memory ran out on cuda" in song.warnings[-1]


def test_one_song_is_made_at_a_time_and_a_caller_may_give_up_waiting(bench: Bench):
    inside, go_on = threading.Event(), threading.Event()
    at_once: list[int] = []
    running = 0

    def fails(device: str, stage: str, passes: int) -> None:
        nonlocal running
        if stage == "text":
            running += 1
            at_once.append(running)
            inside.set()
            assert go_on.wait(10)
            running -= 1

    bench.fails = fails
    manager = bench.manager()
    songs: list[Song] = []
    threads = [threading.Thread(target=lambda: songs.append(manager.generate(ASKED))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    gives_up = threading.Event()
    gives_up.set()
    with pytest.raises(Cancelled):
        manager.generate(ASKED, cancel=gives_up)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(songs) == 3
    assert at_once == [1, 1, 1]


def test_several_songs_are_not_one(bench: Bench):
    with pytest.raises(RequestError) as caught:
        bench.manager().generate(ASKED.model_copy(update={"count": 2}))
    assert caught.value.field == "count"


def test_the_built_in_model_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PARTITA_DATA", str(tmp_path / "data"))
    manager = Manager()
    assert manager.generate(SongRequest(caption="calm piano", duration_s=1, seed=3)).duration_s == 1.0
    manager.unload()
    assert manager.engine.store.loaded() == ()
