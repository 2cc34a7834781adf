"""The trace collector of the bench: accepts OTLP over HTTP, counts the spans, keeps nothing.

Runs as its own process (`python -m bench.sink ADDRESS PORT COUNTERS`), outside every measured
process tree. The counters live in a mapped file, because the bench sits in another namespace.
"""

import asyncio
import mmap
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

from bench.otlp import count_spans

_COUNTERS = struct.Struct("<QQQ")
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Counters:
    """What the sink has received since it started."""

    spans: int = 0
    exports: int = 0
    unreadable: int = 0


def create_counters(path: Path) -> None:
    """Write the counter file a sink then updates."""
    path.write_bytes(_COUNTERS.pack(0, 0, 0))


def read_counters(path: Path) -> Counters:
    """Return the counters of the sink that owns `path`."""
    return Counters(*_COUNTERS.unpack(path.read_bytes()))


class _Tally:
    """The one writer of the counter file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _COUNTERS.size)

    def add(self, export: bytes) -> None:
        spans, exports, unreadable = _COUNTERS.unpack_from(self._map)
        try:
            spans += count_spans(export)
        except ValueError:
            unreadable += 1
        _COUNTERS.pack_into(self._map, 0, spans, exports + 1, unreadable)


class _Collector(asyncio.Protocol):
    """One exporter's connection."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally
        self._body: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._tally.add(b"".join(self._body))
        self._body.clear()
        if self._transport is not None:
            self._transport.write(_ANSWER)


async def _serve(address: str, port: int, counters: Path) -> None:
    tally = _Tally(counters)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Collector(tally), address, port
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
