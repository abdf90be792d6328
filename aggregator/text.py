"""Plain strings in, plain strings out: XML-safe text, keys of titles, words, excerpts, operator's patterns.

Nothing here parses HTML (see `html`) or knows an address (see `urls`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Protocol

import re2

# Not allowed in XML 1.0 (§2.2 Char), and the noncharacters that some parsers refuse: one of them empties every reader.
_XML_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
# Overrides and isolates can reorder what surrounds a title; marks (200e, 200f) are needed by right-to-left text.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff\u200b]")
# Unicode space, and C1 controls, which are legal in XML and invisible to people. U+0085 is among them.
_CONTROLS = re.compile("[\x7f-\x9f]+")
_SPACE = re.compile(r"[\s\x7f-\x9f\u2028\u2029]+")
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*", re.UNICODE)
_KEY_WORD = re.compile(r"[^\W_]+", re.UNICODE)
# What `_KEY_WORD` finds in lower-case ASCII, apart from each other.
_ASCII_WORDS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
_TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')
_QUOTES = str.maketrans(dict.fromkeys("“”„«»", '"'))  # what telephones make of them
_MEANINGFUL_KEY = 12  # "Morning briefing" style keys shorter than this are shared by different articles

MAX_TITLE = 500  # characters; the longest sane headline in 203 real feeds has 301


class Pattern(Protocol):
    """A compiled pattern: `search` gives a truthy match or None, in time linear to the text."""

    def search(self, text: str) -> object | None: ...


def xml_safe(text: str) -> str:
    """The text without what XML 1.0 cannot carry even escaped: control characters, surrogates, noncharacters."""
    return _XML_FORBIDDEN.sub("", text)


def readable(text: str) -> str:
    """The text XML-safe and without the C1 controls that mojibake leaves: legal in XML, an error in HTML.

    A space stands where they stood: taken out of HTML that was sanitised with them, they could join what was apart.
    """
    return _CONTROLS.sub(" ", xml_safe(text))


def one_line(text: str, limit: int = MAX_TITLE) -> str:
    """The text as one clean line: XML-safe, no bidi overrides, white space folded, at most `limit` characters."""
    # Nothing that is printable is what the patterns look for, and no white space but the common one.
    if text.isprintable() and "  " not in text and len(text) <= limit:
        return text.strip()
    line = _SPACE.sub(" ", _BIDI.sub("", xml_safe(text))).strip()
    if len(line) <= limit:
        return line
    return line[: limit - 1].rstrip() + "…"


def title_key(title: str) -> str:
    """The title as a key for exact duplicates: case, accents' encoding, punctuation and spacing do not count.

    Empty where too little is left to tell two articles apart ("Live", "Morning briefing").
    """
    if title.isascii():  # a quarter of the time
        key = b" ".join(title.encode("ascii").translate(_ASCII_WORDS).split()).decode("ascii")
    else:
        key = " ".join(_KEY_WORD.findall(unicodedata.normalize("NFKC", title).casefold()))
    return key if len(key) >= _MEANINGFUL_KEY or (not key.isascii() and len(key) >= 6) else ""


def search_words(text: str) -> str:
    """The text as search knows it: words and numbers alone, lower case, without accents, one space between them."""
    plain = unicodedata.normalize("NFKD", text)
    return " ".join(_KEY_WORD.findall("".join(c for c in plain if not unicodedata.combining(c)).casefold()))


def search_terms(asked: str, without: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(wanted, unwanted) words and phrases, each once, as `search_words` spells them. `asked` as people type it: words,
    `"phrases"`, `-words`; `without` are further ones that must not occur."""
    wanted: dict[str, None] = {}
    unwanted: dict[str, None] = {}
    for text, is_without in ((asked, False), (without, True)):
        for minus, phrase, word in _TERM.findall(text.translate(_QUOTES)):
            if term := search_words(phrase or word):
                (unwanted if minus or is_without else wanted)[term] = None
    return tuple(wanted), tuple(unwanted)


def words(text: str) -> list[str]:
    """Lower-case words and numbers in order; inner apostrophes, dots, hyphens stay (`u.s`, `at&t`, `4.5`)."""
    return _WORD.findall(text.lower().replace("’", "'"))


def excerpt(text: str, count: int) -> str:
    """The first `count` words; an ellipsis says that something was cut, at a sentence's end if one is near."""
    parts = text.split()
    if len(parts) <= count:
        return " ".join(parts)
    kept = parts[:count]
    for back in range(len(kept) - 1, int(count * 0.7), -1):
        if kept[back][-1] in ".!?…" and len(kept[back]) > 3:
            return " ".join(kept[: back + 1]) + " …"
    return " ".join(kept).rstrip(",;:–—-") + " …"


def compile_pattern(pattern: str) -> Pattern:
    """An operator's pattern, compiled by RE2 so that no pattern can hang us on a hostile title.

    Raises ValueError with RE2's reason (back-references and look-around do not exist there).
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        compiled: Pattern = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error
    return compiled
