"""What a request from the network may name: ids and hashes become files of ours, and a path is refused everywhere."""

from pathlib import Path
from typing import Any

import pytest

from partita.errors import AccessError, ConflictError, NotFoundError, TooLargeError
from partita.service.config import Limits
from partita.service.guard import admit, shown
from partita.service.uploads import Uploads
from partita.song.request import SongRequest
from partita.song.source import AudioRef
from tests.service.jobs.conftest import Gate, asked, done, folder, make_manager, open_queue, settings  # noqa: F401
from tests.service.test_uploads import wav

UNKNOWN = "0" * 32


@pytest.fixture
def uploads(tmp_path) -> Uploads:
    return Uploads(tmp_path / "uploads", Limits())


def cover(**source: str) -> dict[str, Any]:
    return {"caption": "x", "task": {"kind": "cover", "source": source}}


def test_an_upload_becomes_its_file_wherever_it_is_named(open_queue, uploads):  # noqa: F811
    name = uploads.take([wav()], "a.wav").id
    request = SongRequest(**cover(upload=name), references=({"upload": name}, {"sha256": "0" * 64}))
    admitted = admit(request, open_queue(), uploads, Limits())
    file = AudioRef(path=str(uploads.path(name)))
    assert admitted.task.source == file
    assert admitted.references == (file, AudioRef(sha256="0" * 64))


def test_a_song_becomes_its_lossless_file(open_queue, uploads):  # noqa: F811
    queue = open_queue()
    job = done(queue, queue.submit(asked(output={"format": "mp3"}, count=2)))
    admitted = admit(SongRequest(**cover(song=f"{job.id}/1")), queue, uploads, Limits())
    path = Path(admitted.task.source.path)
    assert (path.parent.name, path.name) == (job.id, "1.flac")


def test_a_song_that_is_not_finished_is_a_conflict(open_queue, uploads):  # noqa: F811
    from tests.fakes import ToneRenderer

    gate = Gate()
    queue = open_queue(ToneRenderer(gate))
    job = queue.submit(asked())
    gate.wait()
    with pytest.raises(ConflictError) as caught:
        admit(SongRequest(**cover(song=job.id)), queue, uploads, Limits())
    assert caught.value.field == "task.source.song"
    gate.open()
    done(queue, job)
    with pytest.raises(NotFoundError):
        admit(SongRequest(**cover(song=f"{job.id}/7")), queue, uploads, Limits())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (cover(path="/etc/passwd"), "task.source.path"),
        (cover(path="a.wav"), "task.source.path"),
        ({"caption": "x", "references": ("~/a.wav",)}, "references.0.path"),
        ({"caption": "x", "references": ({"sha256": "0" * 64}, "a.wav")}, "references.1.path"),
        ({"style": "./mine.yaml"}, "style"),
        ({"style": "..\\mine"}, "style"),
        ({"style": "MINE.YML"}, "style"),
        ({"caption": "x", "adapters": ("a/b",)}, "adapters.0.name"),
        ({"caption": "x", "adapters": ("..",)}, "adapters.0.name"),
        ({"caption": "x", "adapters": ("~root",)}, "adapters.0.name"),
    ],
)
def test_paths_are_refused(open_queue, uploads, tmp_path, fields, field):  # noqa: F811
    with pytest.raises(AccessError) as caught:
        admit(SongRequest(**fields), open_queue(), uploads, Limits(), adapters=tmp_path)
    assert (caught.value.known, caught.value.field) == (True, field)


def test_adapters_are_those_on_the_shelf_and_not_those_in_the_working_folder(
    open_queue, uploads, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "soft.safetensors").write_bytes(b"x")
    (tmp_path / "loud.safetensors").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    queue = open_queue()
    for name in ("soft", "soft.safetensors"):
        admit(SongRequest(caption="x", adapters=(name,)), queue, uploads, Limits(), adapters=shelf)
    for name in ("loud.safetensors", "loud"):
        with pytest.raises(NotFoundError):
            admit(SongRequest(caption="x", adapters=(name,)), queue, uploads, Limits(), adapters=shelf)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"caption": "x", "count": 5}, "count"),
        ({"caption": "x", "best_of": 5}, "best_of"),
        ({"caption": "x", "count": 2, "best_of": 3}, "count"),
        ({"caption": "x", "duration_s": 10.5}, "duration_s"),
        ({"plan": {"caption": "x", "lyrics": "", "language": "en", "duration_s": 11}}, "plan.duration_s"),
        ({"caption": "x", "task": {"kind": "text-to-music", "codes": [1] * 51}}, "task.codes"),
        ({"task": {"kind": "extend", "left_s": 6, "right_s": 6, "source": {"sha256": "0" * 64}}}, "task.right_s"),
        (
            {"task": {"kind": "outpaint", "start_s": -6, "end_s": 6, "source": {"sha256": "0" * 64}}},
            "task.end_s",
        ),
    ],
)
def test_more_than_the_limits_allow_is_refused(open_queue, uploads, fields, field):  # noqa: F811
    with pytest.raises(TooLargeError) as caught:
        admit(SongRequest(**fields), open_queue(), uploads, Limits(duration_s=10, songs=4))
    assert caught.value.field == field


@pytest.mark.parametrize("source", [{"upload": UNKNOWN}, {"song": UNKNOWN}])
def test_what_is_not_here_is_named(open_queue, uploads, source):  # noqa: F811
    with pytest.raises(NotFoundError) as caught:
        admit(SongRequest(**cover(**source)), open_queue(), uploads, Limits())
    assert caught.value.field == f"task.source.{next(iter(source))}"


def test_a_plain_request_goes_through_as_it_is(open_queue, uploads):  # noqa: F811
    request = SongRequest(caption="x", style="lofi", duration_s=3)
    assert admit(request, open_queue(), uploads, Limits()) is request


def test_of_a_path_no_more_than_the_name_is_shown():
    request = SongRequest(**cover(path="/home/me/secret/a.wav"), references=("/home/me/b.wav",))
    assert "/home" not in shown(request).model_dump_json()
    assert shown(request).task.source.path == "a.wav"
