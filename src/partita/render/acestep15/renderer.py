"""Renders a plan with ACE-Step 1.5: words to conditions, noise to latents, latents to audio.

Text to music with the published checkpoints, turbo, base and SFT. It knows the order of the networks and the original's
conventions of length, silence and noise; where the weights lie and what becomes of the audio is not its business.
Source: specification of the original's acoustic pipeline, text-to-music rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from partita.errors import ModelError
from partita.models.acestep15.condition import context_latents
from partita.models.oobleck_tiling import decode_chunks
from partita.models.qwen3 import Qwen3
from partita.render.guidance import guidance_of
from partita.render.protocol import (
    AudioChunk,
    Job,
    LatentsReady,
    Noted,
    Parts,
    RenderEvent,
    StageStarted,
    StepDone,
    Told,
)
from partita.runtime import Runtime
from partita.sampling.flow import predict_with
from partita.sampling.guidance import is_active, with_null
from partita.sampling.loop import State, denoise
from partita.sampling.noise import Stream, noise, parity_noise
from partita.sampling.schedules import (
    Schedule,
    continuous_schedule,
    linear_schedule,
    turbo_schedule,
    verbatim_schedule,
)
from partita.sampling.solvers import Solver, euler, sde
from partita.song.card import ModelCard
from partita.song.plan import Plan
from partita.song.resolve import ResolvedRequest
from partita.text.prompts import (
    LYRICS_MAX_TOKENS,
    PROMPT_MAX_TOKENS,
    instruction_for,
    lyric_prompt,
    metadata_block,
    text_prompt,
)
from partita.text.tokenizers import TextTokenizer
from partita.weights.catalog import card as find_card

SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = 1920
LATENT_CHANNELS = 64
# The published models are never run on less: shorter songs are padded to this and, but for parity, cut afterwards.
SHORTEST_FRAMES = 128
REFERENCE_FRAMES = 750
# The decoder's convolutions hear 9 frames beyond the sample they make, so a cut song is decoded beyond its cut.
CUT_MARGIN_FRAMES = 16


class TextEncoder(Protocol):
    """What the part `text_encoder` is: a tokenizer and the network that reads its ids."""

    tokenizer: TextTokenizer
    model: Qwen3


@dataclass(frozen=True, slots=True)
class _Words:
    """States of the prompt and embedded lyric tokens, each `[1, S, 1024]`, with their masks."""

    text: Tensor
    text_mask: Tensor
    lyrics: Tensor
    lyric_mask: Tensor


def latent_frames(duration_s: float, parity: bool) -> int:
    """How many latent frames a song of this length is sampled with.

    The original rounds to tenths of a second and drops what does not fill a frame. Without `parity` the last frame is
    whole, so that the song can be cut to exactly what was asked.
    """
    if parity:
        return max(int(max(0.1, round(duration_s, 1)) * SAMPLE_RATE_HZ) // FRAME_SAMPLES, SHORTEST_FRAMES)
    return max(-(-round(duration_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES), SHORTEST_FRAMES)


class AceStep15Renderer:
    """See `partita.render.protocol.Renderer`. Keeps nothing between songs."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def render(self, jobs: Sequence[Job], parts: Parts, runtime: Runtime) -> Iterator[Told]:
        """Sample (unless a job brings its latents) and decode. Raises ModelError where the result is not finite."""
        with torch.inference_mode():
            for index, job in enumerate(jobs):
                for event in self._render(job, parts, runtime):
                    yield Told(index, event)

    def _render(self, job: Job, parts: Parts, runtime: Runtime) -> Iterator[RenderEvent]:
        resolved, plan, latents = job.resolved, job.plan, job.latents
        if latents is None:
            for event in self._sample(resolved, plan, job.seed, parts, runtime):
                yield event
                if isinstance(event, LatentsReady):
                    latents = event.latents
            assert latents is not None  # sampling ends with LatentsReady
        else:
            yield LatentsReady(latents)
        yield from self._decode(latents, resolved, plan, parts, runtime)

    def _sample(
        self, resolved: ResolvedRequest, plan: Plan, seed: int, parts: Parts, runtime: Runtime
    ) -> Iterator[RenderEvent]:
        device = torch.device(runtime.device.value)
        dtype = getattr(torch, runtime.number_format.value)
        yield StageStarted("text")
        with parts.use("text_encoder") as encoder:
            prompt, lyrics = _prompts(plan)
            yield from _truncations(encoder.tokenizer, prompt, lyrics)
            words = _read_words(encoder, prompt, lyrics)
        yield StageStarted("conditions")
        with parts.use("silence_latent") as silence:
            silence = silence.to(device, dtype)
        with parts.use("conditioner") as conditioner:
            owner = torch.zeros(1, dtype=torch.int64, device=device)
            packed = conditioner.encoder(
                words.text, words.text_mask, words.lyrics, words.lyric_mask, silence[None, :REFERENCE_FRAMES], owner
            )
            guidance = guidance_of(resolved.sampling)
            null = conditioner.null_condition_emb
            condition = with_null(packed.hidden, null) if is_active(guidance) else packed.hidden
        frames = latent_frames(plan.duration_s, resolved.parity)
        context = context_latents(silence[None, :frames], torch.ones(1, frames, device=device))
        context = torch.cat([context, context]) if is_active(guidance) else context
        schedule = make_schedule(resolved, find_card(resolved.model), dtype)
        start, solver = _noise(resolved, seed, frames, dtype, device)
        yield StageStarted("sample")
        with parts.use("transformer") as transformer:
            cache = transformer.cross_cache(condition)

            def velocity(x: Tensor, t: Tensor) -> Tensor:
                return transformer(x, t, None, cache, context)

            x = start
            for step in denoise(State(start), schedule, predict_with(velocity), guidance=guidance, solver=solver):
                x = step.after.x
                yield StepDone(step.index + 1, step.count)
        latents = x[0].float().cpu()
        _check_latents(latents)
        yield LatentsReady(latents)

    def _decode(
        self, latents: Tensor, resolved: ResolvedRequest, plan: Plan, parts: Parts, runtime: Runtime
    ) -> Iterator[RenderEvent]:
        yield StageStarted("decode")
        total = len(latents) * FRAME_SAMPLES
        if not resolved.parity:
            total = min(total, round(plan.duration_s * SAMPLE_RATE_HZ))
        frames = -(-total // FRAME_SAMPLES)
        start = 0
        with parts.use("vae") as vae:
            channels_first = latents[: frames + CUT_MARGIN_FRAMES].to(runtime.device.value).T[None]
            for piece in decode_chunks(vae, channels_first):
                samples = piece[0].float().T.cpu().numpy()[: total - start]
                if len(samples):
                    yield AudioChunk(samples, start, total)
                start += len(samples)


def make_schedule(resolved: ResolvedRequest, card: ModelCard, dtype: torch.dtype) -> Schedule:
    """The time grid of a checkpoint's own sampler for these settings, in the number format of the model."""
    kind, sampling = card.sampling.schedule, resolved.sampling
    if kind == "linear":
        if sampling.timesteps is not None:
            return verbatim_schedule(sampling.timesteps, dtype)
        return linear_schedule(sampling.steps, sampling.shift, dtype, clamp=not resolved.parity)
    if sampling.timesteps is not None:
        snap = kind == "turbo" and not sampling.timesteps_verbatim
        return turbo_schedule(dtype, timesteps=sampling.timesteps, snap=snap)
    if kind == "continuous":
        return continuous_schedule(sampling.steps, sampling.shift, dtype)
    return turbo_schedule(dtype, shift=sampling.shift)


def _prompts(plan: Plan) -> tuple[str, str]:
    metre = None if plan.time_signature is None else plan.time_signature.split("/")[0]
    metadata = metadata_block(plan.bpm, metre, plan.key, plan.duration_s)
    prompt = text_prompt(instruction_for("text2music"), plan.caption, metadata)
    return prompt, lyric_prompt(plan.lyrics, plan.language)


def _truncations(tokenizer: TextTokenizer, prompt: str, lyrics: str) -> Iterator[Noted]:
    for name, text, limit in (("caption", prompt, PROMPT_MAX_TOKENS), ("lyrics", lyrics, LYRICS_MAX_TOKENS)):
        count = len(tokenizer.encode(text, sys.maxsize))
        if count > limit:
            yield Noted(f"The {name} make {count} tokens with what surrounds them; the model reads the first {limit}.")


def _read_words(encoder: TextEncoder, prompt: str, lyrics: str) -> _Words:
    text = encoder.tokenizer.encode_batch([prompt], PROMPT_MAX_TOKENS)
    sung = encoder.tokenizer.encode_batch([lyrics], LYRICS_MAX_TOKENS)
    device = encoder.model.embed_tokens.weight.device
    return _Words(
        text=encoder.model(text.ids.to(device)),
        text_mask=text.mask.to(device),
        lyrics=encoder.model.embed_tokens(sung.ids.to(device)),
        lyric_mask=sung.mask.to(device),
    )


def _noise(
    resolved: ResolvedRequest, seed: int, frames: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Solver]:
    """The state to start from `[1, T, 64]`, and the solver with its own draws."""
    shape = (frames, LATENT_CHANNELS)
    if resolved.parity:
        start = parity_noise([seed], shape, dtype=dtype, device=device)
    else:
        start = noise(seed, shape, Stream.INITIAL)[None].to(device, dtype)
    if resolved.sampling.solver == "euler":
        return start, euler
    unshifted = resolved.parity and find_card(resolved.model).sampling.schedule == "linear"
    return start, sde(lambda step: noise(seed, shape, Stream.STEP, step)[None].to(device, dtype), unshifted=unshifted)


def _check_latents(latents: Tensor) -> None:
    if not torch.isfinite(latents).all() or not latents.any():
        raise ModelError(
            "The sampled latents are not finite, or all zero: the weights are damaged, or the number format overflows. "
            "Run `partita verify` on the model, or try --number-format float32."
        )
