"""The rules as netlink messages: one of the two doors of the daemon to pyroute2, used as an encoder only.

Belongs here: how the kernel wants things written. Does not belong here: which rules there are (`ruleset`), sending (`netlink`).
Formats: linux/netfilter/nf_tables.h, nfnetlink_conntrack.h, fib_rules.h, rtnetlink.h.

pyroute2 0.9.7 packs attributes and has names for them. It has five traps, each stepped around where it would bite:
 1. an attribute it does not know is dropped without a word, so the tests read every rule back from the kernel;
 2. the result of `fib` is declared as a set of bits though it is a number (`expressions`);
 3. `notrack` has no class, so it must come without data (`expressions`);
 4. the flags of a set's element are a set of bit numbers, not of names;
 5. its own I/O sends one message per batch and hides the kernel's refusal (`netlink` does it instead).
An encoding takes ~0.3 ms per rule, so equal messages of different rule sets are encoded once.
"""

import functools
import itertools
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_NFTABLES, nfgen_msg
from pyroute2.netlink.nfnetlink import nftsocket as nft
from pyroute2.netlink.nfnetlink.nfctsocket import IPCTNL_MSG_CT_DELETE, nfct_msg
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_DELRULE, RTM_NEWROUTE, RTM_NEWRULE
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from netra_node.interception.expressions import Attributes, expressions, value
from netra_node.interception.ruleset import (
    ANYIP_V4,
    ANYIP_V6,
    CAPTURE_CHAINS,
    INBOUND_MARK,
    ROUTE_TABLE,
    RULE_PRIORITY,
    Chain,
    IntervalSet,
    Rule,
    RuleSet,
    TimeoutSet,
    captures,
    chains,
    sets,
)

#: Who made a route or a rule (rtnetlink's `proto`): not among the numbers of rtnetlink.h nor of a known routing daemon.
ROUTE_PROTOCOL: Final = 153

# nfnetlink.h: the edges of a batch.
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
# nf_tables.h
_TABLE_OWNER: Final = 2
_POLICY_ACCEPT: Final = 1
# rtnetlink.h; loopback is the first interface of every namespace.
_RTN_LOCAL, _RT_TABLE_LOCAL, _RT_SCOPE_HOST, _LOOPBACK = 2, 255, 254, 1
# More elements would not fit the 16-bit length of the attribute that holds them.
_ELEMENTS_PER_MESSAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Message:
    """One request: what it is about in words, and its netlink type, flags and body."""

    about: str
    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests the kernel carries out all or not at all. The request of `about[i]` has sequence number `i + 1`."""

    frames: bytes
    about: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def install(rules: RuleSet, table: str) -> Batch:
    """Return the batch that makes `table` with everything in it; it is refused where that table exists."""
    everything = chains(rules)
    return _batch(
        itertools.chain(
            (_table(table, owner=rules.owner),),
            *(_set(table, number, one) for number, one in enumerate(sets(rules), start=1)),
            (_chain(table, chain) for chain in everything),
            *(_rules(table, chain) for chain in everything),
        )
    )


@functools.lru_cache(maxsize=64)
def flush(table: str) -> Batch:
    """Return the batch that empties the capture chains: new connections go direct, captured ones stay."""
    return _batch(_flushed(table, name) for name in CAPTURE_CHAINS)


@functools.lru_cache(maxsize=64)
def replace(rules: RuleSet, table: str) -> Batch:
    """Return the batch that fills the capture chains and their sets anew, whatever is in them.

    What lies elsewhere, such as the heartbeat and how answers are routed, stays as it was installed.
    """
    lists = [one for one in sets(rules) if isinstance(one, IntervalSet)]
    return _batch(
        itertools.chain(
            (_flushed(table, name) for name in CAPTURE_CHAINS),
            (_emptied(table, one) for one in lists),
            *(_elements(table, one) for one in lists),
            *(_rules(table, chain) for chain in captures(rules)),
        )
    )


def delete(table: str) -> Batch:
    """Return the batch that removes `table` and all in it."""
    return _batch([_deletion(table)])


def owner_trial(table: str) -> Batch:
    """Return the batch that makes an empty `table` with an owner and removes it again: nobody ever sees it."""
    return _batch([_table(table, owner=True), _deletion(table)])


@functools.cache
def forget_connections(mark: int) -> Message:
    """Return the request that deletes every conntrack entry whose mark is `mark`."""
    attributes = [("CTA_MARK", mark), ("CTA_MARK_MASK", 0xFFFFFFFF)]
    kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
    about = f"removal of connections with mark {mark:#x}"
    return Message(about, kind, 0, _encoded(nfct_msg, attributes))


@functools.cache
def add_routes(family: socket.AddressFamily) -> tuple[Message, ...]:
    """Return the requests that lead marked answers to loopback, and make the AnyIP address local."""
    return _routes(family, RTM_NEWRULE, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)


@functools.cache
def remove_routes(family: socket.AddressFamily) -> tuple[Message, ...]:
    """Return the requests that undo `add_routes`, and nothing of anyone else's."""
    return _routes(family, RTM_DELRULE, RTM_DELROUTE, 0)


def frame(message: Message, sequence: int) -> bytes:
    """Return a single request as it is sent; the kernel acknowledges it under its sequence number."""
    flags = NLM_F_REQUEST | NLM_F_ACK | message.flags
    header = struct.pack("=IHHII", 16 + len(message.body), message.type, flags, sequence, 0)
    return header + message.body


def _batch(messages: Iterable[Message]) -> Batch:
    listed = tuple(messages)
    requests = (frame(message, number) for number, message in enumerate(listed, start=1))
    frames = (_edge(_BATCH_BEGIN, 0), *requests, _edge(_BATCH_END, len(listed) + 1))
    return Batch(b"".join(frames), tuple(message.about for message in listed))


def _edge(kind: int, sequence: int) -> bytes:
    """Begin or end of a batch; not acknowledged, as only newer kernels would do that for the end."""
    body = _encoded(nfgen_msg, [], res_id=NFNL_SUBSYS_NFTABLES)
    return struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST, sequence, 0) + body


def _encoded(kind: Any, attributes: Attributes, **fields: int) -> bytes:
    """Return the body of a message of pyroute2's class `kind`, without the netlink header, which `frame` writes."""
    message = kind()
    message.update(fields)
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[16:])


def _nftables(about: str, number: int, flags: int, kind: Any, attributes: Attributes) -> Message:
    body = _encoded(kind, attributes, nfgen_family=nft.NFPROTO_INET)
    return Message(about, NFNL_SUBSYS_NFTABLES << 8 | number, flags, body)


# ---- tables, sets, chains -------------------------------------------------------------------------------------------


def _table(table: str, *, owner: bool) -> Message:
    attributes = [("NFTA_TABLE_NAME", table), ("NFTA_TABLE_FLAGS", _TABLE_OWNER if owner else 0)]
    flags = NLM_F_CREATE | NLM_F_EXCL
    return _nftables(f"table {table}", nft.NFT_MSG_NEWTABLE, flags, nft.nft_table_msg, attributes)


def _deletion(table: str) -> Message:
    attributes = [("NFTA_TABLE_NAME", table)]
    about = f"removal of table {table}"
    return _nftables(about, nft.NFT_MSG_DELTABLE, 0, nft.nft_table_msg, attributes)


def _set(table: str, number: int, one: IntervalSet | TimeoutSet) -> Iterator[Message]:
    kind, length = one.type.value
    attributes: Attributes = [
        ("NFTA_SET_TABLE", table),
        ("NFTA_SET_NAME", one.name),
        ("NFTA_SET_KEY_TYPE", kind),
        ("NFTA_SET_KEY_LEN", length),
        ("NFTA_SET_ID", number),
    ]
    if isinstance(one, TimeoutSet):
        # EVAL: packets may add to it, which asks for a bound; there are about a dozen address types.
        attributes += [
            ("NFTA_SET_FLAGS", {"NFT_SET_TIMEOUT", "NFT_SET_EVAL"}),
            ("NFTA_SET_TIMEOUT", one.milliseconds),
            ("NFTA_SET_DESC", {"attrs": [("NFTA_SET_DESC_SIZE", 16)]}),
        ]
    else:
        attributes.append(("NFTA_SET_FLAGS", {"NFT_SET_INTERVAL"}))
    yield _nftables(
        f"set {one.name}", nft.NFT_MSG_NEWSET, NLM_F_CREATE, nft.nft_set_msg, attributes
    )
    if isinstance(one, IntervalSet):
        yield from _elements(table, one)


def _emptied(table: str, one: IntervalSet) -> Message:
    """Without a list of elements all of them are meant."""
    attributes: Attributes = [
        ("NFTA_SET_ELEM_LIST_TABLE", table),
        ("NFTA_SET_ELEM_LIST_SET", one.name),
    ]
    about = f"removal of the elements of set {one.name}"
    return _nftables(about, nft.NFT_MSG_DELSETELEM, 0, nft.nft_set_elem_list_msg, attributes)


def _elements(table: str, one: IntervalSet) -> Iterator[Message]:
    """A range is two elements: its first key, and the key behind it, flagged as an end."""
    elements = list(itertools.chain.from_iterable(map(_range_elements, one.ranges)))
    for start in range(0, len(elements), _ELEMENTS_PER_MESSAGE):
        attributes: Attributes = [
            ("NFTA_SET_ELEM_LIST_TABLE", table),
            ("NFTA_SET_ELEM_LIST_SET", one.name),
            ("NFTA_SET_ELEM_LIST_ELEMENTS", elements[start : start + _ELEMENTS_PER_MESSAGE]),
        ]
        message = nft.nft_set_elem_list_msg
        about = f"elements of set {one.name}"
        yield _nftables(about, nft.NFT_MSG_NEWSETELEM, NLM_F_CREATE, message, attributes)


def _range_elements(keys: tuple[bytes, bytes]) -> Iterator[dict[str, Any]]:
    first, behind = keys
    yield {"attrs": [("NFTA_SET_ELEM_KEY", value(first))]}
    if behind:
        # Trap 4: bit 1, NFT_SET_ELEM_INTERVAL_END.
        end = [("NFTA_SET_ELEM_KEY", value(behind)), ("NFTA_SET_ELEM_FLAGS", {1})]
        yield {"attrs": end}


def _chain(table: str, chain: Chain) -> Message:
    attributes: Attributes = [("NFTA_CHAIN_TABLE", table), ("NFTA_CHAIN_NAME", chain.name)]
    if chain.base is not None:
        hook = [
            ("NFTA_HOOK_HOOKNUM", int(chain.base.hook)),
            ("NFTA_HOOK_PRIORITY", chain.base.priority),
        ]
        attributes += [
            ("NFTA_CHAIN_HOOK", {"attrs": hook}),
            ("NFTA_CHAIN_POLICY", _POLICY_ACCEPT),
            ("NFTA_CHAIN_TYPE", chain.base.kind),
        ]
    about = f"chain {chain.name}"
    return _nftables(about, nft.NFT_MSG_NEWCHAIN, NLM_F_CREATE, nft.nft_chain_msg, attributes)


def _flushed(table: str, chain: str) -> Message:
    attributes = [("NFTA_RULE_TABLE", table), ("NFTA_RULE_CHAIN", chain)]
    about = f"removal of the rules of chain {chain}"
    return _nftables(about, nft.NFT_MSG_DELRULE, 0, nft.nft_rule_msg, attributes)


def _rules(table: str, chain: Chain) -> Iterator[Message]:
    for number, rule in enumerate(chain.rules, start=1):
        yield _rule(table, chain.name, number, rule)


@functools.lru_cache(maxsize=256)
def _rule(table: str, chain: str, number: int, rule: Rule) -> Message:
    attributes: Attributes = [
        ("NFTA_RULE_TABLE", table),
        ("NFTA_RULE_CHAIN", chain),
        ("NFTA_RULE_EXPRESSIONS", [part for one in rule for part in expressions(one)]),
    ]
    flags = NLM_F_CREATE | NLM_F_APPEND
    about = f"rule {number} of chain {chain}"
    return _nftables(about, nft.NFT_MSG_NEWRULE, flags, nft.nft_rule_msg, attributes)


# ---- routes ---------------------------------------------------------------------------------------------------------


def _routes(family: socket.AddressFamily, rule: int, route: int, flags: int) -> tuple[Message, ...]:
    anyip = ANYIP_V6 if family == socket.AF_INET6 else ANYIP_V4
    return (
        Message(f"rule for mark {INBOUND_MARK:#x}", rule, flags, _mark_rule(family)),
        Message(f"table {ROUTE_TABLE}", route, flags, _local_route(family, ROUTE_TABLE, None)),
        Message(f"route to {anyip}", route, flags, _local_route(family, _RT_TABLE_LOCAL, anyip)),
    )


def _mark_rule(family: socket.AddressFamily) -> bytes:
    """`ip rule add pref 1539 fwmark 0x153a lookup 1539`."""
    attributes: Attributes = [
        ("FRA_PRIORITY", RULE_PRIORITY),
        ("FRA_FWMARK", INBOUND_MARK),
        ("FRA_TABLE", ROUTE_TABLE),
        ("FRA_PROTOCOL", ROUTE_PROTOCOL),
    ]
    return _encoded(fibmsg, attributes, family=family, action=FR_ACT_TO_TBL)


def _local_route(family: socket.AddressFamily, table: int, destination: str | None) -> bytes:
    """`ip route add local DESTINATION dev lo table TABLE`; None is the default route."""
    v4 = family == socket.AF_INET
    attributes: Attributes = [("RTA_OIF", _LOOPBACK), ("RTA_TABLE", table)]
    if destination is not None:
        attributes.append(("RTA_DST", destination))
    return _encoded(
        rtmsg,
        attributes,
        family=family,
        proto=ROUTE_PROTOCOL,
        type=_RTN_LOCAL,
        scope=_RT_SCOPE_HOST if v4 else 0,
        dst_len=(32 if v4 else 128) if destination else 0,
    )
