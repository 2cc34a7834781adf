"""The specification of `netra_node.settings.model`."""

import logging
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.desired import InboundMode, PodOptions
from netra_node.core.ports import parse
from netra_node.settings.formats import PathRules
from netra_node.settings.model import KubeletSettings, LimitSettings, Settings, SettingsError
from netra_node.settings.sampling import SamplingSettings
from netra_node.settings.variables import VARIABLES, Variable
from netra_node.telemetry.schemas import SpanOptions
from netra_node.telemetry.statsd import StatsdServer


def read(**mapping: str) -> Settings:
    return Settings.from_env({"NETRA_POD_SOURCE": "file:///pods.json", **mapping})


def problems(**mapping: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(**mapping)
    return [str(problem) for problem in caught.value.problems]


def test_a_pods_file_is_all_that_must_be_set() -> None:
    assert read().pods.source == Path("/pods.json")


def test_a_missing_pod_source_is_a_problem_that_says_what_it_takes() -> None:
    assert problems(NETRA_POD_SOURCE="") == [
        "NETRA_POD_SOURCE is not set; it takes kubelet or file:///PATH"
    ]


def kubelet(**mapping: str) -> KubeletSettings:
    source = read(NETRA_POD_SOURCE="kubelet", **mapping).pods.source
    assert isinstance(source, KubeletSettings)
    return source


def test_the_kubelet_is_asked_on_loopback_with_the_service_accounts_token() -> None:
    access = kubelet().access

    assert (access.url, access.verifies) == ("https://127.0.0.1:10250", False)
    assert access.token == Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def test_in_a_cluster_pods_come_from_the_kubelet_where_nothing_else_is_said() -> None:
    in_cluster = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}

    assert read(NETRA_POD_SOURCE="", **in_cluster).pods.source == kubelet()
    assert read(**in_cluster).pods.source == Path("/pods.json")


def test_namespaces_are_looked_for_where_runtimes_keep_them() -> None:
    found = kubelet()

    assert found.cni_results == (
        Path("/var/lib/cni/results"),
        Path("/var/lib/cni/cache/results"),
    )
    assert found.netns_directory == Path("/run/netns")
    assert read().proc == Path("/proc")


def test_where_the_daemon_sees_the_node_can_be_said() -> None:
    found = kubelet(NETRA_CNI_RESULTS="/host/cni", NETRA_NETNS_DIRECTORY="/host/netns")

    assert found.cni_results == (Path("/host/cni"),)
    assert found.netns_directory == Path("/host/netns")
    assert read(NETRA_PROC="/host/proc").proc == Path("/host/proc")


def test_a_kubelet_on_another_host_must_prove_who_it_is() -> None:
    url = {"NETRA_KUBELET_URL": "https://node1:10250"}

    (problem,) = problems(**url)

    assert problem == (
        "NETRA_KUBELET_URL='https://node1:10250' is another host, which could be anybody; "
        "it takes NETRA_KUBELET_CA, or NETRA_KUBELET_INSECURE=true"
    )
    assert kubelet(NETRA_KUBELET_CA="/ca.pem", **url).access.authorities == Path("/ca.pem")
    assert not kubelet(NETRA_KUBELET_INSECURE="true", **url).access.verifies


def test_the_read_only_port_needs_no_proof_as_it_gets_no_token() -> None:
    assert not kubelet(NETRA_KUBELET_URL="http://node1:10255").access.secure


def test_every_problem_is_told_at_once() -> None:
    found = problems(NETRA_PORT="x", NETRA_HTTP_PORTS="80,y", OTEL_TRACES_SAMPLER="maybe")

    assert [text.partition("=")[0] for text in found] == [
        "NETRA_HTTP_PORTS",
        "NETRA_PORT",
        "OTEL_TRACES_SAMPLER",
    ]


def test_the_error_has_a_line_for_each_problem() -> None:
    with pytest.raises(SettingsError) as caught:
        read(NETRA_PORT="x", NETRA_INBOUND_PORT="y")

    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda v: v.name)
def test_a_problem_is_told_once(variable: Variable[object]) -> None:
    """A line break is in no format."""
    found = problems(**{variable.name: "a\nb"})

    assert len(found) == 1
    assert found[0].startswith(variable.name)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        read().drain_ms = 1  # type: ignore[misc]


def test_oddities_are_warnings() -> None:
    assert read(NETRA_PORTS="1").warnings == (
        "NETRA_PORTS is not a setting of this version; did you mean NETRA_PORT?",
    )


def test_a_plain_environment_has_no_warning() -> None:
    assert read(PATH="/bin", HOME="/root").warnings == ()


# Pods


def test_the_opt_in_label_is_a_key_and_a_value() -> None:
    assert read(NETRA_OPT_IN_LABEL="mesh=on").pods.opt_in == ("mesh", "on")


def test_http_ports_unset_means_every_port_is_looked_at() -> None:
    assert read().pods.options.http_ports is None


def test_http_ports_may_be_named() -> None:
    assert read(NETRA_HTTP_PORTS="80, 8000-8010").pods.options.http_ports == parse("80,8000-8010")


def test_everything_is_captured_unless_told_otherwise() -> None:
    assert read().pods.options == PodOptions()


def test_what_is_captured_has_netrameshs_names() -> None:
    options = read(
        INBOUND_INTERCEPT_PORTS=" 80 , 8000:8010",
        OUTBOUND_INTERCEPT_PORTS="*",
        NETRA_INBOUND_PROBABILITY="0.5",
        NETRA_OUTBOUND_PROBABILITY="0",
        NETRA_SIDECAR_USER_ID="1337",
        NETRA_SIDECAR_GROUP_ID="0",
    ).pods.options

    assert options == PodOptions(
        inbound_ports=parse("80,8000-8010"),
        inbound_probability=0.5,
        outbound_probability=0.0,
        exempt_user=1337,
        exempt_group=0,
    )


def test_the_inbound_mode_is_the_nodes_choice() -> None:
    assert read(NETRA_INBOUND_MODE="Redirect").pods.options.inbound_mode is InboundMode.REDIRECT


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        (
            "INBOUND_INTERCEPT_PORTS",
            "http",
            "'http' is no port and no range; it takes * for all, or",
        ),
        ("NETRA_OUTBOUND_PROBABILITY", "30", "out of range; it takes a number, 0..1"),
        (
            "NETRA_SIDECAR_USER_ID",
            "netra",
            "not a decimal integer; it takes a number, 0..4294967294",
        ),
        (
            "NETRA_SIDECAR_GROUP_ID",
            "-1",
            "out of range; it takes a number, 0..4294967294, not a name",
        ),
        ("NETRA_INBOUND_MODE", "nat", "not one of them; it takes tproxy or redirect"),
    ],
)
def test_what_is_captured_is_told_in_what_it_takes(name: str, value: str, complaint: str) -> None:
    (problem,) = problems(**{name: value})

    assert problem.startswith(f"{name}={value!r}: {complaint}")


def test_a_service_name_may_be_a_template() -> None:
    template = read(JAEGER_SERVICE_NAME="{namespace}.{workload}").pods.service_template

    assert template is not None
    assert template.text == "{namespace}.{workload}"


def test_a_service_name_without_a_field_is_a_warning() -> None:
    assert read(JAEGER_SERVICE_NAME="shop").warnings == (
        "JAEGER_SERVICE_NAME has no {field}: all pods are one service",
    )


def test_resource_attributes_are_percent_decoded() -> None:
    assert read(OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=a%20b").pods.resource == (
        ("deployment.environment.name", "a b"),
    )


def test_a_service_name_for_all_pods_is_left_out_of_the_resource_with_a_warning() -> None:
    settings = read(OTEL_RESOURCE_ATTRIBUTES="service.name=all,a=b")

    assert settings.pods.resource == (("a", "b"),)
    assert "service.name" in settings.warnings[0]


def test_node_and_own_pod_are_empty_when_nobody_tells() -> None:
    assert (read().pods.node_name, read().pods.own_uid) == ("", "")


# Ports


def test_the_outbound_port_has_netrameshs_other_name() -> None:
    assert read(NETRA_SIDECAR_PORT="15000").ports.outbound == 15000


def test_the_two_names_of_the_outbound_port_may_not_differ() -> None:
    assert problems(NETRA_PORT="1", NETRA_SIDECAR_PORT="2") == [
        "NETRA_PORT and NETRA_SIDECAR_PORT are set and differ; they are one setting"
    ]


def test_the_listeners_of_a_pod_take_two_ports() -> None:
    assert problems(NETRA_INBOUND_PORT="14956") == [
        "NETRA_PORT and NETRA_INBOUND_PORT are both 14956; they take two different ports"
    ]


def test_the_listeners_of_the_node_take_two_ports() -> None:
    assert problems(NETRA_PPROF_PORT="14958") == [
        "NETRA_PROMETHEUS_PORT and NETRA_PPROF_PORT are both 14958; they take two different ports"
    ]


def test_the_listeners_of_the_node_may_both_be_any_free_port() -> None:
    ports = read(NETRA_PROMETHEUS_PORT="0", NETRA_PPROF_PORT="0").ports

    assert (ports.prometheus, ports.pprof) == (0, 0)


def test_a_port_inside_a_pod_is_never_any_free_one() -> None:
    assert problems(NETRA_PORT="0") == ["NETRA_PORT='0': out of range; it takes a port, 1..65535"]


def test_status_on_loopback_needs_no_word() -> None:
    assert read(NETRA_PPROF_ADDRESS="::1").warnings == ()


def test_status_shown_to_the_network_is_a_warning() -> None:
    assert read(NETRA_PPROF_ADDRESS="0.0.0.0").warnings == (
        "NETRA_PPROF_ADDRESS=0.0.0.0 shows status and traces to the network",
    )


# Tracing


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("jaeger,tracecontext", ("jaeger", "tracecontext")),
        ("tracecontext, baggage", ("tracecontext",)),
        ("none", ()),
    ],
)
def test_propagators_are_read_in_their_order(text: str, names: tuple[str, ...]) -> None:
    assert read(OTEL_PROPAGATORS=text).tracing.propagators == names


@pytest.mark.parametrize("variable", ["OTEL_PROPAGATORS", "OTEL_TRACES_EXPORTER"])
def test_none_stands_alone(variable: str) -> None:
    other = {"OTEL_PROPAGATORS": "jaeger", "OTEL_TRACES_EXPORTER": "otlp"}[variable]

    assert problems(**{variable: f"{other},none"}) == [
        f"{variable}='{other},none' says none and more; it takes none alone"
    ]


def test_an_unknown_propagator_is_refused_with_those_there_are() -> None:
    assert problems(OTEL_PROPAGATORS="ottrace") == [
        "OTEL_PROPAGATORS='ottrace': not one of them; it takes a list of tracecontext, jaeger, b3, b3multi, baggage, none"
    ]


@pytest.mark.parametrize(("text", "bits"), [("", 128), ("true", 128), ("false", 64)])
def test_ids_of_new_traces_may_have_64_bits(text: str, bits: int) -> None:
    assert read(JAEGER_TRACEID_128BIT=text).tracing.trace_id_bits == bits


def test_metrics_by_jaegers_name_are_told_to_have_no_effect() -> None:
    assert read(JAEGER_RPC_METRICS="true").warnings == (
        "JAEGER_RPC_METRICS has no effect: requests are counted",
    )
    assert read(JAEGER_RPC_METRICS="false").warnings == ()


@pytest.mark.parametrize(("text", "value"), [("7000", 7000), ("0", None), ("-1", None)])
def test_zero_or_less_means_that_links_never_expire(text: str, value: int | None) -> None:
    settings = read(NETRA_TRACING_CONTEXT_EXPIRATION_MILLISECONDS=text)

    assert settings.tracing.context_expiration_ms == value


def test_paths_can_be_ignored_whole_by_their_beginning_and_by_regexps() -> None:
    tracing = read(
        NETRA_HTTP_TRACING_IGNORED_PATHS="/a, /b/*",
        NETRA_HTTP_TRACING_IGNORED_PATTERNS=r"/u/\d+; .*\.css",
    ).tracing

    assert tracing.ignored_paths == PathRules(frozenset({"/a"}), ("/b/",))
    assert [pattern.pattern for pattern in tracing.ignored_patterns] == [r"/u/\d+", r".*\.css"]


def test_a_regexp_for_ignored_paths_that_can_explode_is_a_problem() -> None:
    (problem,) = problems(NETRA_HTTP_TRACING_IGNORED_PATTERNS="/ok;(a+)+$")

    assert "'(a+)+$': takes over 1 ms" in problem


def test_the_source_header_is_the_pods_business_unless_it_has_a_value() -> None:
    assert read().tracing.x_source_value is None
    assert read(NETRA_HTTP_X_SOURCE_VALUE="netra").tracing.x_source_value == "netra"


def test_two_headers_of_ours_have_two_names() -> None:
    assert problems(NETRA_HTTP_X_SOURCE_HEADER_NAME="x-request-id") == [
        (
            "NETRA_HTTP_REQUEST_ID_HEADER_NAME and NETRA_HTTP_X_SOURCE_HEADER_NAME "
            "are both 'x-request-id'; they take two different names"
        )
    ]


@pytest.mark.parametrize("variable", ["OTEL_SDK_DISABLED", "JAEGER_DISABLED"])
def test_disabled_it_leaves_trace_headers_alone_and_exports_nothing(variable: str) -> None:
    settings = read(
        **{variable: "true"},
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318",
        JAEGER_SAMPLER_TYPE="remote",
    )

    assert settings.tracing.propagators == ()
    assert settings.tracing.sampling == SamplingSettings("always_off", 0)
    assert settings.exporters == ()


def test_headers_and_cookies_become_tags() -> None:
    tracing = read(HTTP_HEADER_TAG_MAP="X-A:a", HTTP_COOKIE_TAG_MAP="sid:session").tracing

    assert (tracing.header_tags, tracing.cookie_tags) == (
        (("X-A", "a"),),
        (("sid", "session"),),
    )


def test_a_tag_that_means_nothing_is_skipped_with_a_warning() -> None:
    settings = read(HTTP_HEADER_TAG_MAP="X-A,X-B:b", HTTP_COOKIE_TAG_MAP="sid:http.host,a:url.path")

    assert settings.tracing.header_tags == (("X-B", "b"),)
    assert settings.tracing.cookie_tags == ()
    assert settings.warnings == (
        "HTTP_HEADER_TAG_MAP: 'X-A' is not name:tag; it is skipped",
        "HTTP_COOKIE_TAG_MAP: 'http.host' is a tag of every span; it is skipped",
        "HTTP_COOKIE_TAG_MAP: 'url.path' is a tag of every span; it is skipped",
    )


def test_how_spans_look_is_left_to_the_exporter_until_it_is_said() -> None:
    assert read().spans == SpanOptions()


def test_the_schema_and_the_collapsing_of_ids_can_be_said() -> None:
    spans = read(NETRA_SPAN_SCHEMA="Netramesh", NETRA_HTTP_PATH_COLLAPSE="true").spans

    assert (spans.schema, spans.path_collapse) == ("netramesh", True)


def test_disabled_it_still_names_what_is_wrong() -> None:
    assert len(problems(JAEGER_DISABLED="true", OTEL_SDK_DISABLED="yes")) == 1
    assert len(problems(JAEGER_DISABLED="true", JAEGER_SAMPLER_TYPE="all")) == 1


def test_path_templates_are_compiled() -> None:
    (template,) = read(NETRA_HTTP_PATH_TEMPLATES="/u/[^/]+=>/u/{name}").spans.path_templates

    assert template.pattern.sub(template.replacement, "/u/ann") == "/u/{name}"


def test_a_bad_path_template_is_a_problem() -> None:
    (problem,) = problems(NETRA_HTTP_PATH_TEMPLATES="[=>x")

    assert problem.startswith("NETRA_HTTP_PATH_TEMPLATES='[=>x': ")
    assert problem.endswith("it takes regexp=>replacement;...")


def test_a_path_template_that_can_explode_is_a_problem() -> None:
    (problem,) = problems(NETRA_HTTP_PATH_TEMPLATES="(a+)+$=>x")

    assert "over 1 ms" in problem


# Limits


def test_limits_have_defaults() -> None:
    assert read().limits == LimitSettings(
        head=65536, headers=200, pipelined=64, buffered=65536, connections=4096
    )


def test_a_limit_that_would_stop_ordinary_traffic_is_a_problem_with_what_it_takes() -> None:
    assert problems(NETRA_HTTP_MAX_HEAD_BYTES="100", NETRA_MAX_CONNECTIONS_PER_POD="0") == [
        "NETRA_HTTP_MAX_HEAD_BYTES='100': out of range; it takes bytes, 1024..1048576",
        "NETRA_MAX_CONNECTIONS_PER_POD='0': out of range; it takes a number, 1..1000000",
    ]


# The daemon


def test_the_log_is_text_unless_json_is_asked_for() -> None:
    assert read().log_format == "text"
    assert read(NETRA_LOGGER_FORMAT="JSON").log_format == "json"


def test_the_log_level_is_pythons() -> None:
    assert read(NETRA_LOGGER_LEVEL="WARN").log_level == logging.WARNING


def test_times_have_defaults() -> None:
    found = read()

    assert (found.heartbeat_ms, found.watchdog_ms, found.drain_ms) == (1000, 10_000, 20_000)


@given(
    st.dictionaries(
        st.sampled_from([variable.name for variable in VARIABLES]),
        st.one_of(st.text(max_size=30), st.sampled_from(["0", "1", "none", "true", "a=b", "{"])),
    )
)
def test_any_environment_is_settings_or_a_settings_error(mapping: dict[str, str]) -> None:
    try:
        settings = Settings.from_env(mapping)
    except SettingsError as error:
        assert error.problems  # noqa: PT017 - either ending is right
    else:
        assert settings.pods.source.is_absolute()


def test_statsd_is_told_nothing_unless_it_is_switched_on() -> None:
    assert read(NETRA_STATSD_ADDRESS="statsd:8125", NETRA_STATSD_PREFIX="shop").statsd is None


def test_statsd_has_an_address_and_a_prefix_with_its_dot() -> None:
    found = read(
        NETRA_STATSD_ENABLED="true", NETRA_STATSD_ADDRESS="statsd:8125", NETRA_STATSD_PREFIX="shop"
    )

    assert found.statsd == StatsdServer("statsd", 8125, "shop.")


def test_statsd_without_a_prefix_has_none() -> None:
    found = read(NETRA_STATSD_ENABLED="true", NETRA_STATSD_ADDRESS="statsd:8125")

    assert found.statsd == StatsdServer("statsd", 8125, "")


def test_statsd_without_an_address_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError, match=r"^NETRA_STATSD_ADDRESS is not set, .* host:port"):
        read(NETRA_STATSD_ENABLED="true")


def test_a_bad_address_of_statsd_is_told_once_and_also_where_it_is_not_used() -> None:
    for enabled in ("true", "false"):
        with pytest.raises(SettingsError) as caught:
            read(NETRA_STATSD_ENABLED=enabled, NETRA_STATSD_ADDRESS="statsd")
        assert len(caught.value.problems) == 1
