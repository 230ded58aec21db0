"""What every keeper of functions' data does, the platform's and the one in memory, changed at once or together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from actorfaas.data import Data, Keeper, Pending
from actorfaas.data.memory import MemoryKeeper
from actorfaas.errors import DataRefused, VersionConflict
from tests.data.keepers import platforms
from tests.storage.samples import Wall


class Kept(NamedTuple):
    """A keeper under test: `data` as a handler has it, `committed` as others see it, `pass_s` lets time go by."""

    data: Data
    committed: Data
    finish: Callable[[], None]
    pass_s: Callable[[float], None]


def kept(keeper: Keeper, other: Keeper, wall: Wall, *, together: bool) -> Kept:
    pending = Pending() if together else None

    def finish() -> None:
        if pending is not None:
            keeper.commit(pending.writes())

    def pass_s(seconds: float) -> None:
        wall.ms += round(seconds * 1000)

    return Kept(Data(keeper, pending), Data(other), finish, pass_s)


@pytest.fixture(params=["memory", "platform"])
def keepers(request: pytest.FixtureRequest, tmp_path: Path, wall: Wall) -> Iterator[tuple[Keeper, Keeper]]:
    if request.param == "memory":
        keeper = MemoryKeeper(lambda: wall.ms / 1000)
        yield keeper, keeper
        return
    with platforms(tmp_path, wall) as make:
        yield make(), make()


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture(params=["at once", "together"])
def there(request: pytest.FixtureRequest, keepers: tuple[Keeper, Keeper], wall: Wall) -> Kept:
    return kept(*keepers, wall, together=request.param == "together")


@pytest.fixture
def buffered(keepers: tuple[Keeper, Keeper], wall: Wall) -> Kept:
    return kept(*keepers, wall, together=True)


# --- however it is changed ----------------------------------------------------------------------------------------


def test_a_handler_reads_what_it_put_and_others_what_is_committed(there: Kept) -> None:
    there.committed.put("old", [1])
    assert (there.data.get("old"), there.data.get("new"), there.data.get("new", 5)) == ([1], None, 5)
    there.data.put("new", {"a": "é"})
    there.data.put("null", None)
    there.data.delete("old")
    assert (there.data.get("new"), there.data.get("null", 5), "old" in there.data) == ({"a": "é"}, None, False)
    there.finish()
    assert (there.committed.get("new"), "null" in there.committed, "old" in there.committed) == (
        {"a": "é"},
        True,
        False,
    )


def test_values_are_copies(there: Kept) -> None:
    value = {"n": 1}
    there.data.put("a", value)
    value["n"] = 2
    there.data.get("a")["n"] = 3
    assert there.data.get("a") == {"n": 1}


def test_what_cannot_be_kept_is_refused(there: Kept) -> None:
    with pytest.raises(TypeError, match="value for key 'a'"):
        there.data.put("a", object())
    for key in ("", "k" * 1025, "é" * 513, 5):
        with pytest.raises(DataRefused, match="a key is text of 1 to 1024 bytes"):
            there.data.put(key, 1)  # type: ignore[arg-type]  # that it is refused is the point
    for name in ("", "n" * 257, None):
        with pytest.raises(DataRefused, match="the name of a map is text"):
            there.data.map(name)  # type: ignore[arg-type]  # that it is refused is the point
    with pytest.raises(DataRefused, match="ttl_s"):
        there.data.put("a", 1, ttl_s=0)
    with pytest.raises(DataRefused, match="a scope is one of app, tenant"):
        there.data.scope("world")
    there.finish()
    assert there.committed.keys() == []


def test_compare_and_set(there: Kept) -> None:
    there.data.put("a", 1, if_version=0)
    there.finish()
    value, version = there.committed.get_versioned("a")
    assert (value, version > 0) == (1, True)
    assert there.committed.put("a", 2, if_version=version) > version
    with pytest.raises(VersionConflict, match=f"'a' is not version {version} any more"):
        there.committed.put("a", 3, if_version=version)
    with pytest.raises(VersionConflict):
        there.committed.delete("a", if_version=0)
    assert there.committed.get("a") == 2


def test_a_version_is_never_used_twice(there: Kept) -> None:
    old = there.committed.put("a", 1)
    there.data.delete("a", if_version=old)
    there.finish()
    assert there.committed.get_versioned("a") == (None, 0)
    assert there.committed.put("a", 1, if_version=0) > old


def test_keys_are_paged_in_order(there: Kept) -> None:
    for key in ("b/2", "a/1", "b/4"):
        there.committed.put(key, None)
    for key in ("b/1", "b/3", "c"):
        there.data.put(key, None)
    there.data.delete("b/2")
    assert there.data.keys("b/") == ["b/1", "b/3", "b/4"]
    assert there.data.keys("b/", limit=2) == ["b/1", "b/3"]
    assert there.data.keys("b/", after="b/3") == ["b/4"]
    assert there.data.keys(limit=1) == ["a/1"]
    assert there.data.keys() == ["a/1", "b/1", "b/3", "b/4", "c"]


def test_maps(there: Kept) -> None:
    orders = there.data.map("orders")
    orders["a"] = {"n": 1}
    orders["b"] = None
    assert (orders["a"], "b" in orders, "c" in orders, orders.get("c", 7)) == ({"n": 1}, True, False, 7)
    assert (list(orders), dict(orders.items())) == (["a", "b"], {"a": {"n": 1}, "b": None})
    del orders["a"]
    for missing in ("a", "never"):
        with pytest.raises(KeyError, match=missing):
            orders[missing]
        with pytest.raises(KeyError, match=missing):
            del orders[missing]
    there.finish()
    assert (list(there.committed.map("orders")), there.committed.keys()) == (["b"], [])
    assert list(there.committed.map("others")) == []


def test_a_map_of_many_pages(there: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.data.PAGE", 3)
    numbers = there.data.map("numbers")
    for number in range(9):
        (numbers if number % 2 else there.committed.map("numbers")).put(str(number), number)
    assert dict(numbers.items()) == {str(number): number for number in range(9)}


def test_sets(there: Kept) -> None:
    there.committed.set("seen").add("a")
    seen = there.data.set("seen")
    for member in ("b", "c", "b"):
        seen.add(member)
    seen.discard("a")
    seen.discard("never")
    assert (list(seen), seen.members("b"), "a" in seen, "c" in seen) == (["b", "c"], ["b"], False, True)
    there.finish()
    assert list(there.committed.set("seen")) == ["b", "c"]


def test_counters(there: Kept) -> None:
    hits = there.data.counter("hits")
    assert (hits.get(), hits.add(), hits.add(5), hits.add(-8)) == (0, 1, 6, -2)
    there.finish()
    assert there.committed.counter("hits").get() == -2
    for odd in (1.5, True, "1", 2**64):
        with pytest.raises(DataRefused):
            hits.add(odd)  # type: ignore[arg-type]  # that it is refused is the point
        with pytest.raises(DataRefused):
            hits.set(odd if odd != 2**64 else "n")  # type: ignore[arg-type]  # that it is refused is the point


def test_a_counter_is_set(there: Kept) -> None:
    there.committed.counter("n").add(3)
    counter = there.data.counter("n")
    assert counter.add(1) == 4
    counter.set(10)
    assert (counter.add(1), counter.get()) == (11, 11)
    there.finish()
    assert there.committed.counter("n").get() == 11


def test_a_counter_has_an_end(there: Kept) -> None:
    there.committed.counter("n").set(2**63 - 1)
    with pytest.raises(DataRefused, match="'n' would exceed"), there.data.transaction() as data:
        data.counter("n").add(1)
    assert there.committed.counter("n").get() == 2**63 - 1


def test_the_tenants_data_is_apart(there: Kept) -> None:
    shared = there.data.scope("tenant")
    shared.put("a", "shared")
    shared.map("m")["k"] = 1
    there.data.put("a", "own")
    assert (shared.get("a"), there.data.get("a"), shared.scope("app").get("a")) == ("shared", "own", "own")
    there.finish()
    assert there.committed.scope("tenant").map("m")["k"] == 1
    assert list(there.committed.map("m")) == []


def test_a_time_to_live(there: Kept) -> None:
    there.data.put("a", 1, ttl_s=2)
    there.data.map("m").put("k", 1, ttl_s=1)
    there.finish()
    there.pass_s(1)
    assert ("a" in there.committed, "k" in there.committed.map("m")) == (True, False)
    there.pass_s(1)
    assert (there.committed.get_versioned("a"), there.committed.keys()) == ((None, 0), [])
    there.committed.put("a", 2, if_version=0)
    there.pass_s(10)
    assert there.committed.get("a") == 2


def test_changes_at_once_stay(there: Kept) -> None:
    there.data.now.put("a", 1)
    assert there.committed.get("a") == 1


def test_a_transaction_is_committed_at_its_end_or_not_at_all(there: Kept) -> None:
    version = there.committed.put("a", 1)
    with there.data.now.transaction() as data:
        data.put("a", data.get("a") + 1, if_version=version)
        data.set("seen").add("x")
        assert there.committed.get("a") == 1
    assert (there.committed.get("a"), list(there.committed.set("seen"))) == (2, ["x"])
    with pytest.raises(ZeroDivisionError), there.data.transaction() as data:
        data.put("b", 1 // 0)
    with pytest.raises(VersionConflict), there.data.transaction() as data:
        data.put("a", data.counter("n").add(1), if_version=version)
    assert (there.committed.get("a"), there.committed.keys()) == (2, ["a"])


# --- together -----------------------------------------------------------------------------------------------------


def test_nothing_is_changed_before_the_end(buffered: Kept) -> None:
    assert buffered.data.put("a", 1) == -1
    buffered.data.set("s").add("x")
    buffered.data.counter("n").add(1)
    assert (buffered.committed.keys(), list(buffered.committed.set("s"))) == ([], [])
    assert buffered.committed.counter("n").get() == 0
    buffered.finish()
    assert (buffered.committed.get("a"), buffered.committed.counter("n").get()) == (1, 1)


def test_what_others_add_meanwhile_is_added_too(buffered: Kept) -> None:
    assert buffered.data.counter("n").add(1) == 1
    buffered.committed.counter("n").add(10)
    buffered.finish()
    assert buffered.committed.counter("n").get() == 11


def test_a_conflict_at_the_end_leaves_nothing(buffered: Kept) -> None:
    version = buffered.committed.put("a", 1)
    buffered.data.put("b", 1)
    buffered.data.put("a", 2, if_version=version)
    buffered.committed.put("a", 5)
    with pytest.raises(VersionConflict, match=f"'a' is not version {version} any more"):
        buffered.finish()
    assert (buffered.committed.get("a"), buffered.committed.keys()) == (5, ["a"])


def test_a_handler_builds_on_its_own_changes(buffered: Kept) -> None:
    first = buffered.committed.put("a", 1)
    buffered.data.put("a", 2, if_version=first)
    value, version = buffered.data.get_versioned("a")
    assert (value, version) == (2, -1)
    buffered.data.put("a", 3, if_version=version)
    with pytest.raises(VersionConflict):
        buffered.data.put("a", 4, if_version=first)
    buffered.data.delete("a")
    assert buffered.data.get_versioned("a") == (None, 0)
    buffered.data.put("a", 5, if_version=0)
    buffered.finish()
    assert buffered.committed.get("a") == 5


def test_what_is_changed_together_is_bounded(buffered: Kept) -> None:
    for number in range(1000):
        buffered.data.put(str(number), number)
    buffered.data.put("0", "again")
    with pytest.raises(DataRefused, match=r"1000 changes and 8388608 bytes together; this is more"):
        buffered.data.put("one more", 1)
    buffered.finish()
    assert (len(buffered.committed.keys(limit=2000)), buffered.committed.get("0")) == (1000, "again")


def test_so_are_its_bytes(buffered: Kept) -> None:
    buffered.data.put("a", "x" * 5_000_000)
    buffered.data.put("a", "y" * 5_000_000)
    with pytest.raises(DataRefused, match="bytes together"):
        buffered.data.put("b", "x" * 5_000_000)
