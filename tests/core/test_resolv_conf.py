"""resolv.conf(5), and the order in which Kubernetes' pods look names up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.resolv_conf import ResolvConf, candidates, parse

SEARCH = ("ns.svc.cluster.local", "svc.cluster.local.", "cluster.local")


@pytest.mark.parametrize(
    ("text", "conf"),
    [
        ("", ResolvConf()),
        ("nameserver 10.96.0.10\n", ResolvConf(("10.96.0.10",))),
        ("nameserver 10.0.0.1\nnameserver fd00::1 # x\n", ResolvConf(("10.0.0.1", "fd00::1"))),
        ("nameserver 1.1.1.1\n" * 5, ResolvConf(("1.1.1.1",) * 3)),
        ("search a b\noptions ndots:2 timeout:1 attempts:4 rotate", ResolvConf((), 1, 4)),
        ("options timeout:0 attempts:0", ResolvConf((), 1, 1)),
        ("options timeout:999 attempts:99", ResolvConf((), 30, 5)),
        ("options timeout:x attempts:", ResolvConf()),
        ("nameserver\nnameserver x\nnameserver fe80::1%eth0\n# nameserver 1.1.1.1", ResolvConf()),
    ],
)
def test_servers_and_their_options_are_read(text: str, conf: ResolvConf) -> None:
    assert parse(text) == conf


@given(text=st.text())
def test_a_file_may_hold_anything(text: str) -> None:
    conf = parse(text)

    assert len(conf.servers) <= 3
    assert 1 <= conf.timeout <= 30
    assert 1 <= conf.attempts <= 5


def test_a_short_name_is_looked_for_in_the_search_list_first() -> None:
    assert candidates("b", SEARCH) == [
        "b.ns.svc.cluster.local.",
        "b.svc.cluster.local.",
        "b.cluster.local.",
        "b.",
    ]
    assert candidates("b.c.d.e.f", SEARCH)[-1] == "b.c.d.e.f."


def test_a_name_of_five_dots_is_taken_for_whole_first() -> None:
    assert candidates("a.b.c.d.e.f", SEARCH)[0] == "a.b.c.d.e.f."
    assert len(candidates("a.b.c.d.e.f", SEARCH)) == 4


def test_a_dot_at_the_end_makes_it_whole() -> None:
    assert candidates("b.", SEARCH) == ["b."]
