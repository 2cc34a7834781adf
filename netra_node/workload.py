"""One captured pod: its namespace, its lease, its listeners, from entering to the last connection.

Belongs here: the order of these steps, forwards and back, and what is true in between. Does not belong here: which pods
there should be (`manager`), what a label means (`discovery`), how rules are written (`interception`).

    starting -> running <-> draining -> stopped
        |                                  ^
        +---- refused, or it vanished -----+

Running, its capture chains are flushed while there is no room for more connections: new ones go direct, open ones go on.

Entering: sockets first, listeners next, the lease last, so that no connection is captured before somebody accepts it.
Leaving: the lease's capture chains first, listeners after the handshakes under way, the lease after the last connection.
"""

import asyncio
import errno
import functools
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Final

from netra_node import netns
from netra_node.capacity import Cap, Descriptors, Told
from netra_node.core.addresses import OriginalDst
from netra_node.core.conversation import HttpRules
from netra_node.core.desired import DesiredPod, InboundMode, PodOptions
from netra_node.core.records import Direction, Observer
from netra_node.core.routed_tracing import RoutedTracing
from netra_node.core.targets import Targets
from netra_node.interception import encode, routes
from netra_node.interception.lease import Lease
from netra_node.interception.ruleset import (
    ANYIP_V4,
    ANYIP_V6,
    INBOUND_MARK,
    OUTBOUND_MARK,
    Replies,
    RuleSet,
    heartbeat_port,
)
from netra_node.interception.slots import Slots
from netra_node.netns import (
    AddressMissingError,
    InPodSockets,
    Namespace,
    NamespaceGoneError,
    NamespaceId,
)
from netra_node.proxy.connection import Route
from netra_node.proxy.dial import Dialer, InboundDialer, OutboundDialer
from netra_node.proxy.listener import Listeners
from netra_node.proxy.resolver import ResolvConfFile, Resolver
from netra_node.proxy.routed_opening import Routing
from netra_node.proxy.sockets import accept_by_nat

_LOOPBACKS: Final = ("127.0.0.1", "::1")
_ANYIPS: Final = (ANYIP_V4, ANYIP_V6)
#: As much as the kernel allows (somaxconn). A burst that fills the queue is not only late: the kernel answers it with SYN cookies,
#: and the client's ACK, which is no SYN, goes past our rules to the application, which resets it; outbound it is lost in
#: silence. When the loop hangs, what gathers here is the last second of the lease.
_BACKLOG: Final = 4096
#: A handshake that began before the chains were flushed ends in our accept queue within this time, in seconds.
_LINGER: Final = 0.3
#: How often leaving looks whether the last connection has ended, in seconds.
_DRAIN_LOOK: Final = 0.02
#: Turns of the loop after which a connection that was reset is closed for certain; one is enough today.
_CUT_ROUNDS: Final = 10
_NEVER: Final = float("inf")
#: Loopback was never up and has no address; or it has, and is down.
_NO_LOOPBACK: Final = (errno.EADDRNOTAVAIL, errno.ENETDOWN)
_SCARCE: Final = "the daemon has hardly any file descriptors left"

_log = logging.getLogger(__name__)


class State(Enum):
    """Where a workload is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


class Full(Enum):
    """What is used up while new connections go direct."""

    CONNECTIONS = "connections"
    DESCRIPTORS = "descriptors"


class CaptureError(Exception):
    """The pod cannot be captured now; the message tells a person why."""


class NamespaceMissingError(CaptureError):
    """There is no namespace at the pod's path, for now: to look again costs next to nothing."""


class NetworkUnfinishedError(CaptureError):
    """The pod's network is still being made: containerd has its loopback set up while it has its other networks made."""


class WrongNamespaceError(CaptureError):
    """The namespace is one that must never be captured, or not the pod's."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What all workloads of this process share."""

    slots: Slots
    #: Name of the nftables table, one for each start of the daemon.
    table: str
    #: The namespaces that may never be captured: the daemon's and the host's.
    off_limits: frozenset[NamespaceId]
    inbound_port: int
    outbound_port: int
    heartbeat_milliseconds: int
    descriptors: Descriptors
    #: Open connections of one pod at which new ones go direct.
    max_connections: int = 4096
    #: Whether this kernel's tables can belong to a socket.
    owner: bool = True
    #: Bytes that a connection keeps each way (`proxy.connection.Route`).
    buffer: int = 64 * 1024
    #: A /proc whose network switches can be written, if there is one.
    proc: Path = Path("/proc")
    #: The namespaces that workloads hold now: a second one in the same would take away the first one's routes.
    held: set[NamespaceId] = field(default_factory=set)
    #: How often new connections of a pod began to go direct for want of something.
    suspensions: dict[str, int] = field(default_factory=lambda: {full.value: 0 for full in Full})


@dataclass(frozen=True, slots=True)
class RoutingPlan:
    """How the pod's outbound requests are routed, but for the sockets that names are asked for with."""

    tracing: RoutedTracing
    targets: Targets
    #: Domains in which names are looked for.
    search: tuple[str, ...]
    conf: ResolvConfFile

    def inside(self, sockets: InPodSockets) -> Routing:
        """Return it for the pod that `sockets` are made in."""
        resolver = Resolver(sockets, OUTBOUND_MARK, self.search, self.conf)
        return Routing(self.tracing, self.targets, resolver)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the pod's connections are read, who is told, and where requests go that say it."""

    rules: HttpRules
    observer: Observer
    #: None: where their connections go.
    routing: RoutingPlan | None = None


class Workload:
    """One pod while it is captured. Its methods are called one at a time."""

    def __init__(
        self,
        pod: DesiredPod,
        ground: Ground,
        reading: Reading,
        unsettled: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare nothing yet; `start` does. `unsettled` is called when `settle` has something to do."""
        self.pod = pod
        self.state = State.STARTING
        #: The addresses of the namespace, known once it was entered.
        self.addresses: tuple[str, ...] = ()
        self._ground = ground
        self._reading = reading
        self._listeners = Listeners(self._counted)
        self._unsettled = unsettled
        self._cap = Cap(ground.max_connections)
        #: Whether the chains are empty, so that new connections go direct.
        self._flushed = False
        #: For want of what they are, if that is why.
        self._suspended: Full | None = None
        self._told = Told()
        #: Why the last attempt to settle failed.
        self._trouble = ""
        self._namespace: Namespace | None = None
        self._lease: Lease | None = None
        #: What the lease captures by, once there is one.
        self._rules = RuleSet()
        #: Whether the namespace is among those that are held.
        self._holds = False
        # A worker thread cannot be cancelled: what an abandoned one still does is waited for before it is undone.
        self._inside = threading.Lock()
        #: Whether routes of ours can be there.
        self._routed = False
        self._captured_at = 0.0
        self._deadline = _NEVER
        #: Whether a `leave` under way shall become a return.
        self._recalled = False
        #: Where redirected inbound connections arrive; 0 until the first wish for that mode.
        self._redirect_port = 0
        #: Where we listen inside the pod, inbound and outbound; zeros until we do.
        self.ports = (0, 0)

    @property
    def connections(self) -> int:
        """Connections that pass through us now."""
        return len(self._listeners.open)

    @property
    def full(self) -> Full | None:
        """What is used up, so that new connections shall go direct."""
        if self._cap.reached:
            return Full.CONNECTIONS
        return Full.DESCRIPTORS if self._ground.descriptors.scarce else None

    @property
    def suspended(self) -> str:
        """Why new connections go direct, in words; empty: they are captured."""
        if self._suspended is Full.CONNECTIONS:
            return f"there were {self._cap.limit} (NETRA_MAX_CONNECTIONS_PER_POD)"
        return _SCARCE if self._suspended is Full.DESCRIPTORS else ""

    @property
    def captured_seconds(self) -> float:
        """How long the lease has been held; 0 while it is not."""
        return time.monotonic() - self._captured_at if self.state is State.RUNNING else 0.0

    @property
    def vanished(self) -> bool:
        """Whether the pod's namespace has gone, or another one stands in its place. Not known is no."""
        namespace = self._namespace
        try:
            return namespace is not None and netns.gone(namespace.path, namespace.identity)
        except OSError:
            return False

    # ---- entering

    async def start(self) -> None:
        """Capture the pod. Raises CaptureError, having undone everything, when that is not possible now."""
        try:
            await self._start()
        except (OSError, CaptureError) as error:
            await self._let_go()
            if isinstance(error, CaptureError):
                raise
            raise _refusal(error) from error
        except BaseException:
            await self._let_go()
            raise

    async def _start(self) -> None:
        if self._ground.descriptors.scarce:
            raise CaptureError(_SCARCE)
        namespace = self._namespace = Namespace.open(self.pod.netns)
        self._reserve(namespace)
        doors = await self._open_doors(InPodSockets(namespace))
        # what `_enter` finds of the switches is not in it yet: until then they pass for writable
        basis = replace(_basis(self._ground), ipv6=doors.ipv6, outbound_port=doors.outbound_port)
        rules = await self._rules_for(self.pod.options, basis)
        lease = self._lease = Lease.open(
            namespace, rules, table=self._ground.table, slots=self._ground.slots
        )
        # One hop to a worker thread and no more: on a busy node, where a burst of pods starts, each is 5 to 30 ms.
        entered = await asyncio.to_thread(self._enter, namespace, lease, rules)
        self.addresses, self._rules, self._captured_at = entered
        self.state = State.RUNNING

    async def _open_doors(self, sockets: InPodSockets) -> "_Doors":
        doors = _doors(sockets, self._ground)
        self.ports = (doors.inbound_port, doors.outbound_port)
        try:
            await self._serve(sockets, doors)
        except BaseException:
            self._listeners.close()  # before its sockets are: the loop asks them for their descriptors
            doors.close()
            raise
        return doors

    def _reserve(self, namespace: Namespace) -> None:
        """Refuse a namespace that may not be captured, or is captured already."""
        if namespace.identity in self._ground.off_limits:
            message = "its network namespace is the host's or the daemon's own"
            raise WrongNamespaceError(message)
        if namespace.identity in self._ground.held:
            message = "its network namespace is captured already, for another pod"
            raise WrongNamespaceError(message)
        self._ground.held.add(namespace.identity)
        self._holds = True

    def _enter(
        self, namespace: Namespace, lease: Lease, rules: RuleSet
    ) -> tuple[tuple[str, ...], RuleSet, float]:
        """Capture the pod if it is the one; return its addresses, the rules as they are possible here, and when they held.

        Another pod's namespace is left as it is. To be called in a worker thread. Raises OSError, CaptureError.
        """
        with self._inside:
            addresses = netns.addresses(namespace)
            wanted = self.pod.addresses
            if wanted and not set(wanted) & set(addresses):
                message = f"its network namespace does not have the pod's address {wanted[0]}"
                raise WrongNamespaceError(message)
            prepare = functools.partial(routes.prepare_replies, self._ground.proc)
            rules = replace(rules, replies=namespace.run(prepare))
            _check_mode(rules.inbound_mode, rules.replies)
            self._routed = True
            _install(lease, namespace, rules)
            return addresses, rules, time.monotonic()

    async def _rules_for(self, options: PodOptions, basis: RuleSet) -> RuleSet:
        """Return `basis` with what `options` say; the listeners that they lead to are there then."""
        _check_mode(options.inbound_mode, basis.replies)
        redirect = options.inbound_mode is InboundMode.REDIRECT
        inbound_port = await self._redirected_to() if redirect else self.ports[0]
        return _with_options(basis, inbound_port, options)

    async def _redirected_to(self) -> int:
        """Return the port where redirected connections arrive, at addresses that are not the pod's. From now on we listen."""
        if self._redirect_port == 0 and self._namespace is not None:
            sockets = InPodSockets(self._namespace)
            group = _bind(sockets, self._ground.inbound_port, _ANYIPS, transparent=True)
            for sock in group:
                accept_by_nat(sock)
            dialer = InboundDialer(sockets, INBOUND_MARK, None)
            await self._serve_all(group, Direction.INBOUND, dialer)
            self._redirect_port = _port(group)
        return self._redirect_port

    async def _serve(self, sockets: InPodSockets, doors: "_Doors") -> None:
        outbound = OutboundDialer(sockets, OUTBOUND_MARK)
        inbound = InboundDialer(sockets, INBOUND_MARK, _ANYIPS)
        await self._serve_all(doors.outbound, Direction.OUTBOUND, outbound)
        await self._serve_all(doors.inbound, Direction.INBOUND, inbound)
        self._listeners.reroute(self._with_routing(self._reading))

    async def _serve_all(
        self, group: tuple[socket.socket, ...], direction: Direction, dialer: Dialer
    ) -> None:
        for sock in group:
            await self._listeners.serve(sock, self._route(direction, dialer, sock), _BACKLOG)

    def _with_routing(self, reading: Reading) -> Callable[[Route], Route]:
        """Return what gives outbound routes the routing of `reading`, one resolver for all of them."""
        if reading.routing is None or self._namespace is None:
            return lambda route: route
        routing = reading.routing.inside(InPodSockets(self._namespace))
        return lambda route: (
            replace(route, routing=routing) if route.direction is Direction.OUTBOUND else route
        )

    def _route(self, direction: Direction, dialer: Dialer, listener: socket.socket) -> Route:
        return Route(
            direction,
            dialer,
            self._reading.rules,
            self._reading.observer,
            self.pod.options.http_ports,
            OriginalDst(*listener.getsockname()[:2]),
            self._ground.buffer,
        )

    # ---- changing

    async def change(self, pod: DesiredPod, reading: Reading) -> None:
        """Treat new connections by `pod`'s options from now on; open ones keep theirs.

        Raises CaptureError where that is not possible; new connections are treated as before then.
        """
        try:
            await self._change_rules(await self._rules_for(pod.options, self._rules))
        except OSError as error:
            raise _refusal(error) from error
        if reading is not self._reading:
            self._listeners.reroute(self._with_routing(reading))
        self.pod = pod
        self._reading = reading
        self._listeners.reroute(
            lambda route: replace(
                route,
                rules=reading.rules,
                observer=reading.observer,
                http_ports=pod.options.http_ports,
            )
        )

    async def _change_rules(self, rules: RuleSet) -> None:
        if self._lease is not None and rules != self._rules:
            if not self._flushed:
                await asyncio.to_thread(self._lease.replace, rules)
            self._rules = rules

    def beat(self) -> None:
        """Prolong the lease: without this new connections go direct."""
        if self._lease is not None and self.state is not State.STARTING:
            self._lease.beat()

    # ---- as long as there is room

    def _counted(self, number: int) -> None:
        self._ground.descriptors.connections_changed()
        if self._cap.count(number):
            self._unsettled()

    def mind_descriptors(self) -> None:
        """Accept, or leave it, as there are descriptors for it."""
        if self._ground.descriptors.exhausted:
            self._listeners.pause()
        else:
            self._listeners.resume()

    @property
    def is_settled(self) -> bool:
        """Whether new connections are captured if there is room, and go direct if there is none."""
        return self.state is not State.RUNNING or self._flushed is bool(self.full)

    async def settle(self) -> None:
        """Flush the capture chains where there is no room, fill them where there is. Raises nothing: it can be tried again."""
        while not self.is_settled and self._lease is not None:
            full = self.full
            try:
                await self._fill(self._lease) if full is None else await self._flush(self._lease)
            except OSError as error:
                self._complain(error)
                return
            self._trouble = ""
            self._tell(full)

    async def _flush(self, lease: Lease) -> None:
        await asyncio.to_thread(lease.flush)
        self._flushed = True

    async def _fill(self, lease: Lease) -> None:
        await asyncio.to_thread(lease.replace, self._rules)
        self._flushed = False

    def _complain(self, error: OSError) -> None:
        trouble = f"the rules cannot be changed: {error}"
        if trouble != self._trouble:
            _log.warning("%s: %s", self.pod.netns, trouble)
        self._trouble = trouble

    def _tell(self, full: Full | None) -> None:
        """Tell of what is this pod's alone; of descriptors the whole node is told once."""
        before, self._suspended = self._suspended, full
        who = f"{self.pod.identity.namespace}/{self.pod.identity.name}"
        if full is not None:
            self._ground.suspensions[full.value] += 1
        if full is Full.CONNECTIONS and self._told.is_news("full"):
            _log.warning("%s: new connections go direct: %s", who, self.suspended)
        elif full is None and before is Full.CONNECTIONS and self._told.is_news("room"):
            _log.info("%s: new connections are captured again", who)

    # ---- leaving

    async def leave(self, limit: float | None) -> bool:
        """Let new connections go direct, end the captured ones, undo everything. False: recalled meanwhile, it runs again.

        `limit`: seconds for exchanges under way, connections without one are closed at once and what is left then is
        reset; None: every connection goes on until its peers end it.
        """
        self.state = State.DRAINING
        self._recalled = returned = False
        try:
            await self._stop_capturing()
            if limit is not None:
                self.hurry(limit)
            elif self._deadline < _NEVER:
                self._listeners.drain()  # hurried meanwhile: also what was accepted since
            # a namespace going is no event that could be awaited
            while self._waits_for_connections():  # noqa: ASYNC110
                await asyncio.sleep(_DRAIN_LOOK)
            returned = self._recalled and await self._resume()
        finally:
            if not returned:
                await self._let_go()
        return not returned

    def recall(self) -> None:
        """Have the `leave` under way capture new connections again, instead of ending with the last old one."""
        self._recalled = True

    def _waits_for_connections(self) -> bool:
        over = self._recalled or self.vanished or time.monotonic() >= self._deadline
        return bool(self._listeners.open) and not over

    async def _resume(self) -> bool:
        """Capture again with the listeners and the table that are still there; tell whether that is possible."""
        if self._lease is None or self.vanished:
            return False
        try:
            if self.full is None:
                await self._fill(self._lease)
        except OSError as error:
            _log.warning("the rules in %s have to be made anew: %s", self.pod.netns, error)
            return False
        self.state = State.RUNNING
        return True

    async def _stop_capturing(self) -> None:
        if self._lease is None:
            return
        try:
            await self._flush(self._lease)
        except OSError as error:
            _log.warning("the rules in %s stay until the end: %s", self.pod.netns, error)
        await asyncio.sleep(_LINGER)

    def hurry(self, limit: float) -> None:
        """Give what `leave` is waiting for `limit` seconds from now."""
        self._deadline = time.monotonic() + limit
        self._listeners.drain()

    async def abandon(self) -> None:
        """Close everything of a pod that is gone: our sockets would keep its namespace alive."""
        await self._let_go()

    async def _let_go(self) -> None:
        """Undo what `start` did, as far as it came. Raises nothing: there is nobody left to act on it."""
        self.state = State.STOPPED
        self._listeners.close()
        await self._cut()
        lease, self._lease = self._lease, None
        namespace, self._namespace = self._namespace, None
        if lease is not None and namespace is not None:
            await asyncio.to_thread(self._release, lease, namespace)
        if namespace is not None:
            if self._holds:
                self._ground.held.discard(namespace.identity)
            self._holds = False
            namespace.close()

    def _release(self, lease: Lease, namespace: Namespace) -> None:
        """End the lease and what belongs to it. To be called in a worker thread."""
        with self._inside:
            try:
                if self._routed:
                    _remove_routes(lease, namespace)
            except OSError as error:
                _log.warning("routes stay behind in %s: %s", namespace.path, error)
            finally:
                lease.release()

    async def _cut(self) -> None:
        """Reset what is left, and let the resets leave: without the lease the kernel would not translate them any more."""
        await self._listeners.cut()
        for _ in range(_CUT_ROUNDS):
            if not self._listeners.open:
                return
            await asyncio.sleep(0)


def rehearse(ground: Ground, options: PodOptions) -> None:
    """Encode the rules of a pod without wishes of its own: the first one would wait for that, some 30 ms.

    To be called in a worker thread.
    """
    encode.install(_with_options(_basis(ground), ground.inbound_port, options), ground.table)


def _basis(ground: Ground) -> RuleSet:
    return RuleSet(
        outbound_port=ground.outbound_port,
        heartbeat_milliseconds=ground.heartbeat_milliseconds,
        heartbeat_port=heartbeat_port(ground.table),
        owner=ground.owner,
    )


def _with_options(rules: RuleSet, inbound_port: int, options: PodOptions) -> RuleSet:
    return replace(
        rules,
        inbound_port=inbound_port,
        inbound_ports=options.inbound_ports,
        outbound_ports=options.outbound_ports,
        outbound_skip=options.outbound_skip,
        inbound_probability=options.inbound_probability,
        outbound_probability=options.outbound_probability,
        inbound_mode=options.inbound_mode,
        exempt_user=options.exempt_user,
        exempt_group=options.exempt_group,
    )


def _check_mode(mode: InboundMode, replies: Replies) -> None:
    """Raise CaptureError where `mode` cannot be had with `replies`."""
    if mode is InboundMode.REDIRECT and replies is not Replies.SYSCTL:
        message = "inbound mode redirect needs a writable /proc/sys/net; tproxy does not"
        raise CaptureError(message)


def _install(lease: Lease, namespace: Namespace, rules: RuleSet) -> None:
    """Capture. To be called in a worker thread. Raises OSError."""
    has_predecessor = lease.has_neighbours()
    namespace.run(routes.add)
    lease.install(rules)
    if has_predecessor:
        # again: while it did not see our table yet it may have taken them along
        namespace.run(routes.add)


def _remove_routes(lease: Lease, namespace: Namespace) -> None:
    """Every daemon has the same ones: they stay, or come back, where another captures the pod."""
    if lease.has_neighbours():
        return
    namespace.run(routes.remove)
    if lease.has_neighbours():
        namespace.run(routes.add)


@dataclass(frozen=True, slots=True)
class _Doors:
    """The listening sockets of a pod, one of each direction for each family that its loopback has."""

    inbound: tuple[socket.socket, ...]
    outbound: tuple[socket.socket, ...]

    @property
    def inbound_port(self) -> int:
        return _port(self.inbound)

    @property
    def outbound_port(self) -> int:
        return _port(self.outbound)

    @property
    def ipv6(self) -> bool:
        # those of the other direction are transparent: the kernel binds them to any address, also to one that is missing
        return any(sock.family == socket.AF_INET6 for sock in self.outbound)

    def close(self) -> None:
        for sock in (*self.inbound, *self.outbound):
            sock.close()


def _port(group: tuple[socket.socket, ...]) -> int:
    port: int = group[0].getsockname()[1]
    return port


def _doors(sockets: InPodSockets, ground: Ground) -> _Doors:
    """Make the listeners, on loopback only: nobody outside the pod can reach them."""
    outbound = _bind(sockets, ground.outbound_port, _LOOPBACKS, transparent=False)
    try:
        inbound = _bind(sockets, ground.inbound_port, _LOOPBACKS, transparent=True)
    except OSError:
        _Doors((), outbound).close()
        raise
    return _Doors(inbound, outbound)


def _bind(
    sockets: InPodSockets, wanted: int, addresses: tuple[str, str], *, transparent: bool
) -> tuple[socket.socket, ...]:
    """Listen on `wanted` on all of `addresses`, or, where an application holds that port, on one the kernel chooses."""
    try:
        return _bind_all(sockets, wanted, addresses, transparent=transparent)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    return _bind_all(sockets, 0, addresses, transparent=transparent)


def _bind_all(
    sockets: InPodSockets, port: int, addresses: tuple[str, str], *, transparent: bool
) -> tuple[socket.socket, ...]:
    made: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                sock = sockets.listener(address, port, transparent=transparent, backlog=_BACKLOG)
            except AddressMissingError:
                continue
            made.append(sock)
            port = sock.getsockname()[1]  # one port for all families: the rules name one
    except OSError:
        for sock in made:
            sock.close()
        raise
    if not made:
        raise AddressMissingError(errno.EADDRNOTAVAIL, "the pod has no loopback address")
    return tuple(made)


def _refusal(error: OSError) -> CaptureError:
    if isinstance(error, NamespaceGoneError):
        return NamespaceMissingError(f"no network namespace at {error.filename}")
    if error.errno in _NO_LOOPBACK:
        return NetworkUnfinishedError(f"{error.strerror}")
    return CaptureError(f"{error.strerror or error}")
