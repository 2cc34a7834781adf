"""The two machines of an HTTP/1 connection as tables: where a direction is, what happened, where it is then.

Belongs here: states, events, the permitted steps. Does not belong here: what is done at a step (`conversation`). What is not
in the tables cannot happen; `docs/behavior.md` prints them.

The client's machine says what the next client byte belongs to, the server's what the next server byte belongs to. They are
joined by the queue of exchanges not yet answered, and by OPAQUE, which is both or none.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Final


class Side(IntEnum):
    """What the next byte of one direction belongs to. The values are indices into tables of handlers."""

    #: A message head, or empty lines before one.
    HEAD = 0
    #: The body of the message whose head came last.
    BODY = 1
    #: Nobody knows, and nobody looks: bytes only, for good.
    OPAQUE = 2
    #: Client only: perhaps another protocol, perhaps the next request; the answer to CONNECT or Upgrade decides.
    UPGRADING = 3
    #: Client only: the body of a request with Upgrade. RFC 9110 §7.8: what follows it is the other protocol, not it.
    UPGRADE_BODY = 4


class Event(Enum):
    """What moves a direction, in words for the printed table."""

    REQUEST = "request without body"
    REQUEST_WITH_BODY = "request with body"
    UPGRADE_REQUEST = "CONNECT, or Upgrade without body"
    UPGRADE_REQUEST_WITH_BODY = "Upgrade with body"
    INTERIM_ANSWER = "1xx answer, not 101"
    ANSWER = "answer without body"
    ANSWER_WITH_BODY = "answer with body"
    BODY_END = "last byte of the body"
    #: Its final answer is neither 101 nor, to CONNECT, 2xx, and no client byte followed the request: HTTP goes on.
    UPGRADE_REFUSED = "answer that refuses the upgrade"
    #: The upgrade was accepted, or a byte cannot be followed, or a limit was reached.
    LEAVES_HTTP = "opaque, whatever the reason"


Steps = Mapping[tuple[Side, Event], Side]

#: From any state, of both directions at once.
_LEAVING: Final = {(side, Event.LEAVES_HTTP): Side.OPAQUE for side in Side}

CLIENT_STEPS: Final[Steps] = {
    (Side.HEAD, Event.REQUEST): Side.HEAD,
    (Side.HEAD, Event.REQUEST_WITH_BODY): Side.BODY,
    (Side.HEAD, Event.UPGRADE_REQUEST): Side.UPGRADING,
    (Side.HEAD, Event.UPGRADE_REQUEST_WITH_BODY): Side.UPGRADE_BODY,
    (Side.BODY, Event.BODY_END): Side.HEAD,
    (Side.UPGRADE_BODY, Event.BODY_END): Side.UPGRADING,
    (Side.UPGRADE_BODY, Event.UPGRADE_REFUSED): Side.BODY,
    (Side.UPGRADING, Event.UPGRADE_REFUSED): Side.HEAD,
    **_LEAVING,
}

SERVER_STEPS: Final[Steps] = {
    (Side.HEAD, Event.INTERIM_ANSWER): Side.HEAD,
    (Side.HEAD, Event.ANSWER): Side.HEAD,
    (Side.HEAD, Event.ANSWER_WITH_BODY): Side.BODY,
    (Side.BODY, Event.BODY_END): Side.HEAD,
    **{
        step: side
        for step, side in _LEAVING.items()
        if step[0] in (Side.HEAD, Side.BODY, Side.OPAQUE)
    },
}
