"""Tempo, key, metre, length and language in Spanish, French, German, Italian and Portuguese."""

import pytest
from hypothesis import given, strategies as st

from partita.planner.pace import usual_tempo
from partita.planner.reading import duration_s_of, key_of, language_named, metre_of, tempo_of
from partita.score.keys import KEYS
from partita.text.number_words import number_words, with_digits
from partita.training.composer.wording import WORDINGS


@pytest.mark.parametrize(
    ("caption", "bpm"),
    [
        ("un tema a 90 pulsaciones", 90),
        ("a 90 pulsaciones por minuto", 90),
        ("negra = 84", 84),
        ("entre 90 y 100 bpm", 95),
        ("a ciento veinte pulsaciones por minuto", 120),
        ("ritmo de 96", 96),
        ("à 90 battements par minute", 90),
        ("noire = 72", 72),
        ("tempo à 110", 110),
        ("quatre-vingt-dix battements par minute", 90),
        ("120 Schläge in der Minute", 120),
        ("mit 100 Schlägen pro Minute", 100),
        ("Viertel = 66", 66),
        ("hundertzwanzig Schläge pro Minute", 120),
        ("a 90 battiti al minuto", 90),
        ("semiminima = 60", 60),
        ("centoventi bpm", 120),
        ("a 90 batidas por minuto", 90),
        ("andamento: 128", 128),
        ("cento e vinte batidas por minuto", 120),
        ("noventa canciones de amor", None),
        ("Viertel nach acht", None),
    ],
)
def test_a_tempo(caption, bpm):
    assert tempo_of(caption) == bpm


@pytest.mark.parametrize(
    ("caption", "metre"),
    [
        ("compás de tres por cuatro", "3/4"),
        ("compás de 3/4", "3/4"),
        ("en 6 por 8", "6/8"),
        ("compás ternario", "3/4"),
        ("en cuatro por cuatro", "4/4"),
        ("mesure à trois temps", "3/4"),
        ("en six-huit", "6/8"),
        ("mesure à quatre temps", "4/4"),
        ("im Dreivierteltakt", "3/4"),
        ("Sechsachteltakt", "6/8"),
        ("Zweivierteltakt", "2/4"),
        ("tempo di tre quarti", "3/4"),
        ("in sei ottavi", "6/8"),
        ("alla breve", "2/4"),
        ("compasso de seis por oito", "6/8"),
        ("compasso ternário", "3/4"),
        ("uma valsa", "3/4"),
        ("un valzer lento", "3/4"),
        ("in three", "3/4"),
        ("in three parts", None),
        ("tres temas para cuatro voces", None),
    ],
)
def test_a_metre(caption, metre):
    assert metre_of(caption) == metre


@pytest.mark.parametrize(
    ("caption", "key"),
    [
        ("en do mayor", "C major"),
        ("en la menor", "A minor"),
        ("re bemol mayor", "Db major"),
        ("en La menor, triste", "A minor"),
        ("en D menor", "D minor"),
        ("tonalidad de sol", "G major"),
        ("en ut majeur", "C major"),
        ("fa dièse mineur", "F# minor"),
        ("en si♭ majeur", "Bb major"),
        ("C-Dur", "C major"),
        ("in a-Moll", "A minor"),
        ("fis-moll", "F# minor"),
        ("in do diesis minore", "C# minor"),
        ("mi bemolle maggiore", "Eb major"),
        ("em dó maior", "C major"),
        ("lá menor", "A minor"),
        ("fá sustenido menor", "F# minor"),
        ("la mayor parte del tiempo", None),
        ("mi mayor éxito", None),
        ("la menor duda", None),
        ("modo menor", None),
    ],
)
def test_a_key(caption, key):
    assert key_of(caption) == key


@pytest.mark.parametrize("language", list(WORDINGS))
@pytest.mark.parametrize("key", KEYS)
def test_every_key_as_each_language_writes_it(language, key):
    words = WORDINGS[language].key_words(key)
    assert key_of(f"piano, {words}") == key
    assert key_of(f"({words})") == key


@pytest.mark.parametrize(
    ("caption", "seconds"),
    [
        ("dos minutos", 120),
        ("un minuto", 60),
        ("un minuto y medio", 90),
        ("dos minutos y medio", 150),
        ("medio minuto", 30),
        ("treinta y cinco segundos", 35),
        ("un minuto y veinte segundos", 80),
        ("deux minutes", 120),
        ("une minute et demie", 90),
        ("une demi-minute", 30),
        ("quatre-vingt-dix secondes", 90),
        ("zwei Minuten", 120),
        ("anderthalb Minuten", 90),
        ("zweieinhalb Minuten", 150),
        ("eine halbe Minute", 30),
        ("fünfundvierzig Sekunden", 45),
        ("due minuti e mezzo", 150),
        ("mezzo minuto", 30),
        ("trenta secondi", 30),
        ("dois minutos e meio", 150),
        ("meio minuto", 30),
        ("noventa segundos", 90),
        ("un bucle de treinta segundos", 30),
        ("un tema corto de piano", 30),
        ("ein kurzes Stück", 30),
        ("después de treinta segundos entra el piano", None),
        ("una intro de diez segundos", None),
        ("nach zehn Sekunden", None),
        ("une introduction de dix secondes", None),
        ("un largo", None),
    ],
)
def test_a_length(caption, seconds):
    assert duration_s_of(caption) == seconds


@pytest.mark.parametrize(
    ("caption", "language"),
    [
        ("cantado en español", "es"),
        ("voz en inglés", "en"),
        ("paroles en français", "fr"),
        ("auf Deutsch gesungen", "de"),
        ("cantata in italiano", "it"),
        ("letra em português", "pt"),
        ("guitarra española", None),
    ],
)
def test_the_language_that_is_sung(caption, language):
    assert language_named(caption) == language


@pytest.mark.parametrize(
    ("slow", "fast"),
    [("lento", "rápido"), ("lent", "rapide"), ("langsam", "schnell"), ("lento", "veloce"), ("devagar", "rápido")],
)
def test_words_for_tempo_say_what_english_ones_do(slow, fast):
    assert usual_tempo(f"un tema {slow}", "4/4") == usual_tempo("slow", "4/4")
    assert usual_tempo(f"un tema {fast}", "4/4") == usual_tempo("fast", "4/4")


def test_numbers_in_words_reach_199_in_five_languages():
    numbers = number_words()
    assert set(numbers.values()) == set(range(200))
    for words, number in (
        ("ciento noventa y nueve", 199),
        ("cent quatre vingt dix neuf", 199),
        ("hundertneunundneunzig", 199),
        ("centonovantanove", 199),
        ("cento e noventa e nove", 199),
        ("soixante et onze", 71),
        ("ventotto", 28),
    ):
        assert numbers[words] == number


@given(st.text(max_size=60))
def test_only_numbers_before_a_unit_become_digits(text):
    import re

    assert with_digits(text, re.compile(r"\bnever")) == text
