"""What two headlines must not differ in if they tell one event, whatever their words share.

In: headlines. Out: the reason why two may not merge, or None. And what kind of thing a headline announces: a report, a
running page, a round-up, an explainer. Word patterns are English; other languages pass without a veto.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    """What a headline announces."""

    REPORT = "report"
    # A live blog: its headline is another one in an hour. It may join a story and never gathers one: of 76 labelled
    # pairs with one, 33 were the same event, and forbidding them all lost recall and gained no precision.
    RUNNING = "running page"
    ROUND_UP = "round-up"  # several events under one headline, or a column that comes back every day
    EXPLAINER = "explainer"  # about the event rather than of it
    COMMENT = "comment"


_RUNNING = re.compile(
    r"\blive\b(?!\s+(?:in|music|at|with|on|like|up|long|from|streams?|sports?|nation)\b)|\bday \d+:|as it happened|🔴"
    r"|\blive updates\b|\bliveblog\b",
    re.IGNORECASE,
)
_ROUND_UP = re.compile(
    r"\b(?:briefing|bulletin|newsletter|round-?up|horoscopes?|crossword|wordle|quiz|digest)\b"
    r"|\brecap of the (?:day|week)\b"
    r"|\b(?:daily|weekly|morning|evening|intelligence|market) (?:brief|guide|wrap|open|note|update|report)\b"
    r"|\bfirst thing\b|\bquick hits\b|\bweather tracker\b|\bthe (?:week|day) (?:in|ahead)\b"
    r"|\bwhat to watch\b|\btop \d+\b|,? and more$"
    r"|\b(?:best|top) (?:\w+ ){0,4}deals?\b|\bdeals? (?:of the (?:day|week)|right now)\b|\bcoupons?\b|\bpromo codes?\b"
    r"|\b\d+ (?:things|stories|charts|takeaways) (?:to|you|we|from|that)\b|\blinks for\b|\bopen thread\b",
    re.IGNORECASE,
)
_EXPLAINER = re.compile(
    r"^(?:why|how|what|who|when|where|which|is|are|can|could|will|does|do|did|was|should|inside|meet)\b"
    r"|^the story of\b|\bexplain(?:ed|er)\b|\bwhat (?:we|you|to) (?:know|expect|learned)\b"
    r"|\ball to know\b|\bneed to know\b|\bnet worth\b"
    r"|\bhere.s (?:why|what|how)\b|: (?:why|how|what|who|is|are|can|could|will|does|should)\b|\?|\btimeline\b"
    r"|\bin (?:maps|charts|numbers|pictures)\b|\bkey (?:takeaways|questions|facts)\b"
    r"|\b\d+ (?:reasons|ways|times|facts)\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(
    r"(?i:^(?:commentary|opinion|analysis|editorial|op-ed|review|fact check|podcast|letters?)\b|\bpodcast\b)"
    r"|, [Bb]y [A-Z][a-z]+ [A-Z]",
)

# A counter's number is part of the name of the thing: Game 3, Q3, day 94, version 26.1.
_COUNTERS = (
    r"game|day|round|part|week|season|episode|quarter|version|chapter|phase|stage|test|flight|no|number|matchday"
    r"|series|level|tier|model|article|section|edition|volume|issue|build|beta|patch|group"
)
_COUNTED = re.compile(rf"\b({_COUNTERS})\.? ?#?(\d+(?:\.\d+)*)\b", re.IGNORECASE)
_QUARTER = re.compile(
    r"\b(?:Q([1-4])|([1-4])Q|(first|second|third|fourth)[- ]quarter|H([12])|(first|second)[- ]half)\b",
    re.IGNORECASE,
)
_VERSIONED = re.compile(
    r"\b([A-Z][A-Za-z]+)[ -]?v?(\d+(?:\.\d+)*)\b(?! ?(?:%|percent|per cent|million|billion|trillion))"
)
_DATE = re.compile(
    r"\b(?:(jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.? (\d{1,2})(?:st|nd|rd|th)?"
    r"|(\d{1,2})(?:st|nd|rd|th)? (jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*)\b",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b((?:19|20)\d\d)\b")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?(?:%|percent|per cent|pct|pc\b)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ORDINALS = {"first": "1", "second": "2", "third": "3", "fourth": "4"}
# "Trump 2", "May 5" and such are no versions; nor is a count of people or things after a verb.
_PLAIN_WORDS = (
    "jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september october"
    " november december over at bn m in to of top under the for by from with nearly about least around some only age"
    " aged all kills killed kill and a its his her after than on has says us gains falls rises world cup copa euro"
    " olympics summit dead killing injures wounds cuts adds raises hits up down"
)
_NO_VERSIONS = frozenset(_PLAIN_WORDS.split())
PERCENT_SLACK = 0.06  # of the larger: 4.2 % and 4 % are one figure rounded


@lru_cache(maxsize=4_000)
def kind_of(title: str) -> Kind:
    """What a headline announces; the first that fits of round-up, running page, comment, explainer, report."""
    if _ROUND_UP.search(title):
        return Kind.ROUND_UP
    if _RUNNING.search(title):
        return Kind.RUNNING
    if _COMMENT.search(title):
        return Kind.COMMENT
    return Kind.EXPLAINER if _EXPLAINER.search(title) else Kind.REPORT


def veto(one: str, other: str) -> str | None:
    """Why two headlines may not tell one event, in words, or None."""
    kinds = kind_of(one), kind_of(other)
    if Kind.ROUND_UP in kinds:
        return "a round-up tells several events"
    if kinds == (Kind.RUNNING, Kind.RUNNING):
        return "two running pages"
    return differing_numbers(one, other)


def differing_numbers(one: str, other: str) -> str | None:
    """The quarter, date, year, counter, version or percentage in which two headlines differ, in words, or None."""
    mine, theirs = _facts(one), _facts(other)
    for name in sorted(mine.keys() & theirs.keys()):
        if not mine[name] & theirs[name]:
            return f"different {name}: {'/'.join(sorted(mine[name]))} and {'/'.join(sorted(theirs[name]))}"
    return _differing_percentages(one, other) if "%" in mine and "%" in theirs else None


@lru_cache(maxsize=4_000)
def _facts(title: str) -> dict[str, frozenset[str]]:
    """What a headline counts or dates by: quarter, half, date, year, game, version of … and what it says of each."""
    if not any(character.isdigit() for character in title) and "quarter" not in title.lower():
        return {}
    found: dict[str, set[str]] = {}
    for what in (_counted(title), _versions(title), _quarters(title), _dates(title), _years(title)):
        for name, values in what.items():
            found.setdefault(name, set()).update(values)
    return {name: frozenset(values) for name, values in found.items()} | _percent_mark(title)


def _percent_mark(title: str) -> dict[str, frozenset[str]]:
    return {"%": frozenset("%")} if _PERCENT.search(title) else {}


def _counted(title: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in _COUNTED.finditer(title):
        found.setdefault(match[1].lower(), set()).add(match[2])
    return found


def _versions(title: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in _VERSIONED.finditer(title):
        name = match[1].lower()
        if name not in _NO_VERSIONS and not _YEAR.fullmatch(match[2]):
            found.setdefault(f"{name} number", set()).add(match[2])
    return found


def _quarters(title: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in _QUARTER.finditer(title):
        quarter = match[1] or match[2] or (match[3] and _ORDINALS[match[3].lower()])
        half = match[4] or (match[5] and _ORDINALS[match[5].lower()])
        found.setdefault("quarter" if quarter else "half", set()).add(str(quarter or half))
    return found


def _dates(title: str) -> dict[str, set[str]]:
    days = {f"{(match[1] or match[4])[:3].lower()} {int(match[2] or match[3])}" for match in _DATE.finditer(title)}
    return {"date": days} if days else {}


def _years(title: str) -> dict[str, set[str]]:
    years = set(_YEAR.findall(title))
    return {"year": years} if years else {}


def counts_differ(one: str, other: str) -> bool:
    """Whether two nearly equal headlines differ in any number at all: then they are two articles."""
    return set(_NUMBER.findall(one)) != set(_NUMBER.findall(other))


def _differing_percentages(one: str, other: str) -> str | None:
    mine = [float(value) for value in _PERCENT.findall(one)]
    theirs = [float(value) for value in _PERCENT.findall(other)]
    if not mine or not theirs:
        return None
    if any(abs(a - b) <= max(PERCENT_SLACK * max(a, b), 0.05) for a in mine for b in theirs):
        return None
    return f"different percentages {mine[0]:g} and {theirs[0]:g}"
