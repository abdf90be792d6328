"""`ingest.jsonfeed`: what is a JSON Feed, and that values of no type can harm."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest import jsonfeed
from aggregator.ingest.clean import clean_feed
from aggregator.ingest.raw import RawFeed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VERSION = "https://jsonfeed.org/version/1.1"

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *("id", "url", "external_url", "title", "summary", "content_html", "content_text", "image", "banner_image"),
    *("date_published", "date_modified", "authors", "author", "tags", "language", "attachments"),
]
ITEM = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "not valid JSON"),
        ("[]", "a list"),
        ("{}", "not a JSON Feed"),
        ('{"version": 1, "items": []}', "not a JSON Feed"),
        (f'{{"version": "{VERSION}"}}', "without a list of items"),
        (f'{{"version": "{VERSION}", "items": {{}}}}', "without a list of items"),
        ("[" * 100_000, "too deep"),
        ('{"a":' * 100_000, "too deep"),
    ],
    ids=range(8),
)
def test_other_json_says_why(document: str, why: str) -> None:
    answer = jsonfeed.read(document)
    assert isinstance(answer, str)
    assert why in answer


@pytest.mark.parametrize(
    ("item", "link"),
    [
        ({"id": "1", "url": "https://a.example/1", "external_url": "https://b.example/"}, "https://a.example/1"),
        ({"id": "1", "external_url": "https://b.example/"}, "https://b.example/"),
        ({"id": "https://a.example/1"}, "https://a.example/1"),
        ({"id": "1"}, "1"),
    ],
)
def test_link_is_the_entry_s_page_where_it_has_one(item: dict[str, str], link: str) -> None:
    feed = jsonfeed.read(json.dumps({"version": VERSION, "items": [item]}))
    assert isinstance(feed, RawFeed)
    assert feed.entries[0].link == link


def test_numbers_too_long_to_be_ids_cost_nothing() -> None:
    feed = jsonfeed.read(f'{{"version": "{VERSION}", "items": [{{"id": {"9" * 1_000_000}, "title": "x"}}]}}')
    assert isinstance(feed, RawFeed)
    assert feed.entries[0].guid is None


@given(st.lists(ITEM, max_size=3), ANYTHING, ANYTHING, ANYTHING)
def test_wrong_types_never_raise(items: list[object], title: object, authors: object, hubs: object) -> None:
    document = json.dumps(
        {"version": VERSION, "title": title, "authors": authors, "hubs": hubs, "language": title, "items": items}
    )
    feed = jsonfeed.read(document)
    assert isinstance(feed, RawFeed)
    clean_feed(feed, "https://a.example/", frozenset(), NOW, "json")
