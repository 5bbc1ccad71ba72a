"""Downloads against a server on this machine: both sources, broken lines, full disks, damaged and changed files."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import try_to_load_from_cache

from partita.errors import DownloadError, ResourceError
from partita.song.card import FileEntry, ModelCard
from partita.weights.acestep15 import AceStep15Loader
from partita.weights.catalog import card as find_card
from partita.weights.download import (
    Checking,
    DownloadEvent,
    Notice,
    Planned,
    Progress,
    fetch,
    fetch_from,
    missing_files,
)
from partita.weights.locate import locate
from partita.weights.places import Caches
from partita.weights.sources import HuggingFace, ModelScope, Source, sources
from tests.weights import checkpoints
from tests.weights.stand_in import COMMIT, StandIn, serving

REPOSITORY = "someone/some-model"
BIG = bytes(range(256)) * 12_000  # 3 MB, three chunks
NAMES = ["config.json", "model.safetensors"]
MakeSource = Callable[[str, Caches], Source]
BOTH: dict[str, MakeSource] = {
    "Hugging Face": lambda endpoint, caches: HuggingFace(caches, endpoint, token="secret"),
    "ModelScope": lambda endpoint, caches: ModelScope(caches, endpoint),
}


@pytest.fixture
def server() -> Iterator[StandIn]:
    with serving() as stand_in:
        stand_in.files = {f"{REPOSITORY}/config.json": b"{}", f"{REPOSITORY}/model.safetensors": BIG}
        stand_in.stored_apart = {f"{REPOSITORY}/model.safetensors"}
        yield stand_in


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub")


@pytest.fixture(params=sorted(BOTH))
def source(request: pytest.FixtureRequest, server: StandIn, caches: Caches) -> Source:
    return BOTH[request.param](server.endpoint, caches)


def small_card(*names: str, **known: Any) -> ModelCard:
    files = [FileEntry(path=name, repository=REPOSITORY, **known) for name in names or NAMES]
    return find_card("acestep-v15-base").model_copy(update={"files": tuple(files), "shared": ()})


def run(source: Source, caches: Caches, card: ModelCard | None = None, **options: Any) -> list[DownloadEvent]:
    events: list[DownloadEvent] = []
    fetch_from([source], card or small_card(), caches, on_event=events.append, pause_s=0, **options)
    return events


def content(caches: Caches, name: str = "model.safetensors") -> bytes:
    folder = next(folder for folder in caches.folders(REPOSITORY) if (folder / name).exists())
    return (folder / name).read_bytes()


def partials(caches: Caches) -> list[Path]:
    roots = (caches.own, caches.huggingface)
    return [path for root in roots for path in root.rglob("*.incomplete")]


def test_fetches_every_file_whole(source: Source, caches: Caches) -> None:
    run(source, caches)
    assert content(caches) == BIG
    assert content(caches, "config.json") == b"{}"
    assert missing_files(small_card(), caches) == ()
    assert partials(caches) == []


def test_tells_plan_progress_and_checks(source: Source, caches: Caches) -> None:
    events = run(source, caches)
    assert events[0] == Planned(source.name, (("config.json", 2), ("model.safetensors", len(BIG))), len(BIG) + 2, 0)
    done = [e.done_bytes for e in events if isinstance(e, Progress) and e.path == "model.safetensors"]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == len(BIG)
    assert len(done) > 4
    assert Checking("model.safetensors") in events


def test_what_is_here_is_not_asked_for_again(server: StandIn, source: Source, caches: Caches) -> None:
    run(source, caches)
    server.seen.clear()
    run(source, caches)
    assert server.seen == []


def test_a_broken_line_is_taken_up_where_it_broke(server: StandIn, source: Source, caches: Caches) -> None:
    server.break_after[f"{REPOSITORY}/model.safetensors"] = [1_500_000, 300_000]
    run(source, caches)
    assert content(caches) == BIG
    asked = [value for value in server.bodies("model.safetensors") if value]
    assert asked[0] == "bytes=1500000-"
    assert asked[-1] == "bytes=1800000-"


def test_a_line_that_stays_broken_keeps_what_arrived_for_the_next_try(
    server: StandIn, source: Source, caches: Caches
) -> None:
    server.break_after[f"{REPOSITORY}/model.safetensors"] = [1_000_000] + [0] * 20
    with pytest.raises(DownloadError, match="1000000 bytes are kept"):
        run(source, caches)
    assert [path.stat().st_size for path in partials(caches)] == [1_000_000]
    server.break_after.clear()
    server.seen.clear()
    events = run(source, caches)
    assert isinstance(events[0], Planned)
    assert events[0].here_bytes >= 1_000_000
    assert server.bodies("model.safetensors")[-1] == "bytes=1000000-"
    assert content(caches) == BIG


def test_a_server_without_ranges_sends_it_all_again(server: StandIn, source: Source, caches: Caches) -> None:
    server.ranges = False
    server.break_after[f"{REPOSITORY}/model.safetensors"] = [1_000_000]
    run(source, caches)
    assert content(caches) == BIG


def test_passing_faults_of_the_server_are_waited_out(server: StandIn, source: Source, caches: Caches) -> None:
    server.statuses[f"{REPOSITORY}/model.safetensors"] = [503, 429]
    run(source, caches)
    assert content(caches) == BIG


class _FullDisk(io.FileIO):
    """A file on a disk that takes no more than a few bytes."""

    room = 2_000_000

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_says_how_much_is_missing_and_keeps_what_arrived(
    server: StandIn, source: Source, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    plainly = Path.open

    def open_(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if path.suffix == ".incomplete":
            return _FullDisk(path, mode.replace("b", ""))
        return plainly(path, mode, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_)
        with pytest.raises(ResourceError, match=r"full: .* GB more are needed"):
            run(source, caches, small_card("model.safetensors"))
    (kept,) = partials(caches)
    assert 0 < kept.stat().st_size <= _FullDisk.room
    run(source, caches, small_card("model.safetensors"))
    assert content(caches) == BIG
    assert server.bodies("model.safetensors")[-1] == f"bytes={1 << 20}-"


def test_too_little_room_is_said_before_anything_is_fetched(
    server: StandIn, source: Source, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("partita.weights.download.shutil.disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(ResourceError, match="to be fetched"):
        run(source, caches)
    assert server.bodies("model.safetensors") == []


def test_ctrl_c_keeps_what_arrived(source: Source, caches: Caches) -> None:
    def stop(event: DownloadEvent) -> None:
        if isinstance(event, Progress) and event.path == "model.safetensors" and event.done_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_from([source], small_card(), caches, on_event=stop, pause_s=0)
    assert [path.stat().st_size for path in partials(caches)] == [1 << 20]
    run(source, caches)
    assert content(caches) == BIG


def test_a_damaged_transfer_is_removed_and_named(server: StandIn, source: Source, caches: Caches) -> None:
    server.corrupt = {f"{REPOSITORY}/model.safetensors"}
    expected = hashlib.sha256(BIG).hexdigest()
    with pytest.raises(DownloadError, match=rf"model\.safetensors arrived damaged: expected sha256 {expected}"):
        run(source, caches)
    assert partials(caches) == []
    server.corrupt.clear()
    run(source, caches)
    assert content(caches) == BIG


def test_small_files_are_checked_too(server: StandIn, source: Source, caches: Caches) -> None:
    server.corrupt = {f"{REPOSITORY}/config.json"}
    with pytest.raises(DownloadError, match=r"config\.json arrived damaged"):
        run(source, caches)


def test_a_file_other_than_the_known_one_is_refused_unless_accepted(source: Source, caches: Caches) -> None:
    card = small_card("model.safetensors", sha256="0" * 64, size_bytes=len(BIG))
    with pytest.raises(DownloadError, match=r"expected SHA-256 0{64}.*--accept-changed"):
        run(source, caches, card)
    assert partials(caches) == []
    events = run(source, caches, card, accept_changed=True)
    assert any(isinstance(event, Notice) and "It was accepted" in event.text for event in events)
    assert content(caches) == BIG


def test_a_size_other_than_the_known_one_is_mentioned(source: Source, caches: Caches) -> None:
    events = run(source, caches, small_card("config.json", size_bytes=77))
    assert any(isinstance(event, Notice) and "has 2 bytes" in event.text for event in events)


def test_a_missing_file_is_named(source: Source, caches: Caches) -> None:
    with pytest.raises(DownloadError, match=r"other\.bin"):
        run(source, caches, small_card("other.bin"))


def test_shards_are_found_by_their_index(server: StandIn, source: Source, caches: Caches) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    server.files |= {
        f"{REPOSITORY}/model.safetensors.index.json": json.dumps(index).encode(),
        f"{REPOSITORY}/model-1.safetensors": b"one",
        f"{REPOSITORY}/model-2.safetensors": b"two",
    }
    del server.files[f"{REPOSITORY}/model.safetensors"]
    card = small_card("model.safetensors", alternatives=("model.safetensors.index.json",))
    assert missing_files(card, caches) == card.files
    run(source, caches, card)
    assert content(caches, "model-2.safetensors") == b"two"
    assert missing_files(card, caches) == ()


def test_the_hub_cache_is_laid_out_as_other_programs_expect(server: StandIn, caches: Caches) -> None:
    run(HuggingFace(caches, server.endpoint), caches)
    found = try_to_load_from_cache(REPOSITORY, "model.safetensors", cache_dir=caches.huggingface)
    assert isinstance(found, str)
    assert Path(found).read_bytes() == BIG
    assert COMMIT in found
    blob = caches.hub_repository(REPOSITORY) / "blobs" / hashlib.sha256(BIG).hexdigest()
    assert Path(found).resolve() == blob.resolve()


def test_a_blob_that_another_program_fetched_is_only_named(server: StandIn, caches: Caches) -> None:
    blob = caches.hub_repository(REPOSITORY) / "blobs" / hashlib.sha256(BIG).hexdigest()
    blob.parent.mkdir(parents=True)
    blob.write_bytes(BIG)
    run(HuggingFace(caches, server.endpoint), caches)
    assert server.bodies("model.safetensors") == []
    assert content(caches) == BIG


def test_without_symbolic_links_files_take_their_names_themselves(
    server: StandIn, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run(HuggingFace(caches, server.endpoint), caches)
    assert content(caches) == BIG
    assert list((caches.hub_repository(REPOSITORY) / "blobs").glob("[0-9a-f]*[0-9a-f]")) == []


def test_the_token_goes_to_the_hub_and_not_to_its_storage(server: StandIn, caches: Caches) -> None:
    run(HuggingFace(caches, server.endpoint, token="secret"), caches)
    sent = {(one.path.startswith("/stored/"), one.headers["Authorization"]) for one in server.seen}
    assert sent == {(False, "Bearer secret"), (True, None)}


def test_auto_turns_to_the_second_source_and_says_so(server: StandIn, caches: Caches) -> None:
    events: list[DownloadEvent] = []
    nobody = HuggingFace(caches, "http://127.0.0.1:9")
    fetch_from([nobody, ModelScope(caches, server.endpoint)], small_card(), caches, on_event=events.append, pause_s=0)
    assert isinstance(events[0], Notice)
    assert "Hugging Face did not work" in events[0].text
    assert "Trying ModelScope" in events[0].text
    assert content(caches) == BIG


def test_where_no_source_works_all_are_named(caches: Caches) -> None:
    nobody = [HuggingFace(caches, "http://127.0.0.1:9"), ModelScope(caches, "http://127.0.0.1:9")]
    with pytest.raises(DownloadError, match=r"Hugging Face: .*ModelScope: "):
        fetch_from(nobody, small_card(), caches, pause_s=0)


def test_two_programs_do_not_write_one_file_at_once(server: StandIn, source: Source, caches: Caches) -> None:
    server.break_after[f"{REPOSITORY}/model.safetensors"] = [1000] * 3
    faults: list[Exception] = []

    def fetch_it() -> None:
        try:
            run(source, caches)
        except DownloadError as error:
            faults.append(error)

    threads = [threading.Thread(target=fetch_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert content(caches) == BIG
    assert len([value for value in server.bodies("model.safetensors") if value is None]) == 1


def test_offline_names_what_is_missing(caches: Caches) -> None:
    with pytest.raises(DownloadError, match=r"offline: missing config\.json, model\.safetensors"):
        fetch(small_card(), caches, offline=True)


def test_the_offline_switch_of_the_hub_is_honoured(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="offline"):
        fetch(small_card(), caches)


def test_offline_is_content_where_everything_is_here(source: Source, caches: Caches) -> None:
    run(source, caches)
    fetch(small_card(), caches, offline=True)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["Hugging Face", "ModelScope"]),
        ("huggingface", ["Hugging Face"]),
        ("modelscope", ["ModelScope"]),
    ],
)
def test_the_choice_of_sources(caches: Caches, choice: str, names: list[str]) -> None:
    found = sources(choice, caches, "http://mirror")
    assert [source.name for source in found] == names
    assert found[0].endpoint == "http://mirror"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_mirror_that_is_none_is_called_so(server: StandIn, caches: Caches) -> None:
    server.files["api/config.json"] = b"{}"
    with pytest.raises(DownloadError, match="does not exist"):
        run(ModelScope(caches, server.endpoint + "/elsewhere"), caches)
    with pytest.raises(DownloadError, match=r"does not exist|no mirror of the hub"):
        run(HuggingFace(caches, server.endpoint + "/elsewhere"), caches)


@pytest.mark.parametrize("name", sorted(BOTH))
def test_a_fetched_model_loads(tmp_path: Path, server: StandIn, caches: Caches, name: str) -> None:
    checkpoints.write_published(tmp_path / "published", shards=0)
    main = "ACE-Step/Ace-Step1.5"
    for path in (tmp_path / "published").rglob("*"):
        if path.is_file():
            server.files[f"{main}/{path.relative_to(tmp_path / 'published').as_posix()}"] = path.read_bytes()
    turbo = find_card("acestep-v15-turbo")
    run(BOTH[name](server.endpoint, caches), caches, turbo, accept_changed=True)
    loader = AceStep15Loader(locate(turbo, caches), "cpu", "bfloat16")
    loader.check()
    assert loader.load("silence_latent").shape == (checkpoints.FRAMES, 8)
