"""Addresses as strings: which are safe to keep, which name the same page, whose they are, how to show them in a log.

Nothing here touches the network; `ingest.addresses` judges what a host name resolves to.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit
from uuid import UUID

MAX_URL = 2048  # characters; longer ones are data, not addresses

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ufeff\u200b<>\"\\^`{|}]")
_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
# Four in five addresses: what `http_url` would give back as they are.
_PLAIN = re.compile(
    r"https?://[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){1,3}(?::(?!80/|443/)[1-9][0-9]{1,3})?"
    r"/[A-Za-z0-9/._~%=&+,;:@!$'()*-]*"
    r"(?:\?[A-Za-z0-9/._~%=&?+,;:@!$'()*-]+)?"
)
# Where such an address leads, without taking it apart.
_PLAIN_SERVER = re.compile(r"https?://([a-z0-9][a-z0-9.-]*[a-z0-9](?::(?!80[/?#]|443[/?#])[1-9][0-9]{1,3})?)[/?#]")
# A reference below a base of which nothing needs thought: no empty segment, none that begins with a dot, no `;`.
_SEGMENT = r"[A-Za-z0-9_~%=&+,@-][A-Za-z0-9._~%=&+,@-]*"
_PLAIN_REFERENCE = re.compile(rf"/?(?:{_SEGMENT}(?:/|\Z))+")
_PLAIN_BASE = re.compile(rf"(https?://[a-z0-9][a-z0-9.:-]*)(/(?:{_SEGMENT}/)*)(?:{_SEGMENT})?")
_HOST = re.compile(r"^(?:[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\.?|\[[0-9a-f:.]+\])$")

# Parameters that say where a reader came from, never which page it is.
_TRACKING = re.compile(
    r"^(?:utm_.*|at_(?:medium|campaign|link.*|ptr.*|bbc.*|format)|fbclid|gclid|dclid|gbraid|wbraid|msclkid|twclid|yclid|igshid|mc_[ce]id"
    r"|_hs(?:enc|mi)|hs[a-z]*tracking|mkt_tok|vero_(?:id|conv)|oly_(?:anon|enc)_id|ns_(?:mchannel|source|campaign|linkname|fee)"
    r"|cmp(?:id)?|cmpid|icid|intcid|ito|spm|sref|smid|smtyp|ref_?src|ref_url|referrer|xtor|xts|trk(?:campaign)?|taid|guccounter|guce_referrer.*"
    r"|ncid|partner(?:id)?|rss(?:_?id)?|rssfeed|feedtype|from_?feed|wt[._]?mc(?:_id|_ev)?|wtrid|piwik_.*|pk_(?:campaign|kwd|source|medium)|mtm_.*|s_cid|ocid"
    r"|soc_(?:src|trk)|share|shareid|sh_kit|amp|outputtype|output_type|__twitter_impression|embedded-checkout|syndication|traffic_source"
    r"|campaign(?:_?id)?|cid|source|via|medium|src|ref)$",
    re.IGNORECASE,
)
# These are tracking on most sites and the page's very name on some: dropped only when the value looks like a label.
_AMBIGUOUS = frozenset(
    ["source", "via", "medium", "src", "ref", "cid", "share", "campaign", "partner", "rss", "cmp", "amp"]
)
_LABEL_VALUE = re.compile(
    r"^(?:rss\d?(?:[_.-].*)?|.*[_.-]?rss(?:feed)?|feeds?(?:burner)?|atom|twitter|tw|facebook|fb|linkedin|newsletter"
    r"|email|home(?:page)?|hp|amp|true|1|social)$",
    re.IGNORECASE,
)

_MOBILE_HOST = re.compile(r"^(?:(?:www\d?|m|mobile|amp)\.)+(?=[^.]+\.[^.])")
_INDEX = re.compile(r"/(?:index|default)\.(?:html?|php|aspx?|jsp)$", re.IGNORECASE)
# Hosts where the query or fragment after these forms wraps the real address.
_WRAPPERS = {
    "news.google.com": ("url",),
    "www.google.com": ("url", "q"),
    "google.com": ("url", "q"),
    "l.facebook.com": ("u",),
    "www.bing.com": ("url",),
    "bing.com": ("url",),
    "rd.bizrate.com": ("t",),
    "go.theregister.com": (),
    "redirect.viglink.com": ("u",),
    "out.reddit.com": ("url",),
    "t.umblr.com": ("z",),
    "r.search.yahoo.com": (),
}
_TWO_LEVEL = frozenset(
    ("ac co com edu gov go gob gouv govt gv id info ltd me mil mod ne net nhs nom or org plc police sch").split()
)
# Everybody's blogs live below these: the publisher is one label further down.
_SHARED_HOSTS = frozenset(
    (
        "blogspot.com wordpress.com substack.com medium.com tumblr.com github.io gitlab.io typepad.com ghost.io "
        "livejournal.com beehiiv.com netlify.app vercel.app pages.dev web.app weebly.com herokuapp.com "
        "squarespace.com wixsite.com hatenablog.com"
    ).split()
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SECRET_PARAMETER = re.compile(
    r"(?:token|key|secret|pass(?:word)?|pwd|auth|sig(?:nature)?|session|access|credential|code|jwt|sid)", re.IGNORECASE
)


def http_url(url: str | None, base: str | None = None) -> str | None:
    """The absolute http(s) address that `url` names seen from `base`, or None if it is not one we would ever follow.

    Anything but http and https is refused (javascript:, data:, file: …), and so are addresses with credentials, without
    a host, with control characters or longer than MAX_URL. Non-ASCII is escaped, the host made IDNA (RFC 3987 §3.1).
    """
    if not url:
        return None
    if len(url) <= MAX_URL and _PLAIN.fullmatch(url):
        return url
    if base and (joined := _joined_plainly(base, url)):
        return joined
    url = url.strip()
    if not url or len(url) > MAX_URL:
        return None
    url = url.replace("\n", "").replace("\r", "").replace("\t", "")  # as browsers do (WHATWG URL, basic parser step 3)
    try:
        if base and not _SCHEME.match(url):
            url = urljoin(base, url)
        parts = urlsplit(url)
        if parts.scheme.lower() not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            return None
        host = _ascii_host(parts.hostname or "")
        port = parts.port
    except (ValueError, UnicodeError):
        return None
    if host is None:
        return None
    scheme = parts.scheme.lower()
    netloc = host if port is None or port == {"http": 80, "https": 443}[scheme] else f"{host}:{port}"
    fixed = urlunsplit((scheme, netloc, _encode(parts.path) or "/", _encode(parts.query), _encode(parts.fragment)))
    return fixed if len(fixed) <= MAX_URL else None


def _joined_plainly(base: str, reference: str) -> str | None:
    """The address of a plain reference seen from a plain base, in a fifth of the time of urljoin and what follows it;
    None where either is not plain."""
    if not _PLAIN_REFERENCE.fullmatch(reference) or not (found := _PLAIN_BASE.fullmatch(base)):
        return None
    joined = found[1] + reference if reference[0] == "/" else found[1] + found[2] + reference
    return joined if len(joined) <= MAX_URL and _PLAIN.fullmatch(joined) else None


def _ascii_host(host: str) -> str | None:
    if ":" in host:
        host = f"[{host}]"
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    host = host.lower()
    return host if _HOST.match(host) and len(host) <= 253 else None


def _encode(part: str) -> str:
    if part.isascii() and not _CONTROL.search(part):
        return part
    # A lone surrogate is no character and has no bytes; it becomes what stands for one (WHATWG URL, scalar values).
    return quote(_SURROGATE.sub("\ufffd", part), safe="%/:=&?~#+!$,;'@()*[]-._")


@lru_cache(maxsize=4096)
def canonical_url(url: str | None) -> str | None:
    """One address for a page however feeds spell it, or None where `http_url` gives none. A key, not for following.

    Scheme, `www.`, mobile and AMP hosts and paths, tracking parameters, fragment, default port, index file, trailing
    slash, host case and parameter order do not count; feed proxies and redirectors that carry an address are unwrapped.
    """
    clean = http_url(url)
    for _ in range(3):  # wrappers in wrappers exist; more of them is a trap
        if clean is None:
            return None
        parts = _parts_of(clean)
        inner = _unwrapped(parts)
        if inner is None:
            break
        clean = inner
    else:
        parts = _parts_of(clean) if clean else parts
    host = parts.netloc.rstrip(".")
    host = _MOBILE_HOST.sub("", host)
    path = _canonical_path(parts.path)
    query, fragment = _canonical_query(parts.query), _kept_fragment(parts.fragment)
    return f"https://{host}{path}{'?' if query else ''}{query}{'#' if fragment else ''}{fragment}"


class _Parts(NamedTuple):
    netloc: str
    path: str
    query: str
    fragment: str


def _parts_of(clean: str) -> _Parts:
    """The parts of what `http_url` gave, in a fifth of the time of urlsplit, which would look for faults again."""
    rest, _, fragment = clean.partition("://")[2].partition("#")
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    return _Parts(netloc, slash + path, query, fragment)


def _unwrapped(parts: _Parts) -> str | None:
    """The address inside a redirector's or an AMP cache's address, None if it is not one."""
    host = parts.netloc.partition(":")[0]
    if names := _WRAPPERS.get(host):
        query = dict(parse_qsl(parts.query))
        for name in names:
            if (inner := http_url(query.get(name))) is not None:
                return inner
    is_amp_viewer = host.endswith("google.com") and parts.path.startswith("/amp/")
    if is_amp_viewer or host == "cdn.ampproject.org" or host.endswith(".cdn.ampproject.org"):
        match = re.match(r"^/(?:[a-z]/|amp/)?(s/)?([^/]+\.[^/]+/.*)$", parts.path)
        if match:
            return http_url(("https://" if match[1] else "http://") + match[2])
    is_feed_proxy = host in ("feedproxy.google.com", "feeds.feedburner.com", "rss.feedsportal.com")
    if is_feed_proxy and (position := parts.path.find("/http")) > 0:
        return http_url(unquote(parts.path[position + 1 :]).replace(":/", "://", 1).replace(":///", "://"))
    return None


def _canonical_path(path: str) -> str:
    # Folding one thing may lay bare another (`/index.html/amp`): until nothing changes, or a key has two forms.
    while (folded := _folded(path)) != path:
        path = folded
    return path


def _folded(path: str) -> str:
    # Looking for a word first: most addresses have nothing to fold, and a pattern finds that out ten times slower.
    if "//" in path:
        path = re.sub(r"/{2,}", "/", path)
    if "%" in path:
        path = re.sub(r"%[0-9a-fA-F]{2}", lambda m: _decoded_octet(m[0]), path)
    path = _INDEX.sub("/", path or "/")
    if "amp" in path:
        path = re.sub(r"^/amp(?=/)|/amp/?$|(?<=\w)\.amp(?=\.html$|$)|(?<=/)amp/(?=[^/]+/?$)", "", path) or "/"
    return path.rstrip("/") or "/"


def _decoded_octet(escape: str) -> str:
    """RFC 3986 §6.2.2.2: unreserved characters need no escape; the others get upper-case digits."""
    character = chr(int(escape[1:], 16))
    return character if character.isascii() and (character.isalnum() or character in "-._~") else escape.upper()


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not _is_tracking(name, value)]
    return urlencode(sorted(kept))


def _is_tracking(name: str, value: str) -> bool:
    if name.lower() in _AMBIGUOUS:
        return bool(_LABEL_VALUE.match(value)) or value == ""
    return bool(_TRACKING.match(name))


def _kept_fragment(fragment: str) -> str:
    # `#!` pages are addressed by their fragment; every other fragment points into the same page.
    return fragment if fragment.startswith("!") else ""


def host_key(url: str) -> str:
    """`host` or `host:port` in lower case, IPv6 in brackets: the server that politeness is owed to.

    Empty for what is no address.
    """
    if plain := _PLAIN_SERVER.match(url):
        return plain[1]
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:
        return ""
    host = f"[{host}]" if ":" in host else host  # IPv6: its colons are no port's
    return host if port is None or port in (80, 443) else f"{host}:{port}"


@lru_cache(maxsize=4096)
def publisher_key(url: str | None) -> str:
    """The registrable domain, roughly: whose page it is. Empty for None or what is no address.

    Two labels, three below `co.uk` and its like, one more below hosts where everybody may publish. Not the public
    suffix list: a wrong guess costs a missed duplicate, and the list is stale the day it is packed.
    """
    host = host_key(url or "").split(":")[0]
    if not host or host.startswith("[") or host.replace(".", "").isdigit():
        return host_key(url or "")
    labels = host.split(".")
    if len(labels) <= 2:
        return host
    last_two = ".".join(labels[-2:])
    keep = 3 if (len(labels[-1]) == 2 and labels[-2] in _TWO_LEVEL) or last_two in _SHARED_HOSTS else 2
    return ".".join(labels[-keep:])


def for_log(url: str) -> str:
    """The address fit for logs and lists: no credentials, values of secret-looking parameters masked."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        if parts.netloc != netloc:
            netloc = f"***@{netloc}"
        query = "&".join(_masked(pair) for pair in parts.query.split("&")) if parts.query else ""
        shown = urlunsplit((parts.scheme, netloc, parts.path, query, ""))
    except ValueError:
        shown = url.rpartition("@")[2]
    return _CONTROL.sub(lambda match: quote(match[0]), shown)[:500]


def _masked(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=***" if equals and _SECRET_PARAMETER.search(name) else pair


def story_ref(story_id: UUID) -> str:
    """The first 50 bits of a story's id in base 32, lower case: the ten characters that name it in addresses."""
    return base64.b32encode(story_id.bytes[:7]).decode("ascii").lower()[:10]
