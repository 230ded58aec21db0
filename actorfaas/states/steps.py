"""What each type of state does when it is entered, and when what it waited for has come.

Owns Task, Pass, Choice, Wait, Succeed and Fail; Parallel and Map are left to `states.gathering`. A step raises
StatesError where its state fails; what becomes of that is `states.failures`' business.
"""

from __future__ import annotations

from actorfaas.states.branches import Branch
from actorfaas.states.calls import INVOKED_LATER, execution_start, invocation
from actorfaas.states.data_flow import NO_RESULT, Flow
from actorfaas.states.document import Document
from actorfaas.states.errors import STATES_NO_CHOICE_MATCHED, STATES_TASK_FAILED, StatedFailure, StatesError
from actorfaas.states.instructions import RunTask, Sleep
from actorfaas.states.model import Choice, Fail, Pass, Succeed, Task, Wait
from actorfaas.states.run import Run

NS_PER_S = 1_000_000_000


def start_task(run: Run, branch: Branch, task: Task) -> None:
    """Ask for the task to be run."""
    branch.count(3)
    branch.history.count += 2
    if not task.takes_input_directly:
        request = _computed_task(run, branch, task)
    else:
        text = branch.input().text if branch.text is None else branch.text
        request = RunTask(branch.number, task, branch.attempt, text, task.timeout_s, task.heartbeat_s, task.function)
    branch.waits = "task"
    branch.request = request
    run.done.append(request)


def _computed_task(run: Run, branch: Branch, task: Task) -> RunTask:
    resource = task.resource
    token = ""
    if resource.has_token:
        token = run.new_token(branch)
    elif resource.is_answered_apart:
        token = run.attempt_name(branch)
    if resource.pattern == "waitForTaskToken":
        branch.token = token
    function, timeout_s, heartbeat_s = task.function, task.timeout_s, task.heartbeat_s
    document = branch.input()
    if task.flow.computes_input or task.timeout is not None or task.heartbeat is not None:
        frame = run.frame(branch)
        if task.timeout is not None or task.heartbeat is not None:
            chosen = task.flow.chosen(frame)
            timeout_s = task.timeout.value(frame, chosen) if task.timeout else timeout_s
            heartbeat_s = task.heartbeat.value(frame, chosen) if task.heartbeat else heartbeat_s
        if task.flow.computes_input:
            document = Document.of(task.flow.effective(frame))
    starts = name = ""
    if resource.kind in _ASKING:
        asked = _ASKING[resource.kind](document.value)
        function, starts, document, name = asked.function, asked.starts, asked.document, asked.name
        token = token or (run.attempt_name(branch) if starts else "")
    text = document.text
    return RunTask(branch.number, task, branch.attempt, text, timeout_s, heartbeat_s, function, token, starts, name)


_ASKING = {"invoke": invocation, "start-execution": execution_start}


def finish_task(run: Run, branch: Branch, task: Task, request: RunTask | None, payload: bytes) -> None:
    """The task returned; `request` asked for it."""
    run.check_size(payload, _resource_name(task))
    is_later = request is not None and request.starts != ""
    finish(run, branch, task.flow, task.next, result_of(task, payload, is_later=is_later))


_INVOKED = b'{"ExecutedVersion":"$LATEST","Payload":%b,"StatusCode":200}'


def result_of(task: Task, payload: bytes, *, is_later: bool = False) -> Document:
    """The result of a task whose function returned `payload`: `lambda:invoke` has more in it. `is_later`: the function
    was not waited for."""
    if task.resource.kind == "invoke" and not task.resource.pattern:
        return INVOKED_LATER if is_later else Document(_INVOKED % payload)
    return Document(payload)


def _resource_name(task: Task) -> str:
    return "lambda" if task.resource.kind == "invoke" else task.function or task.resource.name


def finish(run: Run, branch: Branch, flow: Flow, following: str, result: Document | None = None) -> None:
    """A state's work is done, with a result or (None) without: its output follows."""
    if result is None and not flow.computes_input and not flow.computes_output:
        output = branch.input()
    elif result is not None and not flow.computes_output:
        output = result
    elif result is not None and flow.keeps_input:
        output = branch.input()
    else:
        outcome = flow.finish(run.frame(branch), NO_RESULT if result is None else result.value)
        output = Document.of(outcome.output)
        run.leave(branch, output, following)
        if outcome.assigned:
            branch.variables = {**branch.variables, **outcome.assigned}
        return
    run.leave(branch, output, following)


def start_pass(run: Run, branch: Branch, state: Pass) -> None:
    """Hand the input, or the state's own result, on."""
    finish(run, branch, state.flow, state.next, state.result)


def start_choice(run: Run, branch: Branch, state: Choice) -> None:
    """Go where the first rule that holds leads."""
    frame = run.frame(branch)
    chosen = state.flow.chosen(frame)
    for rule in state.rules:
        if rule.holds(frame, chosen):
            finish(run, branch, rule.flow, rule.next)
            return
    if not state.default:
        cause = f"No rule of the Choice state '{state.name}' holds for its input, and it has no Default"
        raise StatesError(STATES_NO_CHOICE_MATCHED, cause)
    finish(run, branch, state.flow, state.default)


def start_wait(run: Run, branch: Branch, state: Wait) -> None:
    """Sleep until the time that the state says."""
    if state.moment is None and state.duration is None:
        until_ns = run.now_ns + int(state.seconds * NS_PER_S)
    else:
        frame = run.frame(branch)
        chosen = state.flow.chosen(frame)
        if state.moment is not None:
            until_ns = max(run.now_ns, state.moment.at_ns(frame, chosen))
        else:
            seconds = state.seconds if state.duration is None else state.duration.value(frame, chosen)
            until_ns = run.now_ns + int(seconds * NS_PER_S)
    sleep(run, branch, until_ns, "timer")


def sleep(run: Run, branch: Branch, until_ns: int, waits: str) -> None:
    """Wait for the time: "timer" of a Wait state, "retry" before the next attempt."""
    branch.until_ns = until_ns
    branch.waits = waits
    run.done.append(Sleep(branch.number, branch.state.name, until_ns))


def start_succeed(run: Run, branch: Branch, state: Succeed) -> None:
    """End the branch well."""
    finish(run, branch, state.flow, "")


def start_fail(run: Run, branch: Branch, state: Fail) -> None:
    """End the branch with the state's error."""
    frame = run.frame(branch)
    raise StatedFailure(state.error.value(frame), state.cause.value(frame))


def lost_input(branch: Branch) -> StatesError:
    """The error of a task that must be run again and cannot."""
    return StatedFailure(STATES_TASK_FAILED, f"the input of state {branch.state.name!r} was not kept")
