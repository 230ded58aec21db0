"""The platform's own log: structlog to standard error, one event a line, console or JSON.

Functions' output is not logged here; it goes to the DataLayer line by line, with its request.
"""

from __future__ import annotations

import logging
import sys

_rich = sys.modules.get("rich")
if _rich is None:
    # structlog imports rich wherever it is installed, for prettier tracebacks: 7 MB in every actor's process.
    sys.modules["rich"] = None  # type: ignore[assignment]  # how an import is made to fail
import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]

Logger = structlog.typing.FilteringBoundLogger


def configure(level: str, log_format: str) -> None:
    """Set up logging of this process. `log_format`: console, json or auto (console on a terminal)."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if not console:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(actor: str) -> Logger:
    """The logger of one actor or component; every event carries its name."""
    logger: Logger = structlog.get_logger(actor=actor)
    return logger
