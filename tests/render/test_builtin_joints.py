"""Notes at the edges of what is made: those that begin in kept music stay, whatever is written beside them."""

from __future__ import annotations

import numpy as np
import pytest

from partita.render.builtin.joints import Given, join
from partita.score.codec import LAYOUT, MUSIC_CHANNELS, decode, encode, silence
from partita.score.grid import lay_grid
from partita.score.types import ROLES, Grid, Note, Role, Score, Track

GRID, KEY, FRAMES = Grid(120, "4/4"), "D minor", 200
PROGRAMS: dict[Role, int] = dict.fromkeys(ROLES, 0)


def a_score(seed: int) -> Score:
    """Eight seconds of notes at random for every role, so that some ring or begin at any frame.

    Chords and pad have one harmony a second, as the codec asks for.
    """
    rng = np.random.default_rng(seed)
    roots = rng.integers(45, 60, 8)
    tracks = []
    for role in ROLES:
        notes, at_s = [], float(rng.uniform(0, 0.5))
        while at_s < 7.9:
            length_s = float(rng.choice([0.1, 0.25, 0.5, 1.5]))
            lowest = 36 if role == "drums" else int(rng.integers(45, 70))
            pitches = [lowest]
            if role in ("chords", "pad"):
                root, length_s = int(roots[int(at_s)]), min(length_s, int(at_s) + 1 - at_s)
                pitches = [root, root + 3, root + 7]
            notes += [Note(at_s, length_s, pitch, int(rng.integers(40, 120))) for pitch in pitches]
            at_s += float(rng.choice([0.12, 0.25, 0.5, 1.0]))
        tracks.append(Track(role, 0, tuple(notes)))
    return Score(GRID, KEY, 8.0, tuple(tracks))


def blank() -> np.ndarray:
    return np.concatenate([silence(FRAMES), lay_grid(GRID, (), KEY, 8.0)], axis=1)


def notes_of(latents: np.ndarray) -> dict[Role, dict[tuple[float, int], Note]]:
    score = decode(latents, GRID, KEY, PROGRAMS, duration_s=8.0)
    return {track.role: {(note.start_s, note.pitch): note for note in track.notes} for track in score.tracks}


def joined(source: np.ndarray, made: np.ndarray, first: int, stop: int, *, start: int = 0, end: int = FRAMES):
    """`made` in the frames first..stop of a canvas on which the source lies from frame `start` to `end`."""
    laid, kept = blank(), np.zeros(FRAMES, dtype=bool)
    laid[start:end] = source[start:end]
    kept[start:end] = True
    kept[first:stop] = False
    latents = np.where(kept[:, None], laid, made)
    join(latents, Given(laid, start, end, kept), first, stop)
    return laid, kept, latents


@pytest.mark.parametrize("seed", range(60))
def test_notes_that_begin_in_kept_frames_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.15, (2, FRAMES, MUSIC_CHANNELS)).astype(np.float32)
    noise[..., LAYOUT.offsets] = 0.0  # lest a note slip over the edge of its frame, by which it is told here
    source, made = encode(a_score(2 * seed)), encode(a_score(2 * seed + 1))
    source[:, :MUSIC_CHANNELS] += noise[0]
    made[:, :MUSIC_CHANNELS] += noise[1]
    first = int(rng.integers(0, FRAMES - 1))
    stop = int(rng.integers(first + 1, FRAMES + 1))
    laid, kept, latents = joined(source, made, first, stop)
    np.testing.assert_array_equal(latents[kept], laid[kept])
    before, after = notes_of(laid), notes_of(latents)
    for role in ROLES:
        was, is_ = before.get(role, {}), after.get(role, {})
        outside = {key for key in was if kept[int(key[0] * 25)]}
        assert {key for key in is_ if kept[int(key[0] * 25)]} == outside, role
        made_starts = [start_s for start_s, _ in is_ if not kept[int(start_s * 25)]]
        for key in outside:
            end_s = key[0] + was[key].duration_s
            if end_s < first / 25 or key[0] >= stop / 25:
                assert is_[key].duration_s == pytest.approx(was[key].duration_s, abs=1e-6)
            elif role not in ("drums", "chords", "pad") and end_s < min([*made_starts, stop / 25]):
                assert is_[key].duration_s == pytest.approx(was[key].duration_s, abs=0.041)


@pytest.mark.parametrize("seed", range(20))
def test_a_song_that_grows_keeps_its_notes(seed: int) -> None:
    source, made = encode(a_score(2 * seed)), encode(a_score(2 * seed + 1))
    for first, stop, start, end in ((0, 70, 70, FRAMES), (120, FRAMES, 0, 120), (119, FRAMES, 0, 120)):
        laid, kept, latents = joined(source, made, first, stop, start=start, end=end)
        before, after = notes_of(laid), notes_of(latents)
        for role in ROLES:
            outside = {key for key in before.get(role, {}) if kept[int(key[0] * 25)]}
            assert {key for key in after.get(role, {}) if kept[int(key[0] * 25)]} == outside


def one_note(role: Role, *notes: Note) -> np.ndarray:
    return encode(Score(GRID, KEY, 8.0, (Track(role, 0, notes),)))


def test_a_note_rings_into_what_was_made_until_its_voice_plays_again() -> None:
    source = one_note("lead", Note(1.0, 3.0, 72, 80))
    _, _, silent = joined(source, blank(), 50, 150)
    assert notes_of(silent)["lead"][1.0, 72].duration_s == pytest.approx(3.0)
    _, _, cut = joined(source, one_note("lead", Note(3.0, 1.0, 65, 80)), 50, 150)
    assert notes_of(cut)["lead"][1.0, 72].duration_s == pytest.approx(2.0)
    assert notes_of(cut)["lead"][3.0, 65].duration_s == pytest.approx(1.0)


def test_a_chord_rings_past_another_role_s_chord_only_in_the_same_harmony() -> None:
    pad = one_note("pad", *(Note(1.0, 4.0, pitch, 80) for pitch in (50, 53, 57)))
    same = one_note("chords", *(Note(3.0, 1.0, pitch, 80) for pitch in (50, 53, 57)))
    other = one_note("chords", *(Note(2.2, 1.0, pitch, 80) for pitch in (51, 55, 58)))
    _, _, agreed = joined(pad, same, 50, 150)
    assert notes_of(agreed)["pad"][1.0, 50].duration_s == pytest.approx(4.0)
    _, _, cut = joined(pad, other, 50, 150)
    assert {pitch for _, pitch in notes_of(cut)["pad"]} == {50, 53, 57}
    assert notes_of(cut)["pad"][1.0, 50].duration_s == pytest.approx(1.2, abs=0.04)


def test_where_a_song_was_over_what_is_made_says_how_long_its_last_note_rings() -> None:
    source = one_note("lead", Note(1.0, 7.0, 72, 80))
    made = blank()
    gate = LAYOUT.mono["lead"].start + 1
    made[100:125, gate] = 1.0
    made[100:125, gate + 1 :][:, :5] = 0.7  # another pitch, if it were read
    _, _, latents = joined(source, made, 100, FRAMES, end=100)
    assert notes_of(latents)["lead"][1.0, 72].duration_s == pytest.approx(4.0)
