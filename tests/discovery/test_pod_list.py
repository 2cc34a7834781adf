"""The specification of `netra_node.discovery.pod_list`."""

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.desired import RefusedPod
from netra_node.discovery.pod import Pod, read_pod
from netra_node.discovery.pod_list import PodListError, PodListReader
from tests.discovery.recorded import items, listed

FRAME = b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":%b}\n'


def form(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", **metadata}, "spec": {}, "status": {}}


def pod_list(*forms: Any) -> bytes:
    """As Go writes it: no white space."""
    return FRAME % json.dumps(forms, separators=(",", ":")).encode()


async def names(body: bytes) -> list[str]:
    return [entry.name for entry in await PodListReader().read(body)]


RECORDINGS = [
    "02-just-after-manifest-50ms",
    "05-16s-all-steady",
    "07-static-manifest-removed-1s",
    "10-api-just-created",
    "11-api-running",
    "12-api-terminating",
    "20-ninety-pods",
]


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recorded_answer_is_read_as_json_would_be(name: str) -> None:
    assert list(await PodListReader().read(listed(name))) == [read_pod(f) for f in items(name)]


async def test_no_pods_are_null_as_a_kubelet_that_has_just_started_says() -> None:
    """Trap 2 of the recordings: 200 with `items: null` for 0.1 to 0.3 s."""
    assert await names(b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}\n') == []


async def test_no_pods_are_an_empty_list() -> None:
    assert await names(pod_list()) == []


async def test_items_may_come_first_and_be_written_for_people() -> None:
    form_of_list = {"items": [form("a"), form("b")], "kind": "PodList", "metadata": {}}

    assert await names(json.dumps(form_of_list, indent=2).encode()) == ["a", "b"]


async def test_a_text_that_looks_like_the_end_of_a_pod_is_none() -> None:
    odd = '},{"metadata":{'

    assert await names(pod_list(form("a", annotations={"x": odd}), form("b"))) == ["a", "b"]


async def test_a_list_inside_a_pod_that_looks_like_pods_is_none() -> None:
    """No field of a Pod does today."""
    nested = {**form("a"), "spec": {"templates": [{"metadata": {}}, {"metadata": {}}]}}

    assert await names(pod_list(nested, form("b"))) == ["a", "b"]


async def test_trap_2_random_order_is_the_same_pods() -> None:
    reader = PodListReader()
    first = await reader.read(pod_list(form("a"), form("b"), form("c")))
    second = await reader.read(pod_list(form("c"), form("a"), form("b")))

    assert {id(pod) for pod in first} == {id(pod) for pod in second}


async def test_what_has_not_changed_is_not_decoded_again() -> None:
    reader = PodListReader()
    a, b = await reader.read(pod_list(form("a"), form("b")))
    again, changed = await reader.read(pod_list(form("a"), form("b", labels={"x": "y"})))

    assert again is a
    assert changed is not b
    assert isinstance(changed, Pod)
    assert changed.labels == {"x": "y"}


async def test_a_change_that_nobody_cares_about_is_none() -> None:
    reader = PodListReader()
    (before,) = await reader.read(pod_list(form("a", resourceVersion="1")))
    (after,) = await reader.read(pod_list(form("a", resourceVersion="2")))

    assert after is before


async def test_what_was_not_in_the_last_list_is_not_remembered() -> None:
    reader = PodListReader()
    (before,) = await reader.read(pod_list(form("a")))
    await reader.read(pod_list())
    (after,) = await reader.read(pod_list(form("a")))

    assert after is not before


async def test_one_bad_pod_does_not_cost_the_others() -> None:
    bad, good = await PodListReader().read(pod_list(form("a", labels={"x": 1}), form("b")))

    assert bad == RefusedPod("uid-a", "", "a", "metadata.labels[x] (quote it) is a int, not text")
    assert good.name == "b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Unauthorized",
        b"null",
        b'{"kind":"PodList"}',
        b'{"kind":"Status","items":[]}',
        b'{"kind":"PodList","items":[{"metadata":{"name":"a"}}',
        b'{"kind":"PodList","items":[{"metadata":{"name":"a"}},{"metadata":{"na',
        b'{"kind":"PodList","items":[{"metadata":{"name":"a"}]}',
        b'{"kind":"PodList","items":[' + b"[" * 100_000 + b"]}",
        b'{"kind":"PodList","items":[\xff\xfe]}',
        listed("05-16s-all-steady")[:9000],
    ],
)
async def test_what_is_no_complete_list_is_an_error(body: bytes) -> None:
    with pytest.raises(PodListError):
        await PodListReader().read(body)


async def test_an_error_leaves_what_is_remembered() -> None:
    reader = PodListReader()
    (before,) = await reader.read(pod_list(form("a")))
    with pytest.raises(PodListError):
        await reader.read(b"garbage")

    assert (await reader.read(pod_list(form("a"))))[0] is before


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda inner: FRAME % inner))
def test_any_bytes_are_pods_or_an_error(body: bytes) -> None:
    try:
        entries = asyncio.run(PodListReader().read(body))
    except PodListError:
        return

    assert all(isinstance(entry, Pod | RefusedPod) for entry in entries)


async def test_93_pods_are_read_in_turns_of_a_millisecond() -> None:
    """Tenfold margin: the last piece of a turn is done whole. The best of some readings: a turn may hold a collection of garbage."""
    assert 0 < min([await longest_turn_of_93_pods() for _ in range(5)]) < 0.01


async def longest_turn_of_93_pods() -> float:
    body, longest, last = listed("20-ninety-pods"), 0.0, time.thread_time()

    def between() -> None:
        nonlocal longest, last
        longest, last = max(longest, time.thread_time() - last), time.thread_time()
        looping[0] = asyncio.get_running_loop().call_soon(between)

    looping = [asyncio.get_running_loop().call_soon(between)]
    entries = await PodListReader().read(body)
    looping[0].cancel()

    assert len(entries) == 93
    return longest
