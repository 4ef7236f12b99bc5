"""The line in which requests wait for the model: those that can be joined stand together, the earliest deadline is first."""

import asyncio
from collections import deque
from dataclasses import dataclass

from fdpipe.arrays import Batch
from fdpipe.serving.call import Prediction


@dataclass(slots=True, eq=False)
class Waiting:
    """A request. `kind` is the same for those that can be joined; times are `time.monotonic`'s."""

    records: Batch
    rows: int
    kind: object
    arrived: float
    deadline: float
    future: "asyncio.Future[Prediction]"
    stands: bool = False


class Line:
    """At most `max_batch` rows are taken at once, but a request that is larger is taken alone; so is each where they are not
    `batchable`. `requests` and `rows` wait, and it takes about `calls` of the model to answer them: as if no request had to
    stay behind because it did not fit."""

    def __init__(self, max_batch: int, *, batchable: bool) -> None:
        self.requests = 0
        self.rows = 0
        self.calls = 0
        self._batchable = batchable
        self._max_batch = max_batch
        self._groups: dict[object, deque[Waiting]] = {}
        self._rows: dict[object, int] = {}

    def add(self, one: Waiting) -> None:
        """Behind those of its group that must be answered earlier, or as early."""
        group = self._groups.get(one.kind)
        if group is None:
            group = self._groups[one.kind] = deque()
            self._rows[one.kind] = 0
        at = len(group)
        while at and group[at - 1].deadline > one.deadline:
            at -= 1
        group.insert(at, one)
        one.stands = True
        self._count(one, 1)

    def remove(self, one: Waiting) -> None:
        """One that waits no more."""
        self._groups[one.kind].remove(one)
        self._leave(one)

    def first(self) -> Waiting:
        """The one with the earliest deadline, of those that there are."""
        if len(self._groups) == 1:
            return next(iter(self._groups.values()))[0]
        return min((group[0] for group in self._groups.values()), key=_deadline)

    def beside(self, one: Waiting) -> tuple[int, int]:
        """How many requests of its group stand here, and their rows."""
        return len(self._groups[one.kind]), self._rows[one.kind]

    def take(self) -> list[Waiting]:
        """The first, and as many of its group as can be answered by the same call."""
        group = self._groups[self.first().kind]
        taken: list[Waiting] = []
        rows = 0
        while group and (not taken or (self._batchable and rows + group[0].rows <= self._max_batch)):
            one = group.popleft()
            self._leave(one)
            taken.append(one)
            rows += one.rows
        return taken

    def take_late(self, now: float) -> list[Waiting]:
        """Those whose deadline is past."""
        late = []
        for group in list(self._groups.values()):
            while group and group[0].deadline <= now:
                late.append(group.popleft())
                self._leave(late[-1])
        return late

    def _leave(self, one: Waiting) -> None:
        one.stands = False
        self._count(one, -1)
        if not self._groups[one.kind]:
            del self._groups[one.kind], self._rows[one.kind]

    def _count(self, one: Waiting, sign: int) -> None:
        before = self._rows[one.kind]
        after = self._rows[one.kind] = before + sign * one.rows
        self.requests += sign
        self.rows += sign * one.rows
        self.calls += self._calls(after) - self._calls(before) if self._batchable else sign

    def _calls(self, rows: int) -> int:
        return -(-rows // self._max_batch)


def _deadline(one: Waiting) -> float:
    return one.deadline
