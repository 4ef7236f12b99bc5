"""The search's loop, and what one trial is: a candidate made, evaluated, given a first measurement, and judged by it."""

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

from fdpipe import parts, progress
from fdpipe.artifacts import (
    Artifact,
    Aspect,
    Baseline,
    Candidate,
    CheckResult,
    Data,
    Diagnosis,
    Evaluation,
    Outcome,
    Ranges,
    Sensitivity,
    SourceModel,
    Trial,
    Unsupported,
)
from fdpipe.clock import Clock
from fdpipe.errors import FdpipeError, MissingExtra, NotApplicable, StageError, StoreError
from fdpipe.interfaces import (
    Choice,
    Delegator,
    Foreseeing,
    Indifferent,
    Need,
    Profiler,
    Runtime,
    Selective,
    Session,
    Slicer,
    Space,
)
from fdpipe.machine import describe_machine
from fdpipe.plan import Plan, Recipe, Unmeasured
from fdpipe.stages.benchmark import Contender, benchmark, nothing_measured
from fdpipe.stages.calibrate import calibrate
from fdpipe.stages.combine import Part, combine
from fdpipe.stages.diagnose import diagnose
from fdpipe.stages.evaluate import evaluate
from fdpipe.stages.judge import Beside, verdict_on
from fdpipe.stages.locate import locate
from fdpipe.stages.optimize import optimize, quantize
from fdpipe.stages.original import NATIVE, original
from fdpipe.stages.ready import ready
from fdpipe.stages.survey import Survey, survey
from fdpipe.store import Store

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Call(Protocol):
    """How a step of the line is called: directly, or as a task of an orchestrator. `progress.name_of` says its name."""

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


@dataclass(frozen=True, kw_only=True)
class Given:
    """What every trial of a run starts from."""

    model: SourceModel
    baseline: Baseline
    data: Data
    incumbent: Evaluation | None = None
    incumbent_release: str | None = None

    def beside(self, slicer: Mapping[str, Slicer]) -> Beside:
        """What the gate judges candidates beside."""
        return Beside(
            rows=self.data.evaluation, task=self.baseline.task, reference=self.baseline.reference, slicer=slicer,
            incumbent=self.incumbent, incumbent_release=self.incumbent_release,
        )  # fmt: skip


def search(plan: Plan, runtimes: Mapping[str, Runtime], store: Store, given: Given, call: Call) -> list[Trial]:
    """The trials, the baseline's first: whatever the search proposes, asked again after each, within its budget."""
    space = space_of(plan, runtimes, given.baseline.artifact, survey(store, given.baseline.artifact))
    clock = Clock(budget=plan.budget)
    trials = baselines(plan, runtimes, space, store, given, call, clock)
    while proposals := plan.search.propose(space, trials):
        proposal = clock.next_of(proposals)
        reason = clock.spent(len(trials), proposals)
        if proposal is None or reason:
            progress.note(f"the search ends: {reason}")
            break
        expected = plan.search.outlook(space, trials) if isinstance(plan.search, Foreseeing) else len(proposals)
        place = clock.place(len(trials), proposals, expected)
        trials.append(call(Attempt(proposal.candidate, proposal.why, place, clock), store, plan, given, trials))
    return trials


def baselines(
    plan: Plan, runtimes: Mapping[str, Runtime], space: Space, store: Store, given: Given, call: Call, clock: Clock
) -> list[Trial]:
    """The converted model as it is, on the first runtime that takes all of its nodes, those that can be run here before
    others; behind it those that do not, with the nodes. `StageError` where it fails otherwise."""
    trials: list[Trial] = []
    for runtime in sorted(space.recipes[BASELINE].runtimes, key=lambda name: runtimes[name].absent() is not None):
        candidate = Candidate(runtime=runtime, recipe=BASELINE, session=space.runtimes[runtime][0])
        trials.insert(0, call(Attempt(candidate, "the converted model as it is", clock=clock), store, plan, given, ()))
        if trials[0].artifact is not None:
            break
        if not trials[0].unsupported:
            raise StageError(f"the converted model cannot be run as it is: {trials[0].reason}")
    return trials


BASELINE = "none"
"""The recipe without passes."""


# --- the space --------------------------------------------------------------------------------------------------------


def space_of(plan: Plan, runtimes: Mapping[str, Runtime], baseline: Artifact, found: Survey) -> Space:
    """What can be combined for this model, on this machine. The recipe `none` is always there; `StageError` where no runtime
    opens the converted model."""
    recipes = {BASELINE: Recipe(), **plan.recipe}
    choices = {name: _choice(recipe, runtimes, baseline.kind) for name, recipe in recipes.items()}
    opens = [name for name in choices[BASELINE].runtimes if baseline.kind in runtimes[name].kinds]
    if not opens:
        raise StageError(f"none of {', '.join(runtimes)} opens the converted model, which is {baseline.kind}")
    choices[BASELINE] = replace(choices[BASELINE], runtimes=tuple(dict.fromkeys([*opens, *choices[BASELINE].runtimes])))
    used = {name for choice in choices.values() for name in choice.runtimes}
    return Space(
        runtimes=sessions({name: one for name, one in runtimes.items() if name in used}, plan.benchmark.threads),
        recipes={name: choice for name, choice in choices.items() if choice.runtimes},
        by_rows=next((name for name, one in runtimes.items() if parts.KIND in one.kinds), ""),
        batch_sizes=plan.benchmark.batch_sizes,
        operators=found.operators,
        instruction_sets=describe_machine().instruction_sets,
    )


def _choice(recipe: Recipe, runtimes: Mapping[str, Runtime], kind: str) -> Choice:
    gives = {recipe.steps[-1].gives} if recipe.steps else {kind, NATIVE}
    able = [name for name, one in runtimes.items() if gives & set(one.kinds)]
    return Choice(
        runtimes=tuple(name for name in able if name in recipe.runtimes) or tuple(able),
        calibrators=tuple(recipe.calibrators),
        quantizes=recipe.quantizer is not None,
        calibrates=recipe.calibrator is not None or any(step.needs is not Need.NOTHING for step in recipe.steps),
        excludes=recipe.excludes,
    )


def sessions(runtimes: Mapping[str, Runtime], threads: int) -> dict[str, tuple[Session, ...]]:
    """What each runtime offers; the plan's number of threads goes into every session that does not set its own, and so
    into the candidate: what is measured is what is served."""
    pinned = {"threads": threads} if threads else {}
    return {name: tuple({**pinned, **session} for session in one.sessions()) for name, one in runtimes.items()}


# --- a trial ----------------------------------------------------------------------------------------------------------


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
                if not _is_its_own(error):
                    raise
                log.info("%s failed", self.name, exc_info=True)
                reason = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
                step.detail = " ".join(reason.split())
                nodes = tuple(getattr(error, "nodes", ()))
                trial = Trial(candidate=self.candidate, reason=step.detail, why=self.why, unsupported=nodes)
        if self.clock is not None and not step.reused:
            self.clock.note(self.candidate, time.monotonic() - began)
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
            trial = replace(trial, speed=benchmark(store, pair, baseline.processor, rows, plan.benchmark.provisional()))
            beaten = plan.search.beaten(trial, trials) if isinstance(plan.search, Selective) else ""
            if beaten:
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


def answering(runtime: Runtime, session: Session) -> Session:
    """What of the session the answers may depend on."""
    other = runtime.indifferent if isinstance(runtime, Indifferent) else ()
    return {key: value for key, value in session.items() if key not in other}


def aside(find: Callable[[], T | None]) -> T | None:
    """What is found out about a trial beside its figures; that it could not be found out is told, and is no failure."""
    try:
        return find()
    except Exception as error:
        if not _is_its_own(error):
            raise
        progress.note(f"not found out: {' '.join(str(error).split())}")
        return None


def _is_its_own(error: Exception) -> bool:
    """Whether the failure is this candidate's, as any that a library may raise; a full disk, say, is every candidate's."""
    if isinstance(error, FdpipeError):
        return isinstance(error, StageError | MissingExtra) and not isinstance(error, StoreError)
    return True


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


def make(store: Store, plan: Plan, given: Given, candidate: Candidate) -> tuple[Artifact, Ranges | None]:
    """The candidate's model in the form that its runtime opens, and the ranges that were found for it."""
    if candidate.parts:
        every = tuple(
            Part(rows=rows, runtime=plan.runtime[one.runtime], session=one.session, artifact=make(store, plan, given, one)[0])
            for rows, one in candidate.parts
        )
        return combine(store, every, given.baseline.artifact), None
    runtime, recipe = plan.runtime[candidate.runtime], recipe_of(plan, candidate)
    if not recipe.steps and given.baseline.artifact.kind not in runtime.kinds and NATIVE in runtime.kinds:
        return original(store, given.model, given.baseline.artifact), None
    floats = optimized(store, recipe, given.baseline)
    model, ranges = quantized(store, recipe, floats, given)
    return ready(store, runtime, model), ranges


def recipe_of(plan: Plan, candidate: Candidate) -> Recipe:
    """The candidate's own version of its recipe."""
    return plan.recipe.get(candidate.recipe, Recipe()).altered(candidate)


def optimized(store: Store, recipe: Recipe, baseline: Baseline) -> Artifact:
    """The baseline after the recipe's passes, before its quantizer."""
    if recipe.steps and recipe.steps[0].takes != baseline.artifact.kind:
        wanted = recipe.steps[0].takes
        raise NotApplicable(f"the recipe changes {wanted}, and this model is {baseline.artifact.kind}")
    return optimize(store, recipe.passes, baseline.artifact)


def quantized(store: Store, recipe: Recipe, model: Artifact, given: Given) -> tuple[Artifact, Ranges | None]:
    """The model after the recipe's quantizer, and the ranges that its calibrator found."""
    needs_rows = recipe.quantizer is not None and recipe.quantizer.needs is Need.ROWS
    if (recipe.calibrator is not None or needs_rows) and given.data.calibration is None:
        raise NotApplicable("there are no calibration rows: set data.calibration")
    ranges, processor = None, given.baseline.processor
    if recipe.calibrator is not None and given.data.calibration is not None:
        ranges = calibrate(store, recipe.calibrator, model, processor, given.data.calibration, given.data.evaluation)
    if recipe.quantizer is None:
        return model, ranges
    rows = given.data.calibration if needs_rows else None
    used = ranges if recipe.quantizer.needs is Need.RANGES else None
    return quantize(store, recipe.quantizer, model, used, processor if needs_rows else None, rows), ranges


def refusals(plan: Plan, given: Given, first: Trial, trial: Trial) -> tuple[CheckResult, ...]:
    """What the gate has against the candidate, by its first impression, which need not decide about its speed."""
    speed = trial.speed or nothing_measured(first.candidate)
    beside = given.beside(plan.slicer)
    verdict = verdict_on(plan.gate, plan.metric, (first, trial), speed, beside, None, Unmeasured.ALLOW)
    own = [one for one in verdict.results if one.candidate == trial.candidate.name]
    undecided = [one for one in own if one.aspect is Aspect.SPEED and one.outcome is Outcome.INCONCLUSIVE]
    return tuple(one for one in own if one.outcome is not Outcome.PASS and one not in undecided)


def where_it_loses(store: Store, plan: Plan, given: Given, trial: Trial) -> Sensitivity | None:
    """The nodes at which the model of a quantized candidate loses whose quality was refused, where the search wants to know."""
    recipe = recipe_of(plan, trial.candidate)
    rows = given.data.calibration or given.data.evaluation
    lossy = any(one.aspect is Aspect.QUALITY for one in trial.refusals)
    if not (lossy and recipe.excludes and plan.search.locates):
        return None
    floats = optimized(store, recipe, given.baseline)
    return locate(store, floats, given.baseline.processor, rows) if floats.kind == "onnx" else None


def why_slow(store: Store, plan: Plan, given: Given, trial: Trial) -> Diagnosis | None:
    """What takes the time of a quantized candidate that is not faster than the baseline, where its runtime can say it."""
    runtime = plan.runtime[trial.candidate.runtime]
    ratio = trial.speed.overall(trial.candidate.name) if trial.speed else None
    if recipe_of(plan, trial.candidate).quantizer is None or ratio is None or ratio.middle < 1 or trial.artifact is None:
        return None
    if not isinstance(runtime, Profiler):
        return None
    floats = optimized(store, recipe_of(plan, trial.candidate), given.baseline)
    before = ready(store, runtime, floats) if floats.kind in runtime.kinds else None
    return diagnose(
        store, runtime, trial.candidate.session, trial.artifact, given.baseline.processor, given.data.evaluation,
        plan.benchmark.batch_sizes, before,
    )  # fmt: skip


def contender(plan: Plan, trial: Trial) -> Contender:
    """What the benchmark needs of a succeeded trial."""
    if trial.artifact is None:
        raise StageError(f"{trial.candidate.name} has no model to measure: {trial.reason}")
    return Contender(candidate=trial.candidate, runtime=plan.runtime[trial.candidate.runtime], artifact=trial.artifact)
