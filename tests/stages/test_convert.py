"""convert: the certificate, and what is refused."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import Artifact, Baseline, Precision, Rows, SourceModel, Task
from fdpipe.converter.onnx import Onnx
from fdpipe.converter.pyfunc import Pyfunc
from fdpipe.converter.sklearn import Sklearn
from fdpipe.errors import ConversionError, OriginalLost, SourceError, StageError
from fdpipe.interfaces import Converter, Engine, Export, Processor, Runtime, Session
from fdpipe.plan import Conversion, Isolation, Tolerance
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.runtime.pyfunc import Pyfunc as PyfuncRuntime
from fdpipe.stages.convert import chosen, convert
from fdpipe.store import LocalStore
from fdpipe.testing import FakeConverter, FakeDataset, FakeProcessor, FakeRuntime, FakeSource
from tests.models import people, people_model, rows_of, saved_onnx, saved_sklearn, two_inputs

CONVERTERS: Mapping[str, Converter] = {"onnx": Onnx(), "sklearn": Sklearn()}
PROCESSORS: Mapping[str, Processor] = {"none": Plain(), "tabular": Tabular()}
RUNTIMES: Mapping[str, Runtime] = {"onnxruntime": OnnxRuntime()}
HERE = Conversion(isolation=Isolation.IN_PROCESS)
"""How the original is kept apart has its own tests."""

NEIGHBOURS = ["numpy.dtype", "sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._kd_tree.KDTree"]

pytestmark = pytest.mark.usefixtures("home")


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
        "converters": CONVERTERS, "processors": PROCESSORS, "runtimes": RUNTIMES, "how": HERE, "tolerance": Tolerance()
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


def test_the_certificate_is_the_same_from_a_process_of_its_own(store: LocalStore, people_source: SourceModel) -> None:
    rows = people_rows(store)
    here, there = (converted(store, people_source, rows, how=how).parity for how in (HERE, Conversion()))
    assert here.cases == there.cases
    assert here.digest == there.digest


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


@dataclass(frozen=True, kw_only=True)
class Filling(Onnx):
    """A converter whose original takes a missing value for 0, which its export does not."""

    def predict(self, model: SourceModel, original: Path, features: Batch) -> dict[str, np.ndarray]:
        return super().predict(model, original, {name: np.nan_to_num(array) for name, array in features.items()})


def test_missing_values_in_tensors_are_judged_where_the_data_has_some(store: LocalStore) -> None:
    model = stored(store, saved_onnx, two_inputs())
    features = {"a": np.arange(12.0).reshape(4, 3), "b": np.ones((4, 2))}
    converters = {"onnx": Filling()}
    baseline = converted(store, model, rows_of(store.root / "given" / "rows", features), converters=converters)
    missing = next(case for case in baseline.parity.cases if case.name == "missing")
    assert missing.rows > 0
    assert "smallest cosine" in missing.unjudged
    features["a"][0, 0] = np.nan
    with pytest.raises(ConversionError, match="answers otherwise"):
        converted(store, model, rows_of(store.root / "given" / "others", features), converters=converters)


def test_weights_beside_the_graph_count(store: LocalStore) -> None:
    model = stored(store, saved_onnx, two_inputs(weights=1000))
    features = {"a": np.ones((3, 1000)), "b": np.ones((3, 2))}
    artifact = converted(store, model, rows_of(store.root / "given" / "rows", features)).artifact
    assert artifact.size_bytes > 8000 > artifact.path.stat().st_size


def test_the_second_time_it_is_reused(store: LocalStore, people_source: SourceModel) -> None:
    rows = people_rows(store)
    first = converted(store, people_source, rows)
    arguments = (CONVERTERS, PROCESSORS, RUNTIMES, people_source, rows, HERE)
    assert convert.is_stored(store, *arguments, Tolerance())
    assert converted(store, people_source, rows) == first
    assert not convert.is_stored(store, *arguments, Tolerance(flips=1))


def test_the_entry_holds_the_model_and_the_answers_only(store: LocalStore, people_source: SourceModel) -> None:
    baseline = converted(store, people_source, people_rows(store))
    entry = baseline.reference.path.parent
    names = {file.relative_to(entry).as_posix() for file in entry.rglob("*") if file.is_file()}
    assert names == {"float32/model/model.onnx", "parity.json", "reference.npz", "value.json", "files.json"}


@dataclass(frozen=True, kw_only=True)
class Perturbed:
    """A converter whose original answers one row of the data otherwise than its export; in float64 too, unless `cured`."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ()
    exporter: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    row: int = 0
    by: float = 0.0
    flip: bool = False
    in_double: str = ""

    def accepts(self, model: SourceModel) -> bool:
        return True

    def risk(self, model: SourceModel) -> str | None:
        return None

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401
        return Sklearn().load(model)

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        if precision is Precision.FLOAT64 and self.in_double:
            raise ConversionError(self.in_double)
        return Sklearn().export(model, original, folder, precision)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        answers = Sklearn().predict(model, original, features)
        if len(answers["label"]) == 300:
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
    assert "; in float64, the export answers otherwise: the largest difference is 0.0" in str(caught.value)


def test_another_label_is_shown_with_its_row(store: LocalStore, people_source: SourceModel) -> None:
    with pytest.raises(ConversionError, match=r"1 of 300 rows have another label, 0 are allowed; row 3: original label 'may'"):
        converted(store, people_source, people_rows(store), converters={"p": Perturbed(row=3, flip=True)})


def test_what_the_export_in_float64_is_refused_for_is_said_too(store: LocalStore, people_source: SourceModel) -> None:
    converter = Perturbed(row=3, flip=True, in_double="the exporter knows no doubles")
    with pytest.raises(ConversionError, match=r"row 3: .*; in float64, the exporter knows no doubles; to see it again: /.*"):
        converted(store, people_source, people_rows(store), converters={"p": converter})


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


def test_the_certificate_has_every_case(store: LocalStore, people_source: SourceModel) -> None:
    """The original imputes ages, knows no missing number of children, and takes no empty batch."""
    parity = converted(store, people_source, people_rows(store)).parity
    cases = {case.name: case for case in parity.cases}
    assert list(cases) == ["evaluation", "alone", "many", "empty", "missing", "extreme", "unseen"]
    assert [cases[name].rows for name in ("evaluation", "alone", "many", "unseen")] == [300, 1, 1024, 2]
    assert "minimum of 1 is required" in cases["empty"].refused
    assert (cases["missing"].rows, cases["missing"].refused) == (4, "")  # of the blocks, that of the children is left out
    assert cases["extreme"].rows == 27
    assert all(case.largest_difference < 1e-5 and not case.flips for case in parity.cases)
    assert parity.path is not None
    written = json.loads(parity.path.read_text())
    assert written["model"] == {"name": "tiny", "version": "1", "digest": people_source.digest}
    assert written["export"]["digest"]
    assert set(written["converter"]["versions"]) >= {"scikit-learn", "skl2onnx", "onnx"}
    assert (written["precision"], written["cure"], written["label_flip_rate"]) == ("float32", "", 0)
    assert [case["name"] for case in written["cases"]] == list(cases)


def test_a_forest_behind_a_scaler_is_cured_in_float64(store: LocalStore) -> None:
    """Scaled in float32, some values fall on the other side of a tree's threshold than scaled in float64: on four rows of
    this data none does, but rows at the thresholds do."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame, label = load_breast_cancer(return_X_y=True, as_frame=True)
    estimator = make_pipeline(StandardScaler(), RandomForestClassifier(50, random_state=0)).fit(frame[:300], label[:300])
    model = stored(store, saved_sklearn, estimator, frame)
    baseline = converted(store, model, rows_of(store.root / "given" / "rows", frame[300:304]))
    assert baseline.parity.precision is Precision.FLOAT64
    told = r"in float32, the export answers otherwise on the rows 'thresholds': .*; row \d+: original label \d, probabilities"
    assert re.match(told, baseline.parity.cure)
    assert [spec.dtype for spec in baseline.artifact.inputs] == ["float64"]
    assert baseline.artifact.path.is_file()
    assert not list(baseline.reference.path.parent.glob("float32"))
    by_name = {case.name: case for case in baseline.parity.cases}
    assert by_name["thresholds"].rows > 1000


def test_neighbours_that_are_equally_far_end_in_an_error_or_a_cure(store: LocalStore) -> None:
    """Of 899 digits two have neighbours so equally far that float32 takes others: 0.2 %."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neighbors import KNeighborsClassifier

    features, rows, label, _ = train_test_split(*load_digits(return_X_y=True), test_size=0.5, random_state=0)
    estimator = KNeighborsClassifier(4).fit(features, label)
    model = stored(store, saved_sklearn, estimator, features, skops_trusted_types=NEIGHBOURS)
    try:
        told = converted(store, model, rows_of(store.root / "given" / "rows", {"input": rows})).parity.cure
    except ConversionError as error:
        told = f"in float32, {error}"
    assert told.startswith("in float32, the export answers otherwise: 2 of 899 rows have another label, 0 are allowed; row")


def test_an_original_that_is_lost_ends_it(store: LocalStore, people_source: SourceModel) -> None:
    class Lost(Perturbed):
        def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
            if np.isnan(features["age"]).all():
                raise OriginalLost("the original was ended by SIGSEGV while it answered")
            return super().predict(model, original, features)

    with pytest.raises(OriginalLost, match="SIGSEGV while it answered; to see it again"):
        converted(store, people_source, people_rows(store), converters={"p": Lost()})


@dataclass(frozen=True, kw_only=True)
class Picky(OnnxRuntime):
    """Refuses batches of so many rows, or to open anything."""

    refused: int | None = None

    def open(self, artifact: Artifact, session: Session) -> Engine:
        if self.refused is None:
            raise StageError("it opens nothing")
        return PickyEngine(super().open(artifact, session), self.refused)


class PickyEngine:
    def __init__(self, engine: Engine, refused: int) -> None:
        self.engine, self.refused = engine, refused

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        if rows_in(batch) == self.refused:
            raise StageError("there are too few rows")
        return self.engine.run(batch)

    def close(self) -> None:
        self.engine.close()


def two_rows(store: LocalStore) -> tuple[SourceModel, Rows]:
    model = stored(store, saved_onnx, two_inputs())
    return model, rows_of(store.root / "given" / "rows", {"a": np.ones((40, 3)), "b": np.ones((40, 2))})


def test_an_export_need_not_take_an_empty_batch(store: LocalStore) -> None:
    parity = converted(store, *two_rows(store), runtimes={"o": Picky(refused=0)}).parity
    empty = next(case for case in parity.cases if case.name == "empty")
    assert empty.refused == "the export takes none: there are too few rows"


def test_an_export_that_refuses_what_the_original_answers_is_told(store: LocalStore) -> None:
    with pytest.raises(
        ConversionError, match="the export refuses what the original answers: there are too few rows; there is no"
    ):
        converted(store, *two_rows(store), runtimes={"o": Picky(refused=1)})


def test_an_export_that_cannot_be_opened_is_told(store: LocalStore) -> None:
    with pytest.raises(ConversionError, match="the export cannot be opened: it opens nothing; there is no export in float64"):
        converted(store, *two_rows(store), runtimes={"o": Picky()})


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


def test_what_can_only_be_served_as_it_is_is_told(store: LocalStore, people_source: SourceModel) -> None:
    converters: Mapping[str, Converter] = {"onnx": Onnx(), "pyfunc": Pyfunc()}
    with pytest.raises(ConversionError, match=r"no converter takes tiny.*; it can be served as it is: runtime=pyfunc"):
        chosen(converters, PROCESSORS, RUNTIMES, people_source)


def test_only_what_is_used_decides_the_result(people_source: SourceModel) -> None:
    runtimes: Mapping[str, Runtime] = {"pyfunc": PyfuncRuntime(), **RUNTIMES, "other": OnnxRuntime(provider="other")}
    found = chosen(CONVERTERS, PROCESSORS, runtimes, people_source)
    assert found == ({"sklearn": Sklearn()}, {"tabular": Tabular()}, RUNTIMES)


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
    arguments: tuple[Any, ...] = ({"fake": FakeProcessor()}, {"fake": FakeRuntime()}, model, rows, HERE, Tolerance())
    assert convert(store, {"fake": FakeConverter()}, *arguments).parity.flips == 0
    with pytest.raises(ConversionError, match="answers otherwise"):
        convert(store, {"fake": FakeConverter(drift_percent=100)}, *arguments)
