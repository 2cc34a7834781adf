"""What the collector is sent, read by Jaeger's own IDL: thriftrw and jaeger.thrift as the official client for Node brings them."""

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.golden.cases import CASES, play
from e2e.support.npm import install
from netra_node.telemetry.jaeger import ProcessTags, collector_encoder
from netra_node.telemetry.schemas import NAMES, SpanOptions, schema_for
from tests.telemetry.jaeger_reader import Batch, Span, read_request

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

CLIENT = "jaeger-client@3.19.0"
PROGRAM = Path(__file__).with_name("programs") / "jaeger_idl.js"
_VALUES = {"STRING": "vStr", "DOUBLE": "vDouble", "BOOL": "vBool", "LONG": "vLong"}

Reader = Callable[[list[bytes]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def read_by_idl(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    modules = install(CLIENT, tmp_path_factory.mktemp("npm"))

    def read(bodies: list[bytes]) -> list[dict[str, Any]]:
        lines = "\n".join(body.hex() for body in bodies)
        done = subprocess.run(
            ["node", PROGRAM, modules],
            input=lines,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return list(map(json.loads, done.stdout.splitlines()))

    return read


def number(digits: str) -> int:
    return int(struct.unpack(">q", bytes.fromhex(digits))[0])


def unsigned(digits: str) -> int:
    return int(digits, 16)


def tag(found: dict[str, Any]) -> tuple[str, Any]:
    value = found[_VALUES[found["vType"]]]
    assert found.keys() == {"key", "vType", _VALUES[found["vType"]]}
    return found["key"], number(value) if found["vType"] == "LONG" else value


def batch(found: dict[str, Any]) -> Batch:
    """What the IDL's names say, as the reader that knows numbers of fields alone says it."""
    process = found["process"]
    return Batch(
        process["serviceName"],
        list(map(tag, process["tags"])),
        [
            Span(
                unsigned(span["traceIdHigh"]) << 64 | unsigned(span["traceIdLow"]),
                unsigned(span["spanId"]),
                unsigned(span["parentSpanId"]),
                span["operationName"],
                span["flags"],
                number(span["startTime"]),
                number(span["duration"]),
                list(map(tag, span["tags"])),
            )
            for span in found["spans"]
        ],
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_official_idl_reads_what_we_mean(read_by_idl: Reader, name: str) -> None:
    process = ProcessTags("1", (("zone", "ж"),), lambda: 1)
    encoder = collector_encoder(schema_for("jaeger", SpanOptions(schema=name)), process)
    bodies = []
    for case in CASES:
        played = play(case)
        groups = (
            {played[0][0].owner: [encoder.encode(one, 10**18) for one in played]} if played else {}
        )
        bodies += [message.body for message in encoder.messages(groups)]

    found = read_by_idl(bodies)

    assert len(found) > 10
    assert list(map(batch, found)) == list(map(read_request, bodies))
