"""Trees grown by boosting as one ONNX graph, from a library's own dump; and the rows as those libraries take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe import graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Export
from fdpipe.libraries.answers import line, plain

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

EXPORTER = ("onnx>=1.17,<1.24", "onnxruntime>=1.20,<1.33", "pandas>=1.5,<4")

STACKED = "input"
"""The graph's input where all columns stand side by side."""

OPSETS = {"": 17, "ai.onnx.ml": 3}

IR_VERSION = 8

ZERO = 1e-35
"""What is not larger is zero, where zeros are missing values (LightGBM's own constant)."""


class Link(StrEnum):
    """From the sum of the leaves to the answer."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    EXPONENTIAL = "exponential"
    SOFTPLUS = "softplus"
    SIGNED_SQUARE = "signed square"
    STEP = "step"


@dataclass
class Forest:
    """The trees' nodes in columns, as the operator takes them; a tree's root is its first node.

    A row goes to a node's first child where its feature is below the threshold (`mode` says whether also where it is just
    that), and where it is missing and `missing_first`. `zeros_missing` are the features whose zeros are missing values.
    """

    features: int
    base: Sequence[float]
    mode: str = "BRANCH_LEQ"
    zeros_missing: frozenset[int] = frozenset()
    nodes: list[tuple[int, int, int, str, float, int, int, int]] = field(default_factory=list)
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)

    def branch(
        self, tree: int, node: int, feature: int, threshold: float, children: tuple[int, int], *, missing_first: bool
    ) -> None:
        """A node with two children."""
        self.nodes.append((tree, node, feature, self.mode, threshold, *children, int(missing_first)))

    def leaf(self, tree: int, node: int, weights: Mapping[int, float]) -> None:
        """A node without, which adds these to the sums of the targets."""
        self.nodes.append((tree, node, 0, "LEAF", 0.0, 0, 0, 0))
        self.leaves.extend((tree, node, target, weight) for target, weight in weights.items())


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Not trees: `weights` of shape (features, targets), to which a missing value adds nothing, and a sum without any."""

    weights: np.ndarray
    base: Sequence[float]

    @property
    def features(self) -> int:
        """How many it takes."""
        return len(self.weights)


@dataclass(frozen=True, kw_only=True)
class Boosted:
    """A model: what it sums up, what becomes of the sums, and its classes in order, if it is a classifier's."""

    sums: Forest | Linear
    link: Link
    classes: np.ndarray | None = None


def write(boosted: Boosted, model: SourceModel, folder: Path, precision: Precision) -> Export:
    """The export, which ONNX Runtime has opened. Its only input has the features side by side; outputs are `label` and
    `probabilities`, or `value` of shape (rows, targets)."""
    import onnxruntime

    path = folder / "model.onnx"
    graphs.write(_graph(boosted, _input_name(model, boosted.sums.features), precision), path)
    try:
        onnxruntime.InferenceSession(str(path), graphs.options_for(path), providers=["CPUExecutionProvider"])
    except graphs.library_errors() as error:
        raise ConversionError(f"onnxruntime cannot open what was made of {model.ref.name}: {line(error)}") from error
    inputs, outputs = graphs.specs(path)
    task = Task.REGRESSION if boosted.classes is None else Task.CLASSIFICATION
    return Export(path=path, task=task, inputs=inputs, outputs=outputs)


def rows_of(model: SourceModel, features: Batch) -> Any:  # noqa: ANN401 - a data frame or an array
    """The features as the model's users send them: a data frame with its columns, or the tensor."""
    if not model.columns:
        spec = model.inputs[0]
        return features[spec.name].astype(spec.dtype)
    import pandas as pd

    columns = {spec.name: features[spec.name].reshape(len(features[spec.name])) for spec in model.inputs}
    return pd.DataFrame({spec.name: columns[spec.name].astype(spec.dtype) for spec in model.inputs})


def check_signature(model: SourceModel) -> None:
    """`ConversionError` for a model without a signature, or with text in it."""
    if not model.inputs:
        raise ConversionError(f"{model.ref.name} has no signature: log it with signature=infer_signature(features, answers)")
    if text := next((spec.name for spec in model.inputs if spec.dtype == "string"), None):
        raise categorical(model, f"{text!r} is one")
    if not model.columns and len(model.inputs) > 1:
        raise ConversionError(f"{model.ref.name} has {len(model.inputs)} tensors as inputs: it must be one, or columns")


def categorical(model: SourceModel, which: str) -> ConversionError:
    """The error for a model that has such features."""
    said = "categorical features are not exported, train with numbers (one-hot or ordinal, in the pipeline before it)"
    return ConversionError(f"{model.ref.name}: {said}: {which}")


def _input_name(model: SourceModel, features: int) -> str:
    check_signature(model)
    given = len(model.inputs) if model.columns else model.inputs[0].shape[-1]
    if len(model.inputs[0].shape) != (1 if model.columns else 2) or (isinstance(given, int) and given != features):
        told = f"{given} columns" if model.columns else f"the shape {model.inputs[0].shape}"
        raise ConversionError(f"{model.ref.name} was trained on {features} features, and its signature has {told}")
    return STACKED if model.columns else model.inputs[0].name


def _graph(boosted: Boosted, name: str, precision: Precision) -> "ModelProto":
    from onnx import TensorProto, helper

    made = _Nodes(TensorProto.DOUBLE if precision is Precision.FLOAT64 else TensorProto.FLOAT)
    sums = _linear(made, boosted.sums, name) if isinstance(boosted.sums, Linear) else _trees(made, boosted.sums, name)
    targets = len(boosted.sums.base)
    answer = "value" if boosted.classes is None else "probabilities"
    if boosted.classes is None or targets > 1:
        _link(made, boosted.link, sums, answer)
        width = targets
    else:
        width = 2
        _link(made, boosted.link, sums, "second")
        made.add("Sub", [made.constant("one", np.array(1, np.float32)), "second"], "first")
        made.add("Concat", ["first", "second"], answer, axis=1)
    outputs = [helper.make_tensor_value_info(answer, TensorProto.FLOAT, ["rows", width])]
    if boosted.classes is not None:
        outputs.insert(0, _label(made, plain(boosted.classes)))
    inputs = [helper.make_tensor_value_info(name, made.kind, ["rows", boosted.sums.features])]
    graph = helper.make_graph(made.nodes, "boosted", inputs, outputs, made.constants)
    return helper.make_model(
        graph,
        producer_name="fdpipe",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
    )


class _Nodes:
    """The graph under construction; `kind` is the number of the floats' type in TensorProto."""

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.dtype = np.float64 if kind == 11 else np.float32
        self.nodes: list[NodeProto] = []
        self.constants: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=f"make_{output}", **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(value, name))
        return name


def _trees(made: _Nodes, forest: Forest, given: str) -> str:
    """The sums of the leaves, as float32 whatever goes in: that is how the operator is defined."""
    if forest.zeros_missing:
        mask = np.isin(np.arange(forest.features), list(forest.zeros_missing))
        small = made.add("Abs", [given], "size")
        small = made.add("LessOrEqual", [small, made.constant("zero", np.array(ZERO, made.dtype))], "is_zero")
        small = made.add("And", [small, made.constant("zeros_missing", mask)], "is_missing")
        given = made.add("Where", [small, made.constant("nothing", np.array(np.nan, made.dtype)), given], "seen")
    if not forest.nodes:
        forest.leaf(0, 0, {0: 0.0})
    trees, ids, features, modes, thresholds, firsts, seconds, missing = zip(*forest.nodes, strict=True)
    leaf_trees, leaf_ids, targets, weights = zip(*forest.leaves, strict=True)
    doubles = made.dtype == np.float64
    return made.add(
        "TreeEnsembleRegressor", [given], "sums", domain="ai.onnx.ml", n_targets=len(forest.base),
        post_transform="NONE", aggregate_function="SUM", nodes_treeids=trees, nodes_nodeids=ids, nodes_featureids=features,
        nodes_modes=modes, nodes_truenodeids=firsts, nodes_falsenodeids=seconds, nodes_missing_value_tracks_true=missing,
        target_treeids=leaf_trees, target_nodeids=leaf_ids, target_ids=targets,
        **_floats("nodes_values", np.array(thresholds) if doubles else _rounded_down(thresholds), doubles=doubles),
        **_floats("target_weights", weights, doubles=doubles), **_floats("base_values", forest.base, doubles=doubles),
    )  # fmt: skip


def _floats(name: str, values: Sequence[float] | np.ndarray, *, doubles: bool) -> dict[str, Any]:
    from onnx import numpy_helper

    if doubles:
        return {f"{name}_as_tensor": numpy_helper.from_array(np.asarray(values, np.float64), f"{name}_as_tensor")}
    return {name: np.asarray(values, np.float32).tolist()}


def _rounded_down(thresholds: Sequence[float]) -> np.ndarray:
    """As float32, never above: a row of float32 is then on the same side of each as of the float64 threshold."""
    exact = np.array(thresholds, np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
        return np.where(near.astype(np.float64) > exact, np.nextafter(near, np.float32(-np.inf)), near)


def _linear(made: _Nodes, linear: Linear, given: str) -> str:
    missing = made.add("IsNaN", [given], "is_missing")
    seen = made.add("Where", [missing, made.constant("nothing", np.array(0, made.dtype)), given], "seen")
    product = made.add("MatMul", [seen, made.constant("weights", linear.weights.astype(made.dtype))], "product")
    return made.add("Add", [product, made.constant("base", np.array([linear.base], made.dtype))], "sums")


def _link(made: _Nodes, link: Link, sums: str, answer: str) -> None:
    operators = {Link.IDENTITY: "Identity", Link.SIGMOID: "Sigmoid", Link.EXPONENTIAL: "Exp", Link.SOFTPLUS: "Softplus"}
    if link in operators:
        made.add(operators[link], [sums], answer)
    elif link is Link.SOFTMAX:
        made.add("Softmax", [sums], answer, axis=1)
    elif link is Link.SIGNED_SQUARE:
        made.add("Mul", [sums, made.add("Abs", [sums], "magnitude")], answer)
    else:
        above = made.add("Greater", [sums, made.constant("boundary", np.array(0, np.float32))], "above")
        made.add("Cast", [above], answer, to=1)


def _label(made: _Nodes, classes: np.ndarray) -> Any:  # noqa: ANN401 - a ValueInfoProto
    """The likeliest class; the first of several."""
    from onnx import TensorProto, helper

    texts = classes.dtype.kind == "U"
    likeliest = made.add("ArgMax", ["probabilities"], "likeliest", axis=1, keepdims=0)
    made.add("Gather", [made.constant("classes", classes.astype(object) if texts else classes), likeliest], "label")
    return helper.make_tensor_value_info("label", TensorProto.STRING if texts else TensorProto.INT64, ["rows"])
