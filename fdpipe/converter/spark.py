"""Spark ML's classifiers, regressors and clusterings at the end of a pipeline, exported with onnxmltools."""

import contextlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter._exported import EXPORTER, finished, one_line
from fdpipe.converter._spark_graph import keep, repair
from fdpipe.errors import ConversionError, MissingExtra, NotApplicable
from fdpipe.extras import require
from fdpipe.interfaces import Export
from fdpipe.mlmodel import flavour_settings

if TYPE_CHECKING:
    from onnx import ModelProto

SAFE = tuple(
    f"{home}{room}"
    for home in ("org.apache.spark.ml.", "pyspark.ml.")
    for room in ("PipelineModel", "pipeline.PipelineModel", "feature.", "classification.", "regression.", "clustering.")
)
"""How the names of stages begin that are Spark's own."""

UNSAFE = "SQLTransformer"
"""Spark's own, and runs a statement that may call any Java method."""

COLUMN_TYPES = {
    "bool": "boolean", "int32": "int", "int64": "bigint", "float32": "float", "float64": "double", "string": "string",
}  # fmt: skip
"""Spark's names of the types of a signature's columns."""


@dataclass(frozen=True)
class Opened:
    """A pipeline, and the session that it lives in."""

    session: Any
    pipeline: Any


@dataclass(frozen=True, kw_only=True)
class Spark:
    """`driver_memory_mib` is for the Java virtual machine. Inputs are the signature's columns; numbers are float32 in the
    graph, and the label is Spark's `prediction` as a whole number."""

    kind: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("pyspark", "onnxmltools", "onnx")
    exporter: ClassVar[tuple[str, ...]] = ("onnxmltools>=1.16,<1.17", "skl2onnx>=1.17,<1.21", "pandas>=2,<4", *EXPORTER)
    extra: ClassVar[str] = "spark"

    driver_memory_mib: int = 1024

    def __post_init__(self) -> None:
        """Ranges."""
        if self.driver_memory_mib < 256:
            raise ValueError("driver_memory_mib must be at least 256")

    def accepts(self, model: SourceModel) -> bool:
        """MLflow's spark flavour."""
        return model.flavour == "spark"

    def risk(self, model: SourceModel) -> str | None:
        """A stage that is not Spark's own, or files with code; Spark's own stages are parameters in JSON and Parquet."""
        if flavour_settings(model.path, "spark").get("code"):
            return "files with code"
        foreign = [name for name in _classes(_folder(model)) if not name.startswith(SAFE) or name.endswith(UNSAFE)]
        return f"a stage of the class {foreign[0]!r}" if foreign else None

    def load(self, model: SourceModel) -> Any:  # noqa: ANN401 - pyspark may not be here
        """The pipeline, in a session of one thread on this machine, without a page of its own."""
        folder = _folder(model)
        require("pyspark", extra="spark")
        if not _has_java():
            raise MissingExtra(
                "Spark needs a Java virtual machine, 17 or later, and there is no `java`: install a JRE, or set JAVA_HOME"
            )
        from pyspark.ml import PipelineModel

        with _told("Spark cannot load the pipeline"):
            session = _session(self.driver_memory_mib)
            return Opened(session, PipelineModel.load(folder.resolve().as_uri()))

    def export(self, model: SourceModel, original: Any, folder: Path, precision: Precision) -> Export:  # noqa: ANN401
        """Outputs `label` and `probabilities` (where the classifier has them), or `value` of shape (rows, 1)."""
        if precision is not Precision.FLOAT32:
            raise NotApplicable("onnxmltools exports Spark's pipelines in float32 only")
        stages = _stages(original.pipeline)
        made = _convert(original, _initial_types(model, stages))
        answers = _answers(stages[-1])
        with _told(f"the export of this {_name(stages[-1])} is not valid"):
            repair(made, multinomial=_is_multinomial(stages[-1]))
            keep(made, answers)
            used = [value.name for value in made.graph.input]
            return finished(made, folder, dict(zip(used, used, strict=True)), answers)

    def predict(self, model: SourceModel, original: Any, features: Batch) -> dict[str, np.ndarray]:  # noqa: ANN401
        """Spark's own answers, from a data frame of the signature's columns."""
        if not rows_in(features):
            raise ConversionError("the original cannot answer: Spark's answers to no rows have no shape")
        answers = _answers(_stages(original.pipeline)[-1])
        schema = ", ".join(f"`{spec.name}` {COLUMN_TYPES[spec.dtype]}" for spec in model.inputs)
        columns: list[list[Any]] = [
            features[spec.name].reshape(-1).astype(_python(spec.dtype)).tolist() for spec in model.inputs
        ]
        with _told("the original cannot answer"):
            frame = original.session.createDataFrame(list(zip(*columns, strict=True)), schema)
            found = original.pipeline.transform(frame).select(*(f"`{column}`" for column in answers)).collect()
        if len(found) != rows_in(features):
            raise ConversionError(f"the original answers {len(found)} of {rows_in(features)} rows: it skips what is not valid")
        return {name: _array([row[column] for row in found], name) for column, name in answers.items()}


def _folder(model: SourceModel) -> Path:
    """Where the pipeline lies, inside the model's folder."""
    settings = flavour_settings(model.path, "spark")
    if str(settings.get("model_class", "")).startswith("pyspark.ml.connect."):
        raise ConversionError(
            f"{model.ref.name} is a model of Spark Connect, which is not supported: log a pyspark.ml pipeline"
        )
    path = (model.path / str(settings.get("model_data", ""))).resolve()
    if path == model.path.resolve() or not path.is_relative_to(model.path.resolve()) or not path.is_dir():
        raise ConversionError(
            f"MLmodel names {settings.get('model_data')!r} as its model_data, which is no folder of this model"
        )
    return path


def _classes(folder: Path) -> Iterator[str]:
    """What each stage's metadata names as its class; a description that cannot be read counts as a class without a name."""
    described = sorted(folder.rglob("metadata/part-*"))
    if not described:
        yield ""
    for path in described:
        try:
            found = json.loads(path.read_text().partition("\n")[0])
            yield str(found["class"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            yield ""


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return bool(shutil.which("java") or (home and Path(home, "bin", "java").is_file()))


def _session(memory_mib: int) -> Any:  # noqa: ANN401 - pyspark may not be here
    """One for the whole process: Spark has no other way."""
    from pyspark.sql import SparkSession

    scratch = tempfile.gettempdir()
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.master": "local[1]",
        "spark.app.name": "fdpipe",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": f"{memory_mib}m",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={scratch} -XX:-UsePerfData",
        "spark.local.dir": scratch,
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        "spark.sql.shuffle.partitions": "1",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _stages(pipeline: Any) -> list[Any]:  # noqa: ANN401 - pyspark may not be here
    """The stages, those of pipelines inside it in their places."""
    from pyspark.ml import PipelineModel

    found = []
    for stage in pipeline.stages:
        found += _stages(stage) if isinstance(stage, PipelineModel) else [stage]
    if not found:
        raise ConversionError("the pipeline has no stages")
    return found


def _name(stage: Any) -> str:  # noqa: ANN401 - pyspark may not be here
    return str(type(stage).__name__)


def _answers(stage: Any) -> dict[str, str]:  # noqa: ANN401 - pyspark may not be here
    """Our names of the columns that the last stage adds."""
    home = type(stage).__module__.rpartition(".")[2]
    if home == "regression" and not _name(stage).startswith(("GBT", "Isotonic", "AFT")):
        return {stage.getPredictionCol(): "value"}
    if home == "classification" and hasattr(stage, "getProbabilityCol"):
        return {stage.getPredictionCol(): "label", stage.getProbabilityCol(): "probabilities"}
    if home == "classification" or _name(stage) == "KMeansModel":
        return {stage.getPredictionCol(): "label"}
    raise ConversionError(
        f"a pipeline that ends with {_name(stage)} cannot be converted: it must end with a classifier, KMeans, "
        "or a regressor other than GBT, isotonic and AFT"
    )


def _initial_types(model: SourceModel, stages: Sequence[Any]) -> list[tuple[str, object]]:
    """onnxmltools' declaration of the columns that the stages use; it refuses others."""
    from onnxmltools.convert.common.data_types import FloatTensorType, StringTensorType
    from onnxmltools.convert.sparkml.ops_input_output import get_input_names, get_output_names

    if not model.inputs or not model.columns:
        raise ConversionError(
            f"{model.ref.name} has no columns as inputs: log it with signature=infer_signature(data frame, answers)"
        )
    with _told("onnxmltools does not know this pipeline"):
        made = {name for stage in stages for name in get_output_names(stage)}
        used = {name for stage in stages for name in get_input_names(stage)} - made
    if lacking := sorted(used - {spec.name for spec in model.inputs}):
        raise ConversionError(f"the pipeline uses the column {lacking[0]!r}, which the signature has not")
    if idle := [spec.name for spec in model.inputs if spec.name not in used]:
        raise ConversionError(f"the signature has the column {idle[0]!r}, which the pipeline does not use: log it without")
    kinds = {"string": StringTensorType}
    return [(spec.name, kinds.get(spec.dtype, FloatTensorType)([None, 1])) for spec in model.inputs]


def _convert(original: Opened, initial: list[tuple[str, object]]) -> "ModelProto":
    """What onnxmltools makes of it, which prints while it does."""
    from onnxmltools.convert import convert_sparkml

    with _told("onnxmltools cannot export this pipeline"), contextlib.redirect_stdout(sys.stderr), _scratch():
        return convert_sparkml(original.pipeline, "model", initial, spark_session=original.session)


@contextlib.contextmanager
def _scratch() -> Iterator[None]:
    """A folder of its own for temporary files: onnxmltools leaves there what it read trees from."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _is_multinomial(stage: Any) -> bool:  # noqa: ANN401 - pyspark may not be here
    return _name(stage) == "LogisticRegressionModel" and int(stage.numClasses) > 2


def _python(dtype: str) -> type:
    return object if dtype == "string" else {"b": bool, "i": int, "f": float}[np.dtype(dtype).kind]


def _array(found: list[Any], name: str) -> np.ndarray:
    """Spark's answers as the export has them."""
    if name == "label":
        return np.array(found, np.float64).astype(np.int64)
    if name == "value":
        return np.array(found, np.float32).reshape(-1, 1)
    return np.array([vector.toArray() for vector in found], np.float32)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Whatever Spark, its Java virtual machine, onnxmltools and onnx raise, in one line; they also warn."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ConversionError:
        raise
    except _errors() as error:
        causes = [line for line in str(error).splitlines() if line.startswith("Caused by: ")]
        said = " ".join(causes[-1].split())[11:411] if causes else one_line(error)
        raise ConversionError(f"{what}: {said}") from error


def _errors() -> tuple[type[Exception], ...]:
    from pyspark.errors import PySparkException

    java: type[Exception] = importlib.import_module("py4j.protocol").Py4JError
    return (*graphs.library_errors(), OSError, NotImplementedError, java, PySparkException)
