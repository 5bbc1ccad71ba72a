"""Narrow networks of random numbers in the shapes of ACE-Step v1's, spies around them, and jobs to run them on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor

from partita.models.acestepv1.codec import MusicCodec
from partita.models.acestepv1.conditioner import Conditioner, Context
from partita.models.acestepv1.config import LyricEncoderConfig, TransformerConfig
from partita.models.acestepv1.dcae import Dcae, DcaeConfig
from partita.models.acestepv1.transformer import Transformer
from partita.models.acestepv1.vocoder import Vocoder, VocoderConfig
from partita.models.umt5 import Umt5Config, Umt5Encoder
from partita.planner.rules import RulePlanner
from partita.render.acestepv1.renderer import AceStepV1Renderer
from partita.render.protocol import AudioChunk, Job, LatentsReady, Noted, SourceData, Told
from partita.song.request import SongRequest
from partita.song.resolve import TakenIn, resolve
from partita.song.source import GRIDS, SourceFacts
from partita.text.tokenizers import TextTokenizer
from partita.text.v1.tags import TRAINED
from partita.text.v1.tokenizer import LANGUAGE_IDS, VOCABULARY_SIZE, LyricTokenizer
from partita.weights.catalog import card
from tests.fakes import fake_runtime
from tests.text.test_tokenizers import write_tokenizer

RATE = 48_000
MODEL = "ace-step-v1"
GRID = GRIDS["acestep-v1"]
STEPS = 3


def lyric_tokenizer() -> LyricTokenizer:
    """Letters, and the special tokens where the published vocabulary has them."""
    vocabulary = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2} | {letter: 14 + i for i, letter in enumerate(_LETTERS)}
    special = {"[START]": 261} | {f"[{'zh-cn' if code == 'zh' else code}]": n for code, n in LANGUAGE_IDS.items()}
    special |= {f"[{tag}]": 6681 + i for i, tag in enumerate(TRAINED)}
    tokenizer = Tokenizer(models.BPE(vocabulary | special, [], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ["[UNK]", "[SPACE]", *special]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return LyricTokenizer(tokenizer)


_LETTERS = "abcdefghijklmnopqrstuvwxyz,.[]"


def tiny_codec(seed: int = 2) -> MusicCodec:
    torch.manual_seed(seed)
    widths = {f"{half}_block_out_channels": (8, 8, 8, 16) for half in ("encoder", "decoder")}
    layers = {f"{half}_layers_per_block": (1, 1, 1, 1) for half in ("encoder", "decoder")}
    dcae = Dcae(DcaeConfig(attention_head_dim=8, **widths, **layers))
    vocoder = Vocoder(
        VocoderConfig(
            depths=(1, 1),
            dims=(8, 8),
            num_mels=8,
            upsample_initial_channel=128,
            resblock_kernel_sizes=(3,),
            resblock_dilation_sizes=((1, 3),),
        )
    )
    return MusicCodec(dcae.eval(), vocoder.eval())


class TinyParts:
    """The parts of a model; counts how often each is used."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        config = TransformerConfig(
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=16,
            text_embedding_dim=16,
            speaker_embedding_dim=8,
            lyric_encoder_vocab_size=VOCABULARY_SIZE,
            lyric_hidden_size=16,
            lyric_encoder=LyricEncoderConfig(
                input_size=16, output_size=16, attention_heads=2, linear_units=24, num_blocks=6
            ),
        )
        tokenizer = TextTokenizer.load(write_tokenizer(folder, appends=False))
        words = Umt5Config(vocab_size=tokenizer.size, d_model=16, d_kv=8, d_ff=24, num_layers=12, num_heads=2)
        self.used: Counter[str] = Counter()
        self.parts: dict[str, Any] = {
            "text_encoder": SimpleNamespace(tokenizer=tokenizer, model=Umt5Encoder(words).eval()),
            "lyric_tokenizer": lyric_tokenizer(),
            "conditioner": Conditioner(config).eval(),
            "transformer": Transformer(config).eval(),
            "codec": tiny_codec(),
        }

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        self.used[name] += 1
        yield self.parts[name]

    def with_parts(self, **others: Any) -> TinyParts:
        """The same but for some parts."""
        changed = TinyParts.__new__(TinyParts)
        changed.used, changed.parts = Counter(), {**self.parts, **others}
        return changed


@dataclass
class Call:
    """One call of the transformer."""

    latents: Tensor
    t: float
    context: Context
    weaken: Any


@dataclass
class Spy:
    """Stands before the transformer, and writes down what it gets."""

    network: Transformer
    calls: list[Call] = field(default_factory=list)

    def cross_cache(self, context: Context) -> Any:
        return SimpleNamespace(real=self.network.cross_cache(context), context=context, rows=self._rows(context))

    def _rows(self, context: Context) -> Any:
        def rows(start: int, stop: int) -> Any:
            return self.cross_cache(Context(context.hidden[start:stop], context.mask[start:stop]))

        return rows

    def __call__(self, latents: Tensor, timestep: Tensor, cache: Any, *, weaken: Any = None) -> Tensor:
        self.calls.append(Call(latents, float(timestep[0]), cache.context, weaken))
        return self.network(latents, timestep, cache.real, weaken=weaken)


def sound(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise, float32 `[N, 2]`."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * RATE), 2)).astype(np.float32)


def random_latents(frames: int, seed: int = 3) -> Tensor:
    """`[T, 128]`."""
    return torch.randn(frames, 128, generator=torch.Generator().manual_seed(seed))


def source_of(audio: np.ndarray | None = None, latents: Tensor | None = None, name: str = "a") -> SourceData:
    samples = len(audio) if audio is not None else 0 if latents is None else GRID.samples(len(latents))
    facts = SourceFacts(sha256=(name * 64)[:64], samples=samples, latents_only=audio is None)
    return SourceData(facts, audio, None if latents is None else latents.numpy())


def own_song(frames: int, seed: int = 3) -> SourceData:
    """A song of so many frames, with audio and latents."""
    return source_of(sound(GRID.samples(frames) / RATE, seed), random_latents(frames, seed))


def job_of(
    *,
    seed: int = 1,
    source: SourceData | None = None,
    latents: Tensor | None = None,
    plan: dict[str, Any] | None = None,
    **fields: Any,
) -> Job:
    """A job; `task` is given without its source, `plan` changes what the planner makes."""
    if source is not None:
        fields["task"] = {**fields["task"], "source": {"sha256": source.facts.sha256}}
    elif "task" not in fields:
        fields.setdefault("duration_s", 3)
    fields["sampling"] = {"steps": STEPS, **fields.pop("sampling", {})}
    request = SongRequest(**{"caption": "x", "seed": seed, **fields})
    resolved = resolve(request, card(MODEL), TakenIn(source=source and source.facts))
    made = RulePlanner(complete=False).plan(resolved, seed).model_copy(update=plan or {})
    return Job(resolved, made, source=source, latents=latents)


def render_all(parts: Any, jobs: list[Job], batch: int | None = None, widest: int = 2583) -> list[Told]:
    return list(AceStepV1Renderer(batch, widest).render(jobs, parts, fake_runtime()))


def render_job(parts: Any, job: Job, widest: int = 2583) -> list[Any]:
    return [told.event for told in render_all(parts, [job], widest=widest)]


def sample_job(parts: Any, job: Job, widest: int = 2583) -> list[Any]:
    """The events of a song up to its latents."""
    events: list[Any] = []
    with closing(AceStepV1Renderer(widest=widest).render([job], parts, fake_runtime())) as told:
        for one in told:
            events.append(one.event)
            if isinstance(one.event, LatentsReady):
                break
    return events


def chunks_of(events: list[Any]) -> list[AudioChunk]:
    return [event for event in events if isinstance(event, AudioChunk)]


def audio_of(events: list[Any]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks_of(events)])


def latents_of(events: list[Any]) -> Tensor:
    (found,) = [event.latents for event in events if isinstance(event, LatentsReady)]
    return found


def notes_of(events: list[Any]) -> list[str]:
    return [event.message for event in events if isinstance(event, Noted)]
