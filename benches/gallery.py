"""The gallery: every request of docs/gallery/requests.yaml as sound, score and picture. `python benches/gallery.py`

Songs are made with the built-in model as it ships and written as Opus, scores as MIDI. The meters' readings go into the
page, also where they are not what was asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from partita.audio.loudness import integrated_lufs
from partita.engine.engine import Engine
from partita.engine.save import save
from partita.engine.targets import Target
from partita.measure.ending import ending_of
from partita.measure.key import key_of_notes
from partita.measure.tempo import tempo
from partita.song.request import Output, SongRequest
from pictures import draw

FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
BITRATE_KBPS = 64


@dataclass(frozen=True)
class Shown:
    """A song of the gallery, and what the meters say of it."""

    name: str
    asked: Mapping[str, Any]
    bpm: float | None
    key: str
    lufs: float | None
    ends: bool


def make(engine: Engine, name: str, asked: Mapping[str, Any], folder: Path) -> Shown:
    """One song with its score and its picture, in `folder`."""
    output = Output(format="opus", bitrate_kbps=BITRATE_KBPS, midi=True)
    song = engine.generate(SongRequest(**asked, model="built-in", output=output))
    score = song.score
    assert score is not None
    target = Target(folder / f"{name}.opus")
    for path in target.paths(song.record.request.output):
        path.unlink(missing_ok=True)
    save(song, target, engine.settings).record.unlink()  # it is in the sound file, and the request is on the page
    draw(score, song.audio, folder / f"{name}.webp", name.replace("-", " "))
    rate = song.sample_rate_hz
    notes = [note for track in score.tracks if not track.is_drums for note in track.notes]
    key = key_of_notes([note.pitch for note in notes], [note.duration_s for note in notes]).name
    ends = ending_of(score, song.audio, rate).is_natural
    return Shown(name, asked, tempo(song.audio, rate).bpm, key, integrated_lufs(song.audio, rate), ends)


def page(shown: Sequence[Shown]) -> str:
    """The gallery's page, Markdown."""
    lines = [
        "# Gallery",
        "",
        "Twelve short songs by the built-in model as it ships, each from the words beside it: not chosen among others,",
        "not touched afterwards. `python benches/gallery.py` makes this folder from [requests.yaml](requests.yaml).",
        "*Asked* and *heard* are tempo and key of the request, and what our meters find in sound and score.",
        "",
        "| song | words | asked | heard | |",
        "|---|---|---|---|---|",
    ]
    for one in shown:
        asked = f"{one.asked['bpm']} bpm, {one.asked['key']}, {one.asked['duration_s']} s"
        heard = f"{one.bpm:.0f} bpm, {one.key}, {one.lufs:.1f} LUFS" + ("" if one.ends else ", breaks off")
        files = f"[score]({one.name}.mid), [picture]({one.name}.webp)"
        lines.append(f"| [{one.name}]({one.name}.opus) | {one.asked['caption']} | {asked} | {heard} | {files} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the gallery.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where requests.yaml lies and the songs go")
    given = parser.parse_args()
    engine = Engine()
    requests = yaml.safe_load((given.folder / "requests.yaml").read_text(encoding="utf-8"))
    shown = [make(engine, name, asked, given.folder) for name, asked in requests.items()]
    (given.folder / "README.md").write_text(page(shown), encoding="utf-8")
    for one in shown:
        print(f"{one.name:16} {one.bpm:5.0f} bpm  {one.key:9} {one.lufs:6.1f} LUFS  ends {one.ends}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
