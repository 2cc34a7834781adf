"""The CNI results of this node's sandboxes, by pod. Belongs here: the directories of the CNI library's cache, read file by file.

Does not belong here: what a file says (`cni_result`), when to look (`kubelet_source`), whether a namespace is still there
(`sandboxes`). A file stays behind where a node went down: it proves nothing alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from netra_node.discovery.cni_result import CniResult, read_result
from netra_node.discovery.turns import Turns

#: Results have some 2 KB, with annotations of a pod that may be 256 KB.
_MAX_BYTES: Final = 1 << 20


class _Version(NamedTuple):
    """What changes when the file does."""

    written: int
    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class _Kept:
    version: _Version
    #: None: it is no CNI result.
    result: CniResult | None


class CniCache:
    """What the files say that were there at the last look."""

    def __init__(self, directories: tuple[Path, ...]) -> None:
        """Know nothing yet; `read` and `rescan` look."""
        self.directories = directories
        #: Counts the changes: while it stands, every answer is what it was.
        self.changes = 0
        self._files: dict[Path, _Kept] = {}
        self._by_pod: dict[str, dict[Path, _Kept]] = {}

    def read(self, path: Path) -> CniResult | None:
        """Look at one file, which may have changed, come or gone; return what it says now."""
        kept = _load(path)
        self.changes += 1
        self._drop(path)
        if kept is None:
            return None
        self._files[path] = kept
        if kept.result is not None:
            self._by_pod.setdefault(_key(kept.result), {})[path] = kept
        return kept.result

    def _drop(self, path: Path) -> None:
        before = self._files.pop(path, None)
        if before is not None and before.result is not None:
            key = _key(before.result)
            del self._by_pod[key][path]
            if not self._by_pod[key]:
                del self._by_pod[key]

    async def rescan(self) -> None:
        """Look at every file that is not as it was at the last look."""
        turns = Turns()
        found = dict(_versions(self.directories))
        for path in self._files.keys() - found.keys():
            self.changes += 1
            self._drop(path)
        for path, version in found.items():
            kept = self._files.get(path)
            if kept is None or kept.version != version:
                self.read(path)
                await turns.pause()

    def of(self, uid: str, namespace: str, name: str) -> tuple[CniResult, ...]:
        """Return the sandboxes of a pod, newest first: several networks of one are one.

        Where the runtime told the cache no uid, the pod's name has to do.
        """
        files = {**self._by_pod.get(f"{namespace}/{name}", {}), **self._by_pod.get(uid, {})}
        newest = sorted(files.items(), key=lambda item: item[1].version, reverse=True)
        sandboxes: dict[str, CniResult] = {}
        for path, kept in newest:
            if (result := kept.result) is not None:
                key = result.container_id or str(path)
                sandboxes[key] = _join(sandboxes.get(key), result)
        return tuple(sandboxes.values())


def _key(result: CniResult) -> str:
    return result.pod_uid or f"{result.namespace}/{result.name}"


def _join(one: CniResult | None, other: CniResult) -> CniResult:
    if one is None:
        return other
    addresses = tuple(sorted({*one.addresses, *other.addresses}))
    return replace(one, netns=one.netns or other.netns, addresses=addresses)


def _load(path: Path) -> _Kept | None:
    """Return the file with what it says; None: it is not there."""
    try:
        with path.open("rb") as file:
            version = _version(os.fstat(file.fileno()))
            content = file.read(_MAX_BYTES)
    except OSError:
        return None
    try:
        return _Kept(version, read_result(content))
    except ValueError:
        return _Kept(version, None)


def _version(status: os.stat_result) -> _Version:
    return _Version(status.st_mtime_ns, status.st_ino, status.st_size)


def _versions(directories: tuple[Path, ...]) -> Iterator[tuple[Path, _Version]]:
    for directory in directories:
        try:
            # listed before the first is looked at: it may be long
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_file():
                    yield Path(entry.path), _version(entry.stat())
            except OSError:
                continue
