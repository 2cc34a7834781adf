"""The specification of `netra_node.admin.debugging`."""

import asyncio
import inspect
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.admin.debugging import PATHS, debugging
from netra_node.admin.message import Request, Response

#: What Go's index page links to.
GO = (
    "allocs",
    "block",
    "cmdline",
    "goroutine",
    "heap",
    "mutex",
    "profile",
    "threadcreate",
    "trace",
)


@pytest.fixture(autouse=True)
def no_late_signal() -> Iterator[None]:
    yield
    signal.signal(signal.SIGPROF, signal.SIG_IGN)


async def ask(path: str, query: str = "", method: str = "GET") -> tuple[int, str]:
    answer = debugging(lambda: {"open connections": 3})[path](Request(method, path, query=query))
    return read(answer if isinstance(answer, Response) else await answer)


def read(answer: Response) -> tuple[int, str]:
    return answer.status, b"".join(answer.body).decode()


@pytest.mark.parametrize("path", ["/debug/stacks", "/debug/pprof/goroutine"])
async def test_stacks_have_tasks_threads_and_counts(path: str) -> None:
    status, body = await ask(path, "debug=2")

    assert status == 200
    assert "open connections: 3\n" in body
    assert "1 tasks" in body
    assert "MainThread" in body


async def test_pprofs_profile_is_ours() -> None:
    assert await ask("/debug/pprof/profile", "seconds=x") == await ask(
        "/debug/profile", "seconds=x"
    )


async def test_a_profile_takes_the_seconds_that_are_asked_for() -> None:
    began = asyncio.get_running_loop().time()

    status, _ = await ask("/debug/profile", "seconds=1")

    assert status == 200
    assert asyncio.get_running_loop().time() - began >= 1


async def test_only_one_profile_is_taken_at_a_time() -> None:
    profile = debugging(dict)["/debug/profile"]
    first = profile(Request("GET", "/debug/profile", query="seconds=60"))
    assert inspect.iscoroutine(first)
    taking = asyncio.get_running_loop().create_task(first)
    await asyncio.sleep(0)

    second = profile(Request("GET", "/debug/profile"))

    assert isinstance(second, Response)
    assert read(second) == (409, "another profile is being taken; ask again when it is done\n")
    taking.cancel()


async def test_head_takes_no_profile() -> None:
    async with asyncio.timeout(5):
        assert await ask("/debug/profile", "seconds=60", "HEAD") == (200, "")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("seconds=0", "seconds='0'"),
        ("seconds=61", "seconds='61'"),
        ("seconds=1.5", "seconds='1.5'"),
        ("seconds=-1", "seconds='-1'"),
        ("seconds=", "seconds=''"),
        ("seconds=%D9%A3", "seconds='\\u0663'"),
        ("seconds=" + "9" * 5000, "seconds='" + "9" * 40 + "'"),
    ],
)
async def test_bad_seconds_are_told_with_what_is_taken(query: str, shown: str) -> None:
    status, body = await ask("/debug/profile", query)

    assert status == 400
    assert body == f"{shown} is not a whole number from 1 to 60\n"


@pytest.mark.parametrize("query", ["second=5", "seconds=1&seconds=2", "seconds=1&hz=100"])
async def test_parameters_that_nobody_reads_are_told(query: str) -> None:
    assert await ask("/debug/profile", query) == (
        400,
        "the one parameter is seconds, 1 to 60\n",
    )


@given(st.text())
def test_no_query_is_an_error_of_ours(query: str) -> None:
    answer = debugging(dict)["/debug/profile"](Request("GET", "/debug/profile", query=query))

    if inspect.iscoroutine(answer):
        answer.close()
    else:
        assert isinstance(answer, Response)
        assert answer.status == 400


@pytest.mark.parametrize("path", ["/debug/pprof/", "/debug/pprof"])
async def test_the_index_says_what_became_of_each_of_gos_pages(path: str) -> None:
    status, body = await ask(path)

    assert status == 200
    assert [name for name in GO if f"\n  {name} " not in body] == []


@pytest.mark.parametrize(
    "name", ["allocs", "block", "cmdline", "heap", "mutex", "symbol", "threadcreate", "trace"]
)
async def test_a_page_without_successor_says_where_to_look(name: str) -> None:
    status, body = await ask(f"/debug/pprof/{name}")

    assert status == 404
    assert body.startswith(f"no {name} here: ")
    assert any(known in body for known in (*PATHS, "/metrics", "/status", "no symbols"))
