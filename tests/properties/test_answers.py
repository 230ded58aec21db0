"""Whatever happens to tasks that others answer: everybody who asks is answered once, every execution ends once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorfaas.core.activities import Poll
from actorfaas.core.awaiting import Awaited
from actorfaas.core.children import depth_of
from actorfaas.messages import FailTask, SucceedTask
from tests.core.outside_rig import FLOWS, make
from tests.core.world import World

NAMES = sorted(FLOWS.keys() - {"endless"})
QUEUES = ("to_queue", "from_queue", "to_supervisor", "from_supervisor", "to_store", "to_store")
OPERATIONS = (*QUEUES, "finish", "change", "fail", "die", "start", "start", "cancel", "advance", "answer", "answer")
RARE = ("poll", "ends", "beat", "data_refused", "store_down", "restart_queue", "restart_supervisor", "restart_manager")

steps = st.lists(st.tuples(st.sampled_from((*OPERATIONS * 3, *RARE * 2)), st.integers(0, 24)), max_size=100)


class Story:
    """A world, and who waits for an answer in it."""

    def __init__(self) -> None:
        self.world = make()
        self.asked: set[int] = set()

    def do(self, operation: str, choice: int) -> None:
        """One random thing that can happen."""
        world = self.world
        match operation:
            case "finish" | "change" | "fail" | "die":
                world.end_something(operation, choice)
            case "start":
                number = next(world.numbers)
                payload = b'{"n":1}' if choice % 2 else b"1"
                world.start(NAMES[choice % len(NAMES)], f"e{number}", wait_for_commit=choice % 3 > 0, payload=payload)
            case "cancel":
                running = [one.execution_id for one in world.executions.all()]
                if running:
                    world.cancel(running[choice % len(running)])
            case "advance":
                world.advance((0.01, 0.5, 1.0, 5.0, 21.0)[choice % 5])
            case "answer" | "beat" | "poll":
                self.outside(operation, choice)
            case _:
                self.trouble(operation, choice)

    def outside(self, operation: str, choice: int) -> None:
        """Something that somebody outside does."""
        world, number = self.world, next(self.world.numbers)
        tokens = [one.token for one in awaited(world)] or ["gone.0.5"]
        token = tokens[choice % len(tokens)]
        if operation == "beat":
            world.executions.task_beats(token, world.now)
        elif operation == "poll":
            assert world.executions.poll_activity("knit", Poll(number, ""), world.now) is None
        else:
            self.asked.add(number)
            given = FailTask(token, "Bad", "") if choice % 4 == 0 else SucceedTask(token, b"%d" % choice)
            world.executions.task_answered(given, number, world.now)
        world.flush()

    def trouble(self, operation: str, choice: int) -> None:
        """Something that goes wrong, or a message that arrives."""
        world = self.world
        match operation:
            case "ends":
                world.tell_ends()
            case "data_refused":
                world.store.refuses_data = ("", "precondition_failed", "data_refused")[choice % 3]
            case "store_down":
                world.store.is_up = not world.store.is_up
            case "restart_manager":
                world.restart_manager()
                self.asked.clear()  # they hear that their connection broke
            case "restart_queue" | "restart_supervisor":
                getattr(world, operation)()
            case _:
                world.deliver(operation)

    def wind_down(self) -> None:
        """Everything works again, and everything is answered, until nothing is left to do."""
        world = self.world
        world.store.is_up, world.store.refuses_data = True, ""
        for choice in range(60):
            world.executions.data_layer_connected(world.now)
            world.flush()
            world.run()
            world.advance(1.0)
            for _ in awaited(world):
                self.outside("poll", 0)
                self.outside("answer", choice % 3 + 1)
        world.run()


def awaited(world: World) -> list[Awaited]:
    """What is waited for from outside."""
    lanes = [lane for one in world.executions.all() for lane in one.lanes.values()]
    return [lane.awaited for lane in lanes if lane.awaited is not None]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_every_answer_is_answered_and_every_execution_ends_once(steps: list[tuple[str, int]]) -> None:
    story = Story()
    world = story.world
    for operation, choice in steps:
        story.do(operation, choice)
        world.check()
    story.wind_down()
    world.check()
    assert list(world.executions.all()) == []
    assert story.asked <= world.replies.keys(), "somebody was never answered"
    for execution_id, stored in world.store.items():
        assert stored.finish is not None, f"{execution_id} never ended"
        ends = [one for one in world.types(execution_id) if one.startswith("Execution") and one != "ExecutionStarted"]
        assert len(ends) == 1, ends
        assert "does not fit its definition" not in stored.finish.error_message
    followed = [one for one in world.store if depth_of(one)]
    told = "".join(event.payload.decode() for one in world.store.values() for event in one.events.values())
    assert all(world.outcome(one)[0] == "cancelled" or one in told for one in followed), "a child nobody waited for"
