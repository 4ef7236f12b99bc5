"""How often the quality check is right about candidates of which the true loss is known."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.gate import candidates
from bench.gate.candidates import AT_THE_LIMIT, NO_DROP, World
from bench.gate.kept import Kept
from bench.gate.page import Row
from fdpipe import metric, statistics
from fdpipe.artifacts import Outcome
from fdpipe.evidence import Paired
from fdpipe.metric.accuracy import Accuracy
from fdpipe.statistics.noninferiority import compare

ALPHA = 0.05

TRIALS = 1000
"""Simulated candidates for each figure."""

DRAWS = 1000
"""Of weights for each bound: fewer than the gate's own, for so many candidates."""


FEW_MORE = 3
"""Standard deviations of the share that the simulation itself may be off by."""

MEASURED = (
    Path(__file__),
    Path(candidates.__file__),
    *(path for one in (statistics, metric) for path in sorted(Path(one.__path__[0]).glob("*.py"))),
)
"""The code of which a change makes what was kept be made again."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """So many rows of a world, and what is to come of them; at the `limit`, or where that is None, at the true drop itself."""

    world: World
    rows: int
    wanted: Outcome
    limit: float | None = None

    def row(self, trials: int) -> Row:
        """What came of so many candidates."""
        if self.limit is None:
            limit = self.world.true_drop()
            found = outcomes(self.world, self.rows, limit, trials)
            more = FEW_MORE * float(np.sqrt(ALPHA * (1 - ALPHA) / trials))
            return Row(
                what=f"{self.world.name}: true drop = limit = {limit:.4f}, {self.rows:,} rows",
                wanted=f"at most {ALPHA:.0%} pass (+ {more:.1%})",
                found=_told(found),
                holds=bool(found[Outcome.PASS] / trials <= ALPHA + more),
            )
        found = outcomes(self.world, self.rows, self.limit, trials)
        least = 0.9 if self.wanted is Outcome.PASS else 1 - 2 * ALPHA
        return Row(
            what=f"{self.world.name}: no drop, limit {self.limit:g}, {self.rows:,} rows",
            wanted=f"at least {least:.0%} {self.wanted.value}",
            found=_told(found),
            holds=bool(found[self.wanted] / trials >= least),
        )


def cells() -> tuple[Cell, ...]:
    """At a true drop of exactly the limit, with no drop and too few rows, and with enough."""
    at_the_limit = [Cell(world=one, rows=rows, wanted=Outcome.INCONCLUSIVE) for one, counts in AT_THE_LIMIT for rows in counts]
    no_drop = [
        Cell(world=one, rows=rows, wanted=wanted, limit=limit)
        for one, limit, few, enough in NO_DROP
        for rows, wanted in ((few, Outcome.INCONCLUSIVE), (enough, Outcome.PASS))
    ]
    return (*at_the_limit, *no_drop)


def rows(count: int = TRIALS, *, fresh: bool = False) -> tuple[Row, ...]:
    """A row for each cell, of so many candidates. What an earlier run found, by this code and on this machine, is not made
    again, unless `fresh`."""
    kept = Kept("quality", MEASURED, {"trials": count})
    if fresh:
        kept.forget()
    return table(cells(), count, kept)


def table(every: Sequence[Cell], trials: int, kept: Kept) -> tuple[Row, ...]:
    """The rows; each is kept, and told, as soon as it was found."""
    found = {number: Row(**fields) for number, fields in kept.read().items() if number < len(every)}
    if found:
        print(f"{len(found)} of {len(every)} were found before", flush=True)
    for number, cell in enumerate(every):
        if number not in found:
            started = time.perf_counter()
            found[number] = cell.row(trials)
            kept.add(number, found[number])
            told = f"{found[number].what}: {found[number].found}"
            print(f"{number + 1} of {len(every)}: {told} ({time.perf_counter() - started:.0f} s)", flush=True)
    return tuple(found[number] for number in range(len(every)))


def outcomes(world: World, count: int, limit: float, trials: int) -> Counter[Outcome]:
    """What so many candidates get, each with its own `count` rows."""
    found, known = Counter[Outcome](), dict[tuple[int, int], Outcome]()
    for trial in range(trials):
        paired = world.draw(np.random.default_rng((count, trial)), count)
        if not isinstance(world.metric, Accuracy):
            found[_judged(world, paired, limit)] += 1
            continue
        changed = _changed(world.metric, paired)
        if changed not in known:
            known[changed] = _judged(world, paired, limit)
        found[known[changed]] += 1
    return found


def _judged(world: World, paired: Paired, limit: float) -> Outcome:
    return compare(
        world.metric, paired, higher_is_better=world.metric.higher_is_better, limit=limit, relative=world.relative, alpha=ALPHA,
        resamples=DRAWS,
    ).outcome  # fmt: skip


def _changed(metric: Accuracy, paired: Paired) -> tuple[int, int]:
    """Rows lost and gained, which is all that the judgement of labels hangs on."""
    truth = paired.truth(metric)
    if truth is None:
        raise ValueError("the made-up rows have labels")
    before, after = metric.of_rows(paired.before, truth), metric.of_rows(paired.after, truth)
    return int(np.sum(before > after)), int(np.sum(before < after))


def _told(found: Counter[Outcome]) -> str:
    order = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL)
    return ", ".join(f"{found[outcome] / found.total():.1%} {outcome.value}" for outcome in order if found[outcome])
