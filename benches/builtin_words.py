"""How well the built-in model follows the words of captions, by language. `python benches/builtin_words.py`

Captions of the bench's own pieces, in wordings that training never uses. Reader: how often its likeliest style, energy,
presence of each part and instrument of each part that plays are the piece's own, many of which the caption does not
name. Casts, drawn as songs draw them: how often what a caption rules out is silent, what it names plays with a program
that the name allows, and the lead that it names is the lead. No song is made.

Exits 1 where a cast of some language misses a bar. `--weights` judges another directory of model files.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from partita.models.score_caption import Likelihoods
from partita.render.builtin.casting import draw_cast
from partita.score.types import ROLES
from partita.text.orchestration import named_parts
from partita.training.composer import describe, sample_spec
from partita.training.composer.captions import LANGUAGES
from partita.training.corpus import BENCH_SEEDS
from partita.training.listen import cast_of, prompt_of
from partita.weights.builtin import BUILTIN_DIRECTORY, load_builtin

PIECES = 400
FIRST_PIECE = 10_000  # beyond those of the bench of songs
BARS = {"silent": 0.98, "drums told": 0.98, "named": 0.95, "lead told": 0.90}


def measure(directory: Path, language: str, pieces: int, *, held_out: bool, rules: bool) -> dict[str, float]:
    """Shares by name; `rules` off shows what casts would be without the rules for explicit words."""
    parts = load_builtin(directory)
    right: dict[str, list[float]] = defaultdict(list)
    for seed in BENCH_SEEDS[FIRST_PIECE : FIRST_PIECE + pieces]:
        spec = sample_spec(seed, 20.0)
        said = describe(spec, seed, language, held_out=held_out)  # pyright: ignore[reportArgumentType]
        with torch.no_grad():
            heard = parts.model.reader(*parts.tokens([prompt_of(spec, said.text)]))
        _weigh_reader(heard, cast_of(spec).numbers(), right)
        cast, _ = draw_cast(heard, seed, *((named_parts(said.text),) if rules else ()))
        named = {player.role: player for player in said.players}
        right["silent"] += [role not in cast.programs for role in said.missing]
        if "drums" in said.missing or "drums" in named:
            right["drums told"].append(("drums" in cast.programs) == ("drums" in named))
        right["named"] += [cast.programs.get(role) in player.programs for role, player in named.items()]
        if "lead" in named and named["lead"].said:
            right["lead told"].append(cast.programs.get("lead") in named["lead"].programs)
        if said.only:
            right["only"].append(len(cast.programs) <= len(named))
    return {name: float(np.mean(values)) for name, values in right.items()}


def _weigh_reader(heard: Likelihoods, wanted: tuple[int, ...], right: dict[str, list[float]]) -> None:
    style, energy, *programs = wanted
    right["style"].append(int(heard.style[0].argmax()) == style)
    right["energy"].append(int(heard.energy[0].argmax()) == energy)
    for index, role in enumerate(ROLES):
        right[f"{role}?"].append(bool(heard.presence[0, index] > 0) == (programs[index] >= 0))
        if programs[index] >= 0:
            right[role].append(int(heard.programs[0, index].argmax()) == programs[index])


def main() -> int:
    parser = argparse.ArgumentParser(description="Weigh how the built-in model follows the words of captions.")
    parser.add_argument("--weights", type=Path, default=BUILTIN_DIRECTORY, help="directory of the model's files")
    parser.add_argument("--pieces", type=int, default=PIECES, help="captions a language")
    parser.add_argument("--trained-wordings", action="store_true", help="captions in the wordings of training")
    parser.add_argument("--without-rules", action="store_true", help="casts by likelihood alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        language: measure(
            given.weights, language, given.pieces, held_out=not given.trained_wordings, rules=not given.without_rules
        )
        for language in LANGUAGES
    }
    rows = [
        "style",
        "energy",
        *(f"{role}?" for role in ROLES),
        *ROLES,
        "silent",
        "drums told",
        "named",
        "lead told",
        "only",
    ]
    print(f"{'':10}{'bar':>6}" + "".join(f"{language:>8}" for language in found))
    for name in rows:
        cells = [one.get(name, float("nan")) for one in found.values()]
        bar = f"{BARS[name]:.2f}" if name in BARS else ""
        print(f"{name:10}{bar:>6}" + "".join(f"{cell:8.3f}" for cell in cells))
    missed = [(language, name) for language, one in found.items() for name, bar in BARS.items() if one[name] < bar]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
