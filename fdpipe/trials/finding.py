"""What is found out about a trial beside its figures: where it loses, why it is slow."""

from collections.abc import Callable
from typing import TypeVar

from fdpipe import progress
from fdpipe.artifacts import Aspect, Diagnosis, Sensitivity, Trial
from fdpipe.errors import FdpipeError, MissingExtra, StageError, StoreError
from fdpipe.interfaces import Profiler
from fdpipe.plan import Plan
from fdpipe.stages.diagnose import diagnose
from fdpipe.stages.locate import locate
from fdpipe.stages.ready import ready
from fdpipe.store import Store
from fdpipe.trials.given import Given
from fdpipe.trials.making import optimized, recipe_of

T = TypeVar("T")


def aside(find: Callable[[], T | None]) -> T | None:
    """What is found out about a trial beside its figures; that it could not be found out is told, and is no failure."""
    try:
        return find()
    except Exception as error:
        if not is_its_own(error):
            raise
        progress.note(f"not found out: {' '.join(str(error).split())}")
        return None


def is_its_own(error: Exception) -> bool:
    """Whether the failure is this candidate's, as any that a library may raise; a full disk, say, is every candidate's."""
    if isinstance(error, FdpipeError):
        return isinstance(error, StageError | MissingExtra) and not isinstance(error, StoreError)
    return True


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
