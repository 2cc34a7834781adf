"""What wrk is told, and how its summary is read."""

import pytest

from bench.wrk import Load, Outcome, command, parse

_OUTPUT = """Running 1s test @ http://10.88.0.11:8080/
  1 threads and 8 connections
Requests/sec:   8686.32
{"requests": 8694, "bytes": 1721412, "microseconds": 1000884, "p50": 780, "p99": 5785, \
"connect": 1, "read": 2, "write": 0, "status": 4, "timeout": 8}
"""


def test_the_summary_line_is_the_outcome() -> None:
    assert parse(_OUTPUT) == Outcome(
        requests=8694, received=1721412, seconds=1.000884, p50=780, p99=5785, errors=15
    )


def test_output_without_a_summary_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 10.88.0.11:8080 Connection refused\n")


def test_a_load_without_keep_alive_asks_the_server_to_close() -> None:
    load = Load(connections=8, seconds=2, keep_alive=False)

    assert "Connection: close" in command(load, "http://a:1")


def test_the_path_is_appended_to_the_origin() -> None:
    assert command(Load(1, 2, path="/download"), "http://a:1")[-1] == "http://a:1/download"
