"""How a service is sized: from what the benchmark measured of its model, the limits that it is to keep, and the machine.

Nothing here measures or guesses: where the benchmark has no timings, a request is answered alone, by one worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf, log2

from fdpipe.artifacts import Candidate, Cost, Expected, Machine, Measured, Measurement, Timing, Traffic
from fdpipe.plan import ServiceSettings

GAIN = 0.05
"""A batch twice as large is worth it where it answers so much more in the same time."""

LEAST_WAIT_MS = 1.0
"""To wait less is not worth a timer: the event loop counts time in such steps."""

MOST_WAITING = 1024
"""Requests, each with its body in memory."""

MEMORY_SHARE = 0.5
"""Of the machine's memory, for the models of all workers together."""

MIB_IN_GIB = 1024


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What `service` says: sizes set by hand, None for one to be derived, and the limits that the derived ones keep."""

    workers: int | None = None
    runs: int | None = None
    max_batch: int | None = None
    max_wait_ms: float | None = None
    max_waiting: int | None = None
    cache_mib: float | None = None
    p99_ms: float | None = None
    timeout_s: float = 60.0

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Wishes":
        """The same in the plan's words, where ports and the like stand beside them."""
        return cls(**{item.name: getattr(settings, item.name) for item in fields(cls)})

    @property
    def limit_ms(self) -> float:
        """How long an answer may take."""
        return min(self.p99_ms or inf, 1000 * self.timeout_s)


def traffic(wishes: Wishes, measured: Measured, candidate: Candidate, *, batchable: bool) -> Traffic:
    """How a service of this candidate takes its requests, which have one row each as far as anybody knows. What is wished wins
    over what would be derived, but in a release that is not batchable nothing is joined."""
    found = measured.of(candidate.name)
    timings = own_timings(found)
    cost = fitted(timings)
    workers, runs = _shared(wishes, measured.machine, found, _threads(candidate, measured.machine))
    max_batch = (wishes.max_batch or _max_batch(cost, timings, wishes.limit_ms)) if batchable else 1
    wait_ms, waiting = wishes.max_wait_ms, wishes.max_waiting
    return Traffic(
        workers=workers,
        runs=runs,
        max_batch=max_batch,
        max_wait_ms=_max_wait_ms(cost, max_batch, wishes.limit_ms) if wait_ms is None else wait_ms,
        max_waiting=_max_waiting(cost, max_batch, runs, wishes.timeout_s) if waiting is None else waiting,
        cache_mib=wishes.cache_mib or 0.0,
        cost=cost,
    )


def expected(traffic: Traffic, measured: Measured, candidate: str) -> Expected | None:
    """What a service with this traffic does, by the benchmark alone: to one caller who asks for one row after the other, and
    to as many as it can serve. What a request costs beside the model is not in it. None where nothing was measured."""
    alone = next((one for one in own_timings(measured.of(candidate)) if one.batch == 1), None)
    if alone is None or traffic.cost is None:
        return None
    together_ms = traffic.cost.ms(traffic.max_batch)
    at_once = traffic.workers * traffic.runs
    return Expected(p50_ms=alone.p50_ms, p99_ms=alone.p99_ms, requests_per_s=1000 * at_once * traffic.max_batch / together_ms)


def own_timings(measurement: Measurement | None) -> list[Timing]:
    """Those of the rows as they are; where there are none, those of the longest sequences. By batch size."""
    timings = measurement.timings if measurement is not None else ()
    longest = max((one.length for one in timings if one.length is not None), default=None)
    chosen = [one for one in timings if one.length is None] or [one for one in timings if one.length == longest]
    return sorted(chosen, key=lambda one: one.batch)


def fitted(timings: Sequence[Timing]) -> Cost | None:
    """The medians as t(n) = a·n + b by least squares of the relative errors, neither a nor b below 0, to two digits: a
    benchmark knows no more. With one batch size alone, all of it is the rows'. None without timings."""
    points = [(one.batch, one.p50_ms, 1 / one.p50_ms**2) for one in timings if one.p50_ms > 0]
    if not points:
        return None
    weight = sum(w for _, _, w in points)
    row_sum, time_sum = sum(w * n for n, _, w in points), sum(w * t for _, t, w in points)
    square_sum, product_sum = sum(w * n * n for n, _, w in points), sum(w * n * t for n, t, w in points)
    spread = weight * square_sum - row_sum**2
    if len(points) == 1 or spread <= 0:
        return Cost(call_ms=0.0, row_ms=_rounded(product_sum / square_sum))
    row_ms = (weight * product_sum - row_sum * time_sum) / spread
    call_ms = (time_sum - row_ms * row_sum) / weight
    if call_ms < 0:
        row_ms, call_ms = product_sum / square_sum, 0.0
    elif row_ms < 0:
        row_ms, call_ms = 0.0, time_sum / weight
    return Cost(call_ms=_rounded(call_ms), row_ms=_rounded(row_ms))


def _shared(wishes: Wishes, machine: Machine, found: Measurement | None, threads: int) -> tuple[int, int]:
    """Workers and runs: together they use the cores, and the models of all workers have room; one where nothing was measured.
    Workers come first, since one that dies leaves the others."""
    if found is None or not found.timings:
        return wishes.workers or 1, wishes.runs or 1
    if wishes.workers is not None:
        return wishes.workers, wishes.runs or max(1, machine.cores // (wishes.workers * threads))
    runs = wishes.runs or 1
    room = MEMORY_SHARE * machine.memory_gib * MIB_IN_GIB // found.peak_rss_mib if found.peak_rss_mib else inf
    return int(max(1, min(machine.cores // (runs * threads), room))), runs


def _threads(candidate: Candidate, machine: Machine) -> int:
    """The most that one call uses; a session that does not say uses every core."""
    sessions = [one.session for _, one in candidate.parts] or [candidate.session]
    return max(int(session.get("threads", 0)) or machine.cores for session in sessions)


def _max_batch(cost: Cost | None, timings: Sequence[Timing], limit_ms: float) -> int:
    """The most rows that were measured, that are answered within the limit after a batch as large, and before which twice as
    many still gained: 2n/t(2n) ≥ (1 + GAIN)·n/t(n) is the same as a·n ≤ b·(1 - GAIN)/(2·GAIN)."""
    if cost is None:
        return 1
    by_gain = inf
    if cost.row_ms > 0:
        pays_until = cost.call_ms * (1 - GAIN) / (2 * GAIN) / cost.row_ms
        by_gain = 2 ** (int(log2(pays_until)) + 1) if pays_until >= 1 else 1
    by_limit = (limit_ms / 2 - cost.call_ms) / cost.row_ms if cost.row_ms > 0 else inf
    return int(max(1, min(timings[-1].batch, by_gain, by_limit)))


def _max_wait_ms(cost: Cost | None, max_batch: int, limit_ms: float) -> float:
    """As long as a call costs beside its rows, which is all that waiting can save, and no longer than the limit allows; 0
    where it never pays to wait for a second request, even for the first."""
    if cost is None or max_batch == 1 or (cost.call_ms - cost.row_ms) / 2 < LEAST_WAIT_MS:
        return 0.0
    return _rounded(max(0.0, min(cost.call_ms, limit_ms - 2 * cost.ms(max_batch))))


def _max_waiting(cost: Cost | None, max_batch: int, runs: int, timeout_s: float) -> int:
    """What one worker answers before the first of them gives up, at least one call's worth."""
    if cost is None or cost.ms(max_batch) <= 0:
        return MOST_WAITING
    calls = 1000 * timeout_s / cost.ms(max_batch) * runs
    return int(min(MOST_WAITING, max(calls, runs) * max_batch))


def _rounded(value: float) -> float:
    """To two digits."""
    return float(f"{value:.2g}")
