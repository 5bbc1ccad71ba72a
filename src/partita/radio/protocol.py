"""The text protocol of ace-step-rs's radio: what a client's line asks for, and how answers and events are written.

Values in, text out; knows no sockets. `like` and `dislike` are ours, and are commands only where they stand alone: a
caption may begin with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from partita.errors import PartitaError, RequestError
from partita.radio.events import Event, Failed, Generating, Playing, Ready, SongDone, SongReady
from partita.radio.request import RadioRequest, cut
from partita.radio.show import State
from partita.radio.station import RadioSong, quoted

SHUTTING_DOWN = "event:ok shutting down"
_QUIT = ("q", "quit", "exit")


class OnAir(Protocol):
    """What the commands act on: a Show."""

    @property
    def state(self) -> State: ...

    def request(self, request: RadioRequest | str) -> RadioRequest: ...

    def clear(self) -> None: ...

    def skip(self) -> None: ...

    def like(self) -> RadioSong: ...

    def dislike(self) -> RadioSong: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines for the client that asked; `quits` ends the radio for all."""

    text: str = ""
    quits: bool = False


def answer(line: str, show: OnAir) -> Answer:
    """Do what a line says. What it does not know as a command is the caption of a song to queue."""
    line = line.strip()
    word, _, rest = line.partition(" ")
    command, rest = word.lower(), rest.strip()
    if not line:
        return Answer()
    if command in _QUIT:
        return Answer(quits=True)
    try:
        return Answer(_done(command, rest, line, show))
    except PartitaError as error:
        return Answer(f"event:error {_one_line(str(error))}")


def state_line(state: State) -> str:
    """What plays, and how much waits and was."""
    playing = "idle" if state.playing is None else f"song={state.playing.index} {_described(state.playing)}"
    return f"event:state playing={playing} queued={len(state.queued)} history={len(state.history)} total={state.total}"


def event_line(event: Event) -> str | None:
    """An event as all clients hear it; none for what the protocol has no word for."""
    match event:
        case Ready():
            return "event:ready"
        case Generating(index, request, duration_s):
            return f"event:generating song={index} duration={duration_s:.0f}s caption={_caption(request)}"
        case SongReady(heard):
            return (
                f"event:song_ready song={heard.index} seed={heard.seed} duration={heard.song.duration_s:.0f}s "
                f"gen={heard.seconds:.1f}s caption={_caption(heard.request)}"
            )
        case Playing(heard):
            return (
                f"event:playing song={heard.index} duration={heard.song.duration_s:.0f}s "
                f"caption={_caption(heard.request)}"
            )
        case SongDone(heard):
            return f"event:song_done song={heard.index}"
        case Failed(message):
            return f"event:error {_one_line(message)}"
        case _:
            return None


def _done(command: str, rest: str, line: str, show: OnAir) -> str:
    """Do one command; what is told of it."""
    match command:
        case "skip":
            show.skip()
            return "event:ok skipping"
        case "queue":
            return _listed("queue", "queue is empty", [_line_of(one) for one in show.state.queued])
        case "history":
            lines = [f"{_line_of(one)} seed={one.seed} ({one.duration_s or 180:.0f}s)" for one in show.state.history]
            return _listed("history", "no history yet", lines)
        case "clear":
            show.clear()
            return "event:ok queue cleared"
        case "state":
            return state_line(show.state)
        case "like" if not rest:
            return f"event:ok liked: {_caption(show.like().request)}"
        case "dislike" if not rest:
            return f"event:ok disliked: {_caption(show.dislike().request)}"
        case "request" if rest:
            try:
                request = RadioRequest.from_protocol(rest)
            except RequestError as error:
                raise RequestError(f"invalid JSON: {error}") from None
            return f"event:ok queued: {_caption(show.request(request))}"
        case "caption" if rest:
            return f"event:ok queued: {_caption(show.request(RadioRequest(caption=rest)))}"
        case _:
            return f"event:ok queued: {_caption(show.request(RadioRequest(caption=line)))}"


def _listed(name: str, none: str, lines: list[str]) -> str:
    numbered = [f"  {number}. {line}" for number, line in enumerate(lines, start=1)]
    return "\n".join([f"event:ok {name}:", *numbered]) if lines else f"event:ok {none}"


def _described(heard: RadioSong) -> str:
    return f"caption={_caption(heard.request)} duration={heard.song.duration_s:.0f}s"


def _caption(request: RadioRequest) -> str:
    return quoted(cut(request.caption))


def _line_of(request: RadioRequest) -> str:
    return cut(_one_line(request.caption))


def _one_line(text: str) -> str:
    return " ".join(text.split())
