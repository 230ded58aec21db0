"""Tasks of executions: each for one worker, delivered at once or armed for what another worker will publish.

A hand-off: w1's task names w2 as where its result goes, and w2 holds an armed task of the same execution. When w1
returns, its payload goes to w2 at once, and the ExecutionManager hears of it afterwards. The ExecutionManager works
at the same time, on what it knew a moment ago; so these races happen, and end like this:

- *w1 returns before w2 is armed*, or w2 is lost, or armed for another execution by now: the result goes to the
  ExecutionManager (`handed_to` ""). If it armed w2 meanwhile, it assigns that same task again, this time with the
  payload: an armed task is replaced by a task of the same id.
- *SetNextTopic comes when the task has been delivered*: the worker still publishes to where it was told, which is
  `request_next_fw`, and the LocalQueue hands on from there. When the task has ended too, it is ignored: the result is
  with the ExecutionManager, which assigns as above.
- *ReleaseAssignment comes when the payload has been delivered*: it is ignored; `TaskFinished.handed_to` has told so.
  Otherwise it is confirmed by `WorkerReleased` with topic "".
- *An armed task's deadline passes*: it fails with timeout, its worker is free again, and nobody is killed.
- *An armed worker is lost*: `WorkerDetached` says so, the task needs no answer of its own.
"""

from __future__ import annotations

from actorfaas.core.queue.board import Board, run_within
from actorfaas.core.queue.members import Members
from actorfaas.core.queue.records import ARMED, LEASED, Assignment, Failure, Worker
from actorfaas.ids import REQUEST_NEXT_FW
from actorfaas.messages import (
    AssignTask,
    ReleaseAssignment,
    SetNextTopic,
    Task,
    TaskFinishedAndEffects,
    TaskResult,
    TaskResultAndEffects,
    WorkerReleased,
)


class Assignments:
    """Assigned tasks from assignment to `TaskFinished` or `TaskFailed`."""

    __slots__ = ("_board", "_max_data_bytes", "_members")

    def __init__(self, board: Board, members: Members, max_data_bytes: int) -> None:
        self._board = board
        self._members = members
        self._max_data_bytes = max_data_bytes

    def assign(self, assigned: AssignTask, now: int) -> None:
        """Deliver a task or arm its worker with it."""
        worker = self._board.workers.get(assigned.worker_topic)
        task = Assignment(assigned)
        if worker is not None and worker.armed is not None and worker.armed.request_id == assigned.task_id:
            self._board.end(worker.armed)
            worker.armed = None
        if worker is None or worker.topic is not None or not worker.is_free:
            self._board.fail_task(task, Failure("unavailable", _why_not_free(worker)), now)
        elif task.deadline_ns <= now:
            self._board.fail_task(task, Failure("timeout", "its deadline passed before it was delivered"), now)
            self._members.freed(worker, now)
        elif assigned.armed:
            task.enter(ARMED)
            task.worker = worker
            worker.armed = task
            self._board.deadlines.add(task.deadline_ns, task)
        else:
            self._board.deadlines.add(task.deadline_ns, task)
            self._deliver(task, worker, now)

    def set_next_topic(self, change: SetNextTopic) -> None:
        """The reservation for what follows an armed or running task."""
        worker = self._board.workers.get(change.worker_topic)
        if worker is None:
            return
        for task in (worker.armed, worker.lease):
            if isinstance(task, Assignment) and task.request_id == change.task_id:
                task.follower = change.next_topic or REQUEST_NEXT_FW
                if task is worker.armed:
                    task.next_topic = task.follower

    def release(self, released: ReleaseAssignment, now: int) -> None:
        """An armed task will not come."""
        task = self._armed(released.worker_topic, released.task_id)
        if task is not None:
            self._disarm(task, now)
            self._board.end(task)
            self._board.tell_manager(WorkerReleased(released.worker_topic, ""))

    def finished(self, task: Assignment, result: TaskResult, now: int) -> None:
        """A worker returned its task's result: hand it on, or leave it to the ExecutionManager."""
        board = self._board
        run = run_within(task, result.started_ns, result.ended_ns, now)
        board.end(task)
        following = self._armed(task.follower)
        is_large = len(result.payload) > self._max_data_bytes  # then its state fails, and what follows does not begin
        if following is None or is_large or not _may_take_over(task, following, now):
            return board.finish_task(task, result.payload, run, "")
        worker = board.workers[task.follower]
        worker.armed = None
        following.payload = result.payload
        self._deliver(following, worker, now)
        return board.finish_task(task, result.payload, run, worker.worker_topic)

    def finished_with_effects(self, task: Assignment, result: TaskResultAndEffects, now: int) -> None:
        """A worker returned a task's result, and what else it did: both are for the ExecutionManager. What is armed for
        its result stays so; the ExecutionManager assigns it again, as above."""
        run = run_within(task, result.started_ns, result.ended_ns, now)
        self._board.end(task)
        self._board.tell_manager(
            TaskFinishedAndEffects(
                task.worker_topic,
                task.request_id,
                task.execution_id,
                task.state,
                task.attempt,
                task.start_kind,
                task.delivered_ns,
                *run,
                result.effects_bytes,
                result.payload,
            )
        )

    def expire_armed(self, task: Assignment, now: int) -> None:
        """The deadline of an armed task passed."""
        self._board.fail_task(task, Failure("timeout", "its deadline passed before its input came"), now)
        self._disarm(task, now)

    def _disarm(self, task: Assignment, now: int) -> None:
        if task.worker is not None:
            task.worker.armed = None
            self._members.freed(task.worker, now)

    def _armed(self, worker_topic: str, task_id: str = "") -> Assignment | None:
        worker = self._board.workers.get(worker_topic)
        task = worker.armed if worker is not None else None
        return task if task is not None and task_id in ("", task.request_id) else None

    def _deliver(self, task: Assignment, worker: Worker, now: int) -> None:
        task.enter(LEASED)
        task.worker = worker
        task.delivered_ns = now
        task.start_kind = worker.start_kind if worker.deliveries == 0 else "resident"
        worker.lease = task
        worker.deliveries += 1
        self._board.outbox.append(
            (
                worker.peer,
                Task(
                    task.request_id,
                    task.execution_id,
                    task.state,
                    task.attempt,
                    task.deadline_ns,
                    task.next_topic,
                    0,
                    task.traceparent,
                    task.payload,
                ),
            )
        )
        task.payload = b""


def _may_take_over(task: Assignment, following: Assignment, now: int) -> bool:
    worker = following.worker
    alive = worker is not None and not worker.exit_detail
    return alive and following.execution_id == task.execution_id and following.deadline_ns > now


def _why_not_free(worker: Worker | None) -> str:
    if worker is None:
        return "the worker is not connected"
    if worker.topic is not None:
        return f"the worker is lent to {worker.topic.name}"
    return f"the worker is {worker.activity}" if worker.reported else "the worker has not reported itself yet"
