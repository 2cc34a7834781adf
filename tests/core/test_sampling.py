import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from netra_node.core.records import Direction, Exchange, SampledBy
from netra_node.core.sampling import (
    NAMES,
    AlwaysOff,
    AlwaysOn,
    ParentBased,
    Probabilistic,
    Rate,
    RateLimiting,
    Sampler,
    TraceIdRatio,
    sampler_from,
)
from netra_node.core.trace_context import SAMPLED, TraceContext

SAMPLED_PARENT = TraceContext(7, 8, 0, SAMPLED)
UNSAMPLED_PARENT = TraceContext(7, 8, 0, 0)
LOW_TRACE_ID = 1
HIGH_TRACE_ID = 2**64 - 1


SECOND = 1_000_000_000


def sampled_by(
    sampler: Sampler, parent: TraceContext | None = None, trace_id: int = 7, now: int = SECOND
) -> SampledBy | None:
    exchange = Exchange(b"GET", b"/orders", b"1.1", now)
    return sampler.decide(parent, trace_id, Direction.INBOUND, exchange, now)


def decide(
    sampler: Sampler, parent: TraceContext | None = None, trace_id: int = 7, now: int = SECOND
) -> bool:
    return sampled_by(sampler, parent, trace_id, now) is not None


def test_always_on_samples_even_under_an_unsampled_parent() -> None:
    assert decide(AlwaysOn(), UNSAMPLED_PARENT)


def test_always_off_does_not_sample_even_under_a_sampled_parent() -> None:
    assert not decide(AlwaysOff(), SAMPLED_PARENT)


def test_a_ratio_of_one_samples_every_trace() -> None:
    assert decide(TraceIdRatio(1), trace_id=2**128 - 1)


def test_a_ratio_of_zero_samples_no_trace() -> None:
    assert not decide(TraceIdRatio(0), trace_id=0)


def test_a_ratio_looks_at_the_low_64_bits_only() -> None:
    assert decide(TraceIdRatio(0.5), trace_id=(2**64 - 1 << 64) | LOW_TRACE_ID)


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_a_ratio_decides_as_the_opentelemetry_sdk_does(trace_id: int, ratio: float) -> None:
    theirs = TraceIdRatioBased(ratio).should_sample(None, trace_id, "name").decision

    assert decide(TraceIdRatio(ratio), trace_id=trace_id) is (theirs is Decision.RECORD_AND_SAMPLE)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_ratio_outside_zero_to_one_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="takes a number from 0 to 1"):
        TraceIdRatio(ratio)


def test_parent_based_keeps_a_sampled_parents_decision() -> None:
    assert decide(ParentBased(AlwaysOff()), SAMPLED_PARENT)


def test_parent_based_keeps_an_unsampled_parents_decision() -> None:
    assert not decide(ParentBased(AlwaysOn()), UNSAMPLED_PARENT)


@pytest.mark.parametrize(("root", "expected"), [(AlwaysOn(), True), (AlwaysOff(), False)])
def test_parent_based_asks_its_root_sampler_for_a_new_trace(root: Sampler, expected: bool) -> None:
    assert decide(ParentBased(root)) is expected


@pytest.mark.parametrize(
    ("name", "ratio", "root", "under_sampled", "under_unsampled"),
    [
        ("always_on", 1, True, True, True),
        ("always_off", 1, False, False, False),
        ("traceidratio", 0, False, False, False),
        ("traceidratio", 1.0, True, True, True),
        ("parentbased_always_on", 0, True, True, False),
        ("parentbased_always_off", 1, False, True, False),
        ("parentbased_traceidratio", 0, False, True, False),
        ("parentbased_traceidratio", 1, True, True, False),
        ("const", 1, True, True, False),
        ("const", 0.5, True, True, False),
        ("const", 0, False, True, False),
        ("probabilistic", 1, True, True, False),
        ("probabilistic", 0, False, True, False),
        ("ratelimiting", 5, True, True, False),
    ],
)
def test_every_name_gives_its_sampler(
    name: str,
    ratio: float,
    root: bool,
    under_sampled: bool,
    under_unsampled: bool,
) -> None:
    sampler = sampler_from(name, ratio)

    decisions = [decide(sampler, parent) for parent in (None, SAMPLED_PARENT, UNSAMPLED_PARENT)]
    assert decisions == [root, under_sampled, under_unsampled]


@pytest.mark.parametrize("name", ["", "ALWAYS_ON", "jaeger_remote"])
def test_an_unknown_name_is_refused_with_the_names_it_takes(name: str) -> None:
    with pytest.raises(ValueError, match=f"takes {', '.join(NAMES)}"):
        sampler_from(name)


@pytest.mark.parametrize("name", ["traceidratio", "parentbased_traceidratio", "probabilistic"])
def test_a_bad_ratio_is_refused_with_what_it_takes(name: str) -> None:
    with pytest.raises(ValueError, match="takes a number from 0 to 1"):
        sampler_from(name, 2)


def test_the_ratio_is_one_unless_it_is_given() -> None:
    assert decide(sampler_from("traceidratio"), trace_id=HIGH_TRACE_ID)


def test_a_ratio_between_tells_traces_apart() -> None:
    sampler = sampler_from("traceidratio", 0.5)

    assert [decide(sampler, trace_id=t) for t in (LOW_TRACE_ID, HIGH_TRACE_ID)] == [True, False]


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("always_on", ("const", True)),
        ("parentbased_always_on", ("const", True)),
        ("traceidratio", ("probabilistic", 0.5)),
        ("parentbased_traceidratio", ("probabilistic", 0.5)),
        ("always_off", None),
        ("const", ("const", True)),
        ("probabilistic", ("probabilistic", 0.5)),
        ("ratelimiting", ("ratelimiting", 0.5)),
    ],
)
def test_a_decision_names_its_sampler_as_jaeger_does(name: str, by: SampledBy | None) -> None:
    assert sampled_by(sampler_from(name, 0.5)) == by


# ---- Jaeger's


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_probability_outside_zero_to_one_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="takes a number from 0 to 1"):
        Probabilistic(ratio)


@pytest.mark.parametrize(
    ("trace_id", "sampled"),
    [
        (2**62, True),
        (2**62 + 1, False),
        (2**63 | 2**62, True),
        (2**63 | 2**62 + 1, False),
        (2**127 | 1, True),
    ],
)
def test_a_probability_looks_at_the_low_63_bits_only(trace_id: int, sampled: bool) -> None:
    assert decide(Probabilistic(0.5), trace_id=trace_id) is sampled


@given(st.integers(1, 2**128 - 1))
def test_a_probability_of_one_samples_every_trace(trace_id: int) -> None:
    assert decide(Probabilistic(1), trace_id=trace_id)


@given(st.integers(1, 2**63 - 1), st.floats(0, 1))
def test_a_probability_decides_as_jaegers_go_client_does(trace_id: int, ratio: float) -> None:
    # sampler.go: samplingBoundary = uint64(float64(maxRandomNumber) * samplingRate), sampled where boundary >= id
    boundary = int(float(2**63 - 1) * ratio)

    assert decide(Probabilistic(ratio), trace_id=trace_id) is (boundary >= trace_id)


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="takes a number, 0 or more"):
        RateLimiting(rate)


def test_a_rate_of_two_samples_two_at_once_and_another_after_half_a_second() -> None:
    sampler = RateLimiting(2)
    times = [0, 0, 0, SECOND // 2 - 1, SECOND // 2, SECOND // 2]

    assert [decide(sampler, now=SECOND + t) for t in times] == [1, 1, 0, 0, 1, 0]


def test_a_rate_below_one_samples_one_at_once() -> None:
    sampler = RateLimiting(0.1)

    assert [decide(sampler, now=SECOND + t) for t in (0, 1, 9 * SECOND, 10 * SECOND)] == [
        1,
        0,
        0,
        1,
    ]


def test_a_rate_of_zero_samples_the_first_trace_as_jaegers_clients_do() -> None:
    sampler = RateLimiting(0)

    assert [decide(sampler, now=t) for t in (SECOND, 10**6 * SECOND)] == [True, False]


def test_a_rate_saves_nothing_beyond_its_burst() -> None:
    sampler = RateLimiting(3)
    decide(sampler)

    assert sum(decide(sampler, now=3600 * SECOND) for _ in range(10)) == 3


def test_what_the_parent_decided_takes_nothing_of_a_rate() -> None:
    sampler = sampler_from("ratelimiting", 1)
    for parent in (SAMPLED_PARENT, UNSAMPLED_PARENT):
        decide(sampler, parent)

    assert decide(sampler)


@given(
    st.floats(0.01, 1000),
    st.lists(st.integers(0, 2 * SECOND), max_size=60),
)
def test_a_rate_is_jaegers_token_bucket(per_second: float, waits: list[int]) -> None:
    rate, full_at, now = Rate(per_second), 0, SECOND
    most = max(per_second, 1.0)
    tokens = most
    for wait in waits:
        now += wait
        tokens = min(most, tokens + wait * per_second / SECOND)
        after = rate.take(full_at, now)
        # on the very edge nanoseconds and fractions may differ
        assert (after is not None) is (tokens >= 1) or abs(tokens - 1) < 1e-5
        if after is not None:
            full_at = after
            tokens -= 1


@given(st.floats(0, 1e300, allow_subnormal=True), st.integers(0, 2**62))
def test_no_rate_fails(per_second: float, now: int) -> None:
    after = Rate(per_second).take(0, now)

    assert after is not None
