"""Who plays, by the words of a caption: what is named, what is ruled out, and whether nobody else plays.

Reads English, Spanish, French, German, Italian and Portuguese by rules, with the words of `partita.text.orchestra`.
Knows no likelihoods: what is named without a part has several that it may play, and a caption that says nothing of a
part leaves it open. Of two words that contradict each other the one that rules out wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from partita.score.types import ROLES, Role
from partita.text.orchestra.lexicon import INDEFINITE, Item, items_of
from partita.text.orchestra.vocabulary import DRUM_PART, SENSES, LanguageCode, Part, excluded_parts

_HARMONIC: tuple[Role, ...] = ("pad", "chords", "arp")
_ROLE_FIRST: frozenset[LanguageCode] = frozenset(("es", "fr", "it", "pt"))  # `melodía de violín`, not `violin melody`
_WITH = frozenset(("with", "con", "avec", "mit", "com", "featuring", "feat"))
_SPANISH_WITH = "con"  # in Spanish and Italian a `melodía con violín` is one that the violin plays
_NONE = frozenset(
    ("none", "no", "non", "nein", "nao", "kein", "keine", "off", "ninguna", "ninguno", "aucune", "nessuna")
)
_LINKING_WORDS = 4
_SAID_BEFORE = ("lead", "arp")  # `lead violin`, `arpeggiated harp`
_ENSEMBLES = (("du", 2), ("tri", 3), ("qua", 4))
_WORDS_BEFORE_NAME = 3  # `without any of these heavy drums`


@dataclass(frozen=True, slots=True)
class Named:
    """Something that is to play: any one of `parts`, each a role and a program; `text` is as written.

    `role` is the one part that the words give it, `wished` one that they give it and it cannot play; `said` is whether
    they say at all what its part is.
    """

    text: str
    parts: tuple[Part, ...]
    role: Role | None = None
    wished: Role | None = None
    said: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """The parts that it may have, in the order of `ROLES`."""
        able = {role for role, _ in self.parts}
        return tuple(role for role in ROLES if role in able)

    @property
    def programs(self) -> frozenset[int]:
        return frozenset(program for _, program in self.parts)


@dataclass(frozen=True, slots=True)
class NamedParts:
    """What a caption says of who plays.

    `instruments` are named to play, `roles` are named with nobody to play them, `absent` roles are ruled out, and
    `excluded` parts. `only`: nobody else plays. `strangers` are instruments, as written, that no score has;
    `contradicted` is what is both asked for and ruled out.
    """

    instruments: tuple[Named, ...] = ()
    roles: frozenset[Role] = frozenset()
    absent: frozenset[Role] = frozenset()
    excluded: frozenset[Part] = frozenset()
    only: bool = False
    strangers: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()

    @property
    def present(self) -> dict[Role, int | None]:
        """The roles that play for certain, with the program where the words leave no choice of it."""
        found: dict[Role, int | None] = {}
        for role in self.roles:
            found[role] = None
        for one in self.instruments:
            if len(one.roles) == 1:
                found[one.roles[0]] = next(iter(one.programs)) if len(one.programs) == 1 else None
        return found


def named_parts(text: str) -> NamedParts:
    """Read a caption. Any text gives a valid answer; one that names nobody an empty one."""
    items, languages = items_of(text)
    items = _without_vibes(items)
    links = _links(items, languages)
    negated = _negated(items, links)
    named, roles, strangers = _asked(text, items, links, negated)
    absent, excluded = _ruled_out(items, links, negated)
    named, contradicted = _settled(named, absent, excluded)
    named = _merged(named)
    alone = _is_alone(items, negated, len(named) + len(roles))
    lost = tuple(role for role in ROLES if role in roles & absent)
    # A soloist among others carries the tune.
    if not alone:
        named = [_soloist(one, items) for one in named]
    return NamedParts(
        instruments=tuple(named),
        roles=frozenset(roles - absent),
        absent=frozenset(absent),
        excluded=frozenset(excluded),
        only=alone,
        strangers=tuple(dict.fromkeys(strangers)),
        contradicted=(*contradicted, *lost),
    )


def _without_vibes(items: list[Item]) -> list[Item]:
    """`good vibes` are no vibraphone."""
    return [
        replace(one, kind="other", value="")
        if one.text == "vibes" and place and items[place - 1].kind == "other"
        else one
        for place, one in enumerate(items)
    ]


# Which part an instrument is given.


def _links(items: Sequence[Item], languages: Sequence[LanguageCode]) -> dict[int, int]:
    """Places of roles, and of the instruments that are to play them: `violin melody`, `acordes de piano`."""
    links: dict[int, int] = {}
    taken: set[int] = set()
    roles = [place for place, one in enumerate(items) if one.kind == "role" and one.value != "rhythm section"]
    first, *rest = (_played_by, _beside) if _ROLE_FIRST & set(languages) else (_beside, _played_by)
    for find in (first, *rest, _plays):
        for role in roles:
            if role in links:
                continue
            found = find(items, role)
            if found is not None and found not in taken and _can_link(items[found], items[role]):
                links[role] = found
                taken.add(found)
    return links


def _can_link(name: Item, role: Item) -> bool:
    if role.value in ("drums", "bass"):
        return any(part == role.value for part, _ in SENSES[name.value])
    return name.value != DRUM_PART


def _beside(items: Sequence[Item], role: int) -> int | None:
    """The instrument next to a role: before it, or after words such as `lead`. Drums and bass stand for themselves."""
    one = items[role]
    if one.value in ("drums", "bass"):
        return None
    if role and items[role - 1].kind == "name":
        return role - 1
    after = role + 1
    before = " " not in one.text and one.value in _SAID_BEFORE and one.text not in ("melody", "tune", "melodie")
    return after if before and after < len(items) and items[after].kind == "name" else None


def _played_by(items: Sequence[Item], role: int) -> int | None:
    """The instrument after a role and words such as `of`, `played by`: `melody on the flute`."""
    if items[role].value in ("drums", "bass"):
        return None
    joined, others = False, 0
    for place in range(role + 1, min(role + 3 + _LINKING_WORDS, len(items))):
        one = items[place]
        if one.kind == "name":
            return place if joined else None
        beside = items[role].value == "lead" and one.text == _SPANISH_WITH and items[place - 1] is items[role]
        if beside or ("of" in one.uses and one.text not in _WITH):
            joined = True
        elif one.kind == "other" and joined and others < 2:
            others += 1
        elif one.kind != "filler" and not (one.text == ":" and not joined):
            return None
        joined = joined or one.text == ":"
    return None


def _plays(items: Sequence[Item], role: int) -> int | None:
    """The instrument before a role and words such as `plays`, `as`: `the violin carries the melody`."""
    joined = False
    for place in range(role - 1, max(-1, role - 2 - _LINKING_WORDS), -1):
        one = items[place]
        if one.kind == "name":
            return place if joined else None
        if "of" in one.uses or one.text in _WITH:
            joined = True
        elif one.kind != "filler":
            return None
    return None


# What is ruled out.


def _negated(items: Sequence[Item], links: dict[int, int]) -> frozenset[int]:
    """Places of what is ruled out."""
    found: set[int] = set()
    compounds = {frozenset(pair) for pair in links.items()}
    for place, one in enumerate(items):
        if one.text in _NONE and _says_none(items, place):
            found.add(place - 2)
        elif one.uses & {"no", "without", "neither"} and "only" not in one.uses:
            found |= _scope(items, place, "without" in one.uses, compounds)
        elif "free" in one.uses and place and items[place - 1].is_target:
            found.add(place - 1)
    return frozenset(found)


def _says_none(items: Sequence[Item], place: int) -> bool:
    """`drums: none`."""
    ends = place + 1 == len(items) or items[place + 1].kind in ("comma", "stop")
    return ends and place > 1 and items[place - 1].text == ":" and items[place - 2].is_target


def _scope(items: Sequence[Item], place: int, strong: bool, compounds: set[frozenset[int]]) -> set[int]:
    """What a word such as `no` rules out: what it stands before, and what is joined to that.

    A comma ends it but in a list that ends in `or`, or, where it is a `strong` word such as `without`, in `and`.
    """
    found: set[int] = set()
    words, last, closed = 0, -1, False
    here = place + 1
    while here < len(items):
        one = items[here]
        if one.is_target:
            if last == here - 1 and frozenset((last, here)) not in compounds:
                break
            if closed:
                break
            found.add(here)
            last = here
        elif one.kind == "comma":
            if not found or not _list_goes_on(items, here, strong):
                break
            closed = False
        elif one.uses & {"or", "neither"}:
            closed, last = False, -1
        elif "and" in one.uses:
            if closed or not _is_joined_on(items, here):
                break
            last = -1
        elif one.kind == "stop" or one.uses & {"but", "only", "alone", "except", "no", "without", "not only"}:
            break
        elif one.kind == "other" or "of" in one.uses or one.kind == "word":
            words += 1
            if found and last >= 0:
                closed = frozenset((last, _next_target(items, here))) not in compounds
            elif words > _WORDS_BEFORE_NAME:
                break
        here += 1
    return found


def _is_joined_on(items: Sequence[Item], place: int) -> bool:
    """Whether a word such as `and` stands before a target, or before one with a preposition (`y de bajo`)."""
    after = items[place + 1 : place + 3]
    return bool(after) and (after[0].is_target or ("of" in after[0].uses and after[-1].is_target))


def _next_target(items: Sequence[Item], place: int) -> int:
    return next((here for here in range(place, len(items)) if items[here].is_target), -1)


def _list_goes_on(items: Sequence[Item], comma: int, strong: bool) -> bool:
    """Whether what follows a comma is more of the same list, which ends in `or X` (or in `and X`)."""
    here, seen = comma + 1, False
    while here < len(items):
        one = items[here]
        if one.is_target:
            seen = True
        elif one.kind == "filler" and one.text not in INDEFINITE:
            pass
        elif one.uses & {"or", "neither"} or (strong and "and" in one.uses):
            following = items[here + 1 : here + 3]
            begins = "and" in one.uses and bool(following) and following[0].text in INDEFINITE
            return seen and not begins and any(item.is_target for item in following)
        elif one.kind != "comma" or not seen:
            return False
        else:
            seen = False
        here += 1
    return False


def _ruled_out(items: Sequence[Item], links: dict[int, int], negated: frozenset[int]) -> tuple[set[Role], set[Part]]:
    """Roles and parts that are ruled out. One drum is not all of them, so `no cymbals` rules out nothing."""
    absent: set[Role] = set()
    excluded: set[Part] = set()
    held = set(links.values())
    for role, name in links.items():
        if role in negated or name in negated:
            wanted = _roles_of(items[role].value)
            parts = {part for part in SENSES[items[name].value] if part[0] in wanted}
            excluded |= parts
            if not parts:
                absent |= set(wanted)
    for place in negated - held - set(links):
        one = items[place]
        if one.kind == "role" and one.value != "backing":
            absent |= set(_roles_of(one.value))
        elif one.kind == "name" and one.value != DRUM_PART and not _is_of_a_solo(items, place):
            excluded |= set(excluded_parts(one.value))
    if {program for role, program in SENSES[DRUM_PART]} == {program for role, program in excluded if role == "drums"}:
        absent.add("drums")
    return absent, excluded


def _is_of_a_solo(items: Sequence[Item], place: int) -> bool:
    """`no guitar solo` leaves the guitar in."""
    return place + 1 < len(items) and items[place + 1].text == "solo"


# Who is asked for.


def _asked(
    text: str, items: Sequence[Item], links: dict[int, int], negated: frozenset[int]
) -> tuple[list[Named], set[Role], list[str]]:
    """Instruments, roles and strangers that are to play."""
    given = {name: role for role, name in links.items()}
    named: list[Named] = []
    roles: set[Role] = set()
    strangers: list[str] = []
    for place, one in enumerate(items):
        linked = {place, links.get(place, place), given.get(place, place)}
        if linked & negated:
            continue
        written = text[one.start : one.end]
        if one.kind == "name":
            role = items[given[place]].value if place in given else "lead" if _is_called_lead(one) else None
            named.append(_named(written, one.value, role))
        elif one.kind == "role" and place not in links and one.value != "backing":
            roles |= set(_roles_of(one.value))
        elif one.kind == "stranger":
            strangers.append(written)
    return named, roles, strangers


def _is_called_lead(one: Item) -> bool:
    """`saw lead`, `sinte solista`: names that say what the instrument is for."""
    return any(word.startswith(("lead", "solist")) or word.endswith("lead") for word in one.text.split())


def _named(text: str, sense: str, role: str | None) -> Named:
    parts = SENSES[sense]
    if role is None:
        return Named(text, parts)
    wanted = _roles_of(role)
    able = tuple(part for part in parts if part[0] in wanted)
    single = wanted[0] if len(wanted) == 1 else None
    if able:
        return Named(text, able, single, said=True)
    return Named(text, parts, None, single)


def _roles_of(value: str) -> tuple[Role, ...]:
    if value == "backing":
        return _HARMONIC
    if value == "rhythm section":
        return ("drums", "bass")
    return tuple(role for role in ROLES if role == value)


def _settled(named: list[Named], absent: set[Role], excluded: set[Part]) -> tuple[list[Named], list[str]]:
    """What is asked for without what is ruled out, and the texts of what is left with nothing to play."""
    left: list[Named] = []
    contradicted: list[str] = []
    for one in named:
        parts = tuple(part for part in one.parts if part[0] not in absent and part not in excluded)
        if parts:
            left.append(replace(one, parts=parts))
        else:
            contradicted.append(one.text)
    return left, contradicted


def _merged(named: Sequence[Named]) -> list[Named]:
    """Without what only says again, more generally, what something else says: `guitar`, then `acoustic guitar`."""
    kept: list[Named] = []
    for one in named:
        again = next((n for n, other in enumerate(kept) if _says_again(one, other) or _says_again(other, one)), None)
        if again is None:
            kept.append(one)
        elif len(one.parts) < len(kept[again].parts):
            kept[again] = one
    return kept


def _says_again(general: Named, special: Named) -> bool:
    return set(special.parts) <= set(general.parts) and not (general.said and special.said)


# Nobody else.


def _is_alone(items: Sequence[Item], negated: frozenset[int], count: int) -> bool:
    """Whether the caption says that nobody but those it names plays."""
    if not count:
        return False
    for place, one in enumerate(items):
        follows = _follows_target(items, place) and place - 1 not in negated
        ends = place + 1 == len(items) or items[place + 1].kind in ("comma", "stop")
        if "alone" in one.uses and (" " in one.text or follows) and (count == 1 or not _is_solo(one)):
            return True
        if "only" in one.uses and (_leads_to_target(items, place, negated) or (ends and follows)):
            return True
        if _is_solo(one) and count == 1:
            after = items[place + 1 : place + 2]
            joined = place and (items[place - 1].text in _WITH or "and" in items[place - 1].uses)
            if after and after[0].is_target and not joined:
                return True
            if follows and not _is_an_addition(items, place):
                return True
        if "ensemble" in one.uses and count == next((n for start, n in _ENSEMBLES if one.text.startswith(start)), 0):
            return True
    return False


def _is_solo(one: Item) -> bool:
    """Whether a word may be `solo` in the sense of a soloist; in Spanish and Italian it is also `only`."""
    return one.text == "solo" and bool(one.uses & {"solo", "alone"})


def _follows_target(items: Sequence[Item], place: int) -> bool:
    return place > 0 and items[place - 1].is_target


def _is_an_addition(items: Sequence[Item], place: int) -> bool:
    """`with a guitar solo`: something that happens in a song, rather than all of it."""
    before = [one for one in items[max(0, place - 4) : place - 1] if one.kind != "other"]
    return any(one.text in _WITH or "and" in one.uses or one.text in INDEFINITE for one in before)


def _leads_to_target(items: Sequence[Item], place: int, negated: frozenset[int]) -> bool:
    """Whether a word such as `only` stands before somebody who plays: `just a soft piano`, not `just like a piano`."""
    words = 0
    for here in range(place + 1, len(items)):
        one = items[here]
        if one.is_target:
            return here not in negated
        if one.text in _WITH and here == place + 1:
            continue
        words += one.kind == "other"
        if words > 1 or (one.kind not in ("other", "filler") and "of" not in one.uses) or "vague" in one.uses:
            return False
    return False


def _soloist(one: Named, items: Sequence[Item]) -> Named:
    """Whoever is said to play solo has the lead, if it can."""
    for place, item in enumerate(items):
        if item.kind != "name" or one.role is not None or SENSES[item.value] != one.parts:
            continue
        around = [items[here] for here in (place - 1, place + 1) if 0 <= here < len(items)]
        leads = tuple(part for part in one.parts if part[0] == "lead")
        if leads and any(other.text == "solo" and other.kind == "word" for other in around):
            return replace(one, parts=leads, role="lead", said=True)
    return one
