"""judge: every check on every finalist, and which of them may ship, the best first."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fdpipe import progress
from fdpipe.artifacts import (
    Answers,
    Aspect,
    CheckResult,
    Evaluation,
    Measured,
    Outcome,
    Rows,
    Stress,
    Task,
    Trial,
    Verdict,
)
from fdpipe.errors import NotApplicable, StageError
from fdpipe.interfaces import Check, Evidence, Metric, Paired, Slicer
from fdpipe.plan import Unmeasured
from fdpipe.stages.evaluate import labels_beside, own_labels
from fdpipe.store import stage


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What candidates are judged beside: the evaluation rows, in slices, with the original's answers to them; and the release
    now deployed for this target, evaluated on the same rows, with its digest."""

    rows: Rows
    task: Task
    reference: Answers
    slicer: Mapping[str, Slicer]
    incumbent: Evaluation | None = None
    incumbent_release: str | None = None


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

    A candidate passes with every check. The best first: those surely faster than the baseline, by speed; then the baseline,
    which ships where nothing beats it; then the rest. Speed is the geometric mean over the batch sizes.

    One that could not be measured here is asked what can be answered, and passes only where `unmeasured` allows it. Of those
    only the size is known: the smallest comes first where their answers were judged, and else the baseline.
    """
    if not checks:
        return Verdict(outcome=Outcome.FAIL, passed=(), results=(), reason="the gate is empty: nothing was checked")
    directions, known = _directions(metrics, finalists), _Known.of(beside)
    results: list[CheckResult] = []
    for trial in finalists:
        if trial.unmeasured:
            results.append(_not_measured(trial, unmeasured))
        if trial.evaluation is not None:
            evidence = Evidence(
                candidate=trial.candidate, is_baseline=trial is finalists[0], evaluation=trial.evaluation, measured=measured,
                directions=directions, incumbent=beside.incumbent, incumbent_release=beside.incumbent_release, metrics=metrics,
                beside_original=known.paired(known.original, trial.evaluation),
                beside_incumbent=known.paired(known.incumbent, trial.evaluation) if known.incumbent is not None else None,
                slices=known.slices, stress=None if stress is None else stress.get(trial.candidate.name, ()),
            )  # fmt: skip
            asked = {name: one for name, one in checks.items() if not (trial.unmeasured and _aspect(one) is Aspect.SPEED)}
            results += [_ask(name, check, evidence) for name, check in asked.items()]
    trials = {trial.candidate.name: trial for trial in finalists}
    passed = sorted(_passed(results), key=lambda name: _rank(trials[name], measured))
    outcome = Outcome.PASS if passed else _refusal(results)
    reason = (_why_passed(trials[passed[0]], measured) if passed else _why_refused(results)) + _not_tried(finalists)
    return Verdict(outcome=outcome, passed=tuple(passed), results=tuple(results), reason=reason)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known:
    """`Beside`, read from its files."""

    original: Mapping[str, np.ndarray]
    incumbent: Mapping[str, np.ndarray] | None
    labels: np.ndarray | None
    own: np.ndarray | None
    slices: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, beside: Beside) -> "_Known":
        original = beside.reference.load()
        return cls(
            original=original,
            incumbent=beside.incumbent.answers.load() if beside.incumbent else None,
            labels=labels_beside(beside.rows.labels(), original),
            own=own_labels(beside.task, original),
            slices=_sliced(beside),
        )

    def paired(self, before: Mapping[str, np.ndarray], evaluation: Evaluation) -> Paired:
        return Paired(before=before, after=evaluation.answers.load(), labels=self.labels, own=self.own)


def _sliced(beside: Beside) -> dict[str, np.ndarray]:
    """The rows of every slice, by its name."""
    if not beside.slicer:
        return {}
    examples, found = beside.rows.load(), dict[str, np.ndarray]()
    for name, slicer in beside.slicer.items():
        try:
            found |= {f"{name}: {slice_}": rows for slice_, rows in slicer.slices(examples).items()}
        except NotApplicable as error:
            progress.note(f"no slices by {name}: {error}")
    return found


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


def _refusal(results: Iterable[CheckResult]) -> Outcome:
    """What refused everything: a clear failure, unless every refusal is of a weaker kind, or a candidate lacks nothing but
    the measurement."""
    by_candidate: dict[str, set[str]] = {}
    for result in results:
        if result.outcome is not Outcome.PASS:
            by_candidate.setdefault(result.candidate, set()).add(result.check)
    if {UNMEASURED} in by_candidate.values():
        return Outcome.INCONCLUSIVE
    refused = {result.outcome for result in results} - {Outcome.PASS}
    weaker = (outcome for outcome in (Outcome.INCONCLUSIVE, Outcome.ANOMALOUS) if refused == {outcome})
    return next(weaker, Outcome.FAIL)


def _ask(name: str, check: Check, evidence: Evidence) -> CheckResult:
    """The check's answer under the name that configuration gives it; a figure that is not finite never passes."""
    candidate, aspect = evidence.candidate.name, _aspect(check)
    try:
        result = replace(check.judge(evidence), check=name, candidate=candidate, aspect=aspect)
    except (ValueError, LookupError, ArithmeticError) as error:
        raise StageError(f"gate: {name} cannot judge {candidate}: {type(error).__name__}: {error}") from error
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


def _rank(trial: Trial, measured: Measured) -> tuple[int, float]:
    name = trial.candidate.name
    ratio = measured.overall(name)
    if trial.unmeasured and trial.evaluation is not None and trial.artifact is not None:
        return 1, float(trial.artifact.size_bytes)
    if name == measured.baseline:
        return 1, 1.0
    if ratio is None:
        return 3, 0.0
    return (0 if ratio.high < 1 else 2), ratio.middle


def _why_passed(trial: Trial, measured: Measured) -> str:
    best = trial.candidate.name
    ratio = measured.overall(best)
    if trial.unmeasured and trial.evaluation is not None:
        return f"{best} is the smallest that passed every check; its speed is not measured: {trial.unmeasured}"
    if trial.unmeasured:
        return f"{best} is let through, neither its answers nor its speed measured: {trial.unmeasured}"
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
    failed = [f"{trial.candidate.name} ({trial.reason})" for trial in finalists if trial.artifact is None]
    return f"; not judged: {', '.join(failed)}" if failed else ""
