"""The front of a search: the trials that no other beats in everything that counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from fdpipe.artifacts.trials import Trial


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What counts of a trial, less being better: `loss` is how far its quality is from the original's, at the metric where
    that is most, in shares of the original's figure; `time` its share of the baseline's, over all batch sizes; `size_bytes`
    that of its model; `memory_mib` the peak of a process that runs it, None where that was not measured."""

    loss: float
    time: float
    size_bytes: int
    memory_mib: float | None = None

    def beats(self, other: "Standing") -> bool:
        """At least as good in everything that both were measured in, and better in something."""
        pairs = [(getattr(self, item.name), getattr(other, item.name)) for item in fields(self)]
        known = [(own, its) for own, its in pairs if own is not None and its is not None]
        return all(own <= its for own, its in known) and any(own < its for own, its in known)


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The trials that are beaten by no other, in their order; the first is the baseline, whose time is 1. One that failed or
    was not measured is in no front."""
    found = [(trial, standing(trial, trial is trials[0])) for trial in trials]
    known = [(trial, stands) for trial, stands in found if stands is not None]
    return tuple(trial for trial, stands in known if not any(other.beats(stands) for _, other in known))


def standing(trial: Trial, is_baseline: bool = False) -> Standing | None:
    """How a trial stands, by its evaluation and its first impression; None where it has none."""
    if trial.artifact is None or trial.evaluation is None:
        return None
    measurement = trial.speed.of(trial.candidate.name) if trial.speed else None
    ratio = trial.speed.overall(trial.candidate.name) if trial.speed else None
    if ratio is None and not is_baseline:
        return None
    pairs = [(trial.evaluation.reference.get(name), figure) for name, figure in trial.evaluation.quality.items()]
    return Standing(
        loss=max((_distance(reference, figure) for reference, figure in pairs), default=0.0),
        time=1.0 if ratio is None else ratio.middle,
        size_bytes=trial.artifact.size_bytes,
        memory_mib=measurement.peak_rss_mib if measurement else None,
    )


def _distance(reference: float | None, figure: float | None) -> float:
    """In shares of the reference; infinite where either is missing."""
    if reference is None or figure is None:
        return math.inf
    return abs(figure - reference) / (abs(reference) or 1.0)
