"""What this door does with words: a sample from a wish, words rewritten, a plan alone, a source described or as codes.

A planner does it where one is on this machine; where none is, rules and meters tell what they can, and a sentence says
so. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from partita.audio.read import read
from partita.engine.cancel import CancelFlag
from partita.engine.engine import Engine
from partita.engine.planning import DESCRIBING
from partita.errors import RequestError
from partita.measure.key import key as measured_key
from partita.measure.tempo import tempo as measured_tempo
from partita.service.doors.acestep.errands import Errand
from partita.service.doors.acestep.models import Models, name_of
from partita.service.doors.acestep.request import NAMES
from partita.service.doors.acestep.submit import submit
from partita.service.doors.acestep.wanted import Wanted
from partita.service.doors.choice import fit
from partita.service.doors.spoken import Words, planner_here, rewritten, written
from partita.service.guard import admit_audio
from partita.service.service import Service
from partita.song.plan import Plan
from partita.song.planning import Description, PlannerOptions
from partita.song.source import AudioRef
from partita.text.prompts import INSTRUMENTAL_LYRICS, NOT_GIVEN
from partita.weights.catalog import planner as find_planner

LONGEST_WAIT_S = 600.0
_URGENT = 10


def run_errand(service: Service, models: Models, errand: Errand) -> Errand:
    """Do an errand. Raises the errors of `partita.errors`."""
    wanted = errand.wanted
    if wanted.kind in ("write", "format"):
        words = _words(service, models, wanted)
        fields = _with_words(wanted.fields, words, replace=wanted.kind == "write")
        noted = wanted.model_copy(update={"notes": (*wanted.notes, *words.notes)})
        jobs = submit(service, noted, fields=fields, key=errand.id)
        return errand.model_copy(update={"state": "submitted", "jobs": tuple(job.id for job in jobs)})
    doing = {"metadata": _plan_alone, "describe": _described, "codes": _codes}[wanted.kind]
    result, notes = doing(service, models, wanted)
    return errand.model_copy(update={"state": "done", "result": result, "notes": notes})


def plan_of(service: Service, fields: Mapping[str, Any]) -> tuple[Plan, tuple[str, ...]]:
    """The plan of a song, and what of the fields it does not follow. Blocks until a worker has made it."""

    def call(engine: Engine, cancel: CancelFlag) -> tuple[Plan, tuple[str, ...]]:
        fitted = fit(fields, lambda request: engine.resolve(service.admit(request)), NAMES)
        return engine.plan(service.admit(fitted.request), cancel=cancel)[0], fitted.notes

    return service.queue.run(call, timeout_s=LONGEST_WAIT_S, priority=_URGENT)


def filled_in(service: Service, models: Models, words: Words) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Words with tempo, key, metre, length and language: those that a planner wrote, else what rules make of them.

    Raises RequestError where they make no song.
    """
    fields = dict(words.fields)
    if words.description is not None:
        return fields, words.notes
    lyrics = str(fields.get("lyrics", "")).strip()
    if lyrics == INSTRUMENTAL_LYRICS:
        fields.pop("lyrics")
    plan, notes = plan_of(
        service, {**fields, "model": models.used().id, "instrumental": lyrics in ("", INSTRUMENTAL_LYRICS)}
    )
    ruled = {
        "caption": plan.caption,
        "lyrics": plan.lyrics,
        "bpm": plan.bpm,
        "duration_s": plan.duration_s,
        "key": plan.key,
        "time_signature": plan.time_signature,
        "language": plan.language,
    }
    return ruled, (*words.notes, *notes)


def metre_number(metre: str | None) -> str | None:
    """A metre as the protocol writes it: `4` for 4/4."""
    return None if metre is None else metre.partition("/")[0]


def _words(service: Service, models: Models, wanted: Wanted) -> Words:
    fields = wanted.fields
    options = PlannerOptions(**wanted.planner)
    if wanted.kind == "write":
        return written(
            service.queue,
            models.settings,
            wanted.query,
            "sample_mode",
            language=fields.get("language"),
            instrumental=wanted.instrumental,
            options=options,
        )
    kept = {name: fields.get(name) for name in ("bpm", "duration_s", "key", "time_signature", "language")}
    return rewritten(
        service.queue,
        models.settings,
        fields.get("caption", ""),
        fields.get("lyrics", INSTRUMENTAL_LYRICS if fields.get("instrumental") else ""),
        "use_format",
        given=kept,
        options=options,
    )


def _with_words(fields: Mapping[str, Any], words: Words, *, replace: bool) -> dict[str, Any]:
    """The request's fields with what was written; where it replaces them, nothing of the old words stays."""
    named = ("caption", "lyrics", "instrumental", "bpm", "key", "time_signature", "duration_s", "language")
    left = {name: value for name, value in fields.items() if not replace or name not in named}
    merged = left | words.fields
    lyrics = str(merged.get("lyrics", "")).strip()
    if lyrics in ("", INSTRUMENTAL_LYRICS):
        merged.pop("lyrics", None)
        merged["instrumental"] = True
    else:
        merged.pop("instrumental", None)
    return merged


def _plan_alone(service: Service, models: Models, wanted: Wanted) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The item of `analysis_only`: a plan, and no audio."""
    fields = dict(wanted.fields)
    if "planner" in fields:
        fields["planner"] = {**fields["planner"], "mode": "metadata"}
        for codes_only in ("guidance_scale", "negative_prompt"):
            fields["planner"].pop(codes_only, None)
    plan, notes = plan_of(service, fields)
    told = {
        "bpm": _told(plan.bpm),
        "duration": plan.duration_s,
        "genres": NOT_GIVEN,
        "keyscale": _told(plan.key),
        "timesignature": _told(metre_number(plan.time_signature)),
        "language": plan.language,
    }
    metas = {**told, "caption": plan.caption, "prompt": wanted.prompt, "lyrics": wanted.lyrics}
    planner = "none" if plan.planner is None else name_of(find_planner(plan.planner.model))
    item = {"status_message": "Success", "prompt": plan.caption, "lyrics": plan.lyrics, "metas": metas, **told}
    return {
        **item,
        "lm_model": planner,
        "dit_model": "None (Analysis Only)",
        "audio_paths": [],
        "raw_audio_paths": [],
        "first_audio_path": None,
    }, (*wanted.notes, *notes, *plan.notes)


def _described(service: Service, models: Models, wanted: Wanted) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The item of `full_analysis_only`: the source in words and codes, or what meters hear in it."""
    ref = _source(service, wanted)
    if planner_here(models.settings) is None:
        return _measured(ref, wanted)

    def call(engine: Engine, cancel: CancelFlag) -> tuple[tuple[int, ...], Description]:
        codes = engine.hear(ref, cancel=cancel)
        return codes, engine.describe(codes, planner=DESCRIBING, cancel=cancel)

    codes, told = service.queue.run(call, timeout_s=LONGEST_WAIT_S)
    item = _analysis(
        bpm=told.bpm, key=told.key, metre=told.time_signature, duration_s=told.duration_s, genre=told.genres,
        caption=told.caption, lyrics=told.lyrics, language=told.language, codes=_as_text(codes),
    )  # fmt: skip
    return item, (*wanted.notes, *told.notes)


def _measured(ref: AudioRef, wanted: Wanted) -> tuple[dict[str, Any], tuple[str, ...]]:
    assert ref.path is not None  # what was admitted is a file
    heard = read(ref.path)
    tempo, key = measured_tempo(heard.samples, heard.sample_rate_hz), measured_key(heard.samples, heard.sample_rate_hz)
    item = _analysis(
        bpm=None if tempo.bpm is None else round(tempo.bpm),
        key=key.name,
        duration_s=round(len(heard.samples) / heard.sample_rate_hz, 2),
    )
    note = "No language model is on this machine: tempo, key and length were measured, and nothing is said in words."
    return item, (*wanted.notes, note)


def _codes(service: Service, models: Models, wanted: Wanted) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The item of `extract_codes_only`."""
    ref = _source(service, wanted)
    codes = service.queue.run(lambda engine, cancel: engine.hear(ref, cancel=cancel), timeout_s=LONGEST_WAIT_S)
    return {
        "status_message": "Audio Codes Extraction Success",
        "audio_codes": _as_text(codes),
        "audio_paths": [],
        "raw_audio_paths": [],
        "first_audio_path": None,
        "metas": {},
    }, wanted.notes


def _source(service: Service, wanted: Wanted) -> AudioRef:
    source = wanted.fields.get("source")
    if source is None:
        raise RequestError("There is no source to hear.", field="src_audio")
    return admit_audio(AudioRef(**source), service.queue, service.uploads, field="src_audio")


def _analysis(
    *,
    bpm: int | None,
    key: str | None,
    duration_s: float | None,
    metre: str | None = None,
    genre: str | None = None,
    caption: str = "",
    lyrics: str = "",
    language: str | None = None,
    codes: str = "",
) -> dict[str, Any]:
    told = {"bpm": _told(bpm), "keyscale": _told(key), "timesignature": _told(metre_number(metre))}
    told |= {"duration": _told(duration_s), "language": language or "unknown"}
    return {
        "status_message": "Full Hardware Analysis Success",
        **told,
        "genre": _told(genre),
        "prompt": caption,
        "lyrics": lyrics,
        "metas": {**told, "genres": _told(genre), "caption": caption, "prompt": caption, "lyrics": lyrics},
        "audio_codes": codes,
        "audio_paths": [],
    }


def _as_text(codes: tuple[int, ...]) -> str:
    return "".join(f"<|audio_code_{code}|>" for code in codes)


def _told(value: Any) -> Any:
    return NOT_GIVEN if value is None else value
