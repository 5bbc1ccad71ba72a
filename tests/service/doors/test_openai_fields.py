"""What becomes of the fields of this door: as a request, in notes, and in the table of the docs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from partita.errors import RequestError
from partita.service.doors.openai import table
from partita.service.doors.openai.answers import notes_header
from partita.service.doors.openai.errors import error_of_fault, told_status
from partita.service.doors.openai.fields import AudioConfig, AudioOut, ChatBody, MusicBody, StreamOptions, metre, seeds
from partita.service.doors.openai.wanted import Wanted, bare, wanted
from partita.service.doors.table import as_markdown
from partita.service.jobs.job import JobFault
from partita.service.uploads import Upload
from partita.settings import Settings
from partita.song.request import SongRequest

DOCS = Path(__file__).parents[3] / "docs" / "doors" / "openai.md"
UPLOADS = [
    Upload(id=digit * 32, bytes=1, sha256=digit * 64, duration_s=4.0, created_at=0.0) for digit in ("a", "b", "c")
]
# Section 8.1 of the protocol: every field that a chat may have.
SPECIFIED = set(
    """
    model messages stream modalities max_tokens stop temperature top_p top_k seed thinking guidance_scale batch_size
    lyrics sample_mode use_format use_cot_caption use_cot_language task_type repainting_start repainting_end
    audio_cover_strength inference_steps infer_method lm_cfg_scale audio_codes cover_noise_strength use_cot_metas
    audio_config.duration audio_config.format audio_config.bpm audio_config.key_scale audio_config.time_signature
    audio_config.vocal_language audio_config.instrumental
    """.split()  # noqa: SIM905  (a list would fill a page)
)


def asked(text: str = "calm piano", uploads: int = 0, **fields: Any) -> Wanted:
    body = ChatBody.model_validate({"messages": [{"role": "user", "content": text}], **fields})
    service: Any = SimpleNamespace(settings=Settings(model="built-in"), queue=None)
    return wanted(body, text, UPLOADS[:uploads], service, timeout_s=1)


def test_a_bare_wish_is_a_caption_and_nothing_else() -> None:
    found = asked()
    assert SongRequest(**found.fields) == SongRequest(caption="calm piano", model="built-in", output={"format": "mp3"})
    assert found.notes == ()


def test_whatever_is_said_of_the_song_reaches_the_request() -> None:
    found = asked(
        "<prompt>rock</prompt><lyrics>[Verse]\nla</lyrics>",
        seed=7,
        inference_steps=12,
        guidance_scale=3,
        infer_method="sde",
        audio_config={
            "duration": 9,
            "format": "wav",
            "bpm": 90,
            "key_scale": "C major",
            "time_signature": "3",
            "vocal_language": "en",
        },
    )
    assert SongRequest(**found.fields) == SongRequest(
        caption="rock",
        lyrics="[Verse]\nla",
        model="built-in",
        seed=7,
        duration_s=9,
        bpm=90,
        key="C major",
        time_signature="3/4",
        language="en",
        sampling={"steps": 12, "guidance_scale": 3, "solver": "sde"},
        output={"format": "wav", "bit_depth": 16},
    )
    assert found.notes == ()


def test_what_is_left_open_is_left_open() -> None:
    config = {"duration": -1, "bpm": 0, "key_scale": "", "time_signature": "", "vocal_language": ""}
    found = asked(seed=-1, audio_config=config)
    assert not set(found.fields) & {"duration_s", "bpm", "key", "time_signature", "language", "seed"}


def test_direct_lyrics_leave_the_message_as_the_caption() -> None:
    found = asked("short\nlines\nof\na caption", lyrics="la la")
    assert (found.fields["caption"], found.fields["lyrics"]) == ("short\nlines\nof\na caption", "la la")


def test_instrumental_needs_no_lyrics() -> None:
    assert asked(audio_config={"instrumental": True}).fields["instrumental"] is True
    found = asked(audio_config={"instrumental": True}, lyrics="la la")
    assert "instrumental" not in found.fields
    assert "there are lyrics" in found.notes[0]
    assert asked(lyrics="[inst]").fields["instrumental"] is True


@pytest.mark.parametrize(
    ("given", "task", "references"),
    [
        ({}, {"kind": "text-to-music"}, ["a"]),
        (
            {"task_type": "cover", "audio_cover_strength": 0.4, "cover_noise_strength": 0.2},
            {"kind": "cover", "strength": 0.4, "noise_strength": 0.2},
            ["b"],
        ),
        (
            {"task_type": "repaint", "repainting_start": 1, "repainting_end": 2},
            {"kind": "repaint", "start_s": 1, "end_s": 2},
            ["b"],
        ),
        ({"task_type": "repaint", "repainting_end": -1}, {"kind": "repaint", "start_s": 0, "end_s": None}, ["b"]),
        ({"task_type": "repaint", "repainting_start": -2}, {"kind": "outpaint", "start_s": -2, "end_s": 4}, ["b"]),
        (
            {"task_type": "lego", "track_name": "DRUMS"},
            {"kind": "lego", "track": "drums", "start_s": 0, "end_s": None},
            ["b"],
        ),
        ({"task_type": "extract", "track_name": "bass"}, {"kind": "extract", "track": "bass"}, ["b"]),
        (
            {"task_type": "complete", "track_classes": "drums | bass"},
            {"kind": "complete", "tracks": ["drums", "bass"]},
            ["b"],
        ),
    ],
)
def test_audio_goes_where_the_task_has_it(given: dict[str, Any], task: dict[str, Any], references: list[str]) -> None:
    found = asked(uploads=2, **given)
    source = {"source": {"upload": "a" * 32}} if task["kind"] != "text-to-music" else {}
    assert found.fields["task"] == source | task
    assert found.fields["references"] == [{"upload": one * 32} for one in references]
    assert any("more audio" in note for note in found.notes) == (not source)
    SongRequest(**found.fields)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"task_type": "cover"}, "messages"),
        ({"task_type": "stem_separation"}, "task_type"),
        ({"task_type": "lego", "uploads": 1}, "track_name"),
        ({"audio_config": {"format": "midi"}}, "audio_config.format"),
        ({"audio": {"format": "midi", "voice": "alloy"}}, "audio.format"),
        ({"seed": "abc"}, "seed"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_the_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        asked(**given)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seed": "4,5"}, "with the first"),
        ({"seed": 2**32 + 5}, "5 is taken"),
        ({"temperature": 0.5}, "temperature was asked for and is not applied: no language model plans"),
        ({"use_cot_caption": False}, "use_cot_caption was asked for"),
        ({"thinking": True}, "built-in is not planned by a language model"),
        ({"infer_method": "rk4"}, "there are ode and sde"),
        ({"audio_cover_strength": 0.5}, "it is of cover, not of text2music"),
        ({"model": "acestep/acestep-v15-turbo"}, "built-in plays"),
        ({"sample_mode": True}, "sample_mode was asked for and is not applied: no language model"),
        ({"use_format": True}, "use_format was asked for and is not applied: no language model"),
    ],
)
def test_what_has_no_effect_is_told(given: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("partita.service.doors.spoken.planner_here", lambda settings, name=None: None)
    found = asked(**given)
    assert any(told in note for note in found.notes), found.notes
    assert found.fields["caption"] == "calm piano"


def test_models_are_named_with_or_without_their_owner() -> None:
    assert bare("acestep/acestep-v15-turbo") == bare("acestep-v15-turbo") == "acestep-v15-turbo"
    assert bare("someone/else") == "someone/else"
    assert bare(None) is bare(" ") is None


@pytest.mark.parametrize(
    ("given", "found"), [("3", "3/4"), (6, "6/8"), ("4/4", "4/4"), ("", None), (0, None), ("N/A", None), ("5", "5/4")]
)
def test_a_metre_is_read(given: Any, found: str | None) -> None:
    assert metre(given) == found


def test_seeds_are_read() -> None:
    assert (seeds(None), seeds(-1), seeds("-1"), seeds(3), seeds("3, 4")) == ([], [], [], [3], [3, 4])


def fields_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Every field of a body, those of groups by their dotted names."""
    groups = {"audio": AudioOut, "audio_config": AudioConfig, "stream_options": StreamOptions}
    names: set[str] = set()
    for name in model.model_fields:
        names |= fields_of(groups[name], f"{name}.") if name in groups and not prefix else {prefix + name}
    return names


def test_every_field_has_a_row() -> None:
    rows = [row.name for row in table.CHAT]
    assert len(rows) == len(set(rows))
    assert set(rows) >= SPECIFIED
    assert fields_of(ChatBody) <= set(rows)
    assert fields_of(MusicBody) == {row.name for row in table.MUSIC}


def test_every_row_that_acts_is_a_field() -> None:
    assert {row.name for row in table.CHAT if row.treatment != "not applied"} <= fields_of(ChatBody)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_tokens": 5}, ("max_tokens was asked for and is not applied: no text is generated.",)),
        ({"n": 2}, ("n was asked for and is not applied: one song is made and answered.",)),
        ({"n": 1, "stop": [], "response_format": {"type": "text"}}, ()),
        ({"audio": {"voice": "alloy"}}, ("audio.voice was asked for and is not applied: a singer is described in the "
                                         "caption, and has no name.",)),
        ({"negative_prompt": "noise"}, ("There is no field 'negative_prompt' in this protocol: not applied.",)),
        ({"audio_config": {"vibe": 1}}, ("There is no field 'audio_config.vibe' in this protocol: not applied.",)),
        ({"seed": 5, "stream": True, "modalities": ["audio"]}, ()),
    ],
)  # fmt: skip
def test_fields_without_effect_are_told(given: dict[str, Any], told: tuple[str, ...]) -> None:
    body = ChatBody.model_validate({"messages": [{"role": "user", "content": "x"}], **given})
    assert table.notes_on(body) == told


def test_a_thousand_unknown_fields_are_counted() -> None:
    body = MusicBody.model_validate({"input": "x"} | {f"x{n}": n for n in range(1000)})
    notes = table.notes_on(body)
    assert len(notes) == 13
    assert notes[-1] == "988 more fields are unknown: not applied."


def test_the_docs_show_the_tables() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert as_markdown(table.CHAT) in text
    assert as_markdown(table.MUSIC) in text


def test_a_header_of_notes_is_short_ascii() -> None:
    header = notes_header([f"näher {n}" * 20 for n in range(100)])
    assert header.isascii()
    assert len(header) < 4000
    assert "more, in the record" in header


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("DeadlineError", 504),
        ("ModelError", 503),
        ("PlannerError", 503),
        ("RequestError", 400),
        ("AudioError", 400),
        ("ResourceError", 507),
        ("Cancelled", 410),
        ("ValueError", 500),
        ("Path", 500),
    ],
)
def test_what_a_job_failed_with_has_its_status(kind: str, status: int) -> None:
    error = error_of_fault(JobFault(kind=kind, message="it went wrong"))
    assert told_status(error) == status
    assert (str(error) == "it went wrong") == (status != 500)
