"""Standard MIDI files: writes a score, reads one back.

Tempo, metre, key, programs and sections travel along: track names are the roles, markers the sections, and a marker
`end` the length. Reading takes other people's files too, and gives each track the role it most looks like. Times are
kept to half a tick of 960 a quarter. Knows nothing of sound.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import symusic

from partita.errors import AudioError, SaveError
from partita.score.keys import key_name, parse_key
from partita.score.types import ROLES, SECTION_KINDS, Grid, Note, Role, Score, Section, SectionKind, Track

TICKS_PER_QUARTER = 960

_BEAT_ZERO = "beat 0"
_END = "end"
# Sharps (positive) or flats of a major key, by tonic; a minor key has those of the major three semitones above.
_SHARPS = {0: 0, 7: 1, 2: 2, 9: 3, 4: 4, 11: 5, 6: 6, 5: -1, 10: -2, 3: -3, 8: -4, 1: -5}
_METRES = {(2, 4): "2/4", (3, 4): "3/4", (4, 4): "4/4", (6, 8): "6/8"}


def write_midi(score: Score, path: str | Path) -> Path:
    """Write `score` as a type 1 MIDI file at `path`, which is returned. Raises `SaveError` where that fails."""
    path = Path(path)
    try:
        path.write_bytes(midi_bytes(score))
    except OSError as error:
        raise SaveError(f"The MIDI file could not be written to {path}: {error}.", path=path) from error
    return path


def midi_bytes(score: Score) -> bytes:
    """The type 1 MIDI file of a score, in memory."""
    quarter_bpm = _quarter_bpm(score.grid)
    ticks_per_second = TICKS_PER_QUARTER * quarter_bpm / 60

    def tick(seconds: float) -> int:
        return round(seconds * ticks_per_second)

    out: Any = symusic.Score(TICKS_PER_QUARTER)
    out.tempos.append(symusic.Tempo(0, quarter_bpm))
    numerator, denominator = (int(part) for part in score.grid.time_signature.split("/"))
    out.time_signatures.append(symusic.TimeSignature(0, numerator, denominator))
    tonic, mode = parse_key(score.key)
    sharps = _SHARPS[(tonic + (3 if mode == "minor" else 0)) % 12]
    out.key_signatures.append(symusic.KeySignature(0, sharps, int(mode == "minor")))
    for section in score.sections:
        out.markers.append(symusic.TextMeta(tick(section.start_s), section.kind))
    if score.grid.offset_s > 0:
        out.markers.append(symusic.TextMeta(tick(score.grid.offset_s), _BEAT_ZERO))
    out.markers.append(symusic.TextMeta(tick(score.duration_s), _END))
    for track in score.tracks:
        written: Any = symusic.Track(track.role, track.program, track.is_drums)
        for note in track.notes:
            start, end = tick(note.start_s), tick(note.start_s + note.duration_s)
            written.notes.append(symusic.Note(start, max(1, end - start), note.pitch, note.velocity))
        out.tracks.append(written)
    return out.dumps_midi()


def read_midi(path: str | Path) -> Score:
    """The score in a MIDI file.

    A file of ours comes back as it was, within half a tick. In others the first tempo, metre (4/4 where it is one we
    do not know) and key (C major where none is given) hold throughout, and of tracks that look like the same role the
    notes are put together. Raises `AudioError` where the file is not MIDI or has no notes.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        ticks: Any = symusic.Score.from_midi(data)
    except (OSError, RuntimeError, ValueError) as error:
        raise AudioError(f"{path} cannot be read as a MIDI file: {error}.", path=path) from error
    if not any(len(track.notes) for track in ticks.tracks):
        raise AudioError(f"{path} has no notes. Give a MIDI file with at least one.", path=path)
    seconds = ticks.to("second")
    markers = sorted((marker.time, marker.text) for marker in seconds.markers)
    last = max(note.time + note.duration for track in seconds.tracks for note in track.notes)
    duration_s = next((time for time, text in markers if text == _END), last)
    duration_s = round(max(duration_s, last), 4)
    return Score(
        _grid(seconds, markers),
        _key(seconds),
        duration_s,
        _tracks(seconds),
        _sections(markers, duration_s),
    )


def _quarter_bpm(grid: Grid) -> float:
    """MIDI's tempo: quarters a minute, where 6/8 counts dotted quarters."""
    return grid.bpm * 1.5 if grid.time_signature == "6/8" else grid.bpm


def _grid(score: Any, markers: list[tuple[float, str]]) -> Grid:
    quarter_bpm = score.tempos[0].qpm if len(score.tempos) else 120.0
    signature = "4/4"
    if len(score.time_signatures):
        first = score.time_signatures[0]
        signature = _METRES.get((first.numerator, first.denominator), "4/4")
    bpm = quarter_bpm / 1.5 if signature == "6/8" else quarter_bpm
    # A MIDI tempo is whole microseconds a quarter; three decimals take that rounding away again.
    offset_s = next((time for time, text in markers if text == _BEAT_ZERO), 0.0)
    return Grid(round(bpm, 3), signature, round(offset_s, 4))


def _key(score: Any) -> str:
    if not len(score.key_signatures):
        return key_name(0, "major")
    first = score.key_signatures[0]
    mode = "minor" if first.tonality else "major"
    tonic = first.key * 7 % 12
    return key_name(tonic - 3 if mode == "minor" else tonic, mode)


def _sections(markers: list[tuple[float, str]], duration_s: float) -> tuple[Section, ...]:
    starts: list[tuple[float, SectionKind]] = [
        (time, kind) for time, text in markers for kind in SECTION_KINDS if text == kind
    ]
    ends = [time for time, _ in starts[1:]] + [duration_s] * bool(starts)
    return tuple(Section(kind, round(start, 4), round(end, 4)) for (start, kind), end in zip(starts, ends, strict=True))


def _tracks(score: Any) -> tuple[Track, ...]:
    notes: dict[Role, list[Note]] = defaultdict(list)
    programs: dict[Role, int] = {}
    named = {track.name for track in score.tracks}
    for track in score.tracks:
        if not len(track.notes):
            continue
        role = _role(track, set(programs), ours=bool(named & set(ROLES)))
        programs.setdefault(role, track.program)
        notes[role] += [
            Note(round(note.time, 4), round(max(note.duration, 0.001), 4), note.pitch, max(1, note.velocity))
            for note in track.notes
        ]
    return tuple(
        Track(role, programs[role], tuple(sorted(notes[role], key=lambda note: (note.start_s, note.pitch))))
        for role in ROLES
        if role in programs
    )


def _role(track: Any, taken: set[Role], *, ours: bool) -> Role:
    """The role a track most looks like: by its name in files of ours, else by program, register and chords."""
    if track.is_drum:
        return "drums"
    if ours and track.name in ROLES and track.name != "drums":
        return track.name
    pitches = [note.pitch for note in track.notes]
    if 32 <= track.program <= 39 or sum(pitches) / len(pitches) < 45:
        return "bass"
    starts = {round(note.time, 2) for note in track.notes}
    if len(pitches) / len(starts) > 1.7:
        return "pad" if 48 <= track.program <= 54 or 88 <= track.program <= 95 or "chords" in taken else "chords"
    return "arp" if "lead" in taken else "lead"
