"""Results as a document and as a page: complete, well-formed, and in need of nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from actorfaas.load import thresholds
from actorfaas.load.page import page
from actorfaas.load.plan import Call
from actorfaas.load.summary import failed, summarise
from tests.load.kit import answered, outcome


class Reader(HTMLParser):
    """Notes tags, what they refer to, and whether they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_a_result_can_be_written_and_adds_up() -> None:
    result = json.loads(json.dumps(summarise(outcome())))
    assert result["calls"] == {
        "intended": 200,
        "sent": 200,
        "ok": 196,
        "failed": 4,
        "dropped": 0,
        "late": 0,
        "unfinished": 0,
    }
    assert sum(result["course"]["ok"]) == 196
    assert sum(one["count"] for one in result["by_kind"].values()) == result["latency_ms"]["count"] == 196
    assert result["curve"][0] == [0.0, result["latency_ms"]["min"]]
    assert [percent for percent, _ in result["curve"]] == sorted(percent for percent, _ in result["curve"])
    assert result["warnings"] == []


def test_warnings_are_loud_about_what_the_figures_do_not_show() -> None:
    found = outcome()
    found.tally.dropped(Call(1.0, 0, b""))
    for _ in range(10):
        answered(found.tally, late_s=0.2, latency_s=0.3)
    found.interrupted = True
    warnings = " ".join(summarise(found)["warnings"])
    assert "interrupted" in warnings
    assert "never sent" in warnings
    assert "did not keep up: 10 of 210" in warnings


def test_a_busy_generator_says_so() -> None:
    found = outcome()
    found.processors = [0.5, 0.97]
    assert "97 % of a core" in summarise(found)["warnings"][0]


def test_conditions_decide_whether_it_failed() -> None:
    assert failed(summarise(outcome(), [thresholds.parse("p50>10ms")]))
    assert not failed(summarise(outcome(), [thresholds.parse("p50>10s")]))


def test_a_closed_loop_is_shown_corrected() -> None:
    result = summarise(outcome(is_open=False))
    assert result["corrected_ms"]["count"] > result["latency_ms"]["count"]
    assert "corrected for a call each" in page(result)


@pytest.mark.parametrize("is_open", [True, False])
def test_the_page_needs_nothing_else(is_open: bool) -> None:
    text = page(summarise(outcome(is_open=is_open), [thresholds.parse("p50>10ms")]))
    reader = read(text)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in reader.tags)
    assert not [name for _, attributes in reader.tags for name in attributes if name in ("src", "href", "xlink:href")]
    assert "url(" not in text
    assert "@import" not in text
    assert "a<b" not in text
    assert "a&lt;b" in text
    assert "prefers-color-scheme:dark" in text


def test_every_plot_says_in_words_what_it_shows() -> None:
    plots = [attributes for tag, attributes in read(page(summarise(outcome()))).tags if attributes.get("role") == "img"]
    assert len(plots) == 4
    assert all(len(one["aria-label"] or "") > 40 for one in plots)


def test_no_place_of_a_plot_is_outside_of_it() -> None:
    text = page(summarise(outcome()))
    for path in re.findall(r'class="line s\d" d="([^"]+)"', text):
        places: Any = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)
        assert all(0 <= float(x) <= 720 and 0 <= float(y) <= 260 for x, y in places)


@pytest.mark.parametrize("calls", [0, 1])
def test_a_run_of_nothing_has_a_page(calls: int) -> None:
    found = outcome(calls=calls)
    read(page(summarise(found)))
    read(page(summarise(outcome(is_open=False, calls=calls))))
