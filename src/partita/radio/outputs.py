"""Where a show can be heard without a network: the sound card, and a folder of songs. Knows no station.

`sounddevice` is the extra `radio`; it needs PortAudio, which its wheels bring along everywhere but on Linux.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from partita.audio.formats import SUFFIX
from partita.engine.save import save
from partita.engine.targets import Target, caption_name, next_free
from partita.errors import PartitaError, RequestError, SaveError
from partita.radio.mix import RATE_HZ
from partita.radio.station import RadioSong
from partita.settings import Settings

BUFFER_S = 0.5
"""What the sound card is ahead: while a song is made, this process may be away from its reader for a moment."""
PLAYLIST = "radio.m3u8"
ELSEWHERE = "use --to http to listen with a browser or a player, or --to folder PATH"


class SoundCard:
    """The default sound device, or the one of this name or number.

    Raises RequestError where there is no sounddevice, no PortAudio or no device, saying what to do instead.
    """

    live, paced, keeps = True, False, False

    def __init__(self, device: str | int | None = None) -> None:
        self._sounddevice = _sounddevice()
        self.late = 0
        try:
            self._stream = self._sounddevice.OutputStream(
                samplerate=RATE_HZ, channels=2, dtype="float32", latency=BUFFER_S, device=device
            )
            self._stream.start()
        except (self._sounddevice.PortAudioError, ValueError) as error:
            raise RequestError(
                f"There is no sound device to play on ({error}): {ELSEWHERE}.", field="to", value="sound"
            ) from None

    def begin(self, heard: RadioSong) -> None:
        """Nothing to do: a sound card knows no songs."""

    def write(self, block: np.ndarray) -> None:
        """Waits until the card has room. Counts in `late` how often it had run dry."""
        try:
            self.late += bool(self._stream.write(np.ascontiguousarray(np.clip(block, -1.0, 1.0))))
        except self._sounddevice.PortAudioError as error:
            raise PartitaError(f"The sound device went away ({error}): start the radio again.") from None

    def close(self) -> None:
        """Let go of the device; what it holds is still heard."""
        with contextlib.suppress(self._sounddevice.PortAudioError):  # it may be gone
            self._stream.stop()
            self._stream.close()


def _sounddevice() -> Any:
    try:
        return import_module("sounddevice")
    except ImportError:
        raise RequestError(
            f'Playing on the sound card needs sounddevice, which is not installed: pip install "partita[radio]"; or '
            f"{ELSEWHERE}.",
            field="to",
            value="sound",
        ) from None
    except OSError:
        raise RequestError(
            "Playing on the sound card needs PortAudio, which is not on this machine (Debian: apt install "
            f"libportaudio2); or {ELSEWHERE}.",
            field="to",
            value="sound",
        ) from None


class Folder:
    """Each song as a file of its own with its record and tags, in the order of the show, and a playlist of them.

    With `paced` songs come at the pace at which they would be heard, else as fast as they are made. Raises
    RequestError where the folder cannot be made.
    """

    live, keeps = False, True

    def __init__(self, path: Path, settings: Settings, *, paced: bool) -> None:
        self.path, self.paced = path, paced
        self.saved: list[Path] = []
        self._settings = settings
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(
                f"The folder {path} cannot be made ({error.strerror}): choose another.", field="to", value=str(path)
            ) from None

    def begin(self, heard: RadioSong) -> None:
        """Write a song and name it in the playlist. Raises SaveError, which says where it is kept instead."""
        song = heard.song
        name = f"{heard.index + 1:03d}-{caption_name(heard.request.caption, heard.seed)}"
        target = Target(next_free(self.path / f"{name}{SUFFIX[song.record.request.output.format]}"))
        self.saved.append(save(song, target, self._settings).audio)
        title = " ".join(heard.request.caption.split())
        playlist = self.path / PLAYLIST
        try:
            with playlist.open("a", encoding="utf-8") as file:
                begin = "#EXTM3U\n" if file.tell() == 0 else ""
                file.write(f"{begin}#EXTINF:{song.duration_s:.0f},{title}\n{target.audio.name}\n")
        except OSError as error:
            raise SaveError(
                f"{playlist} could not be written: {error.strerror}. The song is in {target.audio}.", path=playlist
            ) from None

    def write(self, block: np.ndarray) -> None:
        """Nothing to do: songs are written whole."""

    def close(self) -> None:
        """Nothing to do: what was written is whole."""
