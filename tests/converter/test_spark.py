"""Spark ML's pipelines, where Spark and a Java virtual machine are there."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from fdpipe import mlmodel
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter import spark as module
from fdpipe.converter.spark import Spark
from fdpipe.errors import ConversionError, MissingExtra, NotApplicable, SourceError
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of

try:
    import pyspark
except ImportError:
    pyspark = None

needs_spark = pytest.mark.skipif(
    pyspark is None or shutil.which("java") is None,
    reason="needs pyspark and a Java virtual machine: run by `make formats` in an environment of its own",
)

Save = Callable[..., SourceModel]
"""Fit the stages to the frame and save the pipeline; `columns` are those of its signature."""


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Save]:
    import mlflow.spark
    from mlflow.models import infer_signature
    from pyspark.ml import Pipeline

    session = module._session(1024)
    count = 0

    def saved(frame: pd.DataFrame, *stages: Any, columns: list[str], **settings: Any) -> SourceModel:  # noqa: ANN401
        nonlocal count
        count += 1
        folder = tmp_path_factory.mktemp("spark") / str(count)
        pipeline = Pipeline(stages=list(stages)).fit(session.createDataFrame(frame))
        signature = infer_signature(frame[columns], pd.DataFrame({"prediction": [0.0]}))
        mlflow.spark.save_model(pipeline, str(folder), signature=signature, pip_requirements=["pyspark"], **settings)
        return mlmodel.describe(ref_of(folder), folder)

    yield saved
    session.stop()


def tumours() -> pd.DataFrame:
    """scikit-learn's breast cancer data: five measures, a made-up town, and the diagnosis."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer(as_frame=True)
    frame: pd.DataFrame = found.data.iloc[:, :5].set_axis(list("abcde"), axis=1)
    town = [["Ulm", "Köln", "Bonn"][row % 3] for row in range(len(frame))]
    return frame.assign(town=town, label=found.target.astype(float))


def flowers() -> pd.DataFrame:
    """scikit-learn's iris data."""
    from sklearn.datasets import load_iris

    found = load_iris(as_frame=True)
    flowers: pd.DataFrame = found.data.set_axis(list("abcd"), axis=1)
    return flowers.assign(label=found.target.astype(float))


def patients() -> pd.DataFrame:
    """scikit-learn's diabetes data: five measures and the progression."""
    from sklearn.datasets import load_diabetes

    found = load_diabetes(as_frame=True)
    people: pd.DataFrame = found.data.iloc[:, :5].set_axis(list("abcde"), axis=1)
    return people.assign(label=found.target)


def assembled(columns: list[str], into: str = "features") -> Any:  # noqa: ANN401 - of pyspark
    from pyspark.ml.feature import VectorAssembler

    return VectorAssembler(inputCols=columns, outputCol=into)


def batch_of(frame: pd.DataFrame, columns: list[str]) -> dict[str, np.ndarray]:
    """Rows as the graph takes them, exact in float32."""
    texts = [name for name in columns if frame[name].dtype.kind not in "fi"]
    return {name: frame[[name]].to_numpy(object) if name in texts else frame[[name]].to_numpy(np.float32) for name in columns}


COLUMNS = [*"abcde", "town"]


@pytest.fixture(scope="module")
def model(save: Save) -> SourceModel:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import OneHotEncoder, StandardScaler, StringIndexer

    return save(
        tumours(),
        StringIndexer(inputCol="town", outputCol="number", handleInvalid="keep"),
        OneHotEncoder(inputCols=["number"], outputCols=["hot"], handleInvalid="keep"),
        assembled([*"abcde", "hot"], "raw"),
        StandardScaler(inputCol="raw", outputCol="features", withMean=True),
        LogisticRegression(),
        columns=COLUMNS,
    )


@needs_spark
class TestSpark(ConverterContract):
    @pytest.fixture
    def converter(self) -> Spark:
        return Spark()

    @pytest.fixture
    def batch(self) -> Batch:
        return batch_of(tumours()[::7], COLUMNS)

    def test_names_and_kinds(self, converter: Spark, model: SourceModel, tmp_path: Path) -> None:
        export = exported(converter, model, tmp_path)
        assert export.task is Task.CLASSIFICATION
        assert [(spec.name, spec.dtype) for spec in export.outputs] == [("label", "int64"), ("probabilities", "float32")]
        assert [(spec.name, spec.dtype, spec.shape) for spec in export.inputs] == [
            *((name, "float32", ("rows", 1)) for name in "abcde"),
            ("town", "string", ("rows", 1)),
        ]

    def test_a_town_that_was_not_there_is_like_the_original(
        self, converter: Spark, model: SourceModel, batch: Batch, tmp_path: Path
    ) -> None:
        unseen = {**batch, "town": np.full_like(batch["town"], "Trier")}
        copy = ask(exported(converter, model, tmp_path).path, unseen)
        np.testing.assert_allclose(answers(converter, model, unseen)["probabilities"], copy["probabilities"], atol=1e-5)

    def test_no_rows_are_no_answers(self, converter: Spark, model: SourceModel, batch: Batch) -> None:
        found = answers(converter, model, {name: array[:0] for name, array in batch.items()})
        assert len(found["label"]) == 0

    def test_there_is_float32_only(self, converter: Spark, model: SourceModel, tmp_path: Path) -> None:
        with pytest.raises(NotApplicable, match="float32 only"):
            exported(converter, model, tmp_path, Precision.FLOAT64)

    def test_its_own_stages_are_no_code(self, converter: Spark, model: SourceModel) -> None:
        assert converter.risk(model) is None


def endings() -> dict[str, tuple[Callable[[], pd.DataFrame], Callable[[], list[Any]]]]:
    """Pipelines by name: the data, and the stages behind the assembled features."""
    from pyspark.ml import classification, clustering, feature, regression

    def behind_a_range() -> list[Any]:
        scaler = feature.MinMaxScaler(inputCol="raw", outputCol="features")
        return [assembled([*"abcde"], "raw"), scaler, classification.LogisticRegression()]

    return {
        "logistic regression": (tumours, lambda: [classification.LogisticRegression()]),
        "logistic regression of three": (flowers, lambda: [classification.LogisticRegression()]),
        "behind a range": (tumours, behind_a_range),
        "tree": (flowers, lambda: [classification.DecisionTreeClassifier(maxDepth=4)]),
        "forest": (flowers, lambda: [classification.RandomForestClassifier(numTrees=4, seed=1)]),
        "boosted trees": (tumours, lambda: [classification.GBTClassifier(maxIter=3, seed=1)]),
        "support vectors": (tumours, lambda: [classification.LinearSVC(maxIter=10)]),
        "perceptron": (flowers, lambda: [classification.MultilayerPerceptronClassifier(layers=[4, 5, 3], seed=1)]),
        "clusters": (flowers, lambda: [clustering.KMeans(k=3, seed=1)]),
        "linear regression": (patients, lambda: [regression.LinearRegression()]),
        "regression tree": (patients, lambda: [regression.DecisionTreeRegressor(maxDepth=4)]),
        "regression forest": (patients, lambda: [regression.RandomForestRegressor(numTrees=4, seed=1)]),
    }  # fmt: skip


NAMES = (
    "logistic regression", "logistic regression of three", "behind a range", "tree", "forest", "boosted trees",
    "support vectors", "perceptron", "clusters", "linear regression", "regression tree", "regression forest",
)  # fmt: skip


@needs_spark
@pytest.mark.parametrize("name", NAMES)
def test_each_kind_of_pipeline_agrees(name: str, save: Save, tmp_path: Path) -> None:
    data, make = endings()[name]
    frame = data()
    columns = [str(column) for column in frame if column != "town" and column != "label"]
    stages = make()
    front: list[Any] = [] if name == "behind a range" else [assembled(columns)]
    model = save(frame, *front, *stages, columns=columns)
    batch = batch_of(frame, columns)
    original, copy = answers(Spark(), model, batch), ask(exported(Spark(), model, tmp_path).path, batch)
    assert list(original) == list(copy)
    for answer, array in original.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, copy[answer], rtol=1e-4, atol=1e-5)
        else:
            assert (array == copy[answer]).mean() == 1


@needs_spark
def test_a_text_beside_numbers_and_a_column_that_does_not_vary(save: Save, tmp_path: Path) -> None:
    from pyspark.ml.feature import StandardScaler, StringIndexer
    from pyspark.ml.regression import LinearRegression

    frame = patients().assign(town=["Ulm", "Bonn"] * 221, e=2.0)
    stages = [
        StringIndexer(inputCol="town", outputCol="number"),
        assembled([*"abcde", "number"], "raw"),
        StandardScaler(inputCol="raw", outputCol="features"),
        LinearRegression(),
    ]
    model = save(frame, *stages, columns=[*"abcde", "town"])
    batch = batch_of(frame, [*"abcde", "town"])
    original, copy = answers(Spark(), model, batch), ask(exported(Spark(), model, tmp_path).path, batch)
    np.testing.assert_allclose(original["value"], copy["value"], rtol=1e-4)
    unseen = {**batch, "town": np.full_like(batch["town"], "Trier")}
    with pytest.raises(ConversionError, match=r"the original cannot answer: .*Trier") as caught:
        answers(Spark(), model, unseen)
    assert "\n" not in str(caught.value)


@needs_spark
def test_rows_that_spark_skips_are_told(save: Save) -> None:
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler

    frame = tumours()
    assembler = VectorAssembler(inputCols=[*"abcde"], outputCol="features", handleInvalid="skip")
    model = save(frame, assembler, LogisticRegression(), columns=[*"abcde"])
    batch = batch_of(frame, [*"abcde"])
    batch["a"] = np.where(np.arange(len(frame)) < 3, np.nan, batch["a"][:, 0]).reshape(-1, 1)
    with pytest.raises(ConversionError, match="the original answers 566 of 569 rows"):
        answers(Spark(), model, batch)


@needs_spark
def test_what_cannot_be_converted_is_told_in_one_line(save: Save, tmp_path: Path) -> None:
    from pyspark.ml.classification import LogisticRegression, NaiveBayes
    from pyspark.ml.feature import Imputer
    from pyspark.ml.regression import GBTRegressor

    frame = tumours()
    refused = {
        "GBTRegressionModel cannot be converted": save(
            frame, assembled([*"abcde"]), GBTRegressor(maxIter=2), columns=[*"abcde"]
        ),
        "cannot open the export": save(frame, assembled([*"abcde"]), NaiveBayes(), columns=[*"abcde"]),
        "VectorAssembler cannot be converted": save(frame, assembled([*"abcde"]), columns=[*"abcde"]),
        "column 'town', which the pipeline does not use": save(
            frame, assembled([*"abcde"]), LogisticRegression(), columns=COLUMNS
        ),
        "Split": save(
            frame,
            Imputer(inputCols=["a", "b"], outputCols=["x", "y"]),
            assembled(["x", "y"]),
            LogisticRegression(),
            columns=["a", "b"],
        ),
    }
    for number, (said, model) in enumerate(refused.items()):
        with pytest.raises(ConversionError, match=said) as caught:
            exported(Spark(), model, tmp_path / str(number))
        assert "\n" not in str(caught.value)


def described(folder: Path, *classes: str, **settings: Any) -> SourceModel:  # noqa: ANN401 - YAML
    """A model in MLflow's spark flavour, whose stages have metadata only."""
    for number, name in enumerate(classes):
        stage = folder / "sparkml" / "stages" / str(number) / "metadata"
        stage.mkdir(parents=True)
        (stage / "part-00000").write_text(json.dumps({"class": name}) if name else "{")
    (folder / "sparkml").mkdir(exist_ok=True)
    flavour = {"model_data": "sparkml", "code": None} | settings
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {}, "spark": flavour}}))
    return mlmodel.describe(ref_of(folder), folder)


OWN = "org.apache.spark.ml.classification.LogisticRegressionModel"


@pytest.mark.parametrize(
    ("classes", "settings", "risk"),
    [
        ([OWN, "pyspark.ml.pipeline.PipelineModel"], {}, None),
        ([OWN, "__main__.Mine"], {}, "a stage of the class '__main__.Mine'"),
        (["org.apache.spark.ml.feature.SQLTransformer"], {}, "SQLTransformer'"),
        (["org.apache.spark.ml.feature"], {}, "a stage of the class"),
        ([OWN, ""], {}, "a stage of the class ''"),
        ([], {}, "a stage of the class ''"),
        ([OWN], {"code": "code"}, "files with code"),
    ],
)
def test_what_is_code_is_told(classes: list[str], settings: dict[str, Any], risk: str | None, tmp_path: Path) -> None:
    found = Spark().risk(described(tmp_path, *classes, **settings))
    assert (found is None) if risk is None else risk in str(found)


@pytest.mark.parametrize("data", ["..", "", "../elsewhere", "none"])
def test_a_folder_elsewhere_is_refused(data: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    model = described(tmp_path / "model", OWN, model_data=data)
    with pytest.raises(ConversionError, match="is no folder of this model"):
        Spark().risk(model)


def test_models_of_spark_connect_are_refused(tmp_path: Path) -> None:
    model = described(tmp_path, OWN, model_class="pyspark.ml.connect.classification.LogisticRegressionModel")
    with pytest.raises(ConversionError, match="Spark Connect, which is not supported"):
        Spark().risk(model)


def test_without_spark_or_java_what_to_install_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = described(tmp_path, OWN)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    said = r"pip install 'fdpipe\[spark\]'" if pyspark is None else "Java virtual machine, 17 or later.*install a JRE"
    with pytest.raises(MissingExtra, match=said):
        Spark().load(model)


def test_it_takes_its_own_flavour_only(tmp_path: Path) -> None:
    model = described(tmp_path, OWN)
    assert Spark().accepts(model)
    assert not Spark().accepts(replace(model, flavour="sklearn"))
    with pytest.raises(SourceError):
        Spark().risk(replace(model, path=tmp_path / "nowhere"))


def test_memory_must_be_enough() -> None:
    with pytest.raises(ValueError, match="driver_memory_mib must be at least 256"):
        Spark(driver_memory_mib=100)


def test_its_file_is_the_default() -> None:
    assert built("converter", "spark") == Spark()
