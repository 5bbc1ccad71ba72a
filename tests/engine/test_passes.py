import threading
import weakref

import numpy as np
import pytest

from partita.engine.batch import passes_of
from partita.engine.events import AudioReady, Finished, LatentsReady, StageBegan, Step
from partita.errors import Cancelled, ModelError, RequestError
from partita.song.request import Sampling, SongRequest
from tests.fakes import ToneRenderer

REQUEST = SongRequest(caption="a tone", model="ace-step-1.5-turbo", duration_s=2, seed=5)
OTHER = SongRequest(caption="another", model="ace-step-1.5-turbo", duration_s=2, seed=9)


def of(engine, *requests):
    return [resolved.one(seed) for resolved in map(engine.resolve, requests) for seed in resolved.seeds]


def with_(request, **fields):
    return request.model_copy(update=fields)


def test_songs_of_like_shape_share_a_pass_and_others_do_not(make_engine):
    engine = make_engine()
    longer = with_(REQUEST, duration_s=3)
    base = with_(REQUEST, model="ace-step-1.5-base")
    hasty = with_(base, sampling=Sampling(steps=20))
    resolved = of(engine, REQUEST, longer, OTHER, base, hasty, with_(REQUEST, parity=True), REQUEST)
    assert passes_of(resolved) == [[0, 2, 6], [1], [3], [4], [5]]


def test_a_pass_loads_every_network_once_and_meters_steps_once(make_engine, loader):
    engine = make_engine(policy="one-at-a-time")
    songs = engine.generate_many([with_(REQUEST, count=3), OTHER])
    assert loader.loads == ["text_encoder", "transformer", "vae"]
    assert [song.record.seed for song in songs] == [5, 6, 7, 9]
    costs = {cost.name: cost for cost in songs[-1].costs}
    assert len(costs["sample"].steps_s) == 4


def test_a_song_is_the_same_whatever_else_is_in_its_pass(make_engine):
    together = make_engine().generate_many([with_(REQUEST, count=3), OTHER])
    alone = [make_engine().generate(request) for request in (REQUEST, with_(REQUEST, seed=6), OTHER)]
    for one, other in zip([together[0], together[1], together[3]], alone, strict=True):
        assert one.record == other.record
        np.testing.assert_array_equal(one.audio, other.audio)


def test_every_event_names_its_song_and_a_song_is_finished_before_the_next_is_decoded(make_engine):
    engine = make_engine()
    events = list(engine.run_many(of(engine, with_(REQUEST, count=2))))
    for place in (0, 1):
        kinds = [type(event) for index, event in events if index == place]
        assert kinds.index(Step) < kinds.index(LatentsReady) < kinds.index(AudioReady)
        assert kinds[-1] is Finished
    order = [(index, type(event)) for index, event in events]
    assert order.index((0, Finished)) < order.index((1, AudioReady))
    stages = [(index, event.name) for index, event in events if isinstance(event, StageBegan)]
    assert stages == [
        (0, "text"), (1, "text"), (0, "sample"), (1, "sample"), (0, "decode"),
        (0, "master"), (1, "decode"), (1, "master"),
    ]  # fmt: skip


def test_songs_finished_before_a_fault_are_handed_out_and_the_rest_goes_on_later(make_engine, settings):
    faults = [ModelError("the decoder broke")]
    decoded: list[int] = []

    def hook(stage, step):
        if stage == "decode":
            decoded.append(step)
            if len(decoded) == 3 and faults:
                raise faults.pop()

    renderer = ToneRenderer(hook)
    engine = make_engine(renderer)
    resolved = of(engine, with_(REQUEST, count=3))
    finished: list[int] = []

    def run():
        finished.extend(place for place, event in engine.run_many(resolved) if isinstance(event, Finished))

    with pytest.raises(ModelError, match="decoder broke") as caught:
        run()
    assert finished == [0]
    assert len(list(settings.work.iterdir())) == 2
    assert caught.value.__notes__[0].count(".safetensors") == 2
    sampled = renderer.sampled
    songs = {p: e.song for p, e in engine.run_many(resolved[1:]) if isinstance(e, Finished)}
    assert renderer.sampled == sampled
    assert sorted(songs) == [0, 1]
    assert list(settings.work.iterdir()) == []


def test_songs_that_were_sampled_before_join_a_pass_with_those_that_were_not(make_engine):
    faults = [ModelError("broke")]

    def hook(stage, step):
        if stage == "decode" and faults:
            raise faults.pop()

    renderer = ToneRenderer(hook)
    engine = make_engine(renderer)
    with pytest.raises(ModelError):
        engine.generate(REQUEST)
    songs = engine.generate_many([OTHER, REQUEST])
    assert renderer.sampled == 2 * renderer.steps
    assert songs[1].record == make_engine().generate(REQUEST).record


@pytest.mark.parametrize("how", ["cancel", "close", "interrupt"])
def test_what_was_kept_of_every_unfinished_song_goes_when_the_pass_is_given_up(make_engine, settings, how):
    cancel = threading.Event()
    seen: list[int] = []

    def hook(stage, step):
        if stage == "decode":
            seen.append(len(list(settings.work.iterdir())))
            if how == "interrupt":
                raise KeyboardInterrupt
            if how == "cancel":
                cancel.set()

    engine = make_engine(ToneRenderer(hook))
    events = engine.run_many(of(engine, with_(REQUEST, count=3)), cancel=cancel)
    if how == "close":
        for _, event in events:
            if isinstance(event, AudioReady):
                break
        events.close()
    else:
        with pytest.raises((Cancelled, KeyboardInterrupt)):
            list(events)
    assert seen[0] == 3
    assert list(settings.work.iterdir()) == []
    engine.store.clear()
    assert engine.store.loaded() == ()


def test_audio_of_finished_songs_is_let_go_of(make_engine):
    engine = make_engine()
    audio: list[weakref.ref] = []
    most = 0
    for _, event in engine.run_many(of(engine, with_(REQUEST, count=4))):
        if isinstance(event, Finished):
            audio += [weakref.ref(event.song.audio), weakref.ref(event.song.raw_audio)]
        del event
        most = max(most, sum(ref() is not None for ref in audio))
    assert most <= 2


def test_a_renderer_that_leaves_audio_out_is_an_error_and_not_a_song(make_engine):
    class Gap(ToneRenderer):
        def _decode(self, job, pitch_hz):
            first, second = super()._decode(job, pitch_hz)
            del first
            yield second

    with pytest.raises(ModelError, match="left out the samples 0 to 96000"):
        make_engine(Gap()).generate(REQUEST)


def test_a_run_is_of_single_seeds(make_engine):
    engine = make_engine()
    with pytest.raises(RequestError, match="2 seeds"):
        list(engine.run_many([engine.resolve(with_(REQUEST, count=2))]))
