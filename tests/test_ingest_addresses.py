"""Which addresses may be connected to, in every spelling that leads to one."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ingest.addresses import embedded, is_local_host, literal_address, networks, refusal, spelled_refusal

REFUSED = {
    "unspecified": ("0.0.0.0", "0.1.2.3", "::"),
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    "carrier-grade NAT": ("100.64.0.1", "100.100.100.200", "100.127.255.255"),
    "link-local": ("169.254.169.254", "169.254.170.2", "fe80::1"),
    "cloud metadata": ("168.63.129.16",),
    "unique-local": ("fd00::1", "fc00::1", "fd00:ec2::254"),
    "site-local": ("fec0::1",),
    "multicast": ("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.255", "192.0.0.8", "192.88.99.1", "100::1", "4000::1", "2001:10::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "benchmark": ("198.18.0.1", "198.19.255.255", "2001:2::1"),
    "local NAT64": ("64:ff9b:1::7f00:1", "64:ff9b:1:7f00:0:100::"),
}
HIDING = (
    "::ffff:{0}",  # mapped
    "::{0}",  # compatible
    "::ffff:0:{0}",  # translated
    "64:ff9b::{0}",  # NAT64
    "2002:{1}::1",  # 6to4
    "2001:0:{1}::1",  # Teredo, as its server
    "2001:0:808:808:0:0:{2}",  # Teredo, as its client
    "2a00:1450::5efe:{1}",  # ISATAP
    "2a00:1450::200:5efe:{1}",
)


def hidden(address: str, template: str) -> str:
    number = int(ip_address(address))
    groups, inverted = (f"{n >> 16:x}:{n & 0xFFFF:x}" for n in (number, number ^ 0xFFFFFFFF))
    return template.format(address, groups, inverted)


@pytest.mark.parametrize(("kind", "address"), [(kind, a) for kind, some in REFUSED.items() for a in some])
def test_inside_is_refused_with_its_kind(kind, address):
    assert refusal(ip_address(address)) == kind


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1"),
        *("2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2001:200::1"),
    ],
)
def test_the_public_internet_is_open(address):
    assert refusal(ip_address(address)) is None


@pytest.mark.parametrize("template", HIDING)
@pytest.mark.parametrize("inner", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "0.0.0.0"])
def test_an_address_inside_another_is_seen(inner, template):
    if template == "::{0}" and inner == "0.0.0.0":
        return  # that is `::`, refused as itself
    assert refusal(ip_address(hidden(inner, template))) is not None


@pytest.mark.parametrize("template", ["::ffff:{0}", "64:ff9b::{0}", "2002:{1}::1", "2a00:1450::5efe:{1}"])
def test_a_public_address_inside_another_is_open(template):
    assert refusal(ip_address(hidden("93.184.216.34", template))) is None


def test_allowed_networks_are_exempt_in_both_spellings():
    allowed = networks(("127.0.0.0/8", "fd12::/16"))
    assert refusal(ip_address("127.0.0.1"), allowed) is None
    assert refusal(ip_address("::ffff:127.0.0.1"), allowed) is None
    assert refusal(ip_address("fd12::5"), allowed) is None
    assert refusal(ip_address("::1"), allowed) == "loopback"
    assert refusal(ip_address("10.0.0.1"), allowed) == "private"


def test_an_allowed_teredo_server_does_not_vouch_for_its_client():
    address = ip_address(hidden("127.0.0.1", "2001:0:808:808:0:0:{2}"))
    assert refusal(address, networks(("8.8.8.8/32",))) is not None


@given(st.ip_addresses(v=6))
def test_what_carries_a_refused_address_is_refused(address):
    assert refusal(address) is not None or all(refusal(inner) is None for inner in embedded(address))


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.0.0.1.", "127.0.1", "[::1]"],
)
def test_odd_spellings_are_addresses(host):
    address = literal_address(host)
    assert address is not None
    assert address.is_loopback


@pytest.mark.parametrize("host", ["example.org", "1.2.3.4.example.org", "0xyz", "256.1.1.1.1", "", "a1.b2"])
def test_names_are_no_addresses(host):
    assert literal_address(host) is None


def test_what_is_spelled_is_refused_before_a_proxy_sees_it():
    assert spelled_refusal("2130706433", ()) == "loopback"
    assert spelled_refusal("localhost", ()) == "loopback"
    assert spelled_refusal("db.localhost", ()) == "loopback"
    assert spelled_refusal("localhost", networks(("127.0.0.0/8",))) is None
    assert spelled_refusal("example.org", ()) is None


def test_local_hosts_are_those_of_allowed_networks():
    allowed = networks(("10.0.0.0/8",))
    assert is_local_host("10.2.3.4", allowed)
    assert not is_local_host("localhost", allowed)
    assert not is_local_host("192.168.0.1", allowed)
    assert not is_local_host("10.2.3.4.example.org", allowed)


def test_a_wrong_cidr_is_said():
    with pytest.raises(ValueError, match="300"):
        networks(("300.0.0.0/8",))
