"""The specification of `netra_node.discovery.kubelet_api`, against servers on loopback, most of them with a certificate of their own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from netra_node.discovery.kubelet_api import Kubelet, KubeletAccess, KubeletError

#: As kubelets have them: signed by themselves. The key is worth nothing.
CERTIFICATE = Path(__file__).parent / "tls" / "kubelet.pem"
OTHER = Path(__file__).parent / "tls" / "other.pem"
LIST = b'{"kind":"PodList","items":null}\n'


class Server:
    """Answers every request the same."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LIST), LIST)
        self.heads: list[str] = []
        self.connections = 0
        self.port = 0
        self.plain_port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(self.answer)
                await writer.drain()
        except (EOFError, OSError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    secure = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = secure.sockets[0].getsockname()[1]
    made.plain_port = plain.sockets[0].getsockname()[1]
    yield made
    secure.close()
    plain.close()


@pytest.fixture
async def ask(server: Server) -> AsyncIterator[Callable[..., Kubelet]]:
    made: list[Kubelet] = []

    def kubelet(**access: object) -> Kubelet:
        known = {"port": server.port, **access}
        made.append(Kubelet(KubeletAccess(**known)))  # type: ignore[arg-type]
        return made[-1]

    yield kubelet
    for kubelet_ in made:
        kubelet_.close()
    await asyncio.sleep(0)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("abc.def\n")
    return path


async def test_the_list_is_handed_on_as_it_came(ask) -> None:
    assert await ask().pods() == LIST


async def test_one_connection_carries_many_questions(ask, server) -> None:
    kubelet = ask()
    for _ in range(3):
        await kubelet.pods()

    assert server.connections == 1


async def test_it_asks_for_pods_by_the_token(ask, server, token) -> None:
    await ask(token=token).pods()

    assert server.heads[0].startswith("GET /pods HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer abc.def\r\n" in server.heads[0]


async def test_a_token_that_rotated_is_used_from_the_next_question_on(ask, server, token) -> None:
    kubelet = ask(token=token)
    await kubelet.pods()
    token.write_text("ghi.jkl")
    await kubelet.pods()

    assert "Bearer ghi.jkl\r\n" in server.heads[1]


async def test_without_a_token_none_is_sent(ask, server) -> None:
    await ask().pods()

    assert "Authorization" not in server.heads[0]


async def test_a_token_is_never_sent_in_the_clear(ask, server, token) -> None:
    await ask(port=server.plain_port, secure=False, token=token).pods()

    assert "Authorization" not in server.heads[0]


@pytest.mark.parametrize("text", ["", " \n", "a\nX-Other: b", "é"])
async def test_a_file_that_holds_no_token_is_told(ask, server, token, text) -> None:
    token.write_text(text)

    with pytest.raises(KubeletError, match="holds none"):
        await ask(token=token).pods()
    assert server.heads == []


async def test_a_token_that_cannot_be_read_is_told(ask, token) -> None:
    token.unlink()

    with pytest.raises(KubeletError, match=r"cannot be read: .*No such file"):
        await ask(token=token).pods()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("401 Unauthorized", "does not accept our token"),
        ("403 Forbidden", "needs `get` on nodes/pods, for older kubelets on nodes/proxy"),
        ("404 Not Found", "is this a kubelet"),
        ("500 Internal Server Error", "answers 500"),
        ("301 Moved", "answers 301"),
    ],
)
async def test_trap_11_a_refusal_is_told_with_what_would_mend_it(ask, server, status, why) -> None:
    server.answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()

    with pytest.raises(KubeletError, match=why) as caught:
        await ask().pods()
    assert str(caught.value).startswith(f"kubelet https://127.0.0.1:{server.port} ")


async def test_a_kubelet_that_is_not_there_is_told(ask, unused_tcp_port) -> None:
    with pytest.raises(KubeletError, match="cannot be asked: "):
        await ask(port=unused_tcp_port).pods()


async def test_what_is_no_http_is_told(ask, server) -> None:
    server.answer = b"SSH-2.0-OpenSSH\r\n\r\n"

    with pytest.raises(KubeletError, match="not HTTP/1"):
        await ask().pods()


# ---- who it is


async def test_trap_11_the_nodes_own_kubelet_need_not_prove_who_it_is(ask) -> None:
    assert KubeletAccess().verifies is False
    assert await ask().pods() == LIST


async def test_authorities_count_there_too(ask) -> None:
    with pytest.raises(KubeletError, match="certificate"):
        await ask(authorities=OTHER).pods()


async def test_a_kubelet_that_its_authorities_know_is_asked(ask) -> None:
    assert await ask(authorities=CERTIFICATE).pods() == LIST


@pytest.mark.parametrize("host", ["10.78.0.1", "node1", "2001:db8::1", "127.0.0.1.example"])
def test_any_other_host_must_prove_it(host: str) -> None:
    assert KubeletAccess(host).verifies
    assert not KubeletAccess(host, insecure=True).verifies


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_what_is_sent_to_loopback_never_leaves_the_node(host: str) -> None:
    assert KubeletAccess(host).is_local


@pytest.mark.parametrize(
    ("access", "url"),
    [
        (KubeletAccess(), "https://127.0.0.1:10250"),
        (KubeletAccess("::1", 10255, secure=False), "http://[::1]:10255"),
    ],
)
def test_its_name_is_its_url(access: KubeletAccess, url: str) -> None:
    assert access.url == url


def test_authorities_that_cannot_be_read_are_an_error() -> None:
    with pytest.raises(KubeletError, match=r"/nowhere/ca.pem cannot be used: .*No such file"):
        Kubelet(KubeletAccess(authorities=Path("/nowhere/ca.pem")))
