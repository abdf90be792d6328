"""The keys of aggregator.yaml as frozen models: names, defaults (written as in YAML), bounds, meaning.

`config.load` fills them from files; tests may build them directly (`Config(content={"text": "full"})`). The
descriptions become the JSON Schema that editors show; docs/configuration.md says the same at length.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationInfo, field_serializer, field_validator, model_validator

from aggregator import urls
from aggregator.config_secrets import DatabaseUrl, Proxy, Secret, Smtp
from aggregator.config_source import KeyFault, Model, PollInterval, Source, setting, source_key
from aggregator.config_values import (
    ClockTime,
    Duration,
    FeedUrl,
    Flag,
    Line,
    ListenAddress,
    NetworkCidr,
    Number,
    PublicUrl,
    Size,
    TimeZone,
    TitlePattern,
    Whole,
    holding,
    lasting,
    show_duration,
)
from aggregator.types import SECTIONS, UNSURE

Label = Literal["tech", "companies", "economics", "marketing", "none"]
Wanted = Literal["tech", "companies", "economics", "marketing", "unsure"]  # unsure: what has no section yet
SectionSoFar = Literal["tech", "companies", "economics", "marketing", "none", "unsure"]

# Merged feeds by these names would stand where another public or admin address stands (docs/configuration.md).
RESERVED_SLUGS = frozenset(
    """
    about admin api archive digest favicon feed feeds health healthz hub index label metrics readyz robots
    search sitemap source sources static status story top unsure websub
    """.split()
)
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class Site(Model):
    title: Line = setting("Business Monkey News", "Name of the site, in pages and feeds")
    public_url: PublicUrl = setting("http://127.0.0.1:8080", "Address readers see; may carry a path prefix")
    listen: ListenAddress = setting("127.0.0.1:8080", "host:port, [::1]:8080 or unix:PATH")
    timezone: TimeZone = setting("UTC", "Time zone of the pages")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def prefix(self) -> str:
        """The path that `public_url` carries: `/news`, empty where it has none."""
        return "/" + self.public_url.split("/", 3)[3] if self.public_url.count("/") > 2 else ""


class Admin(Model):
    listen: ListenAddress = setting("127.0.0.1:8081", "Metrics, status, editing: keep it private")
    token: Secret | None = setting(None, "Bearer token asked of whoever comes")


class Polling(Model):
    every: PollInterval = setting("30m", "Where a feed starts before its rhythm is known")
    fastest: PollInterval = setting("5m", "Never sooner, whatever the feed's rhythm")
    slowest: PollInterval = setting("24h", "Never later while the feed works")
    concurrency: Whole = setting(64, "Requests under way at once", ge=1, le=4096)
    per_host: Whole = setting(1, "Requests under way at once to one host", ge=1, le=64)
    lease: Annotated[Duration, lasting("3s", "1h")] = setting("60s", "A dead process's feeds wait so long for another")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.fastest <= self.every <= self.slowest:
            wide = f"{show_duration(self.fastest)} and {show_duration(self.slowest)}"
            raise KeyFault("every", f"must lie between polling.fastest and polling.slowest ({wide})")
        return self


class Fetch(Model):
    timeout: Annotated[Duration, lasting("1s", "10m")] = setting("30s", "For a whole request with its redirects")
    max_body: Annotated[Size, holding("1 KiB", "256 MiB")] = setting("8 MiB", "Largest document, decoded")
    max_redirects: Whole = setting(5, "Hops followed before giving up", ge=0, le=20)
    contact: str = setting(
        "",
        "URL or e-mail address in the User-Agent; empty: site.public_url",
        strict=True,
        max_length=200,
        pattern=r"^[\x20-\x27\x2a-\x7e]*$",
    )
    proxy: Proxy | None = setting(None, "http://host:port for every source")
    allow_networks: tuple[NetworkCidr, ...] = setting((), "Private networks that sources may live in")


class Stories(Model):
    window: Annotated[Duration, lasting("1h", "30d")] = setting("72h", "How long a story can grow")


class MergedFeed(Model):
    """A feed we publish at /SLUG.atom, /SLUG.rss, /SLUG.json."""

    slug: str = Field(strict=True, description="Its name in URLs: a-z, 0-9 and hyphens")
    title: Line | None = setting(None, "Title; else the site's, with the slug")
    sections: tuple[Wanted, ...] = Field(description="Sections it takes stories from; unsure: those that have none yet")
    items: Whole = setting(100, "The newest so many stories", ge=1, le=1000)
    min_sources: Whole = setting(1, "Only stories that so many sources tell", ge=1, le=100)

    @field_validator("slug")
    @classmethod
    def _check_slug(cls, slug: str) -> str:
        if len(slug) > 64 or not _SLUG.fullmatch(slug):
            raise ValueError("not a slug, write a-z, 0-9 and single hyphens, at most 64")
        if slug in RESERVED_SLUGS - {UNSURE} or re.fullmatch("[0-9]{4}", slug):
            raise ValueError(f"'{slug}' is reserved for an address of our own, choose another")
        return slug

    @field_validator("sections")
    @classmethod
    def _check_sections(cls, sections: tuple[str, ...]) -> tuple[str, ...]:
        if not sections:
            raise ValueError(f"is empty, name some of {', '.join(SECTIONS)}")
        if len(set(sections)) != len(sections):
            raise ValueError("names a section twice, remove one")
        return sections

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.slug == UNSURE and self.sections != (UNSURE,):
            raise KeyFault("slug", "'unsure' is reserved for the feed with sections: [unsure], choose another")
        return self

    def default_title(self, site_title: str) -> str:
        """The site's title for a feed of every section, else with the slug behind it."""
        if set(self.sections) >= set(SECTIONS):
            return site_title
        return f"{site_title}: {self.slug.replace('-', ' ').capitalize()}"


class Content(Model):
    text: Literal["excerpt", "full"] = setting("excerpt", "How much of an entry we republish")
    excerpt_words: Whole = setting(80, "Words of an excerpt", ge=0, le=1000)
    images: Flag = setting(True, "Show the publishers' images")


class Websub(Model):
    subscribe: Flag = setting(False, "Let hubs push to us")
    hubs: tuple[FeedUrl, ...] = setting((), "Hubs told when our feeds change")
    builtin_hub: Flag = setting(False, "Be a hub for our own feeds, at /hub")


class Digest(Model):
    at: ClockTime | None = setting(None, "Time of day, in site.timezone")
    to: tuple[Annotated[str, Field(strict=True, pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")], ...] = setting(
        (), "E-mail addresses"
    )
    smtp: Smtp | None = setting(None, "smtp://user:password@host:587 or smtps://…")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.to and self.smtp is None:
            raise KeyFault("smtp", "missing, digest.to needs a mail server")
        return self


class Retention(Model):
    text: Annotated[Duration, lasting("1d", "3650d")] = setting("30d", "Keep an entry's text this long")
    entries: Annotated[Duration, lasting("1d", "3650d")] = setting("90d", "Keep an entry this long")
    size: Annotated[Size, holding("1 MiB", "1000 TiB")] | None = setting(None, "Largest database; null: no limit")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.text > self.entries:
            raise KeyFault("text", "must not be longer than retention.entries")
        return self


class Log(Model):
    format: Literal["logfmt", "json"] = setting("logfmt", "One line per event, in this form")
    level: Literal["debug", "info", "warning", "error"] = setting("info", "The least to log")


Slug = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]


class When(Model):
    """What a story must be for a rule to hold; all that is given. The patterns must fit one and the same entry."""

    title: TitlePattern | None = setting(None, "RE2 pattern on a title")
    summary: TitlePattern | None = setting(None, "RE2 pattern on a summary, as plain text")
    source: TitlePattern | None = setting(None, "RE2 pattern on a source's URL or title")
    link: TitlePattern | None = setting(None, "RE2 pattern on a link")
    section: SectionSoFar | None = setting(None, "The section so far; with it the rule comes after the model")
    label: Slug | None = setting(None, "A label the story has; with it the rule comes after the model")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self == type(self).model_construct():
            raise ValueError("is empty, give title, summary, source, link, section or label")
        return self


class Then(Model):
    """What a rule does; one thing or several. `drop` alone may be written as the word."""

    section: Label | None = setting(None, "File the story here")
    drop: Flag = setting(False, "Keep the story out of everything")
    boost: Number | None = setting(None, "Multiply its rank", gt=0, le=100)
    label: Slug | None = setting(None, "Add this label")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self == type(self).model_construct():
            raise ValueError("does nothing, give section, drop, boost or label")
        return self


def _read_then(value: object) -> object:
    if value == "drop" or value == {"drop": None}:  # `{drop}` is what YAML makes the latter of
        return {"drop": True}
    return value


class Rule(Model):
    when: When = Field(description="The conditions, all of which must hold")
    then: Annotated[Then, BeforeValidator(_read_then, json_schema_input_type=Then | Literal["drop"])] = Field(
        description="What to do"
    )


DEFAULT_FEEDS: list[dict[str, Any]] = [
    {"slug": "news", "sections": list(SECTIONS)},
    *({"slug": section, "sections": [section]} for section in SECTIONS),
]


class Settings(Model):
    """Everything of aggregator.yaml but the sources."""

    site: Site = setting({}, "What readers see")
    admin: Admin = setting({}, "The operator's own listener")
    database: DatabaseUrl = setting(
        "sqlite:///../var/aggregator.db", "sqlite:///FILE or postgresql+psycopg://user@host/database", repr=False
    )
    polling: Polling = setting({}, "When to ask")
    fetch: Fetch = setting({}, "How to ask")
    stories: Stories = setting({}, "Grouping")
    rules: tuple[Rule, ...] = setting((), "The operator's word on sections")
    languages: tuple[Annotated[str, Field(strict=True, pattern=r"^[a-z]{2,3}$")], ...] = setting(
        (), "Languages to keep, as en or de; empty: all"
    )
    feeds: tuple[MergedFeed, ...] = setting(DEFAULT_FEEDS, "The merged feeds")
    content: Content = setting({}, "What an item shows")
    websub: Websub = setting({}, "Push, in and out")
    digest: Digest = setting({}, "Briefing by e-mail")
    retention: Retention = setting({}, "How long things are kept")
    log: Log = setting({}, "What the daemon says")

    @field_validator("feeds")
    @classmethod
    def _name_feeds(cls, feeds: tuple[MergedFeed, ...], info: ValidationInfo) -> tuple[MergedFeed, ...]:
        if not feeds:
            raise ValueError("is empty, define at least one merged feed")
        site = info.data.get("site") or Site()
        return tuple(
            feed if feed.title else feed.model_copy(update={"title": feed.default_title(site.title)}) for feed in feeds
        )

    @field_serializer("database")
    def _mask_database(self, database: str) -> str:
        return urls.for_log(database)


class AggregatorFile(Settings):
    """aggregator.yaml"""

    sources: Annotated[str, Field(strict=True, min_length=1)] = setting(
        "sources.yaml", "The file that lists the sources, seen from this one"
    )


class Config(Settings):
    """The whole configuration. Two are equal when the same files say the same."""

    sources: tuple[Source, ...] = ()
    files: tuple[Path, ...] = setting((), "The files read, absolute")
    is_packaged: bool = setting(False, "No file was given: the packaged defaults")

    def merged_feed(self, slug: str) -> MergedFeed | None:
        """The merged feed of that name, None if there is none."""
        return next((feed for feed in self.feeds if feed.slug == slug), None)

    def source(self, url: str) -> Source | None:
        """The source of that address, however it is spelt, None if there is none."""
        key = source_key(url)
        return next((source for source in self.sources if source_key(source.url) == key), None)
