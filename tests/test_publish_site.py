"""What readers are answered: conditions, codings, prefixes, redirects, pages from the provider. No sockets."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import asking
import brotli
import pytest
from asking import header
from builders import NOW

from aggregator.publish.answers import Answer
from aggregator.publish.negotiate import accepted_codings, preferred_type
from aggregator.publish.shelf import Shelf, rendered
from aggregator.publish.site import NOT_FOUND, Page, PublicSite

BODY = b"<feed>" + b"news " * 200 + b"</feed>"
ATOM = "application/atom+xml; charset=utf-8"
HTML = "text/html; charset=utf-8"
FEED = rendered(BODY, ATOM, NOW)
SHELF = {
    "/news.atom": FEED,
    "/": rendered(b"<h1>front</h1>", HTML, NOW),
    "/tech": rendered(b"<h1>tech</h1>", HTML, NOW),
    "/static/style.abc.css": rendered(b"p{}", "text/css; charset=utf-8", NOW),
    NOT_FOUND: rendered(b"<h1>nothing</h1>", HTML, NOW),
}
ETAG = f'"{FEED.etag}"'


def http_date(hours: float) -> str:
    return format_datetime(NOW + timedelta(hours=hours), usegmt=True)


def ask(target: str, method: str = "GET", site: PublicSite | None = None, **headers: str) -> Answer:
    return asking.ask(site or PublicSite(Shelf(SHELF)), target, method, **headers)


# ---------------------------------------------------------------- conditional requests (RFC 9110 §13)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": f"W/{ETAG}"}, 304),
        ({"if_none_match": f'"other", {ETAG}'}, 304),
        ({"if_none_match": f'W/"other",{ETAG},"third"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"other"'}, 200),
        ({"if_none_match": FEED.etag}, 200),  # without quotes it is no tag
        ({"if_none_match": ETAG.replace('"', '"-', 1)}, 200),
        ({"if_none_match": ""}, 200),
        ({"if_modified_since": http_date(0)}, 304),
        ({"if_modified_since": http_date(1)}, 304),
        ({"if_modified_since": http_date(-1)}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_modified_since": "Wed, 99 Mar 2026 12:00:00 GMT"}, 200),
        # the tag decides where there is one
        ({"if_none_match": '"other"', "if_modified_since": http_date(1)}, 200),
        ({"if_none_match": ETAG, "if_modified_since": http_date(-1)}, 304),
        # only if it is this one
        ({"if_match": ETAG}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"other"'}, 412),
        ({"if_match": f"W/{ETAG}"}, 412),
        ({"if_unmodified_since": http_date(-1)}, 412),
        ({"if_unmodified_since": http_date(0)}, 200),
        ({"if_match": ETAG, "if_none_match": ETAG}, 304),
        # a range is not offered, so the whole comes
        ({"range": "bytes=0-3"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditional_requests(method, headers, status):
    answer = ask("/news.atom", method, **headers)
    assert answer.status == status
    if status == 200:
        assert answer.body == BODY
    if status == 304:
        assert answer.body == b""
        assert header(answer, "Content-Type") is None


def test_304_repeats_what_caches_go_by():
    whole, unchanged = ask("/news.atom"), ask("/news.atom", if_none_match=ETAG)
    for name in ("ETag", "Last-Modified", "Cache-Control", "Vary"):
        assert header(unchanged, name) == header(whole, name) is not None
    assert header(whole, "Last-Modified") == "Wed, 04 Mar 2026 12:00:00 GMT"


# ---------------------------------------------------------------- codings


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", "br"),
        ("*", "br"),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip", "gzip"),
        ("identity;q=1, gzip;q=0.5", None),
        ("gzip;q=nonsense", None),
        ("gzip;q=7", None),
        ("deflate, zstd", None),
        ("gzip;" + "x" * 5000, None),
    ],
)
def test_the_coding_follows_accept_encoding(accept_encoding, coding):
    answer = ask("/news.atom", accept_encoding=accept_encoding)
    assert header(answer, "Content-Encoding") == coding
    plain = {"gzip": gzip.decompress, "br": brotli.decompress, None: bytes}[coding](answer.body)
    assert plain == BODY
    assert header(answer, "Vary") == "Accept-Encoding"


def test_every_representation_has_a_tag_of_its_own():
    tags = {header(ask("/news.atom", accept_encoding=coding), "ETag") for coding in ("identity", "gzip", "br")}
    assert len(tags) == 3
    for coding in ("identity", "gzip", "br"):
        tag = header(ask("/news.atom", accept_encoding=coding), "ETag")
        assert ask("/news.atom", accept_encoding=coding, if_none_match=tag).status == 304
        assert ask("/news.atom", accept_encoding="gzip", if_none_match=tag).status == (304 if coding == "gzip" else 200)


def test_small_documents_are_not_compressed():
    assert header(ask("/tech", accept_encoding="gzip, br"), "Content-Encoding") is None


def test_codings_in_order_of_preference():
    assert accepted_codings(None) == ("identity",)
    assert accepted_codings("gzip, br")[:2] == ("br", "gzip")


# ---------------------------------------------------------------- methods, paths


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("target", ["/news.atom", "/", "/nothing"])
def test_other_methods_are_told_which_there_are(method, target):
    answer = ask(target, method)
    assert (answer.status, header(answer, "Allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/news.atom", 200),
        ("/news.atom?cache=no", 200),
        ("/news%2Eatom", 200),
        ("http://anything.example/news.atom", 200),
        ("/", 200),
        ("", 404),
        ("*", 404),
        ("/tech", 200),
        ("/nothing", 404),
        ("/news.atom/", 308),
        ("/tech/", 308),
        ("//news.atom", 404),
        ("//evil.example/", 404),
        ("/../news.atom", 404),
        ("/%2e%2e/etc/passwd", 404),
        ("/static/../../../etc/passwd", 404),
        ("/static/", 404),
        ("/tech%00", 404),
        ("/tech%0d%0aSet-Cookie:%20a=b", 404),
        ("/404", 404),
        ("/news.atom%ff", 404),
        ("/" + "a" * 8000, 404),
    ],
)
def test_paths(target, status):
    answer = ask(target)
    assert answer.status == status
    assert "\n" not in "".join(value for _, value in answer.headers)


def test_what_is_not_there_is_a_page_for_people_and_a_line_for_readers():
    assert header(ask("/nothing"), "Content-Type") == HTML
    assert header(ask("/nothing.atom"), "Content-Type") == "text/plain; charset=utf-8"
    assert ask("/nothing", if_none_match="*").status == 404


@pytest.mark.parametrize(
    ("target", "cache_control"),
    [
        ("/news.atom", "public, max-age=300"),
        ("/", "public, max-age=60"),
        ("/static/style.abc.css", "public, max-age=31536000, immutable"),
        ("/feed", "public, max-age=300"),
        ("/tech/", "public, max-age=60"),
        ("/nothing", "public, max-age=60"),
        ("/healthz", "no-store"),
    ],
)
def test_how_long_caches_may_keep_it(target, cache_control):
    assert header(ask(target), "Cache-Control") == cache_control


@pytest.mark.parametrize(
    ("target", "method", "headers"),
    [
        ("/news.atom", "GET", {}),
        ("/news.atom", "GET", {"if_none_match": ETAG}),
        ("/news.atom", "GET", {"if_match": '"x"'}),
        ("/", "HEAD", {}),
        ("/nothing", "GET", {}),
        ("/nothing.atom", "GET", {}),
        ("/feed", "GET", {}),
        ("/tech/", "GET", {}),
        ("/healthz", "GET", {}),
        ("/", "POST", {}),
    ],
)
def test_security_headers_are_on_every_answer(target, method, headers):
    answer = ask(target, method, **headers)
    policy = header(answer, "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert header(answer, "Referrer-Policy") == "no-referrer"
    assert header(answer, "Permissions-Policy")


def test_feeds_may_be_read_by_web_pages_and_pages_may_not():
    assert header(ask("/news.atom"), "Access-Control-Allow-Origin") == "*"
    assert header(ask("/"), "Access-Control-Allow-Origin") is None


# ---------------------------------------------------------------- /feed


@pytest.mark.parametrize(
    ("accept", "ending"),
    [
        ("", "atom"),
        ("*/*", "atom"),
        ("application/rss+xml", "rss"),
        ("application/feed+json, application/atom+xml;q=0.5", "json"),
        ("application/rss+xml;q=0.9, application/*;q=0.5", "rss"),
        ("text/html", "atom"),
        ("application/atom+xml;q=0, */*", "rss"),
    ],
)
def test_feed_redirects_by_accept(accept, ending):
    answer = ask("/feed", accept=accept)
    assert (answer.status, header(answer, "Location")) == (302, f"/news.{ending}")
    assert header(answer, "Vary") == "Accept"


def test_the_first_offer_wins_a_tie():
    assert preferred_type("b/x, a/x", ("a/x", "b/x")) == "a/x"


# ---------------------------------------------------------------- prefix


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/desk/news.atom", 200, None),  # the proxy keeps the prefix
        ("/news.atom", 200, None),  # the proxy strips it
        ("/desk/", 200, None),
        ("/desk", 200, None),
        ("/desk/feed", 302, "/desk/news.atom"),
        ("/feed", 302, "/desk/news.atom"),
        ("/desk/tech/", 308, "/desk/tech"),
        ("/deskeleton", 404, None),
        ("/desk/desk/news.atom", 404, None),
        ("/desk//news.atom", 404, None),
        ("/desk/healthz", 200, None),
    ],
)
def test_a_prefix_may_be_kept_or_stripped_by_the_proxy(target, status, location):
    answer = ask(target, site=PublicSite(Shelf(SHELF), prefix="/desk"))
    assert (answer.status, header(answer, "Location")) == (status, location)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/tech/?q=chips", "/desk/tech?q=chips"),
        ("/news.atom/?min_sources=2&utm_source=x", "/desk/news.atom?min_sources=2"),
        ("/label/funding/", "/desk/label/funding"),
        ("/search/?q=chips+%22series+a%22&page=2", "/desk/search?q=chips+%22series+a%22&page=2"),
        ("/search/?q=%0d%0aSet-Cookie:%20a=b", "/desk/search?q=%0D%0ASet-Cookie%3A+a%3Db"),
        ("/2026/03/04/", "/desk/2026/03/04"),
        ("/nothing/?q=chips", None),
    ],
)
def test_a_slash_too_many_is_taken_off_and_what_was_asked_for_stays(target, location):
    answer = ask(target, site=PublicSite(Shelf(SHELF), Provider(), prefix="/desk"))
    assert (answer.status, header(answer, "Location")) == (308 if location else 404, location)


def test_a_prefix_that_is_a_section_hides_nothing():
    site = PublicSite(Shelf(SHELF), prefix="/tech")
    assert ask("/tech", site=site).body == b"<h1>tech</h1>"
    assert ask("/tech/tech", site=site).body == b"<h1>tech</h1>"
    assert ask("/tech/news.atom", site=site).body == BODY


# ---------------------------------------------------------------- pages


class Provider:
    """Stories by path; counts how often it was asked."""

    def __init__(self, delay: float = 0.0, **pages: Page) -> None:
        self.pages, self.delay, self.asked = pages, delay, []

    async def __call__(self, path: str, query: Any) -> Page | None:
        self.asked.append((path, dict(query)))
        await asyncio.sleep(self.delay)
        return self.pages.get(path.rpartition("/")[2])


STORY = Page(200, rendered(b"<h1>story</h1>" * 40, HTML, NOW))


def test_pages_come_from_the_provider_and_are_conditional_too():
    site = PublicSite(Shelf(SHELF), Provider(abc=STORY))
    answer = ask("/story/abc", site=site)
    assert (answer.status, answer.body) == (200, STORY.document.body)
    assert ask("/story/abc", site=site, if_none_match=header(answer, "ETag")).status == 304
    assert ask("/story/none", site=site).status == 404


def test_a_page_that_is_gone_says_so_whatever_the_client_holds():
    gone = Page(410, rendered(b"<h1>gone</h1>", HTML, NOW))
    answer = ask("/story/old", site=PublicSite(Shelf(SHELF), Provider(old=gone)), if_none_match="*")
    assert (answer.status, answer.body) == (410, b"<h1>gone</h1>")


@pytest.mark.parametrize(
    ("location", "sent_to"), [("/story/new", "/desk/story/new"), ("https://x.example/", "https://x.example/")]
)
def test_a_page_may_have_moved(location, sent_to):
    site = PublicSite(Shelf(SHELF), Provider(old=Page(308, location=location)), prefix="/desk")
    answer = ask("/story/old", site=site)
    assert (answer.status, header(answer, "Location")) == (308, sent_to)


def test_a_page_is_asked_for_once_and_kept():
    provider = Provider(abc=STORY)
    site = PublicSite(Shelf(SHELF), provider)
    for _ in range(3):
        ask("/story/abc", site=site)
    assert provider.asked == [("/story/abc", {})]


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/story/abc?utm_source=x&fbclid=y", ("/story/abc", {})),
        ("/story/abc?page=2", ("/story/abc", {})),
        ("/label/ipo?utm_medium=mail&page=2", ("/label/ipo", {"page": "2"})),
        ("/label/ipo.atom?pages=2&gclid=1", ("/label/ipo.atom", {})),
        ("/2026/03/04?ref=x", ("/2026/03/04", {})),
        ("/story/abc?" + "&".join(f"x{n}=1" for n in range(500)), ("/story/abc", {})),
    ],
)
def test_parameters_that_mean_nothing_here_are_as_good_as_not_there(target, asked):
    provider = Provider(**{"abc": STORY, "ipo": STORY, "ipo.atom": STORY, "04": STORY})
    assert ask(target, site=PublicSite(Shelf(SHELF), provider)).status == 200
    assert provider.asked == [asked]


def test_made_up_parameters_make_one_page_and_push_nothing_out():
    provider = Provider(abc=STORY, other=STORY)
    site = PublicSite(Shelf(SHELF), provider, kept=5)
    ask("/story/other", site=site)
    for n in range(50):
        assert ask(f"/story/abc?utm_campaign={n}&x{n}={n}", site=site).status == 200
    ask("/story/other", site=site)
    assert provider.asked == [("/story/other", {}), ("/story/abc", {})]


def test_the_cache_is_bounded_and_misses_push_nothing_out():
    provider = Provider(**{f"s{n}": STORY for n in range(20)})
    site = PublicSite(Shelf(SHELF), provider, kept=5)
    for n in range(20):
        ask(f"/story/s{n}", site=site)
    for n in range(50):
        ask(f"/story/missing{n}", site=site)
    asked = len(provider.asked)
    for n in range(15, 20):
        ask(f"/story/s{n}", site=site)
    assert len(provider.asked) == asked
    ask("/story/s3", site=site)
    assert len(provider.asked) == asked + 1


def test_publishing_drops_what_was_kept():
    provider, shelf = Provider(abc=STORY), Shelf(SHELF)
    site = PublicSite(shelf, provider)
    ask("/story/abc", site=site)
    shelf.replace(dict(SHELF))
    ask("/news.atom", site=site)
    ask("/story/abc", site=site)
    assert len(provider.asked) == 2


def test_a_page_made_before_something_was_published_is_not_kept_after_it():
    shelf, provider = Shelf(SHELF), Provider(0.01, old=STORY)
    site = PublicSite(shelf, provider)

    async def asked() -> None:
        reader = asyncio.create_task(site.later("GET", "/story/old", {}))
        await asyncio.sleep(0)
        shelf.replace(SHELF)
        assert site.at_once("GET", "/", {}) is not None
        assert (await reader).status == 200
        provider.pages = {"old": Page(410, STORY.document)}
        assert (await site.later("GET", "/story/old", {})).status == 410

    asyncio.run(asked())


# ---------------------------------------------------------------- merged feeds of several sources


@pytest.mark.parametrize(
    "query", ["", "?min_sources=1", "?min_sources=", "?q=%20-", "?utm_source=reader", "?x=1&min_sources=1"]
)
def test_a_feed_asked_for_as_it_is_comes_from_the_shelf(query):
    provider = Provider()
    assert ask(f"/news.atom{query}", site=PublicSite(Shelf(SHELF), provider)).body == BODY
    assert provider.asked == []


def test_a_narrower_feed_comes_from_the_provider_with_a_feeds_headers_and_a_tag_of_its_own():
    narrow = Page(200, rendered(b"<feed>narrow</feed>" * 20, ATOM, NOW))
    provider = Provider(**{"news.atom": narrow})
    site = PublicSite(Shelf(SHELF), provider, prefix="/desk")
    for query in ("?min_sources=2", "?utm_source=x&min_sources=2", "?min_sources=2&min_sources=2"):
        answer = ask(f"/desk/news.atom{query}", site=site)
        assert (answer.status, answer.body) == (200, narrow.document.body)
    assert provider.asked == [("/news.atom", {"min_sources": "2"})], "other parameters make no other document"
    assert header(answer, "Cache-Control") == header(ask("/news.atom"), "Cache-Control")
    assert header(answer, "Access-Control-Allow-Origin") == "*"
    assert ask("/news.atom?min_sources=2", site=site, if_none_match=header(answer, "ETag")).status == 304
    assert ask("/news.atom?min_sources=2", site=site, if_none_match=ETAG).status == 200


@pytest.mark.parametrize("value", ["0", "21", "-2", "two", "2.0", "02", "%C2%B2", "2" * 5000])
def test_a_number_of_sources_that_is_none_is_refused_and_asks_nobody(value):
    provider = Provider()
    answer = ask(f"/news.atom?min_sources={value}", site=PublicSite(Shelf(SHELF), provider))
    assert (answer.status, answer.body) == (400, b"min_sources must be a whole number from 1 to 20\n")
    assert provider.asked == []


def test_what_has_no_narrower_form_is_itself():
    assert ask("/tech?min_sources=2").status == 200, "where nobody is there to ask"
    assert ask("/tech?min_sources=2", site=PublicSite(Shelf(SHELF), Provider())).body == b"<h1>tech</h1>"
    assert ask("/nothing.atom?min_sources=2", site=PublicSite(Shelf(SHELF), Provider())).status == 404


def test_many_readers_of_one_page_ask_once_and_a_flood_of_pages_is_refused():
    provider = Provider(delay=0.05, abc=STORY, **{f"s{n}": STORY for n in range(50)})
    site = PublicSite(Shelf(SHELF), provider, workers=1)

    async def crowd(paths: list[str]) -> list[int]:
        answers = await asyncio.gather(*(site.later("GET", path, {}) for path in paths))
        return [answer.status for answer in answers]

    assert asyncio.run(crowd(["/story/abc"] * 40)) == [200] * 40
    assert len(provider.asked) == 1
    statuses = asyncio.run(crowd([f"/story/s{n}" for n in range(20)]))
    assert statuses == [200] * 16 + [503] * 4


def test_a_failing_provider_fails_every_waiting_reader_and_is_asked_again():
    calls = []

    async def failing(path: str, query: Any) -> Page | None:
        calls.append(path)
        await asyncio.sleep(0.01)
        raise RuntimeError("database is away")

    site = PublicSite(Shelf(SHELF), failing)

    async def two() -> list[Any]:
        return await asyncio.gather(*(site.later("GET", "/story/a", {}) for _ in range(2)), return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(two())] == [RuntimeError, RuntimeError]
    assert asyncio.run(two())
    assert len(calls) == 2


# ---------------------------------------------------------------- shelf


def test_what_did_not_change_is_the_very_same_document():
    again = rendered(BODY, ATOM, NOW + timedelta(hours=1), FEED)
    assert again is FEED
    changed = rendered(BODY + b"!", ATOM, NOW + timedelta(hours=1), FEED)
    assert changed.etag != FEED.etag
    assert changed.last_modified == NOW + timedelta(hours=1)


def test_compressed_bytes_are_always_the_same():
    assert rendered(BODY, ATOM, NOW).gzip == FEED.gzip
    assert rendered(BODY, ATOM, NOW).brotli == FEED.brotli


def test_a_new_edition_is_seen_at_once():
    shelf = Shelf(SHELF)
    site = PublicSite(shelf)
    assert ask("/news.atom", site=site).body == BODY
    shelf.replace({**SHELF, "/news.atom": rendered(b"new", ATOM, NOW)})
    assert ask("/news.atom", site=site).body == b"new"
    shelf.replace({})
    assert ask("/news.atom", site=site).status == 404


# ---------------------------------------------------------------- callbacks of hubs


class Hooks:
    """Answers with what it was asked."""

    async def asked(self, token: str, query: Any) -> Answer:
        return Answer(200, (), f"{token} {query.get('hub.mode')}".encode())

    async def expects(self, token: str) -> int | Answer:
        return len(token)

    async def brought(self, token: str, headers: Any, body: bytes) -> Answer:
        return Answer(202, (), token.encode() + body)


@pytest.mark.parametrize("prefix", ["", "/desk"])
def test_hubs_are_led_to_who_knows_them(prefix):
    site = PublicSite(Shelf(SHELF), prefix=prefix, hooks=Hooks())
    asked = ask(f"{prefix}/websub/abc?hub.mode=subscribe", site=site)
    assert (asked.status, asked.body) == (200, b"abc subscribe")
    assert site.at_once("POST", f"{prefix}/websub/abc", {}) is None
    assert asyncio.run(site.expects(f"{prefix}/websub/abc", {})) == 3
    assert asyncio.run(site.take(f"{prefix}/websub/abc", {}, b"!")).body == b"abc!"


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_other_methods_are_no_hubs(method):
    assert ask("/websub/abc", method, PublicSite(Shelf(SHELF), hooks=Hooks())).status == 405


def test_without_callbacks_there_are_none():
    assert ask("/websub/abc").status == 404
    assert ask("/websub/abc", "POST").status == 405


def test_a_query_of_a_thousand_fields_is_no_query():
    site = PublicSite(Shelf(SHELF), hooks=Hooks())
    assert ask("/websub/abc?" + "&".join(f"a{n}=1" for n in range(1000)), site=site).body == b"abc None"
