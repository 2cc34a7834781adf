"""Software that speaks no HTTP/1, or hides it: its bytes pass, it notices nothing, and the reason is counted."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support import nginx
from e2e.support.daemon import Daemon
from e2e.support.nginx import BIG, HELLO
from e2e.support.node import Node
from e2e.support.route import ROUTES, Route
from e2e.support.software import (
    ENVIRONMENT,
    PROGRAMS,
    PYTHON,
    Client,
    Log,
    Seen,
    Verdict,
    compare,
    observe,
    start,
)
from netra_node.testbed import Testbed

pytestmark = [
    pytest.mark.netns,
    pytest.mark.long,
    pytest.mark.timeout(60),
    ROUTES,
]

SERVERS = ("y", "b")


def passed_on(
    node: Node,
    daemon: Daemon,
    route: Route,
    client: Client,
    *verdicts: Verdict,
    logs: dict[str, Log] | None = None,
) -> Seen:
    """Run it directly and on `route`, SERVER in its words being the server's address."""

    def operation(way: Route) -> Seen:
        argv = tuple(word.replace("SERVER", node.pod(way.server).ipv4) for word in client.argv)
        log = logs[way.server] if logs else None
        return observe(node, way, Client(argv, client.least, client.given), log)

    return compare(daemon, route, operation, *verdicts)


# ---- TLS


@pytest.fixture(scope="module")
def secure(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both have nginx; the certificates' directory."""
    directory = tmp_path_factory.mktemp("nginx")
    with nginx.running(bed, directory, *SERVERS):
        yield directory / "certificates"


def curl(*argv: str) -> tuple[str, ...]:
    to_server = ("--connect-to", "::SERVER:")
    return ("curl", "-q", "-sS", "--no-progress-meter", "--max-time", "15", *to_server, *argv)


TLS = {
    "verified": (("--cacert", "CA", "https://server/hello.txt"), 0, HELLO),
    "large": (("--cacert", "CA", "https://server/big.bin"), 0, BIG),
    "by_an_unknown_authority": (("https://server/hello.txt",), 60, b""),
    "for_another_name": (("--cacert", "CA", "https://other/hello.txt"), 60, b""),
    "version_1_2": (("--tls-max", "1.2", "--cacert", "CA", "https://server/hello.txt"), 0, HELLO),
}


@pytest.mark.parametrize("name", TLS)
def test_curl_verifies_a_certificate_as_it_does_directly(
    node: Node, daemon: Daemon, secure: Path, route: Route, name: str
) -> None:
    words, exit_code, output = TLS[name]
    argv = curl(*(word.replace("CA", f"{secure}/ca.pem") for word in words))

    seen = passed_on(node, daemon, route, Client(argv), Verdict.passed_on("tls"))

    assert (seen.exit_code, seen.output) == (exit_code, output), seen.complaints


def test_openssl_sees_the_servers_own_certificate(
    node: Node, daemon: Daemon, secure: Path, route: Route
) -> None:
    look = f"openssl s_client -connect SERVER:443 -verify_return_error -CAfile {secure}/ca.pem"
    script = f"set -o pipefail; {look} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint"
    argv = ("bash", "-c", script)

    seen = passed_on(node, daemon, route, Client(argv), Verdict.passed_on("tls"))

    file = subprocess.check_output(
        ("openssl", "x509", "-noout", "-fingerprint", "-in", f"{secure}/server.pem")
    )
    assert seen.output == file


# ---- gRPC


@pytest.fixture(scope="module")
def grpc(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("grpc")
    for pod in SERVERS:
        start(bed, pod, (*PYTHON, f"{PROGRAMS}/grpc_server.py"), 9003, directory / pod)


@pytest.mark.usefixtures("grpc")
def test_grpc_calls_of_every_kind_end_as_they_do_directly(
    node: Node, daemon: Daemon, route: Route
) -> None:
    argv = (*PYTHON, f"{PROGRAMS}/grpc_client.py", "SERVER:9003")

    # gRPC's server sends its settings when it accepts, so either side may be the first that is heard.
    verdicts = (Verdict.passed_on("h2"), Verdict.passed_on("server_first"))
    seen = passed_on(node, daemon, route, Client(argv), *verdicts)

    assert seen.exit_code == 0, seen.complaints
    for word in (b"6000003 ", b"answer 199", b"FAILED_PRECONDITION", b"DEADLINE", b"UNIMPLEMENTED"):
        assert word in seen.output


# ---- SMTP


@pytest.fixture(scope="module")
def mail(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Log]:
    directory = tmp_path_factory.mktemp("mail")
    handler = ("aiosmtpd.handlers.Debugging", "stdout")
    server = ("-u", "-m", "aiosmtpd", "-n", "-l", "0.0.0.0:2525", "-c", *handler)
    for pod in SERVERS:
        start(bed, pod, (*PYTHON, *server), 2525, directory / pod)
    return {pod: Log(directory / pod) for pod in SERVERS}


def test_mail_is_delivered_as_it_is_directly(
    node: Node, daemon: Daemon, mail: dict[str, Log], route: Route
) -> None:
    letter = b"Subject: test\r\n\r\n" + b"a line of it\r\n" * 1000
    argv = curl(
        *("smtp://server:2525/me", "--mail-from", "me@x", "--mail-rcpt", "you@y", "-T", "-")
    )

    seen = passed_on(
        node,
        daemon,
        route,
        Client(argv, 1005, letter),
        Verdict.passed_on("server_first"),
        logs=mail,
    )

    assert seen.exit_code == 0, seen.complaints
    assert len([line for line in seen.logged if b"a line of it" in line]) == 1000


# ---- Redis


@pytest.fixture(scope="module")
def redis(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("redis")
    options = ("--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", str(directory))
    for pod in SERVERS:
        start(bed, pod, ("redis-server", *options), 6379, directory / pod)


CLI = ("redis-cli", "-h", "SERVER")
#: What `redis-cli --pipe` takes: the protocol itself.
MANY = b"".join(
    b"*3\r\n$3\r\nSET\r\n$6\r\nk%05d\r\n$4\r\n%04d\r\n" % (n, n % 10_000) for n in range(20_000)
)

REDIS = {
    "commands": (
        Client(CLI, given=b"SET a 1\nINCR a\nAPPEND a x\nGET a\nGET nothing\nNOSUCH\nLRANGE a 0 1\n"),
        b"2x",
    ),
    "large_value": (Client((*CLI, "-x", "SET", "large"), given=BIG), b"OK\n"),
    "pipelined": (Client((*CLI, "--pipe"), given=MANY), b"errors: 0, replies: 20000\n"),
    "script": (Client((*CLI, "EVAL", "return string.rep('x', 2000000)", "0")), b"x" * 2_000_000),
    "transaction": (Client(CLI, given=b"MULTI\nSET b 5\nINCR b\nEXEC\n"), b"6"),
    "blocked": (Client((*CLI, "BLPOP", "never", "0.3")), b"\n"),
    "by_hand": (Client(curl("telnet://server:6379"), given=b"PING\r\nGET nothing\r\nQUIT\r\n"), b"+PONG"),
}  # fmt: skip


@pytest.mark.parametrize("name", REDIS)
@pytest.mark.usefixtures("redis")
def test_redis_answers_as_it_does_directly(
    node: Node, daemon: Daemon, route: Route, name: str
) -> None:
    client, holds = REDIS[name]

    seen = passed_on(node, daemon, route, client, Verdict.passed_on("not_http"))

    assert seen.exit_code == 0, seen.complaints
    assert holds in seen.output


@pytest.mark.usefixtures("redis")
def test_what_is_published_reaches_who_subscribed(node: Node, daemon: Daemon, route: Route) -> None:
    script = """
        : >"$HOME/got"
        redis-cli -h SERVER SUBSCRIBE news >"$HOME/got" & subscriber=$!
        until grep -q subscribe "$HOME/got"; do sleep 0.02; done
        for n in $(seq 50); do echo "PUBLISH news $n"; done | redis-cli -h SERVER
        until grep -qx 50 "$HOME/got"; do sleep 0.02; done
        kill $subscriber; cat "$HOME/got"
    """
    with tempfile.TemporaryDirectory() as home:
        argv = ("env", f"HOME={home}", "sh", "-c", script)
        seen = passed_on(node, daemon, route, Client(argv), Verdict.passed_on("not_http", 2))

    assert seen.output.count(b"message\nnews\n") == 50


@pytest.mark.usefixtures("redis")
def test_a_redis_benchmark_of_many_connections_succeeds(
    node: Node, daemon: Daemon, route: Route
) -> None:
    # It opens a connection more, to ask for the server's configuration.
    run = "redis-benchmark -h SERVER -c 20 -n 5000 -P 8 -t get -q | tr '\\r' '\\n' | grep -c 'per second'"

    seen = passed_on(
        node, daemon, route, Client(("sh", "-c", run)), Verdict.passed_on("not_http", 21)
    )

    assert seen.output == b"1\n"


# ---- PostgreSQL


@pytest.fixture(scope="module")
def postgres(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server in both, with a password, as a user who is not root: it refuses to run as that."""
    binaries = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    logs = tmp_path_factory.mktemp("postgres")
    # What pytest makes is open to root alone.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        shutil.chown(directory, "postgres")
        _make_cluster(binaries, directory)
        servers = [_start_postgres(bed, pod, binaries, directory, logs / pod) for pod in SERVERS]
        yield
        for pid in servers:
            os.kill(pid, signal.SIGQUIT)


def _make_cluster(binaries: Path, directory: Path) -> None:
    """The data of one, and a copy for the other."""
    password = directory / "password"
    password.write_text("secret")
    password.chmod(0o644)
    make = f"{binaries}/initdb --no-sync -A scram-sha-256 --pwfile {password} -D {directory}/y"
    allow = f"echo host all all 0.0.0.0/0 scram-sha-256 >>{directory}/y/pg_hba.conf"
    subprocess.run(
        ("sh", "-ec", f"{make}; {allow}; cp -r {directory}/y {directory}/b"),
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
        user="postgres",
        group="postgres",
        extra_groups=(),
    )


def _start_postgres(bed: Testbed, pod: str, binaries: Path, directory: Path, log: Path) -> int:
    options = ("-h", "0.0.0.0", "-k", "", "-c", "fsync=off", "-D", f"{directory}/{pod}")
    return start(
        bed,
        pod,
        (f"{binaries}/postgres", *options),
        5432,
        log,
        user="postgres",
        group="postgres",
        extra_groups=(),
    )


POSTGRES_URL = "postgresql://postgres:secret@SERVER/postgres"


def psql(*argv: str, given: bytes = b"") -> Client:
    options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
    return Client(("psql", *options, *argv, POSTGRES_URL), given=given)


ROWS = b"".join(b"%d\ta row of text, number %d\n" % (n, n) for n in range(100_000))
COPY = (
    b"create temporary table t (n int, line text);\ncopy t from stdin;\n" + ROWS + b"\\.\n"
    b"select count(*), md5(string_agg(line, '' order by n)) from t;\ncopy t to stdout;\n"
)
PREPARED = b"prepare p (int) as select $1 * 2;\n" + b"execute p (21);\n" * 300
NOTIFY = b"listen news;\nnotify news, 'first';\nnotify news, 'second';\nselect 1;\n"

POSTGRES = {
    "query": (psql("-c", "select inet_client_addr(), sum(n) from generate_series(1, 1000) n"), 0, b"500500"),
    "large_answer": (psql("-c", "select repeat('x', 1000) from generate_series(1, 5000)"), 0, b"x" * 1000),
    "copy_in_and_out": (psql("-f", "-", given=COPY), 0, ROWS),
    "prepared": (psql("-f", "-", given=PREPARED), 0, b"42\n" * 300),
    "listen_and_notify": (psql("-f", "-", given=NOTIFY), 0, b'payload "second"'),
    "error": (psql("-c", "select 1/0"), 1, b""),
    "terminated_by_the_server": (psql("-c", "select pg_terminate_backend(pg_backend_pid())"), 2, b""),
}  # fmt: skip


@pytest.mark.parametrize("name", POSTGRES)
@pytest.mark.usefixtures("postgres")
def test_postgresql_answers_as_it_does_directly(
    node: Node, daemon: Daemon, route: Route, name: str
) -> None:
    client, exit_code, holds = POSTGRES[name]

    seen = passed_on(node, daemon, route, client, Verdict.passed_on("not_http"))

    assert seen.exit_code == exit_code, seen.complaints
    assert holds in seen.output


@pytest.mark.usefixtures("postgres")
def test_a_query_is_cancelled_by_a_second_connection(
    node: Node, daemon: Daemon, route: Route
) -> None:
    # The notice comes from within the query: only then there is one to cancel.
    query = "do $$ begin raise notice 'begun'; perform pg_sleep(20); end $$"
    script = f"""
        : >"$HOME/said"
        psql -X -q -v VERBOSITY=terse -c "$1" {POSTGRES_URL} 2>"$HOME/said" & psql=$!
        until grep -q begun "$HOME/said"; do sleep 0.02; done
        kill -INT $psql; wait $psql; cat "$HOME/said"
    """
    with tempfile.TemporaryDirectory() as home:
        client = Client(("env", f"HOME={home}", "sh", "-c", script, "sh", query))
        seen = passed_on(node, daemon, route, client, Verdict.passed_on("not_http", 2))

    assert seen.output.splitlines() == [
        b"NOTICE:  begun",
        b"Cancel request sent",
        b"ERROR:  canceling statement due to user request",
    ]


@pytest.mark.usefixtures("postgres")
def test_a_postgresql_benchmark_of_many_transactions_succeeds(
    node: Node, daemon: Daemon, route: Route
) -> None:
    run = (
        f"pgbench -q -i {POSTGRES_URL} 2>/dev/null; "
        f"pgbench -c 4 -j 2 -t 100 {POSTGRES_URL} 2>&1 | grep processed"
    )

    # One to fill the tables, one that asks how large they are, and four.
    seen = passed_on(
        node, daemon, route, Client(("sh", "-c", run)), Verdict.passed_on("not_http", 6)
    )

    assert seen.output == b"number of transactions actually processed: 400/400\n"
