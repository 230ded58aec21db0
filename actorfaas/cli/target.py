"""The options every verb has: which node, and how results are written. They may stand before or behind the verb."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from actorfaas.client import Client

Command = Callable[..., None]  # click passes options by name; their types are in the options


@dataclass(slots=True)
class Options:
    """What was given on the command line, at either place; "" when not given."""

    url: str = ""
    token: str = ""
    output: str = ""

    @property
    def as_json(self) -> bool:
        """Whether results are to be JSON."""
        return self.output == "json"

    def client(self) -> Client:
        """A client of the node that was asked for, or is found."""
        # Where click is installed, httpx imports a command line of its own, and rich for it: 90 ms that no verb needs.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how an import is made to fail
        from actorfaas.client import Client

        return Client(self.url, token=self.token)


def common_options(command: Command) -> Command:
    """Add --url, --token and -o to a command, which gets them as its first argument."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # whatever the command's own options are
        options = click.get_current_context().ensure_object(Options)
        for name in ("url", "token", "output"):
            given = kwargs.pop(name)
            if given:
                setattr(options, name, given)
        command(options, *args, **kwargs)

    for decorate in (
        click.option("-o", "--output", default=None, type=click.Choice(["json", "table"]), help="Form of results."),
        click.option("--token", default="", metavar="TEXT", help="The node's token.  [env: ACTORFAAS_TOKEN]"),
        click.option("--url", default="", metavar="URL", help="The node's address.  [env: ACTORFAAS_URL]"),
    ):
        wrapped = decorate(wrapped)
    return wrapped
