"""TensorFlow's SavedModels, as MLflow logs them today and as older registries hold them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task, TensorSpec
from fdpipe.converter.keras import Keras
from fdpipe.converter.tensorflow import TensorFlow
from fdpipe.errors import ConversionError, MissingExtra, NotApplicable
from fdpipe.mlmodel import describe
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of


def tf_() -> Any:  # noqa: ANN401 - a module
    return pytest.importorskip("tensorflow", reason="TensorFlow is in an environment of its own: see `make formats`")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The bundled digits as float32, and their labels."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    return (features / 16).astype(np.float32), labels


def trained(width: int = 16) -> Any:  # noqa: ANN401 - a tf.Module
    """A small network, trained on digits, that answers a label and probabilities."""
    tf = tf_()
    features, labels = digits()

    class Network(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            random = np.random.default_rng(0)
            self.hidden = tf.Variable(random.normal(0, 0.2, (64, width)).astype(np.float32))
            self.final = tf.Variable(random.normal(0, 0.2, (width, 10)).astype(np.float32))

        def logits(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            return tf.nn.relu(x @ self.hidden) @ self.final

        @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="pixels")])  # type: ignore[untyped-decorator]
        def __call__(self, pixels: Any) -> Any:  # noqa: ANN401 - tensors
            scores = tf.nn.softmax(self.logits(pixels))
            return {"label": tf.argmax(scores, axis=1), "probabilities": scores}

    network = Network()
    for _ in range(60):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network.logits(features)))
        for variable, slope in zip(network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True):
            variable.assign_sub(0.5 * slope)
    return network


def signature_of(features: Batch) -> Any:  # noqa: ANN401 - MLflow's own
    """A signature of tensors with these names; one that is called "" has none."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema
    from mlflow.types import TensorSpec as Spec

    kinds = {name: np.dtype(str) if array.dtype.kind in "OU" else array.dtype for name, array in features.items()}
    return ModelSignature(
        inputs=Schema([Spec(kinds[name], (-1, *array.shape[1:]), name or None) for name, array in features.items()])
    )


def saved(folder: Path, module: Any, features: Batch, **settings: Any) -> SourceModel:  # noqa: ANN401
    """In MLflow's tensorflow flavour."""
    import mlflow.tensorflow

    mlflow.tensorflow.save_model(
        module, str(folder), signature=signature_of(features), pip_requirements=["tensorflow-cpu"], **settings
    )
    return describe(ref_of(folder), folder)


def written(folder: Path, save: Callable[[str], None], flavour: str, **settings: Any) -> SourceModel:  # noqa: ANN401
    """A model as an older MLflow has left it: its files and an MLmodel with this flavour."""
    from mlflow.models import Model

    folder.mkdir()
    save(str(folder))
    made = Model()
    made.add_flavor(flavour, **settings)
    made.save(str(folder / "MLmodel"))
    return describe(ref_of(folder), folder)


@pytest.fixture(scope="module")
def network() -> Any:  # noqa: ANN401 - a tf.Module
    return trained()


class TestTensorFlow(ConverterContract):
    @pytest.fixture
    def converter(self) -> TensorFlow:
        return TensorFlow()

    @pytest.fixture
    def model(self, network: Any, tmp_path: Path) -> SourceModel:  # noqa: ANN401
        return saved(tmp_path / "model", network, {"pixels": digits()[0]})

    @pytest.fixture
    def batch(self) -> Batch:
        return {"pixels": digits()[0][:50]}

    def test_outputs_have_the_signatures_names(self, model: SourceModel, tmp_path: Path) -> None:
        export = exported(TensorFlow(), model, tmp_path)
        assert export.task is Task.CLASSIFICATION
        assert export.inputs == (TensorSpec(name="pixels", dtype="float32", shape=("rows", 64)),)
        assert [spec.name for spec in export.outputs] == ["label", "probabilities"]
        with pytest.raises(NotApplicable, match="the floats that it has"):
            TensorFlow().export(model, TensorFlow().load(model), tmp_path, Precision.FLOAT64)

    def test_it_is_told_from_keras(self, model: SourceModel) -> None:
        assert TensorFlow().accepts(model)
        assert not Keras().accepts(model)
        assert TensorFlow().risk(model) is None


def test_its_file_is_the_default() -> None:
    assert built("converter", "tensorflow") == TensorFlow()


def test_a_single_input_may_have_no_name(network: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a tf.Module
    model = saved(tmp_path / "model", network, {"": digits()[0]})
    export = exported(TensorFlow(), model, tmp_path)
    original, copy = answers(TensorFlow(), model, {"input": digits()[0]}), ask(export.path, {"pixels": digits()[0]})
    assert original["label"].tolist() == copy["label"].tolist()
    np.testing.assert_allclose(original["probabilities"], copy["probabilities"], atol=1e-6)


def test_inputs_keep_their_names_whatever_their_order(tmp_path: Path) -> None:
    tf = tf_()

    class Two(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec([None, 3], tf.float32, name="z"), tf.TensorSpec([None, None], tf.int64, name="a")]
        )
        def __call__(self, z: Any, a: Any) -> Any:  # noqa: ANN401 - tensors
            total = tf.cast(tf.reduce_sum(a, axis=1, keepdims=True), tf.float32)
            return {"second": z - total, "first": z * total}

    batch: Batch = {"z": np.ones((4, 3), np.float32), "a": np.arange(8).reshape(4, 2)}
    model = saved(tmp_path / "model", Two(), batch)
    export = exported(TensorFlow(), model, tmp_path)
    assert {spec.name: spec.shape for spec in export.inputs} == {"z": ("rows", 3), "a": ("rows", "a_1")}
    original, copy = answers(TensorFlow(), model, batch), ask(export.path, batch)
    for name in ("first", "second"):
        np.testing.assert_array_equal(original[name], copy[name])


def test_a_signature_with_other_names_is_one_clear_line(tmp_path: Path) -> None:
    tf = tf_()

    class Two(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name=name) for name in "xy"])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any, y: Any) -> Any:  # noqa: ANN401 - tensors
            return x + y

    other = {"left": np.ones((2, 1), np.float32), "right": np.ones((2, 1), np.float32)}
    model = saved(tmp_path / "model", Two(), other)
    with pytest.raises(ConversionError, match="'x' is no input of the signature: the model takes x, y"):
        answers(TensorFlow(), model, other)


def test_a_function_without_a_signature(tmp_path: Path) -> None:
    tf = tf_()

    class Loose(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function  # type: ignore[untyped-decorator]
        def __call__(self, x: Any, training: bool = False) -> Any:  # noqa: ANN401 - tensors
            return (x * 2, x + 1)

    loose = Loose()
    loose.__call__.get_concrete_function(tf.TensorSpec([None, 2]))
    batch = {"input": np.ones((3, 2), np.float32)}
    model = saved(tmp_path / "model", loose, {"": batch["input"]})
    export = exported(TensorFlow(), model, tmp_path)
    original, copy = answers(TensorFlow(), model, batch), ask(export.path, {export.inputs[0].name: batch["input"]})
    assert set(original) == {"output_0", "output_1"}
    for name in original:
        np.testing.assert_array_equal(original[name], copy[name])
    loose.__call__.get_concrete_function(tf.TensorSpec([None, 5]))
    several = saved(tmp_path / "several", loose, {"": batch["input"]})
    with pytest.raises(ConversionError, match="no signature 'serving_default', but none, and 2 functions"):
        TensorFlow().load(several)


def test_an_estimator_of_tensorflow_1(tmp_path: Path) -> None:
    tf = tf_()
    v1 = tf.compat.v1

    def save(folder: str) -> None:
        with v1.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 4], name="x")
            weights = v1.get_variable("w", initializer=np.arange(8, dtype=np.float32).reshape(4, 2))
            y = tf.identity(x @ weights, name="y")
            session.run(v1.global_variables_initializer())
            v1.saved_model.simple_save(session, f"{folder}/tfmodel", {"features": x}, {"scores/y": y})

    model = written(
        tmp_path / "model", save, "tensorflow",
        saved_model_dir="tfmodel", meta_graph_tags=["serve"], signature_def_key="serving_default",
    )  # fmt: skip
    batch = {"features": np.random.default_rng(0).random((5, 4)).astype(np.float32)}
    export = exported(TensorFlow(), model, tmp_path)
    original, copy = answers(TensorFlow(), model, batch), ask(export.path, batch)
    assert set(original) == set(copy) == {"scores_y"}
    np.testing.assert_allclose(original["scores_y"], copy["scores_y"], rtol=1e-6)


def test_a_table_of_words(tmp_path: Path) -> None:
    tf = tf_()

    class Towns(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            words = tf.lookup.KeyValueTensorInitializer(tf.constant(["Ulm", "Bonn"]), tf.constant([3, 5], tf.int64))
            self.table = tf.lookup.StaticHashTable(words, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="town")])  # type: ignore[untyped-decorator]
        def __call__(self, town: Any) -> Any:  # noqa: ANN401 - tensors
            return {"number": self.table.lookup(town)}

    batch = {"town": np.array(["Ulm", "Ulm", "Rom"], object)}
    model = saved(tmp_path / "model", Towns(), {"": np.array(["Ulm"])})
    export = exported(TensorFlow(), model, tmp_path)
    assert answers(TensorFlow(), model, {"input": batch["town"]})["number"].tolist() == [3, 3, -1]
    assert ask(export.path, batch)["number"].tolist() == [3, 3, -1]
    assert exported(TensorFlow(), model, tmp_path / "again").path.read_bytes() == export.path.read_bytes()


def test_what_has_no_onnx_is_one_clear_line(tmp_path: Path) -> None:
    tf = tf_()

    class Odd(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            return {"y": tf.math.lgamma(x)}

    model = saved(tmp_path / "model", Odd(), {"": np.ones((1, 4), np.float32)})
    with pytest.raises(ConversionError, match=r"tf2onnx has no ONNX for Lgamma") as caught:
        exported(TensorFlow(), model, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_graph_that_touches_files_is_code(tmp_path: Path) -> None:
    tf = tf_()
    proof = tmp_path / "written"

    class Writer(tf.Module):  # type: ignore[misc, name-defined]
        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            tf.io.write_file(str(proof), "harm")
            return {"y": x}

    model = saved(tmp_path / "model", Writer(), {"": np.ones((1, 4), np.float32)})
    assert TensorFlow().risk(model) == "a graph with the operator WriteFile"
    assert not proof.exists()


@pytest.mark.parametrize("place", ["../elsewhere", "nosuch", ""])
def test_a_place_that_is_none_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "saved_model.pb").write_bytes(b"")
    model = written(tmp_path / "model", lambda _: None, "tensorflow", saved_model_dir=place, model_type="tf2-module")
    assert TensorFlow().accepts(model)
    with pytest.raises(ConversionError, match="neither a SavedModel nor a"):
        TensorFlow().load(model)


def spoilt(folder: str) -> None:
    Path(folder, "tf2model").mkdir()
    Path(folder, "tf2model", "saved_model.pb").write_bytes(b"nonsense")


def test_a_spoilt_file_is_one_clear_line(tmp_path: Path) -> None:
    tf_()
    model = written(tmp_path / "model", spoilt, "tensorflow", saved_model_dir="tf2model", model_type="tf2-module")
    with pytest.raises(ConversionError, match="TensorFlow cannot load tf2model") as caught:
        TensorFlow().load(model)
    assert "\n" not in str(caught.value)


def test_without_tensorflow_the_install_command_is_named(tmp_path: Path) -> None:
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        model = written(tmp_path / "model", spoilt, "tensorflow", saved_model_dir="tf2model")
        with pytest.raises(MissingExtra, match=r"pip install 'fdpipe\[tensorflow\]'"):
            TensorFlow().load(model)
    else:
        pytest.skip("TensorFlow is here")
