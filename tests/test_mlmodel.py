"""What an MLmodel file says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types import TensorSpec as Tensor

from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.errors import SourceError
from fdpipe.mlmodel import describe, flavour_file, read_mlmodel
from tests.models import ref_of


def described(folder: Path, signature: ModelSignature | None = None, flavours: str = "{sklearn: {}}") -> SourceModel:
    """A model of nothing but its MLmodel file."""
    import yaml

    content: dict[str, Any] = {"flavors": yaml.safe_load(flavours)}
    if signature is not None:
        content["signature"] = signature.to_dict()
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return describe(ref_of(folder), folder)


@pytest.mark.parametrize(
    ("flavours", "flavour", "serialization"),
    [
        ("{python_function: {}, sklearn: {serialization_format: skops}}", "sklearn", "skops"),
        ("{onnx: {data: model.onnx}, python_function: {}}", "onnx", "onnx"),
        ("{python_function: {}}", "python_function", "python_function"),
        ("{sklearn: null}", "sklearn", "sklearn"),
    ],
)
def test_the_first_flavour_that_says_something(tmp_path: Path, flavours: str, flavour: str, serialization: str) -> None:
    model = described(tmp_path, flavours=flavours)
    assert (model.flavour, model.serialization) == (flavour, serialization)
    assert (model.inputs, model.outputs, model.columns) == ((), (), False)


def test_every_kind_of_column(tmp_path: Path) -> None:
    kinds = {
        "boolean": "bool",
        "integer": "int32",
        "long": "int64",
        "float": "float32",
        "double": "float64",
        "string": "string",
    }
    schema = Schema([ColSpec(kind, f"a {kind}") for kind in kinds])
    model = described(tmp_path, ModelSignature(inputs=schema, outputs=Schema([ColSpec("long")])))
    assert model.columns
    assert {spec.name: spec.dtype for spec in model.inputs} == {f"a {kind}": dtype for kind, dtype in kinds.items()}
    assert {spec.shape for spec in model.inputs} == {("rows",)}
    assert model.outputs == (TensorSpec(name="output", dtype="int64", shape=("rows",)),)


def test_tensors_with_symbolic_and_fixed_axes(tmp_path: Path) -> None:
    schema = Schema([Tensor(np.dtype(np.int64), (-1, -1, 4), "tokens"), Tensor(np.dtype(str), (-1, 1), "words")])
    model = described(tmp_path, ModelSignature(inputs=schema))
    assert not model.columns
    assert model.inputs == (
        TensorSpec(name="tokens", dtype="int64", shape=("rows", "tokens_1", 4)),
        TensorSpec(name="words", dtype="string", shape=("rows", 1)),
    )


def test_a_tensor_without_a_name_is_called_input(tmp_path: Path) -> None:
    model = described(tmp_path, ModelSignature(inputs=Schema([Tensor(np.dtype(np.float64), (-1, 2))])))
    assert [spec.name for spec in model.inputs] == ["input"]


def test_a_column_that_no_graph_takes_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="column 'when' of the signature is of type 'datetime': it must be one of boolean"):
        described(tmp_path, ModelSignature(inputs=Schema([ColSpec(DataType.datetime, "when")])))


@pytest.mark.parametrize("text", ["{", "[1, 2]", "flavors: 3", "\x00", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_mlmodel_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(SourceError, match="this is no MLflow model") as caught:
        read_mlmodel(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_one_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="this is no MLflow model"):
        read_mlmodel(tmp_path)


@pytest.mark.parametrize("name", ["..", "/etc/hostname", "nosuch", "''"])
def test_only_files_of_the_model_count(tmp_path: Path, name: str) -> None:
    described(tmp_path, flavours=f"{{onnx: {{data: {name}}}}}")
    with pytest.raises(SourceError, match="which is no file of this model"):
        flavour_file(tmp_path, "data")


def test_its_own_file_is_found(tmp_path: Path) -> None:
    described(tmp_path, flavours="{onnx: {data: model.onnx}}")
    (tmp_path / "model.onnx").touch()
    assert flavour_file(tmp_path, "data") == tmp_path / "model.onnx"
