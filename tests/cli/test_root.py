"""`cli.root`: help without imports, exit codes, and what is said when something fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from actorfaas import __version__
from actorfaas.cli.root import VERBS, root
from actorfaas.errors import ApiProblem, ConfigError, DeployError, NodeUnreachable, ResponseTimeout
from tests.cli.conftest import Cli
from tests.fake_node import FakeNode, Reply, document, problem


def test_help_names_every_verb(alone: Cli) -> None:
    result = alone("--help")
    assert result.exit_code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_exists_and_has_help(alone: Cli, verb: str) -> None:
    result = alone(verb, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: root " + verb)
    command = root.get_command(click.Context(root), verb)
    assert command is not None
    assert command.name == verb


def options_of(command: click.Command) -> Iterator[click.Option]:
    """The options of a command and of those below it."""
    yield from (one for one in command.params if isinstance(one, click.Option) and not one.hidden)
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options_of(below)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_is_for(verb: str) -> None:
    command = root.get_command(click.Context(root), verb)
    assert command is not None
    assert [option.name for option in options_of(command) if not option.help] == []


def test_settings_are_shown_with_their_defaults(alone: Cli) -> None:
    shown = " ".join(alone("serve", "--help").stdout.split())
    for said in ("[default: 8080]", "(AWS allows no more); 0: never [default: 262144]", "[default: true]"):
        assert said in shown


def test_version(alone: Cli) -> None:
    assert alone("--version").stdout.strip() == f"actorfaas, version {__version__}"


def test_help_imports_nothing_heavy() -> None:
    heavy = ["httpx", "rich", "asyncio", "watchfiles", "msgpack", "actorfaas.config", "actorfaas.messages"]
    program = f"""
import sys
from actorfaas.cli.root import root
try:
    root(["--help"])
except SystemExit:
    pass
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr.strip() == "[]"


def test_a_verb_does_not_import_what_only_terminals_need(fake: FakeNode) -> None:
    fake.on("GET", "/v1/functions", document({"functions": []}))
    fake.on("GET", "/v1/workflows", document({"workflows": []}))
    program = f"""
import sys
from actorfaas.cli.root import root
try:
    root(["--url", {fake.url!r}, "list", "-o", "json"])
except SystemExit as done:
    print(done.code, "httpx" in sys.modules, "rich" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr.strip() == "0 True False"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NodeUnreachable("x"), 1),
        (DeployError("x"), 1),
        (ConfigError("x"), 2),
        (ResponseTimeout("x"), 124),
        (ApiProblem(500, "handler_error", "x"), 1),
        (ApiProblem(504, "timeout", "x"), 124),
        (click.UsageError("x"), 2),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(alone: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("actorfaas.cli.target.Options.client", fails)
    result = alone("list")
    assert result.exit_code == code
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [("nope",), ("invoke",), ("list", "--nope"), ("-o", "xml", "list"), ()])
def test_wrong_usage(alone: Cli, arguments: tuple[str, ...]) -> None:
    result = alone(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_no_node(alone: Cli) -> None:
    result = alone("--url", "http://127.0.0.1:9", "list")
    assert result.exit_code == 1
    assert "no node answers at http://127.0.0.1:9" in result.stderr
    assert "actorfaas serve" in result.stderr


def test_a_wrong_setting(alone: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORFAAS_PORT", "many")
    result = alone("list")
    assert result.exit_code == 2
    assert "port must be a whole number, not 'many'" in result.stderr


def test_a_problem_names_its_function_even_when_the_text_holds_that_word(cli: Cli, fake: FakeNode) -> None:
    reply = problem(504, "timeout", "the handler ran longer than its time limit", function="longer")
    fake.on("POST", "/v1/invoke/longer", reply)
    result = cli("invoke", "longer")
    assert result.exit_code == 124
    assert "504 timeout in longer: the handler" in result.stderr


def test_a_problem_is_shown_with_its_ids_and_traceback(cli: Cli, fake: FakeNode) -> None:
    reply = problem(
        500,
        "handler_error",
        "no such item",
        request_id="req_1",
        error_type="KeyError",
        function="price",
        traceback='Traceback\n  File "app.py", line 3',
    )
    fake.on("POST", "/v1/invoke/price", reply)
    result = cli("invoke", "price")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert 'File "app.py", line 3' in result.stderr
    assert "actorfaas: 500 handler_error in price: KeyError: no such item" in result.stderr
    assert "request req_1" in result.stderr


def test_another_server_is_not_taken_for_a_node(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/functions", Reply(404, b"<html><title>Lost</title></html>", {"Content-Type": "text/html"}))
    result = cli("list")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "actorfaas: 404 http_error: Not Found"
    assert "is the address right?" in result.stderr


def test_what_is_not_found_can_be_looked_up(cli: Cli) -> None:
    assert "What there is: actorfaas list" in cli("invoke", "nothing").stderr


def test_where_to_look_after_a_failure(cli: Cli, fake: FakeNode) -> None:
    fake.on("POST", "/v1/invoke/f", problem(500, "handler_error", "no", request_id="req_1", function="f"))
    assert "actorfaas logs --request req_1" in cli("invoke", "f").stderr
    reply = problem(500, "execution_failed", "no", request_id="req_1", execution_id="exe_1", function="f")
    fake.on("POST", "/v1/invoke/f", reply)
    assert "actorfaas show exe_1" in cli("invoke", "f").stderr


def test_a_missing_token_is_asked_for(cli: Cli, fake: FakeNode) -> None:
    fake.on("GET", "/v1/functions", problem(401, "unauthorized", "a token is required"))
    assert "--token or in ACTORFAAS_TOKEN" in cli("list").stderr


def test_when_to_try_again(cli: Cli, fake: FakeNode) -> None:
    reply = problem(429, "queue_full", "too many")
    reply.headers["Retry-After"] = "7"
    fake.on("POST", "/v1/invoke/f", reply)
    assert "Try again in 7 s." in cli("invoke", "f").stderr


@pytest.mark.parametrize(
    "arguments", [("-o", "json", "--token", "t", "workers"), ("workers", "-o", "json", "--token", "t")]
)
def test_common_options_before_and_behind_the_verb(cli: Cli, fake: FakeNode, arguments: tuple[str, ...]) -> None:
    pool = {"workers": [], "topics": [], "running_executions": 0, "reservations": 0, "wrong_guesses": 0}
    fake.on("GET", "/v1/workers", document(pool))
    result = cli(*arguments)
    assert json.loads(result.stdout) == pool
    assert fake.last.headers["Authorization"] == "Bearer t"


def test_a_reader_that_has_enough_is_no_crash(fake: FakeNode) -> None:
    line = {"at_ms": 0, "function": "f", "text": "x" * 1000, "level": "", "stream": "stdout", "seq": 1}
    fake.on("GET", "/v1/logs", document({"lines": [line] * 5000, "after": 5000}))
    command = [sys.executable, "-m", "actorfaas", "--url", fake.url, "logs", "-n", "5000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    complaints = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 1
    assert b"Traceback" not in complaints


def test_completion_of_verbs() -> None:
    environment = os.environ | {
        "_ACTORFAAS_COMPLETE": "bash_complete",
        "COMP_WORDS": "actorfaas in",
        "COMP_CWORD": "1",
    }
    program = "from actorfaas.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout.strip() == "plain,invoke"
