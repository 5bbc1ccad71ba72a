"""The instruments a score may name: General MIDI programs, the roles they can play, and how to place them in a mix.

One vocabulary for everything that names an instrument: what a caption calls it, what the score codec may choose for a
role (at most 16 a role, in a fixed order), where the sampler puts it. Nothing here knows of sound or files.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.score.types import ROLES, Role


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument, or for `roles == ("drums",)` one General MIDI drum kit.

    `program` is 0-based. `pan` is -1 (left) .. 1 (right). `gain_db` evens out how loud the sound font plays the
    instrument: it brings a plain phrase at velocity 90 to the same loudness (BS.1770) for all. `low`..`high` is the
    MIDI pitch range it sounds good in.
    """

    name: str
    program: int
    roles: tuple[Role, ...]
    synonyms: tuple[str, ...] = ()
    pan: float = 0.0
    gain_db: float = 0.0
    low: int = 24
    high: int = 108

    @property
    def is_kit(self) -> bool:
        return self.roles == ("drums",)


INSTRUMENTS: tuple[Instrument, ...] = (
    Instrument(
        "piano", 0, ("chords", "arp", "lead", "bass"), ("grand piano", "acoustic piano", "keys"), -0.1, 2.0, 28, 100
    ),
    Instrument(
        "electric piano", 4, ("chords", "arp", "lead"), ("rhodes", "rhodes piano", "electric keys"), 0.15, -2.5, 36, 96
    ),
    Instrument("FM piano", 5, ("chords",), ("fm electric piano", "80s electric piano"), 0.15, 0.0, 36, 96),
    Instrument("harpsichord", 6, ("chords", "arp"), ("cembalo",), -0.15, 1.5, 36, 88),
    Instrument("celesta", 8, ("arp",), ("celeste", "bell keys"), 0.3, 0.5, 60, 103),
    Instrument("music box", 10, ("arp",), ("musical box", "toy box melody"), 0.3, -4.0, 60, 100),
    Instrument("vibraphone", 11, ("chords", "arp", "lead"), ("vibes",), 0.25, 0.5, 53, 89),
    Instrument("marimba", 12, ("arp",), ("mallets",), 0.3, -0.5, 45, 96),
    Instrument(
        "organ", 16, ("chords", "pad"), ("hammond organ", "drawbar organ", "electric organ"), -0.2, -1.5, 36, 96
    ),
    Instrument("church organ", 19, ("pad",), ("pipe organ",), 0.0, -4.5, 36, 96),
    Instrument("accordion", 21, ("chords",), ("squeezebox",), 0.2, -1.5, 48, 89),
    Instrument(
        "nylon guitar",
        24,
        ("chords", "arp", "lead"),
        ("classical guitar", "spanish guitar", "nylon string guitar"),
        -0.25,
        2.0,
        40,
        84,
    ),
    Instrument(
        "acoustic guitar",
        25,
        ("chords", "arp"),
        ("steel guitar", "steel string guitar", "strummed guitar"),
        -0.3,
        2.5,
        40,
        84,
    ),
    Instrument("jazz guitar", 26, ("chords",), ("hollow body guitar", "archtop guitar"), -0.25, -2.5, 40, 86),
    Instrument("clean guitar", 27, ("chords", "arp", "lead"), ("clean electric guitar",), -0.3, -5.0, 40, 86),
    Instrument("muted guitar", 28, ("arp",), ("palm muted guitar",), -0.4, 4.5, 40, 80),
    Instrument(
        "distorted guitar",
        30,
        ("chords", "lead"),
        ("distortion guitar", "heavy guitar", "electric guitar"),
        0.3,
        -1.5,
        40,
        88,
    ),
    Instrument("acoustic bass", 32, ("bass",), ("upright bass", "double bass"), 0.0, -2.0, 28, 55),
    Instrument("electric bass", 33, ("bass",), ("bass guitar", "fingered bass"), 0.0, -2.5, 28, 55),
    Instrument("picked bass", 34, ("bass",), ("pick bass",), 0.0, -2.5, 28, 55),
    Instrument("fretless bass", 35, ("bass",), ("smooth fretless bass",), 0.0, -1.5, 28, 55),
    Instrument("slap bass", 36, ("bass",), ("funky slap bass",), 0.0, 0.0, 28, 55),
    Instrument("synth bass", 38, ("bass",), ("analog bass", "bass synth"), 0.0, 5.0, 24, 55),
    Instrument("sub bass", 39, ("bass",), ("808 bass", "deep synth bass"), 0.0, -7.0, 24, 55),
    Instrument("violin", 40, ("lead",), ("solo violin", "fiddle"), 0.2, 0.0, 55, 96),
    Instrument("cello", 42, ("lead", "bass"), ("solo cello",), -0.15, 1.0, 36, 76),
    Instrument("contrabass", 43, ("bass",), ("bowed bass",), 0.0, 2.5, 28, 55),
    Instrument("pizzicato strings", 45, ("arp",), ("pizzicato", "plucked strings"), 0.25, -0.5, 40, 91),
    Instrument("harp", 46, ("arp",), ("concert harp",), 0.3, 0.0, 36, 98),
    Instrument("strings", 48, ("pad", "chords"), ("string section", "string ensemble", "orchestra"), 0.0, -3.0, 36, 96),
    Instrument("slow strings", 49, ("pad",), ("soft strings", "lush strings"), 0.0, -5.5, 36, 96),
    Instrument("synth strings", 50, ("pad",), ("string machine",), 0.0, -9.0, 36, 96),
    Instrument("choir", 52, ("pad",), ("voices", "choir pad", "vocal pad"), 0.0, -2.5, 40, 84),
    Instrument("trumpet", 56, ("lead",), ("solo trumpet", "horn"), 0.15, -3.0, 54, 86),
    Instrument("muted trumpet", 59, ("lead",), ("harmon mute trumpet",), 0.15, -4.0, 54, 86),
    Instrument("brass section", 61, ("chords",), ("brass", "horn section"), 0.25, -8.0, 41, 84),
    Instrument("saxophone", 66, ("lead",), ("sax", "tenor sax"), 0.1, -1.0, 44, 80),
    Instrument("clarinet", 71, ("lead",), ("solo clarinet",), 0.15, -1.5, 50, 89),
    Instrument("oboe", 68, ("lead",), ("solo oboe",), 0.15, -2.0, 58, 88),
    Instrument("flute", 73, ("lead",), ("solo flute",), 0.15, -2.5, 60, 96),
    Instrument("square lead", 80, ("lead", "arp"), ("chiptune lead", "square wave synth"), 0.1, -6.0, 48, 96),
    Instrument("saw lead", 81, ("lead", "arp", "chords"), ("synth lead", "saw synth", "synth"), 0.0, -5.5, 45, 96),
    Instrument("fantasia", 88, ("pad",), ("bell pad", "new age pad"), 0.0, -2.5, 40, 91),
    Instrument("warm pad", 89, ("pad",), ("synth pad", "soft pad", "pad"), 0.0, 2.5, 36, 91),
    Instrument("polysynth", 90, ("chords", "pad"), ("poly synth", "synth chords"), 0.0, 0.5, 40, 91),
    Instrument("space voice", 91, ("pad",), ("ethereal voices", "airy pad"), 0.0, -6.5, 40, 91),
    Instrument("halo pad", 94, ("pad",), ("shimmering pad",), 0.0, -2.5, 40, 91),
    Instrument("sweep pad", 95, ("pad",), ("evolving pad", "atmospheric pad"), 0.0, -8.0, 40, 91),
    Instrument("kalimba", 108, ("arp",), ("thumb piano",), 0.3, 0.0, 55, 96),
    Instrument("standard kit", 0, ("drums",), ("acoustic drums", "drum kit", "drums"), gain_db=1.5),
    Instrument("room kit", 8, ("drums",), ("live drums", "roomy drums"), gain_db=1.5),
    Instrument("power kit", 16, ("drums",), ("big drums", "rock drums"), gain_db=0.5),
    Instrument("electronic kit", 24, ("drums",), ("electronic drums", "drum machine"), gain_db=1.5),
    Instrument("808 kit", 25, ("drums",), ("808 drums", "808 beat", "tr-808"), gain_db=-7.0),
    Instrument("jazz kit", 32, ("drums",), ("jazz drums", "swinging drums"), gain_db=2.5),
    Instrument("brush kit", 40, ("drums",), ("brushes", "brushed drums"), gain_db=1.5),
)
"""Every instrument. The order is part of the score codec's meaning: append, never reorder."""

_BY_ROLE: dict[Role, tuple[Instrument, ...]] = {
    role: tuple(instrument for instrument in INSTRUMENTS if role in instrument.roles) for role in ROLES
}


def instruments_for(role: Role) -> tuple[Instrument, ...]:
    """The instruments (for `drums` the kits) that can play `role`, at most 16, in the order of `INSTRUMENTS`."""
    return _BY_ROLE[role]


def programs_for(role: Role) -> tuple[int, ...]:
    """The programs (for `drums` kit numbers) that can play `role`, at most 16, in a stable order."""
    return tuple(instrument.program for instrument in _BY_ROLE[role])


def instrument(role: Role, program: int) -> Instrument:
    """The instrument that plays `program` in `role`.

    A program outside the vocabulary (from somebody's MIDI file) gives a plain instrument with that program.
    """
    found = next((item for item in _BY_ROLE[role] if item.program == program), None)
    return found or Instrument(f"program {program}", program, (role,))
