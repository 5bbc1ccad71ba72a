import threading

import numpy as np
import pytest

from partita.engine.events import AudioReady, Finished, LatentsReady, Planned, StageBegan, Step
from partita.errors import Cancelled, ModelError, ReplayError, RequestError
from partita.song.record import Record
from partita.song.request import Output, SongRequest
from tests.fakes import ToneRenderer

REQUEST = SongRequest(caption="a tone", model="ace-step-1.5-turbo", duration_s=2, seed=5)


def test_events_come_in_order_and_end_with_the_song(make_engine):
    events = list(make_engine().stream(REQUEST))
    kinds = [type(event) for event in events]
    assert kinds[0] is Planned
    assert kinds[-1] is Finished
    assert kinds.index(Step) < kinds.index(LatentsReady) < kinds.index(AudioReady)
    assert [event.name for event in events if isinstance(event, StageBegan)] == ["text", "sample", "decode", "master"]
    assert [(e.index, e.count) for e in events if isinstance(e, Step)] == [(i + 1, 4) for i in range(4)]
    assert all(event.seconds_left >= 0 for event in events if isinstance(event, Step))


def test_streamed_audio_is_the_songs_raw_audio(make_engine):
    events = list(make_engine().stream(REQUEST))
    streamed = np.concatenate([event.samples for event in events if isinstance(event, AudioReady)])
    np.testing.assert_array_equal(streamed, events[-1].song.raw_audio)


def test_the_record_says_what_was_done(make_engine):
    song = make_engine().generate(REQUEST)
    record = song.record
    assert record.request.seeds == (5,)
    assert record.frames == len(song.audio) == 96_000
    assert record.weights == {"model": "fake"}
    assert "a test tone" in record.warnings
    assert Record.from_json(record.model_dump_json()) == record


def test_the_same_seed_gives_the_same_song_and_another_seed_another(make_engine):
    engine = make_engine()
    first, again = engine.generate(REQUEST), engine.generate(REQUEST)
    other = engine.generate(REQUEST.model_copy(update={"seed": 6}))
    assert first.record == again.record
    np.testing.assert_array_equal(first.audio, again.audio)
    assert other.record.audio_sha256 != first.record.audio_sha256


def test_many_requests_give_every_seed_in_order(make_engine):
    songs = make_engine().generate_many([REQUEST.model_copy(update={"count": 2}), REQUEST])
    assert [song.record.seed for song in songs] == [5, 6, 5]


def test_one_song_is_asked_for_one_at_a_time(make_engine):
    with pytest.raises(RequestError, match="generate_many"):
        make_engine().generate(REQUEST.model_copy(update={"count": 2}))


def test_all_requests_are_checked_before_the_first_is_made(make_engine):
    renderer = ToneRenderer()
    with pytest.raises(RequestError):
        make_engine(renderer).generate_many([REQUEST, SongRequest(caption="x", model="no-such-model")])
    assert renderer.sampled == 0


@pytest.mark.parametrize(("stage", "step"), [("text", 0), ("sample", 2), ("decode", 0)])
def test_cancel_takes_effect_before_the_next_step(make_engine, settings, stage, step):
    cancel = threading.Event()
    after: list[tuple[str, int]] = []

    def hook(at_stage, at_step):
        if cancel.is_set():
            after.append((at_stage, at_step))
        if (at_stage, at_step) == (stage, step):
            cancel.set()

    engine = make_engine(ToneRenderer(hook))
    with pytest.raises(Cancelled):
        engine.generate(REQUEST, cancel=cancel)
    assert len(after) <= 1
    assert list(settings.data.rglob("*.*")) == []
    assert engine.generate(REQUEST).duration_s == 2


def test_closing_the_stream_gives_back_what_was_lent(make_engine):
    engine = make_engine()
    events = engine.stream(REQUEST)
    while not isinstance(next(events), Step):
        pass
    events.close()
    engine.store.clear()
    assert engine.store.loaded() == ()


def test_latents_outlive_a_fault_in_decoding_and_are_taken_up_again(make_engine, settings):
    faults = [ModelError("the decoder broke")]

    def hook(stage, step):
        if stage == "decode" and faults:
            raise faults.pop()

    renderer = ToneRenderer(hook)
    engine = make_engine(renderer)
    with pytest.raises(ModelError, match="decoder broke") as caught:
        engine.generate(REQUEST)
    assert "is kept in" in caught.value.__notes__[0]
    assert len(list(settings.work.iterdir())) == 1
    song = engine.generate(REQUEST)
    assert renderer.sampled == renderer.steps
    assert list(settings.work.iterdir()) == []
    assert song.record == make_engine().generate(REQUEST).record


def test_loaded_parts_are_kept_or_let_go_of_by_policy(make_engine, loader):
    engine = make_engine()
    engine.generate(REQUEST)
    engine.generate(REQUEST)
    assert loader.loads == ["text_encoder", "transformer", "vae"]
    loader.loads.clear()
    frugal = make_engine(policy="one-at-a-time")
    frugal.generate(REQUEST)
    assert len(frugal.store.loaded()) == 1
    frugal.generate(REQUEST)
    assert loader.loads == ["text_encoder", "transformer", "vae"] * 2


def test_costs_name_every_stage_and_are_no_part_of_the_record(make_engine):
    song = make_engine().generate(REQUEST)
    costs = {cost.name: cost for cost in song.costs}
    assert {"plan", "load", "text", "sample", "decode", "master"} <= set(costs)
    assert len(costs["sample"].steps_s) == 4
    assert sum(costs["sample"].steps_s) <= costs["sample"].seconds
    assert all(cost.peak_bytes > 2**20 for cost in song.costs)
    assert "seconds" not in song.record.model_dump_json()


def test_a_replay_has_the_same_samples(make_engine):
    song = make_engine().generate(REQUEST.model_copy(update={"output": Output(format="wav")}))
    again = make_engine().replay(song.record)
    assert again.record == song.record
    np.testing.assert_array_equal(again.audio, song.audio)


def test_a_replay_that_cannot_be_exact_says_what_differs(make_engine):
    record = make_engine().generate(REQUEST).record
    with pytest.raises(ReplayError, match="number_format: 'float32' then, 'bfloat16' here"):
        make_engine(number_format="bfloat16").replay(record)
    older = record.model_copy(update={"versions": record.versions | {"torch": "1.0"}})
    with pytest.raises(ReplayError, match=r"torch: 1\.0 then"):
        make_engine().replay(older)


def test_audio_that_is_not_finite_is_an_error_and_not_a_song(make_engine):
    class Broken(ToneRenderer):
        def render(self, *arguments, **more):
            for told in super().render(*arguments, **more):
                if isinstance(getattr(told.event, "samples", None), np.ndarray):
                    told.event.samples[0] = np.nan
                yield told

    with pytest.raises(ModelError, match="not finite"):
        make_engine(Broken()).generate(REQUEST)
