"""Keeps the captured pods equal to the desired ones: enters, changes, leaves, retries what is pending, buries what vanished.

Belongs here: which pod gets which step when, one step at a time for each pod and all pods side by side. Does not belong
here: how a pod is captured (`workload`), where the list comes from (`discovery`), what the difference is (`core.plan`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, RefusedPod
from netra_node.core.plan import plan
from netra_node.proxy.tasks import spawn
from netra_node.workload import (
    CaptureError,
    NamespaceMissingError,
    NetworkUnfinishedError,
    Reading,
    State,
    Workload,
)

_log = logging.getLogger(__name__)

#: Pods that are entered side by side. All of a burst at once would all be ready only when the last is; as many as this keep the
#: worker threads busy.
AT_ONCE: Final = 4
#: A pod that could not be captured is tried again after this many seconds, doubled each time up to the last.
_RETRY_FIRST: Final = 0.25
_RETRY_LAST: Final = 30.0
#: The last where only the namespace is missing: to look is one system call, and it can come at any moment.
_RETRY_LAST_MISSING: Final = 1.0
#: The first where the pod's network is all but complete; its containers start a few hundred milliseconds later.
_RETRY_FIRST_UNFINISHED: Final = 0.01
#: uvloop counts whole milliseconds: its timers come up to one early.
_SLACK: Final = 0.002


class Readings(Protocol):
    """Makes and forgets how a pod's connections are read; telemetry stands behind it."""

    def of(self, pod: DesiredPod) -> Reading:
        """Return the reading of a pod: the same parts for the same identity, new ones where it changed."""

    def entered(self, pod: DesiredPod, addresses: tuple[str, ...]) -> None:
        """Take note that the pod is captured and has these addresses."""

    def forget(self, uid: PodUid) -> None:
        """Take note that the pod is no longer captured."""


_LAST_GOOD: Final = "it stays captured by the last good options"
#: Why a pod is shown twice.
_MOVED: Final = "its pod is in another network namespace by now"

#: Makes a workload that has not started; it calls what it is given when it has to be settled.
NewWorkload = Callable[[DesiredPod, Reading, Callable[[], None]], Workload]


@dataclass(slots=True)
class _Pending:
    """A pod that could not be captured, or changed, yet."""

    pod: DesiredPod
    reason: str
    delay: float
    due: float
    #: The reason that the log knows.
    told: str


@dataclass(frozen=True, slots=True)
class PodStatus:
    """One pod as `status` shows it."""

    uid: str
    namespace: str
    name: str
    service: str
    state: str
    reason: str = ""
    #: Why new connections go direct though the pod is captured.
    suspended: str = ""
    connections: int = 0
    captured_seconds: float = 0.0
    #: Where we listen inside the pod; 0: nowhere yet.
    inbound_port: int = 0
    outbound_port: int = 0


def _later(seconds: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, callback)


class Manager:
    """The captured pods of this node."""

    def __init__(
        self,
        new_workload: NewWorkload,
        readings: Readings,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] = _later,
    ) -> None:
        """Manage nothing yet; `want` names pods, `reconcile` acts. `clock` counts seconds, `later` calls after so many."""
        self._new_workload = new_workload
        self._clock = clock
        self._later = later
        self._readings = readings
        self._desired: dict[PodUid, DesiredPod] = {}
        self._refused: tuple[RefusedPod, ...] = ()
        #: Why pods that are captured stay so by options they had before.
        self._kept: dict[PodUid, str] = {}
        self._workloads: dict[PodUid, Workload] = {}
        self._pending: dict[PodUid, _Pending] = {}
        #: Pods with a step under way; nothing else is begun for them until it ends.
        self._busy: dict[PodUid, asyncio.Task[Any]] = {}
        self._entering = asyncio.Semaphore(AT_ONCE)
        #: Those whose pod has another namespace by now: they end beside the workload in that one.
        self._former: dict[Workload, asyncio.Task[Any]] = {}

    # ---- what should be

    def want(self, pods: Iterable[DesiredPod], refused: Iterable[RefusedPod]) -> None:
        """Replace the list of pods that shall be captured, and of those that are known and shall not."""
        wanted = {pod.identity.uid: pod for pod in pods}
        self._refuse(tuple(refused))
        self._desired = wanted | {uid: self._desired[uid] for uid in self._kept}
        # what was wrong with a pod may be mended in one that changed: it need not wait
        self._pending = {
            uid: pending
            for uid, pending in self._pending.items()
            if self._desired.get(uid) == pending.pod
        }
        self._step()

    def _refuse(self, refused: tuple[RefusedPod, ...]) -> None:
        """Keep the list, and tell the log of those that are new in it, or refused for another reason than before."""
        known = {pod.uid: pod.reason for pod in self._refused}
        self._kept = {
            PodUid(pod.uid): f"{pod.reason}; {_LAST_GOOD}"
            for pod in refused
            if pod.keeps and pod.uid in self._workloads and pod.uid in self._desired
        }
        for pod in refused:
            if known.get(pod.uid) != pod.reason and not pod.waits:
                what = "not changing" if pod.uid in self._kept else "not capturing"
                _log.warning("%s %s/%s: %s", what, pod.namespace, pod.name, pod.reason)
        self._refused = refused

    # ---- what is

    def beat(self) -> None:
        """Prolong every lease."""
        for workload in self._workloads.values():
            workload.beat()

    @property
    def settled(self) -> bool:
        """Whether every desired pod is captured or known not to be capturable for now."""
        return all(uid in self._workloads or uid in self._pending for uid in self._desired) and (
            not self._busy
        )

    def pods(self) -> list[PodStatus]:
        """Return the state of every pod we know, in the order of their names."""
        known = [
            *(_captured(workload, self._reason(uid)) for uid, workload in self._workloads.items()),
            *(_captured(workload, _MOVED) for workload in self._former),
            *(
                self._waiting(uid, pod)
                for uid, pod in self._desired.items()
                if uid not in self._workloads
            ),
            *(_refused(pod) for pod in self._refused if pod.uid not in self._kept),
        ]
        return sorted(known, key=lambda pod: (pod.namespace, pod.name, pod.uid))

    def _waiting(self, uid: PodUid, pod: DesiredPod) -> PodStatus:
        who = pod.identity
        return PodStatus(
            who.uid, who.namespace, who.name, who.service, "pending", self._reason(uid)
        )

    def _reason(self, uid: PodUid) -> str:
        pending = self._pending.get(uid)
        return pending.reason if pending is not None else self._kept.get(uid, "")

    def counts(self) -> dict[str, int]:
        """Return how many pods are in each state."""
        found: dict[str, int] = {}
        for pod in self.pods():
            found[pod.state] = found.get(pod.state, 0) + 1
        return found

    @property
    def lease_age(self) -> float:
        """Seconds the oldest lease has been held; 0 without any."""
        return max((w.captured_seconds for w in self._workloads.values()), default=0.0)

    # ---- towards it

    def reconcile(self) -> None:
        """Look for namespaces that are gone, and begin the steps that are due; call it every fraction of a second."""
        self._bury()
        self._step()

    def _step(self) -> None:
        """Begin the steps that are due. While a burst of pods starts this is done for each: it looks at no file."""
        steps = plan(self._desired, self._current())
        for uid in steps.leave:
            if uid in self._desired:
                self._replace(uid)
            else:
                self._begin(uid, self._end(self._workloads[uid]))
        for pod in filter(self._is_due, steps.change):
            self._begin(pod.identity.uid, self._change(pod))
        for pod in filter(self._is_due, steps.enter):
            self._begin(pod.identity.uid, self._enter(pod))
        self._recall()
        self._settle()

    def _is_due(self, pod: DesiredPod) -> bool:
        pending = self._pending.get(pod.identity.uid)
        return pending is None or pending.due <= self._clock()

    def _current(self) -> Mapping[PodUid, DesiredPod]:
        return {uid: workload.pod for uid, workload in self._workloads.items()}

    def _begin(self, uid: PodUid, step: Coroutine[Any, Any, None]) -> None:
        if uid in self._busy:
            step.close()
            return
        task = self._busy[uid] = spawn(step, f"pod {uid}")
        task.add_done_callback(lambda done: self._finish(uid, done))

    def _finish(self, uid: PodUid, done: asyncio.Task[Any]) -> None:
        if self._busy.get(uid) is done:
            del self._busy[uid]

    def _replace(self, uid: PodUid) -> None:
        """Enter the pod's new namespace; what is in the old one goes on until its end."""
        if uid in self._busy and self._workloads[uid].state is State.RUNNING:
            return  # it is being changed: in the next round
        workload = self._workloads.pop(uid)
        leaving = self._busy.pop(uid, None) or spawn(self._end(workload), f"former {uid}")
        self._former[workload] = leaving
        leaving.add_done_callback(lambda _done: self._former.pop(workload, None))
        self._begin(uid, self._enter(self._desired[uid]))

    def _recall(self) -> None:
        """Pods that are wanted again while they drain."""
        for uid, workload in self._workloads.items():
            if workload.state is State.DRAINING and uid in self._desired:
                workload.recall()

    def mind_descriptors(self) -> None:
        """Have every pod accept, and capture, as there are descriptors for it."""
        for workload in (*self._workloads.values(), *self._former):
            workload.mind_descriptors()
        self._settle()

    def _settle(self) -> None:
        for uid, workload in self._workloads.items():
            if not workload.is_settled:
                self._begin(uid, workload.settle())

    def _bury(self) -> None:
        for uid, workload in list(self._workloads.items()):
            if workload.vanished:
                self._begin(uid, self._abandon(workload))

    async def _enter(self, pod: DesiredPod) -> None:
        uid = pod.identity.uid
        try:
            async with self._entering:
                if uid not in self._desired:
                    return
                workload = self._new_workload(pod, self._readings.of(pod), self._settle)
                await workload.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this pod's alone
            self._postpone(pod, error)
            self._readings.forget(uid)
            return
        self._pending.pop(uid, None)
        self._workloads[uid] = workload
        self._readings.entered(pod, workload.addresses)
        _log.info(
            "captured %s/%s as %s", pod.identity.namespace, pod.identity.name, pod.identity.service
        )

    def _postpone(self, pod: DesiredPod, error: Exception) -> None:
        """Take note that `pod` has to wait, and tell the log where it is news."""
        uid, who = pod.identity.uid, pod.identity
        if self._desired.get(uid) != pod:
            return  # no longer wanted, or wanted otherwise: that is tried at once
        ours = not isinstance(error, CaptureError)
        reason = f"internal error: {type(error).__name__}: {error}" if ours else str(error)
        before = self._pending.get(uid)
        delay = _delay(before, error, reason)
        told = before.told if before is not None else ""
        if reason != told and delay >= _RETRY_FIRST:
            _log.warning(
                "cannot capture %s/%s yet: %s",
                who.namespace,
                who.name,
                reason,
                exc_info=error if ours else None,
            )
            told = reason
        self._pending[uid] = _Pending(pod, reason, delay, self._clock() + delay, told)
        if delay < _RETRY_FIRST:  # nobody else may look that soon
            self._later(delay + _SLACK, self._step)

    async def _change(self, pod: DesiredPod) -> None:
        uid = pod.identity.uid
        workload = self._workloads[uid]
        try:
            await workload.change(pod, self._readings.of(pod))
            self._readings.entered(pod, workload.addresses)
        except Exception as error:  # noqa: BLE001 - as above; it stays as it was
            self._postpone(pod, error)
        else:
            self._pending.pop(uid, None)

    def _end(self, workload: Workload) -> Coroutine[Any, Any, None]:
        return self._abandon(workload) if workload.vanished else self._leave(workload, None)

    async def _leave(self, workload: Workload, limit: float | None) -> None:
        left = True
        try:
            left = await workload.leave(limit)
        finally:
            if left:
                self._gone(workload)

    async def _abandon(self, workload: Workload) -> None:
        try:
            await workload.abandon()
        finally:
            self._gone(workload)

    def _gone(self, workload: Workload) -> None:
        who = workload.pod.identity
        if self._workloads.get(who.uid) is workload:
            del self._workloads[who.uid]
            self._readings.forget(who.uid)
            if self._kept.pop(who.uid, None):
                del self._desired[who.uid]  # what it has now is no wish that could be entered by
        _log.info("released %s/%s", who.namespace, who.name)

    async def stop(self, limit: float) -> None:
        """Leave every pod; exchanges under way have `limit` seconds to end."""
        self._desired = {}
        self._pending = {}
        # a pod that is being entered now is left in the next round
        while self._workloads or self._busy or self._former:
            for uid, workload in self._workloads.items():
                if uid in self._busy:
                    workload.hurry(limit)
                else:
                    self._begin(uid, self._leave(workload, limit))
            for workload in self._former:
                workload.hurry(limit)
            await asyncio.wait([*self._busy.values(), *self._former.values()])


def _delay(before: _Pending | None, error: Exception, reason: str) -> float:
    """Return after how many seconds a pod is tried again that failed for `error`, `reason` in words."""
    unfinished = isinstance(error, NetworkUnfinishedError)
    first = _RETRY_FIRST_UNFINISHED if unfinished else _RETRY_FIRST
    if before is None or (unfinished and before.reason != reason):
        return first  # its namespace may have been long in coming: its loopback is not
    last = _RETRY_LAST_MISSING if isinstance(error, NamespaceMissingError) else _RETRY_LAST
    return min(max(first, before.delay * 2), last)


def _captured(workload: Workload, reason: str) -> PodStatus:
    who = workload.pod.identity
    return PodStatus(
        who.uid,
        who.namespace,
        who.name,
        who.service,
        workload.state.value,
        reason,
        workload.suspended,
        connections=workload.connections,
        captured_seconds=round(workload.captured_seconds, 3),
        inbound_port=workload.ports[0],
        outbound_port=workload.ports[1],
    )


def _refused(pod: RefusedPod) -> PodStatus:
    state = "pending" if pod.waits else "refused"
    return PodStatus(pod.uid, pod.namespace, pod.name, "", state, pod.reason)
