"""Many asked at once, against daemons that answer, fail and hang."""

import threading
import time

import pytest

from netra_node.cli.cluster_ask import Answer, ask_all, read
from netra_node.cli.cluster_daemons import Daemon
from netra_node.cli.cluster_terms import Said


def daemon(name: str, problem: str = "") -> Daemon:
    return Daemon(name, "ns", f"pod-{name}", "c", problem)


def answer(asked: Daemon) -> Answer:
    return Answer(asked, {"from": asked.node})


def silent(_words: str) -> None:
    pass


def test_answers_come_in_the_order_of_the_daemons() -> None:
    def slowest_first(asked: Daemon) -> Answer:
        time.sleep(0.1 if asked.node == "a" else 0)
        return answer(asked)

    asked = [daemon("a"), daemon("b")]

    assert ask_all(asked, slowest_first, 10, silent) == [answer(one) for one in asked]


def test_who_cannot_be_asked_is_not_asked() -> None:
    broken = daemon("a", "its container waits")
    asked: list[str] = []

    def note(one: Daemon) -> Answer:
        asked.append(one.node)
        return answer(one)

    answers = ask_all([broken, daemon("b")], note, 10, silent)

    assert asked == ["b"]
    assert answers[0] == Answer(broken, None, "its container waits")


def test_one_that_hangs_is_given_up_and_holds_up_nobody() -> None:
    released = threading.Event()

    def hang(asked: Daemon) -> Answer:
        if asked.node == "a":
            released.wait(20)
        return answer(asked)

    asked = [daemon("a"), daemon("b"), daemon("c")]
    answers = ask_all(asked, hang, 0.3, silent, at_once=1)
    released.set()

    assert answers[0] == Answer(asked[0], None, "it did not answer within 0.3 s")
    assert answers[1:] == [answer(one) for one in asked[1:]]


def test_only_so_many_are_asked_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0
    together = threading.Barrier(3)

    def count(asked: Daemon) -> Answer:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(20)
        time.sleep(0.02)
        with lock:
            now -= 1
        return answer(asked)

    answers = ask_all([daemon(str(n)) for n in range(12)], count, 10, silent, at_once=3)

    assert len(answers) == 12
    assert most == 3


def test_long_work_tells_how_far_it_is() -> None:
    told: list[str] = []
    last = threading.Event()

    def wait_for_the_first_word(asked: Daemon) -> Answer:
        if asked.node == "b":
            last.wait(20)
        return answer(asked)

    def tell(words: str) -> None:
        told.append(words)
        last.set()

    ask_all([daemon("a"), daemon("b")], wait_for_the_first_word, 30, tell)

    assert told == ["1 of 2 nodes have answered"]


def test_short_work_tells_nothing() -> None:
    told: list[str] = []
    ask_all([daemon("a")], answer, 10, told.append)

    assert told == []


def test_a_document_counts_also_where_the_command_found_fault() -> None:
    assert read(daemon("a"), Said('{"passed": false}', "", "exit status 1")).document == {
        "passed": False
    }


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (Said("", "noise\nnetra-node: no daemon answers\n", "exit status 1"), "no daemon answers"),
        (Said("", "", "exec: not found"), "exec: not found"),
        (Said("[]", "", ""), "its netra-node prints something else; is it another version?"),
        (Said("usage", "", ""), "its netra-node prints something else; is it another version?"),
    ],
)
def test_what_is_no_document_says_why(said: Said, problem: str) -> None:
    assert read(daemon("a"), said) == Answer(daemon("a"), None, problem)
