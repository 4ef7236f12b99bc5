"""How often the quality check is right about candidates of which the true loss is known."""

import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np

from bench.gate.candidates import AT_THE_LIMIT, NO_DROP, World
from bench.gate.page import Row
from fdpipe.artifacts import Outcome
from fdpipe.interfaces import Paired
from fdpipe.metric.accuracy import Accuracy
from fdpipe.statistics.noninferiority import compare

ALPHA = 0.05

TRIALS = 1000
"""Simulated candidates for each figure."""

DRAWS = 1000
"""Of weights for each bound: fewer than the gate's own, for so many candidates."""


def rows(trials: int = TRIALS) -> tuple[Row, ...]:
    """At a true drop of exactly the limit, with no drop and enough rows, and with too few."""
    return (*_at_the_limit(trials), *_without_a_drop(trials))


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


def _at_the_limit(trials: int) -> Iterator[Row]:
    most = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / trials)
    for world, counts in AT_THE_LIMIT:
        limit = world.true_drop()
        for count in counts:
            found = outcomes(world, count, limit, trials)
            yield Row(
                what=f"{world.name}: true drop = limit = {limit:.4f}, {count:,} rows",
                wanted=f"at most {ALPHA:.0%} pass (+ {most - ALPHA:.1%})",
                found=_told(found),
                holds=bool(found[Outcome.PASS] / trials <= most),
            )


def _without_a_drop(trials: int) -> Iterator[Row]:
    for world, limit, few, enough in NO_DROP:
        for count, wanted, share in ((few, Outcome.INCONCLUSIVE, 1 - 2 * ALPHA), (enough, Outcome.PASS, 0.9)):
            found = outcomes(world, count, limit, trials)
            yield Row(
                what=f"{world.name}: no drop, limit {limit:g}, {count:,} rows",
                wanted=f"at least {share:.0%} {wanted.value}",
                found=_told(found),
                holds=found[wanted] / trials >= share,
            )


def _told(found: Counter[Outcome]) -> str:
    order = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL)
    return ", ".join(f"{found[outcome] / found.total():.1%} {outcome.value}" for outcome in order if found[outcome])


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS):
        print(row.what, "|", row.wanted, "|", row.found, "|", row.holds, flush=True)
