"""docs/migrating-from-netramesh.md and docs/parity.md against the program, netramesh's variables and Kubernetes' schema."""

import copy
import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from e2e.support.doc_page import CHECKOUT, DOCS, known_tests, named_tests, renewed, rows, section
from e2e.support.migration_page import PAGE, by_name, parts
from netra_node.cli.dispatch import COMMANDS
from netra_node.core.desired import DesiredPod, RefusedPod
from netra_node.discovery.enrolment import EnrolmentPolicy, decide_all, unknown_annotations
from netra_node.discovery.file_source import read_pods
from netra_node.discovery.service_name import parse_template
from netra_node.settings.model import Settings
from tests.settings.netramesh import NETRAMESH

MIGRATION = PAGE.read_text()
PARITY = (DOCS / "parity.md").read_text()
FORMS: list[dict[str, Any]] = [
    yaml.safe_load(text)
    for text in re.findall(r"^```yaml\n(.*?)^```", MIGRATION, re.DOTALL | re.MULTILINE)
]
CONFIG, BEFORE, AFTER = FORMS
LABEL = {"netra.io/enabled": "true"}


def anchors(page: str) -> set[str]:
    """What one can link to, as GitHub names it."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def in_a_cluster(deployment: dict[str, Any], **annotations: str) -> DesiredPod | RefusedPod:
    """What the daemon decides about a pod of the deployment, with the label whether it has it or not."""
    template = copy.deepcopy(deployment["spec"]["template"])
    name = deployment["metadata"]["name"]
    metadata = template["metadata"]
    metadata |= {"name": f"{name}-5d89f7c9b-x2x4z", "namespace": "shop"}
    metadata["labels"] |= {**LABEL, "pod-template-hash": "5d89f7c9b"}
    metadata["annotations"] = {"netra.io/netns": "/run/netns/x", **annotations}
    metadata["ownerReferences"] = [
        {"kind": "ReplicaSet", "name": f"{name}-5d89f7c9b", "controller": True}
    ]
    policy = EnrolmentPolicy(service_template=parse_template(CONFIG["data"]["JAEGER_SERVICE_NAME"]))
    (pod,) = read_pods(json.dumps({"kind": "PodList", "items": [template]}).encode())
    assert unknown_annotations(pod) == ()
    (decided,) = decide_all([pod], policy)
    return decided


# ---- the way


@pytest.mark.parametrize("version", ["1.25", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("form", FORMS, ids=["settings", "before", "after"])
def test_kubernetes_knows_every_field_of_its_manifests(form: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(form, version, strict=True)


def test_what_remains_of_the_example_is_it_without_netramesh_and_with_the_label() -> None:
    expected = copy.deepcopy(BEFORE)
    template = expected["spec"]["template"]
    del template["spec"]["initContainers"]
    template["spec"]["containers"] = template["spec"]["containers"][:1]
    template["metadata"]["labels"] |= LABEL

    assert expected == AFTER


def test_a_pod_of_before_is_left_alone_and_one_of_after_is_captured_under_its_old_name() -> None:
    refused, desired = in_a_cluster(BEFORE), in_a_cluster(AFTER)

    assert isinstance(refused, RefusedPod)
    assert "netramesh" in refused.reason
    assert isinstance(desired, DesiredPod)
    assert desired.identity.service == "shop.app"


@pytest.mark.parametrize("left", ["initContainers", "containers"])
def test_half_a_removal_leaves_the_pod_alone(left: str) -> None:
    half = copy.deepcopy(AFTER)
    half["spec"]["template"]["spec"][left] = BEFORE["spec"]["template"]["spec"][left]

    assert isinstance(in_a_cluster(half), RefusedPod)


def test_its_settings_are_good_and_nothing_about_them_is_odd() -> None:
    assert Settings.from_env(CONFIG["data"]).warnings == ()


def test_its_settings_are_of_the_form_that_the_manifest_has() -> None:
    manifest = yaml.safe_load_all((CHECKOUT / "deploy" / "daemonset.yaml").read_text())
    (shipped,) = [form for form in manifest if form["kind"] == "ConfigMap"]

    assert CONFIG["metadata"] == shipped["metadata"]
    assert shipped["data"].items() <= CONFIG["data"].items()


def test_its_annotations_are_known() -> None:
    table = list(rows(section(MIGRATION, "Step by step")))
    named = re.findall(r"`(netra\.io/[\w-]+)`", "".join(cells[1] for cells in table))
    values = {"netra.io/service-name": "web"} | {
        name: "0.5" if name.endswith("probability") else "80" for name in named[1:]
    }

    assert len(named) == 6
    assert named[0] == "netra.io/service-name"
    assert isinstance(in_a_cluster(AFTER, **values), DesiredPod)


def test_it_types_only_commands_there_are() -> None:
    typed = set(re.findall(r"(?:^|-- |`)netra-node ([a-z]+)", MIGRATION, re.MULTILINE))

    assert {"config", "doctor", "status", "graph"} <= typed
    assert typed <= set(COMMANDS)


@pytest.mark.parametrize("page", [MIGRATION, PARITY], ids=["migration", "parity"])
def test_its_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([\w.-]+)(?:#([\w-]+))?\)", page)

    assert links
    for file, anchor in links:
        assert (DOCS / file).exists(), file
        assert not anchor or anchor in anchors((DOCS / file).read_text()), anchor


def test_every_variable_it_names_is_one() -> None:
    named = set(re.findall(r"\b(?:NETRA|JAEGER|OTEL|HTTP)_[A-Z0-9_]+\b", MIGRATION))

    assert len(named) > len(NETRAMESH) - 3
    for name in named:
        assert by_name(name)


def test_its_generated_part_is_as_the_code_is_now() -> None:
    again = "run `.venv/bin/python -m e2e.support.migration_page`"

    assert "<!-- generated: variables -->" in MIGRATION
    assert renewed(MIGRATION, parts()) == MIGRATION, again


@pytest.mark.parametrize("page", ["migrating-from-netramesh.md", "parity.md", "debugging.md"])
def test_the_readme_leads_to_it(page: str) -> None:
    assert f"docs/{page}" in (CHECKOUT / "README.md").read_text()


# ---- parity


def test_every_test_that_parity_names_exists() -> None:
    named = named_tests(PARITY)

    assert len(named) > 100
    assert [f"{file}::{name}" for file, name in named if name not in known_tests(file)] == []


@pytest.mark.parametrize("heading", ["What users find", "Variables", "Bugs that must not be here"])
def test_every_row_of_parity_names_a_test(heading: str) -> None:
    table = list(rows(section(PARITY, heading)))

    assert table
    assert [cells[0] for cells in table if not named_tests(cells[-1])] == []


def test_parity_has_every_variable_and_calls_same_what_is() -> None:
    said = {cells[0].strip("`"): cells[1] for cells in rows(section(PARITY, "Variables"))}

    assert list(said) == list(NETRAMESH)
    assert said == {name: "different" if by_name(name).difference else "same" for name in NETRAMESH}


def test_parity_has_every_bug() -> None:
    table = rows(section(PARITY, "Bugs that must not be here"))

    assert [cells[0].partition(":")[0] for cells in table] == [f"B{n}" for n in range(1, 12)]


def test_every_row_of_parity_says_how_it_compares() -> None:
    said = [cells[1] for cells in rows(section(PARITY, "What users find"))]

    assert [one for one in said if not re.match(r"same|better|different|left alone", one)] == []
