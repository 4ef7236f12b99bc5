"""A recipe: what is done to a model, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise

from fdpipe.artifacts import Candidate
from fdpipe.interfaces import Calibrator, Need, Pass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Passes, then a quantizer and, where ranges are needed, a calibrator; `calibrators` are others that a search may try in
    its place. `runtimes` are those that it is worth trying on, where the plan has one of them: what one engine's fusions
    gain, another has by itself."""

    passes: tuple[Pass, ...] = ()
    calibrator: Calibrator | None = None
    calibrators: Mapping[str, Calibrator] = field(default_factory=dict)
    quantizer: Pass | None = None
    runtimes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A quantizer that uses ranges has something that finds them, and every step takes what the one before it made."""
        if self.quantizer is not None and self.quantizer.needs is Need.RANGES and self.calibrator is None:
            raise ValueError("the quantizer needs ranges: name a calibrator")
        for before, after in pairwise(self.steps):
            if before.gives != after.takes:
                raise ValueError(f"passes: {_of(after)} takes {after.takes}, and {_of(before)} before it gives {before.gives}")

    @property
    def steps(self) -> tuple[Pass, ...]:
        """Everything that changes the model, in order."""
        return (*self.passes, *([self.quantizer] if self.quantizer is not None else []))

    @property
    def excludes(self) -> bool:
        """Whether its quantizer can leave single nodes alone."""
        return self.quantizer is not None and any(item.name == "exclude" for item in fields(self.quantizer))  # type: ignore[arg-type]

    def altered(self, candidate: Candidate) -> "Recipe":
        """The recipe as a candidate wants it: with another calibrator, and with nodes that stay in float; `ValueError` for
        a calibrator that it has not, and for nodes where its quantizer cannot leave any alone."""
        recipe = self
        if candidate.calibrator:
            if candidate.calibrator not in self.calibrators:
                raise ValueError(f"the recipe {candidate.recipe} has no calibrator {candidate.calibrator!r}")
            recipe = replace(recipe, calibrator=self.calibrators[candidate.calibrator])
        if candidate.floats:
            if recipe.quantizer is None or not recipe.excludes:
                raise ValueError(f"the recipe {candidate.recipe} cannot leave single nodes in float")
            kept = (*recipe.quantizer.exclude, *candidate.floats)  # type: ignore[attr-defined]
            recipe = replace(recipe, quantizer=replace(recipe.quantizer, exclude=kept))  # type: ignore[type-var]
        return recipe


def _of(one: Pass) -> str:
    return type(one).__name__
