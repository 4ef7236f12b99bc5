"""budget: what was asked is kept, what was not measured or only estimated decides nothing, unless that is allowed."""

from dataclasses import replace
from typing import Any

import pytest

from fdpipe import workers
from fdpipe.artifacts import Basis, CheckResult, Figure, Measurement, Outcome
from fdpipe.errors import ConfigError
from fdpipe.evidence import Evidence
from fdpipe.gate.budget import Budget
from fdpipe.plan import Unmeasured
from tests.contracts.gate import CheckContract, evidence, measured, measurement, ratio

MIB = 2**20


def cost(energy: Figure | None = None, stress: object = (), **changes: Any) -> Evidence:  # noqa: ANN401 - any field of Measurement
    """A candidate of 2 MiB that takes 1.2 ms at batch 1 and 2.4 at batch 8, in 200 calls."""
    plain = measurement("rt/int8", ratio(0.5), ratio(0.5))
    small, large = plain.timings
    timings = (
        replace(small, calls=200, p99_ms=1.2, rows_per_s=1000.0),
        replace(large, batch=8, calls=200, p90_ms=2.0, p99_ms=2.4, rows_per_s=4000.0),
    )
    found: Measurement = replace(plain, **{"timings": timings, "size_bytes": 2 * MIB, **changes})
    energies = {} if energy is None else {"rt/int8": energy}
    return evidence(measured=replace(measured(found), energy=energies), stress=stress)


def joules(value: float | None, basis: Basis, method: str = "") -> Figure:
    return Figure(value=value, unit="J", basis=basis, method=method)


def judged(found: Evidence, **limits: Any) -> CheckResult:  # noqa: ANN401 - any field of Budget
    return Budget(**limits).judge(found)


class TestBudget(CheckContract):
    conf = "budget"

    def check(self) -> Budget:
        return Budget(p99_ms=2.0, memory_mib=100.0)

    def passing(self) -> Evidence:
        return cost(timings=cost().measured.measurements[1].timings[:1])

    def failing(self) -> Evidence:
        return cost()

    def broken(self) -> Evidence:
        return cost(timings=(), peak_rss_mib=None)

    @pytest.mark.parametrize(
        ("limit", "kept", "broken", "told"),
        [
            ("p99_ms", 2.4, 2.3, "the slowest call in a hundred is 2.4 ms (at batch 8), at most 2.3 ms is asked (gate.p99_ms)"),
            ("rows_per_s", 4000, 4001, "the throughput is 4,000 rows/s (at batch 8), at least 4,001 rows/s is asked"),
            ("memory_mib", 50, 49, "the peak memory is 50 MiB, at most 49 MiB is asked"),
            ("size_mib", 2, 1.9, "the size of its files is 2 MiB, at most 1.9 MiB is asked"),
            ("cold_start_ms", 2, 1.9, "loading and the first call is 2 ms, at most 1.9 ms is asked"),
            ("joules", 0.5, 0.4, "the energy of one row is 0.5 J (by a meter), at most 0.4 J is asked"),
        ],
    )
    def test_each_limit(self, limit: str, kept: float, broken: float, told: str) -> None:
        found = cost(joules(0.5, Basis.DERIVED, "by a meter"))
        assert judged(found, **{limit: kept}).outcome is Outcome.PASS
        result = judged(found, **{limit: broken})
        assert (result.outcome, result.limit) == (Outcome.FAIL, broken)
        assert result.reason.startswith(told)

    def test_nothing_is_asked_by_itself(self) -> None:
        result = judged(cost(timings=(), peak_rss_mib=None))
        assert (result.outcome, result.reason, result.findings) == (Outcome.PASS, "no limit is set", ())

    def test_every_limit_is_a_finding_the_gravest_first(self) -> None:
        result = judged(cost(peak_rss_mib=None), p99_ms=3, memory_mib=50, size_mib=1, cold_start_ms=1)
        assert [(one.name, one.outcome) for one in result.findings] == [
            ("size_mib", Outcome.FAIL),
            ("cold_start_ms", Outcome.FAIL),
            ("memory_mib", Outcome.INCONCLUSIVE),
            ("p99_ms", Outcome.PASS),
        ]
        assert (result.figure, result.limit, result.unit) == (2.0, 1, "MiB")
        assert result.reason.count("; ") == 1, "both that fail are told"

    # --- what is not measured -----------------------------------------------------------------------------------------

    def test_what_was_not_measured_decides_nothing(self) -> None:
        result = judged(cost(peak_rss_mib=None), memory_mib=50)
        assert (result.outcome, result.figure) == (Outcome.INCONCLUSIVE, None)
        assert result.reason == (
            "the peak memory is not measured, gate.unmeasured=allow would let it through, at most 50 MiB is asked "
            "(gate.memory_mib)"
        )
        allowed = judged(cost(peak_rss_mib=None), memory_mib=50, unmeasured=Unmeasured.ALLOW)
        assert allowed.outcome is Outcome.PASS
        assert "not measured, let through by gate.unmeasured=allow" in allowed.reason

    def test_an_estimate_decides_only_where_that_is_allowed(self) -> None:
        for value in (0.1, 0.9):
            found = cost(joules(value, Basis.ESTIMATED, "processor time and its declared power"))
            result = judged(found, joules=0.5)
            assert result.outcome is Outcome.INCONCLUSIVE
            assert f"estimated as {value} J (processor time and its declared power), which decides only with" in result.reason
            allowed = judged(found, joules=0.5, unmeasured=Unmeasured.ALLOW).outcome
            assert allowed is (Outcome.PASS if value < 0.5 else Outcome.FAIL)

    def test_why_energy_is_not_measured_is_told(self) -> None:
        found = cost(joules(None, Basis.NOT_MEASURED, "no meter can be read"))
        assert "not measured (no meter can be read)" in judged(found, joules=0.5).reason

    def test_the_slowest_of_few_calls_is_no_percentile(self) -> None:
        few = tuple(replace(one, calls=99) for one in cost().measured.measurements[1].timings)
        result = judged(cost(timings=few), p99_ms=2.5)
        assert result.outcome is Outcome.INCONCLUSIVE
        assert "99 calls at batch 1 are too few, measure longer (benchmark.seconds)" in result.reason
        broken = judged(cost(timings=few), p99_ms=1.9)
        assert broken.outcome is Outcome.FAIL
        assert "is 2 ms (at batch 8, or longer: of 99 calls every tenth is), at most 1.9 ms is asked" in broken.reason

    def test_a_length_is_told_with_the_batch_size(self) -> None:
        long = tuple(replace(one, length=128) for one in cost().measured.measurements[1].timings)
        assert "(at batch 8 of length 128)" in judged(cost(timings=long), p99_ms=2.0).reason

    def test_of_what_was_not_measured_the_size_is_known(self) -> None:
        found = replace(evidence(measured=measured(), size_bytes=3 * MIB), stress=())
        assert judged(found, size_mib=2).outcome is Outcome.FAIL
        assert judged(found, size_mib=3).outcome is Outcome.PASS
        assert judged(found, size_mib=3, p99_ms=1).outcome is Outcome.INCONCLUSIVE

    # --- a first impression -------------------------------------------------------------------------------------------

    def test_on_a_first_impression_nothing_is_missed(self) -> None:
        found = cost(stress=None, peak_rss_mib=None)
        assert judged(found, memory_mib=1, joules=1).outcome is Outcome.PASS
        assert judged(found, memory_mib=1, size_mib=1).outcome is Outcome.FAIL

    def test_on_a_first_impression_times_must_be_far_beyond(self) -> None:
        found = cost(stress=None)
        for limits in ({"p99_ms": 2.0}, {"rows_per_s": 5000}, {"cold_start_ms": 1.5}):
            assert judged(found, **limits).outcome is Outcome.PASS
            assert judged(cost(), **limits).outcome is Outcome.FAIL
        for limits in ({"p99_ms": 1.0}, {"rows_per_s": 7000}, {"cold_start_ms": 1.0}):
            assert judged(found, **limits).outcome is Outcome.FAIL

    # --- settings -----------------------------------------------------------------------------------------------------

    def test_the_baseline_is_judged_too(self) -> None:
        assert judged(replace(cost(), is_baseline=True), size_mib=1).outcome is Outcome.FAIL

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_limit_can_be_kept(self, limit: float) -> None:
        with pytest.raises(ConfigError, match="joules must be above 0"):
            workers.build("gate", {"_target_": "fdpipe.gate.budget.Budget", "joules": limit})
