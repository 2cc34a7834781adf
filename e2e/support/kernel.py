"""What of ours the kernel has in a namespace: tables, rules, routes, connections that wait, packets sent again. No program is needed."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.nfnetlink import nftsocket

from netra_node.interception.encode import ROUTE_PROTOCOL
from netra_node.netns import Namespace
from netra_node.testbed import BedPod

_HEADER = struct.Struct("=IHHII")
_table_message: Any = nftsocket.nft_table_msg
_NETLINK_NETFILTER = 12
_GET_TABLES = (10 << 8) | nftsocket.NFT_MSG_GETTABLE
_ERROR, _DONE = 2, 3
_TIME_WAIT = "06"


def tables(pod: BedPod) -> set[str]:
    """Names of the nftables tables in the pod."""
    with Namespace.open(pod.path) as namespace:
        return set(namespace.run(lambda: list(_tables())))


def _tables() -> Iterator[str]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as link:
        flags = NLM_F_REQUEST | NLM_F_DUMP
        link.send(_HEADER.pack(20, _GET_TABLES, flags, 1, 0) + struct.pack(">BBH", 0, 0, 0))
        while True:
            datagram = link.recv(1 << 18)
            while datagram:
                size, kind, *_ = _HEADER.unpack_from(datagram)
                if kind in (_ERROR, _DONE):
                    return
                message: Any = _table_message(datagram[:size])
                message.decode()
                yield str(message.get_attr("NFTA_TABLE_NAME"))
                datagram = datagram[(size + 3) & ~3 :]


def routing_of_ours(pod: BedPod) -> list[str]:
    """Policy rules and routes with our `proto`, in words."""
    with Namespace.open(pod.path) as namespace:
        links: Any = namespace.run(IPRoute)
    with contextlib.closing(links):
        rules = [
            f"rule {rule.get('FRA_FWMARK'):#x}"
            for family in (socket.AF_INET, socket.AF_INET6)
            for rule in links.get_rules(family=family)
            if rule.get("FRA_PROTOCOL") == ROUTE_PROTOCOL
        ]
        routes = [
            f"route {route.get('RTA_TABLE')} {route.get('RTA_DST')}"
            for family in (socket.AF_INET, socket.AF_INET6)
            for route in links.get_routes(family=family)
            if route["proto"] == ROUTE_PROTOCOL
        ]
    return sorted(rules + routes)


def handshakes_sent_again(pod: BedPod) -> int:
    """How many SYNs, and answers to them, were sent from the pod again because nothing had come back for a second."""
    table = Path("/proc/thread-self/net/netstat")
    with Namespace.open(pod.path) as namespace:
        lines = namespace.run(table.read_text).splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(values[names.index("TCPSynRetrans")])


def waiting_out(pod: BedPod, port: int) -> int:
    """How many connections to or from `port` are in TIME_WAIT in the pod, which is where their first FIN came from."""
    tables = [Path("/proc/thread-self/net", name) for name in ("tcp", "tcp6")]
    with Namespace.open(pod.path) as namespace:
        texts = namespace.run(lambda: [table.read_text() for table in tables])
    rows = [line.split() for text in texts for line in text.splitlines()[1:]]
    ours = (row for row in rows if f"{port:04X}" in (row[1][-4:], row[2][-4:]))
    return sum(row[3] == _TIME_WAIT for row in ours)
