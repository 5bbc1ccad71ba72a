from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.planner.form import plan_sections, tagged_sections
from partita.planner.rules import RulePlanner
from partita.score.keys import KEYS
from partita.score.types import Grid
from partita.song.request import SongRequest
from partita.song.resolve import resolve
from partita.weights.catalog import card


def planned(seed=1, complete=True, model="built-in", **fields):
    return RulePlanner(complete=complete, bpm_min=60, bpm_max=180).plan(
        resolve(SongRequest(**{"caption": "x", **fields}), card(model)), seed
    )


def test_what_the_user_gave_stands():
    plan = planned(bpm=97, key="Eb minor", time_signature="3/4", duration_s=31)
    assert (plan.bpm, plan.key, plan.time_signature, plan.duration_s) == (97, "Eb minor", "3/4", 31)
    assert all(plan.origins[name] == "user" for name in ("bpm", "key", "time_signature", "duration_s"))


@pytest.mark.parametrize(
    ("caption", "field", "value"),
    [
        ("techno at 132 bpm", "bpm", 132),
        ("a song, tempo 75", "bpm", 75),
        ("piano in F# minor, dreamy", "key", "F# minor"),
        ("in Bbm, dark", "key", "Bb minor"),
        ("a jig in 6/8", "time_signature", "6/8"),
        ("a Viennese waltz", "time_signature", "3/4"),
    ],
)
def test_the_caption_is_taken_at_its_word(caption, field, value):
    plan = planned(caption=caption)
    assert getattr(plan, field) == value
    assert plan.origins[field] == "rule"


def test_a_tempo_in_the_caption_that_cannot_be_played_is_refused():
    with pytest.raises(RequestError, match="60 to 180"):
        planned(caption="grindcore at 240 bpm")


def test_words_of_mood_choose_the_mode():
    assert all((planned(seed, caption="sad song").key or "").endswith("minor") for seed in range(20))
    assert all((planned(seed, caption="happy song").key or "").endswith("major") for seed in range(20))


def test_a_model_that_can_leave_things_open_gets_them_open():
    plan = planned(complete=False, caption="techno at 132 bpm in A minor", model="ace-step-1.5-turbo")
    assert (plan.bpm, plan.key, plan.time_signature, plan.sections) == (None, None, None, ())
    assert set(plan.origins) == {"caption", "lyrics", "language", "duration_s"}


def test_the_same_seed_plans_the_same():
    assert planned(5) == planned(5)
    assert len({(planned(seed).bpm, planned(seed).key) for seed in range(20)}) > 10


@settings(max_examples=60)
@given(st.floats(1, 600), st.integers(60, 180), st.sampled_from(("3/4", "4/4", "6/8")), st.integers(0, 99999))
def test_sections_fill_the_song_without_gaps_on_bar_lines(duration, bpm, metre, seed):
    plan = planned(seed, duration_s=duration, bpm=bpm, time_signature=metre)
    sections, bar_s = plan.sections, Grid(bpm, metre).bar_s
    assert sections[0].start_s == 0
    assert sections[-1].end_s == duration
    for before, after in pairwise(sections):
        assert before.end_s == after.start_s
        assert after.start_s / bar_s == pytest.approx(round(after.start_s / bar_s), abs=1e-6)
    assert plan.key in KEYS


def test_tags_in_the_lyrics_give_the_form():
    lyrics = "[Intro]\n\n[Verse 1]\na\nb\nc\nd\n[Chorus - anthemic]\ne\nf\n[Whispers]\ng\n[Outro]\n"
    assert tagged_sections(lyrics) == [("intro", 0), ("verse", 4), ("chorus", 2), ("outro", 0)]
    plan = planned(lyrics=lyrics, duration_s=60)
    assert [section.kind for section in plan.sections] == ["intro", "verse", "chorus", "outro"]


def test_more_tags_than_bars_still_fill_the_song():
    from random import Random

    sections = plan_sections("[Verse]\n" * 50, 4.0, 60, "4/4", Random("s"))
    assert sections[0].start_s == 0
    assert sections[-1].end_s == 4.0
