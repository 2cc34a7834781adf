"""A node made of files: /run/netns, /proc, the CNI library's cache. Files stand in for namespaces."""

from pathlib import Path

from netra_node.discovery.cni_cache import CniCache
from netra_node.discovery.namespaces import Namespaces
from tests.discovery import cni

UID = "11111111-90ab-cdef-1234-567890abcdef"
SANDBOX = "5" * 64


class Node:
    """A node made of files: /run/netns, /proc, the CNI library's cache."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("netns", "proc", "results"):
            (root / name).mkdir()
        (root / "own").touch()
        self.cache = CniCache((root / "results",))
        self.namespaces = Namespaces(root / "netns", root / "proc", root / "own")

    def namespace(self, name: str) -> str:
        (self.root / "netns" / name).touch()
        return str(self.root / "netns" / name)

    def unmount(self, name: str) -> None:
        (self.root / "netns" / name).unlink()

    def result(
        self,
        name: str = "",
        container: str = SANDBOX,
        uid: str = UID,
        addresses: tuple[str, ...] = ("10.77.0.10/24",),
    ) -> Path:
        """Write a CNI result that names /run/netns/`name`; without a name it tells no path."""
        netns = f"/var/run/netns/{name}" if name else ""
        form = cni.result(uid, container=container, netns=netns, addresses=addresses)
        return cni.write(self.root / "results", form)

    def process(self, number: int, container: str, namespace: str, uid: str = UID) -> None:
        """A process of a pod; its namespace is a path below the node's root."""
        process = self.root / "proc" / str(number)
        (process / "ns").mkdir(parents=True)
        (process / "cgroup").write_text(f"0::/kubepods/pod{uid}/{container}\n")
        (self.root / namespace).touch()
        (process / "ns" / "net").hardlink_to(self.root / namespace)
