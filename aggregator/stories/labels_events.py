"""What happened in a story, for people who build firms: funding, acquisition, ipo, earnings, layoffs, launch,
regulation, rates; with the company and the amount where the headline names them.

In: what a story's entries say, lead first. Out: `Event`s, each label at most once. A headline that asks, guesses,
denies or looks back says nothing here: better to miss an event than to announce one that was not.
`headline` reads the line, `event_rules` has the patterns; docs/heuristics-labels.md says how well they do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from aggregator.stories.event_amounts import amount_of
from aggregator.stories.event_names import is_company, is_state
from aggregator.stories.event_rules import RULES
from aggregator.stories.event_shape import Rule, any_of
from aggregator.stories.event_states import BANKS
from aggregator.stories.headline import Amount, Headline, headline_of
from aggregator.stories.headline_names import name_after, name_before
from aggregator.types import EVENTS, Event

MOST_HEADLINES = 5  # read per story: the first outlets settle what happened
WITNESSES = 2  # other headlines that must say what the lead's does not, before it is believed
_SUMMARY = 600  # characters of a summary that are read
_KEPT_WORDS = 80  # characters of a headline kept as the reason

# The line asks, explains, gives an opinion or looks back.
_ASKS = re.compile(
    r"\?|^"
    + any_of(
        r"""
        why how what who when where which should could can is are will would does do did has if meet inside
        opinion comment commentary analysis explained explainer explain review column editorial podcast
        interview quiz watch fact_check q&a the_case_for the_story_of letters? obituary hands-on ask_hn tell_hn
        show_hn remembering on_this_day from_the_archive \d+_(?:things|ways|reasons|takeaways|charts|best) best
        top_\d+"""
    )
    + r"\b|\b"
    + any_of(
        """
        explained years_ago this_day_in live_updates takeaways what_(?:it_means|to_know) here's_(?:why|what|how)
        quote_of_the_day net_worth horoscope alleged(?:ly)? hoax fake rumou?rs? falsely not_(?:to|going_to)
        won't doesn't didn't isn't no_longer refuses?_to vows? threatens? urged_to asked_to pressed_to
        dismiss(?:es|ed) refut(?:es|ed) rul(?:es|ed)_out"""
    )
    + r"\b"
)
# What many outlets hang behind the news itself: "…: what it means for savers".
_TAIL = re.compile(r"(?<=\S)(?:[:;|]| -) (?:what|why|how|here's|here are|all you need|key|check|know|full list)\b.*$")


def events_of(texts: Sequence[tuple[str, str]]) -> tuple[Event, ...]:
    """What happened, by the titles and summaries of a story's entries, the lead's first.

    The lead's headline decides; what WITNESSES other headlines agree on counts as well, and they fill in who and how
    much where it does not say.
    """
    told = [headline_events(title, summary) for title, summary in texts[:MOST_HEADLINES]]
    if not told:
        return ()
    found = []
    for label in EVENTS:
        own = told[0].get(label)
        others = [events[label] for events in told[1:] if label in events]
        if own is not None:
            found.append(_completed(own, others))
        elif len(others) >= WITNESSES:
            found.append(_completed(others[0], others[1:]))
    return tuple(found)


def headline_events(title: str, summary: str = "") -> dict[str, Event]:
    """What one headline says happened, by label. The summary confirms and gives the amount, it says nothing alone."""
    line = headline_of(title)
    if (tail := _TAIL.search(line.masked)) is not None:
        line = headline_of(title[: tail.start()])
    if _ASKS.search(line.masked):
        return {}
    first = line.masked.partition(";")[0]  # what else is told behind it does not make it less true
    found: dict[str, Event] = {}
    beneath: Headline | None = None
    for name, label in RULES.items():
        if label.trigger.search(line.masked) is None or label.stopper.search(first) is not None:
            continue
        if beneath is None:
            beneath = headline_of(summary[:_SUMMARY])
        event = next(_matches(name, label.rules, line, beneath), None)
        if event is not None:
            found[name] = event
    return _reconciled(found)


def _reconciled(found: dict[str, Event]) -> dict[str, Event]:
    """One line rarely tells two events: money raised in an offering of shares to the public is no round, a launch of
    an offer no launch."""
    if "ipo" in found:
        found.pop("funding", None)
        found.pop("launch", None)
    if "rates" in found:
        found.pop("earnings", None)
        found.pop("regulation", None)
    if "acquisition" in found or "regulation" in found or "funding" in found:
        found.pop("launch", None)
    return found


def _matches(label: str, rules: Iterable[Rule], line: Headline, beneath: Headline) -> Iterator[Event]:
    for rule in rules:
        match = rule.pattern.search(line.masked)
        if match is None or (rule.backed and not _is_backed(rule.backed, line, beneath, match)):
            continue
        event = _MADE[label](rule, match, line)
        if event is None or (rule.ruled and not is_state(name_before(line, match.start()))):
            continue
        amount = amount_of(label, line, beneath)
        if rule.least and (amount is None or amount.value < rule.least):
            continue
        yield replace(
            event,
            amount=amount.value if amount else None,
            currency=amount.currency if amount else None,
            words=_words(line, match, amount),
        )


def _is_backed(backed: re.Pattern[str], line: Headline, beneath: Headline, match: re.Match[str]) -> bool:
    return bool(backed.search(line.masked) or backed.search(beneath.masked))


def _words(line: Headline, match: re.Match[str], amount: Amount | None) -> tuple[str, ...]:
    """The words of the headline that decided; where the amount stood only in the summary it is not among them."""
    said = line.text[match.start() : match.end()].strip()
    if len(said) > _KEPT_WORDS:
        said = said[: _KEPT_WORDS - 1].rstrip() + "…"
    shown = line.text[amount.start : amount.end].strip() if amount and amount in line.amounts else ""
    return tuple(dict.fromkeys(part for part in (said, shown) if part and (part == said or part not in said)))


# ---------------------------------------------------------------- who


def _before(match: re.Match[str], line: Headline) -> str | None:
    name = name_before(line, match.start())
    return name if is_company(name) else None


def _after(match: re.Match[str], line: Headline, group: str) -> str | None:
    if group not in match.re.groupindex or match.start(group) < 0:
        return None
    name = name_after(line, match.start(group))
    return name if is_company(name) else None


# What stands between the verb and the name of what is bought: how much of it.
_SHARE = re.compile(
    r"(?:(?:an?|the|its|another|all|some|about|nearly|additional|majority|minority|controlling|[\d.,]+%?|¤+) )*"
    r"(?:(?:pct|percent|per cent) )?"
    r"(?:(?:[\w-]+ ){0,2}?(?:stake|interest|holding|shares?|part|control) (?:in|of) |of )?"
)
# A line in title case that ends so tells what is bought, not how it is called.
_NO_TARGET = re.compile(
    any_of("unit units division subsidiary subsidiaries venture company firm part stake business assets") + "$"
)


def _target(match: re.Match[str], line: Headline, group: str) -> str | None:
    """The firm that is bought, past how much of it."""
    place = match.start(group)
    share = _SHARE.match(line.masked, place)
    name = name_after(line, share.end() if share else place)
    return name if is_company(name) and not _NO_TARGET.search((name or "").lower()) else None


_BY = re.compile(r"\bby (?:the )?")
_TO = re.compile(r"\bto (?:the )?(?=[\w])")


def _plainly(label: str) -> _Maker:
    def made(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
        who = _after(match, line, rule.company) if rule.company else _before(match, line)
        return Event(label, who) if who or not rule.named else None

    return made


def _funding(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
    who = _after(match, line, rule.company) if rule.company else _before(match, line)
    if who is None and rule.named and not _STARTUP.search(line.masked):
        return None
    return Event("funding", who, round=_round(line))


_STARTUP = re.compile(r"\bstart-?ups?\b")
_ROUND = re.compile(
    r"\b(pre-)?(?:series[ -]([a-k][1-9]?)"
    r"|(pre-?)?seed(?=[ -](?:round|funding|financing|extension|stage|investment)|$))\b"
)


def _round(line: Headline) -> str | None:
    """ "Series B", "Pre-Series A", "Seed", "Pre-Seed"; None where the line names none."""
    said = _ROUND.search(line.masked)
    if said is None:
        return None
    name = f"Series {said[2].upper()}" if said[2] else "Seed"
    return f"Pre-{name}" if said[1] or said[3] else name


def _acquisition(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
    before = _before(match, line)
    if before is None and rule.named:
        return None
    groups = match.re.groupindex
    if "by" in groups:  # the subject is bought
        return Event("acquisition", _name_at(_BY, line, match.start("by")), before)
    if "sold" in groups:  # the subject sells
        return Event("acquisition", _name_at(_TO, line, match.start("sold")), _target(match, line, "sold"))
    return Event("acquisition", before, _target(match, line, "target") if "target" in groups else None)


def _name_at(word: re.Pattern[str], line: Headline, place: int) -> str | None:
    """The company named behind the next such word."""
    found = word.search(line.masked, place)
    name = name_after(line, found.end()) if found else None
    return name if is_company(name) else None


def _layoffs(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
    who = _after(match, line, rule.company) if rule.company else _before(match, line)
    if who is None:
        return None
    return Event("layoffs", who, jobs=_number(match["jobs"] if "jobs" in match.re.groupindex else None))


def _number(text: str | None) -> int | None:
    """ "about 1,200" as 1200; None for shares and for "hundreds of"."""
    found = re.search(r"(\d[\d,]*(?:\.\d+)?)(k)?(?!\S)", text or "")
    if not found:
        return None
    number = float(found[1].replace(",", "")) * (1000 if found[2] else 1)
    return int(number) if number >= 2 else None


def _regulation(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
    if rule.company:
        return Event("regulation", _after(match, line, rule.company))
    if rule.ruled:
        return Event("regulation")
    before = _before(match, line)
    return Event("regulation", before) if before else None


def _rates(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
    if "bank" in match.re.groupindex:
        return Event("rates", BANKS[match["bank"]] or None)
    # Without a bank's name a country stands for its own: "Indonesia raises rates".
    subject = name_before(line, match.start())
    if subject and "bank" in subject.lower().split():
        return Event("rates", subject)
    return Event("rates") if is_state(subject) else None


_Maker = Callable[[Rule, re.Match[str], Headline], Event | None]
_MADE: Mapping[str, _Maker] = {
    "funding": _funding,
    "acquisition": _acquisition,
    "ipo": _plainly("ipo"),
    "earnings": _plainly("earnings"),
    "layoffs": _layoffs,
    "launch": _plainly("launch"),
    "regulation": _regulation,
    "rates": _rates,
}


def _completed(event: Event, others: Sequence[Event]) -> Event:
    """The event with what other headlines about it add: never against what its own says."""
    for other in others:
        if event.amount is None and other.amount is not None:
            event = replace(event, amount=other.amount, currency=other.currency)
        event = replace(
            event,
            company=event.company or other.company,
            target=event.target or other.target,
            round=event.round or other.round,
            jobs=event.jobs or other.jobs,
        )
    return event
