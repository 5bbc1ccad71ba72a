"""The fields of the ACE-Step protocol: where they are looked up, under which names, and how their text is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from partita.service.doors.acestep.fields import BY_NAME, FIELDS, METADATA, read_fields
from partita.service.doors.acestep.table import MODEL_ROWS, ROWS, TASK_ROWS
from partita.service.doors.table import as_markdown
from partita.weights.catalog import catalog, planners

CANONICAL = (
    "prompt", "global_caption", "lyrics", "thinking", "sample_mode", "sample_query", "use_format", "model", "bpm",
    "key_scale", "time_signature", "audio_duration", "vocal_language", "inference_steps", "guidance_scale",
    "use_random_seed", "seed", "batch_size", "reference_audio_path", "src_audio_path", "task_type", "instruction",
    "track_name", "track_classes", "repainting_start", "repainting_end", "chunk_mask_mode", "repaint_mode",
    "repaint_strength", "repaint_latent_crossfade_frames", "repaint_wav_crossfade_sec", "audio_cover_strength",
    "cover_noise_strength", "audio_code_string", "use_adg", "cfg_interval_start", "cfg_interval_end", "infer_method",
    "shift", "timesteps", "audio_format", "use_tiled_decode", "lm_model_path", "lm_backend", "lm_temperature",
    "lm_cfg_scale", "lm_top_k", "lm_top_p", "lm_repetition_penalty", "lm_negative_prompt", "constrained_decoding",
    "constrained_decoding_debug", "use_cot_caption", "use_cot_language", "is_format_caption", "allow_lm_batch",
    "analysis_only", "full_analysis_only", "extract_codes_only", "sampler_mode", "velocity_norm_threshold",
    "velocity_ema_factor", "latent_shift", "latent_rescale", "guidance_variant", "guidance_params",
)  # fmt: skip

ALIASES = {
    "prompt": "caption",
    "sample_mode": "sampleMode",
    "sample_query": "sampleQuery description desc",
    "use_format": "useFormat format",
    "model": "model_name modelName dit_model ditModel",
    "key_scale": "keyscale keyScale key",
    "time_signature": "timesignature timeSignature",
    "audio_duration": "duration audioDuration target_duration targetDuration",
    "vocal_language": "vocalLanguage language",
    "inference_steps": "inferenceSteps",
    "guidance_scale": "guidanceScale",
    "use_random_seed": "useRandomSeed",
    "reference_audio_path": "ref_audio_path referenceAudioPath refAudioPath",
    "src_audio_path": "ctx_audio_path sourceAudioPath srcAudioPath ctxAudioPath",
    "task_type": "taskType",
    "track_name": "trackName",
    "track_classes": "trackClasses instruments",
    "audio_cover_strength": "audioCoverStrength cover_strength coverStrength",
    "cover_noise_strength": "coverNoiseStrength",
    "audio_code_string": "audioCodeString audio_codes",
    "infer_method": "inferMethod",
    "use_tiled_decode": "useTiledDecode",
    "constrained_decoding": "constrainedDecoding constrained",
    "constrained_decoding_debug": "constrainedDecodingDebug",
    "use_cot_caption": "cot_caption cot-caption",
    "use_cot_language": "cot_language cot-language",
    "is_format_caption": "isFormatCaption",
    "allow_lm_batch": "allowLmBatch parallel_thinking",
    "analysis_only": "analysisOnly",
    "full_analysis_only": "fullAnalysisOnly",
    "extract_codes_only": "extractCodesOnly",
    "sampler_mode": "samplerMode",
    "velocity_norm_threshold": "velocityNormThreshold",
    "velocity_ema_factor": "velocityEmaFactor",
    "latent_shift": "latentShift",
    "latent_rescale": "latentRescale",
}
SAMPLES: dict[str, tuple[Any, Any]] = {
    "text": ("words", "words"),
    "whole": ("7", 7),
    "number": ("0.25", 0.25),
    "flag": ("yes", True),
    "list": ("a,b", ["a", "b"]),
    "any": ({"a": 1}, {"a": 1}),
}


def test_every_field_of_the_protocol_is_read_and_has_a_row_in_the_table() -> None:
    assert set(CANONICAL) <= set(BY_NAME)
    assert [row.name for row in ROWS] == [field.name for field in FIELDS]
    assert all(row.to for row in (*ROWS, *TASK_ROWS, *MODEL_ROWS))


def test_the_page_has_the_tables() -> None:
    page = (Path(__file__).parents[3] / "docs" / "doors" / "acestep.md").read_text(encoding="utf-8")
    for rows in (ROWS, MODEL_ROWS, TASK_ROWS):
        assert as_markdown(rows) in page


def test_the_table_names_each_model_as_the_catalog_does() -> None:
    known = {alias: card.id for card in (*catalog(), *planners()) for alias in (card.id, *card.aliases)}
    named = {row.name: row.to for row in MODEL_ROWS if row.treatment != "not applied"}
    assert all(known[name] == card for name, card in named.items())
    assert {card.id for card in catalog() if card.family == "acestep-1.5"} <= set(named.values())


@pytest.mark.parametrize(("name", "spelling"), [(n, s) for n, all_ in ALIASES.items() for s in (n, *all_.split())])
def test_a_field_is_found_under_each_of_its_names_in_each_place(name: str, spelling: str) -> None:
    said, meant = SAMPLES[BY_NAME[name].kind]
    inner = {spelling: said}
    nested = [{place: form} for place in ("param_obj", *METADATA) for form in (inner, json.dumps(inner))]
    for body in (inner, *nested):
        got = read_fields(body)
        assert got.values == {name: meant}
        assert got.notes == ()


def test_the_top_wins_over_the_nested_and_null_is_not_there() -> None:
    body = {"bpm": None, "param_obj": {"bpm": 90, "key": "C"}, "metas": {"bpm": 60, "key": "D", "duration": 9}}
    assert read_fields(body).values == {"bpm": 90, "key_scale": "C", "audio_duration": 9.0}
    assert read_fields({"caption": "a", "prompt": "b"}).values == {"prompt": "b"}
    assert read_fields({"metas": {}, "meta": {"bpm": 70}, "metadata": {"bpm": 80}}).values == {"bpm": 70}


@pytest.mark.parametrize("text", ["1", "true", "YES", "y", "On", True, 1])
def test_these_are_true(text: Any) -> None:
    assert read_fields({"thinking": text}).get("thinking") is True


@pytest.mark.parametrize("text", ["0", "false", "maybe", False, 0])
def test_any_other_word_is_false(text: Any) -> None:
    assert read_fields({"use_random_seed": text}).get("use_random_seed") is False


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [
        ("bpm", "fast", None), ("batch_size", "x", 2), ("batch_size", "2.5", 2), ("guidance_scale", "NaN", 7.0),
        ("guidance_scale", "1e999", 7.0), ("inference_steps", [8], 8), ("prompt", {"a": 1}, ""),
        ("thinking", [1], False),
        ("bpm", True, None), ("bpm", "9" * 6000, None), ("prompt", "\ud800", ""), ("track_classes", "[1", None),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_left_at_the_usual_value_and_told(name: str, value: Any, usual: Any) -> None:
    got = read_fields({name: value})
    assert got.get(name) == usual
    assert len(got.notes) == 1
    assert name in got.notes[0]


@pytest.mark.parametrize(("value", "number"), [("120", 120), ("120.0", 120), (120.0, 120), (120, 120)])
def test_a_whole_number_may_be_written_with_a_point(value: Any, number: int) -> None:
    assert read_fields({"bpm": value}).get("bpm") == number


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_field_of_a_form_asks_for_nothing(value: str) -> None:
    got = read_fields({"bpm": value, "prompt": value, "thinking": value, "audio_duration": value})
    assert (got.values, got.notes) == ({}, ())


@pytest.mark.parametrize("value", [["drums", "bass"], '["drums", "bass"]', "drums,bass", "drums | bass"])
def test_tracks_come_as_a_list_or_as_text(value: Any) -> None:
    assert read_fields({"track_classes": value}).get("track_classes") == ["drums", "bass"]


def test_a_name_that_is_none_is_told() -> None:
    got = read_fields({"prompt": "a", "loudness": "11"})
    assert got.notes == ("There is no field 'loudness' in this protocol: not used.",)
    many = read_fields({f"name{number}": 1 for number in range(500)})
    assert len(many.notes[0]) < 400


def test_metadata_that_is_no_object_is_told() -> None:
    assert "param_obj is no JSON object" in read_fields({"param_obj": "{"}).notes[0]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from([s for f in FIELDS for s in (f.name, *f.aliases)] + ["param_obj", *METADATA]) | st.text(
    max_size=8
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=8))
def test_no_body_is_too_strange_to_read(body: dict[str, Any]) -> None:
    got = read_fields(body)
    for name in BY_NAME:
        got.get(name)
        got.says(name)
    assert all(isinstance(note, str) and len(note) < 2000 for note in got.notes)
