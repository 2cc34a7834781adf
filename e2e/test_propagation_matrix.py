"""Chains of services that each copy one kind of header only: whatever they mix, a request is one trace with the right parents.

client → a → b → c, all captured by the real daemon; a and b are raw servers that copy what their kind copies, and baggage, and
nothing else. What comes out is the table in docs/tracing.md.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read, read_head
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

PAGE = Path(__file__).parents[1] / "docs" / "tracing.md"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SERVICES = ("client", "a", "b", "c")
#: Spans of one request, as the chain has them.
CHAIN = (
    ("client", "client"),
    ("a", "server"),
    ("a", "client"),
    ("b", "server"),
    ("b", "client"),
    ("c", "server"),
)
TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
W3C = (b"traceparent", b"00-%b-%b-01" % (TRACE, SPAN))
JAEGER = (b"uber-trace-id", b"%b:%b:0:1" % (TRACE, SPAN))
DEBUG = (b"uber-trace-id", b"%b:%b:0:3" % (TRACE, SPAN))
B3 = (b"b3", b"%b-%b-1" % (TRACE, SPAN))
B3_MULTI = ((b"X-B3-TraceId", TRACE), (b"X-B3-SpanId", SPAN), (b"X-B3-Sampled", b"1"))
BAGGAGE = ((b"uberctx-user", b"7"), (b"baggage", b"k=v"))

#: What a service of each kind copies from the request it got to the one it sends.
KINDS = {
    "W3C": (b"traceparent", b"tracestate"),
    "Jaeger": (b"uber-trace-id",),
    "B3": (b"b3",),
    "B3 multi": (
        b"x-b3-traceid",
        b"x-b3-spanid",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-flags",
    ),
    "request id": (b"x-request-id",),
}

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Setting:
    """How the daemon is set, and what the client sends by itself: its name in the table, and its headers."""

    propagators: str
    schema: str
    sends: str = "nothing"
    headers: tuple[Header, ...] = ()


#: Those of the table. Settings of one daemon stand together.
SHOWN = (
    Setting("tracecontext,jaeger", "otel"),
    Setting("tracecontext,jaeger", "otel", "W3C", (W3C,)),
    Setting("tracecontext,jaeger", "otel", "B3", (B3,)),
    Setting("tracecontext,jaeger", "otel", "B3 multi", B3_MULTI),
    Setting("tracecontext,jaeger,b3,b3multi", "netramesh", "Jaeger", (JAEGER,)),
    Setting("b3multi,b3,jaeger,tracecontext", "otel"),
)
DEBUGGED = Setting("tracecontext,jaeger", "otel", "Jaeger debug", (DEBUG,))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Testbed("matrix") as bed, Node(bed, tmp_path_factory.mktemp("m") / "pods.json") as made:
        for name in SERVICES:
            bed.add_pod(name)
        made.enrol(*SERVICES)
        yield made


class Chain:
    """One connection for each hop, kept for all requests."""

    def __init__(self, node: Node) -> None:
        self._hops = [node.pair(one, other) for one, other in itertools.pairwise(SERVICES)]

    def request(
        self, path: str, sends: Iterable[Header], kinds: tuple[str, str]
    ) -> list[list[Header]]:
        """Send one through; what a, b and c were told."""
        seen: list[list[Header]] = []
        going = [*sends, *BAGGAGE]
        for (here, there), kind in zip(self._hops, (*kinds, None), strict=True):
            lines = b"".join(b"%b: %b\r\n" % header for header in going)
            here.sendall(b"GET %b HTTP/1.1\r\nHost: next\r\n%b\r\n" % (path.encode(), lines))
            seen.append(fields(read_head(there)))
            if kind is not None:
                going = copied(seen[-1], (*KINDS[kind], *(name for name, _ in BAGGAGE)))
        for here, there in reversed(self._hops):
            there.sendall(OK)
            assert read(here, len(OK)) == OK
        return seen


def fields(head: bytes) -> list[Header]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:-2])
    return [(name, value.strip()) for name, _, value in lines]


def copied(headers: Iterable[Header], names: tuple[bytes, ...]) -> list[Header]:
    return [(name, value) for name, value in headers if name.lower() in names]


@dataclass
class Seen:
    """What one request left behind."""

    told: list[list[Header]]
    spans: list[dict[str, Any]] = field(default_factory=list)

    def cell(self) -> str:
        """What the table says: the number of traces, and of spans below the wrong parent."""
        by_place = {(span["service"], span["kind"]): span for span in self.spans}
        chain = [by_place[place] for place in CHAIN]
        traces = len({span["trace_id"] for span in chain})
        parents = [span["parent_span_id"] for span in chain[1:]]
        wrong = sum(
            parent != above["span_id"] and parent != ""
            for above, parent in zip(chain, parents, strict=False)
        )
        begun = sum(parent == "" for parent in parents)
        assert begun == traces - 1, chain
        return f"{traces} trace{'s' * (traces > 1)}" + (f", {wrong} wrong" if wrong else "")


def path_of(sends: str, kinds: tuple[str, str]) -> str:
    return "/" + "/".join((sends, *kinds)).replace(" ", "-")


def shown_path(span: dict[str, Any]) -> str:
    found = span["attributes"]
    return str(found.get("url.path") or found["http.path"])


ALL_KINDS = tuple(itertools.product(KINDS, KINDS))


def travel(node: Node, directory: Path, settings: tuple[Setting, ...]) -> dict[tuple, Seen]:
    """What every mixture of kinds left behind, by (setting, kinds); one daemon does for settings that are alike."""
    (propagators,), (schema,) = {s.propagators for s in settings}, {s.schema for s in settings}
    seen: dict[tuple, Seen] = {}
    with Daemon(
        node.file,
        directory,
        OTEL_PROPAGATORS=propagators,
        NETRA_SPAN_SCHEMA=schema,
        NETRA_DRAIN_MILLISECONDS="0",
    ) as daemon:
        daemon.wait_for(*SERVICES)
        with Node(node.bed, node.file) as sockets:
            chain = Chain(sockets)
            for setting, kinds in itertools.product(settings, ALL_KINDS):
                path = path_of(setting.sends, kinds)
                seen[setting, kinds] = Seen(chain.request(path, setting.headers, kinds))
        spans = until(lambda: len(daemon.traces()) == len(CHAIN) * len(seen) and daemon.traces())
        assert spans, len(daemon.traces())
        assert daemon.mishaps() == []
    by_path: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        by_path.setdefault(shown_path(span), []).append(span)
    for (setting, kinds), request in seen.items():
        request.spans = by_path[path_of(setting.sends, kinds)]
    return seen


@pytest.fixture(scope="module")
def travelled(node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple, Seen]:
    found: dict[tuple, Seen] = {}
    alike = itertools.groupby((DEBUGGED, *SHOWN), lambda each: (each.propagators, each.schema))
    for _, settings in alike:
        found |= travel(node, tmp_path_factory.mktemp("daemon"), tuple(settings))
    return found


def table(seen: dict[tuple, Seen]) -> str:
    """The table of docs/tracing.md."""
    lines = [
        "| `OTEL_PROPAGATORS` | client sends | first copies | " + " | ".join(KINDS) + " |",
        "| --- | --- | --- |" + " --- |" * len(KINDS),
    ]
    for setting, first in itertools.product(SHOWN, KINDS):
        cells = [seen[setting, (first, second)].cell() for second in KINDS]
        row = (f"`{setting.propagators}`", setting.sends, first, *cells)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def test_the_table_in_the_documentation_is_what_happens(travelled: dict[tuple, Seen]) -> None:
    found = table(travelled)
    print(f"\n{found}")

    assert found in PAGE.read_text(), f"{PAGE} has to hold:\n{found}"


def test_what_is_configured_is_one_trace_whatever_the_services_mix(
    travelled: dict[tuple, Seen],
) -> None:
    for (setting, kinds), seen in travelled.items():
        written = {"W3C", "Jaeger", "request id"}
        if "b3" in setting.propagators:
            written |= KINDS.keys()
        if {*kinds} <= written:
            assert seen.cell() == "1 trace", (setting, kinds)


def test_no_span_has_a_wrong_parent_even_where_a_trace_is_torn(
    travelled: dict[tuple, Seen],
) -> None:
    for (setting, kinds), seen in travelled.items():
        assert "wrong" not in seen.cell(), (setting, kinds)


def test_a_trace_that_the_client_began_goes_on(travelled: dict[tuple, Seen]) -> None:
    for (setting, kinds), seen in travelled.items():
        root = next(s for s in seen.spans if (s["service"], s["kind"]) == CHAIN[0])
        if setting.headers:
            assert (root["trace_id"], root["parent_span_id"]) == (TRACE.decode(), SPAN.decode())
        else:
            assert root["parent_span_id"] == "", (setting, kinds)


def test_the_debug_flag_is_never_invented(travelled: dict[tuple, Seen]) -> None:
    for case, seen in travelled.items():
        for name, value in () if case[0] is DEBUGGED else itertools.chain(*seen.told):
            match name.lower():
                case b"uber-trace-id":
                    assert value.endswith(b":0:1"), (case, value)
                case b"traceparent":
                    assert value.endswith(b"-01"), (case, value)
                case b"b3":
                    assert value.split(b"-")[2] == b"1", (case, value)
                case b"x-b3-sampled":
                    assert value == b"1", (case, value)
                case b"x-b3-flags":
                    pytest.fail(f"{case}: {value!r}")


def test_baggage_and_every_trace_header_are_there_once(travelled: dict[tuple, Seen]) -> None:
    for case, seen in travelled.items():
        for told in seen.told:
            names = [name.lower() for name, _ in told]
            assert len(names) == len(set(names)), (case, names)
            assert dict(told).items() >= dict(BAGGAGE).items(), (case, told)


def test_a_debug_flag_that_came_in_goes_on_as_far_as_somebody_carries_it(
    travelled: dict[tuple, Seen],
) -> None:
    flags = {
        kind: [
            dict(told)[b"uber-trace-id"].rpartition(b":")[2]
            for told in travelled[DEBUGGED, (kind, kind)].told
        ]
        for kind in ("Jaeger", "request id", "W3C")
    }

    assert flags == {
        "Jaeger": [b"3", b"3", b"3"],
        "request id": [b"3", b"3", b"3"],
        # a traceparent has no place for it
        "W3C": [b"3", b"1", b"1"],
    }
