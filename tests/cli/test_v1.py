"""ACE-Step v1 from the command line, on a tiny checkpoint in the published layout: songs, chains of edits, refusals."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.weights import v1_checkpoints as v1

STEPS = ("--steps", "2")
SECOND = ("--duration", "1", *STEPS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    v1.write_v1_checkpoint(folder)
    return folder


@pytest.fixture
def run(real_partita, checkpoint):
    """A command line with the tiny model; the answer is that of a song that was made."""

    def command(*arguments: str):
        return real_partita(*arguments, "--model", "ace-step-v1", "--checkpoint-dir", str(checkpoint))

    return command


def test_a_style_becomes_a_song_and_a_chain_of_edits_is_replayed_to_the_byte(run, real_partita, checkpoint):
    style = ("--style", "reggaeton", "--language", "es", "--duration", "3")
    made = (
        run("generate", *style, "--seed", "1", *STEPS, "--output", "a.flac"),
        run("repaint", "a.flac", "--start", "1", "--end", "2", "--seed", "2", *STEPS, "--output", "b.flac"),
        run("extend", "b.flac", "--left", "0.5", "--right", "1", "--seed", "3", *STEPS, "--output", "c.flac"),
        run("edit", "c.flac", "bossa nova", "--recipe", "style", "--seed", "4", *STEPS, "--output", "d.flac"),
        real_partita("retake", "a.flac", "--seed", "5", "--checkpoint-dir", str(checkpoint), "--output", "e.flac"),
    )
    assert [(answer.code, answer.err) for answer in made if answer.code] == []
    assert "the words are the style's own (reggaeton, Spanish)" in made[0].err
    for name in "abcde":
        again = real_partita("replay", f"{name}.flac", "--checkpoint-dir", str(checkpoint), "--output", "again.flac")
        assert again.code == 0, again.err
        assert Path("again.flac").read_bytes() == Path(f"{name}.flac").read_bytes()
        Path("again.flac").unlink()
        Path("again.json").unlink()


def test_several_songs_are_files_of_their_own(run):
    answer = run("generate", "disco", *SECOND, "--seed", "7", "--count", "3", "--json", "--output", "x.flac")
    assert answer.code == 0
    songs = answer.json["songs"]
    assert [song["record"]["request"]["seeds"] for song in songs] == [[7], [8], [9]]
    assert len({Path(song["path"]).read_bytes() for song in songs}) == 3


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--duration", "0.5"), "1 to 240 seconds"),
        (("--duration", "241"), "1 to 240 seconds"),
        (("--stems", "stems"), "audio without a score"),
        (("--midi", "x.mid"), "audio without a score"),
        (("--lrc", "x.lrc"), "does not tell when a line is sung"),
        (("--planner", "full"), "tags and lyrics as they are given"),
        (("--codes-strength", "0.5"), "takes no semantic codes"),
        (("--guidance-interval", "0.2,0.8"), "use guidance_share"),
        (("--timesteps", "0"), "begin at 1"),
    ],
)
def test_what_it_cannot_do_is_refused_before_it_is_loaded(run, flags, says):
    answer = run("generate", "disco", *flags)
    assert answer.code == 2
    assert says in answer.err
    assert not list(Path().iterdir())


def test_lyrics_of_tags_alone_and_of_thousands_of_lines_are_sung_as_far_as_they_are_read(run):
    for number, (lyrics, note) in enumerate((("[verse]\n[outro]\n", ""), ("la la\n" * 4000, "reads the first 4096"))):
        Path("words.txt").write_text(lyrics, encoding="utf-8")
        answer = run("generate", "disco", "--lyrics", "words.txt", *SECOND, "--output", f"{number}.flac")
        assert answer.code == 0
        assert note in answer.err


def test_a_source_that_is_silent_or_too_short_is_an_error_of_audio(run):
    soundfile.write("silent.wav", np.zeros((48_000, 2)), 48_000)
    soundfile.write("short.wav", np.full((2_000, 2), 0.1), 48_000)
    for name, says in (("silent.wav", "is silent"), ("short.wav", "at least 0.1 s")):
        answer = run("extend", name, "disco", "--right", "1")
        assert (answer.code, says in answer.err) == (4, True)
