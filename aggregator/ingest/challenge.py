"""Whether an answer is a guard at the door instead of the feed: a challenge page, a captcha, a ban. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_HEADERS = (
    ("cf-mitigated", "challenge", "Cloudflare"),
    ("x-amzn-waf-action", "", "AWS WAF"),
    ("x-datadome", "protected", "DataDome"),
    ("x-sucuri-block", "", "Sucuri"),
    ("x-vercel-mitigated", "", "Vercel"),
)
_MARKS = (
    (b"/cdn-cgi/challenge-platform", "Cloudflare"),
    (b"cf-browser-verification", "Cloudflare"),
    (b"cf_chl_opt", "Cloudflare"),
    (b"<title>just a moment...</title>", "Cloudflare"),
    (b"<title>attention required! | cloudflare</title>", "Cloudflare"),
    (b"captcha-delivery.com", "DataDome"),
    (b"_incapsula_resource", "Imperva"),
    (b"sucuri_cloudproxy_js", "Sucuri"),
    (b"<title>ddos-guard</title>", "DDoS-Guard"),
    (b"px-captcha", "HUMAN"),
    (b"anubis_challenge", "Anubis"),
    (b"/.within.website/x/cmd/anubis", "Anubis"),
    (b".awswaf.com/", "AWS WAF"),
    (b"/_vercel/challenge", "Vercel"),
    (b"go-away/cmd", "go-away"),
)
LOOK_AT = 65536  # bytes of a body that are searched; challenge pages are short


def challenger(headers: Mapping[str, str], body: bytes = b"") -> str | None:
    """Whose challenge page this is ("Cloudflare" …), None if it bears no sign of one. Header names are lower case."""
    for name, value, who in _HEADERS:
        if name in headers and value in headers[name].lower():
            return who
    if not body:
        return None
    page = body[:LOOK_AT].lower()
    return next((who for mark, who in _MARKS if mark in page), None)


def looks_like_html(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a page came where a feed was asked for: only there is a mark of a challenge more than a quotation."""
    if "xml" in (kind := headers.get("content-type", "").lower()) or "json" in kind:
        return False
    head = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<!doctype html", b"<html")) or ("html" in kind and not head.startswith(b"<?xml"))
