from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, PodOptions
from netra_node.core.identity import PodIdentity
from netra_node.core.plan import Plan, plan
from netra_node.core.ports import parse

Pods = dict[PodUid, DesiredPod]

ONE, TWO = PodUid("1"), PodUid("2")


def pod(uid: PodUid, netns: str = "a", ports: str = "1-9") -> DesiredPod:
    identity = PodIdentity(uid, "shop", f"pod-{uid}", "orders")
    return DesiredPod(identity, netns, options=PodOptions(inbound_ports=parse(ports)))


def pods(*several: DesiredPod) -> Pods:
    return {each.identity.uid: each for each in several}


def apply(steps: Plan, captured: Pods) -> Pods:
    """Do what the plan says, as the manager would."""
    left = {uid: each for uid, each in captured.items() if uid not in steps.leave}
    return left | pods(*steps.enter, *steps.change)


pod_sets = st.dictionaries(
    st.sampled_from([PodUid(str(n)) for n in range(4)]),
    st.tuples(st.sampled_from("ab"), st.sampled_from(["80", "81"])),
).map(lambda chosen: pods(*(pod(uid, *how) for uid, how in chosen.items())))


def test_a_new_pod_is_entered() -> None:
    assert plan(pods(pod(ONE)), {}) == Plan(enter=(pod(ONE),))


def test_a_pod_no_longer_desired_is_left() -> None:
    assert plan({}, pods(pod(ONE))) == Plan(leave=(ONE,))


def test_a_pod_already_captured_as_desired_is_left_alone() -> None:
    assert plan(pods(pod(ONE)), pods(pod(ONE))) == Plan()


def test_a_pod_with_other_options_is_changed_without_leaving_it() -> None:
    changed = pod(ONE, ports="80")

    assert plan(pods(changed), pods(pod(ONE))) == Plan(change=(changed,))


def test_a_pod_whose_address_became_known_is_changed() -> None:
    known = replace(pod(ONE), addresses=("10.0.0.7",))

    assert plan(pods(known), pods(pod(ONE))) == Plan(change=(known,))


def test_a_pod_in_a_new_namespace_is_left_before_it_is_entered_again() -> None:
    moved = pod(ONE, netns="b")
    captured = pods(pod(ONE, netns="a"))

    first = plan(pods(moved), captured)
    second = plan(pods(moved), apply(first, captured))

    assert (first, second) == (Plan(leave=(ONE,)), Plan(enter=(moved,)))


def test_each_pod_is_judged_by_itself() -> None:
    assert plan(pods(pod(ONE)), pods(pod(TWO))) == Plan(enter=(pod(ONE),), leave=(TWO,))


@given(pod_sets, pod_sets)
def test_two_rounds_reach_any_desired_state_from_any_other(desired: Pods, captured: Pods) -> None:
    once = apply(plan(desired, captured), captured)
    twice = apply(plan(desired, once), once)

    assert twice == desired


@given(pod_sets, pod_sets)
def test_no_pod_is_in_two_steps_of_one_plan(desired: Pods, captured: Pods) -> None:
    steps = plan(desired, captured)
    named = [each.identity.uid for each in (*steps.enter, *steps.change)] + list(steps.leave)

    assert len(named) == len(set(named))


@given(pod_sets)
def test_nothing_is_done_where_nothing_differs(state: Pods) -> None:
    assert plan(state, state) == Plan()
