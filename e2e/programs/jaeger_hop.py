"""A service instrumented with Jaeger's client for Python: PORT, then the agent's host and port.

`GET /hop/HOST:PORT/...` is answered after asking the first of the services named, which is told the others. `/begin/`,
`/debug/` and `/unsampled/` do the same in a trace of the service's own.
"""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jaeger_client import Config
from opentracing import Format

PRIORITY = {"debug": 1, "unsampled": 0}

port, agent_host, agent_port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tracer = Config(
    config={
        "sampler": {"type": "const", "param": 1},
        "local_agent": {"reporting_host": agent_host, "reporting_port": agent_port},
        "reporter_flush_interval": 0.05,
    },
    service_name="python-app",
).new_tracer()


class Hop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        verb, *others = self.path.strip("/").split("/")
        given = tracer.extract(Format.HTTP_HEADERS, dict(self.headers)) if verb == "hop" else None
        with tracer.start_span("serve", child_of=given) as span:
            if verb in PRIORITY:
                span.set_tag("sampling.priority", PRIORITY[verb])
            if others:
                ask(span, others)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def ask(parent: object, others: list[str]) -> None:
    with tracer.start_span("ask", child_of=parent) as span:
        headers: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, headers)
        connection = http.client.HTTPConnection(others[0])
        connection.request("GET", "/hop/" + "/".join(others[1:]), headers=headers)
        connection.getresponse().read()
        connection.close()


ThreadingHTTPServer(("0.0.0.0", port), Hop).serve_forever()
