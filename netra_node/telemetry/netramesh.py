"""The `netramesh` span schema: operations and tags as netramesh 0.10 sent them, so that dashboards live on.

Belongs here: names, order and types of its tags, and what we add: a span of a request that got no whole answer, which it
had none of. Does not belong here: how they are written on the wire (`otlp` and its like).

Its contract has the query string in `http.path`, secrets or not: whoever must not have it there takes the schema `otel`.
A user and password in a target, which no client may send (RFC 9110 §4.2.4), are left out all the same.
"""

import re
from collections.abc import Hashable
from typing import Final
from urllib.parse import unquote

from netra_node.core.addresses import authority
from netra_node.core.records import Exchange, Outcome
from netra_node.telemetry.flow import Flow
from netra_node.telemetry.paths import PathNames
from netra_node.telemetry.spans import (
    SERVER_ERRORS,
    Attribute,
    failure,
    mapped,
    outcome_label,
    text,
)

#: Every key there is; which a span has, depends.
KEYS: Final = frozenset(
    {
        "error",
        "http.host",
        "http.method",
        "http.path",
        "http.request_id",
        "http.request_size",
        "http.response_size",
        "http.status_code",
        "http.user_agent",
        "netra.outcome",
        "remote_addr",
        "sampler.param",
        "sampler.type",
        "span.kind",
    }
)

_OK = Outcome.OK
#: Answers without body, whatever their heads say (RFC 9112 §6.3).
_BODILESS: Final = frozenset({101, 204, 304})
_UNKNOWN: Final = -1
#: At the start of a target in absolute-form or authority-form.
_USER_INFO = re.compile(rb"\A((?:[^/?]*://)?)[^/?]*@")


class NetrameshSchema:
    """Netramesh's. Every tag is an exchange's own, as their order counts."""

    __slots__ = ("_are_kinds", "_names")

    complete = True

    def __init__(self, names: PathNames) -> None:
        """`names` turns decoded paths into those of operations.

        As long as it leaves them as they are, there are as many operations as paths, as ever; when it makes kinds of them,
        a pod has at most `MAX_NAMES`, and spans beyond are named by their method.
        """
        self._names = names
        self._are_kinds = names.changes

    def place(self, flow: Flow, exchange: Exchange) -> Hashable:
        """See `Schema`."""
        if flow.inbound:
            return flow.owner, exchange.method, exchange.target
        return flow.owner, exchange.method, exchange.target, exchange.host

    def name(self, flow: Flow, exchange: Exchange, path: str) -> str:
        """See `Schema`."""
        name = self.operation(exchange, path, inbound=flow.inbound)
        if self._are_kinds and not flow.owner.names.admit(name):
            return text(exchange.method)
        return name

    def operation(self, exchange: Exchange, path: str, *, inbound: bool) -> str:
        """Return the decoded path, of an outbound request behind the Host as it was sent."""
        name = unquote(path)
        if self._are_kinds:
            name = self._names.name(name)
        if not inbound:
            name = text(exchange.host) + name
        # a target that is an authority has no path
        return name or text(exchange.method)

    def located(self, flow: Flow, exchange: Exchange, path: str) -> list[Attribute]:
        """See `Schema`."""
        return []

    def likeness(self, flow: Flow, exchange: Exchange) -> Hashable:
        """See `Schema`."""
        outcome = exchange.outcome
        return exchange.status, None if outcome is _OK else outcome_label(outcome)

    def alike(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """See `Schema`."""
        return []

    def shared(self, flow: Flow) -> list[Attribute]:
        """See `Schema`."""
        return []

    def own(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """See `Schema`."""
        tags: list[Attribute] = []
        sampler = exchange.sampler
        if sampler is not None:
            tags += ("sampler.type", sampler[0]), ("sampler.param", sampler[1])
        if exchange.tags:
            tags += mapped(exchange)
        connection = flow.connection
        remote = connection.client if flow.inbound else connection.destination
        tags += (
            ("span.kind", "server" if flow.inbound else "client"),
            ("remote_addr", authority(*remote)),
            ("http.host", text(exchange.host)),
            ("http.path", _shown(exchange.target)),
            ("http.request_size", max(exchange.request_length, _UNKNOWN)),
            ("http.method", text(exchange.method)),
        )
        if exchange.user_agent:
            tags.append(("http.user_agent", text(exchange.user_agent)))
        if exchange.request_id:
            tags.append(("http.request_id", text(exchange.request_id)))
        status = exchange.status
        if status:
            tags.append(("http.response_size", _response_size(exchange)))
            tags.append(("http.status_code", status))
        if status >= SERVER_ERRORS or exchange.outcome is not _OK:
            tags += _trouble(exchange)
        return tags

    def all(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """See `Schema`."""
        return self.own(flow, exchange)


def _shown(target: bytes) -> str:
    """Return the target as it was sent, query and all, but for a user's name and password."""
    return text(target if target.startswith(b"/") else _USER_INFO.sub(rb"\1", target, count=1))


def _response_size(exchange: Exchange) -> int:
    """Return what Go's client calls ContentLength: of the body as announced, 0 where there can be none."""
    if exchange.status in _BODILESS:
        return 0
    length = exchange.response_length
    return _UNKNOWN if length is None else max(length, _UNKNOWN)


def _trouble(exchange: Exchange) -> list[Attribute]:
    """Return what an exchange says that did not go well; `error` is text, as it ever was."""
    tags: list[Attribute] = [("error", "true")] if failure(exchange) else []
    if exchange.outcome is not _OK:
        tags.append(("netra.outcome", outcome_label(exchange.outcome)))
    return tags
