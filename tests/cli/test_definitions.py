"""`show WORKFLOW --asl`, `--diagram` and `--mermaid`: of what is deployed, and of what is only in a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, document

DEFINITION = {"StartAt": "resize", "States": {"resize": {"Type": "Task", "Resource": "resize", "End": True}}}
WORKFLOW = {"name": "flow", "app": "shop", "version": 2, "durability": "standard", "definition": DEFINITION}


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    """A module with two workflows; this process forgets it afterwards."""
    path = tmp_path / "code" / "pair_of_workflows.py"
    path.parent.mkdir()
    path.write_text(
        "from actorfaas import function, workflow\n\n"
        "@function\ndef resize(image): return image\n\n"
        "one = workflow('one', resize >> resize)\ntwo = workflow('two', resize)\n"
    )
    before = list(sys.path)
    yield path
    sys.path[:] = before
    sys.modules.pop("pair_of_workflows", None)


class TestDeployed:
    def test_forms(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/workflows/flow", document(WORKFLOW))
        assert json.loads(cli("show", "flow", "--asl").stdout) == DEFINITION
        assert cli("show", "flow", "--diagram").stdout.startswith("<svg ")
        assert cli("show", "flow", "--mermaid").stdout.startswith("flowchart TD\n")

    def test_into_a_file(self, cli: Cli, fake: FakeNode, tmp_path: Path) -> None:
        fake.on("GET", "/v1/workflows/flow", document(WORKFLOW))
        result = cli("show", "flow", "--diagram", "--into", "flow.svg")
        assert (result.stdout, result.stderr) == ("", "flow.svg shows flow\n")
        assert 'data-state="resize"' in (tmp_path / "flow.svg").read_text()
        missing = cli("show", "flow", "--diagram", "--into", "no/such/folder.svg")
        assert missing.exit_code == 1
        assert "no/such/folder.svg" in missing.stderr

    def test_what_is_no_workflow(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/functions/resize", document({"name": "resize"}))
        function = cli("show", "resize", "--diagram")
        assert (function.exit_code, "only workflows have a definition" in function.stderr) == (2, True)
        nothing = cli("show", "other", "--asl")
        assert (nothing.exit_code, "no workflow is called 'other'" in nothing.stderr) == (1, True)

    @pytest.mark.parametrize("options", [("--asl", "--mermaid"), ("--into", "x.svg")])
    def test_options_that_do_not_fit(self, cli: Cli, options: tuple[str, ...]) -> None:
        assert cli("show", "flow", *options).exit_code == 2


class TestExecutions:
    EXECUTION: dict[str, Any] = {  # noqa: RUF012  # an execution's document, never changed
        "kind": "workflow",
        "name": "flow",
        "app": "shop",
        "version": 2,
        "states": [{"name": "resize", "branch": 0, "status": "failed"}],
    }

    def test_what_became_of_each_state(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/executions/exe_1", document(self.EXECUTION))
        fake.on("GET", "/v1/executions/exe_1/definition", document(WORKFLOW["definition"]))
        drawn = cli("show", "exe_1", "--diagram").stdout
        assert 'data-state="resize" data-status="failed"' in drawn
        assert "flow, exe_1</title>" in drawn

    def test_a_long_one_is_read_page_by_page(self, cli: Cli, fake: FakeNode) -> None:
        later = self.EXECUTION | {"states": [{"name": "resize", "branch": 0, "status": "succeeded"}]}
        pages = (self.EXECUTION | {"next_cursor": "9"}, later | {"next_cursor": None})
        fake.on("GET", "/v1/executions/exe_1", *map(document, pages))
        fake.on("GET", "/v1/executions/exe_1/definition", document(WORKFLOW["definition"]))
        assert 'data-state="resize" data-status="succeeded"' in cli("show", "exe_1", "--diagram").stdout
        assert [one.query for one in fake.asked if one.path.endswith("exe_1")] == [{}, {"cursor": "9"}]

    def test_it_is_drawn_as_it_was_when_it_began(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/executions/exe_1", document(self.EXECUTION | {"version": 1}))
        fake.on("GET", "/v1/executions/exe_1/definition", document(WORKFLOW["definition"]))
        fake.on("GET", "/v1/workflows/flow", document(WORKFLOW | {"definition": {"StartAt": "other"}}))
        assert 'data-state="resize" data-status="failed"' in cli("show", "exe_1", "--diagram").stdout

    def test_one_of_a_function_has_no_states(self, cli: Cli, fake: FakeNode) -> None:
        fake.on("GET", "/v1/executions/exe_1", document(self.EXECUTION | {"kind": "function"}))
        assert cli("show", "exe_1", "--diagram").exit_code == 2


class TestFiles:
    def test_a_definition(self, alone: Cli, tmp_path: Path) -> None:
        (tmp_path / "flow.asl.json").write_text(json.dumps(DEFINITION))
        assert json.loads(alone("show", "flow.asl.json", "--asl").stdout) == DEFINITION
        assert "<title" in alone("show", "flow.asl.json", "--diagram").stdout

    def test_what_is_wrong_with_it(self, alone: Cli, tmp_path: Path) -> None:
        (tmp_path / "wrong.json").write_text('{"StartAt": "a", "States": {"a": {"Type": "Pass", "Next": "b"}}}')
        wrong = alone("show", "wrong.json", "--diagram")
        assert wrong.exit_code == 1
        assert "/States/a/Next: there is no state 'b'" in wrong.stderr
        assert alone("show", "missing.json", "--diagram").exit_code == 1

    def test_a_workflow_of_a_module(self, alone: Cli, module: Path, tmp_path: Path) -> None:
        assert list(json.loads(alone("show", f"{module}:two", "--asl").stdout)["States"]) == ["resize"]
        assert alone("show", f"{module}:one", "--mermaid", "--into", "one.mmd").exit_code == 0
        assert (tmp_path / "one.mmd").is_file()  # not in the module's folder

    def test_which_one_must_be_said(self, alone: Cli, module: Path) -> None:
        several = alone("show", str(module), "--asl")
        assert (several.exit_code, f"name one, as {module}:one" in several.stderr) == (1, True)
        assert "it has one, two" in alone("show", f"{module}:three", "--asl").stderr

    def test_a_module_that_cannot_be_imported(self, alone: Cli, tmp_path: Path) -> None:
        (tmp_path / "broken_module.py").write_text("1 / 0\n")
        result = alone("show", "broken_module.py", "--asl")
        assert result.exit_code == 1
        assert "ZeroDivisionError" in result.stderr
        assert alone("show", "missing_module.py", "--asl").exit_code == 1
