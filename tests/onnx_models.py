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


def mlp(path: Path, *, external: bool = False, scaler: bool = False, features: int | str = 16) -> Path:
    """x → MatMul, Add, Relu, twice, MatMul, Add → y: the form in which skl2onnx writes an MLP, biases of shape (1, n)
    included; with `scaler` behind an operator of ai.onnx.ml; the axis of its 16 features may have a word instead."""
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
    inputs, outputs = [value("x", FLOAT, "rows", features)], [value("y", FLOAT, "rows", 10)]
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


def conv_norm(path: Path) -> Path:
    """x → Conv, BatchNormalization, Relu → y, the norm with statistics that change the numbers."""
    random = np.random.default_rng(9)
    weights = {"k": random.normal(0, 0.3, (8, 3, 3, 3)), "c": random.normal(size=8)}
    weights |= {name: random.uniform(0.5, 2, 8) for name in ("scale", "shift", "mean", "variance")}
    nodes = [
        helper.make_node("Conv", ["x", "k", "c"], ["conv"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], ["norm"]),
        helper.make_node("Relu", ["norm"], ["y"]),
    ]
    tensors = {name: array.astype(np.float32) for name, array in weights.items()}
    return save(path, nodes, [value("x", FLOAT, "rows", 3, 8, 8)], [value("y", FLOAT, "rows", 8, 8, 8)], tensors)


TOKENS = 6
WIDTH = 16


def transformer(path: Path, *, heads: int = 2, masked: bool = True, turned: bool = False) -> Path:
    """One encoder layer as torch exports it: x (rows, sequence, 16) → attention, residual sum, norm, GELU, residual sum, norm
    → y; with a mask (rows, 1, 1, sequence), or with keys that are turned in two steps and queries scaled before the product."""
    random, size = np.random.default_rng(10), WIDTH // heads
    parts = ("q", "k", "v", "o", "u", "d")
    weights = {f"w{part}": random.normal(0, 0.4, (WIDTH, WIDTH)) for part in parts}
    weights |= {f"b{part}": random.normal(0, 0.4, WIDTH) for part in parts}
    weights |= {name: random.uniform(0.5, 1.5, WIDTH) for name in ("g0", "g1")}
    weights |= {name: random.normal(0, 0.1, WIDTH) for name in ("s0", "s1")}
    numbers = {"root": 2**0.5, "one": 1.0, "half": 0.5, "scale": size**-0.5}
    tensors = {name: np.asarray(array, np.float32) for name, array in (weights | numbers).items()}
    shapes = {"split": np.array([0, 0, heads, size]), "joined": np.array([0, 0, WIDTH])}

    def linear(given: str, part: str) -> list[onnx.NodeProto]:
        return [
            helper.make_node("MatMul", [given, f"w{part}"], [f"{part}_product"]),
            helper.make_node("Add", [f"{part}_product", f"b{part}"], [part]),
        ]

    nodes: list[onnx.NodeProto] = []
    for part in ("q", "k", "v"):
        nodes += [*linear("x", part), helper.make_node("Reshape", [part, "split"], [f"{part}_split"])]
        order = [0, 2, 3, 1] if part == "k" and not turned else [0, 2, 1, 3]
        nodes.append(helper.make_node("Transpose", [f"{part}_split"], [f"{part}_heads"], perm=order))
    if turned:
        nodes.append(helper.make_node("Transpose", ["k_heads"], ["k_turned"], perm=[0, 1, 3, 2]))
        nodes.append(helper.make_node("Mul", ["q_heads", "scale"], ["q_scaled"]))
        nodes.append(helper.make_node("MatMul", ["q_scaled", "k_turned"], ["scores"]))
    else:
        nodes.append(helper.make_node("MatMul", ["q_heads", "k_heads"], ["product"]))
        nodes.append(helper.make_node("Mul", ["product", "scale"], ["scores"]))
    if masked:
        nodes.append(helper.make_node("Add", ["scores", "mask"], ["masked"]))
    nodes += [
        helper.make_node("Softmax", ["masked" if masked else "scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "v_heads"], ["weighted"]),
        helper.make_node("Transpose", ["weighted"], ["back"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["back", "joined"], ["attended"]),
        *linear("attended", "o"),
        helper.make_node("Add", ["o", "x"], ["sum0"]),
        helper.make_node("LayerNormalization", ["sum0", "g0", "s0"], ["norm0"], axis=-1),
        *linear("norm0", "u"),
        helper.make_node("Div", ["u", "root"], ["divided"]),
        helper.make_node("Erf", ["divided"], ["erf"]),
        helper.make_node("Add", ["erf", "one"], ["plus"]),
        helper.make_node("Mul", ["half", "plus"], ["gate"]),
        helper.make_node("Mul", ["u", "gate"], ["gelu"]),
        *linear("gelu", "d"),
        helper.make_node("Add", ["d", "norm0"], ["sum1"]),
        helper.make_node("LayerNormalization", ["sum1", "g1", "s1"], ["y"], axis=-1),
    ]
    inputs = [value("x", FLOAT, "rows", "sequence", WIDTH)]
    inputs += [value("mask", FLOAT, "rows", 1, 1, "sequence")] if masked else []
    return save(path, nodes, inputs, [value("y", FLOAT, "rows", "sequence", WIDTH)], tensors | shapes)


def transformer_rows(rows: int = 8, *, masked: bool = True) -> dict[str, np.ndarray]:
    """Inputs of the transformer: vectors, and a mask that hides the last tokens of every other row."""
    x = np.random.default_rng(11).normal(size=(rows, TOKENS, WIDTH)).astype(np.float32)
    mask = np.zeros((rows, 1, 1, TOKENS), np.float32)
    mask[::2, :, :, TOKENS // 2 :] = -3.4e38
    return {"x": x, "mask": mask} if masked else {"x": x}


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
