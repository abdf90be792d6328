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
from collections import Counter
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
_SENTENCE_ENDS = frozenset(".!?:\"“”‘|—–")
_SAME = {"usa": "us", "america": "us", "american": "us", "america's": "us", "britain": "uk", "british": "uk",
         "percent": "%", "zelenskyy": "zelensky", "govt": "government", "pm": "minister"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one entry in parallel arrays: ids, weights in the whole and in the title (each of length 1 as a
    vector; 0 where the term is not in the title), how telling each is in nats, and flags (IS_NAME, IN_TITLE,
    IS_NUMBER). `total` and `names` sum up how telling all of them and the names among them are."""

    ids: array[int]
    weights: array[float]
    title_weights: array[float]
    telling: array[float]
    flags: array[int]
    total: float
    names: float


class Lexicon:
    """Document frequencies of news terms. Thread-safe to read."""

    def __init__(self, frequencies: Mapping[str, int], names: frozenset[str], documents: int) -> None:
        self.documents = documents
        self.words = tuple(frequencies)
        self.ids = {term: number for number, term in enumerate(frequencies)}
        self.idf = [math.log((documents + 1) / (count + 1)) for count in frequencies.values()]
        self.names = names
        self.rarest = math.log((documents + 1) / 1.5)
        self.least = math.log(1 / COMMON)

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

    def weight(self, term: str) -> float:
        """How telling a term is: the logarithm of how many documents there are to one that has it; 0 if common."""
        number = self.ids.get(term)
        if number is None:
            return self.rarest if len(term) > 1 else 0.0
        if len(term) == 1 and term.isascii():
            return 0.0
        idf = self.idf[number]
        return idf if idf > self.least else 0.0

    def id_of(self, term: str) -> int:
        """A number below 2**32 for a term, the same in every process."""
        number = self.ids.get(term)
        return number if number is not None else _UNKNOWN | (zlib.crc32(term.encode()) & 0x7FFFFFFF)

    def is_name(self, term: str, is_capital: bool) -> bool:
        """Whether a term names somebody or something; `is_capital` says how it was written inside a sentence."""
        return term in self.names or (is_capital and term not in self.ids and not term[0].isdigit())

    def spelling(self, number: int) -> str:
        """The term with this id, empty for one outside the table (its id is a hash)."""
        return self.words[number] if number < len(self.words) else ""

    def terms_of(self, title: str, text: str = "") -> Terms:
        """The terms of an entry; `text` is plain."""
        counts: Counter[str] = Counter()
        in_title: Counter[str] = Counter()
        capital: set[str] = set()
        for term, is_capital in tokens(title):
            in_title[term] += 1
            if is_capital:
                capital.add(term)
        for term, is_capital in tokens(text[:TEXT_LENGTH]):
            counts[term] += 1
            if is_capital:
                capital.add(term)
        for term, count in in_title.items():
            counts[term] += TITLE_COUNTS * count
        rows = []
        for term, count in counts.items():
            weight = self.weight(term)
            if weight > 0:
                number = self.id_of(term)
                is_in_title = IN_TITLE if term in in_title else 0
                flags = (IS_NAME if self.is_name(term, term in capital) else 0) | is_in_title
                flags |= IS_NUMBER if term[0].isdigit() else 0
                rows.append((number, weight * (1 + math.log(count)), weight if is_in_title else 0.0, weight, flags))
        whole = math.sqrt(sum(row[1] ** 2 for row in rows)) or 1.0
        titled = math.sqrt(sum(row[2] ** 2 for row in rows)) or 1.0
        return Terms(
            array("I", [row[0] for row in rows]),
            array("f", [row[1] / whole for row in rows]),
            array("f", [row[2] / titled for row in rows]),
            array("f", [row[3] for row in rows]),
            array("B", [row[4] for row in rows]),
            sum(row[3] for row in rows),
            sum(row[3] for row in rows if row[4] & IS_NAME),
        )


def tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Each term of a text and whether it was capital inside a sentence (at its start everything is)."""
    text = _DIGIT_COMMA.sub("", text)
    for match in _TOKEN.finditer(text):
        word = match[0]
        before = text[max(0, match.start() - 2) : match.start()].strip()
        starts = match.start() == 0 or before[-1:] in _SENTENCE_ENDS
        for part in _parts(word):
            yield part, word[0].isupper() and not starts


@lru_cache(maxsize=100_000)
def _parts(word: str) -> tuple[str, ...]:
    term = word.lower().replace("’", "'")
    if not term.isascii():
        term = "".join(c for c in unicodedata.normalize("NFKD", term) if not unicodedata.combining(c))
    term = term.removesuffix("'s").removesuffix("'")
    if "-" in term and not term[0].isdigit():
        term = term.replace("-", "")
    if "." in term and not any(c.isdigit() for c in term):
        term = term.replace(".", "") if len(term.replace(".", "")) <= term.count(".") + 1 else term
    term = _SAME.get(term, term)
    return (_stem(term),) if term else ()


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
