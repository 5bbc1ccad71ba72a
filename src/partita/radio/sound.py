"""The sound card as an output of a show. Knows no station.

`sounddevice` is the extra `radio`; it needs PortAudio, which its wheels bring along everywhere but on Linux.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from partita.errors import PartitaError, RequestError
from partita.radio.mix import RATE_HZ

if TYPE_CHECKING:
    from partita.radio.station import RadioSong

BUFFER_S = 1.0
"""How far the card is ahead: while a song is made, this process may be away from its reader for a moment."""
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
