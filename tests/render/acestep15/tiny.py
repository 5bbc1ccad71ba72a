"""Narrow networks of random numbers in the shapes of the published ones, spies around them, and jobs to run them on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from partita.models.acestep15.config import AceStepConfig
from partita.models.acestep15.model import AceStepModel
from partita.models.oobleck import OobleckConfig, OobleckVAE, Posterior
from partita.models.qwen3 import Qwen3, Qwen3Config
from partita.planner.rules import RulePlanner
from partita.render.acestep15.renderer import AceStep15Renderer
from partita.render.protocol import AudioChunk, Job, LatentsReady, SourceData, Told
from partita.song.request import SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.source import SourceFacts
from partita.text.tokenizers import TextTokenizer
from partita.weights.catalog import card
from tests.fakes import fake_runtime

RATE = 48_000
FRAME = 1920
TURBO, BASE = "ace-step-1.5-turbo", "ace-step-1.5-base"


class TinyCodec:
    """The tiny decoder, and an encoder that mixes the samples of each frame, for the real one is wide at any size."""

    def __init__(self) -> None:
        config = OobleckConfig(encoder_hidden_size=4, channel_multiples=(1, 1, 1, 1, 2), decoder_channels=4)
        self.config = config
        self.decode = OobleckVAE(config).eval().decode
        self._mixing = torch.randn(2 * FRAME, 64) / FRAME**0.5
        self.encoded: list[Tensor] = []

    def encode(self, audio: Tensor) -> Posterior:
        self.encoded.append(audio)
        frames = audio.shape[-1] // FRAME
        mean = audio[0, :, : frames * FRAME].unflatten(1, (frames, FRAME)).transpose(0, 1).flatten(1) @ self._mixing
        return Posterior(mean.T[None], torch.full((1, 64, frames), 0.25))

    def latents(self, audio: np.ndarray) -> Tensor:
        """What the mean of whole frames is, `[T, 64]`."""
        frames = -(-len(audio) // FRAME)
        padded = torch.zeros(1, 2, frames * FRAME)
        padded[0, :, : len(audio)] = torch.from_numpy(audio.T.copy())
        mean = self.encode(padded).mean[0].T
        self.encoded.pop()
        return mean


class TinyParts:
    """The parts of a model; counts how often each is used."""

    def __init__(self, tokenizer: TextTokenizer, *, layers: int = 2, heads: int = 2) -> None:
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 1}
        config = AceStepConfig(
            **sizes | {"num_attention_heads": heads},
            num_hidden_layers=layers,
            head_dim=16,
            in_channels=192,
            audio_acoustic_hidden_dim=64,
            text_hidden_dim=32,
            num_lyric_encoder_hidden_layers=2,
            num_timbre_encoder_hidden_layers=2,
        )
        self.model = AceStepModel(config).eval()
        words = Qwen3Config(**sizes, num_hidden_layers=1, head_dim=16, vocab_size=tokenizer.size)
        self.used: Counter[str] = Counter()
        self.parts: dict[str, Any] = {
            "text_encoder": SimpleNamespace(tokenizer=tokenizer, model=Qwen3(words).eval()),
            "conditioner": SimpleNamespace(
                encoder=self.model.encoder, null_condition_emb=self.model.null_condition_emb
            ),
            "transformer": self.model.decoder,
            "audio_tokenizer": self.model.tokenizer,
            "audio_detokenizer": self.model.detokenizer,
            "vae": TinyCodec(),
            "silence_latent": torch.randn(15_000, 64) * 0.1,
        }

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        self.used[name] += 1
        yield self.parts[name]

    @property
    def silence(self) -> Tensor:
        return self.parts["silence_latent"]

    def with_parts(self, **others: Any) -> TinyParts:
        """The same but for some parts."""
        changed = TinyParts.__new__(TinyParts)
        changed.model, changed.used, changed.parts = self.model, Counter(), {**self.parts, **others}
        return changed


@dataclass
class Call:
    """One call of the transformer."""

    x: Tensor
    t: float
    hidden: Tensor
    context: Tensor
    mask: Tensor | None


@dataclass
class Spy:
    """Stands before the transformer and the tokenizer, and writes down what they get."""

    parts: TinyParts
    calls: list[Call] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def cross_cache(self, hidden: Tensor) -> Any:
        return hidden, self.parts.model.decoder.cross_cache(hidden)

    def __call__(self, x: Tensor, t: Tensor, r: None, cache: Any, context: Tensor, *, mask_condition_padding=None):
        hidden, real = cache
        self.calls.append(Call(x, float(t[0]), hidden, context, mask_condition_padding))
        return self.parts.model.decoder(x, t, r, real, context, mask_condition_padding=mask_condition_padding)

    def encode_batch(self, texts, limit):
        self.texts.extend(texts)
        return self.parts.parts["text_encoder"].tokenizer.encode_batch(texts, limit)

    def spied(self) -> TinyParts:
        real = self.parts.parts["text_encoder"]
        tokenizer = SimpleNamespace(encode=real.tokenizer.encode, encode_batch=self.encode_batch)
        return self.parts.with_parts(
            transformer=self, text_encoder=SimpleNamespace(tokenizer=tokenizer, model=real.model)
        )

    @property
    def instructions(self) -> list[str]:
        """The instruction of every prompt that was read."""
        return [text.split("\n")[1] for text in self.texts if text.startswith("# Instruction")]


def sound(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise, float32 `[N, 2]`."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * RATE), 2)).astype(np.float32)


def source_of(audio: np.ndarray | None = None, latents: Tensor | None = None, name: str = "a") -> SourceData:
    samples = len(audio) if audio is not None else 0 if latents is None else len(latents) * FRAME
    facts = SourceFacts(sha256=(name * 64)[:64], samples=samples, latents_only=audio is None)
    return SourceData(facts, audio, None if latents is None else latents.numpy())


def job_of(
    *,
    model: str = TURBO,
    seed: int = 1,
    source: SourceData | None = None,
    references: tuple[SourceData, ...] = (),
    latents: Tensor | None = None,
    plan: dict[str, Any] | None = None,
    **fields: Any,
) -> Job:
    """A job; `task` is given without its source, `plan` changes what the planner makes."""
    if source is not None:
        fields["task"] = {**fields["task"], "source": {"sha256": source.facts.sha256}}
    elif "task" not in fields:
        fields.setdefault("duration_s", 5.12)
    request = SongRequest(
        **{"caption": "x", "seed": seed, "references": [{"sha256": one.facts.sha256} for one in references], **fields}
    )
    taken = TakenIn(source=source and source.facts, references=tuple(one.facts for one in references))
    resolved = resolve(request, card(model), taken)
    made = RulePlanner(complete=False).plan(resolved, seed).model_copy(update=plan or {})
    return Job(resolved, made, source=source, references=references, latents=latents)


def render_all(parts: TinyParts, jobs: list[Job], batch: int | None = None) -> list[Told]:
    return list(AceStep15Renderer(batch).render(jobs, parts, fake_runtime()))


def render_job(parts: TinyParts, job: Job) -> list[Any]:
    return [told.event for told in render_all(parts, [job])]


def audio_of(events: list[Any]) -> np.ndarray:
    return np.concatenate([event.samples for event in events if isinstance(event, AudioChunk)])


def latents_of(events: list[Any]) -> Tensor:
    (found,) = [event.latents for event in events if isinstance(event, LatentsReady)]
    return found


def latents_by_job(told: list[Told]) -> list[Tensor]:
    found = {one.job: one.event.latents for one in told if isinstance(one.event, LatentsReady)}
    return [found[index] for index in sorted(found)]
