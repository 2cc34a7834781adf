"""The exchange, against a scripted other end; that the kernel speaks so is shown in test_encode.py and test_lease.py."""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl import RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE

from netra_node.interception import encode, netlink
from netra_node.interception.encode import Batch, Message
from netra_node.interception.netlink import RefusedError
from netra_node.interception.ruleset import RULE_PRIORITY
from tests.interception.pods import Pod
from tests.unprivileged import unprivileged

BATCH = Batch(b"three requests", ("table t", "chain c", "rule 1 of chain c"))
REQUEST = Message("rule for mark 0x1", 32, 0, b"body")


def answer(sequence: int, code: int = 0, words: str = "") -> bytes:
    """An NLMSG_ERROR as NETLINK_CAP_ACK and NETLINK_EXT_ACK make it: error, the request's header, perhaps words."""
    body = struct.pack("=i", -code) + bytes(16)
    flags = 0
    if words:
        text = words.encode() + b"\0"
        other = struct.pack("=HHI", 8, 2, 0)  # NLMSGERR_ATTR_OFFS comes before
        body += other + struct.pack("=HH", 4 + len(text), 1) + text + bytes(-len(text) % 4)
        flags = 0x200
    return struct.pack("=IHHII", 16 + len(body), 2, flags, sequence, 0) + body


@dataclass
class Kernel:
    """The other end, which answers before it is asked."""

    link: socket.socket
    end: socket.socket

    def answers(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.end.send(datagram)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    link, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.settimeout(0.05)
    with link, end:
        yield Kernel(link, end)


def test_a_batch_is_sent_as_it_was_encoded(kernel: Kernel) -> None:
    kernel.answers(answer(1), answer(2), answer(3))

    netlink.commit(kernel.link, BATCH)

    assert kernel.end.recv(100) == BATCH.frames


def test_answers_may_share_a_datagram(kernel: Kernel) -> None:
    kernel.answers(answer(1) + answer(2), answer(3))

    netlink.commit(kernel.link, BATCH)


def test_what_is_no_answer_is_passed_over(kernel: Kernel) -> None:
    done = struct.pack("=IHHII", 20, 3, 0, 1, 0) + bytes(4)
    kernel.answers(done + answer(1), answer(2), answer(3))

    netlink.commit(kernel.link, BATCH)


def test_a_refused_batch_names_the_request_and_the_reason(kernel: Kernel) -> None:
    kernel.answers(answer(1), answer(2, errno.ENOENT), answer(3))

    with pytest.raises(RefusedError, match=r"refuses chain c: No such file") as refusal:
        netlink.commit(kernel.link, BATCH)

    assert refusal.value.errno == errno.ENOENT


def test_of_several_refusals_the_first_is_told(kernel: Kernel) -> None:
    kernel.answers(answer(3, errno.EINVAL), answer(2, errno.ENOENT), answer(1))

    with pytest.raises(RefusedError, match="chain c"):
        netlink.commit(kernel.link, BATCH)


def test_the_kernels_words_are_passed_on(kernel: Kernel) -> None:
    kernel.answers(answer(1), answer(2), answer(3, errno.EINVAL, "no such hook"))

    with pytest.raises(RefusedError, match=r"rule 1 of chain c: Invalid argument: no such hook"):
        netlink.commit(kernel.link, BATCH)


def test_a_refusal_leaves_no_answer_behind_for_the_next_batch(kernel: Kernel) -> None:
    kernel.answers(answer(1), answer(2, errno.ENOENT), answer(3))
    with pytest.raises(RefusedError):
        netlink.commit(kernel.link, BATCH)

    with pytest.raises(TimeoutError):
        kernel.link.recv(100)


def test_a_batch_refused_as_a_whole_says_so(kernel: Kernel) -> None:
    kernel.answers(answer(0, errno.EPERM))

    with pytest.raises(RefusedError, match="refuses the batch: Operation not permitted"):
        netlink.commit(kernel.link, BATCH)


def test_a_missing_answer_is_an_error_not_a_wait_for_ever(kernel: Kernel) -> None:
    kernel.answers(answer(1), answer(2))

    with pytest.raises(TimeoutError):
        netlink.commit(kernel.link, BATCH)


def test_a_single_request_is_framed_and_acknowledged(kernel: Kernel) -> None:
    kernel.answers(answer(1))

    netlink.request(kernel.link, REQUEST)

    assert kernel.end.recv(100) == struct.pack("=IHHII", 20, 32, 5, 1, 0) + b"body"


def test_several_requests_go_in_one_message_and_each_is_waited_for(kernel: Kernel) -> None:
    kernel.answers(answer(1), answer(2))

    netlink.request(kernel.link, REQUEST, replace(REQUEST, type=33))

    first, second = (
        struct.pack("=IHHII", 20, kind, 5, kind - 31, 0) + b"body" for kind in (32, 33)
    )
    assert kernel.end.recv(100) == first + second
    with pytest.raises(TimeoutError):
        kernel.link.recv(100)


def test_of_several_the_first_that_was_refused_is_named(kernel: Kernel) -> None:
    kernel.answers(answer(1, errno.EEXIST), answer(2, errno.ENOENT), answer(3, errno.EPERM))
    others = [replace(REQUEST, about=about) for about in ("table 1", "route to somewhere")]

    with pytest.raises(RefusedError, match="refuses table 1: No such file"):
        netlink.request(kernel.link, REQUEST, *others, tolerate=(errno.EEXIST,))


def test_a_refused_request_is_named(kernel: Kernel) -> None:
    kernel.answers(answer(1, errno.EEXIST))

    with pytest.raises(RefusedError, match="refuses rule for mark 0x1: File exists"):
        netlink.request(kernel.link, REQUEST)


def test_a_tolerated_refusal_is_none(kernel: Kernel) -> None:
    kernel.answers(answer(1, errno.EEXIST))

    netlink.request(kernel.link, REQUEST, tolerate=(errno.EEXIST,))


@given(st.binary(max_size=64))
def test_no_attribute_behind_an_error_breaks_or_holds_us(attributes: bytes) -> None:
    assert isinstance(netlink._words(attributes), str)


def test_a_socket_waits_only_for_a_while() -> None:
    with netlink.route_socket() as link:
        assert link.gettimeout() == netlink.PATIENCE_SECONDS


@pytest.mark.netns
def test_without_privilege_the_kernel_refuses_the_batch_as_a_whole() -> None:
    batch = Batch(_nothing_but_edges(), ("table t",))

    with (
        unprivileged(),
        netlink.netfilter_socket() as link,
        pytest.raises(RefusedError, match="the batch: Operation not permitted"),
    ):
        netlink.commit(link, batch)


def _nothing_but_edges() -> bytes:
    edge = struct.pack(">BBH", 0, 0, 10)
    begin = struct.pack("=IHHII", 20, 16, 1, 0, 0) + edge
    return begin + struct.pack("=IHHII", 20, 17, 1, 1, 0) + edge


@pytest.mark.netns
def test_a_listing_yields_everything_the_kernel_has(web: Pod) -> None:
    """More rules than one datagram holds."""
    add = encode.add_routes(socket.AF_INET)[0]
    count = 600
    with web.namespace.run(netlink.route_socket) as link:
        numbered = [
            replace(add, body=add.body.replace(_PRIORITY, struct.pack("=I", 20_000 + number)))
            for number in range(count)
        ]
        for message in numbered:
            netlink.request(link, message)
        listed = [kind for kind, _ in netlink.dump(link, RTM_GETRULE, bytes(12))]
        for message in numbered:
            netlink.request(link, replace(message, type=RTM_DELRULE, flags=0))

    assert listed.count(RTM_NEWRULE) >= count


@pytest.mark.netns
def test_a_listing_that_is_refused_says_so(web: Pod) -> None:
    with (
        web.namespace.run(netlink.netfilter_socket) as link,
        pytest.raises(RefusedError, match="the kernel refuses a listing"),
    ):
        list(netlink.dump(link, 10 << 8 | 200, bytes(4)))


_PRIORITY = struct.pack("=I", RULE_PRIORITY)
