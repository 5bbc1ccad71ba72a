from pathlib import Path

import pytest

from partita.engine.targets import caption_name, check_target, next_free, song_target
from partita.errors import RequestError
from partita.song.request import SongRequest
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


def test_wrong_targets_are_refused_before_any_work(tmp_path):
    with pytest.raises(RequestError, match="is a folder"):
        check_target(tmp_path, "flac", 1, overwrite=False)
    with pytest.raises(RequestError, match=r"does not end in \.flac"):
        check_target(tmp_path / "song.mp3", "flac", 1, overwrite=False)
    (tmp_path / "song-2.flac").touch()
    with pytest.raises(RequestError, match=r"song-2\.flac exists"):
        check_target(tmp_path / "song.flac", "flac", 2, overwrite=False)
    check_target(tmp_path / "song.flac", "flac", 2, overwrite=True)
