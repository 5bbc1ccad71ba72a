"""What the score codec keeps, and how much noise it bears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from partita.errors import RequestError
from partita.score.codec import CHANNELS, DRUM_PITCHES, LAYOUT, PITCH_CLASS_CODE, decode, encode, music_end_s, silence
from partita.score.grid import FRAME_RATE_HZ, RELEASE_S, frame_count, lay_grid
from partita.score.matching import note_f1
from partita.score.types import ROLES, Grid, Note, Score, Section, Track


def programs(score: Score) -> dict:
    return {track.role: track.program for track in score.tracks}


def round_trip(score: Score, noise: np.ndarray | float = 0.0) -> Score:
    return decode(encode(score) + noise, score.grid, score.key, programs(score), duration_s=score.duration_s)


def one_bar(key: str = "D minor") -> Score:
    """Every role at once, at 100 bpm, with swing and a late chord."""
    chord = (62, 65, 69, 72)
    tracks = (
        Track("drums", 0, tuple(Note(0.3 * i, 0.1, DRUM_PITCHES[i % 10], 60 + i) for i in range(10))),
        Track("bass", 33, (Note(0.013, 0.5, 38, 90), Note(0.61, 0.29, 33, 80), Note(0.9, 0.3, 45, 70))),
        Track("chords", 4, tuple(Note(0.013, 1.1, pitch, 64) for pitch in chord)),
        Track("pad", 89, tuple(Note(0.013, 2.3, pitch, 50) for pitch in (57, 60, 62, 65))),
        Track("arp", 46, tuple(Note(0.15 * i, 0.14, 74 + 3 * i, 75) for i in range(8))),
        Track("lead", 73, (Note(0.3, 0.25, 86, 100), Note(0.6, 1.0, 61, 100))),
    )
    return Score(Grid(100, "4/4"), key, 3.0, tracks)


@pytest.mark.parametrize("key", ["C major", "F# minor", "B major", "Eb minor"])
def test_every_role_survives_in_every_key(key: str) -> None:
    score = one_bar(key)
    again = round_trip(score)
    assert [t.role for t in again.tracks] == list(ROLES)
    for before, after in zip(score.tracks, again.tracks, strict=True):
        assert [n.pitch for n in after.notes] == [n.pitch for n in before.notes], before.role
        assert [n.velocity for n in after.notes] == pytest.approx([n.velocity for n in before.notes], abs=1)
        assert [n.start_s for n in after.notes] == pytest.approx([n.start_s for n in before.notes], abs=1e-4)


def test_lengths_come_back_within_a_few_milliseconds() -> None:
    score = one_bar()
    for before, after in zip(score.tracks[1:], round_trip(score).tracks[1:], strict=True):
        ends = [n.start_s + n.duration_s for n in before.notes]
        assert [n.start_s + n.duration_s for n in after.notes] == pytest.approx(ends, abs=0.02), before.role


def test_the_grid_says_where_the_music_ends_and_its_tail_begins() -> None:
    score = replace(one_bar(), duration_s=5.0)
    end_s = 2.313 + RELEASE_S
    assert music_end_s(score) == pytest.approx(end_s)
    wanted = lay_grid(score.grid, (), score.key, 5.0, end_s=end_s)
    np.testing.assert_array_equal(encode(score)[:, LAYOUT.grid], wanted)


def test_without_pitched_notes_the_music_ends_with_the_score() -> None:
    score = one_bar()
    assert music_end_s(replace(score, tracks=score.tracks[:1])) == score.duration_s


def test_a_chord_keeps_its_inversion() -> None:
    for lowest in range(48, 64):
        classes = {0, 4, 7, 11}
        pitches = [p for p in range(lowest, lowest + 12) if p % 12 in classes]
        score = Score(Grid(90, "4/4"), "C major", 2.0, (Track("chords", 0, tuple(Note(0, 1, p, 80) for p in pitches)),))
        assert [n.pitch for n in round_trip(score).tracks[0].notes] == pitches


def test_silence_has_no_notes() -> None:
    score = decode(silence(100), Grid(90, "4/4"), "C major", dict.fromkeys(ROLES, 0))
    assert score.tracks == ()
    assert score.duration_s == 4.0


def test_a_role_without_a_program_stays_silent() -> None:
    score = one_bar()
    again = decode(encode(score), score.grid, score.key, {"bass": 33})
    assert [track.role for track in again.tracks] == ["bass"]


def test_a_note_that_rings_on_is_cut_by_the_next() -> None:
    notes = (Note(0.0, 2.0, 40, 80), Note(0.5, 0.4, 43, 80))
    (track,) = round_trip(Score(Grid(90, "4/4"), "C major", 3.0, (Track("bass", 33, notes),))).tracks
    assert [round(n.duration_s, 2) for n in track.notes] == [0.5, 0.4]


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(RequestError, match="64"):
        decode(np.zeros((10, 40), dtype=np.float32), Grid(90, "4/4"), "C major", {})


def test_pitch_classes_are_well_apart() -> None:
    distance = np.linalg.norm(PITCH_CLASS_CODE[:, None] - PITCH_CLASS_CODE[None], axis=-1)
    assert distance[~np.eye(12, dtype=bool)].min() > 1.41


def test_channels_are_used_once() -> None:
    used = [c for role in ROLES for c in LAYOUT.of_role(role)]
    used += [*range(64)[LAYOUT.chroma], *range(64)[LAYOUT.offsets], *range(64)[LAYOUT.grid]]
    assert sorted(used) == list(range(CHANNELS))


@pytest.mark.parametrize("duration_s", [0.04, 1.0, 20.0, 599.99])
def test_length_follows_duration(duration_s: float) -> None:
    latents = encode(Score(Grid(120, "4/4"), "C major", duration_s, ()))
    assert latents.shape == (frame_count(duration_s), CHANNELS)
    assert frame_count(duration_s) == int(np.ceil(round(duration_s * FRAME_RATE_HZ, 6)))


def test_grid_marks_beats_bars_and_the_end() -> None:
    grid = Grid(75, "3/4", offset_s=0.02)  # a beat is 0.8 s, 20 frames; the middle of frame 0 is beat 0
    channels = lay_grid(grid, (Section("chorus", 0.02, 20.0),), "A minor", 20.0)
    assert channels[::20, 0] == pytest.approx(1.0, abs=1e-5)
    assert channels[::60, 2] == pytest.approx(1.0, abs=1e-5)
    assert np.flatnonzero(channels[:240, 4] > 0.9999).tolist() == [0]
    assert (channels[:, 9] == -1).all()
    assert channels[0, 11] < -0.9 < 0.9 < channels[-1, 11]
    assert channels.dtype == np.float32


HELD_OUT_SEEDS = range(5_000_000, 5_000_100)


@pytest.fixture(scope="module")
def pieces() -> list[Score]:
    composer = pytest.importorskip("partita.training.composer")
    return [composer.compose(seed, duration_s=20.0).score for seed in HELD_OUT_SEEDS]


def test_composed_pieces_come_back_whole(pieces: list[Score]) -> None:
    assert note_f1(pieces, [round_trip(score) for score in pieces]) >= 0.995


def test_composed_pieces_survive_noise(pieces: list[Score]) -> None:
    noisy = []
    for seed, score in enumerate(pieces):
        shape = (frame_count(score.duration_s), CHANNELS)
        noisy.append(round_trip(score, np.random.default_rng(seed).normal(0, 0.25, shape)))
    assert note_f1(pieces, noisy) >= 0.97
