"""The verdict: who passed, in which order, and the sentence for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fdpipe.artifacts import Artifact, Candidate, CheckResult, Evaluation, Interval, Mark, Outcome, Stress, Trial, Verdict
from fdpipe.errors import StageError
from fdpipe.evidence import Evidence
from fdpipe.gate.batch_invariance import BatchInvariance, Unbatchable
from fdpipe.gate.quality import Quality
from fdpipe.gate.robustness import Robustness
from fdpipe.gate.speed import Speed
from fdpipe.interfaces import Check
from fdpipe.stages.beside import Beside
from fdpipe.stages.judge import judge
from fdpipe.store import LocalStore
from fdpipe.testing import FakeCheck, FakeMetric
from tests.contracts.gate import answers, beside, evaluation, measured, measurement, ratio

METRICS = {"accuracy": FakeMetric()}


def trial(recipe: str, found: Evaluation | None = None, reason: str | None = None) -> Trial:
    artifact = Artifact(kind="onnx", path=Path("model.onnx"), digest=recipe, size_bytes=1, inputs=(), outputs=())
    candidate = Candidate(runtime="rt", recipe=recipe)
    if reason is not None:
        return Trial(candidate=candidate, reason=reason)
    return Trial(candidate=candidate, artifact=artifact, evaluation=found or evaluation())


def verdict(checks: Mapping[str, Check], trials: Sequence[Trial], speeds: Mapping[str, Sequence[Interval | None]]) -> Verdict:
    of = measured(*[measurement(f"rt/{recipe}", *ratios) for recipe, ratios in speeds.items()])
    return judge.work(Path(), checks, METRICS, tuple(trials), of, beside(), {})


def test_the_best_comes_first_and_the_baseline_before_what_does_not_surely_beat_it() -> None:
    speeds = {
        "same": [Interval(low=0.97, middle=0.99, high=1.01)] * 2,
        "fast": [ratio(0.5), ratio(0.8)],
        "fastest": [ratio(0.4), ratio(0.7)],
        "slow": [ratio(1.02), ratio(1.02)],
    }
    found = verdict({"any": FakeCheck()}, [trial("none"), *map(trial, speeds)], speeds)
    assert found.outcome is Outcome.PASS
    assert found.passed == ("rt/fastest", "rt/fast", "rt/none", "rt/same", "rt/slow")
    assert found.reason == "rt/fastest passed every check and takes 0.53 (0.52–0.53) of the baseline's time"


def test_the_baseline_ships_when_nothing_beats_it() -> None:
    found = verdict({"speed": Speed()}, [trial("none"), trial("slow")], {"slow": [ratio(1.5)]})
    assert found.passed == ("rt/none",)
    assert found.reason == "rt/none passed every check and nothing that passed is surely faster"


def test_the_baseline_is_judged_by_the_other_checks() -> None:
    bad = evaluation(quality=0.5)
    found = verdict({"any": FakeCheck()}, [trial("none", bad), trial("fast")], {"fast": [ratio(0.5)]})
    assert found.passed == ("rt/fast",)


def test_all_refused_is_told_by_the_baseline() -> None:
    found = verdict({"any": FakeCheck(floor=1.1)}, [trial("none"), trial("fast")], {"fast": [ratio(0.5)]})
    assert found.outcome is Outcome.FAIL
    assert found.passed == ()
    assert found.reason == "any: rt/none has 0.970, the floor is 1.1; also refused: rt/fast by any"


def test_every_reason_is_told_of_the_first_and_every_check_of_the_others() -> None:
    checks: dict[str, Check] = {"quality": Quality(max_drop=-1), "any": FakeCheck(floor=1.1)}
    found = verdict(checks, [trial("none"), trial("fast")], {"fast": [ratio(0.5)]})
    assert "; any: rt/none " in found.reason
    assert found.reason.endswith("; also refused: rt/fast by quality and any")


def test_a_mark_is_kept_with_the_result() -> None:
    check = BatchInvariance(unbatchable=Unbatchable.MARK)
    found = verdict({"mine": check}, [trial("none"), trial("int8", evaluation(changed=3))], {"int8": [ratio(0.5)]})
    assert [one.mark for one in found.results] == [None, Mark.UNBATCHABLE]
    assert found.passed == ("rt/int8", "rt/none")


def test_every_check_is_asked_and_bears_the_name_that_configuration_gives_it() -> None:
    found = verdict({"mine": FakeCheck(), "fast": Speed()}, [trial("none"), trial("int8")], {"int8": [ratio(2.0)]})
    assert [(one.check, one.candidate, one.outcome.value) for one in found.results] == [
        ("mine", "rt/none", "pass"),
        ("fast", "rt/none", "pass"),
        ("mine", "rt/int8", "pass"),
        ("fast", "rt/int8", "fail"),
    ]


def test_an_empty_gate_fails() -> None:
    found = verdict({}, [trial("none")], {})
    assert (found.outcome, found.passed) == (Outcome.FAIL, ())
    assert "empty" in found.reason


def test_nothing_to_judge_fails() -> None:
    assert verdict({"any": FakeCheck()}, [], {}).outcome is Outcome.FAIL


WEAKER = [Outcome.INCONCLUSIVE, Outcome.ANOMALOUS]


def refusing(outcome: Outcome, *recipes: str) -> FakeCheck:
    return FakeCheck(refuses=tuple(f"rt/{recipe}" for recipe in recipes), outcome=outcome)


@pytest.mark.parametrize("weaker", WEAKER)
def test_the_outcome_is_that_of_the_candidate_that_came_nearest(weaker: Outcome) -> None:
    """It may still pass, whatever is sure of the others."""
    trials, speeds = [trial("none"), trial("int8")], {"int8": [ratio(0.5)]}
    checks: dict[str, Check] = {"hard": refusing(Outcome.FAIL, "none"), "weak": refusing(weaker, "none", "int8")}
    found = verdict(checks, trials, speeds)
    assert found.outcome is weaker
    assert found.reason == "weak: rt/int8 has 0.970, the floor is 0.9; also refused: rt/none by hard and weak"


@pytest.mark.parametrize("weaker", WEAKER)
def test_a_candidate_that_surely_fails_has_failed(weaker: Outcome) -> None:
    checks: dict[str, Check] = {"weak": refusing(weaker, "none"), "hard": refusing(Outcome.FAIL, "none")}
    found = verdict(checks, [trial("none")], {})
    assert found.outcome is Outcome.FAIL
    assert found.reason.startswith("weak: rt/none has 0.970, the floor is 0.9; hard: rt/none has 0.970")


def test_an_anomaly_is_told_before_what_is_inconclusive() -> None:
    checks: dict[str, Check] = {
        "few": refusing(Outcome.INCONCLUSIVE, "none", "int8"),
        "odd": refusing(Outcome.ANOMALOUS, "int8"),
    }
    found = verdict(checks, [trial("none"), trial("int8")], {"int8": [ratio(0.5)]})
    assert found.outcome is Outcome.ANOMALOUS
    assert found.reason.startswith("few: rt/int8 ")


@dataclass(frozen=True, kw_only=True)
class Wants:
    """A check that needs so many rows."""

    reason: str
    needed: int | None = 1300

    def judge(self, evidence: Evidence) -> CheckResult:
        return CheckResult(check="c", candidate="c", outcome=Outcome.INCONCLUSIVE, reason=self.reason, needed=self.needed)


@pytest.mark.parametrize("reason", ["may have lost 0.0112", "may have lost 0.1300 of 1300"])
def test_the_rows_that_would_decide_are_told_behind_the_checks_own_sentence(reason: str) -> None:
    """Whatever numbers that has: a figure that looks like the rows is none."""
    found = verdict({"quality": Wants(reason=reason)}, [trial("none")], {})
    assert found.reason == f"quality: rt/none {reason}: 1,300 rows would decide, there are 100"
    (result,) = found.results
    assert (result.reason, result.needed) == (f"{reason}: 1,300 rows would decide, there are 100", 1300)
    assert verdict({"quality": Wants(reason=reason, needed=None)}, [trial("none")], {}).results[0].reason == reason


@dataclass(frozen=True, kw_only=True)
class Careless:
    """A check that says pass with a figure that is none, or that breaks."""

    figure: float = float("nan")
    breaks: bool = False

    def judge(self, evidence: Evidence) -> CheckResult:
        if self.breaks:
            raise KeyError("accuracy")
        return CheckResult(check="c", candidate="somebody", outcome=Outcome.PASS, reason="fine", figure=self.figure)


def test_a_figure_that_is_not_finite_never_passes() -> None:
    (result,) = verdict({"careless": Careless()}, [trial("none")], {}).results
    assert (result.outcome, result.figure, result.candidate) == (Outcome.FAIL, None, "rt/none")


def test_a_check_that_breaks_is_an_error_and_no_verdict() -> None:
    with pytest.raises(StageError, match="gate: careless cannot judge rt/none: KeyError: 'accuracy'"):
        verdict({"careless": Careless(breaks=True)}, [trial("none")], {})


def test_a_candidate_that_failed_is_named() -> None:
    found = verdict({"any": FakeCheck()}, [trial("none"), trial("int8", reason="there are no calibration rows")], {})
    assert found.passed == ("rt/none",)
    assert found.reason.endswith("not judged: rt/int8 (there are no calibration rows)")


def test_the_overall_ratio_needs_every_batch_size() -> None:
    of = measured(measurement("rt/a", ratio(0.5), ratio(2.0)), measurement("rt/b", ratio(0.5), None))
    found = of.overall("rt/a")
    assert found is not None
    assert found.middle == pytest.approx(1.0)
    assert of.overall("rt/b") is None
    assert of.overall("rt/missing") is None
    assert of.overall("rt/none") is None


def test_a_passed_candidate_without_a_ratio_comes_last() -> None:
    found = verdict({"any": FakeCheck()}, [trial("none"), trial("unmeasured"), trial("slow")], {"slow": [ratio(1.5)]})
    assert found.passed == ("rt/none", "rt/slow", "rt/unmeasured")


def test_a_verdict_is_stored_and_read_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    of = measured(measurement("rt/fast", ratio(0.5)))
    arguments: Any = ({"quality": Quality()}, METRICS, (trial("none"), trial("fast")), of, beside(evaluation()), {})
    first = judge(store, *arguments)
    assert judge(store, *arguments) == first
    assert replace(first, provenance=None) == judge.work(tmp_path, *arguments)


def test_without_labels_the_agreement_is_what_is_judged() -> None:
    poor = replace(evaluation(), quality={"agreement": 0.9}, reference={"agreement": 1.0})
    good = replace(poor, quality={"agreement": 1.0})
    found = verdict({"quality": Quality(max_drop=0.05)}, [trial("none", good), trial("fast", poor)], {"fast": [ratio(0.5)]})
    assert found.passed == ("rt/none",)
    assert "lost 0.1000 agreement" in next(item.reason for item in found.results if item.outcome is Outcome.FAIL)


def test_what_was_not_put_to_corrupted_rows_that_the_baseline_was_is_refused() -> None:
    """And where the baseline could not be, nothing is concluded of others."""
    trials, checks = (trial("none"), trial("fast")), {"robustness": Robustness()}
    borne = Stress(
        corruption="noise", rows=100, quality={"accuracy": 1.0}, reference={"accuracy": 1.0}, answers=answers(),
        baseline_answers=answers(),
    )  # fmt: skip
    wanted = replace(beside(), corruptions=("noise",))

    def found(stress: Mapping[str, tuple[Stress, ...]], among: Beside = wanted) -> CheckResult:
        return judge.work(Path(), checks, METRICS, trials, measured(), among, stress).results[1]

    assert found({"rt/none": (borne,), "rt/fast": (borne,)}).outcome is Outcome.PASS
    without = found({"rt/none": (borne,)})
    assert without.outcome is Outcome.FAIL
    assert without.reason == "with noise it has no figure of accuracy, and the baseline has one"
    for nowhere in ({}, {"rt/none": (), "rt/fast": ()}):
        assert found(nowhere).outcome is Outcome.INCONCLUSIVE
        assert found(nowhere, beside()).outcome is Outcome.PASS, "none was asked for"


def test_what_died_in_the_benchmark_is_refused_whatever_the_gate_has() -> None:
    died = replace(measurement("rt/fast"), left="its process died: SIGSEGV")
    of = measured(measurement("rt/other", ratio(0.5)), died)
    found = judge.work(Path(), {"any": FakeCheck()}, METRICS, (trial("none"), trial("fast")), of, beside(), {})
    assert found.passed == ("rt/none",)
    assert [(one.check, one.outcome) for one in found.results if one.candidate == "rt/fast"] == [
        ("benchmark", Outcome.FAIL),
        ("any", Outcome.PASS),
    ]
