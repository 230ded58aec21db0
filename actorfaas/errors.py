"""The error hierarchy of the platform.

    ActorFaasError
    ├── ConfigError                 a setting is missing, malformed or contradictory
    ├── WireError                   bytes on a socket are not a message
    │   ├── FrameTooLarge
    │   └── MalformedFrame
    ├── PeerUnavailable             the actor asked is not connected, or the connection broke
    ├── AskTimeout                  the actor asked did not answer before the deadline
    ├── MailboxFull                 an actor's inbox is at its bound
    ├── RequestRefused              the actor asked answered with a reason (`code`, `detail`)
    ├── StorageError
    │   ├── StorageUnavailable      a write or read did not work now (disk full, input/output error)
    │   └── StorageUnusable         the database cannot be opened (damaged, of a newer version, in use)
    ├── SwapError                   memory of idle instances
    │   ├── ProcessGone             the process to be paged has exited
    │   ├── PagingRefused           the kernel does not let this process page another one
    │   ├── SwapUnavailable         a swap file or device cannot be made, used or given up
    │   └── CgroupError             a control group cannot be made, read, changed or removed
    ├── LoadFailed                  load could not be generated: a generator process ended early
    ├── IllegalTransition           a state machine was asked for a step its table does not have
    ├── InvariantViolation          `check_invariants` found a contradiction (tests only)
    ├── ClientError                 a call over HTTP did not succeed (raised by `actorfaas.client`)
    │   ├── NodeUnreachable         no node answers there, or the connection broke
    │   ├── ResponseTimeout         the node did not answer in time
    │   ├── StreamInterrupted       a streamed response ended before its end
    │   └── ApiProblem              the node answered with a problem (`status`, `code`, `detail`, ...)
    └── UserCodeError               the person's code, not the platform's
        ├── DeployError             a bundle cannot be imported, or its definition is wrong
        │   └── DeclarationError    a decorator was given a setting that cannot be (also a ValueError)
        ├── VersionConflict         a change to data expected another version
        ├── DataRefused             a change to data cannot be made (too large, too many, not a number)
        ├── ReceiveTimeout          no message came in time (also a TimeoutError)
        ├── MessageRefused          a message cannot be sent or received, or an alias not be had
        └── WorkflowFailed          a workflow run in this process failed (`error`, `cause`)

This module owns the types; which HTTP status each becomes is decided in `actorfaas.http.problems`.
"""

from __future__ import annotations


class ActorFaasError(Exception):
    """Base of every error the platform raises on purpose."""


class ConfigError(ActorFaasError):
    """A setting is missing, malformed or contradicts another."""


class WireError(ActorFaasError):
    """The bytes received are not a message; the connection that sent them is closed."""


class FrameTooLarge(WireError):
    """A frame announces more bytes than the limit allows."""


class MalformedFrame(WireError):
    """A frame is not valid msgpack, names an unknown message, or has fields of the wrong type."""


class PeerUnavailable(ActorFaasError):
    """The peer is not connected, or the connection broke while an answer was awaited."""


class AskTimeout(ActorFaasError):
    """No answer before the deadline."""


class MailboxFull(ActorFaasError):
    """The receiving actor's inbox is at its bound."""


class RequestRefused(ActorFaasError):
    """The peer understood the request and says no.

    `code` is a short stable identifier (`messages.Refused` lists them); `detail` is for people.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class StorageError(ActorFaasError):
    """Durable state cannot be reached; the message names the file."""


class StorageUnavailable(StorageError):
    """This write or read did not work; nothing of it was kept, and it may work later."""


class StorageUnusable(StorageError):
    """The database cannot be opened: damaged, written by a newer version, or in use by another node."""


class SwapError(ActorFaasError):
    """Memory could not be moved, measured or limited."""


class ProcessGone(SwapError):
    """The process has exited; whatever has its id now is another one."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} has exited")
        self.pid = pid


class PagingRefused(SwapError):
    """The kernel refuses; the message names the missing privilege."""


class SwapUnavailable(SwapError):
    """A swap file or device cannot be made, turned on or turned off; the message says why and what to do."""


class CgroupError(SwapError):
    """A control group cannot be made, read, changed or removed."""


class LoadFailed(ActorFaasError):
    """Load could not be generated; says nothing of how the server did."""


class IllegalTransition(ActorFaasError):
    """A state machine was asked for a step that its table does not allow."""


class InvariantViolation(ActorFaasError):
    """Two pieces of state contradict each other; only `check_invariants` raises this."""


class ClientError(ActorFaasError):
    """A call to a node over HTTP did not succeed."""


class NodeUnreachable(ClientError):
    """No node answers at the URL, or the connection broke before the answer was complete."""


class ResponseTimeout(ClientError):
    """The node did not answer in the time the client waits."""


class StreamInterrupted(ClientError):
    """A streamed response ended before its end; what came until then was delivered."""


class ApiProblem(ClientError):
    """The node answered with problem details (RFC 9457).

    `status` is the HTTP status, `code` a short stable identifier, `detail` is for people; `error_type`, `function`
    and `traceback` are set for failures of user code.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str = "",
        execution_id: str = "",
        retryable: bool = False,
        retry_after_s: float = 0.0,
        error_type: str = "",
        function: str = "",
        traceback: str = "",
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.execution_id = execution_id
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.error_type = error_type
        self.function = function
        self.traceback = traceback


class UserCodeError(ActorFaasError):
    """The fault lies in the deployed code."""


class DeployError(UserCodeError):
    """A bundle cannot be packed, imported or initialised, or declares something impossible."""


class DeclarationError(DeployError, ValueError):
    """A function or workflow is declared with a name or a setting that cannot be."""


class VersionConflict(UserCodeError):
    """A key does not have the version that a compare-and-set write expected; read it again and decide anew."""

    def __init__(self, key: str, expected_version: int) -> None:
        state = f"version {expected_version}" if expected_version else "absent"
        super().__init__(f"key {key!r} is not {state} any more")
        self.key = key
        self.expected_version = expected_version


class DataRefused(UserCodeError):
    """Data cannot be changed or read like that: a key or value out of bounds, too many changes at once, ..."""


class ReceiveTimeout(UserCodeError, TimeoutError):
    """No message came for the function within the time that it was willing to wait."""


class MessageRefused(UserCodeError):
    """A message cannot be sent or received, or an alias cannot be had; the message says why."""


class WorkflowFailed(UserCodeError):
    """A workflow that was run in this process ended with an error that no handler raised."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}" if cause else error)
        self.error = error
        self.cause = cause
