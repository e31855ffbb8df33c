"""The names of people: which of them could be one person's, and how one is shown so that it cannot pass for another.

Letters of several scripts look alike: a Cyrillic A in the place of a Latin one makes of one operator two. Names are
compared by what they look like, and a name with letters that are not Latin is shown with their code points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

__all__ = ["are_distinct", "shown_name"]

# Letters of other scripts by the Latin ones that they look like, before upper and lower case are taken as one: the two
# of a letter may look like two different ones.
_ALIKE: Final = (
    # Cyrillic
    ("АВСЕНІЈКМОРЅТХУԜҮҺӀЗԚԌԁԛԝҮ", "ABCEHIJKMOPSTXYWYhI3QGdqwY"),
    ("авсенјкморѕтхуүһӏіԝԛьгпԁзби", "abcehjkmopstxyyhliwqbrnd36u"),
    # Greek
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϳϺ", "ABEZHIKMNOPTYXCjM"),  # noqa: RUF001 - that is the point
    ("αβεζηικμνορτυχγωϲς", "abeznikuvoptuxywcs"),
    # Armenian
    ("ՏԼՕՍԱՌԶՀհոսօցզյխ", "SLOUUnZhhnuogqjd"),
    # Cherokee
    ("ᎪᏴᏟᎠᎬᎦᎻᎥᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᎩᏃᏀᏔ", "ABCDEFHiJKLMPRSTVWYZGW"),
    # Letters of the Latin script itself that are written like others
    ("ıɑɡɩʏʀɪʟʙʜɴ", "iagiyrilbhn"),
)
_LATIN: Final = {ord(own): latin for alike, latins in _ALIKE for own, latin in zip(alike, latins, strict=True)}


def _spelling(name: str) -> str:
    """A name as two spellings of it are compared."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _look(name: str) -> str:
    """A name as two that look alike are compared."""
    apart = unicodedata.normalize("NFKD", name).translate(_LATIN)
    return " ".join(unicodedata.normalize("NFKC", apart).casefold().translate(_LATIN).split())


def are_distinct(names: Iterable[str]) -> bool:
    """Whether no two of these names could be taken for one: none is another spelling of, or looks like, another."""
    given = [*names]
    return all(len({*map(key, given)}) == len(given) for key in (_spelling, _look))


def shown_name(name: str) -> str:
    """A name as it is shown: behind it the code points of its letters that are not Latin."""
    foreign = [one for one in name if one.isalpha() and not unicodedata.name(one, "").startswith("LATIN ")]
    return f"{name} ({' '.join(f'U+{ord(one):04X}' for one in foreign)})" if foreign else name
