"""judge: every check on every finalist, and which of them may ship, the best first."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fdpipe.artifacts import CheckResult, Evaluation, Measured, Outcome, Trial, Verdict
from fdpipe.errors import StageError
from fdpipe.interfaces import Check, Evidence, Metric
from fdpipe.store import stage


@stage()
def judge(
    folder: Path,
    checks: Mapping[str, Check],
    metrics: Mapping[str, Metric],
    finalists: tuple[Trial, ...],
    measured: Measured,
    incumbent: Evaluation | None,
    incumbent_release: str | None,
) -> Verdict:
    """The verdict on the finalists, of which the first is the baseline: `verdict_on` them, remembered."""
    return verdict_on(checks, metrics, finalists, measured, incumbent, incumbent_release)


def verdict_on(
    checks: Mapping[str, Check],
    metrics: Mapping[str, Metric],
    finalists: tuple[Trial, ...],
    measured: Measured,
    incumbent: Evaluation | None,
    incumbent_release: str | None,
) -> Verdict:
    """What the gate says.

    A candidate passes with every check. The best first: those surely faster than the baseline, by speed; then the baseline,
    which ships where nothing beats it; then the rest. Speed is the geometric mean over the batch sizes.
    """
    if not checks:
        return Verdict(outcome=Outcome.FAIL, passed=(), results=(), reason="the gate is empty: nothing was checked")
    directions = _directions(metrics, finalists)
    results: list[CheckResult] = []
    for trial in finalists:
        if trial.evaluation is not None:
            evidence = Evidence(
                candidate=trial.candidate, is_baseline=trial is finalists[0], evaluation=trial.evaluation, measured=measured,
                directions=directions, incumbent=incumbent, incumbent_release=incumbent_release,
            )  # fmt: skip
            results += [_ask(name, check, evidence) for name, check in checks.items()]
    passed = sorted(_passed(results), key=lambda name: _rank(name, measured))
    outcome = Outcome.PASS if passed else _refusal(results)
    reason = (_why_passed(passed, measured) if passed else _why_refused(results)) + _not_tried(finalists)
    return Verdict(outcome=outcome, passed=tuple(passed), results=tuple(results), reason=reason)


def _directions(metrics: Mapping[str, Metric], finalists: tuple[Trial, ...]) -> dict[str, bool]:
    """Whether more is better, for each figure that the original has; of agreement, which stands for labels, more is."""
    judged = next((trial.evaluation.reference for trial in finalists if trial.evaluation is not None), {})
    return {name: metrics[name].higher_is_better if name in metrics else True for name in judged}


def _refusal(results: Iterable[CheckResult]) -> Outcome:
    """What refused everything: a clear failure, unless every refusal is of a weaker kind."""
    refused = {result.outcome for result in results} - {Outcome.PASS}
    weaker = (outcome for outcome in (Outcome.INCONCLUSIVE, Outcome.ANOMALOUS) if refused == {outcome})
    return next(weaker, Outcome.FAIL)


def _ask(name: str, check: Check, evidence: Evidence) -> CheckResult:
    """The check's answer under the name that configuration gives it; a figure that is not finite never passes."""
    candidate = evidence.candidate.name
    try:
        result = replace(check.judge(evidence), check=name, candidate=candidate)
    except (ValueError, LookupError, ArithmeticError) as error:
        raise StageError(f"gate: {name} cannot judge {candidate}: {type(error).__name__}: {error}") from error
    if result.figure is None or math.isfinite(result.figure):
        return result
    outcome = Outcome.FAIL if result.outcome is Outcome.PASS else result.outcome
    return replace(result, outcome=outcome, figure=None, reason=f"{result.reason} (the figure is {result.figure})")


def _passed(results: list[CheckResult]) -> list[str]:
    refused = {result.candidate for result in results if result.outcome is not Outcome.PASS}
    return [name for name in dict.fromkeys(result.candidate for result in results) if name not in refused]


def _rank(name: str, measured: Measured) -> tuple[int, float]:
    ratio = measured.overall(name)
    if name == measured.baseline:
        return 1, 1.0
    if ratio is None:
        return 3, 0.0
    return (0 if ratio.high < 1 else 2), ratio.middle


def _why_passed(passed: list[str], measured: Measured) -> str:
    best = passed[0]
    ratio = measured.overall(best)
    if best == measured.baseline:
        return f"{best} passed every check and nothing that passed is surely faster"
    if ratio is None:
        return f"{best} passed every check"
    return f"{best} passed every check and takes {ratio.middle:.2f} ({ratio.low:.2f}–{ratio.high:.2f}) of the baseline's time"


def _why_refused(results: list[CheckResult]) -> str:
    """The first candidate's refusals in full, which is the baseline where it was judged; of the others the checks."""
    refused: dict[str, list[CheckResult]] = {}
    for result in results:
        if result.outcome is not Outcome.PASS:
            refused.setdefault(result.candidate, []).append(result)
    if not refused:
        return "nothing was judged"
    lead, *others = refused.values()
    reasons = "; ".join(f"{result.check}: {result.candidate} {result.reason}" for result in lead)
    also = ", ".join(f"{every[0].candidate} by {' and '.join(result.check for result in every)}" for every in others)
    return reasons + (f"; also refused: {also}" if also else "")


def _not_tried(finalists: tuple[Trial, ...]) -> str:
    failed = [f"{trial.candidate.name} ({trial.reason})" for trial in finalists if not trial.succeeded]
    return f"; not judged: {', '.join(failed)}" if failed else ""
