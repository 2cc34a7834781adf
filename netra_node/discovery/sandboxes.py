"""Where a pod's network namespace is. Belongs here: which evidence counts, in which order, and until when.

Does not belong here: reading the evidence (`cni_cache`, `namespaces`, `processes`), entering: whoever does compares the addresses
inside with those given here, holding the namespace (`workload`). In this order:

1. the CNI result of the pod's newest sandbox: its path, while a namespace is there;
2. what was found before, while that namespace is at its path: the result goes before the namespace does;
3. the one namespace under /run/netns that has an address of the CNI result: some plugins (Calico's) tell no path;
4. the namespace of the pod's processes, by its name under /run/netns if it has one; when the kubelet tells the pod's address, it
   must be there.

The address in the kubelet's list finds nothing: it comes late, and stays for seconds when another pod has it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from netra_node.discovery.cni_cache import CniCache
from netra_node.discovery.cni_result import CniResult
from netra_node.discovery.namespaces import Mount, Namespaces
from netra_node.discovery.pod import Pod
from netra_node.discovery.processes import Process, processes_of

_UNKNOWN: Final = "its network namespace is not known yet"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod's namespace is. `addresses` are those it must have; empty: nobody knows them yet."""

    path: str
    mount: Mount
    addresses: tuple[str, ...]
    #: In words, for the log.
    evidence: str


class Sandboxes:
    """What is known of the sandboxes of this node's pods."""

    def __init__(self, cache: CniCache, namespaces: Namespaces) -> None:
        """Know nothing but what `cache` does."""
        self._cache = cache
        self._namespaces = namespaces
        self._found: dict[str, Place] = {}
        #: At which change of the cache that was.
        self._found_at: dict[str, int] = {}
        self._why: dict[str, str] = {}

    def of(self, pod: Pod) -> Place | None:
        """Return where the pod's namespace is now, without looking any further: one `stat` while nothing changes.

        What has not changed is the same object as before.
        """
        known = self._found.get(pod.uid)
        if known is not None and self._namespaces.at(known.path) != known.mount:
            known = None
        if known is None or self._found_at.get(pod.uid) != self._cache.changes:
            known = self._find(pod, known)
        return known

    def _find(self, pod: Pod, known: Place | None) -> Place | None:
        """Look at the results anew; `known` is what was found before and is still there."""
        self._found_at[pod.uid] = self._cache.changes
        places = (self._by_path(result) for result in self._results(pod))
        place = next((place for place in places if place is not None), None)
        if place is None or place == known:
            place = known
        if place is None:
            self._found.pop(pod.uid, None)
        else:
            self._found[pod.uid] = place
        return place

    def forget(self, uids: Iterable[str]) -> None:
        """Let go of what is known of pods that are not asked about any more."""
        for uid in uids:
            self._found.pop(uid, None)
            self._found_at.pop(uid, None)
            self._why.pop(uid, None)

    def why_unknown(self, uid: str) -> str:
        """Return why `of` knows nothing of that pod, for a person."""
        return f"{_UNKNOWN}: {self._why.get(uid, 'no CNI result')}"

    async def search(self, pods: Iterable[Pod]) -> None:
        """Look further for pods of which `of` knows nothing; what is found it knows then."""
        await self._cache.rescan()
        missing = [pod for pod in pods if self.of(pod) is None]
        missing = await self._search_addresses(missing)
        await self._search_processes(missing)

    async def verify(self, pods: Mapping[str, object]) -> bool:
        """Let go of what processes alone showed where the address that `pods` have by now is not inside; tell if it changed any."""
        doubtful = False
        for uid, place in list(self._found.items()):
            pod = pods.get(uid)
            if not place.addresses and isinstance(pod, Pod) and pod.addresses:
                inside = await self._namespaces.inside(place.path)
                self._weigh_addresses(pod, place, inside)
                doubtful = True
        return doubtful

    def _weigh_addresses(self, pod: Pod, place: Place, inside: tuple[str, ...]) -> None:
        if not set(pod.addresses).isdisjoint(inside):
            self._found[pod.uid] = replace(place, addresses=pod.addresses)
        elif inside:
            # None at all: it is about to end, or may not be entered, which whoever captures it will say.
            self._why[pod.uid] = f"its processes' does not have its address {pod.addresses[0]}"
            del self._found[pod.uid]

    def _results(self, pod: Pod) -> tuple[CniResult, ...]:
        return self._cache.of(pod.uid, pod.namespace, pod.name)

    def _by_path(self, result: CniResult) -> Place | None:
        # A result without addresses is loopback's, which is written before the network is complete.
        if not result.netns or not result.addresses:
            return None
        path = self._namespaces.localize(result.netns)
        mount = self._namespaces.at(path)
        if mount is None or mount == self._namespaces.own:
            return None
        return Place(path, mount, result.addresses, "its CNI result")

    # ---- by address

    async def _search_addresses(self, pods: list[Pod]) -> list[Pod]:
        """Return the pods that have no place yet."""
        wanted = {pod.uid: self._addresses(pod) for pod in pods}
        if any(wanted.values()):
            inside = await self._namespaces.addresses()
            for uid, addresses in wanted.items():
                self._match(uid, addresses, inside)
        return [pod for pod in pods if pod.uid not in self._found]

    def _addresses(self, pod: Pod) -> tuple[str, ...]:
        """Return the addresses of the newest sandbox; none where that has a path, so that nothing else may stand for it."""
        newest = next(iter(self._results(pod)), None)
        return newest.addresses if newest is not None and not newest.netns else ()

    def _match(
        self, uid: str, addresses: tuple[str, ...], inside: dict[str, tuple[str, ...]]
    ) -> None:
        paths = [path for path, has in inside.items() if not set(addresses).isdisjoint(has)]
        if len(paths) > 1:
            self._why[uid] = f"{' and '.join(paths)} both have its address"
        elif paths:
            self._keep(uid, paths[0], addresses, "its CNI result's address")

    def _keep(self, uid: str, path: str, addresses: tuple[str, ...], evidence: str) -> None:
        mount = self._namespaces.at(path)
        if mount is not None:
            self._found[uid] = Place(path, mount, addresses, evidence)
            self._why.pop(uid, None)

    # ---- by process

    async def _search_processes(self, pods: list[Pod]) -> None:
        if not pods:
            return
        found = await processes_of(self._namespaces.proc, {pod.uid for pod in pods})
        named = self._namespaces.named() if found else {}
        for pod in pods:
            self._weigh(pod, found.get(pod.uid, []), named)

    def _weigh(self, pod: Pod, processes: list[Process], named: dict[Mount, str]) -> None:
        newest = next(iter(self._results(pod)), None)
        sandbox = newest.container_id if newest is not None else ""
        # The sandbox's own process is always in its namespace; the others' may be in one that they made.
        candidates = [p for p in processes if p.container_id == sandbox] or processes
        mounts = {p.netns for p in candidates} - {None, self._namespaces.own}
        if len(mounts) != 1:
            self._why[pod.uid] = _reason(newest, processes, len(mounts))
            return
        process = next(p for p in candidates if p.netns in mounts)
        path = named.get(process.netns, process.path) if process.netns else process.path
        self._keep(pod.uid, path, newest.addresses if newest else (), "its processes")


def _reason(newest: CniResult | None, processes: list[Process], namespaces: int) -> str:
    if namespaces > 1:
        return "its processes are in several"
    if any(process.netns is None for process in processes):
        return "its processes' may not be looked at (CAP_SYS_PTRACE)"
    if newest is None:
        return "no CNI result, and no process of it in sight"
    if newest.netns:
        return f"nothing is mounted at {newest.netns}, which its CNI result names"
    return "its CNI result names none, and no process of it is in sight"
