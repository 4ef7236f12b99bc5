"""The line: the order of the stages, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

from fdpipe import progress, workers
from fdpipe.artifacts import Baseline, Candidate, Data, Evaluation, Record, Rejection, Release, Trial
from fdpipe.errors import MissingExtra, NotApplicable, StageError
from fdpipe.home import settle_environment
from fdpipe.interfaces import Runtime, Space
from fdpipe.plan import Plan, Recipe
from fdpipe.releases import Releases
from fdpipe.stages.benchmark import Contender, benchmark
from fdpipe.stages.calibrate import calibrate
from fdpipe.stages.convert import convert
from fdpipe.stages.deploy import deploy, publish, tags_of
from fdpipe.stages.evaluate import evaluate
from fdpipe.stages.fetch import fetch, gather, identify, resolve
from fdpipe.stages.judge import judge
from fdpipe.stages.optimize import optimize, quantize
from fdpipe.stages.package import order, package
from fdpipe.stages.prove import prove
from fdpipe.stages.ready import ready
from fdpipe.store import LocalStore, Store

P = ParamSpec("P")
T = TypeVar("T")


class Call(Protocol):
    """How a step of the line is called: directly, or as a task of an orchestrator. A step has a `name` or `__name__`."""

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


def direct(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it."""
    return step(*args, **kwargs)


def run(plan: Plan, *, store: Store | None = None, releases: Releases | None = None, call: Call = direct) -> Record:
    """Run the plan's line to a deployment or a rejection; an exception means that neither could be found out."""
    home = settle_environment()
    store = store or LocalStore(home / "store")
    releases = releases or Releases(home / "releases.sqlite", store.root)
    runtimes, skipped = usable_runtimes(plan.runtime)

    ref = plan.pinned or call(resolve, plan.source, plan.model)
    model = call(fetch, store, plan.source, ref)
    data = call(gather, store, plan.data, ref, identify(plan.data, ref))
    baseline = call(convert, store, plan.converter, plan.processor, model, data.evaluation)

    first = Candidate(runtime=next(iter(runtimes)), recipe="none")
    space = Space(runtimes={name: one.sessions() for name, one in runtimes.items()}, recipes=tuple(plan.recipe))
    trials = [call(Attempt(first), store, plan, baseline, data, None)]
    if not trials[0].succeeded:
        raise StageError(f"the converted model cannot be run as it is: {trials[0].reason}")
    while proposals := plan.search.propose(space, trials):
        trials += [call(Attempt(candidate), store, plan, baseline, data, trials[0]) for candidate in proposals]

    finalists = [trials[0], *(trial for trial in plan.search.finalists(trials) if trial is not trials[0])]
    contenders = tuple(contender(plan, trial) for trial in finalists)
    measured = call(benchmark, store, contenders, baseline.processor, data.evaluation, plan.benchmark)
    live = releases.live(plan.service_name)
    incumbent = live and call(Incumbent(live), store, plan, baseline, data)
    verdict = call(judge, store, plan.gate, plan.metric, tuple(finalists), measured, incumbent or None, live and live.digest)

    record = Record(
        model=ref, target=plan.target.name, baseline=baseline, data=data, trials=tuple(trials), measured=measured,
        verdict=verdict, release=None, proof=None, deployment=None, rejection=None,
        skipped_runtimes=skipped, incumbent=live.digest if live else None,
    )  # fmt: skip
    reason = verdict.reason
    for name in verdict.passed:
        chosen = next(trial for trial in finalists if trial.candidate.name == name)
        shipment = (order(plan, chosen), model, baseline, chosen, data, measured, verdict)
        release = call(package, store, *shipment)
        proof = call(prove, store, release)
        record = replace(record, release=release, proof=proof)
        if proof.holds:
            deployment = call(deploy, plan.deployer, release, proof, plan.service)
            record = replace(record, deployment=deployment)
            if deployment.changed:
                call(publish, plan.source, ref, tags_of(record), f"deployed-{plan.target.name}" if deployment.url else None)
            return record
        package.forget(store, *shipment)
        reason = f"the service built from {name} was refused: {proof.reason}"
    record = replace(record, release=None, rejection=Rejection(outcome=verdict.rejection, reason=reason))
    call(publish, plan.source, ref, tags_of(record), None)
    return record


def usable_runtimes(runtimes: Mapping[str, Runtime]) -> tuple[dict[str, Runtime], dict[str, str]]:
    """The runtimes that work here, and why the others do not; `MissingExtra` where none does."""
    usable: dict[str, Runtime] = {}
    skipped: dict[str, str] = {}
    for name, runtime in runtimes.items():
        try:
            runtime.check()
            usable[name] = runtime
        except MissingExtra as error:
            skipped[name] = str(error)
            progress.note(f"runtime {name} is skipped: {error}")
    if not usable:
        raise MissingExtra("; ".join(skipped.values()))
    return usable, skipped


@dataclass(frozen=True)
class Attempt:
    """One trial: the recipe applied, evaluated, and measured beside the baseline for a first impression."""

    candidate: Candidate

    @property
    def name(self) -> str:
        """The step's name."""
        return f"trial {self.candidate.name}"

    def __call__(self, store: Store, plan: Plan, baseline: Baseline, data: Data, first: Trial | None) -> Trial:
        """A trial that failed has its reason; only what concerns every candidate is raised."""
        with progress.step(self.name) as step:
            try:
                return self._try(store, plan, baseline, data, first)
            except StageError as error:
                step.detail = str(error)
                return Trial(candidate=self.candidate, reason=str(error))

    def _try(self, store: Store, plan: Plan, baseline: Baseline, data: Data, first: Trial | None) -> Trial:
        recipe = plan.recipe.get(self.candidate.recipe, Recipe())
        runtime = plan.runtime[self.candidate.runtime]
        model = optimize(store, recipe.passes, baseline.artifact)
        ranges = None
        if recipe.calibrator is not None:
            if data.calibration is None:
                raise NotApplicable("there are no calibration rows: set data.calibration")
            ranges = calibrate(store, recipe.calibrator, model, baseline.processor, data.calibration, data.evaluation)
        if recipe.quantizer is not None:
            model = quantize(store, recipe.quantizer, model, ranges)
        model = ready(store, runtime, model)
        evaluation = evaluate(
            store, runtime, self.candidate.session, model, baseline.processor, baseline.task, data.evaluation,
            baseline.reference, plan.metric,
        )  # fmt: skip
        trial = Trial(candidate=self.candidate, artifact=model, ranges=ranges, evaluation=evaluation)
        if first is None:
            return trial
        pair = (contender(plan, first), contender(plan, trial))
        speed = benchmark(store, pair, baseline.processor, data.evaluation, plan.benchmark.provisional())
        return replace(trial, speed=speed)


@dataclass(frozen=True)
class Incumbent:
    """The deployed release, evaluated on this run's rows."""

    release: Release
    name = "incumbent"

    def __call__(self, store: Store, plan: Plan, baseline: Baseline, data: Data) -> Evaluation:
        """Its quality; the same runtime, settings and processor as in its service."""
        release = self.release
        with progress.step(self.name):
            return evaluate(
                store, workers.build_spec(release.runtime), release.candidate.session, release.artifact, release.processor,
                release.task, data.evaluation, baseline.reference, plan.metric,
            )  # fmt: skip


def contender(plan: Plan, trial: Trial) -> Contender:
    """What the benchmark needs of a succeeded trial."""
    if trial.artifact is None:
        raise StageError(f"{trial.candidate.name} has no model to measure: {trial.reason}")
    return Contender(candidate=trial.candidate, runtime=plan.runtime[trial.candidate.runtime], artifact=trial.artifact)
