"""What a person is shown of the daemon's state, letter by letter."""

from typing import Any, cast

import pytest

from netra_node.cli.status_report import Status, duration, render_status
from netra_node.cli.style import PLAIN, Style


def pod(name: str, **different: Any) -> dict[str, Any]:
    captured = {
        "namespace": "shop",
        "name": name,
        "service": name,
        "state": "running",
        "reason": "",
        "suspended": "",
        "connections": 2,
        "captured_seconds": 75.5,
        "inbound_port": 14955,
        "outbound_port": 14956,
    }
    return captured | different


def waiting(name: str, state: str, reason: str) -> dict[str, Any]:
    nothing = {"connections": 0, "captured_seconds": 0.0, "inbound_port": 0, "outbound_port": 0}
    return pod(name, state=state, reason=reason, **nothing)


def status(*pods: dict[str, Any], **different: Any) -> Status:
    quiet = {
        "version": "1.2.3",
        "pid": 4711,
        "heartbeat_milliseconds": 1000,
        "lease_age_seconds": 75.5 if pods else 0.0,
        "ports": {"inbound": 14955, "outbound": 14956},
        "collector": None,
        "sampler": "parentbased_always_on",
        "routing": None,
        "source": {"path": "/etc/netra/pods.yaml", "problem": None},
        "waiting_for": [],
        "totals": {
            "spans": dict.fromkeys(("exported", "failed", "queue_full", "rejected"), 0),
            "opaque": {"tls": 0, "h2": 0},
            "resets": {"client": 5, "upstream": 0, "unreachable": 0, "internal": 0},
        },
        "pods": list(pods),
    }
    return cast("Status", quiet | different)


def shown(*pods: dict[str, Any], **different: Any) -> list[str]:
    return render_status(status(*pods, **different), PLAIN)


def totals(**different: dict[str, int]) -> dict[str, dict[str, int]]:
    return status()["totals"] | different


def test_the_whole_page() -> None:
    pods = (
        pod("web"),
        waiting("orders", "pending", "no network namespace at /run/netns/orders"),
        waiting("mesh", "refused", "it is captured by Istio"),
    )

    assert "\n".join(shown(*pods)) == (
        """\
netra-node 1.2.3, pid 4711
pods from    /etc/netra/pods.yaml
spans to     nobody: the last ones stay in memory
sampler      parentbased_always_on
lease        the oldest is held for 1m15s; each ends 1000 ms after the daemon stands still

POD          SERVICE  STATE    CAPTURED FOR  CONNECTIONS
shop/web     web      running         1m15s            2
shop/orders  orders   pending             -            -
shop/mesh    mesh     refused             -            -

shop/orders is tried again: no network namespace at /run/netns/orders
shop/mesh is not captured: it is captured by Istio

spans        none dropped
not HTTP/1   no connection
reset by us  no connection"""
    )


def test_without_pods_it_says_why_there_may_be_none() -> None:
    lines = shown()

    assert "no pod of this node asks for capture: none carries the opt-in label" in lines
    assert "lease        none is held; each ends 1000 ms after the daemon stands still" in lines


def test_a_pods_file_that_cannot_be_used_is_told_beside_its_path() -> None:
    problem = "pods file /x cannot be read: permission denied"
    lines = shown(source={"path": "/x", "problem": problem})

    assert lines[1:3] == [
        "pods from    /x",
        f"             {problem}; the last good list stays in force",
    ]


def test_where_requests_are_routed_it_says_by_what_and_what_became_of_them() -> None:
    routing = {"header": "X-Route", "results": {"routed": 7, "original": 2}, "failures": {}}

    assert "routes       7 routed, 2 original, by X-Route" in shown(routing=routing)
    assert "routes       no request had one, by X-Route" in shown(routing=routing | {"results": {}})


def test_routes_that_lead_nowhere_are_counted_by_why() -> None:
    failures = {"refused": 1, "timed_out": 2}
    routing = {"header": "X-Route", "results": {"routed": 7}, "failures": failures}

    line = "routes       7 routed, by X-Route; led nowhere: 1 refused, 2 timed_out"
    assert line in shown(routing=routing)


def test_what_the_start_waits_for_is_named() -> None:
    assert "waiting for  the first complete pod list" in shown(
        waiting_for=["the first complete pod list"]
    )


def test_a_pod_whose_application_holds_our_port_is_named_with_the_port_in_use() -> None:
    lines = shown(pod("web", outbound_port=40123))

    assert "shop/web: port 14956 is taken there, so 40123 serves outbound connections" in lines


def test_a_pod_that_leaves_still_shows_its_connections() -> None:
    (line,) = [line for line in shown(pod("web", state="draining")) if line.startswith("shop/web")]

    assert line.split() == ["shop/web", "web", "draining", "-", "2"]


def test_a_captured_pod_with_a_bad_change_says_what_holds() -> None:
    assert "shop/web stays as it was: annotation x is bad" in shown(
        pod("web", reason="annotation x is bad")
    )


def test_a_captured_pod_whose_new_connections_go_direct_says_why() -> None:
    assert "shop/web lets new connections go direct: there were 4" in shown(
        pod("web", suspended="there were 4")
    )


def test_dropped_spans_are_told_with_the_reason() -> None:
    spans = {"exported": 10, "queue_full": 3, "failed": 2, "rejected": 1, "unsampled": 4}
    lines = shown(collector="http://c:4318/v1/traces", totals=totals(spans=spans))

    assert (
        "spans        10 exported, 3 dropped, as the queue was full, 1 rejected by the collector, "
        "2 given up, as the collector was away, 4 not sampled"
    ) in lines


def test_connections_that_are_not_read_are_told_with_the_reason() -> None:
    assert "not HTTP/1   4 tls, 1 h2" in shown(totals=totals(opaque={"tls": 4, "h2": 1}))


def test_resets_of_our_own_are_told_and_those_of_peers_are_not() -> None:
    assert "reset by us  1 internal" in shown(totals=totals(resets={"client": 9, "internal": 1}))


def test_no_name_and_no_reason_can_steer_the_terminal() -> None:
    odd = waiting("a\x1b[2J", "pending", "b\x1b[2J\n")

    assert "\x1b" not in "".join(shown(odd))
    assert "shop/a?[2J is tried again: b?[2J?" in shown(odd)


def test_a_name_without_end_is_cut() -> None:
    assert any("…" in line for line in shown(pod("x" * 80)))


def test_what_is_not_captured_is_painted() -> None:
    lines = render_status(status(waiting("web", "pending", "")), Style(colour=True))

    assert any(line.startswith("\x1b[31mshop/web") for line in lines)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (86_399, "23h59m"),
        (90_000, "1d01h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words
