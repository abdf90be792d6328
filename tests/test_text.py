import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aggregator import text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Bank\x0b lifts rates", "Bank lifts rates"),
        ("lone \ud83d surrogate", "lone surrogate"),
        ("evil \u202egnp.exe", "evil gnp.exe"),
        ("  two\n\tlines\u00a0here ", "two lines here"),
        ("e\u0301 stays, \U0001f412 too", "e\u0301 stays, \U0001f412 too"),
        ("\ufeffBOM", "BOM"),
    ],
)
def test_one_line_is_what_a_person_reads(raw, clean):
    assert text.one_line(raw) == clean


def test_one_line_has_a_limit():
    assert text.one_line("x" * 5000, limit=20) == "x" * 19 + "…"


@given(st.text())
def test_whatever_comes_out_fits_into_xml(raw):
    root = etree.Element("t")
    root.text = text.xml_safe(raw)  # raises ValueError for anything XML cannot carry
    assert etree.fromstring(etree.tostring(root)).text in (text.xml_safe(raw).replace("\r\n", "\n"), root.text, None)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Acme’s profit jumps 40%", "ACME'S PROFIT JUMPS 40 %"),
        ("Ｆull width headline", "Full width headline"),
        ("Fed holds rates — again", "Fed holds rates: again"),
    ],
)
def test_title_key_ignores_dress(a, b):
    assert text.title_key(a) == text.title_key(b) != ""


@pytest.mark.parametrize("title", ["Live", "Morning", "", "…", "AI"])
def test_title_key_is_empty_where_a_title_says_nothing(title):
    assert text.title_key(title) == ""


def test_different_numbers_are_different_keys():
    assert text.title_key("Acme raises $40 million") != text.title_key("Acme raises $45 million")


def test_words_keep_what_belongs_together():
    found = text.words("AT&T’s U.S. revenue: 4.5 billion, up-beat")
    assert found == ["at&t's", "u.s", "revenue", "4.5", "billion", "up-beat"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(10, "One two three. Four five six seven."), (4, "One two three. Four …"), (3, "One two three. …")],
)
def test_excerpt_cuts_at_words(count, expected):
    assert text.excerpt("One two three. Four five six seven.", count) == expected


def test_patterns_are_linear_and_say_what_is_wrong():
    evil = text.compile_pattern("(a+)+$")
    assert evil.search("a" * 50_000 + "!") is None
    assert text.compile_pattern(r"(?i)\bipo\b").search("Acme files for IPO")
    with pytest.raises(ValueError, match=r"missing|unexpected"):
        text.compile_pattern("(unclosed")
    with pytest.raises(ValueError):
        text.compile_pattern(r"(?=look)ahead")


@given(st.text(alphabet=string.printable))
def test_one_line_is_idempotent(raw):
    assert text.one_line(text.one_line(raw)) == text.one_line(raw)
