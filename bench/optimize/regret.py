"""What the search chooses, beside the best of everything: eight models, each under five gates."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from bench.optimize.everything import Everything
from bench.optimize.given import given, store
from bench.optimize.models import SUBJECTS
from bench.optimize.race import on_one_core
from bench.optimize.remembered import remembered
from bench.optimize.searching import BUDGET, judged, plan_for
from fdpipe.artifacts import Interval, Measured, Trial
from fdpipe.pipeline import direct, usable_runtimes
from fdpipe.plan import Budget, Plan
from fdpipe.stages.benchmark import benchmark
from fdpipe.stages.judge import verdict_on
from fdpipe.trials import Given, contender, refusals, search

MODELS = (
    "forest", "regressor", "perceptron", "small_cnn", "small_transformer", "boosted_xgboost", "resnet18", "minilm",
)  # fmt: skip
WITHIN = 1.03
WANTED = 38
NEAR = 1.25
"""What a first impression says takes longer than the best by so much is not measured again."""
SECONDS_EACH = 0.5
"""Of each candidate at each batch size, in the race that finds the best."""
SECONDS_OF_TWO = 30.0
"""At each batch size, at most, in the race of the choice with the best."""
NOTHING = "nothing"
"""What is chosen, and the best, where nothing passes."""
PRECISION = 0.01
"""What is said to be within 3 % must be known better than that."""


@dataclass(frozen=True, kw_only=True)
class Regret:
    """Under one gate: what was chosen, the best that passes, and the time of the one divided by the other's, with the ends of
    its interval where the two differ."""

    model: str
    drop: float
    tried: int
    searched: int
    chosen: str
    best: str
    ratio: float
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the choice is near enough."""
        return self.ratio <= WITHIN

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to choose, since nothing passes."""
        return self.best == NOTHING


AS_IT_IS = Interval(low=1.0, middle=1.0, high=1.0)
"""The baseline beside itself."""


def regrets() -> list[Regret]:
    """All forty."""
    found: list[Regret] = []
    for name in MODELS:
        some = [Regret(**one) for one in remembered(f"regret-{name}", partial(_plainly, name))]
        for one in some:
            print(f"{one.model}, loss up to {one.drop}: {one.chosen} ({one.ratio:.3f} of {one.best})", flush=True)
        found += some
    return found


def _plainly(name: str) -> list[dict[str, Any]]:
    return [asdict(one) for one in _of(name)]


@on_one_core()
def _of(name: str) -> list[Regret]:
    """The searches take from the store what the exhaustive one has measured; what they try beside it is measured then. Each
    chooses as the line does, by a benchmark of its finalists; what it chose is compared with the best in another."""
    start = given(name)
    gates = {drop: plan_for(name, f"gate.max_drop={drop}", BUDGET) for drop in SUBJECTS[name].drops}
    plan = next(iter(gates.values()))
    runtimes, _ = usable_runtimes(plan.runtime)
    every = search(
        replace(plan, search=Everything(extent=SUBJECTS[name].extent), budget=Budget()), runtimes, store(), start, direct
    )
    own = {drop: search(gate, runtimes, store(), start, direct) for drop, gate in gates.items()}
    chosen = {drop: _chosen(gates[drop], start, trials) for drop, trials in own.items()}
    pool = {one.candidate.name: one for trials in (every, *own.values()) for one in trials if one.measurable}
    wanted = {every[0].candidate.name: every[0]}
    for drop, gate in gates.items():
        wanted |= {one.candidate.name: one for one in (*_near(gate, start, every[0], list(pool.values())), *chosen[drop])}
    measured = _race(plan, start, list(wanted.values()))
    return [
        _regret(Asked(name, drop, gate), start, measured, (len(every), len(own[drop])), chosen[drop], list(wanted.values()))
        for drop, gate in gates.items()
    ]


@dataclass(frozen=True)
class Asked:
    """A model under a gate."""

    model: str
    drop: float
    plan: Plan


def _chosen(plan: Plan, start: Given, trials: Sequence[Trial]) -> list[Trial]:
    """The one that the line would ship, if it would ship any."""
    finalists = (trials[0], *_others(trials[0], plan.search.finalists(trials)))
    _, verdict = judged(plan, start, finalists)
    return [one for one in finalists if one.candidate.name in verdict.passed[:1]]


def _near(plan: Plan, start: Given, first: Trial, trials: Sequence[Trial]) -> list[Trial]:
    """Those that pass this gate by their first impression, and may be the fastest."""
    passing = [one for one in trials if one is first or not refusals(plan, start, first, one)]
    limit = NEAR * min(map(_impression, passing), default=1.0)
    return [one for one in passing if _impression(one) <= limit]


def _impression(trial: Trial) -> float:
    ratio = trial.speed.overall(trial.candidate.name) if trial.speed else None
    return ratio.middle if ratio else 1.0


def _race(plan: Plan, start: Given, trials: Sequence[Trial], seconds: float = 0.0) -> Measured:
    seconds = max(plan.benchmark.seconds, SECONDS_EACH * len(trials), seconds)
    settings = replace(plan.benchmark, seconds=seconds, precision=PRECISION, memory=False)
    contenders = tuple(contender(plan, one) for one in trials)
    return benchmark(store(), contenders, start.baseline.processor, start.data.evaluation, settings)


def _regret(
    asked: Asked, start: Given, measured: Measured, counts: tuple[int, int], shipped: Sequence[Trial], wanted: Sequence[Trial]
) -> Regret:
    """What was chosen beside the fastest of everything that passes. The two are raced once more: who is the fastest of many
    owes some of it to luck, which the race that found it cannot tell."""
    plan, first = asked.plan, wanted[0]
    able = verdict_on(plan.gate, plan.metric, (first, *_others(first, wanted)), measured, start.beside(plan.slicer), {}).passed
    best = min(able, key=lambda one: _time(measured, one), default="")
    chosen = shipped[0].candidate.name if shipped else ""
    if chosen != best:
        two = [one for one in wanted if one.candidate.name in (chosen, best) and one is not first]
        measured = _race(plan, start, [first, *two], SECONDS_OF_TWO)
    ratio = _time(measured, chosen) / _time(measured, best) if chosen and best else (1.0 if chosen == best else float("inf"))
    return Regret(
        model=asked.model,
        drop=asked.drop,
        tried=counts[0],
        searched=counts[1],
        chosen=chosen or NOTHING,
        best=best or NOTHING,
        ratio=ratio,
        **_ends(measured, chosen, best),
    )


def _ends(measured: Measured, chosen: str, best: str) -> dict[str, float]:
    """Of the interval of the one's time divided by the other's, each taken on its own; none of what is the same."""
    one, other = (AS_IT_IS if name == measured.baseline else measured.overall(name) for name in (chosen, best))
    if chosen == best or one is None or other is None:
        return {}
    return {"low": one.low / other.high, "high": one.high / other.low}


def _others(first: Trial, trials: Sequence[Trial]) -> list[Trial]:
    return [one for one in trials if one.candidate != first.candidate]


def _time(measured: Measured, name: str) -> float:
    ratio = measured.overall(name)
    return 1.0 if name == measured.baseline or ratio is None else ratio.middle
