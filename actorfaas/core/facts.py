"""What the LocalQueue and the supervisor report, handed to the pure cores: the one place that knows what changes what.

Owns no state. Asking and answering, the clock and the log are left to the ExecutionManager.
"""

from __future__ import annotations

from typing import assert_never

from actorfaas.core.dispatch import Dispatch
from actorfaas.core.executions import Executions
from actorfaas.messages import (
    LeaseExpired,
    MessagesTaken,
    SessionOpened,
    TaskFailed,
    TaskFinished,
    TaskFinishedAndEffects,
    TaskHeartbeat,
    TemplateExited,
    TemplateRestarted,
    TopicDemand,
    TopicUsage,
    WorkerDetached,
    WorkerExited,
    WorkerReleased,
    WorkerReported,
    WorkerStarted,
    WorkerStartFailed,
)

TaskFact = TaskFinished | TaskFinishedAndEffects | TaskFailed | TaskHeartbeat | SessionOpened | MessagesTaken
WorkFact = TopicDemand | TopicUsage | LeaseExpired | WorkerReleased
LifeFact = (
    WorkerReported
    | WorkerStarted
    | WorkerStartFailed
    | WorkerDetached
    | WorkerExited
    | TemplateExited
    | TemplateRestarted
)
Fact = TaskFact | WorkFact | LifeFact


def take_in(fact: Fact, executions: Executions, now_ns: int) -> None:
    """Let the cores act on one fact, and on what follows from it for executions."""
    if isinstance(fact, TaskFact):
        _task(fact, executions, now_ns)
    elif isinstance(fact, WorkFact):
        _work(fact, executions, now_ns)
    else:
        _life(fact, executions.dispatch, now_ns)
    executions.settle(now_ns)


def _task(fact: TaskFact, executions: Executions, now_ns: int) -> None:
    """What became of tasks of executions."""
    match fact:
        case TaskFinished():
            executions.task_finished(fact, now_ns)
        case TaskFinishedAndEffects():
            executions.task_finished_with_effects(fact, now_ns)
        case TaskFailed():
            executions.task_failed(fact, now_ns)
        case TaskHeartbeat(task_id, execution_id):
            executions.task_goes_on(execution_id, task_id, now_ns)
        case SessionOpened(execution_id):
            executions.session_opened(execution_id)
        case MessagesTaken():
            executions.messages_taken(fact)
        case _:
            assert_never(fact)


def _work(fact: WorkFact, executions: Executions, now_ns: int) -> None:
    """What topics need, and how lent workers do."""
    dispatch = executions.dispatch
    match fact:
        case TopicDemand(topic=topic, waiting=waiting, members=members):
            dispatch.demand(topic, waiting, members, now_ns)
        case TopicUsage(topic=topic):
            dispatch.usage(fact, now_ns)
            if fact.ended:
                dispatch.pager.ran(topic.partition("!")[0], fact.run_ns // fact.ended)
            for start in fact.starts:
                dispatch.pager.returned(topic.partition("!")[0], start.start_kind, start.took_ns // start.count)
        case LeaseExpired(worker_topic=worker):
            dispatch.kill(worker, "timeout")
        case WorkerReleased(worker_topic=worker, topic=topic):
            if not topic:
                executions.worker_released(worker)
            dispatch.released(worker, topic, now_ns)
        case _:
            assert_never(fact)


def _life(fact: LifeFact, dispatch: Dispatch, now_ns: int) -> None:
    """Which processes came and went."""
    match fact:
        case WorkerReported(worker_topic=worker, function_topic=topic, pid=pid, start_kind=kind):
            dispatch.reported(worker, topic, pid, kind, now_ns)
        case WorkerStarted(worker_topic=worker, function_topic=topic, pid=pid, start_kind=kind):
            dispatch.process_started(worker, topic, pid, kind, now_ns)
        case WorkerStartFailed(function_topic=topic, start_kind=kind, detail=detail):
            dispatch.start_failed(topic, kind, detail, now_ns)
        case WorkerDetached(worker_topic=worker):
            dispatch.detached(worker, now_ns)
            dispatch.gone(worker, now_ns)
        case WorkerExited(worker_topic=worker):
            dispatch.reaped(worker)
            dispatch.gone(worker, now_ns)
        case TemplateExited(function_topic=topic):
            dispatch.template_ready(topic, False, now_ns)
        case TemplateRestarted(function_topic=topic):
            dispatch.template_ready(topic, True, now_ns)
        case _:
            assert_never(fact)
