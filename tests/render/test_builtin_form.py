"""What holds songs of the built-in renderer together: sections that return, how music ends, bars played early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.measure.ending import ending_of
from partita.measure.recurrence import section_returns
from partita.models.score_model import ScoreModel
from partita.render.builtin.outline import Outline, music_end_s
from partita.render.builtin.returning import FREE, LAST_BAR_LEVEL, LEVELS, cuts_of, echo_of, pieces_of
from partita.render.builtin.voices import begin_at_once, settled_frame
from partita.render.builtin.windows import windows_for
from partita.render.protocol import AudioChunk, LatentsReady, RenderEvent, ScoreReady
from partita.score.codec import CHANNELS, LAYOUT, decode, encode
from partita.score.grid import LAST_CHORD_S, RELEASE_S, TAIL_S, frame_count
from partita.score.sampler import play
from partita.score.styles import Cast
from partita.score.types import ROLES, Grid, Note, Role, Score, Section, Track
from partita.song.request import Sampling
from partita.song.task import Extend, Retake
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import BUILTIN_DIRECTORY, save_builtin
from tests.render.test_builtin import TINY, OneModel, audio_of, latents_of, render
from tests.render.test_builtin_edits import make

GRID = Grid(120, "4/4")  # bars of 2 s
FORM = (Section("verse", 0, 8), Section("chorus", 8, 16), Section("verse", 16, 28), Section("chorus", 28, 32))
PROGRAMS: dict[Role, int] = dict.fromkeys(ROLES, 0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> OneModel:
    directory: Path = tmp_path_factory.mktemp("model")
    train_tokenizer(["slow piano", "fast drums"], directory / "made.json", TINY.vocab_size)
    torch.manual_seed(3)
    save_builtin(directory, ScoreModel(TINY), directory / "made.json", {})
    return OneModel(directory)


def score_of(events: list[RenderEvent]) -> Score:
    return next(event.score for event in events if isinstance(event, ScoreReady))


def test_a_section_returns_from_the_first_of_its_kind() -> None:
    known = np.arange(800) < 400
    pieces = pieces_of(FORM, GRID, known, ~known)
    verse = [(piece.start_s, piece.end_s, piece.shift_s) for piece in pieces if piece.start_s < 28]
    # Four bars, and two of the four again; the last bar of each section is freer.
    assert verse == [(16, 24, 16), (24, 26, 24), (26, 28, 24)]
    assert [piece.shift_s for piece in pieces if piece.start_s >= 28] == [20, 20]
    assert [piece.level for piece in pieces][-2:] == [LEVELS["chorus"], LAST_BAR_LEVEL]
    assert pieces_of(FORM, GRID, ~known, known)  # and backwards, where what is written lies before
    assert not pieces_of(FORM[:2], GRID, known, known)


def test_what_returns_lies_on_its_frames_as_it_did() -> None:
    rng = np.random.default_rng(1)
    notes = tuple(
        Note(at / 8 + 0.003 * rng.uniform(-1, 1) + 0.01, 0.1, int(rng.integers(60, 72)), 80) for at in range(60)
    )
    score = Score(Grid(97, "3/4"), "D minor", 40.0, (Track("lead", 0, notes),))
    bar_s = score.grid.bar_s
    form = (Section("verse", 0, 4 * bar_s), Section("verse", 12 * bar_s, 16 * bar_s))
    known = np.arange(1000) < 25 * 4 * bar_s
    echo = echo_of(score, pieces_of(form, score.grid, known, ~known))
    again = decode(echo.latents, score.grid, score.key, {"lead": 0}, duration_s=40.0)
    (track,) = again.tracks
    wanted = [(n.start_s + 12 * bar_s, n.pitch) for n in notes if n.start_s < 4 * bar_s - 0.02]
    assert [note.pitch for note in track.notes] == [pitch for _, pitch in wanted]
    np.testing.assert_allclose([note.start_s for note in track.notes], [start for start, _ in wanted], atol=1e-6)
    assert (echo.levels[: frame_count(12 * bar_s) - 1] == FREE).all()


def test_a_window_ends_where_music_returns_that_it_makes_itself() -> None:
    cuts = cuts_of(FORM)
    assert cuts == [(200, 400), (400, 700)]
    for window in windows_for(1000, [(0, 1000)], cuts):
        ((first, stop),) = window.spans
        for needed, at in cuts:
            assert not first < needed <= at < stop
    short = tuple(Section(kind, 3.0 * i, 3.0 * i + 3) for i, kind in enumerate(("verse", "chorus", "verse", "chorus")))
    assert windows_for(300, [(0, 300)], cuts_of(short))[0].stop == 150


@settings(max_examples=200)
@given(
    st.floats(50, 180), st.sampled_from(["3/4", "4/4", "6/8"]), st.floats(0.1, 600), st.floats(0, 1, exclude_max=True)
)
def test_music_ends_before_its_song_on_a_beat_of_its_own(bpm: float, metre: str, duration_s: float, at: float) -> None:
    grid = Grid(bpm, metre)
    grid = Grid(bpm, metre, at * grid.bar_s)
    end_s, cut_s = music_end_s(grid, duration_s)
    released_s = min(end_s - RELEASE_S, cut_s)
    assert 0 < released_s <= cut_s <= duration_s
    if duration_s < grid.bar_s + TAIL_S + LAST_CHORD_S + 0.01:
        return  # a chord and its tail
    assert TAIL_S - 1e-6 <= duration_s - released_s <= TAIL_S + grid.beat_s + 1e-6
    outline = Outline(grid, "C major", duration_s, (), end_s, cut_s)
    assert released_s - outline.last_bar_s >= LAST_CHORD_S - 1e-5
    bars = (outline.last_bar_s - grid.offset_s) / grid.bar_s
    assert bars == pytest.approx(round(bars), abs=1e-6)


@pytest.mark.parametrize("duration_s", [1.0, 1.7, 4.9, 20.0, 33.3])
def test_nothing_is_written_behind_the_end_and_the_song_is_as_long_as_asked(parts: OneModel, duration_s: float) -> None:
    events = render(parts, duration_s=duration_s, bpm=100)
    score, latents = score_of(events), latents_of(events).numpy()
    _, cut_s = music_end_s(score.grid, duration_s)
    assert latents.shape == (frame_count(duration_s), CHANNELS)
    assert (latents[frame_count(cut_s) :, LAYOUT.drums] < 0).all()
    pitched = [note for track in score.tracks if not track.is_drums for note in track.notes]
    assert all(note.start_s + note.duration_s <= cut_s + 0.05 for note in pitched)
    assert audio_of(events).shape == (round(duration_s * 48000), 2)


@pytest.mark.parametrize("duration_s", [1.0, 2.5, 7.0, 14.3])
def test_the_shipped_weights_end_their_songs(duration_s: float) -> None:
    events = render(
        OneModel(BUILTIN_DIRECTORY), caption="gentle piano", bpm=110, duration_s=duration_s, sampling=Sampling()
    )
    ending = ending_of(score_of(events), audio_of(events), 48000)
    assert ending.faded
    assert ending.released
    assert ending.home
    audio = np.abs(audio_of(events))
    assert audio[: 48000 // 4].max() > 0.1 * audio.max()  # a song begins when it begins


def test_sections_return_in_the_shipped_weights_songs() -> None:
    events = render(
        OneModel(BUILTIN_DIRECTORY),
        caption="pop with drums, bass and piano",
        duration_s=40.0,
        bpm=120,
        key="C major",
        time_signature="4/4",
        sampling=Sampling(steps=8),
        lyrics="[Verse]\none\n\n[Chorus]\ntwo\n\n[Verse]\nthree\n\n[Chorus]\nfour\n\n[Outro]\nfive",
    )
    found = section_returns(score_of(events))
    assert found.same is not None
    assert found.other is not None
    assert 0.6 < found.same < 0.999  # known again, and not a copy
    assert found.same > found.other + 0.2


@pytest.mark.parametrize("duration_s", [34.0])
def test_bars_that_are_played_early_are_those_of_the_whole_song(parts: OneModel, duration_s: float) -> None:
    events = render(parts, duration_s=duration_s)
    kinds = [type(event) for event in events if isinstance(event, AudioChunk | LatentsReady)]
    assert kinds.index(LatentsReady) > 0  # some are there before the song is
    chunks = [event for event in events if isinstance(event, AudioChunk)]
    assert [chunk.start for chunk in chunks] == [0, *np.cumsum([len(chunk.samples) for chunk in chunks])[:-1]]
    cast = next(event.cast for event in events if isinstance(event, LatentsReady))
    assert cast is not None
    np.testing.assert_array_equal(audio_of(events), play(score_of(events), style=Cast.of_numbers(cast).style))


def test_a_song_that_returns_is_the_same_for_its_seed(parts: OneModel) -> None:
    first = make(parts, seed=7, duration_s=36.0)
    same = make(parts, Retake(of_seed=7, variance=0.0), seed=8, duration_s=36.0)
    np.testing.assert_array_equal(same.latents, first.latents)
    np.testing.assert_array_equal(same.audio, first.audio)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 119))
def test_notes_before_the_settled_frame_stay_whatever_follows(seed: int, known: int) -> None:
    latents = np.random.default_rng(seed).normal(0, 1.0, (120, 64)).astype(np.float32)
    settled_s = settled_frame(latents[:known]) / 25

    def early(part: np.ndarray) -> list[tuple[Role, Note]]:
        score = decode(part, GRID, "C major", PROGRAMS)
        return [(t.role, n) for t in score.tracks for n in t.notes if n.start_s < settled_s - 1e-6]

    unwritten = encode(Score(GRID, "C major", 4.8, ()))
    unwritten[:known] = latents[:known]
    assert early(unwritten) == early(latents)


def test_what_is_played_or_held_when_a_song_begins_begins_with_it() -> None:
    lead = (Note(1.995, 1.0, 64, 90),)
    pad = tuple(Note(1.0, 2.5, pitch, 80) for pitch in (55, 60, 64))
    bass = (Note(1.0, 1.1, 36, 80),)  # is let go at once
    drums = (Note(1.99, 0.1, 36, 90),)
    tracks = (Track("lead", 0, lead), Track("drums", 0, drums), Track("pad", 0, pad), Track("bass", 0, bass))
    latents = encode(Score(GRID, "C major", 4.0, tracks))
    begin_at_once(latents, 50)
    song = decode(latents[50:], GRID, "C major", PROGRAMS)
    assert {track.role: [(n.start_s, n.pitch) for n in track.notes] for track in song.tracks} == {
        "lead": [(0.0, 64)],
        "drums": [(0.0, 36)],
        "pad": [(0.0, 55), (0.0, 60), (0.0, 64)],
    }


def test_a_song_that_has_died_away_does_not_sound_again_where_more_is_put_behind_it() -> None:
    shipped = OneModel(BUILTIN_DIRECTORY)
    fields = {"caption": "strings and warm pad", "bpm": 100, "key": "C major"}
    first = make(shipped, duration_s=7.0, sampling=Sampling(steps=8), **fields)
    longer = make(shipped, Extend(source="a", right_s=4.0), first.source(), sampling=Sampling(steps=8))
    new = [n.start_s for track in longer.score.tracks for n in track.notes if n.start_s >= 7.0]
    gap = longer.audio[7 * 48000 : round((min(new) - 0.001) * 48000)]
    assert new
    assert np.abs(gap).max(initial=0.0) < 1e-3 * np.abs(first.audio).max()
    assert np.abs(longer.audio[7 * 48000 :]).max() > 0.05 * np.abs(first.audio).max()
