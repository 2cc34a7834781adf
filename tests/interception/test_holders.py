"""Who holds what, told from a /proc that is made of files, and from the real one."""

import os
from pathlib import Path

import pytest

from netra_node.interception import holders, netlink
from netra_node.interception.ruleset import RuleSet
from tests.interception.pods import Capture, Pod

TABLE = """\
sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   4711       00000000 0        0        0     2        0        11
0000000000000000 12  4711       00000000 0        0        0     2        0        22
0000000000000000 12  0          00000000 0        0        0     2        0        33
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Process 7 has socket 22 and lives in namespace 1, process 8 has it too and lives elsewhere, 9 has a file."""
    for pid, target in ((7, "socket:[22]"), (8, "socket:[22]"), (9, "/dev/null")):
        process = tmp_path / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "fd/3").symlink_to(target)
        (process / "ns").mkdir()
        (process / "ns/net").touch()
    (tmp_path / "meminfo").touch()
    (tmp_path / "10").mkdir()
    return tmp_path


def home_of(proc: Path, pid: int) -> int:
    return (proc / str(pid) / "ns/net").stat().st_ino


def test_only_netfilter_sockets_of_processes_count(tmp_path: Path) -> None:
    table = tmp_path / "netlink"
    table.write_text(TABLE)

    assert holders.netfilter_sockets(table) == {22}


def test_every_process_that_has_a_socket_is_found(proc: Path) -> None:
    assert holders.processes({22}, proc) == {22: {7, 8}}


def test_a_socket_of_nobody_we_can_see_is_known_to_have_none(proc: Path) -> None:
    assert holders.processes({99}, proc) == {99: set()}


def test_without_sockets_nobody_is_looked_at(tmp_path: Path) -> None:
    assert holders.processes((), tmp_path / "no such /proc") == {}


def test_who_lives_in_the_namespace_does_not_hold_it(proc: Path) -> None:
    who = holders.processes({22}, proc)

    assert holders.outsiders({22}, who, home_of(proc, 7), proc) == {8}


def test_a_process_that_cannot_be_seen_is_0(proc: Path) -> None:
    assert holders.outsiders({99}, {99: set()}, 1, proc) == {0}


def test_a_process_that_ended_meanwhile_counts_as_one_that_holds(proc: Path) -> None:
    assert holders.outsiders({22}, {22: {12}}, 1, proc) == {12}


@pytest.mark.netns
def test_a_lease_is_held_by_this_process(web: Pod, capture: Capture) -> None:
    capture(RuleSet())
    sockets = web.namespace.run(holders.netfilter_sockets)
    who = holders.processes(sockets)

    assert holders.outsiders(sockets, who, web.namespace.identity.inode) == {os.getpid()}


@pytest.mark.netns
def test_a_namespace_without_a_lease_has_no_netfilter_socket(orders: Pod) -> None:
    assert orders.namespace.run(holders.netfilter_sockets) == frozenset()


@pytest.mark.netns
def test_sockets_of_another_protocol_do_not_count(orders: Pod) -> None:
    with orders.namespace.run(netlink.route_socket) as link:
        link.bind((0, 0))

        assert orders.namespace.run(holders.netfilter_sockets) == frozenset()
