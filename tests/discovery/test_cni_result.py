"""The specification of `netra_node.discovery.cni_result`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.discovery.cni_result import CniResult, read_result
from tests.discovery.cni import result

PATH = "/var/run/netns/cni-25c6e559"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def read(form: Any) -> CniResult:
    return read_result(json.dumps(form).encode())


def test_it_says_whose_sandbox_it_is_where_and_with_which_addresses() -> None:
    assert read(result(netns=PATH)) == CniResult(
        pod_uid="uid-web",
        namespace="default",
        name="web",
        container_id="c" * 64,
        netns=PATH,
        addresses=("10.77.0.10",),
    )


def test_older_libraries_leave_the_path_to_the_plugins_interfaces() -> None:
    assert read(result(interface_netns=PATH)).netns == PATH


def test_some_plugins_tell_no_path() -> None:
    assert read(result()).netns == ""


def test_a_path_that_is_none_is_not_taken_for_one() -> None:
    assert read(result(netns="cni-25c6e559", interface_netns=PATH)).netns == PATH


def test_older_runtimes_tell_no_uid() -> None:
    assert read(result(uid="")).pod_uid == ""


def test_addresses_are_in_their_canonical_form() -> None:
    found = read(result(addresses=("10.77.0.10/24", "FD77:0::A/64"))).addresses

    assert found == ("10.77.0.10", "fd77::a")


def test_loopback_which_runtimes_set_up_as_a_network_has_no_address_to_know_a_pod_by() -> None:
    assert read(result(addresses=("127.0.0.1/8", "::1/128"))).addresses == ()


def test_results_of_cni_0_2_are_read() -> None:
    form = result()
    form["result"] = {"ip4": {"ip": "10.77.0.10/24"}, "ip6": {"ip": "fd77::a/64"}}

    assert read(form).addresses == ("10.77.0.10", "fd77::a")


def test_a_network_without_a_result_has_no_addresses() -> None:
    form = result(netns=PATH)
    form["result"] = None

    assert read(form).addresses == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"kind": "cniCacheV2"}',
        b'{"cniVersion": "0.4.0", "ips": []}',
        b'{"kind": "cniCacheV1", "cniArgs": 7}',
        b'{"kind": "cniCacheV1", "result": {"ips": [{"address": "x"}]}}',
        b'{"kind": "cniCacheV1", "result": {"interfaces": ["eth0"]}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_result_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any
        read_result(content)


def test_a_file_that_is_not_written_whole_is_a_value_error() -> None:
    whole = json.dumps(result(netns=PATH)).encode()
    for length in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011 - any
            read_result(whole[:length])


@given(json_values | st.dictionaries(st.sampled_from(["cniArgs", "result", "netns"]), json_values))
def test_any_json_is_a_result_or_a_value_error(form: object) -> None:
    if isinstance(form, dict):
        form["kind"] = "cniCacheV1"
    try:
        read(form)
    except ValueError:
        return
