"""What is found and removed of ours, in a real namespace."""

from collections.abc import Callable, Iterator

import pytest

from netra_node.interception import encode, leftovers, netlink, routes
from netra_node.interception.encode import Message
from netra_node.interception.leftovers import Leftovers, Table
from netra_node.interception.ruleset import RuleSet
from tests.interception.pods import TABLE, Capture, Pod, tables

pytestmark = pytest.mark.netns

ROUTING = {
    "IPv4 rule with priority 1539 to table 1539",
    "IPv4 route to everything in table 1539",
    "IPv4 route to 192.0.0.8 in table 255",
    "IPv6 rule with priority 1539 to table 1539",
    "IPv6 route to everything in table 1539",
    "IPv6 route to 100::8 in table 255",
}
Install = Callable[[str], None]


@pytest.fixture
def left(web: Pod) -> Iterator[None]:
    """What a killed daemon leaves."""
    web.namespace.run(routes.add)
    yield
    web.namespace.run(routes.remove)


@pytest.fixture
def install(web: Pod) -> Iterator[Install]:
    """Makes a table without an owner, of that name; it is removed at the end."""
    made: list[str] = []
    with web.namespace.run(netlink.netfilter_socket) as link:

        def install(name: str) -> None:
            netlink.commit(link, encode.install(RuleSet(owner=False), name))
            made.append(name)

        yield install
        for name in set(made) & tables(web):
            netlink.commit(link, encode.delete(name))


def test_where_nothing_is_left_nothing_is_found(orders: Pod) -> None:
    assert orders.namespace.run(leftovers.find) == Leftovers()


@pytest.mark.usefixtures("left")
def test_rules_and_routes_of_both_families_are_found(web: Pod) -> None:
    assert set(web.namespace.run(leftovers.find).about) == ROUTING


@pytest.mark.usefixtures("left")
def test_everything_that_was_found_is_removed(web: Pod, install: Install) -> None:
    install("netra-0badcafe")
    found = web.namespace.run(leftovers.find)
    assert "table netra-0badcafe" in found.about
    web.namespace.run(lambda: leftovers.remove(found))

    assert web.namespace.run(leftovers.find) == Leftovers()


@pytest.mark.usefixtures("left")
def test_what_is_gone_already_needs_no_removal(web: Pod) -> None:
    found = web.namespace.run(leftovers.find)
    web.namespace.run(routes.remove)

    web.namespace.run(lambda: leftovers.remove(found))


def test_a_lease_is_found_with_its_owner(web: Pod, capture: Capture) -> None:
    capture(RuleSet())
    (table,) = web.namespace.run(leftovers.find).tables

    assert table.name == TABLE
    assert table.owner


def test_a_table_that_has_an_owner_cannot_be_removed_by_anybody_else(
    web: Pod, capture: Capture
) -> None:
    capture(RuleSet())
    found = web.namespace.run(leftovers.find)
    with pytest.raises(netlink.RefusedError):
        web.namespace.run(lambda: leftovers.remove(found))

    assert tables(web) == {TABLE}


def test_tables_of_others_are_not_ours(web: Pod, install: Install) -> None:
    install("netra")
    install("netra-0badcafe-2")
    install("filter")

    assert web.namespace.run(leftovers.find).tables == ()


@pytest.mark.usefixtures("left")
def test_routing_of_others_stays(web: Pod) -> None:
    add, remove = (
        Message("a rule of others", kind, flags, body)
        for kind, flags, body in (
            (32, 0x600, other_rule()),
            (33, 0, other_rule()),
        )
    )
    with web.namespace.run(netlink.route_socket) as link:
        netlink.request(link, add)
        found = web.namespace.run(leftovers.find)
        web.namespace.run(lambda: leftovers.remove(found))
        netlink.request(link, remove)  # it was there: else ENOENT

    assert set(found.about) == ROUTING


def other_rule() -> bytes:
    """Our rule as another daemon would tag it."""
    ours = encode.add_routes(2)[0].body  # type: ignore[arg-type]
    tagged = bytes((5, 0, 21, 0, encode.ROUTE_PROTOCOL))
    assert tagged in ours
    return ours.replace(tagged, bytes((5, 0, 21, 0, 77)))


def test_a_table_is_told_by_its_name() -> None:
    assert Leftovers((Table("netra-0badcafe", 0),)).about == ("table netra-0badcafe",)
