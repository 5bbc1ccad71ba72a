"""Where published files can be fetched from: Hugging Face, ModelScope and fixed addresses, behind one small protocol.

Each knows how its server names a file and says its size and digest, and where a fetched file belongs on disk. Neither
moves a byte. Interfaces: Hugging Face's `resolve` addresses and response headers
(https://huggingface.co/docs/huggingface_hub/package_reference/file_download), ModelScope's `api/v1/models`.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from partita.errors import DownloadError
from partita.weights.places import DEFAULT_REVISION, Caches
from partita.weights.transfer import FileAbsentError, get, head, replace

HUGGINGFACE_ENDPOINT = "https://huggingface.co"
MODELSCOPE_ENDPOINT = "https://modelscope.cn"
_MODELSCOPE_REVISION = "master"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as a server offers it. `partial` is where it arrives and `final` where it lies once whole.

    `digest` is `(kind, hex)` for `transfer.digest`, or none where the server gives none. `already_whole` are places
    where the same bytes may lie from before; `settle` gives whole bytes their name.
    """

    url: str
    size_bytes: int | None
    digest: tuple[str, str] | None
    partial: Path
    final: Path
    settle: Callable[[], None] = field(compare=False, repr=False)
    already_whole: tuple[Path, ...] = ()


class Source(Protocol):
    """A server of published files. `name` is how messages call it, `token` what it is shown."""

    @property
    def name(self) -> str: ...

    @property
    def token(self) -> str | None: ...

    def describe(self, repository: str, path: str) -> RemoteFile:
        """What the server says of one file.

        Raises FileAbsentError where it has none, DownloadError where it cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """Files go to the hub cache in its own layout, so that every other program finds them there too."""

    caches: Caches
    endpoint: str = HUGGINGFACE_ENDPOINT
    token: str | None = None
    name: str = "Hugging Face"

    def describe(self, repository: str, path: str) -> RemoteFile:
        url = f"{self.endpoint.rstrip('/')}/{repository}/resolve/{DEFAULT_REVISION}/{urllib.parse.quote(path)}"
        headers = head(url, token=self.token).headers
        tag = (headers.get("x-linked-etag") or headers.get("etag") or "").removeprefix("W/").strip('"')
        commit = headers.get("x-repo-commit", "")
        if not tag or not _SHA1.fullmatch(commit) or "/" in tag:
            raise DownloadError(
                f"{url} answers without an ETag and X-Repo-Commit: {self.endpoint} is no mirror of the hub."
            )
        size = headers.get("x-linked-size") or headers.get("content-length") or ""
        kind = "sha256" if _SHA256.fullmatch(tag) else "git-sha1" if _SHA1.fullmatch(tag) else None
        home = self.caches.hub_repository(repository)
        blob, final = home / "blobs" / tag, home / "snapshots" / commit / path
        return RemoteFile(
            url,
            int(size) if size.isdigit() else None,
            (kind, tag) if kind else None,
            blob.with_name(f"{tag}.incomplete"),
            final,
            lambda: _settle_in_hub(home, blob, final, commit),
            (blob,),
        )


@dataclass(frozen=True, slots=True)
class ModelScope:
    """Files go to Partita's own cache under the names they are published with."""

    caches: Caches
    endpoint: str = MODELSCOPE_ENDPOINT
    token: str | None = None
    name: str = "ModelScope"
    _listings: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict, repr=False, compare=False)

    def describe(self, repository: str, path: str) -> RemoteFile:
        entry = self._listing(repository).get(path)
        base = f"{self.endpoint.rstrip('/')}/api/v1/models/{repository}/repo"
        if entry is None:
            raise FileAbsentError(f"{self.endpoint} has no file {path} in {repository}.")
        query = urllib.parse.urlencode({"Revision": _MODELSCOPE_REVISION, "FilePath": path})
        sha256 = str(entry.get("Sha256") or "").lower()
        known = sha256 if _SHA256.fullmatch(sha256) else None
        size = entry.get("Size")
        final = self.caches.own_repository(repository) / path
        partial = final.with_name(f"{final.name}.{known[:12] if known else 'unknown'}.incomplete")
        return RemoteFile(
            f"{base}?{query}",
            size if isinstance(size, int) and size > 0 else None,
            ("sha256", known) if known else None,
            partial,
            final,
            lambda: replace(partial, final),
        )

    def _listing(self, repository: str) -> dict[str, dict[str, Any]]:
        if repository not in self._listings:
            query = urllib.parse.urlencode({"Revision": _MODELSCOPE_REVISION, "Recursive": "True"})
            url = f"{self.endpoint.rstrip('/')}/api/v1/models/{repository}/repo/files?{query}"
            answer = get(url, token=self.token)
            try:
                files = json.loads(answer)["Data"]["Files"]
                self._listings[repository] = {str(file["Path"]): file for file in files if file.get("Type") != "tree"}
            except (ValueError, KeyError, TypeError) as error:
                raise DownloadError(f"{url} answers with something other than a list of files ({error!r}).") from None
        return self._listings[repository]


@dataclass(frozen=True, slots=True)
class FixedAddresses:
    """One file that lies on no hub, at any of several addresses. It goes to Partita's own cache under its path.

    What the file is, the catalog knows: its size and SHA-256. Nothing is sent along.
    """

    caches: Caches
    addresses: tuple[str, ...]
    size_bytes: int | None
    sha256: str
    token: None = None

    @property
    def name(self) -> str:
        return urllib.parse.urlsplit(self.addresses[0]).hostname or self.addresses[0]

    def describe(self, repository: str, path: str) -> RemoteFile:
        final = self.caches.own_repository(repository) / path
        partial = final.with_name(f"{final.name}.{self.sha256[:12]}.incomplete")
        faults: list[str] = []
        for url in self.addresses:
            try:
                headers = head(url).headers
            except DownloadError as error:
                faults.append(str(error))
                continue
            size = headers.get("content-length", "")
            return RemoteFile(
                url,
                int(size) if size.isdigit() else self.size_bytes,
                ("sha256", self.sha256),
                partial,
                final,
                lambda: replace(partial, final),
            )
        raise DownloadError(f"{' '.join(faults)} If you have this file from elsewhere, put it at {final}.", path=final)


def sources(choice: str, caches: Caches, endpoint: str | None = None) -> tuple[Source, ...]:
    """The sources to try, in order, for `auto`, `huggingface` or `modelscope`.

    `endpoint` is a mirror: of ModelScope where that was chosen, else of Hugging Face. Without one, `HF_ENDPOINT` and
    `MODELSCOPE_ENDPOINT` are honoured, as are the tokens of both.
    """
    from huggingface_hub import get_token

    hub = HuggingFace(caches, endpoint or os.environ.get("HF_ENDPOINT") or HUGGINGFACE_ENDPOINT, get_token())
    mirror = endpoint if choice == "modelscope" else None
    token = os.environ.get("MODELSCOPE_API_TOKEN")
    scope = ModelScope(caches, mirror or os.environ.get("MODELSCOPE_ENDPOINT") or MODELSCOPE_ENDPOINT, token)
    return {"huggingface": (hub,), "modelscope": (scope,)}.get(choice, (hub, scope))


def _settle_in_hub(home: Path, blob: Path, final: Path, commit: str) -> None:
    """Give a whole blob its name in the snapshot: a link, or the file itself where there are no links."""
    partial = blob.with_name(f"{blob.name}.incomplete")
    if partial.exists():
        replace(partial, blob)
    final.parent.mkdir(parents=True, exist_ok=True)
    final.unlink(missing_ok=True)
    try:
        final.symlink_to(os.path.relpath(blob, final.parent))
    except OSError:
        replace(blob, final)
    reference = home / "refs" / DEFAULT_REVISION
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit, encoding="utf-8")
