"""A folder as an output of a show: its songs as files, and a playlist of them. Knows no station."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from partita.audio.formats import SUFFIX
from partita.engine.save import save
from partita.engine.targets import Target, caption_name, next_free
from partita.errors import RequestError, SaveError
from partita.settings import Settings

if TYPE_CHECKING:
    from partita.radio.station import RadioSong

PLAYLIST = "radio.m3u8"


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
