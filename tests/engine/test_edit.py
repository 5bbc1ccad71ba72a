import numpy as np
import pytest
import soundfile
from hypothesis import given, settings as hypothesis_settings, strategies as st
from safetensors.numpy import save_file

from partita.audio.splice import original_splice
from partita.engine.edit import join
from partita.engine.engine import Engine
from partita.engine.save import save
from partita.engine.targets import Target
from partita.errors import AudioError, ReplayError, RequestError
from partita.settings import Settings
from partita.song.request import Output, SongRequest
from partita.song.source import AudioRef
from partita.song.task import AudioToAudio, Complete, Extend, Extract, FlowEdit, Lego, Outpaint, Repaint
from tests.engine.conftest import music
from tests.fakes import ENCODED, FakeLoader, ToneRenderer, fake_runtime

MODEL = "ace-step-1.5-base"
RATE = 48_000


def edit(task, **fields):
    return SongRequest(**({"caption": "other", "model": MODEL, "seed": 5, "task": task} | fields))


def outside(song, ramp=True):
    """Which samples of an edited song its record promises to be the source's own."""
    record = song.record.edit
    mask = np.ones(len(song.audio), bool)
    reach = record.crossfade_samples if ramp else 0
    for first, end in record.spans:
        mask[max(0, first - reach) : end + reach] = False
    return mask


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return Engine(
        runtime=fake_runtime(),
        settings=Settings(data=tmp_path_factory.mktemp("data")),
        renderer=ToneRenderer(),
        loader=lambda card: FakeLoader(),
    )


def taken(engine, song):
    return engine._archive.data(song.record.request.source, "acestep-1.5").audio


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    duration_s=st.floats(0.1, 2),
    rate=st.sampled_from([8_000, 22_050, 44_100, 48_000, 96_000]),
    channels=st.integers(1, 2),
    mode=st.sampled_from(["conservative", "balanced", "aggressive"]),
    strength=st.floats(0, 1),
)
def test_repaint_changes_no_sample_outside_its_region_and_crossfade(
    engine, data, duration_s, rate, channels, mode, strength
):
    ref = engine.hold(music(duration_s + 1 / rate, rate, channels), rate)
    start_s = data.draw(st.floats(0, duration_s - 0.05))
    end_s = data.draw(st.none() | st.floats(min(start_s + 0.041, duration_s), duration_s))
    task = Repaint(source=ref, start_s=start_s, end_s=end_s, mode=mode, strength=strength)
    song = engine.generate(edit(task))
    source = taken(engine, song)
    record = song.record.edit
    assert len(song.audio) == len(source)
    assert record.kept
    first, end = record.spans[0]
    assert first == round(start_s * RATE)
    assert end == (len(source) if end_s is None else min(round(end_s * RATE), len(source)))
    assert record.crossfade_samples <= 0.05 * RATE
    if mode == "aggressive":
        assert record.crossfade_samples == 0
    same = (song.audio == source).all(axis=1)
    assert same[outside(song)].all()
    assert not same[first:end].all()


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    duration_s=st.floats(0.1, 2),
    rate=st.sampled_from([8_000, 11_025, 44_100, 48_000, 96_000]),
    channels=st.integers(1, 2),
    left_s=st.floats(0, 1),
    right_s=st.floats(0.04, 1),
)
def test_extend_keeps_the_source_bit_for_bit(engine, duration_s, rate, channels, left_s, right_s):
    ref = engine.hold(music(duration_s + 1 / rate, rate, channels), rate)
    song = engine.generate(edit(Extend(source=ref, left_s=left_s, right_s=right_s)))
    source = taken(engine, song)
    at = song.record.request.canvas.source_at
    assert abs(at - left_s * RATE) <= 960.001
    assert len(song.audio) == at + len(source) + round(right_s * RATE)
    np.testing.assert_array_equal(song.audio[at : at + len(source)], source)
    assert song.record.edit.kept
    assert np.abs(song.audio[at + len(source) :]).max() > 0.1


def test_outpaint_keeps_what_lies_outside_its_region(engine):
    ref = engine.hold(music(2), RATE)
    song = engine.generate(edit(Outpaint(source=ref, start_s=-0.4, end_s=0.5)))
    assert len(song.audio) == 2.4 * RATE
    mask = outside(song)
    laid = np.concatenate([np.zeros((19_200, 2), np.float32), music(2)])
    np.testing.assert_array_equal(song.audio[mask], laid[mask])
    assert mask[round(0.95 * RATE) :].all()


@pytest.mark.parametrize(
    "task",
    [
        lambda ref: Lego(source=ref, track="drums", start_s=0.5, end_s=1),
        lambda ref: FlowEdit(source=ref, source_caption="noise", start_s=0.5, end_s=1),
    ],
)
def test_every_task_with_a_region_keeps_the_rest(engine, task):
    song = engine.generate(edit(task(engine.hold(music(2), RATE))))
    np.testing.assert_array_equal(song.audio[outside(song)], music(2)[outside(song)])
    assert song.record.edit.spans == ((24_000, 48_000),)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_saved_flac_holds_the_very_numbers_of_the_source_outside(make_engine, make_file, tmp_path, suffix, subtype):
    engine = make_engine()
    path = make_file(f"source{suffix}", subtype=subtype)
    song = engine.generate(edit(Repaint(source=path, start_s=1, end_s=2), output=Output(format="flac", bit_depth=24)))
    saved = save(song, Target(tmp_path / "out.flac"), engine.settings)
    before, after = (soundfile.read(one, dtype="int32")[0] for one in (path, saved.audio))
    np.testing.assert_array_equal(before[outside(song)], after[outside(song)])


def test_five_edits_in_a_row_lose_nothing(engine):
    first = engine.generate(SongRequest(caption="a tone", model=MODEL, duration_s=6, seed=1))
    gain_db = first.record.loudness.gain_db
    assert gain_db != 0
    song, touched, frames = first, np.zeros(len(first.audio), bool), np.zeros(len(first.latents), bool)
    for number in range(5):
        start_s = 0.4 + number
        task = Repaint(source=engine.hold(song), start_s=start_s, end_s=start_s + 0.5)
        song = engine.generate(edit(task, seed=2 + number))
        touched |= ~outside(song)
        frames[int(start_s * 25) : int((start_s + 0.5) * 25) + 1] = True
        assert song.record.edit.gain_db == song.origin.gain_db == gain_db
    assert 0 < touched.sum() < 3.5 * RATE
    np.testing.assert_array_equal(song.audio[~touched], first.audio[~touched])
    np.testing.assert_array_equal(song.latents.numpy()[~frames], first.latents.numpy()[~frames])
    assert not (song.latents.numpy() == ENCODED).any()


def test_edits_chain_through_saved_files(make_engine, tmp_path):
    engine = make_engine()
    song = engine.generate(SongRequest(caption="a tone", model=MODEL, duration_s=4, seed=1))
    path = save(song, Target(tmp_path / "0.flac"), engine.settings).audio
    original = soundfile.read(path, dtype="float32")[0]
    touched = np.zeros(len(original), bool)
    for number in (1, 2, 3):
        song = engine.generate(edit(Repaint(source=path, start_s=number, end_s=number + 0.5), seed=number))
        assert song.record.request.source.song is not None
        path = save(song, Target(tmp_path / f"{number}.flac"), engine.settings).audio
        touched |= ~outside(song)
    np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0][~touched], original[~touched])
    assert not (song.latents.numpy() == ENCODED).any()


def test_what_is_made_is_at_the_level_of_the_song(engine):
    first = engine.generate(SongRequest(caption="a tone", model=MODEL, duration_s=3, seed=5))
    song = engine.generate(edit(Repaint(source=engine.hold(first), start_s=1, end_s=2), seed=5))
    np.testing.assert_allclose(song.audio, first.audio, atol=1e-5)


def test_foreign_audio_has_the_level_of_its_latents(engine):
    song = engine.generate(edit(Repaint(source=engine.hold(music(3), RATE), start_s=1, end_s=2)))
    assert song.record.edit.gain_db == 0
    assert np.abs(song.audio[RATE + 2400 : 2 * RATE - 2400]).max() == pytest.approx(ToneRenderer.level, abs=1e-3)


class LoudRenderer(ToneRenderer):
    level = 1.8


def test_what_would_clip_is_limited_and_nothing_else(make_engine):
    engine = make_engine(LoudRenderer())
    loud = music(3) * 30
    assert np.abs(loud).max() > 1
    song = engine.generate(edit(Repaint(source=engine.hold(loud, RATE), start_s=1, end_s=2, mode="aggressive")))
    assert song.record.edit.limited
    assert np.abs(song.audio[RATE + 300 : 2 * RATE - 300]).max() <= 1
    np.testing.assert_array_equal(song.audio[outside(song)], loud[outside(song)])


@pytest.mark.parametrize("renderer", [ToneRenderer, LoudRenderer])
def test_an_edit_of_the_whole_is_left_alone_unless_it_would_clip(make_engine, renderer):
    engine = make_engine(renderer())
    song = engine.generate(edit(Extract(source=engine.hold(music(2), RATE), track="drums")))
    record = song.record
    assert not record.edit.kept
    assert record.edit.limited == (renderer is LoudRenderer)
    assert np.abs(song.audio).max() == pytest.approx(min(renderer.level, 1), abs=0.05)
    assert record.loudness.mode == "off"


def test_a_whole_edit_of_an_own_song_has_its_level(engine):
    first = engine.generate(SongRequest(caption="a tone", model=MODEL, duration_s=2, seed=5))
    song = engine.generate(edit(Complete(source=engine.hold(first)), seed=5))
    np.testing.assert_allclose(song.audio, first.audio, atol=1e-5)


def test_what_stands_by_itself_is_no_edit(engine):
    song = engine.generate(edit(AudioToAudio(source=engine.hold(music(2), RATE))))
    assert song.record.edit is None
    assert song.record.loudness.mode == "loudness"


def test_a_song_whose_level_is_set_says_that_nothing_is_kept(engine):
    task = Repaint(source=engine.hold(music(3), RATE), start_s=1, end_s=2)
    song = engine.generate(edit(task, output=Output(normalise="loudness")))
    assert not song.record.edit.kept
    assert any("samples outside the region change" in warning for warning in song.warnings)
    again = engine.generate(edit(Repaint(source=engine.hold(song), start_s=0, end_s=0.5)))
    assert again.record.edit.gain_db == pytest.approx(song.record.loudness.gain_db)


def test_a_source_of_latents_alone_is_not_joined(engine):
    ref = engine.hold(np.full((50, 64), 3, np.float32))
    song = engine.generate(edit(Repaint(source=ref, start_s=0.5, end_s=1)))
    assert song.record.edit.spans == ()
    assert not song.record.edit.kept
    assert (song.latents.numpy()[:12] == 3).all()


def test_parity_joins_and_then_sets_the_peak_as_the_original_does(make_engine):
    engine = make_engine(LoudRenderer())
    source = music(3)
    task = Repaint(source=engine.hold(source, RATE), start_s=1.0, end_s=2.0, strength=0.4)
    song = engine.generate(edit(task, parity=True))
    tone = LoudRenderer.level * np.sin(2 * np.pi * 270 * np.arange(3 * RATE) / RATE)
    made = np.stack([tone] * 2, axis=1).astype(np.float32)
    made /= np.abs(made).max()
    np.testing.assert_allclose(song.raw_audio, original_splice(made, source, 1.0, 2.0, 0.03), atol=2e-6)
    assert np.abs(song.audio).max() == pytest.approx(10 ** (song.record.request.output.true_peak_db / 20), abs=1e-6)
    assert not song.record.edit.kept


def test_parity_joins_nothing_in_its_aggressive_mode(make_engine):
    engine = make_engine()
    task = Repaint(source=engine.hold(music(3), RATE), start_s=1, end_s=2, mode="aggressive")
    song = engine.generate(edit(task, parity=True, output=Output(normalise="off")))
    assert np.abs(song.audio).max() == pytest.approx(0.25, abs=1e-3)
    assert not song.record.edit.kept


def test_parity_extends_on_both_sides(make_engine):
    engine = make_engine()
    task = Extend(source=engine.hold(music(2), RATE), left_s=0.5, right_s=0.5, mode="conservative")
    song = engine.generate(edit(task, parity=True, output=Output(normalise="off")))
    inner = slice(round(0.55 * RATE) + 1, round(2.45 * RATE) - 1)
    laid = np.concatenate([np.zeros((RATE // 2, 2), np.float32), music(2)])
    np.testing.assert_array_equal(song.audio[inner], laid[inner])
    assert np.abs(song.audio[: RATE // 2]).max() > 0.2


def test_a_replay_finds_its_source_by_hash(make_engine, make_file):
    engine = make_engine()
    path = make_file()
    song = engine.generate(edit(Repaint(source=path, start_s=1, end_s=2)))
    path.unlink()
    again = make_engine().replay(song.record)
    assert again.record == song.record
    np.testing.assert_array_equal(again.audio, song.audio)


def test_a_replay_of_an_edited_song_needs_its_latents(make_engine, settings):
    engine = make_engine()
    first = engine.generate(SongRequest(caption="a tone", model=MODEL, duration_s=3, seed=1))
    song = engine.generate(edit(Repaint(source=engine.hold(first), start_s=1, end_s=2)))
    assert engine.replay(song.record).record == song.record
    (settings.archive / "songs" / f"{first.record.audio_sha256}.safetensors").unlink()
    with pytest.raises(ReplayError, match=first.record.audio_sha256):
        engine.replay(song.record)


def test_a_replay_says_which_source_is_missing(make_engine, settings):
    engine = make_engine()
    reference = engine.hold(music(1, seed=3), RATE)
    request = edit(Repaint(source=engine.hold(music(3), RATE), start_s=1, end_s=2), references=(reference,))
    song = engine.generate(request)
    (settings.archive / "audio" / f"{reference.sha256}.wav").unlink()
    with pytest.raises(ReplayError, match=f"reference of the song, {reference.sha256}"):
        engine.replay(song.record)
    (settings.archive / "audio" / f"{song.record.request.source.sha256}.wav").unlink()
    with pytest.raises(ReplayError, match="source of the song"):
        engine.replay(song.record)


@pytest.mark.parametrize(
    ("task", "field"),
    [
        (lambda ref: Repaint(source=ref, start_s=3.5), "task.start_s"),
        (lambda ref: Repaint(source=ref, start_s=1, end_s=3.1), "task.end_s"),
        (lambda ref: Repaint(source=ref, start_s=2, end_s=1), "task.end_s"),
        (lambda ref: Repaint(source=ref, start_s=1, end_s=1.01), "task.end_s"),
        (lambda ref: Outpaint(source=ref, start_s=4, end_s=5), "task.start_s"),
        (lambda ref: Extend(source=ref), "task.right_s"),
        (lambda ref: Extend(source=ref, right_s=598), "task"),
        (lambda ref: Repaint(source=AudioRef(sha256="1" * 64), start_s=1), "task.source.sha256"),
    ],
)
def test_what_cannot_be_edited_is_refused_before_anything_is_loaded(make_engine, loader, make_file, task, field):
    with pytest.raises(RequestError) as caught:
        make_engine().generate(edit(task(str(make_file()))))
    assert caught.value.field == field
    assert loader.loads == []


@pytest.mark.parametrize(
    ("samples", "says"),
    [(np.zeros((RATE, 2)), "silent"), (music(0.05), "at least 0.1 s"), (music(601, 100, 1), "longer than 600")],
)
def test_sources_that_cannot_be_used_are_refused_before_anything_is_loaded(
    make_engine, loader, tmp_path, samples, says
):
    soundfile.write(tmp_path / "a.wav", samples, 100 if len(samples) > RATE else RATE)
    with pytest.raises(AudioError, match=says):
        make_engine().generate(edit(Repaint(source=tmp_path / "a.wav", start_s=0)))
    assert loader.loads == []


def test_latents_of_another_family_are_refused_when_resolving(make_engine, tmp_path):
    save_file({"latents": np.zeros((50, 64), np.float32)}, tmp_path / "a.safetensors", {"family": "built-in"})
    with pytest.raises(RequestError, match="latents of built-in") as caught:
        make_engine().resolve(edit(Repaint(source=tmp_path / "a.safetensors", start_s=0)))
    assert caught.value.field == "task.source"


def test_join_leaves_its_source_as_it_is(engine):
    ref = engine.hold(music(2), RATE)
    resolved = engine.resolve(edit(Repaint(source=ref, start_s=0.5, end_s=1)))
    source = engine._archive.data(resolved.source, "acestep-1.5")
    join(resolved, np.zeros((2 * RATE, 2), np.float32), source)
    np.testing.assert_array_equal(source.audio, music(2))
