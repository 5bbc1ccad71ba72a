"""Fetches a model's published files, and only those that are not on this machine yet.

It decides what to fetch, from where and in which order, and checks sizes and digests; `sources` knows the servers and
`transfer` moves the bytes. Progress goes to the caller as events.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from partita.errors import DownloadError, ModelError, ResourceError
from partita.song.card import FileEntry, Published
from partita.weights.catalog import every_file, fetch_command
from partita.weights.places import Caches
from partita.weights.shards import INDEX_SUFFIX, weight_files
from partita.weights.sources import FixedAddresses, RemoteFile, Source, sources
from partita.weights.transfer import FIRST_PAUSE_S, FileAbsentError, digest, transfer

SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Planned:
    """What will be fetched from `source`: names and sizes (none where unknown), and how much of it is here already."""

    source: str
    files: tuple[tuple[str, int | None], ...]
    total_bytes: int
    here_bytes: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`path` has `done_bytes` of `size_bytes` (none where the server does not say)."""

    path: str
    done_bytes: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Checking:
    """All of `path` is here and its digest is being computed."""

    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should read: another source is tried, a file differs from what the catalog knows."""

    text: str


DownloadEvent = Planned | Progress | Checking | Notice


def fetch(
    card: Published,
    caches: Caches,
    *,
    source: str = "auto",
    endpoint: str | None = None,
    offline: bool = False,
    accept_changed: bool = False,
    on_event: Callable[[DownloadEvent], None] = lambda event: None,
) -> None:
    """Make sure that every file of `card` is on this machine.

    `source` is `auto`, `huggingface` or `modelscope`; `endpoint` a mirror of it. Whatever stops a download, what
    arrived is kept and the next call goes on from there. Raises DownloadError where a file cannot be had, where
    `offline` forbids to fetch it, or where it is not the one that the catalog knows (unless `accept_changed`), and
    ResourceError where the disk is full.
    """
    absent = missing_files(card, caches)
    if not absent:
        return
    if offline or any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in _OFFLINE_SWITCHES):
        raise DownloadError(
            f"{card.id} is not whole on this machine and nothing may be fetched while offline: missing "
            f"{', '.join(entry.path for entry in absent)}. Allow the network and run `{fetch_command(card)}`."
        )
    fetch_from(sources(source, caches, endpoint), card, caches, accept_changed=accept_changed, on_event=on_event)


_OFFLINE_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def fetch_from(
    servers: Sequence[Source],
    card: Published,
    caches: Caches,
    *,
    accept_changed: bool = False,
    on_event: Callable[[DownloadEvent], None] = lambda event: None,
    pause_s: float = FIRST_PAUSE_S,
) -> None:
    """As `fetch`, from the first of `servers` that has everything; says so where it turns to the next."""
    faults: list[str] = []
    for at, server in enumerate(servers):
        try:
            if absent := missing_files(card, caches):
                _Fetch(server, caches, accept_changed, on_event, pause_s).all(absent)
            return
        except DownloadError as error:
            faults.append(f"{server.name}: {error}")
            if at + 1 < len(servers):
                on_event(Notice(f"{server.name} did not work ({error}) Trying {servers[at + 1].name}."))
    raise DownloadError(f"{card.id} could not be fetched. {' '.join(faults)}")


def missing_files(card: Published, caches: Caches) -> tuple[FileEntry, ...]:
    """Files of `card` that must be fetched.

    Files that belong together (a folder of a repository) count as here where one cache folder has all of them.
    """
    absent: list[FileEntry] = []
    ordered = sorted(every_file(card), key=_group)
    for _, entries in groupby(ordered, key=_group):
        group = tuple(entries)
        if not any(_is_whole(group, folder) for folder in caches.folders(group[0].repository)):
            absent += group
    return tuple(absent)


def _group(entry: FileEntry) -> tuple[str, str]:
    return entry.repository, str(PurePosixPath(entry.path).parent)


def _is_whole(group: tuple[FileEntry, ...], folder: Path) -> bool:
    for entry in group:
        here = next((path for path in _paths(entry) if (folder / path).is_file()), None)
        if here is None:
            return False
        if here.endswith(INDEX_SUFFIX) and not _has_every_shard(folder / here):
            return False
    return True


def _has_every_shard(index: Path) -> bool:
    try:
        return all(shard.is_file() for shard in weight_files(index))
    except ModelError:
        return False  # a damaged index is fetched again


def _paths(entry: FileEntry) -> tuple[str, ...]:
    folder = PurePosixPath(entry.path).parent
    return (entry.path, *(str(folder / name) for name in entry.alternatives))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file to fetch: what the catalog knows of it, what `source` says of it."""

    entry: FileEntry
    remote: RemoteFile
    source: Source


class _Fetch:
    """One run against one server; files that lie on no hub come from where they are."""

    def __init__(
        self,
        server: Source,
        caches: Caches,
        accept_changed: bool,
        on_event: Callable[[DownloadEvent], None],
        pause_s: float,
    ) -> None:
        self._server, self._caches, self._accept_changed = server, caches, accept_changed
        self._on_event, self._pause_s = on_event, pause_s

    def all(self, entries: Iterable[FileEntry]) -> None:
        """Fetch `entries`, then the shards that the indexes among them name."""
        wanted = [self._describe(entry) for entry in entries]
        self._announce(wanted)
        for one in wanted:
            self._one(one)
        known = {(one.entry.repository, one.entry.path) for one in wanted}
        shards = [shard for one in wanted for shard in _shards(one.entry, one.remote)]
        further = [self._describe(shard) for shard in shards if (shard.repository, shard.path) not in known]
        if further:
            self._announce(further)
            for one in further:
                self._one(one)

    def _describe(self, entry: FileEntry) -> _Wanted:
        """The file on the server, under the first of its names that is there, with what the catalog knows of it."""
        source = self._source(entry)
        first: FileAbsentError | None = None
        for path in _paths(entry):
            try:
                remote = source.describe(entry.repository, path)
            except FileAbsentError as error:
                first = first or error
                continue
            known = entry if path == entry.path else FileEntry(path=path, repository=entry.repository)
            wanted = _Wanted(known, remote, source)
            self._compare(wanted)
            return wanted
        assert first is not None  # an entry has at least one path
        raise first

    def _source(self, entry: FileEntry) -> Source:
        if entry.addresses and entry.sha256:
            return FixedAddresses(self._caches, entry.addresses, entry.size_bytes, entry.sha256)
        return self._server

    def _compare(self, wanted: _Wanted) -> None:
        """Refuse a file that is not the one the catalog knows by digest; mention one that differs in size alone."""
        entry, remote, source = wanted.entry, wanted.remote, wanted.source
        published = remote.digest[1] if remote.digest and remote.digest[0] == "sha256" else None
        size_differs = None not in (entry.size_bytes, remote.size_bytes) and entry.size_bytes != remote.size_bytes
        if entry.sha256 and ((published is not None and published != entry.sha256) or size_differs):
            told = (
                f"{entry.path} at {source.name} is not the file that this version of Partita knows: expected "
                f"SHA-256 {entry.sha256}, {entry.size_bytes} bytes; found {published or 'no digest'}, "
                f"{remote.size_bytes} bytes."
            )
            if not self._accept_changed:
                raise DownloadError(
                    f"{told} The publisher may have replaced it. Update Partita, or accept it with --accept-changed."
                )
            self._on_event(Notice(f"{told} It was accepted."))
        elif size_differs:
            self._on_event(
                Notice(f"{entry.path} has {remote.size_bytes} bytes at {source.name}, not {entry.size_bytes}.")
            )

    def _announce(self, wanted: list[_Wanted]) -> None:
        total = sum(one.remote.size_bytes or 0 for one in wanted)
        here = sum(_held(one.remote) for one in wanted)
        files = tuple((one.entry.path, one.remote.size_bytes) for one in wanted)
        self._on_event(Planned(self._server.name, files, total, here))
        place = _existing(wanted[0].remote.partial.parent)
        free = shutil.disk_usage(place).free
        if total - here + SPARE_BYTES > free:
            raise ResourceError(
                f"The disk of {place} has {free / 1e9:.1f} GB free, and {(total - here) / 1e9:.1f} GB are to be "
                "fetched. Make room, or choose another folder with PARTITA_CACHE."
            )

    def _one(self, wanted: _Wanted) -> None:
        entry, remote = wanted.entry, wanted.remote
        if not remote.final.exists():
            self._transfer(wanted)
        self._on_event(Progress(entry.path, remote.final.stat().st_size, remote.size_bytes))

    def _transfer(self, wanted: _Wanted) -> None:
        entry, remote = wanted.entry, wanted.remote
        with self._alone(entry, remote):
            if remote.final.exists():
                return
            if not any(path.exists() for path in remote.already_whole):
                transfer(
                    remote.url,
                    remote.partial,
                    size_bytes=remote.size_bytes,
                    token=wanted.source.token,
                    on_bytes=lambda done: self._on_event(Progress(entry.path, done, remote.size_bytes)),
                    pause_s=self._pause_s,
                )
                self._check(entry, remote)
            remote.settle()

    @contextmanager
    def _alone(self, entry: FileEntry, remote: RemoteFile) -> Iterator[None]:
        """Two programs that append to one file would spoil it; the second waits for the first."""
        locks = self._caches.own / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(str(remote.partial.absolute()).encode()).hexdigest()[:32]
        lock = FileLock(locks / f"{name}.lock")  # left behind: a lock that is deleted can be held twice
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._on_event(Notice(f"Another program is fetching {entry.path}; waiting for it."))
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _check(self, entry: FileEntry, remote: RemoteFile) -> None:
        expected = [remote.digest] if remote.digest else []
        if entry.sha256 and not self._accept_changed and ("sha256", entry.sha256) not in expected:
            expected.append(("sha256", entry.sha256))
        if expected:
            self._on_event(Checking(entry.path))
        for kind, value in expected:
            found = digest(remote.partial, kind)
            if found != value:
                remote.partial.unlink()  # its bytes are wrong, so there is nothing to go on from
                raise DownloadError(
                    f"{entry.path} arrived damaged: expected {kind} {value}, found {found}. It was removed; try again."
                )


def _held(remote: RemoteFile) -> int:
    for path in (remote.final, *remote.already_whole, remote.partial):
        if path.exists():
            return path.stat().st_size
    return 0


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())


def _shards(entry: FileEntry, remote: RemoteFile) -> Iterator[FileEntry]:
    if not entry.path.endswith(INDEX_SUFFIX):
        return
    for shard in weight_files(remote.final):
        path = str(PurePosixPath(entry.path).parent / shard.name)
        yield FileEntry(path=path, repository=entry.repository)
