"""Keys: what is read, how it is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from partita.errors import RequestError
from partita.score.keys import KEYS, key_name, parse_key, scale_pitch_classes


@pytest.mark.parametrize("key", KEYS)
def test_every_canonical_spelling_reads_as_itself(key: str) -> None:
    assert key_name(*parse_key(key)) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("C", "C major"),
        ("Am", "A minor"),
        ("AM", "A major"),
        ("f# minor", "F# minor"),
        ("Gb Major", "F# major"),
        ("A♭ maj", "Ab major"),
        ("D# minor", "Eb minor"),
        ("b minor", "B minor"),
        ("Bbm", "Bb minor"),
        ("d flat min", "C# minor"),
        ("  E  major ", "E major"),
        ("C-sharp minor", "C# minor"),
        ("E#", "F major"),
    ],
)
def test_a_key_is_read_as_people_write_it(text: str, key: str) -> None:
    assert key_name(*parse_key(text)) == key


@pytest.mark.parametrize("text", ["", "H", "C dorian", "major", "C# # minor", "12", "Cb minor major"])
def test_what_is_no_key_is_refused_by_name(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_key(text)
    assert caught.value.field == "key"
    assert repr(text) in str(caught.value)


@given(st.integers(-24, 24), st.sampled_from(["major", "minor"]))
def test_a_scale_has_seven_tones_from_its_tonic(tonic: int, mode) -> None:
    scale = scale_pitch_classes(tonic, mode)
    assert len(set(scale)) == 7
    assert scale[0] == tonic % 12
    assert (scale[2] - scale[0]) % 12 == (4 if mode == "major" else 3)
