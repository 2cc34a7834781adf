"""Being without privileges for a while, whoever runs the tests: inside a user namespace there is no other user to become."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Final

# linux/capability.h: version 3, this thread; effective, permitted and inheritable, each in two words of 32 bits.
_HEADER: Final = (ctypes.c_uint32 * 2)(0x20080522, 0)
_libc: Final = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Put the effective capabilities of this thread aside; they stay permitted, so that it can take them back."""
    before = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(_HEADER, before))
    without = type(before)(*before)
    without[0] = without[3] = 0
    _check(_libc.capset(_HEADER, without))
    try:
        yield
    finally:
        _check(_libc.capset(_HEADER, before))


def _check(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
