"""Being without privileges for a while, whoever runs the tests: inside a user namespace there is no other user to become."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Final

# linux/capability.h: version 3, this thread; effective, permitted and inheritable, each in two words of 32 bits.
_HEADER: Final = (ctypes.c_uint32 * 2)(0x20080522, 0)
_libc: Final = ctypes.CDLL(None, use_errno=True)


NET_BIND_SERVICE: Final = 10  # linux/capability.h


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Put the effective capabilities of this thread aside; they stay permitted, so that it can take them back."""
    with _effective(0, 0):
        yield


@contextlib.contextmanager
def lacking(capability: int) -> Iterator[None]:
    """Put one effective capability of this thread aside; its number is below 32."""
    with _effective(~(1 << capability), ~0):
        yield


@contextlib.contextmanager
def _effective(low: int, high: int) -> Iterator[None]:
    """Have only those effective capabilities that are in these masks."""
    before = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(_HEADER, before))
    without = type(before)(*before)
    without[0] &= low & 0xFFFFFFFF
    without[3] &= high & 0xFFFFFFFF
    _check(_libc.capset(_HEADER, without))
    try:
        yield
    finally:
        _check(_libc.capset(_HEADER, before))


def _check(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
