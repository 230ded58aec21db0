"""What the paging policy knows of each worker and function. Pure; the decisions are in `policy`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from actorfaas.errors import InvariantViolation


class Place(enum.Enum):
    """Where a worker's memory is, and whether it may be moved."""

    IDLE = "idle"
    BUSY = "busy"
    PAGING_OUT = "paging_out"
    SWAPPED = "swapped"
    PAGING_IN = "paging_in"


@dataclass(slots=True, eq=False)
class Instance:
    """One worker."""

    name: str
    function: Function
    place: Place = Place.BUSY
    size_bytes: int = 1
    working_set_bytes: int = 1
    cost_ns: float = 0.0
    frequency: float = 0.0
    frequency_at_ns: int = 0
    idle_since_ns: int = 0
    resting_until_ns: int = 0
    """Until then an idle worker is no victim: it was paged in and has not served a call, or could not be paged out."""
    moving_bytes: int = 0
    """Expected of the page-in or page-out under way."""
    wanted: bool = False
    """Reserved or called while being moved."""
    page_in_next: bool = False
    """To be brought in again as soon as it is out."""

    def used(self, uses: int, half_life_ns: int, now_ns: int) -> None:
        """`uses` calls were served; those before count half for every half-life that has passed."""
        elapsed_ns = max(0, now_ns - self.frequency_at_ns)
        self.frequency = self.frequency * 0.5 ** (elapsed_ns / half_life_ns) + uses
        self.frequency_at_ns = now_ns


class TemplatePlace(enum.Enum):
    """Where the memory is that a function's workers share."""

    NONE = "none"
    IDLE = "idle"
    BUSY = "busy"
    PAGING_OUT = "paging_out"
    SWAPPED = "swapped"


@dataclass(slots=True, eq=False)
class Function:
    """One function version. The dicts are ordered sets of names: who came first is first."""

    name: str
    workers: dict[str, Instance] = field(default_factory=dict)
    evictable: dict[str, None] = field(default_factory=dict)
    resting: dict[str, None] = field(default_factory=dict)
    swapped: dict[str, None] = field(default_factory=dict)
    paging_out: int = 0
    template: TemplatePlace = TemplatePlace.NONE
    template_bytes: int = 0
    window_start_ns: int = 0
    window_end_ns: int = 0
    instances: int = 0
    has_window: bool = False
    is_window_begun: bool = True
    review_at_ns: int | None = None
    gone: bool = False

    @property
    def idle_count(self) -> int:
        """Workers that wait and are in memory."""
        return len(self.evictable) + len(self.resting)

    @property
    def present_count(self) -> int:
        """Workers that are in memory, or on their way in."""
        return len(self.workers) - len(self.swapped) - self.paging_out

    @property
    def is_wholly_idle(self) -> bool:
        """Whether nothing of it but an idle template is in memory."""
        return self.template is TemplatePlace.IDLE and len(self.swapped) == len(self.workers)

    def is_expected(self, now_ns: int) -> bool:
        """Whether calls are expected now."""
        return self.has_window and self.window_start_ns <= now_ns < self.window_end_ns

    def check_invariants(self) -> None:
        """The sets agree with the workers. Raises InvariantViolation."""
        by_place: dict[Place, set[str]] = {place: set() for place in Place}
        for name, worker in self.workers.items():
            by_place[worker.place].add(name)
            if bool(worker.moving_bytes) != (worker.place in (Place.PAGING_IN, Place.PAGING_OUT)):
                raise InvariantViolation(f"{name} is {worker.place} and moves {worker.moving_bytes} bytes")
            if worker.wanted and worker.place not in (Place.PAGING_IN, Place.PAGING_OUT):
                raise InvariantViolation(f"{name} is {worker.place} and still wanted")
        if self.evictable.keys() & self.resting.keys():
            raise InvariantViolation(f"{self.name} has workers that rest and may be paged out")
        if self.evictable.keys() | self.resting.keys() != by_place[Place.IDLE]:
            raise InvariantViolation(f"{self.name} lost track of its idle workers")
        if self.swapped.keys() != by_place[Place.SWAPPED]:
            raise InvariantViolation(f"{self.name} lost track of its swapped workers")
        if self.paging_out != len(by_place[Place.PAGING_OUT]):
            raise InvariantViolation(f"{self.name} counts {self.paging_out} workers being paged out")
