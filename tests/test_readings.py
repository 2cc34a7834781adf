"""Each pod's way of being read, kept beside a real telemetry."""

from dataclasses import replace

import pytest

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, PodOptions
from netra_node.core.head import RequestHead
from netra_node.core.identity import PodIdentity
from netra_node.core.limits import Limits
from netra_node.core.ports import PortSet
from netra_node.core.records import Direction, Exchange
from netra_node.core.sampling import Sampler, sampler_from
from netra_node.core.tracing import Tracing
from netra_node.pod_routes import PodRoutes
from netra_node.readings import PodReadings, http_limits
from netra_node.settings.model import Settings
from netra_node.telemetry.hub import Telemetry, TelemetryOptions
from netra_node.workload import Reading

WEB = DesiredPod(PodIdentity(PodUid("uid-web"), "default", "web", "shop"), "/run/netns/nt-missing")
HEAD = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
RENAMED = replace(WEB, identity=replace(WEB.identity, service="front"))


def settings(**different: str) -> Settings:
    return Settings.from_env({"NETRA_POD_SOURCE": "file:///pods.json", **different})


def readings(**different: str) -> tuple[PodReadings, Telemetry]:
    telemetry, ours = Telemetry(TelemetryOptions()), settings(**different)
    return PodReadings(ours.tracing, http_limits(ours), telemetry), telemetry


def test_a_pod_is_read_the_same_way_each_time() -> None:
    made, _ = readings()

    assert made.of(WEB) is made.of(WEB)


def test_a_pods_options_do_not_change_how_it_is_read() -> None:
    made, _ = readings()
    other_ports = replace(WEB, options=PodOptions(http_ports=PortSet(((80, 80),))))

    assert made.of(WEB) is made.of(other_ports)


def test_a_changed_name_changes_the_reading_and_keeps_the_links() -> None:
    made, _ = readings()
    before, after = made.of(WEB), made.of(RENAMED)

    assert before is not after
    assert before.rules.tracing.links is after.rules.tracing.links


def test_ignored_paths_hold_for_every_pod() -> None:
    made, _ = readings(
        NETRA_HTTP_TRACING_IGNORED_PATHS="/health,/static/*",
        NETRA_HTTP_TRACING_IGNORED_PATTERNS=r"/v\d/ready",
    )
    targets = (b"/health", b"/static/a.css", b"/v1/ready", b"/orders")

    for pod in (WEB, RENAMED):
        parsed = [made.of(pod).rules.parser.request(HEAD % target) for target in targets]
        exchanges = [Exchange(b"GET", target, b"1.1", 1) for target in targets]
        for head, exchange in zip(parsed, exchanges, strict=True):
            made.of(pod).rules.tracing.begin(Direction.INBOUND, exchange, head, 1)
        assert [each.trace is None for each in exchanges] == [True, True, True, False]


def test_heads_are_read_for_tags_only_where_there_are_any() -> None:
    plain, _ = readings()
    tagged, _ = readings(HTTP_HEADER_TAG_MAP="X-Session:s", HTTP_COOKIE_TAG_MAP="sid:c")
    fields = [each.of(WEB).rules.tracing.fields for each in (plain, tagged)]

    assert set(fields[1]) - set(fields[0]) == {b"x-session", b"cookie"}


def test_x_source_is_the_pods_service_name_until_it_is_said() -> None:
    sources = []
    for different in ({}, {"NETRA_HTTP_X_SOURCE_VALUE": "netra"}):
        made, _ = readings(**different)
        tracing = made.of(WEB).rules.tracing
        exchange = Exchange(b"GET", b"/", b"1.1", 1)
        tracing.begin(
            Direction.OUTBOUND, exchange, made.of(WEB).rules.parser.request(HEAD % b"/"), 1
        )
        sources.append(exchange.source)

    assert sources == [b"shop", b"netra"]


def test_pods_never_share_links() -> None:
    made, _ = readings()
    other = replace(WEB, identity=replace(WEB.identity, uid=PodUid("uid-orders")))

    assert made.of(WEB).rules.tracing.links is not made.of(other).rules.tracing.links


def test_a_forgotten_pod_begins_anew() -> None:
    made, _ = readings()
    before = made.of(WEB)
    made.forget(WEB.identity.uid)

    assert made.of(WEB).rules.tracing.links is not before.rules.tracing.links


def test_limits_of_http_are_settings() -> None:
    made, _ = readings(
        NETRA_HTTP_MAX_HEAD_BYTES="2048", NETRA_HTTP_MAX_HEADERS="17", NETRA_HTTP_MAX_PIPELINED="3"
    )
    limits = made.of(WEB).rules.limits

    assert (limits.head, limits.fields, limits.unanswered) == (2048, 17, 3)


def test_unset_they_are_the_cores_own() -> None:
    assert http_limits(settings()) == Limits()


def test_forgetting_a_pod_nobody_knows_is_nothing() -> None:
    made, _ = readings()

    made.forget(PodUid("uid-nobody"))


def test_what_was_looked_for_in_a_forgotten_pods_links_still_counts() -> None:
    made, _ = readings()
    made.of(WEB).rules.tracing.links.find(b"nowhere", 1)
    made.forget(WEB.identity.uid)
    made.of(WEB).rules.tracing.links.find(b"nowhere", 1)

    assert made.link_results()["none"] == 2


def test_without_pods_there_is_nothing_to_link_to() -> None:
    made, _ = readings()
    made.expire(1)

    assert (made.contexts(), made.link_results()) == (0, {})


def test_a_captured_pod_is_a_peer_by_its_addresses_until_it_is_forgotten() -> None:
    made, telemetry = readings()
    made.of(WEB)
    made.entered(WEB, ("10.0.0.1", "fd00::1"))
    seen = [telemetry.directory.service_at(address) for address in ("10.0.0.1", "fd00::1")]
    made.forget(WEB.identity.uid)

    assert seen == ["shop", "shop"]
    assert telemetry.directory.service_at("10.0.0.1") is None


def test_a_pod_that_moved_is_no_peer_by_the_addresses_it_had() -> None:
    made, telemetry = readings()
    made.of(WEB)
    made.entered(WEB, ("10.0.0.1",))
    made.entered(WEB, ("10.0.0.2",))

    assert telemetry.directory.service_at("10.0.0.1") is None
    assert telemetry.directory.service_at("10.0.0.2") == "shop"


def begin(reading: Reading) -> Exchange:
    """A request that begins a new trace."""
    exchange = Exchange(b"GET", b"/", b"1.1", 1)
    head = reading.rules.parser.request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert isinstance(head, RequestHead)
    reading.rules.tracing.begin(Direction.INBOUND, exchange, head, 1)
    return exchange


def chosen(reading: Reading) -> bool:
    """Whether a new trace is chosen for export."""
    return begin(reading).sampler is not None


def test_each_pod_has_a_rate_of_its_own() -> None:
    made, _ = readings(JAEGER_SAMPLER_TYPE="ratelimiting", JAEGER_SAMPLER_PARAM="1")
    other = replace(WEB, identity=replace(WEB.identity, uid=PodUid("uid-orders")))
    one, two = made.of(WEB), made.of(other)

    assert [chosen(one), chosen(two), chosen(one), chosen(two)] == [True, True, False, False]


def test_remote_samplers_are_made_by_service() -> None:
    class Remote:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def sampler(self, service: str) -> Sampler:
            self.asked.append(service)
            return sampler_from("always_on")

    remote, ours = Remote(), settings(JAEGER_SAMPLER_TYPE="remote")
    made = PodReadings(ours.tracing, http_limits(ours), Telemetry(TelemetryOptions()), remote)

    assert chosen(made.of(WEB))
    assert chosen(made.of(RENAMED))
    assert remote.asked == ["shop", "front"]


def test_without_routing_there_is_nothing_of_it() -> None:
    reading = readings()[0].of(WEB)

    assert reading.routing is None
    assert type(reading.rules.tracing) is Tracing


def test_with_routing_its_routes_outlive_a_change_and_not_the_pod() -> None:
    ours = settings(NETRA_HTTP_ROUTING_ENABLED="true")
    assert ours.routing is not None
    routes = PodRoutes(ours.routing)
    telemetry = Telemetry(TelemetryOptions())
    made = PodReadings(ours.tracing, http_limits(ours), telemetry, None, routes)
    before, after = made.of(WEB), made.of(RENAMED)

    assert before.routing is not None
    assert after.routing is not None
    assert before.rules.tracing is before.routing.tracing
    assert before.routing.tracing.routes is after.routing.tracing.routes
    assert isinstance(after.rules.parser.request(HEAD % b"/"), RequestHead)
    memory = after.routing.tracing.routes.memory
    memory.opened("x", b"id", b"a=b")
    memory.ended("x", 0)
    made.expire(10**12)
    assert len(memory) == 0
    made.forget(WEB.identity.uid)
    assert routes.of(WEB) is not after.routing.tracing.routes


@pytest.mark.parametrize(("text", "bits"), [("true", 128), ("false", 64)])
def test_new_traces_have_ids_of_that_many_bits(text: str, bits: int) -> None:
    made, _ = readings(JAEGER_TRACEID_128BIT=text)
    traces = [begin(made.of(WEB)).trace for _ in range(64)]
    longest = max(trace.trace_id.bit_length() for trace in traces if trace is not None)

    assert bits - 16 < longest <= bits
