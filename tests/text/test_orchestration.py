"""Who plays, by the words of captions in six languages: names, parts, what is ruled out, and nobody else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings, strategies as st

from partita.score.instruments import INSTRUMENTS, programs_for
from partita.score.types import ROLES
from partita.text.orchestra.lexicon import VOCABULARIES, lexicon, words_of
from partita.text.orchestra.vocabulary import SENSES, split
from partita.text.orchestration import NamedParts, named_parts

VIOLIN, PIANO, HARP, FLUTE = 40, 0, 46, 73


def roles_of(text: str) -> dict[str, int]:
    """Parts that are given to somebody in so many words."""
    return {one.role: next(iter(one.programs)) for one in named_parts(text).instruments if one.role is not None}


@pytest.mark.parametrize("language", list(VOCABULARIES))
def test_every_name_of_an_instrument_is_that_of_one_instrument(language):
    vocabulary, table = VOCABULARIES[language], lexicon()
    seen: dict[str, str] = {}
    for sense in vocabulary.names:
        for name in vocabulary.names_of(sense).all:
            assert seen.setdefault(" ".join(words_of(name)), sense) == sense, name
            entry = table[tuple(words_of(name))][language]
            assert (entry.kind, entry.value) == ("name", sense), name


@pytest.mark.parametrize("language", list(VOCABULARIES))
def test_every_instrument_has_a_name_in_every_language(language):
    vocabulary = VOCABULARIES[language]
    assert set(vocabulary.names) == set(SENSES)
    assert all(vocabulary.names_of(one.name).common for one in INSTRUMENTS)
    strangers = {name.casefold() for cell in vocabulary.strangers.values() for name in split(cell)}
    ours = {name.casefold() for sense in vocabulary.names for name in vocabulary.names_of(sense).all}
    assert not strangers & ours


@pytest.mark.parametrize("one", INSTRUMENTS, ids=lambda one: one.name)
def test_english_names_of_the_score_are_read(one):
    for name in (one.name, *one.synonyms):
        found = named_parts(name)
        parts = {part for named in found.instruments for part in named.parts}
        wanted = {(role, one.program) for role in one.roles}
        assert parts & wanted or set(one.roles) & found.roles, name


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("no drums", {"drums"}),
        ("lofi, drumless", {"drums"}),
        ("drum-free ambient", {"drums"}),
        ("without drums or bass", {"drums", "bass"}),
        ("no drums and no bass", {"drums", "bass"}),
        ("neither drums nor bass", {"drums", "bass"}),
        ("without drums, bass or a melody", {"drums", "bass", "lead"}),
        ("without any loud drums, bass and chords", {"drums", "bass", "chords"}),
        ("no drums, bass and piano", {"drums"}),
        ("no drums but bass", {"drums"}),
        ("no drums, with bass", {"drums"}),
        ("piano instead of drums, bass", {"drums"}),
        ("I don't want any percussion here", {"drums"}),
        ("drums: none, bass: no", {"drums", "bass"}),
        ("no rhythm section", {"drums", "bass"}),
        ("nothing without drums", {"drums"}),
        ("not without drums", set()),
        ("no nonsense drums", set()),
        ("no vocals, drums and bass", set()),
        ("no cymbals", set()),
        ("drum and bass", set()),
        ("sin batería ni bajo", {"drums", "bass"}),
        ("sin bateria, bajo ni melodía", {"drums", "bass", "lead"}),
        ("sin batería, con bajo", {"drums"}),
        ("nada de percusión ni de bajo", {"drums", "bass"}),
        ("un tema que no lleve batería", {"drums"}),
        ("quiero piano pero sin batería", {"drums"}),
        ("en lugar de batería, palmas", {"drums"}),
        ("bajo la lluvia, sin prisa", set()),
        ("sans batterie", {"drums"}),
        ("sans batterie ni basse", {"drums", "bass"}),
        ("pas de batterie, avec une basse", {"drums"}),
        ("ni batterie ni basse", {"drums", "bass"}),
        ("surtout pas de percussions, du piano", {"drums"}),
        ("ohne Schlagzeug", {"drums"}),
        ("ohne Schlagzeug und Bass", {"drums", "bass"}),
        ("weder Schlagzeug noch Bass", {"drums", "bass"}),
        ("kein Schlagzeug, aber Bass", {"drums"}),
        ("schlagzeuglos", {"drums"}),
        ("bitte keine Drums, keine Melodie", {"drums", "lead"}),
        ("nicht ohne Schlagzeug", set()),
        ("senza batteria", {"drums"}),
        ("senza basso né batteria", {"drums", "bass"}),
        ("non voglio batteria, solo un basso", {"drums"}),
        ("niente percussioni, con il basso", {"drums"}),
        ("sem bateria", {"drums"}),
        ("sem bateria nem baixo", {"drums", "bass"}),
        ("melodia no piano, sem percussão", {"drums"}),
        ("que não tenha bateria", {"drums"}),
        ("nada de bateria, com baixo", {"drums"}),
    ],
)
def test_how_far_a_negation_reaches(text, absent):
    assert named_parts(text).absent == absent


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("violin melody", {"lead": VIOLIN}),
        ("lead violin", {"lead": VIOLIN}),
        ("a melody played by a distant violin", {"lead": VIOLIN}),
        ("the violin carries the melody over piano chords", {"lead": VIOLIN, "chords": PIANO}),
        ("flute lead, harp arpeggios", {"lead": FLUTE, "arp": HARP}),
        ("arpeggiated harp", {"arp": HARP}),
        ("melodía de violín, acordes de piano", {"lead": VIOLIN, "chords": PIANO}),
        ("el violín lleva la melodía", {"lead": VIOLIN}),
        ("arpegios de arpa con melodía de flauta", {"arp": HARP, "lead": FLUTE}),
        ("mélodie de violon, arpèges de harpe", {"lead": VIOLIN, "arp": HARP}),
        ("le violon porte la mélodie", {"lead": VIOLIN}),
        ("Geigenmelodie und Klavierakkorde", {"lead": VIOLIN, "chords": PIANO}),
        ("die Geige spielt die Melodie", {"lead": VIOLIN}),
        ("melodia di violino, accordi di pianoforte", {"lead": VIOLIN, "chords": PIANO}),
        ("melodia no violino, acordes de piano", {"lead": VIOLIN, "chords": PIANO}),
        ("violin, piano", {}),
        ("drums with bass", {}),
    ],
)
def test_the_part_that_an_instrument_is_given(text, roles):
    assert roles_of(text) == roles


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("just piano and violin", True),
        ("solo piano", True),
        ("piano solo", True),
        ("nothing but a cello", True),
        ("piano only", True),
        ("a duo of piano and violin", True),
        ("piano and nothing else", True),
        ("solo violin with strings", False),
        ("rock with a guitar solo", False),
        ("not only piano", False),
        ("just like a piano", False),
        ("just a hint of piano", False),
        ("just relaxing", False),
        ("piano, no guitar solo", False),
        ("solo piano y violín", True),
        ("un solo de guitarra y batería", False),
        ("nada más que guitarra", True),
        ("piano seul", True),
        ("rien que du piano", True),
        ("nur Klavier und Geige", True),
        ("Soloklavier", True),
        ("nicht nur Klavier", False),
        ("solo pianoforte", True),
        ("soltanto archi", True),
        ("no drums no bass just pads", True),
        ("só piano", True),
        ("apenas violão", True),
        ("only", False),
    ],
)
def test_that_nobody_else_plays(text, only):
    assert named_parts(text).only is only


def test_what_no_score_has_is_kept_as_written():
    assert named_parts("Bagpipes and a harp").strangers == ("Bagpipes",)
    assert named_parts("con gaita").strangers == ("gaita",)
    assert named_parts("no banjo").strangers == ()


def test_ruling_out_wins_over_asking():
    found = named_parts("drums, no drums, violin, no violin")
    assert found.absent == {"drums"}
    assert not found.instruments
    assert not found.roles
    assert set(found.contradicted) == {"drums", "violin"}


def test_an_instrument_is_ruled_out_and_not_its_part():
    found = named_parts("chords, no piano")
    assert ("chords", PIANO) in found.excluded
    assert found.roles == {"chords"}
    assert not found.absent


def test_a_part_that_an_instrument_cannot_play_is_told():
    (harp,) = named_parts("harp melody").instruments
    assert harp.wished == "lead"
    assert {role for role, _ in harp.parts} == {"arp"}


def test_good_vibes_are_no_vibraphone():
    assert not named_parts("good vibes").instruments
    assert named_parts("jazz, vibes").instruments


VOCABULARY = (
    "no without drums bass violin solo piano only and or , . nor sin ni batería ohne kein Klaviermelodie nur the a "
    "melody of harp arpeggios : none just pas de batterie senza né só bagpipes played by lead strings duo nothing else"
)
WORDS = st.sampled_from(VOCABULARY.split(" "))


@given(st.one_of(st.text(max_size=120), st.lists(WORDS, max_size=14).map(" ".join)))
@settings(deadline=None)
def test_any_text_gives_valid_parts(text):
    found = named_parts(text)
    assert isinstance(found, NamedParts)
    assert found.roles <= set(ROLES)
    assert found.absent <= set(ROLES)
    assert not found.roles & found.absent
    for one in found.instruments:
        assert one.parts
        assert all(program in programs_for(role) for role, program in one.parts)
        assert not {role for role, _ in one.parts} & found.absent
        assert not set(one.parts) & found.excluded
        assert one.role is None or one.roles == (one.role,)
        assert one.text in text
    assert set(found.present) <= set(ROLES)


def test_a_long_text_is_read_in_no_time():
    named_parts("")
    began_s = time.process_time()
    for word in ("no ", "drums, ", "violin and ", "melody of ", "klaviermelodie ", "x", "without a "):
        named_parts(word * (4000 // len(word)))
    assert time.process_time() - began_s < 5
