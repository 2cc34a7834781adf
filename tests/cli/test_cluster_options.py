"""The flags of the cluster's commands, alone and together."""

import argparse

import pytest

from netra_node.cli.cluster_options import LABELS, NAMESPACE, add_options, misused
from tests.cli.cluster_manifest import daemon_set


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser, "look at all")
    return parser.parse_args(argv)


@pytest.mark.parametrize("flag", ["--kubeconfig", "--context", "--namespace"])
def test_what_says_which_cluster_needs_the_word_cluster(flag: str) -> None:
    assert misused(parsed(flag, "x")) == (
        f"{flag} says which cluster is meant: use it together with --cluster"
    )
    assert misused(parsed("--cluster", flag, "x")) == ""


def test_no_flag_at_all_is_fine() -> None:
    assert misused(parsed()) == ""


def test_the_namespace_may_be_short_as_in_kubectl() -> None:
    assert parsed("--cluster", "-n", "mesh").namespace == "mesh"


def test_where_it_looks_is_where_the_manifest_puts_it() -> None:
    metadata = daemon_set()["metadata"]
    key, value = LABELS.split("=")

    assert metadata["namespace"] == NAMESPACE
    assert metadata["labels"][key] == value
