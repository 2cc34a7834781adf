"""Statements of a rule as the kernel's register machine: load into register 1, then compare, look up, or act on it.

Belongs here: one function per statement, its operands in the kernel's numbers and byte orders. Does not belong here: bytes
(`encode` packs them), rules (`ruleset`). An expression is nested attributes by name, as linux/netfilter/nf_tables.h has them.
"""

import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from netra_node.interception.ruleset import (
    ANYIP_V4,
    ANYIP_V6,
    Beat,
    Chance,
    ConnectionMarked,
    Dnat,
    Do,
    Is,
    Jump,
    MarkConnection,
    Marked,
    MarkPacket,
    Redirect,
    SentByGroup,
    SentByUser,
    SocketMarked,
    Statement,
    ToAddressIn,
    ToPort,
    ToPortIn,
    Tproxy,
)

Attributes = list[tuple[str, Any]]
#: `{"attrs": [(name, value), ...]}`, the form pyroute2 packs.
Expression = dict[str, Attributes]

_JUMP, _RETURN, _ACCEPT, _DROP = -3, -5, 1, 0
_EQUAL, _NOT_EQUAL, _LESS, _AT_MOST = 0, 1, 2, 3
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_MARK, _META_IIFNAME, _META_SKUID, _META_SKGID = 3, 6, 10, 11
_META_NFPROTO, _META_L4PROTO = 15, 16
_CT_STATE, _CT_DIRECTION, _CT_MARK = 0, 1, 3
_SOCKET_TRANSPARENT, _SOCKET_MARK = 0, 1
_DYNSET_UPDATE: Final = 1
_NG_RANDOM, _HOST_TO_NETWORK, _NAT_DNAT = 1, 1, 1
_FIB_SOURCE, _FIB_DESTINATION = 1, 2
# linux/netfilter.h and linux/rtnetlink.h
_NFPROTO_IPV4, _NFPROTO_IPV6 = 2, 10
_RTN_LOCAL: Final = 2
_BILLION: Final = 1_000_000_000


def expressions(statement: Statement) -> list[Expression]:
    """Return what `statement` is made of."""
    if isinstance(statement, (Is, Do)):
        return _PLAIN[statement]()
    return _PARAMETRISED[type(statement)](statement)


def _host32(number: int) -> bytes:
    """Marks, address types and connection states lie in registers in the host's order, ports and addresses in the network's."""
    return struct.pack("=I", number)


def _port(number: int) -> bytes:
    return struct.pack(">H", number)


def value(data: bytes) -> Expression:
    """Return `data` as the value of a comparison, of a register or of a set's key."""
    return {"attrs": [("NFTA_DATA_VALUE", data)]}


def _load(data: bytes, register: int = 1) -> Expression:
    return _expression("immediate", dreg=register, data=value(data))


def _compare(data: bytes, op: int = _EQUAL) -> Expression:
    return _expression("cmp", sreg=1, op=op, data=value(data))


def _meta(key: int, data: bytes, op: int = _EQUAL) -> list[Expression]:
    return [_expression("meta", dreg=1, key=key), _compare(data, op)]


def _ct(key: int, data: bytes) -> list[Expression]:
    return [_expression("ct", dreg=1, key=key), _compare(data)]


def _address_type(flag: int) -> Expression:
    # pyroute2 takes the number for a set of bits: bits 0 and 1 in its words make 3, NFT_FIB_RESULT_ADDRTYPE.
    three = {"NFT_FIB_RESULT_UNSPEC", "NFT_FIB_RESULT_OIF"}
    return _expression("fib", dreg=1, result=three, flags=flag)


def _payload(base: int, offset: int, length: int) -> Expression:
    return _expression("payload", dreg=1, base=base, offset=offset, len=length)


def _lookup(name: str) -> Expression:
    return _expression("lookup", set=name, sreg=1)


def _loopback(op: int) -> list[Expression]:
    return _meta(_META_IIFNAME, b"lo".ljust(16, b"\0"), op)


def _alive(flag: int) -> list[Expression]:
    return [_address_type(flag), _lookup("alive")]


def _flags(of: int, those: int) -> list[Expression]:
    """Exactly `those` of the flags `of`, byte 13 of the TCP header: FIN 1, SYN 2, RST 4, ACK 16."""
    mask = {"mask": value(bytes([of])), "xor": value(b"\0")}
    return [
        _payload(_TRANSPORT_HEADER, 13, 1),
        _expression("bitwise", sreg=1, dreg=1, len=1, **mask),
        _compare(bytes([those])),
    ]


def _packed(address: str) -> bytes:
    return ip_address(address).packed


def _link_local(offset: int) -> list[Expression]:
    """The first 10 bits of the address at `offset` of an IPv6 header are those of fe80::/10."""
    mask = {"mask": value(b"\xff\xc0"), "xor": value(b"\0\0")}
    return [
        _payload(_NETWORK_HEADER, offset, 2),
        _expression("bitwise", sreg=1, dreg=1, len=2, **mask),
        _compare(b"\xfe\x80"),
    ]


def _wanted() -> list[Expression]:
    """`transparent` is 0 or 1 for any socket; the expression ends the rule where there is none."""
    return [_expression("socket", key=_SOCKET_TRANSPARENT, dreg=1), _compare(b"\x01", _AT_MOST)]


def _verdict(code: int, chain: str | None = None) -> list[Expression]:
    attributes: Attributes = [("NFTA_VERDICT_CODE", code)]
    if chain is not None:
        attributes.append(("NFTA_VERDICT_CHAIN", chain))
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": attributes})]}
    return [_expression("immediate", dreg=0, data=data)]


def _destination_port() -> Expression:
    return _payload(_TRANSPORT_HEADER, 2, 2)


def _expression(name: str, short: str = "", /, **attributes: object) -> Expression:
    """Name the attributes as nf_tables.h does: `_expression("cmp", op=0)` has NFTA_CMP_OP; `short`: it abbreviates."""
    prefix = f"NFTA_{(short or name).upper()}"
    data = [(f"{prefix}_{key.upper()}", value) for key, value in attributes.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


_PLAIN: Final[dict[Is | Do, Callable[[], list[Expression]]]] = {
    Is.TCP: lambda: _meta(_META_L4PROTO, bytes([socket.IPPROTO_TCP])),
    Is.UDP: lambda: _meta(_META_L4PROTO, bytes([socket.IPPROTO_UDP])),
    Is.IPV4: lambda: _meta(_META_NFPROTO, bytes([_NFPROTO_IPV4])),
    Is.IPV6: lambda: _meta(_META_NFPROTO, bytes([_NFPROTO_IPV6])),
    Is.SYN: lambda: _flags(0x17, 0x02),
    Is.ACK: lambda: _flags(0x10, 0x10),
    Is.FROM_LOOPBACK: lambda: _loopback(_EQUAL),
    Is.NOT_FROM_LOOPBACK: lambda: _loopback(_NOT_EQUAL),
    Is.TO_THIS_POD: lambda: [_address_type(_FIB_DESTINATION), _compare(_host32(_RTN_LOCAL))],
    Is.FROM_ANYIP_V4: lambda: [_payload(_NETWORK_HEADER, 12, 4), _compare(_packed(ANYIP_V4))],
    Is.FROM_ANYIP_V6: lambda: [_payload(_NETWORK_HEADER, 8, 16), _compare(_packed(ANYIP_V6))],
    Is.FROM_LINK_LOCAL: lambda: _link_local(8),
    Is.TO_LINK_LOCAL: lambda: _link_local(24),
    Is.SENDER_ALIVE: lambda: _alive(_FIB_SOURCE),
    Is.RECEIVER_ALIVE: lambda: _alive(_FIB_DESTINATION),
    Is.WANTED: _wanted,
    Is.ORIGINAL: lambda: _ct(_CT_DIRECTION, b"\0"),
    Is.REPLY: lambda: _ct(_CT_DIRECTION, b"\1"),
    Is.NEVER: lambda: _ct(_CT_STATE, _host32(0)),
    Do.COUNT: lambda: [_expression("counter")],
    # Its name is all there is to it: pyroute2 has no class to pack even empty data.
    Do.NOTRACK: lambda: [{"attrs": [("NFTA_EXPR_NAME", "notrack")]}],
    Do.ACCEPT: lambda: _verdict(_ACCEPT),
    Do.DROP: lambda: _verdict(_DROP),
    Do.RETURN: lambda: _verdict(_RETURN),
}


def _to_address_in(statement: ToAddressIn) -> list[Expression]:
    """The destination address starts at byte 16 of an IPv4 header, at byte 24 of an IPv6 one."""
    offset, length = {4: (16, 4), 6: (24, 16)}[statement.version]
    return [_payload(_NETWORK_HEADER, offset, length), _lookup(statement.name)]


def _beat(statement: Beat) -> list[Expression]:
    update = _expression(
        "dynset",
        set_name="alive",
        op=_DYNSET_UPDATE,
        sreg_key=1,
        timeout=statement.milliseconds,
    )
    return [_address_type(_FIB_DESTINATION), update]


def _redirect(statement: Redirect) -> list[Expression]:
    flags = {"NF_NAT_RANGE_PROTO_SPECIFIED"}
    return [_load(_port(statement.port)), _expression("redir", reg_proto_min=1, flags=flags)]


def _tproxy(statement: Tproxy) -> list[Expression]:
    protocol, *loads = _target(statement)
    return [*loads, _expression("tproxy", family=protocol, reg_addr=1, reg_port=2)]


def _dnat(statement: Dnat) -> list[Expression]:
    protocol, *loads = _target(statement)
    registers = {"reg_addr_min": 1, "reg_proto_min": 2}
    return [*loads, _expression("nat", type=_NAT_DNAT, family=protocol, **registers)]


def _target(statement: Tproxy | Dnat) -> tuple[int, Expression, Expression]:
    """Return the protocol's number, and what loads the address into register 1 and the port into register 2."""
    protocol = _NFPROTO_IPV6 if ":" in statement.address else _NFPROTO_IPV4
    address = _load(_packed(statement.address))
    return protocol, address, _load(_port(statement.port), register=2)


def _chance(statement: Chance) -> list[Expression]:
    """The number comes in the host's order, and is compared as bytes: so it is turned round first."""
    return [
        _expression("numgen", "ng", dreg=1, type=_NG_RANDOM, modulus=_BILLION),
        _expression("byteorder", sreg=1, dreg=1, op=_HOST_TO_NETWORK, len=4, size=4),
        _compare(struct.pack(">I", statement.billionths), _LESS),
    ]


_PARAMETRISED: Final[dict[type, Callable[[Any], list[Expression]]]] = {
    Marked: lambda one: _meta(_META_MARK, _host32(one.mark)),
    SocketMarked: lambda one: [
        _expression("socket", key=_SOCKET_MARK, dreg=1),
        _compare(_host32(one.mark)),
    ],
    ConnectionMarked: lambda one: _ct(_CT_MARK, _host32(one.mark)),
    ToPort: lambda one: [_destination_port(), _compare(_port(one.port))],
    ToPortIn: lambda one: [_destination_port(), _lookup(one.name)],
    ToAddressIn: _to_address_in,
    Chance: _chance,
    SentByUser: lambda one: _meta(_META_SKUID, _host32(one.number)),
    SentByGroup: lambda one: _meta(_META_SKGID, _host32(one.number)),
    Beat: _beat,
    MarkPacket: lambda one: [
        _load(_host32(one.mark)),
        _expression("meta", key=_META_MARK, sreg=1),
    ],
    MarkConnection: lambda one: [
        _load(_host32(one.mark)),
        _expression("ct", key=_CT_MARK, sreg=1),
    ],
    Jump: lambda one: _verdict(_JUMP, one.chain),
    Redirect: _redirect,
    Tproxy: _tproxy,
    Dnat: _dnat,
}
