"""The models that are served: a tiny one, one of images, and one that takes small requests and long for each."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.helper import make_tensor_value_info as value

from fdpipe.artifacts import Task, TensorSpec
from fdpipe.processor.none import Plain
from tests.serving import tiny

INPUT = "x"
CLASSES = 10
ROWS = 40
STEP = 1 / 256
"""Every input is a multiple of this: a float32 that a few digits of JSON say exactly, as pixels are."""


@dataclass(frozen=True)
class Subject:
    """A model by name: one row of `shape`, hidden layers of these `widths`; of images, where `channels` are given."""

    name: str
    shape: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def is_image(self) -> bool:
        """Channels, height, width."""
        return len(self.shape) == 3

    def row(self) -> np.ndarray:
        """What is asked: one row, float32."""
        return self.rows(1)

    def rows(self, count: int) -> np.ndarray:
        """So many, float32."""
        return (np.random.default_rng(5).integers(0, 256, (count, *self.shape)) * STEP).astype(np.float32)

    def pieces(self, folder: Path) -> tiny.Pieces:
        """What the package stage is given of it."""
        inputs = (TensorSpec(name=INPUT, dtype="float32", shape=("rows", *self.shape)),)
        artifact = tiny.saved(folder, self.onnx(), inputs)
        return tiny.pieces_of(folder, self.name, artifact, inputs, {INPUT: self.rows(ROWS)}, Plain(), Task.CLASSIFICATION)

    def onnx(self) -> ModelProto:
        """The model: `x` → `label` and `probabilities`."""
        random = np.random.default_rng(7)
        layers = _convolutions if self.is_image else _dense
        nodes, weights = layers(random, (self.shape[0], *self.widths))
        nodes += [
            helper.make_node("MatMul", ["hidden", "head"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ]
        weights["head"] = _drawn(random, (self.widths[-1], CLASSES), self.widths[-1])
        outputs = [value("label", TensorProto.INT64, ["rows"]), value("probabilities", TensorProto.FLOAT, ["rows", CLASSES])]
        graph = helper.make_graph(
            nodes, self.name, [value(INPUT, TensorProto.FLOAT, ["rows", *self.shape])], outputs, _named(weights)
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _dense(random: np.random.Generator, widths: tuple[int, ...]) -> tuple[list[NodeProto], dict[str, np.ndarray]]:
    nodes, weights, last = list[NodeProto](), dict[str, np.ndarray](), INPUT
    for number, (before, after) in enumerate(pairwise(widths)):
        name = "hidden" if number == len(widths) - 2 else f"hidden{number}"
        weights[f"dense{number}"] = _drawn(random, (before, after), before)
        nodes.append(helper.make_node("MatMul", [last, f"dense{number}"], [f"dense{number}_out"]))
        nodes.append(helper.make_node("Relu", [f"dense{number}_out"], [name]))
        last = name
    return nodes, weights


def _convolutions(random: np.random.Generator, widths: tuple[int, ...]) -> tuple[list[NodeProto], dict[str, np.ndarray]]:
    """A first one of 7 × 7 with a step of 4, others of 3 × 3, and the mean of what comes of them."""
    nodes, weights, last = list[NodeProto](), dict[str, np.ndarray](), INPUT
    for number, (before, after) in enumerate(pairwise(widths)):
        size, step = (7, 4) if number == 0 else (3, 1)
        weights[f"kernel{number}"] = _drawn(random, (after, before, size, size), before * size * size)
        around = {"kernel_shape": [size, size], "strides": [step, step], "pads": [size // 2] * 4}
        nodes.append(helper.make_node("Conv", [last, f"kernel{number}"], [f"conv{number}"], **around))
        last = f"relu{number}"
        nodes.append(helper.make_node("Relu", [f"conv{number}"], [last]))
    nodes += [helper.make_node("GlobalAveragePool", [last], ["mean"]), helper.make_node("Flatten", ["mean"], ["hidden"])]
    return nodes, weights


def _drawn(random: np.random.Generator, shape: tuple[int, ...], before: int) -> np.ndarray:
    return np.asarray(random.normal(size=shape) / np.sqrt(before), np.float32)


def _named(weights: dict[str, np.ndarray]) -> Iterable[TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in weights.items()]


TINY = Subject("tiny", (64,), (512, 384, 256))
IMAGE = Subject("image", (3, 224, 224), (64, 64, 64, 64))
HEAVY = Subject("heavy", (1, 96, 96), (128, 128, 128, 128))
