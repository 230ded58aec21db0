"""Batches, partial results and errors of page-out and populate, against a system call that is told what to answer."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from array import array
from collections.abc import Callable, Iterator

import pytest

from actorfaas.errors import PagingRefused, ProcessGone
from actorfaas.swap import madvise, syscalls
from actorfaas.swap.madvise import Advice, Advised, advise, vectors
from actorfaas.swap.pagemap import Page, find
from actorfaas.swap.populate import Populated, populate, populate_own, renew
from actorfaas.swap.ranges import PAGE_SIZE, Range, normalise
from actorfaas.swap.target import Target


@pytest.fixture
def me() -> Iterator[Target]:
    with Target(os.getpid()) as target:
        yield target


class Kernel:
    """Takes batches as the kernel does: up to the first bad range, with an error if that is the first of all."""

    def __init__(
        self, ranges: list[Range], bad: set[int], number: int = errno.ENOMEM, most_a_call: int = 10**9
    ) -> None:
        self.ranges, self.bad, self.number, self.most_a_call = ranges, bad, number, most_a_call
        self.base = 0
        self.seen: list[int] = []
        self.calls: list[int] = []

    def process_madvise(self, pidfd: int, address: int, count: int, advice: int) -> int:
        self.base = self.base or address
        first = (address - self.base) // 16
        self.calls.append(count)
        done = 0
        for index in range(first, first + min(count, self.most_a_call)):
            if index in self.bad:
                if not done:
                    raise OSError(self.number, "made up")
                break
            self.seen.append(index)
            done += self.ranges[index][1]
        return done


def ranges_of(count: int) -> list[Range]:
    return [(0x10000000 + i * 8 * PAGE_SIZE, (1 + i % 3) * PAGE_SIZE) for i in range(count)]


def test_ranges_are_iovecs() -> None:
    assert vectors([(1, 2), (3, 4)]) == array("Q", [1, 2, 3, 4])


@pytest.mark.parametrize("bad", [set(), {0}, {5, 6, 7}, {1023, 1024, 2999}, {0, 2999}])
@pytest.mark.parametrize("most_a_call", [10**9, 100])
def test_what_the_kernel_refuses_is_passed_over(
    me: Target, bad: set[int], most_a_call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = ranges_of(3000)
    kernel = Kernel(ranges, bad, most_a_call=most_a_call)
    monkeypatch.setattr(syscalls, "process_madvise", kernel.process_madvise)
    result = advise(me, ranges, Advice.PAGE_OUT)
    good = [index for index in range(3000) if index not in bad]
    assert kernel.seen == good
    assert result == Advised(sum(ranges[index][1] for index in good), len(bad))
    assert max(kernel.calls) <= madvise.MOST_VECTORS


def test_a_kernel_that_takes_nothing_does_not_stop_us_for_ever(me: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "process_madvise", lambda *_: 0)
    assert advise(me, ranges_of(10), Advice.PAGE_OUT) == Advised(0, 0)


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (errno.EPERM, PagingRefused, "CAP_SYS_NICE"),
        (errno.EACCES, PagingRefused, "CAP_SYS_PTRACE"),
        (errno.ENOSYS, PagingRefused, "5.10"),
        (errno.ESRCH, ProcessGone, "exited"),
        (errno.EMFILE, OSError, "made up"),
    ],
)
def test_errors_in_words(
    me: Target, number: int, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(ranges_of(3), {0}, number)
    monkeypatch.setattr(syscalls, "process_madvise", kernel.process_madvise)
    with pytest.raises(error, match=text):
        advise(me, kernel.ranges, Advice.COLD)


def test_nothing_to_do(me: Target) -> None:
    assert advise(me, [], Advice.WILL_NEED) == Advised(0, 0)
    assert populate(me, []) == Populated(0, 0)


PAGES = 200


@pytest.fixture
def memory() -> Iterator[int]:
    """The address of some untouched pages of this process."""
    with mmap.mmap(-1, PAGES * PAGE_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
        view = ctypes.c_char.from_buffer(pages)
        address = ctypes.addressof(view)
        del view
        yield address


def test_populating_maps_every_page(me: Target, memory: int) -> None:
    ranges = [(memory + page * PAGE_SIZE, count * PAGE_SIZE) for page, count in ((10, 3), (0, 5), (100, 90))]
    span = (memory, PAGES * PAGE_SIZE)
    assert find(me, Page.PRESENT, within=span) == []
    assert populate(me, ranges) == Populated(98, 0)
    assert find(me, Page.PRESENT, within=span) == normalise(ranges)


def test_pages_that_vanished_are_counted(me: Target, memory: int) -> None:
    nowhere = (PAGE_SIZE, 3 * PAGE_SIZE)  # below the lowest address that can be mapped
    assert populate(me, [nowhere, (memory, 2 * PAGE_SIZE), nowhere]) == Populated(2, 6)
    assert populate(me, [(memory, 2 * PAGE_SIZE)]) == Populated(2, 0)


@pytest.mark.parametrize("map_own", [populate_own, renew])
def test_own_pages_are_mapped_and_stay_as_they_are(
    me: Target, memory: int, map_own: Callable[[Target, list[Range]], object]
) -> None:
    ctypes.memset(memory + 10 * PAGE_SIZE, 7, PAGE_SIZE)
    nowhere = (PAGE_SIZE, 3 * PAGE_SIZE)
    ranges = [(memory + page * PAGE_SIZE, count * PAGE_SIZE) for page, count in ((10, 3), (0, 5), (100, 90))]
    map_own(me, [nowhere, *ranges, nowhere])
    assert find(me, Page.PRESENT, within=(memory, PAGES * PAGE_SIZE)) == normalise(ranges)
    assert ctypes.string_at(memory + 10 * PAGE_SIZE, PAGE_SIZE) == b"\x07" * PAGE_SIZE
    assert ctypes.string_at(memory + 11 * PAGE_SIZE, 2 * PAGE_SIZE) == bytes(2 * PAGE_SIZE)


def test_own_pages_that_vanished_are_counted(me: Target, memory: int) -> None:
    nowhere = (PAGE_SIZE, 3 * PAGE_SIZE)
    assert populate_own(me, [nowhere, (memory, 2 * PAGE_SIZE), nowhere]) == Populated(2, 6)
    assert populate_own(me, []) == Populated(0, 0)


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [
        (errno.EPERM, PagingRefused, "CAP_SYS_PTRACE"),
        (errno.ESRCH, ProcessGone, "exited"),
        (errno.EINVAL, OSError, "made up|Invalid argument"),
    ],
)
@pytest.mark.parametrize("map_own", [populate_own, renew])
def test_errors_of_mapping_own_pages_in_words(
    me: Target,
    map_own: Callable[[Target, list[Range]], object],
    number: int,
    error: type[Exception],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: int) -> int:
        raise OSError(number, "made up")

    monkeypatch.setattr(syscalls, "process_vm_readv", fail)
    monkeypatch.setattr(syscalls, "process_vm_writev", lambda *_: number)
    with pytest.raises(error, match=text):
        map_own(me, [(0x10000000, PAGE_SIZE)])


def test_populate_names_the_missing_privilege(me: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Target, name: str) -> int:
        raise PermissionError(errno.EACCES, name)

    monkeypatch.setattr(Target, "open", refuse)
    with pytest.raises(PagingRefused, match="CAP_SYS_PTRACE"):
        populate(me, [(0x10000000, PAGE_SIZE)])


def test_self_advice_needs_no_privilege() -> None:
    assert madvise.advise_self([(PAGE_SIZE, PAGE_SIZE)], Advice.COLD) == Advised(0, 1)  # nothing is mapped there
