"""The kubectl lines of our pages against kubectl 1.20, the oldest they were typed with, and against the manifest."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from netra_node.cli.dispatch import COMMANDS

CHECKOUT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "deploy/daemonset.yaml",
    "docs/debugging.md",
    "docs/kubernetes.md",
    "e2e/cluster/README.md",
]
OBJECTS = {
    (form["kind"].lower(), form["metadata"]["name"])
    for form in yaml.safe_load_all((CHECKOUT / "deploy/daemonset.yaml").read_text())
}
#: What `kubectl COMMAND --help` of 1.20 lists, as far as a page uses it. `label --all-namespaces` is of a later kubectl.
FLAGS = {
    "apply": {"-f"},
    "create": {"--image", "--replicas"},
    "delete": {"--ignore-not-found", "-f"},
    "exec": set(),
    "expose": {"--port"},
    "get": {"--all-namespaces", "--output", "--selector"},
    "label": {"--filename"},
    "logs": set(),
    "patch": {"--patch"},
    "port-forward": set(),
    "rollout": set(),
    "run": {"--image", "--restart"},
}
EVERYWHERE = {"--namespace"}


def commands(page: str) -> Iterator[list[str]]:
    """Every kubectl command, without what it runs in a pod."""
    text = (CHECKOUT / page).read_text().replace("\\\n", " ")
    for line in re.findall(r"^ *(?:#.*?)?(kubectl .*)$", text, re.MULTILINE):
        for part in line.split(" | "):
            words = shlex.split(part, comments=True)
            yield words[: words.index("--")] if "--" in words else words


def flags(words: list[str]) -> set[str]:
    """The flags; a lone dash is a file name, and a label that ends in one takes it away."""
    return {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}


def verb(words: list[str]) -> str:
    return next(word for word in words if word in FLAGS)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_types_only_what_an_old_kubectl_knows(page: str) -> None:
    typed = list(commands(page))

    assert typed
    for words in typed:
        assert flags(words) <= FLAGS[verb(words)] | EVERYWHERE, words


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_what_the_manifest_makes(page: str) -> None:
    text = (CHECKOUT / page).read_text()
    named = re.findall(r"\b(daemonset|clusterrole|clusterrolebinding)[ /](netra-\S+)", text)

    assert set(named) <= OBJECTS


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_only_commands_the_program_has(page: str) -> None:
    text = (CHECKOUT / page).read_text()
    run = re.findall(r"(?:^|-- |`)netra-node ([a-z]+)", text, re.MULTILINE)

    assert set(run) <= set(COMMANDS)


def test_what_the_walk_on_a_real_cluster_types_stands_on_the_page() -> None:
    page = (CHECKOUT / "docs/kubernetes.md").read_text()
    walk = (CHECKOUT / "e2e/real_kubernetes/test_walk.py").read_text()
    beginnings = re.findall(r'typed\("(.*?)"\)', walk)

    assert beginnings
    assert [one for one in beginnings if f"\n{one}" not in page] == []
