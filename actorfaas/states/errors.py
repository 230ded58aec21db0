"""The error names of the States Language, and the two errors its expressions raise.

`StatesError` is a failure of a running execution, under the name that Retry and Catch match; `ExpressionError` says
that a text is no expression at all, and is found when a definition is compiled. Which errors a retrier or catcher is
for is `states.retries`' business.
"""

from __future__ import annotations

from actorfaas.errors import ActorFaasError

STATES_ALL = "States.ALL"
STATES_BRANCH_FAILED = "States.BranchFailed"
STATES_DATA_LIMIT = "States.DataLimitExceeded"
STATES_EXCEED_TOLERATED_FAILURES = "States.ExceedToleratedFailureThreshold"
STATES_HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
STATES_INTRINSIC_FAILURE = "States.IntrinsicFailure"
STATES_ITEM_READER = "States.ItemReaderFailed"
STATES_NO_CHOICE_MATCHED = "States.NoChoiceMatched"
STATES_QUERY_EVALUATION = "States.QueryEvaluationError"
STATES_RESULT_PATH = "States.ResultPathMatchFailure"
STATES_RESULT_WRITER = "States.ResultWriterFailed"
STATES_RUNTIME = "States.Runtime"
STATES_TASK_FAILED = "States.TaskFailed"
STATES_TIMEOUT = "States.Timeout"


MAX_CAUSE_CHARACTERS = 32_768
"""What Step Functions keeps of a cause; causes quote inputs."""


class StatesError(ActorFaasError):
    """A state failed with `error`, a name that Retry and Catch match, and `cause`, a sentence for people."""

    def __init__(self, error: str, cause: str) -> None:
        cause = cause[:MAX_CAUSE_CHARACTERS]
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    def in_state(self, state: str, entered_event_id: int) -> StatesError:
        """The same error with the place that Step Functions puts before the cause of its own errors."""
        place = f"An error occurred while executing the state '{state}' (entered at the event id #{entered_event_id})."
        return StatesError(self.error, f"{place} {self.cause}")


class StatedFailure(StatesError):
    """A failure whose cause stands as it is: it is not of an expression, so the place of the state is no part of it."""

    def in_state(self, state: str, entered_event_id: int) -> StatesError:
        """The error itself."""
        return self


def too_deep() -> StatesError:
    """The error of data that is nested deeper than Python's stack."""
    return StatesError(STATES_RUNTIME, "The data is nested too deeply")


class ExpressionError(ActorFaasError, ValueError):
    """A text in a definition is not the path, function call, template, rule or query it should be."""
