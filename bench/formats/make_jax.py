"""Samples of JAX and Flax; run as a program, so that its classes are pickled as a user's own are."""

from __future__ import annotations  # a pickle by value does not bring what only annotations name

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.pyfunc import PythonModel

from bench.formats.samples import Arrays, Samples, digits, pinned, tensors

SAMPLES = Samples()


class Holder(PythonModel):  # type: ignore[misc]
    """What teams register: a function with its parameters."""

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self.make = make

    def jax_function(self) -> Callable[..., Any]:
        """For fdpipe."""
        return self.make()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401 - MLflow's own types
        """For MLflow."""
        return np.asarray(self.make()(next(iter(model_input.values())) if isinstance(model_input, dict) else model_input))


def network() -> Any:  # noqa: ANN401 - a Flax module
    """A small convolutional network of Flax's linen."""
    from flax import linen

    class Network(linen.Module):  # type: ignore[misc]
        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, found: Any) -> Any:  # noqa: ANN401 - JAX's arrays
            found = linen.relu(linen.Conv(8, (3, 3), strides=2)(found))
            return linen.softmax(linen.Dense(10)(found.reshape((found.shape[0], -1))))

    return Network()


def descended(parameters: Any, answer: Callable[[Any, Any], Any], features: np.ndarray) -> Any:  # noqa: ANN401 - a tree of arrays
    """The parameters after some steps of gradient descent on digits."""
    import jax
    import jax.numpy as jnp

    labels = digits()[1]

    def loss(found: Any) -> Any:  # noqa: ANN401 - JAX's arrays
        return -jnp.log(answer(found, features)[jnp.arange(len(labels)), labels]).mean()

    step = jax.jit(lambda found: jax.tree.map(lambda one, slope: one - 0.5 * slope, found, jax.grad(loss)(found)))
    for _ in range(60):
        parameters = step(parameters)
    return jax.tree.map(np.asarray, parameters)


def save(make: Callable[[], Callable[..., Any]], folder: Path, features: Arrays, *packages: str) -> Arrays:
    """As a PythonModel."""
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        str(folder), python_model=Holder(make), signature=tensors(features), pip_requirements=pinned(*packages, "cloudpickle")
    )  # fmt: skip
    return features


@SAMPLES.add("JAX", "function, pickled PythonModel", "jax", trusted=True)
def jax_function(folder: Path) -> Arrays:
    import jax
    import jax.numpy as jnp

    rows = digits()[0].reshape(-1, 64)
    start = {"w": np.zeros((64, 10), np.float32), "b": np.zeros(10, np.float32)}

    def answer(parameters: Any, pixels: Any) -> Any:  # noqa: ANN401 - JAX's arrays
        return jax.nn.softmax(jnp.dot(pixels, parameters["w"]) + parameters["b"])

    parameters = descended(start, answer, rows)
    return save(lambda: lambda pixels: answer(parameters, pixels), folder, {"pixels": rows}, "jax", "jaxlib")


@SAMPLES.add("Flax", "linen module, pickled PythonModel", "flax", "jax", trusted=True)
def flax_linen(folder: Path) -> Arrays:
    import jax

    features = digits()[0][..., None]
    start = network().init(jax.random.key(0), features[:1])
    parameters = descended(start, lambda found, image: network().apply(found, image), features)
    make = lambda: lambda image: network().apply(parameters, image)  # noqa: E731 - pickled by value
    return save(make, folder, {"image": features}, "flax", "jax", "jaxlib")


if __name__ == "__main__":
    sys.exit(SAMPLES.main(sys.argv[1:]))
