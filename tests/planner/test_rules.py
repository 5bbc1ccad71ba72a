from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.planner.form import plan_sections, tagged_sections
from partita.planner.rules import RulePlanner
from partita.score.keys import KEYS
from partita.score.types import Grid
from partita.song.plan import Plan, PlannedSection
from partita.song.request import SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.source import SongOrigin, SourceFacts
from partita.song.task import Extend, Outpaint, Repaint, Retake, TextToMusic
from partita.text.languages import LANGUAGES
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


@pytest.mark.parametrize(
    ("caption", "field", "value"),
    [
        ("hard techno, one hundred and thirty two bpm", "bpm", 132),
        ("Walzer in cis-Moll", "key", "C# minor"),
        ("Walzer in cis-Moll", "time_signature", "3/4"),
        ("mellow lofi beat, 30 seconds", "duration_s", 30),
        ("eine Ballade, zwei und dann 2 Minuten", "duration_s", 120),
    ],
)
def test_other_spellings_are_read_too(caption, field, value):
    plan = planned(caption=caption)
    assert getattr(plan, field) == value
    assert plan.origins[field] == "rule"


@pytest.mark.parametrize(("caption", "what"), [("prog in 7/8", "7/8"), ("rain, twenty minutes", "1200 seconds")])
def test_a_metre_or_length_in_the_caption_that_cannot_be_played_is_refused(caption, what):
    with pytest.raises(RequestError, match=what) as caught:
        planned(caption=caption)
    assert caught.value.field == "caption"


def test_what_the_user_gave_wins_over_the_caption():
    plan = planned(caption="two minutes in C minor, 100 bpm", duration_s=31, key="D major", bpm=70)
    assert (plan.duration_s, plan.key, plan.bpm) == (31, "D major", 70)


SONG = "[Verse]\nWalking down the river road\nCarrying a heavier load\n\n[Chorus]\nOh, let it go\nOh, let it go"


def sung(**fields):
    return planned(**{"complete": False, "model": "ace-step-1.5-turbo", "lyrics": SONG, **fields})


def test_lyrics_have_the_time_that_they_take_and_their_language():
    plan = sung()
    assert (plan.language, plan.origins["language"], plan.origins["duration_s"]) == ("en", "rule", "rule")
    assert plan.duration_s == int(plan.duration_s)
    assert 25 < plan.duration_s < 50
    assert plan.notes == ()
    assert sung(lyrics=SONG * 3).duration_s > plan.duration_s
    assert sung(caption="very slow").duration_s > sung(caption="very fast").duration_s
    assert sung(bpm=60).duration_s > sung(bpm=150).duration_s


def test_the_user_s_length_and_language_win():
    plan = sung(duration_s=40, language="de")
    assert (plan.duration_s, plan.language) == (40, "de")
    assert (plan.origins["duration_s"], plan.origins["language"]) == ("user", "user")


def test_without_words_length_and_language_are_the_card_s():
    for fields in ({"lyrics": ""}, {"lyrics": "[Instrumental]"}, {"parity": True}):
        plan = sung(**fields)
        assert (plan.duration_s, plan.language) == (60, "unknown")
        assert (plan.origins["duration_s"], plan.origins["language"]) == ("card", "card")


def test_the_language_of_the_caption_helps_where_the_words_do_not():
    assert sung(lyrics="la la la", caption="ballad, Italian vocals").language == "it"
    assert sung(caption="ballad, Italian vocals").language == "en"


def test_a_whole_plan_of_lyrics_has_their_form_on_bar_lines():
    plan = planned(lyrics=SONG, bpm=90, time_signature="4/4")
    assert [section.kind for section in plan.sections] == ["intro", "verse", "chorus", "outro"]
    assert plan.sections[-1].end_s == plan.duration_s
    assert plan.duration_s == pytest.approx(16 * Grid(90, "4/4").bar_s, abs=0.04)


def test_what_may_not_be_sung_is_noted():
    much = f"{SONG}\n" * 8
    assert "syllables" in sung(lyrics=much, duration_s=10).notes[0]
    assert sung(lyrics="[Vrese]\nhello").notes[0].startswith("Lyrics, line 1: [Vrese]")
    assert planned(lyrics=much, duration_s=10).notes == ()  # it has no voice


def test_the_words_of_a_source_are_as_the_source_has_them():
    source = SOURCE_PLAN.model_copy(update={"lyrics": "[Vrese]\nhello there my friend"})
    task = Repaint(source="a", start_s=4, end_s=9)
    plan = edited(task, plan=source, model="ace-step-1.5-turbo", family="acestep-1.5")
    assert (plan.language, plan.notes) == ("unknown", ())
    other = edited(
        task, plan=source, model="ace-step-1.5-turbo", family="acestep-1.5", lyrics="[Vrese]\nhallo mein Freund"
    )
    assert (other.language, other.origins["language"], len(other.notes)) == ("de", "rule", 1)
    assert other.duration_s == source.duration_s


@settings(max_examples=60)
@given(st.text(min_size=1, max_size=60), st.text(max_size=200), st.booleans(), st.integers(0, 99999))
def test_any_text_gives_a_plan_within_the_ranges(caption, lyrics, complete, seed):
    caption, lyrics = f"x{caption}".replace("\0", ""), lyrics.replace("\0", "")
    model = "built-in" if complete else "ace-step-1.5-turbo"
    try:
        plan = planned(seed, complete, model, caption=caption, lyrics=lyrics)
    except RequestError as error:  # chance has written a tempo, metre or length that cannot be played
        if error.field != "caption":
            raise
        return
    assert plan == planned(seed, complete, model, caption=caption, lyrics=lyrics)
    assert 1 <= plan.duration_s <= 600
    assert plan.language in LANGUAGES
    if complete:
        assert 60 <= plan.bpm <= 180
        assert plan.key in KEYS
        assert plan.sections[0].start_s == 0
        assert plan.sections[-1].end_s == plan.duration_s


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


SOURCE_PLAN = Plan(
    caption="calm waltz",
    lyrics="[Instrumental]",
    language="unknown",
    duration_s=20.0,
    bpm=90,
    key="F# minor",
    time_signature="3/4",
    sections=(
        PlannedSection(kind="intro", start_s=0.0, end_s=8.0),
        PlannedSection(kind="verse", start_s=8.0, end_s=20.0),
    ),
)


def edited(task, plan=SOURCE_PLAN, model="built-in", family="built-in", **fields):
    song = SongOrigin(model=model, family=family, plan=plan, gain_db=0.0)
    source = SourceFacts(sha256="ab" * 32, samples=round(plan.duration_s * 48_000), song=song)
    resolved = resolve(SongRequest(task=task, **fields), card(model), TakenIn(source=source))
    return RulePlanner(complete=card(model).makes_score).plan(resolved, 5)


@pytest.mark.parametrize(("model", "family"), [("built-in", "built-in"), ("ace-step-1.5-turbo", "acestep-1.5")])
def test_what_an_edit_leaves_open_is_its_source_s(model, family):
    plan = edited(Repaint(source="a", start_s=4, end_s=9), model=model, family=family)
    assert (plan.bpm, plan.key, plan.time_signature) == (90, "F# minor", "3/4")
    assert (plan.sections, plan.duration_s, plan.caption) == (SOURCE_PLAN.sections, 20.0, "calm waltz")
    names = ("bpm", "key", "time_signature", "sections", "duration_s", "caption")
    assert {plan.origins[name] for name in names} == {"source"}


def test_an_edit_s_own_words_and_tempo_are_the_user_s():
    task = Repaint(source="a", start_s=4, end_s=9)
    plan = edited(task, model="ace-step-1.5-turbo", family="acestep-1.5", caption="storm", bpm=100)
    assert (plan.caption, plan.bpm, plan.key) == ("storm", 100, "F# minor")
    assert (plan.origins["caption"], plan.origins["bpm"], plan.origins["key"]) == ("user", "user", "source")


@pytest.mark.parametrize("field", [{"bpm": 91}, {"key": "F# major"}, {"time_signature": "4/4"}])
def test_a_score_is_not_given_a_second_tempo_key_or_metre(field):
    with pytest.raises(RequestError, match="source is in") as caught:
        edited(Repaint(source="a", start_s=4, end_s=9), **field)
    assert [caught.value.field] == list(field)
    assert edited(Repaint(source="a", start_s=4, end_s=9), bpm=90, key="F# minor").origins["key"] == "user"


@settings(max_examples=60)
@given(st.floats(0, 200), st.floats(0, 200), st.integers(60, 180), st.sampled_from(("3/4", "4/4", "6/8")))
def test_a_longer_song_keeps_the_beats_and_the_form_of_its_source(left_s, right_s, bpm, metre):
    if max(left_s, right_s) < 0.1:
        left_s = 4.0
    bar_s = Grid(bpm, metre).bar_s
    source = SOURCE_PLAN.model_copy(update={"bpm": bpm, "time_signature": metre})
    plan = edited(Extend(source="a", left_s=left_s, right_s=right_s), plan=source)
    at_s = round(left_s * 25) / 25
    assert 0 <= plan.beat_offset_s < bar_s
    beats = (at_s - plan.beat_offset_s) / bar_s
    assert beats == pytest.approx(round(beats), abs=1e-6)
    assert plan.sections[0].start_s == 0
    assert plan.sections[-1].end_s == plan.duration_s
    for before, after in pairwise(plan.sections):
        assert before.end_s == pytest.approx(after.start_s, abs=1e-9)
        assert before.end_s > before.start_s
    verse = next(one for one in plan.sections if one.start_s == pytest.approx(at_s + 8.0))
    assert verse.kind == "verse"
    for added in (one for one in plan.sections if one.start_s > at_s + 20.0 or 0 < one.start_s < at_s):
        bars = (added.start_s - plan.beat_offset_s) / bar_s
        assert bars == pytest.approx(round(bars), abs=1e-6)


def test_a_few_bars_more_go_on_with_the_last_section_and_a_minute_gets_a_form():
    few = edited(Extend(source="a", right_s=8.0))
    assert [(one.kind, one.end_s) for one in few.sections] == [("intro", 8.0), ("verse", 28.0)]
    many = edited(Extend(source="a", right_s=56.0))
    assert [one.kind for one in many.sections] == ["intro", "verse", "chorus", "verse", "chorus", "outro"]
    before = edited(Outpaint(source="a", start_s=-8.0, end_s=3.0))
    assert [(one.kind, one.start_s) for one in before.sections] == [("intro", 0.0), ("intro", 8.0), ("verse", 16.0)]
    chorus = SOURCE_PLAN.model_copy(update={"sections": (PlannedSection(kind="chorus", start_s=0.0, end_s=20.0),)})
    assert [one.kind for one in edited(Extend(source="a", left_s=6.0), plan=chorus).sections] == ["chorus", "chorus"]
    minute = edited(Extend(source="a", left_s=40.0), plan=chorus)
    assert [(one.kind, one.start_s) for one in minute.sections] == [
        ("intro", 0.0),
        ("verse", 8.0),
        ("chorus", 24.0),
        ("chorus", 40.0),
    ]


def test_a_song_that_was_extended_is_extended_again_on_the_same_beats():
    once = edited(Extend(source="a", left_s=3.0))
    assert once.beat_offset_s == pytest.approx(1.0)
    twice = edited(Extend(source="a", left_s=3.0), plan=once)
    assert twice.beat_offset_s == pytest.approx(0.0, abs=1e-6)


def test_a_retake_has_the_plan_of_the_song_it_retakes():
    request = SongRequest(caption="x", task=Retake(of_seed=7))
    assert RulePlanner(complete=True).plan(resolve(request, card("built-in")), 99) == planned(7)


def test_given_codes_are_part_of_the_plan():
    plan = planned(complete=False, model="ace-step-1.5-turbo", task=TextToMusic(codes=(1, 2, 3, 4, 5)))
    assert (plan.codes, plan.duration_s) == ((1, 2, 3, 4, 5), 1.0)
    assert (plan.origins["codes"], plan.origins["duration_s"]) == ("user", "user")
