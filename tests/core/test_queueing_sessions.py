"""Messages between running tasks of one execution: addresses, waiting, limits, and who ends what."""

from __future__ import annotations

import pytest

from actorfaas.core.queue import sessions
from actorfaas.messages import (
    Done,
    EndSession,
    KeepMessage,
    KeptMessage,
    MessageReceived,
    MessagesTaken,
    ReceiveMessage,
    Refused,
    RestoreMessages,
    SendMessage,
    TakeAlias,
    TaskFinished,
    TaskResultAndEffects,
)
from actorfaas.messages import SessionOpened as Opened
from tests.core.queueing_rig import MS, Rig, S


def rig_with(*tasks: tuple[str, str, int]) -> Rig:
    """Workers w1, w2, ... with these tasks of one execution: its id, its state, its index."""
    rig = Rig()
    for number, (execution, state, index) in enumerate(tasks, 1):
        rig.worker(f"w{number}", pid=number)
        rig.assign(f"w{number}", f"t{number}", execution=execution, state=state, index=index)
    rig.said.clear()
    return rig


def two() -> Rig:
    return rig_with(("x", "A", -1), ("x", "B", -1))


def send(to: str, payload: bytes = b"1", index: int = -1) -> SendMessage:
    return SendMessage(to, index, payload)


WAIT = ReceiveMessage(10 * S)


def test_a_message_waits_until_somebody_asks() -> None:
    rig = two()
    assert rig.one(Done, rig.asks("w1", send("B", b"first"))) == Done()
    rig.asks("w1", send("B", b"second"))
    assert [rig.one(MessageReceived, rig.asks("w2", WAIT)).payload for _ in range(2)] == [b"first", b"second"]
    assert rig.one(Opened, rig.manager) == Opened("x")


def test_who_waits_gets_the_message_when_it_comes() -> None:
    rig = two()
    waits = rig.asks("w2", WAIT)
    assert rig.none(MessageReceived)
    rig.asks("w1", send("B", b"now"))
    assert rig.one(MessageReceived, waits).payload == b"now"
    rig.passes(20 * S)
    assert rig.none(Refused), "it no longer waits"


def test_nobody_waits_for_ever() -> None:
    rig = two()
    waits = rig.asks("w2", ReceiveMessage(50 * MS))
    assert rig.core.needs_tick
    rig.passes(49 * MS)
    assert rig.none(Refused)
    rig.passes(10 * MS)
    assert rig.one(Refused, waits).error == "timeout"
    rig.asks("w1", send("B", b"late"))
    assert rig.one(MessageReceived, rig.asks("w2", ReceiveMessage(0))).payload == b"late"


def test_a_branch_is_addressed_by_its_index_and_all_of_them_by_the_state() -> None:
    rig = rig_with(("x", "A", -1), ("x", "B", 0), ("x", "B", 1))
    first, second = rig.asks("w2", WAIT), rig.asks("w3", WAIT)
    rig.asks("w1", send("B", b"one", 1))
    assert rig.one(MessageReceived, second).payload == b"one"
    rig.asks("w1", send("B", b"any"))
    assert rig.one(MessageReceived, first).payload == b"any"
    rig.asks("w1", send("B", b"two", 2))
    assert rig.none(MessageReceived)


def test_an_alias_is_one_tasks_until_it_ends() -> None:
    rig = rig_with(("x", "A", -1), ("x", "B", 0), ("x", "B", 1))
    rig.asks("w1", send("cart", b"early"))
    assert rig.one(Done, rig.asks("w2", TakeAlias("cart")))
    assert rig.one(Refused, rig.asks("w3", TakeAlias("cart"))).error == "conflict"
    assert rig.one(MessageReceived, rig.asks("w2", WAIT)).payload == b"early"
    rig.returns("w2", "t2", "request_next_fw")
    rig.said.clear()
    assert rig.one(Done, rig.asks("w3", TakeAlias("cart")))


def test_the_oldest_of_all_addresses_comes_first() -> None:
    rig = rig_with(("x", "A", -1), ("x", "B", 0))
    rig.asks("w2", TakeAlias("cart"))
    for to, index in (("cart", -1), ("B", 0), ("B", -1)):
        rig.asks("w1", send(to, to.encode() + b"%d" % index, index))
    got = [rig.one(MessageReceived, rig.asks("w2", WAIT)).payload for _ in range(3)]
    assert got == [b"cart-1", b"B0", b"B-1"]


def test_executions_do_not_hear_each_other() -> None:
    rig = rig_with(("x", "A", -1), ("y", "B", -1))
    rig.asks("w1", send("B"))
    rig.asks("w2", ReceiveMessage(0))
    assert rig.none(MessageReceived)


def test_the_end_of_an_execution_drops_what_is_left() -> None:
    rig = two()
    for _ in range(2):
        rig.asks("w1", send("B"))
    rig.asks("w1", send("B", index=3))
    rig.asks("w1", send("nobody"))
    assert rig.core.end_session("x") == {"B": 3, "nobody": 1}
    assert rig.core.end_session("x") == {}
    rig.asks("w2", ReceiveMessage(0))
    assert rig.none(MessageReceived)
    assert EndSession("x").execution_id == "x"


def test_who_waits_when_the_execution_ends_is_told_so() -> None:
    rig = two()
    waits = rig.asks("w2", ReceiveMessage(3600 * S))
    rig.core.end_session("x")
    rig.collect()
    refused = rig.one(Refused, waits)
    assert (refused.error, refused.detail) == ("cancelled", "the execution has ended: no message will come")
    rig.passes(4000 * S)
    assert rig.none(Refused)
    assert not rig.core.needs_tick


@pytest.mark.parametrize("end", ["dies", "overruns", "returns", "fails"])
def test_a_task_that_ends_waits_no_more(end: str) -> None:
    rig = two()
    rig.asks("w2", ReceiveMessage(3600 * S))
    match end:
        case "dies":
            rig.disconnects("w2")
        case "overruns":
            rig.passes(31 * S)
        case "returns":
            rig.returns("w2", "t2", "request_next_fw")
        case "fails":
            rig.raises("w2", "t2")
    rig.said.clear()
    if end != "overruns":
        rig.asks("w1", send("B", b"for the next"))
        assert rig.none(MessageReceived)
        rig.worker("w3", pid=3)
        rig.assign("w3", "t3", execution="x", state="B")
        assert rig.one(MessageReceived, rig.asks("w3", WAIT)).payload == b"for the next"
    rig.passes(4000 * S)
    assert not rig.core.needs_tick, "somebody is still waited for"


def test_messages_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MESSAGES_LIMIT", 3)
    monkeypatch.setattr(sessions, "BYTES_LIMIT", 100)
    monkeypatch.setattr(sessions, "ALL_BYTES_LIMIT", 150)
    rig = rig_with(("x", "A", -1), ("x", "B", -1), ("y", "A", -1))
    rig.asks("w1", send("B", b"x" * 90))
    assert rig.one(Refused, rig.asks("w1", send("B", b"x" * 20))).error == "overloaded"
    assert rig.one(Refused, rig.asks("w3", send("B", b"x" * 70))).error == "overloaded"
    rig.asks("w1", send("B", b"1"))
    rig.asks("w1", send("B", b"2"))
    assert rig.one(Refused, rig.asks("w1", send("B", b"3"))).error == "overloaded"
    rig.asks("w2", WAIT)
    rig.said.clear()
    assert rig.one(Done, rig.asks("w3", send("B", b"x" * 70)))


def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "ALIASES_LIMIT", 2)
    rig = two()
    for odd in (send(""), send("x" * 257), send("B", index=-2), TakeAlias(""), TakeAlias("x" * 257)):
        assert rig.one(Refused, rig.asks("w1", odd)).error == "invalid"
    for alias in ("a", "b", "a"):
        assert rig.one(Done, rig.asks("w1", TakeAlias(alias)))
    assert rig.one(Refused, rig.asks("w1", TakeAlias("c"))).error == "overloaded"
    rig.asks("w2", WAIT)
    assert rig.one(Refused, rig.asks("w2", WAIT)).error == "busy"


def test_only_tasks_of_executions_have_messages() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    for message in (send("B"), WAIT, TakeAlias("a")):
        assert rig.one(Refused, rig.asks("w", message)).error == "unauthorized"
    rig.publish("r")
    assert rig.one(Refused, rig.asks("w", send("B"))).error == "unauthorized"


def test_a_new_execution_manager_hears_of_open_sessions() -> None:
    rig = two()
    rig.asks("w1", send("B"))
    rig.said.clear()
    rig.core.manager_connected()
    rig.collect()
    assert rig.one(Opened, rig.manager) == Opened("x")


def standard() -> Rig:
    """As `two`, of a standard execution."""
    rig = Rig()
    for number, state in enumerate("AB", 1):
        rig.worker(f"w{number}", pid=number)
        rig.assign(f"w{number}", f"t{number}", execution="x", state=state, is_standard=True)
    rig.said.clear()
    return rig


def kept(number: int, to: str = "B") -> KeptMessage:
    return KeptMessage(number, to, -1, b"%d" % number)


def restore(rig: Rig, *numbers: int) -> None:
    rig.core.restore_messages(RestoreMessages("x", tuple(kept(number) for number in numbers)))
    rig.collect()


def received(rig: Rig, name: str = "w2") -> bytes:
    return rig.one(MessageReceived, rig.asks(name, WAIT)).payload


def test_a_message_of_a_standard_execution_is_there_once_it_is_journalled() -> None:
    rig = standard()
    sender = rig.state_of("w1")
    assert sender is not None
    asked = rig.core.to_journal(sender, send("B", b"7"))
    assert asked == KeepMessage("x", "t1", "B", -1, b"7")
    waits = rig.asks("w2", WAIT)
    assert rig.none(MessageReceived)
    rig.core.keep_message(asked, 7)
    rig.collect()
    assert rig.one(MessageReceived, waits).payload == b"7"
    rig.returns("w2", "t2", "request_next_fw")
    told = [message for peer, message in rig.said if peer is rig.manager]
    assert told[-2] == MessagesTaken("x", "t2", (7,))
    assert isinstance(told[-1], TaskFinished)


def test_what_an_attempt_received_goes_back_to_its_place() -> None:
    rig = standard()
    restore(rig, 1, 2, 3)
    assert [received(rig), received(rig)] == [b"1", b"2"]
    rig.raises("w2", "t2")
    assert rig.none(MessagesTaken)
    rig.assign("w2", "t3", execution="x", state="B", is_standard=True)
    assert [received(rig) for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_result_that_is_not_taken_gives_back_what_its_task_received() -> None:
    rig = standard()
    restore(rig, 1)
    assert received(rig) == b"1"
    rig.says("w2", TaskResultAndEffects("t2", "request_next_fw", 0, 0, 9, b"1"))
    assert rig.none(MessagesTaken)
    rig.worker("w3", pid=3)
    rig.assign("w3", "t3", execution="x", state="B", is_standard=True)
    assert received(rig, "w3") == b"1"


def test_what_an_attempt_received_goes_to_one_that_waits_already() -> None:
    rig = standard()
    restore(rig, 1)
    assert received(rig) == b"1"
    rig.worker("w3", pid=3)
    rig.assign("w3", "t3", execution="x", state="B", is_standard=True)
    waits = rig.asks("w3", WAIT)
    rig.disconnects("w2")
    assert rig.one(MessageReceived, waits).payload == b"1"


def test_messages_that_are_there_already_are_not_restored() -> None:
    rig = standard()
    restore(rig, 2, 3)
    assert received(rig) == b"2"
    restore(rig, 1, 2, 3)
    assert [received(rig), received(rig)] == [b"1", b"3"]
    rig.asks("w2", ReceiveMessage(0))
    assert rig.none(MessageReceived)


def test_what_running_tasks_of_a_standard_execution_received_counts_until_they_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "MESSAGES_LIMIT", 1)
    rig = standard()
    sender = rig.state_of("w1")
    assert sender is not None
    restore(rig, 1)
    assert received(rig) == b"1"
    refused = rig.core.to_journal(sender, send("B"))
    assert isinstance(refused, Refused)
    assert refused.error == "overloaded"
    rig.returns("w2", "t2", "request_next_fw")
    assert isinstance(rig.core.to_journal(sender, send("B")), KeepMessage)


def test_a_worker_that_outlives_its_execution_gives_nothing_back() -> None:
    rig = standard()
    restore(rig, 1)
    assert received(rig) == b"1"
    assert rig.core.end_session("x") == {}
    rig.raises("w2", "t2")
    restore(rig, 2)
    rig.assign("w2", "t3", execution="x", state="B", is_standard=True)
    assert received(rig) == b"2"
