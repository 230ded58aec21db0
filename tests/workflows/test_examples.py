"""The example bundles as plain Python: right answers, without a node."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from actorfaas import Context, VersionConflict
from actorfaas.data.memory import MemoryKeeper

EXAMPLES = Path(__file__).resolve().parents[2] / "workflows"
FUNCTIONS = sorted(path.stem.removesuffix("-a") for path in (EXAMPLES / "functionbench/inputs").glob("*-a.json"))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import an example's `app` as a bundle template does: its folder first on the path; forgotten afterwards."""
    before = set(sys.modules)

    def import_app(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(EXAMPLES / name))
        return import_module("app")

    yield import_app
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[module]


def example_input(path: str) -> Any:
    return json.loads((EXAMPLES / path).read_text("utf-8"))


def test_random_average_is_the_mean_of_its_numbers(load: Any) -> None:
    app = load("random_average")
    made = app.generate_numbers({"count": 100, "seed": 3})
    assert app.average_numbers(made) == {"average": pytest.approx(np.mean(made["numbers"])), "count": 100}
    assert app.generate_numbers({"count": 5, "seed": 3}) == app.generate_numbers({"count": 5, "seed": 3})


def test_random_average_of_nothing_says_why(load: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        load("random_average").average_numbers({"numbers": []})


def test_text_report_counts_each_page_and_reports_on_all(load: Any) -> None:
    app = load("text_report")
    story = example_input("text_report/inputs/story.json")
    text = app.split_pages(story)
    assert " ".join(text["pages"]) == story["text"]
    counts = [app.count_words(page) for page in text["pages"]]
    assert sum(sum(page.values()) for page in counts) == app.measure_words(counts)["words"] == 239
    common = app.common_words(counts)
    assert [one["word"] for one in common[:2]] == ["boats", "harbour"]
    found = {"title": "T", "pages": len(counts), "size": app.measure_words(counts), "common": common}
    assert app.write_summary(found)["report"] == f"T: 239 words on {len(counts)} pages"
    assert "longest enthusiastically" in app.write_report(found)["report"]
    with pytest.raises(app.EmptyText):
        app.split_pages(example_input("text_report/inputs/empty.json"))


def test_convolution_states_equal_numpy_done_at_once(load: Any) -> None:
    app = load("convolution")
    pixels = app.draw_image(32, 4)
    image = app.make_image({"side": 32, "seed": 4})
    for state in (app.blur_image, app.sharpen_image):
        image = state(image)
    edges = app.detect_edges(image, Context())
    sharp = app.convolve(app.convolve(pixels, app.BLUR), app.SHARPEN)
    expected = np.hypot(app.convolve(sharp, app.SOBEL_X), app.convolve(sharp, app.SOBEL_X.T))
    assert np.allclose(app.unpack(edges), expected)
    assert sum(app.summarise_image(edges)["histogram"]["counts"]) == 32 * 32


def test_convolve_agrees_with_the_definition(load: Any) -> None:
    app = load("convolution")
    pixels = np.arange(25.0).reshape(5, 5)
    kernel = np.arange(9.0).reshape(3, 3)
    expected = sum(kernel[i, j] * pixels[2 + 1 - i, 2 + 1 - j] for i in range(3) for j in range(3))
    assert app.convolve(pixels, kernel)[2, 2] == expected


def test_order_pipeline_confirms_the_basket(load: Any) -> None:
    app = load("order_pipeline")
    ctx = Context()
    order = app.validate_order(example_input("order_pipeline/inputs/basket.json"))
    order = app.reserve_stock(app.tax_order(app.price_order(order)), ctx)
    confirmed = app.confirm_order(app.charge_card(order, ctx))
    assert (confirmed["total"], confirmed["items"], confirmed["status"]) == ("89.28", 14, "confirmed")
    assert ctx.data.get("stock/tea") == app.INITIAL_STOCK - 12


def test_stock_is_taken_again_when_another_order_was_faster(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = load("order_pipeline")
    ctx = Context()
    commit, attempts = MemoryKeeper.commit, []

    def contested(keeper: MemoryKeeper, writes: Any) -> Any:
        attempts.append(writes)
        if len(attempts) == 1:
            raise VersionConflict("stock/mug", 0)
        return commit(keeper, writes)

    monkeypatch.setattr(MemoryKeeper, "commit", contested)
    app.take_from_stock(ctx, "mug", 1)
    assert len(attempts) == 2


@pytest.mark.parametrize(
    "order", [{"customer": ""}, {"customer": "a", "country": "XX"}, {"customer": "a", "country": "GB"}]
)
def test_bad_orders_are_rejected(load: Any, order: dict[str, Any]) -> None:
    app = load("order_pipeline")
    with pytest.raises(app.OrderRejected):
        app.validate_order(order)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functionbench_answers_both_inputs_the_same_way_every_time(load: Any, name: str) -> None:
    app = load("functionbench")
    if name in ("cnn_serving", "rnn_serving"):
        sys.modules[name.partition("_")[0]].load_weights()
    if name == "lr_serving":
        sys.modules["logistic"].load_model()
    function = getattr(app, name)
    first = [function(example_input(f"functionbench/inputs/{name}-{which}.json")) for which in "ab"]
    again = [function(example_input(f"functionbench/inputs/{name}-{which}.json")) for which in "ab"]
    assert first == again
    assert first[0] != first[1]


def test_functionbench_has_two_inputs_for_every_function(load: Any) -> None:
    app = load("functionbench")
    assert sorted(app.__all__) == FUNCTIONS
    assert all((EXAMPLES / f"functionbench/inputs/{name}-b.json").is_file() for name in FUNCTIONS)


def test_aes_block_is_the_standards_example(load: Any) -> None:
    load("functionbench")
    aes = sys.modules["aes"]
    key = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert aes.encrypt_block(block, aes.expand_key(key)).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


def test_aes_counter_mode_is_the_standards_example(load: Any) -> None:
    load("functionbench")
    aes = sys.modules["aes"]
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    counter = int("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 16)
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert aes.counter_mode(plain, key, counter).hex() == "874d6191b620e3261bef6864990db6ce"


def test_lr_training_learns(load: Any) -> None:
    outcome = load("functionbench").lr_training({"samples": 2000, "steps": 50, "seed": 1})
    assert outcome["accuracy"] > 0.9


def test_video_processing_follows_the_object(load: Any) -> None:
    path = load("functionbench").video_processing({"frames": 8, "side": 64, "seed": 1})["path"]
    assert path == sorted(path)
    assert path[0] < 10 < 50 < path[-1]


def test_parcels_are_packed_billed_and_sent(load: Any) -> None:
    parcels = load("parcels").parcels
    sent = parcels.run(example_input("parcels/inputs/order.json"))
    assert (sent["status"], sent["way"], sent["grams"], sent["cents"]) == ("sent", "post", 2460, 900)
    assert [box["label"] for box in sent["boxes"]] == ["3 x tea", "2 x mug", "1 x kettle"]
    assert sent["invoice"] == {"customer": "Ada", "pieces": 6, "attempts": 2}
    assert parcels.run(example_input("parcels/inputs/light.json"))["way"] == "courier"


def test_parcels_that_cannot_be_sent(load: Any) -> None:
    parcels = load("parcels").parcels
    assert parcels.run(example_input("parcels/inputs/unknown.json")) == {
        "status": "refused",
        "unknown": "teapot",
        "known": ["kettle", "mug", "tea"],
    }
    heavy = parcels.test({"customer": "Ada", "lines": [{"item": "kettle", "quantity": 15}]})
    assert (heavy.error, "confirm" in heavy.visited) == ("TooHeavy", False)
