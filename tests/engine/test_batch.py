from partita.engine.batch import passes_of
from partita.song.request import SongRequest
from partita.song.resolve import resolve
from partita.weights.catalog import card

CARD = card("ace-step-1.5-turbo")


def of(**fields):
    return resolve(SongRequest(**{"caption": "folk", "seed": 1, **fields}), CARD)


def test_songs_whose_length_is_read_from_other_words_do_not_share_a_pass():
    songs = [of(lyrics="one line"), of(lyrics="one line", seed=2), of(lyrics="two\nlines"), of(), of(caption="rock")]
    assert passes_of(songs) == [[0, 1], [2], [3], [4]]


def test_songs_of_a_given_length_share_a_pass_whatever_their_words():
    songs = [of(lyrics="one line", duration_s=20), of(lyrics="two\nlines", duration_s=20), of(duration_s=20.01)]
    assert passes_of(songs) == [[0, 1], [2]]
