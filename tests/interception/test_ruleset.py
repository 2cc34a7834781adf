"""What the rules say. What they do is in test_lease.py."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.desired import InboundMode
from netra_node.core.ports import ALL_PORTS, PortSet
from netra_node.interception import ruleset
from netra_node.interception.ruleset import (
    CAPTURE_CHAINS,
    INBOUND_MARK,
    OUTBOUND_MARK,
    Beat,
    Chance,
    Do,
    IntervalSet,
    Is,
    Jump,
    MarkConnection,
    Marked,
    Redirect,
    Replies,
    Rule,
    RuleSet,
    SentByGroup,
    SentByUser,
    TimeoutSet,
    ToPort,
    ToPortIn,
    Tproxy,
)


def rules_of(chain: str, rules: RuleSet) -> tuple[Rule, ...]:
    return next(one.rules for one in ruleset.chains(rules) if one.name == chain)


def ranges_of(name: str, rules: RuleSet) -> list[tuple[int, int]]:
    """First and last key of each range, as numbers."""
    one = next(one for one in ruleset.sets(rules) if one.name == name)
    assert isinstance(one, IntervalSet)
    end = 1 << 8 * one.type.value[1]
    return [
        (int.from_bytes(low, "big"), (int.from_bytes(behind, "big") or end) - 1)
        for low, behind in one.ranges
    ]


def names(rules: RuleSet) -> set[str]:
    return {chain.name for chain in ruleset.chains(rules)}


def test_whatever_is_captured_is_a_syn() -> None:
    (redirect,) = [rule for rule in rules_of("capture_out", RuleSet()) if Redirect(14956) in rule]
    (inbound,) = [rule for rule in rules_of("prerouting", RuleSet()) if Jump("capture_in") in rule]

    assert Is.SYN in redirect
    assert Is.SYN in inbound


def test_a_redirected_syn_finds_our_listener_whatever_is_in_time_wait() -> None:
    chain = rules_of("prerouting", RuleSet(outbound_port=99))
    reopen = [rule for rule in chain if ToPort(99) in rule]

    assert [rule[-1] for rule in reopen] == [Tproxy("127.0.0.1", 99), Tproxy("::1", 99)]
    assert all({Is.FROM_LOOPBACK, Is.SYN} <= set(rule) for rule in reopen)


def test_our_listener_takes_no_syn_that_is_for_the_application() -> None:
    rules = rules_of("prerouting", RuleSet(inbound_port=99))
    refuse = [
        rule for rule in rules if Tproxy("127.0.0.1", 99) in rule or Tproxy("::1", 99) in rule
    ]

    assert len(refuse) == 2
    assert all({Is.ACK, Marked(INBOUND_MARK)} <= set(rule) for rule in refuse)


def test_whatever_is_captured_depends_on_the_heartbeat() -> None:
    outbound = rules_of("capture_out", RuleSet())[-1]
    inbound = rules_of("capture_in", RuleSet())

    assert Is.SENDER_ALIVE in outbound
    assert all(Is.RECEIVER_ALIVE in rule for rule in inbound)


def test_inbound_is_captured_only_where_somebody_listens() -> None:
    for rule in rules_of("capture_in", RuleSet())[2:]:
        assert rule.index(Is.WANTED) < rule.index(
            next(part for part in rule if isinstance(part, Tproxy))
        )


def test_the_listeners_are_on_loopback_at_the_configured_ports() -> None:
    inbound = rules_of("capture_in", RuleSet(inbound_port=1, outbound_port=2))
    outbound = rules_of("capture_out", RuleSet(inbound_port=1, outbound_port=2))

    assert [part for rule in inbound[2:] for part in rule if isinstance(part, Tproxy)] == [
        Tproxy("127.0.0.1", 1),
        Tproxy("::1", 1),
    ]
    assert Redirect(2) in outbound[-1]


def test_time_wait_is_ended_before_it_is_asked_whether_somebody_listens() -> None:
    """By way of a listener that is not transparent, which never gets the packet."""
    ends = rules_of("capture_in", RuleSet(inbound_port=1, outbound_port=2))[:2]

    assert [rule[-1] for rule in ends] == [Tproxy("127.0.0.1", 2), Tproxy("::1", 2)]
    assert all(Is.WANTED not in rule for rule in ends)


def test_captured_outbound_connections_are_marked_to_be_found_again() -> None:
    assert MarkConnection(OUTBOUND_MARK) in rules_of("capture_out", RuleSet())[-1]


@pytest.mark.parametrize("mark", [OUTBOUND_MARK, INBOUND_MARK])
def test_our_own_connections_leave_output_before_capture(mark: int) -> None:
    output = rules_of("output", RuleSet())

    assert output.index((Marked(mark), Do.RETURN)) < output.index((Jump("capture_out"),))


def test_both_our_marks_are_untracked_where_answers_are_routed_by_sysctl() -> None:
    assert rules_of("own_sent", RuleSet(replies=Replies.SYSCTL)) == (
        (Marked(OUTBOUND_MARK), Do.NOTRACK),
        (Marked(INBOUND_MARK), Do.NOTRACK),
    )


def test_the_inbound_mark_is_tracked_where_connections_remember_it() -> None:
    assert rules_of("own_sent", RuleSet(replies=Replies.CONNTRACK)) == (
        (Marked(OUTBOUND_MARK), Do.NOTRACK),
    )


def test_connections_remember_the_mark_only_in_the_conntrack_variant() -> None:
    assert "replies" in names(RuleSet(replies=Replies.CONNTRACK))
    assert "replies" not in names(RuleSet(replies=Replies.SYSCTL))


def test_nothing_is_dropped_without_an_owned_table() -> None:
    assert "input" in names(RuleSet(owner=True))
    assert "input" not in names(RuleSet(owner=False))


def test_the_chains_to_flush_are_jumped_to_and_hooked_nowhere() -> None:
    everything = ruleset.chains(RuleSet())
    unhooked = {chain.name for chain in everything if chain.base is None}
    jumps = {
        part.chain
        for chain in everything
        for rule in chain.rules
        for part in rule
        if isinstance(part, Jump)
    }

    assert unhooked == jumps == set(CAPTURE_CHAINS)


def test_the_heartbeats_length_is_the_rules_and_the_sets() -> None:
    rules = RuleSet(heartbeat_milliseconds=1234)
    (alive,) = [one for one in ruleset.sets(rules) if isinstance(one, TimeoutSet)]

    assert alive.milliseconds == 1234
    assert Beat(1234) in rules_of("heartbeat", rules)[0]


def test_all_ports_are_one_range_to_the_last() -> None:
    assert ranges_of("in_ports", RuleSet(inbound_ports=ALL_PORTS)) == [(0, 65535)]


def test_no_ports_are_no_range() -> None:
    assert ranges_of("out_ports", RuleSet(outbound_ports=PortSet(()))) == []


def test_skipped_networks_go_to_the_set_of_their_family() -> None:
    rules = RuleSet(outbound_skip=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))

    (v4,) = ranges_of("out_skip4", rules)
    (v6,) = ranges_of("out_skip6", rules)

    assert v4 == (int(ip_address("10.0.0.0")), int(ip_address("10.255.255.255")))
    assert v6 == (int(ip_address("fd00::")), int(ip_address("fe00::")) - 1)


def test_overlapping_networks_become_one_range() -> None:
    rules = RuleSet(outbound_skip=(ip_network("10.0.0.0/8"), ip_network("10.1.0.0/16")))

    assert len(ranges_of("out_skip4", rules)) == 1


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0"])
def test_a_network_may_reach_to_the_last_address(everything: str) -> None:
    network = ip_network(everything)
    rules = RuleSet(outbound_skip=(network,))

    assert ranges_of(f"out_skip{network.version}", rules) == [(0, int(network.broadcast_address))]


@given(st.lists(st.ip_addresses(v=4), max_size=20), st.integers(8, 32))
def test_an_address_is_skipped_exactly_when_its_network_is_named(
    addresses: list[object], prefix: int
) -> None:
    networks = [ip_network(f"{address}/{prefix}", strict=False) for address in addresses]
    ranges = ranges_of("out_skip4", RuleSet(outbound_skip=tuple(networks)))

    for probe in [int(ip_address(str(address))) for address in addresses] + [0, 1 << 31]:
        skipped = any(low <= probe <= high for low, high in ranges)
        assert skipped == any(ip_address(probe) in network for network in networks)


def test_equal_rule_sets_are_one_key() -> None:
    assert len({RuleSet(), RuleSet()}) == 1


def test_nothing_is_captured_with_no_chance() -> None:
    rules = RuleSet(inbound_probability=0, outbound_probability=0)

    assert rules_of("capture_in", rules) == ()
    assert not any(Redirect(14956) in rule for rule in rules_of("capture_out", rules))


def test_certainty_needs_no_chance() -> None:
    everything = [
        part for chain in ruleset.chains(RuleSet()) for rule in chain.rules for part in rule
    ]

    assert not any(isinstance(part, Chance) for part in everything)


@pytest.mark.parametrize("mode", InboundMode)
def test_a_chance_is_drawn_last_and_before_anything_is_done(mode: InboundMode) -> None:
    rules = RuleSet(inbound_probability=0.5, outbound_probability=0.5, inbound_mode=mode)
    drawing = [
        rule
        for chain in ruleset.captures(rules)
        for rule in chain.rules
        if Chance(500_000_000) in rule
    ]

    assert len(drawing) == 3
    for rule in drawing:
        before, after = rule[: rule.index(Chance(500_000_000))], rule[-3:]
        assert all(isinstance(part, (Is, ToPortIn)) for part in before)
        assert Do.COUNT in after


@pytest.mark.parametrize(
    ("share", "billionths"), [(1e-12, 1), (0.3, 300_000_000), (1 - 1e-12, 999_999_999)]
)
def test_a_chance_is_neither_never_nor_always(share: float, billionths: int) -> None:
    (rule,) = [
        rule
        for rule in rules_of("capture_out", RuleSet(outbound_probability=share))
        if Redirect(14956) in rule
    ]

    assert Chance(billionths) in rule


def test_exempt_processes_leave_before_anything_is_captured() -> None:
    rules = rules_of("capture_out", RuleSet(exempt_user=0, exempt_group=7))

    assert rules[:2] == ((SentByUser(0), Do.RETURN), (SentByGroup(7), Do.RETURN))


def test_nobody_is_exempt_unless_told() -> None:
    parts = [part for rule in rules_of("capture_out", RuleSet()) for part in rule]

    assert not any(isinstance(part, (SentByUser, SentByGroup)) for part in parts)


@pytest.mark.parametrize(
    ("mode", "one", "other"),
    [
        (InboundMode.TPROXY, "capture_in", "redirect_in"),
        (InboundMode.REDIRECT, "redirect_in", "capture_in"),
    ],
)
def test_the_inbound_mode_decides_which_chain_has_rules(
    mode: InboundMode, one: str, other: str
) -> None:
    rules = RuleSet(inbound_mode=mode)

    assert rules_of(one, rules)
    assert rules_of(other, rules) == ()


def test_redirected_inbound_connections_depend_on_heartbeat_and_listener_and_can_be_found() -> None:
    for rule in rules_of("redirect_in", RuleSet(inbound_mode=InboundMode.REDIRECT)):
        assert {Is.RECEIVER_ALIVE, Is.WANTED, MarkConnection(OUTBOUND_MARK)} <= set(rule)


@pytest.mark.parametrize("replies", Replies)
@pytest.mark.parametrize("owner", [True, False])
def test_what_replacing_leaves_alone_is_the_same_in_every_mode(
    replies: Replies, owner: bool
) -> None:
    base = RuleSet(replies=replies, owner=owner)
    other = replace(
        base,
        inbound_mode=InboundMode.REDIRECT,
        inbound_probability=0.5,
        exempt_user=1,
        inbound_ports=PortSet(()),
    )

    def stays(rules: RuleSet) -> list[ruleset.Chain]:
        return [chain for chain in ruleset.chains(rules) if chain.name not in CAPTURE_CHAINS]

    assert stays(base) == stays(other)


@pytest.mark.parametrize("chain", ["output", "prerouting", "destination"])
def test_link_local_addresses_leave_before_anything_is_captured(chain: str) -> None:
    rules = rules_of(chain, RuleSet())
    (jump,) = [rule for rule in rules if isinstance(rule[-1], Jump)]
    spared = rules[: rules.index(jump)]

    for address in (Is.TO_LINK_LOCAL, Is.FROM_LINK_LOCAL):
        assert (Is.IPV6, address, Do.RETURN) in spared


@pytest.mark.parametrize("chain", ["output", "prerouting", "destination"])
def test_without_a_listener_for_it_all_of_ipv6_leaves(chain: str) -> None:
    assert (Is.IPV6, Do.RETURN) in rules_of(chain, RuleSet(ipv6=False))
    assert (Is.IPV6, Do.RETURN) not in rules_of(chain, RuleSet())


def test_without_ipv6_on_loopback_nothing_is_redirected_there() -> None:
    first, *_ = rules_of("destination", RuleSet(inbound_mode=InboundMode.REDIRECT, ipv6=False))

    assert first == (Is.IPV6, Do.RETURN)


def test_every_table_has_a_heartbeat_port_of_its_own() -> None:
    tables = [f"netra-{number:08x}" for number in range(200)]
    found = {ruleset.heartbeat_port(table) for table in tables}

    assert len(found) >= 199
    assert all(1 <= port <= 65535 for port in found)


def test_the_heartbeat_is_heard_at_its_port_alone() -> None:
    assert ToPort(77) in rules_of("heartbeat", RuleSet(heartbeat_port=77))[0]
