"""A task as `/query_result` tells it: 0, 1 or 2, and the list of items that the protocol sends as text.

Knows the queue and the errands; knows no HTTP.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from partita.errors import NotFoundError
from partita.service.doors.acestep.errands import Errand, Errands
from partita.service.doors.acestep.files import audio_url
from partita.service.doors.acestep.models import name_of
from partita.service.doors.acestep.spoken import metre_number
from partita.service.doors.acestep.submit import job_ids
from partita.service.jobs.job import Job, JobSong
from partita.service.service import Service
from partita.text.prompts import NOT_GIVEN
from partita.weights.catalog import card as find_card, planner as find_planner

WORKING, DONE, FAILED = 0, 1, 2
ENVIRONMENT = "development"
"""What the original answers in `env`."""


def entry_of(service: Service, errands: Errands, task_id: Any) -> dict[str, Any]:
    """What is told of a task. One that is unknown is told as waiting, with nothing in it."""
    jobs, errand = _find(service, errands, task_id) if isinstance(task_id, str) else ([], None)
    if jobs:
        status, items, text = _of_jobs(jobs)
    elif errand is not None:
        status, items, text = _of_errand(errand)
    else:
        return {"task_id": task_id, "result": "[]", "status": WORKING}
    return {"task_id": task_id, "result": json.dumps(items), "status": status, "progress_text": text}


def _find(service: Service, errands: Errands, task_id: str) -> tuple[list[Job], Errand | None]:
    ids = job_ids(task_id)
    errand = errands.find(task_id) if len(ids) == 1 else None
    try:
        return [service.queue.job(one) for one in (errand.jobs if errand is not None else ids)], errand
    except NotFoundError:
        return [], None


def _of_jobs(jobs: Sequence[Job]) -> tuple[int, list[dict[str, Any]], str]:
    lost = next((job for job in jobs if job.state in ("failed", "cancelled")), None)
    if lost is not None:
        error = lost.fault.message if lost.fault is not None else "The task was cancelled."
        request = lost.request
        item = _failed(error, request.caption, request.lyrics, lost.submitted_at, lost.options.notes)
        return FAILED, [item], _line(f"failed: {error}")
    if all(job.state == "done" for job in jobs):
        seeds = ",".join(str(song.seed) for job in jobs for song in job.songs)
        items = [_song(job, song, seeds) for job in jobs for song in job.songs]
        return DONE, items, _line(f"100% done: {len(items)} song{'' if len(items) == 1 else 's'}")
    first = next(job for job in jobs if not job.is_over)
    share = sum(1.0 if job.is_over else job.progress.share if job.progress else 0.0 for job in jobs) / len(jobs)
    return WORKING, [_working(first, share)], _line(_progress_text(first, share))


def _of_errand(errand: Errand) -> tuple[int, list[dict[str, Any]], str]:
    wanted = errand.wanted
    if errand.state == "failed":
        error = errand.error or "The task failed."
        item = _failed(error, wanted.prompt, wanted.lyrics, errand.created_at, wanted.notes)
        return FAILED, [item], _line(f"failed: {error}")
    if errand.state == "done" and errand.result is not None:
        about = {"status": DONE, "create_time": int(errand.created_at), "env": ENVIRONMENT}
        item = {"file": "", "wave": "", **about, **errand.result, "progress": 1.0, "stage": "succeeded"}
        return DONE, [{**item, "notes": list(errand.notes)}], _line("100% done")
    stage = "running" if errand.state == "submitted" else "queued"
    item = _blank(WORKING, errand.created_at, wanted.prompt, wanted.lyrics)
    return WORKING, [{**item, "progress": 0.0, "stage": stage}], _line(stage)


def _blank(status: int, created_at: float, prompt: str, lyrics: str) -> dict[str, Any]:
    return {
        "file": "",
        "wave": "",
        "status": status,
        "create_time": int(created_at),
        "env": ENVIRONMENT,
        "prompt": prompt,
        "lyrics": lyrics,
        "metas": {},
        "error": None,
    }


def _working(job: Job, share: float) -> dict[str, Any]:
    stage = "queued" if job.state == "queued" else job.progress.stage if job.progress else "running"
    item = _blank(WORKING, job.submitted_at, job.request.caption, job.request.lyrics)
    return {**item, "progress": round(min(share, 0.99), 4), "stage": stage}


def _failed(error: str, prompt: str, lyrics: str, created_at: float, notes: Sequence[str]) -> dict[str, Any]:
    """The error comes first: a client shows the text of the whole list to its user."""
    item = _blank(FAILED, created_at, prompt, lyrics)
    item.pop("error")
    return {"error": error, **item, "progress": 0.0, "stage": "failed", "notes": list(notes)}


def _song(job: Job, song: JobSong, seeds: str) -> dict[str, Any]:
    plan, record = song.record.plan, song.record
    notes = list(dict.fromkeys((*job.options.notes, *record.warnings)))
    return {
        "file": audio_url(job, song),
        "wave": "",
        "status": DONE,
        "create_time": int(job.submitted_at),
        "env": ENVIRONMENT,
        "prompt": plan.caption,
        "lyrics": plan.lyrics,
        "metas": {
            "bpm": plan.bpm if plan.bpm is not None else NOT_GIVEN,
            "duration": round(song.duration_s, 3),
            "genres": NOT_GIVEN,
            "keyscale": plan.key or NOT_GIVEN,
            "timesignature": metre_number(plan.time_signature) or NOT_GIVEN,
            "prompt": job.request.caption,
            "lyrics": job.request.lyrics,
        },
        "generation_info": _info(job, song, notes),
        "seed_value": seeds,
        "lm_model": "none" if plan.planner is None else name_of(find_planner(plan.planner.model)),
        "dit_model": name_of(find_card(record.request.model)),
        "progress": 1.0,
        "stage": "succeeded",
        "notes": notes,
    }


def _info(job: Job, song: JobSong, notes: Sequence[str]) -> str:
    """How it was made, in Markdown."""
    request, plan = song.record.request, song.record.plan
    took_s = (job.finished_at or 0) - (job.started_at or 0)
    facts = [
        ("Model", name_of(find_card(request.model))),
        ("Task", request.task.kind),
        ("Seed", song.seed),
        ("BPM", plan.bpm),
        ("Key", plan.key),
        ("Time Signature", plan.time_signature),
        ("Duration", f"{song.duration_s:.2f}s"),
        ("Steps", request.sampling.steps),
        ("Time for all songs", f"{took_s:.1f}s"),
    ]
    lines = [f"**{name}:** {value}" for name, value in facts if value is not None]
    return "\n".join([*lines, *(["", "**Notes:**", *(f"- {note}" for note in notes)] if notes else [])])


def _progress_text(job: Job, share: float) -> str:
    if job.state == "queued":
        ahead = job.position or 0
        return "queued, next" if ahead == 0 else f"queued, {ahead} before it"
    at = job.progress
    if at is None:
        return "running"
    parts = [f"{100 * min(share, 0.99):.0f}%", at.stage]
    if at.step is not None:
        parts.append(f"step {at.step}" + (f"/{at.steps}" if at.steps is not None else ""))
    if at.songs > 1:
        parts.append(f"song {at.song + 1} of {at.songs}")
    if at.seconds_left is not None:
        parts.append(f"about {at.seconds_left:.0f} s left")
    return " ".join(parts)


def _line(text: str) -> str:
    return f"{time.strftime('%H:%M:%S')} | INFO | {text}"
