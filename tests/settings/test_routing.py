import pytest

from netra_node.settings.environment import Environment
from netra_node.settings.routing import RoutingSettings, routing

ON = {"NETRA_HTTP_ROUTING_ENABLED": "true"}
COMPLETE = {**ON, "NETRA_HTTP_PORTS": "80", "NETRA_HTTP_ROUTING_ALLOWED_HOSTS": "*.local"}


def read(**different: str) -> tuple[RoutingSettings | None, Environment]:
    env = Environment(different)
    return routing(env), env


def on(**different: str) -> RoutingSettings:
    found, env = read(**{**COMPLETE, **different})
    assert found is not None
    assert (env.problems, env.warnings) == ([], [])
    return found


def test_it_is_off_until_it_is_switched_on() -> None:
    assert read()[0] is None
    assert read(NETRA_HTTP_ROUTING_HEADER_NAME="Way")[0] is None


def test_netrameshs_defaults_hold() -> None:
    found = on()

    assert (found.header, found.cookie, found.expiration_ms) == ("X-Route", None, 5000)
    assert found.dns_search == (
        "{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local",
    )  # fmt: skip
    assert str(found.resolv_conf) == "/etc/resolv.conf"


def test_all_of_it_can_be_said() -> None:
    found = on(
        NETRA_HTTP_ROUTING_HEADER_NAME="Way",
        NETRA_HTTP_ROUTING_COOKIE_ENABLED="true",
        NETRA_HTTP_ROUTING_COOKIE_NAME="way",
        NETRA_ROUTING_CONTEXT_EXPIRATION_MILLISECONDS="0",
        NETRA_DNS_SEARCH="{namespace}.svc.c., svc.c",
        NETRA_RESOLV_CONF="/x/resolv.conf",
    )

    assert (found.header, found.cookie, found.expiration_ms) == ("Way", "way", None)
    assert found.dns_search == ("{namespace}.svc.c", "svc.c")
    assert str(found.resolv_conf) == "/x/resolv.conf"
    assert found.targets.permits("10.0.0.1", "b.local")
    assert not found.targets.permits("10.0.0.1", "b.example")


def test_without_named_ports_it_is_told_that_nothing_is_routed() -> None:
    _, env = read(**ON, NETRA_HTTP_ROUTING_ALLOWED_HOSTS="b")

    assert [line.split()[0] for line in env.warnings] == ["NETRA_HTTP_PORTS"]
    assert "netra.io/http-ports" in env.warnings[0]


def test_without_a_list_of_hosts_it_is_told_that_routes_may_lead_nearly_anywhere() -> None:
    found, env = read(**ON, NETRA_HTTP_PORTS="80")

    assert [line.split()[0] for line in env.warnings] == ["NETRA_HTTP_ROUTING_ALLOWED_HOSTS"]
    assert found is not None
    assert found.targets.permits("10.0.0.1", "b")
    assert not found.targets.permits("127.0.0.1", "b")


@pytest.mark.parametrize(
    "other", ["NETRA_HTTP_REQUEST_ID_HEADER_NAME", "NETRA_HTTP_X_SOURCE_HEADER_NAME"]
)
def test_one_name_cannot_be_two_headers(other: str) -> None:
    _, env = read(**{**COMPLETE, other: "x-route"})

    assert [problem.variable for problem in env.problems] == [
        f"{other} and NETRA_HTTP_ROUTING_HEADER_NAME"
    ]
    assert read(**{other: "x-route"})[1].problems == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NETRA_HTTP_ROUTING_ENABLED", "maybe"),
        ("NETRA_HTTP_ROUTING_HEADER_NAME", "Host"),
        ("NETRA_HTTP_ROUTING_COOKIE_ENABLED", "2"),
        ("NETRA_HTTP_ROUTING_COOKIE_NAME", "a=b"),
        ("NETRA_HTTP_ROUTING_ALLOWED_HOSTS", "10.0.0.300"),
        ("NETRA_ROUTING_CONTEXT_EXPIRATION_MILLISECONDS", "5s"),
        ("NETRA_ROUTING_CONTEXT_CLEANUP_INTERVAL", "1s"),
        ("NETRA_TRACING_CONTEXT_CLEANUP_INTERVAL", "1s"),
        ("NETRA_DNS_SEARCH", "a..b"),
        ("NETRA_DNS_SEARCH", "{pod}.local"),
        ("NETRA_RESOLV_CONF", "resolv.conf"),
    ],
)
def test_a_bad_value_is_told_also_where_nothing_is_routed(variable: str, value: str) -> None:
    _, env = read(**{variable: value})

    assert [problem.variable for problem in env.problems] == [variable]


@pytest.mark.parametrize("value", ["0", "-1", "1000", "60000"])
def test_intervals_of_cleaning_up_are_taken_and_have_no_effect(value: str) -> None:
    cleaning = {
        "NETRA_ROUTING_CONTEXT_CLEANUP_INTERVAL": value,
        "NETRA_TRACING_CONTEXT_CLEANUP_INTERVAL": value,
    }

    assert on(**cleaning) == on()
