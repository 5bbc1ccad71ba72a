"""MIDI files: a score of ours comes back, other people's become scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import symusic

from partita.errors import AudioError, SaveError
from partita.score.keys import KEYS
from partita.score.midi import TICKS_PER_QUARTER, midi_bytes, read_midi, write_midi
from partita.score.types import Grid, Note, Score, Section, Track


def a_score(key: str = "Eb minor", signature: str = "6/8", offset_s: float = 0.0) -> Score:
    drums = Track("drums", 40, (Note(0.0, 0.1, 36, 90), Note(0.5, 0.1, 38, 77)))
    bass = Track("bass", 33, (Note(0.0, 0.5, 36, 80), Note(0.5, 0.5, 36, 81)))
    chords = Track("chords", 4, tuple(Note(0.25, 1.123, pitch, 64) for pitch in (51, 54, 58)))
    sections = (Section("intro", 0.0, 1.0), Section("chorus", 1.0, 3.0))
    return Score(Grid(97.0, signature, offset_s), key, 3.0, (drums, bass, chords), sections)


def numbers(track: Track) -> list[tuple[int, float, float, int]]:
    return sorted((note.pitch, note.start_s, note.duration_s, note.velocity) for note in track.notes)


@pytest.mark.parametrize("signature", ["2/4", "3/4", "4/4", "6/8"])
def test_a_score_comes_back_within_half_a_tick(tmp_path: Path, signature: str) -> None:
    score = a_score(signature=signature, offset_s=0.2)
    again = read_midi(write_midi(score, tmp_path / "song.mid"))
    tick_s = 60 / 97 / TICKS_PER_QUARTER
    assert again.grid.bpm == score.grid.bpm
    assert again.grid.time_signature == signature
    assert again.grid.offset_s == pytest.approx(0.2, abs=tick_s)
    assert again.duration_s == pytest.approx(3.0, abs=tick_s)
    assert [(track.role, track.program) for track in again.tracks] == [("drums", 40), ("bass", 33), ("chords", 4)]
    for one, two in zip(score.tracks, again.tracks, strict=True):
        for left, right in zip(numbers(one), numbers(two), strict=True):
            assert left == pytest.approx(right, abs=2 * tick_s)
    assert [section.kind for section in again.sections] == ["intro", "chorus"]
    assert again.sections[1].start_s == pytest.approx(1.0, abs=tick_s)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_comes_back(tmp_path: Path, key: str) -> None:
    assert read_midi(write_midi(a_score(key=key), tmp_path / "song.mid")).key == key


def test_the_same_score_gives_the_same_bytes() -> None:
    assert midi_bytes(a_score()) == midi_bytes(a_score())


def test_other_files_get_roles_by_what_they_look_like(tmp_path: Path) -> None:
    foreign = symusic.Score(480)
    for name, program, pitches in (("Upright", 32, [40]), ("Keys", 0, [60, 64, 67]), ("Solo", 65, [74])):
        track = symusic.Track(name, program, False)
        for beat in range(4):
            track.notes.extend([symusic.Note(beat * 480, 400, pitch, 90) for pitch in pitches])
        foreign.tracks.append(track)
    path = tmp_path / "foreign.mid"
    path.write_bytes(foreign.dumps_midi())
    score = read_midi(path)
    assert {track.role: track.program for track in score.tracks} == {"bass": 32, "chords": 0, "lead": 65}
    assert (score.grid, score.key) == (Grid(120.0, "4/4"), "C major")


def test_what_is_no_midi_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(b"not music")
    with pytest.raises(AudioError, match=r"song\.mid"):
        read_midi(path)
    with pytest.raises(AudioError, match=r"absent\.mid"):
        read_midi(tmp_path / "absent.mid")


def test_a_file_without_notes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mid"
    path.write_bytes(symusic.Score(480).dumps_midi())
    with pytest.raises(AudioError, match="no notes"):
        read_midi(path)


def test_a_folder_that_is_not_there_is_an_error_of_saving(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="could not be written"):
        write_midi(a_score(), tmp_path / "nowhere" / "song.mid")
