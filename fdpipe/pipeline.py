"""The line: the order of the stages, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from fdpipe import parts, progress, workers
from fdpipe.artifacts import Baseline, Data, Evaluation, Record, Rejection, Release, SourceModel
from fdpipe.content import tree_digest
from fdpipe.energy import means
from fdpipe.errors import ConfigError, FdpipeError, MissingExtra, StageError
from fdpipe.evidence import agreement_stands
from fdpipe.history import History
from fdpipe.home import settle_environment
from fdpipe.interfaces import Builder, Runtime
from fdpipe.plan import Plan
from fdpipe.releases import Releases
from fdpipe.stages.benchmark import benchmark, nothing_measured
from fdpipe.stages.convert import chosen, convert
from fdpipe.stages.deploy import deploy, publish, tags_of
from fdpipe.stages.energy import energy
from fdpipe.stages.evaluate import evaluate
from fdpipe.stages.fetch import fetch, gather, identify, resolve
from fdpipe.stages.judge import judge
from fdpipe.stages.original import NATIVE
from fdpipe.stages.package import is_batchable, order, package
from fdpipe.stages.prove import not_run, prove, wanted
from fdpipe.stages.stress import Stressed, stress
from fdpipe.store import LocalStore, Store
from fdpipe.trials import Call, Given, contender, search

P = ParamSpec("P")
T = TypeVar("T")


def direct(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it."""
    return step(*args, **kwargs)


def run(plan: Plan, *, store: Store | None = None, releases: Releases | None = None, call: Call = direct) -> Record:
    """Run the plan's line to a deployment or a rejection; an exception means that neither could be found out."""
    home = settle_environment()
    store = store or LocalStore(home / "store")
    releases = releases or Releases(home / "releases.sqlite", store.root)
    record, model = examine(plan, store=store, releases=releases, call=call)
    record = ship(plan, record, model, store, releases, call)
    served = record.deployment is not None and record.deployment.url
    call(publish, plan.source, record.model, tags_of(record), f"deployed-{plan.target.name}" if served else None)
    remember(home, record)
    return record


def examine(plan: Plan, *, store: Store, releases: Releases, call: Call = direct) -> tuple[Record, SourceModel]:
    """The line up to the verdict: nothing is packaged, deployed or published."""
    runtimes, skipped = usable_runtimes(plan.runtime)

    ref = plan.pinned or call(resolve, plan.source, plan.model)
    model = call(fetch, store, plan.source, ref)
    data = call(gather, store, plan.data, ref, identify(plan.data, ref))
    if agreement_stands(plan.metric, data.evaluation.labelled):
        unjudged = ", ".join(plan.metric)
        progress.note(f"there are no labels: the agreement with the original is judged in the place of {unjudged}")
    choice = chosen(plan.converter, plan.processor, certifying(runtimes, plan.certifier), model)
    baseline = call(convert, store, *choice, model, data.evaluation, plan.conversion, plan.parity)

    live = releases.live(plan.service_name)
    incumbent = call(Incumbent(live), store, plan, baseline, data) if live else None
    live_digest = live.digest if live else None

    given = Given(model=model, baseline=baseline, data=data, incumbent=incumbent, incumbent_release=live_digest)
    trials = search(plan, runtimes, store, given, call)
    chosen_ones = plan.search.finalists(trials) if trials[0].artifact else ()
    finalists = (trials[0], *(trial for trial in chosen_ones if trial is not trials[0]))
    judged = (*finalists, *(one for one in trials if one.unmeasured and one not in finalists))
    contenders = tuple(contender(plan, trial) for trial in judged if trial.measurable)
    measured = nothing_measured(trials[0].candidate)
    if contenders:
        asked = (contenders, baseline.processor, data.evaluation, plan.benchmark)
        measured = call(benchmark, store, *asked)
        measured = replace(measured, energy=call(energy, store, *asked, measured, means(plan.target.tdp_watts)))
    beside, borne = given.beside(plan.slicer, plan.corruption), Stressed()
    if plan.corruption and trials[0].succeeded:
        able = tuple(contender(plan, trial) for trial in judged if trial.succeeded)
        borne = call(
            stress, store, able, baseline.processor, baseline.task, data.evaluation, baseline.reference, plan.corruption,
            plan.metric,
        )  # fmt: skip
    verdict = call(judge, store, plan.gate, plan.metric, judged, measured, beside, borne.by_candidate, plan.unmeasured)

    return Record(
        model=ref, target=plan.target.name, baseline=baseline, data=data, trials=tuple(trials), measured=measured,
        verdict=verdict, release=None, proof=None, deployment=None, rejection=None,
        skipped_runtimes=skipped, incumbent=live_digest, stress=borne.by_candidate,
    ), model  # fmt: skip


def remember(home: Path, record: Record) -> None:
    """Keep the benchmark in the history. That it could not be kept is told, and is no failure of what was found out."""
    try:
        History.of(home).keep(record)
    except FdpipeError as error:
        progress.note(f"the benchmark is not kept in the history: {error}")


def ship(plan: Plan, record: Record, model: SourceModel, store: Store, releases: Releases, call: Call) -> Record:
    """Package, prove and deploy the best that passed; the next best where a proof fails; a rejection where none is left.

    What could not be measured here is packaged, proved where it can be run, and not deployed.
    """
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
        runs = chosen.evaluation is not None
        asked = wanted(plan.service, record.measured, chosen.candidate, batchable=is_batchable(chosen, record.verdict))
        proof = call(prove, store, release, asked) if runs else not_run(release, chosen.unmeasured)
        record = replace(record, release=release, proof=proof)
        if chosen.unmeasured and (proof.holds or not runs):
            progress.note(f"{name} is packaged and not deployed, since it is not measured: {chosen.unmeasured}")
            return record
        if proof.holds:
            return replace(record, deployment=call(deploy, plan.deployer, release, proof, plan.service))
        prove.forget(store, release, asked)
        if release.path not in releases.protected_paths():
            package.forget(store, *shipment)
        refusals.append(f"the service built from {name} was refused: {proof.reason}")
        progress.note(refusals[-1])
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


def certifying(runtimes: Mapping[str, Runtime], certifier: Runtime | None) -> dict[str, Runtime]:
    """The runtimes that open an export here as it is and, for what only others take, the plan's certifier; also where the
    originals' own libraries are all there is, which take no export: what they answer is compared with one all the same.
    `ConfigError` where there is nothing."""
    able = {name: one for name, one in runtimes.items() if one.absent() is None and not isinstance(one, Builder)}
    if certifier is None and not able:
        told = f"runtime={','.join(runtimes)} runs nothing here, so that no converted model can be compared with its original"
        raise ConfigError(f"{told}: say what does, as runtime@certifier=onnxruntime")
    if certifier is None:
        return able
    covered = {kind for one in able.values() for kind in one.kinds}
    blind = {kind for name, one in runtimes.items() if name not in able for kind in one.kinds} - covered
    only_originals = NATIVE in covered and covered <= {NATIVE, parts.KIND}
    return able | ({"certifier": certifier} if blind & set(certifier.kinds) or only_originals else {})


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
