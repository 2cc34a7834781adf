"""Tests of real namespaces, for everybody: an ordinary user's session moves into a user namespace before the first of them.

Belongs here: that, and signals, as both concern tests, e2e and bench. Where the kernel forbids it these tests fail with the
reason: skipped, they would look as if they had passed.
"""

import os
import signal
from pathlib import Path

import pytest

from netra_node import rootless
from netra_node.cli.capabilities import missing_capabilities

_MARKER = "netns"
_REFUSAL = pytest.StashKey[str]()


def pytest_configure() -> None:
    """Let the programs that tests start be interrupted, also where we were started in the background, which ignores it for all."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Enter only for tests that need it: inside, the user's other ids, `/run` and the network are gone."""
    needed = any(item.get_closest_marker(_MARKER) for item in session.items)
    if needed and missing_capabilities(Path("/proc/self/status").read_text()):
        session.config.stash[_REFUSAL] = _enter()


def _enter() -> str:
    """Become root of namespaces of our own; return why that is refused."""
    # pytest's directory for temporary files is named after the user, and root's may be there already.
    os.environ.setdefault("LOGNAME", f"uid{os.geteuid()}")
    try:
        rootless.enter()
    except rootless.RootlessError as error:
        return (
            f"needs to make network namespaces: run it as root; as this user it fails, for {error}"
        )
    return ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail before any fixture does, which would tell of the first system call that was refused."""
    refusal = item.config.stash.get(_REFUSAL, "")
    if refusal and item.get_closest_marker(_MARKER):
        pytest.fail(refusal, pytrace=False)
