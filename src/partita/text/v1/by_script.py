"""The language of one line of a song, for ACE-Step v1: by its script where that settles it, else as its song is.

What the original answers is `segments`'; this is what is meant by most writers. Knows nothing of tags.
"""

from __future__ import annotations

from partita.text.detection import language_of
from partita.text.languages import UNKNOWN
from partita.text.syllables import script_of
from partita.text.v1.cleaners import LANGUAGES

_FALLBACK = "en"
_NOT_LATIN = frozenset({"zh", "ja", "ko", "ru", "ar", "hi"})
# A line with a character of these is in this language whatever else is in it: nothing else can read the character.
_OF_SCRIPT = (("HANGUL", "ko"), ("CYRILLIC", "ru"), ("HIRAGANA", "ja"), ("KATAKANA", "ja"))


def song_language(lyrics: str) -> str | None:
    """The language that most of the lyrics are in, or none where it is not one of the model's."""
    found = language_of(lyrics)
    return "zh" if found == "yue" else found if found in LANGUAGES else None


def line_language(line: str, song: str | None) -> str:
    """One of the model's languages for `line` of a song that is mostly in `song`; English where nothing tells."""
    scripts = {script_of(letter) for letter in line}
    for script, language in _OF_SCRIPT:
        if script in scripts:
            return language
    if "CJK" in scripts:
        return "ja" if song == "ja" else "zh"
    # Latin letters in a song of another script are English unless they are clearly something else.
    likely = _FALLBACK if "LATIN" in scripts and song in _NOT_LATIN else song
    found = language_of(line, likely)
    if found == UNKNOWN:
        return likely or _FALLBACK
    return found if found in LANGUAGES else _FALLBACK
