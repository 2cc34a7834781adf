from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, PodOptions
from netra_node.core.identity import PodIdentity
from netra_node.core.ports import parse

POD = DesiredPod(PodIdentity(PodUid("u-1"), "shop", "orders-0", "orders"), "/run/netns/a")


def test_a_pod_that_asks_for_nothing_has_every_port_captured() -> None:
    assert all(port in POD.options.inbound_ports for port in (0, 80, 65535))
    assert all(port in POD.options.outbound_ports for port in (0, 80, 65535))


def test_a_pod_that_names_no_http_ports_is_sniffed_on_all_of_them() -> None:
    assert POD.options.http_ports is None


def test_the_same_wish_read_twice_is_equal() -> None:
    again = DesiredPod(POD.identity, POD.netns, (), PodOptions())

    assert again == POD


def test_a_changed_annotation_makes_another_wish() -> None:
    assert DesiredPod(POD.identity, POD.netns, options=PodOptions(inbound_ports=parse("80"))) != POD
