"""Plain calls and pools whose workers can be paged out: strategies, limits, failures, restarts of the Swapper."""

from __future__ import annotations

import pytest

from actorfaas.messages import InvocationResult, ReleaseIdle, TopicUsage
from actorfaas.swap.policy import Mode
from tests.core.specs import chain, function, workflow
from tests.core.world import World
from tests.core.world_swapper import NONE, OUTSIDE, SELF


def make(*functions: object, mode: str = OUTSIDE, policy: Mode = "immediate", max_workers: int = 64) -> World:
    """A world at rest; in `immediate` mode with every worker out."""
    world = World(mode=mode, policy=policy, max_workers=max_workers)
    world.deploy(*functions)  # type: ignore[arg-type]  # FunctionSpecs
    rest(world)
    return world


def rest(world: World, seconds: int = 1) -> None:
    for _ in range(seconds):
        world.run()
        world.advance(1.0)
    world.run()


def call(world: World, topic: str) -> InvocationResult:
    request = f"r{next(world.numbers)}"
    world.publish(topic, request)
    world.advance(0.006)
    world.run()
    result = world.published[request]
    assert isinstance(result, InvocationResult), result
    return result


def kind_of(world: World, topic: str) -> str:
    return call(world, topic).start_kind


@pytest.mark.parametrize("mode", [OUTSIDE, SELF])
def test_idle_workers_go_out_at_once_when_that_is_the_policy(mode: str) -> None:
    world = make(function("a", warm=3), mode=mode)
    assert world.phases("a@1") == ["swapped"] * 3
    assert world.swapper is not None
    assert world.swapper.out == set(world.instances)


def test_a_plain_call_has_a_worker_brought_in_that_is_out() -> None:
    world = make(function("a"))
    first = call(world, "a@1")
    assert (first.start_kind, first.page_in_ns) == ("recorded", 3_000_000), "nothing was known of its working set"
    rest(world)
    assert world.phases("a@1") == ["swapped"]
    second = call(world, "a@1")
    assert (second.start_kind, second.page_in_ns) == ("prefetched", 3_000_000)
    assert len(world.instances) == 1


def test_a_call_soon_after_finds_the_worker_in_memory() -> None:
    world = make(function("a"), policy="pressure")
    assert kind_of(world, "a@1") == "resident"
    assert world.phases("a@1") == ["resident"]


@pytest.mark.parametrize(
    ("strategy", "kinds"),
    [
        ("swap", ["recorded", "swapped"]),
        ("reap", ["recorded", "prefetched"]),
        ("faasnap", ["recorded", "concurrent"]),
        ("fork", ["fork", "fork"]),
        ("cold", ["cold", "cold"]),
    ],
)
@pytest.mark.parametrize("whose", ["call", "function"])
def test_every_strategy_gives_each_call_its_kind_of_start(strategy: str, kinds: list[str], whose: str) -> None:
    world = make(function("a", strategy=strategy if whose == "function" else "auto"))
    found = []
    for _ in kinds:
        found.append(kind_of(world, f"a@1!{strategy}"))
        world.run()
    assert found == kinds


@pytest.mark.parametrize("policy", ["pressure", "predictive"])
@pytest.mark.parametrize("strategy", ["swap", "reap", "faasnap"])
def test_a_worker_of_a_paged_strategy_goes_out_after_each_call(strategy: str, policy: Mode) -> None:
    world = make(function("a", strategy=strategy), policy=policy)
    for _ in range(3):
        assert world.phases("a@1") == ["swapped"]
        call(world, f"a@1!{strategy}")
        world.run()
    assert len(world.instances) == 1


@pytest.mark.parametrize("policy", ["immediate", "pressure"])
def test_strategy_resident_is_never_paged(policy: Mode) -> None:
    world = make(function("a", strategy="resident", warm=2), policy=policy)
    for topic in ("a@1", "a@1!swap", "a@1!reap", "a@1"):
        assert kind_of(world, topic) == "resident"
        rest(world, 3)
    assert world.phases("a@1") == ["resident"] * 2
    assert world.swapper is not None
    assert not world.swapper.page_outs
    assert not world.swapper.templates, "what resident workers share went out"


def test_a_worker_that_was_brought_back_for_nobody_goes_out_again() -> None:
    world = make(function("a", strategy="reap"))
    world.publish("a@1!reap", "r1", timeout_s=0.5)
    world.deliver("from_queue")
    world.advance(0.6)  # the caller's time is up while the worker is being brought in
    rest(world, 3)
    assert world.phases("a@1") == ["swapped"]
    assert not isinstance(world.published["r1"], InvocationResult)


def test_a_page_out_that_fails_is_tried_again_later() -> None:
    world = World(mode=OUTSIDE, policy="pressure")
    world.swapping_fails = "the swapfile is full"
    world.deploy(function("a", strategy="swap"))
    rest(world)
    assert world.phases("a@1") == ["resident"]
    world.swapping_fails = ""
    rest(world, 7)
    assert world.phases("a@1") == ["swapped"]


def test_a_worker_that_could_not_go_out_is_not_lent_for_good() -> None:
    world = make(function("a"), policy="pressure")
    world.swapping_fails = "the swapfile is full"
    call(world, "a@1!reap")
    rest(world, 3)
    assert world.phases("a@1") == ["resident"]
    world.swapping_fails = ""
    rest(world, 5)
    assert world.phases("a@1") == ["swapped"]


@pytest.mark.parametrize("strategy", ["swap", "reap", "faasnap"])
def test_calls_by_paged_strategies_bring_nobody_back_for_the_next_one(strategy: str) -> None:
    world = World(mode=OUTSIDE, policy="predictive")
    world.deploy(function("a"), workflows=(workflow("aa", chain("a", "a")),))
    rest(world)
    for number in range(4):
        world.publish(f"a@1!{strategy}", f"r{number}")
    world.start("aa", "e1", strategy=strategy)
    rest(world, 5)
    assert world.outcome("e1")[0] == "succeeded"
    called = [topic for topic, one in world.instances.items() if one.calls]
    assert len(called) >= 4
    assert {world.dispatch.pools["a@1"].workers[topic].phase for topic in called} == {"swapped"}


def test_a_page_in_that_fails_is_no_reason_not_to_call() -> None:
    world = make(function("a"))
    world.swapping_fails = "reading failed"
    result = call(world, "a@1!reap")
    assert (result.payload, result.start_kind) == (b"2", "swapped")


def test_a_worker_taken_back_to_go_out_stays_when_it_is_called_meanwhile() -> None:
    world = make(function("a"), policy="predictive")
    for _ in range(2):
        call(world, "a@1")
    (worker,) = world.instances
    assert world.dispatch.want_out(worker, world.now)
    world.flush()
    world.publish("a@1", "soon")  # before the LocalQueue is asked to give the worker back
    assert worker in world.busy()
    world.settle()
    assert world.phases("a@1") == ["resident"]
    world.run()
    assert isinstance(world.published["soon"], InvocationResult)


@pytest.mark.parametrize("phase", ["paging_out", "paging_in"])
def test_a_worker_that_dies_while_it_is_moved_is_replaced(phase: str) -> None:
    world = World(mode=OUTSIDE, policy="immediate")
    world.deploy(function("a", strategy="reap"))
    if phase == "paging_out":
        while world.phases("a@1") != ["paging_out"]:
            assert any(world.deliver(name) for name in world.queues)
    else:
        rest(world)
    world.publish("a@1!reap", "r1")
    world.deliver("from_queue")
    assert world.phases("a@1") == [phase]
    (worker,) = world.instances
    world.die(worker)
    world.run()
    assert isinstance(world.published["r1"], InvocationResult)
    assert worker not in world.instances


@pytest.mark.parametrize("again", [OUTSIDE, SELF])
def test_a_swapper_that_is_killed_leaves_workers_that_can_be_called(again: str) -> None:
    world = make(function("a", warm=4, strategy="reap", concurrency=4))
    world.publish("a@1!reap", "one")
    world.deliver("from_queue")
    assert world.phases("a@1") == ["paging_in", "swapped", "swapped", "swapped"]
    world.lose_swapper()
    assert "paging_in" not in world.phases("a@1")
    world.run()
    assert isinstance(world.published["one"], InvocationResult)
    assert kind_of(world, "a@1!reap") in ("swapped", "resident"), "called as it is"
    world.meet_swapper(again)
    rest(world, 3)
    assert world.phases("a@1") == ["swapped"] * 4


def test_workers_that_are_out_when_swap_is_turned_off_are_called_as_they_are() -> None:
    world = make(function("a", warm=3, concurrency=3))
    world.meet_swapper(NONE)
    world.settle()
    for number in range(3):
        world.publish("a@1", f"r{number}")
    world.advance(0.006)
    world.settle()
    assert len(world.busy()) == 3, "all of them at once, without waiting for a tick"
    world.run()
    results = [world.published[f"r{number}"] for number in range(3)]
    assert {one.start_kind for one in results if isinstance(one, InvocationResult)} == {"swapped"}


def test_a_limit_reached_by_workers_that_are_out_does_not_hold_up_calls() -> None:
    world = make(function("a", warm=2, concurrency=2))
    for number in range(6):
        world.publish("a@1", f"r{number}")
    world.advance(0.006)
    world.run()
    assert all(isinstance(one, InvocationResult) for one in world.published.values())
    assert len(world.instances) == 2


@pytest.mark.parametrize("kind", ["", "!fork", "!swap"])
def test_workers_that_are_out_make_room_for_another_function(kind: str) -> None:
    world = make(function("a", warm=2), function("b", warm=0), max_workers=2)
    assert world.phases("a@1") == ["swapped"] * 2
    assert call(world, f"b@1{kind}").payload == b"2"
    assert len(world.instances) <= 2


@pytest.mark.parametrize("max_workers", [1, 64])
def test_a_worker_that_is_out_makes_room_for_a_fresh_one_of_its_function(max_workers: int) -> None:
    world = make(function("a", concurrency=1), max_workers=max_workers)
    world.publish("a@1!fork", "r1")
    rest(world, 3)
    result = world.published["r1"]
    assert isinstance(result, InvocationResult)
    assert result.start_kind == "fork"


def test_a_call_by_a_paged_strategy_takes_an_idle_worker_of_a_full_pool_back() -> None:
    world = make(function("a", concurrency=1), policy="pressure")
    rest(world, 2)  # it is lent to its topic
    assert call(world, "a@1!swap").payload == b"2"
    world.run()
    assert world.phases("a@1") == ["swapped"]
    assert len(world.instances) == 1


def test_an_instance_on_its_way_for_a_paged_strategy_makes_nobody_leave() -> None:
    world = make(function("a", warm=2), function("b", warm=0), policy="pressure", max_workers=3)
    before = set(world.instances)
    assert call(world, "b@1!swap").payload == b"2"
    assert before < set(world.instances)


def test_what_is_more_than_warm_goes_out_where_it_can_and_exits_where_not() -> None:
    for mode, left in ((OUTSIDE, ["resident", "swapped", "swapped"]), (NONE, ["resident"])):
        world = make(function("a", concurrency=3, idle_timeout_s=3.0), mode=mode, policy="pressure")
        for number in range(3):
            world.publish("a@1", f"r{number}")
            world.advance(0.006)
            world.settle()
        rest(world, 8)
        assert world.phases("a@1") == left


def test_a_surplus_worker_that_cannot_go_out_exits() -> None:
    world = make(function("a", concurrency=3, idle_timeout_s=3.0), policy="pressure")
    world.swapping_fails = "the swapfile is full"
    for number in range(3):
        world.publish("a@1", f"r{number}")
        world.advance(0.006)
        world.settle()
    rest(world, 12)
    assert world.phases("a@1") == ["resident"]


def test_a_removed_pool_lets_workers_go_wherever_their_memory_is() -> None:
    world = make(function("a", warm=3, strategy="reap", concurrency=3))
    world.publish("a@1!reap", "r1")
    world.deliver("from_queue")
    assert world.phases("a@1") == ["paging_in", "swapped", "swapped"]
    world.dispatch.remove_pool("a@1", world.now)
    world.flush()
    world.settle()
    assert not world.instances
    assert world.swapper is not None
    assert not world.swapper.orders


def test_a_drained_version_that_is_current_again_uses_what_is_out() -> None:
    world = make(function("a", warm=2))
    before = set(world.instances)
    world.dispatch.drain_pool("a@1")
    rest(world, 2)
    world.dispatch.restore_pool("a@1", function("a", warm=2), world.now)
    assert call(world, "a@1").payload == b"2"
    assert set(world.instances) == before


def test_an_idle_member_of_a_paged_topic_is_given_back_and_goes_out() -> None:
    world = make(function("a", strategy="swap"), policy="pressure")
    world.publish("a@1!swap", "gone", timeout_s=0.001)
    world.deliver("from_queue")
    world.advance(0.005)  # its time is up before the worker is lent
    world.settle()
    assert [worker.lent_to for worker in world.dispatch.pools["a@1"].workers.values()] == ["a@1!swap"]
    rest(world, 3)
    assert world.phases("a@1") == ["swapped"]


def test_a_worker_whose_move_is_never_answered_is_ended() -> None:
    world = make(function("a", strategy="reap"))
    (worker,) = world.instances
    world.publish("a@1!reap", "r1", timeout_s=200.0)
    world.deliver("from_queue")
    world.advance(61.0)
    assert world.dispatch.worker(worker) is None
    world.run()
    assert worker not in world.instances
    assert isinstance(world.published["r1"], InvocationResult)


def test_failed_starts_leave_a_template_that_is_not_taken_for_busy() -> None:
    world = World(mode=OUTSIDE, policy="immediate")
    world.start_fails = True
    world.deploy(function("a", warm=0))
    world.publish("a@1!fork", "r1")
    rest(world, 10)
    assert world.swapper is not None
    assert "a@1" in world.swapper.templates


def test_use_told_late_counts_for_a_worker_taken_back_meanwhile() -> None:
    world = make(function("a"), policy="pressure")
    rest(world, 2)
    (name,) = world.instances
    assert world.dispatch.want_out(name, world.now)
    world.flush()
    world.settle()
    assert world.phases("a@1") == ["swapped"]
    world.dispatch.usage(TopicUsage("a@1", 0, 1, 0, 1, 0, 1, 0, (name,)), world.now)
    assert world.dispatch.pools["a@1"].workers[name].uses == 1


def test_a_worker_wanted_out_that_comes_back_by_another_way_goes_out() -> None:
    world = make(function("a"), policy="pressure")
    rest(world, 2)
    (name,) = world.instances
    assert world.dispatch.want_out(name, world.now)
    world.queues["to_queue"].append(ReleaseIdle("a@1", 1))  # before what asks for it
    world.flush()
    world.settle()
    assert world.phases("a@1") == ["swapped"]


def test_a_worker_that_has_gone_out_makes_room_at_once() -> None:
    world = World(mode=OUTSIDE, policy="immediate", max_workers=1)
    world.deploy(function("a"), function("b", warm=0))
    while world.phases("a@1") != ["paging_out"]:
        assert any(world.deliver(name) for name in world.queues)
    world.publish("b@1", "r1")
    world.run()
    assert isinstance(world.published["r1"], InvocationResult)


def test_a_starved_function_has_its_own_worker_that_is_out_replaced() -> None:
    world = make(function("a", concurrency=2), function("b", warm=0), max_workers=1)
    world.publish("a@1!fork", "r1")
    rest(world, 4)
    result = world.published["r1"]
    assert isinstance(result, InvocationResult)
    assert result.start_kind == "fork"


def test_a_guess_brings_no_worker_of_a_paged_strategy_in() -> None:
    world = make(function("a", strategy="swap"))
    (name,) = world.instances
    assert not world.dispatch.want_in(name, world.now)


def test_a_guess_is_worth_something_after_a_call_by_a_paged_strategy() -> None:
    world = make(function("a"), policy="pressure")
    call(world, "a@1!swap")
    world.run()
    (name,) = world.instances
    assert world.phases("a@1") == ["swapped"]
    assert world.dispatch.want_in(name, world.now)
    world.flush()
    rest(world, 3)
    assert world.phases("a@1") == ["resident"]


def test_a_member_of_a_paged_topic_that_was_adopted_goes_out_after_its_call() -> None:
    world = make(function("a"), policy="pressure")
    world.publish("a@1!reap", "r1")
    while not world.busy():
        assert any(world.deliver(name) for name in world.queues) or world.swap_one() or world.tend_one()
    world.restart_manager()
    world.run()
    assert isinstance(world.published["r1"], InvocationResult)
    assert world.phases("a@1") == ["swapped"]
