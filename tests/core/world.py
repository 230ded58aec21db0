"""A node without processes: the ExecutionManager's cores against the real core of the LocalQueue.

Supervisor, workers and DataLayer are played here. Messages travel in queues, one for each direction between two
actors: in order within a queue, in any order between queues, as the test (or hypothesis) chooses. Time moves only
when the test says so. `check` runs every core's invariants.
"""

from __future__ import annotations

from collections import deque

from actorfaas.batches import with_effects
from actorfaas.core import redrive
from actorfaas.messages import (
    AddedState,
    ExecutionAccepted,
    Heartbeat,
    Journal,
    Publish,
    Refused,
    StartExecution,
    TaskError,
    TaskResult,
    TaskResultAndEffects,
    WorkerExited,
)
from tests.core.world_node import Node, S
from tests.core.world_parts import Instance
from tests.core.world_swapper import OUTSIDE, Watch, mode_of


class World(Node):
    """See the module's docstring."""

    # --- what callers do -----------------------------------------------------------------------------------------

    def start(
        self,
        name: str,
        execution_id: str,
        *,
        durability: str = "standard",
        strategy: str = "auto",
        wait_for_commit: bool = False,
        timeout_s: float = 0.0,
        payload: bytes = b"0",
        traceparent: str = "",
    ) -> None:
        """Ask for an execution."""
        start = StartExecution(
            execution_id, name, durability, strategy, wait_for_commit, timeout_s, traceparent, payload
        )
        plan = self.plan(name)
        refusal = self.executions.refusal(start, plan)
        if refusal is not None:
            self.answers[execution_id] = refusal
        else:
            self.executions.start(start, plan, self.now)
        self.flush()

    def cancel(self, execution_id: str) -> bool:
        """Ask for the end of an execution."""
        done = self.executions.cancel(execution_id, "test", self.now)
        self.flush()
        return done

    def journal(self, execution_id: str) -> Journal:
        """What the DataLayer answers to `GetJournal`."""
        stored = self.store[execution_id]
        execution = self.store.continued(execution_id)
        status = "running" if stored.finish is None else stored.finish.status
        events = execution.events
        redrives = sum(event.type == redrive.EVENT for event in events)
        return Journal(execution, status, stored.create.durability, redrives, 1_000)

    def redrive(self, execution_id: str) -> None:
        """Go on with an execution that has ended, as the ExecutionManager does it."""
        journal = self.journal(execution_id)
        assert redrive.refusal(journal) is None
        reopening = redrive.reopening(journal, self.executions._at_ms(self.now))
        stored = self.store[execution_id]
        stored.events[reopening.event.seq], stored.finish = reopening.event, None
        self.executions.resume(redrive.reopened(journal, reopening), self.plan(journal.execution.name), self.now)
        self.flush()
        self.settle()

    def publish(self, topic: str, request_id: str, timeout_s: float = 30.0) -> None:
        """A plain call."""
        self.published[request_id] = None
        request = Publish(topic, request_id, self.now + int(timeout_s * S), 1, 0, False, "", b"1")
        self.queue.publish(self.frontend, request, self.now)
        self._from_queue()

    # --- what workers do -----------------------------------------------------------------------------------------

    def busy(self) -> list[str]:
        """Workers with a task, by topic."""
        return [topic for topic, instance in self.instances.items() if instance.tasks]

    def finish(self, topic: str, payload: bytes = b"", ran_s: float = 0.0) -> None:
        """A worker returns; by default what it was given plus one, if that is a number."""
        instance = self.instances[topic]
        self._tend_first(instance)
        task = instance.tasks.popleft()
        instance.calls += 1
        output = payload or (str(int(task.payload) + 1).encode() if task.payload.isdigit() else task.payload)
        self._say(instance, TaskResult(task.request_id, task.next_topic, self.now - int(ran_s * S), self.now, output))

    def finish_with(self, topic: str, writes: bytes, payload: bytes = b"", added: tuple[AddedState, ...] = ()) -> None:
        """A worker returns and has changed data, or added states."""
        instance = self.instances[topic]
        self._tend_first(instance)
        task = instance.tasks.popleft()
        instance.calls += 1
        whole, effects_bytes = with_effects(payload or task.payload, added, writes)
        result = TaskResultAndEffects(task.request_id, task.next_topic, self.now, self.now, effects_bytes, whole)
        self._say(instance, result)

    def fail(self, topic: str, error_type: str = "ValueError", reason: str = "handler_error") -> None:
        """A handler raises."""
        instance = self.instances[topic]
        self._tend_first(instance)
        task = instance.tasks.popleft()
        error = TaskError(task.request_id, self.now, self.now, reason, error_type, "boom", "", False)
        self._say(instance, error)

    def beat(self, topic: str) -> None:
        """A handler says that it goes on."""
        instance = self.instances[topic]
        self._say(instance, Heartbeat(instance.tasks[0].request_id))

    def _tend_first(self, instance: Instance) -> None:
        """What a worker was told about its memory came before its task; the call brings back what it touches."""
        while instance.tends:
            self._tend(instance)
        if self.swapper is not None:
            self.swapper.out.discard(instance.topic)

    def end_something(self, operation: str, choice: int) -> None:
        """A task ends ("finish", "change", "fail") or a worker does ("die"), the one that the number says, if there is
        any."""
        found = sorted(self.instances) if operation == "die" else self.busy()
        if found and operation == "change":
            topic = found[choice % len(found)]
            task = self.instances[topic].tasks[0]
            if task.execution_id:
                self.finish_with(topic, b"%d %s" % (choice, task.request_id.encode()))
        elif found:
            getattr(self, operation)(found[choice % len(found)])

    def disconnect(self, topic: str) -> None:
        """A worker's connection ends, and nobody tells how its process did."""
        self.queue.worker_gone(self.instances.pop(topic).peer, self.now)
        self._from_queue()

    # --- paging --------------------------------------------------------------------------------------------------

    def lose_swapper(self) -> None:
        """The Swapper is killed; what it was doing is left as it is."""
        assert self.swapper is not None
        for name in ("to_swapper", "from_swapper"):
            self.queues[name].clear()
        self.swapper.orders.clear()
        self.watch = Watch()
        self.steering.lost(self.now)
        self.flush()
        self.check()

    def meet_swapper(self, mode: str = OUTSIDE, budget_bytes: int = 0) -> None:
        """A new Swapper is connected, or the one there says that memory is moved otherwise from now on."""
        assert self.swapper is not None
        self.swapper.mode = mode_of(mode, budget_bytes)
        self.queues["from_swapper"].append(self.swapper.mode)

    def phases(self, topic: str) -> list[str]:
        """Where a function's workers are, as the pool has it."""
        return sorted(worker.phase for worker in self.dispatch.pools[topic].workers.values())

    # --- restarts ------------------------------------------------------------------------------------------------

    def restart_queue(self) -> None:
        """The LocalQueue is killed; its workers end with their connections."""
        for name in ("to_queue", "from_queue"):
            self.queues[name].clear()
        gone, self.instances = list(self.instances.values()), {}
        self._new_queue()
        self.executions.queue_lost(self.now)
        self.flush()
        self.queues["to_queue"].clear()
        for one in gone:
            self.queues["from_supervisor"].append(
                WorkerExited(one.function_topic, one.topic, one.pid, 0, 0, "exited", 0)
            )
        self.published = {key: value for key, value in self.published.items() if value is not None}
        self.executions.restore_messages()
        self._start_functions()
        self.check()

    def restart_supervisor(self) -> None:
        """The supervisor is killed; every worker dies with its template."""
        for name in ("to_supervisor", "from_supervisor"):
            self.queues[name].clear()
        self.dispatch.supervisor_lost(self.now)
        self.executions.settle(self.now)
        self.flush()
        for instance in list(self.instances.values()):
            del self.instances[instance.topic]
            self.queue.worker_gone(instance.peer, self.now)
        self._from_queue()
        self.queues["to_supervisor"].clear()
        self._start_functions()
        self.check()

    def restart_manager(self) -> None:
        """The ExecutionManager is killed; the others go on."""
        for name in ("to_queue", "to_supervisor", "from_supervisor", "from_queue", "to_swapper", "from_swapper"):
            self.queues.get(name, deque()).clear()
        while self.queues["to_store"]:
            self.deliver("to_store")
        self._new_manager()
        self.answers.clear()
        self.queue.manager_connected()
        for made in self.catalogue.versions.values():
            for topic, spec in made.topics():
                self.dispatch.add_pool(topic, spec)
        self.executions.activities.know(self.activities)
        for found in self.store.unfinished():
            self.executions.resume(found, self.plan(found.name), self.now, self.items_of(found))
        for orphan in self.executions.orphans():
            self.executions.cancel(orphan, "orphan", self.now)
        description = self.queue.describe(self.now)
        self.dispatch.adopt(description.workers, self.now)
        for described in description.topics:
            self.dispatch.note_waiting(described.topic, described.waiting)
        self._start_functions()
        self.executions.settle(self.now)
        self.flush()
        self.check()

    def restart_node(self) -> None:
        """Everything is killed, and what has not reached the DataLayer is lost."""
        self.queues["to_store"].clear()
        self.restart_manager()
        self.restart_queue()
        self.restart_supervisor()

    # --- whole stories -------------------------------------------------------------------------------------------

    def prefers_reading(self, *names: str) -> None:
        """It is learned that forks are dear, and calls that begin before what they need was read."""
        for name in names:
            for _ in range(20):
                self.steering.born(f"{name}@1", 1_000_000_000)
                self.steering.returned(f"{name}@1", "concurrent", 1_000_000_000)
                self.steering.returned(f"{name}@1", "prefetched", 1_000_000)

    def run(self, limit: int = 10_000) -> None:
        """Deliver messages and let every worker return, until nothing happens any more."""
        for _ in range(limit):
            self.settle()
            busy = self.busy()
            if not busy:
                return
            for topic in busy:
                if topic in self.instances and self.instances[topic].tasks:
                    self.finish(topic)
        raise AssertionError("the work never ends")

    def outcome(self, execution_id: str) -> tuple[str, bytes]:
        """How an execution ended, as the DataLayer knows it."""
        finish = self.store[execution_id].finish
        assert finish is not None, f"{execution_id} has not ended"
        return finish.status, finish.payload

    def types(self, execution_id: str) -> list[str]:
        """The types of an execution's events in order."""
        stored = self.store[execution_id]
        return [stored.events[seq].type for seq in sorted(stored.events)]

    def accepted(self, execution_id: str) -> bool:
        """Whether the start was answered, and well."""
        answer = self.answers.get(execution_id)
        assert answer is None or isinstance(answer, ExecutionAccepted | Refused)
        return isinstance(answer, ExecutionAccepted)
