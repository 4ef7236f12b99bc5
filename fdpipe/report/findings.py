"""What the checks found: every figure with its interval, its limit and the rows that would decide, by slice and corruption."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fdpipe.artifacts import DECIDING_FIRST, CheckResult, Finding, Mark, Outcome, Record, Stress, Trial
from fdpipe.report import words
from fdpipe.report.intervals import Estimate, Intervals
from fdpipe.report.tables import State, Table, metric_names, rank, state

MOST_DRAWN = 12
"""So many figures of a check are drawn for a candidate, those first that decided; its table has all."""

MOST_JUDGED = 12
"""So many candidates are seen with their checks at once; the others are folded."""

MOST_FOUND = 100
"""So many findings are seen at once, the worst first; the others are folded."""

DRAWN = 4
"""So many candidates are drawn for a check: the released one and those that it refused; the first, where there are none."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One check on one candidate: its result, and what it found, as a table; None where the sentence says all."""

    result: CheckResult
    findings: Table | None

    @property
    def passed(self) -> bool:
        """Whether it lets the candidate pass."""
        return self.result.outcome is Outcome.PASS

    @property
    def symbol(self) -> str:
        """For the eye."""
        return {Outcome.PASS: "✓", Outcome.FAIL: "✕"}.get(self.result.outcome, "?")

    @property
    def mark(self) -> Mark | None:
        """What the release bears for it."""
        return self.result.mark


def by_candidate(record: Record) -> list[tuple[str, State, list[Judged]]]:
    """The checks' results, by candidate, the released first, then in the order of the table; of many, those that passed."""
    found = []
    for trial in record.trials:
        if results := record.verdict.of(trial.candidate.name):
            own = [Judged(result=result, findings=_table(result.findings)) for result in results]
            found.append((trial.candidate.name, state(record, trial), own))
    many = len(found) > MOST_JUDGED
    return sorted(found, key=lambda one: (one[1] not in (State.DEPLOYED, State.PROVED), rank(record, one[0]) if many else 0))


def details(record: Record, check: str) -> Table | None:
    """Everything that a check found of all candidates, the worst first; None where it found nothing."""
    results = [result for result in record.verdict.results if result.check == check]
    found = [(result.candidate, finding) for result in results for finding in result.findings]
    found.sort(key=lambda pair: (DECIDING_FIRST.index(pair[1].outcome), -(pair[1].figure or 0.0)))
    table = _table([finding for _, finding in found])
    if table is None:
        return None
    rows = tuple((candidate, *row) for (candidate, _), row in zip(found, table.rows, strict=True))
    return Table(columns=("candidate", *table.columns), rows=rows)


def drawn(record: Record, check: str) -> tuple[Intervals, ...]:
    """A picture for each candidate of which the check found figures with intervals."""
    found = []
    for number, trial in enumerate(record.trials, start=1):
        for result in _of(record, trial, check):
            is_released = state(record, trial) in (State.DEPLOYED, State.PROVED)
            rank = 0 if is_released else 1 if result.outcome is not Outcome.PASS else 2
            if (picture := _picture(number, result)) is not None:
                found.append((rank, number, picture))
    found.sort(key=lambda one: one[:2])
    telling = [picture for rank, _, picture in found if rank < 2]
    return tuple(telling[:DRAWN] or [picture for *_, picture in found[:1]])


def stress(record: Record) -> Table | None:
    """The finalists' first metric in each kind of corruption, with its distance to the baseline's on the same rows; None where
    none was asked for."""
    metric = next(iter(metric_names(record)), "")
    kinds = list(dict.fromkeys(one.corruption for every in record.stress.values() for one in every))
    shown = [(number, trial) for number, trial in enumerate(record.trials, start=1) if record.stress.get(trial.candidate.name)]
    rows = []
    for _, trial in shown:
        own = {one.corruption: one for one in record.stress[trial.candidate.name]}
        cells = [_beside(own[kind], metric) if kind in own else words.DASH for kind in kinds]
        rows.append((trial.candidate.name, *cells))
    states = tuple(state(record, trial) for _, trial in shown)
    return Table(columns=("candidate", *kinds), rows=tuple(rows), states=states) if rows else None


def deciding_rows(record: Record) -> tuple[str, int] | None:
    """A candidate that lacks nothing but evaluation rows, and how many would decide; of several the one that needs fewest."""
    found = []
    for trial in record.trials:
        own = record.verdict.of(trial.candidate.name)
        refused = [one for one in own if one.outcome is not Outcome.PASS]
        needed = [one.needed for one in refused if one.outcome is Outcome.INCONCLUSIVE and one.needed is not None]
        if refused and len(needed) == len(refused):
            found.append((trial.candidate.name, max(needed)))
    return min(found, key=lambda one: one[1], default=None)


def quality_interval(record: Record, trial: Trial, metric: str, *, higher_is_better: bool) -> tuple[float, float] | None:
    """The bounds of a candidate's quality, from those of its loss against the original; None where no check has found any, or
    where what it found is no loss that explains the figure."""
    evaluation = trial.evaluation
    quality, reference = (evaluation.quality.get(metric), evaluation.reference.get(metric)) if evaluation else (None, None)
    if quality is None or reference is None:
        return None
    sign = -1 if higher_is_better else 1
    for finding in (
        one for result in _of(record, trial, "quality") for one in result.findings if metric in (one.name, one.unit)
    ):
        if finding.figure is None or not _is_bounded(finding):
            continue
        for scale in (1.0, abs(reference)):  # a loss in the metric's own unit, or relative to the original
            if abs(reference + sign * scale * finding.figure - quality) <= 1e-6 * max(1.0, abs(quality)):
                low, high = sorted(reference + sign * scale * end for end in (finding.low or 0.0, finding.high or 0.0))
                return low, high
    return None


MCNEMAR = "McNemar's p"
COLUMNS = ("what", "figure", "interval", MCNEMAR, "limit", "outcome", "rows", "rows that would decide")
"""The p-value is there only where rows are right or wrong."""


def _of(record: Record, trial: Trial, check: str) -> list[CheckResult]:
    return [one for one in record.verdict.of(trial.candidate.name) if one.check == check]


def _table(findings: Sequence[Finding]) -> Table | None:
    if not findings:
        return None
    tested = any(one.p_value is not None for one in findings)
    shown = [at for at, name in enumerate(COLUMNS) if tested or name != MCNEMAR]
    rows = tuple(tuple(_cells(one)[at] for at in shown) for one in findings)
    return Table(columns=tuple(COLUMNS[at] for at in shown), rows=rows)


def _cells(finding: Finding) -> tuple[str, ...]:
    ends = [finding.low, finding.high]
    interval = words.DASH if ends == [None, None] else " to ".join(_number(end) for end in ends)
    return (
        finding.name,
        _number(finding.figure) + (f" {finding.unit}" if finding.unit and finding.figure is not None else ""),
        interval,
        words.DASH if finding.p_value is None else f"{finding.p_value:.2g}",
        _number(finding.limit),
        finding.outcome.value,
        _count(finding.rows),
        _count(finding.needed),
    )


def _is_bounded(finding: Finding) -> bool:
    """Whether it is a figure with both ends of its interval."""
    return all(value is not None and math.isfinite(value) for value in (finding.figure, finding.low, finding.high))


def _number(value: float | None) -> str:
    return words.DASH if value is None else f"{value + 0.0:.4g}"


def _count(value: int | None) -> str:
    return words.DASH if value is None else f"{value:,}"


def _beside(stress: Stress, metric: str) -> str:
    value, reference = stress.quality.get(metric), stress.reference.get(metric)
    return f"{words.figure(value)} ({words.change(value, reference)})"


def _picture(number: int, result: CheckResult) -> Intervals | None:
    bounded = [one for one in result.findings if _is_bounded(one)]
    units = dict.fromkeys(one.unit for one in bounded if one.unit)
    limits = {one.limit for one in bounded if one.limit is not None}
    complete = [
        Estimate(
            name=f"{one.name}, {one.unit}" if len(units) > 1 else one.name, figure=one.figure or 0.0, low=one.low or 0.0,
            high=one.high or 0.0, outcome=one.outcome,
        )
        for one in bounded
    ]  # fmt: skip
    if not complete:
        return None
    shown = complete[:MOST_DRAWN]
    more = f", {len(shown)} of {len(complete)}" if len(shown) < len(complete) else ""
    axis = f"loss{f', {next(iter(units))}' if len(units) == 1 else ''}{more}"
    said = "; ".join(f"{one.name} {one.figure:.4g} ({one.low:.4g} to {one.high:.4g})" for one in shown)
    limit = limits.pop() if len(limits) == 1 else None
    title = f"{number}  {_shortened(result.candidate)}"
    return Intervals(title=title, axis=axis, estimates=tuple(shown), limit=limit, text=f"{result.check}: {said}")


def _shortened(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
