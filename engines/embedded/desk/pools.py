"""Names, ids, dates and amounts, split so that training and held-out sessions never share one.

Every value is drawn until the CRC-32 of its text falls on the side of the wanted split, so the two
splits are disjoint by construction, whatever the seeds are. Two in ten values are held out.
"""

from __future__ import annotations

import zlib
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Split = Literal["train", "heldout"]

_FIRST = [
    "Ada",
    "Amir",
    "Anna",
    "Arun",
    "Bea",
    "Ben",
    "Bruno",
    "Carla",
    "Chen",
    "Clara",
    "Dana",
    "David",
    "Diego",
    "Elif",
    "Ella",
    "Emil",
    "Eva",
    "Farid",
    "Felix",
    "Fiona",
    "Goran",
    "Grace",
    "Hana",
    "Hugo",
    "Ida",
    "Igor",
    "Ines",
    "Iris",
    "Ivan",
    "Jana",
    "Jonas",
    "Julia",
    "Kaito",
    "Karim",
    "Kira",
    "Lars",
    "Lea",
    "Leo",
    "Lina",
    "Luca",
    "Maja",
    "Marco",
    "Maria",
    "Mila",
    "Nadia",
    "Nora",
    "Olga",
    "Omar",
    "Otto",
    "Paula",
    "Pedro",
    "Petra",
    "Priya",
    "Rafa",
    "Rosa",
    "Ruth",
    "Sami",
    "Sara",
    "Sofia",
    "Sven",
    "Tara",
    "Theo",
    "Tim",
    "Uma",
    "Vera",
    "Victor",
    "Wanda",
    "Yara",
    "Yusuf",
    "Zoe",
]
_LAST = [
    "Abel",
    "Ahmed",
    "Alves",
    "Bauer",
    "Beck",
    "Berg",
    "Blom",
    "Brandt",
    "Carter",
    "Costa",
    "Cruz",
    "Dahl",
    "Diaz",
    "Duarte",
    "Ekman",
    "Engel",
    "Faber",
    "Fischer",
    "Ford",
    "Garcia",
    "Gomez",
    "Haas",
    "Hahn",
    "Hansen",
    "Hill",
    "Horn",
    "Ibsen",
    "Jansen",
    "Keller",
    "Khan",
    "Klein",
    "Koch",
    "Kumar",
    "Lang",
    "Lind",
    "Lopez",
    "Maier",
    "Meyer",
    "Moreau",
    "Nagy",
    "Nakata",
    "Novak",
    "Olsen",
    "Ortega",
    "Park",
    "Patel",
    "Perez",
    "Petrov",
    "Quist",
    "Ramos",
    "Reed",
    "Rossi",
    "Roth",
    "Santos",
    "Sato",
    "Silva",
    "Singh",
    "Stein",
    "Suzuki",
    "Torres",
    "Vogel",
    "Wagner",
    "Walsh",
    "Weber",
    "Wolf",
]
_SYLLABLES = [
    "ba",
    "be",
    "bo",
    "bra",
    "cha",
    "da",
    "dei",
    "do",
    "el",
    "en",
    "fa",
    "fi",
    "gar",
    "gu",
    "ha",
    "hil",
    "in",
    "ja",
    "jo",
    "ka",
    "ki",
    "ko",
    "la",
    "len",
    "li",
    "lo",
    "ma",
    "mer",
    "mi",
    "mo",
    "na",
    "nel",
    "no",
    "or",
    "pa",
    "pe",
    "qui",
    "ra",
    "rek",
    "ri",
    "ro",
    "sa",
    "sel",
    "shi",
    "so",
    "ta",
    "ter",
    "ti",
    "tor",
    "u",
    "va",
    "ven",
    "vi",
    "wa",
    "wen",
    "xi",
    "ya",
    "yo",
    "za",
    "zu",
]
_STREETS = [
    "Mill",
    "Oak",
    "Station",
    "Garden",
    "Harbor",
    "Church",
    "River",
    "Park",
    "Hill",
    "Market",
    "School",
    "Bridge",
    "Forest",
    "Lake",
]
_CITIES = [
    "Bergen",
    "Porto",
    "Lyon",
    "Turin",
    "Graz",
    "Malmo",
    "Leeds",
    "Cork",
    "Ghent",
    "Basel",
    "Vigo",
    "Gdansk",
    "Brno",
    "Tampere",
]
_ITEMS: dict[str, str] = {
    "kettle": "KET",
    "desk lamp": "LMP",
    "backpack": "BPK",
    "rain jacket": "JKT",
    "running shoes": "SHO",
    "coffee grinder": "GRD",
    "headphones": "HPH",
    "keyboard": "KEY",
    "office chair": "CHR",
    "water bottle": "BTL",
    "wool blanket": "BLK",
    "phone case": "CAS",
    "yoga mat": "MAT",
    "tent": "TNT",
    "monitor arm": "ARM",
    "travel mug": "MUG",
}
_COLOURS = ("blue", "red", "green", "black", "white", "grey", "orange", "yellow")
_DEVICES = ("router", "vacuum", "printer", "speaker", "tablet", "toaster", "dishwasher", "projector")
_METRICS = ("latency", "queue", "price", "load", "temperature", "traffic", "backlog", "pressure")

# Words that fill slots, lower case: the tokenizer gives them no token of their own with a prefix.
VARYING = {
    word.lower()
    for words in (_FIRST, _LAST, _STREETS, _CITIES, _COLOURS, " ".join(_ITEMS).split(), _ITEMS.values())
    for word in words
}


def split_of(text: str) -> Split:
    """The split that owns `text`."""
    return "heldout" if zlib.crc32(text.encode()) % 10 < 2 else "train"


class Pools:
    """Draws values that belong to one split from one random stream."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self.rng = rng
        self.split = split

    def _own(self, draw: Callable[[], str]) -> str:
        while split_of(value := draw()) != self.split:
            pass
        return value

    def _digits(self, count: int) -> str:
        return "".join(self.rng.choice("0123456789") for _ in range(count))

    def _coined(self) -> str:
        return "".join(self.rng.choice(_SYLLABLES) for _ in range(self.rng.randint(2, 3))).capitalize()

    def first(self) -> str:
        """A given name, from the list or coined from syllables."""
        return self._own(lambda: self.rng.choice(_FIRST) if self.rng.random() < 0.5 else self._coined())

    def last(self) -> str:
        """A family name, from the list or coined from syllables."""
        return self._own(lambda: self.rng.choice(_LAST) if self.rng.random() < 0.5 else self._coined())

    def company(self) -> str:
        """A company name, coined."""
        return self._own(lambda: self._coined() + self.rng.choice((" Shop", " Home", " Net", " Store", "")))

    def email(self) -> str:
        """An address under a reserved domain."""
        host = self.rng.choice(("mail.example", "post.example", "inbox.example"))
        return self._own(lambda: f"{self.first()}.{self.last()}@{host}".lower())

    def order_id(self) -> str:
        """Like ``A-10432``."""
        return self._own(lambda: f"{self.rng.choice('ABCDEFGH')}-{self._digits(5)}")

    def invoice_id(self) -> str:
        """Like ``INV-204981``."""
        return self._own(lambda: f"INV-{self._digits(6)}")

    def serial(self) -> str:
        """Like ``SN48KX2093``."""
        letters = "BCDFGHJKLMNPQRSTVWXZ"
        return self._own(
            lambda: f"SN{self._digits(2)}{self.rng.choice(letters)}{self.rng.choice(letters)}{self._digits(4)}"
        )

    def account(self) -> str:
        """Like ``C-804213``."""
        return self._own(lambda: f"C-{self._digits(6)}")

    def code(self) -> str:
        """A six-digit sign-in code."""
        return self._own(lambda: self._digits(6))

    def tracking(self) -> str:
        """Like ``TR8830127``."""
        return self._own(lambda: f"TR{self._digits(7)}")

    def label(self) -> str:
        """Like ``RL-58213``."""
        return self._own(lambda: f"RL-{self._digits(5)}")

    def region(self) -> str:
        """A service region like ``Porto-3``."""
        return self._own(lambda: f"{self.rng.choice(_CITIES)}-{self.rng.randint(1, 99)}")

    def address(self) -> str:
        """Street, number and city."""
        return self._own(
            lambda: f"{self.rng.randint(1, 199)} {self.rng.choice(_STREETS)} Street, {self.rng.choice(_CITIES)}"
        )

    def item(self) -> tuple[str, str, str]:
        """(item, colour, stock-keeping unit), as in ("kettle", "blue", "KET-BLUE")."""
        item = self.rng.choice(list(_ITEMS))
        colour = self.rng.choice(_COLOURS)
        return item, colour, f"{_ITEMS[item]}-{colour.upper()}"

    def other_colour(self, colour: str) -> str:
        """A colour that is not `colour`."""
        return self.rng.choice([c for c in _COLOURS if c != colour])

    def device(self) -> str:
        """A kind of appliance."""
        return self.rng.choice(_DEVICES)

    def metric(self) -> str:
        """What a number stream measures."""
        return self.rng.choice(_METRICS)

    def amount(self, low: float, high: float) -> str:
        """An amount of money with two decimals, uniform in [low, high]."""
        return self._own(lambda: f"{self.rng.uniform(low, high):.2f}")

    def day(self, around: date, first: int, last: int) -> str:
        """An ISO date `first` to `last` days after `around` (no split: dates are few)."""
        return (around + timedelta(days=self.rng.randint(first, last))).isoformat()
