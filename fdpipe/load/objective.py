"""The highest rate that holds a latency objective: a bracket, then its bisection; each rate tried again where one try is not
clear. A pure function of what the tries say."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt

UP, DOWN = 1.5, 2.0
"""By what the rate rises while it holds and falls while it does not, until one of each is known. Up in small steps: what an
overloaded service has not answered must be waited for."""

CLEAR = 1.5
"""A p99 this many times below or above the limit needs no second try."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`p99_ms` counts from the intended time. `budget_s` is for all tries together; `precision` 0.1 ends the search where the
    rate that holds and the one that does not lie within 10 %. At one rate there are `repeats` tries at most, of which the
    majority counts. A try takes `try_s` seconds or as long as `requests` take; no rate below `lowest` is tried."""

    p99_ms: float
    budget_s: float = 90.0
    precision: float = 0.1
    repeats: int = 3
    try_s: float = 3.0
    requests: int = 300
    lowest: float = 1.0

    def __post_init__(self) -> None:
        """Ranges."""
        for name in ("p99_ms", "budget_s", "try_s", "lowest", "precision"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name):g}")
        if self.repeats < 1 or self.repeats % 2 == 0:
            raise ValueError(f"repeats must be an odd number from 1, not {self.repeats}")
        if self.requests < 100:
            raise ValueError(f"requests must be at least 100, not {self.requests}: fewer have no p99")

    def seconds_at(self, rate: float) -> float:
        """How long one try at this rate sends."""
        return max(self.try_s, self.requests / rate)


@dataclass(frozen=True, kw_only=True)
class Try:
    """One try: `p99_ms` counts from the intended time, `sent_p99_ms` from the sending; None where so many were never answered
    that there is none. `late` says that the sender was late, and by how much. `seconds` is what it took in all."""

    rate: float
    p99_ms: float | None
    sent_p99_ms: float | None
    seconds: float
    late: str = ""

    def holds(self, limit_ms: float) -> bool | None:
        """Whether the service held the limit; None where it would have, had the sender not been late. What is in time in spite
        of a late sender is in time, and what takes too long from the sending on is too slow."""
        if self.p99_ms is not None and self.p99_ms <= limit_ms:
            return True
        return None if self.late and self.sent_p99_ms is not None and self.sent_p99_ms <= limit_ms else False


@dataclass(frozen=True, kw_only=True)
class Found:
    """`rate` is the highest that held, None where none did; the true one lies between it and `failed_at`, the lowest that did
    not hold (None where every one held). `ended` says why no more was tried, `by_sender` that it was the sender, not the
    service, that could do no more."""

    objective: Objective
    rate: float | None
    failed_at: float | None
    tries: tuple[Try, ...]
    ended: str
    by_sender: bool = False


class Over(Exception):
    """The budget does not allow another try."""


@dataclass
class RateSearch:
    """What was tried so far."""

    objective: Objective
    attempt: Callable[[float], Try]
    tries: list[Try] = field(default_factory=list)

    def holds(self, rate: float, *, surely: bool = False) -> bool:
        """Whether this rate holds, after as many tries as that takes: one that is clear, else a majority; `surely` asks for a
        majority even then. A rate at which the sender could not keep up does not hold."""
        while True:
            held = self._held_at(rate)
            known = [one for one in held if one is not None]
            majority = self.objective.repeats // 2 + 1
            for verdict in (True, False):
                if known.count(verdict) >= majority:
                    return verdict
            if len(held) >= self.objective.repeats:
                return known.count(True) > known.count(False)
            if not surely and len(known) == len(held) == 1 and self._is_clear(rate):
                return known[0]
            self._try(rate)

    def close(self, low: float, high: float) -> None:
        """Bisect until the two are close, and the lower has a majority of its own; where it has not, what lies below it."""
        while True:
            while high / low > 1 + self.objective.precision:
                middle = sqrt(low * high)
                low, high = (middle, high) if self.holds(middle) else (low, middle)
            if self.holds(low, surely=True):
                return
            high, low = low, self.bracket(low / DOWN)[0]

    def bracket(self, rate: float) -> tuple[float, float]:
        """A rate that holds and one that does not; `Over` where there is no rate that holds."""
        low = high = 0.0
        while not (low and high):
            if self.holds(rate):
                low, rate = rate, rate * UP
            else:
                if high and self._is_late(rate) and self._is_late(high):
                    raise Over("the sender is too late at every rate that was tried: quieten the machine")
                high, rate = rate, rate / DOWN
            if low and high:
                break
            if rate < self.objective.lowest:
                raise Over(f"no rate is tried below {self.objective.lowest:g} a second")
        return low, high

    def found(self, ended: str) -> Found:
        """The highest rate that held below the lowest that did not."""
        rates = sorted({one.rate for one in self.tries})
        verdicts = {rate: self._verdict(rate) for rate in rates}
        failed = next((rate for rate in rates if not verdicts[rate]), None)
        held = [rate for rate in rates if verdicts[rate] and (failed is None or rate < failed)]
        return Found(
            objective=self.objective,
            rate=held[-1] if held else None,
            failed_at=failed,
            tries=tuple(self.tries),
            ended=ended,
            by_sender=failed is not None and self._is_late(failed),
        )

    def _try(self, rate: float) -> None:
        spent = sum(one.seconds for one in self.tries)
        if spent + self.objective.seconds_at(rate) > self.objective.budget_s:
            raise Over(f"the budget of {self.objective.budget_s:g} s was spent")
        self.tries.append(self.attempt(rate))

    def _held_at(self, rate: float) -> list[bool | None]:
        return [one.holds(self.objective.p99_ms) for one in self.tries if one.rate == rate]

    def _is_late(self, rate: float) -> bool:
        """Whether all that was tried at this rate was the sender's fault."""
        return all(held is None for held in self._held_at(rate))

    def _is_clear(self, rate: float) -> bool:
        p99 = next(one.p99_ms for one in self.tries if one.rate == rate)
        return p99 is None or not self.objective.p99_ms / CLEAR < p99 < self.objective.p99_ms * CLEAR

    def _verdict(self, rate: float) -> bool:
        """The majority of what was tried; what is even does not hold."""
        held = self._held_at(rate)
        return held.count(True) > held.count(False)


def highest_rate(objective: Objective, first: float, attempt: Callable[[float], Try]) -> Found:
    """Search from the rate `first` on; `attempt` tries a rate once."""
    search = RateSearch(objective, attempt)
    try:
        search.close(*search.bracket(first))
    except Over as over:
        return search.found(str(over))
    return search.found(f"the two lie within {objective.precision:.0%}")
