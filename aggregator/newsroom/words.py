"""The vocabulary of the invented world, read once from `words.toml` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

Variants = tuple[str, ...]  # ways to say the same


@dataclass(frozen=True, slots=True)
class Names:
    """A supply of names, each a head and a tail."""

    heads: tuple[str, ...]
    tails: tuple[str, ...]

    def __getitem__(self, number: int) -> str:
        """The name of that number; no two alike below heads × tails."""
        turn, head = divmod(number, len(self.heads))
        return self.heads[head] + self.tails[(turn + number) % len(self.tails)]

    def __len__(self) -> int:
        return len(self.heads) * len(self.tails)


@dataclass(frozen=True, slots=True)
class Voice:
    """How one outlet heads and begins a report."""

    title: str
    lede: str


@dataclass(frozen=True, slots=True)
class Beat:
    """What may happen in a section: any of `does` (category, phrase), of `things` (name, sentence) and of `twists` go
    together, so that a report shares few words with any other."""

    voices: tuple[Voice, ...]
    does: tuple[tuple[str, Variants], ...]
    things: tuple[tuple[Variants, str], ...]
    twists: tuple[Variants, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of off-topic event, in whole sentences; titles and ledes one for each voice."""

    category: str
    voices: tuple[Voice, ...]
    details: tuple[str, ...]


def _variants(text: str) -> Variants:
    return tuple(part.strip() for part in text.split("|"))


def _voices(titles: list[str], ledes: list[str]) -> tuple[Voice, ...]:
    return tuple(Voice(title, lede) for title, lede in zip(titles, ledes, strict=True))


def _beat(table: dict[str, Any], voices: tuple[Voice, ...]) -> Beat:
    return Beat(
        voices=voices,
        does=tuple((category, _variants(phrase)) for category, phrase in table["does"]),
        things=tuple((_variants(name), sentence) for name, sentence in table["things"]),
        twists=tuple(_variants(twist) for twist in table["twists"]),
    )


_WORDS = tomllib.loads(files(__package__).joinpath("words.toml").read_text("utf-8"))
_NAMES: dict[str, list[str]] = _WORDS["names"]
_VOICES: dict[str, list[str]] = _WORDS["voices"]

COMPANIES = Names(tuple(_NAMES["company_heads"]), tuple(_NAMES["company_tails"]))
PLACES = Names(tuple(_NAMES["place_heads"]), tuple(_NAMES["place_tails"]))
PEOPLE = Names(tuple(_NAMES["people_heads"]), tuple(_NAMES["people_tails"]))
FIRST_NAMES = tuple(_NAMES["first_names"])
COUNTRIES = tuple(_NAMES["countries"])

_OF_COMPANIES = _voices(_VOICES["company_titles"], _VOICES["company_ledes"])
_OF_COUNTRIES = _voices(_VOICES["country_titles"], _VOICES["country_ledes"])
BEATS = {
    section: _beat(_WORDS[section], _OF_COUNTRIES if section == "economics" else _OF_COMPANIES)
    for section in ("tech", "companies", "economics", "marketing")
}
OFF_TOPIC = tuple(
    Kind(kind["category"], _voices(kind["titles"], kind["ledes"]), tuple(kind["details"]))
    for kind in _WORDS["none"]["kinds"]
)
ENDS = tuple(_VOICES["ends"])
OFF_TOPIC_ENDS = tuple(_WORDS["none"]["ends"])
