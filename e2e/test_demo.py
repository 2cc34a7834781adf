"""`netra-node demo` as a newcomer types it: the real command, the real daemon, real namespaces."""

import itertools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from e2e.support.leftovers import Leftovers

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

COMMAND = [sys.executable, "-m", "netra_node", "demo"]
#: The first words of each line of progress: the demo can be interrupted after any of them.
STAGES = ("making pods", "starting an HTTP", "starting netra-node", "all three pods", "sending")


@pytest.fixture
def leftovers(tmp_path: Path) -> Leftovers:
    return Leftovers(tmp_path)


@pytest.fixture(scope="module")
def showing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The one object of `demo --once --json`, and what it left, for all who only look."""
    left = Leftovers(tmp_path_factory.mktemp("demo"))
    done = subprocess.run(
        [*COMMAND, "--once", "--json"],
        env=left.environ,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return {"object": json.loads(done.stdout), "left": left.found()}


@pytest.fixture
def spans(showing: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = showing["object"]["spans"]
    return found


def chains(spans: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Every trace as the list from its root down; fails where a span has two children or no parent."""
    by_parent = {(span["trace_id"], span["parent_span_id"]): span for span in spans}
    assert len(by_parent) == len(spans)
    found = []
    for root in sorted((s for s in spans if not s["parent_span_id"]), key=_start):
        chain = [root]
        while below := by_parent.get((root["trace_id"], chain[-1]["span_id"])):
            chain.append(below)
        found.append(chain)
    assert sum(map(len, found)) == len(spans)
    return found


def _start(span: dict[str, Any]) -> int:
    return int(span["start_unix_nano"])


FULL_CHAIN = ["web server", "web client", "orders server", "orders client", "stock server"]


def test_spans_nest_from_the_web_server_down_to_the_stock_server(
    spans: list[dict[str, Any]],
) -> None:
    seen = [[f"{span['service']} {span['kind']}" for span in chain] for chain in chains(spans)]

    assert seen == [FULL_CHAIN, FULL_CHAIN, FULL_CHAIN[:3], FULL_CHAIN]


def test_every_span_lies_within_its_parent(spans: list[dict[str, Any]]) -> None:
    for chain in chains(spans):
        for outer, inner in itertools.pairwise(chain):
            assert outer["start_unix_nano"] <= inner["start_unix_nano"]
            assert inner["end_unix_nano"] <= outer["end_unix_nano"]


def test_every_span_has_exactly_the_promised_fields(spans: list[dict[str, Any]]) -> None:
    fields = "trace_id span_id parent_span_id service kind name start_unix_nano end_unix_nano"
    expected = {*fields.split(), "status_code", "outcome", "attributes"}

    assert all(set(span) == expected for span in spans)


def test_ids_are_lower_case_hex(spans: list[dict[str, Any]]) -> None:
    assert all(re.fullmatch("[0-9a-f]{32}", span["trace_id"]) for span in spans)
    assert all(re.fullmatch("[0-9a-f]{16}", span["span_id"]) for span in spans)


def test_the_slow_call_is_slow_at_every_level(spans: list[dict[str, Any]]) -> None:
    durations = [span["end_unix_nano"] - span["start_unix_nano"] for span in chains(spans)[1]]

    assert all(300e6 <= duration < 2e9 for duration in durations)


def test_the_500_is_told_by_every_span_of_its_trace(spans: list[dict[str, Any]]) -> None:
    assert [span["status_code"] for span in chains(spans)[2]] == [500, 500, 500]


def test_the_unanswered_request_has_no_status_and_the_reason_as_outcome(
    spans: list[dict[str, Any]],
) -> None:
    told = [(span["status_code"], span["outcome"]) for span in chains(spans)[3]]

    unanswered = (0, "upstream_closed")
    assert told == [(502, "ok"), (502, "ok"), (502, "ok"), unanswered, unanswered]


def test_operations_carry_no_ids(spans: list[dict[str, Any]]) -> None:
    assert {span["name"] for span in spans} == {
        "GET /buy/{id}",
        "GET /orders/{id}",
        "GET /stock/{id}",
    }


def test_the_graph_is_the_three_calls_and_the_client_is_external(showing: dict[str, Any]) -> None:
    counted = [
        (edge["source"], edge["destination"], edge["requests"], edge["errors"])
        for edge in showing["object"]["edges"]
    ]

    assert counted == [
        ("external", "web", 4, 2),
        ("orders", "stock", 3, 1),
        ("web", "orders", 4, 2),
    ]


def test_a_slow_call_shows_in_the_quantiles(showing: dict[str, Any]) -> None:
    for edge in showing["object"]["edges"]:
        assert {"p50_ms", "p99_ms", "latency"} < set(edge)
        assert edge["p50_ms"] < 250 < edge["p99_ms"]


def test_a_demo_leaves_nothing_behind(showing: dict[str, Any]) -> None:
    assert showing["left"] == []


def test_for_a_person_it_prints_trees_and_a_table(leftovers: Leftovers) -> None:
    done = subprocess.run(
        [*COMMAND, "--once"], env=leftovers.environ, capture_output=True, timeout=50, check=True
    )

    lines = done.stdout.decode().splitlines()
    assert sum("└─ stock" in line for line in lines) == 3
    assert any(line.split()[:3] == ["external", "web", "4"] for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        *((stage, signal.SIGINT) for stage in STAGES),
        (STAGES[-1], signal.SIGTERM),
        *(pytest.param(stage, signal.SIGTERM, marks=pytest.mark.long) for stage in STAGES[:-1]),
    ],
)
def test_interrupted_at_any_stage_it_leaves_nothing_behind(
    leftovers: Leftovers, stage: str, number: signal.Signals
) -> None:
    code = interrupt_after(leftovers, stage, number)

    assert code == 128 + number
    assert leftovers.found() == []


def test_running_on_it_ends_well_with_ctrl_c(leftovers: Leftovers) -> None:
    code = interrupt_after(leftovers, "A request a second", signal.SIGINT)

    assert code == 0
    assert leftovers.found() == []


def interrupt_after(leftovers: Leftovers, stage: str, number: signal.Signals) -> int:
    """Start a demo, send it a signal as soon as it says `stage`, and return its exit code."""
    with subprocess.Popen(
        COMMAND, env=leftovers.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stderr is not None
        said = [
            line for line in iter(demo.stderr.readline, b"") if _tells(line, stage, demo, number)
        ]
        assert said
        began = time.monotonic()
        code = demo.wait(20)
        assert time.monotonic() - began < 15
    return code


def _tells(
    line: bytes, stage: str, demo: "subprocess.Popen[bytes]", number: signal.Signals
) -> bool:
    if stage not in line.decode():
        return False
    demo.send_signal(number)
    return True
