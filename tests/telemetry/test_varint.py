"""The specification of `netra_node.telemetry.varint`, against protobuf's own reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from netra_node.telemetry.varint import UINT64, varint


def read(encoded: bytes) -> int:
    """The number as a field that has room for 64 bits."""
    return AnyValue.FromString(b"\x18" + encoded).int_value & UINT64


@given(st.integers(0, UINT64) | st.integers(0, 64).map(lambda bits: (1 << bits) - 1))
def test_a_number_comes_back_and_takes_no_byte_too_many(number) -> None:
    encoded = varint(number)

    assert read(encoded) == number
    assert len(encoded) == max(1, -(-number.bit_length() // 7))


@pytest.mark.parametrize("bits", range(65))
def test_numbers_around_powers_of_two(bits) -> None:
    for number in ((1 << bits) - 1, 1 << bits, (1 << bits) + 1):
        assert read(varint(min(number, UINT64))) == min(number, UINT64)
