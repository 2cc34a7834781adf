"""Kubernetes' own programs on a node of `e2e.cluster`: etcd, API server, controller manager, scheduler, kubelet, kube-proxy.

Belongs here: how they are started, and with which certificates and accounts. Does not belong here: the node and its containerd
(`e2e.cluster.support.containerd`), what is done with the cluster.

Flags are those that Kubernetes 1.20 and later have in common, as far as there is a choice.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from e2e.cluster.support.containerd import NODE_ADDRESS, ClusterNode
from e2e.support.daemon import until

NODE_NAME: Final = "nt-node"
SERVER: Final = f"https://{NODE_ADDRESS}:6443"
_SERVICES: Final = "10.96.0.0/16"
_API_SERVICE: Final = "10.96.0.1"
_CLUSTER_DNS: Final = "10.96.0.10"
_PODS: Final = "10.87.0.0/16"
_START_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 10.0
#: Who may do what is decided by RBAC's own default roles: name → groups.
_ACCOUNTS: Final[Mapping[str, str]] = {
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
    f"system:node:{NODE_NAME}": "system:nodes",
}
#: Where the programs write, whatever they are told. The node has its own.
_OWN: Final = tuple(
    map(Path, ("/var/lib/kubelet", "/var/log/containers", "/usr/libexec/kubernetes"))
)
#: The machine's, as the kubelet and kube-proxy want them and would otherwise write them.
_KERNEL_DEFAULTS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass(frozen=True)
class Program:
    """One of them: its name is that of the binary and of its log."""

    name: str
    flags: Mapping[str, str]


class ControlPlane:
    """A cluster of one node for as long as the `with` block lasts."""

    def __init__(self, node: ClusterNode, binaries: Path) -> None:
        """`binaries` has Kubernetes' own programs; etcd and kubectl too, or they are found by PATH."""
        self.node = node
        self._binaries = binaries
        self._files = node.scratch / "kubernetes"
        self._running: list[subprocess.Popen[Any]] = []
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        self._files.mkdir()
        try:
            self._prepare_node()
            self._make_certificates()
            self._make_accounts()
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop_all()
        while self._made:
            self._made.pop().rmdir()

    # ---- what there is to use

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; it holds on the node."""
        return self._kubeconfig("admin")

    @property
    def environment(self) -> dict[str, str]:
        """What kubectl and `netra-node … --cluster` need on the node."""
        path = f"{self._binaries}:{os.environ['PATH']}"
        return {"PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def command(self, *argv: str | Path) -> list[str]:
        """What runs `argv` as the administrator, when it is run here."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return self.node.command("env", *settings, *argv)

    def run(self, *argv: str | Path) -> str:
        """Run to its end as the administrator; what it printed. Fails with what it said when it fails."""
        done = self._try(*argv)
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def kubectl(self, line: str) -> str:
        """Run a line as it stands on a page."""
        return self.run("kubectl", *shlex.split(line))

    def _try(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*argv), capture_output=True, text=True, timeout=150, check=False
        )

    def last_words(self, name: str) -> str:
        """The end of a program's log."""
        return "\n".join(self._log(name).read_text().splitlines()[-30:])

    # ---- birth

    def _prepare_node(self) -> None:
        """Give the node what is a kubelet's own, and values of its own where the kubelet would write the machine's."""
        self._make_cgroups()
        lines = ["set -e"]
        for directory in _OWN:
            if not directory.exists():
                directory.mkdir()
                self._made.append(directory)
            lines += [f"mount -t tmpfs tmpfs {directory}", f"mount --make-shared {directory}"]
        for number, (name, value) in enumerate(_KERNEL_DEFAULTS.items()):
            stand_in = self._files / f"kernel-{number}"
            stand_in.write_text(f"{value}\n")
            lines.append(f"mount --bind {stand_in} /proc/sys/{name}")
        self.node.run("sh", "-c", "\n".join(lines))

    def _make_cgroups(self) -> None:
        """A kubelet wants its root to be there; the node removes it at its end."""
        top = Path("/sys/fs/cgroup")
        unified = (top / "cgroup.procs").exists()
        for hierarchy in [top] if unified else top.glob("*/"):
            (hierarchy / self.node.name).mkdir(exist_ok=True)

    def _make_certificates(self) -> None:
        self._openssl("req -x509 -new -subj /CN=nt-authority -days 2", "ca")
        names = f"IP:{NODE_ADDRESS},IP:127.0.0.1,IP:{_API_SERVICE},DNS:kubernetes.default.svc"
        self._sign("apiserver", "/CN=kube-apiserver", f"subjectAltName={names}")
        self._sign(
            "to-kubelet", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth"
        )
        key = self._files / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)

    def _sign(self, name: str, subject: str, extension: str) -> None:
        self._openssl(f"req -new -subj {subject}", name, "csr")
        (self._files / f"{name}.ext").write_text(extension)
        files = f"-in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt"
        self._run_openssl(f"x509 -req -days 2 {files} -extfile {name}.ext")

    def _openssl(self, words: str, name: str, made: str = "crt") -> None:
        curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        self._run_openssl(f"{words} {curve} -keyout {name}.key -out {name}.{made}")

    def _run_openssl(self, words: str) -> None:
        argv = ["openssl", *words.split()]
        subprocess.run(argv, check=True, capture_output=True, cwd=self._files)

    def _make_accounts(self) -> None:
        lines = [f'{_token(name)},{name},{name},"{group}"' for name, group in _ACCOUNTS.items()]
        (self._files / "tokens.csv").write_text("\n".join(lines) + "\n")
        for name in _ACCOUNTS:
            self._kubeconfig(name).write_text(yaml.safe_dump(self._config_of(name)))

    def _kubeconfig(self, name: str) -> Path:
        return self._files / f"{name.rpartition(':')[2]}.kubeconfig"

    def _config_of(self, name: str) -> dict[str, Any]:
        cluster = {"server": SERVER, "certificate-authority": str(self._files / "ca.crt")}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "nt", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": _token(name)}}],
            "contexts": [{"name": "nt", "context": {"cluster": "nt", "user": name}}],
            "current-context": "nt",
        }

    # ---- life

    def _start_all(self) -> None:
        for program in self._programs():
            self._start(program)
            if program.name == "kube-apiserver":
                assert until(self._answers, _START_SECONDS), self.last_words(program.name)
        assert until(self._node_is_ready, _START_SECONDS), self.last_words("kubelet")

    def _start(self, program: Program) -> None:
        flags = [f"--{name}={value}" for name, value in program.flags.items()]
        with self._log(program.name).open("ab") as log:
            process = subprocess.Popen(
                # Whoever else uses this machine goes first.
                self.command("nice", "-n", "10", program.name, *flags),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)

    def _stop_all(self) -> None:
        """End them all; the kubelet's pods go with the node."""
        while self._running:
            process = self._running.pop()
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        return self._files / f"{name}.log"

    def _answers(self) -> bool:
        return self._seen("ok", "get", "--raw", "/readyz")

    def _node_is_ready(self) -> bool:
        return self._seen(" Ready ", "get", "nodes")

    def _seen(self, words: str, *argv: str) -> bool:
        # A start takes seconds, and each question a process.
        time.sleep(0.5)
        return words in self._try("kubectl", *argv).stdout

    # ---- the programs

    def _programs(self) -> tuple[Program, ...]:
        return (
            self._etcd(),
            self._api_server(),
            self._controller_manager(),
            self._scheduler(),
            self._kubelet(),
            self._proxy(),
        )

    def _etcd(self) -> Program:
        url = "http://127.0.0.1:2379"
        peer = "http://127.0.0.1:2380"
        return Program(
            "etcd",
            {
                "data-dir": str(self._files / "etcd"),
                "listen-client-urls": url,
                "advertise-client-urls": url,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
            },
        )

    def _api_server(self) -> Program:
        files = self._files
        return Program(
            "kube-apiserver",
            {
                "etcd-servers": "http://127.0.0.1:2379",
                "advertise-address": NODE_ADDRESS,
                "secure-port": "6443",
                "tls-cert-file": f"{files}/apiserver.crt",
                "tls-private-key-file": f"{files}/apiserver.key",
                "client-ca-file": f"{files}/ca.crt",
                "token-auth-file": f"{files}/tokens.csv",
                "authorization-mode": "Node,RBAC",
                "enable-admission-plugins": "NodeRestriction",
                "kubelet-client-certificate": f"{files}/to-kubelet.crt",
                "kubelet-client-key": f"{files}/to-kubelet.key",
                "kubelet-preferred-address-types": "InternalIP",
                "service-cluster-ip-range": _SERVICES,
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": f"{files}/accounts.key",
                "service-account-signing-key-file": f"{files}/accounts.key",
                "allow-privileged": "true",
                **self._gates,
            },
        )

    @property
    def _gates(self) -> dict[str, str]:
        """Tokens that are bound to their pod and rotate: the default from 1.21 on, and no longer a choice from 1.24 on."""
        version = subprocess.run(
            [self._binaries / "kubelet", "--version"], capture_output=True, text=True, check=True
        ).stdout
        gates = {"feature-gates": "BoundServiceAccountTokenVolume=true"}
        return gates if " v1.20." in version else {}

    def _controller_manager(self) -> Program:
        config = str(self._kubeconfig("system:kube-controller-manager"))
        return Program(
            "kube-controller-manager",
            {
                "kubeconfig": config,
                "authentication-kubeconfig": config,
                "authorization-kubeconfig": config,
                "service-account-private-key-file": f"{self._files}/accounts.key",
                "root-ca-file": f"{self._files}/ca.crt",
                "use-service-account-credentials": "true",
                "bind-address": "127.0.0.1",
                "leader-elect": "false",
                **self._gates,
            },
        )

    def _scheduler(self) -> Program:
        config = str(self._kubeconfig("system:kube-scheduler"))
        return Program(
            "kube-scheduler",
            {
                "kubeconfig": config,
                "authentication-kubeconfig": config,
                "authorization-kubeconfig": config,
                "bind-address": "127.0.0.1",
                "leader-elect": "false",
            },
        )

    def _kubelet(self) -> Program:
        config = self._files / "kubelet.yaml"
        config.write_text(yaml.safe_dump(self._kubelet_configuration()))
        endpoint = f"unix://{self.node.scratch}/containerd.sock"
        flags = {
            "config": str(config),
            "kubeconfig": str(self._kubeconfig(f"system:node:{NODE_NAME}")),
            "container-runtime-endpoint": endpoint,
            "hostname-override": NODE_NAME,
            "node-ip": NODE_ADDRESS,
        }
        # Docker was the default until 1.24, which took the choice away.
        old = {"container-runtime": "remote"} if self._gates else {}
        return Program("kubelet", flags | old)

    def _kubelet_configuration(self) -> dict[str, Any]:
        """As kubeadm writes it, but for what this machine cannot bear."""
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{self._files}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.node.name}",
            "clusterDNS": [_CLUSTER_DNS],
            "clusterDomain": "cluster.local",
            # Less takes CAP_SYS_RESOURCE, which a machine may not give even to root.
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"},
        }

    def _proxy(self) -> Program:
        return Program(
            "kube-proxy",
            {
                "kubeconfig": str(self._kubeconfig("system:kube-proxy")),
                "proxy-mode": "iptables",
                "cluster-cidr": _PODS,
                "hostname-override": NODE_NAME,
                # The machine's, again.
                "conntrack-max-per-core": "0",
                "conntrack-tcp-timeout-established": "0s",
                "conntrack-tcp-timeout-close-wait": "0s",
                "bind-address": NODE_ADDRESS,
            },
        )


def _token(name: str) -> str:
    return f"token-of-{name.replace(':', '-')}"
