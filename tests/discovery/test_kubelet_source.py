"""The specification of `netra_node.discovery.kubelet_source`: a kubelet that says what the test wants, a node made of files.

Traps are those of the recordings' page, by number. Decisions are the real ones: what would be captured is what counts.
"""

import asyncio
import json
import logging
import os
import resource
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netra_node.core.desired import DesiredPod, RefusedPod
from netra_node.discovery.enrolment import EnrolmentPolicy, decide_all, may_be_captured
from netra_node.discovery.kubelet_api import KubeletError
from netra_node.discovery.kubelet_source import KubeletSource, Rhythm
from netra_node.discovery.pod import Pod
from tests.discovery.node import SANDBOX, UID, Node
from tests.discovery.recorded import OPT_IN, items, listed

POLICY = EnrolmentPolicy(opt_in=OPT_IN)
PATIENCE = 5.0
#: Fast where time passes, patient where an event has to do without it.
QUICK = Rhythm(poll=0.01, apart=0.001, retry_first=0.01, retry_last=0.02, search_first_told=0.1)
ON_EVENTS = Rhythm(poll=60, apart=0.001, search_first=60, search_first_told=60, search_last=60)
SLOWSTOP = "46dfe63d07d0aef27edda28a489f576e"
WEB1 = "4c4bd5bb008f9f6179cc4ac7a3c6ae67"


def pod(name: str = "web", uid: str = UID, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": uid, "labels": dict([OPT_IN])},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running", **status},
    }


def pod_list(*pods: dict[str, Any]) -> bytes:
    inner = json.dumps(pods or None, separators=(",", ":")).encode()
    return b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":%b}\n' % inner


class FakeKubelet:
    """Says `answer`, or raises it."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = pod_list()
        self.asked = 0
        self.closed = False
        self.url = "https://127.0.0.1:10250"

    async def pods(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


class Scene(Node):
    """A node with a kubelet, and the source that watches both."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.kubelet = FakeKubelet()
        self.source: KubeletSource | None = None
        self.changes = 0
        #: What was captured at the last of them.
        self.told: dict[str, str] = {}
        self.digested: list[Pod | RefusedPod] = []

    def begin(self, rhythm: Rhythm = QUICK) -> KubeletSource:
        self.source = KubeletSource(
            self.kubelet,
            self.cache,
            self.namespaces,
            partial(may_be_captured, policy=POLICY),
            self.digested.append,
            rhythm,
        )
        self.source.start(self._changed)
        return self.source

    def _changed(self) -> None:
        self.changes += 1
        self.told = self.captured()

    def decisions(self) -> dict[str, DesiredPod | RefusedPod]:
        assert self.source is not None
        decided = decide_all(self.source.pods, POLICY)
        return {d.identity.name if isinstance(d, DesiredPod) else d.name: d for d in decided}

    def captured(self) -> dict[str, str]:
        """Pods that shall be captured, by name, with the name of their namespace."""
        return {
            name: Path(found.netns).name
            for name, found in self.decisions().items()
            if isinstance(found, DesiredPod)
        }

    async def until(self, look: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            # what is looked at is no event
            while not look():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def asked_again(self, times: int = 3) -> None:
        """Wait until the kubelet was asked so often, and what it said has been looked at."""
        enough = self.kubelet.asked + times + 1
        await self.until(lambda: self.kubelet.asked >= enough)

    async def lists_whole(self, name: str) -> None:
        """Begin with a recorded list and wait until every pod in it has been looked at: they are, one at a time."""
        self.kubelet.answer = listed(name)
        self.begin()
        await self.asked_again()

    async def captures(self, **names: str) -> None:
        """Wait until these are captured, and that is told: in between others are looked at."""
        await self.until(lambda: self.captured() == self.told == names)

    async def changes_once(self, before: int) -> None:
        """Wait for the one change after `before`, and look for a second one."""
        await self.until(lambda: self.changes > before)
        await self.asked_again()
        assert self.changes == before + 1

    def sandbox_of_all(self, name: str, *uids: str) -> None:
        """A sandbox for each pod of a recorded list."""
        for number, form in enumerate(items(name)):
            uid = form["metadata"]["uid"]
            if not uids or uid in uids:
                self.namespace(f"cni-{uid[:8]}")
                self.result(f"cni-{uid[:8]}", f"{number:064x}", uid)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    if made.source is not None:
        await made.source.stop()


@pytest.fixture
def running(scene: Scene) -> Scene:
    """One pod with its sandbox."""
    scene.namespace("cni-1")
    scene.result("cni-1")
    scene.kubelet.answer = pod_list(pod())
    return scene


# ---- a pod comes


async def test_pods_are_known_with_their_namespaces(running: Scene) -> None:
    source = running.begin()
    await running.captures(web="cni-1")

    assert source.listed
    assert source.problem is None


async def test_a_change_is_told_and_nothing_else(running: Scene) -> None:
    # No search meanwhile: what it does not find is news too, of what the pod waits for.
    running.begin(replace(QUICK, search_first_told=60))
    await running.captures(web="cni-1")
    before = running.changes
    await running.asked_again()
    assert running.changes == before

    running.kubelet.answer = pod_list(pod(), pod("orders", "uid-orders"))
    await running.changes_once(before)
    assert "orders" in running.decisions()


async def test_what_is_new_or_different_can_be_prepared_before_it_is_told(running: Scene) -> None:
    source = running.begin()
    await running.captures(web="cni-1")
    running.kubelet.answer = pod_list(pod(), pod("orders", "uid-orders"))
    await running.until(lambda: "orders" in running.decisions())

    assert {entry.name for entry in running.digested} == {"web", "orders"}
    assert all(any(entry is known for known in running.digested) for entry in source.pods)


async def test_a_namespace_that_appears_is_reason_to_ask(scene: Scene) -> None:
    """The kubelet lists a pod before it makes its namespace."""
    scene.begin(ON_EVENTS)
    await scene.until(lambda: scene.source and scene.source.listed)
    scene.kubelet.answer = pod_list(pod(phase="Pending"))
    scene.namespace("cni-1")

    await scene.until(lambda: "web" in scene.decisions())


async def test_a_namespace_is_no_reason_where_a_listed_pod_waits_for_one(scene: Scene) -> None:
    scene.kubelet.answer = pod_list(pod(), pod("other", uid=SLOWSTOP))
    scene.begin(ON_EVENTS)
    await scene.until(lambda: {"web", "other"} <= scene.decisions().keys())
    for number in range(2, 20):
        scene.namespace(f"cni-{number}")
    scene.namespace("cni-1")
    scene.result("cni-1")

    await scene.captures(web="cni-1")
    assert scene.kubelet.asked == 1


async def test_though_a_listed_pod_waits_for_one_a_namespace_that_goes_is_noticed(
    running: Scene,
) -> None:
    running.kubelet.answer = pod_list(pod(), pod("other", uid=SLOWSTOP))
    running.begin(ON_EVENTS)
    await running.captures(web="cni-1")
    running.unmount("cni-1")

    await running.captures()


async def test_though_a_listed_pod_waits_for_one_a_namespace_is_reason_where_no_result_is_told(
    scene: Scene,
) -> None:
    (scene.root / "results").rmdir()
    scene.kubelet.answer = pod_list(pod("other", uid=SLOWSTOP))
    scene.begin(ON_EVENTS)
    await scene.until(lambda: "other" in scene.decisions())
    scene.kubelet.answer = pod_list(pod("other", uid=SLOWSTOP), pod(phase="Pending"))
    scene.namespace("cni-1")

    await scene.until(lambda: "web" in scene.decisions())


async def test_though_a_listed_pod_waits_the_result_of_another_that_is_not_is_reason_to_ask(
    scene: Scene,
) -> None:
    scene.kubelet.answer = pod_list(pod("other", uid=SLOWSTOP))
    scene.begin(ON_EVENTS)
    await scene.until(lambda: "other" in scene.decisions())
    scene.kubelet.answer = pod_list(pod("other", uid=SLOWSTOP), pod(phase="Pending"))
    scene.namespace("cni-1")
    scene.result("cni-1")

    await scene.captures(web="cni-1")


async def test_trap_15_a_pod_without_an_address_is_known_as_soon_as_its_cni_result_is_there(
    scene: Scene,
) -> None:
    scene.begin(ON_EVENTS)
    await scene.until(lambda: scene.source and scene.source.listed)
    scene.kubelet.answer = pod_list(pod(phase="Pending"))
    scene.namespace("cni-1")
    await scene.until(lambda: "web" in scene.decisions())
    asked = scene.kubelet.asked
    scene.result("cni-1")

    await scene.captures(web="cni-1")
    assert scene.kubelet.asked == asked


async def test_a_cni_result_of_a_pod_that_is_not_listed_yet_is_reason_to_ask(scene: Scene) -> None:
    scene.namespace("cni-1")
    scene.begin(ON_EVENTS)
    await scene.until(lambda: scene.source and scene.source.listed)
    scene.kubelet.answer = pod_list(pod(phase="Pending"))
    scene.result("cni-1")

    await scene.captures(web="cni-1")


async def test_a_cni_result_without_a_path_is_reason_to_search(scene: Scene) -> None:
    scene.kubelet.answer = pod_list(pod(phase="Pending"))
    scene.begin(ON_EVENTS)
    await scene.until(lambda: "web" in scene.decisions())
    scene.namespace("cni-1")
    scene.process(17, SANDBOX, "netns/cni-1")
    scene.result("")

    await scene.captures(web="cni-1")


async def test_so_is_one_of_a_pod_that_is_not_listed_yet(scene: Scene) -> None:
    scene.begin(ON_EVENTS)
    await scene.until(lambda: scene.source and scene.source.listed)
    scene.process(17, SANDBOX, "nameless")
    scene.kubelet.answer = pod_list(pod(phase="Pending"))
    scene.result("")

    await scene.until(lambda: scene.captured() == {"web": "net"})


async def test_loopbacks_result_which_comes_first_is_no_reason(scene: Scene) -> None:
    scene.kubelet.answer = pod_list(pod(phase="Pending"))
    scene.begin(ON_EVENTS)
    await scene.until(lambda: "in sight" in getattr(scene.decisions().get("web"), "reason", ""))
    scene.process(17, SANDBOX, "nameless")
    scene.result("", addresses=("127.0.0.1/8",))
    await scene.asked_again(0)

    assert scene.captured() == {}


async def test_without_cni_results_processes_are_searched_before_long(scene: Scene) -> None:
    scene.namespace("cni-1")
    scene.kubelet.answer = pod_list(pod())
    scene.begin()
    await scene.until(lambda: "web" in scene.decisions())
    scene.process(17, SANDBOX, "netns/cni-1")

    await scene.captures(web="cni-1")


async def lists_a_pod_with_nothing_but_a_process(scene: Scene) -> None:
    scene.begin(Rhythm(poll=0.01, apart=0.001, search_first=0.01, search_first_told=60))
    await scene.until(lambda: scene.source and scene.source.listed)
    scene.process(17, SANDBOX, "nameless")
    scene.kubelet.answer = pod_list(pod())
    await scene.until(lambda: "web" in scene.decisions())


async def test_where_cni_results_are_told_processes_are_searched_later(scene: Scene) -> None:
    await lists_a_pod_with_nothing_but_a_process(scene)
    await asyncio.sleep(0.3)

    assert scene.captured() == {}


async def test_where_no_cni_results_are_told_processes_are_searched_soon(scene: Scene) -> None:
    (scene.root / "results").rmdir()
    await lists_a_pod_with_nothing_but_a_process(scene)

    await scene.captures(web="net")


async def test_a_pod_without_a_namespace_waits_and_says_for_what(scene: Scene) -> None:
    scene.kubelet.answer = pod_list(pod())
    scene.begin()
    await scene.until(lambda: "in sight" in getattr(scene.decisions().get("web"), "reason", ""))
    waiting = scene.decisions()["web"]

    assert isinstance(waiting, RefusedPod)
    assert waiting.waits
    assert waiting.reason == (
        "its network namespace is not known yet: no CNI result, and no process of it in sight"
    )


async def test_a_label_that_comes_later_captures_a_running_pod(running: Scene) -> None:
    without = pod()
    without["metadata"]["labels"] = {}
    running.kubelet.answer = pod_list(without)
    running.begin()
    await running.asked_again()
    assert running.captured() == {}

    running.kubelet.answer = pod_list(pod())
    await running.captures(web="cni-1")


async def test_a_pod_that_did_not_opt_in_is_never_searched(scene: Scene) -> None:
    without = pod()
    without["metadata"]["labels"] = {}
    scene.kubelet.answer = pod_list(without)
    source = scene.begin()
    await scene.asked_again()

    (entry,) = source.pods
    assert not isinstance(entry, RefusedPod)
    assert entry.awaited == ""


async def test_a_pod_cannot_name_somebody_elses_namespace(running: Scene) -> None:
    """Only a pods file honours the annotation."""
    theirs = pod()
    theirs["metadata"]["annotations"] = {"netra.io/netns": "cni-2"}
    running.namespace("cni-2")
    running.kubelet.answer = pod_list(theirs)
    running.begin()

    await running.captures(web="cni-1")


# ---- traps, by number


async def test_trap_1_a_removed_static_pod_stays_while_its_namespace_does(scene: Scene) -> None:
    scene.sandbox_of_all("05-16s-all-steady")
    scene.kubelet.answer = listed("05-16s-all-steady")
    scene.begin()
    await scene.until(lambda: "slowstop-node1" in scene.captured())
    scene.kubelet.answer = listed("07-static-manifest-removed-1s")
    await scene.asked_again()
    assert scene.captured()["slowstop-node1"] == f"cni-{SLOWSTOP[:8]}"

    scene.unmount(f"cni-{SLOWSTOP[:8]}")
    await scene.until(lambda: "slowstop-node1" not in scene.decisions())


async def test_trap_1_a_pod_that_is_absent_ends_with_its_namespace_without_being_asked_for(
    running: Scene,
) -> None:
    running.begin(ON_EVENTS)
    await running.captures(web="cni-1")
    running.kubelet.answer = pod_list()
    running.namespace("cni-other")
    await running.asked_again(0)
    assert running.captured() == {"web": "cni-1"}

    running.unmount("cni-1")
    await running.until(lambda: not running.decisions())


async def test_trap_1_a_terminating_pod_stays(scene: Scene) -> None:
    scene.sandbox_of_all("11-api-running")
    await scene.lists_whole("11-api-running")
    before = scene.captured()
    assert "slow" in before
    scene.kubelet.answer = listed("12-api-terminating")
    await scene.asked_again()

    assert scene.captured() == before


@pytest.mark.parametrize(
    "shorter",
    [
        b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}\n',
        pod_list(pod("other", "uid-other")),
    ],
    ids=["items: null", "only another"],
)
async def test_trap_2_a_shorter_list_tears_nothing_down(running: Scene, shorter: bytes) -> None:
    running.begin()
    await running.captures(web="cni-1")
    running.kubelet.answer = shorter
    await running.asked_again()

    assert running.captured() == {"web": "cni-1"}


async def test_trap_2_random_order_is_no_change(scene: Scene) -> None:
    scene.sandbox_of_all("20-ninety-pods")
    await scene.lists_whole("20-ninety-pods")
    before, found = scene.changes, scene.captured()
    assert len(found) > 80
    scene.kubelet.answer = pod_list(*reversed(items("20-ninety-pods")))
    await scene.asked_again()

    assert (scene.changes, scene.captured()) == (before, found)


async def test_trap_3_a_stale_address_is_not_what_a_pod_is_known_by(running: Scene) -> None:
    """After its sandbox died a pod is listed with the old address for 6.8 s."""
    running.kubelet.answer = pod_list(pod(podIP="10.77.0.99"))
    running.begin()
    await running.captures(web="cni-1")

    decided = running.decisions()["web"]
    assert isinstance(decided, DesiredPod)
    assert decided.addresses == ("10.77.0.10",)


async def test_trap_3_the_same_uid_moves_to_its_new_sandbox(running: Scene) -> None:
    running.begin(ON_EVENTS)
    await running.captures(web="cni-1")
    running.unmount("cni-1")
    running.namespace("cni-2")
    os.utime(running.result("cni-2", "6" * 64, addresses=("10.77.0.16/24",)))

    await running.captures(web="cni-2")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_trap_4_a_pod_that_ended_is_let_go_though_it_is_listed(
    running: Scene, phase: str
) -> None:
    running.begin()
    await running.captures(web="cni-1")
    running.kubelet.answer = pod_list(pod(phase=phase, podIP="10.77.0.10"))

    await running.captures()
    assert running.decisions() == {}


async def test_trap_4_recorded_a_job_that_succeeded_is_not_captured(scene: Scene) -> None:
    scene.sandbox_of_all("11-api-running")
    await scene.lists_whole("11-api-running")

    assert "web1-node1" in scene.captured()
    assert "job" not in scene.decisions()


async def test_trap_5_a_pending_pod_is_captured(scene: Scene) -> None:
    scene.sandbox_of_all("05-16s-all-steady")
    scene.kubelet.answer = listed("05-16s-all-steady")
    scene.begin()

    await scene.until(lambda: {"pending-node1", "noimage-node1"} <= scene.captured().keys())


@pytest.mark.parametrize("recording", ["05-16s-all-steady", "11-api-running"])
async def test_trap_6_a_pod_on_the_hosts_network_is_refused(scene: Scene, recording: str) -> None:
    scene.sandbox_of_all(recording)
    await scene.lists_whole(recording)

    assert "web1-node1" in scene.captured()
    refused = scene.decisions()["hostnet-node1"]
    assert isinstance(refused, RefusedPod)
    assert "hostNetwork" in refused.reason
    assert not refused.waits


async def test_trap_10_a_static_pod_is_known_by_its_hash(scene: Scene) -> None:
    """Sandboxes and cgroups have the hash, too; the mirror pod's uid appears nowhere on the node."""
    scene.namespace("cni-1")
    scene.process(17, SANDBOX, "netns/cni-1", uid=WEB1)
    scene.kubelet.answer = listed("11-api-running")
    scene.begin()

    await scene.until(lambda: scene.captured().get("web1-node1") == "cni-1")


@pytest.mark.parametrize(
    "answer",
    [
        KubeletError("kubelet https://127.0.0.1:10250 does not accept our token (401)"),
        KubeletError("kubelet https://127.0.0.1:10250 cannot be asked: refused"),
        b"Unauthorized",
        b'{"kind":"PodList","items":[{"metadata":{"name":"a"',
    ],
    ids=["401", "refused", "no list", "cut off"],
)
async def test_trap_11_without_a_list_everything_stays_and_the_reason_is_told(
    running: Scene, answer: bytes | Exception
) -> None:
    source = running.begin()
    await running.captures(web="cni-1")
    running.kubelet.answer = answer
    await running.until(lambda: source.problem is not None)
    before = running.changes
    await running.asked_again()
    assert running.captured() == {"web": "cni-1"}
    assert running.changes == before

    running.kubelet.answer = pod_list(pod())
    await running.changes_once(before)
    assert source.problem is None


async def test_trap_11_a_kubelet_that_never_answered_has_listed_nothing(running: Scene) -> None:
    running.kubelet.answer = KubeletError("kubelet cannot be asked")
    source = running.begin()
    await running.asked_again()

    assert not source.listed
    assert running.changes == 1


async def test_trap_13_a_container_that_restarts_changes_nothing(running: Scene) -> None:
    running.begin()
    await running.captures(web="cni-1")
    before = running.decisions()
    statuses = [{"name": "app", "restartCount": 1, "ready": False}]
    running.kubelet.answer = pod_list(pod(containerStatuses=statuses))
    await running.asked_again()

    assert running.decisions() == before


async def test_recorded_ninety_three_pods_are_captured_but_those_that_ended(scene: Scene) -> None:
    scene.sandbox_of_all("20-ninety-pods")
    scene.kubelet.answer = listed("20-ninety-pods")
    scene.begin()
    wanted = [
        form
        for form in items("20-ninety-pods")
        if form["metadata"].get("labels", {}).get(OPT_IN[0]) == OPT_IN[1]
        and form["status"]["phase"] == "Running"
        and not form["spec"].get("hostNetwork")
    ]

    await scene.until(lambda: len(scene.captured()) == len(wanted))


# ---- asking


async def test_a_label_that_goes_ends_it(running: Scene) -> None:
    running.begin()
    await running.captures(web="cni-1")
    without = pod()
    without["metadata"]["labels"] = {}
    running.kubelet.answer = pod_list(without)

    await running.captures()


async def test_a_kubelet_that_fails_is_asked_less_and_less_often(scene: Scene) -> None:
    scene.kubelet.answer = KubeletError("kubelet cannot be asked")
    began = time.monotonic()
    scene.begin(Rhythm(poll=0.001, apart=0.001, retry_first=0.02, retry_last=60))
    await scene.until(lambda: scene.kubelet.asked >= 5)

    assert time.monotonic() - began >= 0.02 + 0.04 + 0.08 + 0.16


async def test_events_do_not_hurry_a_kubelet_that_fails(scene: Scene) -> None:
    scene.kubelet.answer = KubeletError("kubelet cannot be asked")
    scene.begin(Rhythm(retry_first=60, retry_last=60))
    await scene.until(lambda: scene.kubelet.asked == 1)
    for number in range(50):
        scene.namespace(f"cni-{number}")
        await asyncio.sleep(0.001)

    assert scene.kubelet.asked == 1


async def test_a_burst_of_events_is_few_questions(scene: Scene) -> None:
    scene.begin(Rhythm(poll=60, apart=0.1))
    await scene.until(lambda: scene.kubelet.asked == 1)
    began = time.monotonic()
    for number in range(100):
        scene.namespace(f"cni-{number}")
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.2)
    took = time.monotonic() - began

    assert 2 <= scene.kubelet.asked <= 2 + took / 0.1


async def test_a_directory_that_comes_later_is_looked_at(scene: Scene) -> None:
    (scene.root / "results").rmdir()
    scene.kubelet.answer = pod_list(pod())
    scene.begin()
    await scene.asked_again()
    (scene.root / "results").mkdir()
    scene.namespace("cni-1")
    scene.result("cni-1")

    await scene.captures(web="cni-1")


async def test_without_inotify_results_are_looked_at_with_each_list(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    scene.kubelet.answer = pod_list(pod())
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        scene.begin()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    scene.namespace("cni-1")
    scene.result("cni-1")

    await scene.captures(web="cni-1")
    assert "only looked at now and then: [Errno 24] inotify" in caplog.text


async def test_an_error_of_our_own_is_logged_and_not_the_end(
    running: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    running.kubelet.answer = RuntimeError("a mistake")
    running.begin()
    with caplog.at_level(logging.ERROR):
        await running.asked_again(1)
    running.kubelet.answer = pod_list(pod())

    await running.captures(web="cni-1")
    assert "looking for pods failed" in caplog.text


async def test_after_the_end_nobody_is_asked_and_nothing_is_told(running: Scene) -> None:
    source = running.begin()
    await running.captures(web="cni-1")
    await source.stop()
    asked, changes = running.kubelet.asked, running.changes
    running.kubelet.answer = pod_list()
    running.unmount("cni-1")
    await asyncio.sleep(0.05)

    assert (running.kubelet.asked, running.changes) == (asked, changes)
    assert running.kubelet.closed
