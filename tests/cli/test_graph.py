"""The command: whom it asks, what it prints where, how it ends. With a real daemon: e2e."""

import json
import subprocess

import pytest

from netra_node.cli.dispatch import dispatch, load
from tests.cli import elasticsearch_stub
from tests.cli.admin_stub import answering, unused_port
from tests.cli.command import netra_node
from tests.cli.graphs import graph

KNOWN = graph(("external", "web"), ("web", "orders"))


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return netra_node("graph", *arguments, **settings)


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    with answering(KNOWN) as port:
        return run(*arguments, NETRA_PPROF_PORT=str(port))


def test_it_shows_the_edges_the_daemon_counted() -> None:
    done = ask()

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "2 edges, 8 requests, 2 errors"


def test_as_json_it_prints_what_the_daemon_answered_and_nothing_else() -> None:
    assert json.loads(ask("--json").stdout) == KNOWN


def test_in_jaegers_form_it_prints_links() -> None:
    assert json.loads(ask("--format", "jaeger").stdout)["data"] == [
        {"parent": "web", "child": "orders", "callCount": 4}
    ]


def test_without_a_daemon_it_says_so_in_one_line_with_exit_code_1() -> None:
    done = run(NETRA_PPROF_PORT=str(unused_port()))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("netra-node: no daemon answers at 127.0.0.1:")


def test_another_versions_graph_is_said_to_be_one() -> None:
    with answering({"edges": []}) as port:
        done = run(NETRA_PPROF_PORT=str(port))

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "netra-node: the daemon's graph is of another kind; is it another version?\n"
    )


@pytest.mark.parametrize(
    "arguments", [("--json", "--format", "jaeger"), ("--context", "x"), ("--format", "dot")]
)
def test_flags_that_mean_nothing_together_are_refused(arguments: tuple[str, ...]) -> None:
    assert dispatch(["graph", *arguments], ["graph"], load) == 2


def test_a_bad_port_is_a_configuration_error() -> None:
    done = run(NETRA_PPROF_PORT="nonsense")

    assert done.returncode == 2
    assert "NETRA_PPROF_PORT='nonsense'" in done.stderr


def test_it_writes_the_days_document_and_says_so() -> None:
    with elasticsearch_stub.serving(elasticsearch_stub.Store(credentials="u:p")) as store:
        url = ("--write-elasticsearch", store.url)
        with answering(KNOWN) as port:
            where = {"NETRA_PPROF_PORT": str(port)}
            done = run(*url, ES_USERNAME="u", ES_PASSWORD="p", **where)
            refused = run(*url, **where)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "jaeger-dependencies-2026-11-21: 1 link, 4 calls that 1 start of daemons counted\n"
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--write-elasticsearch", "es:9200"), "takes http://HOST"),
        (("--write-elasticsearch", "http://es", "--index-prefix", "A"), "--index-prefix='A'"),
        (("--index-prefix", "a"), "use it together with --write-elasticsearch"),
    ],
)
def test_where_nothing_can_be_written_is_a_usage_error(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["graph", *arguments], ["graph"], load) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
