"""What the contenders are configured with."""

import json

from bench.daemon import pod_list
from bench.envoy import bootstrap
from bench.topology import Place
from netra_node.testbed import Testbed


def _pod() -> Place:
    return Place("client", "/run/netns/nt-x-client", "10.88.0.10", Testbed("unused"))


def test_every_request_of_envoy_is_sampled() -> None:
    listeners = bootstrap("client", ("10.88.0.1", 4318))["static_resources"]["listeners"]
    managers = [each["filter_chains"][0]["filters"][0]["typed_config"] for each in listeners]

    assert [each["tracing"]["random_sampling"]["value"] for each in managers] == [100, 100]


def test_envoy_is_given_plain_json() -> None:
    text = json.dumps(bootstrap("client", ("10.88.0.1", 4318)))

    assert "http://10.88.0.1:4318/v1/traces" in text


def test_the_pods_of_ours_are_opted_in_and_say_where_their_namespace_is() -> None:
    metadata = pod_list((_pod(),))["items"][0]["metadata"]

    assert metadata["labels"]["netra.io/enabled"] == "true"
    assert metadata["annotations"]["netra.io/netns"] == "/run/netns/nt-x-client"
