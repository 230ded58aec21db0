"""Exceptions of user code as text: frames of the platform left out, paths relative to the bundle, length bounded."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traceback import TracebackException

MESSAGE_LIMIT_BYTES = 4 * 1024
TRACEBACK_LIMIT_BYTES = 16 * 1024
_CUT = "\n… cut …\n"
_PLATFORM_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_IMPORT_SYSTEM = ("<frozen importlib", importlib.__file__)


def error_type(error: BaseException) -> str:
    """The name of the class, as workflow definitions match it: `KeyError`, `PaymentRefused`."""
    return type(error).__name__


def error_message(error: BaseException) -> str:
    """What the exception says, at most 4 KiB of it."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001  # user code: __str__ may raise anything
        text = f"(its __str__ raised {type(broken).__name__})"
    return bounded(text, MESSAGE_LIMIT_BYTES)


def user_traceback(error: BaseException, folder: str) -> str:
    """The traceback as Python prints it, at most 16 KiB, without the platform's frames. `folder`: the bundle's."""
    from traceback import TracebackException

    try:
        described = TracebackException.from_exception(error, compact=True)
        _keep_user_frames(described, folder)
        text = "".join(described.format())
    except Exception as broken:  # noqa: BLE001  # user code runs here: __str__, __notes__, custom frames
        text = f"{error_type(error)}: {error_message(error)}\n(no traceback: {type(broken).__name__})\n"
    return bounded(text, TRACEBACK_LIMIT_BYTES)


def bounded(text: str, limit_bytes: int) -> str:
    """`text` as valid UTF-8 of at most `limit_bytes`, its middle cut out when it is longer."""
    if len(text) * 4 > limit_bytes or not text.isascii():
        data = text.encode("utf-8", "backslashreplace")
        if len(data) <= limit_bytes:
            return data.decode()
        half = (limit_bytes - len(_CUT.encode())) // 2
        return data[:half].decode("utf-8", "ignore") + _CUT + data[-half:].decode("utf-8", "ignore")
    return text


def _keep_user_frames(described: TracebackException, folder: str) -> None:
    """Begin every stack at the bundle's first frame; leave out the platform's, such as those of a failed `ctx.data`."""
    prefix = os.path.join(folder, "")
    pending = [described]
    while pending:
        one = pending.pop()
        first = next((i for i, frame in enumerate(one.stack) if frame.filename.startswith(prefix)), 0)
        one.stack[:] = [frame for frame in one.stack[first:] if not _is_platform(frame.filename)]
        for frame in one.stack:
            frame.filename = frame.filename.removeprefix(prefix)
        filename = getattr(one, "filename", None)  # of a SyntaxError
        if filename is not None:
            one.filename = filename.removeprefix(prefix)
        chained = (one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ()))
        pending.extend(other for other in chained if other is not None)


def _is_platform(filename: str) -> bool:
    return filename.startswith((_PLATFORM_FOLDER, *_IMPORT_SYSTEM))


def report_failure(text: str) -> None:
    """One message of a process that is about to end, on its standard error, whatever `sys.stderr` is by now."""
    with suppress(OSError):  # nobody reads it any more; the exit status still says that it failed
        os.write(2, (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace"))
