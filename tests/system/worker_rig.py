"""A supervisor and a LocalQueue reduced to what the tests of worker processes need, with real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import orjson

from actorfaas.messages import (
    BundleLoaded,
    BundleRef,
    ChildExited,
    ChildForked,
    ColdStart,
    ForkTemplate,
    ForkWorker,
    FunctionSpec,
    LoadBundle,
    LoadFailed,
    Message,
    NewFunctionWorker,
    Task,
    TaskError,
    TaskResult,
    TemplateReady,
)
from actorfaas.wire import Decoder, Frame, decode_one, encode
from actorfaas.worker.launch import DirectLauncher, cold_command, template_command

M = TypeVar("M", bound=Message)
TIMEOUT_S = 20.0
MARK = b"\x1e"


class Collector:
    """Reads one pipe to its end, in a thread, so that a writer never waits."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self.data = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with open(self._reader, "rb", buffering=0) as pipe:
            while piece := pipe.read(65536):
                with self._changed:
                    self.data += piece
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, needle: bytes) -> bytes:
        """Everything read, once `needle` is in it."""
        with self._changed:
            found = self._changed.wait_for(lambda: needle in self.data or self._ended, TIMEOUT_S)
            assert found, f"{needle!r} not in {bytes(self.data)[-2000:]!r}"
            assert needle in self.data, f"the pipe ended without {needle!r}: {bytes(self.data)[-2000:]!r}"
            return bytes(self.data)

    def everything(self) -> bytes:
        """All that was written, once every writer is gone."""
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), "a writer of the pipe is still there"
        return bytes(self.data)

    def records(self) -> list[dict[str, object]]:
        """The records among the lines."""
        return [orjson.loads(line[1:]) for line in self.everything().split(b"\n") if line.startswith(MARK)]

    def close(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1


class Worker:
    """The LocalQueue's side of one worker's connection, and the supervisor's of its output."""

    def __init__(self, connection: socket.socket, out: Collector, err: Collector) -> None:
        connection.settimeout(TIMEOUT_S)
        self.connection = connection
        self.out = out
        self.err = err
        self.pid = 0
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self._serial = 0

    def receive_frame(self) -> Frame:
        while not self._frames:
            data = self.connection.recv(1 << 20)
            if not data:
                raise EOFError("the worker closed its connection")
            self._frames.extend(self._decoder.feed(data))
        return self._frames.pop(0)

    def receive(self, expect: type[M]) -> M:
        message = self.receive_frame().message
        assert isinstance(message, expect), message
        return message

    def tell(self, message: Message, kind: int = 0, ask_id: int = 0) -> None:
        self.connection.sendall(b"".join(encode(message, kind, ask_id)))

    def report(self) -> None:
        """Wait until the worker has reported itself."""
        self.pid = self.receive(NewFunctionWorker).pid

    def send_task(self, payload: object = None, *, raw: bytes | None = None, credit: int = 0, **other: str) -> str:
        self._serial += 1
        request_id = f"req_{self._serial}"
        self.tell(
            Task(
                request_id=request_id,
                execution_id=other.get("execution_id", ""),
                state=other.get("state", ""),
                attempt=1,
                deadline_ns=time.monotonic_ns() + int(TIMEOUT_S * 1e9),
                next_topic=other.get("next_topic", ""),
                credit=credit,
                traceparent=other.get("traceparent", ""),
                payload=orjson.dumps(payload) if raw is None else raw,
            )
        )
        return request_id

    def call(self, payload: object = None, *, raw: bytes | None = None) -> object:
        """The decoded result of one task."""
        request_id = self.send_task(payload, raw=raw)
        message = self.receive_frame().message
        assert isinstance(message, TaskResult), message
        assert message.request_id == request_id
        assert message.started_ns <= message.ended_ns
        return orjson.loads(message.payload)

    def fail(self, payload: object = None, *, raw: bytes | None = None) -> TaskError:
        """The error of one task."""
        request_id = self.send_task(payload, raw=raw)
        error = self.receive(TaskError)
        assert error.request_id == request_id
        return error

    def wait_closed(self) -> None:
        """Wait until the worker's end of the connection is closed, without another message."""
        assert self.connection.recv(1) == b""

    def close(self) -> None:
        self.connection.close()
        for collector in (self.out, self.err):
            collector.close()


class Template:
    """The supervisor's side of a template's control socket."""

    def __init__(self, control: socket.socket) -> None:
        control.settimeout(TIMEOUT_S)
        self.control = control
        self.workers: list[Worker] = []
        self.exits: dict[int, ChildExited] = {}
        self._serial = 0

    def tell(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        socket.send_fds(self.control, [b"".join(encode(message))], list(descriptors))

    def receive(self, expect: type[M]) -> M:
        """The next message of that type; exits of children that come before are kept."""
        while True:
            data = self.control.recv(1 << 20)
            if not data:
                raise EOFError("the template is gone")
            message = decode_one(data).message
            if isinstance(message, expect):
                return message
            assert isinstance(message, ChildExited), message
            self.exits[message.pid] = message

    def fork_worker(self, entrance: str = "") -> Worker:
        """A worker that has reported itself."""
        worker = self.begin_worker(entrance)
        worker.report()
        return worker

    def begin_worker(self, entrance: str = "") -> Worker:
        """A worker process; whether it can load its function is open."""
        ours, theirs = socket.socketpair()
        worker = Worker(ours, Collector(), Collector())
        self.workers.append(worker)
        self._serial += 1
        self.tell(ForkWorker(self._serial, entrance), (theirs.fileno(), worker.out.writer, worker.err.writer))
        theirs.close()
        worker.out.close()
        worker.err.close()
        forked = self.receive(ChildForked)
        assert forked.serial == self._serial
        worker.pid = forked.pid
        return worker

    def exit_of(self, pid: int) -> ChildExited:
        """How a child ended."""
        while pid not in self.exits:
            message = self.receive(ChildExited)
            self.exits[message.pid] = message
        return self.exits[pid]

    def close(self) -> None:
        self.control.close()
        for worker in self.workers:
            worker.close()


class Bundle:
    """Code on disk, and the processes that serve it."""

    def __init__(self, folder: Path, code: str, python: str = sys.executable) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(textwrap.dedent(code))
        self.ref = BundleRef(app="test", sha256="0" * 64, folder=str(folder), entry="app.py", python=python)
        self.out, self.err = Collector(), Collector()
        self.loaded = BundleLoaded((), (), 0, 0)
        self._control: Template | None = None
        self._templates: list[Template] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._cold: list[Worker] = []

    @property
    def control(self) -> Template:
        assert self._control is not None
        return self._control

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The bundle template's process."""
        return self._processes[0]

    def start(self, *, bare: bool = False, log_limit_bytes: int = 1 << 20) -> None:
        """Start the bundle template and give it its order."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = Template(ours)
        command = template_command(self.ref.python, theirs.fileno(), log_limit_bytes)
        self._processes.append(DirectLauncher().start(command, self.out.writer, self.err.writer))
        theirs.close()
        self.control.tell(LoadBundle(self.ref, bare))

    def load(self, *, bare: bool = False, log_limit_bytes: int = 1 << 20) -> BundleLoaded:
        """A loaded bundle template."""
        self.start(bare=bare, log_limit_bytes=log_limit_bytes)
        loaded = self.control.receive(BundleLoaded)
        if not bare:
            self.loaded = loaded
        return loaded

    def load_failure(self) -> LoadFailed:
        """Why the bundle cannot be loaded."""
        self.start()
        return self.control.receive(LoadFailed)

    def spec(self, name: str) -> FunctionSpec:
        return next(spec for spec in self.loaded.functions if spec.name == name)

    def begin_template(self, spec: FunctionSpec, home: str = "") -> Template:
        """Ask for a function template."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        template = Template(ours)
        self._templates.append(template)
        self.control.tell(ForkTemplate(f"{spec.name}@1", spec, home), (theirs.fileno(),))
        theirs.close()
        assert self.control.receive(ChildForked).serial == 0
        return template

    def template(self, name: str, home: str = "") -> Template:
        """A ready function template."""
        template = self.begin_template(self.spec(name), home)
        template.receive(TemplateReady)
        return template

    def cold_worker(self, spec: FunctionSpec) -> tuple[Worker, subprocess.Popen[bytes]]:
        """A worker in a new interpreter."""
        ours, theirs = socket.socketpair()
        worker = Worker(ours, Collector(), Collector())
        self._cold.append(worker)
        reader, writer = os.pipe()
        command = cold_command(self.ref.python, theirs.fileno(), reader, 1 << 20)
        started = DirectLauncher().start(command, worker.out.writer, worker.err.writer)
        self._processes.append(started)
        theirs.close()
        os.close(reader)
        worker.out.close()
        worker.err.close()
        with open(writer, "wb") as pipe:
            pipe.write(b"".join(encode(ColdStart(f"{spec.name}@1", self.ref, spec))))
        return worker, started

    def stop(self) -> None:
        """End every process that was started, by closing what it listens to, and by force if that fails."""
        for template in (*self._templates, *([self._control] if self._control else [])):
            template.close()
        for worker in self._cold:
            worker.close()
        for process in self._processes:
            try:
                process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        self.out.close()
        self.err.close()


@contextmanager
def served(folder: Path, code: str, python: str = sys.executable) -> Iterator[Bundle]:
    """A bundle whose processes are gone afterwards."""
    bundle = Bundle(folder, code, python)
    try:
        yield bundle
    finally:
        bundle.stop()
