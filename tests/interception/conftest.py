"""Two pods of a testbed, `web` to be captured and `orders` beside it."""

from collections.abc import Iterator

import pytest

from netra_node.interception import routes
from netra_node.interception.lease import Lease
from netra_node.interception.ruleset import Replies, RuleSet
from netra_node.interception.slots import Slots
from netra_node.netns import Namespace
from netra_node.testbed import Testbed
from tests.interception.pods import TABLE, V4, V6, Capture, Family, Pod, switch_replies


@pytest.fixture(scope="session")
def bed() -> Iterator[Testbed]:
    with Testbed("rules") as bed:
        bed.add_pod("web")
        bed.add_pod("orders")
        yield bed


def _pod(bed: Testbed, name: str) -> Iterator[Pod]:
    about = next(pod for pod in bed.pods if pod.name == name)
    with Namespace.open(about.path) as namespace:
        pod = Pod(namespace, about.ipv4, about.ipv6)
        with pod.sockets:
            yield pod


@pytest.fixture
def web(bed: Testbed) -> Iterator[Pod]:
    yield from _pod(bed, "web")


@pytest.fixture
def orders(bed: Testbed) -> Iterator[Pod]:
    yield from _pod(bed, "orders")


@pytest.fixture(params=[V4, V6], ids=["v4", "v6"])
def family(request: pytest.FixtureRequest) -> Family:
    assert isinstance(request.param, Family)
    return request.param


@pytest.fixture(autouse=True)
def slots() -> Iterator[Slots]:
    slots = Slots(4)
    yield slots
    slots.close()


@pytest.fixture
def open_lease(web: Pod, slots: Slots) -> Iterator[Capture]:
    """Opens leases on `web`, which are released at the end, with the routes and switches they need."""
    web.namespace.run(routes.add)
    leases: list[Lease] = []

    def open_one(rules: RuleSet) -> Lease:
        switch_replies(web, on=rules.replies is Replies.SYSCTL)
        leases.append(Lease.open(web.namespace, rules, table=TABLE, slots=slots))
        return leases[-1]

    yield open_one
    for lease in leases:
        lease.release()
    web.namespace.run(routes.remove)


@pytest.fixture
def capture(open_lease: Capture) -> Capture:
    """Opens and installs."""

    def install(rules: RuleSet) -> Lease:
        lease = open_lease(rules)
        lease.install(rules)
        return lease

    return install
