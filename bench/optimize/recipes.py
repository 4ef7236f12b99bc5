"""Every recipe on every model for every target: quality, latency, size, memory, verdict, and why INT8 is slower where it is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from bench.optimize.everything import Everything, Extent
from bench.optimize.given import given, store
from bench.optimize.models import SUBJECTS
from bench.optimize.race import on_one_core
from bench.optimize.remembered import remembered
from bench.optimize.searching import plan_for
from fdpipe.artifacts import Measured, Trial
from fdpipe.errors import FdpipeError
from fdpipe.pipeline import direct, usable_runtimes
from fdpipe.plan import Budget, Plan
from fdpipe.stages.benchmark import benchmark, nothing_measured
from fdpipe.trials import Given, contender, search

MEASURED = "cpu"
TARGETS = (MEASURED, "gpu", "rtx", "arm", "mobile")
SIZES = (1, 8, 32)
NOT_MEASURED = "not measured"
LONGEST = 300
"""Of a reason so many characters are told."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One candidate. Latencies are medians in milliseconds, by batch size; None is what could not be measured here."""

    model: str
    target: str
    candidate: str
    quality: str
    latencies_ms: tuple[float | None, ...] = (None,) * len(SIZES)
    size_mib: float | None = None
    memory_mib: float | None = None
    verdict: str = ""
    diagnosis: str = ""


def lines() -> list[Line]:
    """All of them, the baseline of each model and target first."""
    found: list[Line] = []
    for name in SUBJECTS:
        for target in TARGETS:
            some = remembered(f"recipes-{name}-{target}", partial(_plainly, name, target))
            found += [Line(**{**one, "latencies_ms": tuple(one["latencies_ms"])}) for one in some]
            print(f"{name} for {target}: {len(some)} candidates", flush=True)
    return found


def _plainly(name: str, target: str) -> list[dict[str, Any]]:
    return [asdict(one) for one in _of(name, target)]


@on_one_core()
def _of(name: str, target: str) -> list[Line]:
    start = given(name)
    limit = SUBJECTS[name].drops[len(SUBJECTS[name].drops) // 2]
    try:
        plan = plan_for(name, f"gate.max_drop={limit}", target=target, sizes=SIZES)
        plan = replace(plan, search=Everything(extent=Extent.DEFAULTS), budget=Budget())
        runtimes, skipped = usable_runtimes(plan.runtime)
        trials = search(plan, runtimes, store(), start, direct)
    except FdpipeError as error:
        return [Line(model=name, target=target, candidate="–", quality="–", verdict=f"{NOT_MEASURED}: {_short(str(error))}")]
    measured = _measured(plan, start, trials)
    lines = [_line(name, target, trial, measured) for trial in trials]
    return lines + [
        Line(model=name, target=target, candidate=runtime, quality="–", verdict=f"{NOT_MEASURED}: {_short(reason)}")
        for runtime, reason in skipped.items()
    ]


def _measured(plan: Plan, start: Given, trials: Sequence[Trial]) -> Measured:
    """One race of all that can be measured, short and with each one's memory."""
    contenders = tuple(contender(plan, one) for one in trials if one.measurable)
    if not contenders or not trials[0].measurable:
        return nothing_measured(trials[0].candidate)
    settings = replace(plan.benchmark, impression=True, memory=True)
    return benchmark(store(), contenders, start.baseline.processor, start.data.evaluation, settings)


def _line(name: str, target: str, trial: Trial, measured: Measured) -> Line:
    found = measured.of(trial.candidate.name)
    timings = {one.batch: one.p50_ms for one in found.timings} if found else {}
    qualities = trial.evaluation.quality if trial.evaluation else {}
    return Line(
        model=name,
        target=target,
        candidate=trial.candidate.name,
        quality=", ".join(f"{value:.4f}" if value is not None else "–" for value in qualities.values()) or "–",
        latencies_ms=tuple(timings.get(size) for size in SIZES),
        size_mib=trial.artifact.size_bytes / 2**20 if trial.artifact else None,
        memory_mib=found.peak_rss_mib if found else None,
        verdict=_verdict(trial),
        diagnosis="; ".join(trial.diagnosis.reasons) if trial.diagnosis else "",
    )


def _verdict(trial: Trial) -> str:
    if trial.unmeasured:
        return f"{NOT_MEASURED}: {_short(trial.unmeasured)}"
    if not trial.succeeded:
        return f"failed: {_short(trial.reason or '')}"
    if trial.refusals:
        return "refused by " + ", ".join(one.check for one in trial.refusals)
    return "passes" if trial.speed else "the baseline"


def _short(words: str) -> str:
    """In one line."""
    line = " ".join(words.split()).replace("|", "\\|")
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
