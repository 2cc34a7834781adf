"""The way to a routed upstream: its name, its addresses one after the other, the connect.

Belongs here: what comes before the connect of a route, and the next address after one that failed. Does not belong here: a
connect itself (`opening`), asking for a name (`resolver`), what the client is told (`routed`).
"""

import asyncio
import errno
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Final

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.routed_tracing import RoutedTracing
from netra_node.core.routing import Target
from netra_node.core.targets import Targets
from netra_node.proxy.dial import Dialer
from netra_node.proxy.opening import Opening, Owner
from netra_node.proxy.resolver import Resolved, Resolver, UnresolvedError
from netra_node.proxy.tasks import spawn

_TASK: Final = "open a route"


class Failure(Enum):
    """Why a route leads nowhere; completes "the route of this request", {} is its target."""

    INVALID = "names no host and port"
    UNRESOLVED = "leads to {}, which cannot be resolved"
    RESOLVING_TIMED_OUT = "leads to {}, which nobody resolves in time"
    NOT_ALLOWED = "leads to {}, where routes may not lead"
    REFUSED = "leads to {}, which cannot be reached"
    TIMED_OUT = "leads to {}, which does not answer"


class RouteError(Exception):
    """A route that leads nowhere."""

    def __init__(self, failure: Failure) -> None:
        """Keep why."""
        super().__init__(failure.value)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Routing:
    """How one pod's outbound requests are routed."""

    tracing: RoutedTracing
    targets: Targets
    resolver: Resolver
    #: Seconds that an idle upstream is kept. Servers end idle connections after 2 s and more; it shall not be just as we send.
    idle: float = 1.0


class RoutedOpening(Opening):
    """An `Opening` towards a route's target. Between it and its owner it is the owner of each attempt."""

    __slots__ = ("_client", "_left", "_owner", "_routing", "_target", "destination")

    def __init__(self, dialer: Dialer, routing: Routing, target: Target) -> None:
        """Do nothing yet; `begin` does."""
        super().__init__(dialer)
        self._routing = routing
        self._target = target
        self._client: ClientAddr | None = None
        self._owner: Owner | None = None
        self._left: list[str] = []
        #: Where it connects to, as far as that is known.
        self.destination: OriginalDst | None = None

    def begin(self, client: ClientAddr, destination: OriginalDst, owner: Owner) -> None:
        """Resolve and dial, wherever `destination` was. Where that fails at once, so does `dial_failed` come at once."""
        self._client, self._owner = client, owner
        host, port = self._target
        if not port:
            self._give_up(RouteError(Failure.INVALID))
        elif _is_address(host):
            self._dial_those([host])
        elif (known := self._routing.resolver.known(host)) is not None:
            self._resolved(known)
        else:
            _ = spawn(self._resolve(host), _TASK)

    async def _resolve(self, host: str) -> None:
        try:
            resolved = await self._routing.resolver.resolve(host)
        except UnresolvedError as error:
            late = error.timed_out
            self._give_up(RouteError(Failure.RESOLVING_TIMED_OUT if late else Failure.UNRESOLVED))
        except Exception as error:  # noqa: BLE001 - an error of ours ends this connection and nothing else
            self._give_up(error)
        else:
            self._resolved(resolved)

    def _resolved(self, resolved: Resolved) -> None:
        if resolved.addresses:
            self._dial_those(resolved.addresses, self._target.host, resolved.name)
        else:
            self._give_up(RouteError(Failure.UNRESOLVED))

    def _dial_those(self, addresses: Sequence[str], *names: str) -> None:
        """Dial the first that may be; `names` are what the list of targets may have."""
        targets = self._routing.targets
        self._left = [address for address in addresses if targets.permits(address, *names)]
        if self._left:
            self._dial()
        else:
            self._give_up(RouteError(Failure.NOT_ALLOWED))

    def _dial(self) -> None:
        if self._client is not None and self._owner is not None:
            self._handed_over = self._closed = False
            self.destination = OriginalDst(self._left.pop(0), self._target.port)
            super().begin(self._client, self.destination, self)

    def upstream_protocol(self) -> asyncio.Protocol:
        """See `Owner`."""
        return asyncio.Protocol() if self._owner is None else self._owner.upstream_protocol()

    def upstream_made(self, up: asyncio.Transport) -> None:
        """See `Owner`."""
        if self._owner is None:
            up.abort()
        else:
            self._owner.upstream_made(up)

    def dial_failed(self, error: Exception) -> None:
        """Try the next address."""
        super().close()
        if isinstance(error, OSError) and self._left:
            self._dial()
        elif isinstance(error, OSError):
            late = error.errno == errno.ETIMEDOUT
            self._give_up(RouteError(Failure.TIMED_OUT if late else Failure.REFUSED))
        else:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if self._owner is not None:
            self._owner.dial_failed(error)

    def close(self) -> None:
        """See `Opening`."""
        self._owner = None  # who keeps us
        super().close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
