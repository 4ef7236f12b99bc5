"""A run as the gate judges it: intervals, slices, corrupted rows, a noisy machine; and one that could not be decided."""

from dataclasses import replace
from pathlib import Path

from fdpipe.artifacts import (
    Answers,
    Basis,
    Candidate,
    CheckResult,
    Figure,
    Finding,
    Health,
    Interval,
    Mark,
    Measured,
    Outcome,
    Pace,
    Record,
    Rejection,
    Stress,
    Trial,
    Verdict,
)
from tests.report import example

LIMIT = 0.01
SLICE_LIMIT = 0.05
DYNAMIC = "onnxruntime/int8_dynamic"
NEEDED = 1_163
GIVEN_UP = "its first impression takes 3.10 (2.95–3.27) of the time of onnxruntime/fused, which passes every check"

HEALTH = Health(load_before=0.41, load_after=1.73, disturbed_share=0.032, noise=Interval(low=0.994, middle=1.001, high=1.007))
ENERGY = {
    example.STATIC: Figure(
        value=0.00031, unit="J", basis=Basis.ESTIMATED, method="processor time × 30 W a core (60 W declared, 2 cores)"
    )
}


def loss(name: str, unit: str, figures: tuple[float, float, float], limit: float, rows: int = 360) -> Finding:
    """A finding as non-inferiority has it."""
    low, middle, high = figures
    outcome = Outcome.PASS if high <= limit else Outcome.FAIL if low > limit else Outcome.INCONCLUSIVE
    return Finding(
        name=name, outcome=outcome, figure=middle, low=low, high=high, limit=limit, unit=unit, rows=rows,
        needed=rows * 4 if outcome is Outcome.INCONCLUSIVE else None,
    )  # fmt: skip


def slices(candidate: str, worst: float) -> CheckResult:
    """A slice for each of ten digits and one of too few rows, that which lost most first."""
    losses = [worst, *[0.028 - 0.003 * number for number in range(9)]]
    findings = [
        loss(f"by_label: {digit}", "accuracy", (middle - 0.022, middle, middle + 0.026), SLICE_LIMIT, rows=36)
        for digit, middle in zip((8, 3, 9, 5, 1, 2, 0, 4, 6, 7), losses, strict=True)
    ]
    few = Finding(name="by_column: written by left-handed people, in pencil", outcome=Outcome.INCONCLUSIVE, rows=4, needed=10)
    failed = findings[0].outcome is Outcome.FAIL
    reason = f"by_label: 8 lost {worst:.4f} (surely {worst - 0.022:.4f}) accuracy on 36 rows, at most 0.05 is allowed"
    return CheckResult(
        check="slices", candidate=candidate, outcome=Outcome.FAIL if failed else Outcome.PASS,
        reason=reason if failed else "none of 10 slices surely lost more than 0.05", figure=worst, limit=SLICE_LIMIT,
        unit="accuracy", findings=(*findings, few),
    )  # fmt: skip


def robustness(candidate: str) -> CheckResult:
    """Three corruptions."""
    findings = (
        loss("noise", "accuracy", (-0.004, 0.006, 0.017), SLICE_LIMIT),
        loss("blur", "accuracy", (-0.009, 0.0, 0.009), SLICE_LIMIT),
        loss("missing", "accuracy", (-0.012, -0.003, 0.007), SLICE_LIMIT),
    )
    reason = "on rows with noise, blur, missing lost at most 0.0060 accuracy, at most 0.05 is allowed"
    return CheckResult(check="robustness", candidate=candidate, outcome=Outcome.PASS, reason=reason, findings=findings)


def stress(lost: float) -> tuple[Stress, ...]:
    """What became of a candidate."""
    answers = Answers(path=Path("answers.npz"), digest=example.DIGEST)
    found = []
    for name, before in (("noise", 0.9306), ("blur", 0.8917), ("missing", 0.9139)):
        reference = {"accuracy": before, "f1": round(before - 0.0006, 4)}
        quality = {metric: round(value - lost, 4) for metric, value in reference.items()}
        found.append(
            Stress(
                corruption=name, rows=360, quality=quality, reference=reference, answers=answers, baseline_answers=answers,
            )
        )  # fmt: skip
    return tuple(found)


def measured(*, noisy: bool = False) -> Measured:
    """The example's benchmark, with its health, its slowest calls and what it says of each candidate."""
    found = example.measured()
    finalists = []
    for one in found.measurements:
        timings = []
        for timing in one.timings:
            pace = Pace.FASTER if "int8" in one.candidate else Pace.ALIKE
            timings.append(replace(timing, p999_ms=timing.p50_ms * 3.9, blocks=212, pace=Pace.TOO_NOISY if noisy else pace))
        finalists.append(replace(one, timings=tuple(timings), processor_ms=0.0103))
    left = replace(finalists[1], left="surely no faster than the baseline after 64 blocks")
    return replace(
        found, measurements=(finalists[0], left, *finalists[2:]), health=HEALTH, energy=ENERGY,
        ended="every interval is narrower than benchmark.precision",
    )  # fmt: skip


def gated() -> Record:
    """The deployed run with all that its checks found; one candidate bears a mark, one was refused by a slice, one given up."""
    record = example.deployed()
    results = []
    for one in record.verdict.results:
        if one.check == "quality":
            lost = 0.0028 if "int8" in one.candidate else 0.0
            wide = 0.0071 if lost else 0.0
            finding = loss("accuracy", "accuracy", (lost - wide, lost, lost + wide), LIMIT)
            results.append(replace(one, findings=(finding, replace(finding, name="f1", unit="f1"))))
        elif one.check == "batch_invariance" and one.candidate == DYNAMIC:
            results.append(replace(one, outcome=Outcome.PASS, mark=Mark.UNBATCHABLE))
        else:
            results.append(one)
        if one.check == "batch_invariance":
            results += [slices(one.candidate, 0.111 if one.candidate == DYNAMIC else 0.031), robustness(one.candidate)]
    beaten = Trial(
        candidate=Candidate(runtime="onnxruntime", recipe="float16"), artifact=record.trials[0].artifact, beaten=GIVEN_UP,
        speed=replace(measured(), measurements=(example.measurement("float16", {1: 3.1, 8: 3.1, 32: 3.1}, 2_206_000),)),
    )  # fmt: skip
    finalists = [one.candidate for one in record.measured.measurements]
    return replace(
        record, trials=(*record.trials, beaten), measured=measured(),
        verdict=replace(record.verdict, results=tuple(results)),
        stress={name: stress(0.0 if number < 2 else 0.0056) for number, name in enumerate(finalists)},
    )  # fmt: skip


def undecided() -> Record:
    """Too few rows, and a machine too noisy to tell anything."""
    record = gated()
    reason = (
        f"quality: onnxruntime/none lost 0.0000 accuracy (0.9778 → 0.9778), which 360 rows cannot decide: {NEEDED:,} would; "
        "also refused: onnxruntime/fused by quality, onnxruntime/int8_dynamic by quality and slices"
    )
    results = [
        replace(one, outcome=Outcome.INCONCLUSIVE, needed=NEEDED if one.candidate != DYNAMIC else None)
        if one.check == "quality"
        else replace(one, mark=None)
        for one in record.verdict.results
    ]
    restless = replace(HEALTH, disturbed_share=0.31, noise=Interval(low=1.012, middle=1.041, high=1.083))
    return replace(
        record, measured=replace(measured(noisy=True), health=restless, ended="benchmark.max_seconds was reached"),
        verdict=Verdict(outcome=Outcome.INCONCLUSIVE, passed=(), results=tuple(results), reason=reason),
        release=None, proof=None, deployment=None, rejection=Rejection(outcome=Outcome.INCONCLUSIVE, reason=reason),
    )  # fmt: skip


def marked() -> Record:
    """What was released answers each request alone."""
    record = gated()
    dynamic = next(trial for trial in record.trials if trial.candidate.name == DYNAMIC)
    assert record.release is not None
    results = tuple(one for one in record.verdict.results if (one.candidate, one.check) != (DYNAMIC, "slices"))
    return replace(
        record, release=replace(record.release, candidate=dynamic.candidate),
        verdict=replace(record.verdict, passed=(DYNAMIC,), results=results),
    )  # fmt: skip
