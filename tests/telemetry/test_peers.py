"""Names of peers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.telemetry.peers import EXTERNAL, MAX_NAMES, OTHER, Directory, PodPeers, is_private


def test_a_pod_of_this_node_is_found_by_its_address_until_it_is_removed() -> None:
    directory = Directory()
    directory.set_address("10.0.0.5", "web")
    before = directory.service_at("10.0.0.5")
    directory.remove("10.0.0.5")

    assert (before, directory.service_at("10.0.0.5")) == ("web", None)


def test_an_address_written_by_a_dual_stack_socket_is_the_same_address() -> None:
    directory = Directory()
    directory.set_address("10.0.0.5", "web")

    assert directory.service_at("::ffff:10.0.0.5") == "web"


def test_removing_an_unknown_address_is_no_error() -> None:
    Directory().remove("10.0.0.5")


@pytest.mark.parametrize("source", [b"web", b"Web-2", b"web.shop.svc.cluster.local", b"a.b1"])
def test_x_source_names_an_inbound_peer_if_it_is_a_dns_name(source: bytes) -> None:
    assert PodPeers().of_source(source) == source.decode()


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"10.0.0.5",
        b"42",
        b"-web",
        b"web-",
        b"web..shop",
        b"web\n",
        b'web"',
        b"w\xffb",
        b"a" * 64,
        b"a." * 127 + b"a",
    ],
)
def test_an_x_source_that_is_no_dns_name_is_external(source: bytes) -> None:
    assert PodPeers().of_source(source) == EXTERNAL


def test_a_host_names_an_outbound_peer_without_port_and_in_lower_case() -> None:
    assert PodPeers().of_host(b"Orders:8080") == "orders"


@pytest.mark.parametrize("host", [b"", b"10.0.0.5:80", b"[::1]:80", b":80", b"a/b"])
def test_a_host_that_is_no_dns_name_is_external(host: bytes) -> None:
    assert PodPeers().of_host(host) == EXTERNAL


def test_the_201st_name_is_other_and_known_ones_stay() -> None:
    peers = PodPeers()
    for number in range(MAX_NAMES):
        peers.of_source(b"s%d" % number)

    assert peers.of_source(b"one-more") == OTHER
    assert peers.of_source(b"s0") == "s0"
    assert peers.of_host(b"another") == OTHER


def test_what_is_remembered_of_the_wire_is_bounded() -> None:
    peers = PodPeers()
    for number in range(3000):
        peers.of_host(b"orders:%d" % number)
    peers.of_host(b"x" * 60_000)

    assert len(peers._by_host) <= 512
    assert max(map(len, peers._by_host)) < 300


@given(st.binary())
def test_any_x_source_gives_a_name_fit_for_a_label(source: bytes) -> None:
    name = PodPeers().of_source(source)

    assert name == EXTERNAL or all(c.isascii() and (c.isalnum() or c in "-.") for c in name)


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("10.96.0.1", True),
        ("192.168.1.1", True),
        ("100.64.0.7", True),
        ("127.0.0.1", True),
        ("fd00::7", True),
        ("::ffff:10.0.0.1", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("not-an-address", False),
    ],
)
def test_private_addresses(address: str, private: bool) -> None:
    assert is_private(address) is private
