"""Why there was no answer, in words."""

import socket
import ssl

import pytest
import urllib3

from netra_node.cli.http_failures import no_answer, words
from tests.cli.admin_stub import unused_port


def failure(url: str) -> urllib3.exceptions.HTTPError:
    pool = urllib3.PoolManager(retries=urllib3.Retry(0), timeout=urllib3.Timeout(0.2))
    with pytest.raises(urllib3.exceptions.HTTPError) as caught:
        pool.request("GET", url)
    return caught.value


def test_a_refused_connection_cannot_be_reached() -> None:
    told = no_answer(failure(f"http://127.0.0.1:{unused_port()}"))

    assert told == "cannot be reached (connection refused)"


def test_silence_is_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = no_answer(failure(f"http://127.0.0.1:{silent.getsockname()[1]}"))

    assert told == "does not answer in time"


def test_what_is_wrapped_is_what_went_wrong_first() -> None:
    error = RuntimeError("with all its objects")
    error.__cause__ = OSError(113, "No route to host")

    assert words(error) == words(RuntimeError(error)) == "no route to host"


def test_a_certificate_that_is_not_trusted_is_named() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"

    assert words(error) == "its certificate is not trusted: self-signed certificate"


def test_an_error_without_words_has_its_name() -> None:
    assert words(ValueError()) == "ValueError"
