"""The trend: the newest choice beside the last release on the same machine, by intervals, never by another day's clock."""

from dataclasses import replace

import pytest

from fdpipe.artifacts import Interval, Machine, Measurement, Timing
from fdpipe.history import Fate, PastMeasurement
from fdpipe.trend import compare, series_of, sparkline

HERE = Machine(
    processor="A", cores=2, memory_gib=8, system="Linux x86_64", instruction_sets=(), fingerprint="a" * 16,
)  # fmt: skip
THERE = replace(HERE, processor="B", fingerprint="b" * 16)


def around(middle: float, width: float = 0.02) -> Interval:
    return Interval(low=middle * (1 - width), middle=middle, high=middle * (1 + width))


def timing(ratio: Interval | None, batch: int = 1, p50_ms: float = 1.0) -> Timing:
    return Timing(batch=batch, calls=10, p50_ms=p50_ms, p90_ms=2.0, p99_ms=3.0, rows_per_s=1e3, ratio=ratio)


def entry(*timings: Timing, moment: float = 0.0, candidate: str = "ort/fused", standing: Fate = Fate.DEPLOYED,
          machine: Machine = HERE, target: str = "cpu", threads: int = 2) -> PastMeasurement:  # fmt: skip
    measurement = Measurement(
        candidate=candidate, timings=timings, load_ms=1.0, first_call_ms=1.0, peak_rss_mib=None, size_bytes=1
    )
    return PastMeasurement(
        benchmark=str(moment), time=moment, model="digits", version=str(moment), target=target, candidate=candidate,
        baseline="ort/none", threads=threads, standing=standing, release=None, machine=machine, ratio=None,
        measurement=measurement,
    )  # fmt: skip


def test_a_regression_is_beyond_both_intervals_and_the_share() -> None:
    found = compare(entry(timing(around(0.5))), entry(timing(around(0.6))))
    assert found.regressed
    assert found.relative == pytest.approx(1.2)
    assert found.reason == "its relative time grew by 20.0%, more than 5%, and the intervals do not meet"


@pytest.mark.parametrize(
    ("before", "after", "above", "why"),
    [
        (around(0.5, 0.2), around(0.6, 0.2), 0.05, "grew by 20.0%, and the intervals meet"),
        (around(0.5, 0.001), around(0.51, 0.001), 0.05, "grew by 2.0%, no more than 5%"),
        (around(0.5, 0.001), around(0.6, 0.001), 0.25, "grew by 20.0%, no more than 25%"),
        (around(0.6), around(0.5), 0.05, "did not grow"),
    ],
)
def test_less_is_none(before: Interval, after: Interval, above: float, why: str) -> None:
    found = compare(entry(timing(before)), entry(timing(after)), above)
    assert not found.regressed
    assert why in found.reason


def test_a_slow_day_is_no_regression() -> None:
    found = compare(entry(timing(around(0.5), p50_ms=1.0)), entry(timing(around(0.5), p50_ms=3.0)))
    assert not found.regressed
    assert found.p50 == pytest.approx(3.0), "the time is told, and decides nothing"


def test_only_what_was_measured_both_times_is_compared() -> None:
    before = entry(timing(around(0.5)), timing(around(0.9), batch=8))
    after = entry(timing(around(0.5)), timing(around(5.0), batch=32))
    assert compare(before, after).relative == pytest.approx(1.0)
    assert compare(before, entry(timing(around(0.5), batch=64))).reason == (
        "they cannot be compared: no batch size was measured both times"
    )


def test_several_batch_sizes_are_one_geometric_mean() -> None:
    before = entry(timing(around(0.5)), timing(around(0.5), batch=8))
    after = entry(timing(around(0.5)), timing(around(0.72), batch=8))
    assert compare(before, after).relative == pytest.approx(1.2)


def test_the_baseline_is_its_own_measure() -> None:
    before = entry(timing(around(0.5)))
    after = entry(timing(None), candidate="ort/none")
    assert compare(before, after).relative == pytest.approx(2.0)
    assert compare(before, after).regressed


def test_what_cannot_be_compared_is_not_flagged() -> None:
    slower = entry(timing(around(0.9)), threads=1)
    assert compare(entry(timing(around(0.5))), slower).reason.endswith("they ran with 2 and 1 threads")
    blind = entry(timing(None))
    found = compare(entry(timing(around(0.5))), blind)
    assert (found.relative, found.regressed) == (None, False)
    assert "no ratio" in found.reason


def test_the_newest_choice_is_compared_with_the_last_release() -> None:
    first = entry(timing(around(0.4)), moment=1)
    refused = entry(timing(around(9.0)), moment=2, standing=Fate.MEASURED)
    dry = entry(timing(around(0.1)), moment=3, standing=Fate.CHOSEN)
    newest = entry(timing(around(0.5)), moment=4, standing=Fate.CHOSEN)
    (found,) = series_of([newest, refused, first, dry])
    assert [one.time for one in found.entries] == [1, 3, 4]
    assert found.change is not None
    assert found.change.before.time == 1
    assert found.change.regressed


def test_machines_and_targets_never_meet() -> None:
    entries = [
        entry(timing(around(0.4)), moment=1),
        entry(timing(around(0.9)), moment=2, machine=THERE),
        entry(timing(around(0.9)), moment=3, target="arm"),
    ]
    found = series_of(entries)
    assert {(one.target, one.machine.processor) for one in found} == {("cpu", "A"), ("cpu", "B"), ("arm", "A")}
    assert [one.change for one in found] == [None, None, None]


def test_bars_begin_at_nothing() -> None:
    assert sparkline([1.0, 0.5, 0.8]) == "█▅▇"
    assert sparkline([]) == sparkline([0.0]) == ""
