"""Our process metrics against the library's."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.process_collector import ProcessCollector

from netra_node.telemetry.process import ProcessFamilies, parse_stat
from netra_node.telemetry.render import Format, render


def ours() -> dict:
    """Name of the family → the family, as the library reads our page."""
    page = b"".join(render(ProcessFamilies().families(), Format(openmetrics=True))).decode()
    return {family.name: family for family in parse_openmetrics(page)}


def theirs() -> dict:
    return {family.name: family for family in ProcessCollector(registry=None).collect()}


def value(families: dict, name: str) -> float:
    (sample,) = families[name].samples
    return sample.value


def test_families_are_the_librarys_by_name_type_and_help() -> None:
    expected = {(f.name, f.type, f.documentation) for f in theirs().values()}

    assert {(f.name, f.type, f.documentation) for f in ours().values()} == expected


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("process_start_time_seconds", 0.001),
        ("process_virtual_memory_bytes", 4 << 20),
        ("process_resident_memory_bytes", 4 << 20),
        # The library counts the descriptor it counts with.
        ("process_open_fds", 1),
        ("process_max_fds", 0),
    ],
)
def test_values_are_the_librarys(name, tolerance) -> None:
    expected = value(theirs(), name)

    assert value(ours(), name) == pytest.approx(expected, abs=tolerance)
    assert expected > 0


def test_the_cpu_time_is_between_what_the_library_says_before_and_after() -> None:
    before = value(theirs(), "process_cpu_seconds")
    between = value(ours(), "process_cpu_seconds")

    rounding = 1e-6
    assert 0 < before <= between + rounding
    assert between <= value(theirs(), "process_cpu_seconds") + rounding


def test_an_opened_file_is_counted() -> None:
    before = value(ours(), "process_open_fds")
    descriptors = [os.dup(0) for _ in range(5)]
    after = value(ours(), "process_open_fds")
    for descriptor in descriptors:
        os.close(descriptor)

    assert after == before + 5


@given(st.binary(max_size=15))
def test_a_programs_name_may_be_anything(name) -> None:
    numbers = b" ".join(b"%d" % field for field in range(3, 53))

    times = parse_stat(b"1 (" + name + b") " + numbers)

    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert times.cpu == pytest.approx((14 + 15) / ticks)
    assert times.started == pytest.approx(22 / ticks)
    assert (times.virtual, times.resident) == (23, 24 * page)
