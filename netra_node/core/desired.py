"""What should be captured, as plain values: discovery makes them, the manager compares them, a workload lives by them.

Belongs here: the per-pod wish and the reason against it. Does not belong here: where they come from (Kubernetes, a file).
"""

from dataclasses import dataclass, field
from enum import Enum

from netra_node.core.identity import PodIdentity
from netra_node.core.networks import Network
from netra_node.core.ports import ALL_PORTS, PortSet


class InboundMode(Enum):
    """How connections to the pod are brought to us. The values are what users write."""

    #: The application sees its client's address and port, and an address of ours as its own.
    TPROXY = "tproxy"
    #: By NAT: the application sees its client's and its own address and port.
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class PodOptions:
    """How one pod wants to be captured: annotations laid over the node's settings."""

    #: None: every port is sniffed; a set: only these are read as HTTP.
    http_ports: PortSet | None = None
    inbound_ports: PortSet = ALL_PORTS
    outbound_ports: PortSet = ALL_PORTS
    #: Destinations that are never captured on their way out.
    outbound_skip: tuple[Network, ...] = ()
    #: Share of the new connections that is captured, decided by chance for each of them; 1 is all.
    inbound_probability: float = 1.0
    outbound_probability: float = 1.0
    inbound_mode: InboundMode = InboundMode.TPROXY
    #: Numeric ids of processes whose connections are never captured on their way out; None: nobody is exempt.
    exempt_user: int | None = None
    exempt_group: int | None = None


@dataclass(frozen=True, slots=True)
class DesiredPod:
    """A pod that shall be captured. `netns` is a path to its network namespace, `addresses` what is known of its IPs."""

    identity: PodIdentity
    netns: str
    addresses: tuple[str, ...] = ()
    options: PodOptions = field(default_factory=PodOptions)


@dataclass(frozen=True, slots=True)
class RefusedPod:
    """A pod that is known and not captured, and why, in words for a person."""

    uid: str
    namespace: str
    name: str
    reason: str
    #: Only its options are wrong: where it is captured already, it stays so by the last good ones.
    keeps: bool = False
    #: Nothing is wrong with it: what it lacks will come, and is no news.
    waits: bool = False
