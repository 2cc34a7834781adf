import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from netra_node.core.linking import LinkTable
from netra_node.core.trace_context import DEBUG, RANDOM, SAMPLED, TraceContext

LIFETIME = 5_000
ID = b"0af7651e-dd6b-4a1b-9c3f-0123456789ab"


def span(trace_id: int = 1, span_id: int = 2, flags: int = SAMPLED) -> TraceContext:
    return TraceContext(trace_id, span_id, 0, flags)


def table(limit: int = 10) -> LinkTable:
    return LinkTable(LIFETIME, limit)


def found(links: LinkTable, request_id: bytes = ID, now: int = 0) -> tuple[int, int, int] | None:
    parent = links.find(request_id, now)
    return None if parent is None else (parent.trace_id, parent.span_id, parent.flags)


def result_of_find(links: LinkTable, request_id: bytes = ID, now: int = 0) -> str:
    before = dict(links.results())
    links.find(request_id, now)
    (changed,) = (name for name, count in links.results() if count != before[name])
    return changed


class TestLifetime:
    def test_an_unknown_id_has_no_parent(self) -> None:
        assert result_of_find(table()) == "none"

    def test_an_open_exchange_is_the_parent_however_long_it_lasts(self) -> None:
        links = table()
        links.opened(ID, span())

        assert found(links, now=1000 * LIFETIME) == (1, 2, SAMPLED)

    def test_an_ended_exchange_is_the_parent_until_its_time_is_over(self) -> None:
        links = table()
        links.opened(ID, server := span())

        links.ended(server, now=100)

        assert found(links, now=100 + LIFETIME - 1) == (1, 2, SAMPLED)

    def test_after_its_time_an_ended_exchange_is_expired(self) -> None:
        links = table()
        links.opened(ID, server := span())

        links.ended(server, now=100)

        assert result_of_find(links, now=100 + LIFETIME) == "expired"

    def test_use_does_not_extend_the_lifetime(self) -> None:
        links = table()
        links.opened(ID, server := span())
        links.ended(server, now=0)
        links.find(ID, now=LIFETIME - 1)

        assert found(links, now=LIFETIME) is None

    @pytest.mark.parametrize("expiration", [0, -1])
    def test_an_expiration_of_zero_or_less_means_never(self, expiration: int) -> None:
        links = LinkTable(expiration)
        links.opened(ID, server := span())
        links.ended(server, now=0)

        assert found(links, now=10**18) == (1, 2, SAMPLED)

    def test_an_expired_id_is_still_known_as_expired_after_its_removal(self) -> None:
        links = table()
        links.opened(ID, server := span())
        links.ended(server, now=0)

        links.expire(now=LIFETIME)

        assert (len(links), result_of_find(links, now=LIFETIME)) == (0, "expired")

    def test_ending_a_span_twice_changes_nothing(self) -> None:
        links = table()
        links.opened(ID, server := span())
        links.ended(server, now=0)

        links.ended(server, now=100)

        assert found(links, now=LIFETIME) is None

    def test_ending_a_span_that_was_never_here_changes_nothing(self) -> None:
        links = table()

        links.ended(span(), now=0)

        assert len(links) == 0


class TestWhatIsFound:
    @pytest.mark.parametrize("flags", [0, SAMPLED, SAMPLED | DEBUG | RANDOM])
    def test_ids_and_flags_survive_the_end(self, flags: int) -> None:
        links = table()
        links.opened(ID, server := span(2**128 - 1, 2**64 - 1, flags))

        links.ended(server, now=2**62)

        assert found(links, now=2**62) == (2**128 - 1, 2**64 - 1, flags)

    def test_a_long_id_is_linked(self) -> None:
        links = table()
        links.opened(b"x" * 65_000 + b"1", span())

        assert found(links, b"x" * 65_000 + b"1") == (1, 2, SAMPLED)

    def test_long_ids_are_told_apart_by_their_last_byte(self) -> None:
        links = table()
        links.opened(b"x" * 65_000 + b"1", span())

        assert found(links, b"x" * 65_000 + b"2") is None

    def test_results_count_every_find_by_its_label(self) -> None:
        links = table()
        links.opened(ID, span())
        links.find(ID, 0)
        links.find(ID, 0)
        links.find(b"other", 0)

        assert links.results() == (("linked", 2), ("none", 1), ("ambiguous", 0), ("expired", 0))


class TestSameId:
    def test_of_two_open_exchanges_of_one_trace_the_newest_is_the_parent(self) -> None:
        links = table()
        links.opened(ID, span(span_id=2))
        links.opened(ID, span(span_id=3))

        assert found(links) == (1, 3, SAMPLED)

    def test_two_open_exchanges_of_different_traces_are_ambiguous(self) -> None:
        links = table()
        links.opened(ID, span(trace_id=1))
        links.opened(ID, span(trace_id=9))

        assert result_of_find(links) == "ambiguous"

    def test_when_one_of_two_traces_ends_the_open_one_is_the_parent(self) -> None:
        links = table()
        links.opened(ID, first := span(trace_id=1))
        links.opened(ID, span(trace_id=9))

        links.ended(first, now=0)

        assert found(links) == (9, 2, SAMPLED)

    def test_when_the_newest_of_one_trace_ends_the_one_before_is_the_parent(self) -> None:
        links = table()
        links.opened(ID, span(span_id=2))
        links.opened(ID, newest := span(span_id=3))

        links.ended(newest, now=0)

        assert found(links) == (1, 2, SAMPLED)

    def test_an_open_exchange_comes_before_an_ended_one_of_another_trace(self) -> None:
        links = table()
        links.opened(ID, first := span(trace_id=1))
        links.ended(first, now=0)

        links.opened(ID, span(trace_id=9))

        assert found(links) == (9, 2, SAMPLED)

    def test_two_ended_exchanges_of_different_traces_are_ambiguous(self) -> None:
        links = table()
        for trace_id in (1, 9):
            links.opened(ID, server := span(trace_id))
            links.ended(server, now=0)

        assert result_of_find(links) == "ambiguous"

    def test_of_two_ended_exchanges_of_one_trace_the_last_to_end_is_the_parent(self) -> None:
        links = table()
        for span_id in (2, 3):
            links.opened(ID, server := span(span_id=span_id))
            links.ended(server, now=0)

        assert found(links) == (1, 3, SAMPLED)

    def test_an_expired_exchange_makes_no_later_one_ambiguous(self) -> None:
        links = table()
        for trace_id, end in ((1, 0), (9, LIFETIME)):
            links.opened(ID, server := span(trace_id))
            links.ended(server, now=end)

        assert found(links, now=LIFETIME) == (9, 2, SAMPLED)


class TestBounds:
    def test_at_the_limit_the_first_to_end_goes_first(self) -> None:
        links = table(limit=2)
        links.opened(b"opened first", first := span(span_id=1))
        links.opened(b"opened second", second := span(span_id=2))
        links.ended(second, now=0)
        links.ended(first, now=1)

        links.opened(b"third", span(span_id=3))

        kept = [found(links, name) for name in (b"opened first", b"opened second", b"third")]
        assert kept == [(1, 1, SAMPLED), None, (1, 3, SAMPLED)]

    def test_an_ended_entry_goes_before_one_that_is_open_longer(self) -> None:
        links = table(limit=2)
        links.opened(b"open", span(span_id=1))
        links.opened(b"ended", ended := span(span_id=2))
        links.ended(ended, now=0)

        links.opened(b"new", span(span_id=3))

        kept = [found(links, name) for name in (b"open", b"ended", b"new")]
        assert kept == [(1, 1, SAMPLED), None, (1, 3, SAMPLED)]

    def test_when_all_are_open_the_one_open_longest_goes(self) -> None:
        links = table(limit=2)
        for span_id, name in enumerate((b"first", b"second", b"third"), 1):
            links.opened(name, span(span_id=span_id))

        kept = [found(links, name) for name in (b"first", b"second", b"third")]
        assert kept == [None, (1, 2, SAMPLED), (1, 3, SAMPLED)]

    def test_an_exchange_that_lost_its_place_ends_without_an_entry(self) -> None:
        links = table(limit=1)
        links.opened(b"first", first := span())
        links.opened(b"second", span())

        links.ended(first, now=0)

        assert (len(links), result_of_find(links, b"first")) == (1, "expired")

    def test_no_call_removes_more_than_two_entries(self) -> None:
        links = table(limit=100)
        for number in range(100):
            links.opened(b"%d" % number, server := span(span_id=number))
            links.ended(server, now=0)

        links.expire(now=LIFETIME)

        assert len(links) == 98

    def test_the_end_of_exchanges_removes_more_than_it_adds(self) -> None:
        links = table(limit=100)
        for number in range(100):
            now = 0 if number < 50 else LIFETIME
            links.opened(b"%d" % number, server := span(span_id=number))
            links.ended(server, now=now)

        assert len(links) == 50

    def test_a_full_table_of_long_ids_is_small(self) -> None:
        tracemalloc.start()
        try:
            links = LinkTable(LIFETIME)
            for number in range(11_000):
                request_id = b"%d" % number + b"x" * 1000
                links.opened(request_id, server := span(2**127 + number, 2**63 + number))
                links.ended(server, now=10**15)
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert (len(links), size < 300 * 10_000) == (10_000, True)


@dataclass(eq=False)
class Request:
    request_id: bytes
    span: TraceContext
    end: int | None = None


class EveryOrder(RuleBasedStateMachine):
    """A table that holds everything answers as the whole history of its pod does."""

    limit = 10_000

    def __init__(self) -> None:
        super().__init__()
        self.links = LinkTable(LIFETIME, self.limit)
        self.now = 0
        self.history: list[Request] = []
        self.finds = 0

    def open(self) -> list[Request]:
        return [request for request in self.history if request.end is None]

    @rule(request_id=st.sampled_from([b"a", b"b", b"c" * 100]), trace_id=st.integers(1, 2))
    def begin(self, request_id: bytes, trace_id: int) -> None:
        server = span(trace_id, len(self.history))
        self.history.append(Request(request_id, server))
        self.links.opened(request_id, server)

    @precondition(lambda self: self.open())
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.open()))
        self.history.remove(request)
        self.history.append(request)  # ended ones stand in the order of their end
        request.end = self.now
        self.links.ended(request.span, self.now)

    @rule(passed=st.sampled_from([1, LIFETIME // 2, LIFETIME - 1, LIFETIME]))
    def wait(self, passed: int) -> None:
        self.now += passed

    @rule()
    def tick(self) -> None:
        self.links.expire(self.now)

    @rule(request_id=st.sampled_from([b"a", b"b", b"c" * 100, b"never"]))
    def find(self, request_id: bytes) -> None:
        self.finds += 1
        parent = self.links.find(request_id, self.now)
        same = [request for request in self.history if request.request_id == request_id]
        self.check(None if parent is None else parent.span_id, same)

    def check(self, found_id: int | None, same: list[Request]) -> None:
        assert found_id == self.parent_by_history(same)

    def parent_by_history(self, same: list[Request]) -> int | None:
        open_ones = [request for request in same if request.end is None]
        if open_ones:
            traces = {request.span.trace_id for request in open_ones}
            newest = max(request.span.span_id for request in open_ones)
            return newest if len(traces) == 1 else None
        run = self.last_unbroken_run(same)
        traces = {request.span.trace_id for request in run}
        return run[-1].span.span_id if len(traces) == 1 else None

    def last_unbroken_run(self, ended: list[Request]) -> list[Request]:
        """Return those that ended last, each within the lifetime of the one before; nothing when their time is over."""
        run: list[Request] = []
        until = self.now
        for request in reversed(ended):
            assert request.end is not None
            if until - request.end >= LIFETIME:
                break
            run.insert(0, request)
            until = request.end
        return run

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.links) <= self.limit

    @invariant()
    def every_find_has_one_result(self) -> None:
        assert sum(count for _, count in self.links.results()) == self.finds

    @invariant()
    def both_views_of_the_open_exchanges_agree(self) -> None:
        by_id: list[TraceContext] = []
        for known in self.links._of_id.values():
            if isinstance(known, TraceContext):
                by_id.append(known)
                continue
            assert all(known.values())
            by_id += [open_span for spans in known.values() for open_span in spans]
        assert len(by_id) == len(self.links._open)
        assert set(by_id) == set(self.links._open)


class EveryOrderAtTheLimit(EveryOrder):
    """A table that is too small forgets, but never names a span of another id, an older one, or one whose time is over."""

    limit = 3

    def check(self, found_id: int | None, same: list[Request]) -> None:
        alive = {
            request.span.span_id
            for request in same
            if request.end is None or self.now - request.end < LIFETIME
        }
        assert found_id is None or found_id in alive


TestEveryOrder = EveryOrder.TestCase
TestEveryOrderAtTheLimit = EveryOrderAtTheLimit.TestCase
