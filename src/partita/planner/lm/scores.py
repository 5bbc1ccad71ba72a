"""How well audio codes fit the caption, lyrics and metadata that they were made for, as a language model judges it.

Pure functions of logits and target ids; the model comes in as a function that is handed a target text. Metadata is
scored by where the true tokens rank, caption and lyrics by how much the codes raise their probability (pointwise
mutual information). Formulas and target texts: the scoring published with ACE-Step 1.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import yaml
from torch import Tensor

from partita.errors import RequestError

RECALL_K = 10
PMI_SCALE = 0.1
RECALL_FIELDS = ("bpm", "duration", "genres", "keyscale", "language", "timesignature")
WEIGHTS: Mapping[str, float] = {"caption": 0.5, "lyrics": 0.3, "metadata": 0.2}
ROWS_AT_ONCE = 64  # a row of logits has the width of the vocabulary: 0.87 MB for the published planners

Forced = Callable[[str], tuple[Tensor, Tensor]]
"""Target text -> (logits `[K, V]` that predict its K tokens after some prompt, ids int64 `[K]` of the tokens)."""


@dataclass(frozen=True)
class Recall:
    """`score`: mean over the target's tokens of 1 at rank 1, falling by 1/k a rank, 0 below rank k. `hits[n - 1]`:
    share of tokens within the first n."""

    score: float
    hits: tuple[float, ...]


@dataclass(frozen=True)
class Target:
    """A text that the model is asked to predict from the codes, and how it is judged."""

    name: str
    text: str
    judged_by: Literal["recall", "pmi"]


@dataclass(frozen=True)
class Part:
    """What caption, lyrics or metadata give to the total: `weight` is its share among those that there are."""

    name: str
    score: float
    weight: float

    @property
    def contribution(self) -> float:
        return self.score * self.weight


@dataclass(frozen=True)
class Total:
    """The weighted mean in 0..1 and its parts, the heaviest first."""

    score: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class ConditionScores:
    """A score in 0..1 for each field of metadata, for `caption` and for `lyrics`, and the total of them."""

    fields: Mapping[str, float]
    total: Total


def after_prompt(logits: Tensor, ids: Tensor, prompt_tokens: int) -> tuple[Tensor, Tensor]:
    """Logits `[S, V]` and ids `[S]` of prompt and target together -> the rows that predict the target, and its ids.

    Raises `RequestError` for an empty prompt: nothing then predicts the first token.
    """
    if prompt_tokens < 1:
        raise RequestError("A target is scored after a prompt of at least one token; this prompt has none.")
    return logits[prompt_tokens - 1 : len(ids) - 1], ids[prompt_tokens:]


def top_k_recall(logits: Tensor, targets: Tensor, k: int = RECALL_K) -> Recall:
    """Where the tokens `targets` `[K]` rank in the logits `[K, V]`; of equal logits the lower id ranks first.

    Raises `RequestError` for k below 1 or where rows and targets differ in number.
    """
    _check(logits, targets)
    if k < 1:
        raise RequestError(f"Recall counts the first k places, and k is {k}; give 1 or more.", field="k", value=k)
    if len(targets) == 0:
        return Recall(0.0, ())
    ranks: list[int] = []
    for rows, ids in zip(logits.split(ROWS_AT_ONCE), targets.split(ROWS_AT_ONCE), strict=True):
        true = rows.gather(1, ids[:, None])
        lower = torch.arange(rows.shape[1], device=rows.device) < ids[:, None]
        ranks += (1 + ((rows > true) | ((rows == true) & lower)).sum(dim=1)).tolist()
    hits = tuple(sum(rank <= n for rank in ranks) / len(ranks) for n in range(1, k + 1))
    return Recall(sum(1.0 - (rank - 1) / k for rank in ranks if rank <= k) / len(ranks), hits)


def mean_log_probability(logits: Tensor, targets: Tensor) -> float:
    """Mean natural logarithm of the probability of `targets` `[K]` under logits `[K, V]`; -inf without targets.

    Raises `RequestError` where rows and targets differ in number.
    """
    _check(logits, targets)
    if len(targets) == 0:
        return -math.inf
    each = [
        rows.float().gather(1, ids[:, None]).squeeze(1) - rows.float().logsumexp(dim=1)
        for rows, ids in zip(logits.split(ROWS_AT_ONCE), targets.split(ROWS_AT_ONCE), strict=True)
    ]
    return torch.cat(each).mean().item()


def information_score(information: float, scale: float = PMI_SCALE, *, original: bool = False) -> float:
    """Pointwise mutual information (the mean log-probability given the codes, less that without them) to 0..1, by a
    sigmoid of information / scale; 0.5 where the codes tell nothing.

    `original` refuses what is below about -709 scales, where the published formula overflows. Raises `RequestError`
    there, for a scale that is not above 0, and for NaN.
    """
    if not scale > 0 or math.isnan(information):
        raise RequestError(
            f"Information {information} at scale {scale} has no score; give a number, and a scale above 0.",
            field="scale",
            value=scale,
        )
    x = information / scale
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    if original:
        try:
            return 1.0 / (1.0 + math.exp(-x))
        except OverflowError as error:
            raise RequestError(
                f"The original formula overflows at information {information} and scale {scale}; use a larger scale.",
                field="scale",
                value=scale,
            ) from error
    small = math.exp(x)
    return small / (1.0 + small)


def total_score(scores: Mapping[str, float], weights: Mapping[str, float] | None = None) -> Total:
    """The mean of caption, lyrics and metadata (itself the plain mean of all other fields), weighted by `WEIGHTS` or
    by `weights`, shared out among those that are there.

    Raises `RequestError` where nothing was scored, or all that was has weight 0.
    """
    given = {**WEIGHTS, **(weights or {})}
    found = {name: scores[name] for name in ("caption", "lyrics") if name in scores}
    metadata = [score for name, score in scores.items() if name not in ("caption", "lyrics")]
    if metadata:
        found["metadata"] = sum(metadata) / len(metadata)
    whole = sum(given[name] for name in found)
    if not whole > 0:
        raise RequestError(
            f"There is nothing to weigh: scored were {sorted(found) or 'no fields'}; give a caption, lyrics or "
            "metadata with a weight above 0."
        )
    order = sorted(found, key=lambda name: given[name], reverse=True)
    parts = tuple(Part(name, found[name], given[name] / whole) for name in order)
    return Total(sum(part.contribution for part in parts), parts)


def merged_metadata(planned: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is scored: the planner's own metadata, and from the request what it lacks. Durations in whole seconds; what
    is None or blank is left out."""
    merged = {name: value for name, value in (planned or {}).items() if _given(value)}
    for name in ("bpm", "caption", "duration", "keyscale", "language", "timesignature"):
        if name not in merged and _given(asked.get(name)):
            merged[name] = int(float(asked[name])) if name == "duration" else asked[name]
    return merged


def targets_of(
    caption: str, lyrics: str, metadata: Mapping[str, Any] | None, *, original: bool = False
) -> tuple[Target, ...]:
    """The texts to predict: one for each field of metadata that has a value, then caption, then lyrics.

    The metadata's own caption comes before `caption`. An empty one is left out, save with `original`: the published
    program scores the text `caption: ''`.
    """
    values = dict(metadata or {})
    values.setdefault("caption", caption)
    found = [
        Target(name, _reasoning(name, values[name]), "recall") for name in RECALL_FIELDS if values.get(name) is not None
    ]
    spoken = values["caption"]
    if spoken is not None and (original or _given(spoken)):
        found.append(Target("caption", _reasoning("caption", spoken), "pmi"))
    if lyrics if original else lyrics.strip():
        found.append(Target("lyrics", f"<think>\n</think>\n# Lyric\n{lyrics}\n", "pmi"))
    return tuple(found)


def score_conditions(
    caption: str,
    lyrics: str,
    metadata: Mapping[str, Any] | None,
    given_codes: Forced,
    given_nothing: Forced,
    *,
    k: int = RECALL_K,
    scale: float = PMI_SCALE,
    weights: Mapping[str, float] | None = None,
    original: bool = False,
) -> ConditionScores:
    """Score every condition by a model that is forced to say it: `given_codes` after the prompt that shows it the audio
    codes, `given_nothing` after the same prompt without them.

    Raises `RequestError` where there is no condition to score.
    """
    fields: dict[str, float] = {}
    for target in targets_of(caption, lyrics, metadata, original=original):
        if target.judged_by == "recall":
            fields[target.name] = top_k_recall(*given_codes(target.text), k=k).score
        else:
            information = mean_log_probability(*given_codes(target.text)) - mean_log_probability(
                *given_nothing(target.text)
            )
            fields[target.name] = information_score(information, scale, original=original)
    return ConditionScores(fields, total_score(fields, weights))


def _reasoning(field: str, value: Any) -> str:
    block = yaml.safe_dump({field: value}, allow_unicode=True, sort_keys=True).strip()
    return f"<think>\n{block}\n</think>\n"


def _given(value: Any) -> bool:
    return value is not None and str(value).strip() != ""


def _check(logits: Tensor, targets: Tensor) -> None:
    if logits.dim() != 2 or targets.dim() != 1 or len(logits) != len(targets):
        raise RequestError(
            f"Logits of one row a target were expected; there are {tuple(logits.shape)} logits for "
            f"{tuple(targets.shape)} targets."
        )
