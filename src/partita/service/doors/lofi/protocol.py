"""The lines of JSON-RPC 2.0 as lofi.nvim's daemon speaks them: framing, envelope, errors. Pure: bytes in, bytes out.

Knows no method and no stream. The rules and the wording of errors are those of lofi-daemon 0.1.0.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

LONGEST_INPUT_BYTES = 2**20
"""A longer line of a client is refused unread; the longest honest one is a prompt of 1000 bytes, escaped."""
LONGEST_OUTPUT_BYTES = 4095
"""With its newline a pipe delivers such a line in one piece, and lofi.nvim loses lines that come in two."""
_LONGEST_QUOTE = 200

PARSE, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603

FAULTS = {
    "MODEL_NOT_FOUND": (-32000, "Model not found"),
    "MODEL_LOAD_FAILED": (-32001, "Model load failed"),
    "MODEL_DOWNLOAD_FAILED": (-32002, "Model download failed"),
    "MODEL_INFERENCE_FAILED": (-32003, "Model inference failed"),
    "QUEUE_FULL": (-32004, "Queue full"),
    "INVALID_DURATION": (-32005, "Invalid duration"),
    "INVALID_PROMPT": (-32006, "Invalid prompt"),
    "INVALID_BACKEND": (-32007, "Invalid backend"),
    "BACKEND_NOT_INSTALLED": (-32008, "Backend not installed"),
    "INVALID_INFERENCE_STEPS": (-32009, "Invalid inference steps"),
    "INVALID_GUIDANCE_SCALE": (-32010, "Invalid guidance scale"),
    "INVALID_SCHEDULER": (-32011, "Invalid scheduler"),
}
"""Number and message by the text code."""

RequestId = int | str


class RpcError(Exception):
    """A request that is answered with an error. `data` is there for the errors of the application alone."""

    def __init__(
        self, code: int, message: str, *, data: dict[str, str] | None = None, request_id: RequestId | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.data, self.request_id = code, message, data, request_id


def fault(error_code: str, details: str) -> RpcError:
    """One of FAULTS."""
    code, message = FAULTS[error_code]
    return RpcError(code, message, data={"error_code": error_code, "details": details})


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its envelope taken off. `params` is whatever JSON the client sent, none where nothing."""

    request_id: RequestId
    method: str
    params: Any


class Framer:
    """Cuts a stream of bytes into lines. Nothing else of the stream is kept than the line that has not ended."""

    def __init__(self, longest_bytes: int = LONGEST_INPUT_BYTES) -> None:
        self._longest = longest_bytes
        self._open = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that end in `data`, without their newline; none stands for one that was too long to keep."""
        *ended, rest = data.split(b"\n")
        lines = [self._close(piece) for piece in ended]
        self._take(rest)
        return lines

    def end(self) -> list[bytes | None]:
        """What there is after the last newline, as a line, when the stream is over."""
        return [self._close(b"")] if self._open or self._skipping else []

    def _take(self, piece: bytes) -> None:
        if self._skipping or len(self._open) + len(piece) > self._longest:
            self._skipping = True
            self._open.clear()
        else:
            self._open += piece

    def _close(self, piece: bytes) -> bytes | None:
        self._take(piece)
        line = None if self._skipping else bytes(self._open)
        self._skipping = False
        self._open.clear()
        return line


def read_call(line: bytes | None) -> Call:
    """The request on a line; none is a line that was too long. Raises RpcError -32700 or -32600."""
    if line is None:
        raise RpcError(PARSE, f"Invalid JSON: the line is longer than {LONGEST_INPUT_BYTES} bytes")
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE, f"Invalid JSON: {quoted(str(error))}") from None
    if not isinstance(value, dict):
        raise RpcError(PARSE, "Invalid JSON: a request is an object")
    request_id = value.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, (int, str)):
        raise RpcError(PARSE, "Invalid JSON: a request needs an `id` that is an integer or a string")
    for name in ("jsonrpc", "method"):
        if not isinstance(value.get(name), str):
            raise RpcError(PARSE, f"Invalid JSON: a request needs a string `{name}`")
    if value["jsonrpc"] != "2.0":
        raise RpcError(INVALID_REQUEST, "Invalid JSON-RPC version (expected 2.0)", request_id=request_id)
    return Call(request_id, value["method"], value.get("params"))


def is_blank(line: bytes | None) -> bool:
    """Whether a line holds nothing to answer."""
    return line is not None and not line.strip()


def quoted(text: str) -> str:
    """A client's own words in an answer, cut where they would make the line too long."""
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def answer(request_id: RequestId, result: dict[str, Any]) -> bytes:
    """The line of a result."""
    return _line({"id": request_id, "jsonrpc": "2.0", "result": result})


def refusal(error: RpcError, request_id: RequestId | None = None) -> bytes:
    """The line of an error, for the request that it names or `request_id`."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return _line({"error": told, "id": error.request_id if request_id is None else request_id, "jsonrpc": "2.0"})


def notification(method: str, params: dict[str, Any]) -> bytes:
    """The line of a notification. A `prompt` that would make it too long, which takes control characters, is cut."""
    line = _line({"jsonrpc": "2.0", "method": method, "params": params})
    prompt = params.get("prompt")
    while len(line) > LONGEST_OUTPUT_BYTES and prompt:
        prompt = prompt[: len(prompt) * 3 // 4]
        line = _line({"jsonrpc": "2.0", "method": method, "params": {**params, "prompt": prompt}})
    return line


def _line(message: dict[str, Any]) -> bytes:
    # A path may hold bytes that are no text; they must not stop a line.
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: {text[:40]}")
    return value
