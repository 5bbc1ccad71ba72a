import json
import re

import click
import numpy as np
import pytest
import soundfile

from partita.cli.main import SECTIONS, VERBS, app
from partita.cli.tasks import KINDS, command_of
from partita.song.task import TASKS

TURBO = ("--model", "ace-step-1.5-turbo")
BASE = ("--model", "ace-step-1.5-base")


@pytest.fixture
def source(home):
    """Two seconds of a tone from elsewhere: the name of the file."""
    return tone(home / "My Tone.wav", 2.0)


def tone(path, seconds, level=0.3, rate=48_000):
    time_s = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, np.stack([level * np.sin(2 * np.pi * 330 * time_s)] * 2, axis=1), rate)
    return path.name


def made(answer):
    assert answer.code == 0, answer.err
    return answer.json["songs"][0]


def test_every_task_with_a_source_is_a_verb():
    with_source = [kind for kind in TASKS if "source" in kind.model_fields]
    assert set(SECTIONS["Work from audio"]) == {kind.model_fields["kind"].default for kind in with_source} == set(KINDS)


@pytest.mark.parametrize("verb", VERBS)
def test_no_two_flags_of_a_verb_share_a_name(verb):
    command = app.get_command(click.Context(app), verb)
    assert command is not None
    names = [name for param in command.params for name in (*param.opts, *param.secondary_opts)]
    assert len(names) == len(set(names))
    parameters = [param.name for param in command.params]
    assert len(parameters) == len(set(parameters))


@pytest.mark.parametrize("verb", KINDS)
def test_every_field_of_a_task_is_a_parameter_of_its_verb(verb):
    fields = {f"task__{name}" for name in KINDS[verb].model_fields} - {"task__kind", "task__source"}
    assert fields == {param.name for param in command_of(verb).params if str(param.name).startswith("task__")}


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        (["cover", *TURBO, "--strength", "0.6", "--no-fsq"], {"strength": 0.6, "fsq": False, "noise_strength": 0}),
        (["cover", *TURBO, "--fsq", "--noise-strength", "0.3"], {"strength": 1, "fsq": True, "noise_strength": 0.3}),
        (["audio-to-audio", *TURBO], {"strength": 0.5}),
        (
            ["repaint", *TURBO, "--start", "0.5", "--end", "1", "--mode", "conservative", "--chunk-mask", "ones"],
            {"start_s": 0.5, "end_s": 1, "mode": "conservative", "strength": 0.5, "chunk_mask": "ones"},
        ),
        (["outpaint", *TURBO, "--start", "-1", "--end", "0.5"], {"start_s": -1, "end_s": 0.5}),
        (["extend", *TURBO, "--left", "0.4", "--right", "1"], {"left_s": 0.4, "right_s": 1}),
        (["complete", *BASE, "--tracks", "drums, bass"], {"tracks": ["drums", "bass"]}),
        (["lego", *BASE, "--track", "backing_vocals"], {"track": "backing_vocals", "start_s": 0, "end_s": None}),
        (["extract", *BASE, "--track", "drums"], {"track": "drums"}),
        (
            ["edit", *TURBO, "--source-caption", "a tone", "--recipe", "style", "--n-max", "0.5", "--follow", "codes"],
            {"source_caption": "a tone", "recipe": "style", "n_min": 0.2, "n_max": 0.5, "follow": "codes"},
        ),
    ],
)
def test_flags_of_a_task_reach_the_record(partita, source, arguments, task):
    verb, *flags = arguments
    request = made(partita(verb, source, "a flute", *flags, "--seed", "5", "--json"))["record"]["request"]
    assert request["task"]["kind"] == verb
    assert request["caption"] == "a flute"
    assert {name: request["task"][name] for name in task} == task
    source = {name: value for name, value in request["task"]["source"].items() if value is not None}
    assert source == {"sha256": request["source"]["sha256"]}


def test_the_song_is_named_after_its_source_and_verb_and_nothing_is_overwritten(partita, home, source):
    for _ in range(2):
        assert partita("cover", source, "a flute", *TURBO, "--seed", "8").code == 0
    assert sorted(path.name for path in (home / "songs").glob("*.flac")) == [
        "my-tone-cover-8-2.flac",
        "my-tone-cover-8.flac",
    ]
    assert source == "My Tone.wav"


def test_a_long_name_of_a_source_does_not_cut_the_verb(partita, home):
    name = tone(home / f"{'long ' * 30}.wav", 1)
    song = made(partita("repaint", name, "x", *TURBO, "--start", "0", "--end", "0.5", "--seed", "3", "--json"))
    assert re.fullmatch(r"songs/long-[long-]+-repaint-3\.flac", song["path"])


def test_a_kept_source_is_known_by_its_hash(partita, home, source):
    first = made(partita("cover", source, "a flute", *TURBO, "--seed", "8", "--json"))
    (home / source).unlink()
    sha256 = first["record"]["request"]["source"]["sha256"]
    again = made(partita("cover", sha256, "a flute", *TURBO, "--seed", "8", "--json"))
    assert again["record"]["request"] == first["record"]["request"]
    assert again["path"] == f"songs/{sha256[:8]}-cover-8.flac"


def test_words_of_the_source_come_from_a_file(partita, home, source):
    (home / "was.txt").write_text("[Verse]\nold words\n")
    (home / "wanted.txt").write_text("[Verse]\nother words\n")
    words = ["--source-caption", "a tone", "--source-lyrics", "was.txt", "--lyrics", "wanted.txt"]
    request = made(partita("edit", source, *TURBO, *words, "--json"))["record"]["request"]
    assert request["task"]["source_lyrics"].strip() == "[Verse]\nold words"
    assert request["lyrics"] == "[Verse]\nother words"


def test_references_are_taken_in_one_by_one(partita, home, source):
    other = tone(home / "other.wav", 1, rate=22_050)
    flags = ["--reference", source, "--reference", other]
    for arguments in (["generate", "x", "--duration", "1"], ["cover", source, "x"]):
        references = made(partita(*arguments, *TURBO, *flags, "--json"))["record"]["request"]["references"]
        assert [reference["samples"] for reference in references] == [96_000, 48_000]


def test_many_edits_are_saved_one_by_one(partita, home, source):
    answer = partita("cover", source, "x", *TURBO, "--count", "3", "--seed", "1", "--output", "o.flac", "--json")
    assert [song["path"] for song in answer.json["songs"]] == ["o.flac", "o-2.flac", "o-3.flac"]
    assert all((home / song["path"]).exists() for song in answer.json["songs"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["repaint", "--start", "1.5", "--end", "2.5", *TURBO], 2, ["2.5", "2 s long"]),
        (["repaint", "--start", "7", *TURBO], 2, ["7", "2 s long"]),
        (["repaint", "--start", "1.5", "--end", "1", *TURBO], 2, ["1.5", "end after its start"]),
        (["repaint", "--start", "1", "--end", "1.01", *TURBO], 2, ["10 ms", "40 ms"]),
        (["repaint", *TURBO], 2, ["--start"]),
        (["repaint", "--start", "-1", *TURBO], 2, ["start_s", "-1"]),
        (["repaint", "--start", "soon", *TURBO], 2, ["--start", "soon"]),
        (["repaint", "--start", "nan", *TURBO], 2, ["start_s", "finite"]),
        (["repaint", "--start", "1", "--duration", "9", *TURBO], 2, ["duration_s", "extend"]),
        (["cover", "--strength", "1.5", *TURBO], 2, ["strength", "1.5"]),
        (["extend", *TURBO], 2, ["right_s", "0.04"]),
        (["outpaint", "--start", "5", "--end", "9", *TURBO], 2, ["does not touch"]),
        (["lego", "--track", "theremin", *BASE], 2, ["--track", "theremin", "woodwinds"]),
        (["lego", *BASE], 2, ["--track", "woodwinds"]),
        (["complete", "--tracks", "drums,theremin", *BASE], 2, ["--tracks", "theremin", "woodwinds"]),
        (["lego", "--track", "drums", *TURBO], 2, ["lego", "ace-step-1.5-base"]),
        (["cover", "--model", "built-in"], 2, ["cover", "ace-step-1.5-turbo"]),
        (
            ["repaint", "--start", "0", "--end", "1", "--model", "built-in"],
            2,
            ["only songs that it made", "ace-step-1.5-turbo"],
        ),
        (["edit", "--source-caption", "a", "--n-min", "0.8", "--n-max", "0.3", *TURBO], 2, ["n_max", "0.8"]),
        (["edit", *TURBO], 2, ["source_caption"]),
        (["cover", "--reference", "missing.wav", *TURBO], 4, ["missing.wav"]),
        (["cover", "--adapter", "missing", *TURBO], 3, ["missing"]),
        (["cover", "--adapter", "some:9", *TURBO], 2, ["strength", "9"]),
    ],
)
def test_what_cannot_be_is_answered_with_a_sentence(partita, source, renderer, arguments, code, words):
    verb, *flags = arguments
    caption = [] if verb == "edit" and "--source-caption" not in flags else ["a flute"]
    answer = partita(verb, source, *caption, *flags)
    assert answer.code == code, answer.err
    assert [word for word in words if word not in answer.err] == []
    assert answer.out == ""
    assert renderer.sampled == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short.wav", ["short.wav", "0.1"]),
        ("silent.wav", ["silent.wav", "silent"]),
        ("words.txt", ["words.txt"]),
        ("empty.wav", ["empty.wav", "empty"]),
        ("missing.wav", ["missing.wav"]),
        ("folder", ["folder"]),
    ],
)
def test_a_source_that_cannot_be_used_is_named_with_exit_4(partita, home, renderer, name, words):
    tone(home / "short.wav", 0.05)
    tone(home / "silent.wav", 1, level=0)
    (home / "words.txt").write_text("these are words, not sound")
    (home / "empty.wav").touch()
    (home / "folder").mkdir()
    answer = partita("cover", name, "a flute", *TURBO)
    assert answer.code == 4, answer.err
    assert [word for word in words if word not in answer.err] == []
    assert renderer.sampled == 0


@pytest.mark.parametrize("verb", [*KINDS, "retake"])
def test_a_missing_file_argument_is_asked_for(partita, verb):
    answer = partita(verb)
    assert answer.code == 2
    assert "Missing argument" in answer.err


def test_a_hash_that_is_not_kept_is_refused(partita):
    answer = partita("cover", "0" * 64, "x", *TURBO)
    assert (answer.code, "keeps no source" in answer.err) == (2, True)


def test_errors_of_tasks_are_json_too(partita, source):
    answer = partita("repaint", source, "x", "--start", "9", *TURBO, "--json")
    assert (answer.code, answer.json["error"]["field"]) == (2, "task.start_s")


def test_codes_come_from_a_file(partita, home):
    (home / "codes.txt").write_text("<|audio_code_5|><|audio_code_63999|>" * 5)
    (home / "numbers.json").write_text(json.dumps([5, 63999] * 5))
    for name in ("codes.txt", "numbers.json"):
        flags = ["--codes", name, "--codes-strength", "0.5"]
        request = made(partita("generate", "x", *TURBO, *flags, "--json"))["record"]["request"]
        assert request["task"]["codes"] == [5, 63999] * 5
        assert (request["task"]["strength"], request["duration_s"]) == (0.5, 2)


@pytest.mark.parametrize("text", ["la la la", "1.5 2", "-3", "", "[]", "<|audio_code_|>"])
def test_codes_that_are_none_are_refused_with_the_files_name(partita, home, text):
    (home / "codes.txt").write_text(text)
    answer = partita("generate", "x", *TURBO, "--codes", "codes.txt")
    assert answer.code == 2
    assert "codes" in answer.err


def test_a_code_beyond_the_last_is_refused(partita, home):
    (home / "codes.txt").write_text("1 64000 2")
    answer = partita("generate", "x", *TURBO, "--codes", "codes.txt")
    assert (answer.code, "63999" in answer.err) == (2, True)


def summary(answer):
    assert answer.code == 0, answer.err
    return {line[:12].strip(): line[12:] for line in answer.out.splitlines()}


def test_a_summary_tells_source_region_and_what_is_untouched(partita, home, source):
    answer = partita("repaint", source, "x", *TURBO, "--start", "0.5", "--end", "1", "--output", "o.wav")
    told = summary(answer)
    assert told["source"].endswith(", 2.00 s")
    assert told["made"] == "0.500 to 1.000 s, cross-fades of 25 ms beside it"
    assert told["untouched"] == "every other sample is the source's own"
    was, _ = soundfile.read(home / source, dtype="float32")
    now, _ = soundfile.read(home / "o.wav", dtype="float32")
    np.testing.assert_array_equal(now[:22_000], was[:22_000])
    assert np.abs(now[24_000:48_000] - was[24_000:48_000]).max() > 0.1
    np.testing.assert_array_equal(now[50_000:], was[50_000:])


def test_a_summary_tells_that_normalising_leaves_nothing_untouched(partita, source):
    answer = partita("repaint", source, "x", *TURBO, "--start", "0.5", "--end", "1", "--normalise", "loudness")
    assert "normalise loudness" in summary(answer)["untouched"]
    assert "samples outside the region change" in answer.err


def test_a_summary_tells_where_all_of_it_is_made(partita, source):
    told = summary(partita("cover", source, "x", *TURBO))
    assert told["made"] == "all of it"
    assert "untouched" not in told


def test_a_song_that_cannot_be_saved_does_not_keep_the_others_from_it(partita, home, source):
    (home / "o-2.flac").mkdir()
    answer = partita("cover", source, "x", *TURBO, "--count", "3", "--seed", "1", "--output", "o.flac", "--overwrite")
    assert answer.code == 4
    assert "kept in" in answer.err
    assert (home / "o.flac").exists()
    assert (home / "o-3.flac").exists()
