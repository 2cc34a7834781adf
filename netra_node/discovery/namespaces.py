"""Where this node's network namespaces have names. Belongs here: paths, and which namespace is behind one.

Does not belong here: entering (`netns`, but for the question which addresses are inside), whose they are (`sandboxes`).
"""

import asyncio
import os
from pathlib import Path
from typing import Final, NamedTuple

from netra_node import netns

_HERE: Final = Path("/proc/thread-self/ns/net")
_HOST_DIRECTORIES: Final = ("/var/run/netns/", "/run/netns/")
_HOST_PROC: Final = "/proc/"


class Mount(NamedTuple):
    """Which namespace it is, while it is mounted or held: afterwards the numbers are given to others, at once."""

    device: int
    inode: int


def mount_of(path: str) -> Mount | None:
    """Return what is mounted at `path`, a namespace or not; None where nothing can be seen."""
    try:
        status = os.stat(path)  # noqa: PTH116 - one system call, no object
    except OSError:
        return None
    return Mount(status.st_dev, status.st_ino)


class Namespaces:
    """The directory where runtimes mount namespaces, and /proc, as this process sees them."""

    def __init__(self, directory: Path, proc: Path, here: Path = _HERE) -> None:
        """`directory` is the node's /run/netns, `proc` its /proc; `here` is our own namespace."""
        self.directory = directory
        self.proc = proc
        status = here.stat()
        self.own = Mount(status.st_dev, status.st_ino)
        self._inside: dict[tuple[str, Mount], tuple[str, ...]] = {}

    def localize(self, path: str) -> str:
        """Return how we see what the node knows as `path`."""
        for directory in _HOST_DIRECTORIES:
            if path.startswith(directory):
                return f"{self.directory}/{path.removeprefix(directory)}"
        if path.startswith(_HOST_PROC):
            return f"{self.proc}/{path.removeprefix(_HOST_PROC)}"
        return path

    def at(self, path: str) -> Mount | None:
        """Return the namespace at `path`; None where there is none: no file, or one that nothing is mounted on (yet)."""
        mount = mount_of(path)
        # All namespaces are of one file system, the kernel's own.
        return mount if mount is not None and mount.device == self.own.device else None

    def named(self) -> dict[Mount, str]:
        """Return the namespaces that have a name, with their paths."""
        try:
            names = os.listdir(self.directory)  # noqa: PTH208 - names, no objects
        except OSError:
            return {}
        paths = (f"{self.directory}/{name}" for name in sorted(names))
        found = ((self.at(path), path) for path in paths)
        return {mount: path for mount, path in found if mount is not None and mount != self.own}

    async def inside(self, path: str) -> tuple[str, ...]:
        """Return the addresses inside one namespace; none if it cannot be entered."""
        return await asyncio.to_thread(_addresses, path)

    async def addresses(self) -> dict[str, tuple[str, ...]]:
        """Return the addresses inside every namespace that has a name; those that cannot be entered have none."""
        before, self._inside = self._inside, {}
        for mount, path in self.named().items():
            inside = before.get((path, mount), ())
            # Without any it is being made.
            self._inside[path, mount] = inside or await self.inside(path)
        return {path: inside for (path, _), inside in self._inside.items()}


def _addresses(path: str) -> tuple[str, ...]:
    try:
        with netns.Namespace.open(path) as namespace:
            return netns.addresses(namespace)
    except OSError:
        return ()
