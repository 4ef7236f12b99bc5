"""What quality is judged by: the answers of two models to the same rows, and all that the gate knows of one candidate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Candidate, Evaluation, Measured, Stress
from fdpipe.errors import ConfigError
from fdpipe.interfaces import Metric, OwnTruth


def truth_for(metric: Metric, labels: np.ndarray | None, own: np.ndarray | None, original: Batch | None) -> np.ndarray | None:
    """What a metric judges by: the true labels; or, where it needs none, those of the original's answers that it chooses
    (`OwnTruth`), and else `own`, the original's answers as labels. None where there is nothing of the kind."""
    if metric.needs_labels:
        return labels
    if isinstance(metric, OwnTruth):
        return None if original is None else metric.truth(original)
    return own


def agreement_stands(metrics: Mapping[str, Metric], labelled: bool) -> bool:
    """Whether the agreement with the original stands for quality: there are no labels, and every metric needs them. No metric
    is left out without a word: `ConfigError` where only some need the labels that are not there."""
    blind = [name for name, metric in metrics.items() if metric.needs_labels and not labelled]
    if blind and len(blind) < len(metrics):
        others = ",".join(name for name in metrics if name not in blind)
        need = f"{blind[0]} needs" if len(blind) == 1 else f"{' and '.join(blind)} need"
        raise ConfigError(
            f"metric=[{','.join(metrics)}]: {need} labels, and the evaluation rows have none: "
            f"choose metric=[{others}], or rows with labels"
        )
    return bool(blind)


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models' answers to the same rows: `before` those of the original or of what is deployed, `after` the candidate's.
    `labels` are the true ones, None where there are none; `own` the original's answers as labels, by which a metric judges
    that needs none, and `original` all of its answers. `alike` says of each row whether `after` answers it as the original
    does."""

    before: Batch
    after: Batch
    labels: np.ndarray | None
    own: np.ndarray | None
    original: Batch | None = None
    alike: np.ndarray | None = None

    def truth(self, metric: Metric) -> np.ndarray | None:
        """What this metric judges both by."""
        return truth_for(metric, self.labels, self.own, self.original)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the gate knows of one candidate. `directions` says for each metric whether more is better; the incumbent is
    the release now deployed for this target, evaluated on the same rows.

    `beside_original` and `beside_incumbent` are the answers row by row, `slices` the rows of each slice. `stress` is what
    became of it on corrupted rows: None on a first impression, when nothing of the kind was asked yet. `slicers` and
    `corruptions` are the names of those that the plan asks for, whether or not they suit the rows. `size_bytes` is the size of
    its files, whether or not its speed was measured.
    """

    candidate: Candidate
    is_baseline: bool
    evaluation: Evaluation
    measured: Measured
    directions: Mapping[str, bool]
    incumbent: Evaluation | None
    incumbent_release: str | None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    beside_original: Paired | None = None
    beside_incumbent: Paired | None = None
    slices: Mapping[str, np.ndarray] = field(default_factory=dict)
    stress: tuple[Stress, ...] | None = None
    slicers: tuple[str, ...] = ()
    corruptions: tuple[str, ...] = ()
    size_bytes: int | None = None
