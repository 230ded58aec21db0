"""Functions and workflows that keep data."""

import time
from pathlib import Path
from typing import Any

from actorfaas import Context, each, function, parallel, pass_, workflow
from actorfaas import event as given

Json = Any  # a decoded JSON document


@function
def put(event: Json, ctx: Context) -> Json:
    ctx.data.put(event["key"], event["value"], if_version=event.get("if_version"))
    if event.get("then") == "raise":
        raise ValueError("after the change")
    return [ctx.data.get(event["key"]), ctx.data.now.get(event["key"])]


@function
def get(event: Json, ctx: Context) -> Json:
    return ctx.data.get(event["key"] if isinstance(event, dict) else "k")


@function(concurrency=8)
def tally(event: Json, ctx: Context) -> Json:
    """Count an item; the tenth, twentieth, ... of them waits at a gate once."""
    ctx.data.now.counter("begun").add(1)
    counted = ctx.data.counter("counted").add(1)
    ctx.data.set("items").add(str(event["number"]))
    ctx.data.map("sums")[str(event["number"])] = counted
    if event["number"] % 10 == 9:
        while not (Path(event["folder"]) / "gate").exists():
            time.sleep(0.01)
    return event["number"]


@function(concurrency=4, retries=20, retry_delay_s=0.01)
def compete(event: Json, ctx: Context) -> Json:
    """Count by compare-and-set, as many do at once."""
    value, version = ctx.data.get_versioned("contested")
    ctx.data.put("contested", (value or 0) + 1, if_version=version)
    return value


@function
def ask(event: Json, ctx: Context) -> Json:
    """Ask those that answer, each of which says who it is."""
    ctx.take_alias("asker")
    for index in range(event["questions"]):
        ctx.send("answer", {"question": index}, index=index)
    return sorted(ctx.receive(10) for _ in range(event["questions"]))


@function(concurrency=8)
def answer(event: Json, ctx: Context) -> Json:
    """Answer one question."""
    question = ctx.receive(event.get("timeout_s"))
    ctx.send("asker", 10 * question["question"])
    return question


@function
def shout(event: Json, ctx: Context) -> None:
    ctx.send("nobody", "hello")


workflow("unheard", shout)


@function
def post(event: Json, ctx: Context) -> Json:
    """Send some letters to a function that runs later."""
    for number in range(event["letters"]):
        ctx.send("collect", number)
    return event


@function
def collect(event: Json, ctx: Context) -> Json:
    """Receive one letter, wait at a gate, then receive the others."""
    letters = [ctx.receive(10)]
    (Path(event["folder"]) / f"one.{ctx.data.now.counter('collecting').add(1)}").touch()
    while not (Path(event["folder"]) / "gate").exists():
        time.sleep(0.01)
    return letters + [ctx.receive(10) for _ in range(event["letters"] - 1)]


@function
def collect_more(event: Json, ctx: Context) -> Json:
    """What is left once the letters are received: nothing."""
    ctx.take_alias("collect")
    try:
        return [*event, ctx.receive(0.05)]
    except TimeoutError:
        return event


workflow("letters", post >> collect >> collect_more)


@function
def spread(event: Json, ctx: Context) -> Json:
    """Have every item tallied next."""
    ctx.data.now.counter("spread").add(1)
    ctx.data.counter("spread once").add(1)
    for item in event["items"]:
        ctx.add_next(event.get("state", "tally"), item)
    return "none"


workflow("spreading", spread.adding(potential_next=tally) >> pass_({"all": given}))
workflow("questions", parallel(ask, pass_([{}, {}, {}]) >> each(answer)))
workflow("unanswered", answer)
workflow("put_then_get", put >> get)
workflow("express", put >> get, durability="express")
workflow("tallies", each(tally, max_concurrency=8))
workflow("competition", each(compete, max_concurrency=4))
