"""A candidate made: its recipe applied to the baseline, in the form that its runtime opens."""

from fdpipe.artifacts import Artifact, Baseline, Candidate, Ranges
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Need
from fdpipe.plan import Plan, Recipe
from fdpipe.stages.calibrate import calibrate
from fdpipe.stages.combine import Part, combine
from fdpipe.stages.optimize import optimize, quantize
from fdpipe.stages.original import NATIVE, original
from fdpipe.stages.ready import ready
from fdpipe.store import Store
from fdpipe.trials.given import Given


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
