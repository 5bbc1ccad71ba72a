"""The lyrics in finished songs, by the renderer: beside rendering, and again from what a song is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from partita.render.acestep15.alignment import align_lyrics, score_lyrics
from partita.render.acestep15.renderer import AceStep15Renderer
from partita.render.protocol import Follower, Job, LyricsHeard, Noted, StageStarted
from partita.text.tokenizers import TextTokenizer
from tests.fakes import fake_runtime
from tests.render.acestep15 import tiny
from tests.render.acestep15.tiny import TinyParts, job_of, latents_of, render_all, render_job
from tests.text.test_tokenizers import write_tokenizer

LYRICS = "the sea is wide\nthe sun is low\n"


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> TinyParts:
    """Networks with some of the heads that follow the lyrics."""
    folder = write_tokenizer(tmp_path_factory.mktemp("tokenizer"), appends=True)
    return TinyParts(TextTokenizer.load(folder), layers=5, heads=9)


def sung(**fields) -> Job:
    return replace(job_of(lyrics=LYRICS, language="en", **fields), follow=True)


def heard_in(events: list) -> LyricsHeard:
    (found,) = [event for event in events if isinstance(event, LyricsHeard)]
    return found


def follow(parts: TinyParts, *jobs: Job) -> list:
    return [told.event for told in AceStep15Renderer().follow(list(jobs), parts, fake_runtime())]


def test_two_lines_are_timed_within_the_song(deep):
    heard = heard_in(render_job(deep, sung(duration_s=6.1)))
    assert [line.text for line in heard.lines] == ["the sea is wide", "the sun is low"]
    first, second = heard.lines
    assert 0 <= first.start_s <= first.end_s <= second.start_s <= second.end_s <= 6.1
    assert all(0 <= one.score <= 1 for one in (heard.conditions, heard.song))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"task": {"kind": "text-to-music", "codes": [1, 2, 3] * 10}},
        {"source": tiny.source_of(tiny.sound(6)), "task": {"kind": "cover", "strength": 0.5}},
        {"source": tiny.source_of(tiny.sound(6)), "task": {"kind": "repaint", "start_s": 2, "end_s": 3}},
        {"references": (tiny.source_of(tiny.sound(3), name="b"),)},
    ],
)
def test_a_finished_song_is_heard_as_it_was_when_it_was_made(deep, fields):
    """Its conditions are made again by the code of rendering, whatever the task."""
    job = sung(**fields)
    events = render_job(deep, job)
    again = follow(deep, replace(job, latents=latents_of(events)))
    assert heard_in(again) == heard_in(events)


def test_what_follows_changes_nothing_of_the_song(deep):
    job = sung()
    plain = render_job(deep, replace(job, follow=False))
    assert not any(isinstance(event, LyricsHeard) for event in plain)
    assert torch.equal(latents_of(plain), latents_of(render_job(deep, job)))


def test_latents_of_an_earlier_try_are_followed_too(deep):
    job = sung()
    events = render_job(deep, job)
    resumed = render_job(deep, replace(job, latents=latents_of(events)))
    assert heard_in(resumed) == heard_in(events)
    assert StageStarted("sample") not in resumed


def test_songs_of_a_pass_are_followed_each_by_itself(deep):
    jobs = [sung(seed=1), replace(sung(seed=2), follow=False), sung(seed=3)]
    told = render_all(deep, jobs)
    found = {one.job: one.event for one in told if isinstance(one.event, LyricsHeard)}
    assert sorted(found) == [0, 2]
    assert found[2] == heard_in(render_job(deep, jobs[2]))


def test_frames_that_only_fill_the_shortest_layout_are_not_listened_to(deep):
    """A song of 2 s is sampled with 5.12 s of frames; its lines lie in the two seconds that sound."""
    job = sung(duration_s=2.0, model=tiny.BASE, plan={"duration_s": 2.0})
    heard = heard_in(render_job(deep, job))
    assert heard.lines[-1].end_s <= 2.0


def test_scores_and_times_are_those_of_a_call_each(deep, monkeypatch):
    listened = []
    monkeypatch.setattr(
        "partita.render.acestep15.renderer.hear_lyrics",
        lambda dit, song, tokenizer, duration_s: listened.append((dit, song, tokenizer, duration_s)),
    )
    render_job(deep, sung())
    monkeypatch.undo()
    heard = heard_in(render_job(deep, sung()))
    ((dit, song, tokenizer, duration_s),) = listened
    assert duration_s == 5.12
    scores = score_lyrics(dit, song, tokenizer)
    assert (scores.conditions, scores.song) == (heard.conditions, heard.song)
    lines = align_lyrics(dit, song, tokenizer).sentences
    assert [line.start_s for line in lines] == [line.start_s for line in heard.lines]


@pytest.mark.parametrize(("fields", "why"), [({"instrumental": True}, "nothing sung")])
def test_a_song_without_lyrics_goes_on_with_a_note(deep, fields, why):
    events = render_job(deep, replace(job_of(**fields), follow=True))
    assert any(isinstance(event, Noted) and why in event.message for event in events)
    assert latents_of(events) is not None


def test_a_transformer_without_the_heads_says_so(parts):
    events = render_job(parts, sung())
    (note,) = [event.message for event in events if isinstance(event, Noted)]
    assert "none of the heads" in note


def test_the_renderer_is_a_follower():
    assert isinstance(AceStep15Renderer(), Follower)
