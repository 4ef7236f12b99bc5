"""Trees of scikit-learn in a graph of skl2onnx: where missing values go, and what they compare in double precision."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fdpipe.libraries.estimators import inside

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

ENSEMBLE = "TreeEnsemble"
"""How the names of all operators of tree ensembles begin."""

MISSING = "nodes_missing_value_tracks_true"
"""The attribute that says for each node whether a missing value goes where smaller ones go."""

NEAR = 1e-5
"""Thresholds are rounded to float32, and one step further where scikit-learn's rounding demands it."""

Tree = tuple[np.ndarray, np.ndarray]
"""The thresholds of a tree's nodes, and where a missing value goes."""


def with_finite_thresholds(estimator: Any) -> Any:  # noqa: ANN401 - an estimator has no type of its own
    """A copy where a tree, trained with missing values, splits at infinity: at the largest float32, which is the same to
    every number. In double precision, skl2onnx never ends on infinity."""
    if not any(np.isinf(tree.threshold).any() for tree in _trees(estimator)):
        return estimator
    found = copy.deepcopy(estimator)
    for tree in _trees(found):
        tree.threshold[np.isinf(tree.threshold)] = np.finfo(np.float32).max
    return found


def _trees(estimator: Any) -> Iterator[Any]:  # noqa: ANN401 - an estimator has no type of its own
    """Those inside that skl2onnx exports."""
    return (one.tree_ for one in inside(estimator) if hasattr(getattr(one, "tree_", None), "threshold"))


def send_missing(model: "ModelProto", estimator: Any) -> None:  # noqa: ANN401 - an estimator has no type of its own
    """Send missing values the way scikit-learn sends them, also where it saw none in training; skl2onnx forgets it."""
    nodes = [node for node in model.graph.node if node.op_type.startswith(ENSEMBLE)]
    known = _known_trees(estimator) if nodes else {}
    for node in nodes:
        given = {item.name: item for item in node.attribute}
        ways = np.array(given[MISSING].ints)
        for rows, shape, thresholds in _trees_of(node):
            if (found := _way(known.get(shape, []), thresholds)) is not None:
                ways[rows] = found
        given[MISSING].ints[:] = [int(way) for way in ways]


def _known_trees(estimator: Any) -> dict[bytes, list[Tree]]:  # noqa: ANN401 - an estimator has no type of its own
    """The trees inside, by their shape: children and features."""
    found: dict[bytes, list[Tree]] = {}
    for tree in _trees(estimator):
        if (ways := getattr(tree, "missing_go_to_left", None)) is None:
            continue
        inner = tree.children_left > 0
        columns = (np.where(inner, array, 0) for array in (tree.feature, tree.children_left, tree.children_right))
        found.setdefault(_shape(*columns), []).append((np.where(inner, tree.threshold, 0), np.where(inner, ways, 0)))
    return found


def _trees_of(node: "NodeProto") -> Iterator[tuple[np.ndarray, bytes, np.ndarray]]:
    """The places of each tree's nodes in the ensemble's attributes, its shape, and its thresholds where they are float32."""
    given = {item.name: item for item in node.attribute}
    names = ("nodes_treeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids")
    trees, features, lefts, rights = (np.array(given[name].ints) for name in names)
    values = np.array(given["nodes_values"].floats) if "nodes_values" in given else np.zeros(0)
    if len(values) != len(trees):
        return
    starts = np.flatnonzero(np.diff(trees, prepend=trees[0] - 1))
    for rows in np.split(np.arange(len(trees)), starts[1:]):
        yield rows, _shape(features[rows], lefts[rows], rights[rows]), values[rows]


def _way(candidates: list[Tree], thresholds: np.ndarray) -> np.ndarray | None:
    """Where missing values go in the first of the candidates that has these thresholds, which is then taken: of trees that
    differ in nothing else, the graph has the same order as the ensemble."""
    fitting = [n for n, (values, _) in enumerate(candidates) if np.allclose(values, thresholds, rtol=NEAR, atol=NEAR)]
    if not fitting:
        return None
    return candidates.pop(fitting[0])[1] if len(fitting) > 1 else candidates[fitting[0]][1]


def _shape(*columns: np.ndarray) -> bytes:
    return np.stack([column.astype(np.int64) for column in columns]).tobytes()


def take_doubles(model: "ModelProto") -> None:
    """Make each tree ensemble take and give float64.

    A tree of scikit-learn compares the row as float32 with a threshold, so must its copy, whose thresholds are float32
    already; one over histograms compares float64. Its scores are float32 by ONNX's definition, and skl2onnx forgets that.
    """
    from onnx import TensorProto, helper

    if not any(node.op_type.startswith(ENSEMBLE) for node in model.graph.node):
        return
    nodes = []
    for number, node in enumerate(model.graph.node):
        nodes.append(node)
        if not node.op_type.startswith(ENSEMBLE):
            continue
        if not any(one.name == "nodes_values_as_tensor" for one in node.attribute):
            seen = f"fdpipe_seen_{number}"
            nodes.insert(-1, helper.make_node("Cast", [node.input[0]], [seen], name=seen, to=TensorProto.FLOAT))
            node.input[0] = seen
        scores, given = node.output[-1], f"fdpipe_given_{number}"
        node.output[-1] = given
        nodes.append(helper.make_node("Cast", [given], [scores], name=given, to=TensorProto.DOUBLE))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for value in model.graph.output:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
