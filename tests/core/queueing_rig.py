"""A LocalQueue core under test: a clock that the test moves, messages by receiver, invariants after every event."""

from __future__ import annotations

from typing import TypeVar

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.core.queue import LocalQueueCore
from actorfaas.core.queue.records import Instruction, Worker
from actorfaas.messages import (
    AssignTask,
    AttachWorker,
    CancelRequest,
    ChunkCredit,
    DeclareTopic,
    DropTopic,
    Message,
    NewFunctionWorker,
    Publish,
    ReceiveMessage,
    ReleaseAssignment,
    ReleaseIdle,
    SendMessage,
    SetNextTopic,
    Subscribe,
    TakeAlias,
    Task,
    TaskChunk,
    TaskError,
    TaskResult,
    WorkerExited,
)

MS = 1_000_000
S = 1_000_000_000
GROW_AFTER_NS = 5 * MS
PAYLOAD_LIMIT_BYTES = 1000

M = TypeVar("M")


class Somebody:
    """Where messages go in tests: only a name, the rig collects what is said to it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def tell(self, message: Message, /) -> None:
        raise AssertionError("the core sends nothing by itself")

    def __repr__(self) -> str:
        return self.name


class Rig:
    """One core; every method is one event. What came out is in `said`, by receiver, until taken."""

    def __init__(self, max_data_bytes: int = MAX_DATA_BYTES) -> None:
        self.now = 1_000 * S
        self.manager = Somebody("execution_manager")
        self.frontend = Somebody("frontend")
        self.core = LocalQueueCore(self.manager, GROW_AFTER_NS, PAYLOAD_LIMIT_BYTES, max_data_bytes)
        self.said: list[tuple[Somebody, Instruction]] = []
        self.connections: dict[str, Somebody] = {}

    # --- what came out -------------------------------------------------------------------------------------------

    def collect(self) -> None:
        for peer, message in self.core.outbox:
            assert isinstance(peer, Somebody)
            self.said.append((peer, message))
        self.core.outbox.clear()
        self.core.check_invariants()

    def all(self, kind: type[M], to: Somebody | None = None) -> list[M]:
        """Take out every message of a type."""
        found: list[M] = [m for peer, m in self.said if isinstance(m, kind) and to in (None, peer)]
        self.said = [(p, m) for p, m in self.said if not (isinstance(m, kind) and to in (None, p))]
        return found

    def one(self, kind: type[M], to: Somebody | None = None) -> M:
        """Take out the only message of a type."""
        found = self.all(kind, to)
        assert len(found) == 1, f"{len(found)} {kind.__name__} instead of one, {found}"
        return found[0]

    def none(self, kind: type[M]) -> bool:
        return not any(isinstance(message, kind) for _, message in self.said)

    def task_of(self, worker: str) -> Task:
        return self.one(Task, self.connections[worker])

    # --- events --------------------------------------------------------------------------------------------------

    def declare(self, topic: str = "f@1", limit: int = 100, members: str = "stay") -> None:
        self.core.declare(DeclareTopic(topic, limit, members))
        self.collect()

    def drop(self, topic: str = "f@1", reason: str = "unavailable") -> None:
        self.core.drop(DropTopic(topic, reason), self.now)
        self.collect()

    def publish(
        self,
        request_id: str,
        topic: str = "f@1",
        timeout_ns: int = 30 * S,
        attempts: int = 1,
        delay_ns: int = 0,
        stream: bool = False,
        publisher: Somebody | None = None,
        payload: bytes = b"1",
    ) -> None:
        deadline_ns = self.now + timeout_ns
        request = Publish(topic, request_id, deadline_ns, attempts, delay_ns, stream, "trace", payload)
        self.core.publish(publisher or self.frontend, request, self.now)
        self.collect()

    def cancel(self, request_id: str, kill: bool = False) -> None:
        self.core.cancel(self.frontend, CancelRequest(request_id, kill), self.now)
        self.collect()

    def credit(self, request_id: str, chunks: int) -> None:
        self.core.credit(self.frontend, ChunkCredit(request_id, chunks))
        self.collect()

    def publisher_gone(self, publisher: Somebody | None = None) -> None:
        self.core.publisher_gone(publisher or self.frontend, self.now)
        self.collect()

    def attach(self, name: str, start_kind: str = "fork", pid: int = 1, function: str = "f@1") -> Somebody:
        self.now += 1
        connection = self.connections[name] = Somebody(name)
        self.core.attach(connection, AttachWorker(name, function, "app", pid, start_kind), self.now)
        self.collect()
        return connection

    def worker(self, name: str, topic: str = "", start_kind: str = "fork", pid: int = 1) -> Somebody:
        """A worker that has reported itself, lent to `topic` unless that is ""."""
        connection = self.attach(name, start_kind, pid)
        self.says(name, NewFunctionWorker(pid))
        if topic:
            self.subscribe(name, topic)
        return connection

    def subscribe(self, name: str, topic: str = "f@1") -> None:
        self.core.subscribe(Subscribe(name, topic), self.now)
        self.collect()

    def unsubscribe(self, name: str) -> str:
        refusal = self.core.unsubscribe(name)
        self.collect()
        return refusal

    def release_idle(self, count: int, topic: str = "f@1") -> None:
        self.core.release_idle(ReleaseIdle(topic, count))
        self.collect()

    def release_worker(self, name: str) -> None:
        self.core.release_worker(name)
        self.collect()

    def retire(self, name: str) -> None:
        self.core.retire(name, self.now)
        self.collect()

    def state_of(self, name: str) -> Worker | None:
        return self.core.worker(self.connections[name])

    def says(self, name: str, message: Message) -> None:
        worker = self.state_of(name)
        assert worker is not None, f"{name} is not connected"
        self.core.worker_said(worker, message, self.now)
        self.collect()

    def returns(
        self, name: str, request_id: str, topic: str = "reply", payload: bytes = b"2", run: tuple[int, int] = (0, 0)
    ) -> None:
        self.says(name, TaskResult(request_id, topic, *run, payload))

    def raises(
        self, name: str, request_id: str, reason: str = "handler_error", exiting: bool = False, message: str = "no"
    ) -> None:
        self.says(name, TaskError(request_id, 0, 0, reason, "ValueError", message, "Traceback", exiting))

    def yields(self, name: str, request_id: str, payload: bytes = b"x") -> None:
        self.says(name, TaskChunk(request_id, "json", payload))

    def disconnects(self, name: str) -> None:
        self.core.worker_gone(self.connections[name], self.now)
        self.collect()

    def exited(self, name: str, detail: str = "was killed by signal 9 (SIGKILL)", pid: int = 1) -> None:
        self.core.worker_exited(WorkerExited("f@1", name, pid, -1, 9, detail, 0), self.now)
        self.collect()

    def assign(
        self,
        name: str,
        task_id: str,
        next_topic: str = "",
        armed: bool = False,
        execution: str = "exec",
        timeout_ns: int = 30 * S,
        report_payload: bool = False,
        is_standard: bool = False,
        payload: bytes = b"in",
        state: str = "",
        index: int = -1,
    ) -> None:
        self.core.assign(
            AssignTask(
                worker_topic=name,
                task_id=task_id,
                execution_id=execution,
                state=state or f"State {task_id}",
                attempt=1,
                index=index,
                deadline_ns=self.now + timeout_ns,
                next_topic=next_topic,
                armed=armed,
                report_payload=report_payload,
                is_standard=is_standard,
                traceparent="trace",
                payload=b"" if armed else payload,
            ),
            self.now,
        )
        self.collect()

    def set_next_topic(self, name: str, task_id: str, next_topic: str) -> None:
        self.core.set_next_topic(SetNextTopic(name, task_id, next_topic))
        self.collect()

    def release_assignment(self, name: str, task_id: str) -> None:
        self.core.release_assignment(ReleaseAssignment(name, task_id), self.now)
        self.collect()

    def asks(self, name: str, message: SendMessage | ReceiveMessage | TakeAlias) -> Somebody:
        """A worker asks about messages; the answer goes to whom this returns."""
        worker = self.state_of(name)
        assert worker is not None, f"{name} is not connected"
        answer = Somebody(f"answer for {name}")
        self.core.talk(worker, message, answer, self.now)
        self.collect()
        return answer

    def passes(self, duration_ns: int) -> None:
        """Time passes, and the clock ticks at its end."""
        self.now += duration_ns
        self.core.tick(self.now)
        self.collect()
