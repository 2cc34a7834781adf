"""`netra-node graph --write-elasticsearch`: keeps Jaeger's document of each day up to date.

Belongs here: one document for each day that daemons still know, trying again when another writer was faster, what is told.
Does not belong here: the merge (`dependencies`), the store's API (`elasticsearch`), asking the daemons.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from netra_node.cli.dependencies import (
    OWN_PROPERTIES,
    PROPERTIES,
    DocumentError,
    Starts,
    contributions,
    document,
    links,
    merged,
    starts_of,
)
from netra_node.cli.elasticsearch import Elasticsearch, StoreError, index_name, place_of
from netra_node.cli.node_graphs import Nodes
from netra_node.cli.status_report import printable

#: One document a day, whoever writes it.
NAME: Final = "netra-node"

_FAILED: Final = 1
#: Each writer that is faster has finished its own write, so two dozen writers at once all come through.
_TRIES: Final = 30
_LONGEST_REST: Final = 1.0


class Written(NamedTuple):
    """A day's document as it stands now."""

    where: str
    links: int
    calls: int
    starts: int
    changed: bool


class Destination(NamedTuple):
    """Where to write, checked."""

    store: Elasticsearch
    prefix: str | None
    environ: Mapping[str, str]


def misused(args: argparse.Namespace) -> str:
    """Return what is wrong with the flags as they stand together; empty: nothing."""
    if args.index_prefix is not None and not args.write_elasticsearch:
        return "--index-prefix says where to write: use it together with --write-elasticsearch"
    return ""


def destination(args: argparse.Namespace, environ: Mapping[str, str]) -> Destination | None:
    """Return where to write; None: nowhere. Raises PlaceError."""
    if not args.write_elasticsearch:
        return None
    index_name(args.index_prefix, environ, "")
    store = Elasticsearch(place_of(args.write_elasticsearch, environ))
    return Destination(store, args.index_prefix, environ)


def write(nodes: Nodes, to: Destination) -> int:
    """Write what the nodes know, tell it, and return the exit code; what is missing now comes with the next run."""
    days = contributions(nodes.graphs)
    for problem in nodes.problems():
        print(f"netra-node: {printable(problem)}", file=sys.stderr)
    if not days:
        print("nothing to write: no service has called another that is known here")
    try:
        for day, starts in sorted(days.items()):
            index = index_name(to.prefix, to.environ, day)
            print(_line(write_day(to.store, index, day, starts)))
    except StoreError as error:
        print(f"netra-node: {printable(str(error))}", file=sys.stderr)
        return _FAILED
    return 0 if nodes.complete else _FAILED


def write_day(
    store: Elasticsearch,
    index: str,
    day: str,
    starts: Starts,
    rest: Callable[[float], None] = time.sleep,
) -> Written:
    """Merge `starts` into the day's document. Raises StoreError."""
    for attempt in range(_TRIES):
        stored = store.get(index, NAME)
        known, wanted = _merge(store, index, None if stored is None else stored.source, starts)
        if stored is None:
            store.prepare(index, PROPERTIES, OWN_PROPERTIES)
            done = store.create(index, NAME, document(day, wanted))
        else:
            done = known == wanted or store.replace(index, NAME, document(day, wanted), stored)
        if done:
            return _written(index, wanted, changed=known != wanted)
        # apart from each other, or the same two meet again
        rest(random.uniform(0, min(_LONGEST_REST, 0.02 * 2**attempt)))  # noqa: S311 - no secret
    message = (
        f"{store.url}/{index}/_doc/{NAME} is changed again and again meanwhile: run this later"
    )
    raise StoreError(message)


def _merge(
    store: Elasticsearch, index: str, source: object, starts: Starts
) -> tuple[Starts, Starts]:
    """Return what is known and what shall be."""
    try:
        known = {} if source is None else starts_of(source)
        return known, merged(known, starts)
    except DocumentError as error:
        message = f"{store.url}/{index}/_doc/{NAME}: {error}"
        raise StoreError(message) from error


def _written(index: str, starts: Starts, *, changed: bool) -> Written:
    found = links(starts)
    calls = sum(link["callCount"] for link in found)
    return Written(index, len(found), calls, len(starts), changed)


def _line(written: Written) -> str:
    state = "" if written.changed else ", nothing new"
    return (
        f"{written.where}: {written.links} link{'s' * (written.links != 1)}, {written.calls} calls "
        f"that {written.starts} start{'s' * (written.starts != 1)} of daemons counted{state}"
    )
