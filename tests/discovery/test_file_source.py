"""The specification of `netra_node.discovery.file_source`."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.desired import RefusedPod
from netra_node.discovery.file_source import (
    LOOK,
    MAX_BYTES,
    MAX_PODS,
    FileSource,
    PodsFileError,
    read_pods,
)
from netra_node.discovery.pod import Pod

WEB = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}}
ORDERS = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "orders"}}
RECORDED = Path(__file__).parent / "kubelet_pods.json"


def names(content: object) -> list[str]:
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    return [entry.name for entry in read_pods(encoded)]


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "PodList", "apiVersion": "v1", "items": [WEB, ORDERS]},
        {"kind": "List", "apiVersion": "v1", "items": [WEB, ORDERS]},
        {"items": [{"metadata": WEB["metadata"]}, ORDERS]},
        [WEB, ORDERS],
        b"kind: Pod\nmetadata: {name: web}\n---\nkind: Pod\nmetadata: {name: orders}\n",
        b"- metadata: {name: web}\n- metadata: {name: orders}\n",
        b"---\n---\nitems:\n- metadata: {name: web}\n---\nmetadata: {name: orders}\n",
        b"kind: Service\n---\nmetadata: {name: web}\n---\nmetadata: {name: orders}\n",
    ],
)
def test_pods_are_read_in_every_usual_form(content: object) -> None:
    assert names(content) == ["web", "orders"]


def test_a_single_manifest_is_a_list_of_one() -> None:
    assert names(WEB) == ["web"]


@pytest.mark.parametrize("content", [{"kind": "PodList", "items": []}, {"items": None}, []])
def test_a_list_may_be_empty(content: object) -> None:
    assert names(content) == []


def test_a_recorded_pod_list_is_read_whole() -> None:
    assert len(read_pods(RECORDED.read_bytes())) == 7


def test_the_annotation_says_where_the_namespace_is() -> None:
    annotated = {"metadata": {"name": "web", "annotations": {"netra.io/netns": "blue"}}}
    (entry,) = read_pods(json.dumps(annotated).encode())

    assert isinstance(entry, Pod)
    assert entry.netns == "blue"


def test_a_pod_without_the_annotation_has_no_namespace_yet() -> None:
    (entry,) = read_pods(json.dumps(WEB).encode())

    assert isinstance(entry, Pod)
    assert entry.netns is None


def test_one_bad_pod_does_not_cost_the_others() -> None:
    bad, good = read_pods(b"- metadata: {name: web, labels: {a: true}}\n- metadata: {name: orders}")

    assert bad == RefusedPod(
        "file:1",
        "default",
        "web",
        "metadata.labels[a] (quote it) is a boolean, not text",
    )
    assert good.name == "orders"


def test_a_pod_without_a_name_is_known_by_its_place() -> None:
    _, bad = read_pods(json.dumps([WEB, {"metadata": {}}]).encode())

    assert isinstance(bad, RefusedPod)
    assert (bad.name, bad.reason) == ("pod 2 of the file", "metadata.name is missing")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b" \n# nothing\n", "empty"),
        (b'{"items": [', "not JSON: "),
        (b"a: [1\nb: 2", "not YAML: .* line 2"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"!!python/object/apply:os.system ['x']", "not YAML"),
        (b"!!int ''", "a value is not what its tag says"),
        (b"!!timestamp ''", "a value is not what its tag says"),
        (b"!!bool maybe", "a value is not what its tag says"),
        (b"just words", "holds str where a Pod belongs"),
        (b"17", "holds int where a Pod belongs"),
        (b'{"colour": "red"}', "holds a mapping that is no Pod"),
        (b'{"items": {"a": 1}}', "items is not a list"),
        (b"kind: Deployment\nmetadata: {name: web}\n", "no Pod in it, but Deployment"),
        (json.dumps([WEB, ORDERS, WEB]).encode(), "pod default/web is there twice"),
        (json.dumps([WEB] * (MAX_PODS + 1)).encode(), "over 5000 pods"),
        (b"[" * 100_000, "nested too deeply"),
        (b"- " * 100_000, "nested too deeply"),
        (b"a: " + b"[" * 1000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_list_of_pods_is_told_what_is_wrong(
    content: bytes, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_pods(content)


yaml_pieces = st.sampled_from(
    [
        "metadata:",
        " name: ",
        "- ",
        "\n",
        "  ",
        "!!int ",
        "!!bool ",
        "!!set ",
        "!!omap ",
        "&a ",
        "*a ",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        "? ",
        ": ",
        "2020-99-99",
        "0b_",
        '"',
        "|\n",
        "---\n",
        "%YAML 1.1\n",
        "\t",
        "é",
        "~",
        "1:99",
    ]
)


@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.lists(yaml_pieces, max_size=12).map(lambda pieces: "".join(pieces).encode())
)
def test_any_bytes_are_pods_or_a_value_error(content: bytes) -> None:
    try:
        entries = read_pods(content)
    except ValueError:
        return

    assert all(entry.name for entry in entries)


def test_json_is_read_without_importing_yaml() -> None:
    """PyYAML costs megabytes that a daemon fed with JSON does not pay."""
    program = (
        "import sys; from netra_node.discovery.file_source import FileSource; from pathlib import Path;"
        f"assert FileSource(Path({str(RECORDED)!r})).pods; sys.exit('yaml' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# A file over time


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "pods.json"
    file.write_text(json.dumps([WEB]))
    return file


def replace_file(path: Path, content: str) -> None:
    """Write as careful programs do: a new file takes the old one's place."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.replace(path)


def pod_names(source: FileSource) -> list[str]:
    return [entry.name for entry in source.pods]


def test_the_file_is_read_at_once(path: Path) -> None:
    source = FileSource(path)

    assert pod_names(source) == ["web"]
    assert source.problem is None


def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    assert FileSource(path).poll() is False


def test_a_changed_file_is_read_again(path: Path) -> None:
    source = FileSource(path)
    replace_file(path, json.dumps([ORDERS]))

    assert source.poll() is True
    assert pod_names(source) == ["orders"]


def test_a_file_changed_in_place_within_its_length_is_read_again(path: Path) -> None:
    source = FileSource(path)
    path.write_text(path.read_text().replace("web", "bew"))
    os.utime(path, ns=(1, 1))

    assert source.poll() is True
    assert pod_names(source) == ["bew"]


def test_a_config_map_that_is_swapped_is_read_again(tmp_path: Path) -> None:
    """The kubelet changes one symbolic link; the path of the file and its times may stay as they are."""
    for version, pod in (("1", WEB), ("2", ORDERS)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "pods.json").write_text(json.dumps([pod]))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "pods.json").symlink_to("..data/pods.json")
    source = FileSource(tmp_path / "pods.json")

    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").replace(tmp_path / "..data")

    assert source.poll() is True
    assert pod_names(source) == ["orders"]


@pytest.mark.parametrize("content", ["", '{"items": [', "kind: Service"])
def test_a_file_that_turns_bad_leaves_the_last_good_pods(path: Path, content: str) -> None:
    source = FileSource(path)
    replace_file(path, content)

    assert source.poll() is True
    assert pod_names(source) == ["web"]
    assert source.problem is not None
    assert str(path) in source.problem


def test_a_file_that_disappears_leaves_the_last_good_pods(path: Path) -> None:
    source = FileSource(path)
    path.unlink()

    assert source.poll() is True
    assert pod_names(source) == ["web"]
    assert source.problem == f"pods file {path} cannot be read: no such file or directory"


def test_a_problem_is_told_once(path: Path) -> None:
    source = FileSource(path)
    path.unlink()
    source.poll()

    assert source.poll() is False


def test_a_mended_file_ends_the_problem(path: Path) -> None:
    source = FileSource(path)
    replace_file(path, "{")
    source.poll()
    replace_file(path, json.dumps([ORDERS]))

    assert source.poll() is True
    assert source.problem is None
    assert pod_names(source) == ["orders"]


async def test_a_change_is_told_by_itself_even_after_a_failure(path: Path) -> None:
    source = FileSource(path)
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _what: told.append("failed"))

    def changed() -> None:
        told.append(",".join(pod_names(source)))
        if len(told) == 1:
            raise RuntimeError

    source.start(changed)
    async with asyncio.timeout(10 * LOOK * 2):
        for content, expected in (
            (ORDERS, ["orders", "failed"]),
            (WEB, ["orders", "failed", "web"]),
        ):
            replace_file(path, json.dumps([content]))
            while told != expected:  # noqa: ASYNC110 - a file is looked at
                await asyncio.sleep(0.01)
    await source.stop()


async def test_after_the_end_it_is_not_looked_at(path: Path) -> None:
    source = FileSource(path)
    told: list[str] = []
    source.start(lambda: told.append("changed"))
    await source.stop()
    replace_file(path, json.dumps([ORDERS]))
    await asyncio.sleep(2 * LOOK)

    assert told == []


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("none.json", "cannot be read: no such file"), (".", "cannot be read: is a directory")],
)
def test_a_file_that_cannot_be_read_at_start_is_an_error(
    tmp_path: Path, name: str, complaint: str
) -> None:
    with pytest.raises(PodsFileError, match=complaint):
        FileSource(tmp_path / name)


def test_a_bad_file_at_start_is_an_error_that_says_what_it_takes(path: Path) -> None:
    path.write_text("{")

    with pytest.raises(PodsFileError) as caught:
        FileSource(path)

    assert str(caught.value).startswith(f"pods file {path}: not JSON: ")
    assert "it takes a PodList, a list of Pods, or Pod manifests" in str(caught.value)


def test_a_file_beyond_any_sense_is_not_read_into_memory(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    with pytest.raises(PodsFileError, match="over 16 MiB"):
        FileSource(path)
