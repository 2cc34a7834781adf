"""A Service's virtual address, made of real rules on the node as kube-proxy makes them.

Belongs here: DNAT to the endpoints, one of them by chance for each connection, and SNAT for a pod that calls itself.
"""

from collections.abc import Sequence
from typing import Self

from e2e.cluster.support.containerd import ClusterNode

_RULES = """\
table ip nt-{name} {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr {vip} tcp dport {port} dnat to numgen random mod {count} map {{ {endpoints} }}
  }}
  chain output {{
    type nat hook output priority -100;
    ip daddr {vip} tcp dport {port} dnat to numgen random mod {count} map {{ {endpoints} }}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
{hairpin}
  }}
}}
"""


_END = "table ip nt-{name}\ndelete table ip nt-{name}\n"


class Service:
    """One address and port in front of pods, for as long as the `with` block lasts."""

    def __init__(self, node: ClusterNode, name: str, vip: str, port: int = 80) -> None:
        self.target = (vip, port)
        self._node = node
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._node.run("nft", "-f", "-", given=_END.format(name=self._name))

    def lead_to(self, addresses: Sequence[str], port: int) -> None:
        """Replace the endpoints, all at once."""
        self._node.run(
            *("nft", "-f", "-"),
            given=_END.format(name=self._name)
            + _RULES.format(
                name=self._name,
                vip=self.target[0],
                port=self.target[1],
                count=len(addresses),
                endpoints=", ".join(f"{i} : {ip} . {port}" for i, ip in enumerate(addresses)),
                # Else the pod would answer itself directly, past the address it had called.
                hairpin="\n".join(
                    f"    ip saddr {ip} ip daddr {ip} masquerade" for ip in addresses
                ),
            ),
        )
