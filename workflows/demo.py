"""The whole platform once: a node starts, the examples are deployed, called over HTTP, and what happened is shown.

`make demo` runs this. It takes a free port and a temporary folder, stops the node at the end, and fails if an answer
was wrong.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from actorfaas.testing import running_node

EXAMPLES = Path(__file__).resolve().parent
DEPLOYED = ("random_average", "order_pipeline", "convolution", "text_report", "parcels", "auction", "functionbench")
LONGEST_RESULT = 80
WIDTH = 96

console = Console(width=None if sys.stdout.isatty() and Console().width < WIDTH else WIDTH, highlight=False)


class WrongAnswer(AssertionError):
    """The platform answered something else than it should."""


def expect(condition: bool, what: str) -> None:
    """Fail the demonstration unless `condition`."""
    if not condition:
        raise WrongAnswer(what)


def example_input(name: str) -> Any:  # whatever the example's file holds
    return json.loads((EXAMPLES / name).read_text("utf-8"))


def deploy(url: str, name: str) -> None:
    """Deploy one example with the command line."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "actorfaas", "--url", url, "-o", "json", "deploy", str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"deploying {name} failed: {done.stderr}")
    deployed = json.loads(done.stdout)
    what = f"{counted(deployed['functions'], 'function')}, {counted(deployed['workflows'], 'workflow')}"
    console.print(f"  [green]deployed[/green] {name:<16} {time.perf_counter() - started:4.1f} s   [dim]{what}[/dim]")


def counted(names: list[str], noun: str) -> str:
    """How many there are: `1 workflow`, `5 functions`."""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def short(value: object) -> str:
    """A result as one line of text."""
    text = json.dumps(value)
    return text if len(text) <= LONGEST_RESULT else f"{text[: LONGEST_RESULT - 1]}…"


def timings(response: httpx.Response) -> list[str]:
    """`Server-Timing` as a table's cells: the kind of instance, then queue, start and run in milliseconds."""
    header = response.headers["Server-Timing"]
    durations = dict(re.findall(r"(\w+);dur=([0-9.]+)", header))
    kind = re.search(r'start;[^,]*desc="(\w+)"', header)
    expect(kind is not None and durations.keys() >= {"queue", "start", "run"}, f"Server-Timing: {header}")
    return [kind[1] if kind else "", *(f"{float(durations[name]):.3f}" for name in ("queue", "start", "run"))]


def timed_table(title: str, first: str) -> Table:
    """A table whose first column is followed by those of `timings`."""
    table = Table(title=title, title_justify="left")
    table.add_column(first, no_wrap=True)
    table.add_column("instance", no_wrap=True)
    for column in ("queue ms", "start ms", "run ms"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def run_workflow(http: httpx.Client, name: str, value: object, rounds: int = 5) -> Any:  # the workflow's own result
    """Run a workflow a few times; show the last run state by state."""
    for _ in range(rounds):
        response = http.post(f"/v1/invoke/{name}", json=value)
        expect(response.status_code == 200, f"{name}: {response.status_code} {response.text}")
    execution = http.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}").json()
    expect(execution["status"] == "succeeded", f"{name} ended {execution['status']}")
    show_states(name, execution)
    console.print(f"  result: {short(response.json())}\n")
    return response.json()


def show_states(name: str, execution: dict[str, Any]) -> None:
    """One line for each state: who ran it, and where the time went."""
    table = Table(title=f"workflow {name}, execution {execution['execution_id']}", title_justify="left")
    table.add_column("state")
    table.add_column("worker")
    table.add_column("instance")
    for column in ("hand-off ms", "run ms"):
        table.add_column(column, justify="right")
    for number, state in enumerate(execution["states"]):
        gap = f"{state['gap_ms']:.3f}" if number else ""
        place = state["name"] if state["index"] is None else f"{state['name']} [{state['index']}]"
        table.add_row(place, state["worker"], state["start_kind"], gap, f"{state['run_ms']:.3f}")
    console.print(table)


def call_functions(http: httpx.Client) -> None:
    """Every function of functionbench, the second call with the time that Server-Timing reports."""
    table = timed_table("functions, one warm call each", "function")
    table.add_column("result", no_wrap=True, overflow="ellipsis", max_width=32)
    for path in sorted((EXAMPLES / "functionbench" / "inputs").glob("*-a.json")):
        name = path.stem.removesuffix("-a")
        for _ in range(2):
            response = http.post(f"/v1/invoke/{name}", content=path.read_bytes())
            expect(response.status_code == 200, f"{name}: {response.status_code} {response.text}")
        table.add_row(name, *timings(response), short(response.json()))
    console.print(table)


def compare_strategies(http: httpx.Client) -> None:
    """The same call with every way to get an instance."""
    table = timed_table("one call of hello with each strategy", "strategy")
    table.add_column("seen by the caller ms", justify="right")
    for strategy in ("resident", "fork", "cold"):
        started = time.perf_counter()
        response = http.post("/v1/invoke/hello", json={"name": "Ada"}, headers={"Actorfaas-Strategy": strategy})
        elapsed_ms = (time.perf_counter() - started) * 1000
        expect(response.json() == "Hello, Ada!", f"hello with {strategy}: {response.text}")
        table.add_row(strategy, *timings(response), f"{elapsed_ms:.2f}")
    console.print(table)


def run_asynchronously(http: httpx.Client) -> None:
    """A 202 now, the result later."""
    body = example_input("random_average/inputs/small.json")
    response = http.post("/v1/invoke/random_average", json=body, headers={"Prefer": "respond-async"})
    expect(response.status_code == 202, f"asynchronous call: {response.status_code} {response.text}")
    location = response.headers["Location"]
    execution = http.get(location, params={"wait": 10}).json()
    expect(execution["status"] == "succeeded", f"asynchronous execution: {execution}")
    console.print(f"asynchronous     202 {location}")
    console.print(f"                 → {execution['status']} {short(execution['output'])}")


def show_a_failure(http: httpx.Client) -> None:
    """What a caller sees when user code raises."""
    response = http.post("/v1/invoke/order_pipeline", json=example_input("order_pipeline/inputs/rejected.json"))
    problem = response.json()
    expect(response.status_code == 500, f"rejected order: {response.status_code} {response.text}")
    expect(problem["error_type"] == "OrderRejected", f"rejected order: {problem}")
    console.print(f"a failing state  {response.status_code} {problem['error_type']}: {problem['detail']}")


def show_logs(http: httpx.Client) -> None:
    """What one function logged, with the execution it belongs to."""
    lines = http.get("/v1/logs", params={"function": "charge_card", "wait": 5, "limit": 1}).json()["lines"]
    expect(bool(lines), "charge_card logged nothing")
    console.print(f"a log line       charge_card: {lines[0]['text']}")


def tour(url: str) -> None:
    """Everything the demonstration shows, against a node that runs."""
    console.rule("deploy")
    for name in DEPLOYED:
        deploy(url, name)
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        console.rule("workflows")
        average = run_workflow(http, "random_average", example_input("random_average/inputs/small.json"))
        expect(average["count"] == 1000 and 0.4 < average["average"] < 0.6, f"random_average: {average}")
        order = run_workflow(http, "order_pipeline", example_input("order_pipeline/inputs/basket.json"))
        expect(order["total"] == "89.28" and order["status"] == "confirmed", f"order_pipeline: {order}")
        picture = run_workflow(http, "convolution", example_input("convolution/inputs/medium.json"))
        expect(sum(picture["histogram"]["counts"]) == 384 * 384, f"convolution: {picture}")
        report = run_workflow(http, "text_report", example_input("text_report/inputs/story.json"))
        expect(report["kind"] == "report" and "4 pages" in report["report"], f"text_report: {report}")
        sent = run_workflow(http, "parcels", example_input("parcels/inputs/order.json"), rounds=1)
        expect(sent["way"] == "post" and sent["grams"] == 2460 and sent["cents"] == 900, f"parcels: {sent}")
        expect(sent["invoice"]["attempts"] == 2, f"parcels: {sent}")
        sold = run_workflow(http, "auction", example_input("auction/inputs/lamp.json"), rounds=1)
        expect(sold == {"item": "lamp", "sold": True, "to": "Cleo", "for": 42}, f"auction: {sold}")
        turnover = http.get("/v1/data/@tenant/entry", params={"key": "turnover", "kind": "counter"}).json()
        expect(turnover["value"] == 42, f"the turnover: {turnover}")
        console.rule("functions")
        call_functions(http)
        compare_strategies(http)
        console.rule("more")
        run_asynchronously(http)
        show_a_failure(http)
        show_logs(http)
        workers = http.get("/v1/workers").json()["workers"]
        console.print(f"instances        {len(workers)} alive on this node")


def main() -> int:
    """Run the tour; 0 only if every answer was right."""
    console.rule("start")
    try:
        with running_node() as node:
            console.print(f"a node answers at {node.url}")
            tour(node.url)
    except WrongAnswer as error:
        console.print(f"[red]wrong:[/red] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the node has been stopped")
        return 130
    console.rule("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
