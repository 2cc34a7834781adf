"""An HTTP server of aiohttp's with the paths that clients of every language ask: PORT."""

import asyncio
import hashlib
import json
import sys

from aiohttp import web


async def serve(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    log(request, body)
    if request.path == "/chunked":
        return await in_pieces(request)
    answers = {
        "/echo": web.Response(body=body),
        "/text": web.Response(text="a text\n", headers={"x-LOWER": "1"}),
        "/nothing": web.Response(status=204),
        "/close": web.Response(text="bye\n"),
        "/cookies": web.Response(),
    }
    answer = answers.get(request.path, web.Response(status=404, text="not here\n"))
    if request.path == "/close":
        answer.force_close()
    if request.path == "/cookies":
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
    return answer


async def in_pieces(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for piece in (b"one ", b"two ", b"three\n"):
        await answer.write(piece)
        await asyncio.sleep(0.02)
    await answer.write_eof()
    return answer


def log(request: web.Request, body: bytes) -> None:
    lines = [
        f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}"
    ]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in request.raw_headers]
    record = {"from": request.remote, "head": "\r\n".join(lines) + "\r\n\r\n"}
    record |= {"size": len(body), "digest": hashlib.sha256(body).hexdigest()}
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", serve)
    web.run_app(application, port=int(sys.argv[1]), print=None)
