"""The line: the order of the stages, and nothing else."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ParamSpec, Protocol, TypeVar

from fdpipe import progress, workers
from fdpipe.artifacts import Baseline, Candidate, Data, Evaluation, Record, Rejection, Release, SourceModel, Trial
from fdpipe.content import tree_digest
from fdpipe.errors import FdpipeError, MissingExtra, NotApplicable, StageError, StoreError
from fdpipe.home import settle_environment
from fdpipe.interfaces import Runtime, Session, Space
from fdpipe.plan import Plan, Recipe
from fdpipe.releases import Releases
from fdpipe.stages.benchmark import Contender, benchmark
from fdpipe.stages.calibrate import calibrate
from fdpipe.stages.convert import chosen, convert, opening
from fdpipe.stages.deploy import deploy, publish, tags_of
from fdpipe.stages.evaluate import evaluate
from fdpipe.stages.fetch import fetch, gather, identify, resolve
from fdpipe.stages.judge import judge
from fdpipe.stages.optimize import optimize, quantize
from fdpipe.stages.package import order, package
from fdpipe.stages.prove import prove
from fdpipe.stages.ready import ready
from fdpipe.store import LocalStore, Store

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Call(Protocol):
    """How a step of the line is called: directly, or as a task of an orchestrator. `progress.name_of` says its name."""

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
    choice = chosen(plan.converter, plan.processor, runtimes, model)
    baseline = call(convert, store, *choice, model, data.evaluation, plan.conversion, plan.parity)
    runtimes = opening(runtimes, baseline.artifact.kind)

    trials = search(plan, runtimes, store, baseline, data, call)
    finalists = (trials[0], *(trial for trial in plan.search.finalists(trials) if trial is not trials[0]))
    contenders = tuple(contender(plan, trial) for trial in finalists)
    measured = call(benchmark, store, contenders, baseline.processor, data.evaluation, plan.benchmark)

    live = releases.live(plan.service_name)
    incumbent = call(Incumbent(live), store, plan, baseline, data) if live else None
    live_digest = live.digest if live else None
    verdict = call(judge, store, plan.gate, plan.metric, finalists, measured, incumbent, live_digest)

    record = Record(
        model=ref, target=plan.target.name, baseline=baseline, data=data, trials=tuple(trials), measured=measured,
        verdict=verdict, release=None, proof=None, deployment=None, rejection=None,
        skipped_runtimes=skipped, incumbent=live_digest,
    )  # fmt: skip
    record = ship(plan, record, model, store, releases, call)
    served = record.deployment is not None and record.deployment.url
    call(publish, plan.source, ref, tags_of(record), f"deployed-{plan.target.name}" if served else None)
    return record


def search(
    plan: Plan, runtimes: Mapping[str, Runtime], store: Store, baseline: Baseline, data: Data, call: Call
) -> list[Trial]:
    """The trials, the baseline's first: whatever the search proposes, seeing what the earlier ones gave."""
    space = Space(runtimes=sessions(runtimes, plan.benchmark.threads), recipes=tuple(plan.recipe))
    runtime, offered = next(iter(space.runtimes.items()))
    first = Candidate(runtime=runtime, recipe="none", session=offered[0])
    trials = [call(Attempt(first), store, plan, baseline, data, None)]
    if not trials[0].succeeded:
        raise StageError(f"the converted model cannot be run as it is: {trials[0].reason}")
    while proposals := plan.search.propose(space, trials):
        trials += [call(Attempt(candidate), store, plan, baseline, data, trials[0]) for candidate in proposals]
    return trials


def ship(plan: Plan, record: Record, model: SourceModel, store: Store, releases: Releases, call: Call) -> Record:
    """Package, prove and deploy the best that passed; the next best where a proof fails; a rejection where none is left."""
    refusals: list[str] = []
    for name in record.verdict.passed:
        chosen = next(trial for trial in record.trials if trial.candidate.name == name)
        shipment = (
            order(plan, chosen, record.baseline),
            model,
            record.baseline,
            chosen,
            record.data,
            record.measured,
            record.verdict,
        )
        release = call(package, store, *shipment)
        proof = call(prove, store, release)
        record = replace(record, release=release, proof=proof)
        if proof.holds:
            return replace(record, deployment=call(deploy, plan.deployer, release, proof, plan.service))
        prove.forget(store, release)
        if release.path not in releases.protected_paths():
            package.forget(store, *shipment)
        refusals.append(f"the service built from {name} was refused: {proof.reason}")
    rejection = Rejection(outcome=record.verdict.rejection, reason="; ".join(refusals) or record.verdict.reason)
    return replace(record, release=None, rejection=rejection)


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


def sessions(runtimes: Mapping[str, Runtime], threads: int) -> dict[str, tuple[Session, ...]]:
    """What each runtime offers; the plan's number of threads goes into every session that does not set its own, and so
    into the candidate: what is measured is what is served."""
    pinned = {"threads": threads} if threads else {}
    return {name: tuple({**pinned, **session} for session in one.sessions()) for name, one in runtimes.items()}


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
            except Exception as error:
                if not self._is_its_own(error):
                    raise
                log.info("%s failed", self.name, exc_info=True)
                reason = str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
                step.detail = " ".join(reason.split())
                return Trial(candidate=self.candidate, reason=step.detail)

    def _is_its_own(self, error: Exception) -> bool:
        """Whether the failure is this candidate's, as any that a library may raise; a full disk, say, is every candidate's."""
        return not isinstance(error, FdpipeError) or (isinstance(error, StageError) and not isinstance(error, StoreError))

    def _try(self, store: Store, plan: Plan, baseline: Baseline, data: Data, first: Trial | None) -> Trial:
        recipe = plan.recipe.get(self.candidate.recipe, Recipe())
        runtime = plan.runtime[self.candidate.runtime]
        if baseline.artifact.kind != "onnx" and (recipe.passes or recipe.quantizer):
            raise NotApplicable(f"the recipe changes ONNX, and this model is {baseline.artifact.kind}")
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
        asked = (
            workers.build_spec(release.runtime), release.candidate.session, release.artifact, release.processor, release.task,
            data.evaluation, baseline.reference, plan.metric,
        )  # fmt: skip
        with progress.step(self.name):
            try:
                if not evaluate.is_stored(store, *asked) and tree_digest(release.artifact.folder) != release.artifact.digest:
                    raise StageError("its files in the store are missing or damaged")
                return evaluate(store, *asked)
            except (StageError, OSError, ValueError, LookupError) as error:
                why = f"the incumbent {release.digest[:12]} cannot be evaluated on this version's rows ({error})"
                raise StageError(
                    f"{why}; to release without the comparison, remove releases.sqlite from the state folder"
                ) from error


def contender(plan: Plan, trial: Trial) -> Contender:
    """What the benchmark needs of a succeeded trial."""
    if trial.artifact is None:
        raise StageError(f"{trial.candidate.name} has no model to measure: {trial.reason}")
    return Contender(candidate=trial.candidate, runtime=plan.runtime[trial.candidate.runtime], artifact=trial.artifact)
