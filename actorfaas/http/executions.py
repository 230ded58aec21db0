"""Running something as an execution: workflows, `Prefer: respond-async`, and requests with a key or a name.

Owns the conversation with the ExecutionManager (start) and the DataLayer (claim a key or name, wait for the end), and
what happens when one of them restarts in the middle. The HTTP response is made by the caller.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from actorfaas.errors import ActorFaasError, AskTimeout, RequestRefused
from actorfaas.http.calls import now_ns
from actorfaas.http.directory import Target
from actorfaas.http.links import DATA_LAYER, EXECUTION_MANAGER, Links, Office, is_restart
from actorfaas.http.problems import Problem, from_peer_error
from actorfaas.ids import new_id
from actorfaas.messages import (
    ClaimExecutionName,
    ClaimIdempotencyKey,
    ExecutionAccepted,
    ExecutionNameClaim,
    ExecutionState,
    GetExecution,
    IdempotencyClaim,
    StartExecution,
    WaitExecution,
)

WAIT_GRACE_NS = 1_000_000_000
"""The ExecutionManager ends an execution at its deadline; the wait for it lasts this much longer, to see it."""

RESTART_PATIENCE_S = 10.0
"""How long an accepted execution waits for a part that restarts; new requests are less patient."""

STANDARD = "standard"
EXPRESS = "express"


@dataclass(frozen=True, slots=True)
class Order:
    """What the request asks for."""

    target: Target
    strategy: str
    timeout_s: float
    traceparent: str
    idempotency_key: str
    execution_name: str
    respond_async: bool
    body: bytes

    @property
    def is_single(self) -> bool:
        """Whether there may be only one execution of such requests: it has a key or a name."""
        return bool(self.idempotency_key or self.execution_name)

    @property
    def fingerprint(self) -> str:
        """What distinguishes this request from others under the same key or name."""
        return hashlib.sha256(self.target.route.name.encode() + b"\0" + self.body).hexdigest()

    @property
    def durability(self) -> str:
        """A 202, a key and a name promise that the execution survives; otherwise the workflow says."""
        if self.respond_async or self.is_single:
            return STANDARD
        return self.target.route.durability or STANDARD


@dataclass(frozen=True, slots=True)
class Started:
    """An accepted execution. `is_replay`: an earlier request with the same key or name started it."""

    execution_id: str
    is_replay: bool
    deadline_ns: int


class Executions:
    """Starts executions and waits for them."""

    def __init__(self, office: Office, links: Links) -> None:
        self._office = office
        self._links = links

    async def start(self, order: Order) -> Started:
        """Have the execution accepted, or find the earlier one of the same key or name. Raises Problem."""
        deadline_ns = now_ns() + int(order.timeout_s * 1e9)
        execution_id = new_id("exe")
        is_replay = False
        if order.idempotency_key:
            claim = await self._claim(order, execution_id)
            execution_id, is_replay = claim.execution_id, not claim.first
        elif order.execution_name:
            named = await self._claim_name(order, execution_id)
            execution_id, is_replay = named.execution_id, not named.first
        if not is_replay or not await self._exists(execution_id):
            await self._start(order, execution_id)
        return Started(execution_id, is_replay, deadline_ns)

    async def wait(self, order: Order, started: Started) -> ExecutionState:
        """The state at the end, or the present one at the deadline. Raises Problem."""
        question = WaitExecution(
            execution_id=started.execution_id,
            deadline_ns=started.deadline_ns + WAIT_GRACE_NS,
            must_exist=False,
            event_payloads=False,
        )
        while True:
            answer = asyncio.create_task(self._ask_state(question), name=f"wait for {started.execution_id}")
            try:
                await self._watch_start(order, started, answer)
                return await answer
            except Problem:
                raise
            except ActorFaasError as error:
                if not is_restart(error):
                    raise _wait_failed(order, started, error) from error
                await self._data_layer_again(question, error)
            finally:
                answer.cancel()

    async def _ask_state(self, question: WaitExecution) -> ExecutionState:
        remaining_s = (question.deadline_ns - now_ns()) / 1e9
        return await self._office.ask(DATA_LAYER, question, ExecutionState, max(0.0, remaining_s) + 1.0)

    async def _data_layer_again(self, question: WaitExecution, error: ActorFaasError) -> None:
        remaining_s = (question.deadline_ns - now_ns()) / 1e9
        if remaining_s <= 0:
            raise from_peer_error(error, {"execution_id": question.execution_id}) from error
        await self._links.ready_again(DATA_LAYER, remaining_s)

    async def _watch_start(self, order: Order, started: Started, answer: asyncio.Future[ExecutionState]) -> None:
        """Back when `answer` is there. When the ExecutionManager is lost first, make sure the work is not."""
        stopping = self._links.stopping
        while not answer.done():
            if self._office.is_connected(EXECUTION_MANAGER):
                loss = self._links.loss(EXECUTION_MANAGER)
                await asyncio.wait((answer, loss, stopping), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return
            if stopping.done():
                detail = f"the node is stopping; see /v1/executions/{started.execution_id} once it is back"
                raise Problem("stopping", detail, members={"execution_id": started.execution_id})
            if order.durability == EXPRESS:
                detail = "the part that ran this express execution restarted; nothing of it was kept"
                raise Problem("restarting", detail, members={"execution_id": started.execution_id})
            await self._links.ready(EXECUTION_MANAGER, RESTART_PATIENCE_S)
            if not await self._exists(started.execution_id):
                # it was lost before anything was written
                await self._start(order, started.execution_id, is_repeat=True)

    async def _claim(self, order: Order, execution_id: str) -> IdempotencyClaim:
        name = order.target.route.name
        request = ClaimIdempotencyKey(
            key=f"{name}:{order.idempotency_key}",
            fingerprint=order.fingerprint,
            execution_id=execution_id,
        )
        try:
            return await self._links.ask(DATA_LAYER, request, IdempotencyClaim)
        except Problem as problem:
            if problem.code != "conflict":
                raise
            detail = "this Idempotency-Key was used with another body; use a new key for a new request"
            raise Problem("idempotency_key_reused", detail) from problem

    async def _claim_name(self, order: Order, execution_id: str) -> ExecutionNameClaim:
        workflow = order.target.route.name
        request = ClaimExecutionName(workflow, order.execution_name, order.fingerprint, execution_id)
        claim = await self._links.ask(DATA_LAYER, request, ExecutionNameClaim)
        if claim.is_taken:
            detail = f"{workflow} has an execution named {order.execution_name!r}: it has ended, or has another input"
            raise Problem("execution_already_exists", detail, members={"execution_id": claim.execution_id})
        return claim

    async def _exists(self, execution_id: str) -> bool:
        try:
            await self._links.ask(DATA_LAYER, GetExecution(execution_id, event_payloads=False), ExecutionState)
        except Problem as problem:
            if problem.code != "not_found":
                raise
            return False
        return True

    async def _start(self, order: Order, execution_id: str, is_repeat: bool = False) -> None:
        """Ask until it is accepted. A repeat waits for the commit, at which an execution that exists is refused: the
        same id never runs twice. Raises Problem."""
        is_repeat = is_repeat or order.is_single
        await self._links.ready(EXECUTION_MANAGER)
        for is_last in (False, True):
            try:
                request = _request(order, execution_id, wait_for_commit=is_repeat or order.respond_async)
                await self._office.ask(EXECUTION_MANAGER, request, ExecutionAccepted)
            except ActorFaasError as error:
                if is_repeat and isinstance(error, RequestRefused) and error.code == "conflict":
                    return
                if is_last or not is_restart(error):
                    raise from_peer_error(error) from error
                is_repeat = True
                await self._links.ready_again(EXECUTION_MANAGER)
            else:
                return


def _request(order: Order, execution_id: str, *, wait_for_commit: bool) -> StartExecution:
    return StartExecution(
        execution_id=execution_id,
        name=order.target.route.name,
        durability=order.durability,
        strategy=order.strategy,
        wait_for_commit=wait_for_commit,
        timeout_s=order.timeout_s,
        traceparent=order.traceparent,
        payload=order.body,
    )


def _wait_failed(order: Order, started: Started, error: ActorFaasError) -> Problem:
    members = {"execution_id": started.execution_id}
    if isinstance(error, AskTimeout):
        detail = f"{order.target.route.name} is still running; see /v1/executions/{started.execution_id}"
        return Problem("timeout", detail, members=members)
    return from_peer_error(error, members)
