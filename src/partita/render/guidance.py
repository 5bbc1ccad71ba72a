"""From the guidance that a request names to the one that the sampler runs. The same for every family."""

from __future__ import annotations

from partita.sampling.guidance import Guidance, Kind
from partita.song.sampling import ResolvedSampling


def guidance_of(sampling: ResolvedSampling) -> Guidance | None:
    """The guidance of a resolved request, or none where its scale is 1."""
    if sampling.guidance_scale <= 1:
        return None
    kind: Kind = sampling.guidance.replace("-", "_")  # pyright: ignore[reportAssignmentType]
    return Guidance(kind, sampling.guidance_scale, sampling.guidance_interval)
