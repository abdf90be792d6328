"""Which language a text is in: the feed's word first, its own little words and letters where they say otherwise.

In: text and what the feed claims. Out: a code such as `en` or `de` (ISO 639-1) and why, None where nothing tells.
Scripts of their own are told by their letters, the languages that share the Latin one by the little words of
`languages.txt`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aggregator.text import words

WORDS_FILE = Path(__file__).parent / "languages.txt"
MOST_CHARACTERS = 1000  # of a text: more would not change the answer
LEAST = 2.0  # evidence below which words tell nothing; a little word of one language alone is worth 1
AHEAD = 1.5  # times the evidence of the runner-up
SURE, SURELY_AHEAD = 3.0, 2.5  # … to believe the words against the feed
SCRIPT_SHARE = 0.4  # of the letters, for a script of its own: Latin names stand in every text
SHOWN_WORDS = 3

_LETTERS = re.compile(r"[^\W\d_]")
# Blocks of Unicode by what is written in them. Han counts after kana, which Japanese mixes with it.
_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("ja", "[\u3040-\u30ff]"),
    ("ko", "[\uac00-\ud7af\u1100-\u11ff]"),
    ("zh", "[\u4e00-\u9fff\u3400-\u4dbf]"),
    ("cyrillic", "[\u0400-\u04ff]"),
    ("arabic", "[\u0600-\u06ff]"),
    ("el", "[\u0370-\u03ff]"),
    ("he", "[\u0590-\u05ff]"),
    ("hi", "[\u0900-\u097f]"),
    ("bn", "[\u0980-\u09ff]"),
    ("ta", "[\u0b80-\u0bff]"),
    ("te", "[\u0c00-\u0c7f]"),
    ("kn", "[\u0c80-\u0cff]"),
    ("ml", "[\u0d00-\u0d7f]"),
    ("th", "[\u0e00-\u0e7f]"),
    ("ka", "[\u10a0-\u10ff]"),
    ("hy", "[\u0530-\u058f]"),
)
_SCRIPT_PATTERNS = tuple((name, re.compile(block)) for name, block in _SCRIPTS)
# Letters that one language of a script has and its neighbours lack; the last code is what remains.
_WITHIN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "cyrillic": (("uk", "іїєґ"), ("sr", "ђјљњћџ"), ("ru", "ыэё"), ("bg", "ъ"), ("ru", "")),
    "arabic": (("ur", "ٹڈڑے"), ("fa", "پچژگ"), ("ar", "")),
}
# Letters of the Latin script that few languages use, each worth as much as a little word.
_MARKED: Mapping[str, str] = {
    "de": "ßäöü", "fr": "çèêîœùëï", "es": "ñ¿¡", "pt": "ãõç", "it": "ìòù", "sv": "åäö", "da": "æøå", "no": "æøå",
    "fi": "äö", "pl": "łąęśżźńć", "cs": "ěřůž", "sk": "ľĺŕôť", "hu": "őűö", "ro": "șțăâî", "hr": "đćčšž", "tr": "ğışİ",
    "ca": "·ç",
}  # fmt: skip
_WORD_OF_LETTER = 3  # a marked letter counts at most so often in a text


@dataclass(frozen=True, slots=True)
class Language:
    """`code` None: nobody can tell. `why` is a phrase for people; `is_sure`: enough to overrule what a feed says."""

    code: str | None
    why: str
    is_sure: bool = False


def language_of(texts: Sequence[str], claimed: str | None) -> Language:
    """The language of these texts of one story. `claimed` is the feed's or entry's own word, None where it gives none.

    Templates claim languages that their authors do not write, so words that leave no doubt overrule the claim.
    """
    found = detected(" ".join(texts))
    code = (claimed or "").strip().lower().replace("_", "-").partition("-")[0]
    if not code or not code.isalpha() or len(code) > 3:
        return found
    code = {"nb": "no", "nn": "no", "iw": "he", "in": "id"}.get(code, code)
    if found.is_sure and found.code != code and {found.code, code} not in _ALIKE:
        return Language(found.code, f"{found.why}, though its feed says {code}", is_sure=True)
    return Language(code, f"its feed says {code}", is_sure=found.code == code)


# Pairs that little words tell apart badly, or of which we have one alone: there the feed knows better.
_ALIKE: tuple[set[str | None], ...] = (
    {"da", "no"}, {"cs", "sk"}, {"hr", "sr"}, {"hr", "bs"}, {"id", "ms"}, {"es", "gl"}, {"pt", "gl"}, {"nl", "af"},
)  # fmt: skip


def detected(text: str) -> Language:
    """The language by letters and little words alone."""
    text = text[:MOST_CHARACTERS]
    by_script = _script_of(text)
    if by_script is not None:
        return Language(by_script, f"its letters are {by_script}", is_sure=True)
    evidence = _evidence(words(text))
    for code, letters in _MARKED.items() if not text.isascii() else ():
        marks = sum(1 for letter in text.lower() if letter in letters)
        if marks:
            evidence[code] = evidence.get(code, 0.0) + min(marks, _WORD_OF_LETTER) * 0.5
    ranked = sorted(evidence.items(), key=lambda pair: (-pair[1], pair[0]))[:2]
    if not ranked or ranked[0][1] < LEAST:
        return Language(None, "too few words tell")
    (code, most), next_most = ranked[0], ranked[1][1] if len(ranked) > 1 else 0.0
    if most < AHEAD * next_most:
        return Language(None, f"its words could be {ranked[0][0]} or {ranked[1][0]}")
    shown = [word for word in dict.fromkeys(words(text)) if code in _lists().get(word, ())]
    is_sure = most >= SURE and most >= SURELY_AHEAD * next_most
    return Language(code, f"its words are {code} ({', '.join(shown[:SHOWN_WORDS]) or 'by their letters'})", is_sure)


def _evidence(found: Sequence[str]) -> dict[str, float]:
    """What the little words are worth for each language: one that n languages share is worth 1/n to each."""
    lists = _lists()
    evidence: dict[str, float] = {}
    for word in found:
        codes = lists.get(word)
        if codes:
            for code in codes:
                evidence[code] = evidence.get(code, 0.0) + 1 / len(codes)
    return evidence


def _script_of(text: str) -> str | None:
    """The language of a script that is not the Latin one, None for Latin."""
    if text.isascii():
        return None
    letters = len(_LETTERS.findall(text))
    for name, block in _SCRIPT_PATTERNS:
        count = len(block.findall(text))
        # Japanese headlines may hold a handful of kana among Han: any share of them tells.
        if count and (count >= SCRIPT_SHARE * letters or (name == "ja" and count >= 0.1 * letters)):
            return _within(name, text.lower()) if name in _WITHIN else name
    return None


def _within(script: str, text: str) -> str:
    return next(code for code, letters in _WITHIN[script] if not letters or any(letter in text for letter in letters))


@functools.cache
def _lists() -> Mapping[str, tuple[str, ...]]:
    """Each little word with the languages that have it."""
    found: dict[str, list[str]] = {}
    for line in WORDS_FILE.read_text(encoding="utf-8").splitlines():
        code, colon, listed = line.partition(":")
        if colon and not line.startswith("#"):
            for word in dict.fromkeys(listed.split()):
                found.setdefault(word, []).append(code)
    return {word: tuple(codes) for word, codes in found.items()}
