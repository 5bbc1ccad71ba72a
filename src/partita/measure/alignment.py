"""When each line of the lyrics is sung, and how well: from the attention of the transformer to the lyric tokens.

Takes attention maps `[H, N, M]` (heads, lyric tokens, frames of 12.5 Hz) of the few heads that follow the singing, and
a function from ids to text. It knows nothing of models or of how the maps were made. Formulas: the lyric aligner and
scorer published with ACE-Step 1.5; its path is the dynamic time warping of Whisper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partita.errors import RequestError
from partita.text.subtitles import TimedLine

Head = tuple[int, int]
Decode = Callable[[Sequence[int]], str]
Matrix = NDArray[np.float32]

LYRIC_HEADS: tuple[Head, ...] = ((2, 6), (3, 10), (3, 11), (4, 3), (5, 8), (5, 9), (6, 8))
"""Layer and head, counted from 0, of the cross-attention that follows the lyrics in the published transformers."""

SUPPRESSION = 2.0  # how many medians are taken off each row and column
COVERED = 0.1  # a token is sung where its energy gets above this
HEARD = 0.01  # energy below this does not count towards a token's place in time
BACKWARDS_FRAMES = 9.0  # how far a token may lie before the one that precedes it
TINY = 1e-9


@dataclass(frozen=True)
class Consensus:
    """What the heads agree on, `[N, M]`: `calc` is what the path follows, `energy` the same before it is normalised,
    `mean` the plain mean of the heads."""

    calc: Matrix
    energy: Matrix
    mean: Matrix


@dataclass(frozen=True)
class TimedToken:
    """One token and when it is sung, in seconds."""

    token_id: int
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TimedSentence(TimedLine):
    """A line of the lyrics with its tokens; its times are rounded to milliseconds."""

    tokens: tuple[TimedToken, ...]


@dataclass(frozen=True)
class Alignment:
    """Every token and every line of the lyrics in time. `path` int32 `[K, 2]`: pairs of token and frame."""

    tokens: tuple[TimedToken, ...]
    sentences: tuple[TimedSentence, ...]
    path: NDArray[np.int32]


@dataclass(frozen=True)
class AlignmentScore:
    """How well the lyrics are sung, each number in 0..1; `score` = coverage² · monotonicity² · confidence, rounded to
    4 decimals.

    coverage: share of lyric tokens that are heard at all; monotonicity: share of neighbours that come in order;
    confidence: mean energy along the path.
    """

    score: float
    coverage: float
    monotonicity: float
    confidence: float


def align(heads: Tensor, ids: Sequence[int], decode: Decode, duration_s: float, *, original: bool = False) -> Alignment:
    """Times of the lyrics with `ids` `[N]` from the attention `[H, N, M]` of the heads over a song of `duration_s`.

    Raises `RequestError` without lyric tokens, or where the maps do not fit them.
    """
    _check_maps(heads, len(ids))
    if not duration_s > 0:
        raise RequestError(f"The song lasts {duration_s} s; give its length, above 0.", field="duration_s")
    path = warp(-consensus(heads, original=original).calc.astype(np.float64))
    tokens = token_times(path, ids, incremental_texts(ids, decode), duration_s, heads.shape[-1])
    return Alignment(tokens, sentence_times(tokens, decode), path)


def score(heads: Tensor, ids: Sequence[int], decode: Decode) -> AlignmentScore:
    """How well the lyrics with `ids` `[N]` can be followed in the attention `[H, N, M]` of the heads.

    Raises `RequestError` without lyric tokens, or where the maps do not fit them.
    """
    _check_maps(heads, len(ids))
    energy = energy_of(heads)
    return alignment_score(energy, warp(-sharpened(energy)), is_lyric(ids, decode))


def stack_heads(maps: Mapping[Head, Tensor], first: int, end: int, heads: Sequence[Head] = LYRIC_HEADS) -> Tensor:
    """Maps `[M, L]` by layer and head, as a transformer gives them -> float32 `[H, N, M]` on the CPU for the positions
    `first..end` of the condition. Heads that are not in `maps` are left out.

    Raises `RequestError` if none is, or if the condition ends before `first`.
    """
    found = [maps[head] for head in heads if head in maps]
    if not found:
        raise RequestError(f"None of the heads {list(heads)} is among the {len(maps)} that were recorded.")
    length = found[0].shape[-1]
    if first >= min(end, length):
        raise RequestError(
            f"The lyrics should be at positions {first} to {end} of a condition of {length}, which holds none of them; "
            "give lyrics, and the language that the song was made with.",
            field="lyrics",
        )
    return torch.stack([one[:, first:end].T for one in found]).cpu().float()


def lyric_span(ids: Sequence[int], header_tokens: int, end_id: int) -> tuple[int, int]:
    """Where the lyrics are among the ids of a lyric prompt: after its header, up to the first end token.

    Raises `RequestError` where there is nothing between the two.
    """
    end = next((place for place, token in enumerate(ids) if token == end_id), len(ids))
    if end <= header_tokens:
        raise RequestError(
            f"There are no lyric tokens: the prompt of {end} tokens ends with its header of {header_tokens}. Only "
            "songs with lyrics can be aligned.",
            field="lyrics",
        )
    return header_tokens, end


def consensus(heads: Tensor, *, suppression: float = SUPPRESSION, width: int = 1, original: bool = False) -> Consensus:
    """Where tokens and frames choose each other, from maps `[H, N, M]`.

    Each head: softmax over frames times softmax over tokens; `suppression` medians off each row, then each column,
    nothing below 0; squared. Then all heads together to mean 0 and deviation 1, a median filter of `width` frames, and
    their mean. `original` loses a dimension with a single head, as the published program does: `calc` is then `[M]`.
    """
    maps = heads.detach().cpu().float()
    sharp = torch.stack([_agreement(one, suppression) for one in maps])
    deviation, mean = torch.std_mean(sharp, unbiased=False)
    calc = torch.zeros(maps.shape[1:])
    for one in sharp:
        calc += median_filter((one - mean) / (deviation + TINY), width, original=original)
    calc /= len(sharp)
    if original and len(sharp) == 1 and maps.shape[-1] > width // 2:
        calc = calc.mean(dim=0)
    return Consensus(calc.numpy(), sharp.mean(dim=0).numpy(), maps.mean(dim=0).numpy())


def _agreement(one: Tensor, suppression: float) -> Tensor:
    both = one.softmax(dim=-1) * one.softmax(dim=-2)
    both = (both - suppression * _median(both, dim=-1)).relu_()
    both = (both - suppression * _median(both, dim=-2)).relu_()
    return both.square_()


def _median(x: Tensor, dim: int) -> Tensor:
    """The median along `dim`, kept as 1; of an even count the mean of the middle two. torch.quantile gives
    the same, and takes four times as long."""
    count = x.shape[dim]
    middle = count // 2
    parts = np.partition(x.numpy(), (max(middle - 1, 0), middle), axis=dim)
    upper = torch.from_numpy(parts.take([middle], axis=dim))
    if count % 2:
        return upper
    return torch.lerp(torch.from_numpy(parts.take([middle - 1], axis=dim)), upper, 0.5)


def median_filter(x: Tensor, width: int, *, original: bool = False) -> Tensor:
    """The median of `width` frames around each, along the last dimension, mirrored at both ends. What is no longer
    than half the width stays as it is.

    Raises `RequestError` for an even width, which has no middle; `original` lets it pass and gives a frame more.
    """
    if width < 1 or (width % 2 == 0 and not original):
        raise RequestError(f"A median filter of width {width} has no middle frame; use an odd width.", field="width")
    half = width // 2
    if width == 1 or x.shape[-1] <= half:
        return x
    flat = x.reshape(1, -1, x.shape[-1])
    padded = torch.nn.functional.pad(flat, (half, half), mode="reflect")
    middle = padded.unfold(-1, width, 1).sort(dim=-1).values[..., half]
    return middle.reshape(*x.shape[:-1], -1)


def warp(cost: NDArray[np.floating]) -> NDArray[np.int32]:
    """The cheapest way through `cost` `[N, M]` from corner to corner: int32 `[K, 2]`, in order.

    Costs add up in float32. A step comes from the diagonal or from the previous token only where that is strictly the
    cheapest of the three, else from the previous frame.

    Raises `RequestError` for a matrix that is empty, not flat, or not finite.
    """
    if cost.ndim != 2 or 0 in cost.shape or not np.isfinite(cost).all():
        raise RequestError(f"A path needs a matrix of finite costs, tokens by frames; this one is {cost.shape}.")
    tokens, frames = cost.shape
    steps = tokens + frames - 1
    # Row i moves right by i, so that column k holds all cells with i + j = k: these depend on the two columns before
    # alone, and are done at once.
    skewed = np.full((tokens, frames + tokens), np.inf, dtype=cost.dtype)
    skewed[:, :frames] = cost
    waves = np.ascontiguousarray(skewed.reshape(-1)[: tokens * steps].reshape(tokens, steps).T)
    came_from = np.empty((steps, tokens), dtype=np.int8)
    before = np.full(tokens + 1, np.inf, dtype=np.float32)  # [i + 1] of the wave before; [0] is the border
    older = before.copy()
    older[0] = 0.0  # the origin
    for k in range(steps):
        diagonal, token, frame = older[:-1], before[:-1], before[1:]
        is_diagonal = (diagonal < token) & (diagonal < frame)
        is_token = (token < diagonal) & (token < frame)
        came_from[k] = is_diagonal + 2 * is_token
        best = np.where(is_diagonal, diagonal, np.where(is_token, token, frame))
        older, before = before, np.concatenate(([np.float32(np.inf)], (waves[k] + best).astype(np.float32)))
    return _traced(came_from, tokens, frames)


def _traced(came_from: NDArray[np.int8], tokens: int, frames: int) -> NDArray[np.int32]:
    i, j = tokens - 1, frames - 1
    path = []
    while i >= 0 and j >= 0:
        path.append((i, j))
        step = came_from[i + j, i]
        i -= int(step != 0)
        j -= int(step != 2)
    return np.array(path[::-1], dtype=np.int32)


def token_times(
    path: NDArray[np.int32], ids: Sequence[int], texts: Sequence[str], duration_s: float, frames: int
) -> tuple[TimedToken, ...]:
    """From its first to its last frame on the path, for each token; one without a frame stands where the one before
    ends. A frame lasts `duration_s / frames`."""
    frame_s = duration_s / frames
    rows, columns = path[:, 0], path[:, 1]
    timed: list[TimedToken] = []
    for index, (token, text) in enumerate(zip(ids, texts, strict=True)):
        # Rows never go down along a path, so a token's frames lie together.
        first, end = np.searchsorted(rows, (index, index + 1))
        if first == end:
            start_s = end_s = timed[-1].end_s if timed else 0.0
        else:
            start_s, end_s = float(columns[first] * frame_s), float(columns[end - 1] * frame_s)
        timed.append(TimedToken(int(token), text, start_s, end_s))
    return tuple(timed)


def sentence_times(tokens: Sequence[TimedToken], decode: Decode) -> tuple[TimedSentence, ...]:
    """Tokens by line: a line ends with the token that holds its line break. Blank lines are left out."""
    lines: list[list[TimedToken]] = [[]]
    for token in tokens:
        lines[-1].append(token)
        if "\n" in token.text:
            lines.append([])
    texts = [decode([token.token_id for token in line]).strip() for line in lines]
    return tuple(
        TimedSentence(text, round(line[0].start_s, 3), round(line[-1].end_s, 3), tuple(line))
        for line, text in zip(lines, texts, strict=True)
        if text
    )


def incremental_texts(ids: Sequence[int], decode: Decode) -> tuple[str, ...]:
    """What each token adds to the UTF-8 of the text so far. A character of several tokens shows as `�` at the first
    and as nothing after it; the text of a line is decoded whole, and has it right."""
    return tuple(_added_texts(ids, decode))


def _added_texts(ids: Sequence[int], decode: Decode) -> Iterator[str]:
    first, known = 0, b""
    for place in range(len(ids)):
        text = decode(ids[first : place + 1])
        data = text.encode("utf-8", "surrogatepass")
        try:
            yield data[len(known) :].decode("utf-8")
        except UnicodeDecodeError:
            yield ""
        known = data
        if not text.endswith("�"):
            # Between whole characters a byte-level tokenizer starts afresh: no need to decode the whole text again.
            first, known = place + 1, b""


def is_lyric(ids: Sequence[int], decode: Decode) -> NDArray[np.int32]:
    """int32 `[N]`: 1 for tokens that are sung, 0 for those of tags: from one with `[` through the next with `]`."""
    mask = np.ones(len(ids), dtype=np.int32)
    inside = False
    for place, token in enumerate(ids):
        text = decode([token])
        inside = inside or "[" in text
        if inside or "]" in text:
            mask[place] = 0
        inside = inside and "]" not in text
    return mask


def energy_of(heads: Tensor, *, width: int = 1, original: bool = False) -> Matrix:
    """The mean of the heads `[H, N, M]`, median filtered, from 0 at its lowest to 1 at its highest: `[N, M]`. All zeros
    where it does not vary."""
    mean = median_filter(heads.detach().cpu().float().mean(dim=0), width, original=original).numpy()
    low, high = mean.min(), mean.max()
    return (mean - low) / (high - low) if high - low > TINY else np.zeros_like(mean)


def sharpened(energy: Matrix) -> Matrix:
    """The energies squared, as the path of the score follows them."""
    return energy**2


def alignment_score(energy: Matrix, path: NDArray[np.int32], lyric: NDArray[np.int32]) -> AlignmentScore:
    """The score from energies `[N, M]`, the path through them `[K, 2]` and the mask of lyric tokens `[N]`.

    Without lyric tokens coverage is 1, and with fewer than two that are heard so is monotonicity.
    """
    exact = energy.astype(np.float64)
    sung = exact[lyric == 1]
    coverage = float((sung.max(axis=1) > COVERED).mean()) if len(sung) else 1.0
    heard = np.where(sung > HEARD, sung, 0.0)
    total = heard.sum(axis=1)
    heard, total = heard[total > TINY], total[total > TINY]
    places = heard @ np.arange(energy.shape[1], dtype=np.float64) / total
    monotonicity = float((places[1:] >= places[:-1] - BACKWARDS_FRAMES).mean()) if len(places) > 1 else 1.0
    confidence = float(exact[path[:, 0], path[:, 1]].mean())
    value = round(min(max(coverage**2 * monotonicity**2 * confidence, 0.0), 1.0), 4)
    return AlignmentScore(value, coverage, monotonicity, confidence)


def _check_maps(heads: Tensor, tokens: int) -> None:
    if tokens == 0:
        raise RequestError("There are no lyric tokens; only songs with lyrics can be aligned.", field="lyrics")
    if heads.dim() != 3 or 0 in heads.shape or heads.shape[1] != tokens:
        raise RequestError(
            f"Attention of heads, {tokens} tokens and frames was expected, and {tuple(heads.shape)} seen; give the "
            "maps of these lyrics.",
            field="lyrics",
        )
