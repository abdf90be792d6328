"""Documents, addresses and configurations that nobody wrote, for as long as wanted: `make fuzz MINUTES=60`.

What broke us is kept as a test of its own beside the module (`tests/data/feeds`, test_urls, test_config_yaml).
"""

from __future__ import annotations

import os
import random
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aggregator import config, urls
from aggregator.errors import ConfigError
from aggregator.ingest.parse import parse
from aggregator.types import ParsedFeed, ParseFailed

MINUTES = float(os.environ.get("BMN_FUZZ_MINUTES", "1"))
SEED = int(os.environ.get("BMN_FUZZ_SEED", "0")) or random.SystemRandom().getrandbits(32)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SLOW = 2.0  # seconds of our own processor time: a child has five
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
TOKENS = [
    *b"<item> </item> <entry> </entry> <![CDATA[ ]]> <!-- --> <title> </title> <guid> </guid> <pubDate> </ />".split(),
    *b"&a; &#x0; &#xD800; &#xFFFE; &nbsp; &lt; <?xml ?> <xhtml:div> type='xhtml' <links> <tags>".split(),
    *b'xml:base=\'// encoding=\' utf-16 gb2312 1e999 -0 null [[[ }} "id": "items":[ \' " = ['.split(),
    *(b"\x00", b"\x0b", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\r", b"\x85"),
    *(
        b"<!DOCTYPE a [",
        b"<!ENTITY a 'b'>",
        b"<link href='",
        b"<source url='x'>",
        b"32 Foo 99999",
        b"<a " * 50,
        b"9" * 40,
    ),
]


def mutant(seeds: list[bytes], tokens: list[bytes], dice: random.Random) -> bytes:
    """A document changed, cut, doubled or crossed with another."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 2, 4, 16, 64))):
        at = dice.randrange(len(data) + 1)
        to = min(len(data), at + dice.choice((1, 2, 8, 64, 512)))
        match dice.randrange(6):
            case 0:
                data[at:at] = dice.choice(tokens)
            case 1:
                data[at:to] = b""
            case 2:
                data[at:at] = data[at:to] * dice.choice((2, 2, 30))
            case 3:
                data[at:to] = dice.randbytes(to - at)
            case 4:
                other = dice.choice(seeds)
                start = dice.randrange(len(other) + 1)
                data[at:to] = other[start : start + 300]
            case 5 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
    return bytes(data)


@dataclass
class Hunt:
    """Tries mutants until time is up, `least` at any rate; goes on after what broke, and keeps one of each kind."""

    name: str
    folder: Path
    minutes: float
    least: int = 200
    broken: dict[str, str] = field(default_factory=dict)

    def tries(self, seeds: list[bytes], tokens: list[bytes], check: Callable[[bytes], None]) -> None:
        """Raises AssertionError with a file for everything that broke."""
        dice = random.Random(SEED)
        end = time.monotonic() + self.minutes * 60
        made = 0
        while made < self.least or time.monotonic() < end:
            made += 1
            self._try(mutant(seeds, tokens, dice), check)
        print(f"\n{self.name}: {made} mutants, {len(self.broken)} ways to break (seed {SEED})")
        assert not self.broken, self.broken

    def _try(self, data: bytes, check: Callable[[bytes], None]) -> None:
        began = time.thread_time()
        try:
            check(data)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._keep(f"{type(error).__name__} in {where.name}:{where.lineno}", data)
        took = time.thread_time() - began
        if took > SLOW:
            self._keep(f"over {SLOW:.0f} s", data)

    def _keep(self, kind: str, data: bytes) -> None:
        if kind not in self.broken:
            left = self.folder / f"{self.name}-{len(self.broken)}.broken"
            left.write_bytes(data)
            self.broken[kind] = f"{len(data)} bytes in {left}"
            print(f"\n{self.name}: {kind}, {self.broken[kind]} (seed {SEED})")


@pytest.fixture
def findings(tmp_path: Path) -> Path:
    """Where what broke us is left: $BMN_FUZZ_FINDINGS, else the test's own folder."""
    folder = Path(os.environ.get("BMN_FUZZ_FINDINGS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def parse_ends_well(document: bytes) -> None:
    result = parse(document, "https://feeds.example/feed", None, frozenset(), NOW)
    assert isinstance(result, ParsedFeed | ParseFailed)
    if isinstance(result, ParseFailed):
        assert 0 < len(result.detail) < 400
        return
    assert UNFIT.search(repr(result)) is None
    for entry in result.entries:
        for url in (entry.link, entry.image_url, entry.comments_url, *(each.url for each in entry.enclosures)):
            assert url is None or url.startswith(("http://", "https://")), url


def address_ends_well(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    found = urls.http_url(text)
    if found is None:
        return
    canonical = urls.canonical_url(found)
    # Escaping may make it longer than any address that is followed; as a key it is as good.
    assert len(canonical) > urls.MAX_URL or urls.canonical_url(canonical) == canonical, (found, canonical)
    urls.host_key(found), urls.for_log(found), urls.publisher_key(found)


def config_ends_well(file: Path) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        file.write_bytes(data)
        try:
            config.load(file, {})
        except ConfigError as error:
            said = [str(problem) for problem in error.problems]
        else:
            return
        assert said
        assert not any("\n" in line for line in said)

    return check


@pytest.mark.soak
def test_no_document_breaks_the_parser(root: Path, findings: Path) -> None:
    seeds = [path.read_bytes() for path in sorted((root / "tests" / "data" / "feeds").iterdir())]
    Hunt("document", findings, MINUTES / 2).tries(seeds, TOKENS, parse_ends_well)


@pytest.mark.soak
def test_no_address_breaks_its_canonical_form(findings: Path) -> None:
    seeds = [
        b"https://example.org/news/2026/11/24/a-title?utm_source=x&id=1#top",
        b"http://user:pw@[2001:db8::1]:8080/%7Ea/../b;c?q=%C3%A9&q=&amp;x",
        "https://bücher.example/Straße?ü=ß".encode(),
        b"HTTP://EXAMPLE.ORG:80/./a//b/?b=2&a=1&a=0",
        b"https://0x7f.1/amp/story.amp.html?outputType=amp",
    ]
    tokens = [
        b"%",
        b"%00",
        b"%2e%2e/",
        b"//",
        b"\\",
        b"@",
        b":",
        b"#",
        b"?",
        b"&",
        b"[",
        b"]",
        b"\t",
        b"\xff",
        b"xn--",
        b".",
        b"\xe3\x80\x82",
    ]
    Hunt("address", findings, MINUTES / 4, least=5000).tries(seeds, tokens, address_ends_well)


@pytest.mark.soak
def test_no_file_breaks_the_configuration(root: Path, findings: Path, tmp_path: Path) -> None:
    seeds = [
        (root / "config" / "aggregator.yaml").read_bytes(),
        b"site: {public_url: 'https://example.org/news', timezone: UTC}\nfeeds:\n  - {slug: a, sections: [tech]}\n",
        (
            b"polling: {every: 30m, fastest: 5m}\nfetch: {allow_networks: [10.0.0.0/8], max_body: 8 MiB}\n"
            b"rules:\n  - when: {title: '(a|b)+'}\n    then: drop\n"
        ),
    ]
    (tmp_path / "sources.yaml").write_bytes(b"sources: []\n")
    tokens = [
        b"&a ",
        b"*a",
        b"!!python/object:os.system",
        b"<<: *a",
        b"\t",
        b"[",
        b"{",
        b": ",
        b"- ",
        b"${X}",
        b"${file:/etc/passwd}",
        b"? ",
        b"|\n",
        b"\x00",
        b"1e999",
        b"9" * 400,
        b"\xff",
        b"---\n",
        b"%YAML 1.1\n",
        b"-1",
        b"(?P<",
        b"null",
    ]
    Hunt("config", findings, MINUTES / 4).tries(seeds, tokens, config_ends_well(tmp_path / "aggregator.yaml"))
