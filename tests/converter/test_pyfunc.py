"""Models that are served as they are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from sklearn.datasets import load_diabetes

from fdpipe import workers
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter.pyfunc import Pyfunc
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.mlmodel import describe
from tests.contracts.converter import answers, exported
from tests.contracts.settings import built
from tests.models import ref_of

statsmodels = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed: make test installs it")

FRAME, Y = load_diabetes(return_X_y=True, as_frame=True)
FRAME = FRAME[["age", "bmi", "bp"]]


def saved_statsmodels(folder: Path, **settings: Any) -> SourceModel:  # noqa: ANN401
    """An ordinary least squares fit, as its users register it."""
    import mlflow.statsmodels

    fitted = statsmodels.OLS(Y, FRAME).fit()
    settings.setdefault("signature", infer_signature(FRAME, fitted.predict(FRAME)))
    mlflow.statsmodels.save_model(fitted, str(folder), pip_requirements=["statsmodels", "pandas"], **settings)
    return describe(ref_of(folder), folder, trusted=True)


@pytest.fixture
def model(tmp_path: Path) -> SourceModel:
    return saved_statsmodels(tmp_path / "model")


def columns_of(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame}


def test_its_file_is_the_default() -> None:
    assert built("converter", "pyfunc") == Pyfunc() == workers.build("converter", workers.describe(Pyfunc()))


def test_it_takes_what_mlflow_serves_and_says_that_it_is_code(model: SourceModel) -> None:
    assert Pyfunc().accepts(model)
    assert Pyfunc().risk(model) == "a python_function model"


def test_the_export_is_the_original(model: SourceModel, tmp_path: Path) -> None:
    export = exported(Pyfunc(), model, tmp_path)
    assert export.task is Task.REGRESSION
    assert [(spec.name, spec.dtype, spec.shape) for spec in export.inputs] == [
        ("age", "float64", ("rows", 1)), ("bmi", "float64", ("rows", 1)), ("bp", "float64", ("rows", 1)),
    ]  # fmt: skip
    names = sorted(file.relative_to(export.path).as_posix() for file in export.path.rglob("*"))
    assert names == sorted(file.relative_to(model.path).as_posix() for file in model.path.rglob("*"))


def test_it_answers_as_the_library_does(model: SourceModel) -> None:
    found = answers(Pyfunc(), model, columns_of(FRAME))
    np.testing.assert_allclose(found["value"].ravel(), statsmodels.OLS(Y, FRAME).fit().predict(FRAME), rtol=1e-12)


def test_another_precision_is_none(model: SourceModel, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="stays as it is"):
        exported(Pyfunc(), model, tmp_path, Precision.FLOAT64)


@pytest.mark.parametrize("signature", [None, ModelSignature(inputs=infer_signature(FRAME).inputs)])
def test_a_signature_must_say_both_sides(tmp_path: Path, signature: ModelSignature | None) -> None:
    model = saved_statsmodels(tmp_path / "model", signature=signature)
    with pytest.raises(ConversionError, match=r"signature of tiny does not say what goes in and out.*infer_signature"):
        exported(Pyfunc(), model, tmp_path)


def test_rows_that_it_refuses_are_told_in_one_line(model: SourceModel) -> None:
    with pytest.raises(ConversionError, match="the original cannot answer") as caught:
        answers(Pyfunc(), replace(model, inputs=model.inputs[:2]), columns_of(FRAME))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_loaded_is_told_in_one_line(model: SourceModel) -> None:
    (model.path / "model.statsmodels").write_bytes(b"nonsense")
    with pytest.raises(ConversionError, match="MLflow cannot load tiny") as caught:
        Pyfunc().load(model)
    assert "\n" not in str(caught.value)


def test_a_model_of_the_users_own_answers_by_name(tmp_path: Path) -> None:
    """Several outputs are tensors by the names of the signature; text is a label."""
    import mlflow.pyfunc

    class Own(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> pd.DataFrame:
            return pd.DataFrame({"twice": model_input["age"] * 2, "sign": np.sign(model_input["age"]).astype(int)})

    signature = infer_signature(FRAME, Own().predict(None, FRAME))
    mlflow.pyfunc.save_model(str(tmp_path / "own"), python_model=Own(), signature=signature, pip_requirements=["pandas"])
    model = describe(ref_of(tmp_path / "own"), tmp_path / "own", trusted=True)
    assert exported(Pyfunc(), model, tmp_path).task is Task.TENSORS
    found = answers(Pyfunc(), model, columns_of(FRAME))
    np.testing.assert_array_equal(found["twice"], FRAME["age"] * 2)
    assert found["sign"].dtype == np.int64
