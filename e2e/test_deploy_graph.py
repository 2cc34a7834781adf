"""The graph's CronJob against Kubernetes' schema, against the program, and against the DaemonSet it asks."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from netra_node.cli.cluster_options import NAMESPACE
from netra_node.cli.dispatch import COMMANDS, dispatch, load
from tests.cli import cluster_stub, elasticsearch_stub

FORMS = list(
    yaml.safe_load_all((Path(__file__).parents[1] / "deploy" / "graph-cronjob.yaml").read_text())
)
OBJECTS = {form["kind"]: form for form in FORMS}
POD = OBJECTS["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


@pytest.mark.parametrize("version", ["1.25", "1.29", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["kind"])
def test_kubernetes_knows_every_field(form: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(form, version, strict=True)


def test_its_command_writes_what_the_daemons_of_the_cluster_counted(tmp_path: Path) -> None:
    *flags, url = CONTAINER["args"]
    known = cluster_stub.Cluster([cluster_stub.daemon_set(0)])
    with cluster_stub.serving(known), elasticsearch_stub.serving(elasticsearch_stub.Store()) as es:
        config = str(cluster_stub.kubeconfig(tmp_path / "config", known.server))
        code = dispatch([*flags, es.url, "--kubeconfig", config], COMMANDS, load)

    assert flags[-1] == "--write-elasticsearch"
    assert url.startswith("http://")
    assert code == 1  # no node has a daemon
    assert known.asked != []


def test_its_account_may_do_what_the_command_does_and_nothing_else() -> None:
    granted = {
        f"{verb} {resource}"
        for rule in OBJECTS["Role"]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert granted == {"list daemonsets", "list pods", "get pods/exec", "create pods/exec"}


def test_its_role_is_bound_to_its_account() -> None:
    account, binding = OBJECTS["ServiceAccount"]["metadata"], OBJECTS["RoleBinding"]
    (subject,) = binding["subjects"]

    assert POD["serviceAccountName"] == account["name"] == subject["name"]
    assert binding["roleRef"]["name"] == OBJECTS["Role"]["metadata"]["name"]
    assert {form["metadata"]["namespace"] for form in FORMS} == {NAMESPACE, subject["namespace"]}


def test_it_needs_no_privilege_on_the_node() -> None:
    assert POD["securityContext"]["runAsNonRoot"]
    assert CONTAINER["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "hostNetwork" not in POD
    assert "volumes" not in POD


def test_a_run_ends_before_the_next_begins() -> None:
    minutes = int(OBJECTS["CronJob"]["spec"]["schedule"].split()[0].removeprefix("*/"))

    assert OBJECTS["CronJob"]["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 60 * minutes
