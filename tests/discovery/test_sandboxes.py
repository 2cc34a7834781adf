"""The specification of `netra_node.discovery.sandboxes`: files stand in for namespaces, but where addresses count."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netra_node.discovery.namespaces import Namespaces
from netra_node.discovery.pod import Pod, read_pod
from netra_node.discovery.sandboxes import Place, Sandboxes
from netra_node.testbed import BedPod, Testbed
from tests.discovery import cni
from tests.discovery.node import SANDBOX, UID, Node

CONTAINER = "c" * 64
WEB = read_pod({"metadata": {"name": "web", "uid": UID}, "status": {"podIP": "10.77.0.10"}})
SILENT = replace(WEB, addresses=())


class Known(Node):
    """Such a node, and what is known of the pod."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.sandboxes = Sandboxes(self.cache, self.namespaces)

    def result(self, *args: object, **different: object) -> Path:
        path = super().result(*args, **different)  # type: ignore[arg-type]
        self.cache.read(path)
        return path

    def forget(self, path: Path) -> None:
        path.unlink()
        self.cache.read(path)

    def place(self, pod: Pod = WEB) -> Place | None:
        return self.sandboxes.of(pod)

    def path(self, pod: Pod = WEB) -> str | None:
        place = self.place(pod)
        return place.path if place is not None else None

    async def search(self, pod: Pod = WEB) -> str | None:
        await self.sandboxes.search([pod])
        return self.path(pod)


@pytest.fixture
def node(tmp_path: Path) -> Known:
    return Known(tmp_path)


# ---- 1. the CNI result


def test_the_cni_result_says_where_the_namespace_is_and_which_addresses_it_has(node: Known) -> None:
    path = node.namespace("cni-1")
    node.result("cni-1")

    place = node.place()

    assert place is not None
    assert (place.path, place.addresses) == (path, ("10.77.0.10",))
    assert place.evidence == "its CNI result"


def test_latency_a_pod_without_an_address_in_the_list_is_found(node: Known) -> None:
    """The kubelet tells podIP 0.5 to 10 s late."""
    path = node.namespace("cni-1")
    node.result("cni-1")

    assert node.path(SILENT) == path


def test_trap_3_the_address_of_the_result_counts_and_not_the_lists_stale_one(node: Known) -> None:
    node.namespace("cni-1")
    node.result("cni-1", addresses=("10.77.0.16/24",))

    place = node.place(WEB)

    assert place is not None
    assert place.addresses == ("10.77.0.16",)


def test_trap_3_the_same_uid_with_a_new_sandbox_is_at_the_new_one(node: Known) -> None:
    node.namespace("cni-old")
    before = node.result("cni-old", container="1" * 64)
    assert node.path() is not None
    new = node.namespace("cni-new")
    node.forget(before)
    node.result("cni-new", container="2" * 64)

    assert node.path() == new


def test_an_older_sandbox_that_is_left_is_better_than_a_newer_that_is_gone(node: Known) -> None:
    old = node.namespace("cni-old")
    node.result("cni-old", container="1" * 64)
    node.result("cni-new", container="2" * 64)

    assert node.path() == old


def test_trap_8_a_name_that_nothing_is_mounted_on_finds_nothing(tmp_path: Path) -> None:
    """Without mountPropagation: HostToContainer later namespaces are dead files."""
    node = Known(tmp_path)
    node.sandboxes = Sandboxes(node.cache, Namespaces(tmp_path / "netns", tmp_path / "proc"))
    node.namespace("cni-1")
    node.result("cni-1")

    assert node.path() is None


def test_a_result_that_outlived_the_node_finds_nothing(node: Known) -> None:
    node.result("cni-1")

    assert node.path() is None


def test_trap_6_a_result_that_leads_to_our_own_namespace_finds_nothing(node: Known) -> None:
    (node.root / "netns" / "cni-1").hardlink_to(node.root / "own")
    node.result("cni-1")

    assert node.path() is None


def test_a_network_that_is_not_complete_finds_nothing(node: Known) -> None:
    """Loopback's result comes before the one with the address."""
    node.namespace("cni-1")
    node.result("cni-1", addresses=("127.0.0.1/8",))

    assert node.path() is None


# ---- 2. what was found before


def test_a_sandbox_lasts_until_its_namespace_ends_though_its_result_goes_before(
    node: Known,
) -> None:
    path = node.namespace("cni-1")
    result = node.result("cni-1")
    assert node.path() == path
    node.forget(result)

    assert node.path() == path
    node.unmount("cni-1")
    assert node.path() is None


def test_trap_7_a_reused_inode_is_another_namespace_by_its_name(node: Known) -> None:
    node.namespace("cni-1")
    result = node.result("cni-1")
    assert node.path() is not None
    node.forget(result)
    (node.root / "netns" / "cni-1").rename(node.root / "netns" / "cni-2")

    assert node.path() is None


def test_trap_7_another_namespace_at_the_same_path_is_another(node: Known) -> None:
    node.namespace("cni-1")
    result = node.result("cni-1")
    assert node.path() is not None
    node.forget(result)
    (node.root / "other").touch()
    (node.root / "other").replace(node.root / "netns" / "cni-1")

    assert node.path() is None


def test_what_is_not_asked_about_any_more_is_forgotten(node: Known) -> None:
    node.namespace("cni-1")
    result = node.result("cni-1")
    assert node.path() is not None
    node.forget(result)
    node.sandboxes.forget([UID])

    assert node.path() is None


# ---- 3. the address


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[Known, Testbed]]:
    """A node whose /run/netns has real namespaces: those of a bed, and nobody else's."""
    node = Known(tmp_path)
    node.sandboxes = Sandboxes(node.cache, Namespaces(tmp_path / "netns", tmp_path / "proc"))
    with Testbed("search") as bed:
        yield node, bed


def name_it(node: Known, name: str, pod: BedPod) -> str:
    (node.root / "netns" / name).symlink_to(pod.path)
    return str(node.root / "netns" / name)


@pytest.mark.netns
def test_a_plugin_that_tells_no_path_is_known_by_its_address(real: tuple[Known, Testbed]) -> None:
    node, bed = real
    name_it(node, "cni-1", bed.add_pod("other"))
    path = name_it(node, "cni-2", pod := bed.add_pod("web"))
    node.result(addresses=(f"{pod.ipv4}/16",))

    assert asyncio.run(node.search()) == path
    place = node.place()
    assert place is not None
    assert (place.addresses, place.evidence) == ((pod.ipv4,), "its CNI result's address")


@pytest.mark.netns
def test_an_address_that_two_namespaces_have_proves_nothing(real: tuple[Known, Testbed]) -> None:
    node, bed = real
    pod = bed.add_pod("web")
    with Testbed("twin") as other:
        twin = other.add_pod("web")
        name_it(node, "cni-1", pod)
        name_it(node, "cni-2", twin)
        node.result(addresses=(f"{pod.ipv4}/16",))

        assert pod.ipv4 == twin.ipv4
        assert asyncio.run(node.search()) is None


async def test_a_result_with_a_path_is_never_replaced_by_an_address(node: Known) -> None:
    node.namespace("cni-2")
    node.result("cni-1")

    assert await node.search() is None


# ---- 4. processes


async def test_without_a_result_the_pods_processes_show_its_namespace(node: Known) -> None:
    path = node.namespace("cni-1")
    node.process(17, SANDBOX, "netns/cni-1")

    assert await node.search() == path
    place = node.place()
    assert place is not None
    assert (place.addresses, place.evidence) == ((), "its processes")


async def test_a_namespace_without_a_name_is_entered_by_a_process(node: Known) -> None:
    node.process(17, SANDBOX, "nameless")
    node.process(19, CONTAINER, "nameless")

    assert await node.search() == str(node.root / "proc/17/ns/net")


async def test_the_sandboxs_process_counts_where_another_made_a_namespace_of_its_own(
    node: Known,
) -> None:
    node.process(17, CONTAINER, "own-of-container")
    node.process(19, SANDBOX, "nameless")
    node.result("")

    assert await node.search() == str(node.root / "proc/19/ns/net")


async def test_processes_in_several_namespaces_prove_nothing(node: Known) -> None:
    node.process(17, CONTAINER, "one")
    node.process(19, SANDBOX, "two")

    assert await node.search() is None
    assert node.sandboxes.why_unknown(UID).endswith("its processes are in several")


async def test_trap_6_processes_in_our_own_namespace_are_no_evidence(node: Known) -> None:
    """CRI-O's conmon is in the pod's cgroup and on the host's network."""
    node.process(17, CONTAINER, "own")
    node.process(19, SANDBOX, "nameless")

    assert await node.search() == str(node.root / "proc/19/ns/net")


@pytest.mark.netns
def test_what_processes_showed_must_have_the_address_that_the_kubelet_tells_later(
    real: tuple[Known, Testbed],
) -> None:
    node, bed = real
    pod = bed.add_pod("web")
    process = node.root / "proc" / "17"
    (process / "ns").mkdir(parents=True)
    (process / "cgroup").write_text(f"0::/kubepods/pod{UID}/{SANDBOX}\n")
    (process / "ns" / "net").symlink_to(pod.path)
    path = str(process / "ns" / "net")

    assert asyncio.run(node.search(SILENT)) == path
    asyncio.run(node.sandboxes.verify({UID: SILENT}))
    assert node.path() == path
    asyncio.run(node.sandboxes.verify({UID: replace(WEB, addresses=(pod.ipv4,))}))
    place = node.place()
    assert place is not None
    assert place.addresses == (pod.ipv4,)
    asyncio.run(node.sandboxes.verify({UID: WEB}))
    assert node.path() == path


@pytest.mark.netns
def test_what_processes_showed_without_that_address_is_let_go(real: tuple[Known, Testbed]) -> None:
    node, bed = real
    pod = bed.add_pod("web")
    process = node.root / "proc" / "17"
    (process / "ns").mkdir(parents=True)
    (process / "cgroup").write_text(f"0::/kubepods/pod{UID}/{SANDBOX}\n")
    (process / "ns" / "net").symlink_to(pod.path)

    assert asyncio.run(node.search(WEB)) is not None
    asyncio.run(node.sandboxes.verify({UID: WEB}))
    assert node.path() is None
    assert node.sandboxes.why_unknown(UID).endswith("does not have its address 10.77.0.10")


async def test_a_search_reads_results_that_nobody_told_of(node: Known) -> None:
    path = node.namespace("cni-1")
    form = cni.result(UID, netns="/run/netns/cni-1")
    cni.write(node.root / "results", form)

    assert await node.search() == path


# ---- why not


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "no CNI result, and no process of it in sight"),
        ("cni-1", "nothing is mounted at /var/run/netns/cni-1, which its CNI result names"),
        ("", "its CNI result names none, and no process of it is in sight"),
    ],
)
async def test_a_person_is_told_what_is_missing(
    node: Known, result: str | None, reason: str
) -> None:
    if result is not None:
        node.result(result)
    await node.search()

    assert node.sandboxes.why_unknown(UID) == f"its network namespace is not known yet: {reason}"


async def test_a_process_that_may_not_be_looked_at_is_told(node: Known) -> None:
    node.process(17, SANDBOX, "nameless")
    (node.root / "proc/17/ns/net").unlink()

    await node.search()

    assert "CAP_SYS_PTRACE" in node.sandboxes.why_unknown(UID)
