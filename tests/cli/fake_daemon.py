"""Stands in for the daemon: answers on the admin ports with what a real one would say, or fails as told.

python fake_daemon.py ok|dies|blocked|uncaptured|forgetful [file to make when it listens]
"""

import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path

CHAINS = {1: 5, 2: 5, 3: 3, 4: 5}
SERVICES = [
    ("web", "server"),
    ("web", "client"),
    ("orders", "server"),
    ("orders", "client"),
    ("stock", "server"),
]
mode = sys.argv[1]


def spans() -> list[dict[str, object]]:
    return [span(trace, depth) for trace, length in CHAINS.items() for depth in range(length)]


def span(trace: int, depth: int) -> dict[str, object]:
    service, kind = SERVICES[depth]
    return {
        "trace_id": f"{trace:032x}",
        "span_id": f"{trace * 16 + depth:016x}",
        "parent_span_id": f"{trace * 16 + depth - 1:016x}" if depth else "",
        "service": service,
        "kind": kind,
        "name": f"GET /{service}/{{id}}",
        "start_unix_nano": trace * 10**9 + depth * 10**5,
        "end_unix_nano": trace * 10**9 + 10**6,
        "status_code": 200,
        "outcome": "ok",
        "attributes": {},
    }


def edge(source: str, destination: str) -> dict[str, object]:
    counts = {"requests": 4, "errors": 1, "p50_ms": 1.5, "p99_ms": 300.25}
    return {"source": source, "destination": destination, **counts}


def document(path: str) -> dict[str, object] | None:
    state = "pending" if mode == "uncaptured" else "running"
    why = "(no such namespace)" if mode == "uncaptured" else ""
    names = ("web", "orders", "stock")
    documents: dict[str, dict[str, object] | None] = {
        "/readyz": None if mode == "blocked" else {},
        "/status": {"pods": [{"name": name, "state": state, "reason": why} for name in names]},
        "/traces": {"spans": spans()[: 7 if mode == "forgetful" else None]},
        "/graph": {"edges": [edge("external", "web"), edge("web", "orders")]},
    }
    return documents.get(path)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = document(self.path)
        self.send_response(503 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def listen(variable: str) -> http.server.ThreadingHTTPServer:
    return http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ[variable])), Handler)


if mode == "dies":
    sys.exit("NETRA_POD_SOURCE: planted complaint")
settings = sorted(name for name in os.environ if name.startswith(("NETRA", "OTEL", "JAEGER")))
sys.stderr.write(f"its settings: {' '.join(settings)}\n")
sys.stderr.flush()
for server in [listen("NETRA_PROMETHEUS_PORT"), listen("NETRA_PPROF_PORT")]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
for path in sys.argv[2:]:
    Path(path).touch()
time.sleep(60)
