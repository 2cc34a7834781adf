"""The specification of `netra_node.discovery.pod`."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.discovery.pod import Container, OwnerReference, PodError, metadata_of, read_pod

RECORDED = json.loads((Path(__file__).parent / "kubelet_pods.json").read_text())["items"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def form(**parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", **parts.pop("metadata", {})}, **parts}


def test_a_name_is_all_a_pod_must_have() -> None:
    pod = read_pod({"metadata": {"name": "web"}})

    assert (pod.namespace, pod.name, pod.phase) == ("default", "web", "Running")
    assert (pod.host_network, pod.node, pod.owner) == (False, "", None)
    assert (pod.labels, pod.annotations, pod.addresses, pod.containers) == ({}, {}, (), ())


def test_null_is_absent() -> None:
    pod = read_pod({"metadata": {"name": "web", "labels": None}, "spec": None, "status": None})

    assert pod.labels == {}


def test_a_missing_uid_is_derived_from_namespace_and_name() -> None:
    assert read_pod(form()).uid == read_pod(form(metadata={"namespace": "default"})).uid


def test_pods_of_other_names_have_other_derived_uids() -> None:
    one = read_pod(form(metadata={"namespace": "a"}))
    other = read_pod(form(metadata={"namespace": "b"}))

    assert one.uid != other.uid


def test_a_uid_that_is_there_is_kept() -> None:
    assert read_pod(form(metadata={"uid": "u-1"})).uid == "u-1"


def test_addresses_are_listed_once_and_the_first_first() -> None:
    pod = read_pod(
        form(status={"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]})
    )

    assert pod.addresses == ("10.0.0.1", "fd00::1")


def test_the_owner_is_the_controller() -> None:
    owners = [{"kind": "X", "name": "x"}, {"kind": "ReplicaSet", "name": "rs", "controller": True}]

    assert read_pod(form(metadata={"ownerReferences": owners})).owner == OwnerReference(
        "ReplicaSet", "rs"
    )


def test_an_owner_that_is_no_controller_is_better_than_none() -> None:
    owners = [{"kind": "X", "name": "x"}]

    assert read_pod(form(metadata={"ownerReferences": owners})).owner == OwnerReference("X", "x")


def test_containers_and_init_containers_are_told_apart() -> None:
    pod = read_pod(
        form(
            spec={"containers": [{"name": "a", "image": "i:1"}], "initContainers": [{"name": "b"}]}
        )
    )

    assert pod.containers == (Container("a", "i:1"),)
    assert pod.init_containers == (Container("b", ""),)


def test_the_form_never_says_where_the_namespace_is() -> None:
    assert read_pod(form(metadata={"annotations": {"netra.io/netns": "other"}})).netns is None


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("web", "Pod is text, not a mapping"),
        (None, "Pod is null, not a mapping"),
        ({}, "metadata.name is missing"),
        ({"metadata": []}, "metadata is a list, not a mapping"),
        ({"metadata": {"name": 1}}, "metadata.name is a int, not text"),
        (
            form(metadata={"labels": {"netra.io/enabled": True}}),
            r"metadata.labels\[netra.io/enabled\] \(quote it\) is a boolean, not text",
        ),
        (form(metadata={"labels": {1: "a"}}), "a key of metadata.labels is a int, not text"),
        (form(spec={"hostNetwork": "yes"}), "spec.hostNetwork is text, not a boolean"),
        (form(spec={"containers": ["a"]}), r"spec.containers\[0\] is text, not a mapping"),
        (form(spec={"containers": [{"name": []}]}), r"spec.containers\[0\].name is a list"),
        (form(status={"podIPs": [{"ip": 1}]}), r"status.podIPs\[0\].ip is a int, not text"),
        (form(metadata={"ownerReferences": [1]}), r"metadata.ownerReferences\[0\] is a int"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(bad: object, complaint: str) -> None:
    with pytest.raises(PodError, match=complaint):
        read_pod(bad)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda item: item["metadata"]["name"])
def test_what_a_real_kubelet_answers_is_read(recorded: dict[str, Any]) -> None:
    pod = read_pod(recorded)

    assert pod.uid == recorded["metadata"]["uid"]
    assert pod.containers
    assert pod.phase == recorded["status"]["phase"]
    assert pod.host_network == recorded["spec"].get("hostNetwork", False)


@given(json_values)
def test_any_json_is_a_pod_or_a_pod_error(value: object) -> None:
    with pytest.raises(PodError):
        read_pod(value)


@given(
    st.sampled_from(["metadata", "spec", "status"]),
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "namespace",
                "uid",
                "labels",
                "annotations",
                "ownerReferences",
                "hostNetwork",
                "nodeName",
                "containers",
                "initContainers",
                "phase",
                "podIP",
                "podIPs",
            ]
        ),
        json_values,
    ),
)
def test_any_part_is_read_or_a_pod_error(part: str, content: dict[str, Any]) -> None:
    try:
        pod = read_pod({"metadata": {"name": "web"}, part: content})
    except PodError as error:
        assert part in str(error)  # noqa: PT017 - either ending is right
    else:
        assert pod.name


@pytest.mark.parametrize("form", [None, [], {}, {"metadata": []}])
def test_what_is_no_pod_has_no_metadata(form: object) -> None:
    assert metadata_of(form) == {}


def test_a_pod_that_cannot_be_read_has_its_metadata() -> None:
    assert metadata_of({"metadata": {"name": "web", "labels": 1}}) == {"name": "web", "labels": 1}
