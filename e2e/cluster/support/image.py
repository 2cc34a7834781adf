"""Container images made of files, without a registry: a base with Python in it, written as an OCI archive.

Belongs here: what goes into the base, and the archive's format. The base stands in for docker.io/library/python:*-slim: the
interpreter that runs the tests, at /usr/local, with the shared libraries it needs, certificates, and busybox as the shell.
"""

import hashlib
import io
import json
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

_BUSYBOX = Path("/bin/busybox")
#: Not in the slim image either, or of no use in a container.
_LEFT_OUT = re.compile(
    r"/(site-packages|test|tests|idlelib|tkinter|turtledemo|lib2to3|__pycache__|config-3[^/]*)(/|$)"
)
_DEBIAN_WHEELS = Path("/usr/share/python-wheels")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
#: The rest of glibc and the compiler's run time: opened by name, or needed by wheels, so that ldd here does not tell.
_BY_NAME = (
    *("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1", "libstdc++.so.6"),
    *("librt.so.1", "libpthread.so.0", "libdl.so.2", "libutil.so.1"),
)
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    # pip trusts a list of its own otherwise, and this machine may reach PyPI by way of an authority of its own.
    "etc/pip.conf": "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n",
}
_APPLETS = (
    "sh",
    "env",
    "ls",
    "cat",
    "mkdir",
    "rm",
    "cp",
    "ln",
    "find",
    "sleep",
    "true",
    "grep",
    "sed",
    "chmod",
    "id",
)
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def write_base(archive: Path, name: str) -> None:
    """Write the base as an OCI archive that names itself `name`. By default it sleeps, which makes it a pause image too."""
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w") as tar:
        _add_system(tar)
        _add_python(tar)
    _write_archive(archive, name, layer)
    layer.unlink()


def _add_system(tar: tarfile.TarFile) -> None:
    for directory in (
        "bin",
        "tmp",
        "root",
        "run",
        "proc",
        "sys",
        "dev",
        "etc",
        "var",
        "var/tmp",
        "usr/bin",
    ):
        _add_directory(tar, directory, 0o1777 if directory.endswith("tmp") else 0o755)
    tar.add(_BUSYBOX, "bin/busybox")
    for applet in _APPLETS:
        _add_link(tar, f"bin/{applet}", "busybox")
    _add_link(tar, "usr/bin/env", "/bin/busybox")
    for name, text in _FILES.items():
        _add_text(tar, name, text)
    tar.add(_CERTIFICATES.resolve(), str(_CERTIFICATES).lstrip("/"))
    _add_link(tar, "etc/ssl/cert.pem", str(_CERTIFICATES))


def _add_python(tar: tarfile.TarFile) -> None:
    """The running interpreter moves to /usr/local: it finds its library by where its binary lies."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = Path(sys.base_prefix, "bin", version)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    tar.add(binary, f"usr/local/bin/{version}")
    for alias in ("python3", "python"):
        _add_link(tar, f"usr/local/bin/{alias}", version)
    tar.add(library, f"usr/local/lib/{version}", filter=_wanted)
    _add_directory(tar, f"usr/local/lib/{version}/site-packages", 0o755)
    # Debian's venv has its pip there.
    if _DEBIAN_WHEELS.is_dir():
        tar.add(_DEBIAN_WHEELS, str(_DEBIAN_WHEELS).lstrip("/"))
    modules = (path for path in library.glob("lib-dynload/*.so") if _wanted_module(path))
    for source in _libraries([binary, *modules]):
        tar.add(source.resolve(), str(source).lstrip("/"))


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    # The wheels ensurepip brings are in a directory of their own, and stay.
    return None if _LEFT_OUT.search(f"/{entry.name}") else entry


def _wanted_module(path: Path) -> bool:
    # It brings in X11.
    return not path.name.startswith("_tkinter")


def _libraries(binaries: list[Path]) -> set[Path]:
    """Every shared library these need, by the path the loader finds it at."""
    listed = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=True).stdout
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.MULTILINE)}
    beside = {path.parent for path in found}
    return found | {d / name for d in beside for name in _BY_NAME if (d / name).exists()}


def _add_directory(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), 0o644
    tar.addfile(entry, io.BytesIO(text.encode()))


def _write_archive(archive: Path, name: str, layer: Path) -> None:
    """The OCI image layout: blobs by digest, an index that names the manifest, which names configuration and layer."""
    with layer.open("rb") as source:
        layer_digest = hashlib.file_digest(source, "sha256").hexdigest()
    config = _encoded(
        {
            "architecture": _ARCHITECTURE,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Cmd": ["/bin/busybox", "sleep", "2147483647"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }
    )
    kind = "application/vnd.oci.image"
    manifest = _encoded(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": _descriptor(f"{kind}.config.v1+json", _digest(config), len(config)),
            "layers": [_descriptor(f"{kind}.layer.v1.tar", layer_digest, layer.stat().st_size)],
        }
    )
    named = _descriptor(f"{kind}.manifest.v1+json", _digest(manifest), len(manifest))
    named["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name,
    }
    with tarfile.open(archive, "w") as tar:
        _add_text(tar, "oci-layout", '{"imageLayoutVersion": "1.0.0"}')
        _add_text(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [named]}))
        for blob in (config, manifest):
            _add_text(tar, f"blobs/sha256/{_digest(blob)}", blob.decode())
        tar.add(layer, f"blobs/sha256/{layer_digest}")


def _encoded(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _digest(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def _descriptor(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}
