"""What is made here and cannot be measured here: never invented, refused unless it is allowed, and then not deployed."""

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fdpipe.artifacts import CheckResult, Outcome, Record
from fdpipe.errors import ConfigError, StageError
from fdpipe.evidence import Evidence
from fdpipe.execution import exit_code, summary
from fdpipe.gate.speed import Speed
from fdpipe.pipeline import run
from fdpipe.plan import Plan, Recipe, Target, Unmeasured
from fdpipe.progress import Event
from fdpipe.report import write_report
from fdpipe.report.tables import State, candidates, state
from fdpipe.store import LocalStore
from fdpipe.testing import FakeBuilder, FakeCheck, FakePass, FakeRuntime, FakeSource
from fdpipe.testing.rehearsal import Rehearsal, fake_plan

NO_GPU = "there is no GPU"
ELSEWHERE = Target(name="here", runtimes=("fake", "other"), measured_on=("phone",))


@pytest.fixture(autouse=True)
def _state(home: Path) -> None:
    """Every line has a state folder of its own."""


def blind(**changes: Any) -> Plan:  # noqa: ANN401 - any field of Plan
    """A plan whose only runtime makes what cannot be run here."""
    return fake_plan(**{"runtime": {"fake": FakeRuntime(elsewhere=NO_GPU)}, **changes})


def rehearse(plan: Plan, **playing: Any) -> tuple[Record, list[str]]:  # noqa: ANN401 - any field of Rehearsal
    rehearsal = Rehearsal(**playing)
    return run(plan, call=rehearsal), rehearsal.steps


# --- what cannot be run here ------------------------------------------------------------------------------------------


def test_every_candidate_is_made_and_nothing_is_invented(events: list[Event]) -> None:
    record, steps = rehearse(blind())
    assert [trial.candidate.name for trial in record.trials] == ["fake/none", "fake/half"]
    for trial in record.trials:
        assert trial.artifact is not None
        assert (trial.evaluation, trial.speed, trial.reason) == (None, None, None)
        assert trial.unmeasured == NO_GPU
        assert state(record, trial) is State.NOT_MEASURED
    assert record.measured.measurements == ()
    assert record.measured.baseline == "fake/none"
    assert {"benchmark", "package", "prove", "deploy"}.isdisjoint(steps)
    assert any("fake/half is not measured: there is no GPU" in event.detail for event in events)


def test_the_gate_refuses_it_as_inconclusive_and_names_what_was_made() -> None:
    record, _ = rehearse(blind())
    assert record.rejection is not None
    assert record.rejection.outcome is Outcome.INCONCLUSIVE
    assert int(exit_code(record)) == 11
    made = record.trials[0].artifact
    assert made is not None
    assert f"not measured: {NO_GPU}; made: {made.size_bytes:,} bytes, sha256 {made.digest[:12]}" in record.rejection.reason
    assert "gate.unmeasured=allow would let it through" in record.rejection.reason
    assert {result.check for result in record.verdict.results} == {"unmeasured"}, "nothing else can be asked of it"


def test_without_a_certifier_nothing_is_converted_that_cannot_be_compared() -> None:
    words = r"^runtime=fake runs nothing here, .*: say what does, as runtime@certifier=onnxruntime$"
    with pytest.raises(ConfigError, match=words):
        rehearse(blind(certifier=None))


def test_where_it_is_allowed_it_is_packaged_and_not_deployed(tmp_path: Path) -> None:
    plan = blind(unmeasured=Unmeasured.ALLOW, source=FakeSource(published=tmp_path / "published"))
    record, steps = rehearse(plan)
    assert steps[-2:] == ["package", "publish"]
    assert record.release is not None
    assert record.release.candidate.name == "fake/none", "nothing is known that would prefer another"
    assert record.proof is not None
    assert not record.proof.holds
    assert record.proof.reason == f"not run here: {NO_GPU}"
    assert (record.deployment, record.rejection) == (None, None)
    assert int(exit_code(record)) == 0
    assert "packaged, not deployed" in summary(record)
    told = json.loads((tmp_path / "published").read_text())
    assert told["alias"] is None
    assert told["tags"]["fdpipe.here.release"] == record.release.digest
    assert told["tags"]["fdpipe.here.url"] == ""


def test_the_bento_and_the_report_say_it(home: Path, tmp_path: Path) -> None:
    """For real: the Bento holds the model, and the original's answers as those that are known."""
    plan, store = blind(unmeasured=Unmeasured.ALLOW), LocalStore(home / "store")
    record = run(plan, store=store)
    assert record.release is not None
    assert record.release.golden.is_file()
    assert record.release.artifact.path.is_file()
    write_report(record, plan, [], tmp_path, store)
    page = (tmp_path / "report.html").read_text()
    assert f"not run here: {NO_GPU}" in page
    assert f"not measured: {NO_GPU}" in page
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["outcome"] == "packaged"
    assert [one["unmeasured"] for one in report["candidates"]] == [NO_GPU, NO_GPU]
    assert report["candidates"][0]["digest"]


def test_what_is_no_model_at_all_is_still_the_end() -> None:
    class Broken(FakeRuntime):
        def ready(self, model: object, folder: object) -> Any:  # noqa: ANN401 - never returns
            raise StageError("the builder has no such operator")

    with pytest.raises(StageError, match="the converted model cannot be run as it is: the builder has no such operator"):
        rehearse(fake_plan(runtime={"fake": Broken(elsewhere=NO_GPU)}))


# --- beside what can be run -------------------------------------------------------------------------------------------


def test_the_baseline_is_on_a_runtime_that_can_be_run() -> None:
    record, _ = rehearse(fake_plan(runtime={"other": FakeRuntime(elsewhere=NO_GPU), "fake": FakeRuntime()}))
    assert record.measured.baseline == "fake/none"
    assert {one.candidate for one in record.measured.measurements} == {"fake/none", "fake/half"}
    assert record.release is not None
    assert record.release.candidate.name == "fake/half"
    assert record.deployment is not None
    refused = {result.candidate for result in record.verdict.results if result.outcome is not Outcome.PASS}
    assert refused == {"other/none", "other/half"}


def test_what_was_measured_goes_before_what_is_allowed_unmeasured() -> None:
    runtimes = {"other": FakeRuntime(elsewhere=NO_GPU), "fake": FakeRuntime()}
    record, _ = rehearse(fake_plan(runtime=runtimes, unmeasured=Unmeasured.ALLOW))
    assert record.verdict.passed[:2] == ("fake/half", "fake/none")
    assert record.deployment is not None


# --- what runs here, and whose speed is another machine's ---------------------------------------------------------------


def test_on_a_target_elsewhere_quality_is_measured_and_speed_is_not() -> None:
    worse = Recipe(passes=(FakePass(share=0.25, wrong_percent=40),))
    record, steps = rehearse(fake_plan(target=ELSEWHERE, recipe={"worse": worse}))
    good, bad = record.trials
    reason = f"what counts is its speed on phone, and this machine is {platform.machine()}"
    assert good.unmeasured == bad.unmeasured == reason
    assert good.evaluation is not None
    assert bad.evaluation is not None
    assert bad.evaluation.agreement != good.evaluation.agreement
    assert (good.speed, bad.speed) == (None, None)
    assert [result.check for result in bad.refusals] == ["floor"], "a search sees what the gate has against its answers"
    assert "benchmark" not in steps
    assert record.rejection is not None
    assert record.rejection.outcome is Outcome.INCONCLUSIVE, "the good one lacks nothing but the measurement"


def test_there_the_smallest_that_passed_is_packaged_and_proved() -> None:
    record, steps = rehearse(fake_plan(target=ELSEWHERE, unmeasured=Unmeasured.ALLOW))
    sizes = {trial.candidate.name: trial.artifact.size_bytes for trial in record.trials if trial.artifact}
    assert record.release is not None
    assert record.release.candidate.name == min(sizes, key=lambda name: sizes[name])
    assert "the smallest that passed every check" in record.verdict.reason
    assert steps[-3:] == ["package", "prove", "publish"]
    assert record.proof is not None
    assert record.proof.holds
    assert record.deployment is None


def test_there_a_failed_proof_is_a_refusal() -> None:
    record, _ = rehearse(fake_plan(target=ELSEWHERE, unmeasured=Unmeasured.ALLOW), unproven=("fake/none", "fake/half"))
    assert record.release is None
    assert record.rejection is not None
    assert "was refused" in record.rejection.reason


def test_on_a_machine_of_the_targets_kind_all_is_as_ever() -> None:
    target = Target(name="here", runtimes=("fake", "other"), measured_on=("phone", platform.machine()))
    record, _ = rehearse(fake_plan(target=target))
    assert record.deployment is not None
    assert not any(trial.unmeasured for trial in record.trials)


def test_a_check_of_speed_is_not_asked_and_every_other_is() -> None:
    class Asked(FakeCheck):
        def judge(self, evidence: Evidence) -> CheckResult:
            assert evidence.measured.measurements == ()
            return super().judge(evidence)

    record, _ = rehearse(fake_plan(target=ELSEWHERE, gate={"floor": Asked(), "speed": Speed()}))
    assert {result.check for result in record.verdict.results} == {"floor", "unmeasured"}


def test_allowing_it_does_not_excuse_its_answers() -> None:
    plan = fake_plan(target=ELSEWHERE, unmeasured=Unmeasured.ALLOW, gate={"floor": FakeCheck(floor=1.1)})
    record, _ = rehearse(plan)
    assert record.rejection is not None
    assert record.rejection.outcome is Outcome.FAIL


# --- compatibility ----------------------------------------------------------------------------------------------------


def test_the_nodes_that_a_device_leaves_to_the_processor_are_told() -> None:
    record, _ = rehearse(fake_plan(runtime={"fake": FakeRuntime(leaves=("Erf",))}))
    (node,) = record.trials[0].unsupported
    assert (node.operator, node.reason) == ("Erf", "the fake device has none")
    assert record.deployment is not None


def test_where_no_runtime_takes_the_model_the_run_is_refused_with_the_nodes() -> None:
    runtimes = {"fake": FakeBuilder(lacks=("Erf",)), "other": FakeBuilder(lacks=("Tan",), elsewhere=NO_GPU)}
    record, _ = rehearse(fake_plan(runtime=runtimes))
    assert [trial.candidate.name for trial in record.trials] == ["other/none", "fake/none", "fake/half", "other/half"]
    assert [[node.operator for node in trial.unsupported] for trial in record.trials] == [["Tan"], ["Erf"], ["Erf"], ["Tan"]]
    assert record.rejection is not None
    assert record.rejection.outcome is Outcome.FAIL
    assert "there is no operator Tan" in record.rejection.reason


def test_where_one_runtime_does_not_take_it_the_next_has_the_baseline() -> None:
    record, _ = rehearse(fake_plan(runtime={"other": FakeBuilder(lacks=("Erf",)), "fake": FakeRuntime()}))
    assert record.measured.baseline == "fake/none"
    assert [trial.candidate.name for trial in record.trials][:2] == ["fake/none", "other/none"]
    assert record.deployment is not None


def test_a_plan_keeps_its_choice(tmp_path: Path) -> None:
    plan = replace(blind(), unmeasured=Unmeasured.ALLOW)
    assert Plan.from_json(plan.to_json()).unmeasured is Unmeasured.ALLOW
    assert candidates(rehearse(plan)[0]).rows[0][-1] == f"not measured: {NO_GPU}"
