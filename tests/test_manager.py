"""With workloads that do as they are told, and a clock that stands until it is moved."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, PodOptions, RefusedPod
from netra_node.core.identity import PodIdentity
from netra_node.core.ports import PortSet
from netra_node.manager import AT_ONCE, Manager
from netra_node.workload import (
    CaptureError,
    NamespaceMissingError,
    NetworkUnfinishedError,
    Reading,
    State,
    Workload,
)


def pod(name: str, netns: str = "/run/netns/one", service: str = "shop") -> DesiredPod:
    return DesiredPod(PodIdentity(PodUid(f"uid-{name}"), "default", name, service), netns)


WEB, ORDERS = pod("web"), pod("orders")
READING = cast("Reading", object())


class FakeWorkload:
    """Captures at once unless told otherwise, and leaves when `let_leave` is set."""

    def __init__(self, pod: DesiredPod, reading: Reading, unsettled: Callable[[], None]) -> None:
        self.pod = pod
        self.reading = reading
        self.unsettled = unsettled
        self.is_settled = True
        self.suspended = ""
        self.may_settle = asyncio.Event()
        self.may_settle.set()
        self.state = State.STARTING
        self.addresses = ("10.0.0.1",)
        self.connections = 0
        self.captured_seconds = 0.0
        self.ports = (14955, 40123)
        self.vanished = False
        self.beats = 0
        self.calls: list[str] = []
        self.start_error: Exception | None = None
        self.change_error: Exception | None = None
        self.leave_error: Exception | None = None
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.may_leave = asyncio.Event()
        self.may_leave.set()

    async def start(self) -> None:
        self.calls.append("start")
        await self.may_start.wait()
        if self.start_error is not None:
            raise self.start_error
        self.state = State.RUNNING

    async def change(self, pod: DesiredPod, reading: Reading) -> None:
        self.calls.append("change")
        if self.change_error is not None:
            raise self.change_error
        self.pod, self.reading = pod, reading

    async def settle(self) -> None:
        self.calls.append("settle")
        await self.may_settle.wait()
        self.is_settled = True

    def mind_descriptors(self) -> None:
        self.calls.append("mind descriptors")

    def beat(self) -> None:
        self.beats += 1

    async def leave(self, limit: float | None) -> bool:
        self.calls.append(f"leave {limit}")
        self.state = State.DRAINING
        await self.may_leave.wait()
        if self.leave_error is not None:
            raise self.leave_error
        return self.calls[-1] != "recall"

    def recall(self) -> None:
        self.calls.append("recall")
        self.state = State.RUNNING
        self.may_leave.set()

    def hurry(self, limit: float) -> None:
        self.calls.append(f"hurry {limit}")
        self.may_leave.set()

    async def abandon(self) -> None:
        self.calls.append("abandon")


class FakeReadings:
    """Writes down who came and went."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def of(self, pod: DesiredPod) -> Reading:
        return READING

    def entered(self, pod: DesiredPod, addresses: tuple[str, ...]) -> None:
        self.calls.append(f"entered {pod.identity.service} {','.join(addresses)}")

    def forget(self, uid: PodUid) -> None:
        self.calls.append(f"forget {uid}")


class Bench:
    """A manager whose every neighbour is in the test's hands."""

    def __init__(self) -> None:
        self.made: list[FakeWorkload] = []
        #: What is done to each new workload before it starts.
        self.prepare: Callable[[FakeWorkload], None] = lambda _workload: None
        self.readings = FakeReadings()
        self.seconds = 1000.0
        #: What the manager wants to be called for, and after how many seconds.
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.manager = Manager(self._new, self.readings, lambda: self.seconds, self._later)

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.timers.append((seconds, callback))

    async def ring(self) -> float:
        """Let the time pass that the manager asked for last, and do what it asked for; the seconds that were."""
        seconds, callback = self.timers.pop()
        self.seconds += seconds
        callback()
        await settle()
        return seconds

    def _new(self, pod: DesiredPod, reading: Reading, unsettled: Callable[[], None]) -> Workload:
        workload = FakeWorkload(pod, reading, unsettled)
        self.made.append(workload)
        self.prepare(workload)
        return cast("Workload", workload)

    def fail(self, error: Exception | None, name: str = "web") -> None:
        """Let the pod of that name fail to start from now on."""

        def prepare(workload: FakeWorkload) -> None:
            if workload.pod.identity.name == name:
                workload.start_error = error

        self.prepare = prepare

    async def want(self, *pods: DesiredPod, refused: tuple[RefusedPod, ...] = ()) -> None:
        self.manager.want(pods, refused)
        await settle()

    async def look(self, seconds: float = 0) -> None:
        self.seconds += seconds
        self.manager.reconcile()
        await settle()

    def states(self) -> dict[str, str]:
        return {status.name: status.state for status in self.manager.pods()}

    def reason(self, name: str = "web") -> str:
        return next(status.reason for status in self.manager.pods() if status.name == name)

    def calls(self) -> list[list[str]]:
        return [workload.calls for workload in self.made]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---- entering


async def test_a_wanted_pod_is_captured(bench: Bench) -> None:
    await bench.want(WEB)

    assert bench.states() == {"web": "running"}
    assert bench.readings.calls == ["entered shop 10.0.0.1"]


async def test_a_captured_pod_is_left_alone(bench: Bench) -> None:
    await bench.want(WEB)
    await bench.want(WEB)
    await bench.look(60)

    assert bench.calls() == [["start"]]


async def test_pods_are_entered_side_by_side(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()

    await bench.want(WEB, ORDERS)

    assert bench.calls() == [["start"], ["start"]]


async def test_of_a_burst_the_first_pods_are_captured_before_the_last_are_begun(
    bench: Bench,
) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(*(pod(f"p{number}") for number in range(AT_ONCE + 1)))
    assert bench.calls() == [["start"]] * AT_ONCE

    bench.made[0].may_start.set()
    await settle()
    assert bench.made[0].state is State.RUNNING
    assert len(bench.made) == AT_ONCE + 1


async def test_a_pod_that_waits_for_its_turn_and_is_not_wanted_any_more_is_never_entered(
    bench: Bench,
) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    first = [pod(f"p{number}") for number in range(AT_ONCE)]
    await bench.want(*first, WEB)
    await bench.want(*first)
    for workload in bench.made:
        workload.may_start.set()
    await settle()

    assert [made.pod for made in bench.made] == first


async def test_a_pod_is_not_started_twice_while_it_starts(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(WEB)
    await bench.want(WEB)
    await bench.look(60)

    assert bench.states() == {"web": "pending"}
    assert bench.calls() == [["start"]]


async def test_a_pod_no_longer_wanted_when_it_has_started_is_left(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(WEB)
    await bench.want()
    bench.made[0].may_start.set()
    await settle()
    await bench.look()

    assert bench.calls() == [["start", "leave None"]]
    assert bench.states() == {}


# ---- as long as there is room


async def test_a_workload_that_has_to_be_settled_is(bench: Bench) -> None:
    await bench.want(WEB, ORDERS)
    bench.made[0].is_settled = False
    bench.made[0].unsettled()
    await settle()

    assert bench.calls() == [["start", "settle"], ["start"]]


async def test_it_is_settled_after_the_step_under_way(bench: Bench) -> None:
    await bench.want(WEB)
    workload = bench.made[0]
    workload.may_settle.clear()
    workload.is_settled = False
    workload.unsettled()
    await settle()
    workload.unsettled()
    await bench.look()
    assert workload.calls == ["start", "settle"]
    workload.may_settle.set()
    await settle()
    workload.is_settled = False
    await bench.look()

    assert workload.calls == ["start", "settle", "settle"]


async def test_a_pod_no_longer_wanted_is_left_after_it_was_settled(bench: Bench) -> None:
    await bench.want(WEB)
    workload = bench.made[0]
    workload.may_settle.clear()
    workload.is_settled = False
    workload.unsettled()
    await bench.want()
    workload.may_settle.set()
    await settle()
    await bench.look()

    assert workload.calls == ["start", "settle", "leave None"]


async def test_every_workload_minds_descriptors_also_one_that_leaves_its_former_namespace(
    bench: Bench,
) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want(replace(WEB, netns="/run/netns/two"))
    await bench.look()
    bench.manager.mind_descriptors()

    assert [calls[-1] for calls in bench.calls()] == ["mind descriptors"] * 2


async def test_status_tells_why_new_connections_of_a_captured_pod_go_direct(bench: Bench) -> None:
    await bench.want(WEB)
    bench.made[0].suspended = "there were 4"
    (status,) = bench.manager.pods()

    assert (status.state, status.suspended) == ("running", "there were 4")


# ---- pending


async def test_a_pod_that_cannot_be_captured_is_pending_with_the_reason(bench: Bench) -> None:
    bench.fail(CaptureError("no network namespace there"))

    await bench.want(WEB)

    assert bench.states() == {"web": "pending"}
    assert bench.reason() == "no network namespace there"
    assert bench.readings.calls == ["forget uid-web"]


async def test_a_pending_pod_is_tried_again_when_it_is_due(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB)
    bench.fail(None)
    await bench.look(0.24)
    assert bench.states() == {"web": "pending"}
    await bench.look(0.02)

    assert bench.states() == {"web": "running"}
    assert bench.reason() == ""


async def test_each_failure_doubles_the_wait_up_to_half_a_minute(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB)
    waits = []
    for _ in range(10):
        tries, begin = len(bench.made), bench.seconds
        while len(bench.made) == tries:
            await bench.look(0.125)
        waits.append(bench.seconds - begin)

    assert waits == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_a_missing_namespace_is_looked_for_every_second_at_least(bench: Bench) -> None:
    bench.fail(NamespaceMissingError("no network namespace"))
    await bench.want(WEB)
    await bench.look(0.25)
    await bench.look(0.5)
    for tries in range(4, 8):
        await bench.look(1)
        assert len(bench.made) == tries


async def test_a_pod_whose_network_is_all_but_complete_is_tried_again_in_no_time(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fail(NetworkUnfinishedError("no loopback"))
    await bench.want(WEB)
    assert bench.reason() == "no loopback"
    bench.fail(None)

    seconds = await bench.ring()

    assert seconds < 0.02
    assert bench.states() == {"web": "running"}
    assert caplog.records == []


async def test_a_network_that_stays_incomplete_is_told_and_looked_at_as_any_other(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fail(NetworkUnfinishedError("no loopback"))
    await bench.want(WEB)
    waits = []
    while bench.timers:
        waits.append(round(await bench.ring(), 3))

    assert waits == [0.012, 0.022, 0.042, 0.082, 0.162]
    assert [record.getMessage() for record in caplog.records] == [
        "cannot capture default/web yet: no loopback"
    ]
    await bench.look(0.32)
    await bench.look(0.64)
    assert len(bench.made) == 8
    assert bench.timers == []
    assert len(caplog.records) == 1


async def test_another_refusal_of_an_incomplete_network_is_no_reason_to_hurry(bench: Bench) -> None:
    bench.fail(NetworkUnfinishedError("no loopback"))
    await bench.want(WEB)
    bench.fail(CaptureError("not yet"))
    await bench.ring()

    await bench.look(0.24)
    assert len(bench.made) == 2
    await bench.look(0.02)
    assert len(bench.made) == 3


async def test_however_late_a_namespace_comes_its_unfinished_network_is_tried_again_in_no_time(
    bench: Bench,
) -> None:
    bench.fail(NamespaceMissingError("no network namespace"))
    await bench.want(WEB)
    bench.fail(NetworkUnfinishedError("no loopback"))
    await bench.look(0.25)

    assert await bench.ring() < 0.02
    assert len(bench.made) == 3
    assert await bench.ring() > 0.02


async def test_a_network_that_was_all_but_complete_when_the_daemon_ends_is_nobodys(
    bench: Bench,
) -> None:
    bench.fail(NetworkUnfinishedError("no loopback"))
    await bench.want(WEB)
    await bench.manager.stop(5)
    await bench.ring()

    assert len(bench.made) == 1
    assert bench.timers == []


async def test_a_pod_that_changed_is_tried_at_once(bench: Bench) -> None:
    bench.fail(CaptureError("no such namespace"))
    await bench.want(WEB)
    bench.fail(None)

    await bench.want(replace(WEB, netns="/run/netns/two"))

    assert bench.states() == {"web": "running"}


async def test_a_list_that_says_the_same_does_not_hasten_a_retry(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB)
    await bench.want(WEB)

    assert len(bench.made) == 1


async def test_a_reason_is_logged_when_it_is_news(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB)
    await bench.look(1)
    bench.fail(CaptureError("another"))
    await bench.look(10)

    assert [record.getMessage() for record in caplog.records] == [
        "cannot capture default/web yet: not yet",
        "cannot capture default/web yet: another",
    ]


async def test_a_pending_pod_that_is_no_longer_wanted_is_forgotten(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB)
    await bench.want()

    assert bench.states() == {}


async def test_a_failure_of_a_pod_no_longer_wanted_is_nobodys(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(WEB)
    await bench.want()
    bench.made[0].start_error = CaptureError("late")
    bench.made[0].may_start.set()
    await settle()
    bench.prepare = lambda _workload: None
    await bench.want(WEB)

    assert bench.states() == {"web": "running"}


async def test_an_unexpected_error_makes_a_pod_pending_and_says_that_it_is_ours(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fail(ZeroDivisionError("planted"))

    await bench.want(WEB)

    assert bench.reason() == "internal error: ZeroDivisionError: planted"
    assert "Traceback" in caplog.text


async def test_an_unexpected_error_is_retried_as_a_refusal_is(bench: Bench) -> None:
    bench.fail(ZeroDivisionError("planted"))
    await bench.want(WEB)
    await bench.look(0.1)
    assert len(bench.made) == 1
    bench.fail(None)
    await bench.look(0.2)

    assert bench.states() == {"web": "running"}


async def test_an_error_while_a_workload_is_made_is_that_pods_alone(bench: Bench) -> None:
    def prepare(workload: FakeWorkload) -> None:
        if workload.pod is WEB:
            raise ZeroDivisionError

    bench.prepare = prepare
    await bench.want(WEB, ORDERS)

    assert bench.states() == {"web": "pending", "orders": "running"}


async def test_one_failing_pod_does_not_stop_the_others(bench: Bench) -> None:
    bench.fail(RuntimeError("planted"))

    await bench.want(WEB, ORDERS)

    assert bench.states() == {"web": "pending", "orders": "running"}


# ---- changing


async def test_a_changed_pod_is_changed_where_it_is(bench: Bench) -> None:
    await bench.want(WEB)

    await bench.want(replace(WEB, options=PodOptions(http_ports=PortSet(((80, 80),)))))

    assert bench.calls() == [["start", "change"]]


BAD = RefusedPod("uid-web", "default", "web", "planted", keeps=True)


async def test_a_captured_pod_that_changes_for_the_worse_stays_as_it_was(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.want(WEB, ORDERS)

    await bench.want(ORDERS, refused=(BAD,))
    await bench.want(ORDERS, refused=(BAD,))

    assert bench.calls() == [["start"], ["start"]]
    assert bench.states() == {"web": "running", "orders": "running"}
    assert bench.reason() == "planted; it stays captured by the last good options"
    assert [r.message for r in caplog.records if "not changing" in r.message] == [
        "not changing default/web: planted"
    ]


async def test_a_pod_that_is_mended_has_no_reason_any_more(bench: Bench) -> None:
    await bench.want(WEB)
    await bench.want(refused=(BAD,))

    await bench.want(pod("web", service="front"))

    assert (bench.reason(), bench.calls()) == ("", [["start", "change"]])


async def test_a_pod_refused_for_what_it_is_is_left_though_captured(bench: Bench) -> None:
    await bench.want(WEB)

    await bench.want(refused=(replace(BAD, keeps=False),))

    assert bench.calls()[0][:2] == ["start", "leave None"]


async def test_a_bad_pod_that_is_not_captured_is_refused(bench: Bench) -> None:
    await bench.want(refused=(BAD,))

    assert (bench.states(), bench.reason()) == ({"web": "refused"}, "planted")


async def test_a_kept_pod_whose_namespace_vanishes_is_refused(bench: Bench) -> None:
    await bench.want(WEB)
    await bench.want(refused=(BAD,))

    bench.made[0].vanished = True
    await bench.look()
    await bench.look()

    assert (bench.states(), bench.reason()) == ({"web": "refused"}, "planted")
    assert len(bench.made) == 1


async def test_peers_learn_a_changed_service_name(bench: Bench) -> None:
    await bench.want(WEB)
    await bench.want(pod("web", service="front"))

    assert bench.readings.calls[-1] == "entered front 10.0.0.1"


async def test_a_change_waits_for_the_step_under_way(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(WEB)
    await bench.want(pod("web", service="front"))
    bench.made[0].may_start.set()
    await settle()
    assert bench.calls() == [["start"]]
    await bench.look()

    assert bench.calls() == [["start", "change"]]


async def test_a_change_that_fails_leaves_the_pod_captured_with_the_reason(bench: Bench) -> None:
    await bench.want(WEB, ORDERS)
    bench.made[0].change_error = ZeroDivisionError("planted")
    await bench.want(pod("web", service="front"), pod("orders", service="front"))

    assert bench.states() == {"web": "running", "orders": "running"}
    assert bench.reason() == "internal error: ZeroDivisionError: planted"
    assert bench.made[1].pod.identity.service == "front"


async def test_a_change_that_failed_is_tried_again(bench: Bench) -> None:
    await bench.want(WEB)
    bench.made[0].change_error = ZeroDivisionError("planted")
    await bench.want(pod("web", service="front"))
    bench.made[0].change_error = None
    await bench.look(0.3)

    assert bench.made[0].pod.identity.service == "front"
    assert bench.reason() == ""


# ---- leaving


async def test_a_pod_no_longer_wanted_is_left_without_a_limit(bench: Bench) -> None:
    await bench.want(WEB)
    await bench.want()

    assert bench.calls() == [["start", "leave None"]]
    assert bench.readings.calls[-1] == "forget uid-web"


async def test_a_pod_that_is_draining_is_shown_so_until_it_is_gone(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want()
    assert bench.states() == {"web": "draining"}
    bench.made[0].may_leave.set()
    await settle()

    assert bench.states() == {}


async def test_a_pod_that_is_wanted_again_while_it_drains_is_recalled(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want()
    await bench.want(WEB)

    assert bench.calls() == [["start", "leave None", "recall"]]
    assert bench.states() == {"web": "running"}
    assert "forget uid-web" not in bench.readings.calls


async def test_a_recalled_pod_can_be_left_again(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want()
    await bench.want(WEB)
    await bench.want()

    assert bench.calls() == [["start", "leave None", "recall", "leave None"]]
    assert bench.states() == {}


async def test_a_pod_that_comes_back_changed_is_recalled_and_then_changed(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want()
    await bench.want(pod("web", service="front"))
    await bench.look()

    assert bench.calls() == [["start", "leave None", "recall", "change"]]


async def test_a_leave_that_fails_does_not_keep_the_pod(bench: Bench) -> None:
    await bench.want(WEB)
    bench.made[0].leave_error = ZeroDivisionError("planted")
    await bench.want()

    assert bench.states() == {}


MOVED = replace(WEB, netns="/run/netns/two")


async def move(bench: Bench) -> None:
    """WEB gets another namespace; the connections in the old one go on."""
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want(MOVED)


async def test_a_pod_with_another_namespace_is_entered_there_at_once(bench: Bench) -> None:
    await move(bench)

    assert bench.calls() == [["start", "leave None"], ["start"]]
    assert bench.made[1].pod is MOVED
    assert [status.state for status in bench.manager.pods()] == ["running", "draining"]


async def test_an_old_namespace_that_has_vanished_is_not_waited_for(bench: Bench) -> None:
    await bench.want(WEB)
    bench.made[0].vanished = True
    await bench.want(MOVED)

    assert bench.calls() == [["start", "abandon"], ["start"]]
    assert bench.states() == {"web": "running"}


async def test_what_was_left_in_the_old_namespace_ends_by_itself(bench: Bench) -> None:
    await move(bench)
    bench.made[0].may_leave.set()
    await settle()

    assert bench.states() == {"web": "running"}
    assert "forget uid-web" not in bench.readings.calls


async def test_a_draining_pod_that_comes_back_elsewhere_is_entered_there(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want()
    await bench.want(MOVED)
    await bench.look()

    assert bench.calls() == [["start", "leave None"], ["start"]]


async def test_a_pod_that_moved_can_be_left_before_the_old_namespace_is(bench: Bench) -> None:
    await move(bench)
    bench.made[1].may_leave.set()
    await bench.want()

    assert [status.state for status in bench.manager.pods()] == ["draining"]
    assert bench.readings.calls[-1] == "forget uid-web"


async def test_stop_hurries_what_is_left_in_an_old_namespace(bench: Bench) -> None:
    await move(bench)
    bench.made[1].may_leave.set()
    await asyncio.wait_for(bench.manager.stop(5), 1)

    assert bench.made[0].calls == ["start", "leave None", "hurry 5"]


async def test_a_pod_whose_namespace_vanished_is_abandoned(bench: Bench) -> None:
    await bench.want(WEB, ORDERS)
    bench.made[0].vanished = True
    bench.fail(CaptureError("no network namespace"))
    await bench.look()
    assert bench.made[0].calls == ["start", "abandon"]
    await bench.look()

    assert bench.states() == {"web": "pending", "orders": "running"}


async def test_a_vanished_pod_that_is_no_longer_wanted_either_is_abandoned_once(
    bench: Bench,
) -> None:
    await bench.want(WEB)
    bench.made[0].vanished = True
    await bench.want()

    assert bench.calls() == [["start", "abandon"]]


# ---- stopping


async def test_stop_leaves_every_pod_within_the_limit(bench: Bench) -> None:
    await bench.want(WEB, ORDERS)
    await bench.manager.stop(5)

    assert bench.calls() == [["start", "leave 5"], ["start", "leave 5"]]
    assert bench.states() == {}


async def test_stop_waits_for_a_pod_that_is_starting_and_leaves_it(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(WEB)
    asyncio.get_running_loop().call_later(0.01, bench.made[0].may_start.set)
    await bench.manager.stop(5)

    assert bench.calls() == [["start", "leave 5"]]


async def test_stop_during_a_start_that_fails_ends_all_the_same(bench: Bench) -> None:
    def prepare(workload: FakeWorkload) -> None:
        workload.may_start.clear()
        workload.start_error = CaptureError("planted")

    bench.prepare = prepare
    await bench.want(WEB)
    asyncio.get_running_loop().call_later(0.01, bench.made[0].may_start.set)
    await asyncio.wait_for(bench.manager.stop(5), 1)

    assert bench.states() == {}


async def test_stop_hurries_a_pod_that_is_draining(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_leave.clear()
    await bench.want(WEB)
    await bench.want()
    await asyncio.wait_for(bench.manager.stop(5), 1)

    assert bench.calls() == [["start", "leave None", "hurry 5"]]


async def test_stop_survives_a_leave_that_fails(bench: Bench) -> None:
    await bench.want(WEB, ORDERS)
    bench.made[0].leave_error = ZeroDivisionError("planted")
    await asyncio.wait_for(bench.manager.stop(5), 1)

    assert bench.states() == {}


async def test_stop_without_pods_is_immediate(bench: Bench) -> None:
    await asyncio.wait_for(bench.manager.stop(5), 1)


# ---- what is shown


async def test_refused_pods_are_shown_with_their_reason(bench: Bench) -> None:
    refused = RefusedPod("uid-host", "kube-system", "host", "it is on the host's network")
    await bench.want(WEB, refused=(refused,))

    assert bench.states() == {"web": "running", "host": "refused"}
    assert bench.reason("host") == "it is on the host's network"


async def test_pods_are_shown_in_the_order_of_their_names(bench: Bench) -> None:
    await bench.want(WEB, ORDERS)

    assert [status.name for status in bench.manager.pods()] == ["orders", "web"]


async def test_pods_are_counted_by_state(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB, ORDERS, pod("stock"))

    assert bench.manager.counts() == {"running": 2, "pending": 1}


async def test_every_captured_pod_beats_and_no_other(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB, ORDERS)
    bench.manager.beat()

    assert [workload.beats for workload in bench.made] == [0, 1]


async def test_the_lease_age_is_the_oldest_ones(bench: Bench) -> None:
    assert bench.manager.lease_age == 0
    await bench.want(WEB, ORDERS)
    bench.made[0].captured_seconds, bench.made[1].captured_seconds = 3.0, 7.0

    assert bench.manager.lease_age == 7


async def test_a_refused_pod_is_logged_once_with_its_reason(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    web = RefusedPod("uid-web", "default", "web", "it is captured by Istio")
    await bench.want(refused=(web,))
    await bench.want(ORDERS, refused=(web,))

    assert caplog.messages.count("not capturing default/web: it is captured by Istio") == 1


async def test_a_pod_that_waits_for_its_namespace_is_pending_and_no_news(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    web = RefusedPod("uid-web", "default", "web", "no CNI result", waits=True)
    await bench.want(refused=(web,))

    (shown,) = bench.manager.pods()
    assert (shown.state, shown.reason) == ("pending", "no CNI result")
    assert caplog.messages == []


async def test_a_pod_refused_for_another_reason_is_logged_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.want(refused=(RefusedPod("uid-web", "default", "web", "one"),))
    await bench.want(refused=(RefusedPod("uid-web", "default", "web", "two"),))

    assert len([line for line in caplog.messages if "not capturing" in line]) == 2


async def test_status_tells_where_we_listen_in_a_captured_pod(bench: Bench) -> None:
    await bench.want(WEB)
    (status,) = bench.manager.pods()

    assert (status.inbound_port, status.outbound_port) == (14955, 40123)


async def test_status_tells_no_ports_of_a_pod_that_is_not_captured(bench: Bench) -> None:
    bench.fail(CaptureError("not yet"))
    await bench.want(WEB)
    (status,) = bench.manager.pods()

    assert (status.inbound_port, status.outbound_port) == (0, 0)


async def test_no_pods_wanted_is_settled(bench: Bench) -> None:
    await bench.want()

    assert bench.manager.settled


async def test_a_pod_being_entered_is_not_settled(bench: Bench) -> None:
    bench.prepare = lambda workload: workload.may_start.clear()
    await bench.want(WEB)
    assert not bench.manager.settled
    bench.made[0].may_start.set()
    await settle()

    assert bench.manager.settled


@pytest.mark.parametrize("error", [CaptureError("planted"), ZeroDivisionError("planted")])
async def test_a_pod_that_cannot_be_captured_does_not_keep_the_rest_unsettled(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    bench.fail(error)
    await bench.want(WEB, ORDERS)

    assert bench.manager.settled
