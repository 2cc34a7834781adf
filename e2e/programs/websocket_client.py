"""Talks to an echo server with the library `websockets`, and prints everything that came back: URL."""

import asyncio
import hashlib
import random
import sys

import websockets

SIZES = (0, 1, 125, 126, 65535, 65536, 3_000_000)


async def main(url: str) -> None:
    options = {"max_size": None, "subprotocols": ["echo"], "extra_headers": {"X-Custom": "1"}}
    async with websockets.connect(url + "/first", **options) as socket:
        for name, value in socket.response_headers.raw_items():
            print(f"{name}: {value}", end="\r\n")
        for size in SIZES:
            await echo(socket, random.Random(size).randbytes(size))
        for message in ("text", "Grüße", ["in ", "three ", "fragments"], [b"\0", b"\1"], "ping"):
            await echo(socket, message)
        await (await socket.ping(b"from the client"))
        await socket.close(4001, "enough")
    print("closed", socket.close_code, socket.close_reason)
    # What Firefox sends: a list, where others send the one word.
    options["extra_headers"] = {"Connection": "keep-alive"}
    async with websockets.connect(url + "/second", **options) as socket:
        await socket.send("close 4002")
        await socket.wait_closed()
    print("closed", socket.close_code, socket.close_reason)


async def echo(socket, message) -> None:
    await socket.send(message)
    back = await socket.recv()
    data = back.encode() if isinstance(back, str) else back
    print(type(back).__name__, len(data), hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
