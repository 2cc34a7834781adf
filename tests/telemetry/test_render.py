"""The two formats, read by the library's own parsers."""

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from netra_node.telemetry.metrics import Histogram
from netra_node.telemetry.render import Family, Format, histogram, render, sample

TEXT = Format(openmetrics=False)
OPENMETRICS = Format(openmetrics=True, offset=1_700_000_000_000_000_000)


def page(style: Format, *families: Family) -> str:
    return b"".join(render(families, style)).decode()


def counter(value: int) -> Family:
    return Family("netra_x_total", "counter", "X.", [sample("netra_x_total", 'a="b"', value)])


def test_a_counter_in_text() -> None:
    assert page(TEXT, counter(3)) == (
        '# HELP netra_x_total X.\n# TYPE netra_x_total counter\nnetra_x_total{a="b"} 3\n'
    )


def test_a_counter_in_openmetrics_is_a_family_without_the_suffix() -> None:
    assert page(OPENMETRICS, counter(3)) == (
        '# HELP netra_x X.\n# TYPE netra_x counter\nnetra_x_total{a="b"} 3\n# EOF\n'
    )


def observed() -> Histogram:
    counts = Histogram((0.005, 1))
    for nanoseconds in (1_000_000, 5_000_000, 20_000_000, 3_000_000_000):
        counts.observe(nanoseconds)
    counts.exemplars[1] = (0xAB, 20_000_000, 5_000_000_000)
    return counts


@pytest.mark.parametrize(("parse", "style"), [(parse_text, TEXT), (parse_openmetrics, OPENMETRICS)])
def test_a_histogram_is_cumulative_and_in_seconds(parse, style) -> None:
    lines = histogram("netra_d_seconds", 'a="b"', observed(), style)

    (family,) = parse(page(style, Family("netra_d_seconds", "histogram", "D.", [lines])))

    found = {(s.name, s.labels.get("le")): s.value for s in family.samples}
    assert found == {
        ("netra_d_seconds_bucket", "0.005"): 2,
        ("netra_d_seconds_bucket", "1.0"): 3,
        ("netra_d_seconds_bucket", "+Inf"): 4,
        ("netra_d_seconds_count", None): 4,
        ("netra_d_seconds_sum", None): 3.026,
    }


def test_an_exemplar_carries_the_trace_and_stands_in_openmetrics_only() -> None:
    lines = histogram("netra_d_seconds", "", observed(), OPENMETRICS)
    family = Family("netra_d_seconds", "histogram", "D.", [lines])

    (found,) = parse_openmetrics(page(OPENMETRICS, family))

    (exemplar,) = [s.exemplar for s in found.samples if s.exemplar]
    assert exemplar.labels == {"trace_id": f"{0xAB:032x}"}
    assert (exemplar.value, float(exemplar.timestamp)) == (0.02, 1_700_000_005)
    assert "trace_id" not in histogram("netra_d_seconds", "", observed(), TEXT)


def test_pieces_are_about_16_kilobytes_and_none_is_empty() -> None:
    blocks = [sample("netra_x", f'a="{number}"', number) for number in range(10_000)]

    pieces = list(render([Family("netra_x", "gauge", "X.", blocks)], TEXT))

    assert len(pieces) > 10
    assert all(0 < len(piece) < 17_000 for piece in pieces)


def test_a_family_without_samples_is_not_mentioned() -> None:
    assert page(TEXT, Family("netra_x", "gauge", "X.", ["", ""])) == ""


def test_help_is_escaped() -> None:
    family = Family("netra_x", "gauge", "a\\b\nc", ["netra_x 1\n"])

    assert r"# HELP netra_x a\\b\nc" in page(TEXT, family)


def test_each_format_names_its_media_type() -> None:
    assert TEXT.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert OPENMETRICS.content_type.startswith("application/openmetrics-text; version=1.0.0")
