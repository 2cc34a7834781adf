import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2.iproute.linux import IPRoute

from netra_node.interception import routes
from netra_node.interception.encode import ROUTE_PROTOCOL
from netra_node.interception.netlink import RefusedError
from netra_node.interception.ruleset import Replies
from netra_node.netns import Namespace
from netra_node.testbed import Testbed
from tests.interception.pods import Family
from tests.unprivileged import unprivileged

SWITCHES = ("ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect")


@pytest.fixture
def fresh(bed: Testbed) -> Iterator[Namespace]:
    """A pod in which nothing was prepared."""
    about = bed.add_pod("fresh")
    with Namespace.open(about.path) as namespace:
        yield namespace
    bed.remove_pod("fresh")


@pytest.fixture
def links(fresh: Namespace) -> Iterator[Any]:
    links: Any = fresh.run(IPRoute)
    yield links
    links.close()


def proc(directory: Path, value: str) -> Path:
    for switch in SWITCHES:
        path = directory / "sys/net" / switch
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return directory


def mark_rules(links: Any, family: int) -> list[Any]:
    return [rule for rule in links.get_rules(family=family) if rule.get("FRA_FWMARK") == 0x153A]


def our_routes(links: Any, family: int) -> Counter[tuple[int, str | None]]:
    return Counter(
        (route.get("RTA_TABLE"), route.get("RTA_DST"))
        for route in links.get_routes(family=family)
        if route["proto"] == ROUTE_PROTOCOL
    )


def test_answers_inherit_the_mark_where_the_switches_can_be_written(tmp_path: Path) -> None:
    directory = proc(tmp_path, "0\n")

    assert routes.prepare_replies(directory) is Replies.SYSCTL
    assert [(directory / "sys/net" / switch).read_text() for switch in SWITCHES] == ["1"] * 3


def test_switches_that_are_on_need_not_be_written(tmp_path: Path) -> None:
    directory = proc(tmp_path, "1\n")

    assert routes.prepare_replies(directory) is Replies.SYSCTL
    assert (directory / "sys/net" / SWITCHES[0]).read_text() == "1\n"


def test_connections_remember_the_mark_where_they_cannot(tmp_path: Path) -> None:
    directory = proc(tmp_path, "0\n")
    switch = directory / "sys/net" / SWITCHES[1]
    switch.unlink()
    switch.mkdir()  # what root cannot write either

    assert routes.prepare_replies(directory) is Replies.CONNTRACK


def test_a_kernel_without_ipv6_lacks_nothing(tmp_path: Path) -> None:
    directory = proc(tmp_path, "0\n")
    (directory / "sys/net" / SWITCHES[2]).unlink()

    assert routes.prepare_replies(directory) is Replies.SYSCTL


@pytest.mark.netns
def test_the_namespace_entered_is_the_one_whose_switches_are_written(fresh: Namespace) -> None:
    before = Path("/proc/sys/net", SWITCHES[0]).read_text()

    fresh.run(routes.prepare_replies)

    inside = fresh.run(lambda: Path("/proc/sys/net", SWITCHES[0]).read_text())
    assert (before, inside) == ("0\n", "1\n")
    assert Path("/proc/sys/net", SWITCHES[0]).read_text() == before


@pytest.mark.netns
def test_there_is_one_rule_for_the_mark_and_it_is_ours(
    fresh: Namespace, links: Any, family: Family
) -> None:
    fresh.run(routes.add)

    (rule,) = mark_rules(links, family.number)
    assert (rule.get("FRA_TABLE"), rule.get("FRA_PRIORITY")) == (1539, 1539)
    assert rule.get("FRA_PROTOCOL") == ROUTE_PROTOCOL


@pytest.mark.netns
def test_marked_packets_and_the_anyip_address_are_local(
    fresh: Namespace, links: Any, family: Family
) -> None:
    fresh.run(routes.add)

    assert our_routes(links, family.number) == {(1539, None): 1, (255, family.anyip): 1}


@pytest.mark.netns
def test_what_a_predecessor_left_is_adopted(fresh: Namespace, links: Any, family: Family) -> None:
    fresh.run(routes.add)
    fresh.run(routes.add)

    assert len(mark_rules(links, family.number)) == 1
    assert our_routes(links, family.number).total() == 2


@pytest.mark.netns
def test_removing_leaves_nothing_of_ours(fresh: Namespace, links: Any, family: Family) -> None:
    fresh.run(routes.add)

    fresh.run(routes.remove)

    assert mark_rules(links, family.number) == []
    assert our_routes(links, family.number) == {}


@pytest.mark.netns
def test_removing_twice_is_removing_once(fresh: Namespace) -> None:
    fresh.run(routes.add)
    fresh.run(routes.remove)

    fresh.run(routes.remove)


@pytest.mark.netns
def test_somebody_elses_route_of_the_same_shape_is_not_removed(
    fresh: Namespace, links: Any
) -> None:
    links.route("add", dst="192.0.0.8/32", oif=1, table=255, type="local", scope=254, proto=3)

    fresh.run(routes.remove)

    left = [route for route in links.get_routes() if route.get("RTA_DST") == "192.0.0.8"]
    assert [route["proto"] for route in left] == [3]


@pytest.mark.netns
def test_a_pod_without_ipv6_gets_the_other_family(fresh: Namespace, links: Any) -> None:
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    fresh.run(lambda: switch.write_text("1"))

    fresh.run(routes.add)

    assert our_routes(links, socket.AF_INET).total() == 2
    fresh.run(routes.remove)
    assert our_routes(links, socket.AF_INET) == {}


@pytest.mark.netns
@pytest.mark.parametrize("change", [routes.add, routes.remove])
def test_a_refusal_says_what_was_refused(change: Callable[[], None]) -> None:
    refusal = "rule for mark 0x153a: Operation not permitted"
    with unprivileged(), pytest.raises(RefusedError, match=refusal):
        change()
