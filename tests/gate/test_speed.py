"""speed: surely faster than the baseline, or the simpler one is kept; what is too noisy to tell decides nothing."""

from dataclasses import replace

import pytest

from fdpipe import workers
from fdpipe.artifacts import Health, Interval, Outcome, Pace
from fdpipe.errors import ConfigError
from fdpipe.evidence import Evidence
from fdpipe.gate.speed import Speed
from tests.contracts.gate import CheckContract, evidence, measured, measurement, ratio


def between(low: float, high: float) -> Interval:
    return Interval(low=low, middle=(low * high) ** 0.5, high=high)


def speeds(
    *ratios: Interval | None,
    pace: Pace = Pace.TOO_NOISY,
    noise: Interval | None = None,
    length: int | None = None,
    left: str = "",
    noise_unknown: str = "",
) -> Evidence:
    found = measurement("rt/int8", *ratios)
    timings = tuple(replace(one, pace=pace, length=length) for one in found.timings)
    health = Health(load_before=0.1, load_after=0.2, disturbed_share=0.0, noise=noise, noise_unknown=noise_unknown)
    return evidence(measured=replace(measured(replace(found, timings=timings, left=left)), health=health))


class TestSpeed(CheckContract):
    conf = "speed"

    def check(self) -> Speed:
        return Speed()

    def failing(self) -> Evidence:
        return speeds(ratio(0.5), ratio(1.2))

    def broken(self) -> Evidence:
        return speeds(ratio(0.5), None)

    def outcome(self, *ratios: Interval, min_speedup: float = 1.0, **measuring: object) -> Outcome:
        return Speed(min_speedup=min_speedup).judge(speeds(*ratios, **measuring)).outcome  # type: ignore[arg-type]

    def test_an_unmeasured_candidate_fails(self) -> None:
        assert self.result(evidence(measured=measured())).outcome is Outcome.FAIL
        assert self.result(speeds()).outcome is Outcome.FAIL
        assert self.result(speeds(between(float("nan"), 2.0))).outcome is Outcome.FAIL

    # --- over all sizes -----------------------------------------------------------------------------------------------

    def test_the_whole_interval_must_be_below_the_limit(self) -> None:
        assert self.outcome(between(0.9, 0.999)) is Outcome.PASS
        assert self.outcome(between(0.9, 1.0)) is Outcome.INCONCLUSIVE
        assert self.outcome(between(0.82, 0.83), min_speedup=1.2) is Outcome.PASS
        assert self.outcome(between(0.85, 0.86), min_speedup=1.2) is Outcome.FAIL

    def test_it_is_the_mean_over_the_sizes_that_counts(self) -> None:
        assert self.outcome(between(0.7, 0.71), between(1.01, 1.02)) is Outcome.PASS
        assert self.outcome(between(1.0, 1.02), between(1.0, 1.02)) is Outcome.FAIL

    def test_what_is_surely_not_faster_fails_and_says_that_the_simpler_is_kept(self) -> None:
        result = self.result(speeds(between(1.0, 1.02)))
        assert result.outcome is Outcome.FAIL
        assert result.reason == (
            "takes 1.010 (1.000–1.020) of the baseline's time over all sizes, it must surely be below 1: "
            "the simpler one is kept"
        )
        assert result.figure == pytest.approx(1.00995)
        assert (result.limit, result.unit) == (1.0, "of the baseline's time")

    def test_what_is_as_fast_is_told_from_what_is_too_noisy_to_tell(self) -> None:
        """Both lie on both sides of the limit."""
        assert self.outcome(between(0.99, 1.009)) is Outcome.FAIL, "known to within 2 %: as fast"
        assert self.outcome(between(0.97, 1.03)) is Outcome.INCONCLUSIVE
        assert self.outcome(between(0.97, 1.03), pace=Pace.ALIKE) is Outcome.FAIL, "the benchmark says that it is as fast"

    def test_a_speed_up_that_is_not_known_well_enough_is_inconclusive(self) -> None:
        """Surely faster, and whether by so much is not told: the benchmark ended when the sign was sure."""
        assert self.outcome(between(0.8, 0.9), min_speedup=1.2, pace=Pace.FASTER) is Outcome.INCONCLUSIVE
        assert self.outcome(between(0.83, 0.84), min_speedup=1.2, pace=Pace.FASTER) is Outcome.FAIL

    def test_too_noisy_is_told_with_the_noise_and_what_to_do(self) -> None:
        found = speeds(between(0.9, 1.1), noise=between(0.93, 1.07), left="another is twice as fast")
        result = self.result(found)
        assert result.outcome is Outcome.INCONCLUSIVE
        assert result.reason == (
            "takes 0.995 (0.900–1.100) of the baseline's time over all sizes, it must surely be below 1: too noisy to tell "
            "(the baseline takes 0.930–1.070 of its own time), measure longer (benchmark.seconds) or where it is quieter; "
            "it left early: another is twice as fast"
        )

    def test_no_ratio_is_known_better_than_the_baseline_s_own(self) -> None:
        """Where the baseline surely differs from itself, that much of a difference is nothing."""
        biased = between(1.03, 1.05)
        assert self.outcome(between(0.96, 0.98), noise=between(0.98, 1.02)) is Outcome.PASS
        assert self.outcome(between(0.96, 0.98), noise=biased) is Outcome.INCONCLUSIVE
        assert self.outcome(between(0.96, 0.98), noise=between(0.95, 0.97)) is Outcome.INCONCLUSIVE
        assert self.outcome(between(0.9, 0.95), noise=biased) is Outcome.PASS
        assert self.outcome(between(1.05, 1.06), noise=biased) is Outcome.FAIL

    def test_where_the_noise_floor_was_asked_for_and_is_not_known_nothing_is_concluded(self) -> None:
        for sure in (between(0.3, 0.31), between(2.0, 2.1), between(0.99, 1.001)):
            assert self.outcome(sure, noise_unknown="the second process was lost: it hung") is Outcome.INCONCLUSIVE
        assert self.result(speeds(between(0.3, 0.31), noise_unknown="the second process was lost: it hung")).reason == (
            "takes 0.305 (0.300–0.310) of the baseline's time over all sizes, it must surely be below 1: by how much this "
            "machine's noise moves it is not known (the second process was lost: it hung), measure again"
        )

    # --- at each size -------------------------------------------------------------------------------------------------

    def test_at_a_size_only_the_lower_end_counts(self) -> None:
        assert self.result(speeds(ratio(0.1), Interval(low=1.03, middle=1.3, high=2.0))).outcome is Outcome.PASS
        assert self.result(speeds(ratio(0.1), Interval(low=1.031, middle=1.3, high=2.0))).outcome is Outcome.FAIL

    def test_the_worst_size_is_told(self) -> None:
        result = self.result(speeds(ratio(0.5), ratio(1.1), ratio(1.2)))
        assert result.reason == "takes 1.200 (1.188–1.212) of the baseline's time at batch 3, at most 1.03 is allowed"
        assert result.figure == pytest.approx(1.2)
        assert result.limit == 1.03
        assert [one.name for one in result.findings] == ["at batch 3", "over all sizes", "at batch 2", "at batch 1"]

    def test_a_length_is_told_with_the_size(self) -> None:
        assert "at batch 1 of length 128," in self.result(speeds(ratio(1.2), length=128)).reason

    def test_what_is_surely_slower_at_a_size_fails_however_noisy_the_rest(self) -> None:
        assert self.outcome(between(0.3, 3.0), ratio(1.2)) is Outcome.FAIL

    # --- the baseline -------------------------------------------------------------------------------------------------

    def test_the_baseline_is_exempt(self) -> None:
        assert self.result(evidence(is_baseline=True, measured=measured())).outcome is Outcome.PASS

    def test_the_baseline_is_refused_where_an_improvement_is_required(self) -> None:
        strict = Speed(require_improvement=True)
        result = strict.judge(evidence(is_baseline=True, measured=measured()))
        assert result.outcome is Outcome.FAIL
        assert result.reason == "is the baseline itself, and gate.require_improvement wants something faster"
        assert strict.judge(self.passing()).outcome is Outcome.PASS

    @pytest.mark.parametrize(("setting", "value"), [("slower_above", 0), ("min_speedup", 0.9), ("min_speedup", 0.999)])
    def test_the_limits_are_ratios(self, setting: str, value: float) -> None:
        with pytest.raises(ConfigError, match=f"{setting} is a ratio of times"):
            workers.build("gate", {"_target_": "fdpipe.gate.speed.Speed", setting: value})
