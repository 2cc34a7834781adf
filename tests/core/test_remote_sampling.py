import json
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.records import Direction, Exchange, SampledBy
from netra_node.core.remote_sampling import (
    ByOperation,
    Limit,
    RemoteSampler,
    Share,
    Strategy,
    reading,
)

SECOND = 1_000_000_000
CHOSEN, NOT_CHOSEN = 1, 2**63 - 1  # by any share but 0 and 1

SHARE = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 0.5}}
LIMIT = {"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 7}}
OPERATIONS = {
    "strategyType": "PROBABILISTIC",
    "probabilisticSampling": {"samplingRate": 0.25},
    "operationSampling": {
        "defaultSamplingProbability": 0.25,
        "defaultLowerBoundTracesPerSecond": 2.0,
        "perOperationStrategies": [
            {"operation": "GET /a", "probabilisticSampling": {"samplingRate": 0.5}},
            {"operation": "GET /b", "probabilisticSampling": {"samplingRate": 1}},
        ],
    },
}


def steps(body: bytes, most: int = 2000) -> tuple[Strategy, int]:
    """The strategy, and how often others had a turn."""
    generator, turns = reading(body, most), 0
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value, turns
        turns += 1


def read(form: object, most: int = 2000) -> Strategy:
    return steps(json.dumps(form).encode(), most)[0]


def with_operations(*operations: object, **more: object) -> dict[str, Any]:
    return {"operationSampling": {"perOperationStrategies": list(operations), **more}}


# ---- answers


@pytest.mark.parametrize(
    ("form", "strategy"),
    [
        (SHARE, Share(0.5)),
        (LIMIT, Limit(7)),
        (OPERATIONS, ByOperation(0.25, 2, {"GET /a": 0.5, "GET /b": 1})),
        # as an agent of Jaeger 1.x writes it: the type is a number and what does not apply is null
        ({**SHARE, "strategyType": 0, "rateLimitingSampling": None}, Share(0.5)),
        ({**LIMIT, "strategyType": 1, "operationSampling": None}, Limit(7)),
        # as gogo's jsonpb writes it: zeros are left out
        ({"probabilisticSampling": {}}, Share(0)),
        ({"rateLimitingSampling": {}}, Limit(0)),
        ({"operationSampling": {}}, ByOperation(0, 0)),
        (with_operations({"operation": "x"}), ByOperation(0, 0, {"x": 0})),
        # more than anybody's clock can tell apart
        ({"rateLimitingSampling": {"maxTracesPerSecond": 10**400}}, Limit(1e9)),
    ],
)
def test_answers_of_jaegers_server_are_strategies(form: object, strategy: Strategy) -> None:
    assert read(form) == strategy


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        {},
        {"probabilisticSampling": 1},
        {"probabilisticSampling": {"samplingRate": "1"}},
        {"probabilisticSampling": {"samplingRate": True}},
        {"probabilisticSampling": {"samplingRate": 1.5}},
        {"probabilisticSampling": {"samplingRate": -0.5}},
        {"probabilisticSampling": {"samplingRate": float("nan")}},
        {"rateLimitingSampling": {"maxTracesPerSecond": -1}},
        with_operations(1),
        with_operations({"operation": 1}),
        with_operations({"operation": "x", "probabilisticSampling": {"samplingRate": 2}}),
        {**SHARE, "padding": "x" * 20_000},
    ],
)
def test_what_is_no_strategy_is_refused(form: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(form)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"service not found",
        json.dumps(OPERATIONS).encode()[:-3],
        b'{"operationSampling":{"perOperationStrategies":[',
        b'{"operationSampling":{"perOperationStrategies":[' + b"[" * 100_000,
        b'{"probabilisticSampling":' * 600,
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        steps(body)


@given(st.binary())
def test_any_bytes_are_a_strategy_or_refused(body: bytes) -> None:
    try:
        strategy, _ = steps(body)
    except ValueError:
        return
    assert isinstance(strategy, Strategy)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_names = (
    *SHARE,
    *LIMIT,
    *OPERATIONS,
    "samplingRate",
    "maxTracesPerSecond",
    "perOperationStrategies",
    "operation",
)


@given(
    st.recursive(
        _json,
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_names), inner),
        max_leaves=12,
    )
)
def test_any_json_is_a_strategy_or_refused(form: object) -> None:
    try:
        strategy = read(form)
    except ValueError:
        return
    assert isinstance(strategy, Strategy)


@given(st.dictionaries(st.text(), st.floats(0, 1)), st.sampled_from([None, 1, 4]))
def test_operations_are_read_whatever_their_names_and_the_spaces_between(
    ratios: Mapping[str, float], indent: int | None
) -> None:
    operations = [
        {"operation": name, "probabilisticSampling": {"samplingRate": ratio}}
        for name, ratio in ratios.items()
    ]
    body = json.dumps(with_operations(*operations), indent=indent).encode()

    assert steps(body)[0] == ByOperation(0, 0, dict(ratios))


def test_of_many_operations_the_first_have_shares_of_their_own() -> None:
    strategy = read(OPERATIONS, most=1)

    assert strategy == ByOperation(0.25, 2, {"GET /a": 0.5})


def test_others_have_a_turn_while_a_long_answer_is_read() -> None:
    operations = [{"operation": str(number)} for number in range(1000)]

    _, turns = steps(json.dumps(with_operations(*operations)).encode())

    assert turns == 10


# ---- decisions


def by_target(direction: Direction, exchange: Exchange) -> str:
    return f"{direction.value} {exchange.target.decode()}"


def sampler(strategy: Strategy | None = None, most: int = 2000) -> RemoteSampler:
    made = RemoteSampler("shop", 0.5, by_target, most)
    if strategy is not None:
        made.follow(strategy)
    return made


def decide(
    asked: RemoteSampler, trace_id: int = CHOSEN, target: str = "/a", now: int = SECOND
) -> SampledBy | None:
    exchange = Exchange(b"GET", target.encode(), b"1.1", now)
    return asked.decide(None, trace_id, Direction.INBOUND, exchange, now)


def test_until_a_strategy_is_known_the_initial_share_is_sampled() -> None:
    asked = sampler()

    assert [decide(asked, trace_id) for trace_id in (CHOSEN, NOT_CHOSEN)] == [
        ("probabilistic", 0.5),
        None,
    ]


def test_a_share_is_sampled() -> None:
    assert decide(sampler(Share(1)), NOT_CHOSEN) == ("probabilistic", 1)


def test_a_limit_is_kept() -> None:
    asked = sampler(Limit(1))

    assert [decide(asked), decide(asked)] == [("ratelimiting", 1), None]


def test_a_limit_that_is_told_again_goes_on() -> None:
    asked = sampler(Limit(1))
    decide(asked)
    asked.follow(Limit(1))

    assert decide(asked) is None


def test_a_changed_limit_begins_anew() -> None:
    asked = sampler(Limit(0))
    decide(asked)
    asked.follow(Limit(2))

    assert [decide(asked) is not None for _ in range(3)] == [True, True, False]


def test_an_operation_has_the_share_it_was_told() -> None:
    asked = sampler(ByOperation(0, 0, {"inbound /a": 1}))

    assert decide(asked, NOT_CHOSEN, "/a") == ("probabilistic", 1)


def test_an_operation_of_the_other_direction_is_another_one() -> None:
    asked = sampler(ByOperation(0, 0, {"outbound /a": 1}))
    decide(asked, NOT_CHOSEN)

    assert decide(asked, NOT_CHOSEN) is None


def test_other_operations_have_the_default_share() -> None:
    asked = sampler(ByOperation(0.5, 0, {"inbound /a": 0}))

    assert decide(asked, CHOSEN, "/b") == ("probabilistic", 0.5)


def test_each_operation_is_promised_its_least_number() -> None:
    asked = sampler(ByOperation(0, 1, {"inbound /a": 0.25}))
    twice = [decide(asked, NOT_CHOSEN, target) for target in ("/a", "/b", "/a", "/b")]

    assert twice == [("lowerbound", 0.25), ("lowerbound", 0), None, None]
    assert decide(asked, NOT_CHOSEN, "/a", 2 * SECOND) == ("lowerbound", 0.25)


def test_what_its_share_chooses_counts_for_the_least_number() -> None:
    asked = sampler(ByOperation(0.5, 1))
    decide(asked, CHOSEN)

    assert decide(asked, NOT_CHOSEN) is None


def test_new_shares_leave_the_least_number_as_it_stands() -> None:
    asked = sampler(ByOperation(0, 1))
    decide(asked, NOT_CHOSEN)
    asked.follow(ByOperation(0.1, 1))

    assert decide(asked, NOT_CHOSEN) is None


def test_a_new_least_number_begins_anew() -> None:
    asked = sampler(ByOperation(0, 1))
    decide(asked, NOT_CHOSEN)
    asked.follow(ByOperation(0, 2))

    assert decide(asked, NOT_CHOSEN) == ("lowerbound", 0)


def test_operations_beyond_the_bound_have_their_share_and_no_least_number() -> None:
    asked = sampler(ByOperation(0.5, 1, {"inbound /a": 1}), most=1)
    decide(asked, NOT_CHOSEN, "/first")

    assert decide(asked, NOT_CHOSEN, "/second") is None
    assert decide(asked, CHOSEN, "/second") == ("probabilistic", 0.5)
    assert decide(asked, NOT_CHOSEN, "/a") == ("probabilistic", 1)


def test_ever_new_operations_cost_bounded_memory() -> None:
    asked = sampler(ByOperation(0, 1))
    for number in range(3000):
        decide(asked, NOT_CHOSEN, f"/{number}")
    tracemalloc.start()
    for number in range(3000, 20_000):
        decide(asked, NOT_CHOSEN, f"/{number}")
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 10_000


def test_from_operations_to_a_share_and_back_the_least_number_begins_anew() -> None:
    asked = sampler(ByOperation(0, 1))
    decide(asked, NOT_CHOSEN)
    asked.follow(Share(0))
    asked.follow(ByOperation(0, 1))

    assert decide(asked, NOT_CHOSEN) == ("lowerbound", 0)
