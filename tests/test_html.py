"""`html`: what strangers' markup may keep, and that no markup takes long."""

from __future__ import annotations

import re
import time
from xml.sax.saxutils import escape

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aggregator.html import (
    _CLEANER,
    MAX_HTML,
    _with_absolute_addresses,
    _xml_safe,
    as_valid,
    first_image,
    sanitise,
    to_text,
)
from aggregator.text import xml_safe

BASE = "https://herald.example/2026/story.html"
REL = 'rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("markup", "cleaned"),
    [
        ("plain text", "plain text"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("<p>One<p>Two", "<p>One</p><p>Two</p>"),
        ("<b>open", "<b>open</b>"),
        ('<a href="/x?a=1&b=2">x</a>', f'<a href="https://herald.example/x?a=1&amp;b=2" {REL}>x</a>'),
        ('<a href="other.html">x</a>', f'<a href="https://herald.example/2026/other.html" {REL}>x</a>'),
        ('<a href="//cdn.example/x">x</a>', f'<a href="https://cdn.example/x" {REL}>x</a>'),
        ('<a href="mailto:ann@herald.example">x</a>', f'<a href="mailto:ann@herald.example" {REL}>x</a>'),
        ('<a href="https://a.example/" target="_top" ping="/p">x</a>', f'<a href="https://a.example/" {REL}>x</a>'),
        ('<img src="a.png" alt="A" loading="lazy">', '<img src="https://herald.example/2026/a.png" alt="A">'),
        ('<p class="x" id="y" style="color:red">t</p>', "<p>t</p>"),
        ('<time datetime="2026-01-01">new year</time>', '<time datetime="2026-01-01">new year</time>'),
        ("<!-- secret --><custom-tag>kept text</custom-tag>", "kept text"),
        ("<noscript><img src='https://a.example/1.png'></noscript>", '<img src="https://a.example/1.png">'),
        ("x\x0b&#1;y\x00z", "xyz"),
        ("", ""),
    ],
)
def test_markup_is_cleaned(markup: str, cleaned: str) -> None:
    assert sanitise(markup, BASE) == cleaned


def test_relative_addresses_are_lost_without_a_base() -> None:
    assert sanitise('<a href="/x">x</a><img src="y.png">') == f"<a {REL}>x</a>"


# The ways to run a script that browsers have known; each must come out without any of them.
ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src=`javascript:alert(1)`>",
    "<img/onerror=alert(1) src=x>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a>",
    "<iframe src='https://evil.example/'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='https://evil.example/x.swf'></object><embed src=x>",
    "<form action='https://evil.example/'><input><button formaction='javascript:alert(1)'>x</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<base href='https://evil.example/'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<video poster='javascript:alert(1)' onloadstart=alert(1)><source onerror=alert(1)></video>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<template><script>alert(1)</script></template>",
    "<textarea><script>alert(1)</script></textarea>",
    "<title><img src=x onerror=alert(1)></title>",
    "<xmp><img src=x onerror=alert(1)></xmp>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<details open ontoggle=alert(1)>x</details>",
    "<p title='\"><script>alert(1)</script>'>x</p>",
    "<a href='https://a.example/\" onclick=\"alert(1)'>x</a>",
    "<img srcset='javascript:alert(1)' src='https://a.example/1.png'>",
]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("wrap", ["{}", "<p>{}</p>", "<table><tr><td>{}", "<b>{}"])
def test_no_attack_survives(attack: str, wrap: str) -> None:
    cleaned = sanitise(wrap.format(attack), BASE)
    for tag in re.findall(r'<[a-zA-Z](?:[^"<>]|"[^"]*")*>', cleaned):
        assert not re.match(r"<(?:script|style|iframe|object|embed|form|input|meta|base|link|svg|math|video)\b", tag), (
            tag
        )
        names = re.findall(r' ([a-z-]+)="', re.sub(r'="[^"]*"', '="', tag))
        assert not [name for name in names if name.startswith("on") or name in ("style", "srcset", "srcdoc")], tag
        for address in re.findall(r' (?:href|src)="([^"]*)"', tag):
            assert re.match(r"(?:https?://|mailto:)", address), tag
    assert sanitise(cleaned, BASE) == cleaned


@pytest.mark.parametrize(
    "picture",
    [
        '<img src="https://count.example/x" width="1" height="1">',
        '<img height=0 src="https://count.example/x">',
        '<img src="https://feeds.feedburner.com/~r/herald/~4/abc">',
        '<img src="https://cdn.example/pixel.gif?u=1">',
        '<img src="data:image/png;base64,AAAA">',
        '<img src="cid:1">',
        "<img>",
    ],
)
def test_pictures_that_show_nothing_are_dropped(picture: str) -> None:
    assert sanitise(f"a{picture}b", BASE) == "ab"
    assert first_image(f"a{picture}b", BASE) is None


@pytest.mark.parametrize(
    ("markup", "image"),
    [
        ('<p><img src="https://a.example/1.jpg"></p>', "https://a.example/1.jpg"),
        ("<IMG SRC='/1.jpg'>", "https://herald.example/1.jpg"),
        ('<img src="https://a.example/?a=1&amp;b=2" alt="x > y">', "https://a.example/?a=1&b=2"),
        ('<img src="https://a.example/1.gif" width="1"><img src="https://a.example/2.jpg">', "https://a.example/2.jpg"),
        ("<p>none</p>", None),
        ("", None),
    ],
)
def test_first_image_is_found(markup: str, image: str | None) -> None:
    assert first_image(markup, BASE) == image


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One</p><p>Two<br>three</p>", "One Two three"),
        ("<ul><li>a<li>b</ul>", "a b"),
        ("AT&amp;T &#8217; &nbsp; x", "AT&T ’ x"),
        ("in<b>side</b> a word", "inside a word"),
        ("a < b and <script>no()</script>more", "a < b and more"),
        ("  white \n space  ", "white space"),
        ("<!-- c -->x<style>p{}</style>", "x"),
        ("<td>a</td><td>b</td>", "a b"),
        ("5 &lt; 6", "5 < 6"),
    ],
)
def test_text_is_what_readers_see(markup: str, text: str) -> None:
    assert to_text(markup) == text


def test_long_markup_is_cut_between_tags() -> None:
    cleaned = sanitise(f"<p>{'word ' * 1000}</p>" * 60)
    assert MAX_HTML - 6000 < len(cleaned) <= MAX_HTML + len("</p>")
    assert cleaned.endswith("</p>")


def test_absurdly_nested_markup_keeps_its_words_alone() -> None:
    assert sanitise("<div>" * 5000 + "words &amp; more <b>here</b>").split() == ["words", "&amp;", "more", "here"]


@pytest.mark.parametrize(
    "piece",
    [
        "<div>",
        "<b>",
        "<div></b>",
        "<p><b>",
        "<a href=x>",
        "<table>",
        "<ul><li>",
        "<",
        "<!--",
        "&",
        "<img src=x",
        "<img ",
        "<p a=",
        "</p>",
    ],
)
def test_no_markup_takes_long(piece: str) -> None:
    markup = piece * (MAX_HTML * 2 // len(piece))
    start = time.process_time()
    sanitise(markup, BASE)
    to_text(markup)
    first_image(markup, BASE)
    assert time.process_time() - start < 2.0  # most take a hundredth of that; unbounded, nested <div> took minutes


@given(st.text(alphabet=st.characters(codec=None), max_size=60) | st.sampled_from(ATTACKS))
def test_whatever_comes_out_fits_xml(markup: str) -> None:
    etree.fromstring(f"<x>{escape(sanitise(markup, BASE))}{escape(to_text(markup))}</x>")


@given(
    st.text(alphabet=st.sampled_from("a\x00\x0b\n\x1f\x7f\ud800\ufffe\uffff\ufdd0\U0001fffe\U0010ffffé😀"), max_size=12)
)
def test_short_cut_to_xml_safety_changes_nothing(text: str) -> None:
    assert _xml_safe(text) == xml_safe(text)


@pytest.mark.parametrize(
    ("markup", "valid"),
    [
        ("<img src='https://a.example/1.png'>", '<img src="https://a.example/1.png" alt="">'),
        ("<img src='https://a.example/1.png' alt='A &gt; B'>", '<img src="https://a.example/1.png" alt="A &gt; B">'),
        ("<img title=' alt=' src='https://a.example/'>", '<img title=" alt=" src="https://a.example/" alt="">'),
        ("<a href='javascript:x'>x</a>", "<a>x</a>"),
        ("<a title='&quot; href=&quot;' href='javascript:x'>x</a>", "<a>x</a>"),
        (
            "<a title='t' href='https://a.example/'>x</a>",
            '<a title="t" href="https://a.example/" rel="noopener noreferrer nofollow">x</a>',
        ),
        ("<b>x</b> &amp; <i>y</i>", "<b>x</b> &amp; <i>y</i>"),
    ],
)
def test_what_is_published_is_valid(markup: str, valid: str) -> None:
    assert as_valid(sanitise(markup)) == valid
    assert as_valid(valid) == valid


# ---------------------------------------------------------------- relative addresses

_PIECES = st.sampled_from(
    [
        *("/a", "ü ß", "a?b=1&amp;c=2", "?q", "#part", "//other.example/x", "../up", "http:odd", "//[", "javascript:x"),
        *("https://else.example/", "mailto:a@b", "&quot;&lt;&gt;", "%zz", "data:,x", "HTTP://UP.example", " /x ", ""),
    ]
)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "img"]), _PIECES), max_size=6),
    st.sampled_from([None, "https://here.example/sub/page?x=1", "no address"]),
)
def test_relative_addresses_are_resolved_as_by_cleaning_it_all_with_the_base(
    found: list[tuple[str, str]], base: str | None
) -> None:
    markup = "".join(
        f'<p lang="en">&lt;a href="/text"&gt; <a title="x" href="{address}">t href="/t"</a></p>'
        if tag == "a"
        else f'<img alt="a href=&quot;/x" src="{address}" width="90">'
        for tag, address in found
    )
    theirs = nh3.Cleaner(
        tags={"a", "p", "img"},
        attributes={"a": {"href", "title"}, "img": {"src", "alt", "width"}, "p": {"lang"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        url_relative=("rewrite_with_base", base) if base and base.startswith("https") else "deny",
    ).clean(markup)
    ours = _with_absolute_addresses(_CLEANER.clean(markup), base)
    assert ours == theirs
    shown = re.findall(r'<img[^>]* src="(?i:http)[^>]*>', theirs)
    assert re.findall("<img[^>]*>", sanitise(markup, base)) == shown
