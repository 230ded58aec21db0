"""actorfaas: decorated Python functions and workflows, served from one machine.

User code imports `function`, `workflow` and `Context` from here; the import is light, because every worker
instance pays for it.
"""

from actorfaas.api import Chain, Context, Function, KeyValue, VersionConflict, Workflow, function, workflow

__all__ = [
    "Chain",
    "Context",
    "Function",
    "KeyValue",
    "VersionConflict",
    "Workflow",
    "__version__",
    "function",
    "workflow",
]

__version__ = "0.1.0"
