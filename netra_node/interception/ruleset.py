"""The rules of one pod, as data, and every number they share with the rest of the daemon.

Belongs here: which packet meets which fate, and why. Does not belong here: how the kernel wants it written (`encode`), how it
gets there (`netlink`, `lease`), what stands outside the nftables table (`routes`).

Both directions capture only the SYN, only while the heartbeat lives, and only where somebody listens:

    pod's app --SYN--> output ----> capture_out: REDIRECT to us on loopback --> input: listener? accept : drop
    network   --SYN--> prerouting -> capture_in: app's listener? TPROXY to us on loopback
    or, in mode `redirect`:
    network   --SYN--> destination -> redirect_in: app's listener? DNAT to us on the AnyIP address --> input: as above

Established connections never look at these rules again, so adding them, flushing the two capture chains and losing the whole
table all leave running connections of the application alone.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final, TypeVar

from netra_node.core.desired import InboundMode
from netra_node.core.ports import ALL_PORTS, PortSet

Network = TypeVar("Network", IPv4Network, IPv6Network)

#: Mark of our own sockets towards the network, of the heartbeat, and of connections that NAT leads to us. Not 1 nor 0x539,
#: which others use.
OUTBOUND_MARK: Final = 0x1539
#: Mark of our own sockets towards the pod's application; answers that carry it are routed back to us.
INBOUND_MARK: Final = 0x153A
#: Routing table of those answers, and the priority of the rule that leads there.
ROUTE_TABLE: Final = 1539
RULE_PRIORITY: Final = 1539
#: Where the application is dialled. Packets to them are local by a route (AnyIP), so that the client's exact address and
#: port can be used as source: the 4-tuple differs from the client's own. RFC 7600 (dummy address), RFC 6666 (discard prefix).
#: In mode `redirect` we listen there instead: no port of the pod's own address is taken, and none of ours can be seen.
ANYIP_V4: Final = "192.0.0.8"
ANYIP_V6: Final = "100::8"
#: Where heartbeats are sent; nobody needs to listen, a rule eats them.
HEARTBEAT_HOST: Final = "127.0.0.1"

#: The chains whose rules are flushed to stop capturing.
CAPTURE_CHAINS: Final = ("capture_out", "capture_in", "redirect_in")


class Replies(Enum):
    """How the application's answers, addressed to its client, find back to us."""

    #: The accepted socket inherits the SYN's mark (`tcp_fwmark_accept`). Survives the loss of conntrack entries: preferred.
    SYSCTL = "sysctl"
    #: The connection remembers the mark and lends it to its answers: for a read-only /proc/sys.
    CONNTRACK = "conntrack"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What distinguishes one pod's rules from another's. Equal values share one encoding."""

    inbound_port: int = 14955
    outbound_port: int = 14956
    #: Whether we listen on `::1` too; where the pod has none, nothing of IPv6 may be led there.
    ipv6: bool = True
    #: Destination ports that are captured; an empty set captures nothing in that direction.
    inbound_ports: PortSet = ALL_PORTS
    outbound_ports: PortSet = ALL_PORTS
    #: Destinations that are never captured on their way out.
    outbound_skip: tuple[IPv4Network | IPv6Network, ...] = ()
    #: Share of the new connections that is captured, 0..1, to a billionth.
    inbound_probability: float = 1.0
    outbound_probability: float = 1.0
    #: `inbound_port` is the port of this mode's listener.
    inbound_mode: InboundMode = InboundMode.TPROXY
    #: Whose connections are never captured on their way out, by numeric id.
    exempt_user: int | None = None
    exempt_group: int | None = None
    #: Without a heartbeat for so long new connections go direct.
    heartbeat_milliseconds: int = 1000
    #: Where the heartbeat is sent. One daemon's must not keep another's rules alive: see `heartbeat_port`.
    heartbeat_port: int = 9
    replies: Replies = Replies.SYSCTL
    #: The table belongs to the socket that made it and dies with it. Linux 5.12; below it the heartbeat alone ends capturing.
    owner: bool = True


class Is(Enum):
    """Conditions without a parameter, as `nft` writes them. A rule ends at the first that does not hold."""

    TCP = "meta l4proto tcp"
    UDP = "meta l4proto udp"
    IPV4 = "meta nfproto ipv4"
    IPV6 = "meta nfproto ipv6"
    #: Without it conntrack would pick up running connections mid-stream and NAT would reset them.
    SYN = "tcp flags syn / fin,syn,rst,ack"
    #: Every packet of a connection but its first.
    ACK = "tcp flags ack / ack"
    FROM_LOOPBACK = 'iifname "lo"'
    NOT_FROM_LOOPBACK = 'iifname != "lo"'
    TO_THIS_POD = "fib daddr type local"
    #: From an application's end of a connection that we dialled.
    FROM_ANYIP_V4 = "ip saddr 192.0.0.8"
    FROM_ANYIP_V6 = "ip6 saddr 100::8"
    FROM_LINK_LOCAL = "ip6 saddr fe80::/10"
    TO_LINK_LOCAL = "ip6 daddr fe80::/10"
    #: The set holds the address type `local` while we beat; a pod's own SYN comes from such an address ...
    SENDER_ALIVE = "fib saddr type @alive"
    #: ... and a SYN for the pod goes to one.
    RECEIVER_ALIVE = "fib daddr type @alive"
    #: A listener or a TIME_WAIT socket would take the packet. (`socket wildcard` does not hold for TIME_WAIT.)
    WANTED = "socket transparent <= 1"
    ORIGINAL = "ct direction original"
    REPLY = "ct direction reply"
    #: Never true, but makes the chain use conntrack.
    NEVER = "ct state == 0"


class Do(Enum):
    """Actions without a parameter."""

    COUNT = "counter"
    NOTRACK = "notrack"
    ACCEPT = "accept"
    DROP = "drop"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Marked:
    """`meta mark`: the packet carries it."""

    mark: int


@dataclass(frozen=True, slots=True)
class SocketMarked:
    """`socket mark`: the socket that would take the packet carries it."""

    mark: int


@dataclass(frozen=True, slots=True)
class ConnectionMarked:
    """`ct mark`: the packet's connection carries it."""

    mark: int


@dataclass(frozen=True, slots=True)
class ToPort:
    """`tcp dport`, behind UDP `udp dport`, is exactly this."""

    port: int


@dataclass(frozen=True, slots=True)
class ToPortIn:
    """`tcp dport` is in the named set."""

    name: str


@dataclass(frozen=True, slots=True)
class ToAddressIn:
    """`ip daddr` or `ip6 daddr` is in the named set; stands behind IPV4 or IPV6."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Chance:
    """`numgen random mod 1000000000 < billionths`."""

    billionths: int


@dataclass(frozen=True, slots=True)
class SentByUser:
    """`meta skuid`: the process that made the socket had this user id."""

    number: int


@dataclass(frozen=True, slots=True)
class SentByGroup:
    """`meta skgid`: it had this group id, not as a supplementary one."""

    number: int


@dataclass(frozen=True, slots=True)
class Beat:
    """`update @alive { fib daddr type timeout … }`."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class MarkPacket:
    """`meta mark set`."""

    mark: int


@dataclass(frozen=True, slots=True)
class MarkConnection:
    """`ct mark set`."""

    mark: int


@dataclass(frozen=True, slots=True)
class Jump:
    """`jump`: come back here when that chain has no verdict."""

    chain: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """`redirect to :port`: in output that is loopback's."""

    port: int


@dataclass(frozen=True, slots=True)
class Tproxy:
    """`tproxy to address:port`: hand the packet to that listener, address and ports unchanged."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Dnat:
    """`dnat ip to address:port`: change the destination for the whole connection."""

    address: str
    port: int


Statement = (
    Is
    | Do
    | Marked
    | SocketMarked
    | ConnectionMarked
    | ToPort
    | ToPortIn
    | ToAddressIn
    | Chance
    | SentByUser
    | SentByGroup
    | Beat
    | MarkPacket
    | MarkConnection
    | Jump
    | Redirect
    | Tproxy
    | Dnat
)
Rule = tuple[Statement, ...]


class Hook(IntEnum):
    """Where in the stack a base chain sits (linux/netfilter.h)."""

    PREROUTING = 0
    INPUT = 1
    OUTPUT = 3


@dataclass(frozen=True, slots=True)
class Base:
    """What makes a chain a base chain: `type … hook … priority …`, policy accept."""

    kind: str
    hook: Hook
    priority: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in their order; without `base` only reached by a jump."""

    name: str
    base: Base | None
    rules: tuple[Rule, ...]


#: Keys in network order.
Ranges = tuple[tuple[bytes, bytes], ...]


class SetType(Enum):
    """Type number (nftables datatype.h, for who lists the table) and length in bytes of a set's key."""

    INET_SERVICE = (13, 2)
    IPV4_ADDR = (7, 4)
    IPV6_ADDR = (8, 16)
    FIB_ADDRTYPE = (38, 4)


@dataclass(frozen=True, slots=True)
class IntervalSet:
    """A set of ranges: first key, and the key behind the last, which is empty where no key is behind."""

    name: str
    type: SetType
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class TimeoutSet:
    """An empty set that packets fill, whose elements expire."""

    name: str
    type: SetType
    milliseconds: int


_BILLION: Final = 1_000_000_000
# Priorities have names in nft: raw, mangle, dstnat, filter.
_RAW, _MANGLE, _DSTNAT, _FILTER = -300, -150, -100, 0


def heartbeat_port(table: str) -> int:
    """Return the port for the heartbeat of `table`, as good as surely no other table's."""
    return 1 + zlib.crc32(table.encode()) % 65535


def sets(rules: RuleSet) -> tuple[IntervalSet | TimeoutSet, ...]:
    """Return the sets the chains look into."""
    skip4 = [network for network in rules.outbound_skip if isinstance(network, IPv4Network)]
    skip6 = [network for network in rules.outbound_skip if isinstance(network, IPv6Network)]
    return (
        IntervalSet("in_ports", SetType.INET_SERVICE, _port_ranges(rules.inbound_ports)),
        IntervalSet("out_ports", SetType.INET_SERVICE, _port_ranges(rules.outbound_ports)),
        IntervalSet("out_skip4", SetType.IPV4_ADDR, _address_ranges(skip4)),
        IntervalSet("out_skip6", SetType.IPV6_ADDR, _address_ranges(skip6)),
        TimeoutSet("alive", SetType.FIB_ADDRTYPE, rules.heartbeat_milliseconds),
    )


def chains(rules: RuleSet) -> tuple[Chain, ...]:
    """Return every chain of the table."""
    guard = (_input(),) if rules.owner else ()
    replies = (_replies(),) if rules.replies is Replies.CONNTRACK else ()
    return (
        _heartbeat(rules),
        _own_sent(rules),
        _own_received(),
        _output(rules),
        *guard,
        _prerouting(rules),
        _destination(rules),
        *captures(rules),
        *replies,
    )


def captures(rules: RuleSet) -> tuple[Chain, ...]:
    """Return the chains that are flushed and filled while the others stay."""
    return (_capture_out(rules), _capture_in(rules), _redirect_in(rules))


def _heartbeat(rules: RuleSet) -> Chain:
    """One datagram of ours, 3 µs, keeps both directions and both families alive; it never leaves this chain."""
    beat: Rule = (
        Is.UDP,
        Marked(OUTBOUND_MARK),
        ToPort(rules.heartbeat_port),
        Beat(rules.heartbeat_milliseconds),
        Do.COUNT,
        Do.DROP,
    )
    return Chain("heartbeat", Base("filter", Hook.OUTPUT, _FILTER), (beat,))


def _own_sent(rules: RuleSet) -> Chain:
    """Our own upstream connections are not tracked.

    A stale NAT entry of the application's (its RST leaves one for 10 s) would catch ours when it has the same port. A
    conntrack zone is no cure: NAT then remaps ports of direct connections, and their server's TIME_WAIT refuses them.
    """
    own: tuple[Rule, ...] = ((Marked(OUTBOUND_MARK), Do.NOTRACK),)
    if rules.replies is Replies.SYSCTL:
        own += ((Marked(INBOUND_MARK), Do.NOTRACK),)
    return Chain("own_sent", Base("filter", Hook.OUTPUT, _RAW), own)


def _own_received() -> Chain:
    """Their answers carry no mark, but the sockets they are for do."""
    own: Rule = (Is.NOT_FROM_LOOPBACK, Is.TCP, SocketMarked(OUTBOUND_MARK), Do.NOTRACK)
    return Chain("own_received", Base("filter", Hook.PREROUTING, _RAW), (own,))


def _spared(rules: RuleSet) -> tuple[Rule, ...]:
    """What is captured nowhere. A link-local address needs its link, and no socket tells us that of a captured connection."""
    if not rules.ipv6:
        return ((Is.IPV6, Do.RETURN),)
    return (
        (Is.IPV6, Is.TO_LINK_LOCAL, Do.RETURN),
        (Is.IPV6, Is.FROM_LINK_LOCAL, Do.RETURN),
    )


def _output(rules: RuleSet) -> Chain:
    return Chain(
        "output",
        Base("nat", Hook.OUTPUT, _DSTNAT),
        (
            # Keeps conntrack and NAT at work while capture_out is flushed, for the connections captured before.
            (Is.NEVER, Do.RETURN),
            # NAT is not asked about untracked packets; of ours that leaves the inbound ones of the conntrack variant.
            (Marked(OUTBOUND_MARK), Do.RETURN),
            (Marked(INBOUND_MARK), Do.RETURN),
            (Is.TO_THIS_POD, Do.RETURN),
            *_spared(rules),
            (Jump("capture_out"),),
        ),
    )


def _share(probability: float, *captures: Rule) -> tuple[Rule, ...]:
    """Have what each rule does, its last three statements, happen by chance, drawn for each new connection.

    A SYN that is sent again does not draw again. NAT asks its chains about the first packet of a connection alone. TPROXY's
    are asked again, but whoever got the first SYN has a socket for the connection by then: `tproxy` leaves the packet to
    the application where that is not one of ours, and without it the kernel finds ours by itself.
    """
    if probability <= 0:
        return ()
    if probability >= 1:
        return captures
    billionths = min(max(1, round(probability * _BILLION)), _BILLION - 1)
    return tuple((*rule[:-3], Chance(billionths), *rule[-3:]) for rule in captures)


def _capture_out(rules: RuleSet) -> Chain:
    redirect: Rule = (
        Is.SENDER_ALIVE,
        Is.TCP,
        ToPortIn("out_ports"),
        Is.SYN,
        # By this mark the entries are found, and deleted, before the pod is captured again.
        MarkConnection(OUTBOUND_MARK),
        Do.COUNT,
        Redirect(rules.outbound_port),
    )
    return Chain(
        "capture_out",
        None,
        (
            *_exempt(rules),
            (Is.IPV4, ToAddressIn("out_skip4", 4), Do.RETURN),
            (Is.IPV6, ToAddressIn("out_skip6", 6), Do.RETURN),
            *_share(rules.outbound_probability, redirect),
        ),
    )


def _exempt(rules: RuleSet) -> Iterator[Rule]:
    """Either suffices, as with netramesh."""
    if rules.exempt_user is not None:
        yield (SentByUser(rules.exempt_user), Do.RETURN)
    if rules.exempt_group is not None:
        yield (SentByGroup(rules.exempt_group), Do.RETURN)


def _input() -> Chain:
    """While we die our listener is gone before the table is: a SYN in between is dropped, not refused.

    Its retransmission, a second later, goes direct. Only with an owned table: NAT entries would outlive any other, and keep
    the retransmissions redirected.
    """
    # By the mark, not by our port: the pod's own connection to that port of its address is refused as any other closed one.
    redirected: Rule = (Is.TCP, Is.SYN, ConnectionMarked(OUTBOUND_MARK))
    return Chain(
        "input",
        Base("filter", Hook.INPUT, _FILTER),
        ((*redirected, Is.WANTED, Do.ACCEPT), (*redirected, Do.COUNT, Do.DROP)),
    )


def _prerouting(rules: RuleSet) -> Chain:
    return Chain(
        "prerouting",
        Base("filter", Hook.PREROUTING, _MANGLE),
        (
            *_spared(rules),
            (Is.NOT_FROM_LOOPBACK, Is.TCP, Is.SYN, Jump("capture_in")),
            *_reopen(rules),
            *_refuse(rules),
        ),
    )


def _refuse(rules: RuleSet) -> tuple[Rule, ...]:
    """Tell the application that our end of a connection is gone, where it has not heard it: a reset can be lost.

    The kernel answers a packet that no socket takes by a reset, but not from an address that is not the pod's, as the client's is:
    the application would wait for ever. `tproxy` finds our end of the connection; only where there is none it takes our
    listener, which is transparent and so may answer from any address. What is for the application must pass: where it answers
    by SYN cookies it has no socket for a connection yet. So this is about AnyIP alone, and not about an application that we
    had to dial at the pod's own address; to tell its packets from ours would take a look at the routes for each.
    """

    def refuse(family: Is, anyip: Is, address: str) -> Rule:
        theirs = (family, Is.FROM_LOOPBACK, anyip, Is.TCP, Marked(INBOUND_MARK), Is.ACK)
        return (*theirs, Tproxy(address, rules.inbound_port))

    return (
        refuse(Is.IPV4, Is.FROM_ANYIP_V4, "127.0.0.1"),
        refuse(Is.IPV6, Is.FROM_ANYIP_V6, "::1"),
    )


def _reopen(rules: RuleSet) -> tuple[Rule, ...]:
    """Let a redirected SYN open its connection though our end of an earlier one is in TIME_WAIT.

    To us all destinations are one, so a source port comes round sooner than it does to the application, and its timestamps
    begin anew for each destination: TIME_WAIT refuses every second such SYN (RFC 7323, section 5.3). The retransmission comes
    10 ms later, or a second. `tproxy` ends TIME_WAIT before it finds that our listener is not transparent; it lets the packet pass
    then, or where nobody listens.
    """

    def reopen(family: Is, address: str) -> Rule:
        port = rules.outbound_port
        return (family, Is.FROM_LOOPBACK, Is.TCP, ToPort(port), Is.SYN, Tproxy(address, port))

    return (reopen(Is.IPV4, "127.0.0.1"), reopen(Is.IPV6, "::1"))


def _destination(rules: RuleSet) -> Chain:
    """Always there: for connections that were redirected before the mode was changed or the chain flushed."""
    return Chain(
        "destination",
        Base("nat", Hook.PREROUTING, _DSTNAT),
        (*_spared(rules), (Is.NOT_FROM_LOOPBACK, Is.TCP, Is.SYN, Jump("redirect_in"))),
    )


def _towards(family: Is) -> Rule:
    return (family, Is.RECEIVER_ALIVE, Is.TCP, ToPortIn("in_ports"))


def _into(family: Is) -> Rule:
    # A port nobody listens on is left to the kernel, which refuses: probes stay true.
    return (*_towards(family), Is.WANTED)


def _capture_in(rules: RuleSet) -> Chain:
    """TPROXY without a listener of ours lets the packet pass: this direction fails open by itself.

    A TIME_WAIT socket hides whether somebody still listens. So it is ended first, as `_reopen` does it, and as the kernel does
    where a listener takes the SYN: else a client whose port comes round would be accepted on a port that is closed by then.
    """

    def end_time_wait(family: Is, address: str) -> Rule:
        return (*_towards(family), Tproxy(address, rules.outbound_port))

    def capture(family: Is, address: str) -> Rule:
        return (*_into(family), Tproxy(address, rules.inbound_port), Do.COUNT, Do.ACCEPT)

    if rules.inbound_mode is not InboundMode.TPROXY or rules.inbound_probability <= 0:
        return Chain("capture_in", None, ())
    ends = end_time_wait(Is.IPV4, "127.0.0.1"), end_time_wait(Is.IPV6, "::1")
    captures = capture(Is.IPV4, "127.0.0.1"), capture(Is.IPV6, "::1")
    return Chain("capture_in", None, (*ends, *_share(rules.inbound_probability, *captures)))


def _redirect_in(rules: RuleSet) -> Chain:
    """NAT to an address that nobody else uses: the pod's own addresses keep every port they have."""

    def capture(family: Is, address: str) -> Rule:
        port = rules.inbound_port
        return (*_into(family), MarkConnection(OUTBOUND_MARK), Do.COUNT, Dnat(address, port))

    share = _share(
        rules.inbound_probability, capture(Is.IPV4, ANYIP_V4), capture(Is.IPV6, ANYIP_V6)
    )
    return Chain("redirect_in", None, share if rules.inbound_mode is InboundMode.REDIRECT else ())


def _replies() -> Chain:
    """Type `route`: the answer is routed anew once it is marked."""
    return Chain(
        "replies",
        Base("route", Hook.OUTPUT, _MANGLE),
        (
            (Is.ORIGINAL, Marked(INBOUND_MARK), MarkConnection(INBOUND_MARK), Do.RETURN),
            (Is.REPLY, ConnectionMarked(INBOUND_MARK), MarkPacket(INBOUND_MARK)),
        ),
    )


def _port_ranges(ports: PortSet) -> Ranges:
    return tuple((_packed(low, 2), _packed(high + 1, 2)) for low, high in ports.ranges)


def _address_ranges(networks: Iterable[Network]) -> Ranges:
    return tuple(_address_range(network) for network in collapse_addresses(networks))


def _address_range(network: IPv4Network | IPv6Network) -> tuple[bytes, bytes]:
    behind = int(network.broadcast_address) + 1
    return network.network_address.packed, _packed(behind, network.max_prefixlen // 8)


def _packed(number: int, size: int) -> bytes:
    """Return `number` in network order; behind the last number there is nothing, and an empty key says so."""
    return b"" if number == 1 << 8 * size else number.to_bytes(size, "big")
