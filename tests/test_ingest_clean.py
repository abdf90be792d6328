"""`ingest.clean`: raw fields into values, the same for every lane."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aggregator.ingest.clean import address, author_name, language_tag, plain
from aggregator.urls import http_url


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("Fish &amp; chips", "Fish & chips"),
        ("<b>Bold</b> claim", "Bold claim"),
        ("Line<br/>break", "Line break"),
        ("Use <section> and <T>", "Use <section> and <T>"),
        ("if x<y and y>z", "if x<y and y>z"),
        ("I <3 feeds", "I <3 feeds"),
        ("<script>alert(1)</script>Safe", "Safe"),
        ("Q&A at AT&T", "Q&A at AT&T"),
        ("  two\n lines ", "two lines"),
        ("a\u202eb\x00c", "abc"),
        ("", ""),
    ],
)
def test_titles_are_plain(markup: str, text: str) -> None:
    assert plain(markup) == text


@pytest.mark.parametrize(
    ("author", "name"),
    [
        (None, None),
        ("", None),
        ("Ann Example", "Ann Example"),
        ("ann@herald.example (Ann Example)", "Ann Example"),
        ("Ann Example <ann@herald.example>", "Ann Example"),
        ("ann@herald.example", "ann@herald.example"),
        ("<a href='x'>Ann</a>", "Ann"),
        ("ann@herald.example ()", "ann@herald.example ()"),
        ("@ann", "@ann"),
    ],
)
def test_authors_are_names(author: str | None, name: str | None) -> None:
    assert author_name(author) == name


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ("en", "en"),
        ("en-us", "en-US"),
        ("EN_gb", "en-GB"),
        ("zh-Hans-CN", "zh-Hans-CN"),
        (" pt-br ", "pt-BR"),
        ("English", None),
        ("e", None),
        ("en us", None),
        ("", None),
        (None, None),
        ("a-" * 100, None),
    ],
)
def test_languages_are_tags(said: str | None, tag: str | None) -> None:
    assert language_tag(said) == tag


@settings(max_examples=500)
@given(
    st.from_regex(
        r"https?://[a-z0-9-]{1,5}(\.[a-zA-Z0-9-]{1,3}){1,2}(:80)?/[a-z0-9/.%=&?;#\[\]é -]{0,8}", fullmatch=True
    )
)
@example("https://-a.example/")
@example("https://a.example/?")
@example("https://a.example/x?#")
@example("https://a.example//x//")
@example("https://a.example/;x;?a;b")
@example("https://a.example/%zz")
def test_short_cut_for_plain_addresses_changes_nothing(url: str) -> None:
    assert address(url) == http_url(url)
