"""Graphs as daemons answer with them."""

from typing import Any

DAY = "2026-11-21"


def edge(source: str, destination: str, requests: int = 4, errors: int = 1) -> dict[str, Any]:
    """One whose requests all took 1 ms."""
    return {
        "source": source,
        "destination": destination,
        "requests": requests,
        "errors": errors,
        "p50_ms": 1.0,
        "p99_ms": 1.0,
        "latency": {"buckets": [[143, requests]], "slowest_ns": 1_000_000},
    }


def call(
    source: str, destination: str, requests: int = 4, errors: int = 1, day: str = DAY
) -> dict[str, Any]:
    return {
        "day": day,
        "source": source,
        "destination": destination,
        "requests": requests,
        "errors": errors,
    }


def graph(
    *pairs: tuple[str, str], start: str = "0123456789abcdef", since: str = f"{DAY}T10:00:00Z"
) -> dict[str, Any]:
    return {
        "start": start,
        "since": since,
        "edges": [edge(*pair) for pair in pairs],
        "calls": [call(*pair) for pair in pairs],
    }
