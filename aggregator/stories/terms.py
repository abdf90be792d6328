"""What a text speaks of: its terms, with how telling each is, and which of them are names.

In: a title and plain text. Out: Terms, compact enough to hold a window of 50,000. How telling a term is comes from
document frequencies of real news (`model/terms.npz`, made by `train_pairs.py`); a term that it does not know is rare.
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np

TERMS_FILE = Path(__file__).parent / "model" / "terms.npz"
TEXT_LENGTH = 400  # characters of text beside the title: where the news is; whole articles drown it
TITLE_COUNTS = 2  # a title's words weigh twice
COMMON = 0.08  # of all documents: terms in more than these tell nothing
IS_NAME, IN_TITLE, IS_NUMBER = 1, 2, 4
_UNKNOWN = 1 << 31  # ids from here on are hashes of terms outside the table

_TOKEN = re.compile(r"[^\W_]+(?:[.'’&][^\W_]+|-(?=\d)[^\W_]+)*")  # at&t, u.s, 4.5, b-52; other hyphens part
_DIGIT_COMMA = re.compile(r"(?<=\d),(?=\d{3})")
_SENTENCE_ENDS = frozenset('.!?:"“”‘|—–')
_PEOPLES = (
    "american:us british:uk briton:uk french:france german:germany italian:italy spanish:spain portuguese:portugal"
    " dutch:netherlands belgian:belgium swiss:switzerland austrian:austria swedish:sweden norwegian:norway"
    " danish:denmark finnish:finland polish:poland czech:czechia hungarian:hungary romanian:romania greek:greece"
    " turkish:turkey russian:russia ukrainian:ukraine israeli:israel iranian:iran iraqi:iraq lebanese:lebanon"
    " syrian:syria egyptian:egypt chinese:china japanese:japan korean:korea taiwanese:taiwan"
    " indian:india pakistani:pakistan australian:australia canadian:canada mexican:mexico brazilian:brazil"
    " argentine:argentina argentinian:argentina colombian:colombia venezuelan:venezuela nigerian:nigeria"
    " kenyan:kenya irish:ireland scottish:scotland european:europe"
)
_SAME = dict(pair.split(":") for pair in _PEOPLES.split()) | {
    "usa": "us", "america": "us", "britain": "uk", "percent": "%", "zelenskyy": "zelensky", "govt": "government",
    "pm": "minister",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one entry in parallel arrays: ids, weights in the whole (of length 1 as a vector), how telling each
    is in nats, and flags (IS_NAME, IN_TITLE, IS_NUMBER). `title_length` is that of the title's vector of tellings;
    `total` and `names` sum up how telling all of them and the names among them are."""

    ids: array[int]
    weights: array[float]
    telling: array[float]
    flags: array[int]
    title_length: float
    total: float
    names: float


class Lexicon:
    """Document frequencies of news terms. Safe to share between threads."""

    def __init__(self, frequencies: Mapping[str, int], names: frozenset[str], documents: int) -> None:
        self.documents = documents
        self.words = tuple(frequencies)
        self.ids = {term: number for number, term in enumerate(frequencies)}
        self.idf = [math.log((documents + 1) / (count + 1)) for count in frequencies.values()]
        self.names = names
        self.rarest = math.log((documents + 1) / 1.5)
        self.least = math.log(1 / COMMON)
        self._facts: dict[str, tuple[int, float, int]] = {}

    @classmethod
    def load(cls, path: Path = TERMS_FILE) -> Self:
        """The shipped table. Raises OSError or ValueError where it is missing or broken."""
        with np.load(path, allow_pickle=False) as stored:
            terms = stored["terms"].tobytes().decode("utf-8").split("\n")
            counts, flags = stored["counts"].tolist(), stored["names"].tolist()
            documents = int(stored["documents"])
        if not len(terms) == len(counts) == len(flags):
            raise ValueError(f"{path}: columns of different lengths")
        names = frozenset(term for term, flag in zip(terms, flags, strict=True) if flag)
        return cls(dict(zip(terms, counts, strict=True)), names, documents)

    def facts(self, term: str) -> tuple[int, float, int]:
        """A term's id (below 2**32, the same in every process), how telling it is, and its flags.

        Telling is the logarithm of how many documents there are to one that has the term; 0 if it is common.
        """
        known = self._facts.get(term)
        if known is not None:
            return known
        flags = (IS_NUMBER if term[0].isdigit() else 0) | (IS_NAME if term in self.names else 0)
        number = self.ids.get(term)
        if number is None:  # not remembered: there is no end of these
            return _UNKNOWN | (zlib.crc32(term.encode()) & 0x7FFFFFFF), self.rarest if len(term) > 1 else 0.0, flags
        is_telling = self.idf[number] > self.least and not (len(term) == 1 and term.isascii())
        self._facts[term] = number, self.idf[number] if is_telling else 0.0, flags
        return self._facts[term]

    def knows(self, number: int) -> bool:
        """Whether the term with this id is in the table, or the id is a hash."""
        return number < _UNKNOWN

    def spelling(self, number: int) -> str:
        """The term with this id, empty for one outside the table (its id is a hash)."""
        return self.words[number] if number < len(self.words) else ""

    def terms_of(self, title: str, text: str = "") -> Terms:
        """The terms of an entry; `text` is plain."""
        counts: dict[str, int] = {}
        capital: set[str] = set()
        for term, is_capital in tokens(title):
            counts[term] = counts.get(term, 0) + TITLE_COUNTS
            if is_capital:
                capital.add(term)
        in_title = set(counts)
        for term, is_capital in tokens(text[:TEXT_LENGTH]):
            counts[term] = counts.get(term, 0) + 1
            if is_capital:
                capital.add(term)
        rows = []
        for term, count in counts.items():
            number, telling, flags = self.facts(term)
            if telling > 0:
                if term in in_title:
                    flags |= IN_TITLE
                if number >= _UNKNOWN and term in capital and not flags & IS_NUMBER:
                    flags |= IS_NAME
                rows.append((number, telling * _damped(count), telling, flags))
        whole = math.sqrt(sum(row[1] * row[1] for row in rows)) or 1.0
        return Terms(
            array("I", [row[0] for row in rows]),
            array("f", [row[1] / whole for row in rows]),
            array("f", [row[2] for row in rows]),
            array("B", [row[3] for row in rows]),
            math.sqrt(sum(row[2] * row[2] for row in rows if row[3] & IN_TITLE)) or 1.0,
            sum(row[2] for row in rows),
            sum(row[2] for row in rows if row[3] & IS_NAME),
        )


@lru_cache(maxsize=1_000)
def _damped(count: int) -> float:
    return 1 + math.log(count)


def tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Each term of a text and whether it was capital inside a sentence (at its start everything is)."""
    text = _DIGIT_COMMA.sub("", text)
    for match in _TOKEN.finditer(text):
        word, start = match[0], match.start()
        term = _term(word)
        if term:
            is_capital = word[0].isupper() and start > 0 and _is_inside(text[max(0, start - 2) : start])
            yield term, is_capital


@lru_cache(maxsize=2_000)
def _is_inside(before: str) -> bool:
    """Whether what stands before a word leaves it inside its sentence."""
    return before.strip()[-1:] not in _SENTENCE_ENDS


@lru_cache(maxsize=20_000)
def _term(word: str) -> str:
    term = word.lower().replace("’", "'")
    if not term.isascii():
        term = "".join(c for c in unicodedata.normalize("NFKD", term) if not unicodedata.combining(c))
    term = term.removesuffix("'s").removesuffix("'")
    if "-" in term and not term[0].isdigit():
        term = term.replace("-", "")
    if "." in term and not any(c.isdigit() for c in term):
        term = term.replace(".", "") if len(term.replace(".", "")) <= term.count(".") + 1 else term
    term = _SAME.get(term) or _SAME.get(term.removesuffix("s")) or term
    return _stem(term)


def _stem(term: str) -> str:
    """The word less its commonest endings; crude, equal for the forms that headlines vary."""
    if len(term) < 4 or not term.isalpha():
        return term
    if term.endswith("ies") and len(term) > 4:
        term = term[:-3] + "y"
    elif term.endswith("s") and not term.endswith(("ss", "us", "is")):
        term = term[:-1]
    for ending in ("ing", "ed"):
        if term.endswith(ending) and len(term) - len(ending) >= 3:
            term = term[: -len(ending)]
            if len(term) > 3 and term[-1] == term[-2]:
                term = term[:-1]
            break
    return term[:-1] if term.endswith("e") and len(term) > 4 else term
