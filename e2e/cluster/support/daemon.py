"""The real daemon as a process on a node of a cluster, or in a container there, with its list of pods from the kubelet.

Belongs here: starting it where containerd runs, and asking it from here.
"""

import json
import sys
from pathlib import Path
from typing import Any

from e2e.cluster.support.containerd import ClusterNode
from e2e.support.daemon import Daemon, until


class NodeDaemon(Daemon):
    """`netra-node run` on the node, with everything a cluster would give it."""

    def __init__(self, node: ClusterNode, directory: Path, **settings: str) -> None:
        self._node = node
        argv = tuple(node.command(sys.executable, "-m", "netra_node", "run"))
        super().__init__(
            directory,
            directory,
            argv,
            **{"NETRA_POD_SOURCE": "kubelet", "NODE_NAME": "nt-node", **settings},
        )

    # Its ports are on the node's loopback.

    def ask(self, path: str) -> Any:
        return self._node.network.run(lambda: super(NodeDaemon, self).ask(path))

    def blockers(self) -> list[str]:
        return self._node.network.run(super().blockers)

    def metrics(self) -> Any:
        return self._node.network.run(super().metrics)

    def wait_until_ready(self) -> None:
        assert until(lambda: not self.blockers()), self.explain()

    def explain(self) -> str:
        """All it says about itself, for the message of a failed test."""
        return json.dumps(self.status(), indent=1) + "\n".join(self.last_words())
