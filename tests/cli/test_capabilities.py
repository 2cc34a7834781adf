"""What the kernel says a process may do."""

import pytest

from netra_node.cli.capabilities import missing_capabilities

STATUS = "Name:\tpython\nCapPrm:\t{0}\nCapEff:\t{0}\nCapBnd:\t000001ffffffffff\n"


def test_root_lacks_nothing() -> None:
    assert missing_capabilities(STATUS.format("000001ffffffffff")) == []


def test_an_ordinary_user_lacks_both() -> None:
    lacking = missing_capabilities(STATUS.format("0000000000000000"))

    assert lacking == ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]


@pytest.mark.parametrize(
    ("effective", "lacking"),
    [("0000000000200000", "CAP_NET_ADMIN"), ("0000000000001000", "CAP_SYS_ADMIN")],
)
def test_one_without_the_other_is_not_enough(effective: str, lacking: str) -> None:
    assert missing_capabilities(STATUS.format(effective)) == [lacking]


def test_a_kernel_that_says_nothing_grants_nothing() -> None:
    assert len(missing_capabilities("")) == 2
