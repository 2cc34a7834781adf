"""Towards a route's target: its addresses in turn, and who is told. What the client sees of it is `test_routed`'s."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from netra_node.core.routing import Target
from netra_node.core.targets import Targets
from netra_node.proxy.resolver import Resolved
from netra_node.proxy.routed_opening import Failure, RoutedOpening, RouteError, Routing
from tests.proxy.routed_support import REFUSED, SILENT, Addresses, Names, tracing
from tests.proxy.support import CLIENT, NOBODY, FailingDialer, PendingDialer, until
from tests.proxy.test_opening import Owner

B = Target("b", 8080)


@pytest.fixture
def dialer() -> Iterator[Addresses]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        addresses = Addresses(("127.0.0.1", 1))
        addresses.listeners["10.9.0.1"] = listener
        yield addresses
    assert addresses.open == []


def opening(dialer: object, names: Names, target: Target = B) -> RoutedOpening:
    routing = Routing(tracing(), Targets(), names)  # type: ignore[arg-type]
    return RoutedOpening(dialer, routing, target)  # type: ignore[arg-type]


def names(*addresses: str) -> Names:
    made = Names()
    made.add("b", *addresses)
    return made


async def test_the_targets_address_and_port_are_dialled_not_the_original_ones(
    dialer: Addresses,
) -> None:
    owner, made = Owner(), opening(dialer, names("10.9.0.1"))
    assert made.destination is None
    made.begin(CLIENT, NOBODY, owner)
    await until(lambda: owner.transports)

    assert dialer.dialled == [("10.9.0.1", 8080)] == [made.destination]
    owner.transports[0].abort()
    made.close()


async def test_addresses_that_refuse_are_followed_by_the_next(dialer: Addresses) -> None:
    owner, made = Owner(), opening(dialer, names(REFUSED, SILENT, "10.9.0.1"))
    made.begin(CLIENT, NOBODY, owner)
    await until(lambda: owner.transports)

    assert [host for host, _ in dialer.dialled] == [REFUSED, SILENT, "10.9.0.1"]
    owner.transports[0].abort()
    made.close()


async def test_an_address_that_refuses_later_is_followed_by_the_next(dialer: Addresses) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dialer.listeners["10.9.0.2"] = nobody
        owner, made = Owner(), opening(dialer, names("10.9.0.2", "10.9.0.1"))
        made.begin(CLIENT, NOBODY, owner)
        await until(lambda: owner.transports)

    assert len(dialer.open) == 1
    owner.transports[0].abort()
    made.close()


async def test_one_that_refuses_alone_is_told_and_closed_once(dialer: Addresses) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dialer.listeners["10.9.0.2"] = nobody
        owner, made = Owner(), opening(dialer, names("10.9.0.2"))
        made.begin(CLIENT, NOBODY, owner)
        await until(lambda: owner.errors)
    made.close()

    assert dialer.open == []


@pytest.mark.parametrize(
    ("addresses", "failure"),
    [
        ((SILENT, REFUSED), Failure.REFUSED),
        ((REFUSED, SILENT), Failure.TIMED_OUT),
        (("127.0.0.1", "169.254.169.254"), Failure.NOT_ALLOWED),
        ((), Failure.UNRESOLVED),
    ],
)
async def test_the_last_reason_is_told_once(
    dialer: Addresses, addresses: tuple[str, ...], failure: Failure
) -> None:
    owner, made = Owner(), opening(dialer, names(*addresses))
    made.begin(CLIENT, NOBODY, owner)
    made.close()

    (error,) = owner.errors
    assert isinstance(error, RouteError)
    assert error.failure is failure


async def test_addresses_that_are_not_allowed_are_left_out(dialer: Addresses) -> None:
    owner, made = Owner(), opening(dialer, names("127.0.0.1", "10.9.0.1"))
    made.begin(CLIENT, NOBODY, owner)
    await until(lambda: owner.transports)

    assert [host for host, _ in dialer.dialled] == ["10.9.0.1"]
    owner.transports[0].abort()
    made.close()


async def test_who_lets_go_while_a_name_is_asked_for_is_told_nothing(dialer: Addresses) -> None:
    known, owner = Names(), Owner()
    known.slow["b"] = Resolved("b.", ("10.9.0.1",))
    made = opening(dialer, known)
    made.begin(CLIENT, NOBODY, owner)
    await until(lambda: known.asked)
    made.close()
    known.answer()
    await asyncio.sleep(0.01)

    assert (owner.transports, owner.errors, dialer.dialled) == ([], [], [])


async def test_a_transport_nobody_wants_any_more_is_aborted(dialer: Addresses) -> None:
    owner, made = Owner(), opening(dialer, names("10.9.0.1"))
    made.begin(CLIENT, NOBODY, owner)
    made.close()
    await asyncio.sleep(0.01)

    assert (owner.transports, owner.errors) == ([], [])


async def test_a_fault_of_ours_is_told_as_it_is() -> None:
    fault, owner = LookupError("planted"), Owner()
    opening(FailingDialer(fault), names("10.9.0.1", "10.9.0.2")).begin(CLIENT, NOBODY, owner)

    assert owner.errors == [fault]


async def test_a_connect_under_way_is_given_up_by_closing() -> None:
    pending, owner = PendingDialer(), Owner()
    made = opening(pending, names("10.9.0.1"))
    made.begin(CLIENT, NOBODY, owner)
    made.close()
    made.close()

    assert pending.released == 1
    assert pending.sock.fileno() == -1
    pending.close()


async def test_a_kernel_that_refuses_at_once_is_heard_at_once() -> None:
    owner = Owner()
    dialer = FailingDialer(OSError(errno.ENETUNREACH, "planted"))
    with pytest.raises(AssertionError, match="nothing was dialled"):
        dialer.release(None)  # type: ignore[arg-type]
    opening(dialer, names("10.9.0.1")).begin(CLIENT, NOBODY, owner)

    assert [error.failure for error in owner.errors] == [Failure.REFUSED]  # type: ignore[attr-defined]
