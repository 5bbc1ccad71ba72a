"""What ACE-Step v1's training spelled out, language by language: abbreviations, signs, ordinal endings, amounts.

Only data; `numbers` and `cleaners` use it. The order of abbreviations and of endings counts: the first that fits does.
"""

from __future__ import annotations

from types import MappingProxyType

# Shortened word -> whole word. It stands at the start of a word and a full stop follows, but in Russian, where it is
# a word by itself.
ABBREVIATIONS = MappingProxyType(
    {
        "en": {
            "mrs": "misess",
            "mr": "mister",
            "dr": "doctor",
            "st": "saint",
            "co": "company",
            "jr": "junior",
            "maj": "major",
            "gen": "general",
            "drs": "doctors",
            "rev": "reverend",
            "lt": "lieutenant",
            "hon": "honorable",
            "sgt": "sergeant",
            "capt": "captain",
            "esq": "esquire",
            "ltd": "limited",
            "col": "colonel",
            "ft": "fort",
        },
        "es": {
            "sra": "señora",
            "sr": "señor",
            "dr": "doctor",
            "dra": "doctora",
            "st": "santo",
            "co": "compañía",
            "jr": "junior",
            "ltd": "limitada",
        },
        "fr": {
            "mme": "madame",
            "mr": "monsieur",
            "dr": "docteur",
            "st": "saint",
            "co": "compagnie",
            "jr": "junior",
            "ltd": "limitée",
        },
        "de": {"fr": "frau", "dr": "doktor", "st": "sankt", "co": "firma", "jr": "junior"},
        "pt": {
            "sra": "senhora",
            "sr": "senhor",
            "dr": "doutor",
            "dra": "doutora",
            "st": "santo",
            "co": "companhia",
            "jr": "júnior",
            "ltd": "limitada",
        },
        "it": {
            "sig": "signore",
            "dr": "dottore",
            "st": "santo",
            "co": "compagnia",
            "jr": "junior",
            "ltd": "limitata",
        },
        "pl": {"p": "pani", "m": "pan", "dr": "doktor", "sw": "święty", "jr": "junior"},
        "cs": {"dr": "doktor", "ing": "inženýr", "p": "pan"},
        "ru": {"г-жа": "госпожа", "г-н": "господин", "д-р": "доктор"},
        "nl": {"dhr": "de heer", "mevr": "mevrouw", "dr": "dokter", "jhr": "jonkheer"},
        "tr": {"b": "bay", "byk": "büyük", "dr": "doktor"},
        "hu": {"dr": "doktor", "b": "bácsi", "nőv": "nővér"},
        "ar": {},
        "zh": {},
        "ko": {},
    }
)
UNDOTTED = frozenset({"ru"})

SIGNS = "&@%#$£°"
# The words for `SIGNS`, in that order.
SIGN_WORDS = MappingProxyType(
    {
        "en": ("and", "at", "percent", "hash", "dollar", "pound", "degree"),
        "es": ("y", "arroba", "por ciento", "numeral", "dolar", "libra", "grados"),
        "fr": ("et", "arobase", "pour cent", "dièse", "dollar", "livre", "degrés"),
        "de": ("und", "at", "prozent", "raute", "dollar", "pfund", "grad"),
        "pt": ("e", "arroba", "por cento", "cardinal", "dólar", "libra", "graus"),
        "it": ("e", "chiocciola", "per cento", "cancelletto", "dollaro", "sterlina", "gradi"),
        "pl": ("i", "małpa", "procent", "krzyżyk", "dolar", "funt", "stopnie"),
        "ar": ("و", "على", "في المئة", "رقم", "دولار", "جنيه", "درجة"),
        "zh": ("和", "在", "百分之", "号", "美元", "英镑", "度"),
        "cs": ("a", "na", "procento", "křížek", "dolar", "libra", "stupně"),
        "ru": ("и", "собака", "процентов", "номер", "доллар", "фунт", "градус"),
        "nl": ("en", "bij", "procent", "hekje", "dollar", "pond", "graden"),
        "tr": ("ve", "at", "yüzde", "diyez", "dolar", "sterlin", "derece"),
        "hu": ("és", "kukac", "százalék", "kettőskereszt", "dollár", "font", "fok"),
        "ko": ("그리고", "에", "퍼센트", "번호", "달러", "파운드", "도"),
    }
)

_FULL_STOP_AT_END = r"\.(?=\s|$)"
# What follows the digits of an ordinal, as regular expressions.
ORDINAL_ENDINGS = MappingProxyType(
    {
        "en": ("st", "nd", "rd", "th"),
        "es": ("º", "ª", "er", "o", "a", "os", "as"),
        "fr": ("º", "ª", "er", "re", "e", "ème"),
        "de": ("st", "nd", "rd", "th", "º", "ª", _FULL_STOP_AT_END),
        "pt": ("º", "ª", "o", "a", "os", "as"),
        "it": ("º", "°", "ª", "o", "a", "i", "e"),
        "pl": ("º", "ª", "st", "nd", "rd", "th"),
        "ar": ("ون", "ين", "ث", "ر", "ى"),
        "cs": (_FULL_STOP_AT_END,),
        "ru": ("-й", "-я", "-е", "-ое", "-ье", "-го"),
        "nl": ("de", "ste", "e"),
        "tr": (r"\.", "inci", "nci", "uncu", "üncü"),
        "hu": (r"\.", "adik", "edik", "odik", "ödik", "ödike", "ik"),
        "ko": ("번째", "번", "차", "째"),
    }
)

CURRENCIES = MappingProxyType({"GBP": "£", "USD": "$", "EUR": "€"})
# What stands between the whole units of an amount in words and its hundredths, where it is not a comma.
AMOUNT_JOINTS = MappingProxyType({"es": " con ", "fr": " et ", "de": " und ", "pt": " e ", "it": " e "})
AMOUNT_JOINT = ", "

# num2words' codes, where they are not the language's.
NUMBER_CODES = MappingProxyType({"cs": "cz"})
# Commas group digits and a point begins the decimals; elsewhere it is the other way round.
COMMA_GROUPS = frozenset({"en", "ru"})
# Languages in which decimals are read as two whole numbers.
NO_DECIMALS = frozenset({"tr"})
