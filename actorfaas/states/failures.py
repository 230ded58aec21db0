"""What becomes of a state that failed: another attempt, a catcher, or the end of its branch and what that means above.

Which errors a retrier or catcher is for is left to `states.retries`.
"""

from __future__ import annotations

from collections.abc import Collection

from actorfaas.states.branches import Branch, Wreck
from actorfaas.states.document import Document
from actorfaas.states.errors import (
    STATES_BRANCH_FAILED,
    STATES_DATA_LIMIT,
    STATES_QUERY_EVALUATION,
    STATES_RUNTIME,
    StatesError,
    too_deep,
)
from actorfaas.states.gathering import child_failed
from actorfaas.states.instructions import Failed, Finish
from actorfaas.states.map_data import note_run_failed
from actorfaas.states.model import Map, Parallel, Retrier, Task
from actorfaas.states.retries import delay_s, matches
from actorfaas.states.run import NS_PER_MS, Run
from actorfaas.states.steps import sleep

MS_PER_S = 1_000


def fail(run: Run, branch: Branch, error: StatesError) -> None:
    """The branch's state failed. Follows the error upwards until something takes it."""
    failed, current = branch, error
    gathering = branch.gathering
    wreck = Wreck(branch, gathering if gathering is not None and gathering.is_written else None)
    while True:
        _note_failure(run, failed, current)
        run.abort_children(failed)
        failed.waits, failed.request = "", None
        if _is_retried(run, failed, current):
            return
        ending = uncaught(run, failed, current)
        if ending is None:
            run.ready.append(failed)
            return
        _note_end(run, failed, ending, caught=False)
        parent = failed.parent
        if parent is None:
            run.wreck = wreck
            run.finish(Finish(ending.error, ending.cause, b"", True))
            return
        gathering = parent.gathering
        if gathering is None:
            return
        wreck.rise(parent, gathering, failed)
        passed_on = child_failed(run, failed, parent, gathering, ending)
        if passed_on is None:
            gathering.lost.append(wreck)
            return
        failed, current = parent, passed_on


def _note_failure(run: Run, branch: Branch, error: StatesError) -> None:
    state = branch.state
    place = f"entered at the event id #{branch.entered_id})"
    if error.error == STATES_QUERY_EVALUATION and place in error.cause:
        run.note(branch, "EvaluationFailed", state.name, error=error)
    if isinstance(state, Map) and state.is_distributed and branch.gathering is not None:
        note_run_failed(run, branch, state, branch.gathering, error)


def _note_end(run: Run, branch: Branch, error: StatesError, *, caught: bool) -> None:
    """As Step Functions records it: of Parallel and Map states, and not where States.Runtime ends everything."""
    state = branch.state
    if isinstance(state, Parallel | Map) and error.error != STATES_RUNTIME:
        branch.history.count += 1
        kind = type(state).__name__
        run.done.append(Failed(branch.number, state.name, kind, error.error, error.cause, caught))


def is_for(branch: Branch, names: Collection[str], error: str) -> bool:
    """Whether ErrorEquals is for an error; States.BranchFailed is for whatever failed a Parallel state's branch."""
    if matches(names, error):
        return True
    is_branch = isinstance(branch.state, Parallel) and STATES_BRANCH_FAILED in names
    return is_branch and error not in (STATES_RUNTIME, STATES_DATA_LIMIT)


def _retriers(run: Run, branch: Branch) -> tuple[Retrier, ...]:
    state = branch.state
    if isinstance(state, Task) and state.retry is None:
        return run.retries.get(state.function, ())
    return getattr(state, "retry", ())


def next_attempt(run: Run, branch: Branch, error: StatesError) -> tuple[int, float] | None:
    """Which of the state's retriers tries again, and after how many seconds; None: none does."""
    for position, retrier in enumerate(_retriers(run, branch)):
        if not is_for(branch, retrier.error_equals, error.error):
            continue
        tries = branch.tries.get(position, 0)
        if tries >= retrier.max_attempts or not branch.has_input:
            return None
        wait_s = delay_s(
            retrier.interval_s,
            retrier.backoff_rate,
            tries,
            max_delay_s=retrier.max_delay_s,
            jitter=run.chance_of(branch).random if retrier.jitter else None,
        )
        return position, wait_s
    return None


def _is_retried(run: Run, branch: Branch, error: StatesError) -> bool:
    found = next_attempt(run, branch, error)
    if found is None:
        return False
    position, wait_s = found
    branch.tries[position] = branch.tries.get(position, 0) + 1
    branch.attempt += 1
    sleep(run, branch, run.now_ns + int(wait_s * MS_PER_S) * NS_PER_MS, "retry")
    return True


def uncaught(run: Run, branch: Branch, error: StatesError) -> StatesError | None:
    """None: a catcher took the error, and the branch goes on; else the error that ends it."""
    catchers = getattr(branch.state, "catch", ())
    catcher = next((one for one in catchers if is_for(branch, one.error_equals, error.error)), None)
    if catcher is None:
        return error
    try:
        outcome = catcher.flow.caught(run.frame(branch), {"Error": error.error, "Cause": error.cause})
        _note_end(run, branch, error, caught=True)
        run.leave(branch, Document.of(outcome.output), catcher.next)
    except StatesError as another:
        return another.in_state(branch.state.name, branch.entered_id)
    except RecursionError:
        return too_deep().in_state(branch.state.name, branch.entered_id)
    if outcome.assigned:
        branch.variables = {**branch.variables, **outcome.assigned}
    return None
