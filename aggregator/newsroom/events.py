"""What happens in the invented world, and who tells it when: event number in, tellings out, the same every time.

Times are seconds from the newsroom's start, negative for what had happened before. The first `BACKLOG` events are there
from the beginning; then a new one happens every few seconds for more than an hour, no two of them alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from aggregator.newsroom.outlets import LINKS, MIRROR, OUTLETS, WIRE
from aggregator.newsroom.words import (
    CLOSERS,
    COMPANIES,
    COUNTRIES,
    FIRST_NAMES,
    GOODS,
    KINDS,
    LAST_NAMES,
    PLACES,
    PRODUCTS,
    Kind,
)

BACKLOG = 60
EVENTS = len(KINDS) * len(COUNTRIES)  # beyond this a kind would meet the same country again
PACE = 5.5  # seconds between events
CORRECTED_AFTER = 40.0


@dataclass(frozen=True, slots=True)
class Telling:
    """One outlet's report of an event. `link_key` is the outlet whose page it links to (its own, but for mirrors and
    link collections); `corrected_at` is when its title changes to `corrected_title`, None for never."""

    event: int
    outlet: str
    link_key: str
    at: float
    section: str
    category: str
    title: str
    paragraphs: tuple[str, ...]
    author: str
    corrected_at: float | None = None
    corrected_title: str = ""
    is_discussed: bool = False


def starts_at(event: int) -> float:
    """When an event becomes known: half an hour apart before the start, `PACE` seconds apart after it."""
    if event < BACKLOG:
        return (event - BACKLOG) * 1800.0 + Random(f"start {event}").uniform(0, 1200)
    return 3 + (event - BACKLOG) * PACE + Random(f"start {event}").uniform(0, 2.5)


def facts(event: int) -> dict[str, str]:
    """The names and numbers of an event, for the templates in `words`."""
    rng = Random(f"facts {event}")
    turn, kind = divmod(event, len(KINDS))
    person, person2 = (f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}" for _ in range(2))
    # Steps of 7 through lists of prime length: each kind meets every company, country and place once.
    company = turn * 7 + kind * 11
    amount = rng.choice((12, 18, 25, 40, 65, 90, 120, 180, 240, 310, 450, 700)) + rng.randrange(9)
    return {
        "company": COMPANIES[company % len(COMPANIES)],
        "rival": COMPANIES[(company + 1 + rng.randrange(len(COMPANIES) - 1)) % len(COMPANIES)],
        "country": COUNTRIES[company % len(COUNTRIES)],
        "country2": COUNTRIES[(company + 1 + rng.randrange(len(COUNTRIES) - 1)) % len(COUNTRIES)],
        "place": PLACES[company % len(PLACES)],
        "place2": PLACES[(company + 1 + rng.randrange(len(PLACES) - 1)) % len(PLACES)],
        "person": person,
        "person2": person2,
        "product": rng.choice(PRODUCTS),
        "goods": rng.choice(GOODS),
        "amount": f"${amount} million",
        "share": str(rng.randrange(6, 48)),
        "small": f"{rng.randrange(2, 29) / 10:.1f}",
        "rate": f"{rng.randrange(9, 29) / 4:.2f}",
        "staff": f"{rng.randrange(2, 90) * 100:,}",
        "few": str(rng.randrange(5, 40)),
        "months": str(rng.randrange(2, 12)),
    }


@lru_cache(maxsize=EVENTS)
def tellings(event: int) -> tuple[Telling, ...]:
    """Every report of an event, in no order: in the outlets' own words, the wire's, and the copies of it."""
    rng = Random(f"tellings {event}")
    kind, names = KINDS[event % len(KINDS)], facts(event)
    begins = starts_at(event)
    # Outlets that name a section more than once are the likelier to tell.
    able = [outlet.key for outlet in OUTLETS for section in outlet.covers if section == kind.section]
    rng.shuffle(able)
    tellers = list(dict.fromkeys(able))[: rng.choices((1, 2, 3), (50, 30, 20))[0]]
    is_wired = rng.random() < 0.3
    if is_wired:
        tellers.insert(0, WIRE)
    voice = rng.randrange(4)
    told = [
        _in_own_words(event, key, kind, names, (voice + place) % 4, _delay(rng, begins, place))
        for place, key in enumerate(tellers)
    ]
    if is_wired:
        told += _copies_of_the_wire(rng, told[0], tellers)
    if kind.section in ("tech", "companies") and rng.random() < 0.35:
        told.append(_pointer(rng, told[-1]))
    return tuple(told)


def _delay(rng: Random, begins: float, place: int) -> float:
    if place == 0:
        return begins
    if begins < 0:
        # A late report of something old may come after the start: then within the first minute.
        late = begins + rng.uniform(600, 9000)
        return late if late < 0 else rng.uniform(5, 60)
    return begins + rng.uniform(12, 70)


def _in_own_words(event: int, key: str, kind: Kind, names: dict[str, str], voice: int, at: float) -> Telling:
    rng = Random(f"words {event} {key}")
    details = rng.sample(kind.details, 2)
    paragraphs = (kind.ledes[voice], *details, CLOSERS[kind.section][voice])
    title = kind.titles[voice].format(**names)
    is_corrected = rng.random() < 0.12
    return Telling(
        event=event,
        outlet=key,
        link_key=key,
        at=at,
        section=kind.section,
        category=kind.category,
        title=title,
        paragraphs=tuple(paragraph.format(**names) for paragraph in paragraphs),
        author=f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}",
        corrected_at=at + CORRECTED_AFTER if is_corrected else None,
        corrected_title=f"{title} (corrected)",
    )


def _copies_of_the_wire(rng: Random, wire: Telling, tellers: list[str]) -> list[Telling]:
    """The mirror always copies; now and then the Ledger prints the wire's text under an address of its own."""
    copies = [_copy(wire, MIRROR, WIRE, wire.at + rng.uniform(10, 45))]
    if "ledger" not in tellers and wire.section != "none" and rng.random() < 0.5:
        copies.append(_copy(wire, "ledger", "ledger", wire.at + rng.uniform(10, 45)))
    return copies


def _pointer(rng: Random, target: Telling) -> Telling:
    return _copy(target, LINKS, target.link_key, target.at + rng.uniform(8, 60), is_discussed=True)


def _copy(told: Telling, outlet: str, link_key: str, at: float, is_discussed: bool = False) -> Telling:
    return Telling(
        event=told.event,
        outlet=outlet,
        link_key=link_key,
        at=at,
        section=told.section,
        category=told.category,
        title=told.title,
        paragraphs=told.paragraphs,
        author=told.author,
        is_discussed=is_discussed,
    )
