"""Prints what a daemon says of itself. Pure: the document of `/status` in, lines out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from netra_node.cli.style import Style


class Pod(TypedDict):
    """One pod; ports are 0 and seconds meaningless while it is not captured."""

    namespace: str
    name: str
    service: str
    state: str
    reason: str
    suspended: str
    connections: int
    captured_seconds: float
    inbound_port: int
    outbound_port: int


class Source(TypedDict):
    """Where pods come from, and why it cannot be read now."""

    path: str
    problem: str | None


class Routing(TypedDict):
    """Which header says where a request goes, and what became of those that had one."""

    header: str
    results: dict[str, int]
    failures: dict[str, int]


class Status(TypedDict):
    """What `/status` answers, as far as it is shown."""

    version: str
    pid: int
    heartbeat_milliseconds: int
    lease_age_seconds: float
    ports: dict[str, int]
    collector: str | None
    sampler: str
    routing: Routing | None
    source: Source
    waiting_for: list[str]
    totals: dict[str, dict[str, int]]
    pods: list[Pod]


_HEADINGS = ("POD", "SERVICE", "STATE", "CAPTURED FOR", "CONNECTIONS")
_RUNNING = "running"
_NUMBERS = 4  # the columns from here on are numbers
_NAME_WIDTH = 48
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
#: Spans that reached nobody, and why, for a person.
_DROPPED = {
    "queue_full": "dropped, as the queue was full",
    "rejected": "rejected by the collector",
    "failed": "given up, as the collector was away",
}
#: Causes of resets that are a peer's own doing.
_PEERS = ("client", "upstream", "unreachable")


def render_status(status: Status, style: Style) -> list[str]:
    """Return everything a person asks first: is it there, what is captured, what is not and why, what was dropped."""
    return [
        style.bold(f"netra-node {status['version']}") + f", pid {status['pid']}",
        *_header(status, style),
        "",
        *_pods(status["pods"], style),
        *_notes(status["pods"], style),
        *_other_ports(status),
        *_totals(status),
    ]


def _header(status: Status, style: Style) -> Iterable[str]:
    yield f"pods from    {status['source']['path']}"
    if problem := status["source"]["problem"]:
        yield style.red(f"             {problem}; the last good list stays in force")
    yield f"spans to     {status['collector'] or 'nobody: the last ones stay in memory'}"
    yield f"sampler      {status['sampler']}"
    yield f"lease        {_lease(status)}"
    if waiting := status["waiting_for"]:
        yield style.red(f"waiting for  {', '.join(waiting)}")


def _lease(status: Status) -> str:
    beat = f"ends {status['heartbeat_milliseconds']} ms after the daemon stands still"
    age = status["lease_age_seconds"]
    return (
        f"the oldest is held for {duration(age)}; each {beat}"
        if age
        else f"none is held; each {beat}"
    )


def _pods(pods: Sequence[Pod], style: Style) -> list[str]:
    if not pods:
        return ["no pod of this node asks for capture: none carries the opt-in label"]
    rows = [_cells(pod) for pod in pods]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    heading = style.dim(_line(_HEADINGS, widths))
    return [
        heading,
        *(_painted(pod, _line(row, widths), style) for pod, row in zip(pods, rows, strict=True)),
    ]


def _cells(pod: Pod) -> tuple[str, ...]:
    captured = pod["state"] == _RUNNING
    held = captured or pod["connections"]
    return (
        _clip(_name(pod)),
        _clip(printable(pod["service"])) or "-",
        pod["state"],
        duration(pod["captured_seconds"]) if captured else "-",
        str(pod["connections"]) if held else "-",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = list(zip(cells, widths, strict=True))
    words = [
        cell.rjust(width) if column >= _NUMBERS - 1 else cell.ljust(width)
        for column, (cell, width) in enumerate(pairs)
    ]
    return "  ".join(words).rstrip()


def _painted(pod: Pod, line: str, style: Style) -> str:
    return line if pod["state"] == _RUNNING else style.red(line)


def _notes(pods: Sequence[Pod], style: Style) -> list[str]:
    notes = list(pod_notes(pods, style))
    return ["", *notes] if notes else []


def pod_notes(pods: Sequence[Pod], style: Style) -> Iterable[str]:
    """Say of each pod with a reason which it is: a column would be as wide as the longest."""
    for pod in pods:
        if pod["reason"]:
            # a captured pod has one too, where a change of its annotations cannot be applied
            yield f"{_name(pod)} {style.dim(_why(pod))}{printable(pod['reason'])}"
        if pod["suspended"]:
            words = style.dim("lets new connections go direct: ")
            yield f"{_name(pod)} {words}{printable(pod['suspended'])}"


def _why(pod: Pod) -> str:
    words = {"pending": "is tried again: ", "refused": "is not captured: "}
    return words.get(pod["state"], "stays as it was: ")


def _other_ports(status: Status) -> Iterable[str]:
    """Name pods in which an application holds a port of ours, and what we use there."""
    usual = status["ports"]
    for pod in status["pods"]:
        for direction, used in (
            ("inbound", pod["inbound_port"]),
            ("outbound", pod["outbound_port"]),
        ):
            if used not in (0, usual[direction]):
                taken = f"port {usual[direction]} is taken there, so {used} serves {direction} connections"
                yield f"{_name(pod)}: {taken}"


def _totals(status: Status) -> Iterable[str]:
    totals = status["totals"]
    yield ""
    yield f"spans        {_spans(totals['spans'], status['collector'])}"
    yield f"not HTTP/1   {_counts(totals['opaque']) or 'no connection'}"
    if routing := status["routing"]:
        yield f"routes       {_routed(routing)}"
    ours = {cause: count for cause, count in totals["resets"].items() if cause not in _PEERS}
    yield f"reset by us  {_counts(ours) or 'no connection'}"


def _spans(spans: Mapping[str, int], collector: str | None) -> str:
    exported = [f"{spans.get('exported', 0)} exported"] if collector else []
    dropped = [f"{spans[key]} {words}" for key, words in _DROPPED.items() if spans.get(key)]
    unsampled = [f"{spans['unsampled']} not sampled"] if spans.get("unsampled") else []
    return ", ".join([*exported, *(dropped or ["none dropped"]), *unsampled])


def _routed(routing: Routing) -> str:
    counts = _counts(routing["results"]) or "no request had one"
    failed = _counts(routing["failures"])
    return f"{counts}, by {routing['header']}" + (f"; led nowhere: {failed}" if failed else "")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _name(pod: Pod) -> str:
    return printable(f"{pod['namespace']}/{pod['name']}")


def printable(text: str) -> str:
    """Return text that cannot steer a terminal: a pods file may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _clip(text: str) -> str:
    return text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 1] + "…"


def duration(seconds: float) -> str:
    """Return seconds as a person says them: two units at most."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"
