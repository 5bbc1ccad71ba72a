import math

import pytest
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.song.request import Output, Sampling, SongRequest
from partita.text.languages import LANGUAGES


def test_a_caption_is_enough():
    request = SongRequest(caption="slow piano")
    assert request.model is None
    assert request.count == 1


def test_lyrics_alone_are_enough():
    assert SongRequest(lyrics="[Verse]\nla la").caption == ""


@pytest.mark.parametrize("words", [{}, {"caption": ""}, {"caption": "  \n"}, {"caption": "", "lyrics": " "}])
def test_empty_words_are_refused(words):
    with pytest.raises(RequestError, match="caption and lyrics are both empty") as caught:
        SongRequest(**words)
    assert caught.value.field == "caption"


def test_words_that_are_too_long_are_not_told_whole():
    with pytest.raises(
        RequestError, match=r"^lyrics cannot be 'la la .*\.\.\. \(50006 characters\): .* 50000"
    ) as caught:
        SongRequest(lyrics="la la " * 8334)
    assert len(str(caught.value)) < 200
    assert len(caught.value.value) == 50_004


@pytest.mark.parametrize("duration", [0, -1, -0.5, math.nan, math.inf])
def test_impossible_durations_are_refused_by_name(duration):
    with pytest.raises(RequestError, match="duration_s") as caught:
        SongRequest(caption="x", duration_s=duration)
    assert caught.value.field == "duration_s"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bpm", 29),
        ("bpm", 301),
        ("time_signature", "5/4"),
        ("seed", -1),
        ("seed", 2**32),
        ("count", 0),
        ("count", 65),
        ("caption", "nul\x00l"),
    ],
)
def test_values_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(RequestError) as caught:
        SongRequest(**{"caption": "x", field: value})
    assert caught.value.field == field


def test_an_unknown_field_is_refused_and_named():
    with pytest.raises(RequestError, match="no field 'temprature'"):
        SongRequest(caption="x", temprature=3)


@pytest.mark.parametrize(
    ("written", "kept"),
    [("f# minor", "F# minor"), ("A#m", "A# minor"), ("B♭ Major", "Bb major"), ("c", "C major"), ("Ebm", "Eb minor")],
)
def test_keys_are_read_as_people_write_them(written, kept):
    assert SongRequest(caption="x", key=written).key == kept


@pytest.mark.parametrize("key", ["H major", "C dorianish", "", "12", "C# "])
def test_what_is_no_key_is_refused_or_read(key):
    if key == "C# ":
        assert SongRequest(caption="x", key=key).key == "C# major"
        return
    with pytest.raises(RequestError) as caught:
        SongRequest(caption="x", key=key)
    assert caught.value.field == "key"


def test_every_language_of_the_original_is_taken():
    for code in LANGUAGES:
        assert SongRequest(caption="x", language=code).language == code


def test_an_unknown_language_lists_the_known_ones():
    with pytest.raises(RequestError, match=r"yue.*zh") as caught:
        SongRequest(caption="x", language="tlh")
    assert caught.value.field == "language"


def test_instrumental_and_lyrics_contradict_each_other():
    with pytest.raises(RequestError, match="leave out one"):
        SongRequest(caption="x", lyrics="la", instrumental=True)


@pytest.mark.parametrize(
    "output",
    [
        {"format": "mp3", "bit_depth": 24},
        {"format": "flac", "bit_depth": 32},
        {"format": "flac", "bitrate_kbps": 128},
        {"format": "midi"},
        {"normalise": "off", "loudness_lufs": -14},
    ],
)
def test_output_options_that_exclude_each_other_are_refused(output):
    with pytest.raises(RequestError):
        Output(**output)


@pytest.mark.parametrize("timesteps", [(), (0.5, 0.7), (1.2,), (math.nan,)])
def test_timesteps_must_fall_from_noise_to_music(timesteps):
    with pytest.raises(RequestError):
        Sampling(timesteps=timesteps)


def test_a_request_is_frozen_and_survives_json():
    request = SongRequest(caption="été 雨", duration_s=12.5, key="D minor", sampling=Sampling(steps=4), seed=3)
    assert SongRequest.from_json(request.model_dump_json()) == request
    with pytest.raises(Exception, match="frozen"):
        request.caption = "other"  # pyright: ignore[reportAttributeAccessIssue]


@given(st.text(max_size=40), st.floats(allow_nan=True, allow_infinity=True))
def test_any_words_and_duration_give_a_request_or_a_request_error(caption, duration):
    fine = bool(caption.strip()) and "\x00" not in caption and 0 < duration < math.inf
    if fine:
        assert SongRequest(caption=caption, duration_s=duration).duration_s == duration
    else:
        with pytest.raises(RequestError) as caught:
            SongRequest(caption=caption, duration_s=duration)
        assert caught.value.field in ("caption", "duration_s")
