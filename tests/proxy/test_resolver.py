"""Against a real DNS server on loopback, by UDP and TCP."""

import asyncio
import socket
import time
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from netra_node.core.resolv_conf import ResolvConf
from netra_node.proxy.resolver import (
    ResolvConfFile,
    Resolved,
    Resolver,
    UnresolvedError,
)
from tests.proxy.dns_server import DnsServer, honest
from tests.proxy.support import until

pytestmark = pytest.mark.netns  # a mark on a socket takes a capability

SEARCH = ("ns.svc.cluster.local", "svc.cluster.local", "cluster.local")
WHOLE = "b.ns.svc.cluster.local."


class Sockets:
    """Makes sockets, and counts the open ones."""

    def __init__(self) -> None:
        self.made: list[socket.socket] = []

    def tcp(self, family: socket.AddressFamily) -> socket.socket:
        return self._make(family, socket.SOCK_STREAM)

    def udp(self, family: socket.AddressFamily) -> socket.socket:
        return self._make(family, socket.SOCK_DGRAM)

    def _make(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        self.made.append(socket.socket(family, kind | socket.SOCK_NONBLOCK))
        return self.made[-1]

    @property
    def open(self) -> int:
        return sum(sock.fileno() != -1 for sock in self.made)


class Hasty(ResolvConfFile):
    """Has a tenth of a second for each server, once."""

    def __call__(self) -> ResolvConf:
        return ResolvConf(super().__call__().servers, 0.1, 1)  # type: ignore[arg-type]


class Asker:
    """A resolver with its surroundings; `now` is its clock."""

    def __init__(
        self,
        directory: Path,
        port: int,
        servers: str = "127.0.0.1",
        file: type[ResolvConfFile] = ResolvConfFile,
    ) -> None:
        self.now = 0.0
        self.sockets = Sockets()
        self.file = directory / "resolv.conf"
        self.file.write_text("".join(f"nameserver {server}\n" for server in servers.split()))
        self.resolver = Resolver(
            self.sockets, 0x1539, SEARCH, file(self.file, port), lambda: self.now
        )

    async def ask(self, name: str = "b") -> Resolved:
        known = self.resolver.known(name)
        return known if known is not None else await self.resolver.resolve(name)

    async def fails(self, name: str = "b") -> UnresolvedError:
        with pytest.raises(UnresolvedError) as caught:
            await self.ask(name)
        return caught.value


async def test_a_short_name_is_found_by_the_pods_search_list(tmp_path: Path) -> None:
    with DnsServer({WHOLE: ["10.0.0.7"]}) as server:
        asker = Asker(tmp_path, server.port)

        assert await asker.ask() == Resolved(WHOLE, ("10.0.0.7",))
        assert {name for name, _ in server.asked} == {WHOLE}
        assert asker.sockets.open == 0


async def test_candidates_are_asked_for_in_order_until_one_is_there(tmp_path: Path) -> None:
    with DnsServer({"b.other.svc.cluster.local.": ["10.0.0.8"]}) as server:
        found = await Asker(tmp_path, server.port).ask("b.other")

        assert found == Resolved("b.other.svc.cluster.local.", ("10.0.0.8",))
        assert [name for name, kind in server.asked if kind == "A"] == [
            "b.other.ns.svc.cluster.local.",
            "b.other.svc.cluster.local.",
        ]


async def test_a_name_without_addresses_does_not_end_the_search(tmp_path: Path) -> None:
    with DnsServer({WHOLE: [], "b.": ["10.0.0.9"]}) as server:
        assert await Asker(tmp_path, server.port).ask() == Resolved("b.", ("10.0.0.9",))


async def test_ipv4_comes_first_and_aliases_are_followed(tmp_path: Path) -> None:
    zone = {"b.": ["CNAME c.example."], "c.example.": ["fd00::1", "10.0.0.1"]}
    with DnsServer(zone) as server:
        assert (await Asker(tmp_path, server.port).ask("b.")).addresses == ("10.0.0.1", "fd00::1")


async def test_what_is_nowhere_is_no_name(tmp_path: Path) -> None:
    with DnsServer({}) as server:
        assert await Asker(tmp_path, server.port).ask() == Resolved("", ())


async def test_an_answer_holds_for_its_ttl_and_no_name_for_three_seconds(tmp_path: Path) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}, ttl=60) as server:
        asker = Asker(tmp_path, server.port)
        for asker.now, asked in ((0, 2), (59, 2), (60, 4)):
            await asker.ask("b.")
            assert len(server.asked) == asked
        server.asked.clear()
        for asker.now, asked in ((100, 2), (102, 2), (103, 4)):
            await asker.ask("x.")
            assert len(server.asked) == asked


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 1), (100_000, 300)])
async def test_a_ttl_has_bounds(tmp_path: Path, ttl: int, seconds: int) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}, ttl=ttl) as server:
        asker = Asker(tmp_path, server.port)
        await asker.ask("b.")
        asker.now = seconds - 0.5
        assert asker.resolver.known("b.") is not None
        asker.now = seconds
        assert asker.resolver.known("b.") is None


async def test_what_is_too_long_for_a_datagram_is_asked_for_by_tcp(tmp_path: Path) -> None:
    zone = {"b.": [f"10.0.0.{n}" for n in range(1, 100)]}
    with DnsServer(zone) as server:
        asker = Asker(tmp_path, server.port)

        assert len((await asker.ask("b.")).addresses) == 8
        assert server.by_tcp == 1
        assert asker.sockets.open == 0


async def test_those_who_ask_for_one_name_at_once_ask_once(tmp_path: Path) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}) as server:
        asker = Asker(tmp_path, server.port)
        found = await asyncio.gather(*(asker.resolver.resolve("b.") for _ in range(50)))

        assert len(set(found)) == 1
        assert len(server.asked) == 2


async def test_one_who_gives_up_does_not_end_it_for_the_others(tmp_path: Path) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}) as server:
        asker = Asker(tmp_path, server.port)
        first, second = (asyncio.get_running_loop().create_task(asker.ask("b.")) for _ in "ab")
        await asyncio.sleep(0)
        first.cancel()

        assert (await second).addresses == ("10.0.0.1",)


def among_noise(query: dns.message.Message, reply: dns.message.Message, tcp: bool) -> list[bytes]:
    wrong = bytearray(reply.to_wire())
    wrong[0] ^= 1
    return [b"", b"junk", bytes(wrong), query.to_wire(), *honest(query, reply, tcp)]


async def test_datagrams_that_are_no_answer_are_passed_over(tmp_path: Path) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}, spoil=among_noise) as server:
        assert (await Asker(tmp_path, server.port).ask("b.")).addresses == ("10.0.0.1",)


async def test_where_nobody_answers_it_is_told_in_time_and_no_later_candidate_holds(
    tmp_path: Path,
) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}, spoil=lambda *_: []) as server:
        asker = Asker(tmp_path, server.port, file=Hasty)
        begin = time.monotonic()
        error = await asker.fails()

        assert error.timed_out
        assert 0.09 < time.monotonic() - begin < 5
        await until(lambda: len(server.asked) == 2)  # its thread may come to read them later
        assert {name for name, _ in server.asked} == {WHOLE}
        assert asker.sockets.open == 0


async def test_the_next_server_is_asked_where_one_is_not_there(tmp_path: Path) -> None:
    with DnsServer({"b.": ["10.0.0.1"]}) as server:
        asker = Asker(tmp_path, server.port, servers="127.0.0.99 127.0.0.1")

        assert (await asker.ask("b.")).addresses == ("10.0.0.1",)


async def test_a_server_that_fails_is_asked_again(tmp_path: Path) -> None:
    kinds: list[int] = []

    def fail_first(
        query: dns.message.Message, reply: dns.message.Message, tcp: bool
    ) -> list[bytes]:
        kinds.append(query.question[0].rdtype)
        if kinds.count(kinds[-1]) == 1:
            reply.answer.clear()
            reply.set_rcode(dns.rcode.SERVFAIL)
        return honest(query, reply, tcp)

    with DnsServer({"b.": ["10.0.0.1"]}, spoil=fail_first) as server:
        assert (await Asker(tmp_path, server.port).ask("b.")).addresses == ("10.0.0.1",)


async def test_without_servers_nothing_is_found(tmp_path: Path) -> None:
    assert (await Asker(tmp_path, 53, servers="").fails()).timed_out


async def test_a_candidate_that_is_too_long_for_dns_is_left_out(tmp_path: Path) -> None:
    long = ".".join(["b" * 60] * 4)
    with DnsServer({f"{long}.": ["10.0.0.1"]}) as server:
        assert (await Asker(tmp_path, server.port).ask(long)).addresses == ("10.0.0.1",)
        assert {name for name, _ in server.asked} == {f"{long}."}


async def test_a_name_that_dns_cannot_have_is_none(tmp_path: Path) -> None:
    with DnsServer({}) as server:
        assert await Asker(tmp_path, server.port).ask("b" * 64) == Resolved("", ())
        assert server.asked == []


async def test_so_many_names_are_asked_for_at_once(tmp_path: Path) -> None:
    with DnsServer({}) as server:
        asker = Asker(tmp_path, server.port)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(asker.ask(f"b{n}.")) for n in range(64)]
        await asyncio.sleep(0)

        assert str(await asker.fails("c.")) == "too many names are being asked for"
        assert await asyncio.gather(*tasks) == [Resolved("", ())] * 64
        assert await asker.ask("c.") == Resolved("", ())
        assert asker.sockets.open == 0


async def test_so_many_names_are_remembered(tmp_path: Path) -> None:
    with DnsServer({}) as server:
        asker = Asker(tmp_path, server.port)
        for number in range(260):
            await asker.ask(f"b{number}.")

        assert len(asker.resolver._known) == 256
        assert asker.resolver.known("b3.") is None
        assert asker.resolver.known("b4.") is not None


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    conf = ResolvConfFile(file)
    assert conf() == ResolvConf()
    file.write_text("nameserver 10.0.0.1")
    assert conf().servers == ("10.0.0.1",)
    file.write_text("nameserver 10.0.0.22")
    assert conf().servers == ("10.0.0.22",)
    file.unlink()
    assert conf().servers == ("10.0.0.22",)
