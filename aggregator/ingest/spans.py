"""Entries recognised by their bytes: which parts of a document the last poll read already, word for word.

A feed that brings one new entry repeats forty old ones, and reading those to find that they are old was most of what a
changed feed cost. `spans_of` finds where the entries of an XML document stand and gives each a mark; `parse` gives the
marks out with the fingerprints they led to (`pack`), and next time leaves those parts out of the document. Pure.

Anything unusual (entries in entries, processing instructions, items inside and outside of `channel`) gives None, and
the document is read as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from aggregator.ingest.raw import FINGERPRINT_BYTES

MARK_BYTES = 8
MAX_SPANS = 500  # the marks of more would be a long row; one of 203 real feeds has more entries
# A new number makes every feed be read once as a whole: for when extraction learns to see more in the same bytes.
_VERSION = b"1"
PAIR_BYTES = MARK_BYTES + FINGERPRINT_BYTES

# One literal prefix before the branches: ten times as quick as branches with one each.
_TOKEN = re.compile(rb"<(?:!\[CDATA\[|!--|/?(?:item|entry)[\s>/]|/channel)")
_VERBATIM = {b"<![CDATA[": b"]]>", b"<!--": b"-->"}
_START_TAG = re.compile(rb"<[^>]*>")
_CHANNEL = re.compile(rb"<channel(?:\s[^>]*)?>")


class Span(NamedTuple):
    """Where an entry's element stands in the document, and its mark."""

    start: int
    end: int
    mark: bytes


def spans_of(body: bytes) -> list[Span] | None:
    """The entries' elements in order, None where they cannot be told surely. `body` is UTF-8 from its root element on.

    A mark is of the element's bytes and of the start tags around it, whose namespaces give them their meaning.
    """
    if b"<?" in body:
        return None
    places = _places(body)
    if not places:
        return None
    head = body[: places[0][0]]
    around = b"\0".join(tag[0] for tag in (_START_TAG.match(head), _CHANNEL.search(head)) if tag)
    begun = blake2b(_VERSION + around + b"\0", digest_size=MARK_BYTES)
    spans = []
    for start, end in places:
        digest = begun.copy()
        digest.update(body[start:end])
        spans.append(Span(start, end, digest.digest()))
    return spans


def _places(body: bytes) -> list[tuple[int, int]] | None:
    """Start and end of each entry's element. Linear: CDATA sections and comments are skipped by searching their end."""
    places: list[tuple[int, int]] = []
    start: int | None = None
    position = 0
    channel_ends_after: int | None = None  # so many entries
    while token := _TOKEN.search(body, position):
        position = token.end()
        found = token[0]
        if found in _VERBATIM:
            position = body.find(_VERBATIM[found], position)
            if position < 0:
                return None
        elif found == b"</channel":
            if start is not None or channel_ends_after is not None:
                return None
            channel_ends_after = len(places)
        elif found[1:2] != b"/":
            if start is not None:
                return None
            start = token.start()
        else:
            close = position if found.endswith(b">") else body.find(b">", position) + 1
            if start is None or not close or body[position : close - 1].strip() or len(places) == MAX_SPANS:
                return None
            places.append((start, close))
            start, position = None, close
    # Items before and after the end of `channel` would be read in another order than they stand in.
    is_mixed = channel_ends_after not in (None, 0, len(places))
    return None if start is not None or is_mixed else places


def without(body: bytes, dropped: Iterable[Span]) -> bytes:
    """The document without these parts."""
    pieces, position = [], 0
    for span in dropped:
        pieces.append(body[position : span.start])
        position = span.end
    pieces.append(body[position:])
    return b"".join(pieces)


def pack(marks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Marks and the fingerprints that they stand for, as the store keeps them."""
    return b"".join(mark + fingerprint for mark, fingerprint in marks)


def unpack(marks: bytes, known: frozenset[bytes]) -> dict[bytes, bytes]:
    """The packed marks of entries that are known, by mark."""
    pairs: Sequence[bytes] = [marks[start : start + PAIR_BYTES] for start in range(0, len(marks), PAIR_BYTES)]
    return {pair[:MARK_BYTES]: pair[MARK_BYTES:] for pair in pairs if pair[MARK_BYTES:] in known}
