"""Samples of PaddlePaddle's inference models, in both of their formats."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.formats.samples import Arrays, Samples, described, digits, pinned, tensors

SAMPLES = Samples()

PADDLE = ("paddlepaddle", "setuptools")

OLDER = "--older"
"""Asks this module to save in the older format, which Paddle decides when it is imported."""

STATE = "state.npz"


def images() -> np.ndarray:
    """The bundled digits, with one channel."""
    return digits()[0][:, None]


def layer() -> Any:  # noqa: ANN401 - a Layer
    """A small convolutional network, not trained yet."""
    from paddle import nn, seed

    seed(0)
    return nn.Sequential(
        nn.Conv2D(1, 6, 3), nn.ReLU(), nn.BatchNorm2D(6), nn.MaxPool2D(2), nn.Flatten(), nn.Linear(54, 10), nn.Softmax()
    )  # fmt: skip


def trained() -> Any:  # noqa: ANN401 - a Layer
    """The same, trained on digits."""
    import paddle

    made = layer()
    features, labels = paddle.to_tensor(images()), paddle.to_tensor(digits()[1])
    optimizer = paddle.optimizer.Adam(0.02, parameters=made.parameters())
    for _ in range(10):
        loss = paddle.nn.functional.nll_loss(paddle.log(made(features) + 1e-7), labels)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    made.eval()
    return made


def spec() -> Any:  # noqa: ANN401 - an InputSpec
    """Any number of pictures."""
    import paddle

    return paddle.static.InputSpec([None, 1, 8, 8], "float32", "image")


@SAMPLES.add("PaddlePaddle", "flavour paddle, json", *PADDLE[:1])
def paddle_flavour(folder: Path) -> Arrays:
    import mlflow.paddle

    features = {"image": images()}
    mlflow.paddle.save_model(
        trained(), str(folder), signature=tensors(features), pip_requirements=pinned(*PADDLE), input_spec=[spec()]
    )  # fmt: skip
    return features


@SAMPLES.add("PaddlePaddle", "inference.json and .pdiparams", *PADDLE[:1])
def paddle_json(folder: Path) -> Arrays:
    import paddle

    folder.mkdir()
    paddle.jit.save(trained(), str(folder / "inference"), input_spec=[spec()])
    described(folder, "paddle", {"image": images()}, pinned(*PADDLE), pickled_model="inference")
    return {"image": images()}


@SAMPLES.add("PaddlePaddle", "inference.pdmodel and .pdiparams", *PADDLE[:1])
def paddle_pdmodel(folder: Path) -> Arrays:
    folder.mkdir()
    np.savez(folder / STATE, **{name: tensor.numpy() for name, tensor in trained().state_dict().items()})
    command = [sys.executable, "-m", "bench.formats.make_paddle", OLDER, str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"FLAGS_enable_pir_api": "0"})
    (folder / STATE).unlink()
    described(folder, "paddle", {"image": images()}, pinned(*PADDLE), pickled_model="inference")
    return {"image": images()}


def save_older(folder: Path) -> None:
    """The trained state in the older format."""
    import paddle

    made = layer()
    with np.load(folder / STATE) as state:
        made.set_state_dict({name: paddle.to_tensor(state[name]) for name in state.files})
    made.eval()
    paddle.jit.save(made, str(folder / "inference"), input_spec=[spec()])


if __name__ == "__main__":
    if sys.argv[1] == OLDER:
        save_older(Path(sys.argv[2]))
    else:
        sys.exit(SAMPLES.main(sys.argv[1:]))
