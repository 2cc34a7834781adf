"""Asks with Python's urllib and http.client, and prints everything that came back: HOST PORT."""

import hashlib
import http.client
import socket
import sys
import urllib.error
import urllib.request

BODY = b"sent by http.client " * 10_000


def show(answer, body: bytes) -> None:
    print(answer.version, answer.status, answer.reason)
    for name, value in answer.getheaders():
        print(f"{name}: {value}", end="\r\n")
    print(len(body), hashlib.sha256(body).hexdigest())


def by_urllib(url: str) -> None:
    for path in ("/text", "/chunked", "/missing", "/echo"):
        data = b"a=1&b=2" if path == "/echo" else None
        try:
            with urllib.request.urlopen(url + path, data) as answer:
                show(answer, answer.read())
        except urllib.error.HTTPError as error:
            show(error.fp, error.read())


def by_http_client(host: str, port: int) -> None:
    """One connection for all, where the server keeps it open."""
    connection = http.client.HTTPConnection(host, port)
    for method, path, body in (
        ("GET", "/text", None),
        ("HEAD", "/text", None),
        ("POST", "/echo", BODY),
        ("PUT", "/echo", iter([b"some ", b"pieces", BODY])),
        ("DELETE", "/nothing", None),
        ("OPTIONS", "/cookies", None),
        ("GET", "/close", None),
        ("GET", "/text", None),
    ):
        connection.request(method, path, body, {"X-Order": "2", "x-order": "1"})
        answer = connection.getresponse()
        show(answer, answer.read())
    connection.close()


def pipelined(host: str, port: int) -> None:
    """All requests before the first answer."""
    head = b"Host: server\r\nContent-Length: 3\r\n"
    requests = [
        b"POST /echo HTTP/1.1\r\n%bX-Number: %d\r\n\r\n%03d" % (head, n, n) for n in range(20)
    ]
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"".join(requests))
        connection.sendall(b"GET /close HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
        got = b"".join(iter(lambda: connection.recv(65536), b""))
    sys.stdout.flush()
    sys.stdout.buffer.write(got)


if __name__ == "__main__":
    by_urllib(f"http://{sys.argv[1]}:{sys.argv[2]}")
    by_http_client(sys.argv[1], int(sys.argv[2]))
    if "pipelined" in sys.argv:
        pipelined(sys.argv[1], int(sys.argv[2]))
