"""Lyrics of a finished song in time, on a tiny transformer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from partita.errors import RequestError
from partita.models.acestep15.dit import DiT
from partita.render.acestep15.alignment import FinishedSong, align_lyrics, attention_maps, score_lyrics
from partita.sampling.noise import parity_noise
from partita.text.prompts import lyric_prompt
from partita.text.tokenizers import TextTokenizer
from tests.models.acestep15.small import draw, small_config
from tests.text.test_tokenizers import write_tokenizer

HEADS = ((0, 1), (1, 0), (2, 3), (3, 40), (9, 0))
LYRICS = "[verse]\nthe sea\nthe sun\n"
FRAMES = 51


@pytest.fixture
def dit() -> DiT:
    torch.manual_seed(0)
    return DiT(small_config()).eval()


@pytest.fixture
def tokenizer(tmp_path: Path) -> TextTokenizer:
    return TextTokenizer.load(write_tokenizer(tmp_path / "words", appends=False))


@pytest.fixture
def song(tokenizer: TextTokenizer) -> FinishedSong:
    return made_of(tokenizer, LYRICS)


def made_of(tokenizer: TextTokenizer, lyrics: str, language: str = "en") -> FinishedSong:
    ids = [*tokenizer.encode(lyric_prompt(lyrics, language), 2048), tokenizer.end_id]
    return FinishedSong(
        latents=draw(FRAMES, 8, seed=1),
        condition=draw(len(ids) + 9, 32, seed=2),
        context=draw(FRAMES, 16, seed=3),
        lyric_ids=ids,
        language=language,
        steps=8,
    )


def test_maps_are_those_of_the_song_noised_to_its_last_step(dit: DiT):
    latents, condition, context = draw(2, FRAMES, 8, seed=1), draw(2, 12, 32, seed=2), draw(2, FRAMES, 16, seed=3)
    maps = attention_maps(dit, latents, condition, context, [0.125, 1.0], heads=HEADS)
    noise = parity_noise(42, (FRAMES, 8))
    x = torch.cat((0.125 * noise + 0.875 * latents[:1], noise))
    with torch.no_grad():
        _, expected = dit(x, torch.tensor([0.125, 1.0]), None, condition, context, capture=HEADS[:3])
    assert list(maps) == list(HEADS[:3])
    for head, one in maps.items():
        assert one.shape == (2, 26, 12)
        torch.testing.assert_close(one, expected[head])


def test_only_the_layers_that_are_looked_at_run(dit: DiT):
    ran: list[int] = []
    for index, layer in enumerate(dit.layers):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    attention_maps(dit, draw(1, 6, 8), draw(1, 4, 32), draw(1, 6, 16), [0.5], heads=[(1, 2), (0, 0)])
    assert ran == [0, 1]


def test_every_line_of_a_song_has_its_times(dit: DiT, tokenizer: TextTokenizer, song: FinishedSong):
    made = align_lyrics(dit, song, tokenizer, heads=HEADS)
    assert [line.text for line in made.sentences] == ["[verse]", "the sea", "the sun"]
    assert "".join(token.text for token in made.tokens) == LYRICS
    starts = [token.start_s for token in made.tokens]
    assert starts == sorted(starts)
    assert made.tokens[-1].end_s == pytest.approx(FRAMES / 25 * 25 / 26)  # start of the last of 26 frames


def test_times_stretch_with_the_length_that_is_given(dit: DiT, tokenizer: TextTokenizer, song: FinishedSong):
    plain, longer = (align_lyrics(dit, song, tokenizer, heads=HEADS, duration_s=d) for d in (2.0, 4.0))
    assert [2 * token.start_s for token in plain.tokens] == pytest.approx([token.start_s for token in longer.tokens])


def test_a_song_that_pays_attention_line_by_line_is_timed_by_it(
    dit: DiT, tokenizer: TextTokenizer, song: FinishedSong, monkeypatch: pytest.MonkeyPatch
):
    """Attention is put in place by hand: each token of the lyrics at its own two frames."""
    first = len(tokenizer.encode(lyric_prompt("", "en"), 99)) - 2  # the prompt's own end token, and the appended one
    count = len(song.lyric_ids) - first - 3
    placed = torch.zeros(1, 2 * count, song.condition.shape[0])
    for token in range(count):
        placed[0, 2 * token : 2 * token + 2, first + token] = 1.0
    monkeypatch.setattr(DiT, "attention_maps", lambda *_: dict.fromkeys(HEADS[:2], placed))
    made = align_lyrics(dit, song, tokenizer, heads=HEADS, duration_s=float(count))
    assert [token.start_s for token in made.tokens] == pytest.approx(list(range(count)))


def test_scores_are_of_noise_and_of_the_song(dit: DiT, tokenizer: TextTokenizer, song: FinishedSong):
    both = score_lyrics(dit, song, tokenizer, heads=HEADS)
    other = score_lyrics(dit, replace(song, latents=song.latents * 3), tokenizer, heads=HEADS)
    assert both.conditions == other.conditions
    assert both.song.confidence != other.song.confidence
    assert all(0.0 <= one.score <= 1.0 for one in (both.conditions, both.song))


def test_a_finished_song_in_bfloat16_is_aligned_too(dit: DiT, tokenizer: TextTokenizer, song: FinishedSong):
    assert align_lyrics(dit.bfloat16(), song, tokenizer, heads=HEADS).sentences


@pytest.mark.parametrize("lyrics", ["", "\n", "[Instrumental]"])
def test_a_song_without_lyrics_is_refused(dit: DiT, tokenizer: TextTokenizer, lyrics: str):
    song = made_of(tokenizer, lyrics)
    for ask in (align_lyrics, score_lyrics):
        with pytest.raises(RequestError, match="nly songs with lyrics"):
            ask(dit, song, tokenizer, heads=HEADS)


@pytest.mark.parametrize("steps", [0, -3])
def test_a_song_of_no_steps_is_refused(dit: DiT, tokenizer: TextTokenizer, song: FinishedSong, steps: int):
    for ask in (align_lyrics, score_lyrics):
        with pytest.raises(RequestError, match="at least 1"):
            ask(dit, replace(song, steps=steps), tokenizer, heads=HEADS)


def test_a_transformer_without_the_heads_is_refused(dit: DiT, tokenizer: TextTokenizer, song: FinishedSong):
    with pytest.raises(RequestError, match="none of the heads"):
        align_lyrics(dit, song, tokenizer, heads=[(9, 0)])
    with pytest.raises(RequestError, match="one time for each"):
        attention_maps(dit, draw(2, 6, 8), draw(2, 4, 32), draw(2, 6, 16), [0.5])
