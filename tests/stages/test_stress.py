"""Finalists on corrupted rows, beside the converted model as it is."""

import errno
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from fdpipe import workers
from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import LABELS, Answers, Artifact, Candidate, Outcome, Rows, Stress, Task
from fdpipe.corruption.missing import Fill, Missing
from fdpipe.corruption.noise import Noise
from fdpipe.corruption.shift import Shift
from fdpipe.corruption.typos import Typos
from fdpipe.errors import StageError, StoreError
from fdpipe.evidence import Paired
from fdpipe.gate.robustness import Robustness
from fdpipe.interfaces import Corruption, Engine, Metric, Session
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.rmse import Rmse
from fdpipe.processor.none import Plain
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.benchmark import Contender
from fdpipe.stages.stress import Stressed, stress
from fdpipe.store import LocalStore
from fdpipe.testing import FakeMetric
from tests import onnx_models
from tests.contracts.gate import evidence

X = np.random.default_rng(3).integers(-3, 4, (400, 16)).astype(np.float32)
ORIGINAL = {"y": onnx_models.mlp_tensors(X)["y"]}
LABEL = ORIGINAL["y"].argmax(axis=1)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def contender(store: LocalStore, name: str, path: Path) -> Contender:
    candidate = Candidate(runtime="onnxruntime", recipe=name, session={"threads": 1})
    return Contender(candidate=candidate, runtime=OnnxRuntime(), artifact=onnx_models.artifact(path))


def plain(store: LocalStore) -> Contender:
    """The converted model as it is."""
    return contender(store, "none", onnx_models.mlp(store.root / "source" / "none" / "model.onnx"))


def altered(store: LocalStore, name: str, node: onnx.NodeProto, *more: onnx.NodeProto, **weights: np.ndarray) -> Contender:
    """The same model with nodes that see `off`, how far each feature is from a whole number, and make `y` of `plain_y`."""
    path = onnx_models.mlp(store.root / "source" / name / "model.onnx")
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "plain_y"
    off = [helper.make_node("Round", ["x"], ["whole"]), helper.make_node("Sub", ["x", "whole"], ["off"])]
    model.graph.node.extend([*off, node, *more])
    model.graph.initializer.extend([numpy_helper.from_array(array, key) for key, array in weights.items()])
    onnx.save(model, path)
    return contender(store, name, path)


def fragile(store: LocalStore) -> Contender:
    """Answers whole numbers like the baseline, and is lost between them."""
    turned = np.random.default_rng(5).normal(size=(16, 10)).astype(np.float32) * 100
    nodes = (helper.make_node("MatMul", ["off", "turned"], ["lost"]), helper.make_node("Add", ["plain_y", "lost"], ["y"]))
    return altered(store, "fragile", *nodes, turned=turned)


def breaking(store: LocalStore) -> Contender:
    """Looks numbers between whole ones up in a table that has none of them."""
    nodes = [
        helper.make_node("Abs", ["off"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "many"], ["far"]),
        helper.make_node("Cast", ["far"], ["index"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["nothing"]),
        helper.make_node("Add", ["plain_y", "nothing"], ["y"]),
    ]
    return altered(store, "breaking", *nodes, many=np.array(1e6, np.float32), table=np.zeros(1, np.float32))


def stressed(
    store: LocalStore,
    *contenders: Contender,
    corruptions: dict[str, Corruption] | None = None,
    labelled: bool = True,
    metrics: dict[str, Metric] | None = None,
    task: Task = Task.CLASSIFICATION,
) -> Stressed:
    """By the stage, from files."""
    rows, reference = store.root / "source" / "rows.npz", store.root / "source" / "reference.npz"
    (store.root / "source").mkdir(parents=True, exist_ok=True)
    given = {"x": X} | ({LABELS: LABEL} if labelled else {})
    inputs = contenders[0].artifact.inputs
    return stress(
        store, contenders, workers.spec("processor", Plain(inputs=inputs, names=("x",))), task,
        Rows(role="evaluation", path=rows, digest=save_arrays(rows, given), count=len(X), labelled=labelled),
        Answers(path=reference, digest=save_arrays(reference, ORIGINAL)),
        {"noise": Noise(share=0.05)} if corruptions is None else corruptions,
        {"accuracy": Accuracy()} if metrics is None else metrics,
    )  # fmt: skip


def only(found: Stressed, recipe: str) -> Stress:
    (one,) = (every for name, every in found.by_candidate.items() if f"/{recipe}[" in name)
    (result,) = one
    return result


def outcome(found: Stress) -> Outcome:
    """What the gate says of it."""
    beside = Paired(before=ORIGINAL, after=ORIGINAL, labels=LABEL, own=LABEL)
    known = evidence(metrics={"accuracy": Accuracy()}, beside_original=beside, stress=(found,))
    return Robustness(max_drop=0.05).judge(known).outcome


def test_what_is_fine_on_clean_rows_and_lost_on_noisy_ones_is_refused(store: LocalStore) -> None:
    fine = contender(store, "fine", onnx_models.mlp(store.root / "source" / "fine" / "model.onnx"))
    candidates = (plain(store), fine, fragile(store))
    for one in candidates:
        engine = one.open()
        np.testing.assert_array_equal(engine.run({"x": X})["y"].argmax(axis=1), LABEL)
        engine.close()
    found = stressed(store, *candidates)
    base, well, lost = (only(found, recipe) for recipe in ("none", "fine", "fragile"))
    assert base.quality == base.reference == well.quality == well.reference == lost.reference
    assert base.quality["accuracy"] is not None
    assert 0.9 < base.quality["accuracy"] < 1.0
    assert lost.quality["accuracy"] is not None
    assert lost.quality["accuracy"] < 0.5
    assert (outcome(well), outcome(lost)) == (Outcome.PASS, Outcome.FAIL)


def test_the_answers_are_kept(store: LocalStore) -> None:
    found = stressed(store, plain(store), fragile(store))
    base, lost = only(found, "none"), only(found, "fragile")
    assert lost.baseline_answers == base.answers == base.baseline_answers
    assert lost.rows == len(X)
    for kept, quality in ((base.answers, base.quality), (lost.answers, lost.quality)):
        assert float(np.mean(kept.load()["y"].argmax(axis=1) == LABEL)) == quality["accuracy"]


def test_a_second_time_is_reused_and_each_corruption_is_the_same_beside_others(store: LocalStore) -> None:
    one = stressed(store, plain(store))
    assert stressed(store, plain(store)) == one
    both = stressed(store, plain(store), corruptions={"shift": Shift(), "noise": Noise(share=0.05)})
    (shift, noise) = next(iter(both.by_candidate.values()))
    assert (shift.corruption, noise.corruption) == ("shift", "noise")
    assert noise.answers.digest == only(one, "none").answers.digest != shift.answers.digest


def test_what_breaks_on_rows_that_the_baseline_answers_has_no_figure(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "fdpipe.progress"):
        broken = only(stressed(store, plain(store), breaking(store)), "breaking")
    assert broken.quality == {"accuracy": None}
    assert broken.reference["accuracy"] is not None
    assert outcome(broken) is Outcome.FAIL
    assert "breaking[threads=1] cannot answer rows with noise: " in caplog.text


def test_what_the_baseline_cannot_answer_is_left_out_and_told(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fdpipe.progress"):
        found = stressed(store, breaking(store), plain(store))
    assert set(found.by_candidate.values()) == {()}
    assert "not stressed by noise: the baseline cannot bear it: " in caplog.text


def test_a_baseline_that_answers_nan_cannot_bear_it(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fdpipe.progress"):
        found = stressed(store, plain(store), corruptions={"missing": Missing(), "zero": Missing(fill=Fill.ZERO)})
    assert [one.corruption for one in next(iter(found.by_candidate.values()))] == ["zero"]
    assert "not stressed by missing: the baseline cannot bear it: some of the answers are NaN" in caplog.text


def test_what_does_not_suit_the_rows_is_left_out_and_told(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fdpipe.progress"):
        found = stressed(store, plain(store), corruptions={"typos": Typos(), "noise": Noise()})
    assert [one.corruption for one in next(iter(found.by_candidate.values()))] == ["noise"]
    assert "not stressed by typos: the rows have no texts" in caplog.text


def test_an_answer_without_a_figure_is_nothing_to_compare_with(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fdpipe.progress"):
        found = stressed(store, plain(store), metrics={"rmse": Rmse()})
    assert set(found.by_candidate.values()) == {()}
    assert "its rmse has no figure" in caplog.text


def test_without_labels_a_metric_is_judged_by_the_original_on_the_rows_as_they_were(store: LocalStore) -> None:
    unlabelled = only(stressed(store, plain(store), labelled=False, metrics={"same": FakeMetric()}), "none")
    labelled = only(stressed(store, plain(store)), "none")
    assert unlabelled.quality == {"same": labelled.quality["accuracy"]}


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.TENSORS])
def test_without_any_metric_it_is_the_agreement_with_the_baseline(store: LocalStore, task: Task) -> None:
    found = stressed(store, plain(store), fragile(store), labelled=False, task=task)
    assert only(found, "none").quality == {"agreement": 1.0}
    lost = only(found, "fragile")
    assert lost.reference == {"agreement": 1.0}
    assert lost.quality["agreement"] is not None
    assert lost.quality["agreement"] < 0.5


def test_a_contender_that_answers_nan_has_no_figure(store: LocalStore) -> None:
    nodes = (helper.make_node("Sqrt", ["less"], ["root"]), helper.make_node("Add", ["plain_y", "spread"], ["y"]))
    below = [
        helper.make_node("Abs", ["off"], ["size"]),
        helper.make_node("Neg", ["size"], ["less"]),
        nodes[0],
        helper.make_node("ReduceSum", ["root", "features"], ["spread"]),
        nodes[1],
    ]
    found = stressed(store, plain(store), altered(store, "nan", *below, features=np.array([1])))
    assert only(found, "nan").quality == {"accuracy": None}


def test_a_contender_that_answers_infinities_has_no_figure(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    """Of which accuracy makes a label like any other."""
    above = [
        helper.make_node("Abs", ["off"], ["size"]),
        helper.make_node("ReduceSum", ["size", "features"], ["all"]),
        helper.make_node("Mul", ["all", "huge"], ["larger"]),
        helper.make_node("Mul", ["larger", "huge"], ["largest"]),
        helper.make_node("Add", ["plain_y", "largest"], ["y"]),
    ]
    with caplog.at_level(logging.INFO, "fdpipe.progress"):
        other = altered(store, "infinite", *above, features=np.array([1]), huge=np.array(1e38, np.float32))
        found = only(stressed(store, plain(store), other), "infinite")
    assert found.quality == {"accuracy": None}
    assert outcome(found) is Outcome.FAIL
    assert "answers hold NaN or an infinity, and the baseline's to these rows none" in caplog.text


@dataclass(frozen=True, kw_only=True)
class Failing(OnnxRuntime):
    """Its library says no, when it opens a model or when it is asked."""

    number: int
    opens: bool

    def open(self, artifact: Artifact, session: Session) -> Engine:
        if self.opens:
            return FailingEngine(number=self.number)
        raise OSError(self.number, os.strerror(self.number))


@dataclass(frozen=True, kw_only=True)
class FailingEngine:
    """Answers nothing."""

    number: int

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        raise OSError(self.number, os.strerror(self.number))

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("opens", [True, False])
def test_what_a_contenders_library_cannot_read_is_its_own_failure_and_a_full_disk_is_ours(
    store: LocalStore, opens: bool
) -> None:
    first = plain(store)

    def beside(number: int) -> Stressed:
        return stressed(store, first, replace(first, candidate=other, runtime=Failing(number=number, opens=opens)))

    other = replace(first.candidate, recipe="failing")
    assert only(beside(errno.ENOENT), "failing").quality == {"accuracy": None}
    with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\): free some space"):
        beside(errno.ENOSPC)


def test_a_contender_that_cannot_be_opened_has_no_figure(store: LocalStore) -> None:
    other = contender(store, "gone", onnx_models.mlp(store.root / "source" / "gone" / "model.onnx"))
    other.artifact.path.write_bytes(b"no model")
    assert only(stressed(store, plain(store), other), "gone").quality == {"accuracy": None}


def test_a_baseline_that_cannot_be_opened_is_an_error(store: LocalStore) -> None:
    (store.root / "source" / "none").mkdir(parents=True)
    path = store.root / "source" / "none" / "model.onnx"
    good = plain(store)
    path.write_bytes(b"no model")
    with pytest.raises(StageError):
        stressed(store, good)
