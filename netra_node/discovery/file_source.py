"""Pods from a file that a person or another tool writes. Belongs here: reading it, noticing a change, keeping the last good one.

Does not belong here: what a pod is (`pod`), whether it is captured (`enrolment`). No task, no thread: a look now and then, as a
file on any file system, behind any link, can be looked at and not always be watched.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from netra_node.core.desired import RefusedPod
from netra_node.discovery.enrolment import NETNS
from netra_node.discovery.pod import PodError, metadata_of, read_pod
from netra_node.discovery.source import Entry, SourceError

#: Thousands of pods with everything a kubelet writes about them.
MAX_BYTES = 16 << 20
#: Kubernetes allows a node a few hundred.
MAX_PODS = 5_000
#: A Pod is some ten levels deep.
MAX_DEPTH = 100
#: From one look to the next, in seconds.
LOOK = 0.25

_TAKES = "it takes a PodList, a list of Pods, or Pod manifests, in JSON or YAML"


_Signature = tuple[int, int, int, int]


class PodsFileError(SourceError):
    """A pods file that cannot be used; the message names it and says what it takes."""


class FileSource:
    """The pods of one file. `pods` is what was last read whole, `problem` why the file is not usable now."""

    __slots__ = ("_path", "_signature", "_timer", "pods", "problem")

    #: A file that cannot be read at first is an error.
    listed = True

    def __init__(self, path: Path) -> None:
        """Read the file for the first time. Raises PodsFileError."""
        self._path = path
        self._signature = _signature_of(path)
        self.pods: tuple[Entry, ...] = _load(path)
        self.problem: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def where(self) -> str:
        """Which file it is."""
        return f"pods file {self._path}"

    def start(self, changed: Callable[[], None]) -> None:
        """Look every now and then from now on; see `source.Source`."""
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look, changed)

    async def look(self) -> None:
        """Read it again if it has changed."""
        self.poll()

    async def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, changed: Callable[[], None]) -> None:
        # first: an error below must not be the last look
        self.start(changed)
        if self.poll():
            changed()

    def poll(self) -> bool:
        """Read the file again if it has changed; tell whether `pods` or `problem` may be different now. Never raises."""
        signature = _signature_of(self._path)
        if signature == self._signature:
            return False
        # Taken before reading: a write during it makes the next poll read again.
        self._signature = signature
        try:
            self.pods = _load(self._path)
            self.problem = None
        except PodsFileError as error:
            self.problem = str(error)
        return True


def _signature_of(path: Path) -> _Signature | None:
    """Return what changes when the file does, also when a ConfigMap swaps the directory under it; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _load(path: Path) -> tuple[Entry, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        message = f"pods file {path} cannot be read: {why}"
        raise PodsFileError(message) from error
    try:
        if len(content) > MAX_BYTES:
            _refuse(f"over {MAX_BYTES >> 20} MiB")
        return read_pods(content)
    except ValueError as error:
        message = f"pods file {path}: {error}; {_TAKES}"
        raise PodsFileError(message) from None


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


def read_pods(content: bytes) -> tuple[Entry, ...]:
    """Read the pods of a file's `content`. Raises ValueError where it is no list of pods.

    A pod that cannot be read is a RefusedPod among the others, so that one mistake does not cost them all.
    """
    entries = tuple(_read_entry(number, form) for number, form in _forms(content))
    seen: set[str] = set()
    for entry in entries:
        if entry.uid in seen:
            _refuse(f"pod {entry.namespace}/{entry.name} is there twice")
        seen.add(entry.uid)
    return entries


def _forms(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yield every pod's form with its number, from 1."""
    others: list[str] = []
    number = 0
    documents = [document for document in _documents(content) if document is not None]
    for form in _flat(documents):
        kind = form.get("kind", "Pod") if isinstance(form, dict) else "Pod"
        if kind != "Pod":
            others.append(str(kind))
            continue
        number += 1
        if number > MAX_PODS:
            _refuse(f"over {MAX_PODS} pods")
        yield number, form
    if not documents:
        _refuse("empty")
    if others and not number:
        _refuse(f"no Pod in it, but {', '.join(dict.fromkeys(others))}")


def _flat(documents: Iterable[Any]) -> Iterator[Any]:
    """Yield the members of lists, of Kubernetes' kind and of JSON's, and what is no list."""
    for document in documents:
        if isinstance(document, list):
            yield from document
        elif not isinstance(document, dict):
            _refuse(f"holds {type(document).__name__} where a Pod belongs")
        elif not document.keys() & {"items", "kind", "metadata"}:
            _refuse("holds a mapping that is no Pod")
        elif isinstance(document.get("items"), list):
            yield from document["items"]
        # An empty list is `items: null` to the kubelet.
        elif "items" not in document:
            yield document
        elif document["items"] is not None:
            _refuse("items is not a list")


def _documents(content: bytes) -> Iterable[Any]:
    """Decode JSON, or YAML of any number of documents. Raises ValueError."""
    try:
        return [json.loads(content)]
    except ValueError as error:
        if content.lstrip()[:1] in {b"{", b"["}:
            _refuse(f"not JSON: {error}")
    except RecursionError:
        _refuse("nested too deeply")
    return _yaml_documents(content)


def _yaml_documents(content: bytes) -> list[Any]:
    # Imported where it is needed: a daemon fed with JSON has no use for its megabytes.
    import yaml  # noqa: PLC0415

    # The C parser is five times as fast; both are the safe kind.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_depth(yaml.parse(content, Loader=loader))
        return list(yaml.load_all(content, Loader=loader))
    except yaml.YAMLError as error:
        _refuse("not YAML: " + " ".join(str(error).split()))
    except (AttributeError, LookupError):
        # PyYAML's constructors on text that is not what its explicit tag says, such as `!!int ""`.
        _refuse("not YAML: a value is not what its tag says")


def _check_depth(events: Iterable[object]) -> None:
    """Refuse nesting that no Pod has: the C parser builds values recursively and without a limit, to a segmentation fault."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        if kind in {"SequenceStartEvent", "MappingStartEvent"}:
            depth += 1
            if depth > MAX_DEPTH:
                _refuse("nested too deeply")
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            depth -= 1


def _read_entry(number: int, form: object) -> Entry:
    try:
        pod = read_pod(form)
    except PodError as error:
        return _unreadable(number, form, str(error))
    return replace(pod, netns=pod.annotations.get(NETNS))


def _unreadable(number: int, form: object, why: str) -> RefusedPod:
    """Name a pod that cannot be read as well as can be."""
    known = metadata_of(form)
    name = str(known.get("name") or f"pod {number} of the file")
    return RefusedPod(f"file:{number}", str(known.get("namespace") or "default"), name, why)
