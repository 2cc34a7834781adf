"""The specification of `netra_node.cli.cluster_api`, against an API server on loopback."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from netra_node.cli.cluster_api import Cluster, connect
from netra_node.cli.cluster_terms import ClusterError, ConfigurationError, Right
from tests.cli import cluster_stub as stub
from tests.cli.admin_stub import answering, unused_port
from tests.cli.cluster_stub import Exec
from tests.cli.http_stub import CERTIFICATE

LABELS = "app.kubernetes.io/name=netra-node"
POD = ("netra-system", "netra-node-a", "netra-node")


@pytest.fixture
def known() -> Iterator[stub.Cluster]:
    with stub.serving(stub.Cluster()) as cluster:
        yield cluster


@pytest.fixture
def cluster(known: stub.Cluster, tmp_path: Path) -> Cluster:
    return connect(str(stub.kubeconfig(tmp_path / "config", known.server)), None, {})


def run(cluster: Cluster, command: str = "status") -> tuple[str, str, str]:
    return cluster.run(*POD, ["netra-node", command, "--json"])


def failing(known: stub.Cluster, told: Exec) -> None:
    known.execs["netra-node-a", "status"] = told


# What it asks.


def test_daemon_sets_are_those_with_the_labels_in_the_namespace(
    known: stub.Cluster, cluster: Cluster
) -> None:
    other = stub.daemon_set(1) | {"metadata": {"name": "other", "labels": {"app": "other"}}}
    known.daemon_sets += [other, stub.daemon_set(1)]

    assert [one["metadata"]["uid"] for one in cluster.daemon_sets("netra-system", LABELS)] == [
        "ds-1"
    ]
    assert cluster.daemon_sets("elsewhere", LABELS) == []


def test_long_lists_come_in_pages(known: stub.Cluster, cluster: Cluster) -> None:
    known.page = 2
    known.nodes += [stub.node(f"n{number}") for number in range(5)]

    assert [one["metadata"]["name"] for one in cluster.nodes()] == ["n0", "n1", "n2", "n3", "n4"]
    assert known.asked.count("/api/v1/nodes") == 3


def test_the_version_is_the_api_servers(cluster: Cluster) -> None:
    assert cluster.version() == "v1.33.4"


def test_it_tells_what_an_account_may_and_what_the_user_may(
    known: stub.Cluster, cluster: Cluster
) -> None:
    known.rights, known.my_rights = {"get nodes/pods"}, {"create pods/exec"}
    pods, pod_exec = Right("get", "nodes", "pods"), Right("create", "pods", "exec", "netra-system")

    assert cluster.may("system:serviceaccount:a:b", ["g"], pods)
    assert not cluster.may("system:serviceaccount:a:b", ["g"], pod_exec)
    assert cluster.i_may(pod_exec)
    assert not cluster.i_may(pods)
    assert known.reviewed[0] == {
        "user": "system:serviceaccount:a:b",
        "groups": ["g"],
        "resourceAttributes": {"verb": "get", "resource": "nodes", "subresource": "pods"},
    }
    assert known.reviewed[2]["resourceAttributes"]["namespace"] == "netra-system"


# Commands in pods.


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_what_a_command_prints_arrives_whole_and_apart(
    known: stub.Cluster, cluster: Cluster, protocol: str
) -> None:
    known.protocol = protocol
    long = "ä" * 100_001
    failing(known, Exec(out=long, err="a warning\n"))

    assert run(cluster) == (long, "a warning\n", "")


def test_a_command_that_fails_says_so(known: stub.Cluster, cluster: Cluster) -> None:
    failing(known, Exec(err="no daemon\n", code=1))

    assert run(cluster) == (
        "",
        "no daemon\n",
        "command terminated with non-zero exit code: exit status 1",
    )


def test_a_command_that_cannot_be_started_says_why(known: stub.Cluster, cluster: Cluster) -> None:
    failing(known, Exec(not_started="exec: netra-node: not found in $PATH"))

    assert run(cluster)[2] == "exec: netra-node: not found in $PATH"


def test_a_connection_that_breaks_is_no_success(known: stub.Cluster, cluster: Cluster) -> None:
    failing(known, Exec(out='{"half":', breaks=True))

    with pytest.raises(ClusterError, match="the connection to it broke: "):
        run(cluster)


@pytest.mark.parametrize(
    ("code", "message", "mend"),
    [
        (
            403,
            'User "eve" cannot get resource "pods/exec"',
            "; exec takes the verbs get and create",
        ),
        (404, 'pods "netra-node-a" not found', ""),
        (429, "too many requests", "; it is too busy: try again"),
        (500, "error dialing backend: dial tcp 10.0.0.7:10250: i/o timeout", ""),
    ],
)
def test_an_exec_that_is_refused_says_why(
    known: stub.Cluster, cluster: Cluster, code: int, message: str, mend: str
) -> None:
    failing(known, Exec(refused=(code, message)))

    with pytest.raises(ClusterError) as refused:
        run(cluster)
    assert str(refused.value).startswith(f"the API server refuses ({code}): {message}{mend}")


def test_many_commands_run_side_by_side(known: stub.Cluster, cluster: Cluster) -> None:
    failing(known, Exec(out="{}"))
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda: said.append(run(cluster)[0]), daemon=True)
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert said == ["{}"] * 16


# Refusals and silence.


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (403, "nodes is forbidden", "refuses (403): nodes is forbidden; ask who runs the cluster"),
        (404, "could not find the resource", "refuses (404): could not find the resource"),
        (500, "etcdserver: no leader", "refuses (500): etcdserver: no leader"),
    ],
)
def test_a_refusal_is_told_with_the_servers_words(
    known: stub.Cluster, cluster: Cluster, code: int, message: str, told: str
) -> None:
    known.failures["/nodes"] = [(code, message)]

    with pytest.raises(ClusterError) as refused:
        cluster.nodes()
    assert told in str(refused.value)


def test_a_token_that_is_not_accepted_asks_for_a_login(known: stub.Cluster, tmp_path: Path) -> None:
    path = stub.kubeconfig(tmp_path / "config", known.server, "expired")

    with pytest.raises(ClusterError, match=r"refuses \(401\): Unauthorized; log in again"):
        connect(str(path), None, {}).nodes()


def test_a_busy_server_is_asked_again_when_it_says(known: stub.Cluster, cluster: Cluster) -> None:
    known.failures["/nodes"] = [(429, "too many requests")]

    assert cluster.nodes() == []
    assert known.asked == ["/api/v1/nodes"] * 2


def test_nobody_there_is_told_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = stub.kubeconfig(tmp_path / "config", f"http://127.0.0.1:{unused_port()}")

    with pytest.raises(ClusterError, match=r"cannot be reached \(connection refused\)"):
        connect(str(path), None, {}).nodes()
    assert capfd.readouterr() == ("", "")


def test_a_server_that_does_not_answer_is_given_up(known: stub.Cluster, tmp_path: Path) -> None:
    known.hangs.add("/nodes")
    path = stub.kubeconfig(tmp_path / "config", known.server)

    with pytest.raises(ClusterError, match="does not answer in time"):
        connect(str(path), None, {}, (5.0, 0.2)).nodes()


def test_an_answer_that_is_not_the_apis_is_told(known: stub.Cluster, tmp_path: Path) -> None:
    with answering(b"<html>log in</html>") as port:
        path = stub.kubeconfig(tmp_path / "config", f"http://127.0.0.1:{port}")
        with pytest.raises(ClusterError, match="is not a Kubernetes API server"):
            connect(str(path), None, {}).nodes()


# TLS.


def test_over_tls_lists_and_commands_trust_the_kubeconfigs_authority(tmp_path: Path) -> None:
    known = stub.Cluster(execs={("netra-node-a", "status"): Exec(out="{}")})
    with stub.serving(known, tls=True):
        trusted = {"certificate-authority": str(CERTIFICATE)}
        path = stub.kubeconfig(tmp_path / "config", known.server, **trusted)
        cluster = connect(str(path), None, {})

        assert cluster.nodes() == []
        assert run(cluster) == ("{}", "", "")


def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    with stub.serving(stub.Cluster(), tls=True) as known:
        cluster = connect(str(stub.kubeconfig(tmp_path / "config", known.server)), None, {})

        with pytest.raises(ClusterError, match="certificate"):
            cluster.nodes()


def test_a_kubeconfig_may_waive_verification(tmp_path: Path) -> None:
    with stub.serving(stub.Cluster(), tls=True) as known:
        waived = {"insecure-skip-tls-verify": True}
        path = stub.kubeconfig(tmp_path / "config", known.server, **waived)

        assert connect(str(path), None, {}).nodes() == []


# Which cluster.


def test_the_named_file_wins_over_the_environment(known: stub.Cluster, tmp_path: Path) -> None:
    named = stub.kubeconfig(tmp_path / "a", known.server, contexts=("named",))
    other = stub.kubeconfig(tmp_path / "b", known.server, contexts=("other",))
    environ = {"KUBECONFIG": str(other)}

    assert connect(str(named), None, environ).name == "context named"
    assert connect(None, None, environ).name == "context other"


def test_kubeconfig_may_be_a_list_of_files(known: stub.Cluster, tmp_path: Path) -> None:
    one = stub.kubeconfig(tmp_path / "a", known.server, contexts=("one",))
    two = stub.kubeconfig(tmp_path / "b", known.server, contexts=("two",))
    environ = {"KUBECONFIG": f"{one}:{two}:{tmp_path}/missing"}

    assert connect(None, "two", environ).context == "two"


def test_a_context_that_is_not_there_is_told_with_those_that_are(
    known: stub.Cluster, tmp_path: Path
) -> None:
    path = stub.kubeconfig(tmp_path / "a", known.server, contexts=("one", "two"))

    with pytest.raises(
        ConfigurationError, match=r"no context 'three' in the kubeconfig; it has one, two"
    ):
        connect(str(path), "three", {})


@pytest.mark.parametrize(
    "content",
    ["", "[]", "a: b", "{", "\x00", "current-context: x", "contexts: 5\ncurrent-context: x"],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)

    with pytest.raises(ConfigurationError, match=f"kubeconfig {path} cannot be used: "):
        connect(str(path), None, {})


def logs_in(tmp_path: Path, server: str, script: str) -> str:
    """A kubeconfig of a cloud: a program of theirs gives the token."""
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o700)
    path = stub.kubeconfig(tmp_path / "config", server)
    document = json.loads(path.read_text())
    version = "client.authentication.k8s.io/v1"
    wanted = {"apiVersion": version, "command": str(plugin), "interactiveMode": "IfAvailable"}
    document["users"] = [{"name": "u", "user": {"exec": wanted}}]
    path.write_text(json.dumps(document))
    return str(path)


def test_a_login_program_gives_the_token_for_lists_and_commands(
    known: stub.Cluster, tmp_path: Path
) -> None:
    failing(known, Exec(out="{}"))
    version, token = "client.authentication.k8s.io/v1", {"token": stub.TOKEN}
    credential = {"kind": "ExecCredential", "apiVersion": version, "status": token}
    cluster = connect(logs_in(tmp_path, known.server, f"echo '{json.dumps(credential)}'"), None, {})

    assert cluster.nodes() == []
    assert run(cluster)[0] == "{}"


def test_a_login_program_that_fails_is_heard_and_the_login_missed(
    known: stub.Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = connect(logs_in(tmp_path, known.server, "echo expired >&2; exit 1"), None, {})

    assert "process returned 1" in caplog.text
    with pytest.raises(ClusterError, match=r"refuses \(401\): .*; log in again"):
        cluster.nodes()


def test_without_any_kubeconfig_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"there is no kubeconfig /nowhere, .*--kubeconfig"
    ):
        connect(None, None, {"KUBECONFIG": "/nowhere"})


def test_without_any_other_hint_it_is_the_file_at_home(known: stub.Cluster, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    stub.kubeconfig(tmp_path / ".kube" / "config", known.server)

    assert connect(None, None, {"HOME": str(tmp_path)}).nodes() == []


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}])
def test_a_user_without_a_home_has_no_file_there(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no kubeconfig ~/\.kube/config"):
        connect(None, None, environ)
    with pytest.raises(ConfigurationError, match="this pod's account"):
        connect(None, None, {**environ, "KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def test_in_a_pod_without_a_token_it_says_so() -> None:
    environ = {"KUBECONFIG": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    with pytest.raises(ConfigurationError, match="this pod's account cannot be used: "):
        connect(None, None, environ)
