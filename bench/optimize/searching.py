"""A search of the real line, up to its verdict: by the plan that configuration makes, over the bench's own store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.optimize.given import given, store
from bench.optimize.models import SUBJECTS
from fdpipe import config
from fdpipe.artifacts import Measured, Trial, Verdict
from fdpipe.pipeline import direct, usable_runtimes
from fdpipe.plan import Plan
from fdpipe.stages.benchmark import benchmark
from fdpipe.stages.judge import judge
from fdpipe.trials import Given, contender, search

SECONDS = 600.0
"""What a search has on one core: as much as `search.max_seconds=300` on two."""
BUDGET = f"search.max_seconds={SECONDS:g}"
AS_SEEN = "gate.alpha=0.49"
"""The limits of this bench are figures on its own rows, as those of the peers are, and not what other rows surely keep: the
largest alpha that the gate takes."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a search."""

    plan: Plan
    given: Given
    trials: tuple[Trial, ...]
    measured: Measured
    verdict: Verdict

    @property
    def chosen(self) -> Trial | None:
        """The best that passed."""
        return next((trial for name in self.verdict.passed[:1] for trial in self.trials if trial.candidate.name == name), None)

    @property
    def baseline(self) -> Trial:
        """The converted model as it is."""
        return self.trials[0]


def plan_for(name: str, *overrides: str, target: str = "cpu", sizes: Sequence[int] | None = None) -> Plan:
    """The plan as a user would ask for it, on one thread; the metric is the subject's."""
    asked = [
        f"model={name}/1",
        f"+target={target}",
        f"benchmark.batch_sizes={list(sizes or SUBJECTS[name].sizes)}".replace(" ", ""),
        "benchmark.threads=1",
        "orchestrator=none",
        "deployer=dry_run",
        "search=auto",
        AS_SEEN,
        *overrides,
    ]
    return replace(config.load(asked), metric=dict(SUBJECTS[name].metric))


def searched(name: str, plan: Plan, *, calibrated: bool = True) -> Found:
    """Search, measure the finalists beside each other, judge them."""
    start = given(name)
    if not calibrated:
        start = replace(start, data=replace(start.data, calibration=None))
    runtimes, _ = usable_runtimes(plan.runtime)
    trials = search(plan, runtimes, store(), start, direct)
    finalists = (trials[0], *(trial for trial in plan.search.finalists(trials) if trial is not trials[0]))
    measured, verdict = judged(plan, start, finalists)
    return Found(plan=plan, given=start, trials=tuple(trials), measured=measured, verdict=verdict)


def judged(plan: Plan, start: Given, trials: Sequence[Trial]) -> tuple[Measured, Verdict]:
    """These measured beside each other, and the gate's verdict on them."""
    contenders = tuple(contender(plan, trial) for trial in trials if trial.measurable)
    measured = benchmark(store(), contenders, start.baseline.processor, start.data.evaluation, plan.benchmark)
    beside = start.beside(plan.slicer)
    return measured, judge(store(), plan.gate, plan.metric, tuple(trials), measured, beside, {}, plan.unmeasured)
