"""Partita: a local music engine. Describe a song and get a song, on your own machine.

    from partita import Engine, Repaint, SongRequest

    engine = Engine()
    song = engine.generate(SongRequest(caption="slow piano ballad", duration_s=30, seed=7))
    again = engine.generate(SongRequest(task=Repaint(source=engine.hold(song), start_s=10, end_s=15)))

Names are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partita.engine.engine import Engine as Engine
    from partita.engine.events import (
        AudioReady as AudioReady,
        Chosen as Chosen,
        Event as Event,
        Finished as Finished,
        LatentsReady as LatentsReady,
        Planned as Planned,
        StageBegan as StageBegan,
        Step as Step,
    )
    from partita.engine.save import Saved as Saved, save as save
    from partita.engine.song import Song as Song
    from partita.engine.targets import Target as Target
    from partita.errors import (
        AccessError as AccessError,
        AudioError as AudioError,
        BusyError as BusyError,
        Cancelled as Cancelled,
        ConflictError as ConflictError,
        DeadlineError as DeadlineError,
        DownloadError as DownloadError,
        ModelError as ModelError,
        NotFoundError as NotFoundError,
        PartitaError as PartitaError,
        PlannerError as PlannerError,
        ReplayError as ReplayError,
        RequestError as RequestError,
        ResourceError as ResourceError,
        SaveError as SaveError,
        TooLargeError as TooLargeError,
    )
    from partita.radio.request import RadioRequest as RadioRequest
    from partita.radio.station import RadioStation as RadioStation
    from partita.runtime import Runtime as Runtime
    from partita.service.manager import Manager as Manager, ManagerConfig as ManagerConfig
    from partita.settings import Settings as Settings
    from partita.song.plan import Plan as Plan
    from partita.song.planning import Description as Description, PlannerOptions as PlannerOptions
    from partita.song.record import Record as Record
    from partita.song.request import (
        AdapterChoice as AdapterChoice,
        Output as Output,
        Sampling as Sampling,
        SongRequest as SongRequest,
    )
    from partita.song.resolve import ResolvedRequest as ResolvedRequest, resolve as resolve
    from partita.song.scores import Scores as Scores
    from partita.song.source import AudioRef as AudioRef
    from partita.song.task import (
        AudioToAudio as AudioToAudio,
        Complete as Complete,
        Cover as Cover,
        Extend as Extend,
        Extract as Extract,
        FlowEdit as FlowEdit,
        Lego as Lego,
        Outpaint as Outpaint,
        Repaint as Repaint,
        Retake as Retake,
        TextToMusic as TextToMusic,
    )

_HOMES: dict[str, tuple[str, ...]] = {
    "partita.engine.engine": ("Engine",),
    "partita.engine.events": (
        "AudioReady",
        "Chosen",
        "Event",
        "Finished",
        "LatentsReady",
        "Planned",
        "StageBegan",
        "Step",
    ),
    "partita.engine.save": ("Saved", "save"),
    "partita.engine.song": ("Song",),
    "partita.engine.targets": ("Target",),
    "partita.errors": (
        "AccessError",
        "AudioError",
        "BusyError",
        "Cancelled",
        "ConflictError",
        "DeadlineError",
        "DownloadError",
        "ModelError",
        "NotFoundError",
        "PartitaError",
        "PlannerError",
        "ReplayError",
        "RequestError",
        "ResourceError",
        "SaveError",
        "TooLargeError",
    ),
    "partita.radio.request": ("RadioRequest",),
    "partita.radio.station": ("RadioStation",),
    "partita.runtime": ("Runtime",),
    "partita.service.manager": ("Manager", "ManagerConfig"),
    "partita.settings": ("Settings",),
    "partita.song.plan": ("Plan",),
    "partita.song.planning": ("Description", "PlannerOptions"),
    "partita.song.record": ("Record",),
    "partita.song.request": ("AdapterChoice", "Output", "Sampling", "SongRequest"),
    "partita.song.resolve": ("ResolvedRequest", "resolve"),
    "partita.song.scores": ("Scores",),
    "partita.song.source": ("AudioRef",),
    "partita.song.task": (
        "AudioToAudio",
        "Complete",
        "Cover",
        "Extend",
        "Extract",
        "FlowEdit",
        "Lego",
        "Outpaint",
        "Repaint",
        "Retake",
        "TextToMusic",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'partita' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
