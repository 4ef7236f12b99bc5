"""What can be combined for a model, on this machine."""

from collections.abc import Mapping
from dataclasses import replace

from fdpipe import parts
from fdpipe.artifacts import Artifact
from fdpipe.errors import StageError
from fdpipe.interfaces import Need, Runtime, Session
from fdpipe.machine import describe_machine
from fdpipe.plan import Plan, Recipe
from fdpipe.space import Choice, Space
from fdpipe.stages.original import NATIVE
from fdpipe.stages.survey import Survey

BASELINE = "none"
"""The recipe without passes."""


def space_of(plan: Plan, runtimes: Mapping[str, Runtime], baseline: Artifact, found: Survey) -> Space:
    """What can be combined for this model, on this machine. The recipe `none` is always there; `StageError` where no runtime
    opens the converted model."""
    recipes = {BASELINE: Recipe(), **plan.recipe}
    choices = {name: _choice(recipe, runtimes, baseline.kind) for name, recipe in recipes.items()}
    opens = [name for name in choices[BASELINE].runtimes if baseline.kind in runtimes[name].kinds]
    if not choices[BASELINE].runtimes:
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
