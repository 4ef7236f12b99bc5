"""How a trial stands: beside the baseline, by its first impression, and before the gate."""

import math
from collections.abc import Sequence

from fdpipe.artifacts import Aspect, CheckResult, Interval, Trial

HOPELESS = 1.5
"""What surely takes more than this share of the baseline's time, at every batch size, is given up."""
GAINS = 0.97
"""What was refused for its answers must take less than this share of the best's time to be mended: whatever mends it, it will
take no less."""
BEATEN = 2.0
"""What surely takes so many times as long as another that passes, at every batch size, is not asked for its answers: less may
be made up by another session, which is only found for what was evaluated."""


def by_batch(trial: Trial) -> dict[int, Interval]:
    """Its time divided by the baseline's at each batch size that was measured."""
    found = trial.speed.of(trial.candidate.name) if trial.speed else None
    return {timing.batch: timing.ratio for timing in found.timings if timing.ratio is not None} if found else {}


def overall(trial: Trial) -> Interval | None:
    """The same over all batch sizes; None where it was not measured."""
    return trial.speed.overall(trial.candidate.name) if trial.speed else None


def ratio(trial: Trial) -> float:
    """The middle of it; infinite where it was not measured, so that those come last."""
    found = overall(trial)
    return math.inf if found is None else found.middle


def is_hopeless(trial: Trial) -> bool:
    """Whether it is surely far slower than the baseline, whatever the batch."""
    ratios = by_batch(trial).values()
    return bool(ratios) and all(one.low > HOPELESS for one in ratios)


def beaten(trial: Trial, trials: Sequence[Trial]) -> str:
    """Which of those that pass is surely `BEATEN` times as fast at every batch size, in words; empty where none is."""
    ratios = by_batch(trial)
    for other in sorted((one for one in trials[1:] if is_passing(one)), key=ratio):
        fastest = by_batch(other)
        if ratios and all(batch in fastest and one.low > BEATEN * fastest[batch].middle for batch, one in ratios.items()):
            name, times = other.candidate.name, ratio(trial) / ratio(other)
            return f"{name}, which passes, takes {ratio(other):.2f} of the baseline's time, and this {times:.1f} times as much"
    return ""


def against(trial: Trial, *aspects: Aspect) -> tuple[CheckResult, ...]:
    """The refusals that are about one of these."""
    return tuple(one for one in trial.refusals if one.aspect in aspects)


def is_right(trial: Trial) -> bool:
    """Whether the gate has nothing against its answers, however fast it is."""
    return trial.succeeded and not against(trial, Aspect.QUALITY, Aspect.STABILITY)


def is_passing(trial: Trial) -> bool:
    """Whether the gate has nothing against it at all."""
    return trial.succeeded and not trial.refusals


def is_lossy(trial: Trial) -> bool:
    """Whether its quality is refused, and its stability is not, which no node's return to float would mend."""
    return trial.succeeded and bool(against(trial, Aspect.QUALITY)) and not against(trial, Aspect.STABILITY)


def excess(trial: Trial) -> float:
    """How far beyond what is allowed its quality is, at the check where that is most, in shares of the limit; infinite
    where there is no figure."""
    return max((_beyond(one) for one in against(trial, Aspect.QUALITY)), default=0.0)


def best(trials: Sequence[Trial]) -> float:
    """The best ratio among those that pass; the baseline's own, 1, where none is better."""
    return min([1.0, *(ratio(trial) for trial in trials if is_passing(trial))])


def _beyond(refusal: CheckResult) -> float:
    """By what is refused: the bound that is to be within the limit, where the check names one, or the figure itself."""
    bound = refusal.findings[0].high if refusal.findings else None
    figure = refusal.figure if bound is None else bound
    if figure is None or refusal.limit is None:
        return math.inf
    return abs(figure - refusal.limit) / max(abs(refusal.limit), 1e-3)
