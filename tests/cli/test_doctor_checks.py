"""What the doctor makes of facts."""

from dataclasses import replace

import pytest

from netra_node.cli import doctor_checks as checks
from netra_node.cli.doctor_checks import Check, Verdict
from netra_node.cli.doctor_trial import Trial

OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED
FINE = Trial()


def tried(trial: Trial) -> dict[str, Check]:
    return {check.what: check for check in checks.kernel_trial(trial)}


@pytest.mark.parametrize(
    ("release", "verdict"),
    [
        ("5.12.0", OK),
        ("6.18.44-cloud-amd64", OK),
        ("10.0", OK),
        ("5.11.22-generic", WARNING),
        ("4.19.0", WARNING),
        ("nonsense", WARNING),
    ],
)
def test_a_kernel_is_new_enough_from_5_12_on(release: str, verdict: Verdict) -> None:
    assert checks.kernel(release).verdict is verdict


def test_missing_capabilities_are_named_and_needed() -> None:
    check = checks.capabilities(["CAP_NET_ADMIN"])

    assert check.verdict is FAILED
    assert check.found == "this process lacks CAP_NET_ADMIN"
    assert "sudo" in check.mend


def test_root_has_all_capabilities() -> None:
    assert checks.capabilities([]).verdict is OK


def test_a_kernel_that_refuses_nothing_passes_everything() -> None:
    assert {check.verdict for check in tried(FINE).values()} == {OK}


@pytest.mark.parametrize(
    ("field", "what"),
    [("rules", "rules"), ("routes", "routes"), ("transparent", "transparent sockets")],
)
def test_what_cannot_be_done_without_fails_in_the_kernels_words(field: str, what: str) -> None:
    check = tried(replace(FINE, **{field: "the kernel refuses rule 1"}))[what]

    assert (check.verdict, check.found) == (FAILED, "the kernel refuses rule 1")
    assert check.mend


@pytest.mark.parametrize(
    ("trial", "what"),
    [
        (replace(FINE, owner="a table outlives its owner"), "owned rules"),
        (replace(FINE, switches=False), "/proc/sys"),
        (replace(FINE, cookie=False), "namespace identity"),
        (replace(FINE, ipv6=False), "IPv6"),
    ],
)
def test_what_there_is_a_second_way_for_is_a_warning(trial: Trial, what: str) -> None:
    found = tried(trial)

    assert [check.what for check in found.values() if check.verdict is not OK] == [what]
    assert found[what].verdict is WARNING


def test_without_namespaces_an_ordinary_user_cannot_try_the_kernel() -> None:
    found = tried(Trial(ordinary=True, namespace="forbidden"))

    assert {check.verdict for check in found.values()} == {SKIPPED}
    assert set(found) == set(tried(FINE))


def test_root_without_namespaces_cannot_capture_either() -> None:
    (check,) = tried(Trial(namespace="Operation not permitted")).values()

    assert (check.verdict, check.found) == (FAILED, "Operation not permitted")


@pytest.mark.parametrize(
    ("trial", "verdict"),
    [
        (FINE, OK),
        (Trial(ordinary=True), OK),
        (Trial(ordinary=True, namespace="kernel.unprivileged_userns_clone is 0"), WARNING),
    ],
)
def test_user_namespaces_matter_to_ordinary_users(trial: Trial, verdict: Verdict) -> None:
    check = checks.user_namespaces(trial)

    assert check.verdict is verdict
    assert verdict is OK or check.found == trial.namespace


ROOT = "22 1 254:0 / / rw,relatime{} - ext4 /dev/vda rw"
NETNS = "99 22 0:25 /netns /run/netns rw{} - tmpfs tmpfs rw"


@pytest.mark.parametrize(
    ("mounts", "verdict"),
    [
        ([ROOT.format(" shared:1")], OK),
        ([ROOT.format("")], WARNING),
        ([ROOT.format(""), NETNS.format(" shared:7 master:1")], OK),
        ([ROOT.format(""), NETNS.format(" master:1")], OK),
        ([ROOT.format(" shared:1"), NETNS.format("")], WARNING),
        ([NETNS.format(""), NETNS.format(" shared:1")], OK),
        ([ROOT.format(" shared:1"), NETNS.format("").replace("/run/netns", "/run/net")], OK),
        ([], OK),
    ],
)
def test_namespaces_made_later_must_become_visible(mounts: list[str], verdict: Verdict) -> None:
    assert checks.namespaces_directory(["a"], "\n".join(mounts)).verdict is verdict


def test_a_directory_that_is_not_there_is_no_failure() -> None:
    assert checks.namespaces_directory(None, "").verdict is WARNING


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(-1, OK), (1 << 20, OK), (16_384, OK), (16_383, WARNING), (256, WARNING), (255, FAILED)],
)
def test_open_files_must_do_for_connections(limit: int, verdict: Verdict) -> None:
    assert checks.descriptors(limit).verdict is verdict


def test_a_low_limit_of_open_files_says_what_it_allows_and_how_to_raise_it() -> None:
    check = checks.descriptors(1024)

    assert "at most 1024 open files: about 298 connections" in check.found
    assert "LimitNOFILE=1048576" in check.mend


def test_a_port_in_use_fails_in_the_words_of_the_system() -> None:
    check = checks.port("NETRA_PPROF_PORT", 14957, "cannot listen: address already in use", 0)

    assert (check.what, check.verdict) == ("port 14957", FAILED)
    assert "NETRA_PPROF_PORT" in check.mend


def test_a_port_that_the_running_daemon_uses_is_as_it_should_be() -> None:
    check = checks.port("NETRA_PPROF_PORT", 14957, "cannot listen", 4711)

    assert (check.verdict, check.found) == (OK, "in use, and netra-node runs (pid 4711)")


def test_any_free_port_is_named_by_its_variable() -> None:
    assert checks.port("NETRA_PPROF_PORT", 0, "", 0).what == "port of NETRA_PPROF_PORT"


def test_every_bad_setting_is_named() -> None:
    check = checks.settings(["A='x': bad", "B='y': bad"], [], has_source=True)

    assert (check.verdict, check.found) == (FAILED, "A='x': bad; B='y': bad")


@pytest.mark.parametrize(
    ("warnings", "has_source", "verdict"),
    [([], True, OK), ([], False, WARNING), (["odd"], True, WARNING)],
)
def test_what_is_odd_about_settings_is_no_failure(
    warnings: list[str], has_source: bool, verdict: Verdict
) -> None:
    assert checks.settings([], warnings, has_source=has_source).verdict is verdict


@pytest.mark.parametrize(
    ("problem", "wanted", "refused", "verdict"),
    [
        ("", 2, [], OK),
        ("", 0, [], WARNING),
        ("", 2, ["shop/web: captured by Istio"], WARNING),
        ("pods file /x cannot be read", 0, [], FAILED),
    ],
)
def test_the_pods_file_has_to_be_read(
    problem: str, wanted: int, refused: list[str], verdict: Verdict
) -> None:
    assert checks.pods_file(problem, wanted, refused).verdict is verdict


@pytest.mark.parametrize(
    ("problem", "wanted", "refused", "verdict"),
    [
        ("", 2, [], OK),
        ("", 0, [], WARNING),
        ("", 2, ["shop/web: captured by Istio"], WARNING),
        ("kubelet https://127.0.0.1:10250 cannot be asked: refused", 0, [], FAILED),
    ],
)
def test_the_kubelet_has_to_list_its_pods(
    problem: str, wanted: int, refused: list[str], verdict: Verdict
) -> None:
    assert checks.kubelet(problem, wanted, refused).verdict is verdict


def test_without_cni_results_namespaces_are_known_late() -> None:
    assert checks.cni_results([]).verdict is WARNING
    assert checks.cni_results(["/var/lib/cni/results"]).verdict is OK


def test_a_collector_that_is_away_is_a_warning() -> None:
    check = checks.collector("c:4318", "JAEGER_ENDPOINT", "connection refused")

    assert (check.verdict, check.found) == (WARNING, "c:4318: connection refused")
    assert checks.collector("c:4318", "JAEGER_ENDPOINT", "").verdict is OK


def test_an_agent_without_an_address_is_a_warning() -> None:
    check = checks.agent("udp://a:6831", "name or service not known")

    assert (check.verdict, check.found) == (WARNING, "udp://a:6831: name or service not known")
    assert checks.agent("udp://a:6831", "").verdict is OK


def test_an_exporter_of_the_sdk_is_told_to_be_slow() -> None:
    assert checks.plugin("console").found == "console is installed; it runs in a thread"


def test_a_running_daemon_is_told_with_its_pid() -> None:
    assert checks.daemon("127.0.0.1:14957", 4711, 1).found == (
        "one runs (pid 4711) and captures 1 pod"
    )
    assert checks.daemon("127.0.0.1:14957", 0, 0).found == "none answers at 127.0.0.1:14957"


def test_whatever_is_not_ok_says_how_to_mend_it() -> None:
    broken = Trial(
        rules="x", owner="x", routes="x", transparent="x", cookie=False, switches=False, ipv6=False
    )

    assert all(check.mend for check in tried(broken).values())
