"""The specification of `netra_node.discovery.source`: both sources have its shape."""

from pathlib import Path

from netra_node.discovery.cni_cache import CniCache
from netra_node.discovery.file_source import FileSource, PodsFileError
from netra_node.discovery.kubelet_api import Kubelet, KubeletAccess, KubeletError
from netra_node.discovery.kubelet_source import KubeletSource
from netra_node.discovery.namespaces import Namespaces
from netra_node.discovery.source import Source, SourceError


async def test_a_file_and_a_kubelet_are_sources(tmp_path: Path) -> None:
    (tmp_path / "pods.json").write_text("[]")
    file: Source = FileSource(tmp_path / "pods.json")
    kubelet: Source = KubeletSource(
        Kubelet(KubeletAccess()), CniCache(()), Namespaces(tmp_path, tmp_path), lambda _pod: True
    )

    assert file.where == f"pods file {tmp_path}/pods.json"
    assert kubelet.where == "kubelet https://127.0.0.1:10250"
    assert (file.listed, kubelet.listed) == (True, False)
    for source in (file, kubelet):
        await source.stop()
        assert source.pods == ()
        assert source.problem is None


def test_what_cannot_be_used_is_one_kind_of_error() -> None:
    assert issubclass(PodsFileError, SourceError)
    assert issubclass(KubeletError, SourceError)
