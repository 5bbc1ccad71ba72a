import itertools
import json
from pathlib import Path

import pytest

from partita.errors import RequestError
from partita.planner.budget import spans_of, usual_rate
from partita.planner.lint import lint
from partita.planner.lm.planner import SongAnswer
from partita.planner.lm.songs import plan_of, wish_of
from partita.planner.pace import pace_of
from partita.planner.reading import duration_s_of, key_of, language_named, metre_of, tempo_of
from partita.planner.rules import RulePlanner
from partita.song.plan import Plan
from partita.song.planning import PlannedBy, PlannerOptions
from partita.song.request import SongRequest
from partita.song.resolve import ResolvedRequest, TakenIn, resolve
from partita.song.source import SongOrigin, SourceFacts
from partita.song.styles import Said, Style, Words, caption_of, find_style, styles
from partita.song.task import Cover
from partita.text.detection import language_of
from partita.text.prompts import INSTRUMENTAL_LYRICS
from partita.text.sections import parts_of
from partita.text.syllables import syllables
from partita.text.v1.lyrics import tokenize_lyrics
from partita.text.v1.tags import TRAINED
from partita.text.v1.tokenizer import UNKNOWN_ID, LyricTokenizer
from partita.weights.catalog import card

VOCABULARY = Path(__file__).parents[2].parent / "shared" / "golden" / "v1" / "lyric_vocab.json"
ALL = [pytest.param(style, id=style.name) for style in styles()]
WORDS = [pytest.param(s, w, id=f"{s.name}-{w.language}") for s in styles() for w in s.lyrics]
LATIN = {
    *("reggaeton", "salsa", "bachata", "merengue", "cumbia", "vallenato", "bolero", "tango", "mariachi", "ranchera"),
    *("corrido-tumbado", "pop-latino", "trap-latino", "flamenco", "son-cubano"),
}
SINGING = "ace-step-1.5-turbo"


def resolved(style="salsa", model=SINGING, taken=None, **fields):
    return resolve(SongRequest(style=style, **{"seed": 7, **fields}), card(model), taken or TakenIn())


def every_line(words: Words) -> set[str]:
    """Each line that the words can have, with every choice in its slots."""
    lines: set[str] = set()
    for line in (line.text for part in parts_of(words.text) for line in part.lines):
        slots = [name for name in words.slots if f"{{{name}}}" in line]
        for choices in itertools.product(*(words.slots[name] for name in slots)):
            lines.add(line.format(**dict(zip(slots, choices, strict=True))))
    return lines


# The shipped ones.


def test_there_are_genres_in_spanish_and_in_english():
    of = {language: {s.name for s in styles() if s.words_in(language)} for language in ("es", "en", "pt")}
    assert of["es"] >= LATIN
    assert len(of["en"]) >= 12
    assert "bossa-nova" in of["pt"] & of["es"]


def test_no_two_styles_answer_to_one_name():
    names = [name for s in styles() for name in {s.name, *map(str.lower, s.aliases)}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("style", ALL)
def test_a_style_says_what_it_is(style):
    tags = (*style.genre, *style.instruments, *style.moods, *style.vocals)
    assert len(tags) == len({tag.lower() for tag in tags})
    assert style.instruments
    assert style.moods
    assert style.vocals
    assert style.built_in
    assert {"en", "es"} <= set(style.title)
    assert {"en", "es"} <= set(style.about)
    assert style.bpm is not None
    low, high = style.bpm
    assert 55 <= low < high <= 200
    assert high / low < 1.7


@pytest.mark.parametrize("style", ALL)
@pytest.mark.parametrize("family", ["acestep-1.5", "built-in"])
def test_a_caption_is_not_misread(style, family):
    caption = caption_of(style, family, language=style.language)
    assert (tempo_of(caption), key_of(caption), duration_s_of(caption), language_named(caption)) == (None,) * 4
    assert metre_of(caption) in (None, style.time_signature or "4/4")


@pytest.mark.parametrize(("style", "words"), WORDS)
def test_words_have_a_whole_form_of_tags_that_are_trained(style, words):
    parts = parts_of(words.text)
    tags = [part.tag.text for part in parts if part.tag is not None]
    assert all(part.tag is not None for part in parts)
    assert set(tags) <= set(TRAINED)
    assert {"verse", "pre-chorus", "chorus", "bridge", "outro"} <= set(tags)
    assert tags.count("verse") >= 2
    choruses = {tuple(line.text for line in part.lines) for part in parts if part.tag and part.tag.text == "chorus"}
    assert tags.count("chorus") >= 2
    assert len(choruses) == 1


@pytest.mark.parametrize(("style", "words"), WORDS)
def test_two_songs_are_not_the_same_words(style, words):
    assert len({words.filled(seed) for seed in range(40)}) >= 8
    assert words.filled(3) == words.filled(3)


@pytest.mark.parametrize(("style", "words"), WORDS)
def test_lines_can_be_sung_and_are_in_their_language(style, words):
    lines = every_line(words)
    assert all(4 <= syllables(line, words.language) <= 14 for line in lines)
    assert not any(character.isdigit() for line in lines for character in line)
    of_its_language = sum(language_of(line) == words.language for line in lines)
    assert of_its_language >= 0.9 * len(lines)
    assert language_of(words.filled(0)) == words.language


@pytest.mark.parametrize(("style", "words"), WORDS)
@pytest.mark.parametrize("duration_s", [90, 120])
def test_words_are_not_found_fault_with_at_the_styles_tempo(style, words, duration_s):
    for bpm in style.bpm:
        caption = caption_of(style, "acestep-v1", bpm=bpm, language=words.language)
        lyrics = words.filled(bpm)
        plan = Plan(
            **{"caption": caption, "lyrics": lyrics, "language": words.language, "duration_s": duration_s},
            **{"bpm": bpm, "time_signature": style.time_signature},
        )
        assert lint(lyrics, plan) == ()


@pytest.mark.parametrize(("style", "words"), WORDS)
def test_words_make_a_song_of_a_minute_to_four(style, words):
    for bpm in style.bpm:
        grid = pace_of("", bpm, style.time_signature)
        spans = spans_of(words.filled(0), grid, usual_rate(bpm, words.language), words.language)
        assert 60 <= sum(span.bars for span in spans) * grid.bar_s <= 240


@pytest.mark.skipif(not VOCABULARY.exists(), reason=f"the lyric vocabulary of ACE-Step v1 is not at {VOCABULARY}")
def test_v1_reads_every_word_of_them():
    tokenizer = LyricTokenizer.load(VOCABULARY)
    for style in styles():
        for words in style.lyrics:
            lyrics = "\n".join([words.filled(0), *sorted(every_line(words))])
            read = tokenize_lyrics(lyrics, tokenizer, language=words.language)
            assert UNKNOWN_ID not in read.ids
            assert read.notes == ()
            first = {line.ids[0] for line in read.lines if line.ids and not line.text.startswith("[")}
            assert len(first) == 1


# Finding them.


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("reggaeton", "reggaeton"),
        ("Reggaetón", "reggaeton"),
        ("REGUETÓN", "reggaeton"),
        ("drum & bass", "drum-and-bass"),
        ("Drum_and_bass", "drum-and-bass"),
        ("hip hop", "hip-hop"),
        ("lofi", "lo-fi"),
        ("Góspel", "gospel"),
        ("bossa nova", "bossa-nova"),
        ("mariachi ranchera", "mariachi"),
    ],
)
def test_a_style_is_found_by_any_of_its_names(name, found):
    assert find_style(name).name == found


def test_a_slip_is_answered_with_what_may_be_meant():
    with pytest.raises(RequestError, match=r"Did you mean bachata\?") as caught:
        find_style("bacchata")
    assert (caught.value.field, caught.value.value) == ("style", "bacchata")
    with pytest.raises(RequestError, match="partita styles"):
        find_style("zzzzzzz")


def mine(tmp_path, text):
    path = tmp_path / "Mi Ska.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_of_ones_own_is_a_style(tmp_path):
    path = mine(tmp_path, "genre: [ska]\nbpm: [150, 150]\nlyrics: [{language: es, text: '[verse]\n\n  Hola'}]")
    assert find_style(path) == Style(
        name="mi-ska", genre=("ska",), bpm=(150, 150), lyrics=(Words(language="es", text="[verse]\nHola"),)
    )
    song = resolved(path)
    assert (song.style, song.bpm, song.caption, song.lyrics) == ("mi-ska", 150, "ska, spanish", "[verse]\nHola")
    assert str(tmp_path) not in song.model_dump_json()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("genre: [ska", "is not YAML"),
        ("just words", "holds no fields"),
        ("bpm: [90, 100]", "genre: Field required"),
        ("genre: []", r"genre cannot be \[\]"),
        ("genre: ['ska, punk']", "without commas"),
        ("genre: [ska]\nbpm: [10, 400]", r"bpm cannot be \[10, 400\]: must be two whole numbers from 30 to 300"),
        ("genre: [ska]\nbpm: [120, 100]", "the lower one first"),
        ("genre: [ska]\ntempo: 90", "has a field tempo, which styles have not: name"),
        ("genre: [ska]\nkeys: [H dur]", "keys: key 'H dur' is not a key"),
        ("genre: [ska]\nlanguage: xx", "language cannot be 'xx': must be one of ar"),
        ("genre: [ska]\ntime_signature: 5/4", "time_signature cannot be '5/4'"),
        ("genre: [ska]\nlyrics: [{language: es, text: 'Hola {amor}'}]", "the slot {amor} has no choices"),
        ("genre: [ska]\nlyrics: [{language: es, text: Hola, slots: {a: [b]}}]", "the slot {a} is nowhere"),
        ("genre: [ska]\nlyrics: [{language: es, text: 'Hola {'}]", "curly bracket"),
        ("genre: [ska]\nlyrics: [{language: es, text: '{a:>9}', slots: {a: [b]}}]", "and nothing else"),
        ("genre: [ska]\nlyrics: [{language: es, text: '{a}', slots: {a: []}}]", "needs choices"),
    ],
)
def test_a_file_that_is_no_style_says_why(tmp_path, text, told):
    path = mine(tmp_path, text)
    with pytest.raises(RequestError, match=told) as caught:
        find_style(path)
    assert path in str(caught.value)
    assert caught.value.field == "style"


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(RequestError, match="cannot be read"):
        find_style(str(tmp_path / "none.yaml"))
    (tmp_path / "large.yaml").write_text("#" * 300_000)
    with pytest.raises(RequestError, match="larger than"):
        find_style(str(tmp_path / "large.yaml"))
    (tmp_path / "latin.yaml").write_bytes("genre: [música]".encode("latin-1"))
    with pytest.raises(RequestError, match="not UTF-8"):
        find_style(str(tmp_path / "latin.yaml"))


# What they fill in.


@pytest.mark.parametrize("style", ALL)
@pytest.mark.parametrize("model", ["built-in", "ace-step-1.5-base", "ace-step-v1"])
def test_a_style_alone_is_a_request(style, model):
    song = resolved(style.name, model)
    assert song.style == style.name
    assert song.bpm is not None
    assert max(style.bpm[0], card(model).bpm_min) <= song.bpm <= min(style.bpm[1], card(model).bpm_max)
    assert song.caption.startswith(style.built_in[0] if model == "built-in" else style.genre[0])
    assert song.instrumental == (model == "built-in")
    assert song.time_signature == style.time_signature
    if model != "built-in":
        assert song.language == style.language
        assert song.lyrics == style.words_of_seed(None, 7).filled(7)
        assert len(song.warnings) == 1
        assert "the words are the style's own" in song.warnings[0]


def test_v1_is_told_the_tempo_among_its_tags():
    song = resolved("tango", "ace-step-v1", bpm=120)
    assert song.caption == (
        "tango, bandoneon, violin, piano, double bass, 120 bpm, dramatic, passionate, deep female vocals, spanish"
    )
    assert song.key is None
    assert "bpm" not in resolved("tango", bpm=120).caption


def test_nothing_that_was_asked_for_is_changed():
    song = resolved(bpm=175, key="E major", time_signature="6/8", lyrics="[verse]\nLas palabras que yo traigo son mías")
    assert (song.bpm, song.key, song.time_signature) == (175, "E major", "6/8")
    assert song.lyrics == "[verse]\nLas palabras que yo traigo son mías"
    assert song.language == "unknown"
    assert song.caption.endswith("spanish")
    assert song.warnings == ()
    assert song.styled == ("caption",)


def test_a_caption_of_ones_own_comes_first_and_sets_the_mood():
    song = resolved(caption="A sad Salsa about rain, with a female voice.")
    assert song.caption == (
        "A sad Salsa about rain, with a female voice, piano montuno, brass section, congas, timbales, spanish"
    )
    assert "caption" not in song.styled


def test_what_the_caption_says_of_the_plan_is_left_alone():
    said = Said(bpm=96, key="A major", language="en")
    song = resolved("tango", caption="96 bpm in A major, sung in English", taken=TakenIn(said=said))
    assert (song.bpm, song.key) == (None, None)
    assert song.lyrics == INSTRUMENTAL_LYRICS


@pytest.mark.parametrize("fields", [{"instrumental": True}, {"caption": "instrumental"}, {"caption": "no vocals"}])
def test_music_without_a_voice_gets_neither_words_nor_a_singer(fields):
    song = resolved(**fields)
    assert song.instrumental
    assert song.lyrics == INSTRUMENTAL_LYRICS
    assert "spanish" not in song.caption
    assert "male lead" not in song.caption
    assert song.warnings == ()


def test_a_language_that_the_style_has_no_words_in_is_told():
    song = resolved(language="en")
    assert song.instrumental
    assert song.language == "en"
    assert "has words in Spanish and not in English" in " ".join(song.warnings)
    assert "Ven despacito" in resolved("bossa-nova", language="es").lyrics
    assert "saudade" in resolved("bossa-nova").lyrics


def test_a_tempo_far_from_the_styles_is_honoured_and_told():
    assert "far from what salsa" in " ".join(resolved(bpm=120, instrumental=True).warnings)
    for usual in (90, 160, 200, 220):  # 90 is 180 counted in half
        assert resolved(bpm=usual, instrumental=True).warnings == ()


def test_a_model_that_plays_no_faster_gets_what_it_can_play(tmp_path):
    path = mine(tmp_path, "genre: [speedcore]\nbpm: [250, 300]")
    assert resolved(path, "built-in").bpm == 180
    assert 250 <= resolved(path).bpm <= 300


def test_each_seed_has_the_song_that_it_has_alone():
    many = resolved(model="ace-step-v1", count=3, best_of=2)
    singles = [many.one(seed) for seed in many.seeds]
    assert len({one.lyrics for one in singles}) > 1
    assert len({one.bpm for one in singles}) > 1
    for one in singles:
        assert one == resolved(model="ace-step-v1", seed=one.seeds[0])


def test_a_plan_leaves_nothing_for_a_style():
    plan = Plan(caption="x", lyrics="", language="en", duration_s=10)
    with pytest.raises(RequestError, match="leave out one of them") as caught:
        resolved(plan=plan)
    assert caught.value.field == "style"


def test_a_source_keeps_its_tempo_key_and_words():
    own = Plan(caption="jazz", lyrics="[verse]\nMis palabras de siempre", language="es", duration_s=12, bpm=100)
    source = SourceFacts(
        sha256="0" * 64,
        samples=576_000,
        song=SongOrigin(model="ace-step-1.5-base", family="acestep-1.5", plan=own, gain_db=0.0),
    )
    request = SongRequest(task=Cover(source="song.flac"), style="bachata", seed=1, count=2)
    song = resolve(request, card(SINGING), TakenIn(source=source))
    assert song.caption.startswith("bachata, requinto guitar")
    assert song.caption.endswith("spanish")
    assert (song.bpm, song.key, song.lyrics) == (None, None, own.lyrics)
    assert song.one(2).lyrics == own.lyrics


def test_records_without_a_style_can_still_be_read():
    told = json.loads(resolve(SongRequest(caption="x", seed=1), card(SINGING)).model_dump_json())
    for field in ("style", "styled", "of_seeds"):
        del told[field]
    assert ResolvedRequest.model_validate(told).style is None


# What planners make of it.


def test_the_plan_says_what_is_the_styles():
    song = resolved("bolero")
    plan = RulePlanner(complete=False).plan(song, 7)
    assert {name for name, origin in plan.origins.items() if origin == "style"} == set(song.styled)
    assert set(song.styled) == {"caption", "lyrics", "language", "bpm", "key"}
    assert plan.bpm == song.bpm
    assert plan.notes == ()


def test_a_planners_words_do_not_replace_the_styles_tempo():
    song = resolved("bolero", planner=PlannerOptions(mode="metadata"))
    assert wish_of(song).given["bpm"] == song.bpm
    rules = RulePlanner(complete=False).plan(song, 7)
    answer = SongAnswer({"bpm": 140, "duration": 150, "caption": "a slow bolero for two"})
    by = PlannedBy(model="m", weights={}, device="cpu", number_format="float32", weight_format="full")
    plan = plan_of(song, rules, answer, by)
    assert (plan.bpm, plan.duration_s, plan.caption) == (song.bpm, 150, "a slow bolero for two")
    assert plan.lyrics == song.lyrics
