"""Samples of what TensorFlow's world registers."""

import functools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.formats.samples import Arrays, Samples, described, digits, pinned, tensors

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SAMPLES = Samples()

TENSORFLOW = ("tensorflow", "tensorflow-cpu")
KERAS = ("keras", *TENSORFLOW)


def images() -> np.ndarray:
    """The bundled digits, with one channel."""
    return digits()[0][..., None]


@functools.cache
def network() -> Any:  # noqa: ANN401 - a Keras model
    """A small convolutional network, trained on digits."""
    import keras

    keras.utils.set_random_seed(0)
    made = keras.Sequential(
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
    made.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    made.fit(images(), digits()[1], epochs=3, verbose=0)
    return made


@functools.cache
def module() -> Any:  # noqa: ANN401 - a tf.Module
    """A network of TensorFlow alone, trained on digits, that answers a label and probabilities."""
    import tensorflow as tf

    features, labels = digits()
    rows = features.reshape(-1, 64)

    class Network(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            random = np.random.default_rng(0)
            self.hidden = tf.Variable(random.normal(0, 0.2, (64, 32)).astype(np.float32))
            self.final = tf.Variable(random.normal(0, 0.2, (32, 10)).astype(np.float32))

        def logits(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            return tf.nn.relu(x @ self.hidden) @ self.final

        @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="pixels")])  # type: ignore[untyped-decorator]
        def __call__(self, pixels: Any) -> Any:  # noqa: ANN401 - tensors
            scores = tf.nn.softmax(self.logits(pixels))
            return {"label": tf.argmax(scores, axis=1), "probabilities": scores}

    made = Network()
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, made.logits(rows)))
        for variable, slope in zip(made.trainable_variables, tape.gradient(loss, made.trainable_variables), strict=True):
            variable.assign_sub(0.5 * slope)
    return made


def log(flavour: str, made: Any, folder: Path, features: Arrays, *packages: str, **settings: Any) -> Arrays:  # noqa: ANN401
    """In MLflow's flavour."""
    import importlib

    save = importlib.import_module(f"mlflow.{flavour}").save_model
    save(made, str(folder), signature=tensors(features), pip_requirements=pinned(*packages), **settings)
    return features


@SAMPLES.add("TensorFlow", "module, SavedModel", *TENSORFLOW)
def tensorflow_module(folder: Path) -> Arrays:
    return log("tensorflow", module(), folder, {"pixels": digits()[0].reshape(-1, 64)}, *TENSORFLOW)


@SAMPLES.add("TensorFlow", "estimator of TensorFlow 1, SavedModel", *TENSORFLOW)
def tensorflow_1(folder: Path) -> Arrays:
    import tensorflow as tf

    v1 = tf.compat.v1
    rows = digits()[0].reshape(-1, 64)
    folder.mkdir()
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 64], name="x")
        weights = v1.get_variable("w", initializer=np.eye(64, 10, dtype=np.float32))
        scores = tf.nn.softmax(x @ weights)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder / "tfmodel"), {"pixels": x}, {"scores": scores})
    described(
        folder, "tensorflow", {"pixels": rows}, pinned(*TENSORFLOW),
        saved_model_dir="tfmodel", meta_graph_tags=["serve"], signature_def_key="serving_default",
    )  # fmt: skip
    return {"pixels": rows}


@SAMPLES.add("Keras", "flavour keras, .keras", *KERAS)
def keras_file(folder: Path) -> Arrays:
    return log("keras", network(), folder, {"image": images()}, *KERAS)


@SAMPLES.add("Keras", "flavour tensorflow, .keras", *KERAS)
def keras_in_tensorflow(folder: Path) -> Arrays:
    return log("tensorflow", network(), folder, {"image": images()}, *KERAS)


@SAMPLES.add("Keras", "flavour keras, SavedModel (exported)", *KERAS)
def keras_exported(folder: Path) -> Arrays:
    return log("keras", network(), folder, {"image": images()}, *KERAS, save_exported_model=True)


@SAMPLES.add("Keras", "older flavour keras, .h5", *KERAS)
def keras_h5(folder: Path) -> Arrays:
    (folder / "data").mkdir(parents=True)
    network().save(folder / "data" / "model.h5")
    described(folder, "keras", {"image": images()}, pinned(*KERAS), data="data", keras_module="keras", save_format="h5")
    return {"image": images()}


@SAMPLES.add("Keras", "recurrent network, .keras", *KERAS)
def keras_recurrent(folder: Path) -> Arrays:
    import keras

    keras.utils.set_random_seed(0)
    made = keras.Sequential(
        [keras.Input((None, 8), name="lines"), keras.layers.LSTM(16), keras.layers.Dense(10, name="scores")]
    )  # fmt: skip
    return log("keras", made, folder, {"lines": digits()[0]}, *KERAS)


@SAMPLES.add("Keras", "Lambda layer, .keras", *KERAS, trusted=True)
def keras_lambda(folder: Path) -> Arrays:
    import keras

    made = keras.Sequential([keras.Input((8, 8), name="lines"), keras.layers.Lambda(lambda x: x * 3 + 1, name="more")])
    return log("keras", made, folder, {"lines": digits()[0]}, *KERAS)


def lite(folder: Path, content: bytes, features: Arrays) -> Arrays:
    """As a team registers it."""
    folder.mkdir()
    (folder / "model.tflite").write_bytes(content)
    described(folder, "tflite", features, pinned(*TENSORFLOW), model="model.tflite")
    return features


def converter() -> Any:  # noqa: ANN401 - TensorFlow Lite's own
    """TensorFlow's own converter, with the network."""
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_keras_model(network())


@SAMPLES.add("TFLite", "float32", *TENSORFLOW)
def tflite_float(folder: Path) -> Arrays:
    return lite(folder, converter().convert(), {"image": images()})


@SAMPLES.add("TFLite", "batch of 1", *TENSORFLOW)
def tflite_fixed(folder: Path) -> Arrays:
    import tensorflow as tf

    fixed = tf.keras.Sequential([tf.keras.Input(batch_shape=(1, 8, 8, 1), name="image"), *network().layers])
    return lite(folder, tf.lite.TFLiteConverter.from_keras_model(fixed).convert(), {"image": images()})


@SAMPLES.add("TFLite", "weights in int8", *TENSORFLOW)
def tflite_weights(folder: Path) -> Arrays:
    import tensorflow as tf

    made = converter()
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    return lite(folder, made.convert(), {"image": images()})


@SAMPLES.add("TFLite", "all in int8", *TENSORFLOW)
def tflite_whole(folder: Path) -> Arrays:
    import tensorflow as tf

    made = converter()
    made.optimizations = [tf.lite.Optimize.DEFAULT]
    made.representative_dataset = lambda: ([row[None]] for row in images()[:100])
    made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    made.inference_input_type = made.inference_output_type = tf.int8
    return lite(folder, made.convert(), {"image": (images() * 255 - 128).astype(np.int8)})


if __name__ == "__main__":
    sys.exit(SAMPLES.main(sys.argv[1:]))
