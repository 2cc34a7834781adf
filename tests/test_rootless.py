"""What a process is and has inside. Each one enters in a process of its own, for there is no way back."""

import subprocess
import sys
from pathlib import Path

import pytest

from netra_node import rootless

pytestmark = pytest.mark.netns

ENTER = "from netra_node import rootless\nrootless.enter()\n"


def run(script: str) -> str:
    """What a fresh Python prints; its complaint when it fails."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()


def test_inside_it_is_root_with_every_privilege_the_demo_needs() -> None:
    script = (
        ENTER
        + """
import os
from pathlib import Path
from netra_node.cli.capabilities import missing_capabilities
print(os.geteuid(), os.getegid(), missing_capabilities(Path("/proc/self/status").read_text()))
"""
    )
    assert run(script) == "0 0 []"


def test_the_network_is_one_of_its_own() -> None:
    script = (
        "from netra_node import netns\nbefore = netns.home()\n"
        + ENTER
        + "print(before == netns.home())"
    )

    assert run(script) == "False"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_is_up(address: str) -> None:
    script = (
        ENTER
        + f"""
import socket
family = socket.AF_INET6 if ":" in "{address}" else socket.AF_INET
with socket.create_server(("{address}", 0), family=family) as server:
    socket.create_connection(server.getsockname()[:2], 2).close()
print("connected")
"""
    )
    assert run(script) == "connected"


def test_pods_can_be_made_inside_and_nobody_outside_sees_them() -> None:
    script = (
        ENTER
        + """
from pathlib import Path
from netra_node.testbed import Testbed
with Testbed("rootless") as bed:
    bed.add_pod("web")
    print(*sorted(path.name.split("-")[-1] for path in Path("/run/netns").iterdir()))
    input()
"""
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as inside:
        assert inside.stdin is not None
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"bridge web\n"
        assert list(Path("/run/netns").glob(f"nt-rootless-{inside.pid}-*")) == []
        inside.stdin.write(b"\n")
        inside.stdin.close()
        assert inside.wait(10) == 0


def test_it_can_enter_once_more_from_inside() -> None:
    assert run(ENTER + "rootless.enter()\nprint('twice')") == "twice"


#: The limit is each user namespace's own, so that it can be set to nothing in one that is about to be thrown away.
FORBID = "from pathlib import Path\nPath('/proc/sys/user/max_user_namespaces').write_text('0')\n"


def test_a_refusal_says_why_and_how_to_mend_it() -> None:
    script = (
        ENTER
        + FORBID
        + """
try:
    rootless.enter()
except rootless.RootlessError as error:
    print(error)
"""
    )
    assert run(script) == (
        "the kernel gives ordinary users no namespaces (unshare: No space left on device): "
        "user.max_user_namespaces is 0, which `sudo sysctl -w user.max_user_namespaces=10000` changes"
    )


def test_a_refusal_by_the_kernel_changes_nothing() -> None:
    script = (
        ENTER
        + FORBID
        + """
import os
kinds = ("user", "net", "mnt")
before = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
try:
    rootless.enter()
except rootless.RootlessError:
    print(before == [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds], os.listdir("/run"))
"""
    )
    assert run(script) == "True ['netns']"


def test_with_a_thread_running_it_refuses_at_once() -> None:
    script = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
from netra_node import rootless
try:
    rootless.enter()
except rootless.RootlessError as error:
    print(error)
"""
    assert run(script) == "a user namespace can only be entered before the first thread starts"


@pytest.mark.parametrize(
    ("file", "forbids", "allows"),
    [
        ("user/max_user_namespaces", "0", "10000"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ],
)
def test_a_switch_that_forbids_it_is_named(
    tmp_path: Path, file: str, forbids: str, allows: str
) -> None:
    switch = tmp_path / file
    switch.parent.mkdir()
    switch.write_text(f"{forbids}\n")

    assert f"`sudo sysctl -w {file.replace('/', '.')}={allows}`" in rootless.obstacle(tmp_path)


@pytest.mark.parametrize("value", ["96365", "1"])
def test_a_switch_that_allows_it_is_not_to_blame(tmp_path: Path, value: str) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "max_user_namespaces").write_text(value)

    assert rootless.obstacle(tmp_path).startswith("a security policy")
