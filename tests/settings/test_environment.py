"""The specification of `netra_node.settings.environment`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.settings import formats, variables
from netra_node.settings.environment import Environment, is_service_link
from netra_node.settings.variables import Format, Origin, Variable

NUMBER = Variable("NETRA_NUMBER", Format(formats.integer(0, 9), "0..9"), "5", ".", Origin.NEW)
ALIASED = Variable(
    "NETRA_A", Format(formats.integer(0, 9), "0..9"), "5", ".", Origin.NEW, alias="NETRA_B"
)
SECRET = Variable("NETRA_SECRET", Format(formats.pairs, "pairs"), "", ".", Origin.NEW, secret=True)
URL = Variable("NETRA_URL", Format(formats.endpoint, "a URL"), "", ".", Origin.NEW)


def problems(env: Environment) -> list[str]:
    return [str(problem) for problem in env.problems]


def test_a_value_is_read_without_the_blanks_around_it() -> None:
    assert Environment({"NETRA_NUMBER": " 7 "}).value(NUMBER) == 7


@pytest.mark.parametrize("mapping", [{}, {"NETRA_NUMBER": ""}, {"NETRA_NUMBER": "  "}])
def test_empty_is_unset_and_unset_is_the_default(mapping: dict[str, str]) -> None:
    assert Environment(mapping).value(NUMBER) == 5


def test_optional_looks_at_no_default() -> None:
    assert Environment({}).optional(NUMBER) is None


def test_a_problem_names_variable_value_and_what_it_takes() -> None:
    env = Environment({"NETRA_NUMBER": "ten"})

    assert env.value(NUMBER) == 5
    assert problems(env) == ["NETRA_NUMBER='ten': not a decimal integer; it takes 0..9"]


def test_a_long_value_is_not_shown_whole() -> None:
    env = Environment({"NETRA_NUMBER": "x" * 5000})
    env.value(NUMBER)

    assert len(problems(env)[0]) < 250


def test_a_secret_is_never_shown() -> None:
    env = Environment({"NETRA_SECRET": "hunter2"})
    env.optional(SECRET)

    assert problems(env) == ["NETRA_SECRET: item 1 is not key=value; it takes pairs"]


def test_of_a_url_neither_password_nor_query_is_shown() -> None:
    env = Environment({"NETRA_URL": "ftp://me:hunter2@c/a?token=hunter3"})
    env.optional(URL)

    assert problems(env) == [
        "NETRA_URL='ftp://***@c/a': not an http:// or https:// URL; it takes a URL"
    ]


def test_an_alias_is_the_same_setting() -> None:
    env = Environment({"NETRA_B": "3"})

    assert env.value(ALIASED) == 3
    assert env.is_set(ALIASED)


def test_a_variable_and_its_alias_may_agree() -> None:
    env = Environment({"NETRA_A": "3", "NETRA_B": "03"})

    assert env.value(ALIASED) == 3
    assert not env.problems


def test_a_variable_and_its_alias_may_not_differ() -> None:
    env = Environment({"NETRA_A": "3", "NETRA_B": "4"})
    env.value(ALIASED)

    assert problems(env) == ["NETRA_A and NETRA_B are set and differ; they are one setting"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NETRA_SERVICE_HOST", "10.0.0.1"),
        ("NETRA_SERVICE_PORT", "80"),
        ("NETRA_SERVICE_PORT_HTTP", "80"),
        ("NETRA_PORT", "tcp://10.0.0.1:80"),
        ("NETRA_PORT", "udp://10.0.0.1:80"),
        ("NETRA_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("NETRA_PORT_80_TCP_PROTO", "tcp"),
        ("NETRA_PORT_80_TCP_PORT", "80"),
        ("NETRA_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("JAEGER_AGENT_PORT", "tcp://10.0.0.1:6831"),
    ],
)
def test_what_kubernetes_sets_for_a_service_is_a_service_link(name: str, value: str) -> None:
    assert is_service_link(name, value)


@pytest.mark.parametrize("variable", variables.VARIABLES, ids=lambda v: v.name)
def test_no_setting_is_mistaken_for_a_service_link(variable: Variable[object]) -> None:
    assert not is_service_link(variable.name, variable.default or "80")


def test_a_service_link_that_shadows_a_setting_leaves_it_unset() -> None:
    env = Environment({"NETRA_PORT": "tcp://10.0.0.1:14956"})

    assert env.value(variables.PORT) == 14956
    assert not env.is_set(variables.PORT)


def test_an_unknown_name_is_a_warning_with_the_nearest_known_one() -> None:
    env = Environment({"NETRA_NUMBRE": "hunter2"})
    env.warn_of_unknown([NUMBER])

    assert env.warnings == [
        "NETRA_NUMBRE is not a setting of this version; did you mean NETRA_NUMBER?"
    ]


def test_an_unknown_name_that_resembles_nothing_gets_no_guess() -> None:
    env = Environment({"JAEGER_AGENT_HOST": "jaeger"})
    env.warn_of_unknown([NUMBER])

    assert env.warnings == ["JAEGER_AGENT_HOST is not a setting of this version"]


@pytest.mark.parametrize(
    "name", ["PATH", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_METRICS_EXPORTER", "NETRA_B"]
)
def test_names_that_are_known_or_meant_for_others_are_no_warning(name: str) -> None:
    env = Environment({name: "1"})
    env.warn_of_unknown([NUMBER, ALIASED])

    assert env.warnings == []


@given(
    st.dictionaries(st.sampled_from([v.name for v in variables.VARIABLES]), st.text(max_size=40))
)
def test_any_environment_is_read_without_an_exception(mapping: dict[str, str]) -> None:
    env = Environment(mapping)

    for variable in variables.VARIABLES:
        env.optional(variable)

    assert len(env.problems) <= len(mapping)


def test_the_source_is_the_name_that_was_set() -> None:
    assert Environment({}).source(ALIASED) is None
    assert Environment({"NETRA_B": "1"}).source(ALIASED) == "NETRA_B"
    assert Environment({"NETRA_A": "1", "NETRA_B": "1"}).source(ALIASED) == "NETRA_A"


def test_shown_is_what_was_written_or_the_default() -> None:
    assert Environment({}).shown(NUMBER) == "5"
    assert Environment({"NETRA_NUMBER": " ten "}).shown(NUMBER) == "ten"


def test_neither_secrets_nor_what_a_url_may_hide_are_shown() -> None:
    env = Environment({"NETRA_SECRET": "a=hunter2", "NETRA_URL": "http://hunter2@c/?hunter2"})

    assert env.shown(SECRET) == "(hidden)"
    assert env.shown(URL) == "http://***@c/"
