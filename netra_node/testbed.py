"""Pods without Kubernetes: network namespaces joined by a bridge, for the demo and for tests. Needs root and no program.

Belongs here: making and removing namespaces, links, addresses, and processes inside; a third door to pyroute2, to its
`IPRoute`. Does not belong here: anything that captures. The daemon never imports it.

Each bed has its own bridge in a namespace of its own, so beds never meet, though all use the same addresses. A pod is
`/run/netns/nt-<bed>-<pid>-<serial>-<pod>`, made as `ip netns add` makes them: a name on which the namespace is mounted. What
a killed owner left behind is known by its pid, and removed when the next bed is made.
"""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import functools
import ipaddress
import itertools
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

from pyroute2.iproute.linux import IPRoute

from netra_node.netns import Namespace

T = TypeVar("T")

_RUN: Final = Path("/run/netns")
_OURS: Final = re.compile(r"nt-[a-z0-9]+-(?P<pid>[0-9]+)-[0-9]+-[a-z0-9-]+")
_NAME: Final = re.compile(r"[a-z0-9]{1,16}")
_POD_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_BRIDGE: Final = "bridge"
_serial: Final = itertools.count(1)

# The node's end of the pod network; pods are counted on from it, the first at .10 and ::a.
_IPV4: Final = ipaddress.ip_interface("10.88.0.1/16")
_IPV6: Final = ipaddress.ip_interface("fd88::1/64")
_FIRST_POD: Final = 9
_NO_IPV6: Final = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")

# linux/sched.h, sys/mount.h, linux/if_addr.h, linux/if_link.h, linux/prctl.h
_CLONE_NEWNET: Final = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED, _MNT_DETACH = 0x1000, 0x4000, 1 << 20, 2
_IFA_F_NODAD: Final = 0x02
_HAIRPIN: Final = 1
_PR_SET_PDEATHSIG: Final = 1
_LOOPBACK: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class BedPod:
    """One pod of a bed: where its namespace is and what its addresses are."""

    name: str
    path: str
    #: Empty where the pod has none.
    ipv4: str
    ipv6: str


class Testbed:
    """A node's pod network, for as long as the `with` block lasts.

    Everything is removed at its end, also by an exception, SIGINT or SIGTERM (turned into SystemExit while nobody else
    handles it). Not for use on a running event loop: `IPRoute` brings its own; call it in a thread there.
    """

    # pytest would take the name for a test's.
    __test__ = False

    def __init__(self, name: str) -> None:
        """`name` is lower-case letters and digits; it need not be unique. Raises ValueError."""
        if not _NAME.fullmatch(name):
            message = f"testbed name {name!r}: takes 1 to 16 lower-case letters and digits"
            raise ValueError(message)
        self._prefix = f"nt-{name}-{os.getpid()}-{next(_serial)}"
        self._pods: dict[str, BedPod] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._children: dict[str, list[subprocess.Popen[Any]]] = {}
        self._bridge = 0
        self._numbers = itertools.count(_FIRST_POD)
        self._end = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Make the bridge. Raises OSError naming the system call that was refused."""
        with contextlib.ExitStack() as stack:
            _share(_RUN)
            _sweep()
            stack.enter_context(_sigterm_exits())
            stack.callback(self._remove_all)
            self._make_bridge()
            self._end = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End every process and remove every namespace."""
        self._end.close()

    @property
    def pods(self) -> tuple[BedPod, ...]:
        """The pods there are, oldest first."""
        return tuple(self._pods.values())

    def add_pod(self, name: str, *, ipv4: bool = True, ipv6: bool = True) -> BedPod:
        """Make a pod: its namespace, `eth0` with an IPv4 and an IPv6 address, loopback, a default route.

        Without `ipv4` it has 127.0.0.1 and nothing else of that family; without `ipv6` that family is switched off in it.
        Raises ValueError for a bad or taken name, OSError when the kernel refuses.
        """
        if not _POD_NAME.fullmatch(name) or name in self._namespaces:
            message = f"pod name {name!r}: bad or taken"
            raise ValueError(message)
        namespace = self._make_namespace(name)
        number = next(self._numbers)
        pod = BedPod(
            name,
            namespace.path,
            ipv4=str(_IPV4.ip + number) if ipv4 else "",
            ipv6=str(_IPV6.ip + number) if ipv6 else "",
        )
        self._plug_in(namespace, f"pod{number}")
        if not ipv6:
            namespace.run(functools.partial(_NO_IPV6.write_text, "1"))
        with _links(namespace) as links:
            device = links.link_lookup(ifname="eth0")[0]
            _bring_up(links, device, pod.ipv4, pod.ipv6)
            if ipv4:
                links.route("add", dst="0.0.0.0/0", gateway=str(_IPV4.ip))
            if ipv6:
                links.route("add", dst="::/0", gateway=str(_IPV6.ip))
        self._pods[name] = pod
        return pod

    def remove_pod(self, name: str) -> None:
        """End the pod's processes and remove its namespace. Sockets made inside keep the namespace alive, not its name."""
        for child in self._children.pop(name, []):
            _end_process(child)
        del self._pods[name]
        self._remove_namespace(name)

    def run_inside(self, name: str, function: Callable[[], T]) -> T:
        """Call `function` inside the pod's namespace, on this thread, as `Namespace.run` does."""
        return self._namespaces[name].run(function)

    def spawn(self, name: str, argv: list[str], **popen: Any) -> subprocess.Popen[Any]:
        """Start `argv` inside the pod with `subprocess.Popen`'s options; it leads a session of its own.

        The kernel kills it when the *thread* that called this ends: call from one that lives as long as the bed.
        """
        parent = os.getpid()
        child = self.run_inside(
            name,
            # The child is forked inside the namespace, so it needs no program and no privilege to enter.
            lambda: subprocess.Popen(
                argv,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, parent),  # noqa: PLW1509 - two system calls
                **popen,
            ),
        )
        self._children.setdefault(name, []).append(child)
        return child

    def _make_bridge(self) -> None:
        with _links(self._make_namespace(_BRIDGE)) as links:
            # Without snooping IPv6 neighbour discovery is flooded like any broadcast, at once.
            links.link("add", ifname=_BRIDGE, kind="bridge", br_mcast_snooping=0)
            self._bridge = links.link_lookup(ifname=_BRIDGE)[0]
            _bring_up(links, self._bridge, str(_IPV4.ip), str(_IPV6.ip))

    def _plug_in(self, pod: Namespace, port: str) -> None:
        """Join the pod to the bridge: `eth0` is born inside the pod, its other end is `port` of the bridge."""
        with _links(self._namespaces[_BRIDGE]) as links:
            inner = {"ifname": "eth0", "net_ns_fd": pod.fileno()}
            links.link("add", ifname=port, kind="veth", peer=inner)
            device = links.link_lookup(ifname=port)[0]
            links.link("set", index=device, master=self._bridge, state="up")
            # A pod that calls its own service comes back by the port it left by, as on a real node.
            links.brport("set", index=device, mode=_HAIRPIN)

    def _make_namespace(self, name: str) -> Namespace:
        path = _RUN / f"{self._prefix}-{name}"
        # In a thread of its own: unshare() moves the calling thread, and this one dies with the move.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            thread.submit(_bind_new_namespace, path).result()
        self._namespaces[name] = namespace = Namespace.open(str(path))
        return namespace

    def _remove_namespace(self, name: str) -> None:
        namespace = self._namespaces.pop(name)
        namespace.close()
        _unbind(Path(namespace.path))

    def _remove_all(self) -> None:
        for child in itertools.chain.from_iterable(self._children.values()):
            _end_process(child)
        self._children.clear()
        self._pods.clear()
        for name in list(self._namespaces):
            self._remove_namespace(name)


@contextlib.contextmanager
def _links(namespace: Namespace) -> Iterator[Any]:
    """An rtnetlink socket made inside `namespace`; it talks about that namespace from wherever it is used."""
    links: Any = namespace.run(IPRoute)
    try:
        yield links
    finally:
        links.close()


def _bring_up(links: Any, device: int, ipv4: str, ipv6: str) -> None:
    """Give `device` those of its addresses that are not empty, and bring it and loopback up."""
    links.link("set", index=_LOOPBACK, state="up")
    if ipv4:
        links.addr("add", index=device, address=ipv4, prefixlen=_IPV4.network.prefixlen)
    if ipv6:
        # Duplicate address detection would keep the address unusable for a second.
        prefix = _IPV6.network.prefixlen
        links.addr("add", index=device, address=ipv6, prefixlen=prefix, flags=_IFA_F_NODAD)
    links.link("set", index=device, state="up")


def _share(directory: Path) -> None:
    """Make `directory` a shared mount, as `ip netns add` does: a namespace mounted there must show, and go, everywhere."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Two processes at once would mount it over itself twice, and hide what the first has put there.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            _mount("none", directory, _MS_SHARED | _MS_REC)
        except OSError:
            # EINVAL: not yet a mount point of its own, and only those can be shared.
            _mount(str(directory), directory, _MS_BIND | _MS_REC)
            _mount("none", directory, _MS_SHARED | _MS_REC)
    finally:
        os.close(descriptor)


def _sweep() -> None:
    """Remove the namespaces of beds whose process is dead (of this PID namespace: others do not share our /run)."""
    for path in _RUN.iterdir():
        owner = _OURS.fullmatch(path.name)
        if owner and not Path("/proc", owner["pid"]).exists():
            _unbind(path)


def _bind_new_namespace(path: Path) -> None:
    """Move the calling thread into a new network namespace and mount that on `path`."""
    path.touch(exist_ok=False)
    try:
        _call("unshare", _CLONE_NEWNET)
        _mount("/proc/thread-self/ns/net", path, _MS_BIND)
    except OSError:
        path.unlink()
        raise


def _unbind(path: Path) -> None:
    """Take the name away; the kernel removes the namespace, its links and rules with the last one who uses it."""
    with contextlib.suppress(OSError):  # nothing mounted there: left behind between touch and mount
        _call("umount2", os.fsencode(path), _MNT_DETACH)
    path.unlink(missing_ok=True)


def _end_process(child: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        # Its group, as it leads one: a shell's children go with it.
        os.killpg(child.pid, signal.SIGKILL)
    # Closes the pipes and collects the child.
    with child:
        pass


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends. Runs between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before the line above.
        os._exit(1)


@contextlib.contextmanager
def _sigterm_exits() -> Iterator[None]:
    """Let SIGTERM unwind the stack, where its default would end the process on the spot and leave everything behind."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, _exit_as_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit_as_terminated(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _mount(source: str, target: Path, flags: int) -> None:
    _call("mount", source.encode(), os.fsencode(target), b"none", flags, None)


def _call(function: str, *arguments: object) -> None:
    """Call libc's `function`; Python 3.11 has neither unshare nor mount. Raises OSError naming the call."""
    if getattr(_libc, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
