"""What the HTTP API answers with: views of jobs, songs, uploads, models and downloads. A view has links and no path.

Requests are `song.request.SongRequest` as everywhere; here are only the examples that the document shows of them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from partita.service.guard import shown
from partita.service.jobs.job import Job, JobFault, JobId, JobOptions, JobProgress, JobSong, JobState
from partita.service.uploads import Upload
from partita.song.adapters import AdapterFacts
from partita.song.card import Family
from partita.song.request import SongRequest
from partita.song.values import Value


class SongLinks(Value):
    """Addresses of a finished song. `files` are those beside the audio: its record, MIDI, stems, latents, subtitles."""

    audio: str
    record: str
    files: dict[str, str]


class SongView(Value):
    """A finished song of a job."""

    index: int
    seed: int
    duration_s: float
    sample_rate_hz: int
    model: str = Field(description="The model that played it.")
    warnings: tuple[str, ...] = Field(description="What is to be known of it; its record says the same.")
    links: SongLinks


class JobLinks(Value):
    """Addresses of a job."""

    job: str
    events: str
    cancel: str
    audio: str = Field(description="Of its first song, once that is finished.")


class JobView(Value):
    """A job: what was asked, how far it is, what came of it. Times are Unix seconds."""

    id: JobId
    state: JobState
    position: int | None = Field(description="0 for the next in the queue; none for what does not wait.")
    request: SongRequest
    options: JobOptions
    progress: JobProgress | None
    songs: tuple[SongView, ...]
    fault: JobFault | None
    submitted_at: float
    started_at: float | None
    finished_at: float | None
    attempts: int = Field(description="How often it was started: above 1 where the server was stopped in the middle.")
    links: JobLinks


class SongTold(Value):
    """Data of a `song` event: a song of a job is finished."""

    id: JobId
    song: SongView


class ProgressTold(Value):
    """Data of a `progress` event."""

    id: JobId
    progress: JobProgress | None


class JobsPage(Value):
    """Jobs, the latest first. `next` is the address of the page behind this one, where there may be one."""

    jobs: tuple[JobView, ...]
    next: str | None


class UploadView(Value):
    """A file that is here. Its `id` is what a request names as `{"upload": id}`."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    bytes: int
    sha256: str
    duration_s: float | None = Field(description="None where the file does not tell before it is decoded.")
    created_at: float
    link: str


class ModelView(Value):
    """A model or a planner. `missing` are files that a download would fetch, `download_bytes` their size, about."""

    id: str
    kind: Literal["model", "planner"]
    title: str
    summary: str
    aliases: tuple[str, ...]
    licence: str
    family: Family | None
    tasks: tuple[str, ...]
    sings: bool
    state: Literal["shipped", "ready", "partial", "absent", "damaged"]
    missing: tuple[str, ...]
    total_bytes: int
    download_bytes: int
    loaded: bool
    default: bool
    longest_s: float | None = Field(description="The longest song it makes, in seconds.")


class ModelsView(Value):
    """Every model of the catalog, then every planner. `default` is used where a request names none."""

    models: tuple[ModelView, ...]
    default: str


class LoadedView(Value):
    """Ids of the models whose networks are in memory."""

    loaded: tuple[str, ...]


class DownloadFile(Value):
    """A file of a download; `size_bytes` is none where the server does not say."""

    path: str
    done_bytes: int
    size_bytes: int | None


class DownloadView(Value):
    """How a download is doing. What has arrived stays on disk whatever happens, and the next one goes on from there."""

    model: str
    state: Literal["running", "done", "failed", "cancelled"]
    source: str | None
    total_bytes: int
    done_bytes: int
    files: tuple[DownloadFile, ...]
    notes: tuple[str, ...]
    fault: JobFault | None
    started_at: float
    finished_at: float | None


class AdapterView(AdapterFacts):
    """An adapter in the server's folder, and the name that a request uses."""

    use: str


class AdaptersView(Value):
    """Adapters by what they say of themselves, and the names of those that cannot be read."""

    adapters: tuple[AdapterView, ...]
    damaged: tuple[str, ...]


class Health(Value):
    """That the server answers, and what it is doing."""

    status: Literal["ok"]
    version: str
    device: str
    jobs: dict[JobState, int]
    average_job_s: float


def job_view(job: Job, base: str) -> JobView:
    """A job as its callers see it. `base` is the address under which the app lies, empty for the root."""
    at = f"{base}/v1/songs/{job.id}"
    return JobView(
        id=job.id,
        state=job.state,
        position=job.position,
        request=shown(job.request),
        options=job.options,
        progress=job.progress,
        songs=tuple(song_view(song, at) for song in job.songs),
        fault=job.fault,
        submitted_at=job.submitted_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempts=job.attempts,
        links=JobLinks(job=at, events=f"{at}/events", cancel=f"{at}/cancel", audio=f"{at}/audio"),
    )


def song_view(song: JobSong, at: str) -> SongView:
    """A song as its callers see it; `at` is the address of its job."""
    which = f"?index={song.index}" if song.index else ""
    return SongView(
        index=song.index,
        seed=song.seed,
        duration_s=song.duration_s,
        sample_rate_hz=song.sample_rate_hz,
        model=song.record.request.model,
        warnings=song.record.warnings,
        links=SongLinks(
            audio=f"{at}/audio{which}",
            record=f"{at}/record{which}",
            files={name: f"{at}/files/{name}" for name in song.files if name != song.audio},
        ),
    )


def upload_view(upload: Upload, base: str) -> UploadView:
    return UploadView(**upload.model_dump(), link=f"{base}/v1/uploads/{upload.id}")


_UPLOAD, _SONG = "3f2b8c1d5e6f47a8b9c0d1e2f3a4b5c6", "0b6f6d1c3f5a4c0d9a54c1b3e0d2f7a8"
_WITH_UPLOAD = {"source": {"upload": _UPLOAD}}
_WITH_SONG = {"source": {"song": _SONG}}


def _example(summary: str, **request: Any) -> dict[str, Any]:
    return {"summary": summary, "value": request}


def _task(kind: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, **fields}


SONG_EXAMPLES: dict[str, dict[str, Any]] = {
    "words": _example("A song from words", caption="lofi, rainy evening, soft piano", duration_s=20),
    "settled": _example(
        "Tempo, key and seed settled; MIDI and stems beside the MP3",
        caption="upbeat synth pop, bright lead",
        duration_s=30,
        bpm=120,
        key="A minor",
        seed=7,
        output={"format": "mp3", "bitrate_kbps": 192, "midi": True, "stems": True},
    ),
    "lyrics": _example(
        "Lyrics, for a model that sings",
        caption="dream pop, female voice",
        lyrics="[Verse]\nRain on the window\n\n[Chorus]\nStay a little longer",
        language="en",
        model="ace-step-1.5-turbo",
    ),
    "best": _example("Two songs, each the best of three", style="bossa-nova", duration_s=15, count=2, best_of=3),
    "codes": _example(
        "Semantic codes to follow, for a model that reads them",
        caption="ambient",
        model="ace-step-1.5-turbo",
        task=_task("text-to-music", codes=[n * 40 % 64_000 for n in range(50)], strength=0.8),
    ),
    "cover": _example("A cover of an upload", caption="bluegrass", task=_task("cover", strength=0.7, **_WITH_UPLOAD)),
    "audio-to-audio": _example(
        "An upload made anew", caption="orchestral", task=_task("audio-to-audio", strength=0.4, **_WITH_UPLOAD)
    ),
    "repaint": _example(
        "Seconds 5 to 9 of a song made anew", caption="lofi", task=_task("repaint", start_s=5, end_s=9, **_WITH_SONG)
    ),
    "outpaint": _example(
        "From before its start to behind its end", task=_task("outpaint", start_s=-4, end_s=24, **_WITH_SONG)
    ),
    "extend": _example("Ten seconds more", task=_task("extend", right_s=10, **_WITH_SONG)),
    "complete": _example(
        "An accompaniment", caption="jazz trio", task=_task("complete", tracks=["drums", "bass"], **_WITH_UPLOAD)
    ),
    "lego": _example("One track to go with it", caption="funk", task=_task("lego", track="bass", **_WITH_UPLOAD)),
    "extract": _example("One track out of it", task=_task("extract", track="vocals", **_WITH_UPLOAD)),
    "retake": _example(
        "The same song once more", caption="lofi", seed=8, task=_task("retake", of_seed=7, variance=0.2)
    ),
    "edit": _example(
        "Other words for a song",
        caption="dream pop, female voice",
        lyrics="[Verse]\nSun on the water",
        task=_task("edit", recipe="lyrics", **_WITH_SONG),
    ),
}
"""Of each kind of task at least one."""
