"""Words that people know from elsewhere, and errors that decide an exit code."""

from netra_node.cli.cluster_terms import ClusterError, ConfigurationError, Right


def test_a_right_reads_as_a_role_names_it() -> None:
    assert str(Right("get", "nodes", "pods")) == "get nodes/pods"
    assert str(Right("create", "pods", "exec", "netra-system")) == "create pods/exec"


def test_who_catches_all_that_a_cluster_refuses_catches_a_bad_configuration_too() -> None:
    assert issubclass(ConfigurationError, ClusterError)
