"""What the artifacts compute of themselves."""

from dataclasses import replace
from statistics import StatisticsError

import pytest

from fdpipe.artifacts import CheckResult, Interval, Measurement, Outcome, Verdict


def test_the_mean_of_ratios_is_geometric_at_each_end() -> None:
    found = Interval.mean([Interval(low=0.1, middle=0.5, high=1.0), Interval(low=0.4, middle=2.0, high=4.0)])
    assert [found.low, found.middle, found.high] == pytest.approx([0.2, 1.0, 2.0])
    with pytest.raises(StatisticsError):
        Interval.mean([])


def test_files_are_told_in_mebibytes() -> None:
    own = Measurement(candidate="a", timings=(), load_ms=None, first_call_ms=None, peak_rss_mib=None, size_bytes=3 << 19)
    assert own.size_mib == 1.5
    assert replace(own, size_bytes=0).size_mib == 0


def test_a_verdict_holds_what_was_said_of_each_candidate() -> None:
    results = tuple(
        CheckResult(check=check, candidate=name, outcome=Outcome.PASS, reason="it holds")
        for name in ("ort/none", "ort/int8")
        for check in ("quality", "speed")
    )
    verdict = Verdict(outcome=Outcome.PASS, passed=("ort/int8",), results=results, reason="it passes")
    assert verdict.of("ort/int8") == results[2:]
    assert verdict.of("nosuch") == ()
