"""The verbs that list, show and change what is on a node."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from actorfaas.cli.output import duration_s, size
from actorfaas.ids import STRATEGY_MEANINGS
from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, Reply, document, problem

FUNCTION = {"name": "resize", "app": "shop", "version": 2, "strategy": "auto", "description": "Smaller.", "env": ["A"]}
DEFINITION = {"StartAt": "resize", "States": {"resize": {"Type": "Task", "Resource": "resize", "End": True}}}
WORKFLOW = {"name": "flow", "app": "shop", "version": 2, "durability": "standard", "definition": DEFINITION}
DEPLOYED = {"app": "shop", "version": 3, "functions": ["resize"], "workflows": ["flow"], "unforkable": []}
EXECUTION: dict[str, Any] = {  # an execution's document
    "execution_id": "exe_1",
    "name": "flow",
    "version": 2,
    "status": "succeeded",
    "started_at_ms": 1_700_000_000_000,
    "ended_at_ms": 1_700_000_000_250,
    "output": [1],
    "error": None,
    "states": [{"name": "resize", "status": "succeeded", "worker": "resize@2_9", "start_kind": "fork", "run_ms": 1.0}],
}


class TestDeploy:
    def test_the_folder_is_packed_and_sent(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        folder = tmp_path / "shop"
        folder.mkdir()
        (folder / "app.py").write_text("# code")
        fake.on("PUT", "/v1/deployments/shop", document(DEPLOYED, 201))
        result = cli("deploy", str(folder))
        assert result.exit_code == 0
        assert result.stdout == "shop version 3 is in service\n  workflow  flow\n  function  resize\n"
        assert fake.last.query == {"entry": "app.py"}
        with zipfile.ZipFile(io.BytesIO(fake.last.body)) as archive:
            assert archive.read("app.py") == b"# code"

    def test_name_entry_and_json(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        (tmp_path / "main.py").write_text("")
        fake.on("PUT", "/v1/deployments/mine", document(DEPLOYED, 201))
        result = cli("-o", "json", "deploy", str(tmp_path), "--app", "mine", "--entry", "main.py")
        assert json.loads(result.stdout) == DEPLOYED
        assert fake.last.query == {"entry": "main.py"}

    def test_the_same_content_again(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("")
        fake.on("PUT", "/v1/deployments/a", document(DEPLOYED | {"unchanged": True}, 201))
        said = cli("deploy", str(tmp_path / "a.py")).stdout
        assert said.startswith("shop is unchanged, version 3 stays in service\n")

    def test_what_cannot_fork_is_said(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("")
        fake.on("PUT", "/v1/deployments/a", document(DEPLOYED | {"unforkable": ["resize"]}, 201))
        assert "resize: the imports start threads" in cli("deploy", str(tmp_path / "a.py")).stderr

    def test_a_failure_shows_the_traceback(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("")
        traceback = "Traceback (most recent call last):\nNameError: x"
        fake.on("PUT", "/v1/deployments/a", problem(422, "deploy_failed", "NameError: x", traceback=traceback))
        result = cli("deploy", str(tmp_path / "a.py"))
        assert result.exit_code == 1
        assert "Traceback (most recent call last):\nNameError: x\n" in result.stderr

    def test_nothing_to_deploy(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        result = cli("deploy", str(tmp_path))
        assert result.exit_code == 1
        assert "holds no Python module" in result.stderr
        assert fake.asked == []


def test_rollback(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", "/v1/deployments/shop/rollback", document(DEPLOYED))
    assert cli("rollback", "shop").stdout.startswith("shop version 3")
    assert fake.last.body == b""
    cli("rollback", "shop", "1")
    assert json.loads(fake.last.body) == {"version": 1}


def test_remove(cli: Cli, fake: FakeNode) -> None:
    fake.on("DELETE", "/v1/deployments/shop", Reply(204))
    result = cli("remove", "shop")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "removed shop\n")


class TestListAndShow:
    @pytest.fixture(autouse=True)
    def deployed(self, fake: FakeNode) -> None:
        fake.on("GET", "/v1/functions", document({"functions": [FUNCTION]}))
        fake.on("GET", "/v1/workflows", document({"workflows": [WORKFLOW]}))
        fake.on("GET", "/v1/functions/resize", document(FUNCTION))
        fake.on("GET", "/v1/workflows/flow", document(WORKFLOW))
        fake.on("GET", "/v1/executions/exe_1", document(EXECUTION))

    def test_list(self, cli: Cli) -> None:
        lines = cli("list").stdout.splitlines()
        assert lines[0].split() == ["name", "kind", "app", "version", "how", "description"]
        assert lines[1].split() == ["flow", "workflow", "shop", "2", "standard"]
        assert lines[2].split() == ["resize", "function", "shop", "2", "auto", "Smaller."]

    def test_list_as_json(self, cli: Cli) -> None:
        assert json.loads(cli("list", "-o", "json").stdout) == {"functions": [FUNCTION], "workflows": [WORKFLOW]}

    def test_show_a_function(self, cli: Cli) -> None:
        assert "description  Smaller." in cli("show", "resize").stdout
        assert f"strategy     auto: {STRATEGY_MEANINGS['auto']}" in cli("show", "resize").stdout
        assert json.loads(cli("show", "resize", "-o", "json").stdout) == FUNCTION

    def test_show_a_workflow(self, cli: Cli) -> None:
        assert json.loads(cli("show", "flow", "--asl").stdout) == DEFINITION
        assert '"StartAt": "resize"' in cli("show", "flow").stdout

    def test_a_function_has_no_definition(self, cli: Cli) -> None:
        assert cli("show", "resize", "--asl").exit_code == 2

    @pytest.mark.parametrize("arguments", [("shop",), ("resize", "--app")])
    def test_show_an_application(self, cli: Cli, fake: FakeNode, arguments: tuple[str, ...]) -> None:
        version = {"app": arguments[0], "created_at_ms": 0, "entry": "app.py", "functions": ["f"], "workflows": ["w"]}
        versions = {
            "deployments": [version | {"version": 2, "active": True}, version | {"version": 1, "active": False}]
        }
        fake.on("GET", f"/v1/deployments/{arguments[0]}", document(versions))
        lines = [line.split() for line in cli("show", *arguments).stdout.splitlines()]
        assert [line[:2] for line in lines[1:]] == [["2", "yes"], ["1", "-"]]
        assert json.loads(cli("show", *arguments, "-o", "json").stdout) == versions

    def test_show_an_execution(self, cli: Cli) -> None:
        result = cli("show", "exe_1")
        assert "took       250ms" in result.stdout
        assert "output     [1]" in result.stdout
        assert "resize@2_9" in result.stdout
        assert json.loads(cli("show", "exe_1", "-o", "json").stdout) == EXECUTION

    def test_show_a_long_execution_with_its_map_runs(self, cli: Cli, fake: FakeNode) -> None:
        run = {
            "state": "each",
            "status": "running",
            "total": 10,
            "pending": 4,
            "running": 3,
            "succeeded": 3,
            "failed": 0,
        }
        long = {**EXECUTION, "output": "x" * 5_000, "map_runs": [run], "next_cursor": "1000"}
        fake.on("GET", "/v1/executions/exe_1", document(long))
        result = cli("show", "exe_1", "--cursor", "7")
        assert fake.asked[-1].query["cursor"] == "7"
        assert "map each   running: 3 succeeded, 3 running, 4 pending of 10" in result.stdout
        assert "More: --cursor 1000" in result.stderr
        assert "5000 characters; all of them with -o json" in result.stdout
        assert "x" * 2_001 not in result.stdout

    def test_a_long_history_is_read_in_pages(self, cli: Cli, fake: FakeNode) -> None:
        path = "/v1/executions/exe_1/history"
        fake.on(
            "GET", path, document({"events": [1], "next_cursor": "1"}), document({"events": [2], "next_cursor": None})
        )
        assert json.loads(cli("show", "exe_1", "--history").stdout) == {"events": [1, 2]}

    def test_show_a_history(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/executions/exe_1/history", document({"events": [1]}))
        assert json.loads(cli("show", "exe_1", "--history").stdout) == {"events": [1]}

    def test_an_unknown_name(self, cli: Cli) -> None:
        result = cli("show", "nothing")
        assert result.exit_code == 1
        assert "no function, workflow, execution or application is called 'nothing'" in result.stderr

    def test_an_empty_list_says_what_to_do(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/functions", document({"functions": []}))
        fake.on("GET", "/v1/workflows", document({"workflows": []}))
        result = cli("list")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "actorfaas deploy" in result.stderr

    def test_a_failed_execution_says_why_in_one_line(self, cli: Cli, fake: FakeNode) -> None:
        error = {"error_type": "ValueError", "error_message": "no stock"}
        fake.on("GET", "/v1/executions/exe_2", document(EXECUTION | {"status": "failed", "error": error}))
        assert "error      ValueError: no stock" in cli("show", "exe_2").stdout


class TestExecutions:
    def test_list(self, cli: Cli, fake: FakeNode) -> None:
        running = EXECUTION | {"execution_id": "exe_2", "status": "running", "ended_at_ms": None}
        fake.on("GET", "/v1/executions", document({"executions": [running, EXECUTION], "next_cursor": "c9"}))
        result = cli(
            "executions", "--name", "flow", "--status", "running", "--limit", "2", "--execution-name", "order-"
        )
        assert fake.last.query == {"name": "flow", "status": "running", "limit": "2", "execution_name": "order-"}
        assert result.stdout.splitlines()[1].endswith("so far")
        assert result.stdout.splitlines()[2].endswith("250ms")
        assert "--cursor c9" in result.stderr
        assert cli("executions").exit_code == 0
        assert fake.last.query == {"limit": "20"}
        cli("executions", "--since", "1h")
        assert 3_590_000 < time.time() * 1000 - int(fake.last.query["started_from_ms"]) < 3_700_000

    def test_none(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/executions", document({"executions": [], "next_cursor": ""}))
        result = cli("executions")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "no executions" in result.stderr

    def test_redrive(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("POST", "/v1/executions/exe_1/redrive", document({"execution_id": "exe_1", "redrive_count": 2}, 202))
        assert cli("redrive", "exe_1").stderr == "exe_1 runs again (redrive 2)\n"
        assert json.loads(cli("redrive", "exe_1", "-o", "json").stdout)["redrive_count"] == 2

    def test_cancel(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("POST", "/v1/executions/exe_1/cancel", Reply(204))
        assert cli("cancel", "exe_1").stderr == "cancelled exe_1\n"
        assert json.loads(cli("cancel", "exe_1", "-o", "json").stdout) == {"execution_id": "exe_1"}


LINE = {"seq": 8, "at_ms": 1_700_000_000_000, "function": "resize", "level": "info", "stream": "log", "text": "hi"}


class TestLogs:
    def test_lines(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/logs", document({"lines": [LINE], "after": 8}))
        result = cli("logs", "resize", "--request", "req_1", "-n", "5")
        assert result.stdout.endswith("resize info hi\n")
        assert fake.last.query == {"function": "resize", "request": "req_1", "limit": "5", "tail": "true"}

    def test_as_json_one_document_a_line(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/logs", document({"lines": [LINE, LINE], "after": 8}))
        assert [json.loads(line) for line in cli("logs", "-o", "json").stdout.splitlines()] == [LINE, LINE]

    def test_since(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/logs", document({"lines": [LINE], "after": 8}))
        assert cli("logs", "--since", "1h").stdout != ""
        assert fake.last.query["since"] == "3600"
        assert cli("logs", "--since", "soon").exit_code == 2
        assert "more with -n" in cli("logs", "--since", "36500d", "-n", "1").stderr

    def test_following_goes_on_after_the_newest(self, cli: Cli, fake: FakeNode) -> None:
        fake.on(
            "GET",
            "/v1/logs",
            document({"lines": [LINE], "after": 8}),
            document({"lines": [LINE | {"text": "more"}], "after": 9}),
            problem(503, "stopping", "the node is stopping"),
        )
        result = cli("logs", "--follow")
        assert [line.rpartition(" ")[2] for line in result.stdout.splitlines()] == ["hi", "more"]
        assert [asked.query.get("after") for asked in fake.asked] == [None, "8", "9"]
        assert result.exit_code == 1


WORKER = {
    "worker": "resize@2_9",
    "function": "resize",
    "version": 2,
    "pid": 9,
    "state": "resident",
    "start_kind": "fork",
    "held_by": "resize@2",
    "age_ms": 90_000.0,
    "tasks": 4,
    **dict.fromkeys(("usage_bytes", "swap_bytes", "working_set_bytes", "last_page_in_ms")),
}
POOL = {
    "workers": [WORKER],
    "topics": [{"waiting": 2}],
    "running_executions": 1,
    "reservations": 5,
    "wrong_guesses": 1,
    "paging_mode": "",
    "paging_sentence": "",
    "memory_usage_bytes": 0,
    "memory_budget_bytes": 0,
    "swap_total_bytes": 0,
    "swap_used_bytes": 0,
}


class TestWorkers:
    def test_memory_that_is_not_known(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/workers", document(POOL))
        result = cli("workers")
        row = " ".join(result.stdout.splitlines()[1].split())
        assert row == "resize@2_9 resize 2 9 resident fork - - - - resize@2 90s 4"
        assert result.stderr == "1 instances, 2 requests waiting, 1 executions running, 5 reservations (1 not used)\n"

    def test_memory_for_people_and_for_programs(self, cli: Cli, fake: FakeNode) -> None:
        memory = {
            "usage_bytes": 325_000,
            "swap_bytes": 82 << 20,
            "working_set_bytes": 8 << 20,
            "last_page_in_ms": 12.84,
        }
        pool = POOL | {"workers": [WORKER | memory], "paging_mode": "outside", "paging_sentence": "by madvise"}
        pool |= {"memory_usage_bytes": 200 << 20, "memory_budget_bytes": 512 << 20}
        pool |= {"swap_total_bytes": 4 << 30, "swap_used_bytes": 1 << 30}
        fake.on("GET", "/v1/workers", document(pool))
        result = cli("workers")
        row = " ".join(result.stdout.splitlines()[1].split())
        assert row == "resize@2_9 resize 2 9 resident fork 317 KiB 82 MiB 8.0 MiB 12.8 ms resize@2 90s 4"
        assert result.stderr.splitlines()[:2] == [
            "paging: by madvise",
            "memory of functions: 200 MiB of a budget of 512 MiB; swap: 1.0 GiB of 4.0 GiB in use",
        ]
        assert json.loads(cli("workers", "-o", "json").stdout) == pool

    def test_no_swap_and_no_budget(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/workers", document(POOL | {"memory_usage_bytes": 5 << 20}))
        assert "memory of functions: 5.0 MiB, no budget; swap: none\n" in cli("workers").stderr
        fake.on("GET", "/v1/workers", document(POOL | {"swap_total_bytes": 1 << 30}))
        assert "memory of functions: not measured, no budget; swap: 0 B of 1.0 GiB" in cli("workers").stderr


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (640 << 10, "640 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 40, "3072.0 GiB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.25, "250ms"), (1, "1s"), (119, "119s"), (120, "2m"), (7200, "2h"), (86400 * 3, "3d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_s(seconds) == text
