"""actorfaas: decorated Python functions and workflows, served from one machine.

User code imports `function`, `workflow`, `Context` and what workflows are composed of from here; the import is light,
because every worker instance pays for it.
"""

from actorfaas.api import (
    Chain,
    Context,
    DataRefused,
    Function,
    MessageRefused,
    ReceiveTimeout,
    VersionConflict,
    Workflow,
    WorkflowFailed,
    choose,
    each,
    event,
    fail,
    function,
    parallel,
    pass_,
    succeed,
    wait,
    when,
    workflow,
)

__all__ = [
    "Chain",
    "Context",
    "DataRefused",
    "Function",
    "MessageRefused",
    "ReceiveTimeout",
    "VersionConflict",
    "Workflow",
    "WorkflowFailed",
    "__version__",
    "choose",
    "each",
    "event",
    "fail",
    "function",
    "parallel",
    "pass_",
    "succeed",
    "wait",
    "when",
    "workflow",
]

__version__ = "0.1.0"
