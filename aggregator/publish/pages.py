"""The HTML that people read: items in, pages out. Every page is whole without JavaScript, pictures or style.

Nothing here says "now": times are absolute, so that a page's bytes change only when its news does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aggregator.publish.digest import Digest, path_of, title_of
from aggregator.publish.feeds import description_of
from aggregator.publish.happened import line_of, name_of
from aggregator.publish.item import Item
from aggregator.publish.settings import ContentSettings, FeedSettings, SiteSettings
from aggregator.publish.structured import news_article
from aggregator.publish.views import SEARCH, day_path, label_view
from aggregator.text import excerpt
from aggregator.types import LABELS, SECTIONS, UNSURE, Sectioning

HTML_TYPE = "text/html; charset=utf-8"
LEADS = 5  # stories above the sections on the front page
SHOWN = ("", *LABELS, UNSURE, "withheld")  # what the admin's page of stories can be asked for
IN_SECTION = 7  # stories of a section on the front page
OF_ONE_SOURCE = 2  # of them, while others have something to say
_HERE = Path(__file__).parent

# (relation, path, words) of a link to what comes before or after
Way = tuple[str, str, str]
# (outlet, why its telling belongs to the story)
Why = tuple[str, Sequence[str]]
# (path of the page that links, path that is linked) to what stands in href
Linker = Callable[[str, str], str]


def static_files() -> dict[str, tuple[bytes, str]]:
    """Path to (bytes, content type) of what pages refer to. The style sheet's name carries its hash."""
    types = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".ico": "image/x-icon", ".png": "image/png"}
    files = {}
    for file in sorted((_HERE / "static").iterdir()):
        if file.suffix in types:
            files[_static_path(file)] = (file.read_bytes(), types[file.suffix])
    return files


def _static_path(file: Path) -> str:
    if file.name.startswith("favicon") or file.name.startswith("apple-touch-icon"):
        return f"/{file.name}"  # where browsers and readers look unasked
    return f"/static/{file.stem}.{blake2b(file.read_bytes(), digest_size=5).hexdigest()}{file.suffix}"


class Pages:
    """Writes pages for one site. `link` turns a path into what stands in href; without one it is below the prefix."""

    def __init__(
        self, site: SiteSettings, feeds: Sequence[FeedSettings], content: ContentSettings, link: Linker | None = None
    ) -> None:
        self._site = site
        self._link: Linker = link or (lambda at, path: site.prefix + path)
        self._zone = site.zone
        # S701 does not see it: everything is escaped, whatever the template's name.
        environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        environment.filters |= {"iso": _iso, "day": self._day, "moment": self._moment, "words": _words}
        environment.filters |= {"day_path": self._day_path, "label": name_of, "happened": line_of, "after": _after}
        environment.globals |= {
            "site": site,
            "feeds": [(feed, feed.full_title(site.title), description_of(feed)) for feed in feeds],
            "labels": [label_view(label, site) for label in site.labels],
            "content": content,
            "sections": SECTIONS,
            "can_search": link is None,  # files on a disk cannot
            "style": _static_path(_HERE / "static" / "style.css"),
            "card": _static_path(_HERE / "static" / "card.png"),
        }
        self._feeds = {feed.slug: feed.full_title(site.title) for feed in feeds}
        self._environment = environment

    def front(self, leads: Sequence[Item], items: Sequence[Item]) -> bytes:
        """`/`: `leads`, the highest first, then the newest of each section, each story once. `items` newest first."""
        leads, sections = front_page(leads, items)
        latest = items[0].published if items else None
        return self._page("front.html", "/", leads=leads, by_section=sections, latest=latest)

    def listing(self, feed: FeedSettings, items: Sequence[Item], ways: Sequence[Way] = ()) -> bytes:
        """`/{slug}`: a merged feed as a page, or a view as one. `ways` lead on from it."""
        title = feed.heading or feed.title.removeprefix(f"{self._site.title}: ") or feed.slug.capitalize()
        days = self._by_day(items)
        said: dict[str, Any] = {"feed": feed, "title": title, "days": days, "ways": ways, "about": description_of(feed)}
        is_form = feed.slug == SEARCH and not feed.query
        template = "search.html" if feed.slug == SEARCH else "listing.html"
        return self._page(template, f"/{feed.slug}{feed.tail}", None if is_form else feed, **said)

    def feed(self, feed: FeedSettings, items: Sequence[Item]) -> bytes:
        """What a browser sees at a feed's own address: that this is a feed, how to subscribe, and the stories in it."""
        title = feed.full_title(self._site.title)
        return self._page("feed.html", f"/{feed.slug}.atom{feed.query}", feed, feed=feed, title=title, items=items)

    def story(
        self,
        item: Item,
        sectioning: Sectioning,
        related: Sequence[Item],
        why: Sequence[Why] = (),
        weighs: str = "",
        similar: bool = True,
    ) -> bytes:
        """`/story/{ref}`: one story with everybody who tells it. `why` it was gathered so, `weighs` its rank in words;
        `similar` says whether `related` are near it in meaning, or just the latest of its section."""
        told = sorted((item.lead, *item.also), key=lambda outlet: outlet.published)
        said: dict[str, Any] = {"item": item, "told": told, "sectioning": sectioning, "why": why, "weighs": weighs}
        said |= {"related": related, "similar": similar, "article": news_article(item, self._site)}
        section = FeedSettings((*item.sections, "")[0])
        return self._page("story.html", f"/story/{item.ref}", section, **said)

    def digest(self, digest: Digest | None, others: Sequence[Digest]) -> bytes:
        """`/digest/{day}`: one briefing (None: there is none yet), with the way to the others."""
        at = path_of(digest) if digest else "/digest"
        title = title_of(digest, self._site) if digest else f"{self._site.title}: briefing"
        listed = [(path_of(each), title_of(each, self._site)) for each in others if each is not digest]
        feed = FeedSettings("digest", f"{self._site.title}: briefing", about="The stories that mattered.")
        return self._page("digest.html", at, feed, digest=digest, title=title, others=listed)

    def about(self) -> bytes:
        """`/about`: how to subscribe, and what our extensions of the formats mean."""
        return self._page("about.html", "/about")

    def not_found(self) -> bytes:
        """For addresses where there is nothing. Its links are absolute: it is seen at any depth."""
        return self._page(
            "message.html", "/404", heading="There is nothing here", title="Not found", item=None, gone=False, why=""
        )

    def complaint(self, why: str) -> bytes:
        """For an address that asks for what there is not; `why` says what."""
        heading = "This cannot be answered"
        return self._page("message.html", "/400", heading=heading, title=heading, item=None, gone=False, why=why)

    def gone(self, title: str, url: str | None, ref: str) -> bytes:
        """For a story that retention took: what its tombstone knows."""
        heading = "This story has left the archive"
        return self._page(
            "message.html",
            f"/story/{ref}",
            heading=heading,
            title=title,
            item={"title": title, "url": url},
            gone=True,
            why="",
        )

    def taken_down(self, path: str) -> bytes:
        """For what the operator took down."""
        heading = "This was taken down"
        said: dict[str, Any] = {"heading": heading, "title": heading, "item": None, "gone": False, "why": ""}
        return self._page("message.html", path, down=True, **said)

    def gone_day(self, feed: FeedSettings) -> bytes:
        """For a day whose stories retention took."""
        heading = f"The stories of {feed.heading} have left the archive"
        return self._page(
            "message.html", f"/{feed.slug}", heading=heading, title=feed.heading, item=None, gone=True, why=""
        )

    def opensearch(self) -> bytes:
        """`/opensearch.xml`: tells browsers how to search here (OpenSearch 1.1)."""
        return self._page("opensearch.xml", "/opensearch.xml")

    def status(self, board: Mapping[str, Any]) -> bytes:
        """The admin listener's `/status`: how sources do and why, how fresh we are, what befell (`dashboard.board`)."""
        charts = {name: Markup(drawn) for name, drawn in board.get("charts", {}).items()}  # noqa: S704 (our own markup)
        style = _static_path(_HERE / "static" / "status.css")
        return self._admin_page("status.html", "/status", board=board, charts=charts, status_style=style)

    def desk(self, stories: Sequence[Mapping[str, Any]], shown: str, csrf: str) -> bytes:
        """The admin listener's `/stories`: the newest of a section ("": all), each with a form to file it elsewhere."""
        said: dict[str, Any] = {"stories": stories, "shown": shown, "csrf": csrf, "labels": LABELS, "all": SHOWN}
        return self._admin_page("desk.html", "/stories", **said)

    def _admin_page(self, template: str, at: str, **values: Any) -> bytes:
        """On another listener: links lead to the public pages, and only what pages are made of lies beside it. A form
        may not lead there (CSP form-action), so the search stays away."""
        return self._page(template, at, link=self._public, can_search=False, **values)

    def _public(self, path: str) -> str:
        return path if path.startswith(("/static/", "/favicon")) else self._site.public_url + path

    def _page(self, template: str, at: str, own: FeedSettings | None = None, **values: Any) -> bytes:
        """`own` is the feed that holds what the page does."""
        page = self._environment.get_template(template)
        always = {"at": at, "link": lambda path: self._link(at, path), "alternates": self._alternates(own)}
        return page.render(**always | values).encode("utf-8")

    def _alternates(self, own: FeedSettings | None) -> Sequence[tuple[str, str, str]]:
        """(slug, title, query) of every feed that a page offers, its own first: readers take the first."""
        offered = dict(self._feeds)
        if own is not None and (own.about or own.slug in offered):
            title = "" if own.query else offered.pop(own.slug, "")
            first = (own.slug, title or own.full_title(self._site.title), own.query)
            return (first, *((slug, title, "") for slug, title in offered.items()))
        return tuple((slug, title, "") for slug, title in offered.items())

    def _by_day(self, items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
        """The items under the days that they are of; under none ("") where days do not follow one another."""
        days: list[tuple[str, list[Item]]] = []
        for item in items:
            day = self._day(item.published)
            if not days or days[-1][0] != day:
                days.append((day, []))
            days[-1][1].append(item)
        in_order = len({day for day, _ in days}) == len(days)
        return days if in_order else [("", list(items))]

    def _day(self, at: datetime) -> str:
        local = at.astimezone(self._zone)
        return f"{local:%A}, {local.day} {local:%B %Y}"

    def _day_path(self, at: datetime) -> str:
        return day_path(at, self._zone)

    def _moment(self, at: datetime, near: datetime | None = None) -> str:
        """The time in full, or only what of it is not said by `near`: no day on the same, no year in the same."""
        local = at.astimezone(self._zone)
        known = near.astimezone(self._zone) if near is not None else None
        if known is not None and known.date() == local.date():
            return f"{local:%H:%M}"
        is_same_year = known is not None and known.year == local.year
        return f"{local.day} {local:%b, %H:%M}" if is_same_year else f"{local.day} {local:%b %Y, %H:%M}"


def front_page(leads: Sequence[Item], items: Sequence[Item]) -> tuple[list[Item], list[tuple[str, list[Item]]]]:
    """(leads, the newest of each section without them).

    The first lead that has a picture stands first: it has the room for one.
    """
    pictured = next((lead for lead in leads if lead.image_url), None)
    ordered = sorted(leads, key=lambda item: item is not pictured)
    used = {item.ref for item in leads}
    sections = []
    for section in SECTIONS:
        filed = [item for item in items if item.sections[:1] == (section,) and item.ref not in used]
        sections.append((section, _of_many_sources(filed)))
    return ordered, sections


def _of_many_sources(items: Sequence[Item]) -> list[Item]:
    """The newest, but of one source no more than OF_ONE_SOURCE while others are there: one that floods its feed must
    not be the section."""
    told = Counter[str]()
    chosen: list[Item] = []
    rest: list[Item] = []
    for item in items:
        told[item.lead.name] += 1
        (chosen if told[item.lead.name] <= OF_ONE_SOURCE else rest).append(item)
    chosen = chosen[:IN_SECTION]
    kept = {item.ref for item in (*chosen, *rest[: IN_SECTION - len(chosen)])}
    return [item for item in items if item.ref in kept]


def _words(text: str, count: int) -> str:
    return excerpt(text, count).replace(" …", "\u00a0…")  # never an ellipsis alone on its line


def _after(at: datetime, first: datetime) -> str:
    """ "42 min later", "3 h later", "2 days later"; minutes below two hours, hours below two days."""
    minutes = max(0, int((at - first).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min later" if minutes else "within a minute"
    return f"{minutes // 60} h later" if minutes < 2880 else f"{minutes // 1440} days later"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
