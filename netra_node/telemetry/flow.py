"""One connection as telemetry sees it: whose it is, with whom, and what all its spans have in common.

Belongs here: the value that observer, schema, encoder and memory share. Does not belong here: any of their work.
"""

from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.paths import NamesInUse

#: Tags as Jaeger's encoder writes them: how many, and their bytes.
Tags = tuple[int, bytes]


class Owner:
    """The pod a flow belongs to, as spans need it. One per `PodIdentity`, so it serves as a key."""

    __slots__ = ("address", "identity", "names", "process", "resource")

    def __init__(self, identity: PodIdentity) -> None:
        """Nothing is known of its address yet."""
        self.identity = identity
        #: One of the pod's, as soon as it has had a connection.
        self.address = ""
        #: The schema's: what the pod's spans are called.
        self.names = NamesInUse()
        #: The encoders': their forms of all that, made once. The first is OTLP's, the other Jaeger's.
        self.resource = b""
        self.process = b""


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
        "tags",
        "transport",
    )

    def __init__(
        self, owner: Owner, connection: ConnectionRecord, transport: Edge, clue: bytes | None
    ) -> None:
        """`transport` is the edge its bytes count into; `clue` what named the peer, None when its address did."""
        self.owner = owner
        self.connection = connection
        self.inbound = connection.direction is Direction.INBOUND
        if not owner.address:
            owner.address = (connection.destination if self.inbound else connection.client).host
        self.transport = transport
        self.edge = transport
        self.peer = transport.peer
        self.clue = clue
        #: Bytes already counted.
        self.received = 0
        self.sent = 0
        #: OTLP's and Jaeger's form of the attributes that all spans of this flow share.
        self.encoded: bytes | None = None
        self.tags: Tags | None = None


#: A span before it has a form: everything it says is in these two.
Finished = tuple[Flow, Exchange]
