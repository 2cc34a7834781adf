import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.trace_context import (
    DEBUG,
    DEFERRED,
    FLAG_VALUES,
    RANDOM,
    SAMPLED,
    TraceContext,
    b3_state,
    hex_ids,
    parse_b3,
    parse_b3_multi,
    parse_traceparent,
    parse_uber_trace_id,
    traceparent_template,
    uber_trace_id_template,
)

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"
TRACE_ID = int(TRACE, 16)
SPAN_ID = int(SPAN, 16)

contexts = st.builds(
    TraceContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, FLAG_VALUES - 1),
)
header_bytes = st.binary(max_size=300) | st.text("0123456789abcdefABCDEF:-%f ", max_size=80).map(
    str.encode
)


def fields(context: TraceContext | None) -> tuple[int, int, int, int] | None:
    if context is None:
        return None
    return (context.trace_id, context.span_id, context.parent_id, context.flags)


def flags_of(context: TraceContext | None) -> int:
    assert context is not None
    return context.flags


def format_traceparent(context: TraceContext) -> bytes:
    return traceparent_template(context.flags) % hex_ids(context)


def format_uber_trace_id(context: TraceContext) -> bytes:
    return uber_trace_id_template(context.flags) % hex_ids(context)


def test_the_flags_have_no_more_values_than_they_are_said_to_have() -> None:
    assert (SAMPLED | DEBUG | RANDOM) + 1 == FLAG_VALUES


class TestParseTraceparent:
    def test_the_example_of_the_specification_is_read(self) -> None:
        parsed = parse_traceparent(b"00-%b-%b-01" % (TRACE, SPAN))

        assert fields(parsed) == (TRACE_ID, SPAN_ID, 0, SAMPLED)

    def test_an_id_of_64_bits_padded_with_zeros_is_valid(self) -> None:
        parsed = parse_traceparent(b"00-0000000000000000a3ce929d0e0e4736-%b-00" % SPAN)

        assert fields(parsed) == (0xA3CE929D0E0E4736, SPAN_ID, 0, 0)

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"ff-%b-%b-01" % (TRACE, SPAN),
            b"00-%b-%b-01-extra" % (TRACE, SPAN),
            b"00-%b-%b-01-" % (TRACE, SPAN),
            b"00-%b-%b" % (TRACE, SPAN),
            b"00-%b-%b-" % (TRACE, SPAN),
            b"00-%b-%b-1" % (TRACE, SPAN),
            b"00-%b-%b-0g" % (TRACE, SPAN),
            b"00-%b-%b-01" % (b"0" * 32, SPAN),
            b"00-%b-%b-01" % (TRACE, b"0" * 16),
            b"00-%b-%b-01" % (TRACE[:31], SPAN),
            b"00-%b-%b-01" % (TRACE, SPAN + b"0"),
            b"00-%b-%b-01" % (TRACE.upper(), SPAN),
            b"0_-%b-%b-01" % (TRACE, SPAN),
            b"00-+%b-%b-01" % (TRACE[1:], SPAN),
            b" 00-%b-%b-01" % (TRACE, SPAN),
            b"cc-%b-%b-01.what" % (TRACE, SPAN),
            b"00-%b-%b-01,00-%b-%b-01" % (TRACE, SPAN, TRACE, SPAN),
        ],
    )
    def test_an_invalid_value_is_none(self, value: bytes) -> None:
        assert parse_traceparent(value) is None

    @pytest.mark.parametrize("rest", [b"", b"-", b"-what-the-future-holds", b"-\xff\n"])
    def test_a_later_version_may_be_longer(self, rest: bytes) -> None:
        parsed = parse_traceparent(b"cc-%b-%b-01%b" % (TRACE, SPAN, rest))

        assert fields(parsed) == (TRACE_ID, SPAN_ID, 0, SAMPLED)

    def test_of_a_later_versions_flags_only_the_sampled_bit_is_read(self) -> None:
        assert flags_of(parse_traceparent(b"01-%b-%b-ff" % (TRACE, SPAN))) == SAMPLED

    def test_the_random_bit_is_not_taken_for_jaegers_debug(self) -> None:
        parsed = parse_traceparent(b"00-%b-%b-03" % (TRACE, SPAN))

        assert flags_of(parsed) == SAMPLED | RANDOM

    def test_unknown_flags_are_dropped(self) -> None:
        assert flags_of(parse_traceparent(b"00-%b-%b-fc" % (TRACE, SPAN))) == 0

    @given(header_bytes)
    def test_any_bytes_are_parsed_or_refused_without_an_exception(self, value: bytes) -> None:
        parsed = parse_traceparent(value)

        assert parsed is None or parsed.trace_id < 2**128


class TestFormatTraceparent:
    def test_ids_are_padded(self) -> None:
        printed = format_traceparent(TraceContext(0xAB, 0xC, 0, SAMPLED))

        assert printed == b"00-000000000000000000000000000000ab-000000000000000c-01"

    def test_the_debug_bit_is_not_written(self) -> None:
        assert format_traceparent(TraceContext(1, 1, 0, SAMPLED | DEBUG)).endswith(b"-01")

    def test_the_random_bit_is_written_where_it_was_received(self) -> None:
        assert format_traceparent(TraceContext(1, 1, 0, RANDOM)).endswith(b"-02")

    @given(contexts)
    def test_what_is_printed_is_read_back(self, context: TraceContext) -> None:
        parsed = parse_traceparent(format_traceparent(context))

        assert fields(parsed) == (
            context.trace_id,
            context.span_id,
            0,
            context.flags & (SAMPLED | RANDOM),
        )


class TestParseUberTraceId:
    def test_ids_without_padding_are_read(self) -> None:
        assert fields(parse_uber_trace_id(b"abc:1f:0:1")) == (0xABC, 0x1F, 0, SAMPLED)

    def test_all_128_bits_are_kept(self) -> None:
        parsed = parse_uber_trace_id(b"%b:%b:0:1" % (TRACE, SPAN))

        assert fields(parsed) == (TRACE_ID, SPAN_ID, 0, SAMPLED)

    def test_upper_case_is_read(self) -> None:
        assert fields(parse_uber_trace_id(b"ABC:1F:0:0")) == (0xABC, 0x1F, 0, 0)

    def test_the_deprecated_parent_is_not_used(self) -> None:
        assert fields(parse_uber_trace_id(b"a:b:c:1")) == (0xA, 0xB, 0, SAMPLED)

    @pytest.mark.parametrize("colon", [b"%3A", b"%3a"])
    def test_an_encoded_value_is_decoded(self, colon: bytes) -> None:
        parsed = parse_uber_trace_id(colon.join([b"abc", b"1f", b"0", b"3"]))

        assert fields(parsed) == (0xABC, 0x1F, 0, SAMPLED | DEBUG)

    @pytest.mark.parametrize(
        ("digits", "flags"),
        [
            (b"0", 0),
            (b"1", SAMPLED),
            (b"01", SAMPLED),
            (b"0000001", SAMPLED),
            (b"2", DEBUG),
            (b"3", SAMPLED | DEBUG),
            (b"9", SAMPLED),
            (b"11", SAMPLED | DEBUG),
            (b"b", SAMPLED | DEBUG),
            (b"A", DEBUG),
            (b"255", SAMPLED | DEBUG),
        ],
    )
    def test_flags_are_decimal_and_hex_only_where_a_letter_says_so(
        self, digits: bytes, flags: int
    ) -> None:
        assert flags_of(parse_uber_trace_id(b"a:b:0:" + digits)) == flags

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"abc",
            b"a:b:0",
            b"a:b:0:1:2",
            b"a:b:0:",
            b":b:0:1",
            b"a::0:1",
            b"0:b:0:1",
            b"a:0:0:1",
            b"0%b:b:0:1" % TRACE,
            b"a:0%b:0:1" % SPAN,
            b"a:b:0%b:1" % SPAN,
            b"a:b:0:256",
            b"a:b:0:fff",
            b"a:b:0:-1",
            b"a:b:0:+1",
            b"a_a:b:0:1",
            b"a:b:x:1",
            b"a:b: :1",
            b"a:b:0:" + b"0" * 300 + b"1",
            b"%20" * 20_000,
        ],
    )
    def test_an_invalid_value_is_none(self, value: bytes) -> None:
        assert parse_uber_trace_id(value) is None

    @given(header_bytes)
    def test_any_bytes_are_parsed_or_refused_without_an_exception(self, value: bytes) -> None:
        parsed = parse_uber_trace_id(value)

        assert parsed is None or 0 < parsed.span_id < 2**64


class TestFormatUberTraceId:
    def test_ids_are_padded_and_the_parent_is_zero(self) -> None:
        printed = format_uber_trace_id(TraceContext(0xAB, 0xC, 0xD, SAMPLED))

        assert printed == b"000000000000000000000000000000ab:000000000000000c:0:1"

    def test_the_debug_bit_is_written(self) -> None:
        assert format_uber_trace_id(TraceContext(1, 1, 0, SAMPLED | DEBUG)).endswith(b":3")

    def test_the_random_bit_is_not_written(self) -> None:
        assert format_uber_trace_id(TraceContext(1, 1, 0, SAMPLED | RANDOM)).endswith(b":1")

    @given(contexts)
    def test_what_is_printed_is_read_back(self, context: TraceContext) -> None:
        parsed = parse_uber_trace_id(format_uber_trace_id(context))

        assert fields(parsed) == (
            context.trace_id,
            context.span_id,
            0,
            context.flags & (SAMPLED | DEBUG),
        )


class TestParseB3:
    @pytest.mark.parametrize("trace", [TRACE, TRACE[16:]])
    @pytest.mark.parametrize(
        ("rest", "flags"),
        [
            (b"", DEFERRED),
            (b"-0", 0),
            (b"-1", SAMPLED),
            (b"-d", SAMPLED | DEBUG),
            (b"-1-05e3ac9a4f6e3b90", SAMPLED),
        ],
    )
    def test_ids_of_either_width_and_every_decision(
        self, trace: bytes, rest: bytes, flags: int
    ) -> None:
        parsed = parse_b3(trace + b"-" + SPAN + rest)

        assert fields(parsed) == (int(trace, 16), SPAN_ID, 0, flags)

    @pytest.mark.parametrize(
        ("value", "flags"), [(b"0", 0), (b"1", SAMPLED), (b"d", SAMPLED | DEBUG)]
    )
    def test_a_decision_may_come_without_a_trace(self, value: bytes, flags: int) -> None:
        assert fields(parse_b3(value)) == (0, 0, 0, flags)

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"2",
            b"true",
            TRACE,
            TRACE + b"-",
            TRACE[1:] + b"-" + SPAN,
            TRACE + b"0-" + SPAN,
            TRACE + b"-" + SPAN[1:],
            TRACE + b"-" + SPAN + b"-",
            TRACE + b"-" + SPAN + b"-2",
            TRACE + b"-" + SPAN + b"-1-",
            TRACE + b"-" + SPAN + b"-1-" + SPAN + b"-1",
            b"0" * 32 + b"-" + SPAN,
            TRACE + b"-" + b"0" * 16,
            TRACE + b"-" + SPAN + b"-1\n",
        ],
    )
    def test_an_invalid_value_is_none(self, value: bytes) -> None:
        assert parse_b3(value) is None

    @given(header_bytes)
    def test_any_bytes_are_parsed_or_refused_without_an_exception(self, value: bytes) -> None:
        parsed = parse_b3(value)

        assert parsed is None or 0 <= parsed.span_id < 2**64


class TestParseB3Multi:
    @pytest.mark.parametrize(
        ("sampled", "flags", "decision"),
        [
            (None, None, DEFERRED),
            (b"0", None, 0),
            (b"1", None, SAMPLED),
            (b"false", None, 0),
            (b"true", None, SAMPLED),
            (b"1", b"0", SAMPLED),
            (None, b"1", SAMPLED | DEBUG),
            (b"0", b"1", SAMPLED | DEBUG),
        ],
    )
    def test_every_decision(
        self, sampled: bytes | None, flags: bytes | None, decision: int
    ) -> None:
        parsed = parse_b3_multi(TRACE, SPAN, sampled, flags)

        assert fields(parsed) == (TRACE_ID, SPAN_ID, 0, decision)

    def test_a_decision_may_come_without_a_trace(self) -> None:
        assert fields(parse_b3_multi(None, None, b"0", None)) == (0, 0, 0, 0)

    @pytest.mark.parametrize(
        "values",
        [
            (None, None, None, None),
            (TRACE, None, b"1", None),
            (None, SPAN, b"1", None),
            (TRACE[1:], SPAN, b"1", None),
            (TRACE, SPAN[1:], b"1", None),
            (TRACE, SPAN, b"yes", None),
            (b"0" * 32, SPAN, b"1", None),
        ],
    )
    def test_what_is_not_whole_is_none(
        self, values: tuple[bytes | None, bytes | None, bytes | None, bytes | None]
    ) -> None:
        assert parse_b3_multi(*values) is None


class TestB3State:
    @pytest.mark.parametrize(
        ("flags", "state"),
        [(0, b"0"), (SAMPLED, b"1"), (SAMPLED | RANDOM, b"1"), (SAMPLED | DEBUG, b"d")],
    )
    def test_debug_comes_before_the_decision(self, flags: int, state: bytes) -> None:
        assert b3_state(flags) == state
