import logging
from dataclasses import replace
from pathlib import Path

import pytest

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod
from netra_node.core.identity import PodIdentity
from netra_node.core.routing import Target
from netra_node.pod_routes import PodRoutes
from netra_node.settings.model import Settings
from netra_node.settings.routing import RoutingSettings

WEB = DesiredPod(PodIdentity(PodUid("uid-web"), "shop-ns", "web", "shop"), "/run/netns/nt-missing")
OTHER = replace(WEB, identity=replace(WEB.identity, uid=PodUid("uid-other")))


def settings(**different: str) -> RoutingSettings:
    env = {"NETRA_POD_SOURCE": "file:///pods.json", "NETRA_HTTP_ROUTING_ENABLED": "true"}
    found = Settings.from_env({**env, **different}).routing
    assert found is not None
    return found


def test_a_pods_routes_are_its_own_and_stay() -> None:
    made = PodRoutes(settings())

    assert made.of(WEB) is made.of(replace(WEB, identity=replace(WEB.identity, service="front")))
    assert made.of(WEB) is not made.of(OTHER)


def test_routes_are_where_the_settings_say() -> None:
    made = PodRoutes(
        settings(
            NETRA_HTTP_ROUTING_HEADER_NAME="Way",
            NETRA_HTTP_ROUTING_COOKIE_ENABLED="true",
            NETRA_HTTP_ROUTING_COOKIE_NAME="R",
        )
    )

    assert made.of(WEB).source.header == b"Way"
    assert made.of(WEB).source.fields == (b"way", b"cookie")
    assert PodRoutes(settings()).of(WEB).source.fields == (b"x-route",)


@pytest.mark.parametrize(("milliseconds", "after"), [("7", b""), ("0", b"a=b")])
def test_they_live_as_long_as_the_settings_say(milliseconds: str, after: bytes) -> None:
    memory = PodRoutes(
        settings(NETRA_ROUTING_CONTEXT_EXPIRATION_MILLISECONDS=milliseconds)
    ).of(WEB).memory  # fmt: skip
    memory.opened("x", b"id", b"a=b")
    memory.ended("x", 0)

    assert memory.find(b"id", 6_999_999) == b"a=b"
    assert memory.find(b"id", 7_000_000) == after


def test_names_are_looked_for_in_the_pods_own_namespace() -> None:
    plan = PodRoutes(settings(NETRA_DNS_SEARCH="{namespace}.svc.c,c")).plan(WEB, None)  # type: ignore[arg-type]

    assert plan.search == ("shop-ns.svc.c", "c")


def test_a_malformed_route_is_told_once_for_each_pod_and_not_what_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = PodRoutes(settings())
    with caplog.at_level(logging.WARNING):
        for pod in (WEB, WEB, OTHER):
            assert made.of(pod).target(b"secret", b"a") is None

    assert [record.getMessage() for record in caplog.records] == [
        "shop-ns/web: a request has a malformed route (told once)"
    ] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no DNS server: routes to names lead nowhere"),
        ("nameserver 127.0.0.53", "names 127.0.0.53, which inside a pod is the pod itself"),
        ("nameserver 10.96.0.10", ""),
    ],
)
def test_servers_that_no_pod_can_ask_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, said: str
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(text)
    with caplog.at_level(logging.WARNING):
        PodRoutes(settings(NETRA_RESOLV_CONF=str(file)))

    assert [r.getMessage() for r in caplog.records] == ([f"{file} {said}"] if said else [])


def test_what_was_counted_stays_when_a_pod_goes() -> None:
    made = PodRoutes(settings())
    assert made.of(WEB).target(b"a=b", b"a") == Target("b", 80)
    made.of(WEB).failed("refused")
    made.forget(WEB.identity.uid)
    made.forget(WEB.identity.uid)
    made.of(OTHER).target(b"a=b", b"a")

    assert made.results() == {"routed": 2}
    assert made.failures() == {"refused": 1}


def test_what_is_over_goes_while_nothing_happens() -> None:
    made = PodRoutes(settings())
    memory = made.of(WEB).memory
    memory.opened("x", b"id", b"a=b")
    memory.ended("x", 0)
    made.expire(10**12)

    assert len(memory) == 0
