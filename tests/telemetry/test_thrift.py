"""The specification of `netra_node.telemetry.thrift`, against Apache Thrift's own reader."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.telemetry.thrift import STOP, Binary, Compact, Kind, Wire
from tests.telemetry import jaeger_reader as reader

READERS = [(Compact(), reader.compact), (Binary(), reader.binary)]
both = pytest.mark.parametrize(("wire", "read"), READERS, ids=["compact", "binary"])


def one(wire: Wire, kind: Kind, value: bytes, number: int = 1) -> bytes:
    """A struct of one field."""
    return wire.field(kind, number, 0) + value + STOP


@both
@given(
    number=st.integers(-(2**63), 2**64 - 1) | st.sampled_from([-1, 0, 63, 64, 511, 512, 1 << 48])
)
def test_a_number_of_64_bits_comes_back_as_a_signed_one(wire, read, number) -> None:
    (found,) = read(one(wire, Kind.I64, wire.i64(number))).values()

    assert found & (2**64 - 1) == number & (2**64 - 1)
    assert -(2**63) <= found < 2**63


@both
@given(number=st.integers(-(2**31), 2**31 - 1))
def test_a_number_of_32_bits_comes_back(wire, read, number) -> None:
    assert read(one(wire, Kind.I32, wire.i32(number))) == {1: number}


@both
@given(number=st.floats(allow_nan=False))
def test_a_floating_point_number_comes_back(wire, read, number) -> None:
    assert read(one(wire, Kind.DOUBLE, wire.double(number))) == {1: number}


@both
def test_what_is_no_number_comes_back_as_none(wire, read) -> None:
    assert math.isnan(read(one(wire, Kind.DOUBLE, wire.double(math.nan)))[1])


@both
@given(text=st.text(max_size=300))
def test_a_text_comes_back(wire, read, text) -> None:
    raw = text.encode()

    assert read(one(wire, Kind.TEXT, wire.length(len(raw)) + raw)) == {1: text}


@both
@given(value=st.booleans(), before=st.integers(0, 5), step=st.integers(1, 15))
def test_a_flag_comes_back(wire, read, value, before, step) -> None:
    first = wire.flag(before, 0, value=not value) if before else b""
    found = read(first + wire.flag(before + step, before, value=value) + STOP)

    assert found[before + step] is value


@both
@given(steps=st.lists(st.integers(1, 15), min_size=1, max_size=8))
def test_fields_come_back_by_their_numbers(wire, read, steps) -> None:
    body, number, wanted = b"", 0, {}
    for step in steps:
        body += wire.field(Kind.I64, number + step, number) + wire.i64(step)
        number += step
        wanted[number] = step

    assert read(body + STOP) == wanted


@both
@pytest.mark.parametrize("count", [0, 1, 14, 15, 16, 127, 128, 3000])
def test_a_list_of_structs_comes_back(wire, read, count) -> None:
    structs = [wire.field(Kind.I64, 1, 0) + wire.i64(number) + STOP for number in range(count)]

    found = read(one(wire, Kind.LIST, wire.structs(count) + b"".join(structs)))

    assert found == {1: [{1: number} for number in range(count)]}


@both
def test_a_struct_comes_back_inside_another(wire, read) -> None:
    inner = one(wire, Kind.I32, wire.i32(7), number=3)

    assert read(one(wire, Kind.STRUCT, inner)) == {1: {3: 7}}
