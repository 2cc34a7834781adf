"""The specification of `netra_node.core.ports`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.ports import ALL_PORTS, MAX_ITEMS, PortSet, parse, parse_or_all

ports = st.integers(0, 65535)
ranges = st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))


def test_a_single_port_is_read() -> None:
    assert parse("80") == PortSet(((80, 80),))


def test_ports_and_ranges_are_read_and_sorted() -> None:
    assert parse("8000-8010,80") == PortSet(((80, 80), (8000, 8010)))


def test_blanks_around_items_and_in_ranges_are_allowed() -> None:
    assert parse(" 80 , 8000 - 8010 ") == parse("80,8000-8010")


def test_a_range_may_be_written_as_iptables_does() -> None:
    assert parse("8000:8010") == parse("8000-8010")


def test_leading_zeros_mean_the_same_port() -> None:
    assert parse("0080") == parse("80")


def test_ranges_that_overlap_or_touch_become_one() -> None:
    assert parse("1-5,3-8,9") == PortSet(((1, 9),))


def test_a_range_inside_another_disappears() -> None:
    assert parse("1-100,20-30") == PortSet(((1, 100),))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no port"),
        ("80,", "'' is no port"),
        ("80,http", "'http' is no port"),
        ("-1", "'-1' is no port"),
        ("1_000", "'1_000' is no port"),
        ("٨٠", "is no port"),
        ("65536", "'65536' is above 65535"),
        ("1-65536", "'1-65536' is above 65535"),
        ("90-80", "'90-80' runs backwards"),
    ],
)
def test_an_item_that_is_wrong_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


def test_more_items_than_anybody_writes_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1024 items"):
        parse(",".join(["80"] * (MAX_ITEMS + 1)))


def test_as_many_items_as_allowed_are_read() -> None:
    assert parse(",".join(["80"] * MAX_ITEMS)) == parse("80")


def test_all_ports_holds_the_lowest_and_the_highest() -> None:
    assert 0 in ALL_PORTS
    assert 65535 in ALL_PORTS


@given(st.lists(ranges, min_size=1, max_size=20), ports)
def test_a_port_is_in_the_set_exactly_when_it_is_in_one_of_the_items(
    items: list[tuple[int, int]], port: int
) -> None:
    text = ",".join(f"{low}-{high}" for low, high in items)

    assert (port in parse(text)) == any(low <= port <= high for low, high in items)


@given(st.lists(ranges, min_size=1, max_size=20))
def test_what_is_printed_reads_back_as_the_same_set(items: list[tuple[int, int]]) -> None:
    wanted = parse(",".join(f"{low}-{high}" for low, high in items))

    assert parse(str(wanted)) == wanted


@given(st.text(max_size=60))
def test_any_text_is_a_set_or_a_value_error(text: str) -> None:
    try:
        parsed = parse(text)
    except ValueError:
        return

    assert parsed.ranges


@pytest.mark.parametrize("text", ["*", " * "])
def test_an_asterisk_may_stand_for_all_ports(text: str) -> None:
    assert parse_or_all(text) == ALL_PORTS


def test_where_an_asterisk_may_stand_a_list_may_too() -> None:
    assert parse_or_all("80,8000:8010") == parse("80,8000-8010")


@pytest.mark.parametrize("text", ["80,*", "**", "all"])
def test_an_asterisk_stands_alone(text: str) -> None:
    with pytest.raises(ValueError, match="is no port"):
        parse_or_all(text)


@given(st.lists(ranges, max_size=5), st.lists(ranges, max_size=5), st.lists(ports, max_size=20))
def test_without_leaves_exactly_what_the_other_does_not_have(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], probes: list[int]
) -> None:
    one, other = (
        parse(",".join(f"{a}-{b}" for a, b in pairs or [(7, 7)])) for pairs in (ours, theirs)
    )

    left = one.without(other)

    edges = [port for pair in (*one.ranges, *other.ranges) for port in pair]
    for port in {*probes, *edges}:
        assert (port in left) == (port in one and port not in other)
