"""The lines of ace-step-rs's radio, as its clients write and read them."""

import pytest

from partita.radio.events import Failed, Generating, Noted, Playing, Ready, SongDone, SongReady
from partita.radio.fillers import CAPTIONS
from partita.radio.protocol import Answer, answer, event_line, state_line
from partita.radio.request import RadioRequest, cut
from partita.radio.show import Show
from partita.radio.station import RadioStation
from tests.radio.test_show import Ears, ended


@pytest.fixture
def show(station: RadioStation) -> Show:
    """One that is not on the air."""
    return Show(station, Ears())


class TestCommands:
    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("skip", "event:ok skipping"),
            ("SKIP the intro", "event:ok skipping"),
            ("queue", "event:ok queue is empty"),
            ("history", "event:ok no history yet"),
            ("Clear", "event:ok queue cleared"),
            ("state", "event:state playing=idle queued=0 history=0 total=0"),
            ("", ""),
            ("   ", ""),
            ("caption slow piano", 'event:ok queued: "slow piano"'),
            ("slow piano", 'event:ok queued: "slow piano"'),
            ("caption", 'event:ok queued: "caption"'),
            ("request", 'event:ok queued: "request"'),
            ('request {"caption": "rock", "bpm": 120}', 'event:ok queued: "rock"'),
            ("like a rolling stone", 'event:ok queued: "like a rolling stone"'),
            ("like", "event:error nothing is playing"),
            ("dislike", "event:error nothing is playing"),
        ],
    )
    def test_each_has_its_answer(self, show: Show, line: str, told: str):
        assert answer(line, show) == Answer(told)

    @pytest.mark.parametrize("line", ["q", "quit", "EXIT", "quit now"])
    def test_three_words_end_it(self, show: Show, line: str):
        assert answer(line, show).quits

    @pytest.mark.parametrize("text", ["{", "[]", '{"caption": 3}', '{"caption": "x", "bpm": "fast"}'])
    def test_a_bad_request_is_said(self, show: Show, text: str):
        assert answer(f"request {text}", show).text.startswith("event:error invalid JSON: ")
        assert not show.state.queued

    def test_a_request_that_says_nothing_is_refused(self, show: Show):
        assert answer("request {}", show).text.startswith("event:error ")

    def test_all_fields_of_a_request_arrive(self, show: Show):
        answer(
            'request {"caption":"c","lyrics":"l","bpm":90,"key_scale":"A minor","time_signature":"3/4",'
            '"language":"es","duration_s":120,"seed":5,"shift":2}',
            show,
        )
        assert show.state.queued == (
            RadioRequest(
                caption="c", lyrics="l", bpm=90, key_scale="A minor", time_signature="3/4", language="es",
                duration_s=120, seed=5, shift=2,
            ),
        )  # fmt: skip

    def test_what_waits_is_listed(self, show: Show):
        answer("first", show)
        answer('request {"caption": "sec\\nond"}', show)
        assert answer("queue", show).text == "event:ok queue:\n  1. first\n  2. sec ond"
        answer("clear", show)
        assert answer("queue", show).text == "event:ok queue is empty"

    def test_a_long_caption_is_cut_at_60_bytes_between_characters(self, show: Show):
        assert answer("ü" * 50, show).text == f'event:ok queued: "{"ü" * 30}"'
        assert answer("x" + "日" * 50, show).text == f'event:ok queued: "x{"日" * 19}"'

    def test_what_was_played_is_listed_with_seed_and_length(self, show: Show):
        show.station.enqueue(RadioRequest(caption="first", seed=7))
        ended(Show(show.station, Ears(), songs=1))
        air = Show(show.station, Ears(), songs=1)
        ended(air)
        lines = answer("history", air).text.splitlines()
        assert lines[:2] == ["event:ok history:", "  1. first seed=7 (2s)"]


class TestEvents:
    def test_each_has_its_line(self, station: RadioStation):
        heard = station.generate(RadioRequest(caption='a "b"', seed=9))
        assert event_line(Ready()) == "event:ready"
        assert event_line(Generating(3, heard.request, 179.6)) == (
            'event:generating song=3 duration=180s caption="a \\"b\\""'
        )
        ready = event_line(SongReady(heard))
        assert ready is not None
        assert ready.startswith("event:song_ready song=0 seed=9 duration=2s gen=")
        assert event_line(Playing(heard)) == 'event:playing song=0 duration=2s caption="a \\"b\\""'
        assert event_line(SongDone(heard)) == "event:song_done song=0"
        assert event_line(Failed("Generation failed: a\nb")) == "event:error Generation failed: a b"
        assert event_line(Noted("x")) is None

    def test_the_state_names_what_plays(self, station: RadioStation):
        ears = Ears()
        states = []
        ears.begin = lambda heard: None
        show = Show(station, ears, songs=1, told=lambda event: states.append(state_line(show.state)))
        ended(show)
        caption = cut(CAPTIONS[0])
        assert states[3] == f'event:state playing=song=0 caption="{caption}" duration=2s queued=0 history=1 total=1'
        assert states[-1] == "event:state playing=idle queued=0 history=1 total=1"
