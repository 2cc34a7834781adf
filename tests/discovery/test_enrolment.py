"""The specification of `netra_node.discovery.enrolment`."""

import json
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.desired import DesiredPod, InboundMode, PodOptions, RefusedPod
from netra_node.core.ports import ALL_PORTS, PortSet, parse
from netra_node.discovery.enrolment import (
    Decisions,
    EnrolmentPolicy,
    decide,
    decide_all,
    may_be_captured,
    unknown_annotations,
)
from netra_node.discovery.pod import Pod, read_pod
from netra_node.discovery.service_name import parse_template

RECORDED = json.loads((Path(__file__).parent / "kubelet_pods.json").read_text())["items"]
POLICY = EnrolmentPolicy()
OPTED_IN = {"netra.io/enabled": "true"}


def pod(netns: str | None = "web", **form: Any) -> Pod:
    metadata = {"name": "web", "namespace": "shop", "uid": "u-1", **form.pop("metadata", {})}
    metadata["labels"] = {**OPTED_IN, **metadata.get("labels", {})}
    return replace(read_pod({"metadata": metadata, **form}), netns=netns)


def desired(of: Pod, policy: EnrolmentPolicy = POLICY) -> DesiredPod:
    decision = decide(of, policy)
    assert isinstance(decision, DesiredPod)
    return decision


def reason(of: Pod, policy: EnrolmentPolicy = POLICY) -> str:
    decision = decide(of, policy)
    assert isinstance(decision, RefusedPod)
    return decision.reason


def attributes(of: Pod, policy: EnrolmentPolicy = POLICY) -> dict[str, str]:
    return dict(desired(of, policy).identity.attributes)


# Who is captured


def test_a_pod_with_the_label_is_captured() -> None:
    decision = desired(pod(status={"podIP": "10.0.0.1"}))

    assert (decision.identity.uid, decision.identity.service) == ("u-1", "web")
    assert (decision.netns, decision.addresses) == ("/run/netns/web", ("10.0.0.1",))


@pytest.mark.parametrize("value", ["false", "True", ""])
def test_a_pod_with_another_value_did_not_opt_in(value: str) -> None:
    assert decide(pod(metadata={"labels": {"netra.io/enabled": value}}), POLICY) is None


def test_a_pod_without_the_label_did_not_opt_in() -> None:
    assert decide(read_pod({"metadata": {"name": "web"}}), POLICY) is None


def test_the_label_is_the_operators_choice() -> None:
    labelled = pod(metadata={"labels": {"mesh": "on"}})

    assert decide(labelled, EnrolmentPolicy(opt_in=("mesh", "on"))) is not None
    assert decide(labelled, EnrolmentPolicy(opt_in=("mesh", "off"))) is None


@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_pod_that_lives_or_will_live_is_captured(phase: str) -> None:
    assert isinstance(decide(pod(status={"phase": phase}), POLICY), DesiredPod)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_nobodys_wish(phase: str) -> None:
    assert decide(pod(status={"phase": phase}), POLICY) is None


def test_a_pod_of_another_phase_is_refused() -> None:
    assert reason(pod(status={"phase": "Unknown"})) == "its phase is 'Unknown'"


def test_a_pod_on_the_hosts_network_is_refused() -> None:
    assert "hostNetwork" in reason(pod(spec={"hostNetwork": True}))


def test_the_daemons_own_pod_is_refused() -> None:
    assert reason(pod(), EnrolmentPolicy(own_uid="u-1")) == "this is the daemon's own pod"


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
@pytest.mark.parametrize(
    ("name", "mesh"),
    [
        ("istio-proxy", "Istio"),
        ("linkerd-proxy", "Linkerd"),
        ("consul-dataplane", "Consul"),
        ("netra-sidecar", "netramesh"),
        ("netra-init", "netramesh"),
    ],
)
def test_a_pod_of_another_mesh_is_refused(kind: str, name: str, mesh: str) -> None:
    refused = pod(spec={kind: [{"name": "app"}, {"name": name}]})

    assert reason(refused) == f"container {name} already captures it for {mesh}"


@pytest.mark.parametrize(
    "image",
    ["lookyan/netra-sidecar:0.10", "r.io:5000/netra-sidecar@sha256:00", "netra-sidecar:1@sha256:0"],
)
def test_a_sidecar_of_any_name_is_known_by_its_image(image: str) -> None:
    assert "netramesh" in reason(pod(spec={"containers": [{"name": "proxy", "image": image}]}))


def test_a_pod_whose_namespace_nobody_knows_is_refused_with_what_helps() -> None:
    assert reason(pod(netns=None)) == (
        "its network namespace is not known; "
        "annotation netra.io/netns takes an absolute path or a name under /run/netns"
    )


@pytest.mark.parametrize(
    ("netns", "path"),
    [
        ("web", "/run/netns/web"),
        ("cni-00.a_b", "/run/netns/cni-00.a_b"),
        ("/proc/17/ns/net", "/proc/17/ns/net"),
    ],
)
def test_a_namespace_is_a_name_or_a_path(netns: str, path: str) -> None:
    assert desired(pod(netns=netns)).netns == path


@pytest.mark.parametrize("netns", ["", "..", "../x", "a/b", "-x", "/a\x00b", "a b"])
def test_any_other_namespace_is_refused_with_its_value(netns: str) -> None:
    assert reason(pod(netns=netns)) == (
        f"annotation netra.io/netns={netns!r}: neither; "
        "it takes an absolute path or a name under /run/netns"
    )


def test_a_refusal_says_which_pod() -> None:
    refused = decide(pod(spec={"hostNetwork": True}), POLICY)

    assert isinstance(refused, RefusedPod)
    assert (refused.uid, refused.namespace, refused.name) == ("u-1", "shop", "web")


# How


def test_http_ports_are_the_nodes_unless_the_pod_names_its_own() -> None:
    policy = EnrolmentPolicy(options=PodOptions(http_ports=parse("80")))
    own = pod(metadata={"annotations": {"netra.io/http-ports": "8080-8090"}})

    assert desired(pod(), policy).options.http_ports == parse("80")
    assert desired(own, policy).options.http_ports == parse("8080-8090")


def test_a_bad_annotation_is_named_with_its_value_and_what_it_takes() -> None:
    assert reason(pod(metadata={"annotations": {"netra.io/http-ports": "http"}})) == (
        "annotation netra.io/http-ports='http': 'http' is no port and no range; "
        "it takes ports and ranges 0..65535, such as 80,8000-8010"
    )


def annotated(**annotations: str) -> Pod:
    named = {f"netra.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return pod(metadata={"annotations": named})


NODE = EnrolmentPolicy(
    options=PodOptions(
        inbound_ports=parse("80"),
        outbound_ports=parse("443"),
        inbound_probability=0.5,
        outbound_probability=0.25,
        inbound_mode=InboundMode.REDIRECT,
        exempt_user=1337,
    )
)


def test_a_pod_that_says_nothing_is_captured_as_the_node_says() -> None:
    assert desired(pod(), NODE).options == NODE.options


@pytest.mark.parametrize(
    ("annotation", "value", "option", "read"),
    [
        ("inbound_ports", "*", "inbound_ports", ALL_PORTS),
        ("inbound_ports", "8080-8090", "inbound_ports", parse("8080-8090")),
        ("outbound_ports", "*", "outbound_ports", ALL_PORTS),
        ("outbound_ports", "1, 3:5", "outbound_ports", parse("1,3-5")),
        ("inbound_probability", "0.75", "inbound_probability", 0.75),
        ("outbound_probability", "0", "outbound_probability", 0.0),
        ("inbound_mode", "TPROXY ", "inbound_mode", InboundMode.TPROXY),
        (
            "exclude_outbound_cidrs",
            "10.0.0.0/8, fd00::/8",
            "outbound_skip",
            (ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        ),
    ],
)
def test_an_annotation_beats_the_nodes_setting(
    annotation: str, value: str, option: str, read: object
) -> None:
    options = desired(annotated(**{annotation: value}), NODE).options

    assert options == replace(NODE.options, **{option: read})  # type: ignore[arg-type]


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_excluded_ports_are_taken_from_the_nodes_or_the_pods_own(direction: str) -> None:
    node = EnrolmentPolicy(
        options=PodOptions(inbound_ports=parse("1-9"), outbound_ports=parse("1-9"))
    )
    own, excluded = {f"{direction}_ports": "5-20"}, {f"exclude_{direction}_ports": "6,8-30"}

    def ports(of: Pod) -> object:
        return getattr(desired(of, node).options, f"{direction}_ports")

    assert ports(annotated(**excluded)) == parse("1-5,7")
    assert ports(annotated(**excluded, **own)) == parse("5,7")


def test_all_ports_can_be_excluded() -> None:
    assert desired(annotated(exclude_inbound_ports="*")).options.inbound_ports == PortSet(())


@pytest.mark.parametrize(
    ("annotation", "value", "why"),
    [
        ("inbound-ports", "all", "'all' is no port and no range; it takes * for all, or ports"),
        ("exclude-outbound-ports", "", "'' is no port and no range; it takes * for all, or ports"),
        ("exclude-outbound-cidrs", "10.0.0.0/99", "'10.0.0.0/99' is no network; it takes IPv4 and"),
        ("inbound-probability", "50%", "not a number; it takes a number, 0..1"),
        ("outbound-probability", "2", "out of range; it takes a number, 0..1"),
        ("inbound-mode", "nat", "no such mode; it takes tproxy or redirect"),
    ],
)
def test_a_bad_annotation_says_why_and_what_it_takes(annotation: str, value: str, why: str) -> None:
    told = reason(pod(metadata={"annotations": {f"netra.io/{annotation}": value}}))

    assert told.startswith(f"annotation netra.io/{annotation}={value!r}: {why}")


def test_a_bad_annotation_is_no_reason_to_let_go_of_a_captured_pod() -> None:
    decision = decide(annotated(inbound_mode="nat"), POLICY)

    assert isinstance(decision, RefusedPod)
    assert decision.keeps


def test_any_other_refusal_is() -> None:
    decision = decide(pod(spec={"hostNetwork": True}), POLICY)

    assert isinstance(decision, RefusedPod)
    assert not decision.keeps


def test_a_pod_may_name_its_service() -> None:
    named = pod(metadata={"annotations": {"netra.io/service-name": " orders "}})

    assert desired(named).identity.service == "orders"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 256])
def test_a_service_name_that_is_none_is_refused(name: str) -> None:
    assert "annotation netra.io/service-name=" in reason(
        pod(metadata={"annotations": {"netra.io/service-name": name}})
    )


def test_an_unknown_annotation_is_told_with_the_nearest_known_one() -> None:
    odd = pod(metadata={"annotations": {"netra.io/http-port": "80", "other.io/x": "1"}})

    assert unknown_annotations(odd) == (
        "annotation netra.io/http-port is not known; did you mean netra.io/http-ports?",
    )


def test_an_unknown_annotation_that_resembles_nothing_gets_no_guess() -> None:
    odd = pod(metadata={"annotations": {"netra.io/colour": "red"}})

    assert unknown_annotations(odd) == ("annotation netra.io/colour is not known",)


def test_known_annotations_are_no_oddity() -> None:
    known = {"netra.io/http-ports": "80", "netra.io/service-name": "a", "netra.io/netns": "b"}

    assert unknown_annotations(pod(metadata={"annotations": known})) == ()


# Under which name


def test_the_service_is_named_by_the_policy() -> None:
    policy = EnrolmentPolicy(service_template=parse_template("{namespace}.{service}"))

    assert desired(pod(), policy).identity.service == "shop.web"


def test_the_resource_says_what_is_known_of_a_pod() -> None:
    full = pod(
        metadata={"labels": {"app.kubernetes.io/version": "1.2"}},
        spec={"nodeName": "n1", "containers": [{"name": "app"}]},
    )

    assert attributes(full) == {
        "service.namespace": "shop",
        "service.version": "1.2",
        "service.instance.id": "u-1",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "web",
        "k8s.pod.uid": "u-1",
        "k8s.node.name": "n1",
        "k8s.container.name": "app",
    }


def test_a_pod_of_two_containers_has_no_container_name() -> None:
    two = pod(spec={"containers": [{"name": "a"}, {"name": "b"}]})

    assert "k8s.container.name" not in attributes(two)


def test_the_node_is_ours_where_the_pod_does_not_say_it() -> None:
    policy = EnrolmentPolicy(node_name="n2")

    assert attributes(pod(), policy)["k8s.node.name"] == "n2"
    assert attributes(pod(spec={"nodeName": "n1"}), policy)["k8s.node.name"] == "n1"


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (
            "ReplicaSet",
            "web-5d4f8c7b9",
            {"k8s.replicaset.name": "web-5d4f8c7b9", "k8s.deployment.name": "web"},
        ),
        ("Job", "b-29345678", {"k8s.job.name": "b-29345678", "k8s.cronjob.name": "b"}),
        ("StatefulSet", "db", {"k8s.statefulset.name": "db"}),
        ("DaemonSet", "log", {"k8s.daemonset.name": "log"}),
        ("Rollout", "web", {}),
        ("Node", "node1", {}),
    ],
)
def test_the_resource_names_the_owner(kind: str, name: str, expected: dict[str, str]) -> None:
    owned = pod(metadata={"ownerReferences": [{"kind": kind, "name": name, "controller": True}]})
    plain = attributes(pod())

    assert {k: v for k, v in attributes(owned).items() if k not in plain} == expected


def test_what_is_known_of_a_pod_wins_over_the_operators_attributes() -> None:
    policy = EnrolmentPolicy(resource=(("team", "a"), ("k8s.pod.name", "b")))

    assert attributes(pod(), policy)["team"] == "a"
    assert attributes(pod(), policy)["k8s.pod.name"] == "web"


# All of them


def test_what_a_source_could_not_read_stays_refused() -> None:
    unreadable = RefusedPod("file:1", "shop", "x", "metadata is a list, not a mapping")

    assert decide_all([unreadable, read_pod({"metadata": {"name": "y"}})], POLICY) == (unreadable,)


def test_what_has_not_changed_is_not_decided_again() -> None:
    web, orders = pod(), pod(metadata={"uid": "u-2", "name": "orders"})
    decisions = Decisions(POLICY)
    before = decisions.about([web, orders])
    again, changed = decisions.about([web, replace(orders, netns="other")])

    assert again is before[0]
    assert isinstance(changed, DesiredPod)
    assert changed.netns == "/run/netns/other"


def test_what_left_the_list_is_forgotten() -> None:
    web, decisions = pod(), Decisions(POLICY)
    before = decisions.about([web])

    assert decisions.about([]) == ()
    assert decisions.about([web])[0] is not before[0]


def test_a_pod_whose_namespace_is_awaited_waits() -> None:
    decision = decide(replace(pod(netns=None), awaited="not known yet"), POLICY)

    assert decision == RefusedPod("u-1", "shop", "web", "not known yet", waits=True)


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        ({}, True),
        ({"phase": "Pending"}, True),
        ({"phase": "Succeeded"}, False),
        ({"phase": "Failed"}, False),
        ({"labels": {}}, False),
        ({"host_network": True}, False),
    ],
)
def test_the_namespace_of_a_pod_that_cannot_be_captured_is_not_looked_for(
    different: dict[str, Any], expected: bool
) -> None:
    assert may_be_captured(replace(pod(), **different), POLICY) is expected


def test_a_real_kubelets_pods_are_decided() -> None:
    """multi, noimage, pending, slowstop and web1 opted in; hostnet did, on the host's network; web2 did not."""
    pods = [replace(read_pod(form), netns="x") for form in RECORDED]
    decisions = decide_all(pods, EnrolmentPolicy(opt_in=("netra.io/inject", "enabled")))

    captured = {d.identity.service for d in decisions if isinstance(d, DesiredPod)}
    refused = {d.name for d in decisions if isinstance(d, RefusedPod)}
    assert captured == {"multi", "noimage", "pending", "slowstop", "web1"}
    assert refused == {"hostnet-node1"}


@given(
    st.dictionaries(
        st.sampled_from(["netra.io/http-ports", "netra.io/service-name", "netra.io/x"]),
        st.text(max_size=30),
    ),
    st.none() | st.text(max_size=30),
)
def test_any_annotations_are_a_decision(annotations: dict[str, str], netns: str | None) -> None:
    decision = decide(pod(netns=netns, metadata={"annotations": annotations}), POLICY)

    assert isinstance(decision, DesiredPod | RefusedPod)
