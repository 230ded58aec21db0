"""Time and chance for testing expressions: the same in every test."""

from __future__ import annotations

import random
import uuid

from actorfaas.states.scope import Outside

NOW_MS = 1_736_937_000_000


def outside(seed: int = 1) -> Outside:
    """What expressions see of the world outside."""
    chance = random.Random(seed)
    return Outside(NOW_MS, chance.random, lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)))
