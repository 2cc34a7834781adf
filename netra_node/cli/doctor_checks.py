"""What the doctor found, judged. Pure: facts in, one `Check` out, with why it matters and how to mend it.

Belongs here: the judgement and its words. Does not belong here: finding facts (`doctor`, `doctor_trial`), layout (`doctor_report`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from netra_node.capacity import connections_within
from netra_node.cli.doctor_trial import Trial


class Verdict(Enum):
    """How a check ended."""

    OK = "ok"
    #: It works without, less well.
    WARNING = "warning"
    #: Nothing is captured without.
    FAILED = "failed"
    #: Could not be tried; another check says why.
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    found: str
    why: str
    #: Empty where nothing is wrong.
    mend: str = ""


#: nftables' `flags owner`.
_OWNER_KERNEL: Final = (5, 12)
#: Below the first, a busy node's connections go uncaptured; below the second, a daemon can hardly do anything.
_ENOUGH_DESCRIPTORS, _FEWEST_DESCRIPTORS = 16_384, 256
_NETNS: Final = "/run/netns"
_RELEASE: Final = re.compile(r"([0-9]+)\.([0-9]+)")
_MODULES: Final = (
    "nf_tables nft_tproxy nft_socket nft_fib_inet nft_redir nft_ct nf_conntrack_netlink"
)


def kernel(release: str) -> Check:
    """Judge `uname -r`."""
    why = "from Linux 5.12 on the kernel removes our rules together with our process, also after kill -9"
    match = _RELEASE.match(release)
    new = match is not None and (int(match[1]), int(match[2])) >= _OWNER_KERNEL
    if new:
        return Check("kernel", Verdict.OK, f"Linux {release}", why)
    mend = "use Linux 5.12 or newer; here the heartbeat alone ends capturing, a second after a kill"
    return Check("kernel", Verdict.WARNING, f"Linux {release}", why, mend)


def capabilities(missing: Sequence[str]) -> Check:
    """Judge which of the needed capabilities this process lacks."""
    why = "entering pods' network namespaces and writing rules there takes CAP_SYS_ADMIN and CAP_NET_ADMIN"
    if not missing:
        return Check("capabilities", Verdict.OK, "CAP_SYS_ADMIN and CAP_NET_ADMIN are there", why)
    found = f"this process lacks {' and '.join(missing)}"
    mend = (
        "run it as root (`sudo netra-node doctor`), or add them to the container's securityContext"
    )
    return Check("capabilities", Verdict.FAILED, found, why, mend)


def user_namespaces(trial: Trial) -> Check:
    """Judge whether an ordinary user may have namespaces."""
    why = "an ordinary user's demo and tests run in a user namespace; capturing real pods takes root anyway"
    if not trial.ordinary:
        return Check("user namespaces", Verdict.OK, "not needed: this is root", why)
    if not trial.namespace:
        return Check("user namespaces", Verdict.OK, "an ordinary user may have them", why)
    mend = "change what is named above, or run the demo as root"
    return Check("user namespaces", Verdict.WARNING, trial.namespace, why, mend)


def kernel_trial(trial: Trial) -> list[Check]:
    """Judge what was tried in a namespace of its own."""
    checks = (_rules, _owner, _routes, _transparent, _switches, _cookie, _ipv6)
    judged = [check(trial) for check in checks]
    if not trial.namespace:
        return judged
    if not trial.ordinary:
        return [_no_namespace(trial)]
    found = "not tried: it takes root, or a user namespace"
    return [Check(one.what, Verdict.SKIPPED, found, one.why) for one in judged]


def _no_namespace(trial: Trial) -> Check:
    why = "the rules are tried in a network namespace that ends with the trial"
    mend = "in a container, allow unshare: run it privileged, or outside"
    return Check("network namespace", Verdict.FAILED, trial.namespace, why, mend)


def _needed(what: str, refused: str, fine: str, why: str, mend: str) -> Check:
    if refused:
        return Check(what, Verdict.FAILED, refused, why, mend)
    return Check(what, Verdict.OK, fine, why)


def _wanted(what: str, refused: str, fine: str, why: str, mend: str) -> Check:
    if refused:
        return Check(what, Verdict.WARNING, refused, why, mend)
    return Check(what, Verdict.OK, fine, why)


def _rules(trial: Trial) -> Check:
    return _needed(
        "rules",
        trial.rules,
        "the real rules were installed, and removed, in a scratch namespace",
        "connections are captured by nftables: tproxy, redirect, socket, fib and connection tracking",
        f"load what is missing: `modprobe -a {_MODULES}`",
    )


def _owner(trial: Trial) -> Check:
    return _wanted(
        "owned rules",
        trial.owner,
        "the rules went away with the socket that made them",
        "so a kill of the daemon costs pods nothing: the kernel removes its rules",
        "use Linux 5.12 or newer; here the heartbeat alone ends capturing, a second after a kill",
    )


def _routes(trial: Trial) -> Check:
    return _needed(
        "routes",
        trial.routes,
        "a rule and a route for the application's answers were added",
        "the application sees its client's address, so its answers have to be led back to us",
        "the kernel needs policy routing (CONFIG_IP_MULTIPLE_TABLES)",
    )


def _transparent(trial: Trial) -> Check:
    return _needed(
        "transparent sockets",
        trial.transparent,
        "sockets may carry addresses of others",
        "inbound connections are accepted and dialled on with their real addresses",
        "it takes CAP_NET_ADMIN in the pod's namespace",
    )


def _switches(trial: Trial) -> Check:
    return _wanted(
        "/proc/sys",
        "" if trial.switches else "it cannot be written",
        "network switches of a namespace can be written",
        "answers then keep their mark without connection tracking, and survive its loss",
        "mount the node's /proc/sys/net and set NETRA_PROC, or leave it: connection tracking remembers the mark instead",
    )


def _cookie(trial: Trial) -> Check:
    return _wanted(
        "namespace identity",
        "" if trial.cookie else "the kernel gives no SO_NETNS_COOKIE",
        "every namespace has a number that is never used again",
        "so a new namespace is never taken for one that was captured before",
        "use Linux 5.14 or newer; here device and inode have to do, which is safe while we hold it",
    )


def _ipv6(trial: Trial) -> Check:
    return _wanted(
        "IPv6",
        "" if trial.ipv6 else "this kernel has none, or it is switched off",
        "available",
        "connections over IPv6 are captured where pods have it",
        "nothing needs mending where pods speak IPv4 alone",
    )


def namespaces_directory(names: Sequence[str] | None, mountinfo: str) -> Check:
    """Judge /run/netns: the names in it (None: it is not there), and /proc/self/mountinfo (proc(5))."""
    why = (
        "container runtimes name pods' namespaces there, and new ones have to become visible to us"
    )
    if names is None:
        mend = "a container runtime or `ip netns add` makes it; in a container mount the host's"
        return Check(_NETNS, Verdict.WARNING, "it is not there", why, mend)
    count = f"{len(names)} namespace{'s' * (len(names) != 1)}"
    if _is_private(mountinfo):
        mend = "in a container mount the host's with mountPropagation: HostToContainer"
        found = f"{count}; its mount is private: in a container, later ones stay invisible"
        return Check(_NETNS, Verdict.WARNING, found, why, mend)
    return Check(_NETNS, Verdict.OK, f"{count}; mounts made later become visible", why)


def _is_private(mountinfo: str) -> bool:
    """Tell whether the mount that holds /run/netns takes part in no propagation."""
    rows = [line.split() for line in mountinfo.splitlines()]
    holding = [row for row in rows if _holds(row[4])]
    # the deepest one holds it; of mounts over one another, the last
    deepest = max(enumerate(holding), key=lambda item: (len(item[1][4]), item[0]), default=None)
    if deepest is None:
        return False
    fields = deepest[1][6 : deepest[1].index("-")]
    return not any(field.startswith(("shared:", "master:")) for field in fields)


def _holds(mount_point: str) -> bool:
    return f"{_NETNS}/".startswith(f"{mount_point.rstrip('/')}/")


def descriptors(hard_limit: int) -> Check:
    """Judge RLIMIT_NOFILE's hard limit, to which the daemon raises its own; -1 is no limit."""
    why = "each captured connection takes two descriptors, each pod about two dozen; beyond, new connections go direct"
    if hard_limit < 0:
        return Check("open files", Verdict.OK, "no limit on open files", why)
    found = f"at most {hard_limit} open files: about {connections_within(hard_limit)} connections"
    if hard_limit >= _ENOUGH_DESCRIPTORS:
        return Check("open files", Verdict.OK, found, why)
    mend = "raise it: LimitNOFILE=1048576 in a systemd unit, `ulimit -Hn 1048576` in a root shell"
    failed = hard_limit < _FEWEST_DESCRIPTORS
    return Check("open files", Verdict.FAILED if failed else Verdict.WARNING, found, why, mend)


def port(variable: str, number: int, problem: str, daemon_pid: int) -> Check:
    """Judge one of our ports on the node; `problem`: why it cannot be had; 0: no daemon runs."""
    what = f"port {number}" if number else f"port of {variable}"
    why = f"{variable}: the daemon does not start where it cannot listen"
    if not problem:
        return Check(what, Verdict.OK, "free", why)
    if daemon_pid:
        return Check(what, Verdict.OK, f"in use, and netra-node runs (pid {daemon_pid})", why)
    mend = f"end who listens there (`ss -ltnp`), or set {variable}"
    return Check(what, Verdict.FAILED, problem, why, mend)


def settings(problems: Sequence[str], warnings: Sequence[str], *, has_source: bool) -> Check:
    """Judge the environment; a missing pod source alone is a word to a newcomer."""
    why = "the daemon does not start with a setting it cannot use"
    if problems:
        found = "; ".join(problems)
        return Check(
            "settings", Verdict.FAILED, found, why, "`netra-node config` shows all settings"
        )
    if not has_source:
        found = "NETRA_POD_SOURCE is not set, so `run` would not know its pods"
        mend = "set NETRA_POD_SOURCE=kubelet or file:///PATH for `run`; `demo` needs none"
        return Check("settings", Verdict.WARNING, found, why, mend)
    if warnings:
        return Check(
            "settings", Verdict.WARNING, "; ".join(warnings), why, "see docs/configuration.md"
        )
    return Check("settings", Verdict.OK, "every one can be used", why)


def pods_file(problem: str, wanted: int, refused: Iterable[str]) -> Check:
    """Judge the pods file: why it cannot be used, how many pods opted in, why some are refused."""
    why = "it names the pods that shall be captured"
    reasons = "; ".join(refused)
    if problem:
        return Check("pods file", Verdict.FAILED, problem, why, "mend what is named above")
    if reasons:
        return Check("pods file", Verdict.WARNING, reasons, why, "mend these pods' annotations")
    if not wanted:
        mend = "give pods the label netra.io/enabled=true"
        return Check("pods file", Verdict.WARNING, "no pod in it asks for capture", why, mend)
    return Check("pods file", Verdict.OK, f"{wanted} pod{'s' * (wanted != 1)} to capture", why)


def kubelet(problem: str, wanted: int, refused: Iterable[str]) -> Check:
    """Judge the kubelet: why it does not list its pods, how many of them would be captured, why others not."""
    why = "it lists the pods of this node"
    reasons = "; ".join(refused)
    if problem:
        mend = (
            "deploy/daemonset.yaml has the account, its role and the host's network that this takes"
        )
        return Check("kubelet", Verdict.FAILED, problem, why, mend)
    if reasons:
        return Check("kubelet", Verdict.WARNING, reasons, why, "mend these pods")
    if not wanted:
        mend = "give pods the label netra.io/enabled=true"
        return Check("kubelet", Verdict.WARNING, "no pod of it asks for capture", why, mend)
    return Check("kubelet", Verdict.OK, f"{wanted} pod{'s' * (wanted != 1)} to capture", why)


def cni_results(found: Sequence[str]) -> Check:
    """Judge whether namespaces are known in time; `found` are the directories that are there."""
    why = "they tell a pod's network namespace before its first connection"
    if not found:
        mend = "mount the node's /var/lib/cni, or set NETRA_CNI_RESULTS"
        return Check("CNI results", Verdict.WARNING, "no directory of them is there", why, mend)
    return Check("CNI results", Verdict.OK, ", ".join(found), why)


_WHY_COLLECTOR = (
    "spans are sent there; while it is away they wait, and are dropped and counted after a while"
)


def collector(address: str, variable: str, problem: str) -> Check:
    """Judge whether spans can be delivered to where `variable` says."""
    if problem:
        mend = f"start the collector, or mend {variable}"
        return Check("collector", Verdict.WARNING, f"{address}: {problem}", _WHY_COLLECTOR, mend)
    return Check("collector", Verdict.OK, f"{address} accepts connections", _WHY_COLLECTOR)


def agent(address: str, problem: str) -> Check:
    """Judge whether spans find Jaeger's agent; whether it listens, UDP does not tell."""
    if problem:
        mend = "mend JAEGER_AGENT_HOST, or the name service"
        return Check("agent", Verdict.WARNING, f"{address}: {problem}", _WHY_COLLECTOR, mend)
    return Check("agent", Verdict.OK, f"{address} has an address", _WHY_COLLECTOR)


def plugin(name: str) -> Check:
    """Tell that spans go the slow way."""
    why = "our own exporters, otlp and jaeger, take a tenth of its time"
    return Check("exporter", Verdict.OK, f"{name} is installed; it runs in a thread", why)


def daemon(where: str, pid: int, captured: int) -> Check:
    """Tell whether a daemon runs; 0: none."""
    why = "two daemons on one node would capture the same pods twice"
    if not pid:
        return Check("daemon", Verdict.OK, f"none answers at {where}", why)
    found = f"one runs (pid {pid}) and captures {captured} pod{'s' * (captured != 1)}"
    return Check("daemon", Verdict.OK, found, why)
