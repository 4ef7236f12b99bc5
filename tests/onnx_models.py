"""Tiny ONNX models, built in code, and artifacts around them."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fdpipe.artifacts import Artifact, TensorSpec
from fdpipe.content import tree_digest

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
DTYPES = {FLOAT: "float32", INT64: "int64", STRING: "string"}


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray] | None = None,
    *,
    external: bool = False,
) -> Path:
    """One file, or with `external` the weights beside it; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save_model(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


def value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def mlp_weights(sizes: Sequence[int] = (16, 64, 64, 10)) -> dict[str, np.ndarray]:
    """Random, always the same."""
    random = np.random.default_rng(7)
    weights: dict[str, np.ndarray] = {}
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        weights[f"w{layer}"] = random.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
        weights[f"b{layer}"] = random.normal(0, 0.1, (1, columns)).astype(np.float32)
    return weights


def mlp(path: Path, *, external: bool = False, scaler: bool = False) -> Path:
    """x → MatMul, Add, Relu, twice, MatMul, Add → y: the form in which skl2onnx writes an MLP, biases of shape (1, n)
    included; with `scaler` behind an operator of ai.onnx.ml."""
    nodes = [helper.make_node("Scaler", ["x"], ["h"], domain="ai.onnx.ml", offset=[0.0] * 16, scale=[1.0] * 16)]
    last = "h" if scaler else "x"
    for layer in range(3):
        out = "y" if layer == 2 else f"a{layer}"
        nodes += [
            helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]),
            helper.make_node("Add", [f"m{layer}", f"b{layer}"], [out]),
        ]
        if layer < 2:
            nodes.append(helper.make_node("Relu", [out], [f"r{layer}"]))
            last = f"r{layer}"
    inputs, outputs = [value("x", FLOAT, "rows", 16)], [value("y", FLOAT, "rows", 10)]
    return save(path, nodes[not scaler :], inputs, outputs, mlp_weights(), external=external)


def with_maps(path: Path) -> Path:
    """The model of ten answers `y`, and beside them a sequence of maps, as scikit-learn's exporter writes them unasked."""
    model = onnx.load(path)
    classes = list(range(10))
    model.graph.node.append(helper.make_node("ZipMap", ["y"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=classes))
    maps = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, None))
    model.graph.output.append(helper.make_value_info("maps", helper.make_sequence_type_proto(maps)))
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)])
    onnx.save(model, path)
    return path


def mlp_tensors(x: np.ndarray) -> dict[str, np.ndarray]:
    """What every tensor of the MLP holds, by numpy."""
    found, last, weights = {"x": x}, x, mlp_weights()
    for layer in range(3):
        found[f"m{layer}"] = last @ weights[f"w{layer}"]
        found["y" if layer == 2 else f"a{layer}"] = last = found[f"m{layer}"] + weights[f"b{layer}"]
        if layer < 2:
            found[f"r{layer}"] = last = np.maximum(last, 0)
    return found


def conv(path: Path) -> Path:
    """x → Conv, Relu, MaxPool, Conv, Add (residual), GlobalAveragePool, Flatten, Gemm → y."""
    random = np.random.default_rng(8)
    shapes = {"k0": (8, 3, 3, 3), "c0": (8,), "k1": (8, 8, 3, 3), "c1": (8,), "w": (8, 5), "b": (5,)}
    weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "k0", "c0"], ["conv0"], pads=[1] * 4),
        helper.make_node("Relu", ["conv0"], ["relu0"]),
        helper.make_node("MaxPool", ["relu0"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool", "k1", "c1"], ["conv1"], pads=[1] * 4),
        helper.make_node("Add", ["conv1", "pool"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
    ]
    return save(path, nodes, [value("x", FLOAT, "rows", 3, 8, 8)], [value("y", FLOAT, "rows", 5)], weights)


def two_inputs(path: Path) -> Path:
    """a @ w + b → y, for b of type int64."""
    nodes = [
        helper.make_node("MatMul", ["a", "w"], ["m"]),
        helper.make_node("Cast", ["b"], ["f"], to=FLOAT),
        helper.make_node("Add", ["m", "f"], ["y"]),
    ]
    weights = {"w": np.arange(8, dtype=np.float32).reshape(4, 2)}
    return save(
        path, nodes, [value("a", FLOAT, "rows", 4), value("b", INT64, "rows", 2)], [value("y", FLOAT, "rows", 2)], weights
    )


def text(path: Path) -> Path:
    """label: yes → 1, no → 0, anything else → -1; word: the same text."""
    encode = helper.make_node(
        "LabelEncoder",
        ["s"],
        ["label"],
        domain="ai.onnx.ml",
        keys_strings=["yes", "no"],
        values_int64s=[1, 0],
        default_int64=-1,
    )
    nodes = [encode, helper.make_node("Identity", ["s"], ["word"])]
    return save(
        path, nodes, [value("s", STRING, "rows", 1)], [value("label", INT64, "rows", 1), value("word", STRING, "rows", 1)]
    )


def tree(path: Path) -> Path:
    """An ensemble of one tree: y is 1 where the first number is at most 0.5, else 2."""
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0], nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0], nodes_hitrates=[1.0, 1.0, 1.0],
        target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, 2.0],
    )  # fmt: skip
    return save(path, [node], [value("x", FLOAT, "rows", 3)], [value("y", FLOAT, "rows", 1)])


def artifact(path: Path) -> Artifact:
    """The file as the line sees it."""
    graph = onnx.load(path, load_external_data=False).graph
    tensors = ([item for item in items if item.type.HasField("tensor_type")] for items in (graph.input, graph.output))
    inputs, outputs = (tuple(map(_spec, items)) for items in tensors)
    size = sum(file.stat().st_size for file in path.parent.iterdir() if file.name.startswith(path.name))
    return Artifact(kind="onnx", path=path, digest=tree_digest(path), size_bytes=size, inputs=inputs, outputs=outputs)


def _spec(found: onnx.ValueInfoProto) -> TensorSpec:
    tensor = found.type.tensor_type
    shape = tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim)
    return TensorSpec(name=found.name, dtype=DTYPES[tensor.elem_type], shape=shape)
