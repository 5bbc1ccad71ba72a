"""Whole sessions of the protocol's clients against a server that plays the built-in model."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.service.doors.acestep_client import Client, envelope, serving, wav

DEFAULTS: dict[str, Any] = {
    "inference_steps": 50, "guidance_scale": 7, "shift": 3, "batch_size": 1, "audio_format": "wav", "thinking": True,
    "model": "acestep-v15-turbo",
}  # fmt: skip
"""What the DAW sends with every task."""


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    with serving(Path(tmp_path_factory.mktemp("door"))) as client:
        yield client


@pytest.fixture(scope="module")
def song(client: Client) -> dict[str, Any]:
    """A song as the DAW asks for it: its item."""
    silence = wav(3, level=0)
    released = client.release(
        {
            "task_type": "text2music", "prompt": "slow lofi piano", "global_caption": "", "lyrics": "[Verse]\nhello",
            "audio_duration": 3, "bpm": 80, "key_scale": "C major", "time_signature": "4", "use_random_seed": False,
            "seed": 7, "vocal_language": "en", "negative_prompt": "drums", **DEFAULTS,
        },
        src_audio=silence,
    )  # fmt: skip
    assert (released["status"], released["queue_position"]) == ("queued", 1)
    (item,) = client.items(released["task_id"])
    return item


def test_a_song_has_everything_that_the_daw_reads(client: Client, song: dict[str, Any]) -> None:
    assert list(song)[:15] == [
        "file", "wave", "status", "create_time", "env", "prompt", "lyrics", "metas", "generation_info", "seed_value",
        "lm_model", "dit_model", "progress", "stage", "notes",
    ]  # fmt: skip
    assert song["metas"] == {
        "bpm": 80, "duration": 3.0, "genres": "N/A", "keyscale": "C major", "timesignature": "4",
        "prompt": "slow lofi piano", "lyrics": "[Verse]\nhello",
    }  # fmt: skip
    assert (song["status"], song["progress"], song["stage"], song["wave"]) == (1, 1.0, "succeeded", "")
    assert (song["seed_value"], song["dit_model"], song["lm_model"]) == ("7", "built-in", "none")
    assert isinstance(song["create_time"], int)


def test_what_was_not_applied_is_in_the_answer_and_in_the_record(client: Client, song: dict[str, Any]) -> None:
    for told in (
        "src_audio was sent",
        "acestep-v15-turbo",
        "inference_steps 50",
        "thinking",
        "negative_prompt",
        "sing",
    ):
        assert any(told in note for note in song["notes"]), told
        assert told in song["generation_info"]
    job_id = re.search("[0-9a-f]{32}", song["file"])
    assert job_id is not None
    record = client.service.queue.job(job_id[0]).songs[0].record
    assert any("acestep-v15-turbo" in note for note in record.warnings)
    assert any("inference_steps 50" in note for note in record.warnings)


def test_the_audio_is_downloaded_whole_or_in_part(client: Client, song: dict[str, Any]) -> None:
    assert re.fullmatch(r"/v1/audio\?path=[0-9a-f]{32}-0\.wav", song["file"])
    whole = client.http.get(song["file"])
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    samples, rate = soundfile.read(io.BytesIO(whole.content))
    assert (rate, len(samples)) == (48_000, 3 * 48_000)
    part = client.http.get(song["file"], headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert client.http.get(song["file"], headers={"Range": "bytes=999999999-"}).status_code == 416
    assert client.http.head(song["file"]).headers["content-length"] == str(len(whole.content))


def test_a_song_of_the_server_is_repainted_by_its_name(client: Client, song: dict[str, Any]) -> None:
    name = song["file"].partition("=")[2]
    released = client.release(
        {
            "task_type": "repaint", "prompt": "sparse", "global_caption": "", "lyrics": "", "src_audio_path": name,
            "instruction": "Repaint the mask area based on the given conditions:", "repainting_start": 1,
            "repainting_end": 2, "audio_duration": 3, "repaint_mode": "balanced", "repaint_strength": 0.5, **DEFAULTS,
        }
    )  # fmt: skip
    (item,) = client.items(released["task_id"])
    assert item["metas"]["duration"] == 3
    assert not any("instruction" in note for note in item["notes"])
    before, after = (soundfile.read(io.BytesIO(client.http.get(one["file"]).content))[0] for one in (song, item))
    assert (before[: 48_000 // 2] == after[: 48_000 // 2]).all()
    assert (before[48_000 : 2 * 48_000] != after[48_000 : 2 * 48_000]).any()


def test_a_song_that_is_sent_back_as_a_file_is_known_again(client: Client, song: dict[str, Any]) -> None:
    sent = client.http.get(song["file"]).content
    released = client.release(
        {"task_type": "repaint", "prompt": "", "repainting_start": 2, "repainting_end": 5, **DEFAULTS}, src_audio=sent
    )
    assert client.items(released["task_id"])[0]["metas"]["duration"] == 5


def test_a_track_is_added_to_a_song_of_the_server(client: Client, song: dict[str, Any]) -> None:
    released = client.release(
        {
            "task_type": "lego", "track_name": "bass", "prompt": "round bass", "global_caption": "slow lofi",
            "lyrics": "", "instruction": "Generate the BASS track based on the audio context:", "bpm": 120,
            "key_scale": "D minor", "time_signature": "4", "repainting_start": 0, "repainting_end": 3,
            "audio_duration": 3, "src_audio_path": song["file"], "chunk_mask_mode": "auto", **DEFAULTS,
        }
    )  # fmt: skip
    (item,) = client.items(released["task_id"])
    assert any("bpm, key_scale, time_signature are not applied" in note for note in item["notes"])
    assert item["metas"]["bpm"] == 80


def test_the_first_track_of_an_empty_project(client: Client) -> None:
    released = client.release(
        {"task_type": "lego", "track_name": "drums", "prompt": "brushes", "audio_duration": 2, **DEFAULTS},
        src_audio=wav(2, level=0),
    )
    (item,) = client.items(released["task_id"])
    assert item["metas"]["duration"] == 2
    assert any("silent" in note for note in item["notes"])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"task_type": "cover", "caption": "rock", "lyrics": "", "audio_cover_strength": 0.0}, "cannot do cover"),
        ({"task_type": "repaint", "prompt": "x", "repainting_start": 0.2, "repainting_end": 1}, "songs that it made"),
        ({"task_type": "stem_separation", "stem_count": 4, "engine": "auto"}, "stem_separation cannot be done"),
    ],
)
def test_what_the_built_in_model_cannot_do_with_foreign_audio_fails_in_words(
    client: Client, params: dict[str, Any], told: str
) -> None:
    released = client.release({**params, **DEFAULTS}, src_audio=wav(1.5))
    entry = client.finished(released["task_id"])
    assert entry["status"] == 2
    assert told in entry["result"][:300]  # the DAW shows this text to its user
    assert "Traceback" not in entry["result"]
    assert "/" not in json.loads(entry["result"])[0]["error"].replace("text2music/", "")


def test_progress_is_told_while_it_runs(client: Client) -> None:
    released = client.release({"prompt": "long", "audio_duration": 6, "batch_size": 1})
    seen = [client.entry(released["task_id"])]
    while seen[-1]["status"] == 0:
        seen.append(client.entry(released["task_id"]))
    items = [json.loads(entry["result"])[0] for entry in seen]
    shares = [item["progress"] for item in items]
    assert all(after >= before for before, after in pairwise(shares))
    assert shares[-1] == 1.0
    running = items[0]
    assert list(running) == [
        "file", "wave", "status", "create_time", "env", "prompt", "lyrics", "metas", "error", "progress", "stage",
    ]  # fmt: skip
    assert any(re.search(r"\d+%", entry["progress_text"]) for entry in seen)


def test_the_single_file_page_makes_a_song(client: Client) -> None:
    """Multipart without a file, `code`, then `url` or `file` of the first item."""
    sent = {"prompt": (None, "bright pop"), "audio_duration": (None, "1"), "batch_size": (None, "2")}
    answer = client.http.post("/release_task", files=sent).json()
    assert answer["code"] == 200
    items = client.items(answer["data"]["task_id"])
    files = [item.get("url") or item["file"] for item in items]
    assert len(set(files)) == 2
    assert [client.http.get(file).headers["content-type"] for file in files] == ["audio/mpeg"] * 2
    assert re.fullmatch(r"\d+,\d+", items[0]["seed_value"])


def test_seeds_of_a_list_are_the_songs_in_order(client: Client) -> None:
    body = {"prompt": "a", "seed": "5,9", "use_random_seed": False, "audio_duration": 1, "audio_format": "flac"}
    released = client.release(body)
    items = client.items(released["task_id"])
    assert [item["seed_value"] for item in items] == ["5,9", "5,9"]
    again = client.items(client.release({**body, "seed": "9", "batch_size": 1})["task_id"])
    second, same = (client.http.get(one["file"]).content for one in (items[1], again[0]))
    assert (soundfile.read(io.BytesIO(second))[0] == soundfile.read(io.BytesIO(same))[0]).all()


def test_words_of_the_daw_s_forms(client: Client) -> None:
    given = json.dumps({"language": "en", "bpm": 90, "key": "D minor"})
    body = {"prompt": "slow jazz", "lyrics": "", "param_obj": given}
    formatted = envelope(client.http.post("/format_input", json=body))
    assert set(formatted) >= {
        "caption", "lyrics", "bpm", "key_scale", "time_signature", "duration", "vocal_language",
    }  # fmt: skip
    assert (formatted["caption"], formatted["bpm"], formatted["key_scale"]) == ("slow jazz", 90, "D minor")
    assert "no language model" in formatted["notes"][0]
    wish = {"query": "a waltz about the sea", "vocal_language": "en", "instrumental": False}
    sample = envelope(client.http.post("/v1/create_sample", json=wish))
    assert set(sample) >= {"caption", "lyrics", "bpm", "keyscale", "duration", "timesignature", "vocal_language"}
    assert (sample["caption"], sample["timesignature"], sample["vocal_language"]) == (wish["query"], "3", "en")
    assert isinstance(sample["bpm"], int)
    assert client.http.post("/format_input", json={"prompt": " "}).status_code == 400


def test_examples_can_be_asked_for_and_made(client: Client) -> None:
    custom = envelope(client.http.post("/create_random_sample", json={"sample_type": "custom_mode"}))
    assert set(custom) == {"think", "caption", "lyrics", "bpm", "duration", "keyscale", "language", "timesignature"}
    simple = envelope(client.http.post("/create_random_sample", data={}))
    assert set(simple) == {"description", "instrumental", "vocal_language"}
    released = client.release({**custom, "duration": 1, "batch_size": 1})
    assert client.items(released["task_id"])[0]["prompt"] == custom["caption"]


def test_analyses_without_audio_of_our_own_making(client: Client) -> None:
    plan = client.items(client.release({"prompt": "jazz waltz in D major", "analysis_only": True})["task_id"])[0]
    assert plan["dit_model"] == "None (Analysis Only)"
    assert (plan["metas"]["keyscale"], plan["metas"]["timesignature"]) == ("D major", "3")
    heard = client.items(client.release({"full_analysis_only": True}, src_audio=wav(4))["task_id"])[0]
    assert heard["status_message"] == "Full Hardware Analysis Success"
    assert heard["duration"] == 4
    assert heard["keyscale"].startswith("A ")  # a tone at 220 Hz
    assert any("measured" in note for note in heard["notes"])
    codes = client.failure(client.release({"extract_codes_only": True}, src_audio=wav(1))["task_id"])
    assert "ACE-Step 1.5" in codes["error"]
