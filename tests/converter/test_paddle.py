"""PaddlePaddle's inference models, as MLflow and teams register them, in both of their formats."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter.paddle import Paddle
from fdpipe.errors import ConversionError, MissingExtra, NotApplicable
from fdpipe.mlmodel import describe
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of

WHY = "PaddlePaddle is in an environment of its own: see `make formats`"

OLDER = """
import os
os.environ["FLAGS_enable_pir_api"] = "0"
from pathlib import Path
from tests.converter.test_paddle import network, save
save(network(), Path({folder!r}), {name!r})
"""
"""In a process of its own: which format Paddle writes is settled when it is imported."""


def paddle_() -> Any:  # noqa: ANN401 - a module
    return pytest.importorskip("paddle", reason=WHY)


def images() -> tuple[np.ndarray, np.ndarray]:
    """The bundled digits as pictures, and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images[:, None] / 16).astype(np.float32), bunch.target


def network() -> Any:  # noqa: ANN401 - a Layer
    """A small convolutional network, trained on digits."""
    paddle = paddle_()
    paddle.seed(0)
    made = paddle.nn.Sequential(
        paddle.nn.Conv2D(1, 6, 3), paddle.nn.ReLU(), paddle.nn.BatchNorm2D(6), paddle.nn.MaxPool2D(2), paddle.nn.Flatten(),
        paddle.nn.Linear(54, 10), paddle.nn.Softmax(),
    )  # fmt: skip
    if not paddle.get_flags("FLAGS_enable_pir_api")["FLAGS_enable_pir_api"]:
        made.eval()  # training needs the newer format
        return made
    features, labels = (paddle.to_tensor(array) for array in images())
    optimizer = paddle.optimizer.Adam(0.02, parameters=made.parameters())
    for _ in range(8):
        loss = paddle.nn.functional.nll_loss(paddle.log(made(features) + 1e-7), labels)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    made.eval()
    return made


def save(layer: Any, folder: Path, name: str) -> None:  # noqa: ANN401 - a Layer
    """As Paddle saves for inference."""
    paddle = paddle_()
    spec = paddle.static.InputSpec([None, 1, 8, 8], "float32", "image")
    paddle.jit.save(layer, str(folder / name), input_spec=[spec])


def signature_of(features: Batch) -> Any:  # noqa: ANN401 - MLflow's own
    """A signature of tensors with these names."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema
    from mlflow.types import TensorSpec as Spec

    return ModelSignature(
        inputs=Schema([Spec(array.dtype, (-1, *array.shape[1:]), name) for name, array in features.items()])
    )  # fmt: skip


def described(folder: Path, features: Batch | None = None, **settings: Any) -> SourceModel:  # noqa: ANN401
    """Files that a team has put there itself, with the flavour `paddle` in MLmodel."""
    from mlflow.models import Model

    made = Model()
    made.add_flavor("paddle", **settings)
    made.signature = signature_of(features) if features else None
    made.save(str(folder / "MLmodel"))
    return describe(ref_of(folder), folder)


def logged(folder: Path, layer: Any, features: Batch, **settings: Any) -> SourceModel:  # noqa: ANN401
    """In MLflow's paddle flavour."""
    import mlflow.paddle

    mlflow.paddle.save_model(
        layer, str(folder), signature=signature_of(features), pip_requirements=["paddlepaddle"], **settings
    )
    return describe(ref_of(folder), folder)


@pytest.fixture(scope="module")
def layer() -> Any:  # noqa: ANN401 - a Layer
    return network()


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with inference.pdmodel and its weights."""
    paddle_()
    folder = tmp_path_factory.mktemp("older")
    subprocess.run([sys.executable, "-c", OLDER.format(folder=str(folder), name="inference")], check=True, capture_output=True)
    return folder


class TestPaddle(ConverterContract):
    @pytest.fixture
    def converter(self) -> Paddle:
        return Paddle()

    @pytest.fixture
    def model(self, layer: Any, tmp_path: Path) -> SourceModel:  # noqa: ANN401
        (tmp_path / "model").mkdir()
        save(layer, tmp_path / "model", "inference")
        return described(tmp_path / "model", {"image": images()[0]}, pickled_model="inference")

    @pytest.fixture
    def batch(self) -> Batch:
        return {"image": images()[0][:300]}

    def test_names_are_the_programs_own(self, model: SourceModel, tmp_path: Path) -> None:
        assert (model.path / "inference.json").is_file()
        export = exported(Paddle(), model, tmp_path)
        assert export.task is Task.TENSORS
        assert export.inputs == (TensorSpec(name="image", dtype="float32", shape=("rows", 1, 8, 8)),)
        assert export.outputs == (TensorSpec(name="fetch_name_0", dtype="float32", shape=("rows", 10)),)
        assert Paddle().risk(model) is None
        with pytest.raises(NotApplicable, match="the floats that it has"):
            Paddle().export(model, Paddle().load(model), tmp_path, Precision.FLOAT64)


def test_its_file_is_the_default() -> None:
    assert built("converter", "paddle") == Paddle()


def alike(model: SourceModel, batch: Batch, folder: Path) -> dict[str, np.ndarray]:
    """The export's answers, which are the original's."""
    export = exported(Paddle(), model, folder)
    original, copy = answers(Paddle(), model, batch), ask(export.path, batch)
    assert list(original) == list(copy)
    for name, array in original.items():
        np.testing.assert_allclose(array, copy[name], atol=1e-5)
    return copy


def test_mlflows_own_flavour(layer: Any, tmp_path: Path) -> None:  # noqa: ANN401
    spec = paddle_().static.InputSpec([None, 1, 8, 8], "float32", "image")
    batch = {"image": images()[0][:30]}
    model = logged(tmp_path / "model", layer, batch, input_spec=[spec])
    assert Paddle().accepts(model)
    alike(model, batch, tmp_path)


@pytest.mark.parametrize("said", ["inference", ".", "below"])
def test_the_older_format(older: Path, tmp_path: Path, said: str) -> None:
    folder = tmp_path / "model" / ("below" if said == "below" else "")
    folder.mkdir(parents=True)
    for file in older.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert (folder / "inference.pdmodel").is_file()
    batch = {"image": images()[0][:30]}
    model = described(tmp_path / "model", batch, pickled_model=said)
    assert Paddle().risk(model) is None
    assert [array.shape for array in alike(model, batch, tmp_path).values()] == [(30, 10)]


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    paddle = paddle_()

    class Two(paddle.nn.Layer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.large, self.small = paddle.nn.Embedding(20, 4), paddle.nn.Linear(4, 3), paddle.nn.Linear(2, 1)

        def forward(self, words: Any, number: Any) -> Any:  # noqa: ANN401 - tensors
            return self.small(number), self.large(self.embed(words).mean(axis=1))

    specs = [paddle.static.InputSpec([None, None], "int64", "words"), paddle.static.InputSpec([None, 2], "float32", "number")]
    random = np.random.default_rng(0)
    batch: Batch = {"words": random.integers(0, 20, (6, 7)), "number": random.random((6, 2)).astype(np.float32)}
    layer = Two()
    layer.eval()
    model = logged(tmp_path / "model", layer, batch, input_spec=specs)
    found = alike(model, batch, tmp_path)
    assert [array.shape for array in found.values()] == [(6, 1), (6, 3)]


def test_columns_stand_side_by_side(tmp_path: Path) -> None:
    """A signature of columns, as `infer_signature` makes it from a data frame."""
    import mlflow.paddle
    import pandas as pd
    from mlflow.models import infer_signature

    paddle = paddle_()
    layer = paddle.nn.Linear(3, 1)
    frame = pd.DataFrame(np.random.default_rng(0).random((5, 3)), columns=["a", "b", "c"])
    spec = paddle.static.InputSpec([None, 3], "float32", "x")
    folder = tmp_path / "model"
    mlflow.paddle.save_model(
        layer, str(folder), signature=infer_signature(frame), pip_requirements=["paddlepaddle"], input_spec=[spec]
    )  # fmt: skip
    model = describe(ref_of(folder), folder)
    assert model.columns
    original = answers(Paddle(), model, {name: frame[name].to_numpy() for name in "abc"})
    copy = ask(exported(Paddle(), model, tmp_path).path, {"x": frame.to_numpy(np.float32)})
    np.testing.assert_allclose(original["fetch_name_0"], copy["fetch_name_0"], atol=1e-6)


def test_what_has_no_onnx_is_one_clear_line(tmp_path: Path) -> None:
    paddle = paddle_()

    class Odd(paddle.nn.Layer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear = paddle.nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            return paddle.lgamma(self.linear(x))

    batch = {"x": np.ones((2, 2), np.float32)}
    model = logged(
        tmp_path / "model", Odd(), batch, input_spec=[paddle.static.InputSpec([None, 2], "float32", "x")]
    )  # fmt: skip
    with pytest.raises(ConversionError, match=r"paddle2onnx cannot export model.json: .*unsupported operators") as caught:
        Paddle().load(model)
    assert "\n" not in str(caught.value)


def test_weights_for_training_are_a_pickle(tmp_path: Path) -> None:
    paddle = paddle_()
    spec = paddle.static.InputSpec([None, 2], "float32", "x")
    network = paddle.Model(paddle.nn.Linear(2, 1), inputs=[spec])
    network.prepare()
    model = logged(tmp_path / "model", network, {"x": np.ones((2, 2), np.float32)}, training=True)
    assert Paddle().risk(model) == "a pickle, model.pdparams"
    with pytest.raises(ConversionError, match=r"holds weights and no program: save the model for inference"):
        Paddle().load(model)


def test_no_rows_are_refused(layer: Any, tmp_path: Path) -> None:  # noqa: ANN401
    (tmp_path / "model").mkdir()
    save(layer, tmp_path / "model", "model")
    model = described(tmp_path / "model", {"image": images()[0]}, pickled_model="model")
    with pytest.raises(ConversionError, match="takes no empty batch"):
        answers(Paddle(), model, {"image": images()[0][:0]})


@pytest.mark.parametrize("said", ["nosuch", "../outside", "/etc/hostname"])
def test_a_place_that_is_none_is_refused(tmp_path: Path, said: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "outside.json").write_text("{}")
    (tmp_path / "outside.pdiparams").write_text("")
    model = described(tmp_path / "model", pickled_model=said)
    assert Paddle().risk(model) is None
    with pytest.raises(ConversionError, match=r"neither a \.json nor a \.pdmodel file"):
        Paddle().load(model)


def test_a_program_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pdmodel").write_bytes(b"")
    with pytest.raises(ConversionError, match=r"has no model\.pdiparams beside it"):
        Paddle().load(described(tmp_path / "model", pickled_model="model"))


def test_without_paddle_the_install_command_is_named(tmp_path: Path) -> None:
    try:
        import paddle  # noqa: F401
    except ImportError:
        (tmp_path / "model").mkdir()
        for ending in ("json", "pdiparams"):
            (tmp_path / "model" / f"model.{ending}").write_text("{}")
        with pytest.raises(MissingExtra, match=r"pip install 'fdpipe\[paddle\]'"):
            Paddle().load(described(tmp_path / "model", pickled_model="model"))
    else:
        pytest.skip("PaddlePaddle is here")
