"""Each kind of bad candidate, put through the line beside a good one: the right check refuses it, and no other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import Batch, load_arrays
from fdpipe.artifacts import GOLDEN_ANSWER, GOLDEN_TOGETHER, Aspect, Manifest, Mark, Outcome, Record, Rejection
from fdpipe.content import from_json
from fdpipe.errors import Exit
from fdpipe.execution import exit_code
from fdpipe.gate.batch_invariance import BatchInvariance, Unbatchable
from fdpipe.gate.budget import Budget
from fdpipe.gate.incumbent import Incumbent
from fdpipe.gate.quality import Quality
from fdpipe.gate.robustness import Robustness
from fdpipe.gate.slices import Slices
from fdpipe.gate.speed import Speed
from fdpipe.home import home as state_home
from fdpipe.interfaces import Check
from fdpipe.metric.accuracy import Accuracy
from fdpipe.pipeline import run
from fdpipe.plan import Benchmark, DataPlan, Plan, Recipe
from fdpipe.releases import Releases
from fdpipe.slicer.by_column import ByColumn
from fdpipe.stages.beside import Beside
from fdpipe.stages.judge import verdict_on
from fdpipe.testing import FakeCheck, FakeDataset, FakeDeployer, FakePass, FakeSource
from fdpipe.testing.rehearsal import Rehearsal, fake_plan
from tests.states import own_state

MIB = 2**20
BAD: Mapping[str, FakePass] = {
    "batch_dependent": FakePass(flaw="batch", share=0.5),
    "hurts_a_slice": FakePass(flaw="rare", share=0.5),
    "answers_nan": FakePass(flaw="blank", share=0.5),
    "too_good": FakePass(wrong_percent=-10, share=0.5),
    "slow": FakePass(share=4.0),
    "over_budget": FakePass(weight=2 * MIB, share=0.5),
    "fragile": FakePass(flaw="fragile", share=0.5),
    "worse_than_deployed": FakePass(wrong_percent=7, share=0.5),
}
REFUSED_BY: Mapping[str, tuple[str, Outcome]] = {
    "batch_dependent": ("batch_invariance", Outcome.FAIL),
    "hurts_a_slice": ("slices", Outcome.FAIL),
    "answers_nan": ("answers", Outcome.FAIL),
    "too_good": ("quality", Outcome.ANOMALOUS),
    "slow": ("speed", Outcome.FAIL),
    "over_budget": ("budget", Outcome.FAIL),
    "fragile": ("robustness", Outcome.FAIL),
    "worse_than_deployed": ("incumbent", Outcome.FAIL),
}
"""The check that must refuse it, and how."""
ALSO: Mapping[str, set[str]] = {"answers_nan": {"quality", "incumbent", "slices", "robustness"}}
"""What is no number may fail wherever it is looked at."""

GATE: Mapping[str, Check] = {
    "quality": Quality(max_drop=0.1, implausible_gain=0.05),
    "incumbent": Incumbent(max_drop=0.04),
    "speed": Speed(),
    "budget": Budget(size_mib=1.0),
    "batch_invariance": BatchInvariance(),
    "slices": Slices(max_drop=0.3),
    "robustness": Robustness(max_drop=0.1),
}


@dataclass(frozen=True, kw_only=True)
class Magnified:
    """All numbers but the first four times as large."""

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        return {"x": features["x"] * np.array([1, 4, 4, 4], np.float32)}


def plan(**changes: object) -> Plan:
    """An original that is wrong in a tenth of the rows, on 2,000 of them."""
    wanted: dict[str, object] = {
        "source": FakeSource(wrong_percent=10),
        "data": DataPlan(evaluation=FakeDataset(rows=2000), calibration=FakeDataset(seed=1)),
        "metric": {"accuracy": Accuracy()},
        "slicer": {"first": ByColumn(columns=("x.0",), bins=40)},
        "corruption": {"magnified": Magnified()},
        "gate": GATE,
        "benchmark": Benchmark(batch_sizes=(1,), seconds=0.3, trial_seconds=0.05, warmup_calls=1, memory=False),
    }
    return fake_plan(**{**wanted, **changes})


GOOD = {"none": Recipe(), "half": Recipe(passes=(FakePass(share=0.5),))}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """All of them in one run, with a release that is deployed and as good as the original."""
    with own_state(tmp_path_factory.mktemp("home")):
        first = run(plan(recipe={"none": Recipe()}), call=Rehearsal())
        assert first.release is not None
        releases = Releases(state_home() / "releases.sqlite", state_home() / "store")
        releases.go_live(releases.begin(first.release), "http://127.0.0.1:3000", 1)
        bad = {name: Recipe(passes=(one,)) for name, one in BAD.items()}
        yield run(plan(recipe={**GOOD, **bad}), call=Rehearsal())


def refusals(record: Record, recipe: str) -> dict[str, Outcome]:
    """What refused it, but for a machine that was too noisy to tell its speed."""
    results = [one for one in record.verdict.results if one.candidate == f"fake/{recipe}"]
    assert {one.check for one in results} >= set(GATE), "every check was asked"
    noisy = [one for one in results if one.aspect is Aspect.SPEED and one.outcome is Outcome.INCONCLUSIVE]
    return {one.check: one.outcome for one in results if one.outcome is not Outcome.PASS and one not in noisy}


@pytest.mark.parametrize("recipe", REFUSED_BY)
def test_it_is_refused_by_the_right_check_and_by_no_other(record: Record, recipe: str) -> None:
    check, outcome = REFUSED_BY[recipe]
    refused = refusals(record, recipe)
    assert refused.pop(check) is outcome
    assert set(refused) <= ALSO.get(recipe, set())
    assert f"fake/{recipe}" not in record.verdict.passed


def test_what_is_good_passes_and_ships(record: Record) -> None:
    assert record.incumbent is not None
    assert refusals(record, "none") == refusals(record, "half") == {}
    assert set(record.verdict.passed) <= {"fake/half", "fake/none"}
    assert record.release is not None
    assert exit_code(record) is Exit.DONE


@pytest.mark.parametrize("recipe", REFUSED_BY)
def test_where_nothing_else_is_left_the_run_ends_with_its_exit_code(record: Record, recipe: str) -> None:
    """The baseline is refused by another check: then what became of the candidate that came nearer decides."""
    check, outcome = REFUSED_BY[recipe]
    none, bad = (next(one for one in record.trials if one.candidate.recipe == name) for name in ("none", recipe))
    checks = {name: one for name, one in GATE.items() if name != "speed" or recipe == "slow"}
    checks["another"] = FakeCheck(floor=0.0, refuses=("fake/none",))
    beside = Beside(
        rows=record.data.evaluation, task=record.baseline.task, reference=record.baseline.reference,
        slicer=plan().slicer, incumbent=none.evaluation, incumbent_release=record.incumbent,
    )  # fmt: skip
    found = verdict_on(checks, plan().metric, (none, bad), record.measured, beside, record.stress)
    assert found.outcome is outcome
    assert check in found.reason
    refused = replace(record, verdict=found, deployment=None, rejection=Rejection(outcome=found.outcome, reason=found.reason))
    assert exit_code(refused) is {Outcome.FAIL: Exit.REJECTED, Outcome.ANOMALOUS: Exit.ANOMALOUS}[outcome]


def test_where_the_rows_are_too_few_nothing_is_concluded_and_the_reason_says_how_many_would_do(home: Path) -> None:
    """64 rows without a single difference do not show that at most one in a hundred is lost."""
    found = run(fake_plan(recipe={"none": Recipe()}, gate={"quality": Quality(max_drop=0.01)}), call=Rehearsal())
    assert found.rejection is not None
    assert (found.rejection.outcome, exit_code(found)) == (Outcome.INCONCLUSIVE, Exit.INCONCLUSIVE)
    (result,) = found.verdict.results
    assert result.needed is not None
    assert result.needed > 64
    assert found.rejection.reason.startswith("quality: fake/none ")
    assert f"{result.needed:,} rows would decide" in found.rejection.reason


def test_a_marked_one_ships_and_its_release_says_so(record: Record) -> None:
    """Where that is asked for: `gate.unbatchable=mark`."""
    bad = next(one for one in record.trials if one.candidate.recipe == "batch_dependent")
    beside = Beside(rows=record.data.evaluation, task=record.baseline.task, reference=record.baseline.reference, slicer={})
    checks = {"batch_invariance": BatchInvariance(unbatchable=Unbatchable.MARK)}
    found = verdict_on(checks, plan().metric, (record.trials[0], bad), record.measured, beside, record.stress)
    assert [one.mark for one in found.results] == [None, Mark.UNBATCHABLE]
    assert "fake/batch_dependent" in found.passed


def test_what_is_marked_is_served_and_proved_for_real(home: Path, tmp_path: Path) -> None:
    """A Bento of a candidate whose answers depend on the rows of its request: each request has its own right answer."""
    crowd = Recipe(passes=(FakePass(flaw="crowd", share=0.5),))
    marking: Mapping[str, Check] = {"batch_invariance": BatchInvariance(unbatchable=Unbatchable.MARK)}
    found = run(
        fake_plan(recipe={"none": Recipe(), "crowd": crowd}, gate=marking, deployer=FakeDeployer(record=tmp_path / "on"))
    )
    assert found.release is not None
    assert found.release.candidate.recipe == "crowd"
    assert found.proof is not None
    assert found.proof.holds, found.proof.reason
    manifest = from_json(found.release.manifest.read_bytes(), Manifest, found.release.manifest.parent)
    assert not manifest.batchable
    golden = load_arrays(found.release.golden)
    alone, together = (golden[f"{prefix}probabilities"] for prefix in (GOLDEN_ANSWER, GOLDEN_TOGETHER))
    assert np.abs(alone - together).max() > 0.1
