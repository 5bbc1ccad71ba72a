"""The loss, the learning rate, and a run that stops and goes on as if it never had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from partita.errors import ModelError, RequestError
from partita.models.score_caption import CaptionReader, Likelihoods
from partita.models.score_model import ScoreModelConfig
from partita.text.score_tokens import ScoreTokens
from partita.training.checkpoint import find_checkpoint
from partita.training.corpus import Corpus, build, captions_of
from partita.training.ema import WeightMean
from partita.training.export import export
from partita.training.listen import reading_loss, train_reader
from partita.training.log import plot_log, read_log
from partita.training.parallel import Team
from partita.training.tokens import train_tokenizer
from partita.training.train import KEPT_WEIGHT, Run, TrainSettings, draw_times, flow_loss, initialise
from partita.weights.builtin import load_builtin

TINY = ScoreModelConfig(
    vocab_size=512,
    condition_size=24,
    hidden_size=32,
    intermediate_size=48,
    layers=2,
    heads=2,
    key_value_heads=1,
    head_dim=16,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    directory = tmp_path_factory.mktemp("corpus")
    build(directory, range(12), workers=1)
    return Corpus(directory)


def new_run(out: Path, corpus: Corpus, config: ScoreModelConfig = TINY, **settings: object) -> Run:
    chosen = {"steps": 6, "batch_size": 2, "warmup_steps": 2, "number_format": "float32"} | settings
    if not (out / "tokenizer.json").exists():
        train_tokenizer(captions_of(corpus), out / "tokenizer.json", config.vocab_size)
    tokens = ScoreTokens(out / "tokenizer.json", config.max_tokens)
    run = Run(out, TrainSettings(**chosen), config, corpus, corpus, tokens, Team())  # pyright: ignore[reportArgumentType]
    initialise(run.model)
    return run


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path: Path, corpus: Corpus) -> None:
    whole = new_run(tmp_path / "whole", corpus)
    whole.train()

    first = new_run(tmp_path / "parts", corpus)
    for _ in range(3):
        first.take_step()
    first.save()
    second = new_run(tmp_path / "parts", corpus)
    second.resume()
    assert second.step == 3
    second.train()

    for name, weight in weights(whole).items():
        assert torch.equal(weight, weights(second)[name]), name
        assert torch.equal(whole.mean.weights[name], second.mean.weights[name]), name


def test_training_lowers_the_loss_on_what_it_sees(tmp_path: Path, corpus: Corpus) -> None:
    run = new_run(tmp_path, corpus, steps=40, learning_rate=4e-3, mean_decay=0.5)
    before = run.held_out_loss()
    run.train()
    assert run.held_out_loss() < 0.97 * before


def test_the_log_is_drawn(tmp_path: Path, corpus: Corpus) -> None:
    run = new_run(tmp_path, corpus, steps=1)
    run.train()
    assert {"step", "elapsed_s", "loss", "learning_rate"} <= read_log(run.log.path)[0].keys()
    plot_log(run.log.path, tmp_path / "log.png")
    assert (tmp_path / "log.png").stat().st_size > 1000


def test_asking_to_stop_saves_a_checkpoint(tmp_path: Path, corpus: Corpus) -> None:
    run = new_run(tmp_path, corpus, steps=1000)
    run.stop = True
    run.train()
    assert run.step == 1
    assert find_checkpoint(run.checkpoint) == run.checkpoint


def test_a_checkpoint_of_other_sizes_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    new_run(tmp_path, corpus).save()
    wider = ScoreModelConfig(vocab_size=512, hidden_size=48, layers=2, heads=2, key_value_heads=1, head_dim=16)
    with pytest.raises(ModelError, match="other sizes"):
        new_run(tmp_path, corpus, config=wider).resume()


def test_resuming_from_nothing_is_an_error(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(RequestError, match="no checkpoint"):
        new_run(tmp_path, corpus).resume()


def test_exported_files_load_as_the_mean_weights(tmp_path: Path, corpus: Corpus) -> None:
    run = new_run(tmp_path / "run", corpus)
    run.train()
    assert export(tmp_path / "run", tmp_path / "model") == 6
    loaded = load_builtin(tmp_path / "model")
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter, run.mean.weights[name].bfloat16().float()), name
    assert all(
        weight.dtype == torch.bfloat16 for weight in load_file(tmp_path / "model" / "model.safetensors").values()
    )


def test_given_channels_weigh_little() -> None:
    wanted, mask = torch.zeros(1, 4, 64), torch.zeros(1, 4, 64)
    mask[..., :32] = 1
    in_made, in_given = torch.zeros(1, 4, 64), torch.zeros(1, 4, 64)
    in_made[..., 0], in_given[..., 63] = 1, 1
    ratio = flow_loss(in_given, wanted, mask) / flow_loss(in_made, wanted, mask)
    assert float(ratio) == pytest.approx(KEPT_WEIGHT)
    assert float(flow_loss(torch.ones(1, 4, 64), wanted, mask)) == pytest.approx(1.0)


def test_absent_roles_have_no_program_to_learn() -> None:
    casts = torch.tensor([[4, 1, 3, -1, -1, -1, -1, -1]])
    heard = Likelihoods(torch.zeros(1, 21), torch.zeros(1, 3), torch.full((1, 6), -30.0), torch.zeros(1, 6, 16))
    for logits, place in ((heard.style, 4), (heard.energy, 1), (heard.presence, 0), (heard.programs[:, 0], 3)):
        logits[0, place] = 30.0
    assert float(reading_loss(heard, casts)) == pytest.approx(0.0, abs=1e-6)
    heard.programs[0, 1] = torch.randn(16)
    assert float(reading_loss(heard, casts)) == pytest.approx(0.0, abs=1e-6)
    heard.presence[0, 1] = 30.0
    assert float(reading_loss(heard, casts)) > 1


def test_the_reader_learns_what_captions_say(tmp_path: Path, corpus: Corpus) -> None:
    train_tokenizer(captions_of(corpus), tmp_path / "tokenizer.json", 512)
    tokens = ScoreTokens(tmp_path / "tokenizer.json", 64)
    reader = CaptionReader(512)
    train_reader(reader, tokens, corpus, seed=0, steps=40)
    prompts = [corpus.prompt(piece, np.random.default_rng(0)) for piece in range(len(corpus))]
    with torch.no_grad():
        heard = reader(*tokens(prompts))
    casts = torch.from_numpy(corpus.casts)
    assert float(((heard.presence > 0) == (casts[:, 2:] >= 0)).float().mean()) > 0.85
    assert float((heard.style.argmax(-1) == casts[:, 0]).float().mean()) > 0.7


def test_times_lie_between_music_and_noise_and_lean_to_noise() -> None:
    times = draw_times(20_000, torch.Generator().manual_seed(0))
    assert 0 < float(times.min()) < float(times.max()) < 1
    # Half are above 0.9 with a chance of 0.25, half (the larger of two logistic-normal draws) with one of 0.009.
    assert float((times > 0.9).float().mean()) == pytest.approx(0.13, abs=0.01)
    assert float((times < 0.5).float().mean()) == pytest.approx(0.5 * (0.25 + 0.655**2), abs=0.01)


def test_the_learning_rate_warms_up_holds_and_falls() -> None:
    settings = TrainSettings(minutes=10, learning_rate=1.0, warmup_steps=100, decay_share=0.3)
    assert settings.rate(0, 0) == pytest.approx(0.01)
    assert settings.rate(500, 6.9 * 60) == 1.0
    assert settings.rate(500, 8.5 * 60) == pytest.approx(0.5)
    assert settings.rate(500, 10 * 60) == 0.0


@pytest.mark.parametrize("settings", [{}, {"minutes": 1, "steps": 1}])
def test_a_run_ends_by_the_clock_or_by_steps(settings: dict) -> None:
    with pytest.raises(RequestError, match="either"):
        TrainSettings(**settings)


def test_the_mean_follows_the_weights() -> None:
    layer = torch.nn.Linear(2, 2)
    mean = WeightMean(layer, decay=0.9)
    torch.nn.init.constant_(layer.weight, 3.0)
    for _ in range(200):
        mean.update(layer)
    assert torch.allclose(mean.weights["weight"], torch.tensor(3.0))


def test_every_text_has_tokens(tmp_path: Path, corpus: Corpus) -> None:
    train_tokenizer(captions_of(corpus), tmp_path / "tokenizer.json", 512)
    tokens = ScoreTokens(tmp_path / "tokenizer.json", 16)
    ids, mask = tokens(["lo-fi", "", "日本の音楽 🎷" * 20])
    assert mask.sum(dim=1).tolist()[1:] == [1, 16]
    assert ids.shape == mask.shape
    assert (ids < tokens.vocab_size).all()
    assert torch.equal(tokens(["LO-FI"])[0], tokens(["lo-fi"])[0])
