"""Keras models, as MLflow's two flavours log them today and as older registries hold them."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter import _keras_files
from fdpipe.converter.keras import Keras
from fdpipe.converter.tensorflow import TensorFlow
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.mlmodel import describe
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of

WHY = "Keras is in TensorFlow's own environment: see `make formats`"


def keras_() -> Any:  # noqa: ANN401 - a module
    pytest.importorskip("tensorflow", reason=WHY)
    return pytest.importorskip("keras", reason=WHY)


def images() -> tuple[np.ndarray, np.ndarray]:
    """The bundled digits as pictures, and their labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images[..., None] / 16).astype(np.float32), bunch.target


def trained() -> Any:  # noqa: ANN401 - a Keras model
    """A small convolutional network, trained on digits."""
    keras = keras_()
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax", name="scores"),
        ]
    )
    network.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    network.fit(*images(), epochs=2, verbose=0)
    return network


def signature_of(features: Batch) -> Any:  # noqa: ANN401 - MLflow's own
    """A signature of tensors with these names."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema
    from mlflow.types import TensorSpec as Spec

    kinds = {name: np.dtype(str) if array.dtype.kind in "OU" else array.dtype for name, array in features.items()}
    return ModelSignature(
        inputs=Schema([Spec(kinds[name], (-1, *array.shape[1:]), name or None) for name, array in features.items()])
    )


def saved(folder: Path, network: Any, features: Batch, *, flavour: str = "keras", **settings: Any) -> SourceModel:  # noqa: ANN401
    """In one of MLflow's flavours for Keras."""
    import mlflow.keras
    import mlflow.tensorflow

    save = mlflow.keras.save_model if flavour == "keras" else mlflow.tensorflow.save_model
    save(network, str(folder), signature=signature_of(features), pip_requirements=["tensorflow-cpu", "keras"], **settings)
    return describe(ref_of(folder), folder)


def written(folder: Path, save: Callable[[Path], object], **settings: Any) -> SourceModel:  # noqa: ANN401
    """A model as an older MLflow has left it: its files, and an MLmodel with the flavour `keras`."""
    from mlflow.models import Model

    (folder / "data").mkdir(parents=True)
    save(folder / "data")
    made = Model()
    made.add_flavor("keras", **{"data": "data", "keras_module": "keras", **settings})
    made.save(str(folder / "MLmodel"))
    return describe(ref_of(folder), folder)


@pytest.fixture(scope="module")
def network() -> Any:  # noqa: ANN401 - a Keras model
    return trained()


class TestKeras(ConverterContract):
    @pytest.fixture
    def converter(self) -> Keras:
        return Keras()

    @pytest.fixture
    def model(self, network: Any, tmp_path: Path) -> SourceModel:  # noqa: ANN401
        return saved(tmp_path / "model", network, {"image": images()[0]})

    @pytest.fixture
    def batch(self) -> Batch:
        return {"image": images()[0][:300]}

    def test_names_are_the_models_own(self, model: SourceModel, tmp_path: Path) -> None:
        export = exported(Keras(), model, tmp_path)
        assert export.task is Task.TENSORS
        assert export.inputs == (TensorSpec(name="image", dtype="float32", shape=("rows", 8, 8, 1)),)
        assert export.outputs == (TensorSpec(name="scores", dtype="float32", shape=("rows", 10)),)
        with pytest.raises(NotApplicable, match="the floats that it has"):
            Keras().export(model, Keras().load(model), tmp_path, Precision.FLOAT64)

    def test_it_is_told_from_a_saved_model(self, model: SourceModel) -> None:
        assert not TensorFlow().accepts(model)
        assert Keras().risk(model) is None


def test_its_file_is_the_default() -> None:
    assert built("converter", "keras") == Keras()


def alike(model: SourceModel, batch: Batch, folder: Path) -> dict[str, np.ndarray]:
    """The export's answers, which are the original's."""
    assert Keras().accepts(model)
    assert not TensorFlow().accepts(model)
    original, copy = answers(Keras(), model, batch), ask(exported(Keras(), model, folder).path, batch)
    assert list(original) == list(copy)
    for name, array in original.items():
        np.testing.assert_allclose(array, copy[name], atol=1e-6)
    return copy


def test_the_flavour_tensorflow_holds_keras_files(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = saved(tmp_path / "model", network, {"image": images()[0]}, flavour="tensorflow")
    assert (model.path / "data" / "model.keras").is_file()
    assert model.flavour == "tensorflow"
    assert Keras().risk(model) is None
    alike(model, {"image": images()[0][:20]}, tmp_path)


def test_the_older_file(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = written(tmp_path / "model", lambda data: network.save(data / "model.h5"), save_format="h5")
    assert Keras().risk(model) is None
    alike(model, {"image": images()[0][:20]}, tmp_path)


def test_a_saved_model_of_keras_is_the_other_converters(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = saved(tmp_path / "model", network, {"image": images()[0]}, save_exported_model=True)
    assert model.flavour == "keras"
    assert not Keras().accepts(model)
    assert TensorFlow().accepts(model)
    export = exported(TensorFlow(), model, tmp_path)
    batch = {"image": images()[0][:20]}
    original = answers(TensorFlow(), model, batch)
    copy = ask(export.path, {export.inputs[0].name: batch["image"]})
    np.testing.assert_allclose(original["output_0"], copy["output_0"], atol=1e-6)


@pytest.mark.parametrize("kind", [dict, list])
def test_several_inputs_and_outputs(tmp_path: Path, kind: type) -> None:
    keras = keras_()
    words, number = keras.Input((None,), dtype="int32", name="words"), keras.Input((2,), name="number")
    embedded = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 4)(words))
    both = keras.layers.Concatenate()([embedded, number])
    large, small = keras.layers.Dense(3, name="large")(both), keras.layers.Dense(1, name="small")(both)
    inputs = {"words": words, "number": number} if kind is dict else [words, number]
    network = keras.Model(inputs, {"b": large, "a": small} if kind is dict else [large, small])
    random = np.random.default_rng(0)
    batch: Batch = {
        "words": random.integers(0, 20, (6, 7)).astype(np.int32),
        "number": random.random((6, 2)).astype(np.float32),
    }
    model = saved(tmp_path / "model", network, batch)
    found = alike(model, batch, tmp_path)
    assert {name: array.shape for name, array in found.items()} == (
        {"a": (6, 1), "b": (6, 3)} if kind is dict else {"large": (6, 3), "small": (6, 1)}
    )
    other = {name: array[:, :5] if name == "words" else array for name, array in batch.items()}
    again = answers(Keras(), model, other), ask(tmp_path / "export" / "model.onnx", other)
    for name, array in again[0].items():
        np.testing.assert_allclose(array, again[1][name], atol=1e-6)


def test_a_recurrent_network(tmp_path: Path) -> None:
    keras = keras_()
    network = keras.Sequential([keras.Input((None, 3), name="steps"), keras.layers.LSTM(5), keras.layers.Dense(2, name="out")])
    batch = {"steps": np.random.default_rng(0).random((4, 6, 3)).astype(np.float32)}
    alike(saved(tmp_path / "model", network, batch), batch, tmp_path)


def with_lambda() -> Any:  # noqa: ANN401 - a Keras model
    keras = keras_()
    return keras.Sequential([keras.Input((2,), name="x"), keras.layers.Lambda(lambda x: x * 3, name="y")])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_is_code(tmp_path: Path, suffix: str) -> None:
    batch = {"x": np.ones((3, 2), np.float32)}
    model = written(tmp_path / "model", lambda data: with_lambda().save(data / f"model{suffix}"))
    assert Keras().risk(model) == "a Lambda layer, Python as bytes"
    with pytest.raises(ConversionError, match="holds code, a Lambda layer"):
        Keras().load(model)
    assert alike(replace(model, trusted=True), batch, tmp_path)["y"].tolist() == (batch["x"] * 3).tolist()


def test_a_hidden_lambda_is_found_before_loading(tmp_path: Path) -> None:
    """JSON may write a name in ways that a look for its text does not see."""
    h5py = pytest.importorskip("h5py", reason=WHY)
    model = written(tmp_path / "model", lambda data: with_lambda().save(data / "model.h5"))
    with h5py.File(model.path / "data" / "model.h5", "r+") as file:
        text = file.attrs["model_config"]
        text = text.decode() if isinstance(text, bytes) else text
        file.attrs["model_config"] = " " + text.replace('"Lambda"', '"L\\u0061mbda"').replace('{"module"', '{ "module"')
    with pytest.raises(ConversionError, match="holds code, a Lambda layer"):
        Keras().load(model)


def test_a_class_of_ones_own_is_code(tmp_path: Path) -> None:
    keras = keras_()

    class Doubled(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            return x * 2

    network = keras.Sequential([keras.Input((2,), name="x"), Doubled(name="y")])
    batch = {"x": np.ones((3, 2), np.float32)}
    model = saved(tmp_path / "model", network, batch, flavour="tensorflow", custom_objects={"Doubled": Doubled})
    assert Keras().risk(model) == "its classes in custom_objects.cloudpickle"
    with pytest.raises(ConversionError, match="holds code, the class Doubled of"):
        Keras().load(model)
    assert alike(replace(model, trusted=True), batch, tmp_path)["y"].tolist() == (batch["x"] * 2).tolist()


def test_what_a_configuration_may_name() -> None:
    def layer(**settings: object) -> dict[str, object]:
        return {"class_name": "Functional", "module": "keras", "config": {"layers": [{"config": {}, **settings}]}}

    told = {
        "function": layer(class_name="function", module="builtins", config="exec", registered_name="function"),
        "fetches": layer(class_name="function", module="keras.utils", config="get_file", registered_name="get_file"),
        "module": layer(class_name="Popen", module="subprocess", registered_name="Popen"),
        "registered": layer(class_name="Mine", module="keras.layers", registered_name="mine>Mine"),
        "nowhere": layer(class_name="Mine", module=None, registered_name="Mine"),
        "torch": layer(class_name="TorchModuleWrapper", module="keras.layers", registered_name=None),
        "beside": layer(class_name="Dense", module="keras_of_mine", registered_name=None),
    }
    assert {name: _keras_files.code_in(found) for name, found in told.items()} == {
        "function": "the function exec of builtins",
        "fetches": "the function get_file of keras.utils",
        "module": "the class Popen of subprocess",
        "registered": "the class mine>Mine",
        "nowhere": "the class Mine of its own",
        "torch": "a pickled PyTorch module",
        "beside": "the class Dense of keras_of_mine",
    }
    harmless = layer(class_name="Add", module="keras.src.ops.numpy", registered_name="Add")
    assert _keras_files.code_in(harmless | {"compile_config": {"class_name": "function", "module": "mine"}}) is None


def archive(path: Path, entries: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in entries.items():
            made.writestr(name, text)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "nonsense": (lambda path: path.write_bytes(b"nonsense"), "is no Keras 3 file"),
    "empty": (lambda path: archive(path, {}), "has no config.json"),
    "no JSON": (lambda path: archive(path, {"config.json": "{"}), "is no Keras 3 file"),
    "outside": (lambda path: archive(path, {"../config.json": "{}"}), "outside of itself: refused"),
    "bomb": (
        lambda path: archive(path, {"config.json": "{}", "model.weights.h5": "0" * (300 << 20)}),
        "unpacks to more than 200",
    ),
    "weights": (lambda path: archive(path, {"config.json": "{}"}), "Keras cannot load"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_one_clear_line(tmp_path: Path, how: str) -> None:
    if how == "weights":
        keras_()
    spoil, told = SPOILT[how]
    model = written(tmp_path / "model", lambda data: spoil(data / "model.keras"))
    assert Keras().accepts(model)
    assert Keras().risk(model) is None
    with pytest.raises(ConversionError, match=told) as caught:
        Keras().load(model)
    assert "\n" not in str(caught.value)


def test_weights_alone_are_one_clear_line(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = written(
        tmp_path / "model", lambda data: network.save_weights(data / "some.weights.h5"), data="data/some.weights.h5"
    )
    with pytest.raises(ConversionError, match="holds weights and no architecture: save the whole model"):
        Keras().load(model)


def test_weights_in_other_files_are_refused(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    h5py = pytest.importorskip("h5py", reason=WHY)
    model = written(tmp_path / "model", lambda data: network.save(data / "model.h5"))
    with h5py.File(model.path / "data" / "model.h5", "r+") as file:
        file["model_weights"]["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(ConversionError, match="keeps model_weights/elsewhere in another file: refused"):
        Keras().load(model)


def test_nothing_there_is_one_clear_line(tmp_path: Path) -> None:
    model = written(tmp_path / "model", lambda _: None)
    assert Keras().risk(model) is None
    with pytest.raises(ConversionError, match="neither a SavedModel nor a"):
        Keras().load(model)


def test_no_rows_are_refused_in_one_line(network: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = saved(tmp_path / "model", network, {"image": images()[0]})
    with pytest.raises(ConversionError, match="the original cannot answer") as caught:
        answers(Keras(), model, {"image": images()[0][:0]})
    assert "\n" not in str(caught.value)
