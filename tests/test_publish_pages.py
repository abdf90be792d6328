"""Pages: whole without script, safe with anything in them, the same for the same stories; and editions made of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import hostile
import pytest
from builders import NOW, a_sectioning, a_stored_entry, a_story, ago

from aggregator.publish.edition import Press
from aggregator.publish.item import Item, item_of
from aggregator.publish.pages import IN_SECTION, LEADS, front_page, static_files
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, FeedSettings, SiteSettings
from aggregator.publish.views import asked_for, day_view, label_view
from aggregator.types import SECTIONS, Story

SITE = SiteSettings(public_url="https://news.example/desk", timezone="Europe/Prague")
# Data, never a program: what it holds has no "<", so nothing in it can end it.
_DATA = re.compile(rb'<script type="application/ld\+json">([^<]*)</script>')
_VOID = {"meta", "link", "img", "br", "hr", "input", "path", "circle"}


class Outline(HTMLParser):
    """What a page is made of; fails on a tag that is not closed where it must be."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page.decode("utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for name, attrs in self.tags if name == tag and attribute in attrs]


def press(site: SiteSettings = SITE, **content: object) -> Press:
    return Press(site, DEFAULT_FEEDS, ContentSettings(**content))


def some_stories() -> list[Story]:
    """Five of every section, one of them told by three outlets."""
    stories = [
        a_story(f"Story {n} about {section}", section=section, published=ago(hours=n), updated_at=ago(hours=n))
        for section in SECTIONS
        for n in range(1, 6)
    ]
    entries = tuple(
        a_stored_entry("Everybody tells this", source=name) for name in ("The Herald", "The Post", "The Wire")
    )
    big = a_story(entries=entries, published=ago(hours=7), updated_at=ago(hours=7), labels=("mergers",))
    return [*stories, big]


def pages_of(press: Press, stories: list[Story]) -> dict[str, bytes]:
    pages = {
        path: doc.body for path, doc in press.edition(stories, NOW).items() if doc.content_type.startswith("text/html")
    }
    why = (("The Herald", ("because",)),)
    pages |= {f"/story/{story.ref}": press.story_page(story, why=why).body for story in stories}
    pages["gone"] = press.gone_page("<b>Old</b>", "https://old.example/", "abc").body
    return pages


@pytest.mark.parametrize("stories", [some_stories(), [], hostile.stories()], ids=["some", "none", "hostile"])
@pytest.mark.parametrize("text", ["excerpt", "full"])
def test_every_page_is_well_formed_and_runs_nothing(stories, text):
    for path, page in pages_of(press(text=text), stories).items():
        outline = Outline(page) if text == "excerpt" else None
        lower = _DATA.sub(b"", page).lower()
        lower = lower.replace(b'<form class="search" role="search" action="/desk/search">', b"", 1)  # ours
        for bad in (b"<script", b"<iframe", b"<object", b"<form", b"<style", b" style=", b"<base", b"javascript:"):
            # `javascript:` may stand in text, never in an attribute
            assert bad not in re.sub(rb">[^<]*<", b"><", lower), (path, bad)
        assert not re.search(rb"<[a-z][^>]*\son[a-z]+=", re.sub(rb'"[^"]*"', b'""', lower)), path
        if outline:
            assert [tag for tag, _ in outline.tags].count("h1") == 1
            for address in outline.all("a", "href") + outline.all("img", "src"):
                assert address.startswith(("http://", "https://", "/desk/", "#")), (path, address)
            assert "s3cret" not in page.decode()


def test_pages_speak_the_sites_language_and_time():
    page = press().edition([a_story(published=NOW, updated_at=NOW)], NOW)["/"].body.decode()
    assert '<html lang="en">' in page
    assert '<time datetime="2026-03-04T12:00:00Z">13:00</time>' in page
    assert "Wednesday, 4 March 2026" in page, "of its day no story needs to speak again"
    assert "Times are Europe/Prague" in page


def test_the_front_page_shows_each_story_once_and_says_how_many_tell_it():
    page = press().edition(some_stories(), NOW)["/"].body.decode()
    titles = re.findall(r"<h[23]><a href=\"([^\"]+)\">([^<]+)", page)
    assert len(titles) == len(set(titles)) == 21
    assert "3 outlets" in page


def test_what_ranks_leads_then_come_the_sections():
    page = press().edition(some_stories(), NOW)["/"].body.decode()
    titles = re.findall(r"<h2><a href=[^>]+>([^<]+)", page)
    assert titles[0] == "Everybody tells this"
    assert len(titles) == LEADS
    rubrics = re.findall(r'<h2 class="rubric ([a-z]+)"', page)
    assert rubrics == list(SECTIONS)


def test_one_source_does_not_fill_a_section_while_others_have_something_to_say():
    def item(n: int, outlet: str) -> Item:
        entry = a_stored_entry(f"{outlet} {n}", source=outlet, link=f"https://x.example/{outlet}/{n}".replace(" ", ""))
        return item_of(a_story(entries=(entry,), published=ago(minutes=n)), SITE, ContentSettings())

    flood = [item(n, "Flood") for n in range(20)]
    others = [item(n, f"Outlet {n}") for n in range(30, 33)]
    (_, chosen), *_ = front_page([], [*flood, *others])[1]
    assert [each.title for each in chosen] == [
        "Flood 0",
        "Flood 1",
        "Flood 2",
        "Flood 3",
        "Outlet 30 30",
        "Outlet 31 31",
        "Outlet 32 32",
    ]
    assert len(chosen) == IN_SECTION
    (_, alone), *_ = front_page([], flood)[1]
    assert [each.title for each in alone] == [f"Flood {n}" for n in range(IN_SECTION)]


def test_a_lead_with_a_picture_stands_first():
    stories = [a_story(f"Number {n}", published=ago(hours=n)) for n in range(3)]
    stories[2] = replace(stories[2], lead=replace(stories[2].lead, image_url="https://h.example/i.jpg"))
    leads, _ = front_page([item_of(story, SITE, ContentSettings()) for story in stories], [])
    assert [lead.title for lead in leads] == ["Number 2", "Number 0", "Number 1"]


def alternates(page: bytes) -> list[str]:
    """The feeds that a page offers."""
    tags = Outline(page).tags
    return [attrs["href"] or "" for tag, attrs in tags if tag == "link" and attrs.get("rel") == "alternate"]


def feed_addresses(*slugs: str) -> list[str]:
    return [f"/desk/{slug}.{end}" for slug in slugs for end in ("atom", "rss", "json")]


def test_every_page_names_every_feed():
    for path, page in pages_of(press(), some_stories()).items():
        assert sorted(alternates(page)) == sorted(feed_addresses(*(feed.slug for feed in DEFAULT_FEEDS))), path


@pytest.mark.parametrize("path", ["/tech", "/story"])
def test_a_pages_own_feed_comes_first(path):
    story = a_story(section="tech")
    printer = press()
    documents = printer.edition([story], NOW)
    page = printer.story_page(story).body if path == "/story" else documents[path].body
    assert alternates(page) == feed_addresses("tech", "news", "companies", "economics", "marketing")
    view = printer.view(label_view("ipo", SITE), [story]).body
    assert alternates(view) == feed_addresses("label/ipo", *(feed.slug for feed in DEFAULT_FEEDS))


def test_every_page_can_be_shared():
    story = a_story(lead=a_stored_entry("Ann & “Bee”", image_url="https://h.example/i.jpg"))
    printer = press()
    pages = pages_of(printer, [story])
    for path in ("404", "gone"):  # nobody shares what is not there
        assert b"og:" not in pages.pop(path)
    for path, page in pages.items():
        said = said_of(page)
        for name in ("og:title", "og:type", "og:url", "og:image", "og:description", "og:site_name", "description"):
            assert said.get(name), (path, name)
        (canonical,) = (attrs["href"] for tag, attrs in Outline(page).tags if attrs.get("rel") == "canonical")
        assert said["og:url"] == canonical
        assert canonical.startswith("https://news.example/desk/")
        assert (said["og:image"] == "https://h.example/i.jpg") == path.startswith("/story/")
    assert said["og:title"] == "Ann & “Bee”"
    assert said["og:type"] == "article"
    card = said_of(pages["/"])["og:image"].removeprefix(SITE.public_url)
    assert static_files()[card][1] == "image/png"


def said_of(page: bytes) -> dict[str | None, str]:
    metas = [attrs for tag, attrs in Outline(page).tags if tag == "meta"]
    return {attrs.get("property") or attrs.get("name"): attrs.get("content") or "" for attrs in metas}


def test_links_between_pages_lead_somewhere():
    stories = some_stories()
    printer = press()
    documents = printer.edition(stories, NOW)
    known = {*documents, *(f"/story/{story.ref}" for story in stories)}
    for path, page in pages_of(printer, stories).items():
        outline = Outline(page)
        for address in outline.all("a", "href") + outline.all("link", "href"):
            if address.startswith("/desk"):
                aim = address.removeprefix("/desk").partition("#")[0] or "/"
                assert aim in known or asked_for(aim, {}) is not None, (path, address)


def test_pictures_are_shown_only_if_configured():
    story = a_story(lead=a_stored_entry(image_url="https://h.example/i.jpg"))
    for images in (True, False):
        for path, page in pages_of(press(images=images), [story]).items():
            if path in ("/", "/tech", f"/story/{story.ref}"):
                assert (b"https://h.example/i.jpg" in page) == images


def test_a_notice_stands_on_every_page():
    site = replace(SITE, notice="Everything here is <invented>.")
    for page in pages_of(press(site), some_stories()).values():
        assert b'<p class="notice" role="note">Everything here is &lt;invented&gt;.</p>' in page


def test_a_story_page_says_who_tells_it_and_why_it_is_here():
    entries = (
        a_stored_entry(
            "Lead tells",
            author="Ann Bee",
            source="The Herald",
            first_seen=ago(hours=2),
            comments_url="https://h.example/c",
            comment_count=7,
        ),
        a_stored_entry("Post tells", source="The Post", link="https://post.example/q", first_seen=ago(hours=3)),
    )
    story = a_story(
        entries=entries, sectioning=a_sectioning("tech", 0.87, second="companies", reasons=("says “plant”",))
    )
    page = press().story_page(story, why=(("The Post", ("shares “Quillon”",)),)).body.decode()
    for expected in (
        "<h1>Lead tells</h1>",
        "By Ann Bee",
        "Read at The Herald",
        "7 comments",
        "2 outlets tell this story",
        '<a href="https://post.example/q">Post tells</a>',
        "Filed under tech and companies, 87 % sure.",
        "says “plant”",
        "Weighs 2: 2 publishers",
        "shares “Quillon”",
        "60 min later",
        '<meta property="og:title" content="Lead tells">',
        f'<link rel="canonical" href="https://news.example/desk/story/{story.ref}">',
    ):
        assert expected in page, expected
    assert page.index("Post tells") < page.rindex("Lead tells</a>"), "coverage runs in time"


def test_related_stories_are_named_so_only_if_they_are():
    stories, printer = some_stories(), press()
    printer.edition(stories, NOW)
    latest = printer.story_page(stories[0]).body.decode()
    assert "Also new in tech" in latest
    assert stories[0].ref not in re.findall(r'<h3><a href="/desk/story/(\w+)', latest)
    related = printer.story_page(stories[0], related=[stories[7], stories[0], stories[7]]).body.decode()
    assert "You may also like" in related
    assert re.findall(r'<h3><a href="/desk/story/(\w+)', related) == [stories[7].ref]


def article_of(page: bytes) -> dict:
    (data,) = _DATA.findall(page)
    return json.loads(data)


def test_a_story_page_carries_the_story_as_data():
    lead = a_stored_entry(
        "Quillon & Sons open a </script><script>plant",
        author="Ann Bee",
        source="The Herald",
        link="https://herald.example/a",
        image_url="https://h.example/i.jpg",
        comments_url="https://h.example/c",
        comment_count=7,
        published=ago(hours=2),
    )
    other = a_stored_entry("Post tells", source="The Post", link="https://post.example/q")
    story = a_story(entries=(lead, other), section="tech", labels=("launch",), published=ago(hours=2))
    found = article_of(press().story_page(story).body)
    assert found["@type"] == "NewsArticle"
    assert found["headline"] == "Quillon & Sons open a </script><script>plant"
    assert found["datePublished"] == "2026-03-04T10:00:00+00:00"
    assert found["author"] == {"@type": "Person", "name": "Ann Bee"}
    assert found["publisher"]["name"] == "The Herald"
    assert found["sdPublisher"]["name"] == "Business Monkey News"
    assert (found["isBasedOn"], found["citation"]) == ("https://herald.example/a", ["https://post.example/q"])
    assert found["url"] == f"https://news.example/desk/story/{story.ref}"
    assert (found["commentCount"], found["image"]) == (7, ["https://h.example/i.jpg"])
    assert found["articleSection"] == ["tech"]
    assert found["keywords"][0] == "launch"


def test_what_is_not_known_of_a_story_is_not_in_its_data():
    lead = a_stored_entry("Bare", author=None, link=None, canonical_url=None, summary=None, categories=())
    found = article_of(press(images=False).story_page(a_story(entries=(lead,))).body)
    assert {"image", "commentCount", "discussionUrl", "isBasedOn", "citation", "keywords"}.isdisjoint(found)
    assert found["author"]["@type"] == "Organization"
    assert None not in found.values()


@pytest.mark.parametrize("number", range(len(hostile.TEXTS)))
def test_nothing_in_a_story_ends_its_data(number):
    story = hostile.stories()[number]
    assert article_of(press(text="full").story_page(story).body)["@type"] == "NewsArticle"


def test_stories_of_several_days_stand_under_their_days():
    times = {"Late": 1, "Noon": 6, "Yesterday": 20, "Last year": 24 * 90}
    stories = [a_story(title, published=ago(hours=hours)) for title, hours in times.items()]
    page = press().edition(stories, NOW)["/tech"].body.decode()
    heads = re.findall(r'<h2 class="day"><a href="/desk/([^"]+)">([^<]+)</a></h2>', page)
    assert heads == [
        ("2026/03/04", "Wednesday, 4 March 2026"),
        ("2026/03/03", "Tuesday, 3 March 2026"),
        ("2025/12/04", "Thursday, 4 December 2025"),
    ]
    assert re.findall(r"<time [^>]+>([^<]+)</time>", page) == ["12:00", "07:00", "17:00", "13:00"]
    one_day = press().edition(stories[:2], NOW)["/tech"].body.decode()
    assert 'class="day"' not in one_day
    assert "4 Mar 2026, 12:00" in one_day
    view = press().view(day_view(NOW.date(), SITE), stories[:2]).body.decode()
    assert "Wednesday, 4 March 2026</h1>" in view
    assert re.findall(r"<time [^>]+>([^<]+)</time>", view) == ["12:00", "07:00"]


def test_stories_in_no_order_of_time_stand_under_no_days():
    items = [item_of(a_story(published=ago(hours=hours)), SITE, ContentSettings()) for hours in (1, 30, 2)]
    page = press().pages.listing(FeedSettings("top", about="What ranks."), items).decode()
    assert 'class="day"' not in page
    assert page.count('<article class="teaser"') == 3


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "within a minute"), (1, "1 min later"), (119, "119 min later"), (120, "2 h later"), (2880, "2 days later")],
)
def test_coverage_says_how_much_later_each_outlet_told_it(minutes, said):
    first = a_stored_entry("First", source="The Herald", published=ago(days=4))
    then = a_stored_entry("Then", source="The Post", published=ago(days=4) + timedelta(minutes=minutes))
    page = press().story_page(a_story(entries=(then, first))).body.decode()
    assert page.count(" later</time>") + page.count(" within a minute</time>") == 1
    assert f", {said}</time>" in page


def test_a_foreign_headline_is_marked_as_such():
    story = a_story(lead=a_stored_entry("Überschrift", language="de-AT"))
    assert b'<article class="story" lang="de-AT">' in press().story_page(story).body


def test_static_files_are_named_by_their_hash_and_found_by_pages():
    style = next(path for path in static_files() if path.startswith("/static/style."))
    assert re.fullmatch(r"/static/style\.[0-9a-f]{10}\.css", style)
    assert f'href="/desk{style}"'.encode() in press().edition([], NOW)["/"].body
    assert {"/favicon.ico", "/favicon.svg"} <= set(static_files())


def test_the_front_page_is_light():
    documents = press().edition([s for n in range(4) for s in some_stories()], NOW)
    style = next(doc for path, doc in documents.items() if path.startswith("/static/style."))
    assert len(documents["/"].gzip) + len(style.gzip) < 60_000


# ---------------------------------------------------------------- editions


def test_nothing_changes_while_nothing_changed():
    printer = press()
    first = printer.edition(some_stories(), NOW)
    again = printer.edition(some_stories(), NOW + timedelta(hours=1))
    assert all(again[path] is first[path] for path in first)
    assert first.keys() == again.keys()


def test_two_installations_with_the_same_stories_print_the_same_bytes():
    stories = some_stories()
    one, other = press().edition(stories, NOW), press().edition(reversed(stories), NOW + timedelta(days=3))
    assert one == other, "after a start, the content's own dates stand as Last-Modified"


def test_what_changed_is_dated_now_and_the_rest_stays():
    printer, stories = press(), some_stories()
    first = printer.edition(stories, NOW)
    later = NOW + timedelta(hours=1)
    lead = replace(stories[0].lead, title="A better headline")
    stories[0] = replace(stories[0], lead=lead, entries=(lead,), updated_at=later)
    second = printer.edition(stories, later)
    changed = {path for path in second if second[path] is not first[path]}
    assert changed == {
        "/",
        "/news",
        "/tech",
        *(f"/{slug}.{end}" for slug in ("news", "tech") for end in ("atom", "rss", "json")),
    }
    assert {second[path].last_modified for path in changed} == {later}
    assert b"A better headline" in second["/tech.atom"].body


@pytest.mark.parametrize(
    "change",
    [
        lambda story: replace(story, sectioning=a_sectioning("companies")),
        lambda story: replace(story, labels=("new",)),
        lambda story: replace(
            story,
            lead=(lead := replace(story.lead, source=replace(story.lead.source, title="Renamed"))),
            entries=(lead,),
        ),
    ],
    ids=["filed elsewhere", "labelled", "source renamed"],
)
def test_what_the_operator_changes_is_seen_though_the_story_did_not_move(change):
    story, printer = a_story(), press()
    first = printer.edition([story], NOW)["/news.atom"]
    assert printer.edition([change(story)], NOW)["/news.atom"].body != first.body
    assert (
        printer.edition([change(story)], NOW)["/news.atom"].body
        == press().edition([change(story)], NOW)["/news.atom"].body
    )


def test_an_edition_holds_every_address_of_the_contract():
    documents = press().edition(some_stories(), NOW)
    expected = {f"/{feed.slug}{end}" for feed in DEFAULT_FEEDS for end in ("", ".atom", ".rss", ".json")}
    assert expected | {"/", "/about", "/feeds.opml", "/favicon.ico", "/robots.txt"} <= documents.keys()
    assert b'xmlUrl="https://news.example/desk/tech.atom"' in documents["/feeds.opml"].body


def test_a_section_without_a_feed_still_has_its_page():
    printer = Press(SITE, (FeedSettings("all", "All of it"),), ContentSettings())
    documents = printer.edition(some_stories(), NOW)
    assert {"/all", "/tech", "/economics"} <= documents.keys()
    assert "/tech.atom" not in documents
    assert set(printer.wanted) == {"all", *SECTIONS}


def test_off_topic_stories_are_on_no_page():
    story = a_story("Cup final tonight", section="none")
    for path, document in press().edition([story], NOW).items():
        assert b"Cup final" not in document.body, path


def test_a_story_that_cannot_be_written_is_left_out_and_named(monkeypatch):
    good, bad, printer = a_story("Good"), a_story("Bad"), press()

    def item_or_fault(story, site, content):
        if story is bad:
            raise ValueError("cannot be written")
        return item_of(story, site, content)

    monkeypatch.setattr("aggregator.publish.edition.item_of", item_or_fault)
    document = printer.edition([good, bad], NOW)["/tech.atom"].body
    assert (b"Good" in document, b"Bad" in document) == (True, False)
    assert printer.unprintable == {bad.ref}


def test_a_grave_links_only_to_web_pages():
    page = press().gone_page("Old\x00 <b>story</b>", "javascript:alert(1)", "abc").body
    assert b"Old &lt;b&gt;story&lt;/b&gt;" in page
    assert b"javascript:" not in page
