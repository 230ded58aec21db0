"""Orders about a worker's own memory, given to workers of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actorfaas.messages import Tend, Tended
from tests.system.worker_rig import Bundle, Worker, served

pytestmark = pytest.mark.system

CODE = """
    import threading
    from actorfaas import function

    kept = []

    @function
    def keep(event):
        kept.append(bytearray(b"k" * event["size"]))
        return [len(one) == one.count(b"k") for one in kept]

    if THREADED:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
MIB = 1 << 20


@pytest.fixture(params=["forked", "own import", "cold"])
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of each kind."""
    code = CODE.replace("THREADED", str(request.param == "own import"))
    with served(tmp_path_factory.mktemp("bundle") / "code", code) as bundle:
        bundle.load()
        yield started(bundle, str(request.param))


def started(bundle: Bundle, kind: str) -> Worker:
    if kind == "cold":
        worker, _ = bundle.cold_worker(bundle.spec("keep"))
        worker.report()
        return worker
    if kind == "own import":
        bundle.control.close()
        bundle.load(bare=True)
    return bundle.template("keep").fork_worker()


def tend(worker: Worker, action: str) -> Tended:
    worker.tell(Tend(action))
    done = worker.receive(Tended)
    assert done.action == action
    return done


def test_a_worker_is_the_same_after_it_has_looked_after_its_memory(worker: Worker) -> None:
    assert worker.call({"size": 8 * MIB}) == [True]
    assert tend(worker, "trim").size_bytes > 8 * MIB
    assert tend(worker, "page_in").size_bytes == 0, "it was never out"
    assert tend(worker, "page_out").size_bytes > 8 * MIB
    assert worker.call({"size": MIB}) == [True, True]
    assert tend(worker, "page_out").size_bytes > 0
    assert tend(worker, "page_in").size_bytes > 0
    assert worker.call({"size": 0}) == [True, True, True]


def test_an_order_nobody_knows_is_answered_all_the_same(worker: Worker) -> None:
    assert tend(worker, "fly").size_bytes == 0
    assert worker.call({"size": 1}) == [True]
