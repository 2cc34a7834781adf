"""The /proc parsers, on texts as the kernel writes them."""

import os

from bench.procfs import (
    Stat,
    listeners,
    parse_file_pages,
    parse_listeners,
    parse_machine,
    parse_rollup,
    parse_stat,
    tree,
    tree_cpu,
    tree_memory,
)

_STAT = "4242 (a) b (c) S 17 4242 4242 0 -1 4194560 900 5 0 0 150 50 20 5 20 0 3 0 88 1 2"

_SMAPS = """55d0c8a00000-55d0c8c00000 r--p 00001000 fe:00 1234                       /usr/bin/python3.11
Rss:                 100 kB
Anonymous:            40 kB
VmFlags: rd mr mw me
55d0c8c00000-55d0c8e00000 rw-p 00000000 00:00 0                          [heap]
Rss:                 500 kB
Anonymous:           500 kB
"""

_TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0A00580A:10DE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0A00580A:10DE 0B00580A:9F58 01 00000000:00000000 00:00000000 00000000     0        0 2 1
"""


def test_the_cpu_of_a_process_includes_its_reaped_children() -> None:
    ticks = os.sysconf("SC_CLK_TCK")

    assert parse_stat(_STAT) == Stat(pid=4242, parent=17, cpu=225 / ticks)


def test_a_tree_is_its_roots_and_all_their_descendants() -> None:
    stats = [Stat(4, 3, 0), Stat(1, 0, 0), Stat(2, 1, 0), Stat(3, 2, 0), Stat(5, 1, 0)]

    assert [stat.pid for stat in tree(stats, [2])] == [2, 3, 4]


def test_a_root_that_ended_has_no_tree() -> None:
    assert tree([Stat(1, 0, 0)], [9]) == []


def test_a_rollup_is_read_by_name() -> None:
    text = "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:   900 kB\nPss_Anon:    12 kB\n"

    assert parse_rollup(text) == {"Rss": 900, "Pss_Anon": 12}


def test_file_pages_are_the_resident_ones_that_were_not_copied() -> None:
    assert parse_file_pages(_SMAPS) == {("00001000", "/usr/bin/python3.11"): 60}


def test_only_listening_sockets_count_as_listeners() -> None:
    assert parse_listeners(_TCP) == {4318}


def test_idle_time_is_not_busy_time() -> None:
    ticks = os.sysconf("SC_CLK_TCK")

    assert parse_machine("cpu  100 2 30 9999 888 7 6 0 0 0") == (100 + 2 + 30 + 7 + 6) / ticks


def test_the_cpu_of_this_process_has_been_used() -> None:
    assert tree_cpu([os.getpid()]) > 0


def test_memory_with_unshared_files_is_at_least_the_proportional_size() -> None:
    memory = tree_memory([os.getpid()])

    assert 0 < memory.pss <= memory.unshared + 1


def test_the_listeners_of_this_namespace_are_ports() -> None:
    assert all(0 < port < 65536 for port in listeners())
