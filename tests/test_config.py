"""From two files to one configuration, or to every fault with file, line and remedy."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator import config
from aggregator.config import Config, Listen, MergedFeed, Source
from aggregator.errors import ConfigError, Problem
from aggregator.types import SECTIONS

ONE_SOURCE = "sources:\n  - url: https://example.org/feed\n"


def written(folder: Path, aggregator: str = "log: {}\n", sources: str = ONE_SOURCE) -> Path:
    (folder / "aggregator.yaml").write_text(aggregator)
    (folder / "sources.yaml").write_text(sources)
    return folder / "aggregator.yaml"


def loaded(folder: Path, aggregator: str = "log: {}\n", sources: str = ONE_SOURCE, **env: str) -> Config:
    return config.load(written(folder, aggregator, sources), env)


def faults(folder: Path, aggregator: str = "log: {}\n", sources: str = ONE_SOURCE, **env: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, aggregator, sources, **env)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


# ---------------------------------------------------------------- what is read


def test_what_is_not_said_is_at_its_default(tmp_path: Path) -> None:
    read = loaded(tmp_path)

    assert read.polling.every == timedelta(minutes=30)
    assert read.fetch.max_body == 8 << 20
    assert read.site.listen == Listen("127.0.0.1", 8080)
    assert read.database == f"sqlite:///{tmp_path.parent}/var/aggregator.db"
    assert read.sources == (Source(url="https://example.org/feed"),)
    assert read.files == (tmp_path / "aggregator.yaml", tmp_path / "sources.yaml")
    assert not read.is_packaged


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    read = loaded(
        tmp_path,
        """
        site:
          title: " The  Bugle "
          public_url: https://example.org/news/
          listen: unix:../run/x.sock
          timezone: Europe/Prague
        admin: {listen: "[::1]:0", token: "${TOKEN}"}
        database: postgresql+psycopg://me:${PASSWORD}@db/news
        polling: {every: 1h, fastest: 90s, slowest: 2w, concurrency: 8}
        fetch:
          timeout: 2.5s
          max_body: 500 kB
          proxy: "http://u:${PASSWORD}@proxy:3128"
          allow_networks: [10.0.0.0/8, "fd00::/8", 127.0.0.1]
        feeds: [{slug: money, sections: [economics, companies], items: 20, min_sources: 2}]
        languages: [en, de]
        digest: {at: 07:00, to: [me@example.org], smtp: "smtp://u:${PASSWORD}@mail"}
        rules: [{when: {title: '(?i)\\bIPO\\b'}, then: {section: companies, boost: 2}}, {when: {source: x}, then: drop}]
        """,
        TOKEN="t0ken",
        PASSWORD="pa55",
    )  # fmt: skip

    assert read.site.title == "The Bugle"
    assert read.site.public_url == "https://example.org/news"
    assert read.site.prefix == "/news"
    assert read.site.listen == Listen(path=tmp_path.parent / "run" / "x.sock")
    assert str(read.admin.listen) == "[::1]:0"
    assert read.admin.token.get_secret_value() == "t0ken"
    assert read.database == "postgresql+psycopg://me:pa55@db/news"
    assert (read.polling.fastest, read.polling.slowest) == (timedelta(seconds=90), timedelta(days=14))
    assert (read.fetch.timeout, read.fetch.max_body) == (timedelta(seconds=2.5), 500_000)
    assert read.fetch.proxy.get_secret_value() == "http://u:pa55@proxy:3128"
    assert read.fetch.allow_networks == tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "127.0.0.1")))
    assert read.feeds == (
        MergedFeed(
            slug="money", title="The Bugle: Money", sections=("economics", "companies"), items=20, min_sources=2
        ),
    )
    assert str(read.digest.at) == "07:00:00"
    assert read.rules[1].then.drop


def test_a_source_is_read_with_all_its_keys(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("k3y\n")
    read = loaded(
        tmp_path,
        sources="""
        sources:
          - url: HTTPS://Example.org:443/feed
            title: Example
            section: tech
            section_is: final
            every: 15m
            weight: 2
            include: ['(?i)ipo', merger]
            exclude: [rumou?r]
            auth: {basic: "me:${PASSWORD}"}
            headers: {X-Key: "${file:key.txt}"}
            proxy: http://proxy:3128
            enabled: false
        """,
        PASSWORD="pä55",
    ).sources[0]

    assert read.url == "https://example.org/feed"
    assert read.every == timedelta(minutes=15)
    assert read.weight == 2.0
    assert read.request_headers() == (("X-Key", "k3y"), ("Authorization", "Basic bWU6cMOkNTU="))
    assert [title for title in ("An IPO", "A merger", "IPO rumor", "Else") if read.accepts(title)] == [
        "An IPO",
        "A merger",
    ]


def test_a_bearer_token_is_sent_as_one() -> None:
    assert Source(url="https://a.example/", auth={"bearer": "abc"}).request_headers() == (
        ("Authorization", "Bearer abc"),
    )


def test_feeds_are_named_after_the_site_and_their_slug(tmp_path: Path) -> None:
    read = loaded(tmp_path, "site: {title: Bugle}\n")

    assert [feed.title for feed in read.feeds] == ["Bugle", *(f"Bugle: {name.capitalize()}" for name in SECTIONS)]
    assert read.merged_feed("tech").sections == ("tech",)
    assert read.merged_feed("nothing") is None


def test_a_sqlite_file_is_seen_from_the_configuration(tmp_path: Path) -> None:
    assert loaded(tmp_path, "database: sqlite:///x.db\n").database == f"sqlite:///{tmp_path}/x.db"
    assert loaded(tmp_path, "database: sqlite:////srv/x.db\n").database == "sqlite:////srv/x.db"
    assert loaded(tmp_path, "database: sqlite:///${D}/x.db\n", D="/srv").database == "sqlite:////srv/x.db"


def test_the_sources_file_is_seen_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "list.yaml").write_text(ONE_SOURCE)

    assert loaded(tmp_path, "sources: deep/list.yaml\n").files[1] == tmp_path / "deep" / "list.yaml"


def test_no_sources_are_a_configuration_too(tmp_path: Path) -> None:
    read = loaded(tmp_path, sources="sources: []\n")

    assert read.sources == ()
    assert config.remarks(read) == ("sources: there are none, add one with 'bmn sources add URL'",)


def test_a_source_is_found_however_it_is_spelt(tmp_path: Path) -> None:
    read = loaded(tmp_path)

    assert read.source("HTTP://EXAMPLE.org:80/feed/#x") is read.sources[0]
    assert read.source("https://example.org/other") is None


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("aggregator", "fault"),
    [
        ("poling: {}", "poling: unknown key, did you mean 'polling'?"),
        ("polling:\n  evry: 15m", "aggregator.yaml:2: polling.evry: unknown key, did you mean 'every'?"),
        ("xyz: 1", "xyz: unknown key, remove it; known here: site, admin, database,"),
        ("log: {level: info}\nlog: {level: debug}", "aggregator.yaml:2: log: set twice, first in line 1; remove one"),
        ("[a, b]", "must be a mapping, that is lines of 'key: value'"),
        ("just words", "aggregator.yaml: must be a mapping, that is lines of 'key: value'"),
        ("polling: fast", "polling: must be a mapping, written {key: value} or in lines of 'key: value', not 'fast'"),
        ("content:", "content: is empty, give a value or remove the key"),
        ("content: {images: yes}", "content.images: must be true or false, not 'yes'; write true"),
        ("content: {images: 1}", "content.images: must be true or false, not 1"),
        ("content: {excerpt_words: '80'}", "content.excerpt_words: must be a whole number, not '80'"),
        ("content: {excerpt_words: true}", "content.excerpt_words: must be a whole number, not true"),
        ("content: {excerpt_words: -1}", "content.excerpt_words: must be at least 0"),
        ("content: {text: ful}", "content.text: must be one of excerpt, full; not 'ful', did you mean 'full'?"),
        ("site: {title: 404}", "site.title: must be text, not 404; put it in quotes"),
        ("site: {title: ''}", "site.title: is empty, give a value or remove the key"),
        ("site: {title: [a]}", "site.title: must be text, not a list"),
        ("site: {public_url: news.example.org}", "site.public_url: not an http:// or https:// address"),
        ("site: {public_url: 'https://a.org/?x'}", "site.public_url: takes no ? or #, write"),
        ("site: {timezone: Europe/Prag}", "site.timezone: not a time zone, write UTC or a name such as Europe/Prague"),
        ("site: {timezone: ../../etc/passwd}", "site.timezone: not a time zone"),
        ("site: {listen: 8080}", "site.listen: must be text such as 127.0.0.1:8080"),
        (
            "site: {listen: 'localhost:http'}",
            "site.listen: not an address to listen on, write host:port, [::1]:8080 or unix:PATH",
        ),
        ("site: {listen: '127.0.0.1:70000'}", "site.listen: not an address to listen on"),
        ("site: {listen: '::1:8080'}", "site.listen: an IPv6 address stands in brackets: [::1]:8080"),
        ("site: {listen: '[::z]:8080'}", "site.listen: [::z] is not an IPv6 address"),
        ("site: {listen: ':8080'}", "site.listen: the host is missing, write 127.0.0.1:PORT, or 0.0.0.0:PORT"),
        ("site: {listen: 'unix:'}", "site.listen: the socket's path is missing, write unix:PATH"),
        (f"site: {{listen: 'unix:/{'x' * 120}'}}", "site.listen: the socket's path is longer than 107 bytes"),
        (
            "admin: {listen: 127.0.0.1:8080}",
            "admin.listen: is site.listen too (127.0.0.1:8080), give the operator a port of its own",
        ),
        ("admin: {token: 12345}", "admin.token: must be text, put it in quotes"),
        (
            "admin: {token: '${NOPE}'}",
            "admin.token: environment variable NOPE is not set, export it or use ${file:PATH}",
        ),
        ("admin: {token: '${NOPE'}", "admin.token: '${' without '}', close it or write '$${'"),
        ("admin: {token: '${A B}'}", "admin.token: '${…}' takes the name of an environment variable or file:PATH"),
        ("admin: {token: '${file:nope.txt}'}", "nope.txt cannot be read: No such file or directory"),
        ("admin: {token: '${file:.}'}", "cannot be read: Is a directory"),
        (
            "database: mysql://x",
            "database: not a database, write sqlite:///FILE or postgresql+psycopg://user@host/database",
        ),
        (
            "database: postgres://x/y",
            "database: the driver is psycopg 3, write postgresql+psycopg://user@host/database",
        ),
        ("database: postgresql+psycopg://host", "database: names no database, write"),
        ("database: sqlite://", "database: names no file, write sqlite:///relative/path.db"),
        ("database: 'sqlite:///:memory:'", "database: names no file"),
        ("polling: {every: 15}", "polling.every: a duration needs a unit: 15s, 15m, 15h or 15d"),
        (
            "polling: {every: fast}",
            "polling.every: not a duration, write a number and s, m, h, d or w such as 30s, 15m, 24h, 90d",
        ),
        ("polling: {every: 0s}", "polling.every: must be at least 1s"),
        ("polling: {every: 999999999w}", "polling.every: must be at most 365d"),
        ("polling: {every: 1m}", "polling.every: must lie between polling.fastest and polling.slowest (5m and 1d)"),
        ("polling: {per_host: 0}", "polling.per_host: must be at least 1"),
        ("fetch: {max_body: 8}", "fetch.max_body: a size needs a unit: 8 B, 8 kB or 8 MiB"),
        ("fetch: {max_body: 8 MeB}", "fetch.max_body: not a size, write a number and B, kB, MB,"),
        ("fetch: {max_body: 8 B}", "fetch.max_body: must be at least 1 KiB"),
        ("fetch: {contact: 'a (b)'}", "fetch.contact: 'a (b)' does not fit, write printable ASCII"),
        ("fetch: {proxy: 'socks5://x:1'}", "fetch.proxy: not a proxy, write http://host:port"),
        ("fetch: {proxy: 'http://proxy'}", "fetch.proxy: the proxy's port is missing, write http://host:port"),
        (
            "fetch: {allow_networks: [10.0.0.1/8]}",
            "fetch.allow_networks[0]: has bits set to the right of the mask, did you mean 10.0.0.0/8?",
        ),
        (
            "fetch: {allow_networks: [example.org]}",
            "fetch.allow_networks[0]: not a network, write an address or a CIDR",
        ),
        (
            "fetch: {allow_networks: 10.0.0.0/8}",
            "fetch.allow_networks: must be a list, written [one, two] or line by line after '- ', not '10.0.0.0/8'",
        ),
        ("feeds: []", "feeds: is empty, define at least one merged feed"),
        ("feeds: [{slug: a}]", "feeds[0].sections: missing, add it"),
        (
            "feeds: [{slug: a, sections: []}]",
            "feeds[0].sections: is empty, name some of tech, companies, economics, marketing",
        ),
        (
            "feeds: [{slug: a, sections: [teck]}]",
            "must be one of tech, companies, economics, marketing, unsure; not 'teck', did you mean 'tech'?",
        ),
        ("feeds: [{slug: a, sections: [tech, tech]}]", "feeds[0].sections: names a section twice, remove one"),
        (
            "feeds: [{slug: a, title: x, titel: y, sections: [tech]}]",
            "feeds[0].titel: unknown key, did you mean 'title'?",
        ),
        (
            "feeds: [{slug: A b, sections: [tech]}]",
            "feeds[0].slug: not a slug, write a-z, 0-9 and single hyphens, at most 64",
        ),
        (
            "feeds:\n  - {slug: a, sections: [tech]}\n  - {slug: a, sections: [tech]}",
            "aggregator.yaml:3: feeds[1].slug: 'a' is taken in line 2, choose another",
        ),
        ("digest: {at: 7}", 'digest.at: must be text such as "07:00"'),
        ("digest: {at: 25:00}", 'digest.at: not a time of day, write "07:00"'),
        ("digest: {to: [me]}", "digest.to[0]: 'me' does not fit, write an e-mail address"),
        ("digest: {to: [me@example.org]}", "digest.smtp: missing, digest.to needs a mail server"),
        ("digest: {smtp: mail.example.org}", "digest.smtp: not a mail server, write smtp://"),
        ("languages: [English]", "languages[0]: 'English' does not fit, write two or three small letters such as en"),
        ("websub: {hubs: [hub]}", "websub.hubs[0]: not an http:// or https:// address"),
        ("retention: {text: 91d}", "retention.text: must not be longer than retention.entries"),
        ("retention: {text: 1d, entries: 2d}", "retention.entries: must not be shorter than stories.window"),
        ("rules: [{when: {}, then: drop}]", "rules[0].when: is empty, give title, summary, source, link, section or"),
        ("rules: [{when: {title: x}, then: {}}]", "rules[0].then: does nothing, give section, drop, boost or label"),
        (
            "rules: [{when: {title: '(a'}, then: drop}]",
            "rules[0].when.title: not a pattern RE2 understands: missing ): (a",
        ),
        (
            "rules: [{when: {title: '(a)\\1'}, then: drop}]",
            "rules[0].when.title: not a pattern RE2 understands: invalid escape sequence: \\1",
        ),
        (
            "feeds: [{slug: unsure, sections: [tech]}]",
            "feeds[0].slug: 'unsure' is reserved for the feed with sections: [unsure], choose another",
        ),
        ("rules: [{when: {titel: x}, then: drop}]", "rules[0].when.titel: unknown key, did you mean 'title'?"),
        ("sources: 3", "sources: must be text, not 3; put it in quotes"),
        ("sources: nope.yaml", "nope.yaml: there is no such file"),
    ],
)
def test_a_fault_in_aggregator_yaml(tmp_path: Path, aggregator: str, fault: str) -> None:
    found = faults(tmp_path, aggregator)

    assert any(fault in line for line in found if line.startswith("aggregator.yaml:1: ") or ".yaml" in fault)


def test_a_folder_is_no_sources_file(tmp_path: Path) -> None:
    (tmp_path / "list").mkdir()

    assert faults(tmp_path, "sources: list\n") == ["list: is a directory, name the YAML file in it"]


@pytest.mark.parametrize(
    "slug", ["feed", "feeds", "top", "digest", "status", "metrics", "health", "sources", "story", "about", "2026"]
)
def test_a_slug_must_not_hide_an_address_of_our_own(tmp_path: Path, slug: str) -> None:
    assert faults(tmp_path, f"feeds: [{{slug: '{slug}', sections: [tech]}}]") == [
        f"aggregator.yaml:1: feeds[0].slug: '{slug}' is reserved for an address of our own, choose another"
    ]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("evry: 1h", "sources[0].evry: unknown key, did you mean 'every'?"),
        ("url: https://a.org/", "sources[0].url: set twice, first in line 3; remove one"),
        ("weight: high", "sources[0].weight: must be a number, not 'high'"),
        ("weight: true", "sources[0].weight: must be a number, not true"),
        ("weight: 11", "sources[0].weight: must be at most 10"),
        ("weight: 1e999", "sources[0].weight: must be at most 10"),
        (
            "section: technology",
            "sources[0].section: must be one of tech, companies, economics, marketing; not 'technology'",
        ),
        ("section_is: final", "sources[0].section_is: final needs section: one of tech, companies,"),
        ("include: '['", "sources[0].include: must be a list"),
        ("include: ['[']", "sources[0].include[0]: not a pattern RE2 understands: missing ]"),
        ("exclude: ['']", "sources[0].exclude[0]: an empty pattern fits everything, remove it"),
        ("auth: {}", "sources[0].auth: takes one of basic:"),
        ("auth: {basic: 'a:b', bearer: c}", "sources[0].auth: takes one of basic:"),
        ("auth: {basic: hunter2}", "sources[0].auth.basic: has no colon, write"),
        ('auth: {bearer: "a\\nb"}', "sources[0].auth.bearer: holds a line break"),
        ("auth: {bearer: ''}", "sources[0].auth.bearer: is empty"),
        (
            "auth: 'a:b'",
            "auth: must be a mapping, written {key: value} or in lines of 'key: value', not what stands there",
        ),
        ("headers: {Host: a}", "sources[0].headers.Host: this header is ours to set, remove it"),
        ("headers: {'a b': c}", "sources[0].headers['a b']: not a header's name, write Name: value"),
        ("headers: {A: b, a: c}", "sources[0].headers.a: set twice (header names have no case), remove one"),
        ("headers: {A: 1}", "sources[0].headers.A: must be text, put it in quotes"),
        ("headers: [a]", "sources[0].headers: must be a mapping, written {name: value}"),
        ("{auth: {basic: 'a:b'}, headers: {authorization: c}}", "not valid YAML"),
        (
            "headers: {authorization: c}\n    auth: {basic: 'a:b'}",
            "sources[0].headers: Authorization stands beside auth, remove one of them",
        ),
        ("proxy: proxy:3128", "sources[0].proxy: not a proxy, write http://host:port"),
        ("enabled: no", "sources[0].enabled: must be true or false, not 'no'; write false"),
        ("every: null\n    titel: x", "sources.yaml:5: sources[0].titel: unknown key, did you mean 'title'?"),
    ],
)
def test_a_fault_in_a_source(tmp_path: Path, source: str, fault: str) -> None:
    sources = f"# list\nsources:\n  - url: https://example.org/feed\n    {source}\n"

    found = faults(tmp_path, sources=sources)

    assert any(fault in line for line in found if line.startswith("sources.yaml:4: ") or ".yaml" in fault)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("ftp://example.org/", "not an http:// or https:// address"),
        ("example.org/feed", "not an http:// or https:// address"),
        ("https:///feed", "not an http:// or https:// address"),
        ("https://me:pw@example.org/", 'keep the password out of the address, write auth: {basic: "user:${PASSWORD}"}'),
        ("https://example.org/?k=${KEY}", "secrets are not filled into addresses, use auth: or headers:"),
        ("12", "must be text such as https://example.org/feed.xml"),
    ],
)  # fmt: skip
def test_a_source_needs_an_address(tmp_path: Path, url: str, fault: str) -> None:
    assert faults(tmp_path, sources=f"sources:\n  - url: {url}\n") == [f"sources.yaml:2: sources[0].url: {fault}"]


@pytest.mark.parametrize(
    "again", ["https://example.org/feed", "http://Example.org:80/feed", "https://example.org/feed/#top"]
)
def test_the_same_source_twice(tmp_path: Path, again: str) -> None:
    sources = f"sources:\n  - url: https://example.org/feed\n  - title: Again\n    url: {again}\n"

    assert faults(tmp_path, sources=sources) == [
        "sources.yaml:4: sources[1].url: the same source as in line 2, remove one"
    ]


def test_addresses_that_differ_in_path_or_query_are_two_sources(tmp_path: Path) -> None:
    urls = ("https://a.org/feed", "https://a.org/Feed", "https://a.org/feed?x=1", "https://b.a.org/feed")

    assert len(loaded(tmp_path, sources="sources:\n" + "".join(f"  - url: {url}\n" for url in urls)).sources) == 4


def test_every_fault_of_both_files_is_said_at_once_in_file_order(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "log: {level: loud}\npolling: {evry: 1m, every: 5}\nlog: {}\nfeeds: [{slug: top, sections: []}]\n",
        "sources:\n  - url: x\n  - url: https://a.org/\n    evry: 1m\n  - url: https://a.org/\n",
    )

    assert [fault.split(": ")[0] + " " + fault.split(": ")[1] for fault in found] == [
        "aggregator.yaml:1 log.level", "aggregator.yaml:2 polling.every", "aggregator.yaml:2 polling.evry",
        "aggregator.yaml:3 log", "aggregator.yaml:4 feeds[0].slug", "aggregator.yaml:4 feeds[0].sections",
        "sources.yaml:2 sources[0].url", "sources.yaml:4 sources[1].evry", "sources.yaml:5 sources[2].url",
    ]  # fmt: skip


def test_files_are_called_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("etc").mkdir()
    written(Path("etc"), "x: 1\n", "sources: [{}]\n")

    with pytest.raises(ConfigError) as caught:
        config.load(Path("etc/aggregator.yaml"), {})

    assert str(caught.value).startswith("etc/aggregator.yaml:1: x: unknown key")
    assert str(caught.value).endswith("etc/sources.yaml:1: sources[0].url: missing, add it")


# ---------------------------------------------------------------- secrets


SECRETIVE = """
sources:
  - url: https://example.org/feed?token=s3cret
    auth: {bearer: "${S}"}
    headers: {X-Key: "a${S}b", X-Dollar: "$${S}"}
    proxy: "http://me:${S}@proxy:1"
"""
SECRETIVE_SITE = """
admin: {token: "${S}"}
database: "postgresql+psycopg://me:${S}@db/x"
fetch: {proxy: "http://me:${S}@proxy:1"}
digest: {smtp: "smtp://me:${S}@mail"}
"""


def test_secrets_are_masked_wherever_shown(tmp_path: Path) -> None:
    read = loaded(tmp_path, SECRETIVE_SITE, SECRETIVE, S="hunter2")

    shown = f"{read!r} {read} {read.sources!r} {read.model_dump()} {read.model_dump_json()} {read.sources[0].masked()}"
    assert "hunter2" not in shown
    assert "http://***@proxy:1" in shown
    assert dict(read.sources[0].request_headers()) == {
        "X-Key": "ahunter2b", "X-Dollar": "${S}", "Authorization": "Bearer hunter2",
    }  # fmt: skip


def test_a_masked_source_shows_what_is_set_and_no_more(tmp_path: Path) -> None:
    assert loaded(tmp_path, sources=SECRETIVE, S="hunter2").sources[0].masked() == {
        "url": "https://example.org/feed?token=***",
        "auth": {"bearer": "***"},
        "headers": {"X-Key": "***", "X-Dollar": "***"},
        "proxy": "http://***@proxy:1",
    }
    assert Source(url="https://a.org/", every="90m", section="tech", exclude=["x"]).masked() == {
        "url": "https://a.org/", "section": "tech", "every": "90m", "exclude": ["x"],
    }  # fmt: skip


def test_faults_do_not_tell_secrets(tmp_path: Path) -> None:
    sources = """
sources:
  - {url: "https://a.org/", auth: {basic: "${S}"}}
  - {url: "https://b.org/", proxy: "${S}"}
  - {url: "https://c.org/", headers: {"A": ["${S}", hunter2]}}
  - {url: "https://d.org/", auth: hunter2}
"""
    site = 'database: "${S}"\ndigest: {smtp: "${S}"}\nadmin: {token: [hunter2]}\nfetch: {proxy: {hunter2: hunter2}}\n'

    found = faults(tmp_path, site, sources, S="hunter2")
    assert len(found) == 8
    assert "hunter2" not in "\n".join(found)


def test_a_secret_from_the_environment_must_be_sendable(tmp_path: Path) -> None:
    assert "holds a line break" in faults(tmp_path, "admin: {token: '${S}'}", S="a\r\nX: b")[0]
    assert "another character that cannot be sent" in faults(tmp_path, "admin: {token: '${S}'}", S="a\udcff")[0]


# ---------------------------------------------------------------- which file


def test_the_option_wins_over_the_environment_and_that_over_the_folder(tmp_path: Path) -> None:
    usual = tmp_path / "config" / "aggregator.yaml"

    assert config.find(None, {}, tmp_path) is None
    usual.parent.mkdir()
    usual.touch()
    assert config.find(None, {}, tmp_path) == usual
    assert config.find(None, {"BMN_CONFIG": ""}, tmp_path) == usual
    assert config.find(None, {"BMN_CONFIG": "/etc/bmn.yaml"}, tmp_path) == Path("/etc/bmn.yaml")
    assert config.find("x.yaml", {"BMN_CONFIG": "/etc/bmn.yaml"}, tmp_path) == Path("x.yaml")


def test_in_its_own_folder_the_usual_file_is_called_by_its_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    written(tmp_path / "config")

    assert config.find(None, {}, Path.cwd()) == Path("config/aggregator.yaml")


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/bmn:/var/lib/more", "HOME": "/h"}, "/var/lib/bmn"),
        ({"XDG_STATE_HOME": "/xdg", "HOME": "/h"}, "/xdg/bmn"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/bmn"),
        ({"HOME": "/h"}, "/h/.local/state/bmn"),
    ],
)
def test_without_a_file_state_goes_where_the_system_wants_it(env: Mapping[str, str], folder: str) -> None:
    assert str(config.state_directory(env)) == folder
    packaged = config.load(None, env)
    assert packaged.database == f"sqlite:///{folder}/aggregator.db"
    assert packaged.is_packaged


# ---------------------------------------------------------------- reload, remarks, size, laws


def test_two_readings_of_the_same_files_are_equal_and_a_change_is_named(tmp_path: Path) -> None:
    before = loaded(tmp_path, SECRETIVE_SITE, SECRETIVE, S="one")

    assert before == loaded(tmp_path, SECRETIVE_SITE, SECRETIVE, S="one")
    assert config.changed_keys(before, before) == ()
    after = loaded(tmp_path, SECRETIVE_SITE + "polling: {every: 1h}\n", SECRETIVE, S="two")
    assert config.changed_keys(before, after) == (
        "admin.token", "database", "polling.every", "fetch.proxy", "digest.smtp", "sources",
    )  # fmt: skip


def test_remarks_name_what_has_no_effect_and_what_is_open(tmp_path: Path) -> None:
    read = loaded(
        tmp_path,
        "admin: {listen: '0.0.0.0:8081'}\nlanguages: [en]\nretention: {size: 1 GiB, text: 3d}\n",
        "sources: [{url: 'https://a.org/', enabled: false}]\n",
    )

    assert config.remarks(read) == (
        "admin.listen: other machines can reach it and no token is asked, set admin.token",
        "sources: all of them are disabled",
    )
    assert config.remarks(loaded(tmp_path, "admin: {listen: '0.0.0.0:1', token: abc}")) == ()
    assert config.remarks(loaded(tmp_path, "admin: {listen: 'unix:x'}")) == ()


def test_twenty_thousand_sources_load_in_a_moment(tmp_path: Path) -> None:
    """About 1 s on a quiet core; the bound is for a busy one."""
    sources = "sources:\n" + "".join(
        f"  - url: https://site{n}.example.org/feed.xml\n    title: Site {n}\n    section: tech\n    weight: 1.2\n"
        for n in range(20_000)
    )
    path = written(tmp_path, sources=sources)

    start = time.process_time()
    read = config.load(path, {})

    assert len(read.sources) == 20_000
    assert time.process_time() - start < 6


KEYS = sorted({*config.AggregatorFile.model_fields, *Source.model_fields, "listen", "at", "slug", "sections"})
SCALARS = ["15m", "8 MiB", "${X}", "tech", "x\ny", "https://a.org/", "é", "(", "9" * 400, "[::1]:1", "unix:\0"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner),
    max_leaves=12,
)
DOCUMENTS = st.binary(max_size=120) | ANYTHING.map(json.dumps).map(str.encode)  # JSON is YAML, nearly always


@settings(max_examples=300)
@given(DOCUMENTS, DOCUMENTS | ANYTHING.map(lambda value: json.dumps({"sources": [value]}).encode()))
def test_whatever_the_files_hold_only_configuration_errors_come_out(folder: Path, first: bytes, second: bytes) -> None:
    (folder / "aggregator.yaml").write_bytes(first)
    (folder / "sources.yaml").write_bytes(second)
    problems: tuple[Problem, ...] = ()
    try:
        assert config.load(folder / "aggregator.yaml", {}).files
    except ConfigError as error:
        problems = error.problems
    assert all("\n" not in str(problem) for problem in problems)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")
