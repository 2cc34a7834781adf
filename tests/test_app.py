"""The daemon put together, in this process: without pods that can be captured, which e2e has."""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from netra_node import __version__
from netra_node.admin.listener import ListenError
from netra_node.app import App
from netra_node.discovery.file_source import PodsFileError
from netra_node.interception.slots import Slots
from netra_node.settings.model import Settings
from tests.proxy.support import until


def settings(pods_file: Path, **different: str) -> Settings:
    return Settings.from_env({"NETRA_POD_SOURCE": f"file://{pods_file}", **different})


@pytest.fixture
def slots() -> Iterator[Slots]:
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    slots = Slots(2)
    gc.freeze()  # else it collects at its start what the whole session has made
    yield slots
    slots.close()
    gc.unfreeze()  # the daemon keeps what it was built of out of collections
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


def pod(name: str, netns: str = "/run/netns/nt-missing", **labels: str) -> dict[str, Any]:
    labels = {"netra.io/enabled": "true", **labels}
    return {"metadata": {"name": name, "labels": labels, "annotations": {"netra.io/netns": netns}}}


@pytest.fixture
def pods_file(tmp_path: Path) -> Path:
    path = tmp_path / "pods.json"
    write(path, pod("web"))
    return path


def write(path: Path, *pods: dict[str, Any]) -> None:
    put(path, json.dumps({"kind": "PodList", "items": list(pods)}))


def spoil(path: Path) -> None:
    put(path, "{")


def put(path: Path, text: str) -> None:
    """All at once: a look at a file that is being written would find it empty, which is another problem."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def free_ports() -> tuple[int, int]:
    # both are open at the same time, else the kernel might name one port twice
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        return a.getsockname()[1], b.getsockname()[1]


class Running:
    """An App that runs on this loop."""

    def __init__(self, pods_file: Path, slots: Slots) -> None:
        self.public, self.debug = free_ports()
        ports = {"NETRA_PROMETHEUS_PORT": str(self.public), "NETRA_PPROF_PORT": str(self.debug)}
        self.app = App(settings(pods_file, **ports), slots)

    async def ask(self, port: int, path: str) -> tuple[int, str]:
        def fetch() -> tuple[int, str]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()

        return await asyncio.to_thread(fetch)

    async def status(self) -> dict[str, Any]:
        _, body = await self.ask(self.debug, "/status")
        return cast("dict[str, Any]", json.loads(body))

    async def until_status(self, true: Any) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while not true(status := await self.status()):  # noqa: ASYNC110 - it sends no events
                await asyncio.sleep(0.02)
        return status


@contextlib.asynccontextmanager
async def running(pods_file: Path, slots: Slots) -> AsyncIterator[Running]:
    made = Running(pods_file, slots)
    async with asyncio.TaskGroup() as group:
        group.create_task(made.app.run())
        async with asyncio.timeout(5):
            while not await answers(made.debug):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        try:
            yield made
        finally:
            os.kill(os.getpid(), signal.SIGTERM)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def test_a_missing_pods_file_is_an_error_at_the_start(tmp_path: Path, slots: Slots) -> None:
    with pytest.raises(PodsFileError, match="cannot be read"):
        App(settings(tmp_path / "missing.json"), slots)


async def test_a_taken_admin_port_is_an_error(pods_file: Path, slots: Slots) -> None:
    made = Running(pods_file, slots)
    with (
        socket.create_server(("127.0.0.1", made.public)),
        pytest.raises(ListenError, match=str(made.public)),
    ):
        await made.app.run()


async def test_it_runs_until_it_is_told_to_stop(pods_file: Path, slots: Slots) -> None:
    async with running(pods_file, slots) as daemon:
        assert (await daemon.ask(daemon.public, "/healthz"))[0] == 200

    assert not await answers(daemon.public)
    assert not await answers(daemon.debug)


async def test_a_pod_that_cannot_be_captured_does_not_keep_it_from_being_ready(
    pods_file: Path, slots: Slots
) -> None:
    async with running(pods_file, slots) as daemon:
        await daemon.until_status(lambda status: not status["waiting_for"])

        assert (await daemon.ask(daemon.public, "/readyz"))[0] == 200


async def test_status_says_which_pods_are_pending_and_why(pods_file: Path, slots: Slots) -> None:
    async with running(pods_file, slots) as daemon:
        status = await daemon.until_status(lambda status: status["pods"][0]["reason"])

    (shown,) = status["pods"]
    assert (shown["name"], shown["state"]) == ("web", "pending")
    assert shown["reason"] == "no network namespace at /run/netns/nt-missing"


async def test_status_says_who_answers_and_what_was_counted(pods_file: Path, slots: Slots) -> None:
    async with running(pods_file, slots) as daemon:
        status = await daemon.status()

    assert status["pid"] == os.getpid()
    assert status["heartbeat_milliseconds"] == 1000
    assert status["ports"] == {"inbound": 14955, "outbound": 14956}
    assert status["sampler"] == "parentbased_always_on"
    assert status["routing"] is None
    assert status["totals"]["spans"]["queue_full"] == 0
    assert status["totals"]["opaque"]["tls"] == 0
    assert status["totals"]["resets"]["client"] == 0


async def test_without_a_collector_status_names_none(pods_file: Path, slots: Slots) -> None:
    async with running(pods_file, slots) as daemon:
        assert (await daemon.status())["collector"] is None


async def test_a_collector_is_named_without_its_query(pods_file: Path, slots: Slots) -> None:
    url = "http://127.0.0.1:1/in?token=hunter2"
    made = App(settings(pods_file, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=url), slots)

    assert made.status()["collector"] == "http://127.0.0.1:1/in"


async def test_several_exporters_are_all_named(pods_file: Path, slots: Slots) -> None:
    made = App(
        settings(
            pods_file,
            OTEL_TRACES_EXPORTER="otlp,jaeger,console",
            JAEGER_AGENT_HOST="agent.example",
        ),
        slots,
    )

    assert made.status()["collector"] == (
        "http://localhost:4318/v1/traces, udp://agent.example:6831, SDK exporter console"
    )


async def test_jaegers_collector_is_named_without_credentials(
    pods_file: Path, slots: Slots
) -> None:
    made = App(settings(pods_file, JAEGER_ENDPOINT="https://me:hunter2@c/api/traces?t=1"), slots)

    assert made.status()["collector"] == "https://c:443/api/traces"


async def test_the_hosts_namespace_is_never_captured(pods_file: Path, slots: Slots) -> None:
    write(pods_file, pod("web", "/proc/self/ns/net"))
    async with running(pods_file, slots) as daemon:
        status = await daemon.until_status(lambda status: status["pods"][0]["reason"])

    assert "host's or the daemon's own" in status["pods"][0]["reason"]


async def test_a_changed_pods_file_is_read_again(pods_file: Path, slots: Slots) -> None:
    async with running(pods_file, slots) as daemon:
        write(pods_file, pod("web"), pod("orders"))
        status = await daemon.until_status(lambda status: len(status["pods"]) == 2)

    assert [shown["name"] for shown in status["pods"]] == ["orders", "web"]


async def test_a_broken_pods_file_is_shown_and_the_last_good_list_stays(
    pods_file: Path, slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(pods_file, slots) as daemon:
        spoil(pods_file)
        status = await daemon.until_status(lambda status: status["source"]["problem"])

    assert [shown["name"] for shown in status["pods"]] == ["web"]
    assert caplog.text.count("the last good list stays in force") == 1


async def test_a_mended_pods_file_is_logged_once(
    pods_file: Path, slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(pods_file, slots) as daemon:
        spoil(pods_file)
        await daemon.until_status(lambda status: status["source"]["problem"])
        write(pods_file, pod("web"))
        await daemon.until_status(lambda status: not status["source"]["problem"])

    assert caplog.messages.count(f"pods file {pods_file} can be used again") == 1


async def test_start_and_stop_are_logged(
    pods_file: Path, slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(pods_file, slots):
        pass

    assert caplog.messages[0] == f"netra-node {__version__} starts: pid {os.getpid()}"
    assert caplog.messages[-1] == "stopped"


async def test_metrics_are_served(pods_file: Path, slots: Slots) -> None:
    async with running(pods_file, slots) as daemon:
        await daemon.until_status(lambda status: not status["waiting_for"])
        code, text = await daemon.ask(daemon.public, "/metrics")

    assert code == 200
    assert 'netra_pods{state="pending"} 1' in text


async def test_what_new_connections_went_direct_for_is_counted(
    pods_file: Path, slots: Slots
) -> None:
    async with running(pods_file, slots) as daemon:
        _, text = await daemon.ask(daemon.public, "/metrics")

    assert 'netra_pod_capture_suspended_total{reason="connections"} 0' in text
    assert 'netra_pod_capture_suspended_total{reason="descriptors"} 0' in text


async def test_descriptors_that_others_take_are_noticed_and_told_once_each_way(
    pods_file: Path, slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        async with running(pods_file, slots):
            held = [os.open(os.devnull, os.O_RDONLY) for _ in range(950)]
            await until(lambda: "nothing is accepted" in caplog.text)
            for number in held:
                os.close(number)
            await until(lambda: "there are file descriptors again" in caplog.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    told = [r.getMessage() for r in caplog.records if "descriptors" in r.msg]
    assert told == [
        "at most 1024 file descriptors",
        "nothing is accepted until file descriptors are free again",
        "there are file descriptors again",
    ]


class FailingManager:
    """Takes no step."""

    def __init__(self) -> None:
        self.looks = 0

    def reconcile(self) -> None:
        self.looks += 1
        raise RuntimeError("planted")


async def test_a_look_that_fails_is_not_the_last(pods_file: Path, slots: Slots) -> None:
    app = App(settings(pods_file), slots)
    manager = FailingManager()
    app._manager = manager  # type: ignore[assignment]
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: told.append(what))
    with pytest.raises(RuntimeError, match="planted"):
        app._look()
    await until(lambda: told)

    assert manager.looks > 1
