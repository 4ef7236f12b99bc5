"""judge: every check on every finalist, and which of them may ship, the best first."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fdpipe.artifacts import DECIDING_FIRST, Aspect, CheckResult, Measured, Outcome, Stress, Trial, Verdict
from fdpipe.errors import StageError
from fdpipe.evidence import Evidence
from fdpipe.interfaces import Check, Metric
from fdpipe.plan import Unmeasured
from fdpipe.stages.beside import Beside, Known
from fdpipe.stages.rank import rank
from fdpipe.stages.sound import unsound
from fdpipe.store import stage


@stage()
def judge(
    folder: Path,
    checks: Mapping[str, Check],
    metrics: Mapping[str, Metric],
    finalists: tuple[Trial, ...],
    measured: Measured,
    beside: Beside,
    stress: Mapping[str, tuple[Stress, ...]],
    unmeasured: Unmeasured = Unmeasured.REFUSE,
) -> Verdict:
    """The verdict on the finalists, of which the first is the baseline: `verdict_on` them, remembered."""
    return verdict_on(checks, metrics, finalists, measured, beside, stress, unmeasured)


def verdict_on(
    checks: Mapping[str, Check],
    metrics: Mapping[str, Metric],
    finalists: tuple[Trial, ...],
    measured: Measured,
    beside: Beside,
    stress: Mapping[str, tuple[Stress, ...]] | None,
    unmeasured: Unmeasured = Unmeasured.REFUSE,
) -> Verdict:
    """What the gate says; `stress` is None on a first impression.

    A candidate passes with every check, where its answers are not `unsound`, and `rank` says which is the best. One that could
    not be measured here is asked what can be answered, and passes only where `unmeasured` allows it.

    Where none passes, the outcome is that of the candidate that came nearest. One that surely fails a check has failed, however
    little is known of others; one that fails none is anomalous, if any check found it so, or inconclusive. And what may still
    be otherwise is told before what is sure: a single anomalous candidate makes the verdict anomalous, or else an inconclusive
    one inconclusive.
    """
    if not checks:
        return Verdict(outcome=Outcome.FAIL, passed=(), results=(), reason="the gate is empty: nothing was checked")
    directions, known = _directions(metrics, finalists), Known.of(beside)
    results: list[CheckResult] = []
    for trial in finalists:
        if trial.unmeasured:
            results.append(_not_measured(trial, unmeasured))
        if trial.evaluation is not None:
            paired = known.paired(known.original, trial.evaluation)
            evidence = Evidence(
                candidate=trial.candidate, is_baseline=trial is finalists[0], evaluation=trial.evaluation, measured=measured,
                directions=directions, incumbent=beside.incumbent, incumbent_release=beside.incumbent_release, metrics=metrics,
                beside_original=paired,
                beside_incumbent=known.paired(known.incumbent, trial.evaluation) if known.incumbent is not None else None,
                slices=known.slices, stress=None if stress is None else _borne(trial, finalists[0], stress),
                slicers=tuple(beside.slicer), corruptions=beside.corruptions,
                size_bytes=trial.artifact.size_bytes if trial.artifact else None,
            )  # fmt: skip
            broken = unsound(trial.candidate.name, paired.after, known.original)
            results += [broken] if broken else []
            results += _stopped(trial, measured)
            asked = {name: one for name, one in checks.items() if not (trial.unmeasured and _aspect(one) is Aspect.SPEED)}
            results += [_ask(name, check, evidence) for name, check in asked.items()]
    if names := _passed(results):
        ranking = rank([trial for trial in finalists if trial.candidate.name in names], measured, finalists[0])
        outcome, passed, reason = Outcome.PASS, ranking.order, f"{ranking.order[0]} {ranking.reason}"
    else:
        passed = ()
        outcome, reason = _refused(results)
    return Verdict(outcome=outcome, passed=passed, results=tuple(results), reason=reason + _not_tried(finalists))


def _borne(trial: Trial, baseline: Trial, stress: Mapping[str, tuple[Stress, ...]]) -> tuple[Stress, ...]:
    """What became of it on corrupted rows; it has no figures where the baseline was asked and it was not."""
    own = {one.corruption: one for one in stress.get(trial.candidate.name, ())}
    wanted = {one.corruption: one for one in stress.get(baseline.candidate.name, ())}
    lacking = {name: replace(one, quality=dict.fromkeys(one.reference)) for name, one in wanted.items() if name not in own}
    return tuple((own | lacking).values())


BENCHMARK = "benchmark"
"""The check's name under which the gate answers for a candidate that came to an end in the benchmark."""


def _stopped(trial: Trial, measured: Measured) -> list[CheckResult]:
    """What the gate says of a candidate whose process died or hung while it was measured: a service of it would, too."""
    found = measured.of(trial.candidate.name)
    if found is None or found.timings:
        return []
    return [
        CheckResult(
            check=BENCHMARK, candidate=found.candidate, outcome=Outcome.FAIL, aspect=Aspect.SPEED,
            reason=f"it did not come through the benchmark: {found.left or 'it was not measured'}",
        )
    ]  # fmt: skip


def _directions(metrics: Mapping[str, Metric], finalists: tuple[Trial, ...]) -> dict[str, bool]:
    """Whether more is better, for each figure that the original has; of agreement, which stands for labels, more is."""
    judged = next((trial.evaluation.reference for trial in finalists if trial.evaluation is not None), {})
    return {name: metrics[name].higher_is_better if name in metrics else True for name in judged}


UNMEASURED = "unmeasured"
"""The check's name under which the gate answers for what could not be measured here."""


def _not_measured(trial: Trial, unmeasured: Unmeasured) -> CheckResult:
    """What the gate says of a candidate that was made, of which only the files are known."""
    allowed = unmeasured is Unmeasured.ALLOW
    made = f"; made: {trial.artifact.size_bytes:,} bytes, sha256 {trial.artifact.digest[:12]}" if trial.artifact else ""
    how = "let through by gate.unmeasured=allow" if allowed else "gate.unmeasured=allow would let it through"
    return CheckResult(
        check=UNMEASURED,
        candidate=trial.candidate.name,
        outcome=Outcome.PASS if allowed else Outcome.INCONCLUSIVE,
        reason=f"not measured: {trial.unmeasured}{made}; {how}",
        aspect=Aspect.SPEED,
    )


NEAREST_FIRST = (Outcome.ANOMALOUS, Outcome.INCONCLUSIVE, Outcome.FAIL)
"""The verdict on all, of whom only one must pass: what may still be otherwise, before what is sure."""


def _refused(results: Iterable[CheckResult]) -> tuple[Outcome, str]:
    """What refused everything, and the sentence: the refusals of the first that came nearest in full, which is the baseline
    where none came nearer; of the others the checks."""
    refused: dict[str, list[CheckResult]] = {}
    for result in results:
        if result.outcome is not Outcome.PASS:
            refused.setdefault(result.candidate, []).append(result)
    if not refused:
        return Outcome.FAIL, "nothing was judged"
    decided = {name: _deciding(every) for name, every in refused.items()}
    outcome = next(one for one in NEAREST_FIRST if one in decided.values())
    nearest = next(name for name, one in decided.items() if one is outcome)
    reasons = "; ".join(f"{one.check}: {nearest} {one.reason}" for one in refused.pop(nearest))
    also = ", ".join(f"{name} by {' and '.join(one.check for one in every)}" for name, every in refused.items())
    return outcome, reasons + (f"; also refused: {also}" if also else "")


def _deciding(results: Iterable[CheckResult]) -> Outcome:
    """What its checks together say of a candidate, all of which must hold."""
    return min((result.outcome for result in results), key=DECIDING_FIRST.index)


def _ask(name: str, check: Check, evidence: Evidence) -> CheckResult:
    """The check's answer under the name that configuration gives it, with how many rows would decide what is inconclusive; a
    figure that is not finite never passes."""
    candidate, aspect = evidence.candidate.name, _aspect(check)
    try:
        result = replace(check.judge(evidence), check=name, candidate=candidate, aspect=aspect)
    except (ValueError, LookupError, ArithmeticError) as error:
        raise StageError(f"gate: {name} cannot judge {candidate}: {type(error).__name__}: {error}") from error
    if result.needed is not None:
        decide = f"{result.needed:,} rows would decide, there are {evidence.evaluation.rows:,}"
        result = replace(result, reason=f"{result.reason}: {decide}")
    if result.figure is None or math.isfinite(result.figure):
        return result
    outcome = Outcome.FAIL if result.outcome is Outcome.PASS else result.outcome
    return replace(result, outcome=outcome, figure=None, reason=f"{result.reason} (the figure is {result.figure})")


def _aspect(check: Check) -> Aspect:
    """What it is about; quality where it does not say."""
    return getattr(check, "aspect", Aspect.QUALITY)


def _passed(results: list[CheckResult]) -> list[str]:
    refused = {result.candidate for result in results if result.outcome is not Outcome.PASS}
    return [name for name in dict.fromkeys(result.candidate for result in results) if name not in refused]


def _not_tried(finalists: tuple[Trial, ...]) -> str:
    failed = [f"{trial.candidate.name} ({trial.reason})" for trial in finalists if trial.artifact is None]
    return f"; not judged: {', '.join(failed)}" if failed else ""
