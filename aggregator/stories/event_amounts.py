"""How much was paid, raised, earned or fined: which of the amounts that a headline and its summary name is the one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aggregator.stories.headline import Amount, Headline


def amount_of(label: str, line: Headline, beneath: Headline) -> Amount | None:
    """What was paid, raised, earned or fined: of the headline, else of the summary's first sentence that says so."""
    if label not in _SUMS:
        return None
    ahead, behind = _SUMS[label]
    for amount in line.amounts:
        if not _is_other_sum(line, amount):
            return amount
    # Of results the second sentence mostly tells last year's.
    end = _SENTENCE.search(beneath.masked) if label == "earnings" else None
    for amount in beneath.amounts:
        if end is not None and amount.start > end.start():
            break
        before = beneath.masked[max(0, amount.start - _NEAR) : amount.start]
        after = beneath.masked[amount.end : amount.end + _NEAR]
        if (ahead.search(before) or behind.match(after)) and not _is_other_sum(beneath, amount):
            return amount
    return None


_SENTENCE = re.compile(r"[.!?] +(?=\w)")
_LEAST = 10_000  # of any currency; what is less is the price of one share
_NEAR = 40  # characters of a summary beside an amount that say what it is
# What stands before or behind an amount in a summary that makes it the one we look for.
_SUMS: Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "funding": (
        re.compile(r"\b(?:rais(?:e|es|ed|ing)|secur(?:es|ed)|round of|funding of|clos(?:es|ed)|investment of)\b[^.]*$"),
        re.compile(r" (?:in |of )?(?:[\w-]+ ){0,2}(?:funding|round|financing|investment)"),
    ),
    "acquisition": (
        re.compile(
            r"\b(?:for|in an?(?: [\w-]+){0,2}|deal (?:worth|valued at)|worth|acquisition of|price of)"
            r"(?: about| around| nearly)? ?$"
        ),
        re.compile(r" (?:[\w-]+ ){0,2}(?:deal|takeover|acquisition|merger|buyout)"),
    ),
    "ipo": (re.compile(r"\b(?:rais(?:e|es|ed|ing))\b[^.]*$"), re.compile(r" (?:[\w-]+ ){0,2}(?:ipo|offering)")),
    "earnings": (
        re.compile(r"\b(?:profit|loss|revenue|income|earnings|sales) (?:[\w%.]+ ){0,6}(?:of|to|at) ?$"),
        re.compile(r"(?!)"),
    ),
    "regulation": (
        re.compile(r"\b(?:fined?|penalty of|pay)\b[^.]*$"),
        re.compile(r" (?:[\w-]+ ){0,2}(?:fine|penalty)"),
    ),
}
_WORTH = re.compile(r"\b(?:valu(?:ed|es|ing|ation)|(?:is|are|now) worth|market cap)\b[^,.¤]{0,30}$")
_EARLIER = re.compile(r"\b(?:against|compared (?:with|to)|versus|vs)\b[^,.;¤]{0,30}$")
_OTHER = re.compile(r"\W*(?:[\w-]+ ){0,1}(?:valuation|market (?:value|cap)|buyback|share buyback|a share|per share)\b")


def _is_other_sum(line: Headline, amount: Amount) -> bool:
    """Whether the amount is what somebody is worth, what it was a year ago, or a price for one share."""
    if amount.value < _LEAST:
        return True
    before = line.masked[max(0, amount.start - _NEAR) : amount.start]
    return bool(_WORTH.search(before) or _EARLIER.search(before) or _OTHER.match(line.masked, amount.end))
