"""`actorfaas data`: what functions keep as `context.data`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from actorfaas.cli.output import note, write_json
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document: what the API answered
Place = dict[str, str]
Command = Callable[..., None]  # click passes options by name; their types are in the options

_VERSION = click.option("--if-version", type=click.IntRange(min=0), help="Only if it has this version; 0: is absent.")


def place_options(command: Command) -> Command:
    """Add --map, --set and --counter to a command, which gets them as `place`."""

    @wraps(command)
    def wrapped(*args: Any, map_: str, set_: str, counter: bool, **kwargs: Any) -> None:  # the command's own options
        given = [("map", map_)] * bool(map_) + [("set", set_)] * bool(set_) + [("counter", "")] * counter
        if len(given) > 1:
            raise click.UsageError("--map, --set and --counter exclude each other")
        kind, name = given[0] if given else ("value", "")
        command(*args, place={"kind": kind, "name": name}, **kwargs)

    for decorate in (
        click.option("--counter", is_flag=True, help="Of the counters."),
        click.option("--set", "set_", default="", metavar="NAME", help="Of this set."),
        click.option("--map", "map_", default="", metavar="NAME", help="Of this map."),
    ):
        wrapped = decorate(wrapped)
    return wrapped


@click.group("data")
def data_command() -> None:
    """Look at and change functions' data.

    APP is the application whose data it is, or @tenant: what all applications share.

    \b
      actorfaas data list shop stock/                  keys that begin so
      actorfaas data get shop stock/tea
      actorfaas data put shop stock/tea 12 --if-version 7
      actorfaas data get shop 4711 --map orders
      actorfaas data add shop orders 1                 a counter
    """


@data_command.command("list")
@click.argument("app")
@click.argument("prefix", default="")
@click.option("--kind", type=click.Choice(["map", "set"]), help="List the names of maps or sets.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="Most lines.")
@click.option("--after", default="", help="Where the page before ended.")
@place_options
@common_options
def list_command(
    options: Options, app: str, prefix: str, kind: str | None, limit: int, after: str, place: Place
) -> None:
    """List keys that begin with PREFIX."""
    if kind:
        place = {"kind": kind, "name": ""}
    with options.client() as node:
        reply = node.data_keys(app, prefix=prefix, after=after, limit=limit, **place)
    if options.as_json:
        write_json(reply)
        return
    for key in reply["keys"]:
        click.echo(key)
    if reply["next_after"] is not None:
        note(f"More: --after {reply['next_after']}")


@data_command.command("get")
@click.argument("app")
@click.argument("key")
@place_options
@common_options
def get_command(options: Options, app: str, key: str, place: Place) -> None:
    """Show one value."""
    with options.client() as node:
        reply = node.data_get(app, key, **place)
    if options.as_json:
        write_json(reply)
    else:
        note(f"version {reply['version']}")
        click.echo(json.dumps(reply.get("value"), ensure_ascii=False))


@data_command.command("put")
@click.argument("app")
@click.argument("key")
@click.argument("value", default="null")
@click.option("--ttl", type=click.FloatRange(min=0, min_open=True), help="It is gone after so many seconds.")
@_VERSION
@place_options
@common_options
def put_command(
    options: Options, app: str, key: str, value: str, ttl: float | None, if_version: int | None, place: Place
) -> None:
    """Set a value.

    VALUE is JSON; with --set, KEY is put into the set.
    """
    try:
        document = json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"VALUE is not JSON: {error}") from error
    with options.client() as node:
        reply = node.data_put(app, key, document, if_version=if_version, ttl_s=ttl, **place)
    if options.as_json:
        write_json(reply)
    else:
        note(f"version {reply['version']}")


@data_command.command("add")
@click.argument("app")
@click.argument("counter")
@click.argument("amount", type=int, default=1)
@common_options
def add_command(options: Options, app: str, counter: str, amount: int) -> None:
    """Add to a counter.

    AMOUNT is 1 if not given, and stands after `--` if it is below 0. What the counter comes to is shown.
    """
    with options.client() as node:
        reply = node.data_add(app, counter, amount)
    if options.as_json:
        write_json(reply)
    else:
        click.echo(reply["value"])


@data_command.command("remove")
@click.argument("app")
@click.argument("key")
@_VERSION
@place_options
@common_options
def remove_command(options: Options, app: str, key: str, if_version: int | None, place: Place) -> None:
    """Remove a key, a member of a set, or a counter."""
    with options.client() as node:
        node.data_delete(app, key, if_version=if_version, **place)
    if options.as_json:
        write_json({"app": app, "key": key, "removed": True})
    else:
        note(f"removed {key}")
