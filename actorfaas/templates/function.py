"""A function template: the process that has initialised one function and forks its workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.errors import DeployError, PeerUnavailable
from actorfaas.messages import ChildForked, ForkTemplate, ForkWorker, FunctionSpec, LoadFailed, Message, TemplateReady
from actorfaas.templates.bundle import BundleTemplate, failure_text
from actorfaas.templates.control import control_pair
from actorfaas.templates.exits import Exit, OomWatch
from actorfaas.templates.processes import Process
from actorfaas.templates.template import Template

Forked = Callable[[int, int, int], None]
"""Called with serial, pid (0: the fork failed) and the nanoseconds the fork took."""


class FunctionTemplate(Template):
    """One per function. Its parent is a bundle template; from a bare one it has not initialised anything."""

    def __init__(
        self,
        topic: str,
        spec: FunctionSpec,
        oom_watch: OomWatch,
        forked: Forked,
        after_end: Callable[[], None],
        home: str = "",
    ) -> None:
        """`home`: the entrance to its control group, "" for none."""
        super().__init__(f"the template of {topic}", oom_watch)
        self.topic = topic
        self.spec = spec
        self._home = home
        self.began_s = 0.0
        self._forked = forked
        self._told_end = after_end
        self._ready: asyncio.Future[TemplateReady] = asyncio.get_running_loop().create_future()

    @property
    def ready(self) -> TemplateReady:
        """What it said when it was initialised; only after `start`."""
        return self._ready.result()

    async def start(self, parent: BundleTemplate, timeout_s: float) -> None:
        """Fork it from `parent` and run the init hook. Raises DeployError, and the process is then gone or going."""
        self.began_s = asyncio.get_running_loop().time()
        ours, theirs = control_pair()
        self._open(ours)
        try:
            async with asyncio.timeout(timeout_s):
                order = ForkTemplate(self.topic, self.spec, self._home)
                self.process = await parent.fork(order, theirs.detach(), self._process_ended)
                await asyncio.shield(self._ready)
        except TimeoutError as error:
            self._give_up("its init hook took too long")
            raise DeployError(
                f"initialising {self.spec.name} took longer than {timeout_s:g} s (setting deploy_timeout_s)"
            ) from error
        except PeerUnavailable as error:
            self._give_up("its bundle's template ended")
            raise DeployError(f"{self.what} cannot be started: {error}") from error
        except (asyncio.CancelledError, DeployError):
            self._give_up("its start failed")
            raise

    def fork_worker(self, serial: int, descriptors: tuple[int, int, int], entrance: str = "") -> None:
        """Ask for a worker with (queue connection, stdout, stderr), closed here, in the group of that entrance.

        Raises PeerUnavailable, MailboxFull.
        """
        self._send(ForkWorker(serial, entrance), descriptors)

    def adopt_worker(self, pid: int, exited: Callable[[Exit], None]) -> Process | None:
        """Hold a worker it has just forked; `exited` is called at its end. None when it has ended already."""
        return self._adopt_child(pid, exited)

    def _give_up(self, reason: str) -> None:
        if self.process is not None:
            self.kill(reason)
        elif self._channel is not None:
            self._channel.close()

    def _received(self, message: Message) -> None:
        match message:
            case TemplateReady() if not self._ready.done():
                self._ready.set_result(message)
            case LoadFailed():
                self._failed(failure_text(message, self.spec.name))
            case ChildForked():
                self._forked(message.serial, message.pid, message.fork_ns)
            case _:
                super()._received(message)

    def _failed(self, text: str) -> None:
        if not self._ready.done():
            self._ready.set_exception(DeployError(text))
            self._ready.exception()  # the asker may have given up

    def _after_end(self) -> None:
        self._failed(f"initialising {self.spec.name} ended the process: it {self.exit_detail}")
        self._told_end()
