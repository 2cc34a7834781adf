"""The pods of this node as its kubelet lists them, each with its network namespace.

Belongs here: when to ask and to look, what a list means for pods that are not in it. Does not belong here: asking
(`kubelet_api`), decoding (`pod_list`), where a namespace is (`sandboxes`), whether a pod is captured (`enrolment`).

The kubelet tells nobody of a change, so it is asked every second, and at once when a namespace appears that no listed pod waits for:
its pod is in the list by then, and when the CNI result follows (20 to 60 ms) nothing needs to be asked any more. Absent from a
list is not gone: a static pod leaves it while it still serves, and a kubelet that starts, or has lost the API server, lists few
pods or none. What was listed stays as it was until its namespace ends.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from netra_node.core.desired import RefusedPod
from netra_node.discovery.cni_cache import CniCache
from netra_node.discovery.inotify import Inotify
from netra_node.discovery.kubelet_api import KubeletError
from netra_node.discovery.namespaces import Namespaces
from netra_node.discovery.pod import Pod
from netra_node.discovery.pod_list import PodListError, PodListReader
from netra_node.discovery.sandboxes import Place, Sandboxes
from netra_node.discovery.source import Entry
from netra_node.discovery.turns import Turns
from netra_node.proxy.tasks import spawn

_log = logging.getLogger(__name__)


class Asked(Protocol):
    """Who is asked: `kubelet_api.Kubelet`, or a test's stand-in."""

    @property
    def url(self) -> str:
        """How a person writes it."""

    async def pods(self) -> bytes:
        """Return the list of pods as it is sent. Raises KubeletError."""

    def close(self) -> None:
        """Let go of what asking took."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often what is done, in seconds."""

    #: From one question to the next while nothing happens.
    poll: float = 1.0
    #: From one question to the next whatever happens: an answer takes the kubelet 3 ms of CPU.
    apart: float = 0.02
    #: After a question that failed; doubled each time up to the last. A kubelet restarts in 2 s.
    retry_first: float = 0.25
    retry_last: float = 10.0
    #: From one search for namespaces in /proc to the next, doubled each time up to the last: one is 10 ms of CPU.
    search_first: float = 0.1
    #: Where CNI results are told as they come, a pod without one is rare, and a burst of pods needs the CPU.
    search_first_told: float = 1.0
    search_last: float = 10.0


_RHYTHM: Final = Rhythm()


@dataclass(slots=True)
class _Backoff:
    """Grows from `first` to `last`."""

    first: float
    last: float
    delay: float = 0.0

    def grow(self) -> float:
        """Return the next delay."""
        self.delay = min(self.delay * 2, self.last) if self.delay else self.first
        return self.delay

    def reset(self) -> None:
        """Begin anew."""
        self.delay = 0.0


class KubeletSource:
    """The pods of the kubelet's list, and those that are no longer in it and still there."""

    def __init__(
        self,
        kubelet: Asked,
        cache: CniCache,
        namespaces: Namespaces,
        may_be_captured: Callable[[Pod], bool],
        digest: Callable[[Entry], object] = lambda _entry: None,
        rhythm: Rhythm = _RHYTHM,
    ) -> None:
        """Ask nothing yet; `start` does. Only pods that `may_be_captured` are given a namespace.

        `digest` is called with each pod that is new or different, in turns of the loop, before `changed` is: what takes its time
        can be prepared there.
        """
        #: Why the list cannot be had, in words; None: it can.
        self.problem: str | None = None
        self._listed = False
        self._kubelet = kubelet
        self._cache = cache
        self._namespaces = namespaces
        self._sandboxes = Sandboxes(cache, namespaces)
        self._may_be_captured = may_be_captured
        self._rhythm = rhythm
        self._digest = digest
        self._reader = PodListReader()
        #: As they were last listed, by uid.
        self._entries: dict[str, Entry] = {}
        #: Those of them that the last list does not have.
        self._absent: set[str] = set()
        #: All with their namespaces.
        self._placed: dict[str, Entry] = {}
        #: What each of these was made of.
        self._grounds: dict[str, tuple[Entry, Place | None, str]] = {}
        #: Those of which no namespace is known.
        self._unplaced: dict[str, Pod] = {}
        self._inotify = Inotify((*cache.directories, namespaces.directory), self._happened)
        self._watching = False
        self._retry = _Backoff(rhythm.retry_first, rhythm.retry_last)
        self._search = _Backoff(rhythm.search_first, rhythm.search_last)
        self._search_due = 0.0
        #: Whether there is reason to search before that.
        self._search_now = False
        self._rescan = True
        self._woken = asyncio.Event()
        self._changed: Callable[[], None] = lambda: None
        self._task: asyncio.Task[Any] | None = None

    @property
    def pods(self) -> tuple[Entry, ...]:
        """Every pod that is known, in no order."""
        return tuple(self._placed.values())

    @property
    def listed(self) -> bool:
        """Whether a list has been read at all."""
        return self._listed

    @property
    def where(self) -> str:
        """Where the list comes from."""
        return f"kubelet {self._kubelet.url}"

    # ---- life

    def start(self, changed: Callable[[], None]) -> None:
        """Begin; `changed` is called whenever `pods`, `problem` or `listed` are different."""
        self._changed = changed
        try:
            self._inotify.start()
            self._watching = True
        except OSError as error:
            _log.warning("CNI results and namespaces are only looked at now and then: %s", error)
        self._task = spawn(self._run(), "kubelet")

    async def stop(self) -> None:
        """End; what is known stays as it is."""
        self._changed = lambda: None
        self._inotify.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._kubelet.close()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            began = time.monotonic()
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the next look may go well, and without one no pod would ever be captured again
                _log.exception("looking for pods failed")
                self._retry.grow()
            await self._rest(began)

    async def look(self) -> None:
        """Do everything that is due; for somebody who wants to know once, without a start."""
        if self._watching:
            self._inotify.look()
        if self._rescan or not self._watching:
            self._rescan = False
            await self._cache.rescan()
        await self._poll()
        searched = bool(self._unplaced) and self._is_search_due()
        self._search_now = False
        if searched:
            await self._sandboxes.search(list(self._unplaced.values()))
            self._search_due = time.monotonic() + self._search.grow()
        if await self._sandboxes.verify(self._entries) or searched:
            await self._place_and_tell()

    def _is_search_due(self) -> bool:
        return self._search_now or time.monotonic() >= self._search_due

    async def _rest(self, began: float) -> None:
        """Wait until something is due or happens."""
        delay = self._retry.delay or self._rhythm.poll
        if self._unplaced:
            delay = min(delay, max(0.0, self._search_due - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._woken.wait()
        # A kubelet that does not answer gets no more questions because of what happens.
        apart = min(self._retry.delay, 1.0) or self._rhythm.apart
        await asyncio.sleep(max(0.0, began + apart - time.monotonic()))

    # ---- what happens in directories

    def _happened(self, directory: Path, name: str) -> None:
        if directory == self._namespaces.directory:
            self._namespace_happened(name)
        elif name:
            self._result_happened(directory / name)
        else:
            self._rescan = True
            self._woken.set()

    def _namespace_happened(self, name: str) -> None:
        """One has come: its pod is worth a question, unless it is listed. Or gone: with it the pod, if only its namespace spoke for it."""
        gone = [uid for uid in self._absent if not self._lives_on(self._entries[uid])]
        self._drop(gone)
        if gone:
            self._announce()
        if not self._is_awaited(name):
            self._woken.set()

    def _is_awaited(self, name: str) -> bool:
        """Tell whether the namespace of that name may be one that somebody who is listed waits for; its CNI result will say so.

        In a burst all are listed at the first question: another for each namespace would cost us and the kubelet more than all
        else that is done for a pod.
        """
        path = f"{self._namespaces.directory}/{name}"
        known = any(place and place.path == path for _, place, _ in self._grounds.values())
        return bool(self._unplaced and name) and self._is_told and not known

    def _result_happened(self, path: Path) -> None:
        result = self._cache.read(path)
        if result is None:
            return
        uid = result.pod_uid
        if uid in self._entries and self._place(uid):
            self._announce()
        if uid in self._unplaced or uid not in self._entries:
            # Not to be found by the result alone, as that of loopback, the first of a sandbox; or not listed yet.
            self._search_now |= bool(result.addresses) and not result.netns
            self._woken.set()

    def _announce(self) -> None:
        """Tell of a change in a turn of its own: other events wait in this one."""
        asyncio.get_running_loop().call_soon(self._tell_of_it)

    def _tell_of_it(self) -> None:
        self._changed()

    # ---- the list

    async def _poll(self) -> None:
        try:
            entries = await self._reader.read(await self._kubelet.pods())
        except (KubeletError, PodListError) as error:
            self._fail(error)
            return
        self._retry.reset()
        is_news = self.problem is not None or not self._listed
        gone = self._take({entry.uid: entry for entry in entries})
        self.problem, self._listed = None, True
        # before anything else is waited for
        await self._place_and_tell(is_news=gone or is_news)

    def _fail(self, error: Exception) -> None:
        """Keep what is known: that the kubelet does not tell is no change."""
        self._retry.grow()
        if self.problem != str(error):
            self.problem = str(error)
            self._changed()

    def _take(self, listed: dict[str, Entry]) -> bool:
        """Make the list ours, with what is absent from it and lives on; tell whether anything is gone."""
        if not listed.keys() <= self._entries.keys():
            # What is new has no namespace yet; if no CNI result tells of it, it is worth a search before long. What was there
            # before us may have had one for long.
            self._search = _Backoff(self._first_search(), self._rhythm.search_last)
            self._search_due = time.monotonic() + (self._search.grow() if self._listed else 0.0)
        absent = self._entries.keys() - listed.keys()
        gone = [uid for uid in absent if not self._lives_on(self._entries[uid])]
        self._entries |= listed
        self._absent = absent
        self._drop(gone)
        return bool(gone)

    def _first_search(self) -> float:
        return self._rhythm.search_first_told if self._is_told else self._rhythm.search_first

    @property
    def _is_told(self) -> bool:
        """Whether CNI results are told as they come."""
        return self._watching and not set(self._cache.directories) <= set(self._inotify.missing)

    def _lives_on(self, entry: Entry) -> bool:
        return (
            isinstance(entry, Pod)
            and self._may_be_captured(entry)
            and self._sandboxes.of(entry) is not None
        )

    def _drop(self, uids: list[str]) -> None:
        for uid in uids:
            del self._entries[uid]
            self._placed.pop(uid, None)
            self._grounds.pop(uid, None)
            self._unplaced.pop(uid, None)
        self._absent.difference_update(uids)
        self._sandboxes.forget(uids)

    # ---- where each is

    async def _place_and_tell(self, *, is_news: bool = False) -> None:
        """Work out anew where each pod is; tell if anything is different, or there is other news."""
        turns = Turns()
        for uid in list(self._entries):
            # an event may have dropped it between two turns
            is_news |= uid in self._entries and self._place(uid)
            await turns.pause()
        if is_news:
            self._changed()

    def _place(self, uid: str) -> bool:
        """Work out anew where one is; tell whether anything is different."""
        entry = self._entries[uid]
        place = self._place_of(entry)
        reason = self._sandboxes.why_unknown(uid) if uid in self._unplaced else ""
        if self._grounds.get(uid) == (entry, place, reason):
            return False
        self._log_news(uid, place)
        self._grounds[uid] = entry, place, reason
        after = self._placed[uid] = _placed(entry, place, reason)
        self._digest(after)
        return True

    def _place_of(self, entry: Entry) -> Place | None:
        self._unplaced.pop(entry.uid, None)
        if isinstance(entry, RefusedPod) or not self._may_be_captured(entry):
            return None
        place = self._sandboxes.of(entry)
        if place is None:
            self._unplaced[entry.uid] = entry
        return place

    def _log_news(self, uid: str, place: Place | None) -> None:
        """Tell the log what is new: with the manager's lines this is the chain of a pod's times."""
        entry, before = self._entries[uid], self._grounds.get(uid)
        if place is not None and (before is None or before[1] != place):
            words = entry.namespace, entry.name, place.path, place.evidence
            _log.debug("found %s/%s in %s by %s", *words)
        elif uid in self._unplaced and before is None:
            _log.debug("listed %s/%s", entry.namespace, entry.name)


def _placed(entry: Entry, place: Place | None, awaited: str) -> Entry:
    if isinstance(entry, RefusedPod):
        return entry
    if place is None:
        return replace(entry, awaited=awaited) if awaited else entry
    return replace(entry, netns=place.path, addresses=place.addresses or entry.addresses)
