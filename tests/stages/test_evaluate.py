"""Quality, agreement with the original, and whether answers depend on batch-mates."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fdpipe import workers
from fdpipe.arrays import Batch, save_arrays
from fdpipe.artifacts import LABELS, Answers, Artifact, Evaluation, Rows, Task
from fdpipe.errors import ConfigError, StageError
from fdpipe.interfaces import Metric, Session
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.agreement import Agreement
from fdpipe.metric.cosine import Cosine
from fdpipe.metric.f1 import F1
from fdpipe.metric.kl import Kl
from fdpipe.metric.neighbours import Neighbours
from fdpipe.metric.rmse import Rmse
from fdpipe.passes.int8_dynamic import Int8Dynamic
from fdpipe.passes.int8_static import Int8Static
from fdpipe.processor.none import Plain
from fdpipe.processor.text import Text
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.evaluate import agrees, batch_invariance, difference, evaluate
from fdpipe.store import LocalStore
from fdpipe.testing import FakeEngine, FakeMetric, FakeProcessor, FakeRuntime, answer
from tests import onnx_models
from tests.contracts.passes import done

X = np.random.default_rng(11).normal(size=(200, 16)).astype(np.float32)
ORIGINAL = {"y": onnx_models.mlp_tensors(X)["y"]}
RIGHT = ORIGINAL["y"].argmax(axis=1)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def model(store: LocalStore) -> Artifact:
    return onnx_models.artifact(onnx_models.mlp(store.root / "source" / "model.onnx"))


def evaluated(
    store: LocalStore,
    model: Artifact,
    *,
    labels: np.ndarray | None = RIGHT,
    original: Batch = ORIGINAL,
    metrics: Mapping[str, Metric] | None = None,
    task: Task = Task.CLASSIFICATION,
) -> Evaluation:
    """By the stage, from files."""
    rows, reference = store.root / "source" / "rows.npz", store.root / "source" / "reference.npz"
    given = {"x": X} | ({} if labels is None else {LABELS: labels})
    return evaluate(
        store, OnnxRuntime(), {"threads": 1}, model, workers.spec("processor", Plain(inputs=model.inputs, names=("x",))), task,
        Rows(role="evaluation", path=rows, digest=save_arrays(rows, given), count=len(X), labelled=labels is not None),
        Answers(path=reference, digest=save_arrays(reference, original)),
        {"accuracy": Accuracy()} if metrics is None else metrics,
    )  # fmt: skip


def test_labels_judge_both(store: LocalStore, model: Artifact) -> None:
    labels = RIGHT.copy()
    labels[:50] += 1
    found = evaluated(store, model, labels=labels)
    assert found.quality == {"accuracy": 0.75}
    assert found.reference == {"accuracy": 0.75}
    assert (found.rows, found.agreement) == (200, 1.0)


def test_the_answers_are_kept(store: LocalStore, model: Artifact) -> None:
    kept = evaluated(store, model).answers
    assert list(kept.load()) == ["y"]
    np.testing.assert_allclose(kept.load()["y"], ORIGINAL["y"], rtol=1e-4, atol=1e-5)


def test_an_original_that_answers_otherwise_is_no_agreement(store: LocalStore, model: Artifact) -> None:
    other = ORIGINAL["y"].copy()
    other[:20] = np.roll(other[:20], 1, axis=1)
    found = evaluated(store, model, original={"y": other})
    assert found.agreement == 0.9
    assert found.quality == {"accuracy": 1.0}
    assert found.reference == {"accuracy": 0.9}


def test_without_labels_quality_is_agreement(store: LocalStore, model: Artifact) -> None:
    other = ORIGINAL["y"].copy()
    other[:20] = np.roll(other[:20], 1, axis=1)
    found = evaluated(store, model, labels=None, original={"y": other})
    assert found.quality == {"agreement": 0.9}
    assert found.reference == {"agreement": 1.0}


def test_a_metric_that_needs_no_labels_is_judged_by_the_original(store: LocalStore, model: Artifact) -> None:
    other = {"y": np.roll(ORIGINAL["y"], 1, axis=1)}
    found = evaluated(store, model, labels=None, original=other, metrics={"fake": FakeMetric()})
    assert found.quality == {"fake": 0.0}
    assert found.reference == {"fake": 1.0}
    assert found.agreement == 0.0


def test_a_metric_may_choose_what_of_the_original_it_judges_by(store: LocalStore, model: Artifact) -> None:
    """Here the probabilities, where the label stands for labels."""
    probabilities = np.exp(ORIGINAL["y"]) / np.exp(ORIGINAL["y"]).sum(axis=1, keepdims=True)
    original = {"probabilities": probabilities, "label": probabilities.argmax(axis=1)}
    metrics: dict[str, Metric] = {"kl": Kl(), "agreement": Agreement()}
    found = evaluated(store, model, labels=None, original=original, metrics=metrics)
    assert found.reference == {"kl": 0.0, "agreement": 1.0}
    assert found.quality == {"kl": None, "agreement": 1.0}, "logits are no probabilities"


def test_tensors_are_judged_as_they_are(store: LocalStore, model: Artifact) -> None:
    """And not by agreement beside it, which is stricter than who wants neighbours to be kept."""
    moved = {"y": ORIGINAL["y"] + np.float32(0.3)}
    metrics: dict[str, Metric] = {"neighbours": Neighbours(), "cosine": Cosine()}
    found = evaluated(store, model, labels=None, original=moved, metrics=metrics, task=Task.TENSORS)
    assert list(found.quality) == ["neighbours", "cosine"]
    assert found.reference == pytest.approx({"neighbours": 1.0, "cosine": 1.0})
    assert found.quality["cosine"] == pytest.approx(Cosine().score(ORIGINAL, moved["y"].astype(np.float64)), abs=1e-5)
    assert found.agreement is not None
    assert found.agreement < 0.9


def test_no_metric_that_was_asked_for_is_left_out(store: LocalStore, model: Artifact) -> None:
    metrics: dict[str, Metric] = {"accuracy": Accuracy(), "cosine": Cosine(), "f1": F1()}
    words = r"^metric=\[accuracy,cosine,f1\]: accuracy and f1 need labels, .* have none: choose metric=\[cosine\], or rows with"
    with pytest.raises(ConfigError, match=words):
        evaluated(store, model, labels=None, metrics=metrics)
    assert list(evaluated(store, model, metrics=metrics).quality) == ["accuracy", "cosine", "f1"]


def test_a_metric_that_finds_nothing_to_judge_by_has_no_figure(store: LocalStore, model: Artifact) -> None:
    """So that the gate refuses it."""
    found = evaluated(store, model, labels=None, metrics={"kl": Kl(), "agreement": Agreement()}, task=Task.TENSORS)
    assert found.reference["kl"] is None
    assert found.quality["kl"] is None


def test_a_figure_that_is_not_finite_is_none(store: LocalStore, model: Artifact) -> None:
    found = evaluated(store, model, metrics={"accuracy": Accuracy(), "rmse": Rmse()})
    assert found.quality == {"accuracy": 1.0, "rmse": None}


def test_labels_in_a_column_are_labels(store: LocalStore, model: Artifact) -> None:
    assert evaluated(store, model, labels=RIGHT[:, None]).quality == {"accuracy": 1.0}


def test_labels_of_another_kind_are_told(store: LocalStore, model: Artifact) -> None:
    with pytest.raises(StageError, match="must be of one kind"):
        evaluated(store, model, labels=RIGHT.astype(str))


def test_is_stored_for_this_machine(store: LocalStore, model: Artifact) -> None:
    found = evaluated(store, model)
    assert found.provenance is not None
    assert found.provenance.machine is not None
    assert evaluated(store, model) == found


# --- agreement --------------------------------------------------------------------------------------------------------


def test_values_agree_within_a_thousandth() -> None:
    original = {"value": np.array([[1000.0], [1000.0], [0.0], [0.0]])}
    answers = {"value": np.array([[1000.5], [1002.0], [0.5], [2.0]])}
    assert agrees(Task.REGRESSION, answers, original).tolist() == [True, False, True, False]


def test_tensors_agree_by_their_cosine() -> None:
    original = {"embedding": np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), "count": np.array([1, 1, 1, 1])}
    answers = {"embedding": np.array([[2.0, 0.01], [1.0, 0.1], [0.0, 0.0], [1.0, 1.0]]), "count": np.array([1, 1, 1, 2])}
    assert agrees(Task.TENSORS, answers, original).tolist() == [True, False, True, False]


def test_nothing_agrees_with_a_number_that_is_missing() -> None:
    one, other = {"value": np.array([1.0, np.nan])}, {"value": np.array([np.nan, np.nan])}
    assert agrees(Task.REGRESSION, one, other).tolist() == [False, True]
    assert agrees(Task.REGRESSION, {"value": np.array([np.inf])}, {"value": np.array([1.0])}).tolist() == [False]


def test_a_difference_is_relative_to_the_row_or_to_all() -> None:
    wanted = np.array([[3.0, 4.0], [0.0, 0.0]])
    found = difference(wanted + np.array([[0.4, 0.0], [0.25, 0.0]]), wanted)
    np.testing.assert_allclose(found, [0.4 / 4, 0.25 / 2.5])


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_an_infinity_is_no_measure_for_other_numbers(number: float) -> None:
    """One in the original makes nothing else alike, in its own row or in another."""
    wanted = np.array([[1.0, number], [2.0, 2.0], [0.0, 0.0]])
    found = np.array([[1.5, number], [3.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(difference(found, wanted), [0.5 / 1.5, 0.5, 0.0], rtol=0.2)
    assert agrees(Task.REGRESSION, {"value": found}, {"value": wanted}).tolist() == [False, False, True]
    other = np.array([[1.0, 7.0], [2.0, number], [0.0, 0.0]])
    assert np.isinf(difference(other, wanted)).tolist() == [True, True, False]
    assert np.isinf(difference(np.full(2, 3.0), np.full(2, number))).all(), "no magnitude at all"


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_tensors_agree_by_their_finite_numbers(number: float) -> None:
    original = {"t": np.array([[1.0, 0.0, number], [1.0, 0.0, number], [1.0, 0.0, number], [1.0, 0.0, 1.0]])}
    answers = {"t": np.array([[1.0, 0.01, number], [0.0, 1.0, number], [1.0, 0.0, 5.0], [1.0, 0.0, number]])}
    assert agrees(Task.TENSORS, answers, original).tolist() == [True, False, False, False]
    assert agrees(Task.TENSORS, original, original).all()


# --- batch invariance -------------------------------------------------------------------------------------------------


def quantized(model: Artifact, one: Int8Dynamic | Int8Static) -> Artifact:
    return onnx_models.artifact(done(one, model.path, model.path.parent / type(one).__name__ / "model.onnx"))


def test_float_and_static_int8_answer_alike_in_every_batch(store: LocalStore, model: Artifact) -> None:
    for one in (model, quantized(model, Int8Static())):
        found = evaluated(store, one).invariance
        assert (found.rows, found.changed) == (64, 0)
        assert found.largest_difference < 1e-4


def test_dynamic_int8_answers_otherwise_beside_an_outlier(store: LocalStore, model: Artifact) -> None:
    found = evaluated(store, quantized(model, Int8Dynamic())).invariance
    assert found.changed > 3
    assert found.worst_setting == "beside a 20-fold outlier"
    assert found.largest_difference > 0.01


def ask_by_the_batch(batch: Batch) -> Batch:
    """Answers every row with the largest number in the batch."""
    return {"value": np.full(len(batch["x"]), batch["x"].max())}


def test_values_that_change_count_too() -> None:
    found = batch_invariance({"x": X[:40]}, Task.REGRESSION, ask_by_the_batch)
    assert (found.rows, found.changed) == (40, 40)


@pytest.mark.parametrize(("shift", "changed"), [(1e-2, 40), (1e-7, 0), (0.0, 0)])
def test_a_probability_that_moves_is_another_answer_though_the_label_stays(shift: float, changed: int) -> None:
    def ask(batch: Batch) -> Batch:
        label = (batch["x"][:, 0] > 0).astype(int)
        share = 0.9 - shift * len(batch["x"])
        return {
            "label": label,
            "probabilities": np.stack([np.where(label, 1 - share, share), np.where(label, share, 1 - share)], 1),
        }

    found = batch_invariance({"x": X[:40]}, Task.CLASSIFICATION, ask)
    assert found.changed == changed
    assert (found.largest_difference > 1e-4) == bool(changed)


def test_a_label_that_changes_counts_though_there_is_nothing_beside_it() -> None:
    def ask(batch: Batch) -> Batch:
        return {"label": np.full(len(batch["x"]), len(batch["x"]) > 1)}

    assert batch_invariance({"x": X[:40]}, Task.CLASSIFICATION, ask).changed == 40


def test_only_floats_are_made_an_outlier() -> None:
    seen: list[Batch] = []

    def ask(batch: Batch) -> Batch:
        seen.append(batch)
        return {"value": batch["x"][:, 0]}

    words, counts = np.array([["a"], ["b"]], object), np.array([[1], [2]])
    batch_invariance({"x": np.array([[1.0], [-3.0]]), "words": words, "counts": counts}, Task.REGRESSION, ask)
    beside = seen[-1]
    assert beside["x"].tolist() == [[1.0], [-3.0], [-60.0]]
    assert beside["words"].tolist() == [["a"], ["b"], ["b"]]
    assert beside["counts"].tolist() == [[1], [2], [2]]


def test_words_alone_have_no_outlier() -> None:
    words = np.array([["a"], ["b"]], object)
    found = batch_invariance({"words": words}, Task.CLASSIFICATION, lambda batch: {"label": batch["words"][:, 0]})
    assert (found.rows, found.changed, found.largest_difference) == (2, 0, 0.0)


def reading(folder: Path, *, masked: bool) -> tuple[Artifact, Text]:
    """A graph whose answer to a text is the mean of its tokens' numbers: of the text's own, or with the padding's."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "a": 2, "b": 5}, unk_token="b"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_padding(pad_id=0)
    tokenizer.enable_truncation(8)
    tokenizer.save(str(folder / "tokenizer.json"))
    tensors = ("input_ids", "attention_mask")
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "sequence"]) for name in tensors]
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers", "axis"], ["sum"]),
        helper.make_node("ReduceSum", ["mask", "axis"], ["own"]),
        helper.make_node("ReduceMean", ["numbers", "axis"], ["whole"]),
        helper.make_node("Div", ["sum", "own"], ["fair"]),
        helper.make_node("Identity", ["fair" if masked else "whole"], ["value"]),
    ]
    answers = [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows", 1])]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "reading", given, answers, [axis])
    path = folder / "model" / "model.onnx"
    path.parent.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return onnx_models.artifact(path), Text(names=("text",), tensors=tensors, folder=folder)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("words", [("a b", "a", "b b b a", "a a"), ("a b", "b a", "a a", "b b")])
def test_a_row_that_a_longer_one_pads_keeps_its_answer(tmp_path: Path, masked: bool, words: tuple[str, ...]) -> None:
    """Rows that are all as long as each other are padded as well."""
    model, processor = reading(tmp_path, masked=masked)
    rows = {"text": np.array(words * 5, object)}
    value = np.array([[np.mean([{"a": 2, "b": 5}[word] for word in text.split()])] for text in rows["text"]], np.float32)
    paths = [tmp_path / "rows.npz", tmp_path / "reference.npz"]
    found = evaluate.work(
        tmp_path, OnnxRuntime(), {"threads": 1}, model, workers.spec("processor", processor, processor.folder), Task.REGRESSION,
        Rows(role="evaluation", path=paths[0], digest=save_arrays(paths[0], rows), count=20, labelled=False),
        Answers(path=paths[1], digest=save_arrays(paths[1], {"value": value})), {},
    ).invariance  # fmt: skip
    assert found.rows == 20
    if masked:
        assert (found.changed, found.largest_difference) == (0, 0.0)
    else:
        assert found.changed == 16, "as many as are asked beside a longer row"
        assert found.worst_setting == "beside a longer row"


# --- the engine -------------------------------------------------------------------------------------------------------

opened: list[FakeEngine] = []


@dataclass(frozen=True, kw_only=True)
class Remembering(FakeRuntime):
    """Puts every engine into `opened`."""

    def open(self, artifact: Artifact, session: Session) -> FakeEngine:
        opened.append(super().open(artifact, session))
        return opened[-1]


@pytest.mark.parametrize("column", ["x", "another"])
def test_the_engine_is_closed_even_after_a_failure(tmp_path: Path, column: str) -> None:
    features, model = X[:, :4], tmp_path / "model.onnx"
    model.write_text('{"wrong_percent": 0}')
    digests = [
        save_arrays(tmp_path / "rows.npz", {column: features}),
        save_arrays(tmp_path / "reference.npz", answer({"x": features})),
    ]
    with nullcontext() if column == "x" else pytest.raises(ValueError, match="x is missing"):
        evaluate.work(
            tmp_path, Remembering(), {}, Artifact(kind="onnx", path=model, digest="d", size_bytes=1, inputs=(), outputs=()),
            workers.spec("processor", FakeProcessor()), Task.CLASSIFICATION,
            Rows(role="evaluation", path=tmp_path / "rows.npz", digest=digests[0], count=200, labelled=False),
            Answers(path=tmp_path / "reference.npz", digest=digests[1]), {},
        )  # fmt: skip
    assert not opened.pop().is_open
    assert opened == []
