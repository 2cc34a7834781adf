"""The demo's services: HTTP as anybody would write it."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from netra_node.cli.demo_services import SLOW_SECONDS, Behaviour, Handler, Service


class Listener(Handler):
    """A service that remembers the head of the last request."""

    seen: dict[str, str]

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        type(self).seen = dict(self.headers.items())
        super().do_GET()


@contextmanager
def running(behaviour: Behaviour, handler: type[Handler] = Handler) -> Iterator[int]:
    """Run a service on loopback and yield its port."""
    service = Service(("127.0.0.1", 0), behaviour)
    service.RequestHandlerClass = handler
    thread = threading.Thread(target=service.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield service.server_address[1]
    finally:
        service.shutdown()
        service.server_close()
        thread.join()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def get(port: int, path: str, headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def behind(stack: ExitStack, back: Behaviour, handler: type[Handler] = Handler) -> int:
    """Run a service that asks another one, and return its port."""
    port = stack.enter_context(running(back, handler))
    return stack.enter_context(running(Behaviour(f"http://127.0.0.1:{port}/back/")))


def test_the_last_service_answers_by_itself(stack: ExitStack) -> None:
    assert get(stack.enter_context(running(Behaviour())), "/stock/1") == 200


def test_the_request_id_goes_on_to_the_next_service(stack: ExitStack) -> None:
    get(behind(stack, Behaviour(), Listener), "/front/1", {"X-Request-Id": "abc"})

    assert Listener.seen["X-Request-Id"] == "abc"


def test_no_other_header_goes_on(stack: ExitStack) -> None:
    get(behind(stack, Behaviour(), Listener), "/front/1", {"traceparent": "00-1-2-01"})

    assert set(Listener.seen) == {"Host", "Accept-Encoding"}


def test_the_next_service_s_status_is_passed_on(stack: ExitStack) -> None:
    assert get(behind(stack, Behaviour(fail="3")), "/front/3") == 500


def test_it_is_slow_for_one_item_only(stack: ExitStack) -> None:
    port = stack.enter_context(running(Behaviour(slow="2")))

    def seconds(item: int) -> float:
        began = time.monotonic()
        get(port, f"/stock/{item}")
        return time.monotonic() - began

    # The best of some: the machine may be slow as well, now and then.
    assert min(seconds(1) for _ in range(5)) < SLOW_SECONDS <= seconds(2)


def test_it_hangs_up_without_an_answer(stack: ExitStack) -> None:
    port = stack.enter_context(running(Behaviour(hang_up="4")))

    with pytest.raises(http.client.RemoteDisconnected):
        get(port, "/stock/4")


def test_a_next_service_that_hangs_up_is_a_bad_gateway(stack: ExitStack) -> None:
    assert get(behind(stack, Behaviour(hang_up="4")), "/front/4") == 502


def test_after_a_bad_gateway_the_same_connection_serves_on(stack: ExitStack) -> None:
    port = behind(stack, Behaviour(hang_up="4"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    statuses = []
    for item in "414":
        connection.request("GET", f"/front/{item}")
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()

    assert statuses == [502, 200, 502]
