"""Which model a request means, what its files bring, and adapters from a name to the weights that the record names."""

import pytest

from partita.engine.intake import resolve_request, take_in
from partita.engine.save import save
from partita.engine.targets import Target
from partita.errors import ModelError, ReplayError, RequestError
from partita.song.request import AdapterChoice, SongRequest
from partita.song.task import Cover, Extract, Repaint
from tests.fakes import FakeLoader
from tests.weights.adapter_files import kohya, lora_factors, network

BASE = "ace-step-1.5-base"


class NetworkLoader(FakeLoader):
    """The transformer is a small network that adapters fit."""

    def load(self, part):
        super().load(part)
        return network() if part == "transformer" else part


@pytest.fixture
def loader():
    return NetworkLoader()


def song_file(engine, tmp_path, model=BASE):
    song = engine.generate(SongRequest(caption="a tone", lyrics="la la", model=model, duration_s=2, seed=5))
    return save(song, Target(tmp_path / "song.flac"), engine.settings).audio


def test_the_model_is_the_requests_then_the_songs_then_the_settings(make_engine, make_file, settings, tmp_path):
    engine = make_engine()
    song = song_file(engine, tmp_path)
    repaint = SongRequest(caption="x", task=Repaint(source=song, start_s=1))
    assert engine.resolve(repaint).model == BASE
    assert engine.resolve(repaint.model_copy(update={"model": "acestep-v15-turbo"})).model == "ace-step-1.5-turbo"
    assert engine.resolve(SongRequest(caption="x")).model == settings.model
    with pytest.raises(RequestError, match=f"built-in edits only songs that it made.*{BASE}"):
        engine.resolve(SongRequest(caption="x", task=Repaint(source=make_file(), start_s=1)))


def test_words_that_are_left_out_are_the_songs_own(make_engine, tmp_path):
    engine = make_engine()
    resolved = engine.resolve(SongRequest(task=Repaint(source=song_file(engine, tmp_path), start_s=1)))
    assert (resolved.caption, resolved.lyrics) == ("a tone", "la la")


def test_a_model_that_cannot_is_answered_with_those_that_can(make_engine, tmp_path):
    engine = make_engine()
    request = SongRequest(caption="x", model="ace-step-1.5-turbo", task=Extract(source="no-file", track="drums"))
    with pytest.raises(RequestError, match=f"cannot do extract.*{BASE}"):
        engine.resolve(request.model_copy(update={"task": Extract(source=song_file(engine, tmp_path), track="drums")}))


def test_a_misspelt_model_is_told_before_any_file_is_read(make_engine):
    request = SongRequest(caption="x", model="ace-stepp", task=Repaint(source="no-file.wav", start_s=1))
    with pytest.raises(RequestError, match="There is no model"):
        make_engine().resolve(request)


def test_the_resolved_request_names_no_path(make_engine, make_file):
    request = SongRequest(
        caption="x", model=BASE, task=Cover(source=make_file("a.wav")), references=(make_file("b.flac", 1.0),)
    )
    resolved = make_engine().resolve(request)
    assert "a.wav" not in resolved.model_dump_json()
    assert resolved.task.source.sha256 == resolved.source.sha256
    assert resolved.references[0].samples == 48_000


def test_what_a_file_says_and_cannot_be_used_for_is_a_warning_of_the_song(make_engine, make_file, tmp_path):
    engine = make_engine()
    record = engine.generate(SongRequest(caption="a tone", model=BASE, duration_s=3, seed=5)).record
    (tmp_path / "source.json").write_text(record.model_dump_json())
    song = engine.generate(SongRequest(caption="x", model=BASE, task=Repaint(source=make_file(), start_s=1)))
    assert any("was altered" in warning for warning in song.warnings)


def test_why_a_song_is_not_taken_as_one_is_told_where_that_is_refused(make_engine, make_file, tmp_path):
    engine = make_engine()
    record = engine.generate(SongRequest(caption="a tone", model="built-in", duration_s=3, seed=5)).record
    (tmp_path / "source.json").write_text(record.model_dump_json())
    with pytest.raises(RequestError, match="edits only songs that it made") as caught:
        engine.resolve(SongRequest(caption="x", model="built-in", task=Repaint(source=make_file(), start_s=1)))
    assert "was altered" in caught.value.__notes__[0]


def test_resolving_gives_the_same_with_a_settings_own_archive(make_engine, make_file, settings):
    request = SongRequest(caption="x", model=BASE, seed=1, task=Repaint(source=make_file(), start_s=1))
    assert resolve_request(request, settings) == make_engine().resolve(request)


def test_adapters_are_known_by_their_bytes_and_stand_in_the_record(make_engine, loader, settings):
    path = kohya(settings.adapters / "voice.safetensors", lora_factors(network()))
    engine = make_engine()
    request = SongRequest(
        caption="x", model=BASE, duration_s=2, seed=1, adapters=("voice:0.5", AdapterChoice(name=str(path)))
    )
    song = engine.generate(request)
    first, second = song.record.request.adapters
    assert first.facts == second.facts
    assert (first.strength, second.strength) == (0.5, 1.0)
    sha256 = first.facts.sha256
    assert song.record.weights == {"model": "fake", "adapter:voice": sha256, "adapter:voice (2)": sha256}
    assert engine.replay(song.record).record == song.record
    path.unlink()
    with pytest.raises(ReplayError, match="voice"):
        engine.replay(song.record)


def test_an_adapter_that_does_not_fit_is_told_before_anything_is_sampled(make_engine, settings):
    from tests.fakes import ToneRenderer

    factors = {name: (down[:, :-1], up) for name, (down, up) in lora_factors(network()).items()}
    kohya(settings.adapters / "voice.safetensors", factors)
    renderer = ToneRenderer()
    for policy in ("keep", "one-at-a-time"):
        with pytest.raises(ModelError, match=f"the transformer of {BASE}"):
            make_engine(renderer, policy=policy).generate(
                SongRequest(caption="x", model=BASE, duration_s=2, adapters=(AdapterChoice(name="voice"),))
            )
    assert renderer.sampled == 0


def test_adapters_without_a_shelf_are_a_fault_of_the_caller(settings):
    from partita.engine.archive import Archive

    request = SongRequest(caption="x", model=BASE, adapters=(AdapterChoice(name="voice"),))
    with pytest.raises(ValueError, match="shelf"):
        take_in(request, Archive(settings.archive))
