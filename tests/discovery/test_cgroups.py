"""The specification of `netra_node.discovery.cgroups`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.discovery.cgroups import Owner, owner
from tests.discovery.recorded import recorded

UID = "12345678-90ab-cdef-1234-567890abcdef"
LINED = UID.replace("-", "_")
STATIC = "4c4bd5bb008f9f6179cc4ac7a3c6ae67"
ID = "f" * 64
BURSTABLE = "kubepods.slice/kubepods-burstable.slice"
KIND = "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable"
OUTER = "aaaaaaaa-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    "path",
    [
        f"11:memory:/kubepods/burstable/pod{UID}/{ID}",
        f"11:memory:/kubepods/pod{UID}/{ID}",
        f"11:memory:/{BURSTABLE}/kubepods-burstable-pod{LINED}.slice/cri-containerd-{ID}.scope",
        f"0::/kubepods/besteffort/pod{UID}/{ID}",
        f"0::/{BURSTABLE}/kubepods-burstable-pod{LINED}.slice/cri-containerd-{ID}.scope",
        f"0::/kubepods.slice/kubepods-pod{LINED}.slice/crio-{ID}.scope",
        f"0::/kubepods.slice/kubepods-pod{LINED}.slice/crio-{ID}.scope/container",
        f"0::/{BURSTABLE}/kubepods-burstable-pod{LINED}.slice/docker-{ID}.scope",
        f"0::/{KIND}-pod{LINED}.slice/cri-containerd-{ID}.scope",
        f"0::/docker/{'e' * 64}/kubelet/kubepods/burstable/pod{UID}/{ID}",
        f"0::/../../kubepods-burstable-pod{LINED}.slice/cri-containerd-{ID}.scope",
        f"0::/../../pod{UID}/{ID}",
        f"0::/system.slice/containerd.service/kubepods-burstable-pod{LINED}.slice:cri-containerd:{ID}",
        f"0::/k8s.io/kubepods/pod{OUTER}/{'e' * 64}/kubepods/pod{UID}/{ID}",
    ],
    ids=[
        "v1 cgroupfs burstable",
        "v1 cgroupfs guaranteed",
        "v1 systemd",
        "v2 cgroupfs",
        "v2 systemd containerd",
        "v2 systemd guaranteed CRI-O",
        "v2 systemd CRI-O with crun",
        "v2 systemd Docker",
        "kind from inside",
        "kind from the host",
        "private cgroup namespace, systemd",
        "private cgroup namespace, cgroupfs",
        "containerd's colon form",
        "a pod of a node that is a pod",
    ],
)
def test_trap_9_a_process_of_a_pod_is_known_in_every_format(path: str) -> None:
    assert owner(f"12:cpu:/\n{path}\n") == Owner(UID, ID)


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/pod{STATIC}/{ID}",
        f"/x.slice/kubepods-pod{STATIC}.slice/cri-containerd-{ID}.scope",
    ],
)
def test_trap_10_a_static_pod_has_32_digits_for_a_uid(path: str) -> None:
    assert owner(f"0::{path}\n") == Owner(STATIC, ID)


@pytest.mark.parametrize(
    "path",
    [
        "/system.slice/ssh.service",
        "/",
        f"/kubepods/pod{UID}",
        f"/kubepods/pod{UID}/{ID}/docker/{'e' * 64}",
        f"/kubepods/pod{UID[:-1]}/{ID}",
        f"/docker/{ID}",
        f"/kubepods.slice/kubepods-pod{LINED}.slice/crio-{ID}.scope/init.scope",
    ],
    ids=["host", "root", "no container", "Docker in a pod", "short", "Docker", "systemd in a pod"],
)
def test_other_processes_are_no_pods(path: str) -> None:
    assert owner(f"0::{path}\n") is None


@given(st.text(max_size=200) | st.from_regex(r"0::(/[a-z0-9_.:-]{0,80}){1,5}\n", fullmatch=True))
def test_any_text_has_an_owner_or_none(cgroup: str) -> None:
    whose = owner(cgroup)

    assert whose is None or whose.container_id in cgroup


def test_a_process_that_ended_has_no_owner() -> None:
    assert owner("") is None


def test_trap_9_every_recorded_process_of_a_pod_is_known() -> None:
    blocks = recorded("proc-cgroup-cgroupfs-v1hybrid.txt").decode().split("### ")[1:]
    pods = [block for block in blocks if "/kubepods/" in block]
    found = {block: owner(block) for block in pods}

    assert len(pods) >= 15
    assert all(
        whose is not None and f"pod{whose.pod_uid}/{whose.container_id}" in block
        for block, whose in found.items()
    )
