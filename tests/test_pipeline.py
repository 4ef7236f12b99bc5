"""The line, with fake workers: what is called in which order, and what comes of it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import Outcome, Record
from fdpipe.corruption.noise import Noise
from fdpipe.corruption.typos import Typos
from fdpipe.errors import ConfigError, ConversionError, DeploymentError, Exit, MissingExtra, SourceError, StageError, StoreError
from fdpipe.gate.quality import Quality
from fdpipe.gate.robustness import Robustness
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.f1 import F1
from fdpipe.pipeline import Incumbent, run
from fdpipe.plan import Benchmark, DataPlan, Plan, Recipe
from fdpipe.progress import Event
from fdpipe.releases import Releases
from fdpipe.slicer.by_column import ByColumn
from fdpipe.store import LocalStore
from fdpipe.testing import (
    FakeCalibrator,
    FakeCheck,
    FakeConverter,
    FakeDataset,
    FakeDeployer,
    FakeMetric,
    FakePass,
    FakeQuantizer,
    FakeRuntime,
    FakeSource,
)
from fdpipe.testing.rehearsal import Rehearsal, fake_plan


@dataclass(frozen=True, kw_only=True)
class SelfWilled(FakeMetric):
    """Judges by answers that the original does not give."""

    def truth(self, original: Batch) -> np.ndarray | None:
        """None."""
        return original.get("embedding")


WORSE = Recipe(passes=(FakePass(share=0.25, wrong_percent=40),))
FASTEST = Recipe(passes=(FakePass(share=0.25),))


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """Every line has a state folder of its own."""


def recipes(**more: Recipe) -> dict[str, Recipe]:
    return {"none": Recipe(), "half": Recipe(passes=(FakePass(share=0.5),))} | more


def rehearse(**changes: Any) -> Record:  # noqa: ANN401 - any field of Plan
    return run(fake_plan(**changes), call=Rehearsal())


def published(plan: Plan) -> list[Any]:
    assert isinstance(plan.source, FakeSource)
    assert plan.source.published is not None
    return [json.loads(line) for line in plan.source.published.read_text().splitlines()]


# --- to a deployment --------------------------------------------------------------------------------------------------


def test_the_steps_come_in_their_order() -> None:
    rehearsal = Rehearsal()
    record = run(fake_plan(), call=rehearsal)
    assert rehearsal.steps == [
        "resolve",
        "fetch",
        "gather",
        "convert",
        "trial fake/none",
        "trial fake/half",
        "benchmark",
        "energy",
        "judge",
        "package",
        "prove",
        "deploy",
        "publish",
    ]
    assert record.rejection is None
    assert record.deployment is not None
    assert record.release is not None
    assert record.release.candidate.name == "fake/half"
    assert record.measured.baseline == "fake/none"
    assert record.proof is not None
    assert record.proof.holds


def test_what_is_deployed_is_published_with_its_alias(tmp_path: Path) -> None:
    plan = fake_plan(source=FakeSource(published=tmp_path / "published"), deployer=FakeDeployer(record=tmp_path / "running"))
    run(plan, call=Rehearsal())
    (line,) = published(plan)
    assert line["alias"] == "deployed-here"
    assert line["tags"]["fdpipe.here.candidate"] == "fake/half"
    assert line["tags"]["fdpipe.here.verdict"] == "pass"
    assert float(line["tags"]["fdpipe.here.accuracy"]) == 1.0


def test_a_second_run_reuses_everything_and_publishes_again_in_case_the_first_was_killed(
    tmp_path: Path, events: list[Event]
) -> None:
    plan = fake_plan(source=FakeSource(published=tmp_path / "published"), deployer=FakeDeployer(record=tmp_path / "running"))
    first = run(plan, call=Rehearsal())
    events.clear()
    second = run(plan, call=Rehearsal())
    assert second.deployment is not None
    assert not second.deployment.changed
    assert second.measured == first.measured
    reused = {event.step for event in events if event.kind == "reused"}
    assert reused >= {"fetch", "gather", "convert", "trial fake/none", "trial fake/half", "benchmark", "judge", "deploy"}
    assert {event.step for event in events if event.kind == "done"} == {"resolve", "package", "prove", "publish"}
    assert len(published(plan)) == 2


def test_a_dry_run_sets_no_alias(tmp_path: Path) -> None:
    plan = fake_plan(source=FakeSource(published=tmp_path / "published"), deployer=FakeDeployer())
    assert run(plan, call=Rehearsal()).deployment is not None
    assert [line["alias"] for line in published(plan)] == [None]


def test_a_pinned_plan_asks_the_registry_for_nothing() -> None:
    plan = fake_plan()
    rehearsal = Rehearsal()
    record = run(plan.pin(plan.source.resolve("fake/1")), call=rehearsal)
    assert "resolve" not in rehearsal.steps
    assert record.model.version == "1"


def test_finalists_are_put_to_corrupted_rows_before_they_are_judged() -> None:
    rehearsal = Rehearsal()
    gate = {"floor": FakeCheck(), "robustness": Robustness(max_drop=0.2)}
    record = run(fake_plan(corruption={"noise": Noise(), "typos": Typos()}, gate=gate), call=rehearsal)
    place = rehearsal.steps.index("stress")
    assert rehearsal.steps.index("benchmark") < place < rehearsal.steps.index("judge")
    assert {name: [one.corruption for one in every] for name, every in record.stress.items()} == {
        "fake/none": ["noise"], "fake/half": ["noise"],
    }  # fmt: skip
    judged = {one.candidate: one for one in record.verdict.results if one.check == "robustness"}
    assert [one.name for one in judged["fake/half"].findings] == ["noise"]
    assert judged["fake/none"].findings == ()


# --- candidates -------------------------------------------------------------------------------------------------------


def test_the_baseline_is_a_candidate_whatever_the_recipes() -> None:
    record = rehearse(recipe={"half": Recipe(passes=(FakePass(share=2.0),))})
    assert [trial.candidate.name for trial in record.trials] == ["fake/none", "fake/half"]
    assert record.release is not None
    assert record.release.candidate.name == "fake/none", "it ships when nothing beats it"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (FakePass(refuses="this graph has no such nodes"), "this graph has no such nodes"),
        (FakePass(breaks="a bug\nin a library"), "RuntimeError: a bug in a library"),
    ],
)
def test_a_recipe_that_failed_is_a_trial_with_a_reason(broken: FakePass, reason: str, events: list[Event]) -> None:
    record = rehearse(recipe=recipes(broken=Recipe(passes=(broken,))))
    trial = record.trials[-1]
    assert trial.candidate.recipe == "broken"
    assert not trial.succeeded
    assert trial.reason == reason
    assert any(event.step == "trial fake/broken" and event.detail == reason for event in events)
    assert record.deployment is not None
    assert record.measured.of("fake/broken") is None


def test_what_concerns_every_candidate_is_the_end_of_the_run() -> None:
    class FullDisk(FakePass):
        def requires(self, source: Path) -> None:
            raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        rehearse(recipe=recipes(full=Recipe(passes=(FullDisk(),))))


def test_a_calibrated_recipe_gets_the_ranges_of_the_calibration_rows() -> None:
    quantized = Recipe(calibrator=FakeCalibrator(), quantizer=FakeQuantizer(share=0.25))
    record = rehearse(recipe={"quantized": quantized})
    ranges = record.trials[-1].ranges
    assert ranges is not None
    assert ranges.rows == 64
    assert record.data.calibration is not None
    assert ranges.data_digest == record.data.calibration.digest
    assert ranges.coverage is not None
    assert 0.5 < ranges.coverage <= 1


def test_without_calibration_rows_it_is_skipped_for_that_reason() -> None:
    quantized = Recipe(calibrator=FakeCalibrator(), quantizer=FakeQuantizer())
    record = rehearse(recipe={"quantized": quantized}, data=DataPlan(evaluation=FakeDataset()))
    assert record.trials[-1].reason == "there are no calibration rows: set data.calibration"
    assert record.deployment is not None


def test_without_labels_the_original_is_agreed_with() -> None:
    record = rehearse(data=DataPlan(evaluation=FakeDataset(labelled=False)), recipe=recipes(worse=WORSE))
    good, _, bad = (trial.evaluation for trial in record.trials)
    assert good is not None
    assert bad is not None
    assert good.agreement == 1.0
    assert bad.agreement is not None
    assert bad.agreement < 0.9


def test_without_labels_agreement_is_judged_in_the_place_of_metrics_that_all_need_them(events: list[Event]) -> None:
    record = rehearse(data=DataPlan(evaluation=FakeDataset(labelled=False)), metric={"accuracy": Accuracy(), "f1": F1()})
    assert record.deployment is not None
    assert record.trials[0].evaluation is not None
    assert record.trials[0].evaluation.quality == {"agreement": 1.0}
    told = "there are no labels: the agreement with the original is judged in the place of accuracy, f1"
    assert told in [event.detail for event in events if event.kind == "note"]


def test_without_labels_what_was_asked_and_cannot_be_judged_is_refused_before_anything_is_made() -> None:
    rehearsal, metrics = Rehearsal(), {"accuracy": Accuracy(), "fake": FakeMetric()}
    plan = fake_plan(data=DataPlan(evaluation=FakeDataset(labelled=False)), metric=metrics)
    words = r"^metric=\[accuracy,fake\]: accuracy needs labels, .* choose metric=\[fake\]"
    with pytest.raises(ConfigError, match=words) as refused:
        run(plan, call=rehearsal)
    assert refused.value.exit_code is Exit.CONFIGURATION
    assert rehearsal.steps == ["resolve", "fetch", "gather"]


def test_a_metric_with_nothing_to_judge_by_is_refused_by_the_gate() -> None:
    """As the divergence of probabilities that the original does not give."""
    metrics = {"fake": FakeMetric(), "own": SelfWilled()}
    record = rehearse(metric=metrics, gate={"quality": Quality()})
    assert record.rejection is not None
    assert "own has no comparable figure" in record.rejection.reason


def test_the_first_metric_is_the_one_that_was_named_first() -> None:
    """Also where the same metrics were evaluated before, in another order."""
    one, other = FakeMetric(), Accuracy()
    for metrics in ({"one": one, "other": other}, {"other": other, "one": one}):
        record = rehearse(metric=metrics)
        assert record.trials[0].evaluation is not None
        assert list(record.trials[0].evaluation.quality) == list(metrics)


# --- runtimes ---------------------------------------------------------------------------------------------------------


def test_a_missing_runtime_is_skipped_with_its_reason() -> None:
    record = rehearse(runtime={"other": FakeRuntime(missing="other is not here"), "fake": FakeRuntime()})
    assert set(record.skipped_runtimes) == {"other"}
    assert "other is not here" in record.skipped_runtimes["other"]
    assert record.measured.baseline == "fake/none"


def test_with_no_usable_runtime_nothing_is_fetched(home: Path) -> None:
    rehearsal = Rehearsal()
    with pytest.raises(MissingExtra, match=r"a is not here: pip install 'fdpipe\[fake\]'; b is not here"):
        run(
            fake_plan(runtime={"fake": FakeRuntime(missing="a is not here"), "other": FakeRuntime(missing="b is not here")}),
            call=rehearsal,
        )
    assert rehearsal.steps == []
    assert not list((home / "store/objects").iterdir())


def test_every_usable_runtime_is_tried_with_every_recipe_and_the_plans_threads() -> None:
    runtimes = {"fake": FakeRuntime(), "other": FakeRuntime()}
    settings = Benchmark(batch_sizes=(1,), seconds=0.01, trial_seconds=0.01, warmup_calls=1, memory=False, threads=1)
    record = rehearse(runtime=runtimes, benchmark=settings)
    assert [trial.candidate.name for trial in record.trials] == [
        f"{runtime}/{recipe}[threads=1]" for runtime in runtimes for recipe in ("none", "half")
    ]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_refusal_is_a_value_and_nothing_is_packaged(tmp_path: Path) -> None:
    plan = fake_plan(gate={"floor": FakeCheck(floor=1.1)}, source=FakeSource(published=tmp_path / "published"))
    rehearsal = Rehearsal()
    record = run(plan, call=rehearsal)
    assert rehearsal.steps[-2:] == ["judge", "publish"]
    assert record.deployment is None
    assert record.release is None
    assert record.rejection is not None
    assert record.rejection.outcome is Outcome.FAIL
    assert "floor: fake/none has 1.000, the floor is 1.1" in record.rejection.reason
    (line,) = published(plan)
    assert line["alias"] is None
    assert line["tags"]["fdpipe.here.verdict"] == "fail"


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.ANOMALOUS])
def test_a_refusal_keeps_its_kind(outcome: Outcome) -> None:
    record = rehearse(gate={"floor": FakeCheck(floor=1.1, outcome=outcome)})
    assert record.rejection is not None
    assert record.rejection.outcome is outcome


def test_a_fast_candidate_that_answers_worse_does_not_ship() -> None:
    record = rehearse(recipe=recipes(worse=WORSE))
    assert record.release is not None
    assert record.release.candidate.name == "fake/half"
    assert "fake/worse" not in record.verdict.passed


def test_the_next_best_candidate_is_tried_when_the_proof_fails(tmp_path: Path) -> None:
    rehearsal = Rehearsal(unproven=("fake/fastest",))
    record = run(fake_plan(recipe=recipes(fastest=FASTEST)), call=rehearsal)
    assert record.verdict.passed[0] == "fake/fastest"
    assert rehearsal.steps[-6:] == ["package", "prove", "package", "prove", "deploy", "publish"]
    assert record.release is not None
    assert record.release.candidate.name == "fake/half"
    assert record.rejection is None


def test_when_every_proof_fails_the_run_is_rejected_and_nothing_stays(home: Path) -> None:
    record = run(fake_plan(), call=Rehearsal(unproven=("fake/none", "fake/half")))
    assert record.release is None
    assert record.deployment is None
    assert record.rejection is not None
    assert record.rejection.outcome is Outcome.FAIL
    assert "fake/half was refused" in record.rejection.reason
    assert "fake/none was refused" in record.rejection.reason


# --- the incumbent ----------------------------------------------------------------------------------------------------


def deployed(home: Path) -> str:
    """Run the line and write down that what it deployed is live, as a real deployer does."""
    release = rehearse().release
    assert release is not None
    releases = Releases(home / "releases.sqlite", home / "store")
    releases.go_live(releases.begin(release), "http://127.0.0.1:3000", 1)
    return release.digest


def test_the_incumbent_is_evaluated_on_the_same_rows(home: Path) -> None:
    digest = deployed(home)
    rehearsal = Rehearsal()
    record = run(fake_plan(), call=rehearsal)
    assert rehearsal.steps[3:5] == ["convert", "incumbent"]
    assert rehearsal.steps[7:10] == ["benchmark", "energy", "judge"]
    assert record.incumbent == digest


def test_an_incumbent_that_cannot_be_evaluated_is_one_line(home: Path) -> None:
    deployed(home)
    for file in (home / "store/objects").glob("*/*/model/*"):
        file.write_text("{}}")
    with pytest.raises(StageError, match="the incumbent"):
        rehearse(data=DataPlan(evaluation=FakeDataset(seed=5)), recipe={"none": Recipe()})


def test_an_incumbent_whose_files_were_damaged_is_not_compared_with(home: Path) -> None:
    deployed(home)
    release = Releases(home / "releases.sqlite", home / "store").live(fake_plan().service_name)
    assert release is not None
    release.artifact.path.write_text(release.artifact.path.read_text() + " ")
    assert rehearse(recipe={"none": Recipe()}).incumbent, "what it answered to these rows is known"
    with pytest.raises(StageError, match="its files in the store are missing or damaged"):
        rehearse(data=DataPlan(evaluation=FakeDataset(seed=5)), recipe={"none": Recipe()})


def test_an_incumbent_of_other_columns_is_one_line(home: Path, tmp_path: Path) -> None:
    record = rehearse()
    assert record.release is not None
    path = tmp_path / "other.npz"
    rows = replace(record.data.evaluation, path=path, digest=save_arrays(path, {"y": np.zeros((3, 4))}))
    data = replace(record.data, evaluation=rows)
    with pytest.raises(StageError, match=r"cannot be evaluated on this version's rows \(the input x is missing\)"):
        Incumbent(record.release)(LocalStore(home / "store"), fake_plan(), record.baseline, data)


class Noting(LocalStore):
    """A store that remembers of which stages something was discarded."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.discarded: list[str] = []

    def discard(self, stage: str, key: str) -> None:
        self.discarded.append(stage)
        super().discard(stage, key)


def test_a_failed_proof_of_what_is_deployed_leaves_its_files(home: Path) -> None:
    deployed(home)
    Releases(home / "releases.sqlite", home / "store").keep_address("fake-here", "127.0.0.1", lambda _: 3000)
    store = Noting(home / "store")
    run(fake_plan(), store=store, call=Rehearsal(unproven=("fake/none", "fake/half")))
    assert store.discarded.count("prove") == 2
    assert store.discarded.count("package") == 1


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"model": "nosuch@x"}, SourceError),
        ({"data": DataPlan(evaluation=FakeDataset(), calibration=FakeDataset())}, SourceError),
        ({"converter": {"fake": FakeConverter(drift_percent=50)}}, ConversionError),
        ({"slicer": {"by_column": ByColumn(columns=("nosuch",))}}, ConfigError),
        ({"deployer": FakeDeployer(fails="the port belongs to nginx")}, DeploymentError),
    ],
)
def test_what_could_not_be_found_out_is_an_error(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        rehearse(**changes)
    assert "\n" not in str(caught.value)


# --- for real ---------------------------------------------------------------------------------------------------------


def test_a_line_of_fakes_can_be_packaged_and_proved_for_real(tmp_path: Path) -> None:
    """A Bento with a fake runtime inside, started, asked and stopped."""
    record = run(fake_plan(deployer=FakeDeployer(record=tmp_path / "running")))
    assert record.release is not None
    assert record.proof is not None
    assert record.proof.holds, record.proof.reason
    assert record.proof.requests > 0
    assert (tmp_path / "running").read_text() == record.release.digest
