"""Lists of IP networks as people write them: `10.0.0.0/8,fd00::/8`. Belongs here: reading them, nothing of rules."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

Network = IPv4Network | IPv6Network

#: What `parse` takes, in words for an error message.
FORMAT = "IPv4 and IPv6 networks, such as 10.0.0.0/8,fd00::/8,192.0.2.7"
#: Nobody writes more than this by hand.
MAX_ITEMS = 1024


def parse(text: str) -> tuple[Network, ...]:
    """Read networks and single addresses separated by commas, blanks allowed, bits behind the prefix ignored.

    Sorted, IPv4 first, none inside another. Raises ValueError naming the item that is wrong.
    """
    items = text.split(",", MAX_ITEMS)
    if len(items) > MAX_ITEMS:
        message = f"more than {MAX_ITEMS} items"
        raise ValueError(message)
    return tuple(_collapsed([_parse_item(item.strip()) for item in items]))


def _parse_item(item: str) -> Network:
    try:
        # A zone (%eth0) is of an address on one link: nothing that a rule could compare.
        return ip_network("" if "%" in item else item, strict=False)
    except ValueError:
        message = f"{item[:50]!r} is no network"
        raise ValueError(message) from None


def _collapsed(networks: list[Network]) -> Iterator[Network]:
    yield from collapse_addresses(one for one in networks if isinstance(one, IPv4Network))
    yield from collapse_addresses(one for one in networks if isinstance(one, IPv6Network))
