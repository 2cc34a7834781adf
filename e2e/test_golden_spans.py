"""Spans of both schemas against files that a person has read line by line; `python -m e2e.golden` writes them anew."""

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.golden.cases import CASES, play
from e2e.golden.decoded import otlp, text
from netra_node.core.tags import DEBUG_ID_TAG
from netra_node.telemetry import netramesh, spans
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.memory import RecentSpans
from netra_node.telemetry.schemas import NAMES, NETRAMESH, OTEL, SpanOptions, schema_for

GOLDEN = Path(__file__).with_name("golden")
#: What the cases map headers and cookies to, and Jaeger's debug id.
MAPPED = {"session", "name", "app", DEBUG_ID_TAG}
#: Netramesh's tags in their order; those of the operator stand behind the sampler's.
ORDER = (
    "sampler.type",
    "sampler.param",
    "span.kind",
    "remote_addr",
    "http.host",
    "http.path",
    "http.request_size",
    "http.method",
    "http.user_agent",
    "http.request_id",
    "http.response_size",
    "http.status_code",
    "error",
    "netra.outcome",
)


def golden(schema: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads((GOLDEN / f"{schema}.json").read_text())
    return found


def attributes(schema: str) -> list[list[tuple[str, Any]]]:
    return [span["attributes"] for found in golden(schema).values() for span in found]


@pytest.mark.parametrize("schema", NAMES)
def test_what_opentelemetrys_library_reads_is_what_is_written_down(schema: str) -> None:
    assert text(otlp(schema)) == (GOLDEN / f"{schema}.json").read_text()


@pytest.mark.parametrize("schema", NAMES)
def test_traces_in_memory_say_what_is_exported(schema: str) -> None:
    clock = WallClock(lambda: 0, lambda: 0)
    for case in CASES:
        recent = RecentSpans(schema_for("none", SpanOptions(schema=schema)), clock, 9)
        for finished in play(case):
            recent.keep(*finished)
        shown = [(span["name"], list(span["attributes"].items())) for span in recent.recent()]
        exported = golden(schema)[case.name]
        assert shown == [(span["name"], list(map(tuple, span["attributes"]))) for span in exported]


@pytest.mark.parametrize(("schema", "keys"), [(OTEL, spans.KEYS), (NETRAMESH, netramesh.KEYS)])
def test_the_keys_that_no_mapped_tag_may_have_are_those_that_occur(schema: str, keys: set) -> None:
    assert {key for span in attributes(schema) for key, _ in span} == keys | MAPPED


def test_netrameshs_tags_are_in_its_order() -> None:
    for span in attributes(NETRAMESH):
        keys = [key for key, _ in span if key not in MAPPED]
        assert keys == [key for key in ORDER if key in keys]


def test_netrameshs_error_is_a_text_and_its_numbers_are_numbers() -> None:
    types: dict[str, set[type]] = {}
    for span in attributes(NETRAMESH):
        for key, value in span:
            types.setdefault(key, set()).add(type(value))
    numbers = {"http.request_size", "http.response_size", "http.status_code"}

    assert types.pop("sampler.param") == {bool, float}
    assert {key for key, found in types.items() if found == {int}} == numbers
    assert all(found == {str} for key, found in types.items() if key not in numbers)
