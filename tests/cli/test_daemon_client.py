"""Asking a daemon that is there, is not, hangs, or is somebody else."""

import socket

import pytest

from netra_node.cli.daemon_client import NoDaemonError, Where, ask, where
from netra_node.settings.model import SettingsError
from tests.cli.admin_stub import answering, unused_port


def test_by_default_it_asks_where_the_daemon_listens_by_default() -> None:
    assert where({}) == Where("127.0.0.1", 14957)


def test_it_asks_where_the_settings_say() -> None:
    settings = {"NETRA_PPROF_PORT": "99", "NETRA_PPROF_ADDRESS": "10.0.0.1"}

    assert where(settings) == Where("10.0.0.1", 99)


@pytest.mark.parametrize(("everywhere", "here"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_a_daemon_that_listens_everywhere_is_asked_on_loopback(everywhere: str, here: str) -> None:
    assert where({"NETRA_PPROF_ADDRESS": everywhere}).address == here


def test_settings_that_are_not_needed_to_ask_are_not_looked_at() -> None:
    assert where({"NETRA_PORT": "nonsense"}).port == 14957


@pytest.mark.parametrize("port", ["nonsense", "0"])
def test_a_port_that_cannot_be_asked_is_a_bad_setting(port: str) -> None:
    with pytest.raises(SettingsError, match=r"NETRA_PPROF_PORT='.*'"):
        where({"NETRA_PPROF_PORT": port})


def test_an_ipv6_address_is_written_as_in_a_url() -> None:
    assert str(Where("::1", 14957)) == "[::1]:14957"


def test_a_document_is_returned_as_it_is() -> None:
    with answering({"pods": []}) as port:
        assert ask(Where("127.0.0.1", port), "/status") == {"pods": []}


def test_where_nobody_listens_it_says_so_and_what_to_look_at() -> None:
    with pytest.raises(NoDaemonError, match=r"no daemon answers at .*refused.*NETRA_PPROF_PORT"):
        ask(Where("127.0.0.1", unused_port()), "/status")


def test_a_daemon_that_hangs_is_told_from_one_that_is_not_there() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(NoDaemonError, match=r"does not answer within 0\.1 s: it hangs"),
    ):
        ask(Where("127.0.0.1", silent.getsockname()[1]), "/status", 0.1)


@pytest.mark.parametrize(("body", "status"), [(b"<html>", 200), (b"{}", 404)])
def test_where_something_else_answers_it_says_so(body: bytes, status: int) -> None:
    with (
        answering(body, status) as port,
        pytest.raises(NoDaemonError, match="is not netra-node"),
    ):
        ask(Where("127.0.0.1", port), "/status")
