"""The vocabulary of the invented world, read once from `words.toml` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of event, with four ways to head it and four ways to begin, so that several outlets can tell the same
    event in their own words. `section` is what a careful editor would file it under, `none` for off-topic."""

    section: str
    category: str
    titles: tuple[str, ...]
    ledes: tuple[str, ...]
    details: tuple[str, ...]


def _kind(table: dict[str, str | list[str]]) -> Kind:
    return Kind(
        section=str(table["section"]),
        category=str(table["category"]),
        titles=tuple(table["titles"]),
        ledes=tuple(table["ledes"]),
        details=tuple(table["details"]),
    )


_WORDS = tomllib.loads(files(__package__).joinpath("words.toml").read_text("utf-8"))

COMPANIES: tuple[str, ...] = tuple(_WORDS["companies"])
COUNTRIES: tuple[str, ...] = tuple(_WORDS["countries"])
PLACES: tuple[str, ...] = tuple(_WORDS["places"])
FIRST_NAMES: tuple[str, ...] = tuple(_WORDS["first_names"])
LAST_NAMES: tuple[str, ...] = tuple(_WORDS["last_names"])
PRODUCTS: tuple[str, ...] = tuple(_WORDS["products"])
GOODS: tuple[str, ...] = tuple(_WORDS["goods"])
KINDS: tuple[Kind, ...] = tuple(_kind(table) for table in _WORDS["kinds"])
CLOSERS: dict[str, tuple[str, ...]] = {section: tuple(texts) for section, texts in _WORDS["closers"].items()}
