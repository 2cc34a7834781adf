import errno
import socket
from collections.abc import Callable

import pytest

from netra_node.interception.encode import Batch
from netra_node.interception.features import owner_flag
from netra_node.interception.netlink import RefusedError
from tests.interception.pods import Pod, tables

pytestmark = pytest.mark.netns


def refusing(code: int) -> Callable[[socket.socket, Batch], None]:
    def commit(_link: socket.socket, _batch: Batch) -> None:
        raise RefusedError(code, "planted")

    return commit


def test_this_kernel_knows_owners(web: Pod) -> None:
    assert web.namespace.run(owner_flag)


def test_the_trial_leaves_nothing(web: Pod) -> None:
    web.namespace.run(owner_flag)

    assert tables(web) == set()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_kernel_that_does_not_know_the_flag_says_so(web: Pod, code: int) -> None:
    assert not web.namespace.run(lambda: owner_flag(refusing(code)))


def test_a_refusal_for_another_reason_is_no_answer(web: Pod) -> None:
    with pytest.raises(RefusedError, match="planted"):
        web.namespace.run(lambda: owner_flag(refusing(errno.EPERM)))
