"""From the guidance that a request names to the one that the sampler runs."""

from __future__ import annotations

from partita.sampling.guidance import Guidance, Kind
from partita.song.card import GuidanceName
from partita.song.sampling import ResolvedSampling


def guidance_of(sampling: ResolvedSampling) -> Guidance | None:
    """The guidance of a resolved request, or none where its scale is 1. ACE-Step v1 has more to say of its own."""
    if sampling.guidance_scale <= 1:
        return None
    return Guidance(kind_of(sampling.guidance), sampling.guidance_scale, sampling.guidance_interval)


def kind_of(name: GuidanceName) -> Kind:
    """The sampler's spelling."""
    return name.replace("-", "_")  # pyright: ignore[reportReturnType]
