"""Prints what the daemons of a cluster say of themselves. Pure: answers in, lines out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from netra_node.cli.cluster_ask import Answer
from netra_node.cli.status_report import Pod, Status, duration, pod_notes, printable
from netra_node.cli.style import Style

_HEADINGS: Final = (
    "NODE",
    "VERSION",
    "CAPTURED",
    "PENDING",
    "REFUSED",
    "OLDEST LEASE",
    "CONNECTIONS",
)
_NAMES: Final = 2  # the first columns are words, the others numbers
_CAPTURED, _PENDING, _REFUSED = ("running",), ("pending", "starting"), ("refused",)
#: What is shown of a status; another version's may lack it.
_STATUS: Final = {
    "version": str,
    "lease_age_seconds": int | float,
    "waiting_for": list,
    "source": dict,
    "pods": list,
}
_POD: Final = {
    "namespace": str,
    "name": str,
    "state": str,
    "reason": str,
    "suspended": str,
    "connections": int,
}


@dataclass(frozen=True, slots=True)
class Node:
    """A node and what its daemon says; `problem`: why it says nothing."""

    name: str
    pod: str
    status: Status | None
    problem: str


def node_of(answer: Answer) -> Node:
    """Take an answer for a status, if it is one."""
    daemon, document = answer.daemon, answer.document
    if document is None:
        return Node(daemon.node, daemon.pod, None, answer.problem)
    if not _is_status(document):
        problem = "its status is of another kind; is its netra-node another version?"
        return Node(daemon.node, daemon.pod, None, problem)
    return Node(daemon.node, daemon.pod, cast("Status", document), "")


def complete(nodes: Sequence[Node], missing: int) -> bool:
    """Tell whether every node that should have a daemon has one that answers."""
    return bool(nodes) and not missing and all(node.status is not None for node in nodes)


def render_nodes(nodes: Sequence[Node], missing: int, style: Style) -> list[str]:
    """Return a line for each node, then why some do not answer, then why pods are not captured, last the sum."""
    rows = [_cells(node) for node in nodes]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    lines = [
        _painted(node, _line(row, widths), style) for node, row in zip(nodes, rows, strict=True)
    ]
    return [
        "",
        style.dim(_line(_HEADINGS, widths)),
        *lines,
        *_paragraph(_silent(nodes, missing, style)),
        *_paragraph(_told(nodes, style)),
        "",
        _sum(nodes),
    ]


def _is_status(document: dict[str, Any]) -> bool:
    return (
        _has(document, _STATUS)
        and "problem" in document["source"]
        and all(isinstance(pod, dict) and _has(pod, _POD) for pod in document["pods"])
    )


def _has(document: dict[str, Any], members: dict[str, Any]) -> bool:
    return all(isinstance(document.get(name), kind) for name, kind in members.items())


def _cells(node: Node) -> tuple[str, ...]:
    if node.status is None:
        return (printable(node.name), *("-" for _ in _HEADINGS[1:]))
    pods, age = node.status["pods"], node.status["lease_age_seconds"]
    return (
        printable(node.name),
        printable(node.status["version"]),
        str(_count(pods, _CAPTURED)),
        str(_count(pods, _PENDING)),
        str(_count(pods, _REFUSED)),
        duration(age) if age else "-",
        str(sum(pod["connections"] for pod in pods)),
    )


def _count(pods: Iterable[Pod], states: Sequence[str]) -> int:
    return sum(pod["state"] in states for pod in pods)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = list(zip(cells, widths, strict=True))
    words = [cell.ljust(width) for cell, width in pairs[:_NAMES]]
    return "  ".join(words + [cell.rjust(width) for cell, width in pairs[_NAMES:]])


def _painted(node: Node, line: str, style: Style) -> str:
    return line if node.status is not None else style.red(line)


def _paragraph(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", *found] if found else []


def _silent(nodes: Sequence[Node], missing: int, style: Style) -> Iterable[str]:
    for node in nodes:
        if node.status is None:
            yield f"{printable(node.name)} {style.dim('does not answer: ')}{printable(node.problem)}"
    if missing:
        yield f"without a pod of the DaemonSet, though it wants one there: {missing} node{'s' * (missing != 1)}"
    elif not nodes:
        yield "the DaemonSet has a pod on no node; `netra-node doctor --cluster` tells more"


def _told(nodes: Sequence[Node], style: Style) -> Iterable[str]:
    for node in nodes:
        if node.status is not None:
            notes = [*_state(node.status), *pod_notes(node.status["pods"], style)]
            yield from (f"{printable(node.name)}: {note}" for note in notes)


def _state(status: Status) -> Iterable[str]:
    if problem := status["source"]["problem"]:
        yield f"{printable(problem)}; the last good list stays in force"
    if waiting := status["waiting_for"]:
        yield f"waits for {printable(', '.join(waiting))}"


def _sum(nodes: Sequence[Node]) -> str:
    known = [node.status for node in nodes if node.status is not None]
    pods = [pod for status in known for pod in status["pods"]]
    counts = f"{_count(pods, _CAPTURED)} captured, {_count(pods, _PENDING)} pending, {_count(pods, _REFUSED)} refused"
    connections = sum(pod["connections"] for pod in pods)
    return (
        f"{len(known)} of {len(nodes)} node{'s' * (len(nodes) != 1)} answer: {counts}; "
        f"{connections} connection{'s' * (connections != 1)}"
    )
