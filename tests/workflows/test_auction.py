"""The auction, in this process."""

from __future__ import annotations

from typing import Any

import pytest

from actorfaas import WorkflowFailed
from actorfaas.testing import MemoryData
from tests.workflows.test_examples import example_input, load

__all__ = ["load"]


def test_the_highest_bid_wins_and_the_sale_is_recorded(load: Any) -> None:
    auction, data = load("auction").auction, MemoryData()
    done = auction.test(example_input("auction/inputs/lamp.json"), data=data)
    assert done.result() == {"item": "lamp", "sold": True, "to": "Cleo", "for": 42}
    assert done.visited == ("open_lot", "bid", "bid", "bid", "auctioneer", "settle")
    assert data.map("sales")["lamp"]["name"] == "Cleo"
    assert (list(data.map("lots")), list(data.set("bidders"))) == ([], ["Ada", "Bob", "Cleo"])
    assert (data.counter("sold").get(), data.scope("tenant").counter("turnover").get()) == (1, 42)


def test_what_was_sold_is_not_sold_again(load: Any) -> None:
    auction, data = load("auction").auction, MemoryData()
    lamp = example_input("auction/inputs/lamp.json")
    auction.run(lamp, data=data)
    with pytest.raises(WorkflowFailed, match="AlreadySold"):
        auction.run(lamp, data=data)
    assert (data.counter("sold").get(), data.scope("tenant").counter("turnover").get()) == (1, 42)


@pytest.mark.parametrize("bidders", [[], [{"name": "Bob", "purse": 10}]])
def test_without_a_bid_nothing_is_sold(load: Any, bidders: list[Any]) -> None:
    auction, data = load("auction").auction, MemoryData()
    lot = {**example_input("auction/inputs/chair.json"), "bidders": bidders}
    assert auction.run(lot, data=data) == {"item": "chair", "sold": False}
    assert (list(data.map("sales")), list(data.map("lots"))) == ([], ["chair"])
