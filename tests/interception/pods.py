"""Pods of a testbed as these tests use them, and what the kernel says about what is inside."""

import contextlib
import functools
import select
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.nfnetlink import nfctsocket
from pyroute2.netlink.nfnetlink import nftsocket as nft

from netra_node.interception import netlink
from netra_node.interception.lease import Lease
from netra_node.interception.ruleset import RuleSet
from netra_node.netns import InPodSockets, Namespace

Capture = Callable[[RuleSet], Lease]
#: Rules for as long as a test takes, also on a machine that stands still for seconds: nobody beats here.
lasting = functools.partial(RuleSet, heartbeat_milliseconds=60_000)
TABLE = "netra-00c0ffee"
SO_MARK = 36
IP_TRANSPARENT = (socket.IPPROTO_IP, 19)
IPV6_TRANSPARENT = (socket.IPPROTO_IPV6, 75)


@dataclass(frozen=True)
class Family:
    """One of the two, with what differs between them."""

    number: socket.AddressFamily
    loopback: str
    anyip: str
    everywhere: str
    transparent: tuple[int, int]

    def address(self, pod: "Pod") -> str:
        return pod.ipv6 if self.number == socket.AF_INET6 else pod.ipv4

    def original_destination(self, accepted: socket.socket) -> tuple[str, int]:
        """SO_ORIGINAL_DST, 80 for both: a struct sockaddr_in or sockaddr_in6."""
        if self.number == socket.AF_INET6:
            raw = accepted.getsockopt(socket.IPPROTO_IPV6, 80, 28)
            packed = raw[8:24]
        else:
            raw = accepted.getsockopt(socket.IPPROTO_IP, 80, 16)
            packed = raw[4:8]
        return socket.inet_ntop(self.number, packed), struct.unpack_from(">H", raw, 2)[0]


V4 = Family(socket.AF_INET, "127.0.0.1", "192.0.0.8", "0.0.0.0", IP_TRANSPARENT)
V6 = Family(socket.AF_INET6, "::1", "100::8", "::", IPV6_TRANSPARENT)


@dataclass
class Pod:
    """A pod as a test uses it. Every socket it makes is closed at the end of the test."""

    namespace: Namespace
    ipv4: str
    ipv6: str
    sockets: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def server(self, address: str, port: int = 0) -> socket.socket:
        """An application's listener."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        make = functools.partial(socket.create_server, (address, port), family=family)
        return self._keep(self.namespace.run(make))

    def ours(self, address: str, port: int, *, transparent: bool = False) -> socket.socket:
        """A listener of the daemon's."""
        made = InPodSockets(self.namespace).listener(
            address, port, transparent=transparent, backlog=64
        )
        made.settimeout(2)
        return self._keep(made)

    def client(self, family: Family, *, mark: int = 0) -> socket.socket:
        made = self._keep(self.namespace.run(lambda: socket.socket(family.number)))
        made.settimeout(2)
        if mark:
            made.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        return made

    def connect(self, family: Family, target: tuple[str, int], *, mark: int = 0) -> socket.socket:
        client = self.client(family, mark=mark)
        client.connect(target)
        return client

    def _keep(self, made: socket.socket) -> socket.socket:
        return self.sockets.enter_context(made)


def accepted_by(listener: socket.socket, pod: Pod) -> socket.socket:
    listener.settimeout(2)
    accepted, _ = listener.accept()
    accepted.settimeout(2)
    return pod.sockets.enter_context(accepted)


def arrival(*listeners: socket.socket) -> socket.socket | None:
    """Where the next connection comes to. On a busy machine connect() returns before its last packet is through."""
    return next(iter(select.select(listeners, [], [], 2)[0]), None)


def comes_to(listener: socket.socket) -> bool:
    return arrival(listener) is listener


def nobody_waits_at(listener: socket.socket) -> bool:
    """To be asked once it is known where else the connection came to, or that it was refused."""
    return not select.select([listener], [], [], 0)[0]


def switch_replies(pod: Pod, *, on: bool) -> None:
    """Off, so that the conntrack variant gets no help, and on again."""

    def switch() -> None:
        for name in ("ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect"):
            Path("/proc/sys/net", name).write_text(str(int(on)))

    pod.namespace.run(switch)


# ---- what the kernel has ----------------------------------------------------------------------------------------------

_HEADER = struct.Struct("=IHHII")
_NFTABLES, _CONNTRACK = 10 << 8, 1 << 8


def dump(pod: Pod, kind: int) -> Iterator[bytes]:
    """Every message of one dump, with its header, asked for over a socket of our own."""
    with pod.namespace.run(netlink.netfilter_socket) as link:
        header = _HEADER.pack(20, kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        link.send(header + struct.pack(">BBH", 0, 0, 0))
        while True:
            datagram = link.recv(1 << 18)
            while datagram:
                size, answer, *_ = _HEADER.unpack_from(datagram)
                if answer in (2, 3):  # an error, such as ENOENT; the end
                    return
                yield datagram[:size]
                datagram = datagram[(size + 3) & ~3 :]


def tables(pod: Pod) -> set[str]:
    return {
        str(_decoded(nft.nft_table_msg, raw).get_attr("NFTA_TABLE_NAME"))
        for raw in dump(pod, _NFTABLES | nft.NFT_MSG_GETTABLE)
    }


def rules(pod: Pod) -> list[tuple[str, bytes]]:
    """Chain and body of the message of every rule, in order."""
    return [
        (str(_decoded(nft.nft_rule_msg, raw).get_attr("NFTA_RULE_CHAIN")), raw[_HEADER.size :])
        for raw in dump(pod, _NFTABLES | nft.NFT_MSG_GETRULE)
    ]


def tracked(pod: Pod, client: socket.socket) -> list[int]:
    """The mark of every entry that conntrack has in the pod for the connection of `client`."""
    # By both ports: one of them alone may be that of an earlier test's connection, too.
    ports = {client.getsockname()[1], client.getpeername()[1]}
    marks = []
    for raw in dump(pod, _CONNTRACK | nfctsocket.IPCTNL_MSG_CT_GET):
        message = _decoded(nfctsocket.nfct_msg, raw)
        protocol = message.get_attr("CTA_TUPLE_ORIG").get_attr("CTA_TUPLE_PROTO")
        # An answer that was tracked alone makes an entry the other way round.
        if ports == {protocol.get_attr(f"CTA_PROTO_{end}_PORT") for end in ("SRC", "DST")}:
            marks.append(int(message.get_attr("CTA_MARK") or 0))
    return marks


def _decoded(kind: Any, raw: bytes) -> Any:
    message = kind(raw)
    message.decode()
    return message


EXPRESSIONS, NAME, DATA = 4, 1, 2


def attributes(raw: bytes) -> list[tuple[int, bytes]]:
    found = []
    while raw:
        size, kind = struct.unpack_from("=HH", raw)
        found.append((kind & 0x3FFF, raw[4:size]))
        raw = raw[(size + 3) & ~3 :]
    return found


def expressions(rule: bytes) -> list[tuple[str, dict[int, bytes]]]:
    """Name and attributes of each expression of a rule, given as the body of a message."""
    (listed,) = [value for kind, value in attributes(rule[4:]) if kind == EXPRESSIONS]
    parts = [dict(attributes(one)) for _, one in attributes(listed)]
    return [
        (part[NAME].rstrip(b"\0").decode(), dict(attributes(part.get(DATA, b"")))) for part in parts
    ]
