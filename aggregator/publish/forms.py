"""Forms on the admin listener: who may send one, and what it says. Requests as values in, refusals as answers out.

A browser sends along what it knows of our password, whoever wrote the page. So a form must carry the token that our own
page gave it, come from our own origin where the browser says from which, and be sent to a name that is ours: a page
whose name was pointed at this address could read the token otherwise. For the same reason no page is read by such a
name while no password guards it.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from aggregator.publish.answers import Answer, plain

LARGEST = 4096  # bytes of a form
FORM_TYPE = "application/x-www-form-urlencoded"


class FormGuard:
    """Gives out one process's form token and refuses what comes without it. `host` is a name that is ours beside
    localhost and plain addresses, None where any name may be: a password is asked, and browsers keep that by name."""

    def __init__(self, host: str | None = "") -> None:
        self._host = host
        self.token = secrets.token_urlsafe(24)

    def refusal(self, headers: Mapping[str, str]) -> Answer | None:
        """Why this request may send no form, from its headers alone; None where it may."""
        if headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM_TYPE:
            return plain(415, f"send {FORM_TYPE}")
        host = headers.get("Host", "")
        if self._host is not None and not _is_ours(host, self._host):
            return plain(
                403, "this form is for localhost or a plain address; set admin.token to use it by another name"
            )
        if headers.get("Sec-Fetch-Site", "same-origin").lower() not in ("same-origin", "none"):
            return plain(403, "this form was sent by another site's page")
        origin = headers.get("Origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return plain(403, "this form was sent by another site's page")
        return None

    def misnamed(self, headers: Mapping[str, str]) -> Answer | None:
        """Why this page may not be read by the name it was asked for; None where it may. Programs that name no host are
        no browsers."""
        host = headers.get("Host", "")
        if self._host is None or not host or _is_ours(host, self._host):
            return None
        return plain(403, "this page is for localhost or a plain address; set admin.token to read it by another name")

    def fields(self, body: bytes) -> Mapping[str, str] | Answer:
        """What the form says, or the answer to one without our token."""
        try:
            fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            return plain(400, "this is no form")
        given = fields.pop("csrf", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, self.token.encode()):
            return plain(403, "the form is older than this process: load the page again")
        return fields


def _is_ours(host: str, own: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if not name:
        return False
    if name in ("localhost", own.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
