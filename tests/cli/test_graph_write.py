"""The day's document in a store over real HTTP: writers at once, restarts, runs that see less, and what Jaeger then shows."""

import argparse
import threading
from collections.abc import Iterator

import pytest

from netra_node.cli.dependencies import Starts
from netra_node.cli.elasticsearch import Elasticsearch, Place, PlaceError, StoreError
from netra_node.cli.graph_write import NAME, Written, destination, misused, write, write_day
from netra_node.cli.node_graphs import NodeAnswer, Nodes
from tests.cli import elasticsearch_stub as stub
from tests.cli.elasticsearch_stub import jaeger
from tests.cli.graphs import DAY, call, graph
from tests.cli.test_node_graphs import read

INDEX = f"jaeger-dependencies-{DAY}"
PAIR = ("web", "orders")


@pytest.fixture
def known() -> Iterator[stub.Store]:
    with stub.serving(stub.Store()) as store:
        yield store


@pytest.fixture
def store(known: stub.Store) -> Elasticsearch:
    return Elasticsearch(Place(known.url), (2.0, 5.0), 0.01)


def put(store: Elasticsearch, **starts: int) -> Written:
    """One run in which each of these starts had counted so many calls."""
    return write_day(store, INDEX, DAY, {name: {PAIR: count} for name, count in starts.items()})


def shown(known: stub.Store) -> int:
    """What Jaeger's page shows of the pair at noon."""
    return jaeger(known, DAY, now=f"{DAY}T12:00:00Z").get(PAIR, 0)


def test_the_first_run_makes_the_index_and_the_document(
    known: stub.Store, store: Elasticsearch
) -> None:
    assert put(store, a=3, b=4) == Written(INDEX, 1, 7, 2, changed=True)
    assert shown(known) == 7
    properties = known.indices[INDEX].mappings["properties"]
    assert properties["timestamp"] == {"type": "date"}
    assert properties["netra"] == {"type": "object", "enabled": False}
    assert properties["dependencies"]["properties"]["parent"]["type"] == "keyword"


def test_a_run_that_learned_nothing_writes_nothing(known: stub.Store, store: Elasticsearch) -> None:
    put(store, a=3)
    known.asked.clear()

    assert put(store, a=3) == Written(INDEX, 1, 3, 1, changed=False)
    assert [method for method, _ in known.asked] == ["GET"]


def test_later_runs_count_on_and_keep_what_they_do_not_see(
    known: stub.Store, store: Elasticsearch
) -> None:
    put(store, a=3, b=4)
    put(store, a=10)  # b's node cannot be reached

    assert shown(known) == 14


def test_a_daemon_that_was_restarted_counts_on(known: stub.Store, store: Elasticsearch) -> None:
    put(store, a=10)
    put(store, a_again=2)
    put(store, a_again=5)

    assert shown(known) == 15


def test_a_fuller_document_is_never_made_smaller(known: stub.Store, store: Elasticsearch) -> None:
    put(store, a=10, b=20)
    put(store, a=1)

    assert shown(known) == 30


def test_what_others_wrote_for_the_day_stays(known: stub.Store, store: Elasticsearch) -> None:
    theirs = {"timestamp": f"{DAY}T00:00:00Z", "dependencies": []}
    known.indices[INDEX] = stub.Index({}, {"spark": (theirs, 0)}, writes=1)
    put(store, a=1)

    assert known.source(INDEX, "spark") == theirs
    assert shown(known) == 1
    assert known.indices[INDEX].mappings["properties"] == {
        "netra": {"type": "object", "enabled": False}
    }


def test_a_document_of_our_name_that_we_did_not_write_is_left_alone(
    known: stub.Store, store: Elasticsearch
) -> None:
    theirs = {"timestamp": f"{DAY}T00:00:00Z", "dependencies": []}
    known.indices[INDEX] = stub.Index({}, {NAME: (theirs, 0)}, writes=1)
    with pytest.raises(StoreError, match=f"{INDEX}/_doc/{NAME}: it was not written by netra-node"):
        put(store, a=1)

    assert known.source(INDEX) == theirs


def test_writers_at_once_end_with_the_right_sum(known: stub.Store) -> None:
    failed: list[Exception] = []

    def run(number: int) -> None:
        mine = Elasticsearch(Place(known.url), (5.0, 10.0), 0.01)
        try:
            for count in (1, 2, 3):
                put(mine, **{f"start{number}": count, "shared": 10 * number + count})
        except StoreError as error:
            failed.append(error)

    writers = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert failed == []
    assert shown(known) == 8 * 3 + 73
    assert len(known.indices[INDEX].documents) == 1


class AlwaysLate(Elasticsearch):
    """Somebody else is faster, each time."""

    def replace(self, *_arguments: object) -> bool:
        return False


def test_one_who_is_always_late_gives_up_in_the_end(known: stub.Store) -> None:
    late = AlwaysLate(Place(known.url), (2.0, 5.0), 0.01)
    put(late, a=1)
    rests: list[float] = []
    starts: Starts = {"a": {PAIR: 2}}
    with pytest.raises(StoreError, match="again and again"):
        write_day(late, INDEX, DAY, starts, rests.append)

    assert max(rests) <= 1.0
    assert shown(known) == 1


def test_a_write_whose_answer_was_lost_is_not_counted_twice(
    known: stub.Store, store: Elasticsearch
) -> None:
    put(store, a=1)

    class Loses(Elasticsearch):
        def replace(self, *arguments: object) -> bool:
            super().replace(*arguments)  # type: ignore[arg-type]
            return False

    write_day(Loses(Place(known.url)), INDEX, DAY, {"a": {PAIR: 5}}, lambda _seconds: None)

    assert shown(known) == 5


# A whole run.


def nodes_of(*documents: dict[str, object]) -> Nodes:
    return Nodes([NodeAnswer("n", "p", read(document)) for document in documents])


def arguments(url: str = "", prefix: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(write_elasticsearch=url, index_prefix=prefix)


def test_each_day_has_its_own_document_and_jaeger_shows_todays(
    known: stub.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    one = graph(PAIR, ("external", "web"))
    one["calls"].append(call(*PAIR, 9, day="2026-11-20"))
    to = destination(arguments(known.url, "prod"), {})
    assert to is not None

    assert write(nodes_of(one), to) == 0
    assert capsys.readouterr().out.splitlines() == [
        "prod-jaeger-dependencies-2026-11-20: 1 link, 9 calls that 1 start of daemons counted",
        "prod-jaeger-dependencies-2026-11-21: 1 link, 4 calls that 1 start of daemons counted",
    ]
    days = ("2026-11-20", "2026-11-21")
    assert jaeger(known, *days, now="2026-11-21T12:00:00Z", prefix="prod-") == {PAIR: 4}
    assert jaeger(known, *days, now="2026-11-20T23:59:59Z", prefix="prod-") == {PAIR: 9}

    write(nodes_of(one), to)
    assert capsys.readouterr().out.count(", nothing new\n") == 2


def test_what_is_known_is_written_also_where_a_node_does_not_answer(
    known: stub.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [*nodes_of(graph(PAIR)).answers, NodeAnswer("b", "q", None, "it \x1bhangs")]
    to = destination(arguments(known.url), {})
    assert to is not None

    assert write(Nodes(answers), to) == 1
    assert capsys.readouterr().err == "netra-node: b does not answer: it ?hangs\n"
    assert shown(known) == 4


def test_where_nobody_called_nothing_is_written(
    known: stub.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    to = destination(arguments(known.url), {})
    assert to is not None

    assert write(nodes_of(graph(("external", "web"))), to) == 0
    assert capsys.readouterr().out.startswith("nothing to write")
    assert known.asked == []


def test_a_store_that_refuses_is_one_sentence_and_the_code_is_1(
    known: stub.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    known.failures = [(403, b'{"error": {"reason": "no permissions for [indices:data/read/get]"}}')]
    to = destination(arguments(known.url), {})
    assert to is not None

    assert write(nodes_of(graph(PAIR)), to) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert (
        "refuses (403: no permissions for [indices:data/read/get]); it takes the privileges"
        in told.err
    )


def test_without_a_url_nothing_is_to_be_written() -> None:
    assert destination(arguments(), {}) is None


def test_a_bad_prefix_is_found_before_anything_is_asked(known: stub.Store) -> None:
    with pytest.raises(PlaceError, match="--index-prefix"):
        destination(arguments(known.url, "A"), {})


def test_a_prefix_alone_means_nothing() -> None:
    assert "--write-elasticsearch" in misused(arguments(prefix="x"))
    assert misused(arguments("http://es", "x")) == ""
