"""What to do about the difference between the pods that should be captured and those that are. Decides; never acts.

Belongs here: one synchronous decision over two mappings. Does not belong here: retries, time, how a pod is captured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps towards the desired state. No pod is in two of them."""

    enter: tuple[DesiredPod, ...] = ()
    #: Captured already, but to be treated differently from now on.
    change: tuple[DesiredPod, ...] = ()
    leave: tuple[PodUid, ...] = ()


def plan(desired: Mapping[PodUid, DesiredPod], captured: Mapping[PodUid, DesiredPod]) -> Plan:
    """Compare; applying the result to `captured` gives `desired`, after a second round where a namespace was swapped.

    A pod whose namespace changed under the same UID is left, and entered once it is no longer among those captured: the same
    process of leaving then ends the connections that the old namespace still has.
    """
    enter, change, leave = [], [], []
    for uid, pod in desired.items():
        current = captured.get(uid)
        if current is None:
            enter.append(pod)
        elif current.netns != pod.netns:
            leave.append(uid)
        elif current != pod:
            change.append(pod)
    leave.extend(uid for uid in captured if uid not in desired)
    return Plan(tuple(enter), tuple(change), tuple(leave))
