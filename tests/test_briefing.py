"""Briefings: when they are made, what is in them, and that a letter goes out once whatever fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import feedparser
import pytest
from builders import a_sectioning, a_source_ref, a_stored_entry, a_story
from origin import Answer, Origin
from postbox import Postbox
from postgres import postgres_server, postgres_url, sqlite_template, store_url  # noqa: F401
from service import Service, an_rss
from structlog.testing import capture_logs

from aggregator import config as configuration
from aggregator import mail
from aggregator.briefing import Briefing, message_of, sender_of
from aggregator.daemon import log
from aggregator.pipeline import Pipeline
from aggregator.publish.digest import as_html, as_item, as_text, composed, due, from_json, to_json
from aggregator.publish.settings import SiteSettings
from aggregator.store import Store

PRAGUE = ZoneInfo("Europe/Prague")
SITE = SiteSettings(public_url="https://news.example/desk", timezone="Europe/Prague", installation=UUID(int=7))
AT = datetime(2026, 11, 24, 7, 0, tzinfo=PRAGUE)  # a Tuesday
MONDAY = datetime(2026, 11, 23, 7, 0, tzinfo=PRAGUE)


@pytest.mark.parametrize(
    ("kind", "now", "day"),
    [
        ("daily", AT - timedelta(seconds=1), None),
        ("daily", AT, "2026-11-24"),
        ("daily", AT + timedelta(hours=5, minutes=59), "2026-11-24"),
        ("daily", AT + timedelta(hours=6), None),
        ("daily", AT.astimezone(UTC), "2026-11-24"),
        ("weekly", AT, None),
        ("weekly", MONDAY, "2026-W48"),
        ("weekly", MONDAY - timedelta(seconds=1), None),
        # The year of a week is that of its Thursday (ISO 8601).
        ("weekly", datetime(2027, 1, 4, 7, 0, tzinfo=PRAGUE), "2027-W01"),
        ("weekly", datetime(2024, 12, 30, 7, 0, tzinfo=PRAGUE), "2025-W01"),
        # The clock goes back in the night before: seven is seven.
        ("daily", datetime(2026, 10, 25, 6, 59, tzinfo=PRAGUE), None),
        ("daily", datetime(2026, 10, 25, 7, 0, tzinfo=PRAGUE), "2026-10-25"),
    ],
)
def test_when_a_briefing_is_due(kind, now, day):
    assert due(kind, AT.time(), PRAGUE, now) == day
    assert due(kind, None, PRAGUE, now) is None


def some_stories() -> list:
    def story(n: int, section: str, hours: float, sources: int = 1, outlet: str = "") -> object:
        entries = tuple(
            a_stored_entry(
                f"Story <{n}> & more",
                source=a_source_ref(title=outlet or f"Outlet {n}.{k}", feed_id=100 * n + k),
                link=f"https://o{n}.example/{k}",
                summary="Some words about it. " * 30,
            )
            for k in range(sources)
        )
        return a_story(entries=entries, published=AT - timedelta(hours=hours), sectioning=a_sectioning(section))

    return [
        story(1, "tech", 2),
        story(2, "tech", 1, sources=3),
        story(3, "economics", 20),
        story(5, "none", 1),
    ]


def the_digest():
    return composed("daily", "2026-11-24", AT - timedelta(days=1), AT, some_stories(), SITE)


def test_what_is_in_a_briefing():
    made = the_digest()
    assert [(section, [told.title for told in ones]) for section, ones in made.sections] == [
        ("tech", ["Story <2> & more", "Story <1> & more"]),
        ("companies", []),
        ("economics", ["Story <3> & more"]),
        ("marketing", []),
    ]
    assert made.sections[0][1][0].outlets == 3
    assert from_json("daily", made.day, made.since, made.made_at, to_json(made)) == replace(
        made, since=made.since.astimezone(UTC), made_at=made.made_at.astimezone(UTC)
    )


def test_the_first_day_of_a_week_counts_as_much_as_the_last():
    def story(title, days, outlets):
        entries = tuple(
            a_stored_entry(
                title, source=a_source_ref(feed_id=1000 * days + n, site_url=f"https://o{days}-{n}.example/")
            )
            for n in range(outlets)
        )
        return a_story(entries=entries, published=AT - timedelta(days=days), sectioning=a_sectioning("tech"))

    stories = [story(f"Rumour {n}", 0, 1) for n in range(9)] + [story("The event of the week", 6, 5)]
    made = composed("weekly", "2026-W48", AT - timedelta(days=7), AT, stories, SITE)
    assert made.sections[0][1][0].title == "The event of the week"


def test_a_story_of_two_sections_stands_once():
    both = a_story(published=AT, sectioning=a_sectioning("tech", second="companies"))
    made = composed("weekly", "2026-W48", AT - timedelta(days=7), AT, [both], SITE)
    assert [len(told) for _, told in made.sections] == [1, 0, 0, 0]


def test_the_text_is_readable_in_any_mailbox():
    text = as_text(the_digest(), SITE)
    assert text.startswith("Business Monkey News, Tuesday, 24 November 2026\n\n\nTECH\n----\n\nStory <2> & more\n")
    assert "and 2 others" in text
    assert all(len(line) <= 76 or line.startswith("https://") for line in text.splitlines())
    assert "https://news.example/desk/story/" in text
    assert "MARKETING" not in text


def test_nothing_in_a_title_becomes_markup():
    page = as_html(the_digest())
    assert "<2>" not in page
    assert "Story &lt;2&gt; &amp; more" in page


def test_its_id_is_its_own_in_every_installation():
    made = the_digest()
    assert as_item(made, SITE).story_id != as_item(made, replace(SITE, installation=UUID(int=8))).story_id
    assert as_item(made, SITE).url == "https://news.example/desk/digest/2026-11-24"


def test_a_letter_has_both_forms_and_a_name_of_its_own():
    letter = message_of(the_digest(), "a@b.example", "bmn@news.example", SITE)
    assert letter["Subject"] == "Business Monkey News, Tuesday, 24 November 2026"
    assert [part.get_content_type() for part in letter.walk()][1:] == ["text/plain", "text/html"]
    again = message_of(the_digest(), "a@b.example", "bmn@news.example", SITE)
    assert (
        letter["Message-ID"]
        == again["Message-ID"]
        != message_of(the_digest(), "c@b.example", "x@y", SITE)["Message-ID"]
    )
    assert letter["Auto-Submitted"] == "auto-generated"


# ---------------------------------------------------------------- making and sending


class Desk:
    """A store with two stories and a briefing of a given configuration, at a clock that a test turns."""

    def __init__(self, folder: Path, url: str, **digest: object) -> None:
        self.service = Service(folder, [], url, digest={"at": "07:00", **digest}, site={"timezone": "Europe/Prague"})
        self.now = AT

    async def run(self, work: Callable) -> object:
        config = configuration.load(self.service.config, {})
        with Store(config.database) as store:

            async def database(call, /, *arguments):
                return call(*arguments)

            async def a_briefing(send=mail.send) -> Briefing:
                briefing = Briefing(store, database, log(), lambda: self.now, send)
                briefing.configure(config)
                return briefing

            return await work(store, a_briefing)


def test_it_is_made_once_a_day_over_restarts(tmp_path, store_url):  # noqa: F811
    desk = Desk(tmp_path, store_url)

    async def work(store, a_briefing):
        made = []
        for hours in (-1, 0, 0.1, 3, 24, 24.1):
            desk.now = AT + timedelta(hours=hours)
            made.append(await (await a_briefing()).make_due())  # each time as after a restart
        return made, [kept.day for kept in store.latest_digests(None, 9)]

    assert asyncio.run(desk.run(work)) == ([0, 1, 0, 0, 1, 0], ["2026-11-25", "2026-11-24"])


def test_on_mondays_there_are_two(tmp_path, store_url):  # noqa: F811
    desk = Desk(tmp_path, store_url)
    desk.now = MONDAY

    async def work(store, a_briefing):
        made = await (await a_briefing()).make_due()
        return made, store.digest("2026-w48").kind, store.digest("2026-11-23").kind

    assert asyncio.run(desk.run(work)) == (2, "weekly", "daily")


def test_each_letter_is_sent_once(tmp_path, store_url):  # noqa: F811
    with Postbox() as postbox:
        desk = Desk(tmp_path, store_url, to=["a@b.example", "c@d.example", "a@b.example"], smtp=postbox.url)

        async def work(store, a_briefing):
            await (await a_briefing()).make_due()
            return [await (await a_briefing()).send_waiting() for _ in range(3)]

        assert asyncio.run(desk.run(work)) == [2, 0, 0]
    assert sorted(letter["To"] for letter in postbox.letters) == ["a@b.example", "c@d.example"]
    assert "Nothing happened that we know of." in postbox.letters[0].get_payload()[0].get_payload()


@pytest.mark.parametrize("failure", ["busy", "slam", "auth"])
def test_a_server_that_is_busy_is_tried_again(tmp_path, store_url, failure):  # noqa: F811
    with Postbox(failure) as postbox:
        url = postbox.url.replace("//", "//me:secret@") if failure == "auth" else postbox.url
        desk = Desk(tmp_path, store_url, to=["a@b.example"], smtp=url)

        async def work(store, a_briefing):
            briefing = await a_briefing()
            await briefing.make_due()
            sent = [await briefing.send_waiting(), await briefing.send_waiting()]
            desk.now += timedelta(minutes=5)
            await briefing.send_waiting()
            return [*sent, postbox.sessions]

        # One session that failed, none while we wait, then another. (The second postbox knows no passwords at all.)
        assert asyncio.run(desk.run(work)) == [0, 0, 2]
        assert len(postbox.letters) == (0 if failure == "auth" else 1)


def test_a_server_that_stays_away_is_given_up_after_the_morning(tmp_path, store_url):  # noqa: F811
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and nobody answers there
    desk = Desk(tmp_path, store_url, to=["a@b.example"], smtp=f"smtp://127.0.0.1:{taken.getsockname()[1]}")

    async def work(store, a_briefing):
        briefing, asked = await a_briefing(), 0
        await briefing.make_due()
        for _ in range(200):
            desk.now += timedelta(minutes=5)
            letter = store.take_letter(desk.now)
            if letter is None:
                continue
            store.settle_letter(replace(letter, tries=letter.tries - 1), "waiting", desk.now)
            asked += 1
            await briefing.send_waiting()
        return asked

    assert asyncio.run(desk.run(work)) == 6
    taken.close()


@pytest.mark.parametrize("failure", ["refuse", "mute"])
def test_what_was_refused_or_went_without_an_answer_is_not_sent_again(tmp_path, store_url, failure):  # noqa: F811
    with Postbox(failure) as postbox:
        desk = Desk(tmp_path, store_url, to=["a@b.example"], smtp=postbox.url)

        async def work(store, a_briefing):
            briefing = await a_briefing()
            await briefing.make_due()
            await briefing.send_waiting()
            desk.now += timedelta(hours=12)
            await (await a_briefing()).send_waiting()
            return postbox.sessions

        assert asyncio.run(desk.run(work)) == 1


@pytest.mark.parametrize(
    "address", ["ž@b.example", "[a@b.example", "a@b.example."], ids=["not ascii", "a bracket", "a dot at its end"]
)
def test_an_address_that_smtp_cannot_say_keeps_no_other_letter_back(tmp_path, store_url, address):  # noqa: F811
    with Postbox() as postbox:
        desk = Desk(tmp_path, store_url, to=[address, "z@b.example"], smtp=postbox.url)

        async def work(store, a_briefing):
            briefing = await a_briefing()
            await briefing.make_due()
            return await briefing.send_waiting(), store.unsettled_letters()

        assert asyncio.run(desk.run(work)) == (1, [])
    assert [letter["To"] for letter in postbox.letters] == ["z@b.example"]


def test_a_process_that_dies_while_sending_sends_nothing_twice(tmp_path, store_url):  # noqa: F811
    class Killed(BaseException):
        pass

    handed_over = []

    def dies(server, message):
        handed_over.append(message)
        raise Killed

    desk = Desk(tmp_path, store_url, to=["a@b.example"], smtp="smtp://127.0.0.1:9")

    async def work(store, a_briefing):
        briefing = await a_briefing(dies)
        await briefing.make_due()
        with pytest.raises(Killed):
            await briefing.send_waiting()
        desk.now += timedelta(hours=3)
        stuck = [letter.state for letter in store.unsettled_letters()]
        with capture_logs() as said:
            sent = [await (await a_briefing(dies)).send_waiting() for _ in range(3)]  # each time as after a restart
        return sent, stuck, [each["event"] for each in said]

    assert asyncio.run(desk.run(work)) == ([0, 0, 0], ["sending"], ["digest_unknown"])
    assert len(handed_over) == 1


def test_a_password_never_goes_without_tls(tmp_path, monkeypatch):
    with Postbox("auth") as postbox:
        letter = message_of(the_digest(), "a@b.example", "bmn@news.example", SITE)
        # A name that is not loopback's, at an address that is: the rule goes by the name that was configured.
        monkeypatch.setattr("socket.getaddrinfo", _always_here)
        server = postbox.url.replace("smtp://127.0.0.1", "smtp://me:secret@mail.example")
        with pytest.raises(mail.MailRefused, match="no TLS"):
            mail.send(server, letter, timeout=5)


def _always_here(host, port, *rest, **more):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))]


@pytest.mark.parametrize(
    ("contact", "smtp", "sender"),
    [
        ("desk@news.example", "smtp://me@x.example", "desk@news.example"),
        ("mailto:desk@news.example", None, "desk@news.example"),
        ("https://news.example/contact", "smtp://me%40x.example:p@mail", "me@x.example"),
        ("desk@news.example, boss@x.example", None, "bmn@127.0.0.1"),
        ("", "smtp://mail.example", "bmn@127.0.0.1"),
    ],
)
def test_whom_letters_are_from(tmp_path, contact, smtp, sender):
    digest = {"at": "07:00", "smtp": smtp} if smtp else {"at": "07:00"}
    service = Service(
        tmp_path, [], digest=digest, fetch={"contact": contact}, site={"public_url": "http://127.0.0.1:1"}
    )
    assert sender_of(configuration.load(service.config, {})) == sender


# ---------------------------------------------------------------- as readers see it


def test_the_briefing_is_a_page_and_a_feed(tmp_path, store_url):  # noqa: F811
    async def run():
        async with Origin() as origin:
            origin.script("/feed", Answer(body=an_rss(("a1", "Quillon opens a plant in Brno"))))
            source = {"url": origin.url("/feed"), "section": "companies", "section_is": "final"}
            now = datetime.now(UTC)
            at = f"{now:%H:%M}"
            config = configuration.load(Service(tmp_path, [source], store_url, digest={"at": at}).config, {})
            async with Pipeline.opened(config, log(), parsers=1) as pipeline:
                empty = pipeline.publisher.shelf.documents
                await pipeline.publish()
                before = pipeline.publisher.shelf.documents["/digest"].body
                await pipeline.poll(await pipeline.feeds_to_poll((), everything=True))
                await pipeline.brief()
                await pipeline.publish()
                shelf = pipeline.publisher.shelf.documents
                day = pipeline.store.latest_digests("daily", 1)[0].day
                page = await pipeline.publisher.page(f"/digest/{day}", {})
                nothing = await pipeline.publisher.page("/digest/1999-01-01", {})
                await pipeline.stop()
                return empty, before, shelf, page, nothing, day

    _, before, shelf, page, nothing, day = asyncio.run(run())
    assert b"There is no briefing yet" in before
    assert b"Quillon opens a plant in Brno" in shelf["/digest"].body
    assert page.status == 200
    assert b"Quillon opens a plant in Brno" in page.document.body
    assert nothing is None
    for ending in ("atom", "rss"):
        entries = feedparser.parse(shelf[f"/digest.{ending}"].body).entries
        assert any(entry.link.endswith(f"/digest/{day}") for entry in entries)
