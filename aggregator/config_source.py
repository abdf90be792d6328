"""A source as sources.yaml gives it, and what every model of the configuration shares.

`config_models` has the keys of aggregator.yaml, `config_values` the scalars.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from aggregator import urls
from aggregator.config_secrets import Proxy, Secret
from aggregator.config_values import (
    Duration,
    FeedUrl,
    Flag,
    Line,
    Number,
    TitlePattern,
    compiled,
    lasting,
    show_duration,
)
from aggregator.types import SECTIONS

Section = Literal["tech", "companies", "economics", "marketing"]
PollInterval = Annotated[Duration, lasting("1s", "365d")]

# Sent by us, or about the connection and not about the reader: not for the operator to set.
_OUR_HEADERS = frozenset(
    """
    accept-encoding a-im connection content-length content-type expect host if-modified-since if-none-match
    keep-alive proxy-authorization proxy-connection range te trailer transfer-encoding upgrade
    """.split()
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")


def setting(default: Any, description: str, **rules: Any) -> Any:
    """A key with its default as YAML writes it, what editors say of it, and pydantic's bounds."""
    return Field(default=default, description=description, **rules)


class KeyFault(ValueError):
    """A fault that only two keys together show; `key` is the one to change, seen from the model."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


class Model(BaseModel):
    """Frozen; unknown keys are faults; defaults go through the same readers as what the file says."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


# ---------------------------------------------------------------- sources.yaml


class Auth(Model):
    """How one source knows us; exactly one of the two."""

    basic: Secret | None = setting(None, "user:password, sent as HTTP Basic")
    bearer: Secret | None = setting(None, "a token, sent as HTTP Bearer")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.basic is None) == (self.bearer is None):
            raise ValueError('takes one of basic: "user:${PASSWORD}" and bearer: ${TOKEN}')
        if self.basic is not None and ":" not in self.basic.get_secret_value():
            raise KeyFault("basic", 'has no colon, write "user:${PASSWORD}"')
        return self


class Source(Model):
    """A feed as the operator configured it."""

    url: FeedUrl = Field(description="Address of the feed, http(s)")
    title: Line | None = setting(None, "What readers see; else the feed's own title")
    section: Section | None = setting(None, "Hint: what this source mostly writes about")
    section_is: Literal["hint", "final"] = setting(
        "hint", "hint: a prior for the model; final: the verdict for every entry"
    )
    every: PollInterval | None = setting(None, "Poll this often; else adaptive")
    weight: Number = setting(1.0, "Who leads a story: higher wins, 1 is usual", ge=0, le=10)
    include: tuple[TitlePattern, ...] = setting((), "RE2 patterns; the title must fit one of them")
    exclude: tuple[TitlePattern, ...] = setting((), "RE2 patterns; a title that fits one is dropped")
    auth: Auth | None = setting(None, "Credentials, sent to this host alone")
    headers: dict[str, Secret] = setting({}, "More request headers, sent to this host alone")
    proxy: Proxy | None = setting(None, "Proxy for this source; else fetch.proxy")
    enabled: Flag = setting(True, "false: keep what is stored, stop polling")

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        seen: set[str] = set()
        for name in headers:
            if not _HEADER_NAME.fullmatch(name):
                raise KeyFault(name, "not a header's name, write Name: value")
            if name.lower() in _OUR_HEADERS:
                raise KeyFault(name, "this header is ours to set, remove it")
            if name.lower() in seen:
                raise KeyFault(name, "set twice (header names have no case), remove one")
            seen.add(name.lower())
        return headers

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.section_is == "final" and self.section is None:
            raise KeyFault("section_is", f"final needs section: one of {', '.join(SECTIONS)}")
        if self.auth and any(name.lower() == "authorization" for name in self.headers):
            raise KeyFault("headers", "Authorization stands beside auth, remove one of them")
        return self

    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """The headers to send to this source's host, secrets revealed. Never log them."""
        headers = [(name, value.get_secret_value()) for name, value in self.headers.items()]
        if self.auth and self.auth.basic:
            encoded = base64.b64encode(self.auth.basic.get_secret_value().encode()).decode("ascii")
            headers.append(("Authorization", f"Basic {encoded}"))
        elif self.auth and self.auth.bearer:
            headers.append(("Authorization", f"Bearer {self.auth.bearer.get_secret_value()}"))
        return tuple(headers)

    def accepts(self, title: str) -> bool:
        """Whether an entry of this title is kept: fits one of `include` (where there are any) and none of `exclude`."""
        if self.include and not any(compiled(pattern).search(title) for pattern in self.include):
            return False
        return not any(compiled(pattern).search(title) for pattern in self.exclude)

    def masked(self) -> dict[str, object]:
        """What may be shown: keys that differ from their default, as in YAML, secrets masked."""
        shown: dict[str, object] = {"url": urls.for_log(self.url)}
        for key in ("title", "section", "weight", "enabled"):
            if (value := getattr(self, key)) != type(self).model_fields[key].default:
                shown[key] = value
        if self.section_is != "hint":
            shown["section_is"] = self.section_is
        if self.every is not None:
            shown["every"] = show_duration(self.every)
        shown |= {key: list(value) for key, value in (("include", self.include), ("exclude", self.exclude)) if value}
        if self.auth:
            shown["auth"] = {"basic" if self.auth.basic else "bearer": "***"}
        if self.headers:
            shown["headers"] = dict.fromkeys(self.headers, "***")
        if self.proxy:
            shown["proxy"] = str(self.proxy)
        return shown


class SourcesFile(Model):
    """sources.yaml"""

    sources: tuple[Source, ...] = Field(description="The feeds to poll")


def source_key(url: str) -> str:
    """What makes two source addresses the same: scheme, case of the host, default port, fragment, last slash aside."""
    clean = urls.http_url(url) or url
    return clean.partition("://")[2].partition("#")[0].rstrip("/")
