"""What the numbers of the meters are worth."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from partita.engine.scoring import key_worth, score_song, seam_times_s, tempo_worth
from partita.measure.alignment import AlignmentScore
from partita.measure.key import KeyEstimate
from partita.render.protocol import LyricsHeard
from partita.song.plan import Plan
from partita.song.record import EditRecord, LoudnessRecord, Record, RuntimeRecord
from partita.song.request import SongRequest
from partita.song.resolve import resolve
from partita.song.scores import PlannerScores
from partita.weights.catalog import card

RATE = 48_000


def clicks(bpm: float, seconds: float = 8.0, pitch_hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """Decaying tones on the beat, `[N, 2]`."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    since_s = time_s % (60 / bpm)
    tone = level * np.sin(2 * np.pi * pitch_hz * time_s) * np.exp(-since_s / 0.08)
    return np.stack([tone, tone], axis=1).astype(np.float32)


def record_of(frames: int, *, plan: dict | None = None, edit: EditRecord | None = None, **loudness) -> Record:
    request = resolve(SongRequest(caption="x", seed=1, model="built-in"), card("built-in"))
    done = {"mode": "off", "gain_db": 0.0, "limited": False, "before_lufs": -14.0, "after_lufs": -14.0}
    return Record(
        request=request,
        plan=Plan(**{"caption": "x", "lyrics": "", "language": "unknown", "duration_s": frames / RATE} | (plan or {})),
        runtime=RuntimeRecord(
            device="cpu", number_format="float32", attention="sdpa", compiled=False, threads=1, cpu="test"
        ),
        versions={},
        weights={},
        sample_rate_hz=RATE,
        frames=frames,
        audio_sha256="0" * 64,
        loudness=LoudnessRecord(**done | {"after_true_peak_db": -1.0} | loudness),
        edit=edit,
    )


def scored(audio: np.ndarray, **fields):
    return score_song(record_of(len(audio), **fields), audio)


def fault_names(scores) -> list[str]:
    return [fault.name for fault in scores.faults]


@pytest.mark.parametrize(
    ("heard", "worth"), [(120, 1), (121, 1), (60, 1), (240, 1), (132.1, 0), (100, 0), (126.6, 0.5), (None, 0)]
)
def test_a_tempo_counts_as_far_as_it_is_right(heard, worth):
    assert tempo_worth(heard, 120) == pytest.approx(worth, abs=0.01)


@given(st.floats(20, 400), st.integers(30, 300))
def test_a_tempo_is_worth_something_from_0_to_1(heard, asked):
    assert 0 <= tempo_worth(heard, asked) <= 1
    assert tempo_worth(heard, heard) == 1


@pytest.mark.parametrize(
    ("name", "runner_up", "confidence", "worth"),
    [
        ("A minor", "C major", 1.0, 1.0),
        ("C major", "A minor", 1.0, 0.3),
        ("C major", "A minor", 0.0, 1.0),
        ("C major", "A minor", 0.5, 0.65),
        ("A major", "F# major", 0.0, 0.2),
        (None, None, 0.0, 0.0),
    ],
)
def test_a_key_counts_by_its_relation_and_an_unclear_one_by_the_second_guess_too(name, runner_up, confidence, worth):
    estimate = KeyEstimate(name, confidence, 0.5, runner_up, (0.0,) * 12)
    assert key_worth(estimate, "A minor") == pytest.approx(worth)


def test_tempo_and_key_are_compared_with_the_plan():
    scores = scored(clicks(120, pitch_hz=440), plan={"bpm": 120, "key": "A major"})
    marks = {mark.name: mark for mark in scores.marks}
    assert marks["tempo"].score == 1
    assert "120 asked" in marks["tempo"].said
    assert marks["key"].said.endswith("A major asked")
    assert scored(clicks(108), plan={"bpm": 120}).overall < 0.2


def test_nothing_asked_is_judged_by_its_sound_alone():
    scores = scored(clicks(120))
    assert (scores.marks, scores.fit) == ((), 1.0)


def test_a_short_song_has_no_tempo_to_judge():
    assert scored(clicks(120, seconds=2), plan={"bpm": 120}).marks == ()


def _with_holes(audio):
    for second in (1, 2, 3):
        audio[second * RATE + 200 : second * RATE + 1200] = 0
    return audio


def _clipped(audio):
    return np.clip(audio * 20, -0.9, 0.9)


def _late(audio):
    audio[: 3 * RATE] = 0
    return audio


def _gone_early(audio):
    audio[-5 * RATE :] = 0
    return audio


def _with_a_gap(audio):
    audio[2 * RATE : 6 * RATE] = 0
    return audio


def _offset(audio):
    return audio + np.float32(0.05)


def _cut_off(audio):
    return audio[: -round(0.45 * RATE)]


FAULTS = {
    "drop-outs": _with_holes,
    "clipping": _clipped,
    "late start": _late,
    "early end": _gone_early,
    "gap": _with_a_gap,
    "offset": _offset,
    "ending": _cut_off,
    "silence": np.zeros_like,
}


def test_a_sound_song_has_no_faults():
    assert scored(clicks(120)).faults == ()


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_and_takes_something_off(name):
    scores = scored(FAULTS[name](clicks(120)))
    assert name in fault_names(scores)
    assert scores.overall < 1


def test_silence_is_worth_nothing():
    assert scored(np.zeros((RATE * 4, 2), np.float32)).overall == 0


def test_what_the_limiter_took_is_counted_beyond_one_unit():
    mild = {"limited": True, "before_lufs": -20.0, "gain_db": 6.0, "after_lufs": -14.5}
    assert fault_names(scored(clicks(120), **mild)) == []
    hard = mild | {"after_lufs": -18.0}
    (fault,) = scored(clicks(120), **hard).faults
    assert (fault.name, fault.taken_off) == ("limiter", pytest.approx(0.15))


def test_a_seam_that_is_heard_is_counted_where_it_is():
    audio = np.random.default_rng(0).normal(0, 0.05, (8 * RATE, 2)).astype(np.float32)
    edit = EditRecord(kept=True, spans=((2 * RATE, 4 * RATE),), crossfade_samples=0, limited=False, gain_db=0)
    assert "seams" not in fault_names(scored(audio, edit=edit))
    audio[4 * RATE :] *= 8
    found = {fault.name: fault for fault in scored(audio, edit=edit).faults}
    assert found["seams"].said == "heard at 4.00 s"


def test_seams_too_near_an_end_are_left_out():
    edit = EditRecord(kept=True, spans=((0, RATE), (3 * RATE, 4 * RATE)), crossfade_samples=0, limited=False, gain_db=0)
    assert seam_times_s(record_of(4 * RATE, edit=edit), 4 * RATE) == [1.0, 3.0]


def test_an_end_that_is_the_sources_own_is_not_judged():
    audio = _cut_off(clicks(120))
    edit = EditRecord(kept=True, spans=((RATE, 2 * RATE),), crossfade_samples=0, limited=False, gain_db=0)
    assert "ending" not in fault_names(scored(audio, edit=edit))


def test_without_audio_the_meters_are_left_out():
    scores = score_song(record_of(RATE, plan={"bpm": 100}), None, notes=["no audio"])
    assert (scores.marks, scores.notes) == ((), ("no audio",))


def test_singing_and_the_planner_have_their_places():
    def sung(score):
        return AlignmentScore(score, 0.9, 1.0, 0.5)

    planner = PlannerScores(
        planner="p", codes_of="plan", fields={"caption": 0.8, "lyrics": 0.6, "bpm": 0.9}, total=0.76
    )
    scores = score_song(
        record_of(RATE), None, sung=LyricsHeard((), conditions=sung(0.1), song=sung(0.4)), planner=planner
    )
    assert {one.name: one.score for one in scores.components} == pytest.approx(
        {"caption": 0.8, "lyrics": 0.5, "metadata": 0.9}
    )
    assert scores.overall == pytest.approx(0.5 * 0.8 + 0.3 * 0.5 + 0.2 * 0.9)
    assert scores.lyrics is not None
    assert scores.lyrics.conditions_score == 0.1


def test_the_planners_scores_alone_give_its_total():
    fields = {"caption": 0.8, "lyrics": 0.6, "bpm": 0.9}
    scores = score_song(
        record_of(RATE), None, planner=PlannerScores(planner="p", codes_of="plan", fields=fields, total=0.76)
    )
    assert scores.overall == pytest.approx(0.76)
