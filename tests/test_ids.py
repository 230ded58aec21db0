"""Identifiers and topic names."""

from __future__ import annotations

import re

import pytest

from actorfaas import ids


def test_ids_are_unique_and_well_formed() -> None:
    made = {ids.new_id("req") for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"req_[0-9a-hjkmnp-tv-z]{26}", one) for one in made)


def test_an_id_is_its_number_in_the_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    random = bytes(range(1, 11))
    monkeypatch.setattr("time.time_ns", lambda: (2**48 - 3) * 1_000_000)
    monkeypatch.setattr("os.urandom", lambda length: random[:length])
    value = 0
    for digit in ids.new_id("x").removeprefix("x_"):
        value = value << 5 | alphabet.index(digit)
    assert value == (2**48 - 3) << 80 | int.from_bytes(random, "big")


def test_ids_sort_by_creation_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for now_ms in (1, 2, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1):
        monkeypatch.setattr("time.time_ns", lambda now_ms=now_ms: now_ms * 1_000_000)
        made.append(ids.new_id("exe"))
    assert made == sorted(made)


def test_topics() -> None:
    topic = ids.function_topic("resize", 3)
    assert topic == "resize@3"
    assert ids.worker_topic(topic, 4711) == "resize@3_4711"
    assert {strategy: ids.request_topic(topic, strategy) for strategy in ids.STRATEGIES} == {
        "auto": "resize@3",
        "resident": "resize@3",
        "swap": "resize@3!swap",
        "reap": "resize@3!reap",
        "faasnap": "resize@3!faasnap",
        "fork": "resize@3!fork",
        "cold": "resize@3!cold",
    }


def test_no_strategy_is_of_two_sorts() -> None:
    assert {"auto", "resident"} == ids.STRATEGIES - ids.ONE_REQUEST_STRATEGIES
    assert ids.PAGED_STRATEGIES.isdisjoint(ids.FRESH_STRATEGIES)
