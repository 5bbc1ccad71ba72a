"""Tasks of the ACE-Step protocol that are not simply songs, with models and a planner that are here, and restarts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Timer
from typing import Any

import pytest

from partita.errors import BusyError, Cancelled, RequestError
from partita.service.doors.acestep import errands as errands_module
from partita.service.doors.acestep.errands import Errand, Errands
from partita.service.doors.acestep.wanted import Wanted
from partita.text.tokenizers import TextTokenizer
from partita.weights.catalog import catalog, planners
from partita.weights.inventory import ModelStatus
from tests.engine.test_planning import LYRICS, Planners
from tests.engine.test_real_renderer import TinyLoader
from tests.fakes import ToneRenderer
from tests.planner.lm.tiny import SONG, Script, codes_for
from tests.render.acestep15.tiny import TinyParts
from tests.service.doors.acestep_client import Client, envelope, serving, settings_in, tones, wav
from tests.text.test_tokenizers import write_tokenizer

SOON_S = 20.0


@pytest.fixture
def everything_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of two models of the family and of one planner lie on this machine, as far as anybody looks."""
    here = ("built-in", "ace-step-1.5-turbo", "ace-step-1.5-base", "ace-step-1.5-planner-1.7b")

    def status(card: Any, *rest: Any) -> ModelStatus:
        return ModelStatus(card, "ready" if card.id in here else "absent", missing=("weights",))

    monkeypatch.setattr("partita.service.doors.choice.model_status", status)
    monkeypatch.setattr("partita.service.doors.acestep.models.inventory", lambda *rest: [status(c) for c in catalog()])
    monkeypatch.setattr("partita.engine.hearing.inventory", lambda *rest: [status(one) for one in catalog()])
    for place in ("acestep.models", "spoken"):
        monkeypatch.setattr(
            f"partita.service.doors.{place}.planner_inventory", lambda *rest: [status(one) for one in planners()]
        )


@pytest.fixture
def renderer() -> ToneRenderer:
    return ToneRenderer()


@pytest.fixture
def client(tmp_path: Path, renderer: ToneRenderer, everything_is_here: None) -> Iterator[Client]:
    planner = tmp_path / "planner"
    planner.mkdir()
    written = [SONG | {"lyrics": LYRICS}, {"codes": codes_for(12)}]
    loader = Planners(planner, lambda: Script(*written))
    with serving(tmp_path, manager=tones(settings_in(tmp_path), renderer=renderer, planner_loader=loader)) as client:
        yield client


def test_models_that_are_here_are_listed_under_the_names_that_clients_know(client: Client) -> None:
    told = envelope(client.http.get("/v1/model_inventory"))
    assert [model["name"] for model in told["models"]] == ["built-in", "acestep-v15-turbo", "acestep-v15-base"]
    tasks = {model["name"]: model["supported_task_types"] for model in told["models"]}
    assert tasks["acestep-v15-turbo"] == ["text2music", "cover", "repaint"]
    assert tasks["acestep-v15-base"] == ["text2music", "cover", "repaint", "lego", "extract", "complete"]
    assert told["lm_models"] == [{"name": "acestep-5Hz-lm-1.7B", "is_loaded": True}]
    assert (told["loaded_lm_model"], told["llm_initialized"]) == ("acestep-5Hz-lm-1.7B", True)
    used = envelope(client.http.post("/v1/init", json={"model": "acestep/acestep-v15-turbo", "init_llm": True}))
    assert (used["loaded_model"], used["loaded_lm_model"]) == ("acestep-v15-turbo", "acestep-5Hz-lm-1.7B")
    assert [model["name"] for model in used["models"] if model["is_loaded"]] == ["acestep-v15-turbo"]
    ids = [model["id"] for model in client.http.get("/v1/models").json()["data"]]
    assert ids[0] == "acestep/acestep-v15-turbo"


def test_the_model_that_is_named_plays_and_the_answer_says_so(client: Client) -> None:
    released = client.release({"prompt": "x", "model": "acestep-v15-turbo", "audio_duration": 10, "batch_size": 1})
    (item,) = client.items(released["task_id"])
    assert (item["dit_model"], item["lm_model"]) == ("acestep-v15-turbo", "acestep-5Hz-lm-1.7B")
    assert item["prompt"] == SONG["caption"]  # the usual wish for a little help was followed


def test_work_that_the_model_in_use_cannot_do_goes_to_one_that_can(client: Client) -> None:
    released = client.release({"task_type": "cover", "prompt": "rock", "batch_size": 1}, src_audio=wav(2))
    (item,) = client.items(released["task_id"])
    assert item["dit_model"] == "acestep-v15-turbo"
    assert "built-in does no cover of this source; acestep" in " ".join(item["notes"]).replace(
        "ace-step-1.5", "acestep"
    )
    lego = client.release(
        {"task_type": "lego", "track_name": "bass", "prompt": "x", "batch_size": 1, "model": "acestep-v15-sft"},
        src_audio=wav(2),
    )
    (item,) = client.items(lego["task_id"])
    assert item["dit_model"] == "acestep-v15-base"
    assert any("acestep-v15-sft was asked for" in note for note in item["notes"])


def test_a_model_that_is_named_and_here_is_not_replaced(client: Client) -> None:
    released = client.release(
        {"task_type": "lego", "track_name": "bass", "prompt": "x", "model": "acestep-v15-turbo"}, src_audio=wav(2)
    )
    failure = client.failure(released["task_id"])
    assert "ace-step-1.5-turbo cannot do lego" in failure["error"]
    assert "ace-step-1.5-base" in failure["error"]


def test_thinking_writes_the_codes_that_the_song_follows(client: Client, renderer: ToneRenderer) -> None:
    body = {"prompt": "x", "model": "acestep-v15-turbo", "thinking": True, "audio_duration": 12, "batch_size": 1}
    client.items(client.release(body)["task_id"])
    plan = renderer.passes[-1][0].plan
    assert plan.codes is not None
    assert len(plan.codes) == 60


def test_a_wish_is_put_into_words_before_the_song_is_made(client: Client) -> None:
    released = client.release({"sample_query": "something calm in German", "batch_size": 1, "audio_format": "flac"})
    (item,) = client.items(released["task_id"])
    assert item["prompt"] == SONG["caption"]
    assert item["lyrics"].strip() == LYRICS
    assert item["file"].endswith(".flac")
    assert item["dit_model"] == "built-in"


def test_words_are_rewritten_and_what_was_given_stays(client: Client) -> None:
    body = {"prompt": "calm", "lyrics": "[Verse]\nrain", "use_format": True, "bpm": 77, "batch_size": 1}
    (item,) = client.items(client.release({**body, "model": "acestep-v15-turbo"})["task_id"])
    assert item["metas"]["bpm"] == 77
    assert item["prompt"] == SONG["caption"]
    formatted = envelope(client.http.post("/format_input", json={"prompt": "calm", "lyrics": "rain", "bpm": 77}))
    assert (formatted["caption"], formatted["bpm"]) == (SONG["caption"], 77)
    assert set(formatted) >= {"key_scale", "time_signature", "duration", "vocal_language"}
    sample = envelope(client.http.post("/v1/create_sample", json={"query": "calm"}))
    assert sample["caption"] == SONG["caption"]
    assert not sample["instrumental"]


def test_an_analysis_is_a_plan_by_the_planner(client: Client) -> None:
    body = {"prompt": "calm", "analysis_only": True, "model": "acestep-v15-turbo", "thinking": True}
    (item,) = client.items(client.release(body)["task_id"])
    assert item["dit_model"] == "None (Analysis Only)"
    assert item["lm_model"] == "acestep-5Hz-lm-1.7B"
    assert item["metas"]["caption"] == SONG["caption"]
    assert item["file"] == ""


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> TinyLoader:
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyLoader(TinyParts(TextTokenizer.load(folder)))


def test_a_source_is_heard_as_codes_and_told_in_words(
    tmp_path: Path, networks: TinyLoader, everything_is_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "planner"
    folder.mkdir()
    loader = Planners(folder, lambda: Script(SONG | {"lyrics": LYRICS}))
    manager = tones(settings_in(tmp_path), loader=lambda card: networks, planner_loader=loader)
    with serving(tmp_path, manager=manager) as client:
        heard = client.items(client.release({"extract_codes_only": True}, src_audio=wav(2))["task_id"])[0]
        known = tuple(codes_for(2))  # the small tokenizer has few
        monkeypatch.setattr("partita.engine.spoken.codes_of", lambda *rest, **named: known)
        told = client.items(client.release({"full_analysis_only": True}, src_audio=wav(2))["task_id"])[0]
    assert heard["status_message"] == "Audio Codes Extraction Success"
    assert re.fullmatch(r"(<\|audio_code_\d+\|>){10}", heard["audio_codes"])
    assert (heard["audio_paths"], heard["raw_audio_paths"], heard["first_audio_path"], heard["metas"]) == (
        [],
        [],
        None,
        {},
    )
    assert told["status_message"] == "Full Hardware Analysis Success"
    assert told["audio_codes"] == "".join(f"<|audio_code_{code}|>" for code in known)
    assert (told["prompt"], told["lyrics"].strip()) == (SONG["caption"], LYRICS)
    assert set(told) >= {"bpm", "keyscale", "timesignature", "duration", "genre", "language", "metas"}


def test_what_fails_in_an_errand_is_told_in_words(client: Client) -> None:
    released = client.release({"extract_codes_only": True}, src_audio=wav(1))
    failure = client.failure(released["task_id"])
    assert "Traceback" not in json.dumps(failure)
    assert failure["stage"] == "failed"


def test_results_survive_a_restart(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with serving(tmp_path, manager=tones(settings)) as client:
        song = client.release({"prompt": "x", "audio_duration": 1, "batch_size": 1})["task_id"]
        before = client.finished(song)
        refused = client.release({"task_type": "stem_separation"})["task_id"]
        plan = client.release({"prompt": "jazz", "analysis_only": True})["task_id"]
        planned = client.items(plan)
    with serving(tmp_path, manager=tones(settings)) as client:
        after = client.entry(song)
        assert (after["status"], after["result"]) == (1, before["result"])
        assert client.http.get(json.loads(after["result"])[0]["file"]).status_code == 200
        assert client.entry(refused)["status"] == 2
        assert client.items(plan) == planned


class Told(Errands):
    """Tells whenever a file is written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.kept: SimpleQueue[Errand] = SimpleQueue()
        super().__init__(*args, **kwargs)

    def _keep(self, errand: Errand) -> Errand:
        kept = super()._keep(errand)
        self.kept.put(kept)
        return kept


class Line:
    """Errands in a folder, each of which waits for its turn."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.turn, self.began, self.ran = Event(), SimpleQueue(), []
        self.errands = Told(folder, self._run, **({"most_waiting": 10, "keep_s": None} | limits))

    def _run(self, errand: Errand) -> Errand:
        self.began.put(errand.id)
        assert self.turn.wait(SOON_S)
        self.ran.append(errand.id)
        if errand.wanted.query == "close":
            raise Cancelled
        if errand.wanted.query == "bad":
            raise RequestError("It cannot be.")
        if errand.wanted.query == "worse":
            raise KeyError("inside")
        return errand.model_copy(update={"state": "done", "result": {}})

    def over(self, errand: Errand) -> Errand:
        """The errand when its file says that it is over."""
        while True:
            kept = self.errands.kept.get(timeout=SOON_S)
            if (kept.id, kept.state == "waiting") == (errand.id, False):
                return kept


def test_what_waited_when_the_server_stopped_is_gone_on_with(tmp_path: Path) -> None:
    line = Line(tmp_path)
    first, second = (line.errands.add(Wanted(query=query)) for query in ("close", "b"))
    line.turn.set()
    assert line.over(second).state == "done"
    line.errands.close()
    assert line.errands.find(first.id) == first  # the queue had closed under it
    again = Line(tmp_path)
    again.turn.set()
    assert again.errands.counts()["waiting"] == 1
    again.errands.resume()
    assert again.began.get(timeout=SOON_S) == first.id
    again.errands.close()


@pytest.mark.parametrize(("query", "told"), [("bad", "It cannot be."), ("worse", "its log says what")])
def test_an_errand_that_fails_says_why_and_the_next_one_runs(tmp_path: Path, query: str, told: str) -> None:
    line = Line(tmp_path)
    line.turn.set()
    bad, good = line.errands.add(Wanted(query=query)), line.errands.add(Wanted())
    assert told in (line.over(bad).error or "")
    assert line.over(good).state == "done"
    assert line.errands.counts() == {"failed": 1, "done": 1}
    line.errands.close()


def test_closing_begins_no_further_errand(tmp_path: Path) -> None:
    line = Line(tmp_path)
    first, second = line.errands.add(Wanted()), line.errands.add(Wanted())
    assert line.began.get(timeout=SOON_S) == first.id
    Timer(0.05, line.turn.set).start()  # while it is being closed
    line.errands.close()
    assert line.ran == [first.id]
    assert line.errands.find(second.id) == second


def test_only_so_many_errands_wait(tmp_path: Path) -> None:
    line = Line(tmp_path, most_waiting=2)
    line.errands.add(Wanted())
    line.errands.add(Wanted())
    with pytest.raises(BusyError):
        line.errands.add(Wanted())
    line.turn.set()
    line.errands.close()


def test_only_so_many_that_are_over_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands_module, "MOST_KEPT", 3)
    line = Line(tmp_path)
    ids = [line.errands.refuse(Wanted(), str(number)).id for number in range(6)]
    assert [line.errands.find(one) is not None for one in ids] == [False] * 3 + [True] * 3
    old = Line(tmp_path, keep_s=0.0)
    old.errands.refuse(Wanted(), "new")
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_damaged_errand_is_none(tmp_path: Path) -> None:
    (tmp_path / f"{'0' * 32}.json").write_text("{", encoding="utf-8")
    line = Line(tmp_path)
    assert line.errands.find("0" * 32) is None
    assert line.errands.find("../x") is None
    line.errands.resume()
