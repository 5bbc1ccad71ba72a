"""The four forms in which clients send fields: JSON, multipart, a plain form, and either of the last without its type.

Says what cannot be read with the status and words of the protocol. Knows no field by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from fastapi import HTTPException
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

MOST_FILES = 8
MOST_FIELDS = 500
LARGEST_TEXT_BYTES = 4 * 2**20
TAKEN = "application/json, application/x-www-form-urlencoded, multipart/form-data"


@dataclass(frozen=True, slots=True)
class Body:
    """Fields as they were sent, and files by the name of their field."""

    values: Mapping[str, Any]
    files: Mapping[str, UploadFile] = field(default_factory=dict)


async def read_body(request: Request) -> Body:
    """The body of a request whose type may be any of the four. Raises HTTPException 400 or 415."""
    kind = _kind(request)
    if kind == "application/json" or kind.endswith("+json"):
        return Body(_json(await request.body(), "Malformed JSON payload"))
    if kind == "multipart/form-data":
        form = await _form(request)
        return Body(_texts(form, repeated=True), {k: v for k, v in form.multi_items() if isinstance(v, UploadFile)})
    if kind == "application/x-www-form-urlencoded":
        return Body(_query(await request.body()))
    raw = await request.body()
    if raw.lstrip()[:1] in (b"{", b"["):
        return Body(_json(raw, "The body looks like JSON and is none; send Content-Type: application/json"))
    if b"=" in raw:
        return Body(_query(raw))
    raise HTTPException(415, f"Unsupported Content-Type {kind[:80]!r}; use one of: {TAKEN}")


async def read_plain(request: Request) -> Mapping[str, Any]:
    """The fields of a route that takes JSON where its type says so, and else a form. Raises HTTPException 400."""
    kind = _kind(request)
    if "json" in kind:
        return _json(await request.body(), "Malformed JSON payload")
    if kind == "multipart/form-data":
        return _texts(await _form(request), repeated=False)
    return _query(await request.body())


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _json(raw: bytes, fault: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise HTTPException(400, fault) from None
    if not isinstance(value, dict):
        raise HTTPException(400, f"{fault}: an object with fields was expected")
    return value


def _query(raw: bytes) -> dict[str, Any]:
    try:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, f"The form has more than {MOST_FIELDS} fields") from None


class _Whole(MultiPartParser):
    """A form that says whether it came to its end; the parser itself does not mind."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _form(request: Request) -> FormData:
    parser = _Whole(
        request.headers,
        request.stream(),
        max_files=MOST_FILES,
        max_fields=MOST_FIELDS,
        max_part_size=LARGEST_TEXT_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"The form cannot be read: {error.message}") from None
    except (LookupError, ValueError):  # a charset that is none, or is not of text
        raise HTTPException(400, "The form cannot be read: its parts are malformed") from None
    if not parser.ended:
        await form.close()
        raise HTTPException(400, "The form is not whole: its last boundary did not arrive")
    return form


def _texts(form: FormData, *, repeated: bool) -> dict[str, Any]:
    """The text fields; one that is repeated is a list of its values, or else the last of them."""
    values: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            continue
        if repeated and name in values:
            before = values[name]
            values[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            values[name] = value
    return values
