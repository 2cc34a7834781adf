"""The table of what spans cost: what is measured is what a node has. How long it takes is for the table to say."""

import pytest

from bench.spans import ENCODERS, exchanges, main, measure
from netra_node.telemetry.schemas import NAMES


def test_two_spans_make_a_trace() -> None:
    spans = [finished[1].trace for finished in exchanges(10, new_paths=True)]

    for server, client in zip(spans[::2], spans[1::2], strict=True):
        assert server is not None
        assert client is not None
        assert (client.trace_id, client.parent_id) == (server.trace_id, server.span_id)
    assert len({trace.trace_id for trace in spans if trace}) == 5


def test_paths_come_again_or_do_not() -> None:
    def targets(*, new_paths: bool) -> int:
        return len({exchange.target for _, exchange in exchanges(500, new_paths=new_paths)})

    assert targets(new_paths=False) == 50
    assert targets(new_paths=True) > 490


@pytest.mark.parametrize("schema", NAMES)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_is_measured_by_whole_spans(encoder: str, schema: str) -> None:
    cost = measure(encoder, schema, rounds=1, new_paths=True)

    assert cost.microseconds > 0
    assert cost.size > 100


def test_the_table_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    main(["1"])

    assert len(capsys.readouterr().out.splitlines()) == 1 + len(ENCODERS) * len(NAMES) * 2
