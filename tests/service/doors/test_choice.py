"""Which model plays for a name of another protocol, and what is left of a request that it cannot honour in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from partita.errors import NotFoundError, RequestError, TooLargeError
from partita.service.doors import spoken
from partita.service.doors.choice import choose_model, fit, submit_fitted
from partita.service.jobs.job import JobOptions
from partita.settings import Settings
from partita.song.request import SongRequest
from partita.weights.catalog import card

BUILT_IN = card("built-in")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A machine without any downloaded model."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "MODELSCOPE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return Settings(cache=tmp_path / "cache", data=tmp_path / "data", checkpoint_dir=None, model="built-in")


@pytest.mark.parametrize("name", ["built-in", "builtin", "Built-In", None, ""])
def test_a_model_that_is_here_plays_without_a_note(settings: Settings, name: str | None) -> None:
    choice = choose_model(name, settings)
    assert (choice.model_id, choice.note) == ("built-in", None)


def test_a_model_that_is_not_here_is_named_beside_the_one_that_plays(settings: Settings) -> None:
    choice = choose_model("acestep-v15-turbo", settings)
    assert choice.model_id == "built-in"
    assert choice.note is not None
    assert "acestep-v15-turbo was asked for and is not applied" in choice.note
    assert "partita download ace-step-1.5-turbo" in choice.note
    assert "built-in plays" in choice.note


def test_a_name_that_nobody_knows_is_told(settings: Settings) -> None:
    note = choose_model("gpt-music", settings).note
    assert note == "model gpt-music was asked for and is not applied: there is no such model here. built-in plays."


def test_a_setting_for_a_model_that_is_not_here_is_told(settings: Settings) -> None:
    choice = choose_model(None, settings.model_copy(update={"model": "ace-step-v1"}))
    assert choice.model_id == "built-in"
    assert choice.note is not None
    assert "PARTITA_MODEL ace-step-v1" in choice.note


def test_names_of_a_protocol_stand_for_ours_in_order(settings: Settings) -> None:
    choice = choose_model("ace_step", settings, stands_for=("ace-step-1.5-turbo", "built-in"))
    assert (choice.model_id, choice.note) == ("built-in", None)
    none = choose_model("musicgen", settings, stands_for=())
    assert none.note == "model musicgen was asked for and is not applied: there is no such model here. built-in plays."


WISHES: dict[str, Any] = {
    "duration_s": 900,
    "bpm": 200,
    "key": "H dur",
    "time_signature": "2/4",
    "language": "xx",
    "references": ["voice.wav"],
    "adapters": ["someone"],
    "planner": {"mode": "full"},
    "sampling": {"steps": 150, "guidance_scale": 50, "solver": "sde", "shift": 99, "omega": 3},
    "output": {"format": "mp3", "lrc": True},
    "task": {"kind": "text-to-music", "strength": 0.5, "codes": [1, 2, 99_999_999]},
}


def test_every_wish_that_cannot_be_honoured_is_left_out_and_told() -> None:
    fitted = fit({"caption": "calm piano", "model": "built-in"} | WISHES, BUILT_IN)
    assert fitted.request == SongRequest(
        caption="calm piano", model="built-in", duration_s=600, bpm=180, output={"format": "mp3"}
    )
    for name in (
        "bpm 200", "duration_s 900", "key 'H dur'", "time_signature '2/4'", "language 'xx'", "references", "adapters",
        "planner", "sampling.steps 150", "sampling.guidance_scale 50", "sampling.solver 'sde'", "sampling.shift 99",
        "sampling.omega 3", "output.lrc True", "task.strength 0.5", "task.codes",
    ):  # fmt: skip
        assert any(note.startswith(f"{name} was asked for and is not applied: ") for note in fitted.notes), name


@given(st.sets(st.sampled_from(sorted(WISHES))))
def test_whatever_is_wished_for_the_song_stays_the_song(names: set[str]) -> None:
    fitted = fit({"caption": "calm piano", "model": "built-in"} | {name: WISHES[name] for name in names}, BUILT_IN)
    assert fitted.request.caption == "calm piano"
    assert bool(fitted.notes) == bool(names)


def test_what_is_honoured_is_not_told() -> None:
    fields = {"caption": "calm piano", "bpm": 90, "key": "C major", "duration_s": 5, "sampling": {"steps": 10}}
    fitted = fit(fields, BUILT_IN)
    assert (fitted.request, fitted.notes) == (SongRequest(**fields), ())


def test_a_model_without_guidance_leaves_out_what_was_said_of_it() -> None:
    wished = {"guidance": "apg", "guidance_interval": (0.2, 0.8)}
    fitted = fit({"caption": "calm piano", "sampling": wished}, card("ace-step-1.5-turbo"))
    assert fitted.request.sampling == SongRequest(caption="a").sampling
    assert len(fitted.notes) == 2


def test_a_note_speaks_the_words_of_the_protocol() -> None:
    fields = {"caption": "calm piano", "sampling": {"steps": 150}}
    (note,) = fit(fields, BUILT_IN, {"sampling.steps": "inference_steps"}).notes
    assert note.startswith("inference_steps 150 was asked for and is not applied: ")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"caption": ""}, "caption"),
        ({"caption": "calm", "task": {"kind": "cover", "source": {"song": "0" * 32}}}, "task"),
        (
            {"caption": "calm", "task": {"kind": "repaint", "source": {"song": "../x"}, "start_s": 1}},
            "task.source.song",
        ),
        ({"caption": "calm", "instrumental": True, "lyrics": "la la"}, "instrumental"),
        ({"caption": "calm", "stem_count": 4}, "stem_count"),
        ({"caption": "calm", "count": 500}, "count"),
    ],
)
def test_what_makes_it_another_song_is_an_error(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        fit(fields, BUILT_IN)
    assert caught.value.field == field


class Taking:
    """A service that takes requests whose fields it is not told to refuse."""

    def __init__(self, refuses: dict[str, RequestError]) -> None:
        self.refuses, self.taken = refuses, []

    def submit(self, request: SongRequest, options: JobOptions) -> tuple[SongRequest, JobOptions]:
        for name, error in self.refuses.items():
            if getattr(request, name):
                raise error
        self.taken.append(request)
        return request, options


def test_what_was_left_out_goes_with_the_job() -> None:
    service = Taking({"references": RequestError("takes no timbre references.", field="references")})
    fields = {"caption": "calm piano", "references": [{"upload": "0" * 32}]}
    request, options = submit_fitted(service, fields, JobOptions(door="x", notes=("first",)))  # type: ignore[arg-type]
    assert request.references == ()
    assert options.notes == ("first", "references was asked for and is not applied: takes no timbre references.")


@pytest.mark.parametrize("error", [TooLargeError, NotFoundError])
def test_what_the_server_refuses_is_not_left_out(error: type[RequestError]) -> None:
    service = Taking({"duration_s": error("no", field="duration_s")})
    with pytest.raises(error):
        submit_fitted(service, {"caption": "calm", "duration_s": 9}, JobOptions())  # type: ignore[arg-type]
    assert service.taken == []


def test_a_plan_by_a_language_model_needs_one(settings: Settings) -> None:
    turbo = card("ace-step-1.5-turbo")
    assert spoken.planned("off", turbo, settings, "thinking") == spoken.Words({})
    absent = spoken.planned("full", turbo, settings, "thinking")
    assert absent.fields == {}
    assert "thinking was asked for and is not applied: no language model is on this machine" in absent.notes[0]
    (note,) = spoken.planned("full", BUILT_IN, settings, "thinking").notes
    assert "built-in is not planned by a language model" in note
    (note,) = spoken.planned("full", turbo, settings, "thinking", duration_s=5).notes
    assert "5 were asked for" in note


def test_words_stay_as_they_are_where_nobody_can_rewrite_them(settings: Settings) -> None:
    words = spoken.rewritten(None, settings, "calm", "la la", "use_format", given={"bpm": 90, "key": None})  # type: ignore[arg-type]
    assert words.fields == {"caption": "calm", "lyrics": "la la", "bpm": 90}
    assert words.notes[0].startswith("use_format was asked for and is not applied: no language model")
    wish = spoken.written(None, settings, "a sad song", "sample_mode")  # type: ignore[arg-type]
    assert wish.fields == {"caption": "a sad song"}


@pytest.mark.parametrize(
    ("lyrics", "instrumental", "fields"),
    [
        ("", None, {}),
        (None, True, {"instrumental": True}),
        ("[inst]", False, {"instrumental": True}),
        (" [Instrumental]\n", None, {"instrumental": True}),
        ("[Verse]\nla", True, {"lyrics": "[Verse]\nla"}),
    ],
)
def test_lyrics_of_other_programs(lyrics: str | None, instrumental: bool | None, fields: dict[str, Any]) -> None:
    assert spoken.sung(lyrics, instrumental) == fields


@pytest.mark.parametrize(
    ("caption", "field", "taken"),
    [("drum and bass at 190 bpm", "bpm", 180), ("a tune in 5/4", "time_signature", "4/4")],
)
def test_what_a_caption_says_and_a_planner_would_refuse_is_brought_within_reach(caption, field, taken):
    fitted = fit({"model": "built-in", "caption": caption}, card("built-in"))
    assert getattr(fitted.request, field) == taken
    assert len(fitted.notes) == 1
    assert "not applied" in fitted.notes[0]
    said = fit({"model": "built-in", "caption": caption, "bpm": 90, "time_signature": "3/4"}, card("built-in"))
    assert (said.request.bpm, said.request.time_signature, said.notes) == (90, "3/4", ())
