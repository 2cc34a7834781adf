"""Which hosts a route may lead to: a list of the operator's, and addresses that no forged route shall ever reach.

Belongs here: reading the list, judging a name and an address. Does not belong here: what a route says (`routing`), resolving.

Who can send a request can send a route. What must not become reachable that way is whatever trusts its callers for being
near: loopback, link-local addresses (a cloud's metadata is one), and our own way into the pod.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from netra_node.core.networks import Network

#: What `parse` takes, in words for an error message.
FORMAT = "names, *.suffixes, IP addresses and networks, comma-separated, such as *.stage.svc.cluster.local,10.0.0.0/8"
#: Nobody writes more than this by hand.
MAX_ITEMS = 1024

_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?\.?")
_NAT64: Final = ip_network("64:ff9b::/96")
#: Ours inside each pod (AnyIP), whatever the list says: RFC 7600 and RFC 6666, never anybody's service.
_OURS: Final = (ip_network("192.0.0.0/24"), ip_network("100::/64"))
#: Clouds' metadata beyond link-local: Amazon's over IPv6, Alibaba's, Azure's.
_METADATA: Final = frozenset(
    {ip_address("fd00:ec2::254"), ip_address("100.100.100.200"), ip_address("168.63.129.16")}
)


@dataclass(frozen=True, slots=True)
class Targets:
    """The hosts that may be dialled. Without any list: all names and addresses but the near ones."""

    listed: bool = False
    names: frozenset[str] = frozenset()
    #: With their dot.
    suffixes: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def has_name(self, name: str) -> bool:
        """Tell whether the list has a name; `name` is in lower case."""
        bare = name.removesuffix(".")
        return bare in self.names or (bool(self.suffixes) and bare.endswith(self.suffixes))

    def permits(self, address: str, *names: str) -> bool:
        """Tell whether `address` may be dialled for a host that is known by `names`; none: it was written as an address."""
        ip = ip_address(address)
        if any(ip in network for network in _OURS):
            return False
        if any(ip in network for network in self.networks):
            return True
        return not _is_near(ip) and (not self.listed or any(map(self.has_name, names)))


def _is_near(ip: IPv4Address | IPv6Address) -> bool:
    return any(
        one.is_loopback
        or one.is_link_local
        or one.is_unspecified
        or one.is_multicast
        or one.is_reserved
        or one in _METADATA
        or (isinstance(one, IPv4Address) and not int(one) >> 24)
        for one in _meanings(ip)
    )


def _meanings(ip: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the address that a packet goes to in the end: an IPv6 one may have an IPv4 one inside (RFC 4291, RFC 6052)."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        yield ip.ipv4_mapped
    elif ip in _NAT64:
        yield IPv4Address(int(ip) & 0xFFFFFFFF)
    else:
        yield ip


def parse(text: str) -> Targets:
    """Read names, `*.suffixes`, addresses and networks separated by commas. Raises ValueError naming the item that is wrong."""
    items = text.lower().split(",", MAX_ITEMS)
    if len(items) > MAX_ITEMS:
        message = f"more than {MAX_ITEMS} items"
        raise ValueError(message)
    networks, names = [], []
    for item in map(str.strip, items):
        try:
            networks.append(ip_network(item, strict=False))
        except ValueError:
            names.append(_name(item))
    return Targets(
        listed=True,
        names=frozenset(name for name in names if not name.startswith("*")),
        suffixes=tuple(name[1:] for name in names if name.startswith("*")),
        networks=tuple(networks),
    )


def _name(item: str) -> str:
    # an address that is none, such as 10.0.0.300, would be a name that nobody has
    if not _NAME.fullmatch(item) or re.search(r"(?:^|\.)[0-9]+\.?$", item) or ".." in item:
        message = f"{item[:50]!r} is no name, no address and no network"
        raise ValueError(message)
    return item.removesuffix(".")
