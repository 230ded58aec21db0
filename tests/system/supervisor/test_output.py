"""What functions write, from their workers to the DataLayer."""

from __future__ import annotations

import pytest

from actorfaas.messages import (
    TaskResult,
    WorkerExited,
)
from tests.system.supervisor_rig import SupervisorRig

pytestmark = pytest.mark.system


async def test_what_a_function_writes_comes_with_its_request(rig: SupervisorRig) -> None:
    await rig.deploy(
        """
        import logging, os, sys
        from actorfaas import function

        print("at import")

        @function
        def talk(event):
            print("to stdout")
            print("to stderr", file=sys.stderr)
            logging.warning("careful")
            os.write(1, b"raw bytes \\xff\\n")
            os.write(2, b"no line end")
            os._exit(0)
        """
    )
    worker = await rig.worker("talk@1")
    assert await worker.call(None, "req_7") is None
    for text, stream, level, request in (
        ("to stdout", "stdout", "", "req_7"),
        ("to stderr", "stderr", "", "req_7"),
        ("careful", "log", "WARNING", "req_7"),
        ("raw bytes \\xff", "stdout", "", ""),
        ("no line end", "stderr", "", ""),
    ):
        line = await rig.log_line(text)
        assert (line.text, line.stream, line.level, line.request_id) == (text, stream, level, request)
        assert (line.function, line.version, line.pid) == ("talk", 1, worker.pid)
    imported = await rig.log_line("at import")
    assert (imported.function, imported.stream) == ("", "stdout")


async def test_the_last_lines_of_a_killed_worker_are_not_lost(rig: SupervisorRig) -> None:
    await rig.deploy(
        """
        import os
        from actorfaas import function

        @function
        def flood(event):
            for number in range(3000):
                os.write(1, b"line %d\\n" % number)
            os.kill(os.getpid(), 9)
        """
    )
    worker = await rig.worker("flood@1")
    await worker.begin(None)
    await rig.manager.expect(WorkerExited)
    await rig.log_line("line 2999")
    assert [line.text for line in rig.logs] == [f"line {number}" for number in range(3000)]


async def test_the_init_hook_and_the_environment_of_a_function_reach_its_workers(rig: SupervisorRig) -> None:
    await rig.deploy(
        """
        import os
        from actorfaas import function

        model = []

        @function(init=lambda: model.append("ready"), env={"GREETING": "hi"})
        def greet(event):
            return [os.environ["GREETING"], model]
        """
    )
    for start_kind in ("fork", "cold"):
        result = await (await rig.worker("greet@1", start_kind)).call(None)
        assert isinstance(result, TaskResult)
        assert result.payload == b'["hi",["ready"]]'
