import sys

import pytest

from netra_node.interception.expressions import Expression, expressions
from netra_node.interception.ruleset import (
    Beat,
    ConnectionMarked,
    Do,
    Is,
    Jump,
    MarkConnection,
    Marked,
    MarkPacket,
    Redirect,
    SocketMarked,
    Statement,
    ToAddressIn,
    ToPort,
    ToPortIn,
    Tproxy,
)


def named(statement: Statement) -> list[str]:
    return [str(dict(one["attrs"])["NFTA_EXPR_NAME"]) for one in expressions(statement)]


def data(one: Expression) -> dict[str, object]:
    return dict(dict(one["attrs"])["NFTA_EXPR_DATA"]["attrs"])


def raw(value: object) -> bytes:
    assert isinstance(value, dict)
    return bytes(dict(value["attrs"])["NFTA_DATA_VALUE"])


@pytest.mark.parametrize("statement", [*Is, *Do])
def test_every_plain_statement_has_expressions(statement: Is | Do) -> None:
    assert named(statement)


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        (Marked(1), ["meta", "cmp"]),
        (SocketMarked(1), ["socket", "cmp"]),
        (ConnectionMarked(1), ["ct", "cmp"]),
        (ToPort(1), ["payload", "cmp"]),
        (ToPortIn("in_ports"), ["payload", "lookup"]),
        (ToAddressIn("out_skip4", 4), ["payload", "lookup"]),
        (Beat(1000), ["fib", "dynset"]),
        (MarkPacket(1), ["immediate", "meta"]),
        (MarkConnection(1), ["immediate", "ct"]),
        (Jump("capture_in"), ["immediate"]),
        (Redirect(1), ["immediate", "redir"]),
        (Tproxy("127.0.0.1", 1), ["immediate", "immediate", "tproxy"]),
    ],
)
def test_a_statement_is_loads_then_one_test_or_act(statement: Statement, names: list[str]) -> None:
    assert named(statement) == names


def test_marks_are_in_the_hosts_byte_order() -> None:
    _, compare = expressions(Marked(0x1539))

    assert raw(data(compare)["NFTA_CMP_DATA"]) in (b"\x39\x15\0\0", b"\0\0\x15\x39")
    assert int.from_bytes(raw(data(compare)["NFTA_CMP_DATA"]), sys.byteorder) == 0x1539


def test_ports_are_in_the_networks_byte_order() -> None:
    _, compare = expressions(ToPort(0x1234))

    assert raw(data(compare)["NFTA_CMP_DATA"]) == b"\x12\x34"


@pytest.mark.parametrize(("version", "offset", "length"), [(4, 16, 4), (6, 24, 16)])
def test_the_destination_address_is_where_the_header_has_it(
    version: int, offset: int, length: int
) -> None:
    load, _ = expressions(ToAddressIn("skip", version))

    assert (data(load)["NFTA_PAYLOAD_OFFSET"], data(load)["NFTA_PAYLOAD_LEN"]) == (offset, length)


@pytest.mark.parametrize(("address", "protocol"), [("127.0.0.1", 2), ("::1", 10)])
def test_tproxy_names_the_family_of_its_address(address: str, protocol: int) -> None:
    *_, act = expressions(Tproxy(address, 1))

    assert data(act)["NFTA_TPROXY_FAMILY"] == protocol
