"""slices: no group of rows may lose what the whole does not show."""

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

import numpy as np

from fdpipe.arrays import take
from fdpipe.artifacts import DECIDING_FIRST, Aspect, CheckResult, Finding, Outcome
from fdpipe.evidence import Evidence, Paired
from fdpipe.gate.loss import AGREEMENT, OF_ZERO, Drop, Limit, is_of_zero, rows_needed
from fdpipe.statistics.holm import refuted
from fdpipe.statistics.influence import Scale
from fdpipe.statistics.noninferiority import ROUNDING, Loss

NAMED = 3
"""How many slices a sentence names."""

Case = tuple[str, str]
"""A slice and a metric."""


class Undecided(StrEnum):
    """What a slice does whose rows prove neither that it lost too much nor that it did not."""

    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class Slices:
    """No slice may lose more than `max_drop` of any metric against the original.

    Slices have few rows, and most candidates that are as good as the original could not prove it on each of them. So a slice
    fails where its loss is surely above the limit: at a confidence of 1 - alpha for all slices and metrics together (Holm), so
    that many slices refuse a harmless candidate no more often than one. `undecided=refuse` demands the proof of each: every one
    must be surely below the limit at 1 - alpha, which needs no correction, since all must hold (Berger 1982, Technometrics 24,
    295-300). A slice of fewer than `min_rows` is told and not judged, nor is a metric that the original has no figure of there;
    where that is so of every slice, or a slicer was asked for and there is no slice, nothing is concluded.
    """

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.05
    drop: Drop = Drop.ABSOLUTE
    alpha: float = 0.05
    min_rows: int = 10
    undecided: Undecided = Undecided.ALLOW

    def __post_init__(self) -> None:
        """A limit that can be compared with, a probability, and a number of rows."""
        self._limit()
        if self.min_rows < 1:
            raise ValueError(f"min_rows must be at least 1, not {self.min_rows}")

    def judge(self, evidence: Evidence) -> CheckResult:
        """The slice that lost most decides."""
        result = CheckResult(
            check="slices", candidate=evidence.candidate.name, outcome=Outcome.PASS, reason="no slicer is asked for",
            limit=self.max_drop,
        )  # fmt: skip
        if not evidence.slices and not evidence.slicers:
            return result
        if not evidence.slices:
            return replace(result, outcome=Outcome.INCONCLUSIVE, reason=_no_slice(evidence.slicers))
        if evidence.beside_original is None or not evidence.directions:
            return replace(result, outcome=Outcome.FAIL, reason="there are no metrics or no answers to judge slices by")
        found = self._found(evidence, evidence.beside_original)
        failed, undecided = found.of(Outcome.FAIL), [*found.of(Outcome.INCONCLUSIVE), *found.of_zero]
        nothing = not failed and all(one.figure is None for one in found.findings)
        refuses = nothing or (self.undecided is Undecided.REFUSE and bool(undecided))
        first = next(iter(failed or found.judged), None)
        return replace(
            result,
            outcome=Outcome.FAIL if failed else Outcome.INCONCLUSIVE if refuses else Outcome.PASS,
            reason=found.refusal(failed[0]) if failed else found.nothing if nothing else found.told,
            figure=first.figure if first else None,
            unit=first.unit if first else "",
            findings=found.findings,
            needed=_needed(undecided, evidence) if refuses and not failed else None,
        )

    def _found(self, evidence: Evidence, paired: Paired) -> "_Found":
        """A finding for each slice and metric, and one for a slice of too few rows."""
        counts = {name: int(np.count_nonzero(rows)) for name, rows in evidence.slices.items()}
        few = [
            Finding(name=name, outcome=Outcome.INCONCLUSIVE, rows=count, needed=self.min_rows)
            for name, count in counts.items() if count < self.min_rows
        ]  # fmt: skip
        cases = [(name, metric) for name, count in counts.items() if count >= self.min_rows for metric in evidence.directions]
        plain = {
            case: self._glanced(evidence, paired, case) or self._asked(evidence, paired, case, self.alpha) for case in cases
        }
        judged = {case: one for case, one in plain.items() if one.loss is not None}

        def harm(case: Case, level: float) -> Loss | None:
            found = self._asked(evidence, paired, case, level)
            return found if found.outcome is Outcome.FAIL else None

        suspects = [case for case, one in judged.items() if one.outcome is Outcome.FAIL]
        sure = refuted(suspects, len(judged), self.alpha, harm)
        silent = [case for case in cases if case not in judged and not _has_figure(evidence, paired, case)]
        every = few + [self._finding(case, plain[case], sure.get(case), case in silent) for case in cases]
        every.sort(key=lambda one: (DECIDING_FIRST.index(one.outcome), -_size(one)))
        zeros = [case for case, one in plain.items() if is_of_zero(one)]
        return _Found(check=self, findings=tuple(every), of_zero=[one for one in every if (one.name, one.unit) in zeros])

    def _glanced(self, evidence: Evidence, paired: Paired, case: Case) -> Loss | None:
        """On a first impression, where nothing but sure harm counts, what lost no more than it may is not looked at closer."""
        if evidence.stress is not None or self.undecided is Undecided.REFUSE:
            return None
        rows, metric = evidence.slices[case[0]], evidence.metrics.get(case[1])
        truth = None if metric is None else paired.truth(metric)
        if metric is None or truth is None:
            return None
        before, after = (metric.score(take(one, rows), truth[rows]) for one in (paired.before, paired.after))
        scale = Scale(higher_is_better=evidence.directions[case[1]], relative=self.drop is Drop.RELATIVE)
        if not (loss := scale.loss(before, after)) <= self.max_drop + ROUNDING:
            return None
        return Loss(outcome=Outcome.PASS, rows=int(np.count_nonzero(rows)), loss=loss)

    def _asked(self, evidence: Evidence, paired: Paired, case: Case, level: float) -> Loss:
        """What was lost, with bounds at this level."""
        name, metric = case
        rows, figures = evidence.slices[name], None
        if metric == AGREEMENT and metric not in evidence.metrics:
            known = paired.alike is not None and len(paired.alike) == len(rows)
            figures = (1.0, float(np.mean(paired.alike[rows])) if known and paired.alike is not None else None)
        limit = replace(self._limit(), alpha=level)
        return limit.lost(metric, evidence, paired, int(np.count_nonzero(rows)), figures, rows)

    def _finding(self, case: Case, plain: Loss, sure: Loss | None, silent: bool) -> Finding:
        """Without a figure it fails where the original has one; surely harmed is only what all slices together say is."""
        told = self._limit().finding(*case, plain)
        if plain.loss is None:
            return replace(told, outcome=Outcome.INCONCLUSIVE) if silent else told
        if plain.outcome is not Outcome.FAIL:
            return told
        return replace(told, outcome=Outcome.INCONCLUSIVE) if sure is None else replace(told, low=sure.loss_low)

    def _limit(self) -> Limit:
        return Limit(max_drop=self.max_drop, drop=self.drop, alpha=self.alpha)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The findings of all slices, that which decides first, and what is said of them. `of_zero` have no loss, since the figure
    before was 0."""

    check: Slices
    findings: tuple[Finding, ...]
    of_zero: list[Finding] = field(default_factory=list)

    @property
    def judged(self) -> list[Finding]:
        return [one for one in self.findings if one.figure is not None]

    def of(self, outcome: Outcome) -> list[Finding]:
        """A failure may be without a figure."""
        found = self.findings if outcome is Outcome.FAIL else self.judged
        return [one for one in found if one.outcome is outcome]

    @property
    def few(self) -> list[Finding]:
        return [one for one in self.findings if one.needed is not None and one.figure is None]

    @property
    def notes(self) -> str:
        """What was not judged, in brackets."""
        undecided = self.of(Outcome.INCONCLUSIVE)
        rest = [f"{_listed(undecided)} could not be decided"] if undecided else []
        rest += [f"of {_listed(self.of_zero)} the original's figure is 0, and {OF_ZERO}"] if self.of_zero else []
        rest += [f"{_listed(self.few)} had fewer than {self.check.min_rows} rows"] if self.few else []
        return f" ({'; '.join(rest)})" if rest else ""

    @property
    def told(self) -> str:
        slices = len({one.name for one in self.findings})
        return f"none of {slices} slices surely lost more than {self.check.max_drop:g}{self.notes}"

    @property
    def nothing(self) -> str:
        why = "none has rows of which the original has a figure"
        if len(self.few) == len(self.findings):
            why = f"none has {self.check.min_rows} rows"
        elif self.of_zero:
            why = f"the original's figure is 0, and {OF_ZERO}"
        return f"no slice could be judged: {why}"

    def refusal(self, first: Finding) -> str:
        others = len({one.name for one in self.of(Outcome.FAIL)}) - 1
        also = f", and {others} more" if others else ""
        if first.figure is None:
            return f"{first.name}{also} has no figure of {first.unit}, and the original has one{self.notes}"
        sure = f" (surely {first.low:.4f})" if first.low is not None else ""
        lost = f"{first.name}{also} lost {first.figure:.4f}{sure} {first.unit} on {first.rows} rows"
        return f"{lost}, at most {self.check.max_drop:g} is allowed{self.notes}"


def _no_slice(slicers: tuple[str, ...]) -> str:
    return f"no slice could be judged: these rows have not what {', '.join(slicers)} would slice by: choose another slicer"


def _has_figure(evidence: Evidence, paired: Paired, case: Case) -> bool:
    """Whether the original has one on these rows; where that cannot be found out, it should have."""
    name, unit = case
    rows, metric = evidence.slices[name], evidence.metrics.get(unit)
    truth = None if metric is None else paired.truth(metric)
    if metric is None or truth is None:
        return True
    return math.isfinite(metric.score(take(paired.before, rows), truth[rows]))


def _size(one: Finding) -> float:
    """How much was lost; all of it where the candidate has no figure, and nothing where the original has none either."""
    if one.figure is None:
        return math.inf if one.outcome is Outcome.FAIL else -math.inf
    return one.figure


def _listed(findings: list[Finding]) -> str:
    names = list(dict.fromkeys(one.name for one in findings))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _needed(undecided: list[Finding], evidence: Evidence) -> int | None:
    """How many evaluation rows would decide every slice, if it kept its share of them."""
    shares = [
        replace(one, needed=math.ceil(one.needed * evidence.evaluation.rows / one.rows) if one.needed and one.rows else None)
        for one in undecided
    ]
    return rows_needed(shares)
