"""Files that lie on no hub, such as the lyric vocabulary of ACE-Step v1: fetched from where they are, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from partita.errors import DownloadError
from partita.song.card import FileEntry, ModelCard
from partita.weights.acestepv1 import AceStepV1Loader
from partita.weights.catalog import card as find_card, every_file, total_bytes
from partita.weights.download import DownloadEvent, Planned, fetch_from, missing_files
from partita.weights.locate import locate
from partita.weights.places import Caches
from partita.weights.sources import FixedAddresses, HuggingFace, ModelScope, Source
from tests.weights import v1_checkpoints as v1
from tests.weights.stand_in import StandIn, serving

V1 = find_card("ace-step-v1")
VOCABULARY = next(entry for entry in V1.files if entry.addresses)
HUB = "ACE-Step/ACE-Step-v1-3.5B"
NAME = "code/vocab.json"  # as the stand-in keeps it
CONTENT = bytes(range(256)) * 8_000  # 2 MB, two chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[StandIn]:
    with serving() as stand_in:
        stand_in.files = {NAME: CONTENT, f"{HUB}/config.json": b"{}"}
        yield stand_in


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "own", tmp_path / "hub")


@pytest.fixture(params=["Hugging Face", "ModelScope"])
def source(request: pytest.FixtureRequest, server: StandIn, caches: Caches) -> Source:
    kind = HuggingFace if request.param == "Hugging Face" else ModelScope
    return kind(caches, server.endpoint, token="secret")


def card_of(server: StandIn, **changed: Any) -> ModelCard:
    """One file of a hub, one that lies apart."""
    apart = {
        "path": "lyrics/vocab.json",
        "repository": "someone/some-code",
        "size_bytes": len(CONTENT),
        "sha256": SHA256,
        "addresses": (f"{server.endpoint}/stored/{NAME}",),
    }
    files = (FileEntry(path="config.json", repository=HUB), FileEntry(**{**apart, **changed}))
    return V1.model_copy(update={"files": files})


def run(source: Source, caches: Caches, card: ModelCard) -> list[DownloadEvent]:
    events: list[DownloadEvent] = []
    fetch_from([source], card, caches, on_event=events.append, pause_s=0)
    return events


def fetched(caches: Caches) -> Path:
    return caches.own_repository("someone/some-code") / "lyrics" / "vocab.json"


def test_it_comes_beside_the_files_of_a_hub_and_is_found_again(server: StandIn, source: Source, caches: Caches) -> None:
    card = card_of(server)
    events = run(source, caches, card)
    assert fetched(caches).read_bytes() == CONTENT
    assert isinstance(events[0], Planned)
    assert events[0].total_bytes == len(CONTENT) + 2
    assert missing_files(card, caches) == ()
    server.seen.clear()
    run(source, caches, card)
    assert server.seen == []


def test_no_token_is_sent_along(server: StandIn, source: Source, caches: Caches) -> None:
    run(source, caches, card_of(server))
    apart = [one for one in server.seen if one.path.endswith("vocab.json")]
    assert len(apart) >= 2
    assert all(one.headers["Authorization"] is None for one in apart)


def test_a_broken_line_is_taken_up_where_it_broke(server: StandIn, source: Source, caches: Caches) -> None:
    server.break_after[NAME] = [1_200_000]
    run(source, caches, card_of(server))
    assert server.bodies(NAME)[-1] == "bytes=1200000-"
    assert fetched(caches).read_bytes() == CONTENT


def test_a_damaged_file_is_removed_and_named(server: StandIn, source: Source, caches: Caches) -> None:
    server.corrupt.add(NAME)
    with pytest.raises(DownloadError, match=r"lyrics/vocab\.json arrived damaged"):
        run(source, caches, card_of(server))
    assert not fetched(caches).exists()
    assert list(caches.own.rglob("*.incomplete")) == []


def test_another_file_at_the_address_is_refused(server: StandIn, source: Source, caches: Caches) -> None:
    server.files[NAME] = b"{}"
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 is not the file that this version of Partita knows"):
        run(source, caches, card_of(server))


def test_the_next_address_is_asked_where_one_does_not_answer(server: StandIn, source: Source, caches: Caches) -> None:
    addresses = (f"{server.endpoint}/stored/gone.json", f"{server.endpoint}/stored/{NAME}")
    run(source, caches, card_of(server, addresses=addresses))
    assert fetched(caches).read_bytes() == CONTENT


def test_where_none_answers_it_says_where_to_put_the_file(server: StandIn, source: Source, caches: Caches) -> None:
    addresses = tuple(f"{server.endpoint}/stored/gone{number}.json" for number in (1, 2))
    with pytest.raises(DownloadError, match=r"gone1\.json.*gone2\.json.*put it at .*lyrics/vocab\.json"):
        run(source, caches, card_of(server, addresses=addresses))
    fetched(caches).parent.mkdir(parents=True)
    fetched(caches).write_bytes(CONTENT)
    run(source, caches, card_of(server, addresses=addresses))


def test_the_published_vocabulary_is_pinned_by_commit_and_digest() -> None:
    assert VOCABULARY.sha256
    assert VOCABULARY.size_bytes == 364_005
    hosts = [address.split("/")[2] for address in VOCABULARY.addresses]
    assert hosts == ["raw.githubusercontent.com", "cdn.jsdelivr.net"]
    commits = {part for one in VOCABULARY.addresses for part in one.replace("@", "/").split("/") if len(part) == 40}
    assert len(commits) == 1
    assert all(address.endswith(VOCABULARY.path) for address in VOCABULARY.addresses)
    source = FixedAddresses(Caches(Path(), Path()), VOCABULARY.addresses, None, VOCABULARY.sha256)
    assert (source.name, source.token) == ("raw.githubusercontent.com", None)
    assert 8.2e9 < total_bytes(V1) < 8.4e9


def test_a_downloaded_model_loads(tmp_path: Path, server: StandIn, caches: Caches) -> None:
    v1.write_v1_checkpoint(tmp_path / "files", vocabulary=False)
    v1.write_vocabulary(tmp_path / "vocab.json")
    vocabulary = (tmp_path / "vocab.json").read_bytes()
    server.files[NAME] = vocabulary
    known = {"sha256": hashlib.sha256(vocabulary).hexdigest(), "size_bytes": len(vocabulary)}
    files = []
    for entry in every_file(V1):
        if entry.addresses:
            addresses = (f"{server.endpoint}/stored/{NAME}",)
            files.append(entry.model_copy(update={**known, "addresses": addresses}))
        else:
            server.files[f"{HUB}/{entry.path}"] = (tmp_path / "files" / entry.path).read_bytes()
            files.append(FileEntry(path=entry.path, repository=HUB))
    card = V1.model_copy(update={"files": tuple(files)})
    run(HuggingFace(caches, server.endpoint), caches, card)
    located = locate(card, caches)
    assert located.files["lyric_vocabulary"].read_bytes() == vocabulary
    assert located.networks["dcae"].layout == "published"
    assert AceStepV1Loader(located).load("lyric_tokenizer").vocabulary_size == 6693
