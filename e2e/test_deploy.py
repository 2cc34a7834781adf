"""The manifest against Kubernetes' schema and against the program: what it says exists, and what it needs is there."""

import copy
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from netra_node.cli.dispatch import COMMANDS
from netra_node.settings.model import KubeletSettings, Settings
from netra_node.settings.variables import VARIABLES

MANIFEST = Path(__file__).parents[1] / "deploy" / "daemonset.yaml"
FORMS = list(yaml.safe_load_all(MANIFEST.read_text()))
#: By kind and name; the kind alone means the first of it.
OBJECTS = {form["kind"]: form for form in reversed(FORMS)} | {
    f"{form['kind']} {form['metadata']['name']}": form for form in FORMS
}
POD = OBJECTS["DaemonSet"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
ENVIRONMENT = {
    **OBJECTS["ConfigMap netra-node"]["data"],
    **{entry["name"]: entry.get("value", "x") for entry in CONTAINER["env"]},
}


@pytest.mark.parametrize("version", ["1.25", "1.29", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "form", FORMS, ids=lambda form: f"{form['kind']} {form['metadata']['name']}"
)
def test_kubernetes_knows_every_field(form: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(form, version, strict=True)


def test_the_validator_refuses_what_kubernetes_does_not_know() -> None:
    wrong = copy.deepcopy(OBJECTS["DaemonSet"])
    wrong["spec"]["template"]["spec"]["hostNetworks"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_the_program_knows_every_variable() -> None:
    assert set(ENVIRONMENT) <= {variable.name for variable in VARIABLES}


def test_the_settings_are_good_and_nothing_about_them_is_odd() -> None:
    assert Settings.from_env(ENVIRONMENT).warnings == ()


def test_the_settings_come_from_the_config_map_of_the_manifest() -> None:
    (source,) = CONTAINER["envFrom"]

    assert source["configMapRef"]["name"] == OBJECTS["ConfigMap"]["metadata"]["name"]


def test_the_settings_that_are_commented_out_are_good_as_well() -> None:
    text = MANIFEST.read_text()
    commented = dict(re.findall(r"^  # ([A-Z_]+): (\S+)$", text, re.MULTILINE))

    assert commented
    assert Settings.from_env({**ENVIRONMENT, **commented}).warnings == ()


def test_the_program_knows_the_command() -> None:
    assert CONTAINER["args"][0] in COMMANDS


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probes_ask_where_the_program_answers(probe: str) -> None:
    assert CONTAINER[probe]["httpGet"]["port"] == Settings.from_env(ENVIRONMENT).ports.prometheus


def test_draining_ends_before_kubernetes_loses_its_patience() -> None:
    drain = Settings.from_env(ENVIRONMENT).drain_ms / 1000

    assert drain < POD["terminationGracePeriodSeconds"]


def test_what_the_daemon_reads_of_the_node_is_mounted_where_it_looks() -> None:
    mounts = {mount["mountPath"]: mount for mount in CONTAINER["volumeMounts"]}
    source = Settings.from_env(ENVIRONMENT).pods.source

    assert isinstance(source, KubeletSettings)
    assert str(source.netns_directory) in mounts
    assert all(any(path.is_relative_to(mount) for mount in mounts) for path in source.cni_results)
    # Namespaces made later are mounts, which a mount of before shows only when they propagate.
    assert mounts[str(source.netns_directory)]["mountPropagation"] == "HostToContainer"


def test_it_writes_nothing_on_the_node_but_network_switches_of_pods() -> None:
    writable = [m["mountPath"] for m in CONTAINER["volumeMounts"] if not m.get("readOnly", False)]
    proc = Settings.from_env(ENVIRONMENT).proc

    assert writable == [str(proc / "sys/net")]
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"]


def test_a_quota_allows_its_priority_where_a_cluster_asks_for_one() -> None:
    (scope,) = OBJECTS["ResourceQuota"]["spec"]["scopeSelector"]["matchExpressions"]

    assert scope["scopeName"] == "PriorityClass"
    assert POD["priorityClassName"] in scope["values"]


def test_its_token_may_read_the_pods_of_kubelets_and_nothing_else() -> None:
    roles = [form for form in FORMS if form["kind"] == "ClusterRole"]
    rules = [rule for role in roles for rule in role["rules"]]

    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["nodes/pods"], ["get"]),
        (["nodes/proxy"], ["get"]),
    ]


def test_every_role_is_bound_to_its_account() -> None:
    account = OBJECTS["ServiceAccount"]["metadata"]
    bindings = [form for form in FORMS if form["kind"] == "ClusterRoleBinding"]

    assert POD["serviceAccountName"] == account["name"]
    assert POD["automountServiceAccountToken"]
    for binding in bindings:
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])
        assert f"ClusterRole {binding['roleRef']['name']}" in OBJECTS
    assert len(bindings) == 2


def test_everything_with_a_namespace_is_in_the_one_it_makes() -> None:
    namespaces = {form["metadata"].get("namespace") for form in FORMS}

    assert namespaces == {None, OBJECTS["Namespace"]["metadata"]["name"]}


def test_it_takes_no_ports_from_the_scheduler() -> None:
    assert "ports" not in CONTAINER


def test_it_asks_for_no_more_than_three_capabilities() -> None:
    context: dict[str, Any] = CONTAINER["securityContext"]

    assert context["capabilities"] == {
        "drop": ["ALL"],
        "add": ["NET_ADMIN", "SYS_ADMIN", "NET_BIND_SERVICE"],
    }
    assert not context["privileged"]
    assert not POD.get("hostPID", False)
