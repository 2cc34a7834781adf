"""Sends encoded messages over a netlink socket and reads every acknowledgement.

Belongs here: the exchange with the kernel, and its refusals as errors that name the refused request. Does not belong here: what
the messages say (`encode`), who owns the socket (`lease`).

pyroute2's own I/O cannot run beside uvloop, sends one message per batch and hides refusals; this is what is left of it.
A socket is made inside the namespace it shall talk about, and talks about it from anywhere. Calls block: see `lease`.
"""

import os
import socket
import struct
from collections.abc import Container, Iterator, Sequence
from typing import Final

from netra_node.interception.encode import Batch, Message, frame

# linux/netlink.h
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_NETLINK_ROUTE, _NETLINK_NETFILTER = 0, 12
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLM_F_ACK_TLVS: Final = 0x200
_NLMSGERR_ATTR_MSG: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ERROR: Final = struct.Struct("=i")
#: A table can wait 90 ms for the hooks of the one before it; ten times that would be a kernel in trouble.
PATIENCE_SECONDS: Final = 5.0
_RECEIVE_SIZE: Final = 1 << 16
#: The kernel fills a datagram of a dump up to what the reader takes, 32 KiB at most.
_DUMP_SIZE: Final = 1 << 16
_BATCH_BEGIN_SEQUENCE: Final = 0


class RefusedError(OSError):
    """The kernel refused a request; `errno` is its reason, the message names the request. Nothing of its batch was done."""


def netfilter_socket() -> socket.socket:
    """Return a socket for nftables and conntrack of the current namespace. Raises OSError."""
    return _netlink_socket(_NETLINK_NETFILTER)


def route_socket() -> socket.socket:
    """Return a socket for routes and rules of the current namespace. Raises OSError."""
    return _netlink_socket(_NETLINK_ROUTE)


def commit(link: socket.socket, batch: Batch) -> None:
    """Have the kernel carry out the whole batch, or nothing of it. Raises RefusedError naming the first refused request.

    Every request is answered, also after a refusal; the end of the batch is not, on kernels before 6.10.
    """
    link.send(batch.frames)
    _judge(link, batch.about)


def request(link: socket.socket, *messages: Message, tolerate: Container[int] = ()) -> None:
    """Have the kernel carry out all of the requests, each whatever becomes of the others.

    One system call for all: where each of them waits for a lock of the kernel's, as routes do, a busy node would else let
    somebody else in front of every single one. Of netfilter ask one at a time: without privilege it answers the first alone.
    Raises RefusedError naming the first that was refused, except for the error numbers in `tolerate`.
    """
    numbered = enumerate(messages, start=1)
    link.send(b"".join(frame(message, number) for number, message in numbered))
    _judge(link, [message.about for message in messages], tolerate)


def _judge(link: socket.socket, about: Sequence[str], tolerate: Container[int] = ()) -> None:
    """Read the answers to requests number 1 and following; raise RefusedError for the first that was refused."""
    waiting = set(range(1, len(about) + 1))
    refused: dict[int, RefusedError] = {}
    while waiting:
        for sequence, code, reason in _answers(link):
            if sequence == _BATCH_BEGIN_SEQUENCE:
                # Not even looked into: no privilege, or no nftables in this kernel.
                raise _refusal(code, "the batch", reason)
            waiting.discard(sequence)
            if code and code not in tolerate:
                refused.setdefault(sequence, _refusal(code, about[sequence - 1], reason))
    if refused:
        raise refused[min(refused)]


def dump(link: socket.socket, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of everything the kernel lists in answer to `kind`. Raises RefusedError."""
    link.send(
        _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + body
    )
    while True:
        for answer, content in _parts(link.recv(_DUMP_SIZE)):
            if answer == _NLMSG_DONE:
                return
            if answer == _NLMSG_ERROR:
                (code,) = _ERROR.unpack_from(content)
                raise _refusal(-code, "a listing", "")
            yield answer, content


def _parts(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(datagram):
        size, kind, *_ = _HEADER.unpack_from(datagram, offset)
        yield kind, datagram[offset + _HEADER.size : offset + size]
        offset += (size + 3) & ~3


def _netlink_socket(protocol: int) -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    link.settimeout(PATIENCE_SECONDS)
    # A reason in words where the kernel has one, and acknowledgements without a copy of the request.
    link.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    link.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    return link


def _answers(link: socket.socket) -> Iterator[tuple[int, int, str]]:
    """Yield the answers of one datagram: sequence number, error number or 0, the kernel's words or nothing."""
    datagram = link.recv(_RECEIVE_SIZE)
    offset = 0
    while offset < len(datagram):
        size, kind, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
        if kind == _NLMSG_ERROR:
            (code,) = _ERROR.unpack_from(datagram, offset + _HEADER.size)
            tail = datagram[offset + 2 * _HEADER.size + _ERROR.size : offset + size]
            yield sequence, -code, _words(tail) if flags & _NLM_F_ACK_TLVS else ""
        offset += (size + 3) & ~3


def _words(attributes: bytes) -> str:
    """Find the message among the attributes behind an error."""
    while len(attributes) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _NLMSGERR_ATTR_MSG:
            return attributes[_ATTRIBUTE.size : size].rstrip(b"\0").decode(errors="replace")
        attributes = attributes[max(_ATTRIBUTE.size, (size + 3) & ~3) :]
    return ""


def _refusal(code: int, about: str, reason: str) -> RefusedError:
    words = f"{os.strerror(code)}: {reason}" if reason else os.strerror(code)
    return RefusedError(code, f"the kernel refuses {about}: {words}")
