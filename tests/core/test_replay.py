"""A journal given to a new engine: where it stands then, what is left to write, and what does not fit."""

from __future__ import annotations

import pytest

from actorfaas.core.replay import JournalMismatch, Replay
from actorfaas.messages import HistoryEvent
from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import Engine, Entered, Exited, Finish, RunTask, Sleep
from actorfaas.states.parsing import parse
from tests.core.executions_rig import RETRY, WAITING
from tests.core.specs import chain

MS = 1_000_000


def journal(*events: tuple[str, str], payload: bytes = b"1", every_ms: int = 1000) -> tuple[HistoryEvent, ...]:
    """Events of these types and states, one each second from 1970 on."""
    return tuple(
        HistoryEvent(
            *(seq, seq * every_ms, type_, state, 1, "", "", 0, 0, 0, 0),
            *("KeyError" if type_ == "TaskFailed" else "", "", payload),
        )
        for seq, (type_, state) in enumerate(events, 1)
    )


def replay(definition: bytes, *events: tuple[str, str]) -> Replay:
    engine = Engine(parse(definition), retries={"a": (), "b": (), "c": ()}, context=ExecutionContext("e", 0, "m", "m"))
    made = Replay(engine)
    made.run(journal(*events), b"0", 99_000)
    return made


STARTED = ("ExecutionStarted", "")
A_ENTERED, A_DONE, A_LEFT = ("TaskStateEntered", "a"), ("TaskSucceeded", "a"), ("TaskStateExited", "a")


def test_an_empty_journal_begins_now() -> None:
    made = replay(b'{"StartAt":"w","States":{"w":{"Type":"Wait","Seconds":10,"End":true}}}')
    assert list(made.unwritten) == [Entered(0, "w", "Wait", b"0")]
    assert made.engine.outstanding(0) == [Sleep(0, "w", 109_000 * MS)]
    assert made.last_seq == 0


def test_what_was_decided_and_not_written_is_left_to_write() -> None:
    made = replay(chain("a", "b"), STARTED, A_ENTERED, A_DONE)
    assert list(made.unwritten) == [Exited(0, "a", "Task", b"1", "b"), Entered(0, "b", "Task", b"1")]
    assert made.engine.state_of(0) == "b"
    whole = replay(chain("a", "b"), STARTED, A_ENTERED, A_DONE, A_LEFT, ("TaskStateEntered", "b"))
    assert not whole.unwritten
    assert whole.last_seq == 5


def test_a_wait_ends_when_it_did() -> None:
    began = (STARTED, A_ENTERED, A_DONE, A_LEFT, ("WaitStateEntered", "w"))
    assert replay(WAITING, *began).engine.outstanding(0) == [Sleep(0, "w", (3_000 + 10_000) * MS)]
    after = replay(WAITING, *began, ("WaitStateExited", "w"))
    assert list(after.unwritten) == [Entered(0, "b", "Task", b"1")]
    (task,) = after.engine.outstanding(0)
    assert isinstance(task, RunTask)
    assert task.task.name == "b"


def test_attempts_count_and_the_time_between_them_goes_on() -> None:
    began = (STARTED, A_ENTERED, A_DONE, A_LEFT, ("TaskStateEntered", "b"), ("TaskFailed", "b"))
    assert replay(RETRY, *began).engine.outstanding(0) == [Sleep(0, "b", (6_000 + 2_000) * MS)]
    assert replay(RETRY, *began, ("TaskFailed", "b")).finish == Finish("KeyError", "", b"", failed=True)
    assert replay(RETRY, *began, ("TaskSucceeded", "b")).finish == Finish("", "", b"1")


def test_states_that_were_entered_again_after_a_restart_count_once() -> None:
    made = replay(chain("a", "b"), STARTED, A_ENTERED, A_ENTERED, A_DONE, A_LEFT, ("TaskStateEntered", "b"), A_ENTERED)
    assert not made.unwritten
    assert made.engine.state_of(0) == "b"


def test_an_end_that_is_written_is_told_with_the_result() -> None:
    made = replay(chain("a"), STARTED, A_ENTERED, A_DONE, A_LEFT, ("ExecutionSucceeded", ""))
    assert made.outcome == ("succeeded", "", "")
    assert made.finish == Finish("", "", b"1")
    assert replay(chain("a"), STARTED, A_ENTERED, ("ExecutionAborted", "")).outcome == ("cancelled", "", "")


@pytest.mark.parametrize(
    "wrong",
    [
        (("TaskSucceeded", "renamed"),),
        (A_DONE, A_DONE),
        (A_DONE, ("TaskSucceeded", "b"), ("TaskSucceeded", "b")),
    ],
)
def test_a_journal_that_its_definition_does_not_allow_is_refused(wrong: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(JournalMismatch):
        replay(chain("a", "b"), STARTED, A_ENTERED, *wrong)


def test_a_branch_that_is_not_there_is_refused() -> None:
    (event,) = journal(A_DONE)
    lost = HistoryEvent(1, 1, "TaskSucceeded", "a", *(1, "", "", 0, 0, 0, 0, "", ""), event.payload, branch=3)
    engine = Engine(parse(chain("a")), retries={}, context=ExecutionContext("e", 0, "m", "m"))
    with pytest.raises(JournalMismatch, match="branch 3"):
        Replay(engine).run((lost,), b"0", 0)
