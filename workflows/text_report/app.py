"""Text report: a workflow given as Amazon States Language JSON, with Map, Parallel, Choice, Retry and Catch.

Pages are counted by a Map state, four at once; a Parallel state looks at the counts in two ways; a Choice takes long
texts to one report and short ones to another. The definition is `report.asl.json`.
"""

import json
import re
from collections import Counter
from pathlib import Path

from actorfaas import function, workflow

PAGE_CHARACTERS = 400
WORD = re.compile(r"[^\W\d_]+")


class EmptyText(ValueError):
    """There is nothing to report on."""


@function
def split_pages(text: dict) -> dict:
    """Cut the text between words into pages of a few lines."""
    words = text["text"].split()
    if not words:
        raise EmptyText("the text has no words")
    pages, page = [], ""
    for word in words:
        if page and len(page) + len(word) >= PAGE_CHARACTERS:
            pages.append(page)
            page = ""
        page = f"{page} {word}".lstrip()
    return {"title": text["title"], "pages": [*pages, page]}


@function(concurrency=8)
def count_words(page: str) -> dict:
    """How often each word is on one page."""
    return dict(Counter(word.lower() for word in WORD.findall(page)))


def total(counts: list[dict]) -> Counter:
    """The counts of all pages together."""
    return sum((Counter(page) for page in counts), Counter())


@function
def common_words(counts: list[dict]) -> list[dict]:
    """The most frequent words that are no small ones."""
    found = [(count, word) for word, count in total(counts).items() if len(word) > 3]
    return [{"word": word, "count": count} for count, word in sorted(found, key=lambda one: (-one[0], one[1]))[:5]]


@function
def measure_words(counts: list[dict]) -> dict:
    """How many words there are, how many different ones, and the longest."""
    words = total(counts)
    return {"words": words.total(), "different": len(words), "longest": max(words, key=lambda word: (len(word), word))}


def heading(text: dict) -> str:
    """The first line of a report."""
    return f"{text['title']}: {text['size']['words']} words on {text['pages']} pages"


@function
def write_summary(text: dict) -> dict:
    """The report on a short text."""
    return {"kind": "summary", "report": heading(text)}


@function
def write_report(text: dict) -> dict:
    """The report on a long text."""
    words = ", ".join(f"{one['word']} ({one['count']})" for one in text["common"])
    return {"kind": "report", "report": f"{heading(text)}; most often {words}; longest {text['size']['longest']}"}


text_report = workflow("text_report", asl=json.loads(Path(__file__).with_name("report.asl.json").read_text("utf-8")))
