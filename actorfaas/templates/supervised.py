"""One function version under supervision: its template, kept alive with back-off, and its instances.

Owns whether the function can fork: when its bundle or its init hook has started threads, its template is a bare one
and every worker imports for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from actorfaas.core.restart import Restart, RestartPolicy, RestartRules
from actorfaas.errors import DeployError
from actorfaas.messages import (
    BundleRef,
    FunctionSpec,
    FunctionStarted,
    StartFunction,
    TemplateExited,
    TemplateRestarted,
    TemplateState,
)
from actorfaas.templates import instances
from actorfaas.templates.bundle import BundleTemplate
from actorfaas.templates.exits import OomWatch
from actorfaas.templates.function import FunctionTemplate
from actorfaas.templates.homes import Homes
from actorfaas.templates.instances import Instances
from actorfaas.templates.launching import Start
from actorfaas.templates.processes import private_bytes
from actorfaas.templates.registry import BundleTemplates

_RULES = RestartRules(first_delay_s=0.05, longest_delay_s=30.0, limit=1_000_000)
"""A template is never given up: its function stays deployed, and what killed it may pass."""

_KILL_WAIT_S = 5.0
"""How long the kernel may take to end a killed process, before it is left to be reaped later."""


class Owner(instances.Owner, Protocol):
    """The supervisor."""

    def template_exited(self, message: TemplateExited) -> None: ...
    def template_restarted(self, message: TemplateRestarted) -> None: ...
    def spawn_restart(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]: ...


class SupervisedFunction:
    """From `StartFunction` to `StopFunction`."""

    def __init__(
        self,
        request: StartFunction,
        owner: Owner,
        templates: BundleTemplates,
        how: Start,
        oom_watch: OomWatch,
        homes: Homes,
        *,
        timeout_s: float,
        start_limit: int,
    ) -> None:
        self.topic = request.function_topic
        self.bundle: BundleRef = request.bundle
        self._spec: FunctionSpec = request.spec
        self._owner = owner
        self._templates = templates
        self._oom_watch = oom_watch
        self._homes = homes
        self._timeout_s = timeout_s
        self._policy = RestartPolicy(_RULES)
        self._lock = asyncio.Lock()
        self._template: FunctionTemplate | None = None
        self._started: FunctionStarted | None = None
        self._threads = 0  # what was found in a template that cannot fork; 0: it can, as far as is known
        self._restarts = 0
        self._restart: asyncio.Task[None] | None = None
        self._stopping = False
        self.instances = Instances(
            self.topic, request.bundle, request.spec, owner, how, oom_watch, homes, limit=start_limit
        )

    @property
    def is_started(self) -> bool:
        """Whether it has been in service; its template may be being restarted."""
        return self._started is not None

    async def start(self) -> FunctionStarted:
        """The function with a live template; started now, unless there is one. Raises DeployError."""
        async with self._lock:
            if self._stopping:
                raise DeployError(f"{self.topic} is being stopped")
            if self._started is None or self._template is None or not self._template.is_alive:
                self._started = await self._start_template()
            return self._started

    async def stop(self, deadline_s: float, reason: str) -> None:
        """Wait for the workers to end by themselves until the deadline, then end them, then the template."""
        self._stopping = True
        if self._restart is not None:
            self._restart.cancel()
        self.instances.refuse_waiting(reason)
        await _within(deadline_s, self.instances.none_left)
        self.instances.kill_all(reason)
        await _within(_KILL_WAIT_S, self.instances.none_left)
        if (template := self._template) is not None:
            template.end(reason)
            await _within(_KILL_WAIT_S, template.ended)
        self._homes.remove(self.topic)
        self._templates.release(self.topic)

    def kill(self, reason: str) -> None:
        """End everything at once, without waiting."""
        self._stopping = True
        self.instances.kill_all(reason)
        if self._template is not None:
            self._template.kill(reason)

    def pids(self) -> list[int]:
        """Its processes that somebody waits for."""
        template = [self._template.pid] if self._template is not None else []
        return [*template, *self.instances.pids()]

    def describe(self) -> TemplateState:
        """For `SupervisorDescription`."""
        template = self._template
        return TemplateState(
            function_topic=self.topic,
            template_pid=template.pid if template is not None and template.is_alive else 0,
            forkable=self._threads == 0,
            threads=max(self._threads, 1),
            workers=len(self.instances),
            restarts=self._restarts,
        )

    async def _start_template(self) -> FunctionStarted:
        bundle_template = None
        if self._threads == 0:
            bundle_template = await self._templates.acquire(self.bundle, False, self.topic)
            template = await self._fork_template(bundle_template)
            if template is not None:
                return self._in_service(template, bundle_template.loaded.import_ns)
            self._templates.release(self.topic)
        bare = await self._templates.acquire(self.bundle, True, self.topic)
        template = await self._fork_bare_template(bare)
        import_ns = bundle_template.loaded.import_ns if bundle_template is not None else 0
        return self._in_service(template, import_ns)

    async def _fork_template(self, parent: BundleTemplate) -> FunctionTemplate | None:
        """The function's template, or None when it, or its parent, has threads and so must not fork."""
        if parent.loaded.threads > 1:
            self._threads = parent.loaded.threads
            return None
        template = self._new_template()
        await template.start(parent, self._timeout_s)
        if template.ready.threads > 1:
            self._threads = template.ready.threads
            template.end("it has threads and cannot fork")
            return None
        return template

    async def _fork_bare_template(self, bare: BundleTemplate) -> FunctionTemplate:
        template = self._new_template()
        await template.start(bare, self._timeout_s)
        return template

    def _new_template(self) -> FunctionTemplate:
        template = FunctionTemplate(
            self.topic,
            self._spec,
            self._oom_watch,
            self.instances.forked,
            lambda: self._ended(template),
            self._homes.template(self.topic),
        )
        return template

    def _in_service(self, template: FunctionTemplate, import_ns: int) -> FunctionStarted:
        if not template.is_alive:
            raise DeployError(f"{template.what} ended as soon as it was ready")
        self._template = self.instances.template = template
        self.instances.loaded_bytes = private_bytes(template.pid) if self._threads == 0 else None
        return FunctionStarted(
            function_topic=self.topic,
            template_pid=template.pid,
            forkable=self._threads == 0,
            threads=max(self._threads, 1),
            import_ns=import_ns,
            init_ns=template.ready.init_ns,
        )

    def _ended(self, template: FunctionTemplate) -> None:
        if template is not self._template:
            return  # it never went into service: `start` says why
        self._template = self.instances.template = None
        self.instances.explain_deaths(template.kill_reason or "its template ended")
        if not self._stopping:  # told before the starts that fail with it: they are no fault of the workers
            now_s = asyncio.get_running_loop().time()
            self._restart_later(template.exit_detail, now_s, now_s - template.began_s)
        self.instances.refuse_waiting(f"{template.what} {template.exit_detail}")

    def _restart_later(self, detail: str, now_s: float, lived_s: float) -> None:
        decision = self._policy.died(now_s, lived_s)
        delay_s = decision.delay_s if isinstance(decision, Restart) else _RULES.longest_delay_s
        self._owner.template_exited(TemplateExited(self.topic, detail, delay_s))
        self._restart = self._owner.spawn_restart(self._restart_after(delay_s))

    async def _restart_after(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if self._stopping:
            return
        try:
            started = await self.start()
        except DeployError as error:
            if not self._stopping:
                self._restart_later(str(error), asyncio.get_running_loop().time(), 0.0)
            return
        self._restarts += 1
        self._owner.template_restarted(TemplateRestarted(self.topic, started.template_pid))


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
