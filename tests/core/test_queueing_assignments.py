"""Tasks of executions: delivery, hand-off from worker to worker, and the races with the ExecutionManager."""

from __future__ import annotations

from actorfaas.core.queue import Close
from actorfaas.messages import (
    Heartbeat,
    LeaseExpired,
    Retire,
    Task,
    TaskFailed,
    TaskFinished,
    TaskFinishedAndEffects,
    TaskHeartbeat,
    TaskResultAndEffects,
    WorkerDetached,
    WorkerReleased,
)
from tests.core.queueing_rig import MS, Rig, S


def two_workers() -> Rig:
    """w1 runs a task whose result goes to w2; w2 is not armed yet."""
    rig = Rig()
    rig.worker("w1", pid=1)
    rig.worker("w2", pid=2)
    rig.assign("w1", "t1", next_topic="w2")
    rig.all(Task)
    return rig


def test_a_task_is_delivered_and_its_result_goes_to_the_execution_manager() -> None:
    rig = Rig()
    rig.worker("w", start_kind="fork")
    rig.assign("w", "t", payload=b"in")
    task = rig.task_of("w")
    assert (task.request_id, task.execution_id, task.state, task.attempt) == ("t", "exec", "State t", 1)
    assert (task.next_topic, task.credit, task.payload) == ("request_next_fw", 0, b"in")
    delivered_ns = rig.now
    rig.now += 4 * MS
    rig.returns("w", "t", "request_next_fw", b"out", (delivered_ns + 1, delivered_ns + 2))
    assert rig.one(TaskFinished, rig.manager) == TaskFinished(
        "w", "t", "exec", "State t", 1, "", "fork", delivered_ns, delivered_ns + 1, delivered_ns + 2, 3, b"out"
    )
    rig.assign("w", "again")
    rig.returns("w", "again", "request_next_fw")
    assert rig.one(TaskFinished).start_kind == "resident"
    assert not rig.core.needs_tick


def test_a_result_is_handed_to_the_armed_worker_before_the_execution_manager_hears() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    assert rig.none(Task)
    rig.returns("w1", "t1", "w2", b"between")
    order = [type(message) for _, message in rig.said if isinstance(message, Task | TaskFinished)]
    assert order == [Task, TaskFinished]
    task = rig.task_of("w2")
    assert (task.request_id, task.payload, task.next_topic) == ("t2", b"between", "request_next_fw")
    finished = rig.one(TaskFinished)
    assert (finished.worker_topic, finished.handed_to, finished.payload) == ("w1", "w2", b"")
    assert finished.output_bytes == len(b"between")
    rig.returns("w2", "t2", "request_next_fw", b"end")
    assert rig.one(TaskFinished).payload == b"end"


def test_the_execution_manager_gets_a_copy_when_it_asks_for_one() -> None:
    rig = Rig()
    rig.worker("w1", pid=1)
    rig.worker("w2", pid=2)
    rig.assign("w1", "t1", next_topic="w2", report_payload=True)
    rig.assign("w2", "t2", armed=True)
    rig.returns("w1", "t1", "w2", b"between")
    finished = rig.one(TaskFinished)
    assert (finished.handed_to, finished.payload) == ("w2", b"between")


def test_a_result_beyond_the_limit_is_not_handed_on() -> None:
    rig = Rig(max_data_bytes=10)
    rig.worker("w1", pid=1)
    rig.worker("w2", pid=2)
    rig.assign("w1", "t1", next_topic="w2")
    rig.assign("w2", "t2", armed=True)
    rig.returns("w1", "t1", "w2", b"x" * 11)
    finished = rig.one(TaskFinished)
    assert (finished.handed_to, finished.payload) == ("", b"x" * 11)
    assert rig.all(Task, rig.connections["w2"]) == []


def test_a_result_may_go_only_where_its_task_said() -> None:
    rig = two_workers()
    rig.worker("w3", pid=3)
    rig.assign("w3", "t3", armed=True, execution="another")
    rig.returns("w1", "t1", "w3", b"stolen")
    rig.one(Close, rig.connections["w1"])
    assert rig.none(Task)
    assert rig.one(TaskFailed).reason == "worker_lost"


def test_race_a_worker_returns_before_the_next_is_armed() -> None:
    rig = two_workers()
    rig.returns("w1", "t1", "w2", b"between")
    finished = rig.one(TaskFinished)
    assert (finished.handed_to, finished.payload) == ("", b"between")
    rig.assign("w2", "t2", armed=True)  # was under way already
    rig.assign("w2", "t2", payload=finished.payload)  # the same task again, now with its input
    assert rig.task_of("w2").payload == b"between"
    assert rig.none(TaskFailed)


def test_race_the_armed_worker_is_lost() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.disconnects("w2")
    rig.one(WorkerDetached)
    assert rig.none(TaskFailed)
    rig.returns("w1", "t1", "w2", b"between")
    finished = rig.one(TaskFinished)
    assert (finished.handed_to, finished.payload) == ("", b"between")


def test_race_the_armed_worker_exited_and_its_connection_is_still_open() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.exited("w2", pid=2)
    rig.returns("w1", "t1", "w2", b"between")
    assert rig.one(TaskFinished).handed_to == ""
    assert rig.none(Task)


def test_race_the_next_worker_was_armed_for_another_execution() -> None:
    rig = two_workers()
    rig.assign("w2", "t9", armed=True, execution="another")
    rig.returns("w1", "t1", "w2", b"between")
    assert rig.one(TaskFinished).handed_to == ""
    assert rig.none(Task)


def test_the_reservation_for_what_follows_can_come_after_arming() -> None:
    rig = two_workers()
    rig.worker("w3", pid=3)
    rig.assign("w2", "t2", armed=True)
    rig.set_next_topic("w2", "t2", "w3")
    rig.assign("w3", "t3", armed=True)
    rig.returns("w1", "t1", "w2")
    assert rig.task_of("w2").next_topic == "w3"
    rig.returns("w2", "t2", "w3", b"to w3")
    assert rig.task_of("w3").payload == b"to w3"
    assert [finished.handed_to for finished in rig.all(TaskFinished)] == ["w2", "w3"]


def test_race_the_reservation_comes_when_the_task_is_delivered() -> None:
    rig = two_workers()
    rig.worker("w3", pid=3)
    rig.assign("w2", "t2", armed=True)
    rig.returns("w1", "t1", "w2")
    rig.all(TaskFinished)
    rig.set_next_topic("w2", "t2", "w3")
    rig.assign("w3", "t3", armed=True)
    rig.returns("w2", "t2", "request_next_fw", b"out")
    finished = rig.one(TaskFinished)
    assert finished.handed_to == "w3"
    assert rig.task_of("w3").payload == b"out"


def test_a_late_reservation_that_was_taken_back_sends_the_result_to_the_manager() -> None:
    rig = two_workers()
    rig.worker("w3", pid=3)
    rig.assign("w2", "t2", armed=True)
    rig.returns("w1", "t1", "w2")
    rig.all(TaskFinished)
    rig.assign("w3", "t3", armed=True)
    rig.set_next_topic("w2", "t2", "w3")
    rig.set_next_topic("w2", "t2", "")
    rig.returns("w2", "t2", "request_next_fw", b"out")
    finished = rig.one(TaskFinished)
    assert (finished.handed_to, finished.payload) == ("", b"out")


def test_race_the_reservation_comes_when_the_task_has_ended() -> None:
    rig = two_workers()
    rig.worker("w3", pid=3)
    rig.assign("w2", "t2", armed=True)
    rig.returns("w1", "t1", "w2")
    rig.all(TaskFinished)
    rig.returns("w2", "t2", "request_next_fw", b"out")
    assert rig.one(TaskFinished).handed_to == ""
    rig.set_next_topic("w2", "t2", "w3")
    rig.assign("w3", "t3", armed=True)
    rig.all(Task)
    rig.assign("w3", "t3", payload=b"out")
    assert rig.task_of("w3").payload == b"out"


def test_a_change_for_another_task_is_ignored() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.set_next_topic("w2", "not t2", "w9")
    rig.release_assignment("w2", "not t2")
    rig.release_assignment("nobody", "t2")
    assert rig.none(WorkerReleased)
    rig.returns("w1", "t1", "w2")
    assert rig.task_of("w2").next_topic == "request_next_fw"


def test_a_released_worker_is_free_again() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.release_assignment("w2", "t2")
    assert rig.one(WorkerReleased, rig.manager) == WorkerReleased("w2", "")
    rig.returns("w1", "t1", "w2", b"out")
    assert rig.one(TaskFinished).handed_to == ""
    rig.assign("w2", "t5")
    assert rig.task_of("w2").request_id == "t5"


def test_race_a_release_that_comes_after_the_hand_off_is_ignored() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.returns("w1", "t1", "w2")
    rig.release_assignment("w2", "t2")
    assert rig.none(WorkerReleased)
    rig.returns("w2", "t2", "request_next_fw")
    assert len(rig.all(TaskFinished)) == 2


def test_who_cannot_take_a_task_fails_it_at_once() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("lent", "f@1", pid=1)
    rig.worker("busy", pid=2)
    rig.assign("busy", "t0")
    rig.worker("armed", pid=3)
    rig.assign("armed", "t1", armed=True)
    rig.attach("unreported", pid=4)
    rig.worker("retiring", pid=5)
    rig.retire("retiring")
    rig.all(Task)
    for name in ("lent", "busy", "armed", "unreported", "retiring", "nobody"):
        rig.assign(name, f"for {name}")
    failures = {f.worker_topic: (f.reason, f.error_message) for f in rig.all(TaskFailed)}
    assert failures == {
        "lent": ("unavailable", "the worker is lent to f@1"),
        "busy": ("unavailable", "the worker is busy"),
        "armed": ("unavailable", "the worker is armed"),
        "unreported": ("unavailable", "the worker has not reported itself yet"),
        "retiring": ("unavailable", "the worker is retiring"),
        "nobody": ("unavailable", "the worker is not connected"),
    }
    assert rig.none(Task)


def test_a_task_that_fails_is_reported_with_its_error() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.raises("w1", "t1")
    failed = rig.one(TaskFailed)
    assert (failed.task_id, failed.reason, failed.error_type) == ("t1", "handler_error", "ValueError")
    assert rig.none(Task)  # the armed one waits for the ExecutionManager's decision
    rig.assign("w1", "t1 again")
    assert rig.task_of("w1").request_id == "t1 again"


def test_a_task_that_overruns_has_its_worker_killed() -> None:
    rig = Rig()
    rig.worker("w")
    rig.assign("w", "t", timeout_ns=1 * S)
    rig.passes(1 * S)
    assert rig.one(TaskFailed).reason == "timeout"
    assert rig.one(LeaseExpired) == LeaseExpired("w", "t")
    rig.returns("w", "t", "request_next_fw")
    assert rig.none(TaskFinished)


def test_an_armed_task_that_expires_fails_and_leaves_its_worker_free() -> None:
    rig = Rig()
    rig.worker("w")
    rig.assign("w", "t", armed=True, timeout_ns=1 * S)
    rig.passes(1 * S)
    assert rig.one(TaskFailed).reason == "timeout"
    assert rig.none(LeaseExpired)
    rig.assign("w", "t2")
    assert rig.task_of("w").request_id == "t2"


def test_race_an_armed_task_expires_just_before_its_payload_comes() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True, timeout_ns=1 * S)
    rig.now += 1 * S  # no tick yet
    rig.returns("w1", "t1", "w2", b"out")
    assert rig.one(TaskFinished).handed_to == ""
    rig.passes(0)
    assert rig.one(TaskFailed).task_id == "t2"


def test_a_task_that_comes_too_late_is_not_delivered() -> None:
    rig = Rig()
    rig.worker("w")
    rig.assign("w", "t", timeout_ns=0)
    assert rig.one(TaskFailed).reason == "timeout"
    assert rig.none(Task)
    rig.assign("w", "t2")
    assert rig.task_of("w").request_id == "t2"


def test_an_armed_worker_that_is_retired_still_does_its_task() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.retire("w2")
    assert rig.none(Retire)
    rig.returns("w1", "t1", "w2")
    rig.returns("w2", "t2", "request_next_fw")
    rig.one(Retire, rig.connections["w2"])


def test_an_armed_worker_that_is_retired_exits_when_it_is_released() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.retire("w2")
    rig.release_assignment("w2", "t2")
    rig.one(Retire, rig.connections["w2"])


def test_heartbeats_of_tasks_are_told_on_but_not_all_that_come_quickly() -> None:
    rig = Rig()
    rig.worker("w")
    rig.assign("w", "t")
    for _ in range(5):
        rig.says("w", Heartbeat("t"))
    assert rig.one(TaskHeartbeat, rig.manager) == TaskHeartbeat("t", "exec")
    rig.now += 101 * MS
    rig.says("w", Heartbeat("t"))
    assert rig.one(TaskHeartbeat) == TaskHeartbeat("t", "exec")


def test_heartbeats_of_plain_calls_are_nobodys_business() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w")
    rig.subscribe("w")
    rig.publish("r")
    rig.says("w", Heartbeat("r"))
    assert rig.none(TaskHeartbeat)
    assert rig.none(Close)


def test_a_heartbeat_without_a_task_breaks_the_workers_rights() -> None:
    rig = Rig()
    rig.worker("w")
    rig.says("w", Heartbeat("t"))
    assert "a heartbeat that no lease allows" in rig.one(Close).reason


def test_a_result_with_effects_goes_to_the_execution_manager_alone() -> None:
    rig = two_workers()
    rig.assign("w2", "t2", armed=True)
    rig.says("w1", TaskResultAndEffects("t1", "w2", rig.now, rig.now, 3, b"result" + b"did"))
    finished = rig.one(TaskFinishedAndEffects, rig.manager)
    assert (finished.worker_topic, finished.task_id, finished.execution_id) == ("w1", "t1", "exec")
    assert (finished.effects_bytes, finished.payload) == (3, b"resultdid")
    assert rig.none(Task), "what is armed waits for the ExecutionManager"
    rig.assign("w2", "t2", payload=b"result")
    assert rig.task_of("w2").payload == b"result"


def test_effects_that_are_not_there_cost_the_worker_its_connection() -> None:
    for effects_bytes in (0, -1, 7):
        rig = Rig()
        rig.worker("w")
        rig.assign("w", "t")
        rig.says("w", TaskResultAndEffects("t", "request_next_fw", rig.now, rig.now, effects_bytes, b"result"))
        rig.one(Close, rig.connections["w"])
        assert rig.one(TaskFailed).reason == "worker_lost"
