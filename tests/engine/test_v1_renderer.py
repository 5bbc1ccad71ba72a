"""Every task through the engine and the renderer of ACE-Step v1, with narrow networks of random numbers."""

from threading import Event

import numpy as np
import pytest
import torch
from hypothesis import given, settings as hypothesis_settings, strategies as st

from partita.engine.engine import Engine
from partita.engine.events import Step
from partita.errors import Cancelled, RequestError
from partita.render.acestepv1.sources import to_rows
from partita.settings import Settings
from partita.song.request import Output, SongRequest
from partita.song.source import GRIDS
from partita.song.task import AudioToAudio, Extend, FlowEdit, Outpaint, Repaint, Retake
from tests.engine.conftest import music
from tests.engine.test_real_renderer import TinyLoader, kept_samples
from tests.fakes import fake_runtime
from tests.render.acestepv1.tiny import TinyParts

MODEL = "ace-step-v1"
GRID = GRIDS["acestep-v1"]
RATE = 48_000


@pytest.fixture(scope="module")
def loader(tmp_path_factory) -> TinyLoader:
    return TinyLoader(TinyParts(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def engine(tmp_path_factory, loader) -> Engine:
    home = Settings(data=tmp_path_factory.mktemp("data"))
    return Engine(runtime=fake_runtime(), settings=home, loader=lambda card: loader)


def request(task=None, **fields) -> SongRequest:
    rest = {"task": task} if task is not None else {"duration_s": 3}
    return SongRequest(**({"caption": "words", "model": MODEL, "seed": 3, "sampling": {"steps": 2}} | rest | fields))


def laid(song, source) -> np.ndarray:
    """The source where it lies in the song."""
    out, at = np.zeros_like(song.audio), song.record.request.canvas.source_at
    out[at : at + len(source)] = source
    return out


TASKS = {
    "repaint": lambda ref: Repaint(source=ref, start_s=1, end_s=2),
    "repaint hard": lambda ref: Repaint(source=ref, start_s=1, end_s=2, mode="aggressive"),
    "outpaint": lambda ref: Outpaint(source=ref, start_s=3, end_s=5),
    "outpaint before": lambda ref: Outpaint(source=ref, start_s=-1, end_s=0.5),
    "extend": lambda ref: Extend(source=ref, left_s=0.5, right_s=1.01),
    "extend by more than there is": lambda ref: Extend(source=ref, right_s=6),
    "edit": lambda ref: FlowEdit(source=ref, source_caption="noise", start_s=1, end_s=2),
    "style": lambda ref: FlowEdit(source=ref, source_caption="noise", recipe="style", start_s=1, end_s=2),
    "edit of all": lambda ref: FlowEdit(source=ref, source_caption="noise"),
    "audio to audio": lambda ref: AudioToAudio(source=ref, strength=0.3),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_makes_a_whole_song_and_keeps_what_it_promises(engine, name):
    source = music(4.01)
    song = engine.generate(request(TASKS[name](engine.hold(source, RATE))))
    canvas, edit = song.record.request.canvas, song.record.edit
    assert len(song.audio) == canvas.samples
    assert np.isfinite(song.audio).all()
    assert len(song.latents) in (GRID.around(canvas.samples), GRID.around(canvas.samples) - 1)
    if name == "audio to audio":
        assert edit is None
        return
    assert edit.kept == bool(canvas.spans)
    if canvas.spans:
        mask = kept_samples(song)
        np.testing.assert_array_equal(song.audio[mask], laid(song, source)[mask])
    assert np.abs(song.audio - laid(song, source)).max() > 1e-3


@hypothesis_settings(max_examples=6, deadline=None)
@given(
    data=st.data(),
    duration_s=st.floats(0.3, 2.5),
    rate=st.sampled_from([8_000, 44_100, 48_000]),
    mode=st.sampled_from(["conservative", "balanced", "aggressive"]),
)
def test_repaint_changes_no_sample_outside_its_region_and_crossfade(engine, data, duration_s, rate, mode):
    ref = engine.hold(music(duration_s + 1 / rate, rate, 2), rate)
    start_s = data.draw(st.floats(0, duration_s - 0.15))
    end_s = data.draw(st.none() | st.floats(min(start_s + 0.1, duration_s), duration_s))
    task = Repaint(source=ref, start_s=start_s, end_s=end_s, mode=mode)
    song = engine.generate(request(task, sampling={"steps": 5}))
    source = engine._archive.data(song.record.request.source, "acestep-v1").audio
    same = (song.audio == source).all(axis=1)
    assert same[kept_samples(song)].all()
    first, end = song.record.edit.spans[0]
    assert not same[first:end].all()


@hypothesis_settings(max_examples=6, deadline=None)
@given(
    duration_s=st.floats(0.1, 2), rate=st.sampled_from([11_025, 48_000]), left_s=st.floats(0, 2),
    right_s=st.floats(0.1, 3),
)  # fmt: skip
def test_extend_keeps_the_source_bit_for_bit(engine, duration_s, rate, left_s, right_s):
    ref = engine.hold(music(duration_s + 1 / rate, rate, 2), rate)
    song = engine.generate(request(Extend(source=ref, left_s=left_s, right_s=right_s), sampling={"steps": 1}))
    source = engine._archive.data(song.record.request.source, "acestep-v1").audio
    at = song.record.request.canvas.source_at
    assert at == GRID.samples(round(left_s / GRID.frame_s))
    assert len(song.audio) == at + len(source) + round(right_s * RATE)
    np.testing.assert_array_equal(song.audio[at : at + len(source)], source)
    assert song.record.edit.kept


def test_a_chain_of_edits_keeps_the_first_latents_and_samples(engine):
    first = engine.generate(request())
    song, touched, frames = first, np.zeros(len(first.audio), bool), np.zeros(len(first.latents), bool)
    for number in range(3):
        start_s = 0.3 + 0.8 * number
        task = Repaint(source=engine.hold(song), start_s=start_s, end_s=start_s + 0.4)
        song = engine.generate(request(task, seed=number))
        touched |= ~kept_samples(song)
        begin, end = song.record.edit.spans[0]
        frames[GRID.within(begin) : GRID.around(end)] = True
    np.testing.assert_array_equal(song.audio[~touched], first.audio[~touched])
    assert torch.equal(song.latents[~frames], first.latents[~frames])
    assert 0 < touched.sum() < len(touched)
    task = Extend(source=engine.hold(song), right_s=1)
    longer = engine.generate(request(task))
    assert torch.equal(longer.latents[: len(song.latents) - 1], song.latents[:-1])


def test_a_song_of_this_model_brings_what_it_is(engine):
    song = engine.generate(request(bpm=120, lyrics="la la la"))
    edited = engine.generate(SongRequest(task=Repaint(source=engine.hold(song), start_s=1), sampling={"steps": 5}))
    assert edited.record.request.model == MODEL
    assert (edited.record.plan.bpm, edited.record.plan.lyrics) == (120, "la la la")


def test_a_replay_is_the_same_song(engine):
    song = engine.generate(request(lyrics="la la la", output=Output(normalise="off")))
    assert {"num2words", "pypinyin"} <= set(song.record.versions)
    again = engine.replay(song.record)
    assert again.record == song.record
    edited = engine.generate(request(TASKS["extend"](engine.hold(song))))
    assert engine.replay(edited.record).record == edited.record


def test_a_retake_is_a_song_from_words(engine):
    song = engine.generate(request(Retake(of_seed=3, variance=0.3), duration_s=3, seed=4))
    assert song.record.edit is None
    assert len(song.audio) == 3 * RATE


def test_several_songs_load_every_network_once(settings, loader):
    engine = Engine(runtime=fake_runtime(policy="one-at-a-time"), settings=settings, loader=lambda card: loader)
    loader.loads.clear()
    source = engine.hold(music(4), RATE)
    requests = [request(Repaint(source=source, start_s=start, end_s=start + 1), count=2) for start in (1, 2)]
    songs = engine.generate_many(requests)
    assert len({song.record.audio_sha256 for song in songs}) == 4
    assert loader.loads == ["text_encoder", "lyric_tokenizer", "codec", "conditioner", "transformer", "codec"]


def test_parity_gives_what_comes_out_of_the_codec(engine, loader):
    source = engine.hold(music(4), RATE)
    task = Repaint(source=source, start_s=1, end_s=2, strength=0.7)
    song = engine.generate(request(task, parity=True, sampling={"steps": 4}))
    frames = GRID.around(4 * RATE)
    assert len(song.audio) == GRID.samples(frames)
    assert song.record.loudness.mode == "off"
    assert not song.record.edit.kept
    codec = loader.load("codec")
    np.testing.assert_allclose(song.audio, codec.decode(to_rows(song.latents)).numpy(), atol=2e-5)
    both = engine.generate(request(Extend(source=source, left_s=1, right_s=2), parity=True))
    assert len(both.audio) == GRID.samples(frames + 20)


def test_cancel_takes_effect_within_a_step(engine):
    flag = Event()

    def stop(event) -> None:
        if isinstance(event, Step) and event.index == 2:
            flag.set()

    with pytest.raises(Cancelled):
        engine.generate(request(sampling={"steps": 50}), on_progress=stop, cancel=flag)


@pytest.mark.parametrize("name", ["lrc", "vtt"])
def test_times_of_lines_are_refused_and_those_who_can_are_named(engine, name):
    with pytest.raises(RequestError, match="does not tell when a line is sung") as caught:
        engine.generate(request(lyrics="la la", output=Output(**{name: True})))
    assert "ace-step-1.5-turbo" in str(caught.value)
    assert caught.value.field == f"output.{name}"


@pytest.mark.parametrize("mode", ["metadata", "full"])
def test_a_planner_is_refused(engine, mode):
    with pytest.raises(RequestError, match="follows no codes") as caught:
        engine.generate(request(planner={"mode": mode}, duration_s=30))
    assert caught.value.field == "planner.mode"


def test_a_song_is_scored_by_the_meters_alone(engine):
    song = engine.generate(request(lyrics="la la la"))
    scores = engine.score(song)
    assert scores.planner is None
    assert any("does not tell when a line is sung" in note for note in scores.notes)
    with pytest.raises(RequestError, match="does not tell"):
        engine.align(song)


def test_the_best_of_several_is_chosen_without_following_lyrics(engine):
    song = engine.generate(request(lyrics="la la la", best_of=2))
    assert song.record.choice is not None
