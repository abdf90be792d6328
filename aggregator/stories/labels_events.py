# ruff: noqa: E501
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

from aggregator.stories.event_rules import BANKS, PATTERNS, TRIGGERS, Rule
from aggregator.stories.headline import Amount, Headline, headline_of, name_after, name_before
from aggregator.types import EVENTS, Event

MOST_HEADLINES = 5  # read per story: the first outlets settle what happened
WITNESSES = 2  # other headlines that must say what the lead's does not, before it is believed
_SUMMARY = 600  # characters of a summary that are read
_KEPT_WORDS = 80  # characters of a headline kept as the reason

# The line asks, explains, gives an opinion or looks back.
_ASKS = re.compile(
    r"\?|^(?:why|how|what|who|when|where|which|should|could|can|is|are|will|would|does|do|did|has|if|meet|inside|opinion|"
    r"comment|analysis|explained|explainer|explain|review|column|editorial|podcast|interview|quiz|watch|fact check|q&a|"
    r"the case for|the story of|letters?|obituary|hands-on|ask hn|tell hn|show hn|remembering|on this day|from the archive|"
    r"\d+ (?:things|ways|reasons|takeaways|charts|best)|best|top \d+)\b"
    r"|\b(?:explained|years ago|this day in|live updates|takeaways|what (?:it means|to know)|here's (?:why|what|how)|quote of the day|net worth|"
    r"horoscope|alleged(?:ly)?|hoax|fake|rumou?rs?|falsely|not (?:to|going to)|won't|doesn't|didn't|isn't|no longer|refuses? to|vows?|threatens?|"
    r"urged to|asked to|pressed to|dismiss(?:es|ed)|refut(?:es|ed)|rul(?:es|ed) out)\b"
)

# Those who raise, launch and buy too, but are no companies.
STATES = frozenset(
    (
        "us u.s. usa uk u.k. eu america britain england scotland wales ireland france germany italy spain portugal "
        "netherlands belgium switzerland austria sweden norway denmark finland poland czechia hungary greece turkey türkiye "
        "russia ukraine belarus israel iran iraq syria lebanon jordan egypt qatar uae kuwait yemen oman bahrain nigeria kenya ghana ethiopia "
        "africa sudan india pakistan bangladesh nepal afghanistan china beijing shanghai taiwan japan tokyo korea seoul singapore "
        "malaysia indonesia thailand vietnam philippines myanmar australia canberra canada ottawa mexico brazil argentina chile "
        "colombia peru bolivia ecuador venezuela cuba uruguay paraguay asia europe eurozone washington brussels moscow kyiv "
        "london paris berlin delhi tehran lagos nasa isro nato un unesco who unicef opec opec+ imf pentagon hamas hezbollah "
        "taliban houthis trump biden putin modi starmer macron milei netanyahu xi zelensky zelenskyy albanese carney lula "
        "congress senate parliament police army navy military government govt cabinet ministry council court supreme "
        "republicans democrats labour tories conservatives bjp tmc aap pm president minister chancellor mayor governor "
        "king queen prince princess pope church university school club fc afc fifa uefa icc bcci ioc nba nfl mlb nhl "
        "scientists researchers protesters activists rebels voters farmers workers students airlines banks "
        "hackers prosecutors officials lawmakers mps senators regulators investors analysts experts "
        "hong kong world team fans cbse nta upsc fg nnpc efcc ndlea inec icpc nrs who's"
    ).split()
)
_STATE_WORDS = frozenset(
    (
        "government govt ministry minister ministers president pm police army navy military forces council senate congress "
        "parliament court party university school club fc united city fans coach governor mayor king queen prince pope "
        "church commission authority agency department ministry's state states republic kingdom county district province "
        "hospital museum festival championship league cup olympics association federation union unions activists voters "
        "scientists researchers protesters lawmakers politicians police's cops court's troops"
    ).split()
)
# Names of places at the head of a longer name do not say that the name is a place's: "China Evergrande".


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
    if _ASKS.search(line.masked):
        return {}
    found: dict[str, Event] = {}
    beneath: Headline | None = None
    for label, trigger in TRIGGERS.items():
        if trigger.search(line.masked) is None:
            continue
        rules, stopper = PATTERNS[label]
        if stopper.search(line.masked) is not None:
            continue
        if beneath is None:
            beneath = headline_of(summary[:_SUMMARY])
        event = next(_matches(label, rules, line, beneath), None)
        if event is not None:
            found[label] = event
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
        if event is None:
            continue
        amount = _amount(label, match, line, beneath)
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


def is_company(name: str | None) -> bool:
    """Whether the name may be a firm's: no state, no agency, no politician, no team."""
    if name is None:
        return False
    parts = name.lower().replace("’", "'").split()
    if name.lower() in STATES or all(part in STATES for part in parts):
        return False
    return not any(part in _STATE_WORDS for part in parts) and parts[0] not in _PEOPLE


_PEOPLE = frozenset(
    "trump biden putin modi starmer macron milei netanyahu pm president minister mr mrs sir lord king queen pope".split()
)


def _before(match: re.Match[str], line: Headline) -> str | None:
    name = name_before(line, match.start())
    return name if is_company(name) else None


def _after(match: re.Match[str], line: Headline, group: str) -> str | None:
    if group not in match.re.groupindex or match.start(group) < 0:
        return None
    name = name_after(line, match.start(group))
    return name if is_company(name) else None


_BY = re.compile(r"\bby (?:the )?")
_TO = re.compile(r"\bto (?:the )?(?=[\w])")
_SELLS = re.compile(r"sells|sell|sold|offloads|divests")


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
    r"\b(pre-)?(?:series[ -]([a-k][1-9]?)|(pre-?)?seed(?=[ -](?:round|funding|financing|extension|stage|investment)|$))\b"
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
    if rule.company == "by":
        return Event("acquisition", _name_at(_BY, line, match.start()), before)
    target = _after(match, line, "object")
    if _SELLS.search(match[0]):
        return Event("acquisition", _name_at(_TO, line, match.end()), target)
    return Event("acquisition", before, target)


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
    before = _before(match, line) if rule.named else None
    return Event("regulation", before) if before or not rule.named else None


def _rates(rule: Rule, match: re.Match[str], line: Headline) -> Event | None:
    if "who" in match.re.groupindex:
        return Event("rates", BANKS.get(match["who"]) or None)
    # Without a bank's name a country stands for its own: "Indonesia raises rates".
    subject = name_before(line, match.start())
    words = subject.lower().split() if subject else []
    return (
        Event("rates", subject if "bank" in words else None) if any(w in STATES or w == "bank" for w in words) else None
    )


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

# ---------------------------------------------------------------- how much


def _amount(label: str, match: re.Match[str], line: Headline, beneath: Headline) -> Amount | None:
    """What was paid, raised, earned or fined: of the headline, else of the summary's first sentence that says so."""
    if label not in _SUMS:
        return None
    ahead, behind = _SUMS[label]
    for amount in line.amounts:
        if not _is_other_sum(line, amount):
            return amount
    for amount in beneath.amounts:
        before = beneath.masked[max(0, amount.start - _NEAR) : amount.start]
        after = beneath.masked[amount.end : amount.end + _NEAR]
        if (ahead.search(before) or behind.match(after)) and not _is_other_sum(beneath, amount):
            return amount
    return None


_NEAR = 40  # characters of a summary beside an amount that say what it is
# What stands before or behind an amount in a summary that makes it the one we look for.
_SUMS: Mapping[str, tuple[re.Pattern[str], re.Pattern[str]]] = {
    "funding": (
        re.compile(r"\b(?:rais(?:e|es|ed|ing)|secur(?:es|ed)|round of|funding of|clos(?:es|ed)|investment of)\b[^.]*$"),
        re.compile(r" (?:in |of )?(?:[\w-]+ ){0,2}(?:funding|round|financing|investment)"),
    ),
    "acquisition": (
        re.compile(
            r"\b(?:for|in an?(?: [\w-]+){0,2}|deal (?:worth|valued at)|worth|acquisition of|price of)(?: about| around| nearly)? ?$"
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
_WORTH = re.compile(r"\b(?:valu(?:ed|es|ing|ation)|worth|market cap)\b[^,.]{0,30}$")
_OTHER = re.compile(r"\W*(?:[\w-]+ ){0,1}(?:valuation|market (?:value|cap)|buyback|share buyback|a share|per share)\b")


def _is_other_sum(line: Headline, amount: Amount) -> bool:
    """Whether the amount is what somebody is worth, or a price for one share."""
    before = line.masked[max(0, amount.start - _NEAR) : amount.start]
    return bool(_WORTH.search(before) or _OTHER.match(line.masked, amount.end))


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
