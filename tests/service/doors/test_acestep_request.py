"""What a request of the ACE-Step protocol asks for: for the built-in model, and for a model of that family."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.service.config import Limits
from partita.service.doors.acestep import request as request_module
from partita.service.doors.acestep.fields import BY_NAME, read_fields
from partita.service.doors.acestep.request import NAMES, want
from partita.service.doors.acestep.sources import Heard
from partita.service.doors.acestep.wanted import Wanted
from partita.service.doors.choice import Choice, fit
from partita.song.request import SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.source import AudioRef, SourceFacts
from partita.weights.catalog import card, planner
from tests.service.doors.acestep_client import settings_in

TURBO, BASE, BUILT_IN = card("ace-step-1.5-turbo"), card("ace-step-1.5-base"), card("built-in")
HASH = "0" * 64


class Models:
    """One model plays, whatever is asked for."""

    def __init__(self, card: Any, folder: Path) -> None:
        self._card = card
        self.settings = settings_in(folder)

    def choose(self, asked: str | None, kind: str, *, maker: str | None = None) -> Choice:
        return Choice(self._card)


class Sources:
    """A source of some length, and a reference."""

    def __init__(self, length_s: float | None = None, *, silent: bool = False, reference: bool = False) -> None:
        self.has_source, self.has_reference = length_s is not None, reference
        self._length_s, self._silent = length_s, silent

    def source(self) -> Heard | None:
        if self._length_s is None:
            return None
        return (_Silent if self._silent else _Loud)(AudioRef(sha256=HASH), Path("x.wav"), self._length_s)

    def reference(self) -> Heard | None:
        return Heard(AudioRef(sha256="1" * 64), Path("y.wav"), 3.0) if self.has_reference else None


class _Silent(Heard):
    def is_silent(self) -> bool:
        return True


class _Loud(Heard):
    def is_silent(self) -> bool:
        return False


@pytest.fixture
def ask(tmp_path: Path):
    """What a body asks for of a model."""

    def ask(body: dict[str, Any], model: Any = BASE, sources: Sources | None = None, **limits: Any) -> Wanted:
        models: Any = Models(model, tmp_path)
        heard: Any = sources or Sources()
        return want(read_fields({"prompt": "words", **body}), heard, models, Limits(**limits))

    return ask


def honoured(wanted: Wanted, length_s: float | None = None) -> tuple[SongRequest, tuple[str, ...]]:
    """The request that is submitted in the end, and what was left out on the way."""
    model = card(wanted.fields["model"])
    facts = None if length_s is None else SourceFacts(sha256=HASH, samples=round(length_s * 48_000))
    references = tuple(SourceFacts(sha256="1" * 64, samples=48_000) for _ in wanted.fields.get("references", ()))
    fitted = fit(
        wanted.fields, lambda request: resolve(request, model, TakenIn(source=facts, references=references)), NAMES
    )
    return fitted.request, (*wanted.notes, *fitted.notes)


def test_words_and_metadata_are_the_song_s(ask) -> None:
    body = {
        "lyrics": "[Verse]\nhello", "bpm": 90, "key": "a minor", "time_signature": "3", "duration": 30,
        "vocal_language": "zh-CN",
    }  # fmt: skip
    request, notes = honoured(ask(body))
    assert (request.caption, request.lyrics, request.instrumental) == ("words", "[Verse]\nhello", False)
    assert (request.bpm, request.key, request.time_signature) == (90, "A minor", "3/4")
    assert (request.duration_s, request.language) == (30, "zh")
    assert notes == ()


@pytest.mark.parametrize("lyrics", ["", "[inst]", "[Instrumental]", None])
def test_these_lyrics_are_no_voice(ask, lyrics: str | None) -> None:
    assert honoured(ask({"lyrics": lyrics}))[0].instrumental


@pytest.mark.parametrize(
    "body", [{"bpm": 0}, {"duration": 0}, {"duration": -1}, {"key": ""}, {"time_signature": "N/A"}]
)
def test_these_leave_it_open(ask, body: dict[str, Any]) -> None:
    request, notes = honoured(ask(body))
    assert (request.bpm, request.duration_s, request.key, request.time_signature) == (None, None, None, None)
    assert notes == ()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"key": "H moll"}, "key_scale"),
        ({"time_signature": "7"}, "time_signature"),
        ({"vocal_language": "klingon"}, "vocal_language"),
        ({"audio_format": "xyz"}, "audio_format"),
        ({"timesteps": "1,two"}, "timesteps"),
        ({"infer_method": "magic"}, "infer_method"),
        ({"guidance_variant": "mine"}, "guidance_variant"),
        ({"eta": 0.5}, "eta"),
        ({"instruction": "Play it backwards"}, "instruction"),
        ({"negative_prompt": "drums"}, "negative_prompt"),
        ({"lm_backend": "mlx"}, "lm_backend"),
        ({"repaint_mode": "aggressive"}, "repaint_mode"),
        ({"seed": "5"}, "use_random_seed"),
        ({"batch_size": 99}, "batch_size"),
        ({"lm_temperature": 0.2}, "lm_temperature"),
        ({"inference_steps": 5000}, "inference_steps"),
        ({"shift": 50}, "shift"),
        ({"global_caption": "else"}, "global_caption"),
        ({"cover_noise_strength": 0.4}, "cover_noise_strength"),
    ],
)
def test_what_is_not_applied_is_told_and_the_song_is_made(ask, body: dict[str, Any], told: str) -> None:
    lyrics = {"lyrics": "la la"} if "vocal_language" in body else {}
    request, notes = honoured(ask({**body, **lyrics}))
    assert request.caption == "words"
    assert len(notes) == 1, notes
    assert told in notes[0]


def test_what_is_as_usual_is_not_told(ask) -> None:
    usual = {field.name: field.usual for field in BY_NAME.values() if field.usual is not None}
    helped = dict.fromkeys(("use_cot_caption", "use_cot_language"), None)  # given, they ask for a language model
    assert honoured(ask({**usual, **helped, "prompt": "words"}))[1] == ()


def test_the_sampler_of_a_model_of_the_family_is_told_what_was_asked(ask) -> None:
    body = {
        "inference_steps": 40, "guidance_scale": 5, "shift": 2, "infer_method": "sde", "use_adg": True,
        "cfg_interval_start": 0.1, "cfg_interval_end": 0.9,
    }  # fmt: skip
    request, notes = honoured(ask(body))
    sampling = request.sampling
    assert (sampling.steps, sampling.guidance_scale, sampling.shift) == (40, 5, 2)
    assert (sampling.solver, sampling.guidance, sampling.guidance_interval) == ("sde", "adg", (0.1, 0.9))
    assert notes == ()
    assert honoured(ask({"sampler_mode": "heun"}))[0].sampling.solver == "heun"


def test_own_timesteps_replace_steps_and_shift(ask) -> None:
    sampling = honoured(ask({"timesteps": "1,0.5,0.2,0", "inference_steps": 8, "shift": 3}))[0].sampling
    assert sampling.timesteps == (1, 0.5, 0.2, 0)
    assert (sampling.steps, sampling.shift) == (None, None)


def test_a_turbo_model_makes_the_song_without_what_it_does_not_have(ask) -> None:
    body = {"inference_steps": 50, "guidance_scale": 9, "use_adg": True, "shift": 2.5}
    request, notes = honoured(ask(body, TURBO))
    assert request.sampling.guidance_scale is None
    assert request.sampling.steps is None
    assert [any(name in note for note in notes) for name in ("inference_steps", "guidance_scale", "shift")] == [
        True
    ] * 3
    assert honoured(ask({"guidance_scale": 7.0, "inference_steps": 8, "shift": 3}, TURBO))[1] == ()


def test_the_built_in_model_samples_in_its_own_way_and_says_so(ask) -> None:
    body = {"inference_steps": 50, "guidance_scale": 7, "shift": 3, "use_adg": False, "bpm": 90}
    request, notes = honoured(ask(body, BUILT_IN))
    assert request.sampling == SongRequest(caption="x").sampling
    assert notes == (
        "inference_steps 50, guidance_scale 7, shift 3: not applied, for built-in samples in a way of its own.",
    )


def test_a_tempo_that_cannot_be_played_is_the_nearest_that_can(ask) -> None:
    request, notes = honoured(ask({"bpm": 200}, BUILT_IN))
    assert request.bpm == 180
    assert "bpm 200" in notes[0]


def test_a_length_is_at_most_what_the_server_makes(ask) -> None:
    request, notes = honoured(ask({"duration": 500}, duration_s=60))
    assert request.duration_s == 60
    assert "audio_duration 500" in notes[0]


@pytest.mark.parametrize(
    ("body", "seeds"),
    [
        ({}, ((None, 2),)),
        ({"batch_size": 1}, ((None, 1),)),
        ({"seed": 5, "use_random_seed": False}, ((5, 2),)),
        ({"seed": "-1", "use_random_seed": "false"}, ((None, 2),)),
        ({"seed": "5,6,7", "batch_size": 3, "use_random_seed": False}, ((5, 3),)),
        ({"seed": "5,9,10,-1", "batch_size": 4, "use_random_seed": False}, ((5, 1), (9, 2), (None, 1))),
        ({"seed": "5,9", "batch_size": 4, "use_random_seed": False}, ((5, 1), (9, 1), (None, 2))),
        ({"seed": "5,9,3", "batch_size": 1, "use_random_seed": False}, ((5, 1),)),
        ({"seed": "12.7", "batch_size": 1, "use_random_seed": False}, ((12, 1),)),
    ],
)
def test_seeds_that_follow_each_other_are_one_job_s(ask, body: dict[str, Any], seeds: tuple) -> None:
    assert ask(body).seeds == seeds


@given(text=st.text(alphabet="0123456789,.- x", max_size=30), count=st.integers(1, 8))
def test_every_list_of_seeds_makes_as_many_songs_as_were_asked_for(text: str, count: int) -> None:
    given_ = read_fields({"seed": text, "use_random_seed": False})
    groups = request_module._seeds(given_, count, [])
    assert sum(songs for _, songs in groups) == count
    assert all(seed is None or 0 <= seed < 2**32 for seed, _ in groups)


@pytest.mark.parametrize(
    ("asked", "form", "depth"),
    [("mp3", "mp3", None), ("WAV", "wav", None), ("wav32", "wav", 32), (".flac", "flac", None), ("opus", "opus", None)],
)
def test_formats(ask, asked: str, form: str, depth: int | None) -> None:
    output = honoured(ask({"audio_format": asked}))[0].output
    assert (output.format, output.bit_depth) == (form, depth)


def test_codes_set_the_length_and_how_far_they_are_followed(ask) -> None:
    body = {"audio_codes": "<|audio_code_5|>" * 60, "audio_cover_strength": 0.5, "duration": 99}
    task = honoured(ask(body))[0].task
    assert (len(task.codes), task.strength) == (60, 0.5)
    request, notes = honoured(ask(body, BUILT_IN))
    assert request.task.kind == "text-to-music"
    assert any("audio_code_string" in note for note in notes)


def test_a_cover_has_its_strengths(ask) -> None:
    body = {"task_type": "cover", "audio_cover_strength": 0.3, "cover_noise_strength": 0.2}
    task = honoured(ask(body, TURBO, Sources(10)), 10)[0].task
    assert (task.kind, task.strength, task.noise_strength) == ("cover", 0.3, 0.2)
    request, notes = honoured(ask({"task_type": "cover", "audio_cover_strength": 7}, TURBO, Sources(10)), 10)
    assert request.task.strength == 1
    assert "audio_cover_strength 7" in notes[0]


@pytest.mark.parametrize(
    ("start", "end", "kind", "spans"),
    [
        (2, 5, "repaint", (2, 5)),
        (2, None, "repaint", (2, None)),
        (2, 0, "repaint", (2, None)),
        (2, 10.02, "repaint", (2, None)),
        (-4, 3, "outpaint", (-4, 3)),
        (-4, None, "outpaint", (-4, 10)),
        (8, 15, "outpaint", (8, 15)),
        (10, 15, "extend", (0, 5)),
    ],
)
def test_a_region_says_whether_the_source_is_repainted_or_made_longer(ask, start, end, kind, spans) -> None:
    body = {"task_type": "repaint", "repainting_start": start, "repainting_end": end, "repaint_strength": 0.25}
    task = honoured(ask({**body, "repaint_mode": "Aggressive"}, TURBO, Sources(10)), 10)[0].task
    assert (task.kind, task.mode, task.strength) == (kind, "aggressive", 0.25)
    assert (spans[0], spans[1]) == ((task.left_s, task.right_s) if kind == "extend" else (task.start_s, task.end_s))


def test_the_mask_is_left_to_the_model_unless_it_is_asked_for(ask) -> None:
    body = {"task_type": "repaint", "repainting_start": 1}
    assert honoured(ask(body, TURBO, Sources(10)), 10)[0].task.chunk_mask == ("ones" if TURBO.context else "explicit")
    assert (
        honoured(ask(body | {"chunk_mask_mode": "explicit"}, TURBO, Sources(10)), 10)[0].task.chunk_mask == "explicit"
    )


def test_tracks_are_named_as_people_name_them(ask) -> None:
    body = {"task_type": "lego", "track_name": "Backing Vocals", "repainting_end": 30, "audio_duration": 10}
    request, notes = honoured(ask(body, BASE, Sources(10)), 10)
    assert (request.task.kind, request.task.track, request.task.end_s) == ("lego", "backing_vocals", None)
    assert "repainting_end 30" in notes[0]
    complete = ask({"task_type": "complete", "track_classes": "DRUMS | Bass | kazoo"}, BASE, Sources(10))
    request, notes = honoured(complete, 10)
    assert request.task.tracks == ("drums", "bass")
    assert "kazoo" in notes[0]
    assert honoured(ask({"task_type": "extract", "track_name": "drum"}, BASE, Sources(10)), 10)[0].task.track == "drums"


def test_the_first_track_of_an_empty_project_is_made_from_words(ask) -> None:
    body = {"task_type": "lego", "track_name": "bass", "global_caption": "a slow song"}
    wanted = ask(body, BUILT_IN, Sources(12, silent=True))
    request, notes = honoured(wanted)
    assert (request.task.kind, request.duration_s) == ("text-to-music", 12)
    assert request.caption == "solo bass, words, a slow song"
    assert any("silent" in note for note in notes)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"task_type": "cover"}, "src_audio"),
        ({"full_analysis_only": True}, "src_audio"),
        ({"task_type": "stem_separation"}, "stem_separation"),
        ({"task_type": "dance"}, "text2music, cover, repaint, lego, extract, complete"),
    ],
)
def test_work_that_cannot_be_done_is_refused_in_words(ask, body: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        ask(body)


@pytest.mark.parametrize("track", [None, "kazoo"])
def test_a_track_is_needed(ask, track: str | None) -> None:
    with pytest.raises(RequestError, match="track_name"):
        ask({"task_type": "lego", "track_name": track}, BASE, Sources(10))


def test_a_reference_is_used_where_the_model_hears_one(ask) -> None:
    able = next(one for one in (TURBO, BASE) if one.references)
    assert len(honoured(ask({}, able, Sources(reference=True)))[0].references) == 1
    request, notes = honoured(ask({}, BUILT_IN, Sources(reference=True)))
    assert request.references == ()
    assert "reference_audio" in notes[0]


def test_thinking_without_a_language_model_is_told(ask) -> None:
    request, notes = honoured(ask({"thinking": True}))
    assert request.planner.mode == "off"
    assert "thinking" in notes[0]
    assert honoured(ask({}))[1] == ()  # what is wished for in silence is not missed


@pytest.fixture
def a_planner_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = planner("ace-step-1.5-planner-1.7b")
    for place in ("spoken", "acestep.sampling", "acestep.request"):
        monkeypatch.setattr(f"partita.service.doors.{place}.planner_here", lambda settings, name=None: here)


@pytest.mark.usefixtures("a_planner_is_here")
class TestPlanner:
    """With a planner on disk."""

    def test_thinking_plans_in_full(self, ask) -> None:
        body = {
            "thinking": True, "lm_temperature": 0.7, "lm_cfg_scale": 3, "lm_top_k": -1, "lm_top_p": 1.5,
            "lm_negative_prompt": "noise", "use_cot_caption": False, "duration": 60,
        }  # fmt: skip
        options = honoured(ask(body))[0].planner
        assert (options.mode, options.temperature, options.guidance_scale) == ("full", 0.7, 3)
        assert (options.top_k, options.top_p, options.negative_prompt) == (0, 1, "noise")
        assert not options.rewrite_caption

    def test_without_thinking_it_fills_in_what_is_open(self, ask) -> None:
        assert honoured(ask({}))[0].planner.mode == "metadata"
        off = {"use_cot_caption": False, "use_cot_language": False}
        assert honoured(ask(off))[0].planner.mode == "off"

    def test_codes_that_are_given_leave_it_out(self, ask) -> None:
        request, notes = honoured(ask({"thinking": True, "audio_codes": "<|audio_code_5|>" * 60}))
        assert request.planner.mode == "off"
        assert "codes were given" in notes[0]

    def test_a_length_that_it_does_not_plan_is_told(self, ask) -> None:
        request, notes = honoured(ask({"thinking": True, "duration": 5}, TURBO))
        assert request.planner.mode == "off"
        assert any("thinking" in note for note in notes)

    @pytest.mark.parametrize(
        ("body", "kind", "query"),
        [
            ({"sample_query": "sung in German"}, "write", "sung in German"),
            ({"desc": "a flute solo"}, "write", "a flute solo"),
            ({"sample_mode": True}, "write", "NO USER INPUT"),
            ({"use_format": True}, "format", "NO USER INPUT"),
        ],
    )
    def test_words_are_written_first_where_that_is_asked_for(self, ask, body, kind, query) -> None:
        wanted = ask(body)
        assert (wanted.kind, wanted.query) == (kind, query)
        assert wanted.fields.get("language") == ("de" if "German" in query else None)
        assert wanted.instrumental == query.endswith("solo")


def test_a_wish_without_a_language_model_is_the_caption(ask) -> None:
    wanted = ask({"prompt": "", "desc": "rain on a tin roof"})
    assert (wanted.kind, wanted.fields["caption"]) == ("song", "rain on a tin roof")
    assert "sample_mode" in wanted.notes[0]
    assert ask({"prompt": "", "sample_mode": True}).fields["caption"]


_VALUE = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**12)
    | st.floats()
    | st.text(max_size=10)
    | st.lists(st.text(max_size=3), max_size=3)
)


@given(
    body=st.dictionaries(st.sampled_from(sorted(BY_NAME)), _VALUE, max_size=10),
    model=st.sampled_from([TURBO, BASE, BUILT_IN]),
)
def test_any_body_is_a_request_or_refused_in_words(body, model) -> None:
    models: Any = Models(model, Path("/nowhere"))
    heard: Any = Sources(10)
    with suppress(RequestError):
        wanted = want(read_fields(body), heard, models, Limits())
        if wanted.kind == "song":
            honoured(wanted, 10 if "source" in wanted.fields.get("task", {}) else None)
