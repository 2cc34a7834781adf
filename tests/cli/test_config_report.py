"""How settings are shown, and the page that is generated from their table."""

from pathlib import Path

import pytest

from netra_node.cli.config_report import (
    Effective,
    document,
    effective,
    markdown,
    render_settings,
)
from netra_node.cli.style import PLAIN, Style
from netra_node.settings.variables import VARIABLES

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


def one(name: str, service_name: str | None = None, **environ: str) -> Effective:
    return next(found for found in effective(environ, service_name) if found.variable.name == name)


@pytest.mark.parametrize(
    ("name", "environ", "value", "source"),
    [
        ("NETRA_PORT", {}, "14956", "default"),
        ("NETRA_PORT", {"NETRA_PORT": "15000"}, "15000", "environment"),
        ("NETRA_PORT", {"NETRA_SIDECAR_PORT": "15000"}, "15000", "alias NETRA_SIDECAR_PORT"),
        ("NETRA_PORT", {"NETRA_PORT": "1", "NETRA_SIDECAR_PORT": "1"}, "1", "environment"),
        ("NETRA_PORT", {"NETRA_PORT": ""}, "14956", "default"),
        ("NETRA_PORT", {"NETRA_PORT": "tcp://10.0.0.1:80"}, "14956", "default"),
        ("NODE_NAME", {}, "", "not set"),
    ],
)
def test_each_value_is_shown_with_its_source(
    name: str, environ: dict[str, str], value: str, source: str
) -> None:
    found = one(name, **environ)

    assert (found.value, found.source) == (value, source)


def test_the_flag_wins_over_the_environment() -> None:
    found = one("JAEGER_SERVICE_NAME", "{pod}", JAEGER_SERVICE_NAME="{workload}")

    assert (found.value, found.source) == ("{pod}", "flag --service-name")


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]
)
def test_a_secret_is_never_shown(name: str) -> None:
    found = one(name, **{name: "authorization=hunter2"})

    assert (found.value, found.source) == ("(hidden)", "environment")


def test_of_a_url_neither_password_nor_query_is_shown() -> None:
    name = "OTEL_EXPORTER_OTLP_ENDPOINT"

    assert one(name, **{name: "http://u:hunter2@c:1/x?t=hunter2"}).value == "http://***@c:1/x"


def test_every_variable_is_shown_once() -> None:
    assert [found.variable for found in effective({}, None)] == list(VARIABLES)


def test_the_table() -> None:
    shown = [
        one("NETRA_PORT"),
        one("NODE_NAME"),
        one("NETRA_LOGGER_LEVEL", NETRA_LOGGER_LEVEL="debug"),
    ]

    assert "\n".join(render_settings(shown, PLAIN)) == (
        """\
VARIABLE            VALUE  FROM
NETRA_PORT          14956  default
NODE_NAME           -      not set
NETRA_LOGGER_LEVEL  debug  environment"""
    )


def test_a_value_without_end_is_cut_in_the_table() -> None:
    (_, line) = render_settings([one("NODE_NAME", NODE_NAME="x" * 100)], PLAIN)

    assert "x" * 59 + "…  environment" in line


def test_what_was_set_stands_out() -> None:
    _, line = render_settings([one("NODE_NAME", NODE_NAME="x")], Style(colour=True))

    assert line.startswith("\x1b[1mNODE_NAME")


def test_as_a_document_it_says_all_there_is_to_say() -> None:
    variable = one("NETRA_PORT").variable

    assert document([one("NETRA_PORT")], ["bad"], ["odd"]) == {
        "settings": [
            {
                "name": "NETRA_PORT",
                "value": "14956",
                "source": "default",
                "default": "14956",
                "takes": variable.format.takes,
                "meaning": variable.meaning,
                "difference": variable.difference,
            }
        ],
        "problems": ["bad"],
        "warnings": ["odd"],
    }


def test_the_page_in_docs_is_the_one_that_is_generated() -> None:
    again = "run `netra-node config --markdown > docs/configuration.md`"

    assert PAGE.read_text() == markdown(), again


def test_every_row_of_the_page_has_six_cells() -> None:
    rows = [line for line in markdown().splitlines() if line.startswith("|")]

    assert len(rows) == len(VARIABLES) + 2
    assert {row.replace("\\|", "").count("|") for row in rows} == {7}


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("NETRA_INBOUND_PROBABILITY", "| netramesh | nothing |"),
        ("NETRA_HTTP_X_SOURCE_VALUE", "where netramesh sent netra |"),
        ("NETRA_POD_SOURCE", "| new |  |"),
    ],
)
def test_a_row_says_what_is_otherwise_than_in_netramesh(name: str, end: str) -> None:
    (row,) = [line for line in markdown().splitlines() if line.startswith(f"| `{name}`")]

    assert row.endswith(end)
