"""What a caption says in so many words: tempo, key, metre, length and the language that is sung.

Reads English, Spanish, French, German, Italian and Portuguese, and of other languages what cannot be mistaken. It
tells what was said, whatever a model can do with it, and none where nothing was; what words such as `slow` or `techno`
usually mean is the planner's business.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from partita.score.keys import Mode, key_name, parse_key
from partita.text.languages import LANGUAGES, UNKNOWN
from partita.text.number_words import with_digits

_SMALL_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TEN_NUMBERS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_SMALL_NUMBERS.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TEN_NUMBERS.split(), start=2)}
_NUMBER_WORD = rf"(?:{'|'.join([*_TENS, *sorted(_UNITS, key=len, reverse=True), 'hundred', 'and', 'an?'])})"
_NUMBER_WORDS = rf"{_NUMBER_WORD}(?:[ -]{_NUMBER_WORD}){{0,6}}"

# Tempo.
_PER_MINUTE = (
    r"bpm|b\.p\.m\.?|beats?[ -](?:per|a|/)[ -]?min(?:ute)?|Schlägen?(?: (?:pro|in der|je) Minute)?|"
    r"(?:battements|pulsations)(?: (?:par|à la) minute)?|(?:pulsaciones|golpes)(?: por minuto)?|ppm|"
    r"battiti(?: al minuto)?|(?:batidas|pulsações)(?: por minuto)?|удар\w* в минуту|拍/分|拍每分"
)
_TEMPO_NAME = (
    r"bpm|tempo|♩|𝅘𝅥|テンポ|速度|темп|템포|negra|noire|viertel(?:note)?|semiminima|semínima|andamento|ritmo|cadence|"
    r"geschwindigkeit|velocidad|velocidade|velocità|vitesse"
)
_TEMPO_NUMBER = r"(\d{2,3})(?:\.\d+)?(?:\s*(?:-|–|to|a|à|bis|y|et|und|e)\s*(\d{2,3}))?"
_TEMPO_BEFORE = re.compile(rf"(?<![\d.,:/]){_TEMPO_NUMBER}\s*-?\s*(?:{_PER_MINUTE})(?![^\W\d_])", re.IGNORECASE)
_TEMPO_AFTER = re.compile(
    rf"(?<![^\W\d_])(?:{_TEMPO_NAME})(?:\s+(?:of|is|de|di|от|von|a|à|bei|em))?"
    rf"[\s:：=~≈]*(?:about |around |unos |environ |etwa |circa |uns )?{_TEMPO_NUMBER}(?!\d)",
    re.IGNORECASE,
)
_BEFORE_TEMPO = re.compile(rf"[ -](?:{_PER_MINUTE})(?![^\W\d_])", re.IGNORECASE)
_TEMPO_IN_WORDS = re.compile(rf"\b({_NUMBER_WORDS})[ -](?:{_PER_MINUTE})(?![^\W\d_])", re.IGNORECASE)

# Metre.
_METRE = re.compile(
    r"(?<![\d/.])(\d{1,2})/([248])(?![\d/])|\b(two|three|four|five|six|seven|nine|twelve)[ -](two|four|eights?)\b"
    r"(?=[ -](?:time|metre|meter|feel|groove|beat|rhythm|signature|waltz)\b)",
    re.IGNORECASE,
)
_METRE_WORDS: tuple[tuple[str, str], ...] = (
    (
        r"\bsechsachtel|\bseis por ocho\b|\bseis por oito\b|\bsix[ -]huit\b|\bsei ottavi\b|\b6 (?:por|x) 8\b|"
        r"\bcompound time\b",
        "6/8",
    ),
    (
        r"\bdreiviertel|\bdreiertakt|\btres por cuatro\b|\btrês por quatro\b|\btrois[ -]quatre\b|\btre quarti\b|"
        r"\b3 (?:por|x) 4\b|\b(?:comp[aá]s|compasso|tempo|ritmo) tern[aá]rio\b|\b(?:à|en) trois temps\b|"
        r"\bthree[ -]quarter time\b|\bin three(?=\s*(?:$|[,.;]))|\ba tres tiempos\b|\bim dreier\b",
        "3/4",
    ),
    (
        r"\bcommon time\b|\bfour[ -]on[ -]the[ -]floor\b|\bvierviertel|\bcuatro por cuatro\b|\bquatro por quatro\b|"
        r"\bquattro quarti\b|\bquatre[ -]quatre\b|"
        r"\b4 (?:por|x) 4\b|\bcompasso quaternário\b|\bcompás cuaternario\b|"
        r"\b(?:à|en) quatre temps\b",
        "4/4",
    ),
    (
        r"\bcut time\b|\balla breve\b|\bzweiviertel|\bdos por cuatro\b|\bdois por quatro\b|\bdue quarti\b|"
        r"\bdeux[ -]quatre\b|\b2 (?:por|x) 4\b|\b(?:comp[aá]s|compasso|tempo) bin[aá]rio\b|\b(?:à|en) deux temps\b",
        "2/4",
    ),
    (
        r"\bwaltz(?:es)?\b|\bwalzer\b|\bvalses?\b|\bvals\b|\bvalzer\b|\bvalsas?\b|\bвальс|ワルツ|圆舞曲|圓舞曲|왈츠",
        "3/4",
    ),
)
# Bars of these are made of bars that more models know.
_SAME_METRE = {"12/8": "6/8", "2/2": "2/4"}
_METRE_WORTH_ASKING = frozenset({"5/4", "7/4", "5/8", "7/8", "9/8", "3/8", "4/8", "2/8", "6/4"})

# Key.
_MODES: dict[str, Mode] = {
    "major": "major", "maj": "major", "ionian": "major", "lydian": "major", "mixolydian": "major",
    "minor": "minor", "min": "minor", "aeolian": "minor", "dorian": "minor", "phrygian": "minor",
    "mayor": "major", "majeur": "major", "maggiore": "major", "maior": "major",
    "menor": "minor", "mineur": "minor", "minore": "minor",
}  # fmt: skip
_ENGLISH_MODES = "major|maj|ionian|lydian|mixolydian|minor|min|aeolian|dorian|phrygian"
_SHARP, _FLAT = r"#|♯|sharp", r"♭|b|flat"
_TONIC = rf"[A-G](?:[ -]?(?:{_SHARP}|{_FLAT}))?"
_KEY = re.compile(rf"(?<![^\W_])({_TONIC})[ -]*({'|'.join(_MODES)})(?![^\W_])")
# In small letters `a` is an article and `b`..`g` are no words.
_KEY_SMALL = re.compile(
    rf"(?<![^\W_])([b-g](?:[ -]?(?:{_SHARP}|{_FLAT}))?|a[ -]?(?:#|♯|♭|b|sharp|flat)|(?<=in )a|(?<=key of )a)"
    rf"[ -]+({_ENGLISH_MODES})(?![^\W_])(?! (?:key|mode|chord|scale|mood|feel))",
    re.IGNORECASE,
)
_KEY_SHORT = re.compile(
    r"(?<![^\W_])(?:(?<=in )|(?<=key of )|(?<=key: )|(?<=key ))([A-G][#♯♭b]?m)(?![\w#♯♭])|"
    r"(?<![^\W_])([A-G][#♯♭b]m)(?![\w#♯♭])"
)
_KEY_ALONE = re.compile(
    rf"\b(?:key of|key:|key is|in the key of) ?([A-G](?:[ -]?(?:{_SHARP}|{_FLAT}))?)(?![\w#♯♭'])|"
    r"\bin ([A-G][#♯♭b])(?![\w#♯♭])"
)
_GERMAN = re.compile(r"\b([A-Ha-h])(is|es|s)?[- ]?(dur|moll)\b", re.IGNORECASE)
_SOLFEGE = {
    "do": 0, "dó": 0, "ut": 0, "до": 0, "re": 2, "ré": 2, "ре": 2, "mi": 4, "ми": 4, "fa": 5, "fá": 5, "фа": 5,
    "sol": 7, "соль": 7, "la": 9, "lá": 9, "ля": 9, "si": 11, "си": 11,
}  # fmt: skip
_SOLFEGE_KEY = re.compile(
    rf"\b({'|'.join(_SOLFEGE)})(?: ?(#|♯|♭)|[ -](dièse|diese|sostenido|sustenido|diesis|диез|"
    r"bémol|bemol|bemolle|бемоль))?"
    r"[ -](majeur|mayor|maggiore|maior|мажор\w*|mineur|menor|minore|минор\w*)\b"
    # `la mayor parte`, `mi mayor éxito`: words of everyday.
    r"(?!\s+(?:part|idea|ideia|idée|dud|dúvid|éxito|exito|sucesso|successo|cosa|posible|possível|medida|fuerza|força|"
    r"importan|sueño|deseo|desejo|miedo|medo|amor|tesoro|tesouro))",
    re.IGNORECASE,
)
_SOLFEGE_ALONE = re.compile(
    rf"\b(?:tonalidad|tonalité|tonalità|tonalidade)(?: d[ei]|:)? ?({'|'.join(_SOLFEGE)})"
    r"(?:[ -](dièse|sostenido|sustenido|diesis|bémol|bemol|bemolle))?\b",
    re.IGNORECASE,
)
_EASTERN_KEY = re.compile(
    r"([嬰変升降]?)([A-GＡ-Ｇハニホヘトイロ])([#♯♭b]?)\s*(长调|大调|長調|大調|小调|短调|短調|小調|メジャー|マイナー|장조|단조)"
    r"|([올내]림)?([다라마바사가나])(장조|단조)"
)
_JAPANESE = dict(zip("ハニホヘトイロ", (0, 2, 4, 5, 7, 9, 11), strict=True))
_KOREAN = dict(zip("다라마바사가나", (0, 2, 4, 5, 7, 9, 11), strict=True))
_LETTERS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))

# Length.
_MINUTES = r"minutes?|mins?|minuten?|minutos?|minuti|минут\w*"
_SECONDS = r"seconds?|secs?|sekunden?|segundos?|secondi|secondes?|секунд\w*"
_HALF_MORE = r"[ -]and[ -]a[ -]half"
_BEFORE_LENGTH = re.compile(rf"[ -](?:{_MINUTES}|{_SECONDS})(?![^\W\d_])", re.IGNORECASE)
# Halves, in the order in which they are put into digits; what comes before has digits already.
_HALVES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"\b(\d+) (minutos?|minutes?|minut[oi])[ -](?:y medi[oa]|et demie?|e mezz[oa]|e mei[oa])\b", r"\1.5 \2"),
        (r"\b(?:anderthalb|eineinhalb) (minuten)\b", r"1.5 \1"),
        (r"\bzweieinhalb (minuten)\b", r"2.5 \1"),
        (r"\bdreieinhalb (minuten)\b", r"3.5 \1"),
        (r"\bviereinhalb (minuten)\b", r"4.5 \1"),
        (
            r"\b(?:(?:de )?medio minuto|(?:une )?demi[ -]minute|(?:eine[rn]? )?halbe[rn]? minute|mezzo minuto|"
            r"meio minuto)\b",
            "30 segundos",
        ),
    )
)
_SAID = rf"(?:\d{{1,4}}(?:[.,]\d+)?[ -]?|(?:{_NUMBER_WORDS})[ -])"  # words stand apart from their unit
_LENGTH = re.compile(
    rf"(?<![^\W_])(?<![.,/])(?P<m>{_SAID})(?P<half>(?<=[ -])and[ -]a[ -]half[ -])?(?:{_MINUTES})(?P<more>{_HALF_MORE})?"
    rf"(?:(?:\s|-|,|and\b|y\b|et\b|und\b|e\b)*(?P<ms>{_SAID})(?:{_SECONDS}))?(?![^\W\d_])(?!['’]s)|"
    rf"(?<![^\W_])(?<![.,/])(?P<s>{_SAID})(?:{_SECONDS})(?![^\W\d_])(?!['’]s)|"
    r"(?<![^\W_])(?<![.,/])(?P<dm>\d{1,2}) ?m(?: ?(?P<dms>\d{1,2}) ?s)?(?![^\W_])|"
    r"(?<![^\W_])(?<![.,/])(?P<ds>\d{1,3}) ?s(?![^\W_])(?!['’])|"
    r"\b(?P<halfmin>half[ -](?:a[ -])?minute)\b|"
    r"\b(?:duration|length|duración|durée|dauer|länge|durata|duração)\s?[:=]\s?(?P<bare>\d{1,3})(?![\d:.])(?!\s?\w)|"
    r"(?<![\d:.])(?P<cm>\d{1,2}):(?P<cs>[0-5]\d)(?![\d:])",
    re.IGNORECASE,
)
_WIDE = "一二三四五六七八九十两半"
_WIDE_LENGTH = re.compile(
    rf"(?P<m>\d+|[{_WIDE}])(?:分钟|分鐘|分間|分|분)\s*(?:(?P<ms>\d+|[{_WIDE}])\s*(?:秒|초)|(?P<half>半))?|"
    r"(?P<s>\d+|[十])\s*(?:秒|초)"
)
# A length of something else than the song, or a time of day.
_PARTS = (
    r"fade\w*|intro|outro|solo|drop|break\w*|build\w*|pause|silence|delay|reverb|echo|sample|decay|tail|bridge|riff|crossfade|"
    r"swell|introducci[oó]n|introduction|introduzione|introduç[aã]o|einleitung|final|finale|puente|pont|ponte|stille|"
    r"silencio|silenzio|silêncio|pausa"
)
_OTHERS_BEFORE = re.compile(
    r"(?:\b(?:after|before|at|every|each|within|until|till|since|first|last|next|per|in|by|from|past|the|over|wait|"
    r"después de|tras|antes de|cada|últimos|primeros|al cabo de|hasta|a los|en los|après|avant|au bout de|chaque|"
    r"toutes les|"
    r"premières|dernières|nach|vor|alle|jede|ersten|letzten|bis|dopo|prima di|ogni|ultimi|primi|entro|fino a|depois de|"
    r"após|a cada|últimos|primeiros|até|aos)|"
    rf"\b(?:{_PARTS}) (?:of|for|lasting|de|di|von|d['’]))\s+(?:about |around |the |las |les |los |unos )?$",
    re.IGNORECASE,
)
_OTHERS_AFTER = re.compile(
    rf"^[\s-]*(?:(?:long[\s-]+)?(?:{_PARTS})|in\b|into\b|before\b|after\b|later\b|ago\b|past\b|to (?:midnight|go|noon)|"
    rf"[ap]\.?m\b|o['’]?clock|of (?:silence|fade)|(?:de |di |d['’])(?:silence|fade|{_PARTS}))",
    re.IGNORECASE,
)
_WHOLE_AFTER = re.compile(
    r"^[\s-]*(?:long|loop|clip|jingle|track|snippet|song|piece|version|of music|in length|total|"
    r"de (?:duración|durée|duração|música|musique)|di (?:durata|musica)|lang|länge|musik)\b",
    re.IGNORECASE,
)
_WHOLE_BEFORE = re.compile(
    r"\b(?:length|duration|long|lasts|lasting|runs|dur|duración|durée|dauer|länge|durata|duração|dure|dura|que dure|"
    r"dauert|loop|bucle|boucle|schleife)(?: (?:de|di|von|d['’]))?[\s:=]*$",
    re.IGNORECASE,
)
_LENGTH_WORDS: tuple[tuple[str, float], ...] = (
    (r"\bjingle\b(?! bell)|\bvery short\b(?! (?:notes?|stabs?|staccato))", 15.0),
    (
        r"\bshort(?:er)? (?:\w+ )?(?:song|piece|track|tune|clip|loop|melody|cue|sketch)\b|(?:^|,)\s*short\s*(?:,|\.|$)",
        30.0,
    ),
    (
        r"\b(?:canción|pista) corta\b|\b(?:tema|bucle|corte) corto\b|\bbreve (?:brano|pezzo|loop|canzone)\b|"
        r"\b(?:brano|pezzo|loop) (?:breve|corto)\b|\bcourte? (?:morceau|titre|boucle|chanson)\b|\bmorceau court\b|"
        r"\bkurze[rs]? (?:stück|lied|loop|song)\b|\b(?:tema|loop|som) curto\b|\b(?:música|canção|faixa) curta\b|"
        r"(?:^|,)\s*(?:corto|breve|court|kurz|curto)\s*(?:,|\.|$)",
        30.0,
    ),
    (
        r"\b(?:canción|pista) larga\b|\btema largo\b|\b(?:brano|pezzo) lungo\b|\bcanzone lunga\b|\bmorceau long\b|"
        r"\blongue chanson\b|\blange[rs]? (?:stück|lied|song)\b|\b(?:tema|som) longo\b|\b(?:música|canção) longa\b",
        240.0,
    ),
    (r"\blong (?:\w+ )?(?:song|piece|track|tune|version|epic)\b|(?:^|,)\s*long\s*(?:,|\.|$)", 240.0),
)

# Language.
_LANGUAGE_NAMES = MappingProxyType(
    {name.lower(): code for code, name in LANGUAGES.items() if code != UNKNOWN}
    | {"mandarin": "zh", "farsi": "fa", "filipino": "tl", "brazilian portuguese": "pt", "flemish": "nl", "creole": "ht"}
)
_NAMES_ELSEWHERE = MappingProxyType(
    {
        name: code
        for code, names in {
            "en": "inglés anglais englisch inglese inglês",
            "es": "español castellano espagnol spanisch spagnolo espanhol",
            "fr": "francés français französisch francese francês",
            "de": "alemán allemand deutsch tedesco alemão",
            "it": "italiano italien italienisch",
            "pt": "portugués português portugais portugiesisch portoghese",
            "ja": "japonés japonais japanisch giapponese japonês",
            "ko": "coreano coréen koreanisch",
            "zh": "chino chinois chinesisch cinese chinês mandarín mandarim",
            "ru": "ruso russe russisch russo",
        }.items()
        for name in names.split(" ")
    }
)
_LANGUAGE_ELSEWHERE = re.compile(rf"\b(?:en|in|auf|em) ({'|'.join(_NAMES_ELSEWHERE)})\b", re.IGNORECASE)
_NAMED = "|".join(sorted(_LANGUAGE_NAMES, key=len, reverse=True))
_LANGUAGE = re.compile(
    rf"\b(?:in|sung in|sings in|singing in|language:?) ({_NAMED})\b|\b({_NAMED})[ -](?:\w+ )?"
    r"(?:vocals?|lyrics|words|voices?|singer|singing|sung|rap|rapper|language)\b",
    re.IGNORECASE,
)


def tempo_of(caption: str) -> int | None:
    """The tempo that is named, in BPM; the middle of one that is named as a range."""
    for pattern in (_TEMPO_BEFORE, _TEMPO_AFTER):
        if (found := pattern.search(caption)) is not None:
            low, high = int(found.group(1)), int(found.group(2) or found.group(1))
            return (low + high) // 2
    found = _TEMPO_IN_WORDS.search(caption)
    number = _in_words(found.group(1)) if found is not None else None
    if number is not None and number >= 10:
        return number
    found = _TEMPO_BEFORE.search(with_digits(caption, _BEFORE_TEMPO))
    return int(found.group(1)) if found is not None else None


def metre_of(caption: str) -> str | None:
    """The metre that is named, as a fraction; one that only few models know too. A waltz is in 3/4."""
    for found in _METRE.finditer(caption):
        above, below, above_word, below_word = found.groups()
        if above_word:
            above, below = str(_UNITS[above_word.lower()]), str({"t": 2, "f": 4, "e": 8}[below_word[0].lower()])
        metre = _SAME_METRE.get(f"{above}/{below}", f"{above}/{below}")
        if metre in ("2/4", "3/4", "4/4", "6/8") or metre in _METRE_WORTH_ASKING:
            return metre
    return next((metre for pattern, metre in _METRE_WORDS if re.search(pattern, caption, re.IGNORECASE)), None)


def key_of(caption: str) -> str | None:
    """The key that is named, one of `score.keys.KEYS`. Modes of the church are taken for the nearer of the two."""
    for pattern in (_KEY, _KEY_SMALL):
        if (found := pattern.search(caption)) is not None:
            tonic, _ = parse_key(re.sub(r"[ -]", " ", found.group(1)))
            return key_name(tonic, _MODES[found.group(2).lower()])
    for pattern in (_KEY_SHORT, _KEY_ALONE):
        if (found := pattern.search(caption)) is not None:
            return key_name(*parse_key(next(one for one in found.groups() if one)))
    return _foreign_key(caption)


def duration_s_of(caption: str) -> float | None:
    """The length of the song that is named, in seconds. Decades, times of day and lengths of parts are none."""
    caption = with_digits(caption, _BEFORE_LENGTH)
    for pattern, plain in _HALVES:
        caption = pattern.sub(plain, caption)
    for found in (*_LENGTH.finditer(caption), *_WIDE_LENGTH.finditer(caption)):
        before, after = caption[: found.start()], caption[found.end() :]
        whole = _WHOLE_AFTER.search(after) or _WHOLE_BEFORE.search(before)
        if not whole and (_OTHERS_BEFORE.search(before) or _OTHERS_AFTER.search(after)):
            continue
        if not whole and _is_decade(found.group(0), before, after):
            continue
        length_s = _seconds(found)
        if length_s:
            return length_s
    return next((length for pattern, length in _LENGTH_WORDS if re.search(pattern, caption, re.IGNORECASE)), None)


def language_named(caption: str) -> str | None:
    """The code of the language that the caption says is sung."""
    found = _LANGUAGE.search(caption)
    if found is not None:
        return _LANGUAGE_NAMES[next(one for one in found.groups() if one).lower()]
    found = _LANGUAGE_ELSEWHERE.search(caption)
    return _NAMES_ELSEWHERE[found.group(1).lower()] if found is not None else None


def _in_words(text: str) -> int | None:
    """The number that words such as `a hundred and twenty` or `one twenty` say, or none."""
    words = [word for word in re.split(r"[ -]+", text.lower()) if word != "and"]
    if words[:1] in (["a"], ["an"]):
        words = words[1:] if words[1:] and words[1] != "hundred" else ["one", *words[1:]]
    if not words:
        return None
    total = 0
    for word in words:
        value = _TENS.get(word, _UNITS.get(word))
        if word == "hundred":
            total = max(total, 1) * 100
        elif value is None:
            return None
        elif 0 < total < 10:
            total = 100 * total + value
        else:
            total += value
    return total


def _amount(text: str | None) -> float:
    if not text:
        return 0.0
    if text in _WIDE:
        return {"半": 0.5, "两": 2.0}.get(text, 1.0 + _WIDE.index(text))
    if text[0].isdigit():
        return float(text.strip(" -").replace(",", "."))
    return float(_in_words(text.strip(" -")) or 0)


def _seconds(found: re.Match[str]) -> float:
    parts = found.groupdict()
    if parts.get("cm") is not None:
        return 60.0 * int(parts["cm"]) + int(parts["cs"])
    if parts.get("halfmin"):
        return 30.0
    half_s = 30.0 if parts.get("half") or parts.get("more") else 0.0
    minutes = _amount(parts.get("m")) + _amount(parts.get("dm"))
    return 60.0 * minutes + half_s + sum(_amount(parts.get(name)) for name in ("ms", "s", "dms", "ds", "bare"))


def _is_decade(text: str, before: str, after: str) -> bool:
    """Whether `80s` is one; `30s` is a length only where it stands alone between commas."""
    if not re.fullmatch(r"[1-9]0s", text):
        return False
    alone = re.search(r"(?:^|[,;.])\s*$", before) and re.match(r"\s*(?:$|[,;.])", after)
    return not (alone and int(text[:2]) <= 40)


def _foreign_key(caption: str) -> str | None:
    if (found := _GERMAN.search(caption)) is not None:
        letter, sign, mode = found.group(1).upper(), (found.group(2) or "").lower(), found.group(3).lower()
        tonic = {"H": 11, "B": 10}.get(letter, _LETTERS[letter if letter != "H" else "B"])
        return key_name(tonic + {"is": 1, "es": -1, "s": -1}.get(sign, 0), "major" if mode == "dur" else "minor")
    if (found := _SOLFEGE_KEY.search(caption)) is not None:
        name, short, long, mode = (group.lower() if group else "" for group in found.groups())
        sign = short or long
        shift = 0 if not sign else -1 if sign[0] in "bб♭" else 1
        return key_name(
            _SOLFEGE[name] + shift, "major" if mode.startswith(("maj", "may", "mag", "mai", "маж")) else "minor"
        )
    if (found := _SOLFEGE_ALONE.search(caption)) is not None:
        sign = (found.group(2) or "").lower()
        shift = 0 if not sign else -1 if sign[0] == "b" else 1
        return key_name(_SOLFEGE[found.group(1).lower()] + shift, "major")
    if (found := _EASTERN_KEY.search(caption)) is None:
        return None
    if found.group(6):
        shift = {"올림": 1, "내림": -1}.get(found.group(5) or "", 0)
        return key_name(_KOREAN[found.group(6)] + shift, "major" if found.group(7) == "장조" else "minor")
    letter = found.group(2)
    tonic = _JAPANESE.get(letter)
    if tonic is None:
        tonic = _LETTERS[chr(ord(letter) - 0xFEE0) if ord(letter) > 0x7F else letter]
    shift = {"嬰": 1, "升": 1, "変": -1, "降": -1}.get(found.group(1), 0) + {"#": 1, "♯": 1, "♭": -1, "b": -1}.get(
        found.group(3), 0
    )
    minor = found.group(4)[0] in "小短マ단"
    return key_name(tonic + shift, "minor" if minor else "major")
