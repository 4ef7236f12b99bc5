"""What a registry is told of a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe.progress import Event
from fdpipe.stages.deploy import appraisal_of, appraise
from fdpipe.testing import FakeSource
from tests.report import example, example_gate


def test_an_evaluation_has_the_released_candidates_figures(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    found = appraisal_of(example_gate.gated(), "20261124-1", (report,))
    assert (found.run, found.target, found.verdict, found.files) == ("20261124-1", "cpu", "pass", (report,))
    assert found.rows_digest == example.DIGEST
    assert found.settings["candidate"] == example.STATIC
    assert found.settings["check.slices"] == "pass"
    wanted = {
        "accuracy": 0.975, "original.accuracy": 0.9778, "noise.accuracy": 0.925, "time_ratio": 0.46971, "p50_ms": 0.05445,
        "size_bytes": 1_131_000.0, "check.slices": 0.031,
    }  # fmt: skip
    assert {name: found.figures[name] for name in wanted} == pytest.approx(wanted, rel=1e-4)


def test_of_a_refusal_it_has_the_baselines() -> None:
    found = appraisal_of(example_gate.undecided(), "20261124-1", ())
    assert (found.verdict, found.settings["candidate"], found.settings["release"]) == ("inconclusive", "onnxruntime/none", "")
    assert found.settings["reason"].startswith("quality: onnxruntime/none")
    assert "time_ratio" not in found.figures


def test_a_figure_that_is_none_is_left_out_and_every_name_is_one_that_mlflow_takes() -> None:
    record = example.deployed()
    trial = record.trials[3]
    assert trial.evaluation is not None
    odd = {"recall@5": 0.5, "nothing": None, "infinite": float("inf")}
    trial = replace(trial, evaluation=replace(trial.evaluation, quality=odd, reference={}))
    found = appraisal_of(replace(record, trials=(*record.trials[:3], trial)), "1", ())
    assert found.figures["recall_5"] == 0.5
    assert not {"nothing", "infinite"} & set(found.figures)


def test_a_source_that_keeps_none_is_not_asked(events: list[Event]) -> None:
    record = example.deployed()
    appraise(FakeSource(), record.model, appraisal_of(record, "1", ()))
    assert events == []
