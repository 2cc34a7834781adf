"""2 GiB up and 2 GiB down with curl, to Node and from nginx: what arrives is what was sent, and the daemon keeps none of it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.support import nginx
from e2e.support.daemon import Daemon
from e2e.support.memory import flat
from e2e.support.node import Node
from e2e.support.route import BOTH, DIRECT, Route
from e2e.support.software import NODE, PROGRAMS, Verdict, Watch, run, start
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(300)]

SIZE = 2 << 30
PATIENCE = 120.0
_NOISE = f"openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c {SIZE}"
#: OpenSSL's is several times as fast as that of coreutils.
_CHECKSUM = "openssl sha256 -r"
_CURL = "curl -q -sSf -w '%{stderr}%{time_total} s'"


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that no compression and no repetition could hide a loss in."""
    file = tmp_path_factory.mktemp("noise") / "2GiB"
    subprocess.run(("sh", "-c", f"{_NOISE} >{file}"), check=True)
    assert file.stat().st_size == SIZE
    yield file
    file.unlink()


@pytest.fixture(scope="module")
def checksum(noise: Path) -> str:
    argv = (*_CHECKSUM.split(), str(noise))
    return subprocess.check_output(argv, text=True).split()[0]


@pytest.fixture(scope="module")
def servers(bed: Testbed, noise: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What receives and what sends, in both pods."""
    directory = tmp_path_factory.mktemp("servers")
    with nginx.running(bed, directory, "y", "b"):
        (directory / "files" / noise.name).hardlink_to(noise)
        for pod in ("y", "b"):
            argv = (*NODE, f"{PROGRAMS}/http_server.js", "9020")
            start(bed, pod, argv, 9020, directory / f"{pod}.log")
        yield
        (directory / "files" / noise.name).unlink()


def upload(node: Node, way: Route, noise: Path) -> str:
    """The checksum of what the server received, as it says."""
    return transfer(node, way, f"{_CURL} -T {noise} http://{node.pod(way.server).ipv4}:9020/sum")


def download(node: Node, way: Route, noise: Path) -> str:
    """The checksum of what the client received."""
    url = f"http://{node.pod(way.server).ipv4}/{noise.name}"
    return transfer(node, way, f"set -o pipefail; {_CURL} {url} | {_CHECKSUM}")


def transfer(node: Node, way: Route, script: str) -> str:
    seen = run(node.bed, way.client, ("bash", "-c", script), patience=PATIENCE)
    assert seen.exit_code == 0, seen.complaints
    # pytest -s shows what the way cost.
    print(f"{way}: {seen.complaints.decode()}")
    return seen.output.decode().split()[0]


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("move", [upload, download])
def test_2_gib_arrive_as_they_were_sent(
    node: Node, daemon: Daemon, noise: Path, checksum: str, move: Callable[[Node, Route, Path], str]
) -> None:
    assert move(node, DIRECT, noise) == checksum
    watch = Watch(daemon)

    with flat(daemon):
        assert move(node, BOTH, noise) == checksum

    watch.expect(2, Verdict.traced(1))
