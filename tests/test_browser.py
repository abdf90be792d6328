"""Pages in Chromium, over HTTP with the headers that we send: walked through, measured, attacked, and heard by axe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import browser
import hostile
import pytest
from browser import Chromium, axe_source
from builders import NOW, a_sectioning, a_stored_entry, a_story, ago, an_entry
from service import Service
from test_publish_admin import BOARD
from test_publish_readers import served
from test_store import ASource, feeds_of, group, poll

from aggregator import config as configuration
from aggregator.daemon import log
from aggregator.metrics import Metrics
from aggregator.publish.admin import AdminSite, AdminViews
from aggregator.publish.answers import PAGE_SECURITY, READ_METHODS, Answer
from aggregator.publish.asking import Narrowing, narrowing
from aggregator.publish.digest import Digest, composed
from aggregator.publish.edition import Press
from aggregator.publish.pages import HTML_TYPE, Pages, static_files
from aggregator.publish.settings import DEFAULT_FEEDS, ContentSettings, SiteSettings
from aggregator.publish.shelf import Shelf
from aggregator.publish.site import Page, PublicSite
from aggregator.publish.views import day_view, label_view, search_view, source_view
from aggregator.publisher import Publisher
from aggregator.store import Store
from aggregator.types import SECTIONS, Event, Story

pytestmark = pytest.mark.skipif(bool(browser.WHY_NOT), reason=browser.WHY_NOT or "it is")

_PICTURE = next(body for path, (body, _) in static_files().items() if path.endswith(".png"))
WITH_PICTURES = ContentSettings()
_OUTLETS = ("The Herald", "The Gazette", "The Wire")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium() as window:
        yield window


class Documents:
    """Documents at fixed addresses, with a page's headers unless told otherwise; remembers who asked for what."""

    def __init__(self, documents: Mapping[str, tuple[bytes, str]], security: Any = PAGE_SECURITY) -> None:
        self._documents, self._security = documents, security
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def at_once(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        assert method in READ_METHODS
        self.asked.append((target, headers))
        body, content_type = self._documents.get(target, (b"", "text/plain"))
        return Answer(200 if body else 404, (("Content-Type", content_type), *self._security), body)

    async def later(self, method: str, target: str, headers: Mapping[str, str]) -> Answer:
        raise AssertionError("all are at hand")


# ---------------------------------------------------------------- a reader's way through the site


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site with a store behind it: three outlets, a story told by two of them with one like it."""
    folder = tmp_path_factory.mktemp("walk")
    store = Store(f"sqlite:///{folder / 'news.db'}")
    store.open()
    tell(store)
    publisher = Publisher(store, Shelf(), Metrics(), log(), lambda: NOW)
    publisher.configure(configuration.load(Service(folder, []).config, {}))
    publisher.publish()
    with served(PublicSite(publisher.shelf, publisher.page)) as url:
        yield url
    publisher.close()
    store.close()


def tell(store: Store) -> None:
    sources = [ASource(f"https://{name[4:].lower()}.example/feed", title=name) for name in _OUTLETS]
    feeds = feeds_of(store, *sources)
    ids: dict[str, int] = {}

    def entry(outlet: int, title: str, hours: float, **fields: Any) -> None:
        link = f"{sources[outlet].url.removesuffix('feed')}{len(ids)}"
        (ids[title],) = poll(store, feeds[outlet], an_entry(title, published=ago(hours=hours), link=link, **fields))

    entry(0, "Quillon raises $12M", 3, author="Ann Bee", comments_url="https://herald.example/c", comment_count=7)
    entry(1, "Kite maker Quillon funded", 2)
    entry(2, "Otterly raises $3M", 5)
    near = group(store, ids["Otterly raises $3M"], section="companies", labels=("funding",))
    group(
        store,
        ids["Quillon raises $12M"],
        ids["Kite maker Quillon funded"],
        section="companies",
        labels=("funding",),
        events=(Event("funding", "Quillon", amount=12e6, currency="USD"),),
        related=(near,),
    )
    for number, section in enumerate(SECTIONS * 3):
        title = f"Number {number} of {section}"
        entry(number % 3, title, 6 + 7 * number)
        group(store, ids[title], section=section)


def test_a_reader_walks_from_the_front_page_to_a_feed(chromium: Chromium, walked: str) -> None:
    chromium.open(f"{walked}/")
    assert chromium.heading == "Business Monkey News"
    chromium.click("nav a.companies")
    assert (chromium.path, chromium.heading) == ("/companies", "Companies")
    chromium.click(".river .teaser:first-of-type h3 a")
    assert chromium.heading == "Quillon raises $12M"
    story = chromium.path
    assert chromium.run("return document.querySelector('.coverage').innerText").count("The ") == 2
    assert chromium.run("return document.querySelector('.happened').innerText") == "Funding: Quillon, USD 12 million"
    chromium.click("#related-head ~ .teaser h3 a")
    assert chromium.heading == "Otterly raises $3M"
    assert chromium.path != story
    chromium.click("a.chip[href$='/label/funding']")
    assert (chromium.path, chromium.heading) == ("/label/funding", "Funding")
    chromium.click(".formats a[href$='.atom']")
    assert chromium.path == "/label/funding.atom"
    assert "This is a feed" in chromium.run("return document.body.innerText")
    chromium.click(f".river a[href='{story}']")
    chromium.click(".byline a:last-of-type")
    assert chromium.path == "/2026/03/04"
    chromium.click("footer a[href$='/about']")
    assert chromium.heading == "Subscribe"
    chromium.run("document.querySelector('.search input').value = 'Raising -kite'")
    chromium.click(".search button")
    assert (chromium.path, chromium.heading) == ("/search?q=Raising+-kite", "Search: raising, without kite")
    assert chromium.run("return document.querySelector('.search input').value") == "raising -kite"
    assert chromium.run("return document.querySelector('.river').innerText").startswith("Otterly raises $3M")
    assert chromium.run("return document.querySelectorAll('.river .teaser').length") == 1
    chromium.click(".formats a[href*='.rss?']")
    assert chromium.path == "/search.rss?q=raising&-q=kite"
    assert "/search.rss?q=raising&-q=kite" in chromium.run("return document.body.innerText")
    assert chromium.complaints() == []


def test_a_reader_searches_and_subscribes_to_what_they_searched_for(chromium: Chromium, walked: str) -> None:
    chromium.open(f"{walked}/", 360)
    chromium.fill("input[name=q]", "otterly raises")
    assert chromium.path == "/search?q=otterly+raises"
    titles = "return [...document.querySelectorAll('.river h2 a')].map(each => each.innerText)"
    assert chromium.run(titles) == ["Otterly raises $3M"]
    chromium.click(".formats a")
    assert chromium.path.startswith("/search.atom?q=otterly")
    assert "This is a feed" in chromium.run("return document.body.innerText")
    assert chromium.complaints() == []


def test_a_shared_link_with_parameters_leads_to_its_story(chromium: Chromium, walked: str) -> None:
    chromium.open(f"{walked}/companies")
    story = chromium.run("return document.querySelector('.river h3 a').getAttribute('href')")
    chromium.open(f"{walked}{story}?utm_source=mail&fbclid=x#coverage")
    assert chromium.heading == "Quillon raises $12M"
    assert chromium.run("return document.querySelector('link[rel=canonical]').href").endswith(story)


# ---------------------------------------------------------------- every kind of page


def some_stories(picture: str | None = None) -> list[Story]:
    """Enough for every part of every page: sections, labels, several outlets and days, pictures, a foreign tongue."""
    stories = [
        a_story(
            lead=a_stored_entry(
                f"Number {n} about {section}, with a headline as long as headlines are",
                source=_OUTLETS[n % 3],
                image_url=picture if n % 2 else None,
                summary="A sentence that says what happened and to whom. " * 4,
            ),
            section=section,
            published=ago(hours=5 * n),
            labels=("funding",) if n == 2 else (),
        )
        for section in SECTIONS
        for n in range(1, 9)
    ]
    told = tuple(
        a_stored_entry(
            "Averyverylongwordthatnobodywouldbreakanywherebutabrowsermust " * 2,
            source=name,
            author="Ann Bee",
            comments_url="https://herald.example/c",
            comment_count=7,
            image_url=picture,
        )
        for name in _OUTLETS
    )
    events = (Event("funding", "Quillon", amount=12e6, currency="USD"),)
    sectioning = a_sectioning("tech", reasons=("tech 80% by words (chip +1.2)",))
    told_by_all = a_story(entries=told, published=NOW, labels=("funding", "ipo"), events=events, sectioning=sectioning)
    foreign = a_story(lead=a_stored_entry("Werk eröffnet", language="de", source="Der Bote"), section="companies")
    return [told_by_all, foreign, *stories]


def every_page(stories: list[Story], content: ContentSettings = WITH_PICTURES) -> dict[str, bytes]:
    """A page of each kind by its address, and the style sheet and pictures they want."""
    site = SiteSettings(title="Business Monkey News")
    press = Press(site, DEFAULT_FEEDS, content)
    press.digests = (briefing(stories),)
    shelf = press.edition(stories, NOW)
    pages = {path: document.body for path, document in shelf.items() if path in ("/", "/tech", "/about", "/digest")}
    people = shelf["/news.atom"].for_people
    assert people is not None
    pages |= {"/feed-page": people.body, "/404": shelf["404"].body}
    why = (("The Herald", ("told like entry 7", "common names: Quillon")),)
    pages["/story"] = press.story_page(stories[0], stories[2:6], why).body
    pages["/gone"] = press.gone_page("An old story", "https://herald.example/old", "abc").body
    ways = (("prev", "/label/funding", "Newer stories"), ("", "/2026/03/03", "Earlier"))
    pages["/label"] = press.view(replace(label_view("funding", site), page=2), stories[:9], ways=ways).body
    pages["/source"] = press.view(source_view(7, "The Herald", site), stories[:5]).body
    pages["/day"] = press.view(day_view(NOW.date(), site), stories[:3], ways=ways).body
    found, nothing = (search_view(narrowing({"q": words}), site) for words in ("chips -intel", "zzz"))
    pages |= {"/search": press.view(found, stories[:9]).body, "/search-none": press.view(nothing, []).body}
    pages |= {"/search-form": press.view(search_view(Narrowing(), site), []).body}
    pages["/400"] = press.complaint("lang must be a language's code such as en, not 'english'").body
    pages["/empty"] = Press(site, DEFAULT_FEEDS, content).edition([], NOW)["/"].body
    return pages | {path: body for path, (body, _) in static_files().items()}


def briefing(stories: list[Story]) -> Digest:
    return composed("daily", "2026-03-04", ago(days=1), NOW, stories, SiteSettings())


def documents(pages: Mapping[str, bytes]) -> dict[str, tuple[bytes, str]]:
    types = {path: content_type for path, (_, content_type) in static_files().items()}
    return {path: (body, types.get(path, HTML_TYPE)) for path, body in pages.items()}


@pytest.fixture(scope="module")
def publisher_of_pictures() -> Iterator[tuple[Documents, str]]:
    """Another host, from our pages' point of view, with pictures on it."""
    host = Documents({"/p.png": (_PICTURE, "image/png")}, security=())
    with served(host) as url:
        yield host, f"{url}/p.png"


@pytest.fixture(scope="module")
def pages(publisher_of_pictures: tuple[Documents, str]) -> Iterator[tuple[str, list[str]]]:
    """Where a page of each kind is served, and the paths."""
    made = every_page(some_stories(publisher_of_pictures[1]))
    with served(Documents(documents(made))) as url:
        yield url, [path for path in made if path not in static_files()]


STATES = ("broken", "silent", "recovered", "disabled", "ok")
_SOURCE = BOARD["sources"][0]
STATUS = BOARD | {
    "sources": [_SOURCE | {"id": n, "title": f"The {state} Herald", "state": state} for n, state in enumerate(STATES)],
    "states": [(state, 1) for state in STATES],
    "show": "",
}
DESK = [
    {"id": "abc", "title": "Quillon opens a plant", "source": "The Herald", "section": "tech", "second": None}
    | {"confidence": 0.8, "by_hand": by_hand, "withheld": None}
    for by_hand in (False, True)
]


@pytest.fixture(scope="module")
def admin() -> Iterator[str]:
    """The admin listener."""

    async def file(story: str, section: str | None) -> bool:
        return True

    shown = [row | {"id": f"abc{number}"} for number, row in enumerate(DESK)]
    views = AdminViews(
        lambda: b"", lambda: (True, ""), dict, lambda: b"", lambda section: shown, file, board=lambda query: STATUS
    )
    with served(AdminSite(views, Pages(SiteSettings(), DEFAULT_FEEDS, ContentSettings()))) as url:
        yield url


def test_axe_finds_nothing_on_any_page(chromium: Chromium, pages: tuple[str, list[str]], admin: str) -> None:
    url, paths = pages
    addresses = [*(f"{url}{path}" for path in paths), f"{admin}/status", f"{admin}/stories"]
    axe, found = axe_source(), []
    for address in addresses:
        for width, dark in ((1280, False), (360, True)):
            chromium.open(address, width, dark)
            chromium.run("for (const each of document.querySelectorAll('details')) each.open = true")
            found += [f"{address} {width}: {each}" for each in chromium.violations(axe)]
    assert found == []


def test_axe_would_find_something(chromium: Chromium) -> None:
    bad = b"<!doctype html><html><title>x</title><img src=/p.png><p style='color:#999;background:#aaa'>pale</p></html>"
    with served(Documents({"/": (bad, HTML_TYPE)}, security=())) as url:
        chromium.open(f"{url}/")
        found = {each.split(":")[0] for each in chromium.violations(axe_source())}
    assert {"image-alt", "html-has-lang", "color-contrast"} <= found


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_window_and_the_console_is_quiet(
    chromium: Chromium, pages: tuple[str, list[str]], width: int
) -> None:
    url, paths = pages
    for path in paths:
        chromium.open(f"{url}{path}", width)
        assert chromium.run("return document.documentElement.scrollWidth") <= width, path
        assert chromium.complaints() == [], path


def test_it_is_dark_at_night(chromium: Chromium, pages: tuple[str, list[str]]) -> None:
    url, _ = pages

    def colours(dark: bool) -> tuple[float, float]:
        """Lightness of paper and ink, 0 to 255."""
        chromium.open(f"{url}/", 360, dark)
        script = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
        paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in chromium.run(script))
        return paper, ink

    paper, ink = colours(dark=False)
    assert paper > 230
    assert ink < 60
    paper, ink = colours(dark=True)
    assert paper < 40
    assert ink > 200


def test_a_page_is_whole_without_style_and_pictures(chromium: Chromium, pages: tuple[str, list[str]]) -> None:
    url, _ = pages
    chromium.open(f"{url}/", 360, blocked=("*.css", "*.png", "*.svg", "*.ico"))
    loaded = "[...document.images].filter(image => image.naturalWidth > 0)"
    assert chromium.run(f"return [getComputedStyle(document.body).maxWidth, {loaded}.length]") == ["none", 0]
    text = chromium.run("return document.body.innerText")
    parts = ("Business Monkey News", "Front page", "Averyverylongword", "3 outlets", "Tech\n", "Marketing\n", "OPML")
    for part in parts:
        before, found, text = text.partition(part)
        assert found, f"{part!r} does not come after {before[-80:]!r}"


def test_the_front_page_weighs_little(chromium: Chromium, pages: tuple[str, list[str]]) -> None:
    press = Press(SiteSettings(), DEFAULT_FEEDS, ContentSettings())
    shelf = Shelf(press.edition(some_stories(), NOW))
    with served(PublicSite(shelf)) as url:
        chromium.open(f"{url}/")
        sizes = chromium.run(
            "return performance.getEntries().filter(e => e.transferSize).map(e => [e.name, e.transferSize])"
        )
    assert {name.rpartition(".")[2] for name, _ in sizes} >= {"css"}
    assert sum(size for _, size in sizes) < 60_000, sizes


# ---------------------------------------------------------------- pictures


def test_pictures_are_fetched_without_saying_from_where_and_only_if_configured(
    chromium: Chromium, publisher_of_pictures: tuple[Documents, str]
) -> None:
    host, picture = publisher_of_pictures
    for images in (True, False):
        made = every_page(some_stories(picture), ContentSettings(images=images))
        with served(Documents(documents(made))) as url:
            chromium.open(f"{url}/")
            chromium.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
            host.asked.clear()
            chromium.open(f"{url}/story")
            shown = chromium.run("return [...document.images].map(image => image.naturalWidth > 0)")
        assert shown == ([True] if images else [])
        assert [target for target, _ in host.asked] == (["/p.png"] if images else [])
        assert all("Referer" not in headers for _, headers in host.asked)


# ---------------------------------------------------------------- what feeds bring

_HARMLESS = """
const bad = [];
for (const element of document.querySelectorAll('*')) {
  if (element.matches('.masthead form[action="/search"]')) continue;  // ours
  const name = element.localName;
  if (name === 'script' ? element.type !== 'application/ld+json' : /^(iframe|object|embed|form|base|style)$/.test(name))
    bad.push(element.outerHTML);
  for (const {name: attribute, value} of element.attributes) {
    const names_address = /^(href|src|action|formaction|poster|data|cite)$/.test(attribute);
    if (/^on/.test(attribute) || attribute === 'style' || attribute === 'srcset') bad.push(element.outerHTML);
    if (names_address && !/^https?:$/.test(new URL(value, document.baseURI).protocol)) bad.push(element.outerHTML);
  }
  if (name === 'meta' && element.httpEquiv) bad.push(element.outerHTML);
}
return bad.map(html => html.slice(0, 300));
"""


@pytest.mark.parametrize("text", ["excerpt", "full"])
def test_nothing_in_a_story_runs(chromium: Chromium, text: Any) -> None:
    stories = hostile.stories()
    press = Press(SiteSettings(), DEFAULT_FEEDS, ContentSettings(text=text))
    press.digests = (briefing(stories),)
    shelf = Shelf(press.edition(stories, NOW))

    async def page(path: str, query: Mapping[str, str]) -> Page | None:
        number = int(path.removeprefix("/story/"))
        return Page(200, press.story_page(stories[number], stories, ((hostile.TEXTS[number], hostile.TEXTS),)))

    with served(PublicSite(shelf, page)) as url:
        paths = ["/", "/tech", "/tech.atom", "/digest", *(f"/story/{number}" for number in range(len(stories)))]
        for path in paths:
            chromium.open(f"{url}{path}", 360)
            assert chromium.ran() == [], path
            assert chromium.run(_HARMLESS) == [], path
            assert chromium.complaints() == [], path
            assert chromium.run("return document.documentElement.scrollWidth") <= 360, path
            assert chromium.path == path, "nothing led away"


@pytest.mark.parametrize("number", range(3))
def test_the_same_would_run_if_it_came_through(chromium: Chromium, number: int) -> None:
    head = "<!doctype html><html lang=en><title>x</title>"
    attack = (hostile.TEXTS[0], '<img src="/nothing.png" onerror="alert(1)">', "<svg onload=alert(1)></svg>")[number]
    raw = documents({"/": f"{head}{attack}".encode()})
    with served(Documents(raw, security=())) as url:
        chromium.open(f"{url}/")
        assert chromium.ran() == ["alert"]
        assert chromium.run(_HARMLESS) != []
    with served(Documents(raw)) as url:  # and then the policy still stands before it
        chromium.open(f"{url}/")
        assert chromium.ran() == []
        assert any("Content Security Policy" in line for line in chromium.complaints())
