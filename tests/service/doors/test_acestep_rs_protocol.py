import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.service.doors.acestep_rs.protocol import (
    FIELDS,
    Asked,
    Command,
    check,
    error_answer,
    format_of,
    message_answer,
    number,
    read_line,
    song_answer,
)
from partita.service.doors.acestep_rs.table import TABLE
from partita.service.doors.table import as_markdown


def read_and_check(line: str) -> None:
    asked = read_line(line)
    assert isinstance(asked, Asked)
    check(asked)


def refusal(line: str) -> str:
    with pytest.raises(RequestError) as caught:
        read_and_check(line)
    return str(caught.value)


def test_every_field_of_a_line_with_its_usual_value():
    assert read_line('{"caption":"a"}') == Asked("a", "", "", "en", 30.0, 3.0, None, None)


def test_every_field_as_it_is_given_in_any_order():
    line = (
        '{"output":"/tmp/ü.ogg","seed":18446744073709551615,"shift":1,"duration_s":12,"language":"de",'
        '"metas":"bpm: 90","lyrics":"[verse]\\nüber","caption":"café"}'
    )
    asked = read_line(line)
    assert asked == Asked("café", "[verse]\nüber", "bpm: 90", "de", 12.0, 1.0, 2**64 - 1, "/tmp/ü.ogg")
    assert isinstance(asked, Asked)
    assert asked.given == frozenset(FIELDS)


def test_text_may_be_raw_or_escaped():
    assert read_line('{"caption":"caf\\u00e9 \\ud83c\\udfb5"}') == read_line('{"caption":"café 🎵"}')


def test_unknown_fields_are_ignored_even_twice():
    assert read_line('{"x":[1,{"caption":null}],"caption":"a","x":null}') == Asked("a")


@pytest.mark.parametrize("line", ["", " ", "\t\r", "\n"])
def test_an_empty_line(line: str):
    assert refusal(line) == "empty request"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hello", "expecting value at line 1 column 1"),
        ("[]", "invalid type: sequence, expected an object at line 1 column 2"),
        ('"caption"', 'invalid type: string "caption", expected an object'),
        ("7", "invalid type: integer `7`, expected an object"),
        ("{}", "missing field `caption` at line 1 column 2"),
        ('{"lyrics":"la"}', "missing field `caption`"),
        ('{"caption":"a"} x', "trailing characters at line 1 column 17"),
        ('{"caption":"a"}{}', "trailing characters"),
        ('{"caption":"a"', "expected `,` or `}`"),
        ('{"caption":"a",}', "expected a name in double quotes"),
        ('{"caption" "a"}', "expected `:`"),
        ('{"caption":', "the line ends within a value"),
        ('{"caption":"a', "unterminated string"),
        ("{'caption':'a'}", "expected a name in double quotes"),
        ('{"caption":"a","caption":"b"}', "duplicate field `caption` at line 1 column 28"),
        ('{"caption":"a","seed":1,"seed":1}', "duplicate field `seed`"),
        ('{"caption":null}', "invalid type: null, expected a string for `caption`"),
        ('{"caption":5}', "invalid type: integer `5`, expected a string for `caption`"),
        ('{"caption":"a","lyrics":null}', "invalid type: null, expected a string for `lyrics`"),
        ('{"caption":"a","metas":null}', "invalid type: null, expected a string for `metas`"),
        ('{"caption":"a","language":null}', "invalid type: null, expected a string for `language`"),
        ('{"caption":"a","output":7}', "invalid type: integer `7`, expected a string for `output`"),
        ('{"caption":"a","duration_s":"30"}', 'invalid type: string "30", expected f64 for `duration_s`'),
        ('{"caption":"a","duration_s":true}', "invalid type: boolean `true`, expected f64 for `duration_s`"),
        ('{"caption":"a","shift":null}', "invalid type: null, expected f64 for `shift`"),
        ('{"caption":"a","seed":-1}', "invalid value: integer `-1`, expected u64 for `seed`"),
        ('{"caption":"a","seed":1.0}', "invalid type: floating point `1.0`, expected u64 for `seed`"),
        ('{"caption":"a","seed":18446744073709551616}', "expected u64 for `seed`"),
        ('{"caption":"a","duration_s":1e999}', "number out of range"),
        ('{"caption":"a","duration_s":' + "9" * 5000 + "}", "number out of range"),
        ('{"caption":"a","duration_s":NaN}', "NaN is no number of JSON"),
        ('{"caption":"a","x":' + "[" * 100_000 + "}", "recursion limit exceeded"),
        ('{"caption":"\\ud800"}', "lone surrogate in a string"),
        ('{"caption":"a\x01"}', "invalid control character"),
    ],
)
def test_a_line_that_is_no_request(line: str, words: str):
    text = refusal(line)
    assert text.startswith("invalid JSON request: ")
    assert words in text


@pytest.mark.parametrize("caption", ["", "  ", "\\n\\t"])
def test_a_blank_caption(caption: str):
    assert refusal(f'{{"caption":"{caption}"}}') == "'caption' field is required and must not be empty"


@pytest.mark.parametrize(
    ("value", "told"), [("700", "700"), ("0.5", "0.5"), ("600.5", "600.5"), ("-3", "-3"), ("0", "0")]
)
def test_a_length_out_of_range(value: str, told: str):
    assert refusal(f'{{"caption":"a","duration_s":{value}}}') == f"duration_s must be between 1 and 600, got {told}"


@pytest.mark.parametrize("value", ["1", "600", "600.0", "1e2", "null"])
def test_a_length_in_range(value: str):
    asked = read_line(f'{{"caption":"a","duration_s":{value}}}')
    assert isinstance(asked, Asked)
    assert check(asked) == "ogg"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("a.wav", "wav"),
        ("a.WAV", "wav"),
        ("a.ogg", "ogg"),
        ("a.vorbis", "ogg"),
        ("/x.y/a.Mp3", "mp3"),
        ("a", "wav"),
        ("/x.flac/a", "wav"),
        (".hidden", "wav"),
        ("a.b.ogg", "ogg"),
    ],
)
def test_the_format_of_a_file_name(output: str, expected: str):
    assert format_of(output) == expected


@pytest.mark.parametrize(("output", "extension"), [("a.flac", "flac"), ("a.tar.GZ", "gz"), ("a.", "")])
def test_a_format_that_is_none(output: str, extension: str):
    line = json.dumps({"caption": "a", "output": output})
    assert refusal(line) == f"unsupported output format '{extension}'. Use .wav or .ogg"


def test_faults_are_told_in_the_order_of_the_checks():
    assert "caption" in refusal('{"caption":" ","duration_s":0,"output":"a.flac"}')
    assert "duration_s" in refusal('{"caption":"a","duration_s":0,"output":"a.flac"}')


def test_commands_stand_in_place_of_a_caption():
    assert read_line('{"command":"unload"}') == Command("unload")
    assert read_line('{"command":"unload","caption":"a"}') == Asked("a")
    assert "missing field `caption`" in refusal('{"command":7}')


def test_the_answers_byte_for_byte():
    assert song_answer("/tmp/é.ogg", 30) == (
        '{"ok":true,"path":"/tmp/é.ogg","duration_s":30.0,"sample_rate":48000,"channels":2}'
    )
    assert error_answer('a "b"') == '{"ok":false,"error":"a \\"b\\""}'
    assert message_answer("pipeline unloaded") == '{"ok":true,"message":"pipeline unloaded"}'


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_line_is_read_or_refused_in_words(line: str):
    text = "empty request"
    try:
        read_line(line)
    except RequestError as error:
        text = str(error)
    assert text == "empty request" or text.startswith("invalid JSON request: ")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "command", "x"]), _VALUES))
def test_any_object_is_read_as_a_whole_or_refused(members: dict[str, object]):
    try:
        asked = read_line(json.dumps(members))
    except RequestError:
        return
    if isinstance(asked, Asked):
        assert asked.caption == members["caption"]
        assert asked.given == {name for name in members if name in FIELDS}


def test_numbers_as_the_original_writes_them():
    told = [number(value) for value in (30.0, 12.5, float("nan"), float("inf"), float("-inf"))]
    assert told == ["30", "12.5", "NaN", "inf", "-inf"]


def test_the_table_has_a_row_for_every_field():
    assert {row.name for row in TABLE} == {*FIELDS, "command"}


def test_the_docs_have_the_table():
    page = (Path(__file__).parents[3] / "docs" / "daemon.md").read_text(encoding="utf-8")
    assert as_markdown(TABLE) in page
