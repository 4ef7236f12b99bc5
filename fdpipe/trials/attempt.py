"""One trial: a candidate made, measured for a first impression, evaluated, and judged by both."""

import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fdpipe import progress
from fdpipe.artifacts import Artifact, Aspect, Candidate, CheckResult, Outcome, Trial, Unsupported
from fdpipe.clock import Clock
from fdpipe.errors import StageError
from fdpipe.interfaces import Delegator, Indifferent, Runtime, Selective, Session
from fdpipe.plan import Plan, Unmeasured
from fdpipe.stages.benchmark import Contender, benchmark, nothing_measured
from fdpipe.stages.evaluate import evaluate
from fdpipe.stages.impression import impression
from fdpipe.stages.judge import verdict_on
from fdpipe.store import Store
from fdpipe.trials.finding import aside, is_its_own, where_it_loses, why_slow
from fdpipe.trials.given import Given
from fdpipe.trials.making import make

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """One trial: the candidate made, measured beside the baseline for a first impression, evaluated, and judged by both.

    `place` says where in the search it stands; the `clock` is told what it took, unless all of it was stored. A `silent` one
    says nothing of why it is made.
    """

    candidate: Candidate
    why: str = ""
    place: str = ""
    clock: Clock | None = None
    silent: bool = False

    @property
    def name(self) -> str:
        """The step's name."""
        return f"trial {self.candidate.name}"

    def __call__(self, store: Store, plan: Plan, given: Given, trials: Sequence[Trial]) -> Trial:
        """A trial that failed has its reason; only what concerns every candidate is raised. The trials before it are what
        it is measured by, the baseline first, which has none itself."""
        began = time.monotonic()
        with progress.step(self.name) as step:
            for told in (self.place, self.why):
                if told and not self.silent:
                    progress.note(told)
            try:
                trial = self._try(store, plan, given, trials)
            except Exception as error:
                if not is_its_own(error):
                    raise
                log.info("%s failed", self.name, exc_info=True)
                reason = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
                step.detail = " ".join(reason.split())
                nodes = tuple(getattr(error, "nodes", ()))
                trial = Trial(candidate=self.candidate, reason=step.detail, why=self.why, unsupported=nodes)
        if self.clock is not None and not step.reused:
            self.clock.note(self.candidate, time.monotonic() - began, whole=trial.succeeded)
        return trial

    def _try(self, store: Store, plan: Plan, given: Given, trials: Sequence[Trial]) -> Trial:
        first = trials[0] if trials else None
        candidate, baseline, rows = self.candidate, given.baseline, given.data.evaluation
        runtime = plan.runtime[candidate.runtime]
        model, ranges = make(store, plan, given, candidate)
        unmeasured, left = not_measurable(plan, runtime, first), left_over(runtime, model)
        trial = Trial(candidate=candidate, artifact=model, ranges=ranges, why=self.why, unmeasured=unmeasured, unsupported=left)
        if unmeasured:
            progress.note(f"{candidate.name} is not measured: {unmeasured}")
        if runtime.absent():
            return trial
        if first is not None and not unmeasured:
            pair = (contender(plan, first), contender(plan, trial))
            terms = plan.benchmark.provisional()
            speed = impression(
                candidate.name,
                lambda attempt: benchmark(store, pair, baseline.processor, rows, replace(terms, seed=terms.seed + attempt)),
                lambda found: bool(beaten_by(plan, replace(trial, speed=found), trials)),
            )
            trial = replace(trial, speed=speed)
            if beaten := beaten_by(plan, trial, trials):
                progress.note(f"it is not asked for its answers: {beaten}")
                return replace(trial, beaten=beaten, diagnosis=aside(lambda: why_slow(store, plan, given, trial)))
        session = answering(runtime, candidate.session)
        evaluation = evaluate(
            store, runtime, session, model, baseline.processor, baseline.task, rows, baseline.reference, plan.metric
        )
        trial = replace(trial, evaluation=evaluation)
        if first is None:
            return trial
        trial = replace(trial, refusals=refusals(plan, given, first, trial))
        return replace(
            trial,
            sensitivity=aside(lambda: where_it_loses(store, plan, given, trial)),
            diagnosis=aside(lambda: why_slow(store, plan, given, trial)),
        )


def beaten_by(plan: Plan, trial: Trial, trials: Sequence[Trial]) -> str:
    """Why its answers need not be asked for, where the search can say it."""
    return plan.search.beaten(trial, trials) if isinstance(plan.search, Selective) else ""


def answering(runtime: Runtime, session: Session) -> Session:
    """What of the session the answers may depend on."""
    other = runtime.indifferent if isinstance(runtime, Indifferent) else ()
    return {key: value for key, value in session.items() if key not in other}


def not_measurable(plan: Plan, runtime: Runtime, baseline: Trial | None) -> str:
    """Why the speed of what this runtime makes cannot be measured here; empty where it can."""
    wanted, machine = plan.target.measured_on, platform.machine()
    if reason := runtime.absent():
        return reason
    if wanted and machine not in wanted:
        return f"what counts is its speed on {' or '.join(wanted)}, and this machine is {machine}"
    if baseline is not None and not baseline.measurable:
        return f"there is no baseline to compare it with: {baseline.unmeasured or baseline.reason}"
    return ""


def left_over(runtime: Runtime, model: Artifact) -> tuple[Unsupported, ...]:
    """The nodes that the runtime's device leaves to the processor, where the runtime has one and can say it."""
    return runtime.unsupported(model) if isinstance(runtime, Delegator) else ()


def refusals(plan: Plan, given: Given, first: Trial, trial: Trial) -> tuple[CheckResult, ...]:
    """What the gate has against the candidate, by its first impression, which need not decide about its speed."""
    speed = trial.speed or nothing_measured(first.candidate)
    beside = given.beside(plan.slicer)
    verdict = verdict_on(plan.gate, plan.metric, (first, trial), speed, beside, None, Unmeasured.ALLOW)
    own = verdict.of(trial.candidate.name)
    undecided = [one for one in own if one.aspect is Aspect.SPEED and one.outcome is Outcome.INCONCLUSIVE]
    return tuple(one for one in own if one.outcome is not Outcome.PASS and one not in undecided)


def contender(plan: Plan, trial: Trial) -> Contender:
    """What the benchmark needs of a succeeded trial."""
    if trial.artifact is None:
        raise StageError(f"{trial.candidate.name} has no model to measure: {trial.reason}")
    return Contender(candidate=trial.candidate, runtime=plan.runtime[trial.candidate.runtime], artifact=trial.artifact)
