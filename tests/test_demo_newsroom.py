"""The invented newsroom: what its paths answer as its clock runs."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

import feedparser
import pytest

from aggregator.newsroom import Document, Newsroom
from aggregator.newsroom.events import BACKLOG, EVENTS, facts, tellings, wording
from aggregator.newsroom.outlets import LINKS, MIRROR, OUTLETS, WIRE
from aggregator.newsroom.words import (
    BEATS,
    COMPANIES,
    COUNTRIES,
    ENDS,
    OFF_TOPIC,
    OFF_TOPIC_ENDS,
    PEOPLE,
    PLACES,
    Names,
)
from aggregator.types import LABELS, SECTIONS

STARTED = datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
NEWSROOM = Newsroom("http://127.0.0.1:8099", STARTED)


def later(seconds: float) -> datetime:
    return STARTED + timedelta(seconds=seconds)


def at(path: str, seconds: float = 0) -> Document:
    return NEWSROOM.document(path, later(seconds))


def body(document: Document) -> bytes:
    return gzip.decompress(document.body) if "content-encoding" in document.headers else document.body


def titles(path: str, seconds: float = 0) -> list[str]:
    document = at(path, seconds)
    if path.endswith("json"):
        return [item["title"] for item in json.loads(document.body)["items"]]
    return [entry.title for entry in feedparser.parse(io.BytesIO(body(document))).entries]


def working() -> list[str]:
    return [outlet.feed_path for outlet in OUTLETS if outlet.fate in ("ok", "moved")]


# ---------------------------------------------------------------- what is there


def test_there_are_twenty_sources_with_addresses_of_their_own() -> None:
    sources = NEWSROOM.sources()
    assert len(sources) == 20
    assert len({source["url"] for source in sources}) == 20
    assert {source.get("section") for source in sources} == {*SECTIONS, None}
    assert all(set(source) <= {"url", "title", "section", "weight"} for source in sources)


@pytest.mark.parametrize("path", working())
def test_a_feed_has_entries_from_the_start_and_new_ones_later(path: str) -> None:
    first, then = titles(path), titles(path, 900)
    assert len(first) >= 3
    assert set(then) - set(first)


def test_every_section_has_stories_at_the_start() -> None:
    told = [telling for event in range(BACKLOG) for telling in tellings(event) if telling.at <= 0]
    by_section = Counter(telling.section for telling in told)
    assert set(by_section) == set(LABELS)
    assert min(by_section.values()) >= 4


def test_something_new_is_reported_every_few_seconds_for_an_hour() -> None:
    times = sorted(telling.at for event in range(EVENTS) for telling in tellings(event) if telling.at > 0)
    gaps = [after - before for before, after in pairwise(times)]
    assert times[0] < 10
    assert sum(gaps) / len(gaps) < 8
    assert max(gaps) < 40
    assert times[-1] > 3600


def test_the_formats_are_what_they_claim() -> None:
    versions = {feedparser.parse(io.BytesIO(body(at(path)))).version for path in working() if not path.endswith("json")}
    assert versions == {"rss20", "rss10", "atom10"}
    assert json.loads(at("/feeds/brandish.json").body)["version"] == "https://jsonfeed.org/version/1.1"


@pytest.mark.parametrize(
    ("key", "status", "header"),
    [
        ("lantern", 301, ("location", "http://127.0.0.1:8099/feeds/lantern.xml")),
        ("pressroom", 404, None),
        ("vault", 403, None),
        ("sprocket", 500, None),
        ("almanac", 410, None),
        ("front", 200, ("content-type", "text/html; charset=utf-8")),
    ],
)
def test_the_unhappy_sources_fail_as_they_should(key: str, status: int, header: tuple[str, str] | None) -> None:
    path = next(outlet.configured_path for outlet in OUTLETS if outlet.key == key)
    document = at(path, 30)
    assert document.status == status
    if header:
        assert document.headers[header[0]] == header[1]


def test_the_slow_source_takes_longer_than_anybody_waits() -> None:
    assert at("/feeds/snail.xml").delay >= 300
    assert all(at(path).delay == 0 for path in working())


def test_the_flaws_are_real() -> None:
    with pytest.raises(UnicodeDecodeError):
        at("/feeds/post.xml", 900).body.decode("utf-8")
    assert "–" in at("/feeds/post.xml", 900).body.decode("windows-1252")
    assert feedparser.parse(io.BytesIO(at("/feeds/shelf.xml").body)).bozo
    assert at("/feeds/grain.xml").body[:2] == b"\x1f\x8b"


# ---------------------------------------------------------------- the same event, told by several


def test_no_two_events_carry_the_same_title() -> None:
    """The Ledger may print the wire's text, and corrections repeat a title: within one event."""
    events: dict[str, set[int]] = {}
    for event in range(EVENTS):
        for telling in tellings(event):
            events.setdefault(telling.title, set()).add(event)
    assert [title for title, numbers in events.items() if len(numbers) > 1] == []


def test_outlets_tell_an_event_in_their_own_words() -> None:
    several = 0
    for event in range(EVENTS):
        own = [told for told in tellings(event) if told.link_key == told.outlet]
        words = {(told.title, told.paragraphs[0]) for told in own}
        copies = sum(told.outlet == "ledger" and told.paragraphs == own[0].paragraphs for told in own[1:])
        assert len(words) == len(own) - copies
        several += len(words) > 1
    assert several > EVENTS / 3


def test_the_mirror_copies_the_wire_under_the_wires_links() -> None:
    wire = {item.url: item for item in NEWSROOM.items(next(o for o in OUTLETS if o.key == WIRE), later(600))}
    mirror = NEWSROOM.items(next(o for o in OUTLETS if o.key == MIRROR), later(600))
    known = [item for item in mirror if item.url.partition("?")[0] in wire]
    assert len(known) >= 20
    for item in known:
        original = wire[item.url.partition("?")[0]]
        assert item.url == f"{original.url}?utm_source=mirror&utm_medium=rss"
        assert item.html == original.html


def test_discussed_links_carry_a_comment_count_that_grows() -> None:
    links = next(outlet for outlet in OUTLETS if outlet.key == LINKS)
    item = NEWSROOM.items(links, later(600))[0]
    assert item.comments_url is not None
    counts = [
        same.comment_count
        for wait in (600, 700, 800)
        for same in NEWSROOM.items(links, later(wait))
        if same.guid == item.guid
    ]
    assert counts == sorted(set(counts))
    assert at(urlsplit(item.comments_url).path, 600).status == 200


def test_a_correction_changes_the_title_and_the_date_not_the_identity() -> None:
    kettle = next(outlet for outlet in OUTLETS if outlet.key == "kettle")
    told = next(
        t for e in range(BACKLOG, EVENTS) for t in tellings(e) if t.outlet == "kettle" and t.corrected_at is not None
    )
    before, after = (
        next(item for item in NEWSROOM.items(kettle, later(told.at + wait)) if item.guid.endswith(f":{told.event}"))
        for wait in (1, 60)
    )
    assert (before.url, before.published) == (after.url, after.published)
    assert before.title != after.title
    assert after.updated > before.updated == before.published


# ---------------------------------------------------------------- a pure function of the clock


def test_the_same_moment_answers_the_same_bytes() -> None:
    assert NEWSROOM.documents(later(100)) == Newsroom("http://127.0.0.1:8099", STARTED).documents(later(100))


def test_bytes_change_only_when_there_is_news() -> None:
    path = "/feeds/tideline.xml"
    versions = {at(path, second).headers["etag"]: titles(path, second) for second in range(0, 300, 5)}
    assert len(versions) == len({tuple(entries) for entries in versions.values()})
    assert 1 < len(versions) < 30


def test_a_known_etag_is_answered_with_304() -> None:
    etag = at("/feeds/ledger.xml").headers["etag"]
    again = NEWSROOM.document("/feeds/ledger.xml", STARTED, if_none_match=etag)
    assert (again.status, again.body) == (304, b"")
    assert NEWSROOM.document("/feeds/ledger.xml", later(600), if_none_match=etag).status == 200


def test_next_change_is_when_the_next_event_becomes_known() -> None:
    change = NEWSROOM.next_change(STARTED)
    assert change is not None
    assert STARTED < change < later(10)
    assert NEWSROOM.next_change(later(2 * 3600)) is None


# ---------------------------------------------------------------- pages and pictures


def test_every_link_of_every_feed_leads_to_a_page() -> None:
    for outlet in OUTLETS:
        for item in NEWSROOM.items(outlet, later(300)):
            page = at(urlsplit(item.url).path, 300)
            assert page.status == 200
            assert "invented" in page.body.decode()


def test_links_of_two_outlets_are_on_hosts_of_their_own() -> None:
    hosts = {urlsplit(NEWSROOM.items(outlet, later(0))[0].url).netloc for outlet in OUTLETS if outlet.covers}
    assert len(hosts) == sum(bool(outlet.covers) for outlet in OUTLETS)
    assert all(re.fullmatch(r"[a-z]+\.localhost:8099", host) for host in hosts)


def test_a_report_of_the_future_is_not_there_yet() -> None:
    told = next(telling for telling in tellings(BACKLOG + 20))
    path = f"/{told.outlet}/{told.event}"
    assert at(path, told.at - 1).status == 404
    assert at(path, told.at + 1).status == 200


@pytest.mark.parametrize("path", ["/nobody/1", "/ledger/99999", "/ledger/-1", "/ledger/١", "/feeds/", "/ledger/x.png"])
def test_paths_that_do_not_exist_are_404(path: str) -> None:
    assert at(path, 60).status == 404


def test_pictures_are_small_pngs() -> None:
    gizmo = next(outlet for outlet in OUTLETS if outlet.key == "gizmo")
    urls = [item.image_url for item in NEWSROOM.items(gizmo, STARTED)]
    pictures = [at(urlsplit(str(url)).path) for url in urls]
    assert len({picture.body for picture in pictures}) == len(urls) >= 3
    for picture in pictures:
        assert picture.headers["content-type"] == "image/png"
        assert len(picture.body) < 20_000
        width, height, depth, colour_type = struct.unpack(">IIBB", picture.body[16:26])
        start = picture.body.index(b"IDAT") + 4
        pixels = zlib.decompress(picture.body[start : picture.body.index(b"IEND")])
        assert (depth, colour_type, len(pixels)) == (8, 3, height * (width + 1))


# ---------------------------------------------------------------- the vocabulary


@pytest.mark.parametrize("names", [COMPANIES, PLACES, PEOPLE])
def test_names_are_enough_for_two_of_each_event_and_none_comes_twice(names: Names) -> None:
    assert len({names[number] for number in range(len(names))}) == len(names) >= 2 * EVENTS


def test_names_of_an_event_differ() -> None:
    for event in range(EVENTS):
        names = facts(event)
        assert names["country"] != names["country2"]
        assert len({names[name] for name in ("company", "rival", "place", "place2", "person", "person2")}) == 6


def test_every_phrase_names_only_known_facts() -> None:
    names = facts(0) | {
        "o": "nutcrackers",
        "did": "sells nutcrackers",
        "twist": "after a storm",
        "Twist": "After a storm",
    }
    assert set(BEATS) == set(SECTIONS)
    for beat in BEATS.values():
        phrases = [voice.title + voice.lede for voice in beat.voices]
        phrases += [variant for _, variants in beat.does for variant in variants]
        phrases += [sentence for _, sentence in beat.things]
        assert all("{" not in phrase.format(**names) for phrase in phrases)
        assert {len(variants) for variants in (*beat.twists, *(variants for _, variants in beat.does))} == {3}
    for kind in OFF_TOPIC:
        for text in (*kind.details, *(voice.title + voice.lede for voice in kind.voices), *ENDS, *OFF_TOPIC_ENDS):
            text.format(**names)


def test_every_voice_of_every_event_can_be_told() -> None:
    for event in range(EVENTS):
        told = [wording(event, voice) for voice in range(4)]
        assert len({said.title for said in told}) == len({said.paragraphs for said in told}) == 4
        assert not any("{" in text or "  " in text for said in told for text in (said.title, *said.paragraphs))


def test_countries_are_met_in_turn() -> None:
    assert len({facts(event)["country"] for event in range(len(COUNTRIES))}) == len(COUNTRIES)
