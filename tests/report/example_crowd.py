"""A run with very many finalists, some judged on very many slices."""

from dataclasses import replace

from fdpipe.artifacts import CheckResult, Finding, Outcome, Record
from tests.report import example, example_gate

CANDIDATES = 64
SLICES = 130
SLICED_EVERY = 16


def crowded() -> Record:
    """The gated run with a crowd behind its finalists, all measured and judged; every second one was refused."""
    record = example_gate.gated()
    names = [f"fused{number}" for number in range(CANDIDATES - len(record.trials))]
    trials = [example.trial(name, 0.97 - 0.0004 * number, 2_000_000 - 9_000 * number) for number, name in enumerate(names)]
    measurements = [
        example.measurement(name, {1: 0.5 + 0.01 * number, 8: 0.6, 32: 0.7}, 2_000_000) for number, name in enumerate(names)
    ]
    results = [
        one for number, trial in enumerate(trials) for one in judged(trial.candidate.name)[: 1 + (number % SLICED_EVERY == 0)]
    ]
    passed = tuple(trial.candidate.name for trial in trials[::2])
    return replace(
        record,
        trials=(*record.trials, *trials),
        measured=replace(record.measured, measurements=(*record.measured.measurements, *measurements)),
        verdict=replace(
            record.verdict, passed=(*record.verdict.passed, *passed), results=(*record.verdict.results, *results)
        ),
    )  # fmt: skip


def judged(candidate: str) -> tuple[CheckResult, ...]:
    """Its quality, with McNemar's p, and its slices, the worst of which is neither the first nor the last."""
    slices = tuple(
        example_gate.loss(f"by_column: place {number}", "accuracy", figures(number), example_gate.SLICE_LIMIT, rows=36)
        for number in range(SLICES)
    )
    quality = Finding(
        name="accuracy", outcome=Outcome.PASS, figure=0.002, low=-0.004, high=0.008, limit=0.01, rows=360, p_value=0.0312
    )  # fmt: skip
    return (
        CheckResult(check="quality", candidate=candidate, outcome=Outcome.PASS, reason="it lost little", findings=(quality,)),
        CheckResult(check="slices", candidate=candidate, outcome=Outcome.FAIL, reason="one lost much", findings=slices),
    )


def figures(number: int) -> tuple[float, float, float]:
    """One slice surely lost too much, the others little."""
    middle = 0.2 if number == SLICES // 2 else 0.0001 * number
    return middle - 0.02, middle, middle + 0.03
