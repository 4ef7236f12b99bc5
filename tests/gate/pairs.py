"""Evidence with answers row by row."""

from dataclasses import replace

import numpy as np

from fdpipe.artifacts import Evaluation
from fdpipe.evidence import Evidence, Paired
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from tests.contracts.gate import evaluation, evidence


def labels(lost: int, gained: int, rows: int, wrong: int = 20) -> Paired:
    """A label a row, 1 being right: the candidate loses and gains so many rows; `wrong` others are wrong before and after."""
    before, after = np.ones(rows, np.int64), np.ones(rows, np.int64)
    after[:lost] = 0
    before[lost : lost + gained] = 0
    before[lost + gained : lost + gained + wrong] = after[lost + gained : lost + gained + wrong] = 0
    return Paired(before={"label": before}, after={"label": after}, labels=np.ones(rows, np.int64), own=before)


def values(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> Paired:
    """A value a row."""
    return Paired(before={"value": before}, after={"value": after}, labels=truth, own=before)


def judged(paired: Paired, metrics: dict[str, Metric] | None = None, against: str = "original") -> Evidence:
    """A candidate whose figures are those of these answers, beside the original or what is deployed."""
    metrics = {"accuracy": Accuracy()} if metrics is None else metrics
    rows = len(next(iter(paired.after.values())))

    def scored(one: str) -> dict[str, float | None]:
        return {name: metric.score(getattr(paired, one), paired.truth(metric)) for name, metric in metrics.items()}  # type: ignore[arg-type]

    found: Evaluation = replace(evaluation(rows=rows), quality=scored("after"), reference=scored("before"))
    directions = {name: metric.higher_is_better for name, metric in metrics.items()}
    plain = evidence(evaluation=found, metrics=metrics, directions=directions)
    if against == "original":
        return replace(plain, beside_original=paired)
    deployed = replace(found, quality=scored("before"))
    return replace(plain, beside_incumbent=paired, incumbent=deployed, incumbent_release="0123456789abcdef")
