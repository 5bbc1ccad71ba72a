"""The cache of tracks: what is a hit, what is let go of, and what a killed process may leave."""

import json
import os
import time

import pytest

from partita.service.doors.lofi.tracks import Track, Tracks


def track(number, **more):
    return Track(
        **{
            "track_id": f"{number:016x}",
            "backend": "musicgen",
            "prompt": "käse",
            "seed": number,
            "requested_s": 5,
            "parameters": {},
            "model": "built-in",
            "model_version": "musicgen-small-fp16-v1",
            "sample_rate_hz": 32_000,
            "duration_s": 5.0,
            "generation_s": 1.0,
            "created_at": 0.0,
            **more,
        }
    )


def keep(tracks, number, size=100, **more):
    one = track(number, **more)
    partial = tracks.partial(one.track_id)
    partial.write_bytes(bytes([number % 256]) * size)
    return tracks.keep(one, partial)


def ids(tracks):
    return {path.stem for path in tracks.folder.glob("*.wav")}


def test_a_track_is_found_by_another_process(tmp_path):
    kept = keep(Tracks(tmp_path / "tracks"), 7, parameters={"inference_steps": 9}, notes=("a", "b"))
    found = Tracks(tmp_path / "tracks").find(f"{7:016x}")
    assert found is not None
    assert (found.prompt, found.parameters, found.size_bytes, list(found.notes)) == (
        "käse",
        {"inference_steps": 9},
        100,
        ["a", "b"],
    )
    assert found.sha256 == kept.sha256


def test_a_track_whose_sound_was_changed_is_none(tmp_path):
    tracks = Tracks(tmp_path)
    sound = tracks.path(keep(tracks, 1).track_id)
    for spoilt in (b"", b"\x02" * 100):
        sound.write_bytes(spoilt)
        assert tracks.find(f"{1:016x}") is None
    sound.unlink()
    assert tracks.find(f"{1:016x}") is None
    assert tracks.find(f"{2:016x}") is None


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"track_id": 1}', "\x00", "[" * 5000])
def test_a_spoilt_note_is_no_track(tmp_path, note):
    tracks = Tracks(tmp_path)
    keep(tracks, 1)
    (tmp_path / f"{1:016x}.json").write_text(note)
    assert tracks.find(f"{1:016x}") is None
    keep(tracks, 1)
    assert tracks.find(f"{1:016x}") is not None


def test_numbers_that_are_none_make_no_track(tmp_path):
    tracks = Tracks(tmp_path)
    keep(tracks, 1)
    note = tmp_path / f"{1:016x}.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "duration_s": "long"}))
    assert tracks.find(f"{1:016x}") is None


@pytest.mark.parametrize("name", ["../../etc/passwd", "", ".", "0" * 15, "0" * 16 + "\n", "A" * 16])
def test_only_ids_are_looked_up(tmp_path, name):
    (tmp_path / f"{name}.json").parent.mkdir(parents=True, exist_ok=True)
    assert Tracks(tmp_path).about(name) is None


def test_the_one_that_was_used_longest_ago_goes_first(tmp_path):
    tracks = Tracks(tmp_path, most_tracks=3)
    for number in range(3):
        keep(tracks, number)
        os.utime(tmp_path / f"{number:016x}.json", (number, number))
    assert tracks.use(f"{0:016x}")
    keep(tracks, 3)
    assert ids(tracks) == {f"{number:016x}" for number in (0, 2, 3)}
    assert not tracks.use(f"{1:016x}")


def test_bytes_are_limited_and_the_latest_stays(tmp_path):
    tracks = Tracks(tmp_path, most_bytes=250)
    for number in range(3):
        keep(tracks, number)
        os.utime(tmp_path / f"{number:016x}.json", (number, number))
    assert ids(tracks) == {f"{number:016x}" for number in (1, 2)}
    keep(tracks, 3, size=1000)
    assert ids(tracks) == {f"{3:016x}"}


def test_a_killed_process_leaves_no_hit_and_nothing_for_ever(tmp_path):
    killed, other = Tracks(tmp_path), Tracks(tmp_path)
    killed.partial(f"{1:016x}").write_bytes(b"half")
    (tmp_path / f".{killed.partial(f'{1:016x}').name}.part").write_bytes(b"half")
    (tmp_path / f"{1:016x}.json").write_text("{}")  # its note was in place and its sound not yet
    keep(other, 2)
    assert other.find(f"{1:016x}") is None
    assert not (tmp_path / f"{1:016x}.json").exists()
    hour_ago = time.time() - 4000
    for path in tmp_path.iterdir():
        if path.name.startswith("."):
            os.utime(path, (hour_ago, hour_ago))
    keep(other, 3)
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} <= {".lock"}


def test_foreign_files_stay(tmp_path):
    foreign = [tmp_path / name for name in ("notes.txt", f"{9:016x}.wav", ".hidden.a.b")]
    for path in foreign:
        path.write_text("mine")
        os.utime(path, (0, 0))
    tracks = Tracks(tmp_path, most_tracks=1)
    keep(tracks, 1)
    keep(tracks, 2)
    assert all(path.exists() for path in foreign)


def test_tidy_removes_what_this_process_was_writing(tmp_path):
    mine, other = Tracks(tmp_path), Tracks(tmp_path)
    for tracks in (mine, other):
        tracks.partial(f"{1:016x}").write_bytes(b"half")
    mine.tidy()
    assert [path.name for path in tmp_path.iterdir()] == [other.partial(f"{1:016x}").name]


def test_the_same_track_from_two_processes_is_one_whole_track(tmp_path):
    one, two = Tracks(tmp_path), Tracks(tmp_path)
    first, second = track(1), track(1, parameters={"inference_steps": 5})
    one.partial(first.track_id).write_bytes(b"1" * 10)
    two.partial(second.track_id).write_bytes(b"2" * 20)
    one.keep(first, one.partial(first.track_id))
    two.keep(second, two.partial(second.track_id))
    found = one.find(first.track_id)
    assert found is not None
    assert found.parameters == {"inference_steps": 5}
