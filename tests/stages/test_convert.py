"""convert: the certificate, and what is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Baseline, Precision, Rows, SourceModel, Task
from fdpipe.converter.onnx import Onnx
from fdpipe.converter.sklearn import Sklearn
from fdpipe.errors import ConversionError, SourceError
from fdpipe.interfaces import Converter, Export, Processor, Runtime
from fdpipe.plan import Conversion, Tolerance
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.convert import compare, convert
from fdpipe.store import LocalStore
from fdpipe.testing import FakeConverter, FakeDataset, FakeProcessor, FakeRuntime, FakeSource
from tests.models import people, people_model, rows_of, saved_onnx, saved_sklearn, two_inputs

CONVERTERS: Mapping[str, Converter] = {"onnx": Onnx(), "sklearn": Sklearn()}
PROCESSORS: Mapping[str, Processor] = {"none": Plain(), "tabular": Tabular()}
RUNTIMES: Mapping[str, Runtime] = {"onnxruntime": OnnxRuntime()}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def stored(store: LocalStore, make: Any, *arguments: Any, **settings: Any) -> SourceModel:  # noqa: ANN401
    """A model saved below the store, as `fetch` would have brought it."""
    (store.root / "given").mkdir()
    model: SourceModel = make(store.root / "given" / "fetched", *arguments, **settings)
    return model


def people_rows(store: LocalStore, rows: int = 300) -> Rows:
    frame, label = people(rows, seed=1)
    return rows_of(store.root / "given" / "rows", frame, label)


def converted(store: LocalStore, model: SourceModel, rows: Rows, **changes: Any) -> Baseline:  # noqa: ANN401
    settings: dict[str, Any] = {
        "converters": CONVERTERS, "processors": PROCESSORS, "runtimes": RUNTIMES, "how": Conversion(), "tolerance": Tolerance()
    }  # fmt: skip
    return convert(store, model=model, rows=rows, **settings | changes)


@pytest.fixture
def people_source(store: LocalStore) -> SourceModel:
    frame, label = people()
    return stored(store, saved_sklearn, people_model(frame, label), frame.astype({"children": float}))


def test_a_pipeline_with_strings_and_missing_values(store: LocalStore, people_source: SourceModel) -> None:
    rows = people_rows(store)
    baseline = converted(store, people_source, rows)
    assert (baseline.task, baseline.parity.rows, baseline.parity.flips) == (Task.CLASSIFICATION, 300, 0)
    assert 0 < baseline.parity.largest_difference < 1e-5
    assert baseline.parity.worst_row in range(300)
    answers = baseline.reference.load()
    engine = OnnxRuntime().open(baseline.artifact, {})
    processor = workers.build_spec(baseline.processor)
    again = processor.finish(engine.run(processor.prepare(rows.load().features)))
    assert again["label"].tolist() == answers["label"].tolist()
    assert [spec.shape for spec in baseline.artifact.inputs] == [("rows", 1)] * 3


def test_a_model_of_two_inputs(store: LocalStore) -> None:
    model = stored(store, saved_onnx, two_inputs())
    random = np.random.default_rng(0)
    features = {"a": random.normal(size=(40, 3)), "b": random.normal(size=(40, 2))}
    baseline = converted(store, model, rows_of(store.root / "given" / "rows", features))
    assert baseline.task is Task.TENSORS
    assert [(spec.name, spec.shape) for spec in baseline.artifact.inputs] == [("a", ("rows", 3)), ("b", ("rows", 2))]
    assert baseline.reference.load()["y"].shape == (40, 2)


def one_input(first_axis: str = "n") -> Any:  # noqa: ANN401 - a ModelProto
    """label = whether the first of two numbers is the larger one, of the input x."""
    from onnx import TensorProto, helper

    made = helper.make_graph(
        [helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [first_axis, 2])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, [first_axis])],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("features", [{"a": np.arange(4.0), "b": np.array([1, 0, 5, 0])}, {"input": np.eye(2)[[1, 0, 1, 0]]}])
def test_a_single_input_may_be_called_otherwise_than_in_the_signature(
    store: LocalStore, features: dict[str, np.ndarray]
) -> None:
    from mlflow.models import ModelSignature, infer_signature

    frame = pd.DataFrame(features) if "a" in features else features["input"]
    signature: ModelSignature = infer_signature(frame)
    model = stored(store, saved_onnx, one_input(), signature=signature)
    baseline = converted(store, model, rows_of(store.root / "given" / "rows", features))
    assert baseline.task is Task.CLASSIFICATION
    assert baseline.reference.load()["label"].tolist() == [1, 0, 1, 0]


def test_weights_beside_the_graph_count(store: LocalStore) -> None:
    model = stored(store, saved_onnx, two_inputs(weights=1000))
    features = {"a": np.ones((3, 1000)), "b": np.ones((3, 2))}
    artifact = converted(store, model, rows_of(store.root / "given" / "rows", features)).artifact
    assert artifact.size_bytes > 8000 > artifact.path.stat().st_size


def test_the_second_time_it_is_reused(store: LocalStore, people_source: SourceModel) -> None:
    rows = people_rows(store)
    first = converted(store, people_source, rows)
    arguments = (CONVERTERS, PROCESSORS, RUNTIMES, people_source, rows, Conversion())
    assert convert.is_stored(store, *arguments, Tolerance())
    assert converted(store, people_source, rows) == first
    assert not convert.is_stored(store, *arguments, Tolerance(flips=1))


def test_the_entry_holds_the_model_and_the_answers_only(store: LocalStore, people_source: SourceModel) -> None:
    baseline = converted(store, people_source, people_rows(store))
    entry = baseline.reference.path.parent
    names = {file.relative_to(entry).as_posix() for file in entry.rglob("*") if file.is_file()}
    assert names == {"model/model.onnx", "reference.npz", "value.json", "files.json"}


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """A converter whose original answers one row otherwise than its export."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ()
    exporter: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    row: int
    by: float = 0.0
    flip: bool = False

    def accepts(self, model: SourceModel) -> bool:
        return True

    def risk(self, model: SourceModel) -> str | None:
        return None

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401
        return Sklearn().load(model)

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        return Sklearn().export(model, original, folder, precision)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        answers = Sklearn().predict(model, original, features)
        answers["probabilities"][self.row, 0] += self.by
        if self.flip:
            answers["label"][self.row] = "maybe"[: answers["label"].dtype.itemsize // 4]
        return answers


def test_another_probability_is_shown_with_its_row(store: LocalStore, people_source: SourceModel) -> None:
    with pytest.raises(
        ConversionError, match=r"largest difference is 0\.0\d+, 1e-05 is allowed; row 271: original label"
    ) as caught:
        converted(store, people_source, people_rows(store), converters={"p": Perturbed(row=271, by=0.02)})
    assert "\n" not in str(caught.value)


def test_another_label_is_shown_with_its_row(store: LocalStore, people_source: SourceModel) -> None:
    with pytest.raises(ConversionError, match=r"1 of 300 rows have another label, 0 are allowed; row 3: original label 'may'"):
        converted(store, people_source, people_rows(store), converters={"p": Perturbed(row=3, flip=True)})


def test_more_is_allowed_where_the_plan_says_so(store: LocalStore, people_source: SourceModel) -> None:
    baseline = converted(
        store, people_source, people_rows(store), converters={"p": Perturbed(row=3, by=0.02, flip=True)},
        tolerance=Tolerance(flips=1, probabilities=0.1),
    )  # fmt: skip
    assert (baseline.parity.flips, baseline.parity.worst_row, baseline.parity.tolerance) == (1, 3, 0.1)


def test_a_refused_export_is_not_kept(store: LocalStore, people_source: SourceModel) -> None:
    with pytest.raises(ConversionError):
        converted(store, people_source, people_rows(store), converters={"p": Perturbed(row=3, flip=True)})
    assert store.entries() == []


def test_a_forest_behind_a_scaler_differs_in_earnest(store: LocalStore) -> None:
    """Scaled in float32, some values fall on the other side of a tree's threshold than scaled in float64."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, label = load_breast_cancer(return_X_y=True, as_frame=True)
    estimator = make_pipeline(StandardScaler(), RandomForestClassifier(50, random_state=0)).fit(frame[:300], label[:300])
    model = stored(store, saved_sklearn, estimator, frame)
    with pytest.raises(ConversionError, match=r"largest difference is 0\.0\d+, .*; row \d+: original label \d, probabilities"):
        converted(store, model, rows_of(store.root / "given" / "rows", frame))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame.drop(columns="age"), "'age' is missing"),
        (lambda frame: frame.assign(surplus=1), "'surplus' is not known"),
        (lambda frame: frame.assign(age="old"), "age must be float32, got strings"),
    ],
)
def test_rows_that_do_not_fit_are_told(store: LocalStore, people_source: SourceModel, change: Any, told: str) -> None:  # noqa: ANN401
    rows = rows_of(store.root / "given" / "rows", change(people(seed=1)[0]))
    with pytest.raises(SourceError, match=f"the evaluation rows do not fit tiny: {told}"):
        converted(store, people_source, rows)


def test_a_flavour_that_nobody_takes_is_told(store: LocalStore, people_source: SourceModel) -> None:
    rows = people_rows(store)
    with pytest.raises(ConversionError, match="no converter takes tiny, a torch model with columns: there are onnx, sklearn"):
        converted(store, replace(people_source, flavour="torch"), rows)
    with pytest.raises(ConversionError, match="no processor takes tiny, a sklearn model with columns: there are none"):
        converted(store, people_source, rows, processors={})


def test_a_fixed_batch_size_is_told(store: LocalStore) -> None:
    model = stored(store, saved_onnx, two_inputs(first_axis=1))
    features = {"a": np.ones((4, 3)), "b": np.ones((4, 2))}
    with pytest.raises(ConversionError, match=r"input 'a' has the shape \(1, 3\): export it with a dynamic first axis"):
        converted(store, model, rows_of(store.root / "given" / "rows", features))


def test_fakes_need_no_onnx(store: LocalStore) -> None:
    source = FakeSource()
    ref = source.resolve("fake@candidate")
    model = source.download(ref, store.root / "given" / "fetched")
    rows = rows_of(store.root / "given" / "rows", FakeDataset().read(ref).features)
    arguments: tuple[Any, ...] = ({"fake": FakeProcessor()}, {"fake": FakeRuntime()}, model, rows, Conversion(), Tolerance())
    assert convert(store, {"fake": FakeConverter()}, *arguments).parity.flips == 0
    with pytest.raises(ConversionError, match="answers otherwise"):
        convert(store, {"fake": FakeConverter(drift_percent=100)}, *arguments)


class TestCompare:
    def answers(self, *values: float) -> Mapping[str, np.ndarray]:
        return {"value": np.array(values, np.float32).reshape(-1, 1)}

    def test_values_are_compared_relatively(self) -> None:
        parity = compare(Task.REGRESSION, self.answers(1000, 2000), self.answers(1000.05, 2000), Tolerance())
        assert parity.largest_difference == pytest.approx(5e-5, rel=0.01)
        assert parity.worst_row == 0

    @pytest.mark.parametrize("other", [1000.2, np.nan, np.inf])
    def test_too_far(self, other: float) -> None:
        with pytest.raises(ConversionError, match=r"row 1: original value \[1000\.\]"):
            compare(Task.REGRESSION, self.answers(1, 1000), self.answers(1, other), Tolerance())

    def test_close_to_zero_rounding_is_not_held_against_it(self) -> None:
        parity = compare(Task.REGRESSION, self.answers(1e-9, 100), self.answers(2e-9, 100), Tolerance())
        assert parity.largest_difference < 1e-6

    def test_missing_values_on_both_sides_are_the_same(self) -> None:
        assert compare(Task.TENSORS, self.answers(np.nan, np.inf, 1), self.answers(np.nan, np.inf, 1), Tolerance()).flips == 0

    def test_all_zeros(self) -> None:
        assert compare(Task.REGRESSION, self.answers(0, 0), self.answers(0, 0), Tolerance()).largest_difference == 0

    def test_other_names_and_shapes(self) -> None:
        with pytest.raises(ConversionError, match="has no answer 'value': it has other"):
            compare(Task.TENSORS, self.answers(1), {"other": np.ones((1, 1))}, Tolerance())
        with pytest.raises(ConversionError, match=r"value has the shape \(1,\), the original's \(1, 1\)"):
            compare(Task.TENSORS, self.answers(1), {"value": np.ones(1)}, Tolerance())


@pytest.mark.parametrize("field", ["flips", "probabilities", "values"])
def test_tolerances_are_not_negative(field: str) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Tolerance(**{field: -1})
