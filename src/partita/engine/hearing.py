"""Audio as the semantic codes of an ACE-Step 1.5 model: through its VAE and its audio tokenizer.

Latents that are there are used as they are. It knows parts by their names, and no prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from partita.errors import ModelError, RequestError
from partita.models.oobleck_tiling import encode_chunks
from partita.render.protocol import Parts, SourceData
from partita.runtime import Runtime
from partita.settings import Settings
from partita.song.card import ModelCard
from partita.song.source import FRAME_SAMPLES
from partita.weights.catalog import card as find_card, catalog, fetch_command
from partita.weights.inventory import inventory
from partita.weights.places import caches_of


def hearing_model(name: str | None, settings: Settings, checkpoint_dir: Path | None) -> ModelCard:
    """The model whose codec hears: the one that is named, else the setting's, else the first that is here.

    Raises RequestError for a model that knows no codes, ModelError where none is here.
    """
    able = [card for card in catalog() if card.codes]
    if name is not None:
        card = find_card(name)
        if not card.codes:
            raise RequestError(
                f"{card.id} has no semantic codes to hear audio by: name one of {', '.join(one.id for one in able)}.",
                field="model",
                value=name,
            )
        return card
    usual = find_card(settings.model)
    if usual.codes:
        return usual
    statuses = inventory(caches_of(settings), checkpoint_dir)
    here = [status.card.id for status in statuses if status.state == "ready"]
    found = next((card for card in able if card.id in here), None)
    if found is None:
        raise ModelError(
            "Audio is heard through the codec of an ACE-Step 1.5 model, and none is on this machine. Fetch one with "
            f"`{fetch_command(able[0])}`, or name the folder that holds one with --checkpoint-dir."
        )
    return found


@torch.inference_mode()
def codes_of(source: SourceData, parts: Parts, runtime: Runtime, check: Callable[[], None]) -> tuple[int, ...]:
    """The codes 0..63999 of a source, five a second; the last one is filled up with silence.

    `check` is called between any two things that take long, and may raise.
    """
    device, dtype = torch.device(runtime.device.value), getattr(torch, runtime.number_format.value)
    latents = source.latents
    if latents is not None:
        heard = torch.from_numpy(np.ascontiguousarray(latents, dtype=np.float32))
    else:
        pieces: list[Tensor] = []
        with parts.use("vae") as vae:
            for piece in encode_chunks(vae, _waveform(source)[None].to(device)):
                pieces.append(piece.mean[0].T.float())
                check()
        heard = torch.cat(pieces)
    with parts.use("silence_latent") as lent:
        silence = lent[None].to(device=device, dtype=dtype)
    with parts.use("audio_tokenizer") as tokenizer:
        codes = tokenizer(heard[None].to(device=device, dtype=dtype), silence)
    return tuple(codes[0].tolist())


def _waveform(source: SourceData) -> Tensor:
    """`[2, N]`, of whole frames."""
    assert source.audio is not None  # what has no latents has audio
    audio = torch.from_numpy(np.ascontiguousarray(source.audio.T, dtype=np.float32))
    return torch.nn.functional.pad(audio, (0, -audio.shape[1] % FRAME_SAMPLES))
