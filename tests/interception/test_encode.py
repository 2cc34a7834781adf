"""Bytes: what is in them, and that the kernel has understood every one of them."""

import socket
import struct
from collections import Counter
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.desired import InboundMode
from netra_node.core.ports import PortSet
from netra_node.interception import encode, ruleset
from netra_node.interception.encode import Batch
from netra_node.interception.expressions import Expression, expressions
from netra_node.interception.ruleset import Replies, RuleSet
from tests.interception import pods
from tests.interception.pods import TABLE, Capture, Pod

HEADER = struct.Struct("=IHHII")
NEW_RULE = 10 << 8 | 6

VARIANTS = [
    RuleSet(),
    RuleSet(replies=Replies.CONNTRACK),
    RuleSet(owner=False),
    RuleSet(
        inbound_ports=PortSet(((80, 80), (8080, 8090))),
        outbound_ports=PortSet(((0, 21), (23, 65535))),
        outbound_skip=(ip_network("169.254.169.254"), ip_network("fd00::/8")),
    ),
    RuleSet(
        inbound_probability=0.25,
        outbound_probability=0.999999999,
        exempt_user=1337,
        exempt_group=4294967294,
    ),
    RuleSet(inbound_mode=InboundMode.REDIRECT, inbound_probability=0.5),
]


def messages(frames: bytes) -> list[tuple[int, int, bytes]]:
    """Type, sequence number and body of each."""
    found = []
    while frames:
        size, kind, _, sequence, _ = HEADER.unpack_from(frames)
        found.append((kind, sequence, frames[HEADER.size : size]))
        frames = frames[size:]
    return found


def expressions_of(rule: bytes) -> list[tuple[str, dict[int, bytes]]]:
    """The same without counters' figures."""
    return [(name, {} if name == "counter" else data) for name, data in pods.expressions(rule)]


def leaves(value: Any) -> int:
    """How many values an expression's nested attributes hold."""
    if isinstance(value, dict):
        return sum(leaves(inner) for _, inner in value["attrs"])
    return 1


def packed_leaves(kind: str, raw: bytes) -> int:
    """The same, counted in the packed form; only these attributes are nested."""
    nested = {"immediate": {2}, "cmp": {3}, "bitwise": {4, 5}}.get(kind, set())
    return sum(
        _verdict_leaves(value) if number in nested else 1 for number, value in pods.attributes(raw)
    )


def _verdict_leaves(raw: bytes) -> int:
    ((kind, value),) = pods.attributes(raw)
    return len(pods.attributes(value)) if kind == 2 else 1


@pytest.mark.parametrize("rules", VARIANTS)
def test_every_message_is_as_long_as_its_alignment_demands(rules: RuleSet) -> None:
    assert all(len(body) % 4 == 0 for _, _, body in messages(encode.install(rules, TABLE).frames))


def test_requests_are_numbered_from_one_between_the_edges() -> None:
    batch = encode.install(RuleSet(), TABLE)

    numbers = [sequence for _, sequence, _ in messages(batch.frames)]

    assert numbers == list(range(len(batch.about) + 2))


def test_a_batch_begins_and_ends_for_nftables() -> None:
    first, *_, last = messages(encode.flush(TABLE).frames)

    assert (first[0], last[0]) == (16, 17)
    assert first[2] == last[2] == struct.pack(">BBH", 0, 0, 10)


def test_every_request_is_named_in_words() -> None:
    about = encode.install(RuleSet(), TABLE).about

    assert about[0] == f"table {TABLE}"
    assert "rule 5 of chain output" in about
    assert "elements of set in_ports" in about


def test_equal_rule_sets_are_encoded_once() -> None:
    assert encode.install(RuleSet(), TABLE) is encode.install(RuleSet(), TABLE)


def test_another_rule_set_shares_the_rules_that_are_equal() -> None:
    one = encode._rule(TABLE, "output", 1, ruleset.chains(RuleSet())[3].rules[0])
    other = encode._rule(
        TABLE, "output", 1, ruleset.chains(RuleSet(inbound_ports=PortSet(())))[3].rules[0]
    )

    assert one is other


def test_no_attribute_of_any_statement_is_dropped_in_packing() -> None:
    """pyroute2 drops what it does not know without a word."""
    for rules in VARIANTS:
        for chain in ruleset.chains(rules):
            for rule in chain.rules:
                wanted: list[Expression] = [part for one in rule for part in expressions(one)]
                body = encode._rule(TABLE, chain.name, 1, rule).body
                (listed,) = [
                    value for kind, value in pods.attributes(body[4:]) if kind == pods.EXPRESSIONS
                ]
                packed = [dict(pods.attributes(one)) for _, one in pods.attributes(listed)]

                assert [leaves(one) - 1 for one in wanted] == [
                    packed_leaves(one[pods.NAME].rstrip(b"\0").decode(), one.get(pods.DATA, b""))
                    for one in packed
                ]


@pytest.mark.netns
@pytest.mark.parametrize(
    "rules", VARIANTS, ids=["plain", "conntrack", "unowned", "lists", "chances", "redirect"]
)
def test_the_kernel_has_every_rule_as_it_was_sent(
    rules: RuleSet, capture: Capture, web: Pod
) -> None:
    sent = [
        expressions_of(body)
        for kind, _, body in messages(encode.install(rules, TABLE).frames)
        if kind == NEW_RULE
    ]

    capture(rules)

    had = [expressions_of(raw) for _, raw in pods.rules(web)]
    assert _without_additions(had, sent) == sent


def _without_additions(
    had: list[list[tuple[str, dict[int, bytes]]]], sent: list[list[tuple[str, dict[int, bytes]]]]
) -> list[list[tuple[str, dict[int, bytes]]]]:
    """What the kernel adds (defaults, the set's number) is no difference."""
    return [
        [
            (name, {kind: value for kind, value in data.items() if kind in wanted})
            for (name, data), (_, wanted) in zip(rule, original, strict=True)
        ]
        for rule, original in zip(had, sent, strict=True)
    ]


@pytest.mark.netns
def test_the_kernel_has_every_chain_with_as_many_rules(capture: Capture, web: Pod) -> None:
    capture(RuleSet())

    counted = Counter(chain for chain, _ in pods.rules(web))

    chains = ruleset.chains(RuleSet())
    assert counted == {chain.name: len(chain.rules) for chain in chains if chain.rules}


@pytest.mark.netns
def test_the_kernel_takes_the_longest_lists(capture: Capture, web: Pod) -> None:
    """More than 64 KiB of elements do not fit one attribute."""
    ports = PortSet(tuple((port, port) for port in range(1, 2049, 2)))
    networks = tuple(ip_network(f"fd00:{number:x}::/32") for number in range(0, 2048, 2))

    capture(RuleSet(inbound_ports=ports, outbound_skip=networks))

    assert pods.tables(web) == {TABLE}


@pytest.mark.netns
def test_the_kernel_takes_ranges_that_touch(capture: Capture, web: Pod) -> None:
    capture(RuleSet(inbound_ports=PortSet(((80, 81), (82, 90)))))

    assert pods.tables(web) == {TABLE}


@given(st.lists(st.integers(0, 65535), max_size=1500, unique=True))
def test_no_elements_message_is_too_long_for_its_attribute(ports: list[int]) -> None:
    rules = RuleSet(inbound_ports=PortSet(tuple((port, port) for port in sorted(ports))))

    batch = encode.install(rules, TABLE)

    assert all(len(body) < 1 << 16 for _, _, body in messages(batch.frames))


def test_replacing_empties_chains_and_sets_before_it_fills_them() -> None:
    about = encode.replace(RuleSet(), TABLE).about
    removals = [number for number, one in enumerate(about) if one.startswith("removal")]

    assert about[:3] == encode.flush(TABLE).about
    assert removals == list(range(7))
    assert sum(one.startswith("rule") for one in about) == 7
    assert sum(one.startswith("elements") for one in about) == 2


def test_deleting_is_one_request() -> None:
    batch: Batch = encode.delete(TABLE)

    assert batch.about == (f"removal of table {TABLE}",)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_is_removed_is_what_was_added(family: socket.AddressFamily) -> None:
    added = [message.body for message in encode.add_routes(family)]

    assert [message.body for message in encode.remove_routes(family)] == added
