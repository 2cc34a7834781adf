"""Messages to Jaeger's agent, by UDP. Belongs here: their pace, and what the kernel tells about their fate.

Does not belong here: the agent's address and socket (`datagrams`), what is in a message (`jaeger`), when to try again (`export`).
An agent never answers; but where its node says by ICMP that nobody listens, the spans are kept for later.
"""

import asyncio
import errno
from typing import Final

from netra_node.telemetry.datagrams import Destination
from netra_node.telemetry.export import Message, NotNowError, Receipt

#: Seconds between two datagrams of 8 KB: a whole batch at once would not fit a receiver's buffer of 200 KB. It is also the
#: time in which a refusal comes back, from the same node always, from another one mostly.
_PACE: Final = 0.001
#: Seconds to wait for the first look at the agent's name.
_LOOK: Final = 1.0


class AgentCarrier:
    """Implements `export.Carrier`: each message is a datagram."""

    def __init__(self, destination: Destination) -> None:
        """Logs nothing itself: the destination does."""
        self._destination = destination

    @property
    def where(self) -> str:
        """Host and port."""
        return self._destination.where

    def start(self) -> None:
        """Begin to look for the agent's address."""
        self._destination.start()

    async def carry(self, message: Message) -> Receipt:
        """Send one. Raises NotNowError where no address is known, the kernel has no room, or nobody listens."""
        await self._wait_for_address()
        try:
            self._destination.send(message.body)
            await asyncio.sleep(_PACE)
            self._destination.check()
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return Receipt(message.spans, f"{len(message.body)} bytes are too many for the way")
            raise NotNowError from error
        return Receipt()

    async def stop(self) -> None:
        """Close the socket."""
        await self._destination.stop()

    async def _wait_for_address(self) -> None:
        try:
            async with asyncio.timeout(_LOOK):
                await self._destination.wait_for_look()
        except TimeoutError:
            pass
