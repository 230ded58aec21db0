"""`cli.checks` against folders that look like other machines, and `cli.doctor` with and without a node."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas.cli import checks, swap_checks
from actorfaas.cli.checks import CHECKS, Check, Machine
from actorfaas.config import Settings
from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, document, problem


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without anything, to which a test adds files."""
    settings = Settings(data_dir=tmp_path / "data", port=0)
    return Machine(settings, proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")


def put(path: Path, content: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize(
    ("release", "status"),
    [("6.18.44-fc-v669\n", "ok"), ("5.10.0\n", "ok"), ("5.4.0-generic\n", "warn"), ("4.19.1\n", "warn")],
)
def test_kernel(machine: Machine, release: str, status: str) -> None:
    put(machine.proc / "sys/kernel/osrelease", release)
    assert checks.check_system(machine).status == status


@pytest.mark.parametrize(("available_kib", "status"), [(8_000_000, "ok"), (100_000, "warn")])
def test_memory(machine: Machine, available_kib: int, status: str) -> None:
    put(machine.proc / "meminfo", f"MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: {available_kib} kB\n")
    check = checks.check_memory(machine)
    assert check.status == status
    assert check.found.startswith("16.0 GiB, ")


@pytest.mark.parametrize(
    ("capabilities", "status", "missing"),
    [
        ("000001ffffffffff", "ok", ""),
        ("0000000000000000", "warn", "CAP_SYS_NICE"),
        ("0000000000800000", "warn", "PTRACE"),
    ],
)
def test_privileges(machine: Machine, capabilities: str, status: str, missing: str) -> None:
    put(machine.proc / "self/status", f"Name:\tx\nCapEff:\t{capabilities}\n")
    check = checks.check_privileges(machine)
    assert check.status == status
    assert missing in check.found


def test_the_smallest_limit_on_processes_counts(machine: Machine) -> None:
    put(machine.proc / "sys/kernel/pid_max", "4194304\n")
    put(machine.cgroup / "pids.max", "100\n")
    check = checks.check_tasks(machine)
    assert (check.status, check.found) == ("warn", "100 (cgroup)")
    put(machine.cgroup / "pids.max", "max\n")
    assert "100" not in checks.check_tasks(machine).found


def test_the_data_folder_is_not_created(machine: Machine) -> None:
    assert checks.check_data_dir(machine).status in ("ok", "warn")
    assert not machine.settings.data_dir.exists()


def test_a_data_folder_below_a_file(machine: Machine, tmp_path: Path) -> None:
    put(tmp_path / "file")
    broken = replace(machine, settings=replace(machine.settings, data_dir=tmp_path / "file" / "data"))
    check = checks.check_data_dir(broken)
    assert check.status == "fail"
    assert "--data-dir" in check.advice


class TestPort:
    def with_port(self, machine: Machine, port: int) -> Machine:
        return replace(machine, settings=replace(machine.settings, port=port))

    def test_free(self, machine: Machine) -> None:
        assert checks.check_port(machine).status == "ok"

    def test_taken_by_something_else(self, machine: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            check = checks.check_port(self.with_port(machine, server.getsockname()[1]))
        assert check.status == "fail"
        assert "--port" in check.advice

    def test_taken_by_our_own_node(self, machine: Machine) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            state = {"pid": os.getpid(), "url": f"http://127.0.0.1:{port}"}
            put(machine.settings.data_dir / "node.json", json.dumps(state))
            assert checks.check_port(self.with_port(machine, port)).status == "ok"


def test_every_check_works_where_nothing_can_be_read(machine: Machine) -> None:
    every = (*CHECKS, *swap_checks.CHECKS)
    assert len({check(machine).name for check in every}) == len(every)
    assert "fail" not in {check(machine).status for check in swap_checks.CHECKS}


class TestDoctor:
    @pytest.fixture(autouse=True)
    def one_failing_check(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """The machine's own state does not matter here: two checks that the test decides."""

        def use(status: str) -> None:
            made = Check("thing", status, "as found", "do this")  # type: ignore[arg-type]  # a plain str
            monkeypatch.setattr("actorfaas.cli.doctor.CHECKS", (lambda _: Check("fine", "ok", "yes"), lambda _: made))

        use("warn")
        return use

    def test_without_a_node(self, alone: Cli) -> None:
        result = alone("doctor")
        assert result.exit_code == 0
        assert "warn  thing  as found" in result.stdout
        assert "do this" in result.stdout
        assert "none runs" in result.stdout

    def test_a_failure(self, alone: Cli, one_failing_check: Callable[[str], None]) -> None:
        one_failing_check("fail")
        result = alone("doctor", "-o", "json")
        assert result.exit_code == 1
        assert [check["status"] for check in json.loads(result.stdout)] == ["ok", "fail", "ok"]

    def test_with_a_node(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/readyz", document({}))
        fake.on("GET", "/v1/node", document({"version": "9.9"}))
        assert f"{fake.url} is ready, version 9.9" in cli("doctor").stdout

    def test_with_a_node_that_is_not_ready(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/readyz", problem(503, "unavailable", "starting"))
        assert "is not ready" in cli("doctor").stdout

    def test_with_a_node_that_wants_a_token(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/readyz", document({}))
        fake.on("GET", "/v1/node", problem(401, "unauthorized", "a token is required"))
        assert "--token" in cli("doctor").stdout
