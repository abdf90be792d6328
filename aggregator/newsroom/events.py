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
    BEATS,
    COMPANIES,
    COUNTRIES,
    ENDS,
    FIRST_NAMES,
    OFF_TOPIC,
    OFF_TOPIC_ENDS,
    PEOPLE,
    PLACES,
)

BACKLOG = 60
EVENTS = 310
PACE = 15.0  # seconds between events; with two or three reports of each there is something new every six
CORRECTED_AFTER = 40.0
# Which section the next event belongs to, over and over.
CYCLE = ("tech", "companies", "economics", "marketing", "none", "companies", "tech", "marketing", "economics", "tech")


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


@dataclass(frozen=True, slots=True)
class Wording:
    """What one voice makes of an event."""

    title: str
    paragraphs: tuple[str, ...]


def starts_at(event: int) -> float:
    """When an event becomes known: half an hour apart before the start, `PACE` seconds apart after it."""
    if event < BACKLOG:
        return (event - BACKLOG) * 1800.0 + Random(f"start {event}").uniform(0, 1200)
    return 3 + (event - BACKLOG) * PACE + Random(f"start {event}").uniform(0, 4)


def section_of(event: int) -> str:
    """What a careful editor would file the event under; `none` for off-topic."""
    return CYCLE[event % len(CYCLE)]


def number_in_section(event: int) -> int:
    """How many events of the same section came before."""
    turns, place = divmod(event, len(CYCLE))
    return turns * CYCLE.count(section_of(event)) + CYCLE[:place].count(section_of(event))


def facts(event: int) -> dict[str, str]:
    """The names and numbers of an event, for the phrases in `words`."""
    rng = Random(f"facts {event}")
    country = event * 7 % len(COUNTRIES)
    return {
        "company": COMPANIES[event * 2],
        "rival": COMPANIES[event * 2 + 1],
        "country": COUNTRIES[country],
        "country2": COUNTRIES[country - rng.randrange(1, len(COUNTRIES))],
        "place": PLACES[event * 2],
        "place2": PLACES[event * 2 + 1],
        "person": PEOPLE[event * 2],
        "person2": PEOPLE[event * 2 + 1],
        "amount": f"${round(10 ** rng.uniform(1, 2.9))} million",
        "share": str(rng.randrange(6, 48)),
        "small": f"{rng.randrange(2, 29) / 10:.1f}",
        "rate": f"{rng.randrange(9, 29) / 4:.2f}",
        "staff": f"{rng.randrange(2, 90) * 100:,}",
        "few": str(rng.randrange(5, 40)),
        "months": str(rng.randrange(2, 12)),
    }


def wording(event: int, voice: int) -> Wording:
    """The event in one of four voices: same facts, other words. What one says in the title another says below it."""
    names, section, number = facts(event), section_of(event), number_in_section(event)
    if section == "none":
        kind = OFF_TOPIC[number % len(OFF_TOPIC)]
        told = kind.voices[voice]
        paragraphs = (told.lede, *kind.details[:2], OFF_TOPIC_ENDS[voice])
        return Wording(told.title.format(**names), tuple(text.format(**names) for text in paragraphs))

    beat = BEATS[section]
    told = beat.voices[voice]
    # Lists of different lengths, so that the three combine anew each time round.
    does, (thing, about), twist = (
        beat.does[number % len(beat.does)][1],
        beat.things[number * 5 % len(beat.things)],
        beat.twists[(number * 3 + number // len(beat.things) * 7) % len(beat.twists)],
    )

    def filled(pattern: str, variant: int) -> str:
        did = does[variant % len(does)].format(o=thing[variant % len(thing)], **names)
        with_it = twist[variant % len(twist)]
        return pattern.format(did=did, twist=with_it, Twist=with_it[0].upper() + with_it[1:], **names)

    paragraphs = (filled(told.lede, voice + 1), about.format(**names), ENDS[voice].format(**names))
    return Wording(filled(told.title, voice), tuple(text for text in paragraphs if text))


def category_of(event: int) -> str:
    """What the outlets tag the event with."""
    section, number = section_of(event), number_in_section(event)
    return (
        OFF_TOPIC[number % len(OFF_TOPIC)].category
        if section == "none"
        else BEATS[section].does[number % len(BEATS[section].does)][0]
    )


@lru_cache(maxsize=EVENTS)
def tellings(event: int) -> tuple[Telling, ...]:
    """Every report of an event, in no order: in the outlets' own words, the wire's, and the copies of it."""
    rng = Random(f"tellings {event}")
    section = section_of(event)
    begins = starts_at(event)
    # Outlets that name a section more than once are the likelier to tell.
    able = [outlet.key for outlet in OUTLETS for covered in outlet.covers if covered == section]
    rng.shuffle(able)
    tellers = list(dict.fromkeys(able))[: rng.choices((1, 2, 3), (50, 30, 20))[0]]
    is_wired = rng.random() < 0.3
    if is_wired:
        tellers.insert(0, WIRE)
    voice = rng.randrange(4)
    told = [
        _in_own_words(event, key, (voice + place) % 4, _delay(rng, begins, place)) for place, key in enumerate(tellers)
    ]
    if is_wired:
        told += _copies_of_the_wire(rng, told[0], tellers)
    if section in ("tech", "companies") and rng.random() < 0.35:
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


def _in_own_words(event: int, key: str, voice: int, at: float) -> Telling:
    rng = Random(f"words {event} {key}")
    said = wording(event, voice)
    is_corrected = rng.random() < 0.12
    return Telling(
        event=event,
        outlet=key,
        link_key=key,
        at=at,
        section=section_of(event),
        category=category_of(event),
        title=said.title,
        paragraphs=said.paragraphs,
        author=f"{rng.choice(FIRST_NAMES)} {PEOPLE[rng.randrange(len(PEOPLE))]}",
        corrected_at=at + CORRECTED_AFTER if is_corrected else None,
        corrected_title=f"{said.title} (corrected)",
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
