"""What a listener asks for, and how long it is to be."""

import pytest

from partita.errors import RequestError
from partita.radio.request import RadioRequest, auto_duration_s, cut


def lyrics(lines: int) -> str:
    return "\n".join(f"line {number}" for number in range(lines))


class TestAutoDuration:
    @pytest.mark.parametrize(("lines", "seconds"), [(0, 180), (1, 100), (5, 100), (20, 160), (25, 200), (100, 600)])
    def test_it_is_eight_seconds_a_line_within_limits(self, lines: int, seconds: float):
        assert auto_duration_s(RadioRequest(caption="x", lyrics=lyrics(lines))) == seconds

    def test_blank_lines_do_not_count_and_section_tags_do(self):
        text = "[verse]\n" + "la la\n\n   \n" * 14
        assert auto_duration_s(RadioRequest(lyrics=text)) == 15 * 8

    @pytest.mark.parametrize(("asked", "given"), [(300, 300), (5, 100), (9999, 600)])
    def test_what_is_asked_for_is_held_within_limits(self, asked: float, given: float):
        assert auto_duration_s(RadioRequest(caption="x", duration_s=asked)) == given


class TestProtocol:
    def test_every_field_has_its_default(self):
        request = RadioRequest.from_protocol("{}")
        assert request == RadioRequest()
        assert (request.time_signature, request.language, request.shift) == ("4/4", "en", 3.0)
        assert not request.auto_generated

    def test_unknown_fields_and_nobody_but_us_marks_fillers(self):
        request = RadioRequest.from_protocol('{"caption": "x", "auto_generated": true, "mood": 1, "style": "tango"}')
        assert request == RadioRequest(caption="x")

    def test_null_means_the_default_where_the_original_allows_it(self):
        request = RadioRequest.from_protocol('{"time_signature": null, "language": null, "shift": null, "bpm": null}')
        assert request == RadioRequest()

    @pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', '{"caption": null}', '{"bpm": -1}', '{"seed": 1.5}'])
    def test_what_is_no_request_is_refused(self, text: str):
        with pytest.raises(RequestError):
            RadioRequest.from_protocol(text)


class TestFields:
    def of(self, request: RadioRequest, family: str = "built-in") -> dict:
        return request.to_fields(model="built-in", family=family, duration_s=100, seed=1)

    def test_without_lyrics_it_is_instrumental(self):
        assert self.of(RadioRequest(caption="x"))["instrumental"]
        assert not self.of(RadioRequest(caption="x", lyrics="la"))["instrumental"]

    def test_the_usual_metre_gives_way_to_the_captions(self):
        assert self.of(RadioRequest(caption="a song"))["time_signature"] == "4/4"
        assert "time_signature" not in self.of(RadioRequest(caption="a waltz"))
        assert self.of(RadioRequest(caption="a waltz", time_signature="6"))["time_signature"] == "6/8"

    def test_the_usual_language_gives_way_to_the_lyrics(self):
        assert "language" not in self.of(RadioRequest(lyrics="hola"))
        assert self.of(RadioRequest(lyrics="hola", language="es"))["language"] == "es"

    @pytest.mark.parametrize(("shift", "used"), [(1, 1.0), (2.9, 2.0), (0.5, 3.0), (-4, 3.0), (7, 3.0)])
    def test_shift_is_one_of_three_and_for_its_own_family(self, shift: float, used: float):
        assert self.of(RadioRequest(caption="x", shift=shift), "acestep-1.5")["sampling"] == {"shift": used}
        assert "sampling" not in self.of(RadioRequest(caption="x", shift=shift))


def test_a_text_is_cut_between_characters():
    assert cut("ä" * 40) == "ä" * 30
    assert cut("x" + "ä" * 40) == "x" + "ä" * 29
    assert cut("short") == "short"
