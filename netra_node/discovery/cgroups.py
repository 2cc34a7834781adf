"""Which pod a process belongs to, as its /proc/PID/cgroup tells. Pure; `processes` reads the files.

The formats: cgroup v1, v2 and both; made by the kubelet itself (`/kubepods/burstable/pod<uid>/<container>`) or through systemd
(`kubepods-burstable-pod<uid with _>.slice/cri-containerd-<container>.scope`); containerd, CRI-O and Docker; below another
cgroup (kind, k3s); seen from a cgroup namespace of our own (`/../../pod<uid>/…`). A static pod's uid is 32 digits.
"""

import re
from typing import Final, NamedTuple

#: The last pod of a path is meant: a node that is itself a pod (kind in Kubernetes) stands before it. What lies deeper than the
#: container is somebody's own: Docker in a pod has containers, and namespaces, that are not the pod's. crun alone puts the
#: container itself one deeper, into `container`.
_POD: Final = re.compile(
    r"pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})"
    r"(?:\.slice)?[/:](?:[a-z-]+[-:])?(?P<container>[0-9a-f]{64})(?:\.scope(?:/container)?)?$",
    re.MULTILINE,
)


class Owner(NamedTuple):
    """Whose process it is."""

    pod_uid: str
    container_id: str


def owner(cgroup: str) -> Owner | None:
    """Return whose process it is that has this /proc/PID/cgroup; None: no pod's, or not of a container's own."""
    found = _POD.search(cgroup)
    if found is None:
        return None
    return Owner(found["uid"].replace("_", "-"), found["container"])
