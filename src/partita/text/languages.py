"""The languages that lyrics may be marked with: codes as ACE-Step 1.5 knows them, and their English names.

Knows nothing of which of them a model sings well.
"""

from __future__ import annotations

from types import MappingProxyType

from partita.errors import RequestError

UNKNOWN = "unknown"

LANGUAGES = MappingProxyType(
    {
        "ar": "Arabic",
        "az": "Azerbaijani",
        "bg": "Bulgarian",
        "bn": "Bengali",
        "ca": "Catalan",
        "cs": "Czech",
        "da": "Danish",
        "de": "German",
        "el": "Greek",
        "en": "English",
        "es": "Spanish",
        "fa": "Persian",
        "fi": "Finnish",
        "fr": "French",
        "he": "Hebrew",
        "hi": "Hindi",
        "hr": "Croatian",
        "ht": "Haitian Creole",
        "hu": "Hungarian",
        "id": "Indonesian",
        "is": "Icelandic",
        "it": "Italian",
        "ja": "Japanese",
        "ko": "Korean",
        "la": "Latin",
        "lt": "Lithuanian",
        "ms": "Malay",
        "ne": "Nepali",
        "nl": "Dutch",
        "no": "Norwegian",
        "pa": "Punjabi",
        "pl": "Polish",
        "pt": "Portuguese",
        "ro": "Romanian",
        "ru": "Russian",
        "sa": "Sanskrit",
        "sk": "Slovak",
        "sr": "Serbian",
        "sv": "Swedish",
        "sw": "Swahili",
        "ta": "Tamil",
        "te": "Telugu",
        "th": "Thai",
        "tl": "Tagalog",
        "tr": "Turkish",
        "uk": "Ukrainian",
        "ur": "Urdu",
        "vi": "Vietnamese",
        "yue": "Cantonese",
        "zh": "Chinese",
        UNKNOWN: "unknown or none",
    }
)


def check_language(code: str) -> str:
    """`code` itself, if it is one of `LANGUAGES`.

    Raises RequestError (field `language`) listing the codes otherwise.
    """
    if code not in LANGUAGES:
        raise RequestError(
            f"language {code!r} is not one that the models know; use one of {', '.join(LANGUAGES)}.",
            field="language",
            value=code,
        )
    return code
