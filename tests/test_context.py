"""`actorfaas.context`: what handlers see in a unit test."""

from __future__ import annotations

import logging
import time

import pytest

from actorfaas import Context, VersionConflict
from actorfaas.context import MemoryKeyValue


def test_without_arguments_there_is_no_deadline() -> None:
    context = Context()
    assert context.remaining_time_s() == float("inf")
    assert (context.attempt, context.request_id, context.execution_id, context.state) == (1, "", "", "")


def test_remaining_time_ends_at_zero() -> None:
    assert 9 < Context(deadline=time.monotonic() + 10).remaining_time_s() <= 10
    assert Context(deadline=time.monotonic() - 1).remaining_time_s() == 0.0


def test_a_heartbeat_without_a_platform_does_nothing() -> None:
    Context().heartbeat()


def test_the_logger_is_named_after_the_function() -> None:
    context = Context(function_name="resize")
    assert context.logger is logging.getLogger("resize")
    given = logging.getLogger("given")
    assert Context(logger=given).logger is given


def test_a_context_keeps_its_data() -> None:
    context = Context()
    context.kv.put("a", 1)
    assert context.kv.get("a") == 1
    assert Context().kv.get("a") is None


class TestMemoryKeyValue:
    def test_versions_count_from_one(self) -> None:
        kv = MemoryKeyValue()
        assert kv.get_versioned("a") == (None, 0)
        assert kv.put("a", "x") == 1
        assert kv.put("a", "y") == 2
        assert kv.get_versioned("a") == ("y", 2)

    def test_values_are_copies(self) -> None:
        kv = MemoryKeyValue()
        value = {"n": 1}
        kv.put("a", value)
        value["n"] = 2
        assert kv.get("a") == {"n": 1}
        kv.get("a")["n"] = 3
        assert kv.get("a") == {"n": 1}

    def test_what_is_not_json_is_refused(self) -> None:
        kv = MemoryKeyValue()
        with pytest.raises(TypeError):
            kv.put("a", object())
        assert kv.get("a") is None

    def test_compare_and_set(self) -> None:
        kv = MemoryKeyValue()
        assert kv.put("a", 1, if_version=0) == 1
        with pytest.raises(VersionConflict, match="'a' is not absent any more"):
            kv.put("a", 2, if_version=0)
        assert kv.put("a", 2, if_version=1) == 2
        with pytest.raises(VersionConflict, match="'a' is not version 1 any more") as caught:
            kv.delete("a", if_version=1)
        assert (caught.value.key, caught.value.expected_version) == ("a", 1)
        kv.delete("a", if_version=2)
        assert kv.get_versioned("a") == (None, 0)

    def test_deleting_what_is_absent_is_no_error(self) -> None:
        MemoryKeyValue().delete("nothing")

    def test_list_is_ordered_and_bounded(self) -> None:
        kv = MemoryKeyValue()
        for key in ("b/2", "a/1", "b/1", "b/3"):
            kv.put(key, None)
        assert kv.list("b/") == ["b/1", "b/2", "b/3"]
        assert kv.list("b/", limit=2) == ["b/1", "b/2"]
        assert kv.list() == ["a/1", "b/1", "b/2", "b/3"]
