"""What a forged route may not reach, and what the operator's list lets it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.targets import MAX_ITEMS, Targets, parse

NEAR = [
    "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "fe80::1", "224.0.0.1",
    "ff02::1", "255.255.255.255", "240.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
]  # fmt: skip
OURS = ["192.0.0.8", "100::8"]


@pytest.mark.parametrize("address", [*NEAR, *OURS])
def test_without_a_list_nothing_near_may_be_dialled(address: str) -> None:
    assert not Targets().permits(address, "any.name")
    assert not Targets().permits(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "93.184.216.34", "fd00::1", "64:ff9b::a00:1"])
def test_without_a_list_everything_else_may(address: str) -> None:
    assert Targets().permits(address, "any.name")
    assert Targets().permits(address)


@pytest.mark.parametrize("address", NEAR)
def test_a_listed_name_does_not_make_near_addresses_far(address: str) -> None:
    assert not parse("b.example,10.0.0.0/8").permits(address, "b.example")


def test_a_near_address_may_be_dialled_where_it_is_listed_itself() -> None:
    assert parse("127.0.0.1").permits("127.0.0.1")
    assert parse("169.254.0.0/16").permits("169.254.169.254", "b.example")


@pytest.mark.parametrize("address", OURS)
def test_our_own_addresses_may_never_be_dialled(address: str) -> None:
    assert not parse("192.0.0.0/8,100::/16,b").permits(address, "b")


@pytest.mark.parametrize(
    ("listed", "name", "allowed"),
    [
        ("b.example", "b.example", True),
        ("b.example", "b.example.", True),
        ("B.Example.", "b.example", True),
        ("b.example", "x.b.example", False),
        ("b.example", "b.examples", False),
        ("*.example", "b.example", True),
        ("*.example", "c.b.example", True),
        ("*.example", "example", False),
        ("*.example", "evilexample", False),
        ("10.0.0.0/8", "b.example", False),
    ],
)
def test_a_name_has_to_be_listed_or_end_in_a_listed_suffix(
    listed: str, name: str, allowed: bool
) -> None:
    assert parse(listed).permits("192.168.0.1", name) is allowed


def test_any_of_a_hosts_names_suffices() -> None:
    assert parse("*.stage.svc.cluster.local").permits("10.0.0.1", "b", "b.stage.svc.cluster.local.")


def test_a_listed_network_suffices_whatever_the_name() -> None:
    assert parse("10.0.0.0/8").permits("10.1.2.3", "any.name")
    assert parse("10.0.0.0/8").permits("10.1.2.3")
    assert not parse("10.0.0.0/8").permits("11.0.0.1")


def test_an_address_is_no_name() -> None:
    assert not parse("b.example").permits("10.0.0.1")


@pytest.mark.parametrize("item", ["", "*", "*.", "10.0.0.300", "10.0.0.0/33", "a b", "http://a", "a:80", "a..b", "-a", "*a.b", "é"])  # fmt: skip
def test_what_is_none_of_them_is_refused_by_name(item: str) -> None:
    with pytest.raises(ValueError, match="no name, no address and no network"):
        parse(f"a.example,{item}")


def test_a_list_has_an_end() -> None:
    with pytest.raises(ValueError, match="more than"):
        parse(",".join(["a"] * (MAX_ITEMS + 1)))


@given(address=st.ip_addresses().map(str))
def test_any_address_is_judged(address: str) -> None:
    assert parse(address).permits(address) or not Targets().permits(address)
