"""Label values, read back by the library's own parsers."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from netra_node.telemetry.labels import label_text


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=30), min_size=1))
def test_every_label_value_comes_back_from_both_formats(labels: dict[str, str]) -> None:
    page = f"# TYPE x gauge\nx{{{label_text(labels)}}} 1\n"

    for parse, text in ((parse_text, page), (parse_openmetrics, page + "# EOF\n")):
        ((found,),) = (metric.samples for metric in parse(text))
        assert found.labels == labels


def test_the_three_special_characters_are_escaped() -> None:
    assert label_text({"a": 'x"y', "b": "\\\n"}) == r'a="x\"y",b="\\\n"'
