"""Looking into namespaces, and what is removed of what was found."""

import os
from collections.abc import Iterator

import pytest

from netra_node import cleanup
from netra_node.interception import routes
from netra_node.interception.lease import Lease
from netra_node.interception.ruleset import RuleSet
from netra_node.interception.slots import Slots
from netra_node.netns import Namespace
from netra_node.testbed import Testbed

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    with Testbed("clean") as bed:
        yield bed.add_pod("web").path


@pytest.fixture
def namespace(path: str) -> Iterator[Namespace]:
    """A namespace in which routes were left."""
    with Namespace.open(path) as namespace:
        namespace.run(routes.add)
        yield namespace
        namespace.run(routes.remove)


@pytest.fixture
def lease(namespace: Namespace) -> Iterator[Lease]:
    slots = Slots(1)
    lease = Lease.open(namespace, RuleSet(), table="netra-00c0ffee", slots=slots)
    lease.install(RuleSet())
    yield lease
    lease.release()
    slots.close()


def look(path: str) -> cleanup.Found:
    (found,) = cleanup.look([path])
    return found


def test_what_is_left_is_found_and_nobody_holds_it(namespace: Namespace) -> None:
    found = look(namespace.path)

    assert len(found.left.about) == 6
    assert found.held_by == frozenset()


def test_a_lease_is_held_by_its_process(namespace: Namespace, lease: Lease) -> None:
    assert look(namespace.path).held_by == {os.getpid()}
    lease.release()

    assert look(namespace.path).held_by == frozenset()


def test_rules_that_do_not_die_with_their_process_are_held_while_it_lives(
    namespace: Namespace,
) -> None:
    slots = Slots(1)
    lease = Lease.open(namespace, RuleSet(owner=False), table="netra-00c0ffee", slots=slots)
    lease.install(RuleSet(owner=False))
    found = look(namespace.path)
    lease.release()
    slots.close()

    assert "table netra-00c0ffee" in found.left.about
    assert found.held_by == {os.getpid()}


def test_what_was_found_is_removed(namespace: Namespace) -> None:
    cleanup.remove(look(namespace.path))

    assert look(namespace.path).left.about == ()


def test_a_path_without_a_namespace_is_skipped_and_the_others_are_not(
    namespace: Namespace,
) -> None:
    missing, found = cleanup.look(["/run/netns/nt-missing", namespace.path])

    assert missing.skipped == "no such network namespace"
    assert found.left.about


def test_our_own_namespace_is_never_looked_into() -> None:
    found = look("/proc/self/ns/net")

    assert found.skipped == "it is the host's network namespace or our own"
    assert found.left.about == ()
