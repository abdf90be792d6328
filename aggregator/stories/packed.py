"""An article of the window in few bytes: 50,000 of them have to fit, and a newcomer is compared with two dozen.

In: an Article. Out: the same Article again, every number as it was; only its strings are kept as objects, shared with
the entry's where they are equal.
"""

from __future__ import annotations

import math
import struct
from array import array
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from aggregator.stories.compare import Article
from aggregator.stories.dedupe import Fingerprint
from aggregator.stories.measures import Subject
from aggregator.stories.terms import Terms

_COLUMNS = {"ids": "I", "weights": "f", "telling": "f", "flags": "B"}  # of Terms: arrays as long as each other
_SUMS = tuple(field.name for field in fields(Terms) if field.name not in _COLUMNS)
# Terms, numbers in a vector, words and shingles of the fingerprint; seconds since 1970 (NaN: none); sums of Terms.
_HEAD = struct.Struct(f"<4Id{len(_SUMS)}d")
_HALF = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class Packed:
    """An article, folded together. `source` is its outlet: asked for more often than the rest."""

    title: str
    title_key: str
    source: str | None
    data: bytes

    @classmethod
    def of(cls, article: Article, title: str, title_key: str) -> Self:
        """The article packed; `title` and `title_key` are the entry's own strings, kept where they say the same."""
        subject, print_ = article.subject, article.fingerprint
        terms = subject.terms
        vectors = [np.asarray(vector, dtype=_HALF).tobytes() for vector in (subject.title_vector, subject.vector)]
        head = _HEAD.pack(
            len(terms.ids),
            len(subject.vector),
            print_.words,
            print_.shingles,
            math.nan if subject.at is None else subject.at,
            *(getattr(terms, name) for name in _SUMS),
        )
        columns = (getattr(terms, name).tobytes() for name in _COLUMNS)
        return cls(
            title if title == subject.title else subject.title,
            title_key if title_key == print_.title_key else print_.title_key,
            subject.source,
            b"".join((head, *vectors, *columns, print_.minhash)),
        )

    def article(self) -> Article:
        """The article as it was."""
        count, width, words, shingles, at, *sums = _HEAD.unpack_from(self.data)
        start = _HEAD.size
        vectors = np.frombuffer(self.data, _HALF, 2 * width, start)
        start += vectors.nbytes
        columns: dict[str, Any] = {}
        for name, code in _COLUMNS.items():
            column: array[Any] = array(code)
            end = start + count * column.itemsize
            column.frombytes(self.data[start:end])
            columns[name] = column
            start = end
        terms = Terms(**columns, **dict(zip(_SUMS, sums, strict=True)))
        seconds = None if math.isnan(at) else at
        subject = Subject(self.title, terms, vectors[:width], vectors[width:], seconds, self.source)
        return Article(subject, Fingerprint(self.title_key, words, shingles, self.data[start:]))
