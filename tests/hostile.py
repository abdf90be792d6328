"""What feeds have been seen, or must be expected, to carry in any field: for tests of whatever we put out."""

from __future__ import annotations

from builders import a_source_ref, a_stored_entry, a_story

from aggregator.types import Enclosure, Event, Story

TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "<![CDATA[<b>x</b>]]>",
    "<!--<script>alert(1)</script>-->",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "&undefined; & AT&T <3 >",
    "null \x00 bell \x07 tab \x0b form \x0c escape \x1b",
    "lone \ud800 surrogate \udfff",
    "nonchar \ufffe \uffff \U0001ffff",
    "override \u202e egassem \u2066 isolate",
    "zero \u200b width \ufeff",
    "new\nline\r\nand\ttab\u2028and\u2029para\x85next",
    "عنوان بالعربية",
    "日本語の見出し",
    "👩‍👩‍👧‍👦 family",
    "x" * 5000,
)
ADDRESSES = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "//evil.example/x",
    'https://evil.example/"onmouseover="alert(1)',
    "https://evil.example/'><script>alert(1)</script>",
    "https://user:secret@evil.example/",
    "https://evil.example/\x00\x1f",
    "https://",
    "http://[::1",
    "",
)
MARKUP = (
    "<p onclick=alert(1)>x</p><script>alert(1)</script>",
    "<iframe src=https://evil.example></iframe><object data=x></object>",
    "<a href='javascript:alert(1)'>x</a><a href='data:text/html,x'>y</a>",
    "<img src='https://ok.example/a.png' onerror=alert(1)>",
    "<img alt='><script>alert(1)</script>' src='https://ok.example/a.png'>",
    "<svg><script>alert(1)</script></svg><math><mtext></mtext></math>",
    "<style>*{background:url(//evil.example)}</style><link rel=stylesheet href=//evil.example>",
    "<form action=https://evil.example><input name=x></form>",
    "<p>\x0b ]]> \ud800 \ufffe</p>",
    "<div><div><p>never closed <b>bold",
    "<p style='position:fixed;top:0'>x</p>",
    "<base href=https://evil.example><meta http-equiv=refresh content=0>",
)


def stories() -> list[Story]:
    """A story for each text, with hostile matter in every field that a feed fills."""
    made = []
    for number, text in enumerate(TEXTS):
        address = ADDRESSES[number % len(ADDRESSES)]
        markup = MARKUP[number % len(MARKUP)]
        source = a_source_ref(
            title=text, feed_id=number + 10, url=f"https://s{number}.example/feed?token=s3cret", site_url=address
        )
        entry = a_stored_entry(
            title=text,
            source=source,
            link=address if number % 2 else f"https://s{number}.example/a",
            author=text,
            categories=(text, address, *TEXTS[:20]),
            summary=markup if number % 3 else text,
            content=markup,
            image_url=address,
            enclosures=(Enclosure(address, text, -1), Enclosure(f"https://s{number}.example/a?b&c", "audio/mpeg", 7)),
            comments_url=address,
            comment_count=-5,
            language=text,
        )
        other = a_stored_entry(
            title=text, source=a_source_ref(title=f"Other {text}"[:400], feed_id=900 + number), link=address
        )
        event = Event("funding", text, text, 1e6, "USD", text, 7, (text,))
        made.append(a_story(entries=(entry, other), labels=(text,), events=(event,)))
    return made
