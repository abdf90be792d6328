"""HTML from strangers: made safe to republish (`sanitise`), made text (`to_text`), a picture found (`first_image`).

nh3 (html5ever, so it sees what a browser sees) does the cleaning by an allow-list of ours; what comes out is a
well-formed fragment with double-quoted attributes, which is what the patterns below lean on.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from functools import lru_cache

import nh3

from aggregator.text import xml_safe
from aggregator.urls import http_url

MAX_HTML = 256 * 1024  # characters; the longest field in 203 real feeds has 79,000
MAX_TAGS = 20_000
MAX_DEPTH = 256  # html5ever's time grows with the square of the depth: 50,000 nested <div> take 4 s


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TAGS = _names(
    "a abbr b bdi bdo blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure "
    "h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strong sub summary sup table "
    "tbody td tfoot th thead time tr u ul var wbr"
)
# Neither the element nor what it holds: none of it is text for a reader.
_DROPPED = _names(
    "applet audio button canvas embed form frame frameset head iframe input math noembed noframes object option script "
    "select style svg template textarea title video xmp"
)
_ATTRIBUTES = {
    "*": {"dir", "lang"},
    "a": {"href", "title"},
    "abbr": {"title"},
    "col": {"span"},
    "colgroup": {"span"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start", "reversed"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "time": {"datetime"},
}

_SCHEMES = {"http", "https", "mailto"}
# In cleaned HTML, whose attributes' names are lower case: an address that is not absolute yet. What every attribute has
# in common comes first, as it is looked for by far the quickest.
_RELATIVE = re.compile(r'="(?:(?<= href=")|(?<= src="))(?!(?i:https?://|mailto:))')
_WITH_ADDRESS = re.compile(r'<(?:a|img)(?: [a-z-]+="[^"]*")+>')
_RELATIVE_ADDRESS = re.compile(r' (href|src)="(?!(?i:https?://|mailto:))([^"]*)"')
_RESOLVED = re.compile(r'<a(?: href="([^"]*)")?></a>')
_IMG = re.compile(r'<img(?: [a-z-]+="[^"]*")*>')
_BARE_IMG = re.compile(r'<img(?!(?: [a-z-]+="[^"]*")*? alt=")(?: [a-z-]+="[^"]*")*>')
_LOST_LINK = re.compile(r'<a(?!(?: [a-z-]+="[^"]*")*? href=")(?: [a-z-]+="[^"]*")+>')
_SRC = re.compile(r' src="([^"]*)"')
_TINY = re.compile(r' (?:width|height)="[01](?:px)?"')
# Pictures that only count readers, on the hosts that feeds carry them from.
_PIXEL = re.compile(
    r"https?://(?:pixel\.|feeds\.feedburner\.com/~r/|feedads\.|ad\.doubleclick\.net/|pi\.feedsportal\.com/|tracking\.|"
    r"(?:www\.)?facebook\.com/tr\b|stats\.wordpress\.com/|b\.scorecardresearch\.com/|(?:www\.)?google-analytics\.com/)"
    r"|[^?]*/(?:pixel|beacon|spacer|blank|1x1|clear)\.(?:gif|png)\b",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"<(?=/?(?:p|div|br|li|ul|ol|h[1-6]|tr|td|th|dt|dd|hr|table|blockquote|pre|section|article|figure|figcaption|img|option)\b)",
    re.IGNORECASE,
)
# html5ever takes what is inside for text, as browsers with scripts do; feeds put the picture there that a script shows.
_NOSCRIPT = re.compile(r"</?noscript\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_TAG_NAME = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Void, or closed by the next of their kind: many of them are no depth.
_FLAT = _names("br hr img input wbr col area base link meta source p li dd dt td th tr option")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))
# In UTF-8, U+FFFE and U+FFFF of every plane end in the first two, U+FDD0 and its like begin with the third.
_FFFE, _FFFF, _FDD0 = b"\xbf\xbe", b"\xbf\xbf", b"\xef\xb7"
_SPACES = re.compile(r"\s+")


def sanitise(markup: str, base_url: str | None = None) -> str:
    """The markup with nothing in it that could harm or track a reader, safe in any HTML page and in XML once escaped.

    Kept are text, links, pictures, lists, tables and the like; addresses are absolute (seen from `base_url`) http or
    https, in links mailto as well; relative ones are lost without a base. Counting pixels are dropped. Longer markup
    than MAX_HTML is cut there.
    """
    if "<" not in markup and "&" not in markup:
        return _xml_safe(markup[:MAX_HTML])
    cleaned = _CLEANER.clean(_bounded(markup))
    if _RELATIVE.search(cleaned):
        cleaned = _with_absolute_addresses(cleaned, base_url)
    if "<img" in cleaned:
        cleaned = _IMG.sub(_real_picture, cleaned)
    return _xml_safe(cleaned)


def as_valid(cleaned: str) -> str:
    """What `sanitise` gave as a validator wants it: pictures that nobody described say so, as a screen reader would
    read out their addresses, and a link that lost its address does not say how to treat one."""
    return _LOST_LINK.sub("<a>", _BARE_IMG.sub(lambda match: f'{match[0][:-1]} alt="">', cleaned))


def to_text(markup: str) -> str:
    """What a reader would see, as one line of plain text: no tags, references resolved, white space folded."""
    if "<" in markup:
        markup = _STRIPPER.clean(_BLOCK.sub(" <", _bounded(markup)))
    if "&" in markup:
        markup = html.unescape(markup)
    return _SPACES.sub(" ", _xml_safe(markup)).strip()


def first_image(markup: str, base_url: str | None = None) -> str | None:
    """The address of the first picture worth showing, absolute, or None. For sanitised and for raw markup."""
    if "<img" not in markup and "<IMG" not in markup:
        return None
    if not _IMG.search(markup):
        markup = sanitise(markup, base_url)
    for tag in _IMG.finditer(markup):
        source = _SRC.search(tag[0])
        if source and _is_worth_showing(tag[0], source[1]):
            return http_url(html.unescape(source[1]), base_url)
    return None


def _with_absolute_addresses(cleaned: str, base_url: str | None) -> str:
    """Cleaned HTML with its relative addresses seen from the base, and without those that this makes nothing of.

    They are nh3's to resolve, as links of their own: cleaning the whole once more took six times as long.
    """
    found: list[str] = []

    def take(tag: re.Match[str]) -> str:
        found.extend(address for _, address in _RELATIVE_ADDRESS.findall(tag[0]))
        return tag[0]

    _WITH_ADDRESS.sub(take, cleaned)
    links = "".join(f'<a href="{address}"></a>' for address in found)
    resolved = iter(_RESOLVED.findall(_resolver_for(base_url).clean(links)))

    def put(attribute: re.Match[str]) -> str:
        address = next(resolved)
        return f' {attribute[1]}="{address}"' if address else ""

    return _WITH_ADDRESS.sub(lambda tag: _RELATIVE_ADDRESS.sub(put, tag[0]), cleaned)


def _xml_safe(text: str) -> str:
    """`text.xml_safe`, which is called for the one text in thousands that may need it: its pattern costs 30 ns a
    character and this check one."""
    try:
        octets = text.encode("utf-8")
    except UnicodeEncodeError:
        return xml_safe(text)
    is_suspect = (
        len(octets.translate(None, _CONTROLS)) != len(octets)
        # Single octets are searched for ten times as quickly, and these two are rare.
        or (0xBF in octets and (_FFFE in octets or _FFFF in octets))
        or (0xEF in octets and _FDD0 in octets)
    )
    return xml_safe(text) if is_suspect else text


def _real_picture(match: re.Match[str]) -> str:
    source = _SRC.search(match[0])
    return match[0] if source and _is_worth_showing(match[0], source[1]) else ""


def _is_worth_showing(tag: str, source: str) -> bool:
    return source[:4].lower() == "http" and not _TINY.search(tag) and not _PIXEL.match(source)


def _bounded(markup: str) -> str:
    """The markup cut at MAX_HTML, `noscript` unwrapped, and without any tag where those nest absurdly deep."""
    if len(markup) > MAX_HTML:
        cut = markup[:MAX_HTML]
        opened = cut.rfind("<")
        markup = cut[:opened] if opened > cut.rfind(">") else cut
    if "noscript" in markup:
        markup = _NOSCRIPT.sub("", markup)
    tags = markup.count("<")
    if tags > MAX_TAGS or (tags > MAX_DEPTH and _is_too_deep(markup)):
        return _TAG.sub(" ", markup).replace("<", "&lt;")
    return markup


def _is_too_deep(markup: str) -> bool:
    open_tags: Counter[str] = Counter()
    depth = 0
    for closing, name in _TAG_NAME.findall(markup):
        name = name.lower()
        if name in _FLAT:
            continue
        if not closing:
            open_tags[name] += 1
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif open_tags[name]:
            open_tags[name] -= 1
            depth -= 1
    return False


@lru_cache(maxsize=256)
def _resolver_for(base_url: str | None) -> nh3.Cleaner:
    """Keeps links and nothing else, their addresses seen from the base; without one it keeps no relative address."""
    base = http_url(base_url)
    return nh3.Cleaner(
        tags={"a"},
        clean_content_tags=set(),
        attributes={"a": {"href"}},
        url_schemes=_SCHEMES,
        link_rel=None,
        url_relative=("rewrite_with_base", base) if base else "deny",
    )


_CLEANER = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags=set(_DROPPED),
    attributes=_ATTRIBUTES,
    url_schemes=_SCHEMES,
    link_rel="noopener noreferrer nofollow",
    url_relative="pass_through",
)
_STRIPPER = nh3.Cleaner(tags=set(), clean_content_tags=set(_DROPPED - {"option", "button", "title"}), attributes={})
