"""What a search does about 8 bits that lose too much: MiniLM on ONNX Runtime, as its defaults quantize it and as we do."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.optimize.models import SUBJECTS
from bench.optimize.race import on_one_core
from bench.optimize.remembered import remembered
from bench.optimize.searching import BUDGET, plan_for, searched
from fdpipe.artifacts import Trial
from fdpipe.calibrator.minmax import MinMax
from fdpipe.passes.int8_static import Int8Static, Integers
from fdpipe.plan import Recipe

MODEL, FLOOR = "minilm", 0.94
NAIVE = "naive"
"""What quantize_static makes when nothing is said: one scale for a tensor, int8 on both sides, everything quantized."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One candidate, why it was tried, and what the gate had against it; `ratio` is its time divided by the baseline's."""

    candidate: str
    why: str
    quality: float | None
    ratio: float | None
    against: str


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """The search's story, and what it chose."""

    turns: tuple[Turn, ...]
    chosen: str

    @property
    def missed(self) -> Sequence[str]:
        """What should have been shown and was not."""
        naive = [one for one in self.turns if f"/{NAIVE}" in one.candidate]
        mended = [one for one in self.turns if one.candidate.partition("[")[0].find("-") > 0 and not one.against]
        return [
            *(["the naive candidate was not refused"] if not naive or not naive[0].against else []),
            *(["no candidate with nodes in float passes"] if not mended else []),
        ]


def fallback() -> Fallback:
    """From the store where it was told before."""
    found = remembered("fallback", _plainly)
    return Fallback(turns=tuple(Turn(**one) for one in found["turns"]), chosen=found["chosen"])


@on_one_core()
def _plainly() -> dict[str, Any]:
    plan = plan_for(MODEL, f"gate.max_drop={1 - FLOOR:.4f}", "runtime=[onnxruntime]", "recipe=[none,int8_static]", BUDGET)
    quantizer = Int8Static(per_channel=False, activations=Integers.INT8, outputs=True, products=True)
    naive = Recipe(calibrator=MinMax(), quantizer=quantizer)
    found = searched(MODEL, replace(plan, recipe={"none": plan.recipe["none"], NAIVE: naive, **plan.recipe}))
    chosen = found.chosen.candidate.name if found.chosen else found.verdict.reason
    return {"turns": [asdict(_turn(one)) for one in found.trials], "chosen": chosen}


def _turn(trial: Trial) -> Turn:
    (metric,) = SUBJECTS[MODEL].metric
    ratio = trial.speed.overall(trial.candidate.name) if trial.speed else None
    return Turn(
        candidate=trial.candidate.name,
        why=trial.why,
        quality=trial.evaluation.quality[metric] if trial.evaluation else None,
        ratio=ratio.middle if ratio else None,
        against="; ".join(one.reason for one in trial.refusals) or trial.beaten or trial.reason or "",
    )
