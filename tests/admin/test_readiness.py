"""Named blockers."""

from netra_node.admin.readiness import Readiness


def test_without_blockers_it_is_ready() -> None:
    assert Readiness().blockers == ()


def test_blockers_are_told_in_the_order_they_were_named() -> None:
    readiness = Readiness(["pod list"])
    readiness.block("listeners")

    assert readiness.blockers == ("pod list", "listeners")


def test_a_cleared_blocker_is_gone() -> None:
    readiness = Readiness(["pod list", "listeners"])
    readiness.clear("pod list")

    assert readiness.blockers == ("listeners",)


def test_clearing_twice_changes_nothing() -> None:
    readiness = Readiness(["pod list"])
    readiness.clear("pod list")
    readiness.clear("pod list")

    assert readiness.blockers == ()
