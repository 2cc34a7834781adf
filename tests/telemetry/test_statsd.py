"""The specification of `netra_node.telemetry.statsd`."""

import asyncio
import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.addresses import PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import Outcome
from netra_node.telemetry.statsd import MAX_DATAGRAM, Statsd, packed
from tests.telemetry.conftest import MakeExchange, RunVirtually

POD = PodIdentity(PodUid("u"), "shop", "orders-1", "orders")
_LINE = re.compile(r"(?P<name>.+):(?P<count>[0-9]+)\|c")


class Sent:
    """Keeps datagrams with the time they were sent at, or refuses them."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[float, bytes]] = []
        self.failure: OSError | None = None
        self.stopped = False

    def start(self) -> None:
        pass

    def send(self, datagram: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.datagrams.append((asyncio.get_running_loop().time(), datagram))

    async def stop(self) -> None:
        self.stopped = True

    def counts(self) -> Counter[str]:
        """As a StatsD server would sum them up."""
        total: Counter[str] = Counter()
        for _, datagram in self.datagrams:
            for line in datagram.decode().split("\n"):
                found = _LINE.fullmatch(line)
                assert found is not None, line
                total[found["name"]] += int(found["count"])
        return total


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_answers_are_summed_up_by_status(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("shop.", sent)
        statsd.start()
        count = statsd.counter(POD)
        for status in (200, 200, 404, 200):
            count(make_exchange(status=status))
        await asyncio.sleep(1)

    run_virtually(go())

    assert [datagram for _, datagram in sent.datagrams] == [
        b"shop.inbound.200:3|c\nshop.inbound.404:1|c"
    ]


def test_without_a_prefix_a_name_has_no_dot_before_it(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("", sent)
        statsd.start()
        count = statsd.counter(POD)
        count(make_exchange())
        await statsd.stop()

    run_virtually(go())

    assert sent.counts() == {"inbound.200": 1}


def test_a_prefix_may_tell_services_and_pods_apart(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("x.{namespace}.{service}.{pod}.", sent)
        statsd.start()
        other = PodIdentity(PodUid("v"), "shop", "a:b|c\n-1", "shop.web \u00fc")
        for pod in (POD, other, POD):
            statsd.counter(pod)(make_exchange())
        await statsd.stop()

    run_virtually(go())

    assert sent.counts() == {
        "x.shop.orders.orders-1.inbound.200": 2,
        "x.shop.shop.web__.a_b_c_-1.inbound.200": 1,
    }


def test_they_are_sent_every_100_ms_while_there_are_any(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("", sent)
        statsd.start()
        count = statsd.counter(POD)
        await asyncio.sleep(10)
        for _ in range(50):
            count(make_exchange())
            await asyncio.sleep(0.01)
        await asyncio.sleep(10)

    run_virtually(go())

    assert [round(at, 3) for at, _ in sent.datagrams] == [10.1, 10.2, 10.3, 10.4, 10.5]
    assert sent.counts() == {"inbound.200": 50}


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 0, "outcome": Outcome.CLIENT_CLOSED},
        {"status": 200, "outcome": Outcome.UPSTREAM_CLOSED},
        {"status": 200, "outcome": Outcome.OPAQUE},
        {"status": 101},
    ],
    ids=["unanswered", "cut short", "opaque", "upgraded"],
)
def test_what_is_no_finished_answer_is_not_counted(
    sent: Sent,
    make_exchange: MakeExchange,
    run_virtually: RunVirtually,
    fields: dict[str, object],
) -> None:
    async def go() -> None:
        statsd = Statsd("", sent)
        statsd.start()
        count = statsd.counter(POD)
        count(make_exchange(**fields))
        await statsd.stop()

    run_virtually(go())

    assert sent.datagrams == []


def test_what_nobody_takes_is_dropped_and_what_comes_later_is_sent(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("", sent)
        statsd.start()
        count = statsd.counter(POD)
        sent.failure = BlockingIOError()
        count(make_exchange(status=500))
        await asyncio.sleep(1)
        sent.failure = None
        count(make_exchange(status=200))
        await asyncio.sleep(1)

    run_virtually(go())

    assert sent.counts() == {"inbound.200": 1}


def test_a_server_that_invents_statuses_gets_a_few_datagrams_at_a_time(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("x" * 200 + ".", sent)
        statsd.start()
        count = statsd.counter(POD)
        for status in range(200, 1000):
            count(make_exchange(status=status))
        await asyncio.sleep(5)

    run_virtually(go())

    at_once = Counter(at for at, _ in sent.datagrams)
    assert max(at_once.values()) <= 20
    assert sent.counts() == {f"{'x' * 200}.inbound.{status}": 1 for status in range(200, 1000)}
    assert len(at_once) > 5


def test_what_was_counted_last_is_sent_at_the_stop(
    sent: Sent, make_exchange: MakeExchange, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        statsd = Statsd("", sent)
        statsd.start()
        count = statsd.counter(POD)
        for status in range(200, 500):
            count(make_exchange(status=status))
        await statsd.stop()
        assert sent.stopped
        count(make_exchange())
        await asyncio.sleep(1)

    run_virtually(go())

    assert sent.counts() == {f"inbound.{status}": 1 for status in range(200, 500)}


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1)))
def test_packed_lines_come_out_as_they_went_in(lines: list[str]) -> None:
    joined = [line for datagram in packed(lines) for line in datagram.decode().split("\n")]

    assert joined == lines


@given(st.lists(st.integers(1, 600)))
def test_a_datagram_is_never_too_long_and_no_two_neighbours_fit_one(sizes: list[int]) -> None:
    datagrams = list(packed("x" * size for size in sizes))

    assert all(len(datagram) <= MAX_DATAGRAM for datagram in datagrams)
    for one, following in pairwise(datagrams):
        first_line = following.partition(b"\n")[0]
        assert len(one) + 1 + len(first_line) > MAX_DATAGRAM


def test_a_line_that_just_fits_is_added_and_one_byte_more_is_not() -> None:
    lines = ["a" * 700, "b" * (MAX_DATAGRAM - 701)]

    assert len(list(packed(lines))) == 1
    assert len(list(packed([lines[0], lines[1] + "b"]))) == 2
