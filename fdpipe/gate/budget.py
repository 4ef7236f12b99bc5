"""budget: what a candidate may cost at most, in time, memory, size and energy."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import ClassVar

from fdpipe.artifacts import DECIDING_FIRST, Aspect, Basis, CheckResult, Figure, Finding, Measurement, Outcome, Timing
from fdpipe.evidence import Evidence
from fdpipe.plan import Unmeasured

FEWEST_CALLS = 100
"""The 99th percentile of fewer calls is no figure: it would be the slowest of them."""
MIB = 2**20
AT_LEAST = ("rows_per_s",)
"""Of these more is better."""
TIMES = ("p99_ms", "rows_per_s", "cold_start_ms")
HASTY = 1.5
"""On a first impression, which takes a tenth of a second, times must be so many times beyond their limit to be refused."""
TOLD: Mapping[str, str] = MappingProxyType(
    {
        "p99_ms": "the slowest call in a hundred",
        "rows_per_s": "the throughput",
        "memory_mib": "the peak memory",
        "size_mib": "the size of its files",
        "cold_start_ms": "loading and the first call",
        "joules": "the energy of one row",
    }
)
"""What each limit is about, for the sentence."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits, of which None asks for nothing: the 99th percentile of a call's time at the batch size where it is longest; the
    rows in a second at the batch size where they are most; the peak memory of a process that does nothing else; the size of
    the files; loading and the first call; the energy of one row.

    Of what was not measured, or only estimated, nothing is concluded, unless `unmeasured` allows it: then an estimate counts,
    and what is missing passes. On a first impression only what is known then is judged. The baseline is judged, too.
    """

    aspect: ClassVar[Aspect] = Aspect.COST

    p99_ms: float | None = None
    rows_per_s: float | None = None
    memory_mib: float | None = None
    size_mib: float | None = None
    cold_start_ms: float | None = None
    joules: float | None = None
    unmeasured: Unmeasured = Unmeasured.REFUSE

    def __post_init__(self) -> None:
        """Limits that can be kept."""
        for name, limit in self._limits():
            if not (limit > 0 and math.isfinite(limit)):
                raise ValueError(f"{name} must be above 0, not {limit}; null asks for nothing")

    def judge(self, evidence: Evidence) -> CheckResult:
        """A finding for each limit that is set, the gravest first."""
        name, hasty = evidence.candidate.name, evidence.stress is None
        found = _figures(evidence, self.p99_ms)
        judged = [self._judged(limit, found[which], which, hasty) for which, limit in self._limits()]
        judged = [one for one in judged if not (hasty and one[0].outcome is Outcome.INCONCLUSIVE)]
        result = CheckResult(check="budget", candidate=name, outcome=Outcome.PASS, reason="no limit is set")
        if not judged:
            return replace(result, reason="nothing is known yet") if any(self._limits()) else result
        findings, sentences = zip(*sorted(judged, key=lambda one: DECIDING_FIRST.index(one[0].outcome)), strict=True)
        first = findings[0]
        reasons = [told for one, told in zip(findings, sentences, strict=True) if one.outcome is first.outcome]
        return replace(
            result, outcome=first.outcome, reason="; ".join(reasons), figure=first.figure, limit=first.limit, unit=first.unit,
            findings=findings,
        )  # fmt: skip

    def _limits(self) -> Iterator[tuple[str, float]]:
        """Those that are set."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name in TOLD}
        return ((name, value) for name, value in values.items() if value is not None)

    def _judged(self, limit: float, figure: Figure, name: str, hasty: bool) -> tuple[Finding, str]:
        at_least, allowed = name in AT_LEAST, self.unmeasured is Unmeasured.ALLOW
        grace = HASTY if hasty and name in TIMES else 1.0
        value = figure.value if figure.value is not None and math.isfinite(figure.value) else None
        outcome = Outcome.PASS
        if value is None or (figure.basis is Basis.ESTIMATED and not allowed):
            outcome = Outcome.PASS if allowed else Outcome.INCONCLUSIVE
        elif value * grace < limit if at_least else value > limit * grace:
            outcome = Outcome.FAIL
        wanted = f"{'at least' if at_least else 'at most'} {_shown(limit)} {figure.unit}"
        told = f"{TOLD[name]} is {self._told(figure, value)}, {wanted} is asked (gate.{name})"
        return Finding(name=name, outcome=outcome, figure=value, limit=limit, unit=figure.unit), told

    def _told(self, figure: Figure, value: float | None) -> str:
        """The figure, with its basis where it is not measured, and what becomes of such a one."""
        allowed = self.unmeasured is Unmeasured.ALLOW
        how = "let through by gate.unmeasured=allow" if allowed else "gate.unmeasured=allow would let it through"
        method = f" ({figure.method})" if figure.method else ""
        if value is None:
            return f"not measured{method}, {how}"
        shown = f"{_shown(value)} {figure.unit}"
        if figure.basis is Basis.ESTIMATED:
            decides = "which counts by gate.unmeasured=allow" if allowed else "which decides only with gate.unmeasured=allow"
            return f"estimated as {shown}{method}, {decides}"
        return shown + method


def _figures(evidence: Evidence, p99_ms: float | None) -> Mapping[str, Figure]:
    """What is known of a candidate, by the name of the limit."""
    name = evidence.candidate.name
    found = evidence.measured.of(name)
    size = found.size_bytes if found is not None else evidence.size_bytes
    times = {"p99_ms": _slowest(found, p99_ms), "rows_per_s": _most(found)} if found and found.timings else {}
    if found is not None:
        times["memory_mib"] = _measured(found.peak_rss_mib, "MiB")
        cold = None if found.load_ms is None or found.first_call_ms is None else found.load_ms + found.first_call_ms
        times["cold_start_ms"] = _measured(cold, "ms")
    return {
        "p99_ms": _missing("ms"),
        "rows_per_s": _missing("rows/s"),
        "memory_mib": _missing("MiB"),
        "cold_start_ms": _missing("ms"),
        "size_mib": _measured(None if size is None else size / MIB, "MiB"),
        "joules": evidence.measured.energy.get(name, _missing("J")),
    } | times


def _slowest(found: Measurement, limit: float | None) -> Figure:
    """The 99th percentile at the size where it is longest. Of few calls it is not known; but it is no shorter than the 90th,
    which may be too long already."""
    few = [timing for timing in found.timings if timing.calls < FEWEST_CALLS]
    known = {timing: timing.p90_ms if timing in few else timing.p99_ms for timing in found.timings}
    slowest = max(known, key=lambda timing: known[timing])
    if few and not (limit is not None and known[slowest] > limit):
        fewest = min(few, key=lambda timing: timing.calls)
        method = f"{fewest.calls} calls {_size(fewest)} are too few, measure longer (benchmark.seconds)"
        return replace(_missing("ms"), method=method)
    more = f", or longer: of {slowest.calls} calls every tenth is" if slowest in few else ""
    return Figure(value=known[slowest], unit="ms", basis=Basis.MEASURED, method=_size(slowest) + more)


def _most(found: Measurement) -> Figure:
    most = max(found.timings, key=lambda timing: timing.rows_per_s)
    return Figure(value=most.rows_per_s, unit="rows/s", basis=Basis.MEASURED, method=_size(most))


def _size(timing: Timing) -> str:
    return f"at batch {timing.batch}" + (f" of length {timing.length}" if timing.length is not None else "")


def _measured(value: float | None, unit: str) -> Figure:
    return _missing(unit) if value is None else Figure(value=value, unit=unit, basis=Basis.MEASURED)


def _missing(unit: str) -> Figure:
    return Figure(value=None, unit=unit, basis=Basis.NOT_MEASURED)


def _shown(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
