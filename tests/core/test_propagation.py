import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.headers import Declared
from netra_node.core.propagation import NAMES, Propagation
from netra_node.core.trace_context import DEBUG, RANDOM, SAMPLED, TraceContext

W3C = b"00-0000000000000000000000000000000a-000000000000000b-01"
JAEGER = b"c:d:0:1"
B3 = b"000000000000000a-000000000000000b-1-000000000000000c"
B3_MULTI = (
    (b"x-b3-traceid", b"000000000000000a"),
    (b"x-b3-spanid", b"000000000000000b"),
    (b"x-b3-parentspanid", b"000000000000000c"),
    (b"x-b3-sampled", b"1"),
)
SPAN_B3 = b"00000000000000000000000000000001-0000000000000002-1-0000000000000003"
SPAN_B3_MULTI: list[Declared] = [
    (b"X-B3-TraceId", b"00000000000000000000000000000001"),
    (b"X-B3-SpanId", b"0000000000000002"),
    (b"X-B3-ParentSpanId", b"0000000000000003"),
    (b"X-B3-Sampled", b"1"),
    (b"X-B3-Flags", None),
]
SPAN = TraceContext(0x1, 0x2, 0x3, SAMPLED)
SPAN_W3C = b"00-00000000000000000000000000000001-0000000000000002-01"
SPAN_JAEGER = b"00000000000000000000000000000001:0000000000000002:0:1"

propagator_lists = st.lists(
    st.sampled_from([name for name in NAMES if name != "none"]), min_size=1, max_size=4
)
header_lists = st.lists(
    st.tuples(
        st.sampled_from(
            [b"traceparent", b"tracestate", b"uber-trace-id", b"baggage", b"b3"]
            + [name for name, _ in B3_MULTI]
        ),
        st.sampled_from([W3C, JAEGER, B3, B3[:16], b"a=1", b"", b"0"]) | st.binary(max_size=80),
    ),
    max_size=6,
)


class View:
    """A request head made of (lower-case name, value) pairs."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self._headers = headers
        rare = any(b"b3" in name for name, _ in headers)
        self.repeats = rare or len(dict(headers)) < len(headers)

    def get(self, name: bytes) -> bytes | None:
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: bytes) -> list[bytes]:
        return [value for known, value in self._headers if known == name]


def extract(names: str, *headers: tuple[bytes, bytes]) -> tuple[int, int, int] | None:
    remote = Propagation(names.split(",")).extract(View(*headers))
    return None if remote is None else (remote.trace_id, remote.span_id, remote.flags)


def declare(names: str, *headers: tuple[bytes, bytes]) -> list[Declared]:
    return Propagation(names.split(",")).declare(SPAN, View(*headers))


class TestConstruction:
    @pytest.mark.parametrize("names", [["b4"], ["tracecontext", "Jaeger"], [""]])
    def test_an_unknown_name_is_refused_with_the_names_it_takes(self, names: list[str]) -> None:
        with pytest.raises(ValueError, match="takes none alone or a list of tracecontext, jaeger"):
            Propagation(names)

    def test_none_beside_another_is_refused(self) -> None:
        with pytest.raises(ValueError, match="takes none alone"):
            Propagation(["none", "jaeger"])

    def test_it_names_the_headers_it_looks_at(self) -> None:
        fields = Propagation(["jaeger", "tracecontext"]).fields

        assert fields[:3] == (b"uber-trace-id", b"traceparent", b"tracestate")

    def test_it_looks_at_b3_wherever_it_writes_anything(self) -> None:
        assert {b"b3", b"x-b3-traceid", b"x-b3-flags"} < set(Propagation(["jaeger"]).rare)
        assert b"b3" not in Propagation(["b3"]).rare
        assert Propagation(["none"]).rare == ()


class TestExtract:
    def test_without_a_header_there_is_no_parent(self) -> None:
        assert extract("tracecontext,jaeger") is None

    def test_each_propagator_reads_its_own_header(self) -> None:
        assert extract("jaeger", (b"traceparent", W3C), (b"uber-trace-id", JAEGER)) == (0xC, 0xD, 1)

    @pytest.mark.parametrize(
        ("names", "winner"),
        [("tracecontext,jaeger", (0xA, 0xB, 1)), ("jaeger,tracecontext", (0xC, 0xD, 1))],
    )
    def test_the_first_in_order_wins(self, names: str, winner: tuple[int, int, int]) -> None:
        assert extract(names, (b"traceparent", W3C), (b"uber-trace-id", JAEGER)) == winner

    def test_an_invalid_first_leaves_the_second(self) -> None:
        headers = (b"traceparent", b"00-x"), (b"uber-trace-id", JAEGER)

        assert extract("tracecontext,jaeger", *headers) == (0xC, 0xD, 1)

    def test_of_two_traceparents_none_is_trusted(self) -> None:
        assert extract("tracecontext", (b"traceparent", W3C), (b"traceparent", SPAN_W3C)) is None

    def test_of_two_uber_trace_ids_the_first_is_the_senders(self) -> None:
        """B3 of netramesh: it wrote its client span first and its server span behind it."""
        headers = (b"uber-trace-id", JAEGER), (b"uber-trace-id", SPAN_JAEGER)

        assert extract("jaeger", *headers) == (0xC, 0xD, 1)

    @pytest.mark.parametrize("names", ["none", "baggage"])
    def test_none_and_baggage_read_nothing(self, names: str) -> None:
        assert extract(names, (b"traceparent", W3C), (b"baggage", b"a=1")) is None

    def test_copies_of_tracestate_are_joined_in_order(self) -> None:
        view = View((b"traceparent", W3C), (b"tracestate", b"a=1"), (b"tracestate", b"b=2"))

        remote = Propagation(["tracecontext"]).extract(view)

        assert remote is not None
        assert remote.state == b"a=1,b=2"

    def test_a_tracestate_does_not_belong_to_a_jaeger_parent(self) -> None:
        view = View((b"traceparent", W3C), (b"tracestate", b"a=1"), (b"uber-trace-id", JAEGER))

        remote = Propagation(["jaeger", "tracecontext"]).extract(view)

        assert remote is not None
        assert remote.state == b""

    @pytest.mark.parametrize("jaeger", [b"a:d:0:3", b"a:d:0:2", b"a%3Ad%3A0%3A3", b"a:d:0:11"])
    def test_a_jaeger_debug_bit_of_the_same_trace_is_kept(self, jaeger: bytes) -> None:
        headers = (b"traceparent", W3C), (b"uber-trace-id", jaeger)

        assert extract("tracecontext,jaeger", *headers) == (0xA, 0xB, SAMPLED | DEBUG)

    @pytest.mark.parametrize("jaeger", [b"c:d:0:3", b"a:d:0:1", b"a%3Ad%3A0%3A1", b"a:d:3", b""])
    def test_a_debug_bit_is_not_taken_from_another_trace_or_invented(self, jaeger: bytes) -> None:
        headers = (b"traceparent", W3C), (b"uber-trace-id", jaeger)

        assert extract("tracecontext,jaeger", *headers) == (0xA, 0xB, SAMPLED)

    def test_without_the_jaeger_propagator_its_debug_bit_is_not_read(self) -> None:
        headers = (b"traceparent", W3C), (b"uber-trace-id", b"a:d:0:3")

        assert extract("tracecontext", *headers) == (0xA, 0xB, SAMPLED)

    def test_the_random_flag_is_kept_beside_the_decision(self) -> None:
        assert extract("tracecontext,jaeger", (b"traceparent", W3C[:-1] + b"3")) == (
            0xA,
            0xB,
            SAMPLED | RANDOM,
        )

    def test_b3_is_read_in_either_form(self) -> None:
        assert extract("b3", (b"b3", B3), *B3_MULTI) == (0xA, 0xB, SAMPLED)
        assert extract("b3multi", *B3_MULTI) == (0xA, 0xB, SAMPLED)

    @pytest.mark.parametrize("names", ["tracecontext,jaeger", "jaeger", "b3multi", "b3"])
    @pytest.mark.parametrize("headers", [[(b"b3", B3)], B3_MULTI])
    def test_b3_that_is_not_configured_is_read_where_it_came_in(
        self, names: str, headers: list[tuple[bytes, bytes]]
    ) -> None:
        assert extract(names, *headers) == (0xA, 0xB, SAMPLED)

    def test_b3_that_is_not_configured_is_read_after_all_that_are(self) -> None:
        headers = (b"b3", B3), (b"uber-trace-id", JAEGER)

        assert extract("tracecontext,jaeger", *headers) == (0xC, 0xD, SAMPLED)

    def test_none_reads_no_b3(self) -> None:
        assert extract("none", (b"b3", B3), *B3_MULTI) is None

    @given(propagator_lists, header_lists)
    def test_any_headers_are_read_or_refused_without_an_exception(
        self, names: list[str], headers: list[tuple[bytes, bytes]]
    ) -> None:
        remote = Propagation(names).extract(View(*headers))

        assert remote is None or remote.parent_id == 0


class TestDeclare:
    def test_all_configured_headers_are_written_in_their_order(self) -> None:
        assert declare("tracecontext,jaeger") == [
            (b"traceparent", SPAN_W3C),
            (b"uber-trace-id", SPAN_JAEGER),
        ]

    def test_b3_is_written_in_the_form_that_is_configured(self) -> None:
        assert declare("b3") == [(b"b3", SPAN_B3)]
        assert declare("b3multi") == SPAN_B3_MULTI
        assert declare("b3,jaeger") == [(b"uber-trace-id", SPAN_JAEGER), (b"b3", SPAN_B3)]

    @pytest.mark.parametrize("header", [(b"b3", B3), (b"b3", b"nonsense"), (b"b3", b"0")])
    def test_a_b3_that_came_in_is_updated_though_not_configured(
        self, header: tuple[bytes, bytes]
    ) -> None:
        assert declare("jaeger", header) == [(b"uber-trace-id", SPAN_JAEGER), (b"b3", SPAN_B3)]

    @pytest.mark.parametrize("headers", [B3_MULTI, B3_MULTI[-1:], [(b"x-b3-flags", b"1")]])
    def test_x_b3_headers_that_came_in_are_updated_though_not_configured(
        self, headers: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        assert declare("jaeger", *headers)[1:] == SPAN_B3_MULTI

    def test_none_leaves_a_b3_that_came_in_alone(self) -> None:
        assert declare("none", (b"b3", B3), *B3_MULTI) == []

    def test_a_root_names_no_parent_in_b3(self) -> None:
        root = TraceContext(0x1, 0x2, 0, SAMPLED)
        declared = Propagation(["b3", "b3multi"]).declare(root, View())

        assert declared[0] == (b"b3", SPAN_B3[:-17])
        assert dict(declared)[b"X-B3-ParentSpanId"] is None

    def test_debug_takes_the_place_of_the_decision_in_b3(self) -> None:
        span = TraceContext(0x1, 0x2, 0x3, SAMPLED | DEBUG)
        declared = dict(Propagation(["b3", "b3multi"]).declare(span, View()))

        assert declared[b"b3"] == SPAN_B3.replace(b"-1-", b"-d-")
        assert (declared[b"X-B3-Sampled"], declared[b"X-B3-Flags"]) == (None, b"1")

    def test_a_name_given_twice_is_written_once(self) -> None:
        assert declare("jaeger,jaeger") == [(b"uber-trace-id", SPAN_JAEGER)]

    @pytest.mark.parametrize("names", ["none", "baggage"])
    def test_none_and_baggage_write_nothing(self, names: str) -> None:
        assert declare(names, (b"traceparent", b"bad"), (b"tracestate", b"a=1")) == []

    @pytest.mark.parametrize("parents", [[W3C], []])
    def test_tracestate_passes_untouched(self, parents: list[bytes]) -> None:
        headers = [(b"traceparent", parent) for parent in parents]

        assert declare("tracecontext", *headers, (b"tracestate", b"a=1")) == [
            (b"traceparent", SPAN_W3C)
        ]

    @pytest.mark.parametrize("parents", [[b"bad"], [b""], [W3C, W3C]])
    def test_tracestate_is_dropped_where_the_traceparent_is_invalid(
        self, parents: list[bytes]
    ) -> None:
        headers = [(b"traceparent", parent) for parent in parents]

        assert declare("tracecontext", *headers, (b"tracestate", b"a=1")) == [
            (b"traceparent", SPAN_W3C),
            (b"tracestate", None),
        ]

    def test_a_tracestate_is_not_ours_without_the_tracecontext_propagator(self) -> None:
        headers = (b"traceparent", b"bad"), (b"tracestate", b"a=1")

        assert declare("jaeger", *headers) == [(b"uber-trace-id", SPAN_JAEGER)]

    def test_all_headers_say_the_same(self) -> None:
        unsampled = TraceContext(0x1, 0x2, 0x3, 0)

        declared = Propagation(["tracecontext", "jaeger"]).declare(unsampled, View())

        assert declared == [
            (b"traceparent", SPAN_W3C[:-1] + b"0"),
            (b"uber-trace-id", SPAN_JAEGER[:-1] + b"0"),
        ]

    @given(propagator_lists, header_lists)
    def test_each_name_is_declared_once(
        self, names: list[str], headers: list[tuple[bytes, bytes]]
    ) -> None:
        declared = [name for name, _ in Propagation(names).declare(SPAN, View(*headers))]

        assert len(declared) == len(set(declared))
