"""Taken down: out of pages, feeds, archives, search and briefings at once, and back again as it was."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from builders import NOW, Clock, a_stored_entry, a_story, ago, an_entry
from origin import Answer, Origin
from postgres import postgres_server, postgres_url, sqlite_template, store, store_url  # noqa: F401
from service import Service, an_rss, get, wait_for
from store_writer import ASource, Keep
from test_store import feeds_of, group, poll

from aggregator import config as configuration
from aggregator.cli import main
from aggregator.daemon import log
from aggregator.editor import Editor
from aggregator.errors import NotFound
from aggregator.explain import explain
from aggregator.metrics import Metrics
from aggregator.publish.digest import composed, to_json
from aggregator.publish.edition import Press
from aggregator.publish.settings import ContentSettings, FeedSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.withdrawn import TakenDown, archive_without
from aggregator.publisher import Publisher
from aggregator.status import source_report
from aggregator.store import Archive, KeptDigest, Query, Store, StoryFilter, backup, transfer
from aggregator.store.engine import Database
from aggregator.types import Placement, Story
from aggregator.withdrawals import Withdrawals, in_force, of_source, of_story

HERALD = ASource("https://herald.example/feed", title="The Herald")
GAZETTE = ASource("https://gazette.example/feed", title="The Gazette")
SOURCES = (HERALD, GAZETTE)


class Desk:
    """Two outlets, and what is done about takedowns. `both` is told by both, the Herald leading and the Gazette copying
    it once; `alone` by the Herald, `other` by the Gazette."""

    def __init__(self, kept: Store, folder: Path) -> None:
        self.store, self.clock = kept, Clock()
        self.config = configuration.load(Service(folder, []).config, {})
        self.feeds = feeds_of(kept, *SOURCES)
        self.herald = (self._told("Quillon opens a plant"), self._told("Zebra taxes double"))
        poll(kept, self.feeds[0], *self.herald, last_success_at=NOW)
        titles = ("Plant opened by Quillon", "Otterly sold", "Quillon opens a plant!")
        self.gazette = tuple(self._told(title, "gazette") for title in titles)
        ids = poll(kept, self.feeds[1], *self.gazette)
        first, second = (e.entry_id for e in kept.ungrouped(9) if e.source.title == "The Herald")
        self.both = group(kept, first, ids[0], section="tech", labels=("launch",))
        copy = Placement(ids[2], self.both, duplicate_of=first, reasons=("the same",))
        record = kept.story_records([self.both])[self.both]
        kept.save_grouping([copy], [replace(record, sources=None)], NOW)
        self.alone, self.other = group(kept, second, section="tech"), group(kept, ids[1], section="companies")
        kept.mark_shown([self.both, self.alone, self.other], NOW)
        self.move(kept)
        self._keep()

    def move(self, kept: Store) -> None:
        """Go on with this store."""
        self.store = kept
        self.publisher = Publisher(kept, Shelf(), Metrics(), log(), self.clock)
        self.publisher.configure(self.config)

    def _told(self, title: str, outlet: str = "herald") -> Any:
        link = f"https://{outlet}.example/{'-'.join(title.lower().split())}"
        return an_entry(title, link=link, published=ago(hours=2))

    def _keep(self) -> None:
        """A month in the archive and a briefing, both printed before anything is taken down."""
        feed = next(feed for feed in self.publisher.press.feeds if feed.slug == "news")
        made = self.publisher.press.archive(feed, self.stories(), "2026-03", None)
        document = gzip.compress(made.body, 6, mtime=0)
        self.store.save_archives([Archive("news", "2026-03", NOW, made.updated, made.stories, document)])
        digest = composed("daily", "2026-03-04", ago(days=1), NOW, self.stories(), self.publisher.press.site)
        self.store.save_digest(KeptDigest("daily", "2026-03-04", digest.since, NOW, to_json(digest)))

    def stories(self) -> list[Story]:
        return self.store.stories()

    def heed(self) -> int:
        """One look of whoever edits."""
        news, now = self.store, self.clock

        async def database(call: Any, /, *arguments: object) -> Any:
            return call(*arguments)

        async def work() -> int:
            with ThreadPoolExecutor(1) as printer:
                editor = Editor(news, Metrics(), log(), now)
                return await Withdrawals(news, database, editor, self.publisher, printer, log(), now).heed()

        self.clock.at += timedelta(minutes=1)
        return asyncio.run(work())

    def take_down(self, *asked: Any) -> None:
        for each in asked:
            self.store.ask_takedown(each)
        assert self.heed() == len(asked)

    def restore(self, kind: str, name: str) -> None:
        for each in in_force(self.store, (kind,), name):
            self.store.lift_takedown(each.takedown_id, self.clock())
        self.heed()
        self.store.sync_feeds(SOURCES, self.clock())

    def everything(self) -> str:
        """All that is published: every document, the archive, the briefing."""
        self.publisher.publish()
        bodies = [document.body.decode("utf-8", "replace") for document in self.publisher.shelf.documents.values()]
        kept = self.store.archive("news", "2026-03"), self.store.digest("2026-03-04")
        assert kept[0] is not None
        assert kept[1] is not None
        return "\n".join([*bodies, gzip.decompress(kept[0].document).decode(), kept[1].content])

    def page(self, path: str) -> tuple[int, str]:
        page = asyncio.run(self.publisher.page(path, {}))
        if page is None:
            return 404, ""
        return page.status, page.document.body.decode() if page.document else page.said

    def ref(self, story_id: UUID) -> str:
        return (self.store.story_records([story_id]) and self.store.stories_by_id([story_id])[0].ref) or ""

    def found(self, words: str) -> list[UUID]:
        return [story.story_id for story in self.store.search(Query.of(words), StoryFilter(), 9)]


def unchanged(stories: list[Story]) -> list[Story]:
    """But for when readers saw a change."""
    return [replace(story, updated_at=NOW) for story in stories]


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Iterator[Desk]:  # noqa: F811
    made = Desk(store, tmp_path)
    yield made
    made.publisher.close()


def test_a_source_is_told_of_nowhere_and_comes_back_as_it_was(desk: Desk) -> None:
    before, published = unchanged(desk.stories()), desk.everything()
    assert "Herald" in published
    assert "Zebra" in published
    archive, digest = desk.store.archive("news", "2026-03"), desk.store.digest("2026-03-04")
    alone = desk.ref(desk.alone)

    desk.take_down(of_source(desk.store, HERALD.url, "they asked", NOW))
    published = desk.everything()
    assert [word for word in ("Herald", "herald.example", "Zebra") if word in published] == []
    assert published.count("Plant opened by Quillon") > 3  # led by the other outlet, in the archive as well
    assert (desk.found("zebra"), desk.found("plant")) == ([], [desk.both])
    both = desk.store.stories_by_id([desk.both])[0]
    assert [entry.source.title for entry in both.told] == ["The Gazette"] * 2
    assert {entry.duplicate_of for entry in both.told} == {None}
    status, page = desk.page(f"/story/{alone}")
    assert (status, "Zebra" in page, "This was taken down" in page) == (410, False, True)
    assert desk.page(f"/source/{desk.feeds[0].feed_id}")[0] == 410
    assert desk.page(f"/source/{desk.feeds[0].feed_id}.atom") == (410, "taken down")

    # Nothing of it comes in again: not by a poll under way, not after a reload.
    assert poll(desk.store, desk.feeds[0], *desk.herald, an_entry("Later news")) == []
    desk.store.sync_feeds(SOURCES, NOW)
    assert desk.feeds[0].feed_id not in {feed.feed_id for feed in desk.store.due_feeds(NOW + timedelta(days=9), 9)}
    with pytest.raises(NotFound, match="already"):
        of_source(desk.store, HERALD.url, None, NOW)
    assert source_report(HERALD.url, "", desk.store.feed(HERALD.url), 0, is_enabled=True)["health"] == "disabled"
    (asked,) = desk.store.takedowns()
    assert (asked.subject, asked.title, asked.reason) == (HERALD.url, "The Herald", "they asked")

    desk.restore("source", HERALD.url)
    assert unchanged(desk.stories()) == before
    assert desk.found("zebra") == [desk.alone]
    assert desk.page(f"/story/{alone}")[0] == 200
    again = desk.store.archive("news", "2026-03")
    assert again is not None
    assert archive is not None
    assert (again.document, again.original) == (archive.document, None)
    assert desk.store.digest("2026-03-04") == digest
    assert desk.feeds[0].feed_id in {feed.feed_id for feed in desk.store.due_feeds(NOW + timedelta(days=9), 9)}
    assert poll(desk.store, desk.feeds[0], *desk.herald) == []  # they are there


def test_a_story_goes_with_all_that_tell_it_and_does_not_return_with_a_poll(desk: Desk) -> None:
    before, both = unchanged(desk.stories()), desk.ref(desk.both)
    desk.take_down(*of_story(desk.store, f"https://news.example/story/{both}", None, NOW))
    assert "Quillon" not in desk.everything()
    assert desk.page(f"/story/{both}")[0] == 410
    assert poll(desk.store, desk.feeds[0], *desk.herald) == []
    with pytest.raises(NotFound, match=f"bmn stories takedown {both} --restore"):
        of_story(desk.store, both, None, NOW)
    told = explain(desk.store, desk.config, both, NOW)
    assert told is not None
    assert told["reason"] == "taken down by hand on 2026-03-04"
    desk.restore("story", both)
    assert unchanged(desk.stories()) == before


def test_one_article_leaves_its_story_to_the_others(desk: Desk) -> None:
    before = unchanged(desk.stories())
    (article,) = [entry.link for entry in desk.store.stories_by_id([desk.both])[0].told if "herald" in entry.link]
    desk.take_down(*of_story(desk.store, article, None, NOW))
    published = desk.everything()
    assert [words for words in ("Quillon opens a plant<", article) if words in published] == []
    assert [words for words in ("Plant opened by Quillon", "Zebra") if words not in published] == []
    desk.restore("entry", article)
    assert unchanged(desk.stories()) == before


@pytest.mark.parametrize("first", ["source", "story"])
def test_what_two_takedowns_took_stays_away_until_both_are_lifted(desk: Desk, first: str) -> None:
    before, alone = unchanged(desk.stories()), desk.ref(desk.alone)
    (story,) = of_story(desk.store, alone, None, NOW)
    asked = {"story": story, "source": of_source(desk.store, HERALD.url, None, NOW)}
    names = {"story": alone, "source": HERALD.url}
    second = "story" if first == "source" else "source"
    desk.take_down(asked[first], asked[second])
    for kind in (first, second):
        assert desk.store.stories_by_id([desk.alone]) == []
        desk.restore(kind, names[kind])
    assert unchanged(desk.stories()) == before


def test_it_is_done_again_where_it_was_cut_short_and_asked_for_before_it_was_done(desk: Desk) -> None:
    before = unchanged(desk.stories())
    desk.store.ask_takedown(of_source(desk.store, HERALD.url, None, NOW))
    (waiting,) = desk.store.waiting_takedowns()
    desk.store.take_down(waiting, NOW)  # and there the process died
    assert [desk.heed(), desk.heed()] == [1, 0]
    assert "Herald" not in desk.everything()
    desk.restore("source", HERALD.url)
    other = of_story(desk.store, desk.ref(desk.other), None, NOW)[0]
    desk.store.lift_takedown(desk.store.ask_takedown(other), NOW)
    assert desk.heed() == 1
    assert unchanged(desk.stories()) == before
    with pytest.raises(NotFound, match="is not taken down"):
        in_force(desk.store, ("story",), other.subject)


def test_what_retention_would_have_taken_can_be_put_back_no_more_and_stays_out_of_archives(desk: Desk) -> None:
    desk.take_down(of_source(desk.store, HERALD.url, None, NOW))
    later = NOW + Keep().entries + timedelta(hours=1)
    poll(desk.store, desk.feeds[1], *desk.gazette, now=later)  # what stands in its feed is kept
    desk.store.prune(Keep(), later)
    other = of_story(desk.store, "https://gazette.example/otterly-sold", None, NOW)
    desk.take_down(*other)  # all that is kept is looked at anew
    assert "Herald" not in desk.everything()
    desk.restore("source", HERALD.url)
    assert desk.found("zebra") == []


def test_a_briefing_is_printed_anew_also_where_no_story_changed_and_another_takedown_was_lifted(desk: Desk) -> None:
    digest = desk.config.digest.model_copy(update={"at": time(7)})
    desk.publisher.configure(desk.config.model_copy(update={"digest": digest}))
    desk.take_down(*of_story(desk.store, desk.ref(desk.other), None, NOW))
    for each in desk.store.takedowns():
        desk.restore("story", each.subject)
    later = NOW + Keep().entries + timedelta(hours=1)
    poll(desk.store, desk.feeds[1], *desk.gazette, now=later)
    desk.store.prune(Keep(), later)  # nothing but archive and briefing tell of the Herald now
    assert "Zebra" in desk.everything()
    desk.take_down(of_source(desk.store, HERALD.url, None, NOW))
    assert "Zebra" not in desk.everything()


def test_an_archive_keeps_a_story_that_retention_took_and_forgets_who_else_told_it() -> None:
    others = [a_stored_entry(f"Told {n}", source=name) for n, name in enumerate(("A & B", "The Herald", "Wire"))]
    leads = [a_stored_entry(f"Number {n}", source="Lead") for n in range(3)]
    stories = [a_story(lead.title, entries=(lead, *others[: n + 1])) for n, lead in enumerate(leads)]
    feed = FeedSettings("news", "News", ("tech",))
    press = Press(SiteSettings(), [feed], ContentSettings())
    body = press.archive(feed, stories, "2026-03", None).body
    revised = archive_without(body, TakenDown((), {"The Herald"}), lambda story_id: None)
    assert (revised.count(b"Herald"), revised.count(b"<entry")) == (0, 3)
    told = [line.split(b". &lt;a", 1)[0] for line in revised.split(b"Also reported by ")[1:]]
    assert [each.count(b"&lt;a") for each in told] == [1, 1, 2]
    assert [each.endswith((b", ", b" and ")) for each in told] == [False] * 3
    assert revised.count(b'title="Wire"') == body.count(b'title="Wire"') == 1
    assert archive_without(body, TakenDown((), {"Another"}), lambda story_id: None) == body
    assert archive_without(body, TakenDown((), {"Lead"}), lambda story_id: None).count(b"<entry") == 0


def test_a_running_daemon_does_it_within_seconds_and_a_command_does_it_where_none_runs(tmp_path: Path) -> None:
    async def with_an_origin() -> None:
        async with Origin() as origin:
            items = ("a1", "Quillon opens a plant in Brno"), ("a2", "Fernbank buys Otterly")
            url = origin.script("/feed", Answer(body=an_rss(*items)))
            await asyncio.to_thread(end_to_end, Service(tmp_path, [url]), url)

    asyncio.run(with_an_origin())


def end_to_end(service: Service, source: str) -> None:
    with service.running():
        feed = f"{service.url}/news.atom"
        wait_for(lambda: get(feed)[2].count(b"<entry") == 2, 30, "two stories")
        ref = get(f"{service.url}/news.json")[2].split(b"/story/")[1][:10].decode()
        assert get(f"{service.url}/story/{ref}")[0] == 200
        done = service.bmn("stories", "takedown", ref, "--reason", "they asked")
        assert (done.returncode, "within seconds" in done.stderr) == (0, True), done.stderr
        wait_for(lambda: get(f"{service.url}/story/{ref}")[0] == 410, 15, "gone")
        wait_for(lambda: get(feed)[2].count(b"<entry") == 1, 15, "out of the feed")
        verified = service.bmn("rebuild", "--verify")  # what is served is what the store says, takedowns and all
        assert (verified.returncode, "no daemon" in verified.stderr) == (0, False), verified.stdout + verified.stderr
    done = service.bmn("stories", "takedown", ref, "--restore", "--json")
    assert '"in_force": true' in done.stdout, done.stderr
    assert service.bmn("stories", "list").stdout.count("\n") == 2


def test_it_is_kept_by_a_backup_and_a_month_printed_meanwhile_is_revised_at_the_next_start(
    desk: Desk, tmp_path: Path
) -> None:
    desk.take_down(of_source(desk.store, HERALD.url, None, NOW))
    revised = desk.store.archive("news", "2026-03")
    assert revised is not None
    assert revised.original is not None
    late = replace(revised, month="2026-04", document=revised.original, original=None)
    desk.store.save_archives([late])  # printed before, kept after
    assert desk.heed() == 0
    kept = desk.store.archive("news", "2026-04")
    assert kept is not None
    assert b"Herald" not in gzip.decompress(kept.document)
    if desk.store.is_sqlite:
        copy = tmp_path / "copy.db"
        backup.make(desk.store._database, copy)
        with Store(f"sqlite:///{copy}") as restored:
            assert [each.subject for each in restored.takedowns()] == [HERALD.url]
            assert restored.stories_by_id([desk.alone]) == []


def test_it_holds_in_a_copy_on_another_engine_and_is_lifted_there(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    origin = f"sqlite:///{tmp_path / 'news.db'}"
    with Store(origin) as kept:
        desk = Desk(kept, tmp_path)
        before, month = unchanged(desk.stories()), kept.archive("news", "2026-03")
        desk.take_down(of_source(kept, HERALD.url, "they asked", NOW))
        without = unchanged(desk.stories())
        desk.publisher.close()
    transfer.copy(Database(origin), Database(postgres_url))
    with Store(postgres_url) as copied:
        desk.move(copied)
        assert unchanged(desk.stories()) == without != before
        assert desk.found("zebra") == []
        assert poll(copied, desk.feeds[0], *desk.herald) == []
        desk.restore("source", HERALD.url)
        assert unchanged(desk.stories()) == before
        assert desk.found("zebra") == [desk.alone]
        again = copied.archive("news", "2026-03")
        assert again is not None
        assert month is not None
        assert (again.document, again.original) == (month.document, None)
        desk.publisher.close()


def test_the_command_says_what_it_does_and_what_is_taken_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path, ["https://herald.example/feed?key=s3cret"])
    config = ["--config", str(service.config)]
    assert main(["sources", "list", *config]) == 0
    with Store(configuration.load(service.config, {}).database) as news:
        news.sync_feeds(configuration.load(service.config, {}).sources, NOW)
    assert main(["sources", "takedown", "https://nobody.example/", *config]) == 1
    assert main(["sources", "takedown", "https://herald.example/feed?key=s3cret", "--reason", "asked", *config]) == 0
    assert main(["sources", "takedown", *config]) == 0
    said = capsys.readouterr()
    assert "https://nobody.example/ is no source here" in said.err
    assert [line for line in said.out.splitlines() if "asked" in line and "source" in line] != []
    assert "s3cret" not in said.out.split("took down")[1]
    assert main(["stories", "takedown", "nothing", "--restore", *config]) == 1
    assert main(["sources", "takedown", "https://herald.example/feed?key=s3cret", "--restore", "--json", *config]) == 0
    assert '"restored"' in capsys.readouterr().out
