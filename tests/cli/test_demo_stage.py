"""The demo's scenery, in real namespaces."""

import json
import time
from collections.abc import Iterator

import pytest

from netra_node.cli.demo_stage import CLIENT, STORIES, Client, Story, build, pods_file, serving
from netra_node.testbed import BedPod, Testbed

WEB = BedPod("web", "/run/netns/nt-x-web", "10.0.0.9", "fd00::9")


def test_a_pod_of_the_file_names_its_namespace_and_addresses() -> None:
    (pod,) = json.loads(json.dumps(pods_file([WEB])))["items"]

    assert pod["metadata"]["annotations"] == {"netra.io/netns": "/run/netns/nt-x-web"}
    assert pod["status"]["podIPs"] == [{"ip": "10.0.0.9"}, {"ip": "fd00::9"}]


def test_a_pod_of_the_file_carries_the_opt_in_and_its_service_s_name() -> None:
    (pod,) = json.loads(json.dumps(pods_file([WEB])))["items"]

    assert pod["metadata"]["labels"] == {
        "netra.io/enabled": "true",
        "app.kubernetes.io/name": "web",
    }


def test_the_client_is_not_in_the_file() -> None:
    assert pods_file([BedPod(CLIENT, "", "", "")])["items"] == []


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with Testbed("stage") as bed:
        build(bed, tmp_path_factory.mktemp("logs"))
        deadline = time.monotonic() + 10
        while not serving(bed) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield bed


@pytest.mark.netns
def test_all_services_come_up(bed: Testbed) -> None:
    assert serving(bed)


@pytest.mark.netns
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.path)
def test_every_story_ends_as_it_is_told(bed: Testbed, story: Story) -> None:
    client = Client(bed)
    try:
        assert client.status_of(story.path) == story.status
    finally:
        client.close()


@pytest.mark.netns
def test_a_client_without_an_answer_says_0_and_can_go_on(bed: Testbed) -> None:
    client = Client(bed)
    try:
        client.status_of("/buy/1")
        client.sock.close()
        assert [client.status_of("/buy/1"), client.status_of("/buy/1")] == [0, 200]
    finally:
        client.close()


@pytest.mark.netns
def test_before_its_services_run_the_stage_is_not_serving() -> None:
    with Testbed("empty") as bed:
        for name in ("web", "orders", "stock"):
            bed.add_pod(name)

        assert not serving(bed)
