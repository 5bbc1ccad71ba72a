"""What a record says of the machine, the versions and the weights, and whether it can be rendered to the same bytes
here."""

from __future__ import annotations

from contextlib import suppress
from importlib import metadata

from partita.engine.archive import Archive
from partita.errors import AudioError, ReplayError, RequestError
from partita.runtime import Runtime
from partita.song.card import Family
from partita.song.record import Record, RuntimeRecord
from partita.song.resolve import ResolvedRequest
from partita.weights.loaders import Loader

VERSIONED = ("partita", "torch", "numpy", "symusic", "soxr", "pyloudnorm", "scipy")
# Packages that say what a family reads, where they are installed.
READERS: dict[Family, tuple[str, ...]] = {
    "acestep-v1": ("py3langid", "langid", "num2words", "pypinyin", "hangul-romanize", "cutlet", "unidic-lite"),
}


def versions_of(family: Family) -> dict[str, str]:
    """Versions of all packages that have a part in the bytes of a song."""
    versions = {name: metadata.version(name) for name in VERSIONED}
    for name in READERS.get(family, ()):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def runtime_record(runtime: Runtime) -> RuntimeRecord:
    """What of a runtime has a part in the bytes of a song."""
    return RuntimeRecord(
        device=runtime.device.value,
        number_format=runtime.number_format.value,
        attention=runtime.attention.value,
        compiled=runtime.compiled.value,
        threads=runtime.threads.value,
        cpu=runtime.cpu,
        decode_tile_frames=runtime.decode_tile_frames,
    )


def weights_of(loader: Loader, resolved: ResolvedRequest) -> dict[str, str]:
    """Identity of everything that was loaded: the model's files and each adapter's bytes."""
    weights = loader.fingerprint()
    for number, adapter in enumerate(resolved.adapters, 1):
        name = f"adapter:{adapter.facts.name}"
        weights[name if name not in weights else f"{name} ({number})"] = adapter.facts.sha256
    return weights


def check_machine(record: Record, here: RuntimeRecord) -> None:
    """Raises ReplayError that names every setting and version that differs."""
    now = here.model_dump()
    differing = [
        f"{name}: {was!r} then, {now[name]!r} here"
        for name, was in record.runtime.model_dump().items()
        if was != now[name]
    ]
    differing += [
        f"{name}: {was} then, {_version(name)} here" for name, was in record.versions.items() if was != _version(name)
    ]
    if differing:
        raise ReplayError(
            "The song cannot be rendered to the same bytes here, for these differ: "
            + "; ".join(differing)
            + ". Use the same versions and settings, or generate it anew with the same seed for a close relative."
        )


def check_sources(record: Record, archive: Archive, family: Family) -> None:
    """Raises ReplayError that names a source or reference which is no longer kept here."""
    request = record.request
    for name, facts in (("source", request.source), *(("reference", facts) for facts in request.references)):
        if facts is None:
            continue
        try:
            archive.data(facts, family)
        except (AudioError, RequestError) as error:
            raise ReplayError(
                f"The {name} of the song, {facts.sha256}, is not kept on this machine: use the file that it was made "
                f"from in any request, which keeps it again. ({error})"
            ) from error


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
