"""What each admin path answers: probes and metrics for machines, state as JSON for the command line.

Belongs here: paths, content types, cutting a long answer into pieces. Does not belong here: where the state comes from;
it is handed in as callables, so this module knows neither telemetry nor pods.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import islice

from netra_node.admin.debugging import MAX_SECONDS, PATHS, Counts, debugging
from netra_node.admin.message import JSON, Request, Response, text
from netra_node.admin.readiness import Readiness
from netra_node.admin.server import AdminLimits, AdminServer, Handler

#: https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text"
OPENMETRICS = f"{OPENMETRICS_TYPE}; version=1.0.0; charset=utf-8"

#: Renders all metrics in pieces; the argument says whether OpenMetrics is wanted.
RenderMetrics = Callable[[bool], Iterable[bytes]]

#: An object for a person or a tool. Long members are lists or iterators (over a snapshot, since they are
#: drawn across turns of the loop) and are printed item by item.
Document = Mapping[str, object]

#: Items of a list in one piece: an edge takes up to 60 µs to merge and print, so a piece stays far below a millisecond.
_ITEMS_PER_PIECE = 8


def public_server(readiness: Readiness, render_metrics: RenderMetrics) -> AdminServer:
    """Build what kubelet and Prometheus talk to: /healthz, /readyz, and metrics on every other path, as netramesh does."""
    routes = {"/healthz": _healthz, "/readyz": _readyz(readiness)}
    return AdminServer(routes, _metrics(render_metrics))


def debug_server(
    documents: Mapping[str, Callable[[], Document]], counts: Counts = dict
) -> AdminServer:
    """Build what a person on the node talks to: each path (`/status`) answers with its document as JSON.

    `counts` is what `/debug/stacks` tells of beside tasks and threads.
    """
    routes = {path: _json(document) for path, document in documents.items()}
    known = ", ".join((*routes, *PATHS))
    # People look one at a time, and their answers are the long ones.
    limits = AdminLimits(connections=16, exchange_seconds=MAX_SECONDS + 30.0)
    return AdminServer({**routes, **debugging(counts)}, _not_found(known), limits)


def _healthz(_request: Request) -> Response:
    # Being answered at all is the statement: the loop turns.
    return text("ok")


def _readyz(readiness: Readiness) -> Handler:
    def handle(_request: Request) -> Response:
        blockers = readiness.blockers
        if not blockers:
            return text("ready")
        waiting = "\n".join(f"waiting for {name}" for name in blockers)
        return text(waiting, HTTPStatus.SERVICE_UNAVAILABLE)

    return handle


def _metrics(render: RenderMetrics) -> Handler:
    def handle(request: Request) -> Response:
        openmetrics = accepts_openmetrics(request.accept)
        return Response(render(openmetrics), OPENMETRICS if openmetrics else PROMETHEUS_TEXT)

    return handle


def _json(document: Callable[[], Document]) -> Handler:
    def handle(_request: Request) -> Response:
        return Response(json_pieces(document()), JSON)

    return handle


def _not_found(known: str) -> Handler:
    def handle(_request: Request) -> Response:
        return text(f"nothing here; known paths: {known}", HTTPStatus.NOT_FOUND)

    return handle


def accepts_openmetrics(accept: str) -> bool:
    """Tell whether OpenMetrics is named in Accept and not refused with q=0 (RFC 9110 §12.4.2)."""
    for entry in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        if media_type == OPENMETRICS_TYPE:
            return not any(p.startswith("q=") and not p[2:].strip("0.") for p in parameters)
    return False


def json_pieces(document: Document) -> Iterator[bytes]:
    """Print an object; lists and iterators in it some items at a time, everything else whole."""
    separator = "{"
    for name, value in document.items():
        yield f"{separator}{json.dumps(name)}: ".encode()
        if isinstance(value, list | tuple | Iterator):
            yield from _array_pieces(iter(value))
        else:
            yield json.dumps(value).encode()
        separator = ", "
    yield b"{}\n" if separator == "{" else b"}\n"


def _array_pieces(items: Iterator[object]) -> Iterator[bytes]:
    opening = "["
    while piece := list(islice(items, _ITEMS_PER_PIECE)):
        yield (opening + ", ".join(json.dumps(item) for item in piece)).encode()
        opening = ", "
    yield b"[]" if opening == "[" else b"]"
