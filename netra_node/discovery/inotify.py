"""What happens in directories, told as it happens. Belongs here: the kernel's inotify as callbacks of the loop.

Does not belong here: what is in the directories. Our own, as it is three calls and one struct: watchdog brings threads, and the
thin wrappers (inotify-simple, asyncinotify) leave the part with the loop, and the directory that comes later, to us anyway.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

# linux/inotify.h
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_Q_OVERFLOW, _IGNORED, _ONLYDIR = 0x4000, 0x8000, 0x1000000
_EVENT: Final = struct.Struct("iIII")
#: One event with the longest name, two of a CNI result: a burst of them is many turns of the loop.
_READ: Final = 272
_libc: Final = ctypes.CDLL(None, use_errno=True)

#: The directory, and the name in it; an empty name: anything may have changed.
Happened = Callable[[Path, str], None]


class Inotify:
    """Watches directories, those that are there and those that come later."""

    def __init__(self, directories: tuple[Path, ...], happened: Happened) -> None:
        """Watch nothing yet; `start` does. `happened` is called on the loop; it must not raise."""
        self._directories = directories
        self._happened = happened
        self._watched: dict[int, Path] = {}
        self._descriptor = -1

    @property
    def missing(self) -> tuple[Path, ...]:
        """Directories that are not watched."""
        return tuple(d for d in self._directories if d not in self._watched.values())

    def start(self) -> None:
        """Begin; needs the loop. Raises OSError where the node has no inotify instance left."""
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = _checked(_libc.inotify_init1(flags))
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        self.look()

    def stop(self) -> None:
        """End; a second time does nothing."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1
        self._watched.clear()

    def look(self) -> None:
        """Watch the directories that have come meanwhile: nobody tells us of those. Call it now and then."""
        mask = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
        for directory in self.missing:
            watch = _libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask)
            # two names of one directory have one watch
            if watch >= 0 and watch not in self._watched:
                self._watched[watch] = directory
                self._happened(directory, "")

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for watch, mask, name in _events(os.read(self._descriptor, _READ)):
                self._take(watch, mask, name)

    def _take(self, watch: int, mask: int, name: str) -> None:
        if mask & _Q_OVERFLOW:
            for directory in self._watched.values():
                self._happened(directory, "")
        elif mask & _IGNORED:
            # the directory is gone, and may come again
            self._happened(self._watched.pop(watch), "")
        else:
            self._happened(self._watched[watch], name)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    position = 0
    while position < len(data):
        watch, mask, _cookie, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size
        yield watch, mask, os.fsdecode(data[position : position + length].rstrip(b"\0"))
        position += length


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        hint = "; raise fs.inotify.max_user_instances" if number == errno.EMFILE else ""
        raise OSError(number, f"inotify: {os.strerror(number)}{hint}")
    return result
