"""Process 1 of a node: `python node_init.py SCRATCH ADDRESS`, started by `unshare` in new mount, network, PID and IPC namespaces.

Belongs here: what a booted machine would have, a loopback, a `/proc`, an empty `/run`, forwarding; then it collects the dead
until the kernel ends it. Everything on the node is its descendant, so nothing outlives it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

#: Where the node has directories of its own; the machine's stay hidden below.
_OWN = (
    "/run/netns",
    "/var/lib/cni",
    "/etc/cni",
    "/var/log/pods",
    "/run/containerd",
    "/run/secrets",
)
# A default route, though it leads nowhere: what goes to a Service's address needs one before it is led elsewhere.
_NETWORK = (
    "ip link set lo up",
    "ip link add uplink type veth peer name router",
    "ip addr add {address}/24 dev uplink",
    "ip link set uplink up",
    "ip link set router up",
    "ip route add default dev uplink",
)
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    # As on nodes of clusters with a bridge: what goes from pod to pod meets the node's rules, Services among them.
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}


def main(scratch: Path, address: str) -> None:
    """Set the node up, say so by a file, and stay."""
    for directory in _OWN:
        Path(directory).mkdir(parents=True, exist_ok=True)
        # The machine's own, in our copy of its mounts: containerd looks at the lower of two.
        while _unmounted(directory):
            pass
        # Shared, as on a booted machine: a DaemonSet's mount of /run/netns has to see namespaces that come later.
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
        subprocess.run(["mount", "--make-shared", directory], check=True)
    for command in _NETWORK:
        subprocess.run(command.format(address=address).split(), check=True)
    for name, value in _SYSCTLS.items():
        Path("/proc/sys", name).write_text(value)
    # An init ignores what it has no handler for, and the kernel hands it every orphan.
    signal.signal(signal.SIGCHLD, _collect)
    (scratch / "booted").touch()
    while True:
        signal.pause()


def _unmounted(directory: str) -> bool:
    done = subprocess.run(["umount", "--lazy", directory], check=False, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def _collect(_number: int, _frame: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
