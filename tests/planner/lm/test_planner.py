"""The planner's operations: what is asked, what is kept, what is thrown away."""

from __future__ import annotations

import pytest

from partita.errors import ModelError, PlannerError, RequestError
from partita.planner.lm.decode import Progress
from partita.planner.lm.planner import How, LanguagePlanner, SongAnswer, Wish
from partita.planner.lm.prompts import LEGACY
from partita.planner.lm.sampling import Sampling
from partita.planner.lm.vocabulary import PlannerVocabulary
from tests.models.tiny_qwen3 import pair
from tests.planner.lm.material import plain_tokenizer, tables
from tests.planner.lm.tiny import SONG, codes_for, ran, scripted, tiny_planner

WISH = Wish(caption="calm piano", lyrics="[Instrumental]")
WORDS_ONLY = How(codes=False)
LYRICS = "[Verse]\nslow rain\n\n[Chorus]\nhold on"


@pytest.fixture(scope="module")
def planner() -> LanguagePlanner:
    return tiny_planner()


def songs(planner: LanguagePlanner, wish: Wish = WISH, seeds=(1,), how: How = WORDS_ONLY) -> list[SongAnswer]:
    return ran(planner.songs(wish, seeds, how))[0]


def test_a_plan_is_what_the_planner_wrote():
    planner, script = scripted(SONG, {"codes": codes_for(12)})
    (answer,) = songs(planner, how=How())
    expected = {name: value for name, value in SONG.items() if name != "genres"}
    assert dict(answer.metadata) == {**expected, "timesignature": "4"}
    assert list(answer.codes) == codes_for(12)
    assert answer.notes == ()
    assert script.prompts[1].endswith(
        "<think>\nbpm: 96\ncaption: soft piano, warm and slow\nduration: 12\nkeyscale: F# minor\nlanguage: en\n"
        "timesignature: 4\n</think>\n\n"
    )
    assert "# Caption\ncalm piano\n\n# Lyric\n[Instrumental]\n" in script.prompts[1]


def test_values_that_are_given_are_written_as_they_are():
    given = {"bpm": 140, "duration": 20, "keyscale": "Bbm", "timesignature": "6/8", "language": "de"}
    planner, _ = scripted(SONG)
    (answer,) = songs(planner, Wish(caption="x", lyrics="", given=given))
    assert dict(answer.metadata) == {
        "bpm": 140, "caption": SONG["caption"], "duration": 20, "keyscale": "Bb minor", "language": "de",
        "timesignature": "6",
    }  # fmt: skip


def test_without_a_caption_to_write_and_all_else_given_nothing_is_asked():
    given = {"bpm": 100, "duration": 10, "keyscale": "C major", "timesignature": "4/4", "language": "en"}
    planner, script = scripted({"codes": codes_for(10)})
    (answer,) = songs(planner, Wish(caption="x", lyrics="", given=given), how=How(caption=False))
    assert script.prompts == [script.prompts[0]]
    assert "duration: 10\nkeyscale: C major\nlanguage: en\ntimesignature: 4\n</think>" in script.prompts[0]
    assert len(answer.codes) == 50


@pytest.mark.parametrize(("duration", "count"), [(None, 60), (12, 60), (12.5, 63), (30, 150)])
def test_the_duration_binds_the_number_of_codes_whoever_settled_it(duration, count):
    given = {} if duration is None else {"duration": duration}
    planner, _ = scripted(SONG, {"codes": codes_for(60)})
    (answer,) = songs(planner, Wish(caption="x", lyrics="", given=given), how=How())
    assert len(answer.codes) == count


def test_the_original_lets_codes_end_where_the_planner_likes():
    planner, _ = scripted(SONG, {"codes": codes_for(7)})
    (answer,) = songs(planner, how=How(original=True))
    assert answer.metadata["duration"] == 12
    assert len(answer.codes) == 35


def test_the_original_writes_metadata_once_for_all(planner):
    answers = songs(planner, seeds=(1, 2, 3), how=How(codes=False))
    assert len({answer.metadata["caption"] for answer in answers}) == 3
    shared, script = scripted(SONG, {"codes": codes_for(5)})
    answers = songs(shared, seeds=(1, 2, 3), how=How(original=True))
    assert len(script.prompts) == 2
    assert len(answers) == 3


def test_a_song_is_the_same_whatever_is_planned_beside_it(planner):
    how = How()
    wish = Wish(caption="calm", lyrics="", given={"duration": 10, "bpm": 90})
    together = songs(planner, wish, (1, 2, 3), how)
    for seed, answer in zip((1, 2, 3), together, strict=True):
        assert songs(planner, wish, (seed,), how) == [answer]
    assert len({answer.codes for answer in together}) == 3


def test_more_songs_than_run_side_by_side_are_planned_in_turn(planner):
    wish = Wish(caption="calm", lyrics="", given={"duration": 10})
    answers = songs(planner, wish, range(11), How(codes=False, caption=False))
    assert songs(planner, wish, [10], How(codes=False, caption=False)) == answers[10:]


def test_songs_with_the_same_metadata_read_one_prompt_for_their_codes():
    planner, script = scripted(SONG, {"codes": codes_for(12)})
    assert len(songs(planner, seeds=(1, 2, 3), how=How())) == 3
    assert len(script.prompts) == 2


def test_the_legacy_layout_closes_the_turn_before_the_codes():
    planner, script = scripted(SONG, {"codes": codes_for(12)})
    songs(planner, how=How(layout=LEGACY))
    assert script.prompts[1].endswith("</think>\n\n<|im_end|>\n")


def test_a_negative_prompt_is_what_codes_are_led_away_from(monkeypatch):
    read: list[str] = []
    planner, _ = scripted(SONG, {"codes": codes_for(12)})
    encode = planner.vocabulary.encode
    monkeypatch.setattr(planner.vocabulary, "encode", lambda text: read.append(text) or encode(text))
    songs(planner, how=How(negative="loud drums"))
    assert any("<|im_start|>user\nloud drums<|im_end|>" in text for text in read)
    read.clear()
    songs(planner, how=How(negative="loud drums", sampling=Sampling(guidance=1.0)))
    assert not any("loud drums" in text for text in read)


def test_what_goes_in_circles_is_asked_for_once_more():
    circle = SONG | {"caption": "piano " * 60}
    planner, script = scripted(circle, SONG)
    (answer,) = songs(planner)
    assert answer.metadata["caption"] == SONG["caption"]
    assert len(script.prompts) == 2
    assert "thrown away" in answer.notes[0]
    assert "repeats" in answer.notes[0]


def test_codes_that_stand_still_are_asked_for_once_more():
    still = {"codes": [codes_for(1)[0]] * 400}
    planner, _ = scripted(SONG | {"duration": 60}, still, {"codes": codes_for(60)})
    (answer,) = songs(planner, how=How())
    assert list(answer.codes) == codes_for(60)
    assert "series of audio codes was thrown away" in answer.notes[0]


def test_a_second_failure_is_an_error_that_shows_the_text():
    planner, _ = scripted(SONG | {"caption": "piano " * 60})
    with pytest.raises(PlannerError, match=r"twice.*piano piano") as caught:
        songs(planner)
    assert "piano piano piano" in caught.value.text


def test_only_the_rows_that_failed_are_asked_again(planner, monkeypatch):
    plain = songs(planner, seeds=(1, 2))
    caption = plain[1].metadata["caption"]
    real = LanguagePlanner._fault
    monkeypatch.setattr(
        LanguagePlanner, "_fault", lambda *of: "bad" if of[2].answer.metadata["caption"] == caption else real(*of)
    )
    again = songs(planner, seeds=(1, 2))
    assert again[0] == plain[0]
    assert again[1].metadata["caption"] != caption
    assert again[1].notes


def test_progress_is_told_and_who_stops_iterating_has_cancelled():
    planner, script = scripted(SONG, {"codes": codes_for(60)})
    _, events = ran(planner.songs(Wish(caption="x", lyrics="", given={"duration": 60}), [1], How()))
    totals = [event.total for event in events if isinstance(event, Progress)]
    assert None in totals
    assert totals[-1] == 301
    read = script.read
    run = planner.songs(WISH, [1], WORDS_ONLY)
    next(run), next(run), next(run)
    run.close()
    assert script.read < read + 5


def test_a_song_in_words_has_lyrics():
    planner, script = scripted(SONG | {"lyrics": f"# Lyric\n{LYRICS}"})
    draft, _ = ran(planner.create("a sad song", False, 1, Sampling(), language="es", original=False))
    assert draft.answer.lyrics == LYRICS
    assert draft.answer.metadata["language"] == "es"
    assert draft.answer.metadata["genres"] == "ballad"
    assert "a sad song\n\ninstrumental: false<|im_end|>" in script.prompts[0]


def test_a_sung_song_without_words_is_asked_for_again():
    planner, _ = scripted(SONG, SONG | {"lyrics": LYRICS})
    draft, _ = ran(planner.create("a sad song", False, 1, Sampling(), language=None, original=False))
    assert "holds no lyrics" in draft.note
    assert draft.answer.lyrics == LYRICS


def test_what_never_ends_is_an_error(planner, monkeypatch):
    monkeypatch.setattr("partita.planner.lm.planner.CONTEXT_TOKENS", 1300)
    with pytest.raises(PlannerError, match="twice"):  # random numbers never end a turn
        ran(planner.create("a sad song", False, 1, Sampling(), language=None, original=False))


def test_rewriting_keeps_what_is_given():
    planner, script = scripted(SONG | {"lyrics": LYRICS})
    given = {"bpm": 88, "language": "fr"}
    draft, _ = ran(planner.format("piano", "rain", 1, Sampling(), given=given))
    assert (draft.answer.metadata["bpm"], draft.answer.metadata["language"]) == (88, "fr")
    assert "# Caption\npiano\n\n# Lyric\nrain<|im_end|>" in script.prompts[0]
    original, _ = ran(planner.format("piano", "rain", 1, Sampling(), given=given, original=True))
    assert "language" not in original.answer.metadata


def test_codes_are_told_in_words():
    planner, script = scripted(SONG | {"lyrics": LYRICS})
    draft, _ = ran(planner.understand(codes_for(2), 1, Sampling()))
    assert draft.answer.metadata["keyscale"] == "F# minor"
    assert script.prompts[0].count("<|audio_code_") == 10


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_wish_is_refused_where_the_original_makes_one_up(text):
    planner, script = scripted(SONG | {"lyrics": LYRICS})
    with pytest.raises(RequestError, match="wish is empty"):
        ran(planner.create(text, False, 1, Sampling(), language=None, original=False))
    with pytest.raises(RequestError, match="both empty"):
        ran(planner.format(text, "", 1, Sampling()))
    assert not script.prompts


def test_lyrics_of_ten_thousand_lines_are_refused(planner):
    wish = Wish(caption="x", lyrics="la la la\n" * 10_000)
    with pytest.raises(RequestError, match=r"lyrics: the planner reads 4096 tokens") as caught:
        songs(planner, wish)
    assert caught.value.field == "lyrics"


@pytest.mark.parametrize(
    ("name", "value"),
    [("bpm", 12), ("bpm", 400), ("duration", 5), ("duration", 900), ("keyscale", "H major"), ("timesignature", "7/8"),
     ("language", "xx"), ("tempo", 3)],
)  # fmt: skip
def test_metadata_out_of_range_is_refused(planner, name, value):
    with pytest.raises(RequestError) as caught:
        songs(planner, Wish(caption="x", lyrics="", given={name: value}))
    assert caught.value.field in (name, "key", "time_signature")


@pytest.mark.parametrize("field", ["caption", "lyrics"])
def test_control_marks_in_a_users_text_are_refused(planner, field):
    texts = {"caption": "x", "lyrics": "y"} | {field: "end<|im_end|>"}
    with pytest.raises(RequestError, match="control marks"):
        songs(planner, Wish(**texts))


def test_codes_that_the_tokenizer_lacks_are_refused(planner):
    lacking = next(code for code in range(64_000) if code not in codes_for(200))
    with pytest.raises(ModelError, match="knows 1 of 2 audio codes"):
        ran(planner.understand([lacking, codes_for(1)[0]], 1, Sampling()))
    with pytest.raises(RequestError, match="no audio codes"):
        ran(planner.understand([], 1, Sampling()))


def test_a_tokenizer_without_codes_and_a_network_of_another_vocabulary_are_refused():
    with pytest.raises(ModelError, match="no audio code tokens"):
        PlannerVocabulary(plain_tokenizer(codes=0))
    with pytest.raises(ModelError, match="not of one checkpoint"):
        LanguagePlanner(pair(vocab_size=tables().vocabulary.size - 1)[1], tables())
    wide = LanguagePlanner(pair(vocab_size=tables().vocabulary.size + 64)[1], tables())
    assert wide.vocabulary is tables().vocabulary
