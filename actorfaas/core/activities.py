"""Activities: tasks that workers outside the node ask for. Which tasks wait for a worker, and which workers for a task.

Both are served in the order in which they came. Nothing here is durable: tasks come again when their executions are
continued, workers ask again, and the names are the DataLayer's. What a task is, is left to `core.answers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Poll:
    """A worker that waits for a task. `number`: under which it is answered."""

    number: int
    worker: str


@dataclass(slots=True)
class Activity:
    """One activity: tokens of tasks that nobody has, and workers that wait; never both."""

    tasks: dict[str, None] = field(default_factory=dict)
    polls: dict[int, Poll] = field(default_factory=dict)


class Activities:
    """Every activity by name."""

    def __init__(self) -> None:
        self._known: dict[str, Activity] = {}
        self._gone: dict[str, Activity] = {}

    def know(self, names: Iterable[str]) -> None:
        """These activities are there (too). One that was removed before gets its tasks back."""
        for name in names:
            if name not in self._known:
                self._known[name] = self._gone.pop(name) if name in self._gone else Activity()

    def remove(self, name: str) -> list[Poll]:
        """An activity is no more; who waits for its tasks. They stay, and wait for their time limits."""
        activity = self._known.pop(name, None)
        if activity is None:
            return []
        polls, activity.polls = list(activity.polls.values()), {}
        if activity.tasks:
            self._gone[name] = activity
        return polls

    @property
    def gone(self) -> set[str]:
        """Removed activities whose tasks still wait for their time limits."""
        return set(self._gone)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def offer(self, name: str, token: str) -> Poll | None:
        """A task is there: the worker that gets it now, or None, and it waits; also where the activity is gone."""
        activity = self._known.get(name) or self._gone.setdefault(name, Activity())
        if activity.polls:
            return activity.polls.pop(next(iter(activity.polls)))
        activity.tasks[token] = None
        return None

    def withdraw(self, name: str, token: str) -> None:
        """A task is over, or somebody has it."""
        for activities in (self._known, self._gone):
            if name in activities:
                activities[name].tasks.pop(token, None)
        if name in self._gone and not self._gone[name].tasks:
            del self._gone[name]

    def poll(self, name: str, poll: Poll) -> str:
        """A worker asks: the token of the task that it gets now, or "", and it waits."""
        activity = self._known[name]
        if activity.tasks:
            token = next(iter(activity.tasks))
            del activity.tasks[token]
            return token
        activity.polls[poll.number] = poll
        return ""

    def stop(self, number: int) -> bool:
        """A worker waits no more. False: it did not wait."""
        return any(activity.polls.pop(number, None) for activity in self._known.values())
