"""The specification of `netra_node.discovery.service_name`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.discovery.pod import Pod, read_pod
from netra_node.discovery.service_name import (
    FIELDS,
    MAX_NAME,
    Owner,
    parse_template,
    service_name,
    workload_of,
)

LABELS = ("app.kubernetes.io/name", "app")


def pod(owner: tuple[str, str] | None = None, **metadata: Any) -> Pod:
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    return read_pod({"metadata": {"name": "web-5d4f8c7b9-x2x4z", "namespace": "shop", **metadata}})


def name(of: Pod, template: str | None = None) -> str:
    return service_name(of, LABELS, None if template is None else parse_template(template))


def test_the_evidence_has_an_order() -> None:
    """Each piece of evidence is removed once it has shown that it wins over those after it."""
    metadata: dict[str, Any] = {
        "annotations": {
            "netra.io/service-name": "1",
            "resource.opentelemetry.io/service.name": "2",
        },
        "labels": {"app.kubernetes.io/name": "3", "app": "4", "pod-template-hash": "h"},
    }
    found = []
    for part, key in [
        ("annotations", "netra.io/service-name"),
        ("annotations", "resource.opentelemetry.io/service.name"),
        ("labels", "app.kubernetes.io/name"),
        ("labels", "app"),
        ("labels", "pod-template-hash"),
    ]:
        found.append(name(pod(("ReplicaSet", "5-h"), **metadata)))
        del metadata[part][key]

    assert found == ["1", "2", "3", "4", "5"]


def test_a_pod_without_evidence_is_called_by_its_own_name() -> None:
    assert name(pod()) == "web-5d4f8c7b9-x2x4z"


def test_the_labels_are_looked_at_in_the_order_given() -> None:
    labelled = pod(labels={"app": "a", "team": "b"})

    assert service_name(labelled, ("team", "app"), None) == "b"


@pytest.mark.parametrize("useless", ["", "   ", "a\nb", "x" * (MAX_NAME + 1)])
def test_evidence_that_cannot_be_a_name_is_passed_over(useless: str) -> None:
    assert name(pod(labels={"app.kubernetes.io/name": useless, "app": "shop"})) == "shop"


def test_a_static_pod_is_not_called_after_its_node() -> None:
    assert name(pod(("Node", "node1"))) == "web-5d4f8c7b9-x2x4z"


@pytest.mark.parametrize(
    ("owner", "labels", "workload"),
    [
        (
            ("ReplicaSet", "web-5d4f8c7b9"),
            {"pod-template-hash": "5d4f8c7b9"},
            ("Deployment", "web"),
        ),
        (("ReplicaSet", "web-5d4f8c7b9"), {}, ("Deployment", "web")),
        (("ReplicaSet", "web-canary"), {}, ("ReplicaSet", "web-canary")),
        (
            ("ReplicaSet", "web-5d4f8c7b9"),
            {"pod-template-hash": "x"},
            ("ReplicaSet", "web-5d4f8c7b9"),
        ),
        (("ReplicaSet", "web"), {}, ("ReplicaSet", "web")),
        (("Job", "backup-29345678"), {}, ("CronJob", "backup")),
        (("Job", "backup-1600000000"), {}, ("CronJob", "backup")),
        (("Job", "backup-20261120"), {}, ("Job", "backup-20261120")),
        (("Job", "migrate"), {}, ("Job", "migrate")),
        (("StatefulSet", "db"), {}, ("StatefulSet", "db")),
        (("DaemonSet", "log"), {}, ("DaemonSet", "log")),
    ],
)
def test_the_workload_is_what_somebody_deployed(
    owner: tuple[str, str], labels: dict[str, str], workload: tuple[str, str]
) -> None:
    assert workload_of(pod(owner, labels=labels)) == Owner(*workload)


def test_a_pod_of_its_own_has_no_workload() -> None:
    assert workload_of(pod()) is None


def test_a_template_has_the_last_word() -> None:
    named = pod(("StatefulSet", "db"), annotations={"netra.io/service-name": "orders"})

    assert name(named, "{namespace}.{workload}") == "shop.db"


def test_a_template_may_use_the_name_found_by_evidence() -> None:
    assert name(pod(labels={"app": "orders"}), "{service}@{namespace}") == "orders@shop"


def test_a_filled_template_fits_a_label() -> None:
    assert len(name(pod(), "{pod}" * 50)) == MAX_NAME


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{node}", "unknown field {node}"),
        ("{}", "unknown field {}"),
        ("{pod.uid}", "unknown field {pod.uid}"),
        ("{pod[0]}", r"unknown field {pod\[0\]}"),
        ("{pod!r}", "unknown field {pod}"),
        ("{pod:>99999999}", "unknown field {pod}"),
        ("{pod", "unbalanced braces"),
        ("pod}", "unbalanced braces"),
        ("a\nb", "control characters"),
        ("a" * 300, "too long"),
    ],
)
def test_a_bad_template_is_told_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_template(text)


def test_doubled_braces_stand_for_themselves() -> None:
    assert name(pod(), "{{x}}") == "{x}"


@pytest.mark.parametrize(("text", "constant"), [("shop", True), ("{{}}", True), ("{pod}", False)])
def test_a_template_without_a_field_is_constant(text: str, constant: bool) -> None:
    assert parse_template(text).is_constant is constant


@given(st.text(alphabet="{}!:.[]a" + "pod", max_size=20))
def test_any_template_that_is_accepted_can_be_filled(text: str) -> None:
    try:
        template = parse_template(text)
    except ValueError:
        return

    assert isinstance(template.fill(dict.fromkeys(FIELDS, "x")), str)
