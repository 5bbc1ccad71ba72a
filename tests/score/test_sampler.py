"""Playing: in tune, in time, as loud as struck, the same every time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.score.instruments import INSTRUMENTS
from partita.score.sampler import Player, play, stems
from partita.score.types import Grid, Note, Role, Score, Track

RATE = 48000


def a_score(*tracks: Track, duration_s: float = 3.0) -> Score:
    return Score(Grid(120.0, "4/4"), "C major", duration_s, tracks)


def a_line(role: Role, program: int, *notes: Note) -> Score:
    return a_score(Track(role, program, notes))


def a_band() -> Score:
    drums = tuple(Note(beat * 0.5, 0.1, key, 100) for beat in range(5) for key in (36, 42))
    chord = tuple(Note(0.0, 2.5, pitch, 80) for pitch in (55, 60, 64))
    return a_score(
        Track("drums", 0, drums),
        Track("bass", 33, (Note(0.0, 1.0, 36, 95), Note(1.0, 1.4, 43, 95))),
        Track("chords", 4, chord),
        Track("pad", 89, chord),
        Track("lead", 73, (Note(0.5, 0.5, 72, 90), Note(1.0, 1.2, 76, 90))),
    )


def level(sound: np.ndarray, start_s: float, end_s: float) -> float:
    return float(np.sqrt(np.mean(sound[round(start_s * RATE) : round(end_s * RATE)] ** 2)))


def cents_from(sound: np.ndarray, pitch: int) -> float:
    """How far the strongest partial near `pitch` (or its second) is from it, in cents."""
    piece = sound[round(0.3 * RATE) : round(1.3 * RATE)].sum(axis=1)
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 8 * len(piece)))
    hertz = np.arange(len(spectrum)) * RATE / (8 * len(piece))
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    near = (hertz > wanted * 0.944) & (hertz < wanted * 1.059)  # a semitone either side
    found = hertz[near][np.argmax(spectrum[near])]
    # The partial must stand out, or any hum would pass.
    assert spectrum[near].max() > 20 * np.median(spectrum[(hertz > 30) & (hertz < 8000)])
    return float(1200 * np.log2(found / wanted))


MELODIC = [(item.roles[0], item) for item in INSTRUMENTS if not item.is_kit]


@pytest.mark.parametrize(("role", "item"), MELODIC, ids=lambda value: getattr(value, "name", ""))
def test_every_instrument_is_in_tune(role: Role, item) -> None:
    for pitch in (max(item.low, 31) + 5, (item.low + item.high) // 2):
        sound = play(a_line(role, item.program, Note(0.0, 1.5, pitch, 96)))
        assert abs(cents_from(sound, pitch)) < 45, pitch


@pytest.mark.parametrize("item", [item for item in INSTRUMENTS if item.is_kit], ids=lambda item: item.name)
def test_every_drum_of_every_kit_is_heard(item) -> None:
    for key in (36, 38, 39, 42, 46, 45, 50, 49, 51, 54):
        sound = play(a_line("drums", item.program, Note(0.0, 0.1, key, 100)))
        assert level(sound, 0.0, 0.15) > 1e-3, key


def test_a_note_starts_when_the_score_says() -> None:
    sound = play(a_line("chords", 0, Note(1.2345, 0.5, 60, 100)))
    first = int(np.argmax(np.abs(sound).max(axis=1) > 1e-4))
    assert 1.2345 <= first / RATE < 1.2345 + 0.012


def test_a_note_dies_away_after_it_is_let_go() -> None:
    sound = play(a_line("lead", 73, Note(0.0, 1.0, 72, 100)), roles=["lead"])
    assert level(sound, 2.4, 2.8) < 0.02 * level(sound, 0.4, 0.9)


def test_harder_is_louder() -> None:
    soft = play(a_line("lead", 73, Note(0.0, 1.0, 72, 50)))
    hard = play(a_line("lead", 73, Note(0.0, 1.0, 72, 110)))
    assert level(hard, 0.2, 0.9) > 2.5 * level(soft, 0.2, 0.9)


def test_a_closed_hat_silences_an_open_one() -> None:
    ringing = play(a_line("drums", 0, Note(0.0, 0.1, 46, 110)))
    choked = play(a_line("drums", 0, Note(0.0, 0.1, 46, 110), Note(0.5, 0.1, 42, 30)))
    assert level(choked, 0.8, 1.2) < 0.4 * level(ringing, 0.8, 1.2)


def test_stems_sum_to_the_mix() -> None:
    score = a_band()
    parts = stems(score)
    assert list(parts) == [track.role for track in score.tracks]
    total = np.sum(list(parts.values()), axis=0)
    assert np.abs(total - play(score)).max() < 1e-4


def test_the_length_is_exact_and_nothing_clips() -> None:
    for duration_s in (0.5, 2.0 / 3.0, 2.99999):
        score = a_score(*a_band().tracks, duration_s=duration_s)
        sound = play(score)
        assert sound.shape == (round(duration_s * RATE), 2)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert 0.01 < np.abs(sound).max() < 0.99
        assert np.abs(sound[-3:]).max() < 1e-3


def test_another_sample_rate_keeps_the_pitch() -> None:
    sound = play(a_line("lead", 73, Note(0.0, 1.4, 72, 100)), sample_rate_hz=24000)
    assert sound.shape == (72000, 2)
    assert abs(cents_from(np.repeat(sound, 2, axis=0), 72)) < 35


def test_the_same_score_gives_the_same_bytes_in_any_thread() -> None:
    score = a_band()
    wanted = play(score).tobytes()
    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(play(score).tobytes())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [wanted] * 3


def test_left_and_right_differ_but_balance() -> None:
    left, right = np.sqrt(np.mean(play(a_band()) ** 2, axis=0))
    assert left == pytest.approx(right, rel=0.35)
    assert not np.array_equal(*play(a_band()).T)


def test_a_score_without_length_is_refused() -> None:
    with pytest.raises(RequestError, match="duration_s"):
        play(a_score(duration_s=0.0))


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0.0, 14.0), max_size=6))
def test_a_score_played_in_parts_is_the_same_samples(times_s: list[float]) -> None:
    band = a_band()
    later = tuple(Note(n.start_s + 7.6, n.duration_s, n.pitch, n.velocity) for n in band.tracks[2].notes)
    whole = a_score(*band.tracks, Track("arp", 46, later), duration_s=14.0)
    player = Player(14 * RATE)
    parts = []
    for settled_s in sorted(times_s):
        # What is not settled yet may be anything.
        known = [Track(t.role, t.program, tuple(n for n in t.notes if n.start_s < settled_s)) for t in whole.tracks]
        parts.append(player.until(a_score(*known, duration_s=14.0), settled_s))
    parts.append(player.rest(whole))
    np.testing.assert_array_equal(np.concatenate(parts), play(whole))


def test_nothing_is_off_the_zero_line() -> None:
    for role, program in (("pad", 89), ("pad", 95), ("lead", 81), ("bass", 35)):  # looped samples that are
        sound = play(a_line(role, program, *(Note(at, 0.9, 48, 100) for at in (0.0, 1.0, 2.0))))
        loud = level(sound, 0.0, 3.0)
        assert np.abs(sound.mean(axis=0)).max() < 0.002 * loud, (role, program)
        slow = np.abs(np.fft.rfft(sound[:, 0]))[: (12 * 3)]  # below 12 Hz
        assert np.sqrt((slow**2).sum()) < 0.05 * np.sqrt((np.abs(np.fft.rfft(sound[:, 0])) ** 2).sum())


def test_a_style_has_its_balance_and_an_unknown_one_the_usual() -> None:
    band = a_band()

    def share(style: str | None) -> float:
        parts = stems(band, style=style)
        return level(parts["drums"], 0, 3) / level(parts["pad"], 0, 3)

    assert share("techno") > 1.2 * share(None) > 1.2 * share("ambient")
    np.testing.assert_array_equal(play(band, style="no such style"), play(band))
    total = np.sum(list(stems(band, style="ambient").values()), axis=0)
    assert np.abs(total - play(band, style="ambient")).max() < 1e-4


def test_a_song_dies_away_from_its_last_release() -> None:
    score = a_line("pad", 89, Note(0.0, 2.0, 60, 100))
    sound = play(Score(score.grid, score.key, 3.3, score.tracks))
    assert level(sound, 3.25, 3.3) < 0.06 * level(sound, 0.5, 2.0)
    held = play(Score(score.grid, score.key, 2.0, score.tracks))
    assert level(held, 1.9, 1.98) > 0.5 * level(held, 0.5, 1.8)  # one that is played to its end does not
