"""What must keep working whatever the others do."""

from __future__ import annotations

import os
from typing import Any

from actorfaas import function

Json = Any  # a decoded JSON document


@function(timeout_s=10)
def alive(event: Json) -> dict[str, Json]:
    """Answer with the event and the instance that served it."""
    return {"event": event, "pid": os.getpid()}
