"""Elasticsearch, or OpenSearch, as the service graph needs it: read one document, write it if nobody did meanwhile.

Belongs here: its document API (https://www.elastic.co/docs/reference/elasticsearch/rest-apis/optimistic-concurrency-control), who we are
to it, errors as sentences. Does not belong here: what is in the document (`dependencies`), trying again after a conflict (`graph_write`).
Versions before 7 want a type in each path and are refused by their own answers. User and password are in no message.
"""

import base64
import json
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from netra_node import __version__
from netra_node.cli.http_failures import no_answer, words

USERNAME: Final = "ES_USERNAME"
PASSWORD: Final = "ES_PASSWORD"  # noqa: S105 - the name of a variable
AUTHORITIES: Final = "ES_TLS_CA"
PREFIX: Final = "ES_INDEX_PREFIX"

#: Seconds to connect, and between two pieces of an answer.
_PATIENCE: Final = (5.0, 30.0)
#: A busy server is asked four times more; the second of these waits is so many seconds, each later one twice as long.
_TRIES, _PAUSE = 4, 1.0
_LARGEST: Final = 64 << 20
#: What may begin an index's name; a longer list of what may not is in the reference of its create index API.
_PREFIX: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_BUSY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_MENDS: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: f"; {USERNAME} and {PASSWORD} say who you are",
    HTTPStatus.FORBIDDEN: "; it takes the privileges read, index and create_index on jaeger-dependencies-*",
    HTTPStatus.TOO_MANY_REQUESTS: "; it is too busy: try again later",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "; http.max_content_length is its limit",
}


class StoreError(Exception):
    """The store cannot be asked, or refuses; the message says what, and what to do."""


class PlaceError(ValueError):
    """What says where the store is, or who we are, cannot be used."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is. `url` has no user information."""

    url: str
    authorization: str | None = field(default=None, repr=False)
    authorities: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A document, and the write it came by."""

    source: Any
    seq_no: int
    primary_term: int


def place_of(url: str, environ: Mapping[str, str]) -> Place:
    """Read a URL and the variables beside it. Raises PlaceError, whose message has no secret in it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        message = "--write-elasticsearch takes http://HOST[:PORT][/PATH] or https://…"
        raise PlaceError(message)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Place(
        f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}",
        _authorization(parts.username, parts.password, environ),
        environ.get(AUTHORITIES) or None,
    )


def index_name(prefix: str | None, environ: Mapping[str, str], day: str) -> str:
    """Return the index of `day` as Jaeger joins it: its `es.index-prefix`, a hyphen unless it ends with one. Raises PlaceError."""
    chosen = environ.get(PREFIX, "") if prefix is None else prefix
    if chosen and not _PREFIX.fullmatch(chosen):
        name = PREFIX if prefix is None else "--index-prefix"
        message = f"{name}={chosen!r} takes small letters, digits and . _ - of which none begins it"
        raise PlaceError(message)
    joined = f"{chosen}-" if chosen and not chosen.endswith("-") else chosen
    return f"{joined}jaeger-dependencies-{day}"


class Elasticsearch:
    """One store. Its methods raise StoreError."""

    def __init__(
        self,
        place: Place,
        patience: tuple[float, float] = _PATIENCE,
        pause: float = _PAUSE,
        largest: int = _LARGEST,
    ) -> None:
        """`patience` is for connecting and for reading, `pause` before a busy server is asked again, in seconds. Raises PlaceError."""
        # It warns of each request it will repeat.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        self.url = place.url
        self._largest = largest
        headers = {"User-Agent": f"netra-node/{__version__}", "Content-Type": "application/json"}
        if place.authorization:
            headers["Authorization"] = place.authorization
        self._pool = urllib3.PoolManager(
            headers=headers,
            timeout=urllib3.Timeout(connect=patience[0], read=patience[1]),
            ssl_context=_context(place),
            retries=urllib3.Retry(
                _TRIES,
                connect=0,
                read=0,
                redirect=0,
                other=0,
                allowed_methods=None,
                status_forcelist=_BUSY,
                backoff_factor=pause / 2,
                raise_on_status=False,
                raise_on_redirect=False,
                respect_retry_after_header=False,
            ),
        )

    def get(self, index: str, name: str) -> Stored | None:
        """Return a document as it was last written; None where there is none, or no such index."""
        status, answer = self._ask("GET", f"{_path(index)}/_doc/{_path(name)}")
        if status == HTTPStatus.NOT_FOUND:
            return None
        self._check(status, answer)
        try:
            return Stored(answer["_source"], int(answer["_seq_no"]), int(answer["_primary_term"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(self._stranger()) from error

    def prepare(self, index: str, properties: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """See to it that there is an index, and that it takes `own`; `properties` are for one that is made now."""
        body = {"mappings": {"properties": {**properties, **own}}}
        status, answer = self._ask("PUT", _path(index), body)
        if status == HTTPStatus.BAD_REQUEST and "already_exists" in _type(answer):
            status, answer = self._ask("PUT", f"{_path(index)}/_mapping", {"properties": own})
        self._check(status, answer)

    def create(self, index: str, name: str, document: Mapping[str, Any]) -> bool:
        """Write a new document; False where there is one by now."""
        return self._written(f"{_path(index)}/_create/{_path(name)}", document)

    def replace(self, index: str, name: str, document: Mapping[str, Any], stored: Stored) -> bool:
        """Write a document in the place of `stored`; False where that is no longer the last one."""
        last = f"if_seq_no={stored.seq_no}&if_primary_term={stored.primary_term}"
        return self._written(f"{_path(index)}/_doc/{_path(name)}?{last}", document)

    def _written(self, path: str, document: Mapping[str, Any]) -> bool:
        status, answer = self._ask("PUT", path, document)
        if status == HTTPStatus.CONFLICT:
            return False
        self._check(status, answer)
        return True

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Return the status and the document of the answer, None where it has none."""
        sent = None if body is None else json.dumps(body).encode()
        try:
            response = self._pool.request(
                method, f"{self.url}/{path}", body=sent, preload_content=False
            )
            try:
                read = response.read(self._largest + 1)
            finally:
                response.release_conn()
        except HTTPError as error:
            message = f"Elasticsearch at {self.url} {no_answer(error)}"
            raise StoreError(message) from error
        if len(read) > self._largest:
            message = (
                f"Elasticsearch at {self.url} answers with more than {self._largest >> 20} MiB"
            )
            raise StoreError(message)
        try:
            return response.status, json.loads(read)
        except ValueError:
            return response.status, None

    def _check(self, status: int, answer: Any) -> None:
        if status in {HTTPStatus.OK, HTTPStatus.CREATED} and isinstance(answer, dict):
            return
        if (
            not isinstance(answer, dict)
            and status < HTTPStatus.INTERNAL_SERVER_ERROR
            and status not in _MENDS
        ):
            raise StoreError(self._stranger())
        message = f"Elasticsearch at {self.url} refuses ({status}{_reason(answer)}){_MENDS.get(status, '')}"
        raise StoreError(message)

    def _stranger(self) -> str:
        return f"what answers at {self.url} is neither Elasticsearch 7 or newer nor OpenSearch"


def _authorization(
    user: str | None, password: str | None, environ: Mapping[str, str]
) -> str | None:
    """Return the Authorization field (RFC 7617); the URL's own user comes before the environment's."""
    if user is not None:
        return _basic(unquote(user), unquote(password or ""))
    named = {name: environ[name] for name in (USERNAME, PASSWORD) if environ.get(name)}
    if len(named) == 1:
        message = f"{USERNAME} and {PASSWORD} are needed both, and only {next(iter(named))} is set"
        raise PlaceError(message)
    return _basic(named[USERNAME], named[PASSWORD]) if named else None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _context(place: Place) -> ssl.SSLContext | None:
    if not place.url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=place.authorities)
    except OSError as error:
        message = f"{AUTHORITIES}={place.authorities!r} cannot be used: {words(error)}"
        raise PlaceError(message) from error


def _path(segment: str) -> str:
    return quote(segment, safe="")


def _type(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error.get("type", "")) if isinstance(error, dict) else ""


def _reason(answer: Any) -> str:
    """Return why, as it says it: an object with a reason, or a plain text."""
    error = answer.get("error") if isinstance(answer, dict) else None
    told = error.get("reason") or error.get("type") if isinstance(error, dict) else error
    return f": {' '.join(str(told).split())[:300]}" if told else ""
