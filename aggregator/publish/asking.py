"""What a query string asks of a view: fewer stories, by their words, section, source, time and so on. Pure.

In: the fields of a query string as somebody wrote them. Out: a `Narrowing`, which has one spelling however it was
written, so that one question has one address, one place in the cache and one feed id; or BadQuery, which says why not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aggregator.errors import AggregatorError
from aggregator.text import search_terms
from aggregator.types import SECTIONS

MAX_WORDS = 200  # characters that are searched for
MAX_TERMS = 12  # words and phrases; as many unwanted
MOST_SOURCES = 20  # each number makes a document of its own in the cache; a story of more is told by everybody
_DATE = re.compile(r"(?:19[7-9][0-9]|20[0-9]{2}|21[0-9]{2})-[0-9]{2}-[0-9]{2}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_SHOWN = 40  # characters of a wrong value that are said back


class BadQuery(AggregatorError):
    """A query string asks for what there is not; the message tells whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which of a view's stories are asked for. What is empty, None or 1 leaves its question open; `since` and `until`
    both belong to the time asked for. `wanted` and `unwanted` are terms as `text.search_terms` gives them."""

    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    section: str = ""
    source: int | None = None
    label: str = ""
    since: date | None = None
    until: date | None = None
    min_sources: int = 1
    language: str = ""

    def __bool__(self) -> bool:
        return self != Narrowing()

    @property
    def has_words(self) -> bool:
        """Whether the index of words must be asked."""
        return bool(self.wanted or self.unwanted)

    @property
    def typed(self) -> str:
        """The words as somebody would type them into the form."""
        return " ".join((*map(_quoted, self.wanted), *(f"-{_quoted(term)}" for term in self.unwanted)))

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the query that asks for this, in their order; parsed again they are the same."""
        every = {
            "q": " ".join(map(_quoted, self.wanted)),
            "-q": " ".join(map(_quoted, self.unwanted)),
            "section": self.section,
            "source": "" if self.source is None else str(self.source),
            "label": self.label,
            "since": "" if self.since is None else self.since.isoformat(),
            "until": "" if self.until is None else self.until.isoformat(),
            "min_sources": "" if self.min_sources == 1 else str(self.min_sources),
            "lang": self.language,
        }
        return {name: value for name, value in every.items() if value}

    @property
    def said(self) -> tuple[str, ...]:
        """What is asked for in words, for titles."""
        parts = (
            (self.wanted, " ".join(map(_quoted, self.wanted))),
            (self.unwanted, f"without {' '.join(map(_quoted, self.unwanted))}"),
            (self.section, self.section),
            (self.label, f"labelled {self.label}"),
            (self.source, f"from source {self.source}"),
            (self.since, f"since {self.since}"),
            (self.until, f"until {self.until}"),
            (self.min_sources > 1, f"{self.min_sources} sources or more"),
            (self.language, f"in {self.language}"),
        )
        return tuple(words for is_given, words in parts if is_given)


def address(fields: Mapping[str, str]) -> str:
    """The fields as the end of an address: `?q=chips`, or nothing."""
    return f"?{urlencode(fields)}" if fields else ""


def fields_of(target: str) -> dict[str, str]:
    """The fields of a request's query that could mean something to any view, the last of each name; those that nobody
    filled in, and whatever campaigns and networks append, are left out."""
    given = parse_qsl(target.partition("#")[0].partition("?")[2])
    return {name: value for name, value in given if name in NAMES}


def narrowing(fields: Mapping[str, str]) -> Narrowing:
    """What these fields ask for. Raises BadQuery for the first that cannot be."""
    wanted, unwanted = _words(fields.get("q", ""), fields.get("-q", ""))
    values = {name: read(fields[name].strip()) for name, read in _READERS.items() if fields.get(name, "").strip()}
    asked = Narrowing(
        wanted,
        unwanted,
        values.get("section", ""),
        values.get("source"),
        values.get("label", ""),
        values.get("since"),
        values.get("until"),
        values.get("min_sources", 1),
        values.get("lang", ""),
    )
    if asked.since and asked.until and asked.since > asked.until:
        raise BadQuery(f"since ({asked.since}) must not be after until ({asked.until})")
    return asked


def page_number(value: str, most: int) -> int:
    """The page asked for, from 1. Raises BadQuery."""
    return _whole("page", value, most)


# ---------------------------------------------------------------- one field


def _words(asked: str, without: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    wanted, unwanted = search_terms(asked, without)
    # What is too long as it came, or as it is spelled here, is refused: a search for the half of it would be another.
    for name, raw, terms in (("q", asked, wanted), ("-q", without, unwanted)):
        if len(raw) > MAX_WORDS or len(" ".join(map(_quoted, terms))) > MAX_WORDS or len(terms) > MAX_TERMS:
            raise BadQuery(f"{name} may have at most {MAX_TERMS} words and {MAX_WORDS} characters")
    return wanted, unwanted


def _quoted(term: str) -> str:
    return f'"{term}"' if " " in term else term


def _section(value: str) -> str:
    if value.lower() not in SECTIONS:
        raise BadQuery(f"section must be one of {', '.join(SECTIONS)}, not {_shown(value)}")
    return value.lower()


def _source(value: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,17}", value):
        raise BadQuery(f"source must be the number in the address of a source's page, not {_shown(value)}")
    return int(value)


def _label(value: str) -> str:
    if len(value) > 100 or not _LABEL.fullmatch(value.lower()):
        raise BadQuery(f"label must be a label's name such as funding, not {_shown(value)}")
    return value.lower()


def _day(name: str) -> Callable[[str], date]:
    def read(value: str) -> date:
        try:
            return date.fromisoformat(value if _DATE.fullmatch(value) else "")
        except ValueError as error:
            raise BadQuery(f"{name} must be a day such as 2026-11-24, not {_shown(value)}") from error

    return read


def _min_sources(value: str) -> int:
    return _whole("min_sources", value, MOST_SOURCES)


def _language(value: str) -> str:
    if not re.fullmatch("[a-z]{2,3}", value.lower(), re.ASCII):
        raise BadQuery(f"lang must be a language's code such as en, not {_shown(value)}")
    return value.lower()


def _whole(name: str, value: str, most: int) -> int:
    if not re.fullmatch("[1-9][0-9]?", value) or int(value) > most:
        raise BadQuery(f"{name} must be a whole number from 1 to {most}")
    return int(value)


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


_READERS: dict[str, Callable[[str], Any]] = {
    "section": _section,
    "source": _source,
    "label": _label,
    "since": _day("since"),
    "until": _day("until"),
    "min_sources": _min_sources,
    "lang": _language,
}
NAMES = frozenset({"q", "-q", *_READERS, "page"})
