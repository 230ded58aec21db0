"""A real supervisor with real templates and workers; the test plays the other actors, and each worker's LocalQueue."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
import textwrap
import zipfile
from pathlib import Path

from actorfaas import wire
from actorfaas.actors.fw_supervisor import FunctionWorkerSupervisor
from actorfaas.config import Settings
from actorfaas.messages import (
    AppendLogs,
    AttachWorker,
    BundlePrepared,
    FunctionSpec,
    FunctionStarted,
    LogLine,
    Message,
    NewFunctionWorker,
    PrepareBundle,
    Retire,
    StartFunction,
    StartWorkers,
    Task,
    WorkerStarted,
)
from tests.actors_kit import PATIENCE_S, FakePeer, Kit


def store_archive(data_dir: Path, files: dict[str, str]) -> PrepareBundle:
    """Zip `files` where the Frontend would put them; the request to prepare them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, textwrap.dedent(content))
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    archive = data_dir / "archives" / f"{sha256}.zip"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(buffer.getvalue())
    return PrepareBundle("shop", str(archive), sha256, "")


class WorkerEnd:
    """The LocalQueue's end of one worker's connection, as the supervisor handed it over."""

    def __init__(self, attached: AttachWorker, sock: socket.socket) -> None:
        self.attached = attached
        self._sock = sock
        self._decoder = wire.Decoder()
        self._frames: list[Message] = []
        sock.setblocking(False)

    @property
    def pid(self) -> int:
        return self.attached.pid

    async def receive(self) -> Message | None:
        """The next message of the worker; None at the end."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while not self._frames:
                data = await loop.sock_recv(self._sock, 65536)
                if not data:
                    return None
                self._frames += [frame.message for frame in self._decoder.feed(data)]
        return self._frames.pop(0)

    async def report(self) -> NewFunctionWorker:
        message = await self.receive()
        assert isinstance(message, NewFunctionWorker)
        return message

    async def send(self, message: Message) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, b"".join(wire.encode(message)))

    async def begin(self, event: object, request_id: str = "req_1", timeout_s: float = 10.0) -> None:
        """Give the worker a task without waiting for its result."""
        deadline_ns = int((asyncio.get_running_loop().time() + timeout_s) * 1e9)
        await self.send(Task(request_id, "", "", 1, deadline_ns, "back", 0, "", json.dumps(event).encode()))

    async def call(self, event: object, request_id: str = "req_1") -> Message | None:
        await self.begin(event, request_id)
        return await self.receive()

    async def retire(self) -> None:
        await self.send(Retire())

    def close(self) -> None:
        self._sock.close()


class SupervisorRig:
    """The supervisor among fake peers, and what tests ask of it again and again."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.queue: FakePeer
        self.data_layer: FakePeer
        self.manager: FakePeer
        self.supervisor: FunctionWorkerSupervisor
        self.logs: list[LogLine] = []
        self._ends: list[WorkerEnd] = []

    @property
    def settings(self) -> Settings:
        return self.kit.settings

    async def start(self, linger_s: float = 30.0) -> None:
        self.queue = await self.kit.fake("local_queue")
        self.data_layer = await self.kit.fake("data_layer")
        self.supervisor = await self.kit.start(FunctionWorkerSupervisor(self.settings, linger_s=linger_s))
        self.manager = await self.kit.fake("execution_manager", peers=("fw_supervisor",))

    async def prepare(self, files: dict[str, str]) -> BundlePrepared:
        request = store_archive(self.settings.data_dir, files)
        return await self.manager.ask("fw_supervisor", request, BundlePrepared, 60)

    async def start_function(self, prepared: BundlePrepared, name: str = "", version: int = 1) -> FunctionStarted:
        spec = function_of(prepared, name)
        request = StartFunction(f"{spec.name}@{version}", prepared.bundle, spec)
        return await self.manager.ask("fw_supervisor", request, FunctionStarted, 60)

    async def deploy(self, code: str, name: str = "") -> FunctionStarted:
        """One module with one function (or the one called `name`), ready for workers."""
        return await self.start_function(await self.prepare({"app.py": code}), name)

    async def worker(self, topic: str, start_kind: str = "fork") -> WorkerEnd:
        """Start one worker; its connection, after it has reported itself."""
        self.manager.tell("fw_supervisor", StartWorkers(topic, start_kind, 1))
        end = await self.next_worker()
        await self.manager.expect(WorkerStarted, lambda message: message.pid == end.pid)
        assert (await end.report()).pid == end.pid
        return end

    async def next_worker(self) -> WorkerEnd:
        message, sock = await self.queue.expect_socket()
        assert isinstance(message, AttachWorker)
        end = WorkerEnd(message, sock)
        self._ends.append(end)
        return end

    async def log_line(self, text: str) -> LogLine:
        """The first line with `text` that the DataLayer was given."""
        while True:
            for line in self.logs:
                if text in line.text:
                    return line
            self.logs += (await self.data_layer.expect(AppendLogs)).lines

    def close(self) -> None:
        for end in self._ends:
            end.close()


def function_of(prepared: BundlePrepared, name: str) -> FunctionSpec:
    return next(spec for spec in prepared.functions if name in ("", spec.name))
