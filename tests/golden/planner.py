"""Checks recorded decodes, prompts, parses, trees and filters of the planner's language against `partita.planner.lm`.

A file's tokenizer is the `10_tokenizer.json` beside it, else the one recorded here; a file's own chat template is
followed. Everything runs as the original does (`original=True`).
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from partita.planner.lm import sampling
from partita.planner.lm.chat import chat_of
from partita.planner.lm.fields import Field, given_values
from partita.planner.lm.grammar import Grammar
from partita.planner.lm.lengths import code_target
from partita.planner.lm.masks import Masks
from partita.planner.lm.original_grammar import grammar_of
from partita.planner.lm.parse import code_text, parse
from partita.planner.lm.prompts import CREATE, FORMAT, GENERATE, LEGACY, UNDERSTAND, Prompts, thought
from partita.planner.lm.states import Place, Rules, State, Then
from partita.planner.lm.tables import Tables
from partita.planner.lm.vocabulary import PlannerVocabulary
from tests.golden import registry

RECORDED = Path(__file__).parent / "data" / "v15"
TOKENIZER = "10_tokenizer.json"

_SPEC = {
    *("id", "kind", "seed", "prompt", "phase", "stop_at_reasoning", "skip_genres", "skip_caption", "skip_language"),
    *("max_steps", "boost", "user_metadata", "target_duration", "script_ids", "codes_temperature", "max_duration"),
    *("metadata_temperature", "long", "caption_ending", "name"),
}
_TREES = {
    "bpm_prefix_tree": Field.BPM,
    "duration_prefix_tree": Field.DURATION,
    "keyscale_prefix_tree": Field.KEYSCALE,
    "language_prefix_tree": Field.LANGUAGE,
    "timesig_prefix_tree": Field.TIMESIGNATURE,
}
_PLACES = {
    Place.OPEN: "THINK_TAG",
    Place.LINE: "NEWLINE_AFTER_THINK",
    Place.CLOSE: "THINK_END_TAG",
    Place.CODES: "CODES_GENERATION",
    Place.TEXT: "COMPLETED",
    Place.END: "COMPLETED",
}


def check_planner(section: str, entry: dict[str, Any], place: registry.Place) -> dict[str, Any] | None:
    """What an entry of a planner file should hold, or None if it is of another kind."""
    tables = tables_of(place.path)
    if section == "instructions":
        return {"generate": GENERATE, "understand": UNDERSTAND, "inspiration": CREATE, "format": FORMAT}
    if section == "tokenizer" and "audio_code_tokens" in entry:
        return _tokenizer(tables.vocabulary, entry)
    if section == "prefix_trees":
        return {name: _tree(tables, name, value) for name, value in entry.items() if name in _TREES}
    if isinstance(entry.get("spec"), dict) and entry["spec"].keys() <= _SPEC:
        return _decode(tables, entry)
    if {"top_k", "top_p", "logits"} <= entry.keys():
        return _filters(entry)
    if isinstance(entry.get("input"), str):
        answer = parse(entry["input"], original=True)
        return {"metadata": answer.metadata, "codes": code_text(entry["input"]), "lyrics": answer.lyrics}
    if isinstance(entry.get("input"), dict) and {"negative_prompt", "audio_codes"} <= entry["input"].keys():
        return _prompts(tables.vocabulary, place.path, entry)
    return None


def tables_of(path: Path) -> Tables:
    """The tables of the tokenizer that belongs to a file."""
    beside = path.parent / TOKENIZER
    return _tables(beside if beside.is_file() else RECORDED / TOKENIZER)


@cache
def _tables(path: Path) -> Tables:
    return Tables(PlannerVocabulary(Tokenizer.from_str(path.read_text("utf-8")), path))


@cache
def _template(path: Path) -> str | None:
    data = json.loads(path.read_text("utf-8"))
    return data.get("chat_template") or data.get("tokenizer", {}).get("chat_template")


def _tokenizer(vocabulary: PlannerVocabulary, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary.size,
        "eos": vocabulary.end_id,
        "pad": vocabulary.pad_id,
        "newline": vocabulary.newline_id,
        "backtick": vocabulary.backtick_id,
        "period": vocabulary.encode(".")[-1],
        "digits": list(vocabulary.digit_ids),
        "audio_code_tokens": [*sorted(vocabulary.code_ids)[:3], len(vocabulary.code_ids)],
    }


def _tree(tables: Tables, name: str, recorded: Any) -> Any:
    listed = [[list(prefix), list(following)] for prefix, following in sorted(tables.tree(_TREES[name]).items())]
    if isinstance(recorded, list):
        return listed
    return {"size": len(listed), "root": listed[0][1], "hash": hashlib.sha256(json.dumps(listed).encode()).hexdigest()}


def _filters(entry: dict[str, Any]) -> dict[str, Any]:
    logits = torch.tensor(entry["logits"], dtype=torch.float32)
    kept = sampling.keep_top_p(sampling.keep_top_k(logits, entry["top_k"]), entry["top_p"])
    return {"kept": [row.isfinite().nonzero().flatten().tolist() for row in kept]}


def _prompts(vocabulary: PlannerVocabulary, path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    given = entry["input"]
    ids = entry.get("cot_token_ids")  # recorded for some
    prompts = Prompts(chat_of(_template(path)), LEGACY, raw=True)
    caption, lyrics, negative = given["caption"], given["lyrics"], given["negative_prompt"]
    written = thought(given["metadata"], original=True)
    asked = prompts.metadata(caption, lyrics)
    return {
        "cot": asked,
        "cot_unconditional": prompts.metadata_unconditional(lyrics, negative),
        "codes_unconditional_simple": prompts.ask(GENERATE, caption),
        "cot_text": written,
        "codes": prompts.codes(caption, lyrics, written),
        "codes_unconditional": prompts.codes_unconditional(caption, lyrics, negative),
        "understand": prompts.understand(given["audio_codes"]),
        "understand_unconditional": prompts.unconditional(UNDERSTAND, negative),
        "inspiration": prompts.create(caption, given["instrumental"]),
        "inspiration_unconditional": prompts.unconditional(CREATE, negative),
        "format": prompts.format(caption, lyrics),
        "format_unconditional": prompts.unconditional(FORMAT, negative),
    } | ({} if ids is None else {"cot_token_ids": vocabulary.encode(asked)})


def _rules(spec: dict[str, Any], prompt: list[int], vocabulary: PlannerVocabulary) -> Rules:
    phase = spec["phase"]
    then = Then.STOP if spec["stop_at_reasoning"] else Then.TEXT if phase == "understand" else Then.CODES
    skips = {Field.GENRES: "skip_genres", Field.CAPTION: "skip_caption", Field.LANGUAGE: "skip_language"}
    return Rules(
        then=then,
        given=given_values(spec.get("user_metadata"), original=True),
        skipped=frozenset(field for field, name in skips.items() if spec[name]),
        thought_done=phase == "codes" and vocabulary.close_think_id in prompt,
        target_codes=code_target(spec.get("target_duration")),
        forced_duration_s=spec.get("target_duration"),
        duration_max_s=spec.get("max_duration") or 600,
        original=True,
    )


def _name(state: State) -> str:
    if state.field is None:
        return _PLACES[state.place]
    field = "TIMESIG" if state.field is Field.TIMESIGNATURE else state.field.name
    return f"{field}_{state.place.name}"


def scripted_logits(seed: int, step: int, size: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The recorded decodes' logits before boosts: float32 [size], from the seed and the step alone."""
    wrap = 2**64 - 1
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & wrap)
    x = np.arange(size, dtype=np.uint64) * np.uint64(0x94D049BB133111EB) + start
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return ((x >> np.uint64(40)).astype(np.float64) / 2**24 * 16 - 8).astype(np.float32)


def _decode(tables: Tables, entry: dict[str, Any]) -> dict[str, Any]:
    spec, vocabulary = entry["spec"], tables.vocabulary
    prompt = vocabulary.encode(spec["prompt"])
    grammar = grammar_of(tables, _rules(spec, prompt, vocabulary))
    masks = Masks(tables)
    boosts = [(vocabulary.encode(text)[0], np.float32(value)) for text, value in spec["boost"]]
    state, steps, chosen = grammar.start(), [], []
    for step in range(spec["max_steps"]):
        logits = scripted_logits(spec["seed"], step, vocabulary.size)
        for token, value in boosts:
            logits[token] += value
        if str(step) in spec["script_ids"]:
            logits[spec["script_ids"][str(step)]] += np.float32(40)
        recorded = entry["steps"][step] if step < len(entry["steps"]) else {}
        row, state, token = _step(grammar, state, torch.from_numpy(logits), masks, spec, recorded, step)
        steps.append(row)
        chosen.append(token)
        if token == vocabulary.end_id:
            break
    text = vocabulary.decode(chosen)
    answer = parse(text, original=True)
    return {
        "steps": steps,
        "text": text,
        "final_state": _name(state),
        "parsed_metadata": answer.metadata,
        "parsed_codes": code_text(text),
        "parsed_lyrics": answer.lyrics,
    }


def _step(
    grammar: Grammar,
    state: State,
    logits: Tensor,
    masks: Masks,
    spec: dict[str, Any],
    recorded: dict[str, Any],
    step: int,
) -> tuple[dict[str, Any], State, int]:
    # The original notices a finished thought at its first mask; here the rules say so before there is a state.
    before = "THINK_TAG" if step == 0 else _name(state)
    masked, state = grammar.mask(state, logits, masks)
    late = state.place in (Place.CODES, Place.TEXT, Place.END)
    temperature = spec.get("codes_temperature" if late else "metadata_temperature")
    processed = masked if temperature is None else masked / (temperature if temperature > 0 else 1e-6)
    token = int(processed.argmax())
    row: dict[str, Any] = {"s": before, "a": _allowed(processed, recorded.get("a", {})), "t": token}
    if _name(state) != before:
        row["s2"] = _name(state)
    if spec.get("codes_temperature") is not None or spec.get("metadata_temperature") is not None:
        row["v"] = float(processed[token])
    return row, grammar.advance(state, token), token


def _allowed(processed: Tensor, recorded: dict[str, Any]) -> dict[str, Any]:
    """The tokens left finite, in the form in which they were recorded: listed, or the beginning of a digest."""
    ids = processed.isfinite().nonzero().flatten().tolist()
    if "h" in recorded:
        return {"n": len(ids), "h": hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]}
    return {"n": len(ids), "ids": ids}
