"""Datagrams to one name and port, for those who report by UDP. Belongs here: the name's address, now and later, and the socket.

Does not belong here: what is in a datagram. Sending never waits and nothing is kept: whoever cannot lose it, keeps it.

A name is asked for off the loop, again and again: its address may move, and at the start nobody may know it. A socket is connected, so
that the kernel tells when nobody listens there (ICMP, as the error of a later call): that is worth a line in the log and no more.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

logger = logging.getLogger(__name__)

#: Seconds from one look at the name to the next, and where the last one, or a datagram, found nobody.
_LOOK: Final = 30.0
_SOON: Final = 3.0
#: Seconds without a refusal after which somebody is believed to listen: the kernel does not tell of every one.
_QUIET: Final = 10.0

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
#: Returns the addresses of a name, the best first; raises OSError. `(host, port)` are its arguments.
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


async def resolve(host: str, port: int) -> list[Address]:
    """Ask the system, in a thread."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return [(socket.AddressFamily(family), address) for family, _, _, _, address in found]


class Destination:
    """Where datagrams go. Starts and ends on one loop; its socket is of the namespace that the loop is in then."""

    def __init__(
        self,
        what: str,
        host: str,
        port: int,
        resolve_name: Resolve = resolve,
        interval: float | None = _LOOK,
    ) -> None:
        """`what` is lost when nobody takes it: `counts for StatsD`. For the log.

        `interval` is the time between two looks at the name, in seconds; None: its first address stays.
        """
        self._what = what
        #: Host and port, for a log line.
        self.where = f"{host} port {port}"
        self._interval = interval
        self._host = host
        self._port = port
        self._resolve = resolve_name
        self._socket: socket.socket | None = None
        self._address: Address | None = None
        self._doubtful = asyncio.Event()
        self._looked = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None
        self._troubled = False
        self._last_trouble = 0.0

    @property
    def ready(self) -> bool:
        """Whether there is an address to send to."""
        return self._socket is not None

    def start(self) -> None:
        """Begin to look for the address, on the running loop."""
        # Owned here: `stop` ends it.
        self._looker = asyncio.get_running_loop().create_task(
            self._keep_looking(), name=f"address of {self._host}"
        )

    async def wait_for_look(self) -> None:
        """Return as soon as the name was asked for once, with whatever success."""
        await self._looked.wait()

    async def stop(self) -> None:
        """End looking, and close the socket."""
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.wait({self._looker})
        self._replace(None, None)

    def send(self, datagram: bytes) -> None:
        """Send one. Raises OSError where the kernel does not take it, BlockingIOError where it would with time."""
        if self._socket is None:
            message = "no address is known"
            raise OSError(message)
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError as error:
            # An earlier one was refused, this one did not leave: somebody may be there by now.
            self._complain(error)
            self._socket.send(datagram)
        except BlockingIOError:
            raise  # it is ours that go too fast, and nobody's absence
        except OSError as error:
            self._complain(error)
            raise
        else:
            self._settle()

    def check(self) -> None:
        """Raise OSError where the kernel was told by now that what was sent last found nobody."""
        code = (
            0
            if self._socket is None
            else self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        )
        if code:
            error = OSError(code, os.strerror(code))
            self._complain(error)
            raise error

    async def _keep_looking(self) -> None:
        interval = _LOOK if self._interval is None else self._interval
        while self._interval is not None or not self.ready:
            self._doubtful.clear()
            await self._look()
            self._looked.set()
            await asyncio.sleep(min(_SOON, interval))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0, interval - _SOON)):
                    await self._doubtful.wait()

    async def _look(self) -> None:
        """Take over the addresses that the name has now; those of before stay where nobody can tell."""
        try:
            found = await self._resolve(self._host, self._port)
            if self._address not in found:
                self._connect_first(found)
        # a name that no encoding takes is a UnicodeError
        except (OSError, UnicodeError) as error:
            self._complain(error)

    def _connect_first(self, found: Sequence[Address]) -> None:
        """Connect to the first that there is a way to. Raises OSError where there is none."""
        failure = OSError("the name has no address")
        # IPv4 first, as Go does and with it netramesh: of the two addresses of `localhost` a server often has only that.
        for address in sorted(found, key=lambda one: one[0] is not socket.AF_INET):
            try:
                self._replace(_connected(address), address)
            except OSError as error:
                failure = error
            else:
                return
        raise failure

    def _replace(self, made: socket.socket | None, address: Address | None) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._address = made, address

    def _complain(self, error: Exception) -> None:
        """Log that nobody takes them, once, and look again soon."""
        self._doubtful.set()
        self._last_trouble = asyncio.get_running_loop().time()
        if not self._troubled:
            self._troubled = True
            logger.warning("%s do not reach %s: %s", self._what, self.where, error)

    def _settle(self) -> None:
        """Log that somebody takes them again."""
        if not self._troubled:
            return
        if asyncio.get_running_loop().time() - self._last_trouble > _QUIET:
            self._troubled = False
            logger.info("%s reach %s again", self._what, self.where)


def _connected(address: Address) -> socket.socket:
    made = socket.socket(address[0], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.connect(address[1])
    except OSError:
        made.close()
        raise
    return made
