"""A bundle template: the process that has imported a bundle and forks the templates of its functions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from actorfaas.errors import DeployError, PeerUnavailable
from actorfaas.messages import (
    BundleLoaded,
    BundleRef,
    ChildForked,
    ForkTemplate,
    LoadBundle,
    LoadFailed,
    Message,
)
from actorfaas.templates.control import control_pair
from actorfaas.templates.exits import Exit, OomWatch
from actorfaas.templates.launching import OutputPipes, Start, TakeLine
from actorfaas.templates.pipes import OutputTail, PipeReader
from actorfaas.templates.processes import Process
from actorfaas.templates.template import Template
from actorfaas.worker.launch import template_command

ChildExit = Callable[[Exit], None]


class BundleTemplate(Template):
    """One process per bundle; `bare` ones have imported nothing, for functions whose imports start threads."""

    def __init__(
        self, bundle: BundleRef, bare: bool, oom_watch: OomWatch, take_line: TakeLine, after_end: Callable[[], None]
    ) -> None:
        super().__init__(f"the template of {bundle.app}", oom_watch)
        self.bundle = bundle
        self.bare = bare
        self._take_line = take_line
        self._told_end = after_end
        self._tail = OutputTail()
        self._readers: list[PipeReader] = []
        self._loaded: asyncio.Future[BundleLoaded] = asyncio.get_running_loop().create_future()
        self._forks: deque[tuple[asyncio.Future[Process | None], ChildExit]] = deque()

    @property
    def loaded(self) -> BundleLoaded:
        """What the bundle declares; only after `start`."""
        return self._loaded.result()

    async def start(self, start: Start, timeout_s: float) -> None:
        """Start the process and import the bundle. Raises DeployError, and the process is then gone or going."""
        ours, theirs = control_pair()
        try:
            pipes = OutputPipes()
            command = template_command(self.bundle.python, theirs.fileno(), start.log_limit_bytes, start.environment)
            try:
                self.process = start.process(command, pipes)
            except OSError:
                pipes.close_reading_ends()
                raise
            finally:
                pipes.close_writing_ends()
        except OSError as error:
            ours.close()
            self.ended.set()
            raise DeployError(f"{self.what} cannot be started: {error.strerror or error}") from error
        finally:
            theirs.close()
        self._readers = pipes.read(self._line)
        self._open(ours)
        self.process.reap(self._process_ended)
        await self._load(timeout_s)

    async def _load(self, timeout_s: float) -> None:
        try:
            self._send(LoadBundle(self.bundle, self.bare))
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._loaded)
        except TimeoutError as error:
            self.kill("the import took too long")
            raise DeployError(
                f"importing {self.bundle.entry} took longer than {timeout_s:g} s (setting deploy_timeout_s)"
                + self._last_words()
            ) from error
        except PeerUnavailable as error:
            raise DeployError(f"{self.what} ended before it was asked to import") from error
        except asyncio.CancelledError:
            self.kill("the import was given up")
            raise

    async def fork(self, order: ForkTemplate, control_fd: int, exited: ChildExit) -> Process | None:
        """Fork the template of one function, which gets `control_fd` (closed here). `exited` is called at its end.

        The result is None when the child has ended already. Raises PeerUnavailable.
        """
        forked: asyncio.Future[Process | None] = asyncio.get_running_loop().create_future()
        self._send(order, (control_fd,))
        self._forks.append((forked, exited))
        return await forked

    def _received(self, message: Message) -> None:
        match message:
            case BundleLoaded() if not self._loaded.done():
                self._loaded.set_result(message)
            case LoadFailed():
                self._failed(failure_text(message, self.bundle.entry))
            case ChildForked() if self._forks:
                forked, exited = self._forks.popleft()
                process = self._adopt_child(message.pid, exited) if message.pid > 0 else None
                if not forked.cancelled():
                    forked.set_result(process)
                elif process is not None:
                    process.kill()
            case _:
                super()._received(message)

    def _failed(self, text: str) -> None:
        if not self._loaded.done():
            self._loaded.set_exception(DeployError(text))
            self._loaded.exception()  # the asker may have given up
        self.end("its bundle could not be loaded")

    def _process_ended(self, ended: Exit) -> None:
        for reader in self._readers:
            reader.finish()
        super()._process_ended(ended)

    def _after_end(self) -> None:
        self._failed(f"importing {self.bundle.entry} ended the process: it {self.exit_detail}" + self._last_words())
        while self._forks:
            forked, _ = self._forks.popleft()
            if not forked.done():
                forked.set_exception(PeerUnavailable(f"{self.what} {self.exit_detail}"))
        self._told_end()

    def _line(self, stream: str, line: bytes) -> None:
        self._tail.add(line)
        self._take_line(stream, line)

    def _last_words(self) -> str:
        return f"\nIts output ends with:\n{self._tail.text}" if self._tail.text else ""


def failure_text(failed: LoadFailed, what: str) -> str:
    """A `LoadFailed` for people: what was being done, the error, and the traceback behind it."""
    doing = {"import": f"importing {what}", "declare": f"reading the declarations of {what}"}
    sentence = f"{doing.get(failed.stage, f'the {failed.stage} hook of {what}')} failed: {failed.error_type}"
    return f"{sentence}\n{failed.detail.strip()}"
