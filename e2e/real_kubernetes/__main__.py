"""`python -m e2e.real_kubernetes`: a cluster that stands until it is interrupted, and how to type on its node."""

import shlex
import signal
import tempfile
from pathlib import Path

from e2e.real_kubernetes.stand import standing

if __name__ == "__main__":
    with standing(Path(tempfile.mkdtemp(prefix="nt-kubernetes-"))) as cluster:
        print(f"A shell on the node, its administrator's:  {shlex.join(cluster.command('bash'))}")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
