"""A language model in the engine: plans, codes and words, through the store and the renderer of ACE-Step 1.5."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partita.engine.engine import Engine
from partita.engine.events import Finished, Planned, StageBegan, Step
from partita.errors import Cancelled, ModelError, PlannerError, ReplayError, RequestError
from partita.models.quantised import plain
from partita.song.plan import Plan
from partita.song.planning import PlannerOptions
from partita.song.record import Record
from partita.song.request import SongRequest
from partita.song.task import Retake
from partita.text.tokenizers import TextTokenizer
from tests.engine.conftest import music
from tests.engine.test_real_renderer import TinyLoader
from tests.fakes import fake_runtime
from tests.planner.lm.material import TOKENIZER, tables
from tests.planner.lm.tiny import SONG, Script, codes_for, tiny_decoder
from tests.render.acestep15.tiny import TinyParts
from tests.text.test_tokenizers import write_tokenizer

TURBO = "ace-step-1.5-turbo"
LYRICS = "[Verse]\nslow rain"


class Planners:
    """Opens planners that are tiny; counts what is loaded."""

    def __init__(self, folder: Path, network: Callable[[], Any]) -> None:
        shutil.copy(TOKENIZER, folder / "tokenizer.json")
        self.folder, self.network = folder, network
        self.loads: list[str] = []
        self.opened: list[str] = []

    def __call__(self, card: Any, weight_format: str) -> Any:
        self.opened.append(f"{card.id} {weight_format}")
        planners = self

        class Loader:
            part_names = ("network", "tokenizer")
            identity = ("tiny planner", weight_format)
            head_form = staticmethod(plain)

            def load(self, part: str) -> Any:
                planners.loads.append(part)
                return planners.folder if part == "tokenizer" else planners.network()

            def fingerprint(self) -> dict[str, str]:
                return {"model.safetensors": "tiny"}

        return Loader()


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> TinyLoader:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyLoader(TinyParts(TextTokenizer.load(folder)))


@pytest.fixture
def random_planners(tmp_path) -> Planners:
    return Planners(tmp_path, lambda: tiny_decoder(tables().vocabulary))


@pytest.fixture
def make(settings, songs, tmp_path):
    """An engine whose planner follows a script, or `planners`."""

    def made(*runs: dict[str, Any], planners: Planners | None = None, **choices: Any) -> Engine:
        songs.loads.clear()
        planners = planners or Planners(tmp_path, lambda: Script(*runs))
        return Engine(
            runtime=fake_runtime(**choices), settings=settings, loader=lambda card: songs, planner_loader=planners
        )

    return made


def request(mode: str = "full", planner: dict[str, Any] | None = None, **fields: Any) -> SongRequest:
    usual: dict[str, Any] = {"caption": "calm piano", "model": TURBO, "seed": 3}
    return SongRequest(**usual | {"planner": {"mode": mode, **(planner or {})}} | fields)


def test_a_planned_song_is_rendered_from_its_codes_and_its_record_says_so(make, songs):
    engine = make(SONG, {"codes": codes_for(12)})
    song = engine.generate(request())
    plan = song.record.plan
    assert (plan.caption, plan.bpm, plan.key, plan.time_signature) == (SONG["caption"], 96, "F# minor", "4/4")
    assert list(plan.codes) == codes_for(12)
    assert plan.origins == {"lyrics": "rule"} | dict.fromkeys(
        ("caption", "language", "duration_s", "bpm", "key", "time_signature", "codes"), "language model"
    )
    assert len(song.audio) == 12 * 48_000
    assert "audio_detokenizer" in songs.loads
    assert plan.planner is not None
    assert plan.planner.weights == {"model.safetensors": "tiny"}
    assert song.record.request.planner.mode == "full"
    assert [cost.name for cost in song.costs][:2] == ["plan", "load"]


def test_a_replay_renders_the_plan_without_the_planner(make):
    first = make(SONG, {"codes": codes_for(12)})
    song = first.generate(request())
    record = Record.from_json(song.record.model_dump_json())

    def gone(card: Any, weight_format: str) -> Any:
        raise AssertionError("a replay opens no planner")

    again = make(planners=gone)
    assert again.replay(record).record == song.record


def test_a_plan_goes_through_json_and_is_followed_to_the_sample(make):
    engine = make(SONG, {"codes": codes_for(12)})
    (plan,) = engine.plan(request())
    told = Plan.from_json(plan.model_dump_json())
    assert told == plan
    followed = engine.generate(SongRequest(plan=told, model=TURBO, seed=3))
    planned = engine.generate(request())
    np.testing.assert_array_equal(followed.audio, planned.audio)
    assert followed.record.plan == plan
    assert followed.record.request.plan is None
    assert engine.replay(followed.record).record == followed.record


def test_a_retake_follows_the_plan_of_its_song(make):
    engine = make(SONG, {"codes": codes_for(12)})
    (plan,) = engine.plan(request())
    song = engine.generate(SongRequest(plan=plan, model=TURBO, seed=9, task=Retake(of_seed=3, variance=0.2)))
    assert song.record.plan == plan


def test_metadata_alone_leaves_the_codes_to_nobody(make, songs):
    song = make(SONG).generate(request("metadata"))
    assert song.record.plan.codes is None
    assert song.record.plan.bpm == 96
    assert "audio_detokenizer" not in songs.loads


def test_what_the_user_gives_wins(make):
    fields = {"bpm": 130, "key": "C major", "duration_s": 14, "language": "de", "lyrics": LYRICS}
    (plan,) = make(SONG, {"codes": codes_for(20)}).plan(
        request(planner={"rewrite_caption": False}, time_signature="3/4", **fields)
    )
    assert (plan.bpm, plan.key, plan.duration_s, plan.language) == (130, "C major", 14, "de")
    assert (plan.time_signature, plan.caption, plan.lyrics) == ("3/4", "calm piano", LYRICS)
    assert set(plan.origins.values()) == {"user", "language model"}
    assert [name for name, origin in plan.origins.items() if origin == "language model"] == ["codes"]
    assert len(plan.codes) == 70


def test_the_original_loses_the_language_that_it_found_and_ours_keeps_it(make):
    song = SONG | {"language": "it"}
    (plan,) = make(song).plan(request("metadata", lyrics="la la"))
    assert plan.language == "it"
    (original,) = make(song).plan(request("metadata", lyrics="la la", parity=True))
    assert original.language == "unknown"


def test_the_original_seeds_nothing_for_a_single_song(make, random_planners):
    engine = make(planners=random_planners)
    asked = request("metadata", {"rewrite_caption": False})
    assert engine.plan(asked) == engine.plan(asked)
    drawn = iter((1, 2))
    engine.planners.fresh_seed = lambda: next(drawn)
    parity = request("metadata", {"rewrite_caption": False}, parity=True)
    assert engine.plan(parity) != engine.plan(parity)


def test_songs_of_one_request_are_planned_by_their_own_seeds_and_together(make, random_planners):
    engine = make(planners=random_planners)
    plans = engine.plan(request("metadata", count=3))
    assert len({plan.caption for plan in plans}) == 3
    assert random_planners.loads == ["network", "tokenizer"]
    alone = [engine.plan(request("metadata", seed=seed))[0] for seed in (3, 4, 5)]
    assert alone == plans


def test_the_planner_is_let_go_of_before_the_first_song_is_rendered(make, random_planners, songs):
    engine = make(planners=random_planners, policy="one-at-a-time")
    asked = [request("metadata", {"rewrite_caption": False}, duration_s=10, count=2),
             request("metadata", {"rewrite_caption": False}, caption="other", duration_s=12)]  # fmt: skip
    order: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, (Planned, Finished)) or (isinstance(event, StageBegan) and event.name == "plan"):
            order.append(type(event).__name__ if not isinstance(event, StageBegan) else "plan")

    made = engine.generate_many(asked, on_progress=hear)
    assert [song.duration_s for song in made] == [10, 10, 12]
    assert order.index("Planned") == 3
    assert order[:3] == ["plan"] * 3
    assert random_planners.loads.count("network") == 1
    assert not any("tiny planner" in key for key in engine.store.loaded())


def test_writing_is_told_as_steps_with_tokens_a_second(make):
    events: list[Any] = []
    make(SONG, {"codes": codes_for(12)}).plan(request(), on_progress=events.append)
    steps = [event for event in events if isinstance(event, Step)]
    assert {step.stage for step in steps} == {"plan"}
    assert steps[0].count is None
    assert steps[-1].count == 61
    assert steps[-1].index == 61
    assert steps[-1].tokens_per_s > 0
    assert steps[-1].seconds_left == 0


def test_a_cancel_stops_between_two_tokens(make):
    cancel = threading.Event()
    seen: list[int] = []

    def hear(event: Any) -> None:
        if isinstance(event, Step):
            seen.append(event.index)
            if len(seen) == 3:
                cancel.set()

    engine = make(SONG, {"codes": codes_for(12)})
    with pytest.raises(Cancelled):
        engine.generate(request(), on_progress=hear, cancel=cancel)
    assert len(seen) == 3
    assert engine.plan(request())[0].bpm == 96  # what was lent came back


def test_an_answer_that_was_made_again_is_noted_in_the_record(make):
    song = make(SONG | {"caption": "piano " * 60}, SONG).generate(request("metadata"))
    assert any("thrown away" in warning for warning in song.warnings)


def test_an_answer_that_fails_twice_is_an_error_before_anything_is_rendered(make, songs):
    with pytest.raises(PlannerError, match="piano piano"):
        make(SONG | {"caption": "piano " * 60}).generate(request("metadata"))
    assert songs.loads == []


def test_a_song_in_words(make):
    engine = make(SONG | {"lyrics": LYRICS})
    found = engine.write("a rainy song", language="es", seed=4)
    assert (found.caption, found.lyrics, found.language, found.seed) == (SONG["caption"], LYRICS, "es", 4)
    assert (found.bpm, found.duration_s, found.key, found.time_signature) == (96, 12.0, "F# minor", "4/4")
    assert found.genres == "ballad"
    resolved = engine.resolve(SongRequest(**found.request_fields(), model=TURBO))
    assert (resolved.lyrics, resolved.bpm, resolved.duration_s) == (LYRICS, 96, 12)
    with pytest.raises(RequestError, match="wish is empty"):
        engine.write(" ")
    with pytest.raises(RequestError, match="language"):
        engine.write("x", language="klingon")


def test_music_without_a_voice_gets_no_words(make):
    found = make(SONG | {"lyrics": LYRICS}).write("a rainy song", instrumental=True, seed=1)
    assert found.lyrics == "[Instrumental]"
    assert "none were wanted" in found.notes[0]
    original = make(SONG | {"lyrics": LYRICS}).write("a rainy song", instrumental=True, seed=1, parity=True)
    assert original.lyrics == LYRICS


def test_the_header_of_lyrics_goes_where_the_original_misses_it(make):
    run = SONG | {"lyrics": f"# Lyrics\n{LYRICS}"}
    assert make(run).write("x", seed=1).lyrics == LYRICS
    assert make(run).write("x", seed=1, parity=True).lyrics == f"# Lyrics\n{LYRICS}"


def test_words_are_rewritten_and_keep_what_was_given(make):
    found = make(SONG | {"language": "en"}).format("piano", "rain", language="fr", bpm=70, key="Gm")
    assert (found.language, found.bpm, found.key) == ("fr", 70, "G minor")
    assert found.lyrics == "rain"  # none were written
    original = make(SONG).format("piano", "rain", language="fr", parity=True)
    assert original.language is None


def test_audio_is_heard_as_codes_and_told_in_words(make, songs, monkeypatch):
    engine = make(SONG | {"lyrics": LYRICS})
    heard: list[int] = []
    room = engine.planners
    describe = room.describe
    known = codes_for(200)
    monkeypatch.setattr(
        room, "describe", lambda codes, *of, **how: heard.extend(codes) or describe(known[: len(codes)], *of, **how)
    )
    found = engine.describe(engine.hold(music(2.5), 48_000), model=TURBO, seed=1)
    assert len(heard) == 13
    assert all(0 <= code < 64_000 for code in heard)
    assert (found.caption, found.lyrics) == (SONG["caption"], LYRICS)
    assert songs.loads[-3:] == ["vae", "silence_latent", "audio_tokenizer"]
    with pytest.raises(RequestError, match="no semantic codes"):
        engine.describe(engine.hold(music(1), 48_000), model="built-in")


def test_a_song_that_is_kept_is_heard_through_its_own_latents(make, songs, monkeypatch):
    engine = make(SONG | {"lyrics": LYRICS})
    ref = engine.hold(engine.generate(request("off", duration_s=5)))
    songs.loads.clear()
    with pytest.raises(ModelError, match="audio codes"):  # those of random networks are no codes of this vocabulary
        engine.describe(ref, model=TURBO)
    assert "vae" not in songs.loads


def test_codes_are_told_in_words_without_a_song_model(make, songs):
    assert make(SONG | {"lyrics": LYRICS}).describe(codes_for(3)).bpm == 96
    assert songs.loads == []


def test_a_planner_that_is_not_here_is_named_with_what_fetches_it(settings, songs):
    engine = Engine(runtime=fake_runtime(), settings=settings, loader=lambda card: songs)
    with pytest.raises(ModelError, match=r"No planner is on this machine.*partita download ace-step-1.5-planner-1.7b"):
        engine.generate(request())
    with pytest.raises(ModelError, match=r"partita download ace-step-1.5-planner-4b"):
        engine.write("x", planner=PlannerOptions(model="ace-step-1.5-planner-4b"))
    with pytest.raises(RequestError, match="There is no planner"):
        engine.write("x", planner=PlannerOptions(model="gpt"))


def test_the_options_choose_the_planner_and_its_form(make, tmp_path):
    planners = Planners(tmp_path, lambda: Script(SONG))
    options = {"model": "acestep-5Hz-lm-0.6B", "weight_format": "int8"}
    (plan,) = make(planners=planners).plan(request("metadata", options))
    assert planners.opened == ["ace-step-1.5-planner-0.6b int8"]
    assert (plan.planner.model, plan.planner.weight_format) == ("ace-step-1.5-planner-0.6b", "int8")


def test_a_record_without_a_planner_is_still_read(make):
    record = make(SONG).generate(request("off", duration_s=5)).record
    old = json.loads(record.model_dump_json())
    del old["request"]["planner"], old["request"]["plan"], old["plan"]["planner"]
    assert Record.from_json(json.dumps(old)) == record
    with pytest.raises(ReplayError):
        Record.from_json(json.dumps(old | {"plan": {}}))
