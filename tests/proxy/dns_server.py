"""A DNS server of a test: UDP and TCP on sockets that it is given, so that it may stand in any namespace.

with DnsServer({"b.ns.svc.cluster.local.": ["10.0.0.7"]}) as server:
    server.asked      # [("b.ns.svc.cluster.local.", "A"), ...]
"""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

#: Records of a name: addresses, and `CNAME name`.
Zone = Mapping[str, Sequence[str]]
#: Makes of an answer the messages that are sent. Told the query, the answer and whether it goes by TCP.
Spoil = Callable[[dns.message.Message, dns.message.Message, bool], list[bytes]]


def honest(query: dns.message.Message, reply: dns.message.Message, tcp: bool) -> list[bytes]:
    del query
    return [reply.to_wire(max_size=65535 if tcp else 512)]


def make_sockets(host: str = "127.0.0.1", port: int = 0) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket on one port; where none is asked for, on one that is free for both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        tcp = socket.create_server((host, port), family=family)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind((host, tcp.getsockname()[1]))
        except OSError:
            udp.close()
            tcp.close()
            if port:
                raise
        else:
            return udp, tcp


class DnsServer:
    """Knows `zone` and nothing else. In a thread of its own."""

    def __init__(
        self,
        zone: Zone,
        sockets: tuple[socket.socket, socket.socket] | None = None,
        spoil: Spoil = honest,
        ttl: int = 30,
    ) -> None:
        self.zone = zone
        self.spoil = spoil
        self.ttl = ttl
        self.asked: list[tuple[str, str]] = []
        self.peers: list[tuple[str, int]] = []
        self.by_tcp = 0
        self._udp, self._tcp = sockets or make_sockets()
        self.port: int = self._udp.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._wake.close()
        self._thread.join()
        for sock in (self._udp, self._tcp, self._woken):
            sock.close()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._woken], [], [])
            if self._woken in ready:
                return
            with contextlib.suppress(OSError):
                if self._udp in ready:
                    data, peer = self._udp.recvfrom(4096)
                    self.peers.append(peer[:2])
                    for answer in self._answer(data, tcp=False):
                        self._udp.sendto(answer, peer)
                else:
                    self._serve_stream()

    def _serve_stream(self) -> None:
        stream, _ = self._tcp.accept()
        with stream:
            stream.settimeout(2)
            (length,) = struct.unpack("!H", stream.recv(2))
            self.by_tcp += 1
            for answer in self._answer(stream.recv(length), tcp=True):
                stream.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, data: bytes, *, tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(data)
        name, kind = query.question[0].name.to_text().lower(), query.question[0].rdtype
        self.asked.append((name, dns.rdatatype.to_text(kind)))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if name not in self.zone:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self._add(reply, name, kind)
        try:
            return self.spoil(query, reply, tcp)
        except dns.exception.TooBig:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            return [reply.to_wire()]

    def _add(self, reply: dns.message.Message, name: str, kind: int) -> None:
        for data in self.zone.get(name, ()):
            if data.startswith("CNAME "):
                alias = data.removeprefix("CNAME ")
                reply.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "CNAME", alias))
                self._add(reply, alias, kind)
            elif (":" in data) == (kind == dns.rdatatype.AAAA):
                of = "AAAA" if ":" in data else "A"
                reply.answer.append(dns.rrset.from_text(name, self.ttl, "IN", of, data))
