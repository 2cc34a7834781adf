"""The specification of `netra_node.settings.exporting`."""

import pytest

from netra_node.settings.exporting import (
    AgentSettings,
    ExporterSettings,
    JaegerSettings,
    OtlpSettings,
    PluginSettings,
)
from netra_node.settings.formats import Endpoint
from netra_node.settings.model import Settings, SettingsError

INSTALLED = ("console", "jaeger_thrift")


def read(**mapping: str) -> Settings:
    return Settings.from_env(
        {"NETRA_POD_SOURCE": "file:///pods.json", **mapping}, lambda: INSTALLED
    )


def problems(**mapping: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(**mapping)
    return [str(problem) for problem in caught.value.problems]


def only(**mapping: str) -> ExporterSettings:
    (found,) = read(**mapping).exporters
    return found


def otlp(**mapping: str) -> OtlpSettings:
    found = only(**mapping)
    assert isinstance(found, OtlpSettings)
    return found


def agent(**mapping: str) -> AgentSettings:
    found = only(**{"JAEGER_AGENT_HOST": "a", **mapping})
    assert isinstance(found, AgentSettings)
    return found


def collector(**mapping: str) -> JaegerSettings:
    found = only(**{"JAEGER_ENDPOINT": "http://c:14268/api/traces", **mapping})
    assert isinstance(found, JaegerSettings)
    return found


# Which


def test_without_an_endpoint_nothing_is_exported() -> None:
    assert read().exporters == ()


@pytest.mark.parametrize(
    ("mapping", "endpoint"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
            Endpoint(False, "c", 4318, "/v1/traces"),
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/in"},
            Endpoint(True, "c", 443, "/in"),
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/in",
            },
            Endpoint(False, "b", 80, "/in"),
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp"},
            Endpoint(False, "localhost", 4318, "/v1/traces"),
        ),
    ],
)
def test_an_otlp_endpoint_or_the_exporters_name_turns_otlp_on(
    mapping: dict[str, str], endpoint: Endpoint
) -> None:
    assert otlp(**mapping).endpoint == endpoint


@pytest.mark.parametrize(
    ("mapping", "place"),
    [
        ({"JAEGER_AGENT_HOST": "a"}, "udp://a:6831"),
        ({"JAEGER_AGENT_PORT": "7831"}, "udp://localhost:7831"),
        ({"JAEGER_AGENT_HOST": "[fd00::1]"}, "udp://[fd00::1]:6831"),
        ({"JAEGER_ENDPOINT": "http://c/api/traces?x=1"}, "http://c:80/api/traces"),
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "udp://localhost:6831"),
        ({"OTEL_TRACES_EXPORTER": "Jaeger"}, "udp://localhost:6831"),
    ],
)
def test_a_variable_of_jaegers_or_its_name_turns_jaeger_on(
    mapping: dict[str, str], place: str
) -> None:
    assert str(only(**mapping)) == place


def test_the_list_of_exporters_is_a_list() -> None:
    found = read(
        OTEL_TRACES_EXPORTER="jaeger,otlp,console",
        JAEGER_AGENT_HOST="a",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c",
    ).exporters

    assert list(map(str, found)) == [
        "udp://a:6831",
        "http://c:80/v1/traces",
        "SDK exporter console",
    ]


@pytest.mark.parametrize("jaeger", ["JAEGER_AGENT_HOST", "JAEGER_ENDPOINT"])
def test_endpoints_of_both_kinds_without_the_list_are_a_problem_that_names_both(
    jaeger: str,
) -> None:
    value = "http://j/api/traces" if jaeger == "JAEGER_ENDPOINT" else "j"

    assert problems(**{jaeger: value, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/in"}) == [
        (
            f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and {jaeger} are both set; "
            "OTEL_TRACES_EXPORTER says which counts, or otlp,jaeger"
        )
    ]


def test_the_list_decides_where_endpoints_of_both_kinds_are_set() -> None:
    both = {"JAEGER_AGENT_HOST": "j", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}

    assert isinstance(only(OTEL_TRACES_EXPORTER="jaeger", **both), AgentSettings)
    assert isinstance(only(OTEL_TRACES_EXPORTER="otlp", **both), OtlpSettings)


def test_what_an_exporter_that_is_off_would_read_is_a_warning() -> None:
    found = read(OTEL_TRACES_EXPORTER="otlp", JAEGER_AGENT_HOST="a", JAEGER_TAGS="a=b").warnings

    assert found == (
        "JAEGER_AGENT_HOST means nothing without exporter jaeger",
        "JAEGER_TAGS means nothing without exporter jaeger",
    )


@pytest.mark.parametrize(
    "endpoint", [{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, {"JAEGER_AGENT_HOST": "j"}]
)
def test_exporter_none_wins_over_an_endpoint(endpoint: dict[str, str]) -> None:
    assert read(OTEL_TRACES_EXPORTER="none", **endpoint).exporters == ()


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED", "JAEGER_DISABLED"])
def test_what_is_disabled_exports_nothing(variable: str) -> None:
    assert read(OTEL_TRACES_EXPORTER="jaeger,otlp", **{variable: "true"}).exporters == ()


def test_an_exporter_of_the_sdk_is_known_by_its_entry_point() -> None:
    found = only(OTEL_TRACES_EXPORTER="jaeger_thrift")

    assert isinstance(found, PluginSettings)
    assert found.name == "jaeger_thrift"


def test_one_that_is_not_installed_is_a_problem_that_names_those_that_are() -> None:
    assert problems(OTEL_TRACES_EXPORTER="zipkin") == [
        (
            "OTEL_TRACES_EXPORTER='zipkin': no such exporter is installed; "
            "it takes otlp, jaeger, none, console, jaeger_thrift"
        )
    ]


def test_what_is_installed_is_not_asked_for_nothing() -> None:
    def fail() -> tuple[str, ...]:
        pytest.fail("asked")

    mapping = {"NETRA_POD_SOURCE": "file:///p", "OTEL_TRACES_EXPORTER": "otlp,jaeger"}
    assert len(Settings.from_env(mapping, fail).exporters) == 2


def test_what_cannot_be_a_name_is_refused() -> None:
    (problem,) = problems(OTEL_TRACES_EXPORTER="otlp,a b")

    assert problem.startswith("OTEL_TRACES_EXPORTER='otlp,a b': not the name of an exporter; it ")


# OTLP


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]
)
def test_grpc_is_refused_also_when_nothing_is_exported(name: str) -> None:
    assert problems(**{name: "grpc"}) == [f"{name}='grpc': not one of them; it takes http/protobuf"]


def test_variables_for_traces_win_over_those_for_all_signals() -> None:
    found = otlp(
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_HEADERS="a=1",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="b=2",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="2",
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="gzip",
    )

    assert (found.headers, found.timeout_ms, found.gzip) == ((("b", "2"),), 2, True)


def test_variables_for_all_signals_hold_for_traces() -> None:
    found = otlp(
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_HEADERS="a=1",
        OTEL_EXPORTER_OTLP_TIMEOUT="3",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )

    assert (found.headers, found.timeout_ms, found.gzip) == ((("a", "1"),), 3, True)


@pytest.mark.parametrize("name", ["otlp", "jaeger", "console"])
def test_an_exporters_defaults_are_small_and_patient(name: str) -> None:
    limits = only(OTEL_TRACES_EXPORTER=name).limits

    assert (limits.delay, limits.queue, limits.batch) == (1.0, 8192, 512)


def test_otlps_own_defaults_are_the_specifications() -> None:
    found = otlp(OTEL_TRACES_EXPORTER="otlp")

    assert (found.timeout_ms, found.gzip) == (10_000, False)


def test_a_batch_fits_the_queue() -> None:
    assert problems(OTEL_BSP_MAX_QUEUE_SIZE="10", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="20") == [
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE and OTEL_BSP_MAX_QUEUE_SIZE are 20 and 10; "
            "a batch fits the queue"
        )
    ]


def test_exporter_headers_are_not_part_of_what_is_printed() -> None:
    settings = read(OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_HEADERS="authorization=hunter2")

    assert "hunter2" not in repr(settings)


# Jaeger


@pytest.mark.parametrize(
    "exporter",
    [{"OTEL_TRACES_EXPORTER": "otlp"}, {"JAEGER_ENDPOINT": "http://c:14268/api/traces"}],
)
def test_an_agent_that_tells_how_to_sample_means_something(exporter: dict[str, str]) -> None:
    mapping = {**exporter, "JAEGER_SAMPLER_TYPE": "remote", "JAEGER_AGENT_HOST": "a"}

    assert read(**mapping).warnings == ()


def test_the_collector_wins_over_the_agent_with_a_warning() -> None:
    mapping = {"JAEGER_ENDPOINT": "http://c/api/traces", "JAEGER_AGENT_HOST": "a"}

    assert isinstance(only(**mapping), JaegerSettings)
    assert read(**mapping).warnings == ("JAEGER_AGENT_HOST means nothing beside JAEGER_ENDPOINT",)


def test_the_collectors_url_is_used_as_it_is() -> None:
    found = collector(JAEGER_ENDPOINT="https://c/x/api/traces?format=jaeger.thrift")

    assert found.endpoint == Endpoint(True, "c", 443, "/x/api/traces?format=jaeger.thrift")
    assert found.credentials is None


def test_credentials_come_in_two_variables_or_in_the_url() -> None:
    url = "http://me:p%40ss:word@c/api/traces"

    assert collector(JAEGER_ENDPOINT=url).credentials == ("me", "p@ss:word")
    assert collector(JAEGER_ENDPOINT=url).endpoint == Endpoint(False, "c", 80, "/api/traces")
    pair = {"JAEGER_USER": "you", "JAEGER_PASSWORD": "hunter2"}
    assert collector(**pair).credentials == ("you", "hunter2")
    assert collector(JAEGER_ENDPOINT=url, **pair).credentials == ("you", "hunter2")


def test_credentials_are_not_part_of_what_is_printed() -> None:
    found = read(
        JAEGER_ENDPOINT="http://me:hunter3@c/api/traces",
        JAEGER_USER="you",
        JAEGER_PASSWORD="hunter2",
    )

    assert "hunter" not in repr(found) + str(found.exporters[0])


@pytest.mark.parametrize("name", ["JAEGER_USER", "JAEGER_PASSWORD"])
def test_one_credential_alone_is_a_problem(name: str) -> None:
    assert problems(**{"JAEGER_ENDPOINT": "http://c/api/traces", name: "hunter2"}) == [
        "JAEGER_USER and JAEGER_PASSWORD: one of them is set; they take both or neither"
    ]


def test_credentials_without_a_collector_are_a_warning() -> None:
    found = read(JAEGER_AGENT_HOST="a", JAEGER_USER="you", JAEGER_PASSWORD="hunter2").warnings

    assert found == (
        "JAEGER_USER means nothing without JAEGER_ENDPOINT",
        "JAEGER_PASSWORD means nothing without JAEGER_ENDPOINT",
    )


@pytest.mark.parametrize(
    ("mapping", "interval"),
    [
        ({}, 30.0),
        ({"JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL": "1m"}, 60.0),
        ({"JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL": "0"}, 1.0),
        ({"JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL": "100h"}, 3600.0),
        ({"JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED": "T"}, None),
    ],
)
def test_the_agents_name_is_asked_for_as_often_as_said(
    mapping: dict[str, str], interval: float | None
) -> None:
    assert agent(**mapping).interval == interval


@pytest.mark.parametrize(
    ("mapping", "limits"),
    [
        ({"JAEGER_REPORTER_MAX_QUEUE_SIZE": "100"}, (100, 100, 1.0)),
        ({"JAEGER_REPORTER_MAX_QUEUE_SIZE": "5000"}, (5000, 512, 1.0)),
        ({"JAEGER_REPORTER_MAX_QUEUE_SIZE": "0"}, (8192, 512, 1.0)),
        ({"JAEGER_REPORTER_MAX_QUEUE_SIZE": "-1"}, (8192, 512, 1.0)),
        ({"JAEGER_REPORTER_MAX_QUEUE_SIZE": "9" * 9}, (100_000, 512, 1.0)),
        ({"JAEGER_REPORTER_FLUSH_INTERVAL": "250ms"}, (8192, 512, 0.25)),
        ({"JAEGER_REPORTER_FLUSH_INTERVAL": "0"}, (8192, 512, 1.0)),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "600", "OTEL_BSP_SCHEDULE_DELAY": "50"}, (600, 512, 0.05)),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "600", "JAEGER_REPORTER_MAX_QUEUE_SIZE": "1000"},
            (1000, 512, 1.0),
        ),
    ],
)
def test_jaegers_queue_is_opentelemetrys_unless_it_has_its_own(
    mapping: dict[str, str], limits: tuple[int, int, float]
) -> None:
    found = agent(**mapping).limits

    assert (found.queue, found.batch, found.delay) == limits


def test_jaegers_queue_is_not_otlps() -> None:
    both = read(OTEL_TRACES_EXPORTER="otlp,jaeger", JAEGER_REPORTER_MAX_QUEUE_SIZE="100").exporters

    assert [exporter.limits.queue for exporter in both] == [8192, 100]


def test_logging_spans_has_no_effect_and_that_is_told() -> None:
    assert read(JAEGER_AGENT_HOST="a", JAEGER_REPORTER_LOG_SPANS="1").warnings == (
        "JAEGER_REPORTER_LOG_SPANS has no effect: spans are sent",
    )


def test_tags_may_be_taken_from_the_environment() -> None:
    tags = "zone = b, pod=${POD_NAME:none},node=${NODE:?}, empty=${NODE:},url=http://x/?a=b"

    assert agent(JAEGER_TAGS=tags, POD_NAME="orders-1").tags == (
        ("zone", "b"),
        ("pod", "orders-1"),
        ("node", "?"),
        ("empty", ""),
        ("url", "http://x/?a=b"),
    )


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ("a=b,c", "item 2 is not key=value"),
        ("=b", "item 1 is not key=value"),
        ("a=${X}", "item 1 is not key=${NAME:default}"),
        ("a=${:x}", "item 1 is not key=${NAME:default}"),
    ],
)
def test_malformed_tags_are_a_problem_and_no_crash(tags: str, why: str) -> None:
    (problem,) = problems(JAEGER_AGENT_HOST="a", JAEGER_TAGS=tags)

    assert problem == (f"JAEGER_TAGS={tags!r}: {why}; it takes key=value,key2=${{NAME:default}}")


def test_a_variable_that_holds_what_no_tag_may_is_a_problem_without_its_value() -> None:
    (problem,) = problems(JAEGER_AGENT_HOST="a", JAEGER_TAGS="a=${X:}", X="b\x1bhunter2")

    assert problem == "JAEGER_TAGS: what is in X holds control characters or is too long"


def test_a_service_link_is_no_port() -> None:
    assert read(JAEGER_AGENT_PORT="tcp://10.0.0.1:6831").exporters == ()
