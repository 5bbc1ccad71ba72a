"""Audio to latents: a job's source, and the thirty seconds that are heard of each reference.

It knows the codec as an object that encodes, and what is encoded as a `Recipe` says. Outside of parity the mean of the
codec's distribution is taken, so that the same audio always gives the same latents; the original draws from it.
Source: specification of the original's acoustic pipeline, section 11.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from partita.models.oobleck import Posterior
from partita.models.oobleck_tiling import (
    ENCODE_CHUNK_FRAMES,
    ENCODE_OVERLAP_FRAMES,
    Codec,
    encode_chunks,
    plan_tiles,
)
from partita.render.acestep15.recipe import Padded, Recipe
from partita.render.protocol import Job, SourceData, StepDone
from partita.sampling.noise import Stream, noise, uniforms
from partita.song.source import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_BELOW

REFERENCE_FRAMES = 750
CLIPS = 3
CLIP_FRAMES = REFERENCE_FRAMES // CLIPS


@dataclass(frozen=True)
class Heard:
    """Latents `[T, 64]` of what a job brings, float32 on the CPU: its source, and `[n, 750, 64]` of its references.

    `source` is None where there is none, and where the original takes a silent one for none (`silent`).
    """

    source: Tensor | None = None
    references: Tensor | None = None
    silent: bool = False


def needs_codec(job: Job, recipe: Recipe) -> bool:
    """Whether anything of the job has to be encoded."""
    return recipe.encode is not None or any(_encodes(job, one) for one in job.references)


class Listener:
    """Encodes what jobs bring with one codec. Audio that several jobs share is encoded once."""

    def __init__(self, codec: Codec | None, device: torch.device) -> None:
        self._codec, self._device = codec, device
        self._known: dict[object, Posterior] = {}

    def hear(self, job: Job, recipe: Recipe) -> Iterator[StepDone | Heard]:
        """Tells each tile that is encoded, and last the job's latents."""
        source, silent = None, False
        if job.source is not None and recipe.encode is not None:
            silent = job.resolved.parity and _is_silent(job.source)
            if not silent:
                source = yield from self._source(job, job.source, recipe.encode)
        elif job.source is not None:
            source = _latents(job.source)
        references = None
        if job.references:
            references = yield from self._references(job, recipe.seed)
        yield Heard(source, references, silent)

    def _source(self, job: Job, source: SourceData, padded: Padded) -> Generator[StepDone, None, Tensor]:
        audio = _audio(source)
        waveform = torch.zeros(2, padded.samples)
        end = min(padded.at + audio.shape[1], padded.samples)
        waveform[:, padded.at : end] = audio[:, : end - padded.at]
        posterior = yield from self._encode((source.facts.sha256, padded), waveform)
        return _draw(posterior, job.resolved.parity, job.seed, Stream.SOURCE)

    def _references(self, job: Job, seed: int) -> Generator[StepDone, None, Tensor]:
        """`seed` chooses the clips: that of the song's noise, so that a retake hears what its song has heard."""
        chosen = [_latents(one) if not _encodes(job, one) else _audio(one).T for one in job.references]
        units = [SAMPLE_RATE_HZ * CLIP_FRAMES // 25 if _encodes(job, one) else CLIP_FRAMES for one in job.references]
        starts = clip_starts([len(one) for one in chosen], units, seed, original=job.resolved.parity)
        latents = []
        for index, (one, material, clip, at) in enumerate(zip(job.references, chosen, units, starts, strict=True)):
            thirty_s = cut_clips(material, clip, at)
            if _encodes(job, one):
                posterior = yield from self._encode((one.facts.sha256, at), thirty_s.T)
                thirty_s = _draw(posterior, job.resolved.parity, seed, Stream.TIMBRE, index)
            latents.append(thirty_s)
        return torch.stack(latents)

    def _encode(self, key: object, waveform: Tensor) -> Generator[StepDone, None, Posterior]:
        """The distribution of the latents of `waveform` `[2, N]`."""
        assert self._codec is not None  # there is one where `needs_codec` says so
        if key not in self._known:
            pieces = []
            count = len(plan_tiles(waveform.shape[-1], ENCODE_CHUNK_FRAMES * FRAME_SAMPLES, _OVERLAP_SAMPLES))
            for index, piece in enumerate(encode_chunks(self._codec, waveform[None].to(self._device))):
                pieces.append(Posterior(piece.mean.float().cpu(), piece.std.float().cpu()))
                yield StepDone(index + 1, count)
            self._known[key] = Posterior(
                torch.cat([piece.mean for piece in pieces], dim=-1), torch.cat([piece.std for piece in pieces], dim=-1)
            )
        return self._known[key]


_OVERLAP_SAMPLES = ENCODE_OVERLAP_FRAMES * FRAME_SAMPLES


def clip_starts(
    lengths: list[int], clips: list[int], seed: int, *, original: bool = False
) -> list[tuple[int, int, int]]:
    """Where the three clips of each reference begin, one in each third of it, the reference being repeated until it
    holds three clips.

    `lengths` and `clips` count the same thing, samples or frames, reference by reference. The offsets come from the
    seed's own stream, each reference having a run of it; the `original` draws them one after another with Python's
    generator, which is seeded here.
    """
    generator = random.Random(seed)
    starts = []
    for index, (length, clip) in enumerate(zip(lengths, clips, strict=True)):
        total = length * _repeats(length, clip)
        third = total // CLIPS
        rooms = [third - clip, third - clip, total - 2 * third - clip]
        if original:
            offsets = [generator.randint(0, room) for room in rooms]
        else:
            drawn = uniforms(seed, CLIPS, Stream.TIMBRE, index).tolist()
            offsets = [int(share * (room + 1)) for share, room in zip(drawn, rooms, strict=True)]
        starts.append((offsets[0], third + offsets[1], 2 * third + offsets[2]))
    return starts


def cut_clips(material: Tensor, clip: int, starts: tuple[int, int, int]) -> Tensor:
    """The clips one after another, `[3 clip, D]`, of `material` `[n, D]`, repeated as `clip_starts` has it."""
    whole = material.repeat(_repeats(len(material), clip), 1)
    return torch.cat([whole[start : start + clip] for start in starts])


def _repeats(length: int, clip: int) -> int:
    return max(1, -(-CLIPS * clip // length))


def _encodes(job: Job, one: SourceData) -> bool:
    """Latents are used as they are, but in parity: the original knows audio only."""
    return one.latents is None or (job.resolved.parity and one.audio is not None)


def _draw(posterior: Posterior, parity: bool, seed: int, stream: Stream, index: int = 0) -> Tensor:
    """Latents `[T, 64]`: the mean, or a seeded draw in parity."""
    if not parity:
        return posterior.mean[0].T.contiguous()
    _, channels, frames = posterior.mean.shape
    return posterior.sample(noise(seed, (frames, channels), stream, index).T[None])[0].T.contiguous()


def _audio(one: SourceData) -> Tensor:
    assert one.audio is not None  # what has no latents has audio
    return torch.from_numpy(np.ascontiguousarray(one.audio.T, dtype=np.float32))


def _latents(one: SourceData) -> Tensor:
    assert one.latents is not None
    return torch.from_numpy(np.ascontiguousarray(one.latents, dtype=np.float32))


def _is_silent(one: SourceData) -> bool:
    return one.audio is not None and bool(np.abs(one.audio).max(initial=0.0) < SILENT_BELOW)
