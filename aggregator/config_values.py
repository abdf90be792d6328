"""The scalars of the configuration: durations, sizes, addresses to listen on, networks, times, patterns.

Each reader takes what YAML gave and returns the value, or raises ValueError with what is wrong and the remedy in one
line. `config_models` hangs them on keys; `config_secrets` has those that may hold a secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from aggregator import text, urls

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([smhdw])")
_LONGEST = 100 * 365 * 86400.0  # seconds; above every bound and below what a timedelta can hold
_SIZE_UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([kKMGT]?i?B)")
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True)
class Context:
    """What values need from around them: the folder of the file that names them, the environment for secrets.

    Without `reveal` secrets are not looked up: an editor of the file need not know them.
    """

    folder: Path = field(default_factory=Path)
    env: Mapping[str, str] = field(default_factory=dict)
    reveal: bool = True


def context_of(info: ValidationInfo) -> Context:
    return info.context if isinstance(info.context, Context) else Context()


def read_text(value: object, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text such as {example}")
    return value


def split(address: str) -> tuple[Any, int | None]:
    """Parts and port of an address; None where it cannot be taken apart."""
    try:
        parts = urlsplit(address)
        return parts, parts.port
    except ValueError:
        return None, None


# ---------------------------------------------------------------- durations and sizes


def read_duration(value: object) -> timedelta:
    """`30s`, `15m`, `24h`, `90d`, `2w`."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"a duration needs a unit: {value}s, {value}m, {value}h or {value}d")
    match = _DURATION.fullmatch(read_text(value, "15m").strip())
    if match is None:
        raise ValueError("not a duration, write a number and s, m, h, d or w such as 30s, 15m, 24h, 90d")
    seconds = float(match[1]) * _DURATION_UNITS[match[2]]
    return timedelta(seconds=min(seconds, _LONGEST))


def show_duration(value: timedelta) -> str:
    """A duration as the configuration writes it, in the largest unit that is whole."""
    seconds = value.total_seconds()
    for unit, length in sorted(_DURATION_UNITS.items(), key=lambda pair: -pair[1]):
        if unit != "w" and seconds and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}s"


def read_size(value: object) -> int:
    """Bytes of `8 MiB`, `500 kB`. A bare number is refused: nobody means eight bytes by 8."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"a size needs a unit: {value} B, {value} kB or {value} MiB")
    match = _SIZE.fullmatch(read_text(value, "8 MiB").strip())
    unit = match and (match[2] if match[2] in _SIZE_UNITS else {"KB": "kB", "kiB": "KiB"}.get(match[2]))
    if match is None or not unit:
        raise ValueError("not a size, write a number and B, kB, MB, GB, KiB, MiB or GiB such as 8 MiB, 500 kB")
    return int(float(match[1]) * _SIZE_UNITS[unit])


Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?[smhdw]$"}),
]
Size = Annotated[
    int,
    BeforeValidator(read_size),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?([kMGT]?B|[KMGT]iB)$"}),
]


def lasting(low: str, high: str) -> AfterValidator:
    """Bounds of a Duration, both allowed."""
    return _between(read_duration(low), read_duration(high), low, high)


def holding(low: str, high: str) -> AfterValidator:
    """Bounds of a Size, both allowed."""
    return _between(read_size(low), read_size(high), low, high)


def _between(lowest: Any, highest: Any, low: str, high: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if value < lowest:
            raise ValueError(f"must be at least {low}")
        if value > highest:
            raise ValueError(f"must be at most {high}")
        return value

    return AfterValidator(check)


# ---------------------------------------------------------------- addresses


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: `host` and `port` (0: any free one), or the `path` of a Unix socket."""

    host: str | None = None
    port: int | None = None
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in (self.host or "") else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Only this machine can connect."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host or "").is_loopback
        except ValueError:
            return False


def _read_listen(value: object, info: ValidationInfo) -> Listen:
    if isinstance(value, Listen):
        return value
    address = read_text(value, "127.0.0.1:8080")
    if address.startswith("unix:"):
        if not address[5:] or "\0" in address:
            raise ValueError("the socket's path is missing, write unix:PATH")
        path = Path(os.path.abspath(context_of(info).folder / address[5:]))
        if len(os.fsencode(path)) > 107:  # sockaddr_un on Linux
            raise ValueError("the socket's path is longer than 107 bytes, choose a shorter one")
        return Listen(path=path)
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("not an address to listen on, write host:port, [::1]:8080 or unix:PATH")
    return Listen(host=_listen_host(host), port=int(port))


def _listen_host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError(f"{text.one_line(host)} is not an IPv6 address, write [::1]:8080") from None
    if ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8080")
    if not host or host == "*":
        raise ValueError("the host is missing, write 127.0.0.1:PORT, or 0.0.0.0:PORT for every interface")
    if len(host) > 253 or not _HOST_NAME.fullmatch(host):
        raise ValueError("not an address to listen on, write host:port, [::1]:8080 or unix:PATH")
    return host


def _read_network(value: object) -> Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    cidr = read_text(value, "10.0.0.0/8").strip()
    try:
        return ipaddress.ip_network(cidr)
    except ValueError:
        pass
    try:
        wanted = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise ValueError("not a network, write an address or a CIDR such as 10.0.0.0/8 or fd00::/8") from None
    raise ValueError(f"has bits set to the right of the mask, did you mean {wanted}?")


def _read_feed_url(value: object) -> str:
    """An address to poll, spelt as `urls.http_url` does."""
    address = read_text(value, "https://example.org/feed.xml").strip()
    if "${" in address:
        raise ValueError("secrets are not filled into addresses, use auth: or headers:")
    clean = urls.http_url(address)
    if clean is not None:
        return clean
    parts, _ = split(address)
    if parts is not None and "@" in parts.netloc:
        raise ValueError('keep the password out of the address, write auth: {basic: "user:${PASSWORD}"}')
    raise ValueError("not an http:// or https:// address")


def _read_public_url(value: object) -> str:
    address = _read_feed_url(value)
    if "?" in address or "#" in address:
        raise ValueError("takes no ? or #, write https://news.example.org or https://example.org/news")
    return address.rstrip("/")


def _read_timezone(value: object) -> str:
    name = read_text(value, "Europe/Prague")
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("not a time zone, write UTC or a name such as Europe/Prague") from None
    return name


def _read_clock(value: object) -> time:
    if isinstance(value, time):
        return value
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", read_text(value, '"07:00"'))
    if match is None:
        raise ValueError('not a time of day, write "07:00"')
    return time(int(match[1]), int(match[2]))


def _read_pattern(value: object) -> str:
    pattern = read_text(value, r"'(?i)\bIPO\b'")
    if not pattern:
        raise ValueError("an empty pattern fits everything, remove it")
    try:
        compiled(pattern)
    except ValueError as error:
        raise ValueError(f"not a pattern RE2 understands: {text.one_line(str(error), 120)}") from None
    return pattern


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> text.Pattern:
    """The compiled pattern; the cache holds the patterns of every source and rule of an installation."""
    return text.compile_pattern(pattern)


_STRING = {"type": "string"}
ListenAddress = Annotated[Listen, BeforeValidator(_read_listen), WithJsonSchema(_STRING)]
NetworkCidr = Annotated[Network, BeforeValidator(_read_network), WithJsonSchema(_STRING)]
FeedUrl = Annotated[str, BeforeValidator(_read_feed_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
PublicUrl = Annotated[
    str, BeforeValidator(_read_public_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
TimeZone = Annotated[str, BeforeValidator(_read_timezone)]
ClockTime = Annotated[
    time, BeforeValidator(_read_clock), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"})
]
TitlePattern = Annotated[str, BeforeValidator(_read_pattern)]
Line = Annotated[
    str,
    Field(strict=True, min_length=1),
    BeforeValidator(lambda value: text.one_line(value, 200) if isinstance(value, str) else value),
]
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
