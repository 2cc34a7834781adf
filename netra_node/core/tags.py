"""Headers and cookies that become tags of a span because the operator says so. Belongs here: which, and how much of them.

Does not belong here: which requests have tags (`tracing`), how a cookie is read (`cookies`).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from netra_node.core.cookies import cookies
from netra_node.core.headers import HeaderView

#: Bytes of one value, and of all values of one request: thousands of requests may wait for their export.
VALUE_LIMIT: Final = 256
TOTAL_LIMIT: Final = 2048

#: Under which a span tells the `jaeger-debug-id` of its request, as spans of Jaeger's clients do.
DEBUG_ID_TAG: Final = "jaeger-debug-id"

_COOKIE: Final = b"cookie"

#: A tag's name and what the request said, not yet decoded.
Tag = tuple[str, bytes]


class TagRules:
    """Reads tags out of request heads."""

    __slots__ = ("_cookies", "_headers", "fields")

    def __init__(self, headers: Mapping[bytes, str], cookies: Mapping[bytes, str]) -> None:
        """Map names of headers, in any case, and of cookies, in their own, to names of tags."""
        self._headers = tuple((name.lower(), tag) for name, tag in headers.items())
        self._cookies = dict(cookies)
        names = [name for name, _ in self._headers]
        #: Lower-case names that a HeaderView given to `read` must know.
        self.fields = tuple(dict.fromkeys([*names, _COOKIE] if cookies else names))

    def read(self, view: HeaderView) -> tuple[Tag, ...]:
        """Return the tags of a request: of each name the first value, of one tag's sources the first that is there."""
        found: dict[str, bytes] = {}
        for name, tag in self._headers:
            value = view.get(name)
            if value:
                found.setdefault(tag, value)
        if self._cookies:
            self._read_cookies(view, found)
        return tuple(_bounded(found)) if found else ()

    def _read_cookies(self, view: HeaderView, found: dict[str, bytes]) -> None:
        missing = dict(self._cookies)
        for name, value in cookies(view.get_all(_COOKIE), missing):
            found.setdefault(missing.pop(name), value)
            if not missing:
                return


def _bounded(found: Mapping[str, bytes]) -> Iterator[Tag]:
    room = TOTAL_LIMIT
    for tag, value in found.items():
        kept = value[: min(VALUE_LIMIT, room)]
        room -= len(kept)
        yield tag, kept
        if not room:
            return
