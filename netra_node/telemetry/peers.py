"""Who is at the other end, as a name that may become a label: known, checked, and few.

Belongs here: the order of evidence of `design.md` §6 and the limit on names. Does not belong here: counting.
"""

import re
from functools import lru_cache
from ipaddress import ip_address

#: Somebody we cannot name.
EXTERNAL = "external"
#: Everybody after the first `MAX_NAMES`.
OTHER = "other"
#: Probes (user agent `kube-probe/`).
KUBELET = "kubelet"

MAX_NAMES = 200
_REMEMBERED = 512
_LONGEST_NAME = 253
#: RFC 1123 §2.1; the last label is not all digits, so that an address is no name (RFC 3696 §2).
_DNS_NAME = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    rb"(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z"
)
_MAPPED = "::ffff:"


class Directory:
    """Which service has which address on this node. The manager tells of pods that come and go."""

    __slots__ = ("_services",)

    def __init__(self) -> None:
        """Knows nobody yet."""
        self._services: dict[str, str] = {}

    def set_address(self, address: str, service: str) -> None:
        """Let `address`, in its textual form, be `service` from now on, for connections that are yet to open."""
        self._services[_plain(address)] = service

    def remove(self, address: str) -> None:
        """Forget `address`; an unknown one is no error."""
        self._services.pop(_plain(address), None)

    def service_at(self, address: str) -> str | None:
        """Return the service at `address`, None when it is not on this node."""
        return self._services.get(_plain(address))


class PodPeers:
    """The names one pod's peers go by, at most `MAX_NAMES` of them in its lifetime."""

    __slots__ = ("_by_host", "_by_source", "_names")

    def __init__(self) -> None:
        """No peer seen yet."""
        self._names: set[str] = set()
        self._by_source: dict[bytes, str] = {}
        self._by_host: dict[bytes, str] = {}

    def admit(self, name: str) -> str:
        """Return `name` if it may still be a label of this pod, else `other`."""
        if name not in self._names:
            if len(self._names) >= MAX_NAMES:
                return OTHER
            self._names.add(name)
        return name

    def of_source(self, source: bytes) -> str:
        """Name an inbound peer by its X-Source; `external` when that is empty or no DNS name."""
        known = self._by_source.get(source)
        if known is None:
            known = self._remember(self._by_source, source, source)
        return known

    def of_host(self, host: bytes) -> str:
        """Name an outbound peer by the Host it was asked for; `external` when that is no DNS name."""
        known = self._by_host.get(host)
        if known is None:
            known = self._remember(self._by_host, host, host.partition(b":")[0].lower())
        return known

    def _remember(self, memory: dict[bytes, str], clue: bytes, name: bytes) -> str:
        if len(name) <= _LONGEST_NAME and _DNS_NAME.match(name):
            answer = self.admit(name.decode("ascii"))
        else:
            answer = EXTERNAL
        if len(memory) >= _REMEMBERED:
            memory.clear()
        if len(clue) <= _LONGEST_NAME + len(":65535"):
            memory[clue] = answer
        return answer


@lru_cache(maxsize=1024)
def is_private(address: str) -> bool:
    """Tell whether `address` is of no use in the public Internet: RFC 1918, RFC 6598, unique local, loopback and the like."""
    try:
        return not ip_address(_plain(address)).is_global
    except ValueError:
        return False


def _plain(address: str) -> str:
    """Return an IPv4 address that a dual-stack socket wrote as IPv6 (RFC 4291 §2.5.5.2) in its own form."""
    return address.removeprefix(_MAPPED)
