"""A store on loopback that speaks as much of Elasticsearch's API as the service graph and Jaeger's dependency page use.

Paths, statuses and the shape of answers are those of the reference (index, get, create index, put mapping, search, optimistic concurrency
control). It may fail as told, or be slow. `jaeger` reads it as Jaeger's own store does.
"""

import base64
import contextlib
import http.server
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cli import http_stub

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass
class Index:
    mappings: dict[str, Any] = field(default_factory=dict)
    #: id → source, sequence number
    documents: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    writes: int = 0


@dataclass
class Store:
    """What it knows, and how it fails."""

    indices: dict[str, Index] = field(default_factory=dict)
    #: user:password, where it wants them.
    credentials: str = ""
    #: Statuses and bodies for the next requests, instead of an answer.
    failures: list[tuple[int, bytes]] = field(default_factory=list)
    #: Seconds before each answer.
    slow: float = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, index: str, name: str = "netra-node") -> dict[str, Any]:
        return self.indices[index].documents[name][0]


class RefusalError(Exception):
    def __init__(self, status: int, kind: str, reason: str = "") -> None:
        super().__init__(kind)
        self.status, self.kind, self.reason = status, kind, reason or kind


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def do_GET(self) -> None:
        self._do()

    do_PUT = do_POST = do_GET  # noqa: N815 - http.server's names

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.store.slow)
        with self.store.lock:
            self.store.asked.append((self.command, self.path))
            if self.store.failures:
                self._send(*self.store.failures.pop(0))
                return
            try:
                self._authorize()
                status, answer = self._answer(json.loads(body or b"null"))
            except RefusalError as refusal:
                error = {"type": refusal.kind, "reason": refusal.reason}
                status = refusal.status
                answer = {"error": {"root_cause": [error], **error}, "status": status}
        self._send(status, json.dumps(answer).encode())

    def _authorize(self) -> None:
        if not self.store.credentials:
            return
        expected = "Basic " + base64.b64encode(self.store.credentials.encode()).decode()
        if self.headers.get("Authorization") != expected:
            raise RefusalError(
                401, "security_exception", "unable to authenticate user for REST request"
            )

    def _answer(self, body: Any) -> tuple[int, Any]:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        index, *rest = (unquote(part) for part in url.path.strip("/").split("/"))
        match self.command, rest:
            case "PUT", []:
                return self._make(index, body)
            case "PUT", ["_mapping"]:
                self._index(index).mappings.setdefault("properties", {}).update(body["properties"])
                return 200, {"acknowledged": True}
            case "GET", ["_doc", name]:
                return self._get(index, name)
            case (("PUT" | "POST"), ["_create", name]):
                return self._put(index, name, body, create=True)
            case (("PUT" | "POST"), ["_doc", name]):
                return self._put(index, name, body, create=False)
            case (("GET" | "POST"), ["_search"]):
                return 200, self._search(index.split(","), body)
        raise RefusalError(400, "illegal_argument_exception", f"no handler for {self.path}")

    def _index(self, name: str) -> Index:
        if name not in self.store.indices:
            raise RefusalError(404, "index_not_found_exception", f"no such index [{name}]")
        return self.store.indices[name]

    def _make(self, name: str, body: Any) -> tuple[int, Any]:
        if not _NAME.fullmatch(name):
            raise RefusalError(400, "invalid_index_name_exception", f"Invalid index name [{name}]")
        if name in self.store.indices:
            raise RefusalError(
                400, "resource_already_exists_exception", f"index [{name}] already exists"
            )
        self.store.indices[name] = Index(body["mappings"])
        return 200, {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _get(self, index: str, name: str) -> tuple[int, Any]:
        found = self._index(index).documents.get(name)
        if found is None:
            return 404, {"_index": index, "_id": name, "found": False}
        source, number = found
        told = {"_version": 1, "_seq_no": number, "_primary_term": 1, "_source": source}
        return 200, {"_index": index, "_id": name, "found": True, **told}

    def _put(self, index: str, name: str, body: Any, *, create: bool) -> tuple[int, Any]:
        into = self.store.indices.setdefault(index, Index())
        known = into.documents.get(name)
        expected = self.query.get("if_seq_no"), self.query.get("if_primary_term")
        if (create and known) or (
            expected != (None, None) and (known is None or expected != (str(known[1]), "1"))
        ):
            raise RefusalError(
                409, "version_conflict_engine_exception", f"[{name}]: version conflict"
            )
        into.documents[name] = body, into.writes
        into.writes += 1
        answer = {"_index": index, "_id": name, "_seq_no": into.writes - 1, "_primary_term": 1}
        result = "updated" if known else "created"
        return (200 if known else 201), {"result": result, **answer}

    def _search(self, names: list[str], body: Any) -> Any:
        if self.query.get("ignore_unavailable") != "true":
            names = [name for name in names if self._index(name)]
        between = body["query"]["range"]["timestamp"]
        hits = [
            {"_index": name, "_id": key, "_source": source}
            for name in names
            if name in self.store.indices
            for key, (source, _) in self.store.indices[name].documents.items()
            if between["gte"] <= source["timestamp"] <= between["lte"]
        ]
        return {"hits": {"hits": hits}}

    def _send(self, status: int, body: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody waits any longer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def serving(store: Store, *, tls: bool = False) -> Iterator[Store]:
    """Yield the store with `url` set, as long as it answers there."""
    handler = type("Handler", (_Handler,), {"store": store})
    with http_stub.serving(handler, tls=tls) as store.url:
        yield store


def jaeger(store: Store, *days: str, now: str, prefix: str = "") -> dict[tuple[str, str], int]:
    """What Jaeger shows at `now` (RFC 3339) for the last 24 hours: it asks the indices of these days and sums up equal links.

    Source: GetDependencies in internal/storage/v2/elasticsearch/depstore/storage.go, deduplicateDependencies in its HTTP handler.
    """
    names = ",".join(f"{prefix}jaeger-dependencies-{day}" for day in days)
    yesterday = f"{now[:8]}{int(now[8:10]) - 1:02}{now[10:]}"
    query = {"query": {"range": {"timestamp": {"gte": yesterday, "lte": now}}}, "size": 10000}
    request = urllib.request.Request(
        f"{store.url}/{names}/_search?ignore_unavailable=true", json.dumps(query).encode()
    )
    with urllib.request.urlopen(request) as response:
        hits = json.load(response)["hits"]["hits"]
    shown: dict[tuple[str, str], int] = {}
    for hit in hits:
        for link in hit["_source"]["dependencies"]:
            pair = (link["parent"], link["child"])
            shown[pair] = shown.get(pair, 0) + link["callCount"]
    return shown
