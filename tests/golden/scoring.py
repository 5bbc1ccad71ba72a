"""Checks recorded scores: alignment of lyrics with its matrices, paths and subtitles, and the language model's scores.

Paths, times and subtitles must be exact from the recorded matrices, and within one frame from the recorded attention;
where a file lacks the matrices they are computed. The tensors of a JSON file lie beside it under its name, and the
tokenizer of the recordings under that of planner files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from partita.measure import alignment
from partita.planner.lm import scores
from partita.text.subtitles import TimedLine, lrc
from tests.golden.registry import Place

TOKENIZER = "10_tokenizer.json"
MASK_64 = 2**64 - 1
HASH_STEPS = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
UNDERSTAND = "Understand the given musical conditions and describe the audio semantics accordingly:"


def check_matrices(tensors: dict[str, Tensor], meta: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    """Median filters, paths, and of every case with attention its matrices, paths and mask of tags."""
    beside = path.with_suffix(".json")
    described = json.loads(beside.read_text("utf-8"))["alignment_cases"] if beside.is_file() else {}
    found: dict[str, Tensor] = {}
    for name, given in tensors.items():
        if not name.startswith("in."):
            continue
        case, _, what = name.removeprefix("in.").rpartition(".")
        if what == "x":
            found |= _medians(case, given, tensors)
        elif what == "cost":
            found[f"{case}.path"] = torch.from_numpy(alignment.warp(given.numpy()))
        elif what == "selected_heads" and case in described:
            made = _aligned(case, described[case], tensors, _tokenizer(path))
            found |= {f"{case}.{output}": torch.from_numpy(np.ascontiguousarray(v)) for output, v in made.items()}
    return found


def _medians(case: str, x: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"out.{case}.w"
    widths = [int(name.removeprefix(start)) for name in tensors if name.startswith(start)]
    return {f"{case}.w{width}": alignment.median_filter(x, width, original=True) for width in widths}


def _aligned(
    case: str, entry: Mapping[str, Any], tensors: Mapping[str, Tensor], tokenizer: Tokenizer
) -> dict[str, NDArray[Any]]:
    heads, width = tensors[f"in.{case}.selected_heads"], entry["medfilt_width"]
    agreed = alignment.consensus(heads, suppression=entry["violence_level"], width=width, original=True)
    energy = alignment.energy_of(heads, width=width, original=True)
    squared = alignment.sharpened(energy)
    return {
        "calc_matrix": agreed.calc,
        "energy_matrix": agreed.energy,
        "mean_matrix": agreed.mean,
        "alignment_path": _path(case, "calc_matrix", agreed.calc, tensors, np.float64),
        "score_energy": energy,
        "score_calc": squared,
        "score_path": _path(case, "score_calc", squared, tensors, np.float32),
        "type_mask": alignment.is_lyric(entry["token_ids"], _decoder(tokenizer)),
    }


def _path(
    case: str, matrix: str, computed: NDArray[Any], tensors: Mapping[str, Tensor], kind: type[np.floating]
) -> NDArray[np.int32]:
    """The path through the recorded matrix, if that through the computed one is within a frame of it; else the latter,
    which then fails."""
    own = alignment.warp(-computed.astype(kind))
    recorded = tensors.get(f"out.{case}.{matrix}")
    if recorded is None:
        return own
    path = alignment.warp(-recorded.numpy().astype(kind))
    apart = np.abs(_bounds(path, len(computed)) - _bounds(own, len(computed))).max()
    return path if apart <= 1 else own


def _bounds(path: NDArray[np.int32], tokens: int) -> NDArray[np.int32]:
    """`[2, N]`: first and last frame of every token."""
    places = np.searchsorted(path[:, 0], np.arange(tokens + 1))
    return np.stack([path[places[:-1], 1], path[places[1:] - 1, 1]])


def check_scores(section: str, entry: dict[str, Any], place: Place) -> dict[str, Any] | None:
    """What one entry of a scoring file records, or None if the entry is of another kind."""
    if {"selected_heads", "token_ids"} <= entry.keys():
        return _alignment(entry, place)
    if {"start", "end", "plain"} <= entry.keys():
        line = TimedLine("text", entry["start"], entry["end"])
        return {"plain": lrc([line], original=True), "with_end": lrc([line], with_end=True, original=True)}
    if entry.keys() == {"lyrics_score", "path"}:
        return _constant(entry)
    if {"mean_log_prob", "recall"} <= entry.keys():
        return _likelihood(entry, place)
    if {"pmi", "scale"} <= entry.keys():
        return {"score": scores.information_score(entry["pmi"], entry["scale"])}
    if {"scores", "reward"} <= entry.keys():
        return _reward(entry)
    if isinstance(entry.get("input"), dict) and "global_score" in entry:
        return _conditions(entry["input"], _tokenizer(place.path))
    return None


def _alignment(entry: Mapping[str, Any], place: Place) -> dict[str, Any] | None:
    tensors = _tensors(place.path)
    if f"in.{place.label}.selected_heads" not in tensors:
        return None
    tokenizer, ids, duration_s = _tokenizer(place.path), entry["token_ids"], entry["duration_seconds"]
    decode = _decoder(tokenizer)
    made = _aligned(place.label, entry, tensors, tokenizer)
    texts = alignment.incremental_texts(ids, decode)
    tokens = alignment.token_times(made["alignment_path"], ids, texts, duration_s, made["mean_matrix"].shape[1])
    sentences = alignment.sentence_times(tokens, decode)
    energy = tensors.get(f"out.{place.label}.score_energy", torch.from_numpy(made["score_energy"])).numpy()
    scored = alignment.alignment_score(energy, made["score_path"], made["type_mask"])
    return {
        "token_timestamps": [
            {"token_id": one.token_id, "text": one.text, "start": one.start_s, "end": one.end_s} for one in tokens
        ],
        "sentences": [
            {"text": one.text, "start": one.start_s, "end": one.end_s, "tokens": len(one.tokens)} for one in sentences
        ],
        "lrc": lrc(sentences, original=True),
        "lrc_with_end": lrc(sentences, with_end=True, original=True),
        **{name: value for name, value in asdict(scored).items() if name != "score"},
        "lyrics_score": scored.score,
    }


def _constant(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Attention that does not vary. The entry does not say how large it was: its path ends in the last corner."""
    tokens, frames = (last + 1 for last in entry["path"][-1])
    energy = alignment.energy_of(torch.full((2, tokens, frames), 0.25))
    path = alignment.warp(-alignment.sharpened(energy))
    scored = alignment.alignment_score(energy, path, np.ones(tokens, dtype=np.int32))
    return {"lyrics_score": scored.score, "path": path.tolist()}


def _likelihood(entry: Mapping[str, Any], place: Place) -> dict[str, Any] | None:
    tensors = _tensors(place.path)
    logits, targets = (tensors.get(f"in.{place.label}.{name}") for name in ("logits", "targets"))
    if logits is None or targets is None:
        return None
    recalls = {int(k): scores.top_k_recall(logits, targets, int(k)) for k in entry["recall"]}
    return {
        "mean_log_prob": scores.mean_log_probability(logits, targets),
        "recall": {
            str(k): {"average": one.score, "per_k": {str(n): hit for n, hit in enumerate(one.hits, start=1)}}
            for k, one in recalls.items()
        },
    }


def _reward(entry: Mapping[str, Any]) -> dict[str, Any]:
    if not entry["scores"]:  # an error here, a line of text in the original
        return {"reward": 0.0, "explanation": "❌ No valid scores available to calculate reward."}
    total = scores.total_score(entry["scores"], entry.get("weights"))
    return {"reward": total.score, "explanation": _explained(total)}


def _explained(total: scores.Total) -> str:
    return "\n".join(
        f"  • {part.name.title():<8} | Score: {part.score:.4f} | Weight: {part.weight:.2f} "
        f"-> Contrib: +{part.contribution:.4f}"
        for part in total.parts
    )


def _conditions(given: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, Any]:
    def forced_after(content: str) -> scores.Forced:
        prompt = (
            f"<|im_start|>system\n# Instruction\n{UNDERSTAND}\n\n<|im_end|>\n"
            f"<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n"
        )

        def forced(target: str) -> tuple[Tensor, Tensor]:
            before, ids = (tokenizer.encode(text, add_special_tokens=False).ids for text in (prompt, prompt + target))
            logits = torch.from_numpy(_scripted_model(ids, tokenizer.get_vocab_size()))
            return scores.after_prompt(logits, torch.tensor(ids), len(before))

        return forced

    result = scores.score_conditions(
        given["caption"],
        given["lyrics"],
        given["metadata"],
        forced_after(given["audio_codes"]),
        forced_after("NO USER INPUT"),
        original=True,
    )
    measures: dict[str, str] = dict.fromkeys(scores.RECALL_FIELDS, "Top-k Recall")
    lines = [_explained(result.total), "\n✅ Per-condition scores (0-1):"] + [
        f"  {name}: {value:.4f} ({measures.get(name, 'PMI (Norm)')})" for name, value in sorted(result.fields.items())
    ]
    return {"scores": dict(result.fields), "global_score": result.total.score, "status": "\n".join(lines)}


def _scripted_model(ids: list[int], vocabulary: int) -> NDArray[np.float32]:
    """Logits `[S, V]` of the recordings' stand-in for a language model: a hash of position, token and ids so far."""
    tokens = np.arange(vocabulary, dtype=np.uint64) * np.uint64(HASH_STEPS[2])
    rows, state = [], 0
    for step, token in enumerate(ids):
        state = (31 * state + token + 7) % 1000003
        x = tokens + np.uint64((state * HASH_STEPS[0] + step * HASH_STEPS[1]) & MASK_64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(HASH_STEPS[1])
        x = (x ^ (x >> np.uint64(27))) * np.uint64(HASH_STEPS[2])
        x ^= x >> np.uint64(31)
        rows.append(((x >> np.uint64(40)).astype(np.float64) / 2**24 * 16 - 8).astype(np.float32))
    return np.stack(rows)


def _decoder(tokenizer: Tokenizer) -> alignment.Decode:
    return lambda ids: tokenizer.decode(list(ids), skip_special_tokens=False)


def _tokenizer(path: Path) -> Tokenizer:
    """The tokenizer beside the file, else that of the recordings here."""
    folders = (path.resolve().parent, Path(__file__).parent / "data" / "v15")
    return _read_tokenizer(next(folder / TOKENIZER for folder in folders if (folder / TOKENIZER).is_file()))


@cache
def _read_tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def _tensors(path: Path) -> dict[str, Tensor]:
    beside = path.with_suffix(".safetensors").resolve()
    return _read_tensors(beside, beside.stat().st_mtime_ns) if beside.is_file() else {}


@cache
def _read_tensors(path: Path, changed_ns: int) -> dict[str, Tensor]:
    return load_file(path)
