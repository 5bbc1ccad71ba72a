from pathlib import Path

import pytest

from partita.engine.targets import Target, caption_name, check_beside, check_target, next_free, song_target
from partita.errors import RequestError
from partita.song.request import Output, SongRequest
from partita.song.resolve import resolve
from partita.weights.catalog import card


@pytest.mark.parametrize(
    ("caption", "name"),
    [
        ("Slow piano, été!", "slow-piano-ete-7"),
        ("雨の歌", "song-7"),
        ("../../etc/passwd", "etc-passwd-7"),
        ("", "song-7"),
    ][:],
)
def test_captions_in_any_script_make_plain_names(caption, name):
    assert caption_name(caption, 7) == name


def test_names_that_are_taken_are_never_reused(tmp_path):
    wanted = tmp_path / "a.flac"
    assert next_free(wanted) == wanted
    wanted.touch()
    (tmp_path / "a-2.flac").touch()
    assert next_free(wanted) == tmp_path / "a-3.flac"


def test_several_songs_number_a_given_name():
    resolved = resolve(SongRequest(caption="x", seed=1, count=2), card("built-in"))
    second = song_target(resolved, 2, 1, Path("songs"), Path("out.flac"), Path("out.mid"), None)
    assert (second.audio, second.midi) == (Path("out-2.flac"), Path("out-2.mid"))


def output(**fields):
    return resolve(SongRequest(caption="x", output=Output(**fields)), card("built-in")).output


def test_wrong_targets_are_refused_before_any_work(tmp_path):
    with pytest.raises(RequestError, match="is a folder"):
        check_target(Target(tmp_path), output(), 1, overwrite=False)
    with pytest.raises(RequestError, match=r"does not end in \.flac"):
        check_target(Target(tmp_path / "song.mp3"), output(), 1, overwrite=False)
    (tmp_path / "song-2.flac").touch()
    with pytest.raises(RequestError, match=r"song-2\.flac exists"):
        check_target(Target(tmp_path / "song.flac"), output(), 2, overwrite=False)
    check_target(Target(tmp_path / "song.flac"), output(), 2, overwrite=True)


SIDES = {
    ".json": {},
    ".raw.wav": {"keep_raw": True},
    ".latents.safetensors": {"keep_latents": True},
    ".mid": {"midi": True},
    ".stems/bass.wav": {"stems": True},
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", ["", "-2"])
def test_nothing_that_lies_beside_a_song_is_written_over_unasked(tmp_path, side, number):
    there = tmp_path / f"song{number}{side}"
    there.parent.mkdir(exist_ok=True)
    there.touch()
    target = Target(tmp_path / "song.flac")
    with pytest.raises(RequestError, match="exists"):
        check_target(target, output(**SIDES[side]), 2, overwrite=False)
    check_target(target, output(**SIDES[side]), 2, overwrite=True)
    if SIDES[side]:
        check_target(target, output(), 2, overwrite=False)
    if not number:
        assert next_free(tmp_path / "song.flac") == tmp_path / "song-2.flac"


def test_a_given_score_is_refused_even_where_the_songs_own_name_is_free(tmp_path):
    (tmp_path / "b-2.mid").touch()
    target = Target(tmp_path / "song.flac", midi=tmp_path / "b.mid")
    with pytest.raises(RequestError, match=r"b-2\.mid exists"):
        check_target(target, output(midi=True), 2, overwrite=False)
    with pytest.raises(RequestError, match=r"b-2\.mid exists"):
        check_beside(target, 2, overwrite=False)
    check_beside(target, 1, overwrite=False)


@pytest.mark.parametrize("side", ["lrc", "vtt"])
def test_lines_are_not_written_over_unasked(tmp_path, side):
    wanted = output().model_copy(update={side: True})
    (tmp_path / f"song.{side}").touch()
    with pytest.raises(RequestError, match=rf"song\.{side} exists"):
        check_target(Target(tmp_path / "song.flac"), wanted, 1, overwrite=False)
    given = Target(tmp_path / "other.flac", **{side: tmp_path / f"song.{side}"})
    with pytest.raises(RequestError, match=rf"song\.{side} exists"):
        check_beside(given, 1, overwrite=False)
    assert given.numbered(1).paths(wanted)[-1] == tmp_path / f"song-2.{side}"
    check_target(given, wanted, 1, overwrite=True)
    assert next_free(tmp_path / "song.flac") == tmp_path / "song-2.flac"
