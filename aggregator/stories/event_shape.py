"""What a pattern of `event_rules` is, and the pieces that all of them share.

Patterns read `Headline.masked`: lower case, amounts of money as `¤`. A pattern begins with its verb, so that who acts
stands before its match, and may hold groups where the name of somebody else begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to say that something happened, and what else must be so for it to count.

    `named`: a firm's name stands before the verb. `company`: the group at which the firm's name begins instead.
    `backed`: the headline or its summary also says this. `ruled`: a state, not a firm, stands before the verb.
    `least`: an amount of so much is named, whatever its currency.
    """

    pattern: re.Pattern[str]
    named: bool = True
    company: str | None = None
    backed: re.Pattern[str] | None = None
    ruled: bool = False
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """All that decides one label: a line without `trigger` says nothing of the kind (looking for it is what most
    headlines cost), one with `stopper` does not mean it; of `rules` the first that fits decides."""

    trigger: re.Pattern[str]
    stopper: re.Pattern[str]
    rules: tuple[Rule, ...]


def rule(
    pattern: str,
    *,
    named: bool = True,
    company: str | None = None,
    backed: str | None = None,
    ruled: bool = False,
    least: float = 0.0,
) -> Rule:
    """The rule of this pattern."""
    return Rule(re.compile(pattern), named, company, re.compile(backed) if backed else None, ruled, least)


def any_of(words: str) -> str:
    """A group of the words between white space, which may be patterns; `_` stands for a space."""
    return "(?:" + "|".join(words.split()).replace("_", " ") + ")"


def stop_at(words: str) -> re.Pattern[str]:
    """A pattern for any of these words."""
    return re.compile(rf"\b{any_of(words)}\b")


def trigger(parts: str) -> re.Pattern[str]:
    """A pattern for any of these parts of words."""
    return re.compile("|".join(parts.split()).replace("_", " "))


MONEY = "¤+"
ABOUT = f"(?:{any_of('about around over nearly almost up_to more_than at_least another some roughly')} )?"
COUNT = rf"{ABOUT}(?:\d[\d,]*(?:\.\d+)?(?:k|%)?|hundreds of|thousands of|dozens of|\d+ (?:percent|per cent))"
VERB = r"(?<![\w-])"  # "newly-launched" is no launch
AN = "(?:an? |the |its |their |his |her )?"
# A word between a verb and what it governs. Those left out begin another thought.
GAP = rf"(?:(?!{any_of('amid after as despite over for but while when before in on to of')}(?![\w-]))[\w%.¤'&+-]+ )"
SOME = r"(?:[\w.'&¤%+-]+ )"

GUESSES = "could might reportedly rumou?r\\w* consider(?:s|ing)? mull(?:s|ing)? weigh(?:s|ing)? sources?(?:_say|_said)?"
