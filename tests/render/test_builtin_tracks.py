"""Tracks of the built-in model's own songs: taken out, added, written anew; the others stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from partita.errors import RequestError
from partita.models.score_caption import Likelihoods
from partita.models.score_model import ScoreModel
from partita.render.builtin.tracks import PLAYED, added, extracted, missing, roles_of, track_of
from partita.render.builtin.voices import without
from partita.score.codec import decode
from partita.score.instruments import programs_for
from partita.score.sampler import play, stems
from partita.score.styles import Cast
from partita.score.types import ROLES, Grid, Note, Role, Score
from partita.song.task import Complete, Extract, Lego
from partita.text.orchestration import named_parts
from partita.training.tokens import train_tokenizer
from partita.weights.builtin import save_builtin
from tests.render.test_builtin import TINY, OneModel
from tests.render.test_builtin_edits import Rendered, make

BAND = Cast("pop", "medium", {"drums": 0, "bass": 33, "chords": 0, "lead": 73})
EVEN = Likelihoods(torch.zeros(1, 21), torch.zeros(1, 3), torch.zeros(1, 6), torch.zeros(1, 6, 16))
SILENT = named_parts("")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> OneModel:
    directory: Path = tmp_path_factory.mktemp("model")
    train_tokenizer(["slow piano", "fast drums"], directory / "made.json", TINY.vocab_size)
    torch.manual_seed(3)
    save_builtin(directory, ScoreModel(TINY), directory / "made.json", {})
    return OneModel(directory)


@pytest.fixture(scope="module")
def song(parts: OneModel) -> Rendered:
    return make(parts, seed=4, duration_s=24.02, bpm=110, key="A minor", caption="piano, bass, drums and flute only")


def notes_of(score: Score) -> dict[Role, tuple[Note, ...]]:
    return {track.role: track.notes for track in score.tracks}


def programs_of(rendered: Rendered) -> dict[Role, int]:
    assert rendered.ready.cast is not None
    return Cast.of_numbers(rendered.ready.cast).programs


def test_a_track_is_the_family_of_its_instrument() -> None:
    named = {("lead", 73): "woodwinds", ("lead", 56): "brass", ("pad", 48): "strings", ("arp", 46): "strings",
             ("arp", 108): "percussion", ("chords", 16): "keyboard", ("bass", 42): "bass", ("lead", 42): "strings",
             ("drums", 40): "drums", ("chords", 27): "guitar", ("pad", 89): "synth"}  # fmt: skip
    for (role, program), track in named.items():
        assert track_of(role, program) == track
    assert all(track_of(role, program) in PLAYED for role in ROLES for program in programs_for(role))


def test_what_no_role_plays_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"no vocals; its tracks are .*drums"):
        extracted("vocals", BAND)
    with pytest.raises(RequestError, match=r"no strings to take out: its tracks are drums \(standard kit\)"):
        extracted("strings", BAND)
    with pytest.raises(RequestError, match="plays no fx"):
        added(["fx"], BAND, EVEN, SILENT, 1, "task.track")


def test_who_is_added_is_of_the_track_and_nobody_s_place_is_taken() -> None:
    duo = Cast("pop", "medium", {"drums": 0, "pad": 48})
    for track in PLAYED:
        for seed in range(8):
            cast, roles = added([track], duo, EVEN, SILENT, seed, "task.track")
            assert roles
            assert {track_of(role, cast.programs[role]) for role in roles} == {track}
            others = {role: program for role, program in duo.programs.items() if role not in roles}
            assert {role: cast.programs[role] for role in others} == others
    assert added(["strings"], BAND, EVEN, SILENT, 3, "") == added(["strings"], BAND, EVEN, SILENT, 3, "")
    assert len({added(["synth"], BAND, EVEN, SILENT, seed, "")[0].numbers() for seed in range(20)}) > 2


def test_a_track_that_is_there_keeps_its_player_unless_another_is_named() -> None:
    cast, roles = added(["woodwinds"], BAND, EVEN, SILENT, 1, "task.track")
    assert (cast, roles) == (BAND, {"lead"})
    cast, _ = added(["woodwinds"], BAND, EVEN, named_parts("a saxophone solo"), 1, "task.track")
    assert cast.programs["lead"] == 66
    cast, roles = added(["strings"], BAND, EVEN, named_parts("with a harp"), 1, "task.track")
    assert (roles, cast.programs["arp"]) == ({"arp"}, 46)


def test_where_every_place_is_taken_what_can_be_added_is_named() -> None:
    full = Cast("pop", "medium", {"drums": 0, "bass": 33, "chords": 0, "pad": 89, "arp": 46, "lead": 73})
    with pytest.raises(RequestError, match="Nobody is left to play brass"):
        added(["brass"], full, EVEN, SILENT, 1, "task.track")
    with pytest.raises(RequestError, match="Every part of the source is played"):
        missing(full, full, EVEN)
    free = Cast("pop", "medium", {role: program for role, program in full.programs.items() if role != "pad"})
    with pytest.raises(RequestError, match="These can be added: synth"):
        added(["brass"], free, EVEN, SILENT, 1, "task.track")


@pytest.mark.parametrize("track", ["drums", "bass", "keyboard", "woodwinds"])
def test_an_extracted_track_is_its_own_notes_at_the_mix_s_level(parts: OneModel, song: Rendered, track: str) -> None:
    if not roles_of(track, programs_of(song)):  # type: ignore[arg-type]
        pytest.skip("who plays is drawn")
    alone = make(parts, Extract(source="a", track=track), song.source())  # type: ignore[arg-type]
    roles = roles_of(track, programs_of(song))  # type: ignore[arg-type]
    assert notes_of(alone.score) == {role: notes for role, notes in notes_of(song.score).items() if role in roles}
    assert set(programs_of(alone)) == roles
    style = Cast.of_numbers(song.ready.cast).style  # type: ignore[arg-type]
    np.testing.assert_array_equal(alone.audio, play(song.score, roles=roles, style=style))
    assert alone.latents.shape == song.latents.shape


def test_extracted_tracks_sum_to_the_song(parts: OneModel, song: Rendered) -> None:
    tracks = dict.fromkeys(track_of(role, program) for role, program in programs_of(song).items())
    total = np.sum([make(parts, Extract(source="a", track=track), song.source()).audio for track in tracks], axis=0)
    assert np.abs(total - song.audio).max() < 1e-4
    style = Cast.of_numbers(song.ready.cast).style  # type: ignore[arg-type]
    assert np.abs(np.sum(list(stems(song.score, style=style).values()), axis=0) - song.audio).max() < 1e-4


@pytest.mark.parametrize("span", [(0.0, None), (6.0, 14.0)])
@pytest.mark.parametrize("track", ["strings", "drums", "keyboard", "synth"])
def test_lego_leaves_the_other_tracks_as_they_are(
    parts: OneModel, song: Rendered, track: str, span: tuple[float, float | None]
) -> None:
    task = Lego(source="a", track=track, start_s=span[0], end_s=span[1])  # type: ignore[arg-type]
    edit = make(parts, task, song.source(), seed=2)
    roles = roles_of(track, programs_of(edit))  # type: ignore[arg-type]
    was, is_ = notes_of(song.score), notes_of(edit.score)
    assert {role: notes for role, notes in is_.items() if role not in roles} == {
        role: notes for role, notes in was.items() if role not in roles
    }
    assert any(is_.get(role, ()) != was.get(role, ()) for role in roles)
    low_s, high_s = span[0], span[1] or edit.plan.duration_s
    for role in roles:
        made = {(n.start_s, n.pitch) for n in is_.get(role, ())} ^ {(n.start_s, n.pitch) for n in was.get(role, ())}
        assert all(low_s - 0.05 <= start_s < high_s + 0.05 for start_s, _ in made)
    assert edit.latents.shape == song.latents.shape
    again = make(parts, task, song.source(), seed=2)
    np.testing.assert_array_equal(edit.latents, again.latents)
    np.testing.assert_array_equal(edit.audio, again.audio)


def test_complete_adds_what_is_named_or_what_is_missing(parts: OneModel, song: Rendered) -> None:
    edit = make(parts, Complete(source="a", tracks=("strings", "drums")), song.source(), seed=2)
    assert {"strings", "drums"} <= {track_of(role, program) for role, program in programs_of(edit).items()}
    alone = make(parts, Extract(source="a", track="bass"), song.source())
    more = make(parts, Complete(source="a"), alone.source(), seed=3)
    assert set(programs_of(more)) > {"bass"}
    assert notes_of(more.score)["bass"] == notes_of(song.score)["bass"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sets(st.sampled_from(ROLES), min_size=1, max_size=5))
def test_roles_that_are_taken_out_leave_every_other_note(seed: int, gone: set[Role]) -> None:
    rng = np.random.default_rng(seed)
    latents = rng.normal(0, 1.0, (120, 64)).astype(np.float32)
    programs: dict[Role, int] = dict.fromkeys(ROLES, 0)
    before = notes_of(decode(latents, Grid(100, "4/4"), "C major", programs))
    after = notes_of(decode(without(latents, gone), Grid(100, "4/4"), "C major", programs))
    assert after == {role: notes for role, notes in before.items() if role not in gone}
