"""Look-ahead behind what has to be computed: workers that are out come in for Choice, Parallel and Map states, just in
time, and guesses that were wrong are given up at once."""

from __future__ import annotations

import pytest

from actorfaas.core.execution import Lane
from tests.core.branching_rig import Json, define, machine, task
from tests.core.specs import function
from tests.core.test_executions_paging import busy_of, kinds, ran
from tests.core.world import World
from tests.core.world_node import MS, S
from tests.core.world_swapper import OUTSIDE

CHOICE = machine(
    a=task("a", Next="choose"),
    choose={"Type": "Choice", "Choices": [{"Variable": "$", "NumericLessThan": 10, "Next": "b"}], "Default": "c"},
    b=task("b"),
    c=task("c"),
)
PARALLEL = machine(
    a=task("a", Next="split"),
    split={"Type": "Parallel", "Branches": [machine(b=task("b")), machine(c=task("c"))], "Next": "join"},
    join={"Type": "Pass", "Result": 0, "Next": "d"},
    d=task("d"),
)


def mapped(at_once: int = 0) -> Json:
    """As many items as the list that a returns."""
    each = {"Type": "Map", "MaxConcurrency": at_once, "ItemProcessor": machine(b=task("b")), "End": True}
    return machine(a=task("a", Next="each"), each=each)


def make(*, look_ahead: int = 2, **concurrency: int) -> World:
    """Functions a to d with no worker in memory; forks are known to be dear, and a to take a tenth of a second."""
    world = World(mode=OUTSIDE, policy="immediate", look_ahead=look_ahead)
    world.deploy(
        *(function(name, concurrency=concurrency.get(name, 4)) for name in "abcd"),
        workflows=(
            define("choice", CHOICE),
            define("parallel", PARALLEL),
            define("map", mapped()),
            define("map_of_2", mapped(2)),
            define("all", machine(a=task("a", Next="b"), b=task("b", Next="c"), c=task("c", Next="d"), d=task("d"))),
        ),
    )
    world.run()
    world.prefers_reading(*"abcd")
    for number in range(2):
        world.start("all", f"warm{number}")
        world.run()
        rest(world)
    ran(world, "a@1", 100 * MS)
    return world


def rest(world: World) -> None:
    """Let time pass until every worker is out."""
    for _ in range(10):
        if {phase for name in "abcd" for phase in world.phases(f"{name}@1")} == {"swapped"}:
            return
        world.advance(1.0)
        world.run()
    raise AssertionError("workers stay in memory")


def begin(world: World, name: str, execution_id: str, payload: bytes = b"0") -> None:
    """Start a workflow; its first state runs, and the time has come to bring in all who are next."""
    world.start(name, execution_id, payload=payload)
    world.settle()
    assert busy_of(world, "a@1")
    end_ns = world.now + 100 * MS
    for _ in range(8):
        due_ns = world.steering.next_due_ns(world.now)
        if due_ns is None or due_ns >= end_ns:
            return
        world.advance(max(0, due_ns - world.now) / S)
        world.settle()


def test_workers_that_come_in_together_are_begun_one_before_the_other() -> None:
    world = make()
    world.start("parallel", "e1")
    world.settle()
    begun: list[int] = []
    while world.phases("b@1") + world.phases("c@1") != ["reserved"] * 2:
        due_ns = world.steering.next_due_ns(world.now)
        assert due_ns is not None
        world.advance(max(0, due_ns - world.now) / S)
        world.settle()
        begun.append(world.now)
    assert len(begun) == 2, "they are read from one disk, so the first one's time is allowed for"
    assert begun[0] < begun[1]


def finish(world: World, function_topic: str, output: bytes = b"") -> None:
    (worker,) = busy_of(world, function_topic)
    world.finish(worker, output)
    world.settle()


def teach(world: World, outputs: str) -> None:
    """Run the choice: 0 leads to b, 9 to c."""
    for number, output in enumerate(outputs):
        world.start("choice", f"taught{number}")
        world.settle()
        finish(world, "a@1", output.encode() if output == "0" else b"99")
        world.run()
        rest(world)
    for _ in range(4):
        ran(world, "a@1", 100 * MS)


def is_reserved(world: World, topic: str) -> bool:
    worker = world.dispatch.worker(topic)
    return worker is not None and worker.claim is not None


def root(world: World, execution_id: str) -> Lane:
    execution = world.executions.execution(execution_id)
    assert execution is not None
    return execution.lanes[0]


def test_the_likely_side_of_a_choice_comes_in_while_the_state_before_runs() -> None:
    world = make()
    teach(world, "000000009")
    before = world.executions.guesses.reservations
    begin(world, "choice", "e1")
    assert (world.phases("b@1"), world.phases("c@1")) == (["reserved"], ["swapped"])
    assert world.executions.guesses.reservations == before + 1
    wrong = world.executions.guesses.wrong
    finish(world, "a@1", b"0")
    assert busy_of(world, "b@1")
    world.run()
    assert kinds(world, "e1") == ["prefetched", "prefetched"]
    assert world.executions.guesses.wrong == wrong


def test_it_is_brought_in_no_earlier_than_it_must() -> None:
    world = make()
    teach(world, "00000000")
    world.start("choice", "e1")
    world.settle()
    assert world.phases("b@1") == ["swapped"], "much too early"
    due_ns = world.steering.next_due_ns(world.now)
    assert due_ns is not None
    assert 0 < due_ns - world.now < 100 * MS
    world.run()


def test_a_wrong_guess_is_given_up_at_once_and_counted() -> None:
    world = make()
    teach(world, "00000000")
    begin(world, "choice", "e1")
    (worker,) = world.dispatch.pools["b@1"].workers.values()
    assert is_reserved(world, worker.topic)
    wrong = world.executions.guesses.wrong
    (busy,) = busy_of(world, "a@1")
    world.finish(busy, b"99")
    while world.deliver("from_queue"):
        pass
    assert not is_reserved(world, worker.topic)
    assert worker.phase == "paging_out", "it stays in for nobody"
    assert world.executions.guesses.wrong == wrong + 1
    world.run()
    assert world.outcome("e1") == ("succeeded", b"100")


@pytest.mark.parametrize("outputs", ["", "0", "00990099"])
def test_a_guess_that_is_not_worth_its_price_is_not_made(outputs: str) -> None:
    world = make()
    teach(world, outputs)
    begin(world, "choice", "e1")
    assert (world.phases("b@1"), world.phases("c@1")) == (["swapped"], ["swapped"])
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_without_look_ahead_nothing_is_brought_in() -> None:
    world = make(look_ahead=0)
    teach(world, "00000000")
    begin(world, "choice", "e1")
    assert world.phases("b@1") == ["swapped"]
    begin(world, "parallel", "e2")
    assert root(world, "e2").prospects == []
    world.run()


def test_all_branches_of_a_parallel_state_come_in_and_then_what_follows_the_last() -> None:
    world = make()
    begin(world, "parallel", "e1")
    assert [world.phases(f"{name}@1") for name in "bcd"] == [["reserved"], ["reserved"], ["swapped"]]
    ran(world, "c@1", 100 * MS)
    finish(world, "a@1", b"0")
    (follows,) = world.dispatch.pools["d@1"].workers.values()
    assert not is_reserved(world, follows.topic), "two branches are under way"
    finish(world, "b@1")
    assert is_reserved(world, follows.topic)
    assert world.phases("d@1") == ["swapped"], "much too early"
    world.advance(0.1)
    world.settle()
    assert world.phases("d@1") == ["reserved"]
    finish(world, "c@1")
    assert busy_of(world, "d@1") == [follows.topic]
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")
    assert kinds(world, "e1") == ["prefetched"] * 4


@pytest.mark.parametrize(("name", "items", "expected"), [("map", 3, 3), ("map", 9, 4), ("map_of_2", 3, 2)])
def test_a_map_has_as_many_brought_in_as_will_run(name: str, items: int, expected: int) -> None:
    world = make()
    output = str([0] * items).encode()
    for number in range(2):  # which makes as many workers as it needs
        world.start(name, f"taught{number}")
        world.settle()
        finish(world, "a@1", output)
        world.run()
        rest(world)
    begin(world, name, "e1")
    assert world.phases("b@1").count("reserved") == expected
    wrong = world.executions.guesses.wrong
    finish(world, "a@1", output)
    world.run()
    assert world.outcome("e1")[0] == "succeeded"
    assert world.executions.guesses.wrong == wrong
    assert kinds(world, "e1")[1 : 1 + expected] == ["prefetched"] * expected


def test_fewer_items_than_expected_leave_the_rest_free() -> None:
    world = make()
    for number in range(2):
        world.start("map", f"taught{number}")
        world.settle()
        finish(world, "a@1", b"[0,0,0,0]")
        world.run()
        rest(world)
    begin(world, "map", "e1")
    wrong = world.executions.guesses.wrong
    (busy,) = busy_of(world, "a@1")
    world.finish(busy, b"[0]")
    while world.deliver("from_queue"):
        pass
    claimed = [worker for worker in world.dispatch.pools["b@1"].workers.values() if worker.claim is not None]
    assert len(claimed) == 1
    assert world.executions.guesses.wrong == wrong + 3
    world.run()


@pytest.mark.parametrize("ends", ["cancel", "fail", "die"])
def test_nothing_stays_reserved_when_the_state_before_does_not_lead_on(ends: str) -> None:
    world = make()
    begin(world, "parallel", "e1")
    (busy,) = busy_of(world, "a@1")
    if ends == "cancel":
        world.cancel("e1")
    else:
        getattr(world, ends)(busy)
    world.run()
    held = [w for pool in world.dispatch.pools.values() for w in pool.workers.values() if w.claim is not None]
    assert held == []


def test_a_state_that_waits_takes_a_worker_that_is_only_guessed_at() -> None:
    world = make(b=1)
    begin(world, "parallel", "e1")
    assert world.phases("b@1") == ["reserved"]
    world.start("map", "e2")
    world.settle()
    for topic in busy_of(world, "a@1"):
        (one,) = world.instances[topic].tasks
        if "e2" in one.request_id:
            world.finish(topic, b"[0]")
    world.settle()
    assert busy_of(world, "b@1"), "the guess did not make way"
    world.run()
    assert (world.outcome("e1")[0], world.outcome("e2")[0]) == ("succeeded", "succeeded")


def test_who_needs_a_worker_takes_one_that_is_only_likely_to_be_needed_before_another_is_made() -> None:
    world = make()
    teach(world, "00000000")
    begin(world, "choice", "e1")
    (worker,) = world.dispatch.pools["b@1"].workers
    assert is_reserved(world, worker)
    world.start("b", "e2", payload=b"1")
    world.settle()
    assert busy_of(world, "b@1") == [worker]
    finish(world, "a@1", b"0")
    world.run()
    assert (world.outcome("e1")[0], world.outcome("e2")) == ("succeeded", ("succeeded", b"2"))


def test_a_worker_that_dies_while_it_is_brought_in_costs_nothing() -> None:
    world = make()
    begin(world, "parallel", "e1")
    (worker,) = (topic for topic in world.instances if topic.startswith("b@1"))
    world.die(worker)
    world.settle()
    assert len(root(world, "e1").prospects) == 1
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")
