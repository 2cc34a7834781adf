"""The kubelet's answer to GET /pods as pods, decoded a few at a time and only where its bytes changed.

Belongs here: where one item of the list ends, and what was decoded before. Does not belong here: what a pod is (`pod`), asking
for the list (`kubelet`). A list of 93 pods is 365 KB, and decoding it in one piece would hold the loop for 4 to 7 ms.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from netra_node.core.desired import RefusedPod
from netra_node.discovery.pod import PodError, metadata_of, read_pod
from netra_node.discovery.source import Entry
from netra_node.discovery.turns import Turns

#: Go writes a Pod's metadata first. No string can hold these bytes, as it would escape the quotes; where anything else holds
#: them the pieces do not decode, and the list is read the slow way.
_BETWEEN: Final = b'},{"metadata":{'
_ITEMS: Final = re.compile(rb'"items"\s*:\s*')
_GAP: Final = re.compile(r"[\s,]*")


class PodListError(ValueError):
    """What should be a PodList is none."""


class PodListReader:
    """Reads one list after another; what it decoded for the last one it need not decode again."""

    __slots__ = ("_by_uid", "_known")

    def __init__(self) -> None:
        """Know no pod."""
        self._known: Mapping[bytes, Entry] = {}
        self._by_uid: Mapping[str, Entry] = {}

    async def read(self, body: bytes) -> tuple[Entry, ...]:
        """Return the pods of the list `body`, in its order, which is random. Raises PodListError, remembering the last list.

        A pod that cannot be read is a RefusedPod among the others. What has not changed, as far as we care, is the same object as
        before: a kubelet writes a pod's probes and managed fields anew all the time.
        """
        turns = Turns()
        items = _items(body)
        try:
            known = await self._read_pieces(items, turns)
        except (ValueError, RecursionError):
            return await _read_slowly(items, turns)
        self._known = known
        self._by_uid = {entry.uid: entry for entry in known.values()}
        return tuple(known.values())

    async def _read_pieces(self, items: bytes, turns: Turns) -> dict[bytes, Entry]:
        found: dict[bytes, Entry] = {}
        for piece in _split(items):
            await turns.pause()
            known = self._known.get(piece)
            found[piece] = self._read_piece(piece) if known is None else known
        return found

    def _read_piece(self, piece: bytes) -> Entry:
        entry = _entry(json.loads(piece))
        before = self._by_uid.get(entry.uid)
        return before if before is not None and before == entry else entry


def _items(body: bytes) -> bytes:
    """Return what stands between the brackets of `items`. Raises PodListError where the frame is no PodList's."""
    begin = _ITEMS.search(body)
    if begin is None:
        message = "no list of pods"
        raise PodListError(message)
    start, end = begin.end(), body.rfind(b"]")
    # An empty list is null to Go.
    empty = body.startswith(b"null", start)
    frame = body if empty else body[:start] + b"null" + body[end + 1 :]
    try:
        form = json.loads(frame)
    except (ValueError, RecursionError):
        form = None
    if not isinstance(form, dict) or form.get("kind") != "PodList":
        message = "no complete PodList"
        raise PodListError(message)
    return b"" if empty else body[start + 1 : end]


def _split(items: bytes) -> Iterator[bytes]:
    """Yield every item, whole."""
    pieces = items.strip().split(_BETWEEN)
    last = len(pieces) - 1
    for i, piece in enumerate(pieces):
        if piece:
            yield (_BETWEEN[2:] if i else b"") + piece + (b"}" if i < last else b"")


async def _read_slowly(items: bytes, turns: Turns) -> tuple[Entry, ...]:
    """Read a list that is JSON and not as Go writes it: it is decoded anew each time."""
    found = []
    try:
        for form in _decode_each(items.decode()):
            found.append(_entry(form))
            await turns.pause()
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {error}"
        raise PodListError(message) from None
    return tuple(found)


def _decode_each(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position = _end_of_gap(text, 0)
    while position < len(text):
        form, position = decoder.raw_decode(text, position)
        yield form
        position = _end_of_gap(text, position)


def _end_of_gap(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap is not None else position


def _entry(form: object) -> Entry:
    try:
        return read_pod(form)
    except PodError as error:
        return _unreadable(form, str(error))


def _unreadable(form: object, why: str) -> RefusedPod:
    """Name a pod that cannot be read as well as can be."""
    known = metadata_of(form)
    namespace, name = str(known.get("namespace", "")), str(known.get("name", ""))
    return RefusedPod(str(known.get("uid") or f"{namespace}/{name}"), namespace, name, why)
