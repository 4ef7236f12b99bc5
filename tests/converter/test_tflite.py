"""TensorFlow Lite's files, as a team registers them: MLflow has no flavour for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter.tflite import TFLite
from fdpipe.errors import ConversionError, NotApplicable, SourceError
from fdpipe.mlmodel import describe
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of

WHY = "TensorFlow is in an environment of its own: see `make formats`"


def tf_() -> Any:  # noqa: ANN401 - a module
    return pytest.importorskip("tensorflow", reason=WHY)


def images() -> tuple[np.ndarray, np.ndarray]:
    """The bundled digits as pictures, and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images[..., None] / 16).astype(np.float32), bunch.target


@pytest.fixture(scope="module")
def network() -> Any:  # noqa: ANN401 - a Keras model
    """A small convolutional network, trained on digits."""
    keras = tf_().keras
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    network.fit(*images(), epochs=2, verbose=0)
    return network


def converted(network: Any, *, quantized: bool = False, whole: bool = False, rows: int | None = None) -> bytes:  # noqa: ANN401
    """The file that TensorFlow's converter makes of it."""
    tf = tf_()
    if rows is not None:
        network = tf.keras.Sequential([tf.keras.Input(batch_shape=(rows, 8, 8, 1), name="image"), *network.layers])
    made = tf.lite.TFLiteConverter.from_keras_model(network)
    if quantized or whole:
        made.optimizations = [tf.lite.Optimize.DEFAULT]
    if whole:
        made.representative_dataset = lambda: ([row[None]] for row in images()[0][:50])
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        made.inference_input_type = made.inference_output_type = tf.int8
    return bytes(made.convert())


def saved(folder: Path, content: bytes, features: Batch | None = None, name: str = "model.tflite") -> SourceModel:
    """As a team registers it."""
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema
    from mlflow.types import TensorSpec as Spec

    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(content)
    made = Model()
    made.add_flavor("tflite", model=name)
    if features:
        specs = [Spec(array.dtype, (-1, *array.shape[1:]), name) for name, array in features.items()]
        made.signature = ModelSignature(inputs=Schema(specs))
    made.save(str(folder / "MLmodel"))
    return describe(ref_of(folder), folder)


class TestTFLite(ConverterContract):
    @pytest.fixture
    def converter(self) -> TFLite:
        return TFLite()

    @pytest.fixture
    def model(self, network: Any, tmp_path: Path) -> SourceModel:  # noqa: ANN401
        return saved(tmp_path / "model", converted(network), {"image": images()[0]})

    @pytest.fixture
    def batch(self) -> Batch:
        return {"image": images()[0][:300]}

    def test_names_are_those_of_its_signature(self, model: SourceModel, tmp_path: Path) -> None:
        export = exported(TFLite(), model, tmp_path)
        assert export.task is Task.TENSORS
        assert export.inputs == (TensorSpec(name="image", dtype="float32", shape=("rows", 8, 8, 1)),)
        assert export.outputs == (TensorSpec(name="output_0", dtype="float32", shape=("rows", 10)),)
        assert TFLite().risk(model) is None
        with pytest.raises(NotApplicable, match="the numbers that it has"):
            TFLite().export(model, TFLite().load(model), tmp_path, Precision.FLOAT64)


def test_its_file_is_the_default() -> None:
    assert built("converter", "tflite") == TFLite()


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The smallest among the rows."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


def test_quantized_weights_agree(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    batch = {"image": images()[0]}
    model = saved(tmp_path / "model", converted(network, quantized=True), batch)
    export = exported(TFLite(), model, tmp_path)
    assert cosine(answers(TFLite(), model, batch)["output_0"], ask(export.path, batch)["output_0"]) > 0.9999


def test_a_file_of_whole_numbers_agrees(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    content = converted(network, whole=True)
    batch = {"image": (images()[0] * 255 - 128).astype(np.int8)}
    model = saved(tmp_path / "model", content, batch)
    export = exported(TFLite(), model, tmp_path)
    assert export.inputs[0].dtype == export.outputs[0].dtype == "int8"
    original, copy = answers(TFLite(), model, batch)["output_0"], ask(export.path, batch)["output_0"]
    assert np.abs(original.astype(int) - copy).max() <= 1


def test_a_batch_of_one_is_opened(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    batch = {"image": images()[0][:40]}
    model = saved(tmp_path / "model", converted(network, rows=1), batch)
    assert TFLite().load(model).is_fixed
    export = exported(TFLite(), model, tmp_path)
    assert export.inputs[0].shape[0] == export.outputs[0].shape[0] == "rows"
    original, copy = answers(TFLite(), model, batch), ask(export.path, batch)
    (name,) = original
    np.testing.assert_allclose(original[name], copy[name], atol=1e-6)


def test_a_batch_that_is_built_in_is_one_clear_line(tmp_path: Path) -> None:
    tf = tf_()
    call = tf.function(lambda x: tf.reshape(x, [2, 2]) * 2.0).get_concrete_function(tf.TensorSpec([1, 4], name="x"))
    content = bytes(tf.lite.TFLiteConverter.from_concrete_functions([call]).convert())
    model = saved(tmp_path / "model", content, {"x": np.ones((1, 4), np.float32)})
    with pytest.raises(ConversionError, match="holds on to a batch of 1"):
        exported(TFLite(), model, tmp_path)


def test_without_a_signature_tensors_name_the_inputs(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = saved(tmp_path / "model", converted(network))
    export = exported(TFLite(), model, tmp_path)
    batch = {export.inputs[0].name: images()[0][:5]}
    np.testing.assert_allclose(
        answers(TFLite(), model, batch)["output_0"], ask(export.path, batch)["output_0"], atol=1e-6
    )  # fmt: skip


def test_no_rows_are_refused(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = saved(tmp_path / "model", converted(network), {"image": images()[0]})
    with pytest.raises(ConversionError, match="takes no empty batch"):
        answers(TFLite(), model, {"image": images()[0][:0]})


SPOILT: dict[str, tuple[bytes, str]] = {
    "nonsense": (b"nonsense and more of it", "is no TensorFlow Lite file: its bytes 4 to 8 are not TFL3"),
    "empty": (b"", "is no TensorFlow Lite file"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_one_clear_line(tmp_path: Path, how: str) -> None:
    content, told = SPOILT[how]
    model = saved(tmp_path / "model", content)
    assert TFLite().accepts(model)
    with pytest.raises(ConversionError, match=told) as caught:
        TFLite().load(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../model.tflite", "nosuch", ""])
def test_a_place_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.tflite").write_bytes(b"")
    look: list[Callable[[SourceModel], object]] = [TFLite().risk, TFLite().load]
    for one in look:
        with pytest.raises(SourceError, match="which is no file of this model"):
            one(saved(tmp_path / one.__name__, b"", name=name))


def test_operators_that_touch_files_are_code(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", b"\x1c\x00\x00\x00TFL3 and FlexWriteFile")
    assert TFLite().risk(model) == "a graph with the operator FlexWriteFile"
