"""What query strings ask for: one spelling for one question, and a clear word about what cannot be."""

from __future__ import annotations

import contextlib
from datetime import date
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.publish.asking import MAX_TERMS, MAX_WORDS, NAMES, BadQuery, Narrowing, address, fields_of, narrowing

EVERYTHING = Narrowing(
    ("chips", "series a"), ("intel",), "tech", 12, "funding", date(2026, 1, 2), date(2026, 3, 4), 2, "en"
)


def asked(query: str) -> Narrowing:
    return narrowing(fields_of(f"/search?{query}"))


@pytest.mark.parametrize(
    ("query", "only"),
    [
        ("", Narrowing()),
        ("q=chips", Narrowing(("chips",))),
        ("q=+CHIPS%20", Narrowing(("chips",))),
        ("q=chips&utm_source=x&fbclid=y", Narrowing(("chips",))),
        ("q=caf%C3%A9+%22Series%20A%22", Narrowing(("cafe", "series a"))),
        ("q=%E2%80%9Cseries%20a%E2%80%9D", Narrowing(("series a",))),  # as telephones quote
        ("q=chips+-intel", Narrowing(("chips",), ("intel",))),
        ("q=chips&-q=intel", Narrowing(("chips",), ("intel",))),
        ("-q=intel+-%22press+release%22", Narrowing((), ("intel", "press release"))),
        ("q=!!!&-q=-&lang=&section=&since=&min_sources=", Narrowing()),  # a form that nobody filled in
        ("min_sources=1", Narrowing()),
        ("min_sources=2&lang=EN&-q=crypto", Narrowing((), ("crypto",), min_sources=2, language="en")),
        ("section=Tech&label=Funding&source=12", Narrowing(section="tech", label="funding", source=12)),
        ("since=2026-01-02&until=2026-01-02", Narrowing(since=date(2026, 1, 2), until=date(2026, 1, 2))),
        ("q=a&q=b", Narrowing(("b",))),
        ("q=%FF%00chips", Narrowing(("chips",))),
    ],
)
def test_what_is_asked_for(query, only):
    assert asked(query) == only


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("section=sport", "section must be one of tech, companies, economics, marketing, not 'sport'"),
        ("source=0", "source must be the number in the address of a source's page, not '0'"),
        ("source=%C2%B2", "source must be the number in the address of a source's page, not '²'"),
        ("label=a%20b", "label must be a label's name such as funding, not 'a b'"),
        ("since=yesterday", "since must be a day such as 2026-11-24, not 'yesterday'"),
        ("since=20261124", "since must be a day such as 2026-11-24, not '20261124'"),
        ("until=2026-02-30", "until must be a day such as 2026-11-24, not '2026-02-30'"),
        ("until=9999-12-31", "until must be a day such as 2026-11-24, not '9999-12-31'"),
        ("since=2026-01-03&until=2026-01-02", "since (2026-01-03) must not be after until (2026-01-02)"),
        ("min_sources=21", "min_sources must be a whole number from 1 to 20"),
        ("lang=en-GB", "lang must be a language's code such as en, not 'en-GB'"),
        ("lang=" + "x" * 5000, f"lang must be a language's code such as en, not '{'x' * 40}…'"),
        ("q=" + "x" * 201, "q may have at most 12 words and 200 characters"),
        ("q=" + "+".join("abcdefghijklm"), "q may have at most 12 words and 200 characters"),
        ("-q=" + "x+" * 150, "-q may have at most 12 words and 200 characters"),
    ],
)
def test_what_cannot_be_asked_for(query, why):
    with pytest.raises(BadQuery) as caught:
        asked(query)
    assert str(caught.value) == why


def test_everything_has_its_place():
    query = address(EVERYTHING.fields)
    assert query == (
        "?q=chips+%22series+a%22&-q=intel&section=tech&source=12&label=funding&since=2026-01-02&until=2026-03-04"
        "&min_sources=2&lang=en"
    )
    assert asked(query[1:]) == EVERYTHING
    assert EVERYTHING.typed == 'chips "series a" -intel'
    assert EVERYTHING.said == (
        'chips "series a"',
        "without intel",
        "tech",
        "labelled funding",
        "from source 12",
        "since 2026-01-02",
        "until 2026-03-04",
        "2 sources or more",
        "in en",
    )
    assert address(Narrowing().fields) == ""


def test_the_order_of_parameters_makes_no_other_question():
    parts = address(EVERYTHING.fields)[1:].split("&")
    assert asked("&".join(reversed(parts))) == EVERYTHING


words = st.text(max_size=40) | st.sampled_from(
    ['"a b" c', "-x", '-"y z"', "ﬁne ½ ǅ ẞ İ", "a-b c.d", "“q r”", '"', "- -"]
)
values = st.sampled_from(
    ["", "tech", "12", "funding", "2026-01-02", "2025-12-31", "1", "2", "20", "99", "en", "EN", "x y"]
)


@given(st.lists(st.tuples(st.sampled_from([*sorted(NAMES), "utm_source"]), words | values), max_size=12))
def test_the_kept_form_is_a_fixed_point_and_nothing_else_is_raised(fields):
    query = urlencode(fields)
    try:
        only = asked(query)
    except BadQuery:
        return
    kept = address(only.fields)
    assert asked(kept[1:]) == only
    assert address(asked(kept[1:]).fields) == kept
    assert list(parse_qs(kept[1:])) == list(only.fields)
    assert len(only.wanted) <= MAX_TERMS
    assert all(len(value) <= MAX_WORDS for value in only.fields.values())
    assert bool(only) == bool(kept)


@given(st.text(max_size=300))
def test_no_target_is_an_error(target):
    assert set(fields_of(target)) <= NAMES
    with contextlib.suppress(BadQuery):
        narrowing(fields_of(target))
