"""Asking for sampling strategies, in virtual time: a scripted server stands in for the connection. One test asks a real one."""

import asyncio
import json
import logging
from collections.abc import Callable

import pytest

from netra_node.core.records import Direction, Exchange
from netra_node.core.remote_sampling import RemoteSampler
from netra_node.http_client import Target, TransportError
from netra_node.telemetry.schemas import SpanOptions, schema_for
from netra_node.telemetry.strategies import Strategies, StrategyServer, operation_of

ALL = json.dumps({"probabilisticSampling": {"samplingRate": 1}}).encode()
NONE = json.dumps({"probabilisticSampling": {"samplingRate": 0}}).encode()
AWAY = TransportError("connection refused")
Answer = bytes | TransportError


class Server:
    """Gives each service its scripted answers in order, the last one for ever. Remembers who was asked for, and when."""

    def __init__(self, *, takes: float = 0, **script: list[Answer]) -> None:
        self.script = script
        self.takes = takes
        self.asked: list[tuple[str, float]] = []
        self.open = 0
        self.most_open = 0

    async def ask(self, service: str) -> bytes:
        self.asked.append((service, asyncio.get_running_loop().time()))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(self.takes)
        self.open -= 1
        answers = self.script.get(service, [ALL])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, TransportError):
            raise answer
        return answer

    def times(self, service: str) -> list[float]:
        return [time for name, time in self.asked if name == service]


def samples(sampler: RemoteSampler) -> bool:
    exchange = Exchange(b"GET", b"/", b"1.1", 1)
    return sampler.decide(None, 2**63 - 1, Direction.INBOUND, exchange, 1) is not None


def strategies(server: Server, interval: float = 60, initial: float = 0) -> Strategies:
    def make(service: str) -> RemoteSampler:
        return RemoteSampler(service, initial, lambda _direction, _exchange: "", 2000)

    return Strategies(server.ask, "jaeger:5778", interval, make, 2000)


@pytest.fixture
def run_for(run_virtually):
    """Runs strategies for some seconds, then stops them."""

    def run(
        asking: Strategies, *seconds: float, between: Callable[[], object] = lambda: None
    ) -> None:
        async def life() -> None:
            asking.start()
            for pause in seconds:
                await asyncio.sleep(pause)
                between()
            await asking.stop()

        run_virtually(life())

    return run


def test_a_service_is_asked_for_at_once(run_for) -> None:
    server = Server()
    asking = strategies(server)
    sampler = asking.sampler("shop")

    run_for(asking, 0.1)

    assert server.asked == [("shop", 0)]
    assert samples(sampler)


def test_and_again_after_each_interval(run_for) -> None:
    server = Server(shop=[ALL, NONE])
    asking = strategies(server, interval=60)
    sampler = asking.sampler("shop")

    run_for(asking, 121)

    assert server.times("shop") == [0, 60, 120]
    assert not samples(sampler)


def test_a_service_that_comes_later_does_not_wait_for_the_interval(run_for) -> None:
    server = Server()
    asking = strategies(server)
    kept = [asking.sampler("shop")]

    run_for(asking, 10, 1, between=lambda: kept.append(asking.sampler("cart")))

    assert server.times("cart") == [10]
    assert server.times("shop") == [0]


def test_a_further_pod_of_a_known_service_follows_at_once(run_for) -> None:
    server = Server()
    asking = strategies(server)
    kept = [asking.sampler("shop")]

    run_for(asking, 10, between=lambda: kept.append(asking.sampler("shop")))

    assert [samples(sampler) for sampler in kept] == [True, True]
    assert server.times("shop") == [0]


def test_each_service_has_its_own_strategy(run_for) -> None:
    asking = strategies(Server(shop=[ALL], cart=[NONE]))
    shop, cart = (asking.sampler(name) for name in ("shop", "cart"))

    run_for(asking, 1)

    assert (samples(shop), samples(cart)) == (True, False)


def test_a_service_whose_pods_are_gone_is_asked_for_no_more(run_for) -> None:
    server = Server()
    asking = strategies(server)
    kept = [asking.sampler(name) for name in ("shop", "cart")]

    run_for(asking, 10, 170, between=lambda: kept.pop(0) if len(kept) > 1 else None)

    assert len(server.times("shop")) == 1
    assert len(server.times("cart")) == 3


def test_few_are_asked_for_at_once(run_for) -> None:
    server = Server(takes=1)
    asking = strategies(server)
    kept = [asking.sampler(f"service-{number}") for number in range(30)]

    run_for(asking, 20)

    assert server.most_open == 4
    assert all(map(samples, kept))


@pytest.mark.parametrize("answer", [AWAY, b"{", b"{}", b"\xff"])
def test_without_an_answer_the_last_strategy_stays(run_for, answer: Answer) -> None:
    asking = strategies(Server(shop=[ALL, answer]))
    sampler = asking.sampler("shop")

    run_for(asking, 300)

    assert samples(sampler)


def test_before_the_first_answer_the_initial_share_is_sampled(run_for) -> None:
    asking = strategies(Server(shop=[AWAY]), initial=1)
    sampler = asking.sampler("shop")

    run_for(asking, 300)

    assert samples(sampler)


def test_trouble_is_told_once_and_its_end_too(run_for, caplog) -> None:
    caplog.set_level(logging.INFO)
    asking = strategies(Server(shop=[AWAY, AWAY, AWAY, ALL], cart=[ALL]))
    kept = [asking.sampler(name) for name in ("cart", "shop")]

    run_for(asking, 300)

    assert len(kept) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "jaeger:5778 does not tell the sampling strategy of shop: connection refused; it keeps the last",
        "jaeger:5778 tells every service's sampling strategy again",
    ]


def test_stopped_before_it_was_started_it_does_nothing(run_virtually) -> None:
    run_virtually(strategies(Server()).stop())


@pytest.mark.parametrize(
    ("url", "requested"),
    [("/sampling", "/sampling?service="), ("/x?tenant=1", "/x?tenant=1&service=")],
)
def test_a_real_server_is_asked_by_name(url: str, requested: str) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        status = b"404 Not Found" if b"unknown" in seen[-1] else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(ALL), ALL))
        await writer.drain()
        writer.close()

    async def ask() -> bytes:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            server = StrategyServer(Target("127.0.0.1", port, url), "us/1")
            with pytest.raises(TransportError, match="status 404"):
                await server.ask("unknown")
            return await server.ask("shop & co/é")

    assert asyncio.run(ask()) == ALL
    assert seen[-1].startswith(
        b"GET %bshop%%20%%26%%20co%%2F%%C3%%A9 HTTP/1.1\r\n" % requested.encode()
    )
    assert b"User-Agent: us/1" in seen[-1]


@pytest.mark.parametrize(
    ("schema", "inbound", "outbound"),
    [("otel", "GET /a b/{id}", "GET /a b/{id}"), ("netramesh", "/a b/7", "shop:80/a b/7")],
)
def test_an_operation_is_called_as_its_span_will_be(
    schema: str, inbound: str, outbound: str
) -> None:
    operation = operation_of(schema_for("otlp", SpanOptions(schema=schema)))
    exchange = Exchange(b"GET", b"/a b/7?q=1", b"1.1", 1)
    exchange.host = b"shop:80"

    names = [
        operation(direction, exchange) for direction in (Direction.INBOUND, Direction.OUTBOUND)
    ]
    assert names == [inbound, outbound]
