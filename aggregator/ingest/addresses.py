"""Which network addresses we may connect to: the public ones, and those the operator allows by CIDR.

Pure. `fetch` asks at the moment a socket is made, when names are resolved and redirects followed, so that neither a
spelling nor a DNS answer that changes in between leads inside. Tables: the IANA special-purpose address registries
(RFC 6890 and successors), kept here because what `ipaddress` thinks of them varies with the Python release.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),  # a public number, answered by the hypervisor on Azure
        ("169.254.0.0/16", "link-local"),  # 169.254.169.254, the usual metadata service, among them
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmark"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("64:ff9b:1::/48", "local NAT64"),  # RFC 8215: what hides behind it is for the local operator to know
        ("fc00::/7", "unique-local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("2001:2::/48", "benchmark"),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")  # all that is handed out for the Internet at large
_PROTOCOLS_V6 = IPv6Network("2001::/23")  # IETF protocol assignments: ORCHID, benchmarking, Teredo …
_PROTOCOLS_GLOBAL_V6 = tuple(
    IPv6Network(network)
    for network in ("2001:1::1/128", "2001:1::2/128", "2001:3::/32", "2001:4:112::/48", "2001::/32")
)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_COMPATIBLE = IPv6Network("::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")  # RFC 2765, stateless translation
_ISATAP = (0x00005EFE, 0x02005EFE)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a question may lead: to public addresses, and where `is_inside` also into the operator's `networks`.

    Inside is whose own address, as the operator wrote it, lies there. What a document, a redirect or a hub names counts
    for nothing: a stranger's feed must not learn its way in from the exception made for the operator's own.
    """

    networks: tuple[Network, ...] = ()
    is_inside: bool = False

    def refusal(self, address: Address) -> str | None:
        """Why we must not connect to `address`, a line for a person; None if we may."""
        return self._worded(address, lambda allowed: refusal(address, allowed))

    def spelled_refusal(self, host: str) -> str | None:
        """The same for what `host` spells; None for names, which cannot be judged by their spelling."""
        return self._worded(host, lambda allowed: spelled_refusal(host, allowed))

    def _worded(self, what: object, judge: Callable[[Sequence[Network]], str | None]) -> str | None:
        kind = judge(self.networks if self.is_inside else ())
        if kind is None:
            return None
        is_closed_to_us = not self.is_inside and judge(self.networks) is None
        why = "which fetch.allow_networks opens to its own sources alone" if is_closed_to_us else SEE
        return f"{REFUSED}: {what} is {kind}, {why}"


REFUSED = "address not allowed"
SEE = "see fetch.allow_networks"


def refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """What kind of address this is if we must not connect to it ("loopback", "private" …), None if we may.

    An address that carries another inside (mapped, NAT64, 6to4, Teredo …) is judged by both. `allowed` exempts
    either spelling.
    """
    if _is_within(address, allowed):
        return None
    hidden = embedded(address)
    for inner in hidden:
        if (kind := _kind(inner)) is not None and not _is_within(inner, allowed):
            return f"{kind} in IPv6"
    return None if hidden and not _is_plain(address) else _kind(address)


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 one stands for on the way out; empty for a plain one."""
    if isinstance(address, IPv4Address):
        return ()
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if address in _MAPPED or address in _NAT64 or address in _TRANSLATED:
        return (low,)
    if address in _COMPATIBLE and number > 0xFFFF:  # `::` and `::1` are themselves
        return (low,)
    if address in _SIX_TO_FOUR:
        return (IPv4Address((number >> 80) & 0xFFFFFFFF),)
    if address in _TEREDO:  # the server, and the client with its bits inverted (RFC 4380 §4)
        return (IPv4Address((number >> 64) & 0xFFFFFFFF), IPv4Address(int(low) ^ 0xFFFFFFFF))
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return (low,)
    return ()


@lru_cache(maxsize=4096)  # the same few are looked at several times a poll, and most are names, told by an exception
def literal_address(host: str) -> Address | None:
    """The address a host name spells without any look-up, in every way the C library reads one; None for a name.

    `127.1`, `0x7f.1`, `017700000001` and `2130706433` are all loopback to getaddrinfo (inet_aton(3)).
    """
    bare = host.strip("[]").rstrip(".").partition("%")[0]
    try:
        return ip_address(bare)
    except ValueError:
        pass
    if not bare or bare[0] not in "0123456789":  # all such spellings begin with a digit
        return None
    try:
        return IPv4Address(socket.inet_aton(bare))
    except OSError:
        return None


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether the address, or one that it carries, lies in the networks that the operator allows."""
    return _is_within(address, allowed) or any(_is_within(inner, allowed) for inner in embedded(address))


def is_local_host(host: str, allowed: Sequence[Network]) -> bool:
    """Whether `host` (no port) is one of the operator's own by `allow_networks`, as far as its spelling tells."""
    if host == "localhost" or host.endswith(".localhost"):
        return _is_within(IPv4Address("127.0.0.1"), allowed)
    address = literal_address(host)
    return address is not None and _is_within(address, allowed)


def spelled_refusal(host: str, allowed: Sequence[Network]) -> str | None:
    """`refusal` of what `host` spells, for where a proxy does the looking up; None for names we cannot judge."""
    if host == "localhost" or host.endswith(".localhost"):
        return None if is_local_host(host, allowed) else "loopback"
    address = literal_address(host)
    return None if address is None else refusal(address, allowed)


def networks(cidrs: Sequence[str]) -> tuple[Network, ...]:
    """CIDRs as networks; host bits are ignored. Raises ValueError for what is none."""
    return tuple(ip_network(cidr, strict=False) for cidr in cidrs)


def _is_within(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed)


def _is_plain(address: Address) -> bool:
    """Whether it lives in ordinary space besides what it carries (6to4 and ISATAP do; a mapped address does not)."""
    return isinstance(address, IPv6Address) and address in _GLOBAL_V6


def _kind(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _REFUSED_V4 if address in network), None)
    for network, kind in _REFUSED_V6:
        if address in network:
            return kind
    if address not in _GLOBAL_V6:
        return "reserved"
    if address in _PROTOCOLS_V6 and not any(address in network for network in _PROTOCOLS_GLOBAL_V6):
        return "reserved"
    return None
