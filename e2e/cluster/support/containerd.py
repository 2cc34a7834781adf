"""A node of a cluster on this machine: containerd, runc and the CNI bridge plugins in namespaces of their own.

Belongs here: making it, images, commands on it, ending it. Does not belong here: pods (`kubelet`).

The node's network, mounts and processes are its own, so paths are those of a real node (`/run/netns`, `/var/lib/cni`) and
nothing of the machine's is touched but cgroups, which lie below one directory in each hierarchy. Its first process is
killed with the thread that made the node, and the kernel then ends everything else on it.
"""

import contextlib
import ctypes
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

from e2e.cluster.support.cri import Cri, CriError
from e2e.support.daemon import until
from netra_node.netns import Namespace

#: The node's own address, and that of pods in its network.
NODE_ADDRESS: Final = "192.168.87.1"
#: Its address on the pods' bridge, from which a kubelet's probes come.
NODE_IPV4: Final = "10.87.0.1"
NODE_IPV6: Final = "fd87::1"
BASE_IMAGE: Final = "localhost/nt-base:1"
#: Where a pod finds its service account's token.
TOKEN_DIRECTORY: Final = "/run/secrets/kubernetes.io/serviceaccount"
_HERE: Final = Path(__file__).parent
_PLUGINS: Final = "/usr/lib/cni"
_BOOT_SECONDS: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_serial: Final = itertools.count(1)
_libc: Final = ctypes.CDLL(None)

# No oom_score_adj below our own: that takes CAP_SYS_RESOURCE, which a machine may not give even to root.
_CONFIG: Final = """\
version = 2
root = "{scratch}/root"
state = "{scratch}/state"
[grpc]
  address = "{scratch}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"""
_NETWORK: Final = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "nt-pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [
                    [{"subnet": "10.87.0.0/16", "gateway": NODE_IPV4}],
                    [{"subnet": "fd87::/64", "gateway": NODE_IPV6}],
                ],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }
    ],
}


class ClusterNode:
    """One node for as long as the `with` block lasts."""

    def __init__(self, scratch: Path) -> None:
        """`scratch` is a directory on a disk that overlayfs can stand on; it is emptied at the end."""
        self.scratch = scratch
        self.name = f"nt-cluster-{os.getpid()}-{next(_serial)}"
        self._end = contextlib.ExitStack()
        self._init = 0
        self._children: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Self:
        _sweep()
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove_files)
            stack.callback(self._remove_cgroups)
            stack.callback(self._collect)
            self._boot(stack)
            self.network = stack.enter_context(Namespace.open(f"/proc/{self._init}/ns/net"))
            self._configure()
            self._start_containerd()
            self.cri = stack.enter_context(Cri(self.scratch / "containerd.sock", self.scratch))
            assert until(self._answers, _BOOT_SECONDS), self.log()
            self._end = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.close()

    @property
    def cgroup(self) -> str:
        """Where its pods' cgroups lie, in every hierarchy."""
        return f"/{self.name}/kubepods"

    # ---- commands on it

    def command(self, *argv: str | Path) -> list[str]:
        """What runs `argv` on the node when it is run here."""
        return [sys.executable, str(_HERE / "inside.py"), str(self._init), *map(str, argv)]

    def run(self, *argv: str | Path, given: str | None = None) -> str:
        """Run to its end; what it printed. Fails with what it said when it fails."""
        done = subprocess.run(
            self.command(*argv),
            capture_output=True,
            text=True,
            input=given,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def outside(self, path: str) -> str:
        """A path of the node as a path of the machine."""
        # /var/run is an absolute link, and would lead back to the machine's own /run.
        return f"/proc/{self._init}/root{path.removeprefix('/var') if path.startswith('/var/run/') else path}"

    def import_image(self, archive: Path) -> None:
        """Give containerd the image of an OCI or Docker archive, under the name the archive says."""
        address = self.scratch / "containerd.sock"
        self.run("ctr", "--address", address, "--namespace", "k8s.io", "image", "import", archive)

    @property
    def token_directory(self) -> Path:
        """Where a kubelet would keep what it mounts into a pod as its service account."""
        return self.scratch / "token"

    def give_token(self, token: str) -> None:
        """Put the daemon's token where a pod would find it, replaced at once as the kubelet does when it rotates."""
        self.token_directory.mkdir(exist_ok=True)
        fresh = self.token_directory / "token.new"
        fresh.write_text(token)
        fresh.replace(self.token_directory / "token")
        self.run(
            "sh",
            "-c",
            f"mkdir -p {TOKEN_DIRECTORY} && cp {self.token_directory}/token {TOKEN_DIRECTORY}/.t"
            f" && mv {TOKEN_DIRECTORY}/.t {TOKEN_DIRECTORY}/token",
        )

    def log(self) -> str:
        """The last lines of containerd's log."""
        return "\n".join((self.scratch / "containerd.log").read_text().splitlines()[-20:])

    def kill(self, pid: int) -> None:
        """End one process of the node, by its pid there."""
        self.run("sh", "-c", f"kill -9 {pid}")

    # ---- birth and end

    def _boot(self, stack: contextlib.ExitStack) -> None:
        argv = [
            "unshare",
            "--mount",
            "--net",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        script = [sys.executable, str(_HERE / "node_init.py"), str(self.scratch), NODE_ADDRESS]
        parent = subprocess.Popen(
            [*argv, *script],
            start_new_session=True,
            preexec_fn=functools.partial(_die_with, os.getpid()),  # noqa: PLW1509 - one system call
        )
        stack.callback(_end, parent)
        assert until((self.scratch / "booted").exists, _BOOT_SECONDS), parent.poll()
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
        self._init = int(children)

    def _configure(self) -> None:
        config = _CONFIG.format(scratch=self.scratch, image=BASE_IMAGE, plugins=_PLUGINS)
        (self.scratch / "containerd.toml").write_text(config)
        network = self.scratch / "pods.conflist"
        network.write_text(json.dumps(_NETWORK))
        self.run("install", "-D", network, "/etc/cni/net.d/pods.conflist")

    def _start_containerd(self) -> None:
        with (self.scratch / "containerd.log").open("wb") as log:
            containerd = subprocess.Popen(
                self.command("containerd", "--config", self.scratch / "containerd.toml"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(containerd)

    def _answers(self) -> str:
        with contextlib.suppress(CriError):
            return self.cri.version()
        return ""

    def _collect(self) -> None:
        # What runs on the node ended with the node's first process.
        for child in self._children:
            child.wait()

    def _remove_cgroups(self) -> None:
        """Remove the directories, which can be empty only once the kernel has collected the processes."""
        until(lambda: not [d for d in _cgroups(self.name) if not _removed(d)], _BOOT_SECONDS)

    def _remove_files(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)


def _sweep() -> None:
    """Remove the cgroups of nodes whose owner was killed; everything else of theirs went with it."""
    for name in {path.name for path in _cgroups("nt-cluster-*")}:
        owner = re.fullmatch(r"nt-cluster-(\d+)-\d+", name)
        if owner and not Path("/proc", owner[1]).exists():
            for directory in _cgroups(name):
                _removed(directory)


def _cgroups(name: str) -> list[Path]:
    """Every directory at or below that name, a pattern, the deepest first."""
    tops = [*Path("/sys/fs/cgroup").glob(f"*/{name}"), *Path("/sys/fs/cgroup").glob(name)]
    found = [Path(top) for start in tops for top, _, _ in os.walk(start)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _removed(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()


def _end(parent: subprocess.Popen[Any]) -> None:
    # unshare ends its child when it is ended, and the kernel everything of the child's PID namespace.
    parent.kill()
    parent.wait()


def _die_with(parent: int) -> None:
    """Have the kernel end this process when the thread that forked it ends. Runs between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
