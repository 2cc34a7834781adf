"""The core is pure: a test of it that opens a socket has found a bug."""

import socket

import pytest


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        pytest.fail("core tests must not open sockets")

    monkeypatch.setattr(socket, "socket", refuse)
