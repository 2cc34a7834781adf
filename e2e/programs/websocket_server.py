"""Echoes WebSocket messages with the library `websockets`; writes a record of each connection when it has ended.

A text `ping` has it ping first and answer what came back; a text `close N` has it close with that code.
"""

import asyncio
import contextlib
import hashlib
import json
import sys

import websockets

PORT = 9001


async def serve(socket) -> None:
    record = {"path": socket.path, "from": socket.remote_address[0], "received": []}
    headers = socket.request_headers.raw_items()
    record["head"] = "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    with contextlib.suppress(websockets.ConnectionClosed):
        async for message in socket:
            data = message.encode() if isinstance(message, str) else message
            kind = type(message).__name__
            record["received"].append([kind, len(data), hashlib.sha256(data).hexdigest()])
            await answer(socket, message)
    record["closed"] = [socket.close_code, socket.close_reason]
    print(json.dumps(record), flush=True)


async def answer(socket, message) -> None:
    if message == "ping":
        await (await socket.ping(b"from the server"))
        await socket.send("ponged")
    elif isinstance(message, str) and message.startswith("close "):
        await socket.close(int(message.split()[1]), "as you wished")
    else:
        await socket.send(message)


async def main() -> None:
    async with websockets.serve(serve, "0.0.0.0", PORT, max_size=None, subprotocols=["echo"]):
        await asyncio.Future()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
