"""The store's API over real HTTP, and what is said when it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netra_node.cli.elasticsearch import (
    Elasticsearch,
    PlaceError,
    Stored,
    StoreError,
    index_name,
    place_of,
)
from tests.cli import elasticsearch_stub as stub
from tests.cli.admin_stub import answering, unused_port
from tests.cli.http_stub import CERTIFICATE

INDEX = "jaeger-dependencies-2026-11-21"
SECRET = "p@ss:w/rd"


@pytest.fixture
def known() -> Iterator[stub.Store]:
    with stub.serving(stub.Store()) as store:
        yield store


def store_at(url: str, largest: int = 1 << 20, **environ: str) -> Elasticsearch:
    return Elasticsearch(place_of(url, environ), (2.0, 0.5), 0.01, largest)


@pytest.fixture
def store(known: stub.Store) -> Elasticsearch:
    return store_at(known.url)


# Documents.


def test_what_is_not_there_is_none_with_and_without_an_index(
    known: stub.Store, store: Elasticsearch
) -> None:
    assert store.get(INDEX, "d") is None
    known.indices[INDEX] = stub.Index()
    assert store.get(INDEX, "d") is None


def test_what_was_created_is_read_back_with_the_write_it_came_by(store: Elasticsearch) -> None:
    assert store.create(INDEX, "d", {"n": "é"})
    assert store.get(INDEX, "d") == Stored({"n": "é"}, 0, 1)


def test_creating_what_is_there_by_now_does_nothing(store: Elasticsearch) -> None:
    store.create(INDEX, "d", {"n": 1})

    assert not store.create(INDEX, "d", {"n": 2})
    assert store.get(INDEX, "d") == Stored({"n": 1}, 0, 1)


def test_replacing_takes_the_last_write_and_no_other(store: Elasticsearch) -> None:
    store.create(INDEX, "d", {"n": 1})
    first = store.get(INDEX, "d")
    assert first is not None

    assert store.replace(INDEX, "d", {"n": 2}, first)
    assert not store.replace(INDEX, "d", {"n": 3}, first)
    assert store.get(INDEX, "d") == Stored({"n": 2}, 1, 1)


def test_a_new_index_takes_all_properties(known: stub.Store, store: Elasticsearch) -> None:
    store.prepare(INDEX, {"a": {"type": "date"}}, {"b": {"enabled": False}})

    assert known.indices[INDEX].mappings == {
        "properties": {"a": {"type": "date"}, "b": {"enabled": False}}
    }


def test_an_index_that_others_made_takes_only_what_is_ours(
    known: stub.Store, store: Elasticsearch
) -> None:
    known.indices[INDEX] = stub.Index({"properties": {"a": {"type": "text"}}})
    store.prepare(INDEX, {"a": {"type": "date"}}, {"b": {"enabled": False}})

    assert known.indices[INDEX].mappings["properties"] == {
        "a": {"type": "text"},
        "b": {"enabled": False},
    }


def test_names_cannot_leave_their_place_in_the_path(
    known: stub.Store, store: Elasticsearch
) -> None:
    store.get("a/b?c", "d#e")

    assert known.asked == [("GET", "/a%2Fb%3Fc/_doc/d%23e")]


def test_a_path_before_the_api_is_kept(known: stub.Store) -> None:
    with pytest.raises(StoreError):
        store_at(f"{known.url}/logs/es/").get(INDEX, "d")

    assert known.asked == [("GET", f"/logs/es/{INDEX}/_doc/d")]


# Who we are.


@pytest.mark.parametrize(
    ("user", "environ"),
    [
        ("u:p%40ss%3Aw%2Frd@", {}),
        ("", {"ES_USERNAME": "u", "ES_PASSWORD": SECRET}),
        ("u:p%40ss%3Aw%2Frd@", {"ES_USERNAME": "x", "ES_PASSWORD": "y"}),
    ],
    ids=["url", "environment", "url first"],
)
def test_user_and_password_are_told_to_the_store_and_to_nobody_else(
    known: stub.Store, user: str, environ: dict[str, str]
) -> None:
    known.credentials = f"u:{SECRET}"
    url = known.url.replace("://", f"://{user}")
    store = store_at(url, **environ)

    assert store.get(INDEX, "d") is None
    known.credentials = "another:one"
    with pytest.raises(StoreError) as refused:
        store.get(INDEX, "d")
    for told in (str(refused.value), store.url, repr(place_of(url, environ))):
        assert SECRET not in told
        assert "p%40ss" not in told


def test_who_nobody_knows_is_told_how_to_say_who_he_is(
    known: stub.Store, store: Elasticsearch
) -> None:
    known.credentials = "u:p"
    with pytest.raises(StoreError) as refused:
        store.get(INDEX, "d")

    assert str(refused.value) == (
        f"Elasticsearch at {known.url} refuses (401: unable to authenticate user for REST request); "
        "ES_USERNAME and ES_PASSWORD say who you are"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "es:9200",
        "ftp://es",
        "http://",
        "http://es:99999",
        "http://es/?q=1",
        "http://es/#x",
        "http://[x",
    ],
)
def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(PlaceError, match=r"^--write-elasticsearch takes http://HOST"):
        place_of(url, {})


@pytest.mark.parametrize("name", ["ES_USERNAME", "ES_PASSWORD"])
def test_half_of_user_and_password_is_refused(name: str) -> None:
    with pytest.raises(PlaceError, match=f"only {name} is set"):
        place_of("http://es", {name: SECRET})


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert place_of("https://u:p@[::1]:9200/x/", {}).url == "https://[::1]:9200/x"


@pytest.mark.parametrize(
    ("prefix", "environ", "expected"),
    [
        (None, {}, INDEX),
        ("prod", {}, f"prod-{INDEX}"),
        ("prod-", {}, f"prod-{INDEX}"),
        (None, {"ES_INDEX_PREFIX": "prod"}, f"prod-{INDEX}"),
        ("a", {"ES_INDEX_PREFIX": "prod"}, f"a-{INDEX}"),
        ("", {"ES_INDEX_PREFIX": "prod"}, INDEX),
    ],
)
def test_a_prefix_is_joined_as_jaeger_joins_it(
    prefix: str | None, environ: dict[str, str], expected: str
) -> None:
    assert index_name(prefix, environ, "2026-11-21") == expected


@pytest.mark.parametrize(
    "prefix", ["Prod", "-a", "_a", ".a", "a:b", "a/b", "a,b", "a*", "a b", "é", "x" * 129]
)
def test_a_prefix_that_no_index_may_have_is_refused(prefix: str) -> None:
    with pytest.raises(PlaceError, match="--index-prefix="):
        index_name(prefix, {}, "2026-11-21")
    with pytest.raises(PlaceError, match="ES_INDEX_PREFIX="):
        index_name(None, {"ES_INDEX_PREFIX": prefix}, "2026-11-21")


# Over TLS.


def test_a_certificate_that_a_named_authority_signed_is_trusted() -> None:
    with stub.serving(stub.Store(), tls=True) as known:
        store = store_at(known.url, ES_TLS_CA=str(CERTIFICATE))

        assert store.create(INDEX, "d", {})


def test_any_other_certificate_is_refused() -> None:
    with stub.serving(stub.Store(), tls=True) as known, pytest.raises(StoreError) as refused:
        store_at(known.url).get(INDEX, "d")

    assert "its certificate is not trusted" in str(refused.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_authorities_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PlaceError, match="ES_TLS_CA="):
        store_at("https://es", ES_TLS_CA=str(path))


# How it fails.


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_store_is_asked_again(known: stub.Store, store: Elasticsearch, status: int) -> None:
    known.failures = [(status, b"<html>busy</html>")] * 3

    assert store.create(INDEX, "d", {})
    assert len(known.asked) == 4


def test_a_store_that_stays_busy_is_given_up(known: stub.Store, store: Elasticsearch) -> None:
    known.failures = [(503, b"")] * 9
    with pytest.raises(StoreError) as refused:
        store.get(INDEX, "d")

    assert str(refused.value) == f"Elasticsearch at {known.url} refuses (503)"
    assert len(known.asked) == 5


@pytest.mark.parametrize("status", [400, 403, 413, 500])
def test_a_refusal_is_said_with_its_reason_and_not_repeated(
    known: stub.Store, store: Elasticsearch, status: int
) -> None:
    known.failures = [(status, b'{"error": {"type": "t", "reason": "one\\nreason"}, "status": 1}')]
    with pytest.raises(StoreError, match=rf"refuses \({status}: one reason\)"):
        store.create(INDEX, "d", {})

    assert len(known.asked) == 1


def test_a_refusal_in_plain_words_is_said_too(known: stub.Store, store: Elasticsearch) -> None:
    known.failures = [(400, b'{"error": "no handler found for uri", "status": 400}')]
    with pytest.raises(StoreError, match=r"refuses \(400: no handler found for uri\)"):
        store.prepare(INDEX, {}, {})


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"found": true, "_source": {}}'])
def test_what_is_no_such_store_is_said_to_be_none(body: bytes) -> None:
    with answering(body) as port, pytest.raises(StoreError, match="neither Elasticsearch 7"):
        store_at(f"http://127.0.0.1:{port}").get(INDEX, "d")


def test_nobody_there_is_said_at_once() -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(StoreError) as refused:
        store_at(url).get(INDEX, "d")

    assert str(refused.value) == f"Elasticsearch at {url} cannot be reached (connection refused)"


def test_a_slow_store_is_given_up(known: stub.Store, store: Elasticsearch) -> None:
    known.slow = 1.0
    with pytest.raises(StoreError, match="does not answer in time"):
        store.get(INDEX, "d")


def test_an_answer_beyond_all_bounds_is_not_read(known: stub.Store) -> None:
    store = store_at(known.url, largest=1 << 20)
    store.create(INDEX, "d", {"long": "x" * (2 << 20)})
    with pytest.raises(StoreError, match="more than 1 MiB"):
        store.get(INDEX, "d")
