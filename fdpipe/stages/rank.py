"""rank: which of the candidates that passed ships, the best first. Of those that are as fast, the simplest."""

from collections.abc import Sequence
from dataclasses import dataclass

from fdpipe.artifacts import Interval, Measured, Trial

ALIKE = 0.02
"""What differs by less, and is not surely slower, is as fast: what a benchmark can tell apart."""
NARROWER = 0.75
"""What a recipe makes smaller than this share of the baseline holds its weights in fewer bits."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """`order` names the candidates, the best first; `reason` says of the first why, in a sentence without its name."""

    order: tuple[str, ...]
    reason: str


def rank(passed: Sequence[Trial], measured: Measured, baseline: Trial) -> Ranking:
    """Those surely faster than the baseline, by speed, and the simplest of those that are as fast; then the baseline, which
    ships where nothing beats it; then the rest. Speed is the geometric mean over the batch sizes.

    Of what could not be measured only the size is known: the smallest comes first where answers were judged.
    """
    faster, others = _faster(passed, measured), list(passed)
    order: list[Trial] = []
    while faster:
        group = _as_fast(faster, measured)
        order += sorted(group, key=lambda one: (*simplicity(one, baseline).values(), _ratio(one, measured).middle))
        faster = [one for one in faster if one not in group]
    order += sorted((one for one in others if one not in order), key=lambda one: _place(one, measured))
    return Ranking(order=tuple(one.candidate.name for one in order), reason=_why(order, measured, baseline))


def simplicity(trial: Trial, baseline: Trial) -> dict[str, int]:
    """What makes a candidate less simple than the baseline, the weightiest first, each as much as it is so; the words
    continue "it is …"."""
    one, first, ranges = trial.candidate, baseline.candidate, trial.ranges is not None
    size = trial.artifact.size_bytes if trial.artifact else 0
    narrower = baseline.artifact is not None and size < NARROWER * baseline.artifact.size_bytes
    settings = set(one.session.items()) - set(first.session.items())
    return {
        "made of several models": len(one.parts),
        "in fewer bits": int(ranges or bool(one.floats) or (one.recipe != first.recipe and narrower)),
        "changed by a recipe": int(one.recipe != first.recipe),
        "in float at some nodes": len(one.floats),
        "calibrated in another way than its recipe says": int(bool(one.calibrator)),
        "on another runtime than the baseline": int(one.runtime != first.runtime),
        "in a session with more settings": len(settings),
        "larger": size,
    }


def _faster(passed: Sequence[Trial], measured: Measured) -> list[Trial]:
    """Those surely faster than the baseline, the fastest first."""
    ratios = {one.candidate.name: measured.overall(one.candidate.name) for one in passed if not one.unmeasured}
    faster = [one for one in passed if (found := ratios.get(one.candidate.name)) is not None and found.high < 1]
    return sorted(faster, key=lambda one: _ratio(one, measured).middle)


def _as_fast(faster: Sequence[Trial], measured: Measured) -> list[Trial]:
    """The fastest, and those that cannot be told from it."""
    best = _ratio(faster[0], measured)
    ratios = [(one, _ratio(one, measured)) for one in faster]
    return [one for one, found in ratios if found.low <= best.high and found.middle <= best.middle * (1 + ALIKE)]


def _ratio(trial: Trial, measured: Measured) -> Interval:
    return measured.overall(trial.candidate.name) or Interval(low=1.0, middle=1.0, high=1.0)


def _place(trial: Trial, measured: Measured) -> tuple[int, float]:
    """Of those that are not surely faster than the baseline."""
    name = trial.candidate.name
    if trial.unmeasured and trial.evaluation is not None and trial.artifact is not None:
        return 1, float(trial.artifact.size_bytes)
    if name == measured.baseline:
        return 1, 1.0
    ratio = measured.overall(name)
    return (3, 0.0) if ratio is None else (2, ratio.middle)


def _why(order: Sequence[Trial], measured: Measured, baseline: Trial) -> str:
    if not order:
        return ""
    best = order[0]
    ratio = measured.overall(best.candidate.name)
    if best.unmeasured and best.evaluation is not None:
        return f"is the smallest that passed every check; its speed is not measured: {best.unmeasured}"
    if best.unmeasured:
        return f"is let through, neither its answers nor its speed measured: {best.unmeasured}"
    if best.candidate.name == measured.baseline:
        return "passed every check and nothing that passed is surely faster"
    if ratio is None:
        return "passed every check"
    takes = f"passed every check and takes {ratio.middle:.2f} ({ratio.low:.2f}–{ratio.high:.2f}) of the baseline's time"
    return takes + _beside(best, order, measured, baseline)


def _beside(best: Trial, order: Sequence[Trial], measured: Measured, baseline: Trial) -> str:
    """What is as fast, had the better figure, and is less simple; empty where the best is the fastest."""
    fastest = _faster(order, measured)[:1]
    if not fastest or fastest[0] is best:
        return ""
    own, other = simplicity(best, baseline), simplicity(fastest[0], baseline)
    apart = next((word for word in own if own[word] != other[word]), "")
    told = f"; {fastest[0].candidate.name} takes {_ratio(fastest[0], measured).middle:.2f}, which is as fast"
    return told + (f", and is less simple: it is {apart}" if apart else "")
