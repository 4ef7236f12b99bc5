"""slices: no group of rows may lose what the whole does not show."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

import numpy as np

from fdpipe.arrays import take
from fdpipe.artifacts import Aspect, CheckResult, Finding, Outcome
from fdpipe.gate.loss import Drop, checked
from fdpipe.interfaces import Evidence, Paired
from fdpipe.statistics.holm import refuted
from fdpipe.statistics.influence import Scale
from fdpipe.statistics.noninferiority import RESAMPLES, ROUNDING, Comparison, agreement, compare

MOST_RESAMPLES = 20_000
"""However small a share of alpha is one slice's."""

NAMED = 3
"""How many slices a sentence names."""

ORDER = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
"""That which decides comes first."""

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
    where that is so of every slice, nothing is concluded.
    """

    aspect: ClassVar[Aspect] = Aspect.QUALITY

    max_drop: float = 0.05
    drop: Drop = Drop.ABSOLUTE
    alpha: float = 0.05
    min_rows: int = 10
    undecided: Undecided = Undecided.ALLOW

    def __post_init__(self) -> None:
        """A limit that can be compared with, and a probability."""
        checked(self.max_drop)
        if not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha must be above 0 and below 0.5, not {self.alpha}")
        if self.min_rows < 1:
            raise ValueError("min_rows must be at least 1")

    def judge(self, evidence: Evidence) -> CheckResult:
        """The slice that lost most decides."""
        result = CheckResult(
            check="slices", candidate=evidence.candidate.name, outcome=Outcome.PASS, reason="there are no slices",
            limit=self.max_drop,
        )  # fmt: skip
        if not evidence.slices:
            return result
        if evidence.beside_original is None or not evidence.directions:
            return replace(result, outcome=Outcome.FAIL, reason="there are no metrics or no answers to judge slices by")
        found = self._found(evidence, evidence.beside_original)
        findings = tuple(sorted(found, key=lambda one: (ORDER.index(one.outcome), -_size(one))))
        failed = [one for one in findings if one.outcome is Outcome.FAIL]
        open_ = [one for one in findings if one.outcome is Outcome.INCONCLUSIVE and one.figure is not None]
        judged = [one for one in findings if one.figure is not None]
        refuses = not (judged or failed) or (self.undecided is Undecided.REFUSE and bool(open_))
        first = next(iter(failed or open_ or judged), None)
        return replace(
            result,
            outcome=Outcome.FAIL if failed else Outcome.INCONCLUSIVE if refuses else Outcome.PASS,
            reason=self._reason(failed, open_, findings),
            figure=first.figure if first else None,
            unit=first.unit if first else "",
            findings=findings,
            needed=_needed(open_, evidence) if refuses and not failed else None,
        )

    def _found(self, evidence: Evidence, paired: Paired) -> list[Finding]:
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

        def harm(case: Case, level: float) -> Comparison | None:
            found = self._asked(evidence, paired, case, level)
            return found if found.outcome is Outcome.FAIL else None

        suspects = [case for case, one in judged.items() if one.outcome is Outcome.FAIL]
        sure = refuted(suspects, len(judged), self.alpha, harm)
        silent = [case for case in cases if case not in judged and not _has_figure(evidence, paired, case)]
        return few + [self._finding(case, plain[case], sure.get(case), case in silent) for case in cases]

    def _glanced(self, evidence: Evidence, paired: Paired, case: Case) -> Comparison | None:
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
        return Comparison(outcome=Outcome.PASS, rows=int(np.count_nonzero(rows)), loss=loss)

    def _asked(self, evidence: Evidence, paired: Paired, case: Case, level: float) -> Comparison:
        """What was lost, with bounds at this level."""
        name, metric = case
        rows, relative = evidence.slices[name], self.drop is Drop.RELATIVE
        if metric in evidence.metrics:
            return compare(
                evidence.metrics[metric], paired, higher_is_better=evidence.directions[metric], limit=self.max_drop,
                relative=relative, alpha=level, rows=rows, resamples=int(min(MOST_RESAMPLES, max(RESAMPLES, 20 / level))),
            )  # fmt: skip
        if paired.alike is None or len(paired.alike) != len(rows):
            return Comparison(outcome=Outcome.FAIL, rows=int(np.count_nonzero(rows)))
        alike = paired.alike[rows]
        return agreement(float(np.mean(alike)), len(alike), limit=self.max_drop, relative=relative, alpha=level)

    def _finding(self, case: Case, plain: Comparison, sure: Comparison | None, silent: bool) -> Finding:
        name, unit = case
        told = Finding(name=name, outcome=plain.outcome, limit=self.max_drop, unit=unit, rows=plain.rows)
        if plain.loss is None:
            return replace(told, outcome=Outcome.INCONCLUSIVE if silent else Outcome.FAIL)
        told = replace(told, figure=plain.loss, low=plain.loss_low, high=plain.loss_high, needed=plain.needed)
        if plain.outcome is not Outcome.FAIL:
            return told
        return replace(told, outcome=Outcome.INCONCLUSIVE) if sure is None else replace(told, low=sure.loss_low)

    def _reason(self, failed: list[Finding], open_: list[Finding], findings: tuple[Finding, ...]) -> str:
        few = [one.name for one in findings if one.needed is not None and one.figure is None]
        rest = [f"{_listed([one.name for one in open_])} could not be decided"] if open_ else []
        rest += [f"{_listed(few)} had fewer than {self.min_rows} rows"] if few else []
        notes = f" ({'; '.join(rest)})" if rest else ""
        if not failed and all(one.figure is None for one in findings):
            why = f"has {self.min_rows} rows" if len(few) == len(findings) else "has rows of which the original has a figure"
            return f"no slice could be judged: none {why}"
        if not failed:
            slices = len({one.name for one in findings})
            return f"none of {slices} slices surely lost more than {self.max_drop:g}{notes}"
        first, others = failed[0], len({one.name for one in failed}) - 1
        also = f", and {others} more" if others else ""
        if first.figure is None:
            return f"{first.name}{also} has no figure of {first.unit}, and the original has one{notes}"
        sure = f" (surely {first.low:.4f})" if first.low is not None else ""
        return (
            f"{first.name}{also} lost {first.figure:.4f}{sure} {first.unit} on {first.rows} rows, at most {self.max_drop:g} is "
            f"allowed{notes}"
        )


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


def _listed(names: list[str]) -> str:
    several = list(dict.fromkeys(names))
    more = f" and {len(several) - NAMED} more" if len(several) > NAMED else ""
    return f"{', '.join(several[:NAMED])}{more}"


def _needed(open_: list[Finding], evidence: Evidence) -> int | None:
    """How many evaluation rows would decide every slice, if it kept its share of them."""
    every = [math.ceil(one.needed * evidence.evaluation.rows / one.rows) for one in open_ if one.needed and one.rows]
    return max(every, default=None) if len(every) == len(open_) else None
