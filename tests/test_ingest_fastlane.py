"""`ingest.fastlane` reads what it surely understands and refuses the rest; `mend` and `document` prepare for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest import fastlane
from aggregator.ingest.document import decode
from aggregator.ingest.mend import mended

RSS = '<rss version="2.0"><channel><title>t</title>{}</channel></rss>'
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>{}</feed>'


@pytest.mark.parametrize(
    "document",
    [
        "",
        "text",
        "<rss",
        RSS.format("<item><title>a</b></title></item>"),  # not well-formed
        RSS.format("<item><title>&nbsp;</title></item>"),
        RSS.format("<item>\x0b</item>"),
        '<rss version="2.0"><title>no channel</title></rss>',
        '<feed version="0.2"><title>no namespace</title></feed>',
        '<feed xmlns="http://purl.org/echo/"><title>a draft of Atom</title></feed>',
        '<rss version="2.0" xmlns="urn:somebody-s-own"><channel/></rss>',
        '<RDF><channel xmlns="http://purl.org/rss/1.0/"/></RDF>',
        "<opml><body/></opml>",
        "<html><body/></html>",
        ATOM.format('<entry><content type="image/png">iVBORw0KGgo=</content></entry>'),
        ATOM.format('<entry><content mode="base64">aGk=</content></entry>'),
        RSS.format("<a>" * 300 + "</a>" * 300),  # deeper than libxml2 goes
    ],
)
def test_what_is_not_surely_understood_is_refused(document: str) -> None:
    assert fastlane.read(document.encode()) is None


def test_no_entity_is_expanded_and_no_file_read() -> None:
    types = '<!DOCTYPE rss [<!ENTITY file SYSTEM "file:///etc/hostname"><!ENTITY ten "0123456789">]>'
    assert fastlane.read((types + RSS.format("<item><title>&file;&ten;</title></item>")).encode()) is None


def test_comments_and_instructions_do_not_split_text() -> None:
    feed = fastlane.read(RSS.format("<item><title>one <!-- no -->two<?no?> three</title></item>").encode())
    assert feed is not None
    assert feed.entries[0].title == "one two three"


def test_first_element_of_its_name_counts() -> None:
    feed = fastlane.read(RSS.format("<item><title/><title>one</title><title>two</title></item>").encode())
    assert feed is not None
    assert feed.entries[0].title == "one"


@pytest.mark.parametrize(
    ("body", "fixed"),
    [
        (RSS.format("a & b"), RSS.format("a &amp; b")),
        (RSS.format("a&nbsp;b&hellip;"), RSS.format("a\xa0b…")),
        (RSS.format("&nosuch; &; &#; &#x; &#xZZ;"), RSS.format("&amp;nosuch; &amp;;   ZZ;")),
        (
            RSS.format("&lt;&gt;&amp;&quot;&apos;&#38;&#x26; & "),
            RSS.format("&lt;&gt;&amp;&quot;&apos;&#38;&#x26; &amp; "),
        ),
        (RSS.format("<![CDATA[a & b &nbsp;]]> & <!-- & -->"), RSS.format("<![CDATA[a & b &nbsp;]]> &amp; <!-- & -->")),
        (RSS.format("&#xD83D;&#xDE00;&#55357;&#56832;"), RSS.format("😀😀")),
        (RSS.format("&#0;&#xFFFF;&#xD800;&#x110000;x"), RSS.format("x")),
        (RSS.format("&sup2;&AMP;"), RSS.format("²&amp;")),
        (RSS.format("x") + "<script>y</script>", RSS.format("x")),
        (RSS.format("x") + RSS.format("y"), None),  # two documents: not ours to choose
        (RSS.format("x"), None),
        ("<rss><channel>x", None),
        (RSS.format("<![CDATA[ & never closed"), None),
    ],
)
def test_common_breakages_are_mended(body: str, fixed: str | None) -> None:
    result = mended(body)
    assert (result[0] if result else None) == fixed


@given(st.text(alphabet="&;#x<>![]-CDAT0aAd8s/r ", max_size=40))
def test_mending_never_raises_and_settles(text: str) -> None:
    once = mended(RSS.format(text))
    assert once is None or mended(once[0]) is None


@pytest.mark.parametrize(
    ("document", "prolog", "body"),
    [
        ("<rss/>", "", "<rss/>"),
        ("\ufeff\n <?xml version='1.0'?>\n<!-- < > --><rss/>", "\n <?xml version='1.0'?>\n<!-- < > -->", "<rss/>"),
        ("<!DOCTYPE rss [<!ENTITY a '>'> ]><rss/>", "<!DOCTYPE rss [<!ENTITY a '>'> ]>", "<rss/>"),
        ("<?xml-stylesheet href='a'?><rss/>", "<?xml-stylesheet href='a'?>", "<rss/>"),
        ("<!-- never closed <rss/>", "", "<!-- never closed <rss/>"),
        ("", "", ""),
    ],
)
def test_prolog_is_cut_off(document: str, prolog: str, body: str) -> None:
    text = decode(document.encode())
    assert (text.prolog, text.body) == (prolog, body)


@pytest.mark.parametrize(
    ("declared", "codec", "text"),
    [
        ("utf-8", "utf-8", "Žižkov"),
        ("windows-1250", "cp1250", "Žižkov"),
        ("iso-8859-2", "iso8859-2", "Žižkov"),
        ("koi8-r", "koi8-r", "Завод"),
        ("shift_jis", "shift_jis", "工場"),
        ("euc-kr", "euc-kr", "공장"),
        ("big5", "big5", "工廠"),
        ("iso-2022-jp", "iso2022_jp", "工場"),
        ("UTF-16", "utf-16", "Žižkov"),
        ("utf-16", "utf-8", "Žižkov"),  # says so and is not
        ("no-such-thing", "utf-8", "Žižkov"),
        ("rot13", "utf-8", "Žižkov"),
        ("unicode_escape", "utf-8", "\\u0041"),
    ],
)
def test_encoding_is_heard(declared: str, codec: str, text: str) -> None:
    document = f'<?xml version="1.0" encoding="{declared}"?><rss>{text}</rss>'.encode(codec)
    assert decode(document).body == f"<rss>{text}</rss>"


def test_utf16_is_recognised_without_a_mark() -> None:
    for codec in ("utf-16-le", "utf-16-be"):
        assert decode('<?xml version="1.0"?><rss>é</rss>'.encode(codec)).body == "<rss>é</rss>"


def test_a_character_cut_in_half_does_not_turn_utf8_into_windows() -> None:
    text = decode("<rss>Žižkov a Žatec</rss>".encode().replace("Ž".encode(), b"\xc5", 1))
    assert (text.body, text.complaint) == ("<rss>\ufffdižkov a Žatec</rss>", "not valid UTF-8")


def test_windows_text_without_a_label_is_read_as_windows() -> None:
    text = decode("<rss>café “fin”</rss>".encode("cp1252"))
    assert (text.body, text.complaint) == ("<rss>café “fin”</rss>", "not valid UTF-8")


@given(st.binary(max_size=60))
def test_any_bytes_decode(document: bytes) -> None:
    decode(document)
    decode(b"<?xml version='1.0' encoding='" + document + b"'?>" + document)
