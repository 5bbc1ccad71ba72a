"""Every task through the engine and the renderer of ACE-Step 1.5, with narrow networks of random numbers."""

import numpy as np
import pytest

from partita.engine.engine import Engine
from partita.song.request import SongRequest
from partita.song.task import Complete, Cover, Extend, Extract, FlowEdit, Lego, Outpaint, Repaint, Retake
from partita.text.tokenizers import TextTokenizer
from tests.engine.conftest import music
from tests.fakes import fake_runtime
from tests.render.acestep15.tiny import TinyParts
from tests.text.test_tokenizers import write_tokenizer

BASE = "ace-step-1.5-base"
RATE = 48_000


class TinyLoader:
    identity = ("tiny",)

    def __init__(self, parts: TinyParts) -> None:
        self._parts = parts
        self.part_names = tuple(parts.parts)
        self.loads: list[str] = []

    def load(self, part: str):
        self.loads.append(part)
        return self._parts.parts[part]

    def fingerprint(self) -> dict[str, str]:
        return {"model": "tiny"}


@pytest.fixture(scope="module")
def loader(tmp_path_factory) -> TinyLoader:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyLoader(TinyParts(TextTokenizer.load(folder)))


@pytest.fixture
def engine(settings, loader) -> Engine:
    return Engine(runtime=fake_runtime(), settings=settings, loader=lambda card: loader)


def request(task=None, **fields) -> SongRequest:
    rest = {"task": task} if task is not None else {"duration_s": 6}
    return SongRequest(**({"caption": "words", "model": BASE, "seed": 3, "sampling": {"steps": 2}} | rest | fields))


TASKS = {
    "repaint": lambda ref: Repaint(source=ref, start_s=2, end_s=3),
    "repaint hard": lambda ref: Repaint(source=ref, start_s=2, end_s=3, mode="aggressive"),
    "outpaint": lambda ref: Outpaint(source=ref, start_s=5, end_s=7),
    "extend": lambda ref: Extend(source=ref, left_s=0.5, right_s=1.01),
    "lego": lambda ref: Lego(source=ref, track="drums", start_s=1, end_s=2),
    "edit": lambda ref: FlowEdit(source=ref, source_caption="noise", start_s=1, end_s=2),
    "edit of all": lambda ref: FlowEdit(source=ref, source_caption="noise"),
    "extract": lambda ref: Extract(source=ref, track="drums"),
    "complete": lambda ref: Complete(source=ref, tracks=("bass",)),
    "cover": lambda ref: Cover(source=ref),
}


def kept_samples(song) -> np.ndarray:
    record, mask = song.record.edit, np.ones(len(song.audio), bool)
    for first, end in record.spans:
        mask[max(0, first - record.crossfade_samples) : end + record.crossfade_samples] = False
    return mask


@pytest.mark.parametrize("name", TASKS)
def test_every_task_makes_a_whole_song_and_keeps_what_it_promises(engine, name):
    source = music(6.01)
    song = engine.generate(request(TASKS[name](engine.hold(source, RATE))))
    canvas, edit = song.record.request.canvas, song.record.edit
    assert len(song.audio) == canvas.samples
    assert np.isfinite(song.audio).all()
    if name == "cover":
        assert edit is None
        return
    assert edit.kept == bool(canvas.spans)
    laid = np.zeros_like(song.audio)
    laid[canvas.source_at : canvas.source_at + len(source)] = source
    if canvas.spans:
        mask = kept_samples(song)
        np.testing.assert_array_equal(song.audio[mask], laid[mask])
    assert np.abs(song.audio - laid).max() > 1e-3


def test_a_replay_of_an_edit_is_the_same_song(engine):
    song = engine.generate(request(TASKS["repaint"](engine.hold(engine.generate(request())))))
    assert engine.replay(song.record).record == song.record


def test_a_chain_of_repaints_keeps_the_first_latents_and_samples(engine):
    first = engine.generate(request())
    song, touched, frames = first, np.zeros(len(first.audio), bool), np.zeros(len(first.latents), bool)
    for number in range(3):
        task = Repaint(source=engine.hold(song), start_s=0.5 + number, end_s=0.9 + number, mode="aggressive")
        song = engine.generate(request(task, seed=number))
        touched |= ~kept_samples(song)
        frames[int((0.5 + number) * 25) : int((0.9 + number) * 25) + 1] = True
    np.testing.assert_array_equal(song.audio[~touched], first.audio[~touched])
    kept = ~frames[: len(song.latents)]
    np.testing.assert_array_equal(song.latents.numpy()[kept], first.latents.numpy()[: len(kept)][kept])


def test_several_edits_of_one_song_are_one_pass(settings, loader):
    engine = Engine(runtime=fake_runtime(policy="one-at-a-time"), settings=settings, loader=lambda card: loader)
    loader.loads.clear()
    source = engine.hold(music(6), RATE)
    requests = [request(Repaint(source=source, start_s=start, end_s=start + 1), count=2) for start in (1, 3)]
    songs = engine.generate_many(requests)
    assert len(songs) == 4
    assert loader.loads.count("transformer") == 1
    assert loader.loads.count("text_encoder") == 1
    assert len({song.record.audio_sha256 for song in songs}) == 4


def test_parity_makes_what_the_original_would(engine):
    song = engine.generate(request(Repaint(source=engine.hold(music(6), RATE), start_s=2, end_s=3), parity=True))
    assert len(song.audio) == 6 * RATE
    assert song.record.loudness.mode == "peak"
    assert not song.record.edit.kept


def test_a_retake_is_a_song_from_words(engine):
    song = engine.generate(request(Retake(of_seed=3, variance=0.3), duration_s=6, seed=4))
    assert song.record.edit is None
