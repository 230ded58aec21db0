"""What the ExecutionManager has learned, saved to the DataLayer now and then, and there again after a restart.

Prices, durations and arrivals of every function version (`swap.learning`), habits of every workflow version
(`core.lookahead`). Only what has changed is saved, off the way of any call; a kill loses what was learned since. What
the records say is known to those modules; here it is decided when which is saved, loaded and forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from functools import partial
from itertools import islice

from actorfaas.core.catalogue import Catalogue
from actorfaas.core.execution import Plan
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.ids import function_topic
from actorfaas.messages import Done, GetLearned, LearnedRecord, SaveLearned
from actorfaas.runtime.actor import Actor
from actorfaas.swap.learning import Learning

SAVE_EVERY_S = 5.0
MOST_AT_ONCE = 100
"""Records that are saved in one go; others wait for the next."""

COSTS = "costs"
HABITS = "habits"
"""The kinds of record."""

Key = tuple[str, str]


class Remembering:
    """One ExecutionManager's. A key is a version's topic and a kind of record."""

    def __init__(self, actor: Actor, catalogue: Catalogue, learning: Learning) -> None:
        self._actor = actor
        self._catalogue = catalogue
        self._learning = learning
        self._is_loaded = False
        self._kept: set[Key] = set()
        self._due: dict[Key, None] = {}  # to be saved or, if it is gone, forgotten; what waits longest first

    async def load(self) -> None:
        """Have what was learned about the versions of the catalogue, before they are served. Raises as `ask` does."""
        for topic in self._functions():
            await self._load((topic, COSTS), partial(self._learning.restore, topic))
        for topic, plan in self._workflows().items():
            await self._load((topic, HABITS), partial(plan.habits.restore, plan.machine))
        self._is_loaded = True
        if self._kept:
            self._actor.log.info("what was learned is known again", records=len(self._kept))

    async def _load(self, key: Key, restore: Callable[[bytes], None]) -> None:
        try:
            found = await self._actor.ask("data_layer", GetLearned(*key), LearnedRecord)
            restore(found.record)
        except RequestRefused as error:
            if error.code != "not_found":
                raise
        except ValueError as error:
            self._actor.log.warning("what was learned is of no use", topic=key[0], kind=key[1], error=str(error))
        else:
            self._kept.add(key)

    async def keep(self) -> None:
        """Save every few seconds what has changed."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save(MOST_AT_ONCE)

    async def save(self, most: int | None = None) -> None:
        """Save what has changed and have forgotten what is gone: all, or so many records. What fails is due again."""
        if not self._is_loaded:
            return  # what is kept is more than what is known
        records = self._records()
        self._note_due(records.keys())
        for key in list(islice(self._due, most)):
            make = records.get(key)
            record = make() if make is not None else b""
            try:
                await self._actor.ask("data_layer", SaveLearned(*key, record), Done)
            except (PeerUnavailable, AskTimeout, RequestRefused) as error:
                self._actor.log.warning("what was learned was not saved", topic=key[0], kind=key[1], error=str(error))
                return
            self._due.pop(key, None)
            if record:
                self._kept.add(key)
            else:
                self._kept.discard(key)

    def _note_due(self, there: Set[Key]) -> None:
        functions = self._learning.take_changed()
        workflows = [topic for topic, plan in self._workflows().items() if plan.habits.take_changed()]
        self._due |= dict.fromkeys((topic, COSTS) for topic in functions)
        self._due |= dict.fromkeys((topic, HABITS) for topic in workflows)
        self._due |= dict.fromkeys(self._kept - there)

    def _records(self) -> dict[Key, Callable[[], bytes]]:
        """How to make each record of what is served."""
        costs = {(topic, COSTS): partial(self._learning.to_bytes, topic) for topic in self._functions()}
        habits = {
            (topic, HABITS): partial(plan.habits.to_bytes, plan.machine) for topic, plan in self._workflows().items()
        }
        return {**costs, **habits}

    def _functions(self) -> list[str]:
        return [topic for version in self._catalogue.versions.values() for topic, _ in version.topics()]

    def _workflows(self) -> dict[str, Plan]:
        plans = [plan for version in self._catalogue.versions.values() for plan in version.plans.values()]
        return {function_topic(plan.name, plan.version): plan for plan in plans if plan.kind == "workflow"}
