"""From fields of the protocol to what they ask for: a request that is as `table` says, and sentences for the rest.

What a model can honour beyond what is decided here, `doors.choice` finds out when the request is submitted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from partita.errors import RequestError
from partita.planner.reading import language_named
from partita.service.config import Limits
from partita.service.doors.acestep.fields import Given
from partita.service.doors.acestep.models import TASKS, Models
from partita.service.doors.acestep.samples import random_description
from partita.service.doors.acestep.sampling import planner_of, planner_options, sampling_of
from partita.service.doors.acestep.sources import Heard, Sources
from partita.service.doors.acestep.table import ROWS
from partita.service.doors.acestep.wanted import Wanted, WantedKind
from partita.service.doors.spoken import planner_here
from partita.service.doors.table import not_applied
from partita.song.card import ModelCard
from partita.song.request import MAX_SEED, Output
from partita.song.values import short
from partita.text.prompts import TRACK_NAMES, instruction_for

MOST_SONGS = 8
"""The most that the protocol makes for one request."""

NAMES = {
    "duration_s": "audio_duration",
    "key": "key_scale",
    "time_signature": "time_signature",
    "language": "vocal_language",
    "references": "reference_audio",
    "adapters": "the LoRA",
    "sampling.steps": "inference_steps",
    "sampling.shift": "shift",
    "sampling.timesteps": "timesteps",
    "sampling.solver": "infer_method",
    "sampling.guidance": "guidance_variant or use_adg",
    "sampling.guidance_scale": "guidance_scale",
    "sampling.guidance_interval": "cfg_interval",
    "task.codes": "audio_code_string",
    "task.strength": "audio_cover_strength or repaint_strength",
    "task.noise_strength": "cover_noise_strength",
    "task.mode": "repaint_mode",
    "task.chunk_mask": "chunk_mask_mode",
    "planner": "thinking",
}
"""Our fields by the protocol's names, for sentences to its users."""

_INSTRUMENTAL = ("", "[inst]", "[instrumental]")
_INSTRUMENTAL_WISH = re.compile(r"instrumental|pure music|pure instrument|\bsolo\s*$", re.IGNORECASE)
_METRES = {"2": "2/4", "3": "3/4", "4": "4/4", "6": "6/8"}
_FORMATS = {"wav32": "wav", "m4a": "aac"}
_ROUNDING_S = 0.05
_OF_TASKS: dict[str, tuple[str, ...]] = {
    "repainting_start": ("repaint", "lego"),
    "repainting_end": ("repaint", "lego"),
    "repaint_mode": ("repaint", "lego"),
    "repaint_strength": ("repaint", "lego"),
    "chunk_mask_mode": ("repaint", "lego"),
    "track_name": ("lego", "extract"),
    "track_classes": ("complete",),
    "audio_cover_strength": ("cover",),
    "cover_noise_strength": ("cover",),
    "audio_code_string": ("text2music",),
}
_TRAINED = frozenset(
    instruction_for(task, track, tracks).lower().rstrip(":")
    for task in TASKS
    for track in (None, *TRACK_NAMES)
    for tracks in ((), (track,) if track else ())
)


def want(
    given: Given, sources: Sources, models: Models, limits: Limits, adapters: Sequence[dict[str, Any]] = ()
) -> Wanted:
    """What the fields ask for. `adapters` are those that are switched on.

    Raises RequestError for work that is unknown or lacks what it needs, AudioError for a source that is no audio,
    TooLargeError for one that is too large.
    """
    notes = [*given.notes, *_idle(given)]
    prompt = given.get("prompt") or given.get("global_caption")
    if given.get("prompt") and given.get("global_caption") and given.get("global_caption") != given.get("prompt"):
        notes.append("global_caption was given and is not applied: prompt describes what is made.")
    entered = {"prompt": prompt, "lyrics": given.get("lyrics")}
    special = _special(given)
    if special in ("describe", "codes"):
        heard = _needed(sources, given.get("task_type") if given.says("task_type") else "an analysis")
        return Wanted(
            kind=special, fields={"source": heard.ref.model_dump(exclude_none=True)}, notes=(*notes,), **entered
        )
    task_type = _task_type(given)
    heard = None if task_type == "text2music" else _needed(sources, task_type)
    if task_type == "text2music" and sources.has_source:
        notes.append("src_audio was sent and is not used: text2music works from words.")
    _foreign(given, task_type, notes)
    choice = models.choose(given.get("model"), TASKS[task_type], maker=None if heard is None else heard.maker)
    notes.extend(choice.notes)
    card = choice.card
    fields: dict[str, Any] = {"model": card.id, **_words(given, prompt), **metadata_of(given, notes)}
    if task_type == "lego" and heard is not None and heard.is_silent():
        fields |= _first_track(given, prompt, heard, notes)
    elif heard is not None:
        fields["task"] = _task(given, task_type, heard, card, notes)
        _leave_to_source(given, fields, heard, card, notes)
    else:
        fields |= _from_words(given, limits, notes)
    if sources.has_reference:
        fields |= _reference(sources, card, notes)
    if adapters and card.adapters:
        fields["adapters"] = list(adapters)
    elif adapters:
        notes.append(f"The LoRA that is loaded is not applied: {card.id} takes none.")
    fields["sampling"] = sampling_of(given, card, notes)
    fields["output"] = _output(given, notes)
    fields |= planner_of(given, card, models.settings, fields, notes)
    wanted = Wanted(
        kind=special or "song",
        fields={name: value for name, value in fields.items() if value not in (None, {}, "")},
        seeds=_seeds(given, min(_count(given, limits, notes), limits.songs), notes),
        notes=tuple(notes),
        **entered,
    )
    return _worded(given, wanted, models, task_type)


def _idle(given: Given) -> list[str]:
    """Sentences for what has no effect, whatever the model."""
    asked = {name: value for name, value in given.values.items() if given.says(name)}
    if str(asked.get("instruction", "")).strip().lower().rstrip(":") in _TRAINED:
        asked.pop("instruction", None)
    return list(not_applied(ROWS, asked))


def _special(given: Given) -> WantedKind | None:
    if given.get("extract_codes_only"):
        return "codes"
    if given.get("full_analysis_only"):
        return "describe"
    return "metadata" if given.get("analysis_only") else None


def _task_type(given: Given) -> str:
    name = given.get("task_type").strip().lower().replace("-", "_")
    if name in TASKS:
        return name
    if name == "stem_separation":
        raise RequestError(
            "stem_separation cannot be done here: no model of this server takes a finished song apart into stems. "
            "extract takes one track out of a song, and the built-in model delivers stems of what it makes itself "
            "(output.stems of the other API).",
            field="task_type",
            value=name,
        )
    raise RequestError(
        f"task_type cannot be {short(given.get('task_type'))}: use one of {', '.join(TASKS)}.",
        field="task_type",
        value=name,
    )


def _needed(sources: Sources, what: str) -> Heard:
    heard = sources.source()
    if heard is None:
        raise RequestError(
            f"{what} works from audio, and none was given: send it as the file src_audio, or name a song of this "
            "server as src_audio_path.",
            field="src_audio",
        )
    return heard


def _words(given: Given, prompt: str) -> dict[str, Any]:
    lyrics = given.get("lyrics").strip()
    if lyrics.lower() in _INSTRUMENTAL:
        return {"caption": prompt, "instrumental": True}
    words: dict[str, Any] = {"caption": prompt, "lyrics": lyrics}
    if "vocal_language" in given.values:
        words["language"] = language_code(given.get("vocal_language"))
    return words


def language_code(text: str) -> str:
    """The language of a code such as `en`, `zh-CN` or `auto`; whether there is such a one is not looked at."""
    code = text.strip().lower().replace("_", "-").partition("-")[0]
    return "unknown" if code in ("auto", "none") else code


def metadata_of(given: Given, notes: list[str]) -> dict[str, Any]:
    """Tempo, key and metre, as fields of a SongRequest."""
    fields: dict[str, Any] = {}
    if (given.get("bpm") or 0) > 0:
        fields["bpm"] = given.get("bpm")
    if given.get("key_scale").strip().upper() not in ("", "N/A", "AUTO"):
        fields["key"] = given.get("key_scale").strip()
    metre = given.get("time_signature").strip()
    if metre and metre.upper() not in ("N/A", "AUTO"):
        metre = _METRES.get(metre, metre)
        if metre in _METRES.values():
            fields["time_signature"] = metre
        else:
            notes.append(f"time_signature {short(metre)} is not applied: it is 2, 3, 4 or 6, for 2/4, 3/4, 4/4, 6/8.")
    return fields


def _from_words(given: Given, limits: Limits, notes: list[str]) -> dict[str, Any]:
    """What only a song from words has: its length, and codes to follow."""
    fields: dict[str, Any] = {}
    codes = given.get("audio_code_string")
    if codes:
        fields["task"] = {"kind": "text-to-music", "codes": codes}
        if given.says("audio_cover_strength"):
            fields["task"]["strength"] = _share(given, "audio_cover_strength", notes)
    seconds = given.get("audio_duration")
    if seconds is not None and seconds > 0 and not codes:
        if seconds > limits.duration_s:
            notes.append(
                f"audio_duration {seconds:g} is more than this server makes: {limits.duration_s:g} s were taken."
            )
        fields["duration_s"] = min(seconds, limits.duration_s)
    return fields


def _first_track(given: Given, prompt: str, heard: Heard, notes: list[str]) -> dict[str, Any]:
    """The first track of an empty project: there is nothing to go with, so it is made from words."""
    track = (given.get("track_name") or "").replace("_", " ").strip().lower()
    notes.append("The source of lego is silent, so there is nothing to go with: the track was made from words alone.")
    about = [f"solo {track}" if track else "", prompt, given.get("global_caption") if prompt else ""]
    caption = ", ".join(dict.fromkeys(text.strip() for text in about if text and text.strip()))
    return {"caption": caption, "duration_s": heard.duration_s}


def _task(given: Given, task_type: str, heard: Heard, card: ModelCard, notes: list[str]) -> dict[str, Any]:
    source = heard.ref.model_dump(exclude_none=True)
    if task_type == "cover":
        return {
            "kind": "cover",
            "source": source,
            "strength": _share(given, "audio_cover_strength", notes),
            "noise_strength": _share(given, "cover_noise_strength", notes),
        }
    if task_type == "complete":
        return {"kind": "complete", "source": source, "tracks": _tracks(given, notes)}
    if task_type == "extract":
        return {"kind": "extract", "source": source, "track": _track(given, task_type)}
    blend = _blend(given, card, notes)
    if task_type == "lego":
        start, end = _inside(given, heard, notes)
        return {"kind": "lego", "source": source, "track": _track(given, task_type), **blend, **_region(start, end)}
    return {"source": source, **_repaint(given, heard), **blend}


def _foreign(given: Given, task_type: str, notes: list[str]) -> None:
    names = [name for name, kinds in _OF_TASKS.items() if task_type not in kinds and given.says(name)]
    if task_type == "text2music" and given.says("audio_code_string") and "audio_cover_strength" in names:
        names.remove("audio_cover_strength")  # it says how far the codes are followed
    if names:
        notes.append(f"{', '.join(names)} belong to other kinds of work and are not applied to {task_type}.")


def _repaint(given: Given, heard: Heard) -> dict[str, Any]:
    """A region of the source, or more of it where the region leaves it."""
    start, end = given.get("repainting_start"), given.get("repainting_end")
    length = heard.duration_s
    if end is not None and end <= 0:
        end = None
    beyond = 0.0 if end is None or length is None else end - length
    if length is not None and beyond > _ROUNDING_S and start >= length - _ROUNDING_S:
        return {"kind": "extend", "right_s": beyond}
    if start < 0 or beyond > _ROUNDING_S:
        return {"kind": "outpaint", "start_s": start, "end_s": end if end is not None else length}
    return {"kind": "repaint", **_region(start, None if _is_end(end, length) else end)}


def _inside(given: Given, heard: Heard, notes: list[str]) -> tuple[float, float | None]:
    """The region of a track, which cannot be longer than what it goes with."""
    start, end = given.get("repainting_start"), given.get("repainting_end")
    if start < 0:
        notes.append(f"repainting_start {start:g} is before the source: the track begins with it.")
    if end is not None and (end <= 0 or _is_end(end, heard.duration_s)):
        end = None
    elif end is not None and heard.duration_s is not None and end > heard.duration_s:
        notes.append(
            f"repainting_end {end:g} is after the source, {heard.duration_s:.2f} s long: the track ends with it."
        )
        end = None
    return max(0.0, start), end


def _is_end(end: float | None, length: float | None) -> bool:
    return end is not None and length is not None and abs(end - length) <= _ROUNDING_S


def _region(start: float, end: float | None) -> dict[str, Any]:
    return {"start_s": start} | ({} if end is None else {"end_s": end})


def _blend(given: Given, card: ModelCard, notes: list[str]) -> dict[str, Any]:
    blend: dict[str, Any] = {"strength": _share(given, "repaint_strength", notes)}
    mode = given.get("repaint_mode").strip().lower()
    if mode in ("conservative", "balanced", "aggressive"):
        blend["mode"] = mode
    else:
        notes.append(f"repaint_mode {short(mode)} is not applied: it is conservative, balanced or aggressive.")
    mask = given.get("chunk_mask_mode").strip().lower()
    if mask not in ("explicit", "auto"):
        notes.append(f"chunk_mask_mode {short(mask)} is not applied: it is explicit or auto.")
    elif card.context:
        blend["chunk_mask"] = "explicit" if mask == "explicit" else "ones"
    return blend


def _share(given: Given, name: str, notes: list[str]) -> float:
    value = given.get(name)
    if not 0 <= value <= 1:
        notes.append(f"{name} {value:g} is outside 0 to 1: {min(max(value, 0.0), 1.0):g} was taken.")
    return min(max(value, 0.0), 1.0)


def _track(given: Given, task_type: str) -> str:
    name = given.get("track_name") or ""
    track = _track_name(name)
    if track is None:
        said = f"cannot be {short(name)}" if name else "is missing"
        raise RequestError(
            f"track_name {said}: {task_type} needs one of {', '.join(TRACK_NAMES)}.", field="track_name", value=name
        )
    return track


def _tracks(given: Given, notes: list[str]) -> list[str]:
    tracks: list[str] = []
    for name in given.get("track_classes") or ():
        track = _track_name(name)
        if track is None:
            notes.append(f"track_classes {short(name)} is not applied: tracks are {', '.join(TRACK_NAMES)}.")
        elif track not in tracks:
            tracks.append(track)
    return tracks


def _track_name(name: str) -> str | None:
    tidy = re.sub(r"[\s-]+", "_", name.strip().lower())
    return next((track for track in TRACK_NAMES if tidy in (track, f"{track}s", track.rstrip("s"))), None)


def _leave_to_source(given: Given, fields: dict[str, Any], heard: Heard, card: ModelCard, notes: list[str]) -> None:
    """Take out what the source settles."""
    seconds = given.get("audio_duration")
    if seconds is not None and seconds > 0 and heard.duration_s is not None and abs(seconds - heard.duration_s) > 1:
        notes.append(f"audio_duration {seconds:g} is not applied: the source is {heard.duration_s:.2f} s long.")
    if card.makes_score:
        settled = [name for name in ("bpm", "key", "time_signature") if fields.pop(name, None) is not None]
        if settled:
            names = ", ".join(NAMES.get(name, name) for name in settled)
            notes.append(f"{names} are not applied: {card.id} goes on in the tempo, key and metre of the source.")


def _reference(sources: Sources, card: ModelCard, notes: list[str]) -> dict[str, Any]:
    if not card.references:
        notes.append(f"reference_audio was given and is not applied: {card.id} takes no timbre references.")
        return {}
    heard = sources.reference()
    return {} if heard is None else {"references": [heard.ref.model_dump(exclude_none=True)]}


def _output(given: Given, notes: list[str]) -> dict[str, Any]:
    asked = given.get("audio_format").strip().lower().lstrip(".")
    output: dict[str, Any] = {"format": _FORMATS.get(asked, asked)}
    if asked == "wav32":
        output["bit_depth"] = 32
    try:
        Output(**output)
    except RequestError as error:
        notes.append(f"audio_format {short(asked)} is not applied, and mp3 is delivered: {error}")
        return {"format": "mp3"}
    return output


def _count(given: Given, limits: Limits, notes: list[str]) -> int:
    asked = given.get("batch_size")
    count = min(max(asked, 1), MOST_SONGS, limits.songs)
    if count != asked:
        notes.append(f"batch_size {asked} is outside 1 to {min(MOST_SONGS, limits.songs)}: {count} were made.")
    return count


def _seeds(given: Given, count: int, notes: list[str]) -> tuple[tuple[int | None, int], ...]:
    """First seed and number of songs of each job: seeds that follow each other are one job's."""
    text = given.get("seed")
    if given.get("use_random_seed"):
        if given.says("seed"):
            notes.append(f"seed {short(text)} is not applied: use_random_seed is on, as it is unless switched off.")
        return ((None, count),)
    entries = [_seed(entry, notes) for entry in text.split(",")]
    if len(entries) == 1:
        return ((entries[0], count),)
    if len(entries) > count:
        notes.append(f"{len(entries)} seeds were given for {count} songs: the first {count} were used.")
    groups: list[tuple[int | None, int]] = []
    for seed in (entries + [None] * count)[:count]:
        last, songs = groups[-1] if groups else (0, 0)
        follows = seed is None if last is None else seed == last + songs
        if groups and follows:
            groups[-1] = (last, songs + 1)
        else:
            groups.append((seed, 1))
    return tuple(groups)


def _seed(entry: str, notes: list[str]) -> int | None:
    """A seed of a list; none for any. What is behind a decimal point is dropped, as in the original."""
    text = entry.strip()
    try:
        seed = int(float(text)) if not text.lstrip("-").isdecimal() else int(text)
    except (ValueError, OverflowError):
        if text:
            notes.append(f"seed {short(text)} is no number: a random one was taken.")
        return None
    if seed > MAX_SEED:
        notes.append(f"seed {seed} is above {MAX_SEED}: {seed % (MAX_SEED + 1)} was taken.")
    return None if seed < 0 else seed % (MAX_SEED + 1)


def _worded(given: Given, wanted: Wanted, models: Models, task_type: str) -> Wanted:
    """What is wanted after a planner has put it into words, where that was asked for and one is here."""
    query = given.get("sample_query").strip()
    samples = bool(query) or given.get("sample_mode")
    if task_type != "text2music" or not (samples or given.get("use_format")):
        return wanted
    asked = "sample_mode" if samples else "use_format"
    if planner_here(models.settings) is None:
        note = f"{asked} was asked for and is not applied: no language model is on this machine to write the words."
        fields = dict(wanted.fields)
        if samples:
            fields["caption"] = query or fields.get("caption") or random_description()
            note += f" The caption is {short(fields['caption'])}."
        return wanted.model_copy(update={"fields": fields, "notes": (*wanted.notes, note)})
    fields = dict(wanted.fields)
    if samples and given.get("vocal_language") in ("en", "unknown"):
        fields["language"] = language_named(query) or fields.get("language")
    return wanted.model_copy(
        update={
            "kind": "write" if samples else "format",
            "fields": {name: value for name, value in fields.items() if value is not None},
            "query": query or "NO USER INPUT",
            "instrumental": bool(_INSTRUMENTAL_WISH.search(query)),
            "planner": planner_options(given),
        }
    )
