"""One connection as telemetry sees it: whose it is, with whom, and what all its spans have in common.

Belongs here: the value that observer, schema, encoder and memory share. Does not belong here: any of their work.
"""

from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.paths import NamesInUse


class Owner:
    """The pod a flow belongs to, as spans need it. One per `PodIdentity`, so it serves as a key."""

    __slots__ = ("identity", "names", "resource")

    def __init__(self, identity: PodIdentity) -> None:
        """`resource` is the encoder's: its form of `identity`, made once."""
        self.identity = identity
        #: The schema's: what the pod's spans are called.
        self.names = NamesInUse()
        self.resource = b""


class Flow:
    """A connection with one peer. Where exchanges of a connection have different peers, there are several flows."""

    __slots__ = (
        "clue",
        "connection",
        "edge",
        "encoded",
        "inbound",
        "owner",
        "peer",
        "received",
        "sent",
        "transport",
    )

    def __init__(
        self, owner: Owner, connection: ConnectionRecord, transport: Edge, clue: bytes | None
    ) -> None:
        """`transport` is the edge its bytes count into; `clue` what named the peer, None when its address did."""
        self.owner = owner
        self.connection = connection
        self.inbound = connection.direction is Direction.INBOUND
        self.transport = transport
        self.edge = transport
        self.peer = transport.peer
        self.clue = clue
        #: Bytes already counted.
        self.received = 0
        self.sent = 0
        #: The encoder's form of the attributes that all spans of this flow share.
        self.encoded: bytes | None = None


#: A span before it has a form: everything it says is in these two.
Finished = tuple[Flow, Exchange]
