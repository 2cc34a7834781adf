"""The manifest against Kubernetes' schema and against the program: what it says exists, and what it needs is there."""

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from netra_node.cli.dispatch import COMMANDS
from netra_node.core.desired import DesiredPod
from netra_node.discovery.enrolment import EnrolmentPolicy, decide_all
from netra_node.discovery.file_source import read_pods
from netra_node.settings.model import Settings
from netra_node.settings.variables import VARIABLES

MANIFEST = Path(__file__).parents[1] / "deploy" / "daemonset.yaml"
OBJECTS = {form["kind"]: form for form in yaml.safe_load_all(MANIFEST.read_text())}
POD = OBJECTS["DaemonSet"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
ENVIRONMENT = {entry["name"]: entry.get("value", "x") for entry in CONTAINER["env"]}


@pytest.mark.parametrize("version", ["1.25", "1.29", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("kind", OBJECTS)
def test_kubernetes_knows_every_field(kind: str, version: str) -> None:
    kubernetes_validate.validate(OBJECTS[kind], version, strict=True)


def test_the_validator_refuses_what_kubernetes_does_not_know() -> None:
    wrong = copy.deepcopy(OBJECTS["DaemonSet"])
    wrong["spec"]["template"]["spec"]["hostNetworks"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_the_program_knows_every_variable() -> None:
    assert set(ENVIRONMENT) <= {variable.name for variable in VARIABLES}


def test_the_settings_are_good_and_nothing_about_them_is_odd() -> None:
    assert Settings.from_env(ENVIRONMENT).warnings == ()


def test_the_program_knows_the_command() -> None:
    assert CONTAINER["args"][0] in COMMANDS


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probes_ask_where_the_program_answers(probe: str) -> None:
    assert CONTAINER[probe]["httpGet"]["port"] == Settings.from_env(ENVIRONMENT).ports.prometheus


def test_draining_ends_before_kubernetes_loses_its_patience() -> None:
    drain = Settings.from_env(ENVIRONMENT).drain_ms / 1000

    assert drain < POD["terminationGracePeriodSeconds"]


def test_the_pods_file_is_where_the_settings_look() -> None:
    (mount,) = (m for m in CONTAINER["volumeMounts"] if m["name"] == "pods")
    source = Settings.from_env(ENVIRONMENT).pods.source

    assert source.parent == Path(mount["mountPath"])
    assert source.name in OBJECTS["ConfigMap"]["data"]


def test_the_pods_file_is_read_as_it_is() -> None:
    assert read_pods(OBJECTS["ConfigMap"]["data"]["pods.yaml"].encode()) == ()


def test_the_example_in_the_comment_is_captured() -> None:
    lines = MANIFEST.read_text().partition("its network namespace is:\n")[2].splitlines()
    example = "\n".join(line.replace("  #   ", "", 1) for line in lines[:5])

    (decision,) = decide_all(read_pods(example.encode()), EnrolmentPolicy())

    assert isinstance(decision, DesiredPod)
    assert (decision.identity.service, decision.netns) == ("web", "/run/netns/cni-0a1b2c3d")


def test_it_asks_for_no_more_than_two_capabilities() -> None:
    context: dict[str, Any] = CONTAINER["securityContext"]

    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_ADMIN"]}
    assert not context["privileged"]
    assert not POD.get("hostPID", False)
