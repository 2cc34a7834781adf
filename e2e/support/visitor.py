"""Connections whose fate a test asks for: new ones again and again, and one that stays.

Belongs here: what becomes of a connection as its two applications see it. Does not belong here: load (`load`).
"""

import socket
from typing import Final

from e2e.support.load import Fate, Server, visit
from e2e.support.node import Node, read, read_head

_GET: Final = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Visitor:
    """Connects from one pod to another again and again, and tells each time what became of it."""

    def __init__(self, node: Node, client: str, server: str, *, v6: bool = False) -> None:
        listener = node.listen(server, "::" if v6 else "0.0.0.0")
        Server(listener)
        pod = node.pod(server)
        self.target = (pod.ipv6 if v6 else pod.ipv4, listener.getsockname()[1])
        self._family = socket.AF_INET6 if v6 else socket.AF_INET
        self._run = lambda make: node.bed.run_inside(client, make)

    @property
    def port(self) -> int:
        return self.target[1]

    def __call__(self) -> Fate:
        return visit(lambda: self._run(lambda: socket.socket(self._family)), self.target).fate


def exchange(client: socket.socket, server: socket.socket) -> bool:
    """One request and its answer; whether it was captured."""
    client.sendall(_GET)
    head = read_head(server)
    server.sendall(_OK)
    assert read(client, len(_OK)) == _OK
    return b"traceparent" in head
