"""What a request's headers ask for: a coding, a media type, or nothing because the client has it already. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from aggregator.types import Rendered

CODINGS = ("br", "gzip")  # in our order of preference
ETAG_SUFFIXES = {"identity": "", "gzip": "-gz", "br": "-br"}
_FEED_TYPES = (
    "application/atom+xml",
    "application/rss+xml",
    "application/rdf+xml",
    "application/feed+json",
    "application/json",
    "application/xml",
    "text/xml",
)
_MAX_HEADER = 1000  # characters; longer ones are not worth parsing


@lru_cache(maxsize=1024)
def accepted_codings(header: str | None) -> tuple[str, ...]:
    """The codings among CODINGS that the client takes, best first; `identity` stands where it is better than the rest.

    A missing header means that anything would do, but what clients without one mean is: nothing (RFC 9110 §12.5.3).
    """
    if not header or len(header) > _MAX_HEADER:
        return ("identity",)
    weights = _weights(header)
    rest = weights.get("*", 0.0)
    identity = weights.get("identity", 1.0 if not any(weights.values()) else 0.001)
    offers = [(weights.get(coding, rest), coding) for coding in CODINGS] + [(identity, "identity")]
    chosen = sorted(((weight, coding) for weight, coding in offers if weight > 0), key=lambda offer: -offer[0])
    return tuple(coding for _, coding in chosen) or ("identity",)


def representation(document: Rendered, header: str | None) -> tuple[str, bytes]:
    """(coding, bytes) of the document to send to a client with this Accept-Encoding."""
    for coding in accepted_codings(header):
        body = document.brotli if coding == "br" else document.gzip if coding == "gzip" else document.body
        if body is not None:
            return coding, body
    return "identity", document.body


@lru_cache(maxsize=1024)
def preferred_type(header: str | None, offered: Sequence[str]) -> str:
    """The media type among `offered` that Accept likes best; the first of them on a tie, and where nothing fits."""
    if not header or len(header) > _MAX_HEADER:
        return offered[0]
    weights = _weights(header)
    return max(offered, key=lambda media_type: _liked(weights, media_type))


@lru_cache(maxsize=1024)
def prefers_page(header: str | None) -> bool:
    """Whether Accept likes text/html strictly better than everything a feed could be, and than `*/*`: a browser does,
    a feed reader does not."""
    if not header or len(header) > _MAX_HEADER or "text/html" not in header:
        return False
    weights = _weights(header)
    feeds = max(_liked(weights, media_type) for media_type in _FEED_TYPES)
    return weights.get("text/html", 0.0) > max(feeds, weights.get("*/*", 0.0))


def wants_delta(header: str | None) -> bool:
    """Whether A-IM takes a feed with only its new items (RFC 3229 §10.5.3, `A-IM: feed`)."""
    return header is not None and len(header) <= _MAX_HEADER and _weights(header).get("feed", 0.0) > 0


def known_etags(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The tags of If-None-Match without quotes, weakness and the suffix of a coding."""
    tags = []
    for tag in (headers.get("If-None-Match") or "")[:_MAX_HEADER].split(","):
        bare = tag.strip().removeprefix("W/")
        if len(bare) > 2 and bare[0] == bare[-1] == '"':
            tags.append(bare[1:-1].removesuffix("-gz").removesuffix("-br"))
    return tuple(tags)


def is_not_modified(headers: Mapping[str, str], etag: str, last_modified: datetime) -> bool:
    """Whether a GET or HEAD may be answered 304: If-None-Match decides where it stands (compared weakly), else
    If-Modified-Since (RFC 9110 §13.2.2). `etag` is quoted."""
    known = headers.get("If-None-Match")
    if known is not None:
        return _matches(known, etag, weak=True)
    since = _http_date(headers.get("If-Modified-Since"))
    return since is not None and last_modified <= since


def is_failed_precondition(headers: Mapping[str, str], etag: str, last_modified: datetime) -> bool:
    """Whether the client asked only for a document that this one is not: 412 (RFC 9110 §13.1.1, §13.1.4)."""
    wanted = headers.get("If-Match")
    if wanted is not None:
        return not _matches(wanted, etag, weak=False)
    unmodified = _http_date(headers.get("If-Unmodified-Since"))
    return unmodified is not None and last_modified > unmodified


def _matches(header: str, etag: str, *, weak: bool) -> bool:
    if header == etag or header.strip() == "*":
        return True
    # Our tags hold no comma, so that cutting a foreign tag in two cannot make one of ours.
    tags = (tag.strip() for tag in header.split(","))
    return etag in ((tag.removeprefix("W/") for tag in tags) if weak else tags)


def _http_date(value: str | None) -> datetime | None:
    if not value or len(value) > 64:
        return None
    try:
        at = parsedate_to_datetime(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _liked(weights: Mapping[str, float], media_type: str) -> float:
    family = media_type.split("/")[0]
    for pattern in (media_type, f"{family}/*", "*/*"):
        if pattern in weights:
            return weights[pattern]
    return 0.0


def _weights(header: str) -> dict[str, float]:
    """`a;q=0.5, b` as {"a": 0.5, "b": 1.0}; parameters but q do not count, a q nobody can read is 0."""
    weights: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameters = part.strip().lower().partition(";")
        weight = 1.0
        for parameter in parameters.split(";"):
            key, _, value = parameter.strip().partition("=")
            if key.strip() == "q":
                weight = _quality(value.strip())
        if name.strip():
            weights[name.strip()] = max(weight, weights.get(name.strip(), 0.0))
    return weights


def _quality(value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
