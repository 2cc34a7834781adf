"""The specification of `netra_node.core.networks`."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.networks import MAX_ITEMS, parse


def test_networks_of_both_families_are_read() -> None:
    assert parse("fd00::/8,10.0.0.0/8") == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_an_address_is_a_network_of_one() -> None:
    assert parse("192.0.2.7") == (ip_network("192.0.2.7/32"),)


def test_blanks_around_items_are_allowed() -> None:
    assert parse(" 10.0.0.0/8 , fd00::/8 ") == parse("10.0.0.0/8,fd00::/8")


def test_bits_behind_the_prefix_are_ignored() -> None:
    assert parse("10.1.2.3/8") == parse("10.0.0.0/8")


def test_a_network_inside_another_disappears() -> None:
    assert parse("10.0.0.0/8,10.1.0.0/16") == parse("10.0.0.0/8")


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/8,", "10.0.0.0/33", "example.org", "10.0.0", "fe80::1%eth0", "::/129"]
)
def test_an_item_that_is_wrong_is_named(text: str) -> None:
    item = text.rpartition(",")[2]

    with pytest.raises(ValueError, match=f"^{item!r} is no network$"):
        parse(text)


def test_more_items_than_anybody_writes_are_refused() -> None:
    with pytest.raises(ValueError, match=f"more than {MAX_ITEMS} items"):
        parse(",".join(["10.0.0.1"] * (MAX_ITEMS + 1)))


@given(st.text(max_size=60))
def test_any_text_is_networks_or_a_value_error(text: str) -> None:
    try:
        networks = parse(text)
    except ValueError:
        return
    assert parse(",".join(map(str, networks))) == networks


@given(st.lists(st.ip_addresses(), min_size=1, max_size=20), st.integers(0, 32))
def test_what_was_written_is_in_what_was_read(addresses: list[object], prefix: int) -> None:
    networks = parse(",".join(f"{address}/{prefix}" for address in addresses))

    for address in addresses:
        assert any(ip_address(str(address)) in network for network in networks)
