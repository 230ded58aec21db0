"""Reading /proc/PID/maps."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

from actorfaas.swap.maps import file_ranges, parse, private_ranges
from actorfaas.swap.target import Target

TEXT = """\
5581e9a00000-5581e9a2c000 r--p 00000000 fe:00 1311  /usr/bin/python 3.11 (deleted)
5581e9a2c000-5581e9b00000 r-xp 0002c000 fe:00 1311  /usr/bin/python 3.11 (deleted)
5581e9b00000-5581e9b10000 rw-p 00100000 fe:00 1311  /usr/bin/python 3.11 (deleted)
5581ea000000-5581ea021000 rw-p 00000000 00:00 0     [heap]
7f0000000000-7f0000100000 rw-s 00000000 00:01 77    /dev/zero (deleted)
7f0000200000-7f0000300000 ---p 00000000 00:00 0
7ffd6e5f0000-7ffd6e611000 rw-p 00000000 00:00 0     [stack]
7f0000400000-7f0000410000 r-xp 00000000 00:00 0
7ffd6e7d2000-7ffd6e7d6000 r--p 00000000 00:00 0     [vvar]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
"""


def test_fields() -> None:
    text, _, data, heap, shared, guard, *_ = parse(TEXT)
    assert (text.start, text.length, text.path) == (0x5581E9A00000, 0x2C000, "/usr/bin/python 3.11 (deleted)")
    assert text.is_file
    assert data.offset_bytes == 0x100000
    assert not heap.is_file
    assert not shared.is_private
    assert not guard.is_readable
    assert [m.is_kernel for m in parse(TEXT)] == [False] * 8 + [True] * 2


def test_what_can_be_paged() -> None:
    private = private_ranges(parse(TEXT))
    assert private == [
        (0x5581E9A00000, 0x2C000),  # constants, but not the program behind them
        (0x5581E9B00000, 0x10000),
        (0x5581EA000000, 0x21000),
        (0x7F0000400000, 0x10000),  # code without a file: made at run time
        (0x7FFD6E5F0000, 0x21000),
    ]
    assert file_ranges(parse(TEXT)) == [(0x5581E9A00000, 0x110000), (0x7F0000000000, 0x100000)]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="permissions"):
        parse("0-1000 rwxps 0 00:00 0")
    with pytest.raises(ValueError, match="unpack"):
        parse("nonsense")


def test_the_real_file_is_understood() -> None:
    with Target(os.getpid()) as me:
        mappings = me.mappings()
    assert any(m.path == "[stack]" for m in mappings)
    assert all(a.end <= b.start for a, b in pairwise(mappings))
