"""Paths whose requests get no span, as health checks. Belongs here: which paths, and how much of a target is looked at.

Does not belong here: what else such a request goes without (`tracing`).
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from netra_node.core.kept import keep

#: A regular expression never sees more of a path than so many bytes.
PATTERN_LIMIT: Final = 512
#: Paths that regular expressions were asked about and the answer is known.
_REMEMBERED: Final = 1024
#: A percent-encoded byte.
_LONGEST_BYTE: Final = 3


class IgnoredPaths:
    """Tells of request targets by their paths, percent-decoded and without query. Shared by all pods."""

    __slots__ = ("_answers", "_exact", "_patterns", "_prefixes", "_seen")

    def __init__(
        self,
        exact: Iterable[bytes] = (),
        prefixes: Iterable[bytes] = (),
        patterns: Iterable[re.Pattern[str]] = (),
    ) -> None:
        """Take whole paths, their beginnings, and patterns that match whole paths; of longer ones, their first 512 bytes."""
        self._exact = frozenset(exact)
        self._prefixes = tuple(prefixes)
        self._patterns = tuple(patterns)
        longest = max(map(len, (*self._exact, *self._prefixes)), default=-1) + 1
        # one byte more than any rule says, each percent-encoded: to decode a path of 64 KiB would take 5 ms
        self._seen = _LONGEST_BYTE * max(longest, PATTERN_LIMIT if self._patterns else 0)
        self._answers: dict[bytes, bool] = {}

    def __bool__(self) -> bool:
        """Tell whether there is any rule."""
        return self._seen > 0

    def has(self, target: bytes) -> bool:
        """Tell whether the path of a request target is one of them."""
        path = _raw_path(target)[: self._seen]
        if b"%" in path:
            path = unquote_to_bytes(path)
        if path in self._exact or path.startswith(self._prefixes):
            return True
        return bool(self._patterns) and self._is_matched(path[:PATTERN_LIMIT])

    def _is_matched(self, path: bytes) -> bool:
        known = self._answers.get(path)
        if known is not None:
            return known
        shown = path.decode("utf-8", "replace")
        answer = any(pattern.fullmatch(shown) for pattern in self._patterns)
        return keep(self._answers, path, answer, _REMEMBERED)


def _raw_path(target: bytes) -> bytes:
    """Return the path of a request target in any of its forms (RFC 9112 §3.2), without its query."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        _, scheme_end, rest = path.partition(b"://")
        if scheme_end:  # absolute-form; an empty path means "/" (RFC 9110 §4.2.3)
            path = b"/" + rest.partition(b"/")[2]
    return path
