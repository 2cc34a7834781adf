"""Two pods and a node, on the product's own testbed; and running programs inside them.

The one door of the bench to subprocesses.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.procfs import listeners
from bench.waiting import BenchError
from netra_node.testbed import Testbed

# The testbed's own names for what stands between the pods.
_NODE = "bridge"
_NODE_ADDRESS = "10.88.0.1"
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Place:
    """One network namespace: where it is mounted, its address, and programs inside it."""

    name: str
    path: str
    address: str
    bed: Testbed

    def run(self, command: Sequence[str], stdin: str = "", timeout: float = 30) -> str:
        """Run `command` inside, return its output. Raises BenchError with its complaint."""
        pipe = subprocess.PIPE
        process = self.bed.spawn(
            self.name, [*command], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        output, complaint = process.communicate(stdin, timeout)
        if process.returncode != 0:
            message = f"{' '.join(command)}: exit {process.returncode}: {complaint.strip()}"
            raise BenchError(message)
        return str(output)

    @contextmanager
    def running(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Keep `command` running inside; yield it. Its output goes to `log`."""
        with log.open("ab") as output:
            process = self.bed.spawn(
                self.name, [*command], stdout=output, stderr=output, env=environment
            )
        try:
            yield process
        finally:
            _stop(process)

    def listens_on(self, *ports: int) -> bool:
        """Say whether all of `ports` have an IPv4 listener inside."""
        return self.bed.run_inside(self.name, listeners).issuperset(ports)


@dataclass(frozen=True, slots=True)
class Topology:
    """The node and its two pods."""

    node: Place
    client: Place
    server: Place


@contextmanager
def topology() -> Iterator[Topology]:
    """Build the namespaces; everything in them ends with the context, whatever happened."""
    with Testbed("bench") as bed:
        client, server = bed.add_pod("client"), bed.add_pod("server")
        yield Topology(
            node=Place(_NODE, "", _NODE_ADDRESS, bed),
            client=Place(client.name, client.path, client.ipv4, bed),
            server=Place(server.name, server.path, server.ipv4, bed),
        )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
