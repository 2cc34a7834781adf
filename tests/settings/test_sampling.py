import pytest

from netra_node.core.sampling import NAMES, sampler_from
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment
from netra_node.settings.formats import Endpoint
from netra_node.settings.sampling import REMOTE, RemoteSettings, SamplingSettings, sampling

AGENT = Endpoint(False, "localhost", 5778, "/sampling")


def read(**mapping: str) -> SamplingSettings:
    env = Environment(mapping)
    found = sampling(env)
    assert env.problems == []
    return found


def problems(**mapping: str) -> list[str]:
    env = Environment(mapping)
    sampling(env)
    return [str(problem) for problem in env.problems]


def warnings(**mapping: str) -> list[str]:
    env = Environment(mapping)
    sampling(env)
    return env.warnings


def test_unset_every_trace_is_recorded_unless_its_sender_decided_otherwise() -> None:
    assert read() == SamplingSettings("parentbased_always_on", 1)
    assert warnings() == []


def test_a_ratio_sampler_takes_its_ratio() -> None:
    found = read(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")

    assert found == SamplingSettings("traceidratio", 0.25)


def test_it_reads_as_a_person_would_say_it() -> None:
    assert str(read()) == "parentbased_always_on"
    assert str(read(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.25")) == (
        "traceidratio 0.25"
    )
    assert str(read(JAEGER_SAMPLER_TYPE="ratelimiting", JAEGER_SAMPLER_PARAM="2")) == (
        "ratelimiting 2"
    )
    endpoint = "http://jaeger:5778/sampling?token=secret"
    remote = read(JAEGER_SAMPLER_TYPE="remote", JAEGER_SAMPLING_ENDPOINT=endpoint)
    assert str(remote) == "remote, by http://jaeger:5778/sampling; 0 until that answers"


def test_a_ratio_for_another_sampler_is_a_warning() -> None:
    assert warnings(OTEL_TRACES_SAMPLER_ARG="0.25") == [
        "OTEL_TRACES_SAMPLER_ARG means nothing to parentbased_always_on"
    ]


@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("const", "1"),
        ("Const", "0"),
        ("CONST", "-1"),
        ("probabilistic", "0.25"),
        ("ratelimiting", "2.5"),
        ("rateLimiting", "1e-3"),
    ],
)
def test_jaegers_samplers_take_their_parameter(kind: str, param: str) -> None:
    found = read(JAEGER_SAMPLER_TYPE=kind, JAEGER_SAMPLER_PARAM=param)

    assert found == SamplingSettings(kind.lower(), float(param))


@pytest.mark.parametrize("kind", ["const", "probabilistic", "ratelimiting"])
def test_without_a_parameter_it_is_zero_as_in_netramesh_and_that_is_told(kind: str) -> None:
    assert read(JAEGER_SAMPLER_TYPE=kind) == SamplingSettings(kind, 0)
    assert warnings(JAEGER_SAMPLER_TYPE=kind) == [
        f"JAEGER_SAMPLER_PARAM is not set: it is 0, and {kind} samples next to nothing"
    ]


@pytest.mark.parametrize(
    ("kind", "param", "most"),
    [
        ("probabilistic", "1.5", "1"),
        ("probabilistic", "-0.5", "1"),
        ("remote", "2", "1"),
        ("ratelimiting", "-1", "1e+09"),
    ],
)
def test_a_parameter_is_checked_by_type(kind: str, param: str, most: str) -> None:
    assert problems(JAEGER_SAMPLER_TYPE=kind, JAEGER_SAMPLER_PARAM=param) == [
        (
            f"JAEGER_SAMPLER_PARAM={param} is out of range for JAEGER_SAMPLER_TYPE={kind}; "
            f"it takes a number, 0..{most}"
        )
    ]


def test_a_parameter_that_is_no_number_is_refused() -> None:
    assert problems(JAEGER_SAMPLER_TYPE="const", JAEGER_SAMPLER_PARAM="yes") == [
        "JAEGER_SAMPLER_PARAM='yes': not a number; it takes a number"
    ]


def test_an_unknown_type_is_refused_with_those_there_are() -> None:
    assert problems(JAEGER_SAMPLER_TYPE="all") == [
        "JAEGER_SAMPLER_TYPE='all': not one of them; it takes const or probabilistic or ratelimiting or remote"
    ]


def test_two_samplers_are_a_problem_that_names_both_variables() -> None:
    assert problems(OTEL_TRACES_SAMPLER="always_on", JAEGER_SAMPLER_TYPE="remote") == [
        "OTEL_TRACES_SAMPLER and JAEGER_SAMPLER_TYPE are both set; one of them names the sampler"
    ]


def test_a_parameter_without_a_type_is_a_warning() -> None:
    assert read(JAEGER_SAMPLER_PARAM="1").name == "parentbased_always_on"
    assert warnings(JAEGER_SAMPLER_PARAM="1") == [
        "JAEGER_SAMPLER_PARAM means nothing without JAEGER_SAMPLER_TYPE"
    ]


def test_a_remote_sampler_asks_the_agent_on_this_node_each_minute() -> None:
    assert read(JAEGER_SAMPLER_TYPE="remote") == SamplingSettings(
        "remote", 0, RemoteSettings(AGENT, 60, 2000)
    )
    assert warnings(JAEGER_SAMPLER_TYPE="remote") == []


def test_a_remote_samplers_parameter_is_its_initial_share() -> None:
    assert read(JAEGER_SAMPLER_TYPE="remote", JAEGER_SAMPLER_PARAM="0.1").param == 0.1


@pytest.mark.parametrize(
    ("mapping", "endpoint"),
    [
        (
            {"JAEGER_SAMPLER_MANAGER_HOST_PORT": "http://j:5778/s"},
            Endpoint(False, "j", 5778, "/s"),
        ),
        (
            {"JAEGER_AGENT_HOST": "agent"},
            Endpoint(False, "agent", 5778, "/sampling"),
        ),
        (
            {"JAEGER_AGENT_HOST": "agent", "JAEGER_SAMPLER_MANAGER_HOST_PORT": "http://j/s"},
            Endpoint(False, "j", 80, "/s"),
        ),
        (
            {"JAEGER_SAMPLER_MANAGER_HOST_PORT": "j:5778"},
            Endpoint(False, "j", 5778, "/sampling"),
        ),
        (
            {
                "JAEGER_SAMPLER_MANAGER_HOST_PORT": "j:5778",
                "JAEGER_SAMPLING_ENDPOINT": "https://c/api/sampling",
            },
            Endpoint(True, "c", 443, "/api/sampling"),
        ),
    ],
)
def test_strategies_come_from_the_newer_name_before_the_older(
    mapping: dict[str, str], endpoint: Endpoint
) -> None:
    found = read(JAEGER_SAMPLER_TYPE="remote", **mapping)

    assert found.remote is not None
    assert found.remote.endpoint == endpoint


def test_how_often_and_how_many_operations_can_be_set() -> None:
    found = read(
        JAEGER_SAMPLER_TYPE="remote",
        JAEGER_SAMPLER_REFRESH_INTERVAL="1m30s",
        JAEGER_SAMPLER_MAX_OPERATIONS="50",
    )

    assert found.remote == RemoteSettings(AGENT, 90, 50)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAEGER_SAMPLING_ENDPOINT", "http://c/"),
        ("JAEGER_SAMPLER_MANAGER_HOST_PORT", "http://c/"),
        ("JAEGER_SAMPLER_MAX_OPERATIONS", "1"),
        ("JAEGER_SAMPLER_REFRESH_INTERVAL", "1s"),
    ],
)
def test_what_only_the_remote_sampler_reads_is_a_warning_without_it(name: str, value: str) -> None:
    mapping = {name: value, "JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "1"}

    assert warnings(**mapping) == [f"{name} means nothing without JAEGER_SAMPLER_TYPE=remote"]
    assert read(**mapping).remote is None


@pytest.mark.parametrize(
    "name", sorted({*v.SAMPLERS, "const", "probabilistic", "ratelimiting", REMOTE} - {REMOTE})
)
def test_every_name_that_may_be_set_is_a_sampler(name: str) -> None:
    assert name in NAMES
    sampler_from(name, 0.5)
