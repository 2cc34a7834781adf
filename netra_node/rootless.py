"""Ordinary users as root of namespaces of their own, for the demo and the tests, which touch nothing outside those they make.

Belongs here: entering them, and why the kernel refuses. Does not belong here: what is done inside. The daemon never imports
it: pods that others made are captured by root alone.

What is entered is a user namespace (in which this user is root), a network namespace with nothing but loopback, and a mount
namespace with a `/run` of its own, for `/run/netns`. The process stays the same, so are its files, and `/proc`.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final, NoReturn

# linux/sched.h, sys/mount.h, linux/sockios.h, linux/if.h
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1
#: struct ifreq: a name of 16 bytes, flags, and what is left of 40 bytes.
_IFREQ: Final = struct.Struct("16sh22x")

_SYSCTLS: Final = Path("/proc/sys")
#: Switches by which a distribution or an administrator forbids it: name, the value that does, one that does not.
_SWITCHES: Final = (
    ("user/max_user_namespaces", "0", "10000"),
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian before 11, Arch's hardened kernel
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu since 23.10
)
_POLICY: Final = "a security policy forbids it, as the default one of containers does"

_libc: Final = ctypes.CDLL(None, use_errno=True)


class RootlessError(Exception):
    """There is no namespace for this user; the message says why and how to mend it."""


def enter() -> None:
    """Make this process root of new namespaces, without any privilege and for good.

    Call it before the first thread starts. Raises RootlessError, and then nothing has changed: a child has tried it first,
    as some kernels let a process in and take away there what it came for.
    """
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        message = "a user namespace can only be entered before the first thread starts"
        raise RootlessError(message)
    if refusal := _rehearse():
        message = f"the kernel gives ordinary users no namespaces ({refusal}): {obstacle()}"
        raise RootlessError(message)
    _enter()


def obstacle(sysctls: Path = _SYSCTLS) -> str:
    """Return what most likely forbids it, and the command that mends it; `sysctls` is where the switches are files."""
    for name, forbids, allows in _SWITCHES:
        file = sysctls / name
        if file.exists() and file.read_text().strip() == forbids:
            key = name.replace("/", ".")
            return f"{key} is {forbids}, which `sudo sysctl -w {key}={allows}` changes"
    return _POLICY


def _rehearse() -> str:
    """Try it in a child and return what was refused; empty: nothing."""
    out, into = os.pipe()
    if not (child := os.fork()):
        _try(into)
    os.close(into)
    with os.fdopen(out) as verdict:
        refusal = verdict.read()
    _, status = os.waitpid(child, 0)
    return refusal if os.WIFEXITED(status) else "the child that tried it was killed"


def _try(verdict: int) -> NoReturn:
    try:
        _enter()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        os.write(verdict, f"{where}{error.strerror}".encode())
    finally:
        # A copy of the caller must not go on as the caller, nor flush what is the caller's to flush.
        os._exit(0)


def _enter() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS)
    # user_namespaces(7): without privilege one's own ids alone can be mapped, the group only once setgroups is given up.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _call("mount", b"none", b"/run", b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=755")
    Path("/run/netns").mkdir()
    bring_loopback_up()


def bring_loopback_up() -> None:
    """A new network namespace has it down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", _IFF_UP))


def _call(function: str, *arguments: object) -> None:
    """Call libc's `function`; Python 3.11 has neither unshare nor mount. Raises OSError naming the call."""
    if getattr(_libc, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
